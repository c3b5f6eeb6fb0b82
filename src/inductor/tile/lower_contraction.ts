/**
 * Contraction groups to kernels: large ones to the blocked template, small and thin ones to plain loops around a `dot`.
 */
import { int32 } from "../../core/mod.ts";
import { type LoopVar, ops, substituteValue, type Value } from "../../loops/mod.ts";
import { constant, dependsOn, type Expr, mul } from "../../symbolic/mod.ts";
import type { ContractionGroup } from "../groups.ts";
import { type Access, exprsOf, extent, guess, guessProduct, mergeAxes, rewriteIndex, vectorScore } from "./axes.ts";
import { Builder } from "./builder.ts";
import { forwardStages } from "./lower_loops.ts";
import { commentOf, nameOf, parametersOf } from "./parameters.ts";
import type { TileTarget } from "./target.ts";
import type { Axis, ContractionKernel, EpilogueProgram, Kernel, OperandProgram } from "./tile_ir.ts";

/** Lowers a contraction. */
export function lowerContraction(group: ContractionGroup, target: TileTarget): Kernel {
  return usesTemplate(group, target) && !isStream(group, target) ? templateKernel(group) : loopKernel(group, target);
}

/** Packing pays where every element of the operands is used several times. */
function usesTemplate(group: ContractionGroup, target: TileTarget): boolean {
  const m = guessProduct(group.m);
  const n = guessProduct(group.n);
  const k = guessProduct(group.k);
  const multiplies = group.accumulate.isFloat || (target.integerProducts === true && group.accumulate === int32);
  return multiplies && m >= 4 && n >= 4 && k >= 4 && m * n * k >= target.templateFlops;
}

/** More rows than this use a weight often enough that packing it pays. */
const STREAM_ROWS = 8;
/** Operands of fewer elements stay in a cache near by. */
const STREAM_ELEMENTS = 1 << 18;

/**
 * Tells whether the time goes into reading one large operand: few rows against a weight that lies along the sum, as in decoding one token.
 * Measured for 4096 × 4096: 8 rows take half of the time that packing takes, 12 rows the same.
 */
function isStream(group: ContractionGroup, target: TileTarget): boolean {
  const [few = 0, many = 0] = [guessProduct(group.m), guessProduct(group.n)].sort((x, y) => x - y);
  if (few > STREAM_ROWS || many * guessProduct(group.k) < STREAM_ELEMENTS) return false;
  const outer = [...group.batch, ...group.m, ...group.n];
  const vector = chooseVector(group, outer, exprsOf([group.a, group.b]).loads, target.vectorLanes);
  return vector !== null && group.k.includes(vector.axis) && guess(extent(vector.axis)) >= 16 * target.vectorLanes;
}

function axis(v: LoopVar, role: Axis["role"], block = 1): Axis {
  return { symbol: v, extent: extent(v), block, role };
}

function templateKernel(group: ContractionGroup): ContractionKernel {
  const batch = group.batch.map((v) => axis(v, "grid"));
  const a = operand(group, group.m, group.a, batch);
  const b = operand(group, group.n, group.b, batch);
  const epilogue = epilogueProgram(group, batch);
  const axes = [...batch, ...a.rows, ...a.k, ...b.rows, ...b.k, ...epilogue.m, ...epilogue.n];
  return {
    kind: "contraction",
    name: nameOf(group, "contract"),
    ...parametersOf([a.body, b.body, epilogue.body], axes),
    batch,
    m: extentProduct(group.m),
    n: extentProduct(group.n),
    k: group.k.map(extent),
    a,
    b,
    accumulate: group.accumulate,
    epilogue,
    comment: commentOf(group),
  };
}

function extentProduct(vars: readonly LoopVar[]): Expr {
  return vars.reduce<Expr>((product, v) => mul(product, extent(v)), constant(1));
}

function operand(
  group: ContractionGroup,
  rows: readonly LoopVar[],
  value: Value,
  batch: readonly Axis[],
): OperandProgram {
  const { lists, symbols } = mergeAxes([rows, group.k], exprsOf([value]).exprs);
  const [ownRows = [], ownK = []] = lists;
  const own = symbols.size === 0 ? value : substituteValue(value, symbols);
  const rowAxes = ownRows.map((v) => axis(v, "grid"));
  const kAxes = ownK.map((v) => axis(v, "loop"));
  const builder = new Builder([...batch, ...rowAxes, ...kAxes]);
  const out = builder.cast(builder.value(own), group.accumulate);
  return { rows: rowAxes, k: kAxes, body: builder.finish(), value: out };
}

function epilogueProgram(group: ContractionGroup, batch: readonly Axis[]): EpilogueProgram {
  const { exprs } = exprsOf(group.epilogue.map((s) => s.value));
  for (const index of [group.resultIndex, ...group.epilogue.map((s) => s.index)]) {
    for (const e of exprsOf([ops.index(index)]).exprs) exprs.add(e);
  }
  const { lists, symbols } = mergeAxes([group.m, group.n], exprs);
  const [m = [], n = []] = lists;
  const merged = symbols.size === 0 ? group : {
    ...group,
    resultIndex: rewriteIndex(group.resultIndex, symbols),
    epilogue: group.epilogue.map((s) => ({
      ...s,
      index: rewriteIndex(s.index, symbols),
      value: substituteValue(s.value, symbols),
    })),
  };
  const mAxes = m.map((v) => axis(v, "grid"));
  const nAxes = n.map((v) => axis(v, "grid"));
  const builder = new Builder([...batch, ...mAxes, ...nAxes]);
  const accumulator = builder.external(group.accumulate, []);
  emitEpilogue(builder, merged, accumulator);
  return { m: mAxes, n: nAxes, accumulator, body: builder.finish() };
}

