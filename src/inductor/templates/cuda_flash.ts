/**
 * Attention on Hopper: from an {@linkcode AttentionKernel} to a call of the templates in `cuda_flash.cuh` and `cuda_flash_backward.cuh`.
 *
 * Enters: a kernel whose query, key, value (and gradient of the result) are matrices that the copy engine can read. Leaves: one launch, a block for each tile of
 * queries or keys of each batch position, the longest first; null where another template has to serve. Heads narrower than 64 or 128 are
 * padded with zeros by the copy engine. Mirrors FlashAttention-3 (Shah et al., 2024), with gradients in two kernels instead of atomics.
 */
import { bfloat16, bool, InternalError } from "../../core/mod.ts";
import {
  ceilDiv,
  coefficient,
  constant,
  constantValue,
  type Expr,
  mul,
  substitute,
  type Sym,
} from "../../symbolic/mod.ts";
import { type MappedMatrix, mappedMatrix } from "../attention_maps.ts";
import { memoryType } from "../codegen/cpp/types.ts";
import { CudaFunction } from "../codegen/cuda/function.ts";
import { type CudaKernelText, type EmitContext, line, signature } from "../codegen/cuda/kernel_text.ts";
import type { CudaArg } from "../codegen/cuda/launch.ts";
import type {
  AttentionKernel,
  AttentionOperand,
  AttentionTileLists,
  Axis,
  ScoreProgram,
  ScorePrograms,
} from "../tile/tile_ir.ts";

/** What decides a launch: the other side's rows in a step, steps under way, consumers, whether these take turns. */
export interface Shape {
  readonly step: number;
  readonly stages: number;
  readonly consumers: number;
  readonly turns: boolean;
}

/** The shapes that were fastest on an H100, by kernel and padded width. Scores that are changed need more registers. */
function shapeOf(role: AttentionKernel["role"], width: number, isPlain: boolean): Shape {
  const wide = width > 64;
  switch (role) {
    case "forward":
      return wide
        ? { step: isPlain ? 128 : 96, stages: 2, consumers: 2, turns: true }
        : { step: 128, stages: 2, consumers: isPlain ? 3 : 2, turns: !isPlain };
    case "query":
      return { step: wide ? (isPlain ? 112 : 64) : (isPlain ? 128 : 96), stages: 2, consumers: 2, turns: false };
    case "keys":
      return { step: wide ? (isPlain ? 64 : 32) : (isPlain ? 96 : 64), stages: 2, consumers: 2, turns: false };
    default:
      return role satisfies never;
  }
}

/** Steps up to which kernels of three consumers, who have few registers, are told that a loop is one. */
const FEW_STEPS = 8;
/** What a third consumer of 64 columns is worth, measured on an H100. */
const THIRD = 1.15;

/** A forward kernel's shape for few rows and keys: consumers that have rows, and steps of which the last one is not mostly empty. */
function fitted(shape: Shape, rows: number | null, keys: number | null): Shape {
  let { consumers, step } = shape;
  const cost = (count: number): number => rows === null ? 0 : Math.ceil(rows / (64 * count)) * count;
  if (consumers === 3 && cost(2) * THIRD < cost(3)) consumers = 2;
  if (keys !== null) step = Math.min(step, 16 * Math.ceil(keys / Math.ceil(keys / step) / 16));
  return { ...shape, consumers, step };
}

/** The shape of a forward kernel of plain scores. */
export function forwardShape(width: number): Shape {
  return shapeOf("forward", width, true);
}

/** Shared memory of such a kernel for padded heads. */
export function flashSharedBytes(width: number): number {
  return sharedBytes("forward", width, width, forwardShape(width));
}

