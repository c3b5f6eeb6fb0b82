/**
 * The reference executor: runs an operator's loop over host memory, one element after the other.
 *
 * It is the meaning of the operator table made executable, for every dtype and every kind of loop: the backend that compiled code is compared with,
 * and the eager backend until a faster one is set. Translated loops are kept by operator, shapes, strides and other arguments.
 */
import { InternalError } from "../core/mod.ts";
import type { TensorMeta } from "../graph/mod.ts";
import {
  asIndex,
  type BufferRef,
  extentOf,
  loadsOf,
  type LoopInput,
  type LoopNode,
  ops,
  type Value,
} from "../loops/mod.ts";
import { type ArgValue, type MetaInput, type NamedArgs, type Operator, scalarInput } from "../ops/mod.ts";
import { add, constant, type Expr, exprOf, mul, numelOf, type Size } from "../symbolic/mod.ts";
import { type EagerBackend, setEagerBackend } from "./backend.ts";
import { mapTensorArgs, tensorArguments } from "./operands.ts";
import { type LoopFunction, loopFunction } from "./loop_text.ts";
import type { RawArray } from "./memory.ts";
import { spanOf, storageArray } from "./read.ts";
import { runBlocks } from "./blocks.ts";
import { Tensor } from "./tensor.ts";

let nextBuffer = -1;

/** The flat position of an index, in elements from the tensor's first. */
export function flatIndex(index: readonly Expr[], stride: readonly Size[]): Expr {
  let at: Expr = constant(0);
  for (let d = 0; d < index.length; d++) at = add(at, mul(index[d] ?? constant(0), exprOf(stride[d] ?? 0)));
  return at;
}

/** A dense tensor as an operator body reads it. Positions count from its first element. */
function memoryInput(t: TensorMeta, buffer: BufferRef): LoopInput & MetaInput {
  return {
    shape: t.shape.map(exprOf) as unknown as readonly Expr[] & readonly Size[],
    stride: t.stride,
    storageOffset: t.storageOffset,
    dtype: t.dtype,
    device: t.device,
    isScalar: false,
    requiresGrad: false,
    load: (index: readonly Expr[]): Value => ops.load(buffer, flatIndex(index, t.stride)),
  };
}

/** A translated operator. */
interface Kernel {
  readonly run: LoopFunction;
  /** For each tensor argument in order: whether it is read only at the index that is written. */
  readonly sameIndex: readonly boolean[];
  readonly elementwise: boolean;
}

function tensorKey(t: TensorMeta): string {
  return `${t.dtype.short}[${t.shape.join()}](${t.stride.join()})`;
}

function argKey(v: ArgValue<Tensor>): string {
  if (v instanceof Tensor) return tensorKey(v);
  if (Array.isArray(v)) return `[${v.map(argKey).join(";")}]`;
  if (typeof v === "number") return Object.is(v, -0) ? "-0" : String(v);
  if (typeof v === "bigint") return `${v}n`;
  if (typeof v === "string") return JSON.stringify(v);
  return String(v);
}

const kernels = new WeakMap<Operator, Map<string, Kernel>>();
const KERNELS_PER_OPERATOR = 2048;

function tensorsOf(op: Operator, args: NamedArgs<Tensor>): Tensor[] {
  const out: Tensor[] = [];
  for (const { key, list } of tensorArguments(op)) {
    const v = args[key];
    if (list && Array.isArray(v)) { for (const item of v) if (item instanceof Tensor) out.push(item); }
    else if (v instanceof Tensor) out.push(v);
  }
  return out;
}