function emitEpilogue(builder: Builder, group: ContractionGroup, accumulator: Parameters<Builder["cast"]>[0]): void {
  const result = builder.cast(accumulator, group.result.dtype);
  builder.forward(group.result, group.resultIndex, result);
  const stages = forwardStages(group.epilogue);
  const values = stages.map((s) => builder.value(s.value));
  if (group.stored.has(group.result)) builder.store(group.result, group.resultIndex, result);
  stages.forEach((stage, i) => {
    const value = values[i];
    if (value !== undefined && group.stored.has(stage.out)) builder.store(stage.out, stage.index, value);
  });
}

/** Loops around a multiplication: thin products, few elements, depthwise convolutions. */
function loopKernel(group: ContractionGroup, target: TileTarget): Kernel {
  // The shorter side runs inside, so that each row of the longer operand (a layer's weights, as a rule) comes from memory once.
  const isWide = guessProduct(group.m) < guessProduct(group.n);
  const outer = [...group.batch, ...(isWide ? [...group.n, ...group.m] : [...group.m, ...group.n])];
  const inner = exprsOf([group.a, group.b]).loads;
  const vector = chooseVector(group, [...group.batch, ...group.m, ...group.n], inner, target.vectorLanes);
  const isVector = (v: LoopVar): boolean => v === vector?.axis;
  const ordered = [...outer.filter((v) => !isVector(v)), ...outer.filter(isVector)];
  const orderedK = [...group.k.filter((v) => !isVector(v)), ...group.k.filter(isVector)];
  const grid = ordered.map((v) => axis(v, "grid", isVector(v) ? vector?.block : 1));
  const loops = orderedK.map((v) => axis(v, "loop", isVector(v) ? vector?.block : 1));
  const axes = [...grid, ...loops];
  const builder = new Builder(axes);
  const varying = new Set(builder.axesOf([...exprsOf([group.a, group.b]).exprs]));
  for (const loop of loops) if (loop.block > 1) varying.add(loop);
  const accumulator = builder.accumulator("sum", group.accumulate, axes.filter((a) => varying.has(a)));
  const instances = grid.reduce((count, a) => count * Math.ceil(guess(a.extent) / a.block), 1);
  const split = target.workers > 1 && instances < target.workers && guessProduct(group.k) >= 32768;
  loops.forEach((loop, i) => builder.open(loop, split && i === 0));
  const a = builder.value(group.a);
  const b = builder.value(group.b);
  builder.dot(accumulator, a, b, loops[loops.length - 1] ?? null);
  for (const _ of loops) builder.close();
  emitEpilogue(builder, group, builder.read(accumulator, "sum", group.accumulate));
  const body = builder.finish();
  return {
    kind: "tile",
    name: nameOf(group, "contract"),
    ...parametersOf([body], axes),
    axes,
    body,
    parallelAxes: grid.length,
    comment: commentOf(group),
  };
}

function chooseVector(
  group: ContractionGroup,
  outer: readonly LoopVar[],
  inner: readonly Access[],
  lanes: number,
): { readonly axis: LoopVar; readonly block: number } | null {
  if (lanes === 1) return null;
  const stores = group.epilogue.filter((s) => group.stored.has(s.out)).map((s): Access => ({
    buffer: s.out,
    index: s.index,
    write: true,
  }));
  if (group.stored.has(group.result)) stores.push({ buffer: group.result, index: group.resultIndex, write: true });
  const steps = guessProduct(group.k);
  let best: LoopVar | null = null;
  let bestScore = 1.2 / lanes;
  const consider = (v: LoopVar, accesses: readonly Access[], factor: number): void => {
    const size = guess(extent(v));
    const score = vectorScore(accesses, v) * factor * size / (Math.ceil(size / lanes) * lanes);
    if (score > bestScore) {
      best = v;
      bestScore = score;
    }
  };
  // Lanes along k end in a sum across them for each result, which costs as much as a few steps do.
  for (const v of [...group.k].reverse()) {
    const blocks = Math.ceil(guess(extent(v)) / lanes);
    consider(v, inner, blocks / (blocks + 2));
  }
  const rare = steps >= 8 ? [] : stores;
  for (const v of [...outer].reverse()) {
    const uses = inner.some(({ index }: { index: Expr }) => dependsOn(index, v));
    consider(v, [...inner, ...rare], uses ? 1 : 0.5);
  }
  if (best === null) return null;
  const size = guess(extent(best));
  const block = size >= 4 * lanes ? 4 * lanes : size >= 2 * lanes ? 2 * lanes : lanes;
  return { axis: best, block };
}
