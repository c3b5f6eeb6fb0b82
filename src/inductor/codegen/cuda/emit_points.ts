/**
 * Kernels without reduced axes: a thread has a run of neighbouring elements along the innermost axis.
 *
 * Scatters combine with memory by atomics; with `deterministic` the axes along which places may meet are walked by one thread, in order. Where several
 * writes may meet, the last in order wins: a first launch notes the last position for each place, a second writes where it is its own.
 */
import { ceilDiv, constant, constantValue, type Expr, mul } from "../../../symbolic/mod.ts";
import type { BufferRef } from "../../../loops/mod.ts";
import { guess } from "../../tile/axes.ts";
import { walkStatements } from "../../tile/parameters.ts";
import type { Axis, TileKernel } from "../../tile/tile_ir.ts";
import { CudaFunction } from "./function.ts";
import { type CudaKernelText, type EmitContext, line, signature } from "./kernel_text.ts";
import type { CudaArg } from "./launch.ts";
import { lanesFor } from "./nests.ts";

const THREADS = 256;

/** Emits a kernel whose instances are independent; loops in it run in one thread. */
export function emitPoints(kernel: TileKernel, context: EmitContext): CudaKernelText[] {
  const grid = kernel.axes.filter((axis) => axis.role === "grid");
  const meets = kernel.parallelAxes < grid.length;
  const sets = new Set<BufferRef>();
  walkStatements(kernel.body, (s) => {
    if (s.kind === "combine" && s.op === "set") sets.add(s.buffer);
  });
  const hasLoops = kernel.body.some((b) => b.kind === "for");
  const ordered = meets && context.deterministic === true;
  if (!meets || sets.size === 0 || ordered) return [emitOnce(kernel, context, ordered, null)];
  const count = grid.reduce<Expr>((product, axis) => mul(product, axis.extent), constant(1));
  const [target] = sets;
  if (sets.size > 1 || hasLoops || target === undefined || !(count.upper < 2 ** 31)) {
    return [emitOnce(kernel, context, true, null)];
  }
  const id = context.scratchId() + 1;
  const arg: CudaArg = { kind: "scratch", bytes: mul(target.numel, 4), zeroed: true, id };
  return (["mark", "write"] as const).map((phase) => emitOnce(kernel, context, false, { phase, arg }));
}

interface LastWrite {
  readonly phase: "mark" | "write";
  readonly arg: CudaArg;
}

function emitOnce(
  kernel: TileKernel,
  context: EmitContext,
  ordered: boolean,
  last: LastWrite | null,
): CudaKernelText {
  const grid = kernel.axes.filter((axis) => axis.role === "grid");
  const scatters = kernel.parallelAxes < grid.length;
  const parallel = ordered ? grid.slice(0, kernel.parallelAxes) : grid;
  const serial = ordered ? grid.slice(kernel.parallelAxes) : [];
  const f = new CudaFunction(kernel, [kernel.body], kernel.axes, {
    shared: context.shared,
    ordered,
    ...(last === null ? {} : { lastWrite: last.phase }),
  });
  const s = f.scopes;
  const inner = parallel[parallel.length - 1];
  const hasLoops = kernel.body.some((b) => b.kind === "for") || serial.length > 0;
  let lanes = inner === undefined || hasLoops || last !== null
    ? 1
    : lanesFor(kernel.body, inner, parallel.length === 1);
  const outer = parallel.slice(0, -1);
  const rows = outer.reduce<Expr>((product, axis) => mul(product, axis.extent), constant(1));
  // Few elements: more threads rather than wide ones.
  while (
    lanes > 1 && inner !== undefined && guess(rows) * guess(inner.extent) / lanes < context.multiprocessors * 512
  ) {
    lanes /= 2;
  }
  const count = inner === undefined ? rows : mul(rows, ceilDiv(inner.extent, lanes));
  const total = constantValue(count);
  const threads = total !== null && total < 2 * THREADS * context.multiprocessors ? 128 : THREADS;
  s.line(`const ${f.index} t = (${f.index})blockIdx.x * ${threads} + (${f.index})threadIdx.x;`);
  if (total === null || total % threads !== 0) s.line(`if (t >= ${f.extent(count)}) return;`);
  const inside = (i: number): void => {
    const axis = serial[i];
    if (axis === undefined) {
      f.statements(kernel.body);
      return;
    }
    const x = s.fresh("x");
    s.open(`for (${f.index} ${x} = 0; ${x} < ${f.extent(axis.extent)}; ${x}++) {`);
    s.define(axis.symbol, x);
    inside(i + 1);
    s.close();
  };
  if (inner === undefined || lanes === 1) {
    f.decompose(parallel, "t", (axis) => f.extent(axis.extent));
    inside(0);
  } else {
    const base = s.fresh("b");
    const across = f.extent(ceilDiv(inner.extent, lanes));
    if (outer.length === 0) s.line(`const ${f.index} ${base} = t * ${lanes};`);
    else {
      s.line(`const ${f.index} row = t / ${across};`);
      s.line(`const ${f.index} ${base} = (t - row * ${across}) * ${lanes};`);
      f.decompose(outer, "row", (axis) => f.extent(axis.extent));
    }
    f.chunk(kernel.body, { symbol: inner.symbol, lanes, base, ...restOf(f, inner, lanes, base) });
  }
  const { args, parameters } = signature(f, last === null ? [] : [{ arg: last.arg, text: "int* last" }]);
  const body = s.text("  ");
  const needed = scatters || kernel.body.some((b) => b.kind === "for") || body.includes("tsr_atomic");
  return {
    parameters,
    body,
    includes: new Set(needed ? ["collectives"] : []),
    args,
    grid: line(ceilDiv(count, threads)),
    block: [threads, 1, 1],
    sharedBytes: 0,
  };
}

/** How many positions of a run exist, where an extent is not a multiple of it. */
export function restOf(f: CudaFunction, axis: Axis, lanes: number, base: string): { readonly count?: string } {
  const extent = constantValue(axis.extent);
  if (extent !== null && extent % lanes === 0) return {};
  const name = f.scopes.fresh("n");
  f.scopes.line(`const int ${name} = (int)tsr_min((long)${f.extent(axis.extent)} - ${base}, ${lanes}l);`);
  return { count: name };
}