function build(op: Operator, args: NamedArgs<Tensor>, out: Tensor): Kernel {
  if (op.loop === null) throw new InternalError(`${op.target} is no loop; the reference executor cannot run it`);
  const buffers: BufferRef[] = [];
  const inputs = mapTensorArgs<LoopInput>(op, args, (t) => {
    const span = spanOf(t.shape.map(Number), t.stride.map(Number));
    const buffer: BufferRef = {
      id: nextBuffer--,
      dtype: t.dtype,
      numel: constant(Math.max(span, 0)),
      label: `arg${buffers.length}`,
    };
    buffers.push(buffer);
    return memoryInput(t, buffer);
  }, scalarInput) as NamedArgs<LoopInput>;
  const loop: LoopNode = op.loop(inputs, out);
  if (loop.dtype !== out.dtype) {
    throw new InternalError(`${op.target}: the loop yields ${loop.dtype.name} but meta says ${out.dtype.name}`);
  }
  checkShape(op, loop, out);
  const slots = new Map(buffers.map((b, i) => [b, i]));
  const sameIndex = buffers.map(() => loop.kind === "pointwise");
  if (loop.kind === "pointwise") {
    const index = asIndex(loop.vars).map((e, d) => Number(out.shape[d]) === 1 ? constant(0) : e);
    const tensors = tensorsOf(op, args);
    for (const load of loadsOf([loop.value])) {
      const slot = slots.get(load.buffer) ?? 0;
      const t = tensors[slot];
      const whole = t !== undefined && t.ndim === out.ndim && load.index === flatIndex(index, t.stride);
      if (!whole) sameIndex[slot] = false;
    }
  }
  return {
    run: loopFunction(loop, slots, out.stride.map(Number)),
    sameIndex,
    elementwise: loop.kind === "pointwise",
  };
}

function checkShape(op: Operator, loop: LoopNode, out: Tensor): void {
  if (loop.kind !== "pointwise" && loop.kind !== "view" && loop.kind !== "reduction" && loop.kind !== "scan") return;
  const extents = loop.vars.map(extentOf).map((e) => e.kind === "const" ? e.value : -1);
  if (extents.length !== out.ndim || extents.some((e, d) => e !== out.shape[d])) {
    throw new InternalError(`${op.target}: the loop runs over [${extents}] but meta says [${out.shape.join(", ")}]`);
  }
}

function kernelFor(op: Operator, args: NamedArgs<Tensor>, out: Tensor): Kernel {
  let forOp = kernels.get(op);
  if (forOp === undefined) kernels.set(op, forOp = new Map());
  let key = tensorKey(out);
  for (const arg of op.schema.args) key += `|${argKey(args[arg.key] ?? null)}`;
  let kernel = forOp.get(key);
  if (kernel === undefined) {
    if (forOp.size >= KERNELS_PER_OPERATOR) forOp.clear();
    forOp.set(key, kernel = build(op, args, out));
  }
  return kernel;
}

function elementsOf(t: Tensor): RawArray {
  const array = storageArray(t);
  const offset = Number(t.storageOffset) * (t.dtype.isComplex ? 2 : 1);
  return offset === 0 ? array : array.subarray(offset) as RawArray;
}

/** Runs operators by their loops, on the CPU. */
export const referenceBackend: EagerBackend = {
  name: "reference",
  execute(op, args, outs): void {
    if (op.kind === "blocks") {
      runBlocks(op, args, outs, elementsOf);
      return;
    }
    const out = outs[0];
    if (out === undefined) return;
    if (outs.length !== 1) throw new InternalError(`${op.target}: a loop has one result, not ${outs.length}`);
    if (Number(numelOf(out.shape)) === 0) return;
    kernelFor(op, args, out).run(tensorsOf(op, args).map(elementsOf), elementsOf(out));
  },
  executeInPlace(op, args, self): boolean {
    if (self.numel === 0) return true;
    const kernel = kernelFor(op, args, self);
    if (!kernel.elementwise) return false;
    const tensors = tensorsOf(op, args);
    if (tensors.some((t, i) => t.storage === self.storage && kernel.sameIndex[i] !== true)) return false;
    kernel.run(tensors.map(elementsOf), elementsOf(self));
    return true;
  },
};

setEagerBackend(referenceBackend);
