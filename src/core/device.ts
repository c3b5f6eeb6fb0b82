/**
 * Devices: where a tensor's memory lives and which runtime launches its kernels.
 *
 * A {@linkcode Device} is interned, so `===` compares. Text form as in PyTorch: `"cpu"`, `"cuda:1"`, `"webgpu"`.
 */

/** Kinds of device. `meta` tensors have a shape but no data. */
export type DeviceType = "cpu" | "cuda" | "webgpu" | "meta";

/** A device. Interned: compare with `===`. */
export interface Device {
  readonly type: DeviceType;
  /** Which of several devices of the type; 0 where there is one only. */
  readonly index: number;
  toString(): string;
}

/** What the API accepts wherever a device is asked for. */
export type DeviceLike = Device | string;

const interned = new Map<string, Device>();

/**
 * The device named by a text such as `"cpu"` or `"cuda:1"`; a device is returned as it is.
 *
 * @throws {TypeError} for a text that names no device.
 * @throws {RangeError} for a second CPU.
 *
 * @example
 * ```ts
 * import { device } from "@tessera/tessera";
 * console.log(device("cuda") === device("cuda:0")); // true
 * ```
 */
export function device(spec: DeviceLike): Device {
  if (typeof spec !== "string") return spec;
  const match = /^(cpu|cuda|webgpu|meta)(?::(\d{1,3}))?$/.exec(spec);
  if (match === null) {
    throw new TypeError(`device: "${spec}" is not a device: use "cpu", "cuda", "cuda:N", "webgpu" or "meta"`);
  }
  const type = match[1] as DeviceType;
  const index = Number(match[2] ?? 0);
  if (index > 0 && (type === "cpu" || type === "meta")) {
    throw new RangeError(`device: there is no "${spec}": "${type}" is one device, without an index`);
  }
  const key = `${type}:${index}`;
  let found = interned.get(key);
  if (found === undefined) {
    const text = type === "cuda" || index > 0 ? key : type;
    found = Object.freeze({ type, index, toString: () => text });
    interned.set(key, found);
  }
  return found;
}

/** The CPU. */
export const cpu: Device = device("cpu");
