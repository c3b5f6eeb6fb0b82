/**
 * Autocast: which operators compute in a half type, and which in float32, while a region says so.
 *
 * A region is per kind of device. Inside it, dispatch asks {@linkcode autocastArguments} before the tape sees a call: operators with a policy get their floating
 * arguments cast, and what they are made of is not asked again. Casts of parameters are kept until the outermost region ends, so that a weight that is used twice is cast
 * once; a written parameter is cast anew. A walk back runs without autocast: each gradient has the dtype of what it is the gradient of. Capture guards on
 * {@linkcode autocastKey}. Mirrors `aten/src/ATen/autocast_mode.h`; lists in `autocast_lists.ts`.
 */
import { types } from "node:util";
import { bfloat16, type DType, float16, float32, float64 } from "../core/mod.ts";
import type { ArgValue, NamedArgs, Operator } from "../ops/mod.ts";
import { type AutocastDevice, type AutocastPolicy, autocastPolicy } from "./autocast_lists.ts";
import { isGradEnabled } from "./engine.ts";
import { firstTensor, forEachTensor, mapTensorArgs } from "./operands.ts";
import { Tensor } from "./tensor.ts";

export type { AutocastDevice } from "./autocast_lists.ts";

/** Options of {@linkcode autocast}. */
export interface AutocastOptions {
  /** `float16` or `bfloat16`. Default `float16` on "cuda", `bfloat16` on "cpu", as in PyTorch. */
  readonly dtype?: DType;
  /** False ends the effect of an outer region. Default true. */
  readonly enabled?: boolean;
  /** Whether casts of parameters are kept for the region. Default true. */
  readonly cacheEnabled?: boolean;
}

interface Region {
  readonly cuda: DType | null;
  readonly cpu: DType | null;
  readonly keeps: boolean;
  readonly key: string;
  /** Shared by all regions within the outermost one. */
  readonly casts: Casts;
}

interface Kept {
  readonly version: number;
  readonly dtype: DType;
  readonly taped: boolean;
  readonly value: Tensor;
}

type Casts = WeakMap<Tensor, Kept[]>;

/** Null outside of regions, and while something that is no user's code runs. */
let region: Region | null = null;

function regionOf(cuda: DType | null, cpu: DType | null, keeps: boolean, casts: Casts): Region {
  return { cuda, cpu, keeps, casts, key: `cuda:${cuda?.name ?? "off"} cpu:${cpu?.name ?? "off"}` };
}

function inRegion<T>(next: Region | null, fn: () => T): T {
  const before = region;
  region = next;
  try {
    return fn();
  } finally {
    region = before;
  }
}

/**
 * Runs `fn` with automatic casts for tensors of a kind of device: products and convolutions compute in a half type, exponentials, losses and sums in float32.
 *
 * Which operator does what are PyTorch's lists for the device. Parameters stay as they are, gradients have their parameters' dtype. Only the synchronous part of `fn` is
 * covered, so an asynchronous one is refused. Run `backward()` outside or inside: it never casts by itself.
 *
 * @param deviceType "cuda" or "cpu".
 * @throws {TypeError} for another device, a dtype that is no half type, or an asynchronous function.
 *
 * @example
 * ```ts
 * import { autocast, bfloat16, nn, randn } from "../../mod.ts";
 *
 * const layer = new nn.Linear(8, 4);
 * const y = autocast("cpu", { dtype: bfloat16 }, () => layer.forward(randn([2, 8])));
 * y.sum().backward();
 * console.log(y.dtype.name, layer.weight.grad?.dtype.name); // bfloat16 float32
 * ```
 */
export function autocast<T>(deviceType: AutocastDevice, options: AutocastOptions, fn: () => T): T;
export function autocast<T>(deviceType: AutocastDevice, fn: () => T): T;
export function autocast<T>(
  deviceType: AutocastDevice,
  given: AutocastOptions | (() => T),
  body?: () => T,
): T {
  const options = typeof given === "function" ? {} : given;
  const fn = typeof given === "function" ? given : body;
  if (fn === undefined) throw new TypeError("autocast: the function to run is missing");
  if (deviceType !== "cuda" && deviceType !== "cpu") {
    throw new TypeError(`autocast: the device is "${String(deviceType)}"; there are lists for "cuda" and "cpu"`);
  }
  const { enabled = true, cacheEnabled, dtype = deviceType === "cuda" ? float16 : bfloat16 } = options;
  if (dtype !== float16 && dtype !== bfloat16) {
    throw new TypeError(`autocast: dtype is ${dtype.name}; use float16 or bfloat16, or { enabled: false }`);
  }
  const now = enabled ? dtype : null;
  const next = regionOf(
    deviceType === "cuda" ? now : region?.cuda ?? null,
    deviceType === "cpu" ? now : region?.cpu ?? null,
    cacheEnabled ?? region?.keeps ?? true,
    region?.casts ?? new WeakMap(),
  );
  if (types.isAsyncFunction(fn)) throw new TypeError(ASYNCHRONOUS);
  const result = inRegion(next, fn);
  if (result instanceof Promise) {
    result.catch(() => {});
    throw new TypeError(ASYNCHRONOUS);
  }
  return result;
}

