/**
 * Reads folders of operator vectors: `cases.jsonl` (one call a line) and `tensors.safetensors` (its data).
 *
 * Leaves the calls with arguments decoded to what the operator table takes. Tensors are made on demand, with the strides that the
 * vectors name.
 */
import { dtypeFromName } from "../../src/core/mod.ts";
import { emptyTensor, hostFromRaw, rawOver, Tensor, writeElements } from "../../src/tensor/mod.ts";
import type { HostArray } from "../../src/ops/mod.ts";
import { cpu } from "../../src/core/mod.ts";

/** A tensor as the vectors describe it. */
export interface VectorTensor {
  readonly data: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly stride: readonly number[];
}

/** An argument as the vectors write it. */
export type VectorArg =
  | null
  | { readonly tensor: number }
  | { readonly list: readonly VectorArg[] }
  | { readonly int: number }
  | { readonly float: string }
  | { readonly bool: boolean }
  | { readonly string: string }
  | { readonly dtype: string }
  | { readonly device: string }
  | { readonly memory_format: string }
  | { readonly layout: string };

/** One call. */
export interface VectorCase {
  readonly id: string;
  readonly target: string;
  readonly args: readonly VectorArg[];
  readonly kwargs: Readonly<Record<string, VectorArg>>;
  readonly inputs: readonly VectorTensor[];
  readonly outputs: readonly VectorTensor[];
  readonly grads: readonly (VectorTensor | null)[] | null;
}

/** A folder of vectors. */
export class Vectors {
  readonly cases: readonly VectorCase[];
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #start: number;
  readonly #header: Readonly<Record<string, { readonly data_offsets: readonly [number, number] }>>;

  constructor(folder: string) {
    const text = Deno.readTextFileSync(`${folder}/cases.jsonl`);
    this.cases = text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as VectorCase);
    this.#bytes = Deno.readFileSync(`${folder}/tensors.safetensors`);
    const length = Number(new DataView(this.#bytes.buffer).getBigUint64(0, true));
    this.#header = JSON.parse(new TextDecoder().decode(this.#bytes.subarray(8, 8 + length)));
    this.#start = 8 + length;
  }

  #raw(t: VectorTensor): Uint8Array<ArrayBuffer> {
    const entry = this.#header[t.data];
    if (entry === undefined) throw new TypeError(`the vectors have no data named ${t.data}`);
    const [from, to] = entry.data_offsets;
    return this.#bytes.slice(this.#start + from, this.#start + to);
  }

  /** A tensor's entry of the header and its bytes. */
  rawEntry(t: VectorTensor): { readonly entry: Readonly<Record<string, unknown>>; readonly bytes: Uint8Array } {
    return { entry: this.#header[t.data] ?? {}, bytes: this.#raw(t) };
  }

  /** The elements, row-major. */
  values(t: VectorTensor): HostArray {
    const dtype = dtypeFromName(t.dtype);
    return hostFromRaw(dtype, rawOver(dtype, this.#raw(t)));
  }

  /** A tensor with these elements and strides. Expanded dimensions share memory, as they did. */
  tensor(t: VectorTensor): Tensor {
    const dtype = dtypeFromName(t.dtype);
    const raw = rawOver(dtype, this.#raw(t));
    const whole = emptyTensor(t.shape, t.stride, dtype, cpu);
    if (raw.length > 0) writeElements(whole, raw);
    return whole;
  }
}

/** An argument as the operator table takes it. */
export function decodeArg(arg: VectorArg, inputs: readonly Tensor[]): unknown {
  if (arg === null) return null;
  if ("tensor" in arg) return inputs[arg.tensor];
  if ("list" in arg) return arg.list.map((item) => decodeArg(item, inputs));
  if ("int" in arg) return arg.int;
  if ("float" in arg) return arg.float === "inf" ? Infinity : arg.float === "-inf" ? -Infinity : Number(arg.float);
  if ("bool" in arg) return arg.bool;
  if ("string" in arg) return arg.string;
  if ("dtype" in arg) return dtypeFromName(arg.dtype);
  if ("device" in arg) return arg.device;
  if ("memory_format" in arg) return arg.memory_format;
  return arg.layout;
}