/** The instructions for 64 × n sums, with the first operand in shared memory or in registers. */
export function wgmmaTexts(n: number, type: "bf16" | "f16"): string {
  const count = n / 2;
  const list = Array.from({ length: count }, (_, i) => `%${i}`).join(", ");
  const sums = Array.from({ length: count }, (_, i) => `"+f"(d[${i}])`).join(", ");
  const name = `wgmma.mma_async.sync.aligned.m64n${n}k16.f32.${type}.${type}`;
  const at = (i: number): string => `%${count + i}`;
  const predicate = (i: number): string => `asm volatile("{\\n.reg .pred p;\\nsetp.ne.b32 p, ${at(i)}, 0;\\n"`;
  return `template <int TA, int TB>
TSR void tsr_wgmma_ss(float (&d)[${count}], unsigned long a, unsigned long b, int keep, ${type}*) {
  ${predicate(2)}
    "${name} {${list}}, ${at(0)}, ${at(1)}, p, 1, 1, ${at(3)}, ${at(4)};\\n}"
    : ${sums} : "l"(a), "l"(b), "r"(keep), "n"(TA), "n"(TB));
}
template <int TB>
TSR void tsr_wgmma_rs(float (&d)[${count}], const unsigned (&a)[4], unsigned long b, int keep, ${type}*) {
  ${predicate(5)}
    "${name} {${list}}, {${at(0)}, ${at(1)}, ${at(2)}, ${at(3)}}, ${at(4)}, p, 1, 1, ${at(6)};\\n}"
    : ${sums} : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(keep), "n"(TB));
}`;
}

const MAPS = ["query", "key", "value", "grad"] as const;
type Mapped = (typeof MAPS)[number];

/** The matrices of a kernel; null if one of them is none. */
function matricesOf(kernel: AttentionKernel): Map<Mapped, MappedMatrix> | null {
  const { batch, m, n, d, e } = kernel;
  const extents = new Map<Sym, Expr>([...batch, m, n].map((axis) => [axis.symbol, axis.extent]));
  const axes: Readonly<Record<Mapped, readonly [Axis, Axis]>> = {
    query: [m, d],
    key: [n, d],
    value: [n, e],
    grad: [m, e],
  };
  const out = new Map<Mapped, MappedMatrix>();
  for (const name of MAPS) {
    const operand = kernel[name];
    if (operand === null) continue;
    const [row, column] = axes[name];
    const found = mappedMatrix(operand.index, row.symbol, column.symbol, extents);
    if (found === null) return null;
    out.set(name, found);
  }
  return out;
}

function padded(axis: Axis): number {
  return (constantValue(axis.extent) ?? 128) <= 64 ? 64 : 128;
}