/** The half type in which operators on a kind of device compute now; null outside of regions. */
export function autocastDtype(deviceType: AutocastDevice): DType | null {
  return region?.[deviceType] ?? null;
}

/** What a captured program depends on: the same text for the same casts. */
export function autocastKey(): string {
  return region?.key ?? "";
}

/** Whether there is anything to do at all. */
export function isAutocasting(): boolean {
  return region !== null;
}

/** Runs `fn` as outside of all regions. */
export function withoutAutocast<T>(fn: () => T): T {
  return region === null ? fn() : inRegion(null, fn);
}

/** How a call goes on: as it is, with other arguments and without further casts, or taken apart with casts inside. */
export type AutocastAnswer =
  | { readonly kind: "pass" }
  | { readonly kind: "cast"; readonly args: NamedArgs<Tensor> }
  | { readonly kind: "through" };

const ASYNCHRONOUS =
  "autocast: the function is asynchronous, and what stands behind an await would compute without casts: " +
  "await outside, and put autocast around each part that computes";

const PASS: AutocastAnswer = { kind: "pass" };
const THROUGH: AutocastAnswer = { kind: "through" };

/**
 * What the region makes of a call; `cast` converts a tensor by an operator that is recorded.
 *
 * @throws {TypeError} for operators that are not safe in a half type
 */
export function autocastArguments(
  op: Operator,
  args: NamedArgs<Tensor>,
  cast: (t: Tensor, dtype: DType) => Tensor,
): AutocastAnswer {
  const first = region === null ? null : firstTensor(op, args);
  if (region === null || first === null) return PASS;
  const type = first.device.type;
  if (type !== "cuda" && type !== "cpu") return PASS;
  const low = region[type];
  if (low === null) return PASS;
  const policy = autocastPolicy(op.target, type);
  if (policy === null) return PASS;
  if (policy === "through") return op.decompose === null ? PASS : THROUGH;
  if (policy === "banned") {
    throw new TypeError(
      `${op.schema.name}: its logarithms are not safe in ${low.name}; under autocast use binary_cross_entropy_with_logits on what went into the sigmoid`,
    );
  }
  if (policy === "set_dtype") {
    const stated = args["dtype"] ?? null;
    return stated !== null || !isEligible(first, type) || !op.schema.args.some((a) => a.name === "dtype")
      ? { kind: "cast", args }
      : { kind: "cast", args: { ...args, dtype: float32 } };
  }
  const to = targetOf(policy, op, args, low, type);
  if (to === null) return { kind: "cast", args };
  const convert = (t: Tensor): Tensor => isEligible(t, type) && t.dtype !== to ? castKept(t, to, cast) : t;
  return { kind: "cast", args: mapTensorArgs(op, args, convert) as Readonly<Record<string, ArgValue<Tensor>>> };
}

function targetOf(
  policy: AutocastPolicy & ("low" | "float32" | "promote"),
  op: Operator,
  args: NamedArgs<Tensor>,
  low: DType,
  type: AutocastDevice,
): DType | null {
  switch (policy) {
    case "low":
      return low;
    case "float32":
      return float32;
    case "promote": {
      let widest: DType | null = null;
      forEachTensor(op, args, (t) => {
        if (!isEligible(t, type)) return;
        if (widest === null) widest = low;
        if (t.dtype === float32) widest = float32;
      });
      return widest;
    }
    default:
      return policy satisfies never;
  }
}

function isEligible(t: Tensor, type: AutocastDevice): boolean {
  return t.device.type === type && t.dtype.isFloat && t.dtype !== float64;
}

function castKept(t: Tensor, to: DType, cast: (t: Tensor, dtype: DType) => Tensor): Tensor {
  if (region === null || !region.keeps || t.dtype !== float32 || !t.requiresGrad || !t.isLeaf || t.viewOf !== null) {
    return cast(t, to);
  }
  const { casts } = region;
  const taped = isGradEnabled();
  const { version } = t.storage;
  const list = casts.get(t)?.filter((k) => k.version === version) ?? [];
  const known = list.find((k) => k.dtype === to && k.taped === taped);
  if (known !== undefined) return known.value;
  const value = cast(t, to);
  casts.set(t, [...list, { version, dtype: to, taped, value }]);
  return value;
}
