/**
 * Reductions of many whole tensors as two launches: whether gradients are finite, and how long they are.
 *
 * Enters: kernels of one pass over one axis that leave single numbers. Those that differ only in their extent, their buffers and the places of their results become ranges of one
 * grid: a block reduces its part and writes it to scratch memory; in a second launch a block a member combines the parts in order and does what follows. So results do not
 * depend on timing.
 */
import { constant, constantValue, newSym, type Sym, symbol } from "../../../symbolic/mod.ts";
import { tileToText } from "../../tile/print.ts";
import type { Axis, TileKernel, TileReduceOp, TileStatement, TileValue } from "../../tile/tile_ir.ts";
import { mostPointers, writeMember, writeTable } from "./emit_foreach.ts";
import { combineRow, guarded } from "./emit_rows.ts";
import { CudaFunction } from "./function.ts";
import { type CudaKernelText, type EmitContext, line } from "./kernel_text.ts";
import type { CudaArg } from "./launch.ts";
import { accumulatorsOf, lanesFor, partsOf, type Pass } from "./nests.ts";
import { SameOrder } from "./same_order.ts";
import { combineLambda, isArg, neutralText, scalarType, sizeName } from "./texts.ts";

const THREADS = 256;
/** Runs that a thread has. */
const RUNS = 16;
/** Bytes of a part's result. */
const PARTIAL = 16;

interface Member {
  readonly kernel: TileKernel;
  readonly length: number;
  /** Where its results stand in their buffers. */
  readonly places: readonly number[];
}

/** A member as all of its kind look: the extent and the places of results are sizes. */
interface Shape {
  readonly kernel: TileKernel;
  readonly before: readonly TileStatement[];
  readonly pass: Pass;
  readonly after: readonly TileStatement[];
  readonly accumulators: ReadonlyMap<TileValue, TileReduceOp>;
}

/** Whether a kernel may be a member, and how. */
function generic(kernel: TileKernel): { readonly shape: Shape; readonly member: Member } | null {
  const [axis, ...more] = kernel.axes;
  if (axis === undefined || more.length > 0 || axis.role !== "loop" || kernel.sizes.length > 0) return null;
  const length = constantValue(axis.extent);
  const parts = partsOf(kernel.body);
  if (length === null || length >= 2 ** 30 || parts === null) return null;
  const [first, second, third, ...others] = parts;
  if (first?.kind !== "statements" || second?.kind !== "pass" || third?.kind !== "statements" || others.length > 0) {
    return null;
  }
  const accumulators = accumulatorsOf(second.pass);
  if ([...accumulators.values()].some((op) => isArg(op) || op === "logaddexp")) return null;
  if (
    second.pass.body.some((s) => s.kind === "combine" || s.kind === "bind" || s.kind === "dot")
  ) {
    return null;
  }
  const size = newSym("n", { kind: "size", lower: 0, upper: 2 ** 30 });
  const own: Axis = { ...axis, extent: symbol(size) };
  const sizes: Sym[] = [size];
  const places: number[] = [];
  const after: TileStatement[] = [];
  for (const s of third.body) {
    if (s.kind === "combine" || s.kind === "bind") return null;
    if (s.kind !== "store") {
      after.push(s);
      continue;
    }
    const place = constantValue(s.index);
    if (place === null) return null;
    const at = newSym("n", { kind: "size", lower: 0, upper: 2 ** 30 });
    sizes.push(at);
    places.push(place);
    after.push({ ...s, index: symbol(at) });
  }
  const loop = kernel.body.find((s) => s.kind === "for");
  if (loop?.kind !== "for") return null;
  const pass = { axes: [own], body: second.pass.body };
  const body: TileStatement[] = [...first.body, { ...loop, axis: own, body: pass.body }, ...after];
  return {
    shape: { kernel: { ...kernel, axes: [own], sizes, body }, before: first.body, pass, after, accumulators },
    member: { kernel, length, places },
  };
}