/** Emits a kernel of attention for Hopper; null where it does not apply. */
export function emitFlashAttention(kernel: AttentionKernel, context: EmitContext): CudaKernelText | null {
  const { role, m, n, d, e, mask, out, second, causal, scale } = kernel;
  const widths = [d, e].map((axis) => constantValue(axis.extent));
  if (context.arch !== 90 || widths.some((w) => w === null || w % 8 !== 0 || w > 128)) return null;
  const matrices = matricesOf(kernel);
  if (matrices === null) return null;
  const { scores, tiles: lists } = kernel;
  const isPlain = mask === null && scores === null && scale > 0;
  const usual = shapeOf(role, Math.max(padded(d), padded(e)), isPlain);
  const wanted = role === "forward" && lists === null
    ? fitted(usual, constantValue(m.extent), constantValue(n.extent))
    : usual;
  // Lists are of tiles of 128.
  const shape = lists !== null && 128 % wanted.step !== 0 ? { ...wanted, step: 64 } : wanted;
  const { step, stages, consumers } = shape;
  const rows = role === "forward" ? consumers * 64 : 128;
  const f = new CudaFunction(kernel, [], [], { shared: context.shared });
  const s = f.scopes;
  const along = role === "keys" ? n : m;
  const tiles = ceilDiv(along.extent, rows);
  s.line("TSR_DYNAMIC(room);");
  s.line(`const int tiles = (int)(${f.extent(tiles)}), batch = (int)blockIdx.x / tiles;`);
  const tile = "(int)blockIdx.x - batch * tiles";
  // Causal: late queries see most keys, early keys are seen by most queries.
  s.line(`const int first = (${causal && role !== "keys" ? `tiles - 1 - (${tile})` : tile}) * ${rows};`);
  f.decompose(kernel.batch, "batch", (axis) => f.extent(axis.extent));
  const extra: { arg: CudaArg; text: string }[] = [];
  const half = kernel.query.buffer.dtype === bfloat16 ? "bf16" : "f16";
  const boxRows: Readonly<Record<Mapped, number>> = role === "keys"
    ? { query: step, grad: step, key: rows, value: rows }
    : { query: rows, grad: rows, key: step, value: step };
  const load = (name: Mapped, row: Axis, column: Axis): string => {
    const matrix = matrices.get(name), operand = kernel[name];
    if (matrix === undefined || operand === null) throw new InternalError(`a kernel of attention has no ${name}`);
    const { batch } = matrix;
    extra.push({
      arg: {
        kind: "tensorMap",
        buffer: operand.buffer,
        map: {
          type: half === "bf16" ? "bfloat16" : "float16",
          offset: matrix.offset,
          sizes: [column.extent, row.extent, ...batch.map((b) => b.size)],
          strideBytes: [matrix.stride, ...batch.map((b) => b.stride)].map((e) => mul(e, 2)),
          box: [64, boxRows[name], ...batch.map(() => 1)],
          swizzle: 128,
          l2Promotion: 256,
        },
      },
      text: `const __grid_constant__ tsr_map ${name}Map`,
    });
    const places = batch.map((b) => `, (int)(${f.extent(b.at)})`).join("");
    return `[&](unsigned to, unsigned full, int column, int row) { tsr_box(to, &${name}Map, full, column, row${places}); }`;
  };
  const loads = [load("query", m, d), load("key", n, d), load("value", n, e)];
  if (role !== "forward") loads.push(load("grad", m, e));
  const base = (operand: AttentionOperand, axes: readonly Axis[]): string => {
    const zero = new Map(axes.map((axis) => [axis.symbol, constant(0)]));
    return `${f.pointer(operand.buffer)} + ${f.extent(substitute(operand.index, zero))}`;
  };
  const stride = (operand: AttentionOperand, axis: Axis): string =>
    f.extent(coefficient(operand.index, axis.symbol) ?? constant(0));
  const row = (operand: AttentionOperand | null): string => {
    if (operand === null) throw new InternalError("a gradient of attention lacks what it needs of each row");
    return `${base(operand, [m])}, (int)(${stride(operand, m)})`;
  };
  const result = (operand: AttentionOperand, along: Axis, column: Axis): string =>
    `${base(operand, [along, column])}, (long)(${stride(operand, along)}), ${constantValue(column.extent)}`;
  let score = "tsr_plain_score()";
  let support = "";
  if (scores !== null) {
    score = "score";
    writeScores(f, kernel, scores);
  } else if (!isPlain) {
    score = "score";
    const type = mask === null ? "char" : memoryType(mask.buffer.dtype);
    const at = mask === null
      ? ""
      : `const ${type}* const at = mask + r * (long)(${stride(mask, m)}) + c * (long)(${stride(mask, n)});`;
    const change = mask === null
      ? ""
      : mask.buffer.dtype === bool
      ? "if (!tsr_get(at)) x = -__builtin_inff();"
      : "x += (float)tsr_get(at);";
    if (mask !== null) s.line(`const ${type}* const mask = ${base(mask, [m, n])};`);
    s.line(`const auto change = [=](int r, int c, float& x) { ${at} ${change} };`);
    s.line(`const tsr_changed_score<decltype(change)> score = {change};`);
  }
  const [dp, ep] = [padded(d), padded(e)];
  for (const w of new Set(role === "forward" ? [step, ep] : role === "query" ? [step, dp] : [step, dp, ep])) {
    support += `${wgmmaTexts(w, half)}\n`;
  }
  const unit = `${Math.fround(scale).toExponential(9)}f`;
  const lengths = `(int)(${f.extent(m.extent)}), (int)(${f.extent(n.extent)}), ${unit}`;
  const flags = `${causal}, ${isPlain}`;
  const common = `${half}, ${dp}, ${ep}, ${step}, ${stages}`;
  const all = scores !== null && scores.keep !== null;
  const listed = lists === null ? null : listedTiles(f, lists, step, rows);
  // Loops of few steps would be unrolled.
  const known = constantValue(n.extent);
  const loops = role === "forward" && consumers === 3 && known !== null && known <= FEW_STEPS * step;
  const keys = listed ??
    `const tsr_dense_keys<${step}, ${causal}, ${all}, ${loops}> steps(first, ${rows}, (int)(${f.extent(n.extent)}));`;
  // Texts first: what they name is written where they are made.
  if (role === "forward") {
    const places = `${result(out, m, e)}, ${second === null ? "(float*)nullptr, 0" : row(second)}`;
    s.line(keys);
    s.line(`tsr_flash_forward<${common}, ${consumers}, ${flags}, ${shape.turns}>(room, first, ${lengths}, steps,`);
    s.line(`  ${loads.join(",\n    ")}, ${score}, ${places});`);
  } else {
    const sums = `${row(kernel.lse)}, ${row(kernel.delta)}`;
    const seen = listed ??
      `const tsr_dense_queries<${step}, ${causal}, ${all}> steps(first, (int)(${f.extent(m.extent)}));`;
    const results = role === "query" ? result(out, m, d) : `${result(out, n, d)}, ${result(secondOf(kernel), n, e)}`;
    s.line(role === "query" ? keys : seen);
    s.line(`tsr_flash_${role === "query" ? "query" : "key"}<${common}, ${flags}>(room, first, ${lengths}, steps,`);
    s.line(`  ${loads.join(",\n    ")}, ${score}, ${sums}, ${results});`);
  }
  const { args, parameters } = signature(f, extra);
  const batches = kernel.batch.reduce<Expr>((product, axis) => mul(product, axis.extent), constant(1));
  return {
    parameters,
    body: s.text("  "),
    support: `#ifndef TSR_EMULATED\n${support}#endif`,
    includes: new Set(
      role === "forward" ? ["hopper", "halves", "flash"] : ["hopper", "halves", "flash", "flash_backward"],
    ),
    args,
    grid: line(mul(batches, tiles)),
    block: [(role === "forward" ? consumers + 1 : 3) * 128, 1, 1],
    sharedBytes: sharedBytes(role, dp, ep, shape),
    blocksEach: 1,
  };
}

