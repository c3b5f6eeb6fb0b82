/**
 * Kernels of blocks over host memory: how the interpreter reads and writes elements, and the reference executor's way to run one.
 */
import { type BlockMemory, interpretBlocks, type RecordedTensor } from "../blocks/mod.ts";
import { bool, type DType, int64, InternalError, narrowFloat } from "../core/mod.ts";
import type { BufferRef } from "../loops/mod.ts";
import type { ArgValue, NamedArgs, Operator } from "../ops/mod.ts";
import { constant, exprOf } from "../symbolic/mod.ts";
import type { RawArray } from "./memory.ts";
import { spanOf } from "./read.ts";
import { Tensor } from "./tensor.ts";

/** Elements as the interpreter sees them: numbers, 64-bit integers beyond 2^53 as bigints. */
export function blockMemory(dtype: DType, raw: RawArray): BlockMemory {
  const { length } = raw;
  if (dtype === int64) {
    return {
      length,
      get: (at) => {
        const value = raw[at] as bigint;
        const number = Number(value);
        return Number.isSafeInteger(number) ? number : value;
      },
      set: (at, value) => raw[at] = BigInt(value) as never,
    };
  }
  const narrow = narrowFloat(dtype);
  if (narrow !== null) {
    return {
      length,
      get: (at) => narrow.fromBits(Number(raw[at])),
      set: (at, value) => raw[at] = narrow.toBits(Number(value)) as never,
    };
  }
  const isBool = dtype === bool;
  return {
    length,
    get: (at) => raw[at] as number,
    set: (at, value) => raw[at] = (isBool ? Number(Number(value) !== 0) : Number(value)) as never,
  };
}

let nextBuffer = -1;

function recorded(t: Tensor, name: string, writes: boolean): RecordedTensor {
  const span = Math.max(0, spanOf(t.shape.map(Number), t.stride.map(Number)));
  const buffer: BufferRef = { id: nextBuffer--, dtype: t.dtype, numel: constant(span), label: name };
  return { name, buffer, shape: t.shape, stride: t.stride.map(exprOf), offset: constant(0), writes };
}

/** Runs an operator whose meaning is a kernel; `elements` yields a tensor's memory from its first element on. */
export function runBlocks(
  op: Operator,
  args: NamedArgs<Tensor>,
  outs: readonly Tensor[],
  elements: (t: Tensor) => RawArray,
): void {
  if (op.blocks === undefined || op.blocks === null) throw new InternalError(`${op.target} has no kernel`);
  const memory = new Map<BufferRef, BlockMemory>();
  const take = (t: Tensor, name: string, writes: boolean): RecordedTensor => {
    const made = recorded(t, name, writes);
    const raw = elements(t);
    if (writes) new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength).fill(0);
    memory.set(made.buffer, blockMemory(t.dtype, raw));
    return made;
  };
  const convert = (value: ArgValue<Tensor>, name: string): ArgValue<RecordedTensor> => {
    if (value instanceof Tensor) return take(value, name, false);
    if (Array.isArray(value)) return (value as readonly ArgValue<Tensor>[]).map((v, i) => convert(v, `${name}${i}`));
    return value as ArgValue<RecordedTensor>;
  };
  const inputs = Object.fromEntries(op.schema.args.map(({ key }) => [key, convert(args[key] ?? null, key)]));
  const program = op.blocks(
    inputs as NamedArgs<RecordedTensor>,
    outs.map((t, i) => take(t, outs.length === 1 ? "out" : `out${i}`, true)),
  );
  const none: BlockMemory = { length: 0, get: () => 0, set: () => {} };
  interpretBlocks(program, ({ buffer }) => memory.get(buffer) ?? none, new Map());
}
