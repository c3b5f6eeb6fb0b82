/**
 * Reductions across rows: neighbouring threads have neighbouring results, each walks its column, several share one.
 */
import { ceilDiv, constant, constantValue, type Expr } from "../../../symbolic/mod.ts";
import { guess } from "../../tile/axes.ts";
import type { Axis, TileKernel, TileReduceOp, TileValue } from "../../tile/tile_ir.ts";
import { guarded } from "./emit_rows.ts";
import { combineLambda, CudaFunction, isArg, scalarType } from "./function.ts";
import { type CudaKernelText, type EmitContext, line, signature } from "./kernel_text.ts";
import { accumulatorsOf, extentsOf, type Part, type Pass } from "./nests.ts";
import { combinePartials, splitParameters, type Splitting } from "./split.ts";

interface Shape {
  /** Columns of a block, and threads that share each. */
  readonly x: number;
  readonly y: number;
  readonly pieces: number;
}

function chooseShape(parts: readonly Part[], columns: number, context: EmitContext): Shape {
  const passes = parts.flatMap((p) => p.kind === "pass" ? [p.pass] : []);
  const lengths = passes.map((p) => constantValue(extentsOf(p.axes)));
  const length = Math.max(...passes.map((p) => guess(extentsOf(p.axes))));
  // Enough columns to fill the device, or little to share: a column a thread.
  if (length <= 16 || columns >= context.multiprocessors * 2048) {
    return { x: columns < 128 * context.multiprocessors ? 64 : 256, y: 1, pieces: 1 };
  }
  const x = 32;
  let y = 8;
  while (y < 32 && length > y * 64 && columns / x < context.multiprocessors * 4) y *= 2;
  const blocks = Math.ceil(columns / x);
  let pieces = 1;
  if (passes.length === 1 && lengths[0] !== null && blocks < context.multiprocessors * 2) {
    y = 16;
    pieces = Math.max(1, Math.min(Math.ceil(context.multiprocessors * 4 / blocks), Math.floor(length / (y * 8)), 512));
  }
  return { x, y, pieces };
}

/** Emits a kernel whose neighbouring results belong to neighbouring threads; `column` becomes the innermost grid axis. */
export function emitColumns(
  kernel: TileKernel,
  parts: readonly Part[],
  column: Axis | null,
  context: EmitContext,
): CudaKernelText {
  const own = kernel.axes.filter((axis) => axis.role === "grid");
  const grid = column === null ? own : [...own.filter((axis) => axis !== column), column];
  const columns = extentsOf(grid);
  const { x, y, pieces } = chooseShape(parts, guess(columns), context);
  const f = new CudaFunction(kernel, [kernel.body], kernel.axes, { shared: context.shared });
  const s = f.scopes;
  const known = constantValue(columns);
  const exact = known !== null && known % x === 0;
  s.line(`const int tx = (int)threadIdx.x % ${x}, ty = (int)threadIdx.x / ${x};`);
  s.line(`const ${f.index} at = (${f.index})blockIdx.x * ${x} + tx;`);
  if (exact) s.line(`const ${f.index} column = at;`);
  else {
    s.line(`const ${f.index} column = tsr_min(at, ${f.extent(columns)} - 1);`);
    s.line(`const bool valid = at < ${f.extent(columns)};`);
  }
  f.decompose(grid, "column", (axis) => f.extent(axis.extent));
  const tiles: Expr = ceilDiv(columns, x);
  const splitting: Splitting | null = pieces > 1
    ? { pieces, outputs: columns, output: "column", id: context.scratchId(), tile: "blockIdx.x", tiles, block: x * y }
    : null;
  const leader = [...(y > 1 ? ["ty == 0"] : []), ...(exact ? [] : ["valid"])].join(" && ");
  const combine = (v: TileValue, op: TileReduceOp): void => combineColumn(f, v, op, x, y);
  let first: Pass | null = null;
  for (const part of parts) {
    if (part.kind === "statements") {
      guarded(f, part.body, leader);
      continue;
    }
    first ??= part.pass;
    writePass(f, part.pass, y, pieces, exact);
    for (const [v, op] of accumulatorsOf(part.pass)) combine(v, op);
    if (splitting !== null) {
      combinePartials(f, accumulatorsOf(part.pass), splitting, combine, leader === "" ? "true" : leader, "ty", y);
    }
  }
  const extra = splitting === null || first === null ? [] : splitParameters(accumulatorsOf(first), splitting);
  const { args, parameters } = signature(f, extra);
  return {
    parameters,
    body: s.text("  "),
    includes: new Set(["collectives"]),
    args,
    grid: splitting === null ? line(tiles) : [tiles, constant(pieces), constant(1)],
    block: [x * y, 1, 1],
    sharedBytes: 0,
  };
}

function writePass(f: CudaFunction, pass: Pass, y: number, pieces: number, exact: boolean): void {
  const s = f.scopes;
  const total = f.extent(extentsOf(pass.axes));
  const q = s.fresh("q");
  const end = s.fresh("e");
  let from = y === 1 ? "0" : "ty";
  if (pieces > 1) {
    const each = s.fresh("e");
    s.line(`const ${f.index} ${each} = (${total} + ${pieces - 1}) / ${pieces};`);
    from = `(${f.index})blockIdx.y * ${each} + ${from}`;
    s.line(`const ${f.index} ${end} = tsr_min((${f.index})(blockIdx.y + 1) * ${each}, (${f.index})${total});`);
  } else s.line(`const ${f.index} ${end} = ${exact ? total : `valid ? ${total} : 0`};`);
  // Threads beyond the last column repeat it and store nothing; what they would combine with memory must not happen.
  const loop = pieces > 1 && !exact ? `valid && ${q} < ${end}` : `${q} < ${end}`;
  s.open(`#pragma unroll 8\nfor (${f.index} ${q} = ${from}; ${loop}; ${q} += ${y}) {`);
  f.decompose(pass.axes, q, (axis) => f.extent(axis.extent));
  f.statements(pass.body);
  s.close();
}

function combineColumn(f: CudaFunction, v: TileValue, op: TileReduceOp, x: number, y: number): void {
  if (y === 1) return;
  const s = f.scopes;
  const name = f.accumulator(v);
  const type = scalarType(v.dtype);
  if (isArg(op)) {
    s.line(`{ __shared__ ${type} room[${x * y}]; __shared__ long places[${x * y}];`);
    s.line(`  tsr_column_best<${x}, ${y}>(${name}, ${name}p, room, places, ${op === "argmax" ? 1 : -1}); }`);
  } else {
    s.line(`{ __shared__ ${type} room[${x * y}];`);
    s.line(`  ${name} = tsr_column_reduce<${x}, ${y}>(${name}, room, ${combineLambda(op, v.dtype)}); }`);
  }
}