/** The functions of scores that a program says, as lambdas over rows and columns. */
function writeScores(f: CudaFunction, { m, n }: AttentionKernel, scores: ScorePrograms): void {
  const s = f.scopes;
  const lambda = (
    name: string,
    parameters: string,
    program: ScoreProgram | null,
    last: (value: string) => string,
  ): void => {
    s.open(`const auto ${name} = [=](${parameters}) {`);
    s.define(m.symbol, "r");
    s.define(n.symbol, "c");
    f.assign(scores.score, "x");
    f.assign(scores.grad, "g");
    if (program === null) s.line(last(""));
    else {
      f.statements(program.body);
      s.line(last(f.text(program.value)));
    }
    s.undefine(m.symbol);
    s.undefine(n.symbol);
    s.close();
    s.line(";");
  };
  lambda("change", "int r, int c, float& x", scores.change, (v) => `x = ${v};`);
  lambda("keep", "int r, int c", scores.keep, (v) => v === "" ? "return true;" : `return ${v} != 0;`);
  lambda("back", "int r, int c, float x, float& g", scores.back, (v) => v === "" ? "" : `g = ${v};`);
  s.line("const tsr_scored<decltype(change), decltype(keep), decltype(back)> score = {change, keep, back};");
}

/** The tiles that lists name, for the block's own tile. */
function listedTiles(f: CudaFunction, lists: AttentionTileLists, step: number, rows: number): string {
  if (rows !== 128) throw new InternalError("lists of tiles are of 128 rows");
  f.scopes.line("const int listedTile = first / 128;");
  f.scopes.define(lists.tile.symbol, "listedTile");
  const at = ({ buffer, index }: AttentionOperand): string =>
    `${f.pointer(buffer)}[${f.extent(substitute(index, new Map([[lists.position.symbol, constant(0)]])))}]`;
  const [partials, partial, fulls, full] = [lists.partialCount, lists.partial, lists.fullCount, lists.full].map(at);
  return `const tsr_listed<${step}> steps(${partials}, &${partial}, ${fulls}, &${full});`;
}

function secondOf(kernel: AttentionKernel): AttentionOperand {
  if (kernel.second === null) throw new InternalError("the value's gradient has no place");
  return kernel.second;
}

/** The room structures of the templates, and what aligning their start may take. */
function sharedBytes(role: AttentionKernel["role"], d: number, e: number, { step, stages, consumers }: Shape): number {
  const ring = stages * step * 2 * (d + e);
  switch (role) {
    case "forward":
      return consumers * 64 * Math.max(d, e) * 2 + ring + 8 + stages * 32 + 1024;
    case "query":
      return 256 * (d + e) + ring + 8 + stages * 16 + 1024;
    case "keys":
      return 256 * (d + e) + ring + stages * step * 8 + 8 + stages * 16 + 1024;
    default:
      return role satisfies never;
  }
}