/** Joins reductions; each list of texts is to be launched in order. What cannot be joined comes back. */
export function emitForeachSums(
  kernels: readonly TileKernel[],
  context: EmitContext,
): { readonly joined: CudaKernelText[]; readonly rest: TileKernel[] } {
  const byText = new Map<string, { shape: Shape; members: Member[] }>();
  const rest: TileKernel[] = [];
  const order = new SameOrder();
  for (const given of kernels) {
    const kernel = order.rewrite(given);
    const made = generic(kernel);
    if (made === null) {
      rest.push(given);
      continue;
    }
    const text = tileToText(made.shape.kernel);
    const found = byText.get(text);
    if (found === undefined) byText.set(text, { shape: made.shape, members: [made.member] });
    else found.members.push(made.member);
  }
  const joined: CudaKernelText[] = [];
  for (const { shape, members } of byText.values()) {
    const { reads, writes } = shape.kernel;
    const each = Math.floor(mostPointers(context) / (reads.length + writes.length));
    if (members.length === 1) rest.push(...members.map((m) => m.kernel));
    else {
      for (let at = 0; at < members.length; at += each) {
        joined.push(...emitJoined(shape, members.slice(at, at + each), context));
      }
    }
  }
  return { joined, rest };
}

function emitJoined(shape: Shape, members: readonly Member[], context: EmitContext): CudaKernelText[] {
  const axis = shape.pass.axes[0] as Axis;
  const lanes = lanesFor(shape.pass.body, axis, true);
  const starts: number[] = [];
  let blocks = 0;
  for (const { length } of members) {
    starts.push(blocks);
    blocks += Math.max(1, Math.ceil(length / (THREADS * lanes * RUNS)));
  }
  const list = [...shape.accumulators].flatMap(([v, op], at) => isArg(op) ? [] : [{ v, op, at }]);
  const place = (block: string, i: number): string =>
    `partial + ((long)(${block}) * ${list.length} + ${i}) * ${PARTIAL}`;
  const kernels = members.map((m) => m.kernel);
  const scratch: CudaArg = {
    kind: "scratch",
    bytes: constant(blocks * list.length * PARTIAL),
    zeroed: false,
    id: context.scratchId(),
  };
  const begin = (
    starting: readonly number[],
  ): { readonly f: CudaFunction; readonly end: (grid: number) => CudaKernelText } => {
    const f = new CudaFunction(shape.kernel, [shape.kernel.body], shape.kernel.axes, { shared: context.shared });
    const { args, parameters } = writeMember(f.scopes, shape.kernel, kernels, starting, [{
      arg: scratch,
      text: "char* const partial",
    }]);
    writeTable(f.scopes, f.index, sizeName(0), members.map((m) => m.length));
    shape.kernel.sizes.slice(1).forEach((_, i) =>
      writeTable(f.scopes, f.index, sizeName(i + 1), members.map((m) => m.places[i] ?? 0))
    );
    writeTable(f.scopes, "int", "first", starts);
    writeTable(f.scopes, "int", "parts", starts.map((start, i) => (starts[i + 1] ?? blocks) - start));
    for (const s of shape.before) f.statement(s);
    const end = (grid: number): CudaKernelText => ({
      parameters,
      body: f.scopes.text("  "),
      includes: new Set(["collectives"]),
      args,
      grid: line(constant(grid)),
      block: [THREADS, 1, 1],
      sharedBytes: 0,
    });
    return { f, end };
  };
  const { f, end } = begin(starts);
  const s = f.scopes;
  s.line(
    `${f.index} start = ((${f.index})blockIdx.x - first) * ${THREADS * lanes * RUNS} + (int)threadIdx.x * ${lanes};`,
  );
  s.open(`#pragma unroll 4\nfor (int run = 0; run < ${RUNS}; run++, start += ${THREADS * lanes}) {`);
  s.line(`const int count = (int)tsr_min((long)${sizeName(0)} - start, ${lanes}l);`);
  s.line("if (count <= 0) break;");
  f.chunk(shape.pass.body, { symbol: axis.symbol, lanes, base: "start", count: "count" });
  s.close();
  for (const { v, op, at } of list) {
    combineRow(f, v, op, THREADS);
    s.line(`if (threadIdx.x == 0) *(${scalarType(v.dtype)}*)(${place("blockIdx.x", at)}) = ${f.accumulator(v)};`);
  }
  const { f: g, end: endOfMembers } = begin(members.map((_, m) => m));
  for (const { v, op, at } of list) {
    const type = scalarType(v.dtype);
    g.scopes.line(`${g.accumulator(v)} = ${neutralText(op, v.dtype)};`);
    g.scopes.open(`for (int part = (int)threadIdx.x; part < parts; part += ${THREADS}) {`);
    const next = `*(const ${type}*)(${place("first + part", at)})`;
    g.scopes.line(`${g.accumulator(v)} = (${combineLambda(op, v.dtype)})(${g.accumulator(v)}, ${next});`);
    g.scopes.close();
    combineRow(g, v, op, THREADS);
  }
  guarded(g, shape.after, "threadIdx.x == 0");
  return [end(blocks), endOfMembers(members.length)];
}
