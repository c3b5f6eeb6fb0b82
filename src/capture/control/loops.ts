/**
 * `whileLoop`, `forLoop`, `scan`, `map`: functions that run many times.
 *
 * Eagerly they are plain JavaScript. In a trace the function of a round becomes a sub-graph, and one call runs all rounds; a graph serves every number of rounds. What cannot
 * be a sub-graph (writes to tensors from outside, carries whose shape changes) is unrolled where the number of rounds is known, and ends the trace where it is not.
 * Mirrors `torch.while_loop`, `torch.scan` and `map` of PyTorch.
 */
import { int64 } from "../../core/mod.ts";
import { isSymInt, sizeSame, type SymInt } from "../../symbolic/mod.ts";
import { F, noGrad, storageClock, suspendMode, Tensor } from "../../tensor/mod.ts";
import { hiddenSizes, makeBody, type Recording } from "./body.ts";
import { checkScalar, cond } from "./branches.ts";
import {
  breakHere,
  handOver,
  isDifferentiated,
  operandsOfAll,
  type Place,
  type Recorded,
  recordFunction,
  recordRound,
} from "./capture.ts";
import { callControl, controlOperator, resultsOf, stackedMeta } from "./operator.ts";
import { CannotCapture, type SubTracer, tracing } from "./sub_tracer.ts";
import {
  checkTree,
  commonLength,
  describe,
  isTree,
  leavesOf,
  mapTrees,
  ownResults,
  rebuild,
  type Tree,
} from "./trees.ts";

/** @throws {CannotCapture} if what a round gives cannot be what the next one takes. */
function checkCarry(
  sub: SubTracer,
  given: readonly Tensor[],
  before: Tree,
  after: Tree,
  results: readonly Tensor[],
): void {
  if (mapTrees([before, after], ([t]) => t ?? null) === null) {
    sub.stop("gives a carry of another structure than it takes", "keep one structure");
  }
  given.forEach((t, i) => {
    const r = results[i] as Tensor;
    const same = r.dtype === t.dtype && r.device === t.device && r.ndim === t.ndim &&
      r.shape.every((s, d) => sizeSame(s, t.shape[d] ?? -1));
    if (!same) {
      sub.stop(
        `takes ${describe(t)} on ${t.device} as carry ${i} and gives ${describe(r)} on ${r.device}`,
        "keep shape, dtype and device from round to round",
      );
    }
  });
}

function refuseWrites(recordings: readonly Recording[]): void {
  for (const { sub } of recordings) {
    if (sub.written.size > 0) sub.stop("writes to a tensor from outside in each round", "make it a carry");
  }
}

type OfTrees = (...args: Tree[]) => unknown;

/** A loop that also ends after a number of rounds: a counter is one more operand. */
function counted(
  place: Place,
  condition: OfTrees,
  body: OfTrees,
  operands: readonly Tree[],
  maxRounds: number,
): Tree | null {
  const { device } = leavesOf(operands)[0] as Tensor;
  const start = noGrad(() => F.zeros([], { dtype: int64, device }));
  const result = whileGraph(
    place,
    (i, ...at) => {
      const go = condition(...at);
      return go instanceof Tensor ? go.reshape([]).logicalAnd((i as Tensor).lt(maxRounds)) : go;
    },
    (i, ...at) => {
      const next = body(...at);
      return Array.isArray(next) ? [(i as Tensor).add(1), ...next] : next;
    },
    [start, ...operands],
    null,
  );
  return result === null ? null : (result as readonly Tree[]).slice(1);
}

/** A loop that is differentiated: as many rounds as there may be, of which those after the last do nothing. */
function boundedScan(
  place: Place,
  condition: OfTrees,
  body: OfTrees,
  operands: readonly Tree[],
  maxRounds: number,
): Tree {
  const { device } = leavesOf(operands)[0] as Tensor;
  const steps = noGrad(() => F.arange(maxRounds, { dtype: int64, device }));
  const round = (carry: Tree): readonly [Tree, Tree] => {
    const at = carry as readonly Tree[];
    const next = cond(condition(...at) as Tensor, (...t: Tree[]) => body(...t) as Tree, (...t: Tree[]) => t, [...at]);
    return [next, []];
  };
  return scanGraph(place, round, operands, steps, { dim: 0, reverse: false })[0];
}

/** The loop as a call; null if its condition is a boolean or number, so that it is unrolled. */
function whileGraph(
  place: Place,
  condition: OfTrees,
  body: OfTrees,
  operands: readonly Tree[],
  maxRounds: number | null,
): Tree | null {
  // Nothing is recorded in the graph around it by asking once.
  let isData = true;
  const asked = recordFunction(
    place,
    (...args) => {
      const go = condition(...args as Tree[]);
      if (go instanceof Tensor) return go;
      isData = false;
      return [];
    },
    operands,
    { inputs: true },
  );
  if (!isData) return null;
  checkScalar(asked.results[0] as Tensor, "whileLoop");
  const round = recordRound(place, body, operands, leavesOf(operands).length);
  const both = [asked, round];
  refuseWrites(both);
  const carried = leavesOf(operands);
  if (!Array.isArray(round.tree) || round.tree.length !== operands.length) {
    throw new TypeError(`whileLoop: body must give an array of ${operands.length} operands`);
  }
  checkCarry(round.sub, carried, operands, round.tree, round.results);
  const outside = operandsOfAll(both);
  const differentiated = isDifferentiated(place, [...carried, ...outside]);
  if (maxRounds !== null) return (differentiated ? boundedScan : counted)(place, condition, body, operands, maxRounds);
  if (differentiated) {
    breakHere(
      place,
      "is differentiated, and its number of rounds depends on data",
      "say how many there may be, whileLoop(…, { maxRounds }), or use forLoop() or scan(), or noGrad()",
    );
  }
  const sizes = hiddenSizes(both, outside);
  const bodies = both.map((r) => makeBody(r, outside, sizes));
  const op = controlOperator("while_loop", bodies, resultsOf(bodies[1] as (typeof bodies)[number]));
  const results = callControl(op, {
    carried: handOver(carried, new Map()),
    additional: handOver(outside, new Map()),
    sizes,
  });
  return rebuild(operands, results);
}

/** Options of {@linkcode whileLoop}. */
export interface WhileOptions {
  /** The loop ends after so many rounds, whatever its condition says. A compiled loop of which the gradient is taken needs it. */
  readonly maxRounds?: number;
}

/**
 * Repeats `body` while `condition` holds, and gives the last operands; those that are tensors are tensors of their own.
 *
 * In a trace, a condition that is a tensor makes both functions sub-graphs of one call, which reads the condition at each round; operands are then tensors, arrays and plain objects
 * of them, of the same shapes from round to round. Its gradient needs a bound: with `maxRounds` a trace keeps as many rounds, and goes back through those that ran; without it
 * the trace ends if a gradient is needed. A condition that is a boolean or number is unrolled.
 *
 * @param condition Gives a boolean or number, or a tensor with one element.
 * @param body Gives the next operands, as many as it gets.
 * @throws {TypeError} if the condition has more than one element, or `body` gives another number of operands; {RangeError} if `maxRounds` is no natural number.
 *
 * @example
 * ```ts
 * import { tensor, whileLoop } from "@tessera/tessera";
 * const [x] = whileLoop((x) => x.sum().lt(10), (x) => [x.mul(2)], [tensor([1.5])]);
 * console.assert(x.item() === 12);
 * ```
 */
export function whileLoop<A extends unknown[]>(
  condition: (...operands: NoInfer<A>) => boolean | number | Tensor,
  body: (...operands: NoInfer<A>) => readonly [...{ [K in keyof A]: NoInfer<A[K]> }],
  operands: readonly [...A],
  options: WhileOptions = {},
): A {
  const { maxRounds = null } = options;
  if (maxRounds !== null && (!Number.isInteger(maxRounds) || maxRounds < 0)) {
    throw new RangeError(`whileLoop: maxRounds must be a natural number, got ${maxRounds}`);
  }
  const trace = tracing();
  const place: Place | null = trace === null ? null : { ...trace, where: "whileLoop" };
  if (place !== null && operands.length > 0 && maxRounds !== 0 && isTree(operands)) {
    try {
      const own = [condition, body] as unknown as readonly [OfTrees, OfTrees];
      const result = whileGraph(place, ...own, operands as readonly Tree[], maxRounds);
      if (result !== null) return result as unknown as A;
    } catch (error) {
      if (!(error instanceof CannotCapture)) throw error;
      breakHere(place, `has a function that ${error.message}`, error.remedy);
    }
  }
  const start = storageClock();
  const owned = (at: A): A => isTree(operands) && isTree(at) ? ownResults(at, start) as unknown as A : at;
  let at = operands as unknown as A;
  for (let round = 0;; round++) {
    if (round === maxRounds) return owned(at);
    const go = condition(...at);
    if (go instanceof Tensor) {
      checkScalar(go, "whileLoop");
      if (place !== null) {
        breakHere(
          place,
          "asks data how often to run",
          "give it operands that are tensors, or arrays and objects of them",
        );
      }
      if (!go.item()) return owned(at);
    } else if (!go) return owned(at);
    const next = body(...at);
    if (!Array.isArray(next) || next.length !== operands.length) {
      throw new TypeError(`whileLoop: body must give an array of ${operands.length} operands`);
    }
    at = next as unknown as A;
  }
}

/** Options of {@linkcode scan}, {@linkcode map} and {@linkcode associativeScan}. */
export interface ScanOptions {
  /** The dimension that is walked. Default 0. */
  readonly dim?: number;
  /** Walk from the end; results stand in the order of `xs` all the same. */
  readonly reverse?: boolean;
}

interface Walk {
  readonly dim: number;
  readonly reverse: boolean;
}

/** Rounds as one call. `init` is an empty array where nothing is carried. */
function scanGraph(
  place: Place,
  combine: (carry: Tree, x: Tree) => readonly [Tree, Tree],
  init: Tree,
  xs: Tree,
  { dim, reverse }: Walk,
): [Tree, Tree] {
  const rows = mapTrees([xs], ([t]) => {
    if (t === undefined) return null;
    const front = t.movedim(dim, 0);
    return reverse ? front.flip([0]) : front;
  }) as Tree;
  const first = mapTrees([rows], ([t]) => t?.select(0, 0) ?? null) as Tree;
  const round: Recorded = recordRound(place, combine, [init, first], leavesOf(init).length);
  refuseWrites([round]);
  if (!Array.isArray(round.tree) || round.tree.length !== 2) {
    throw new TypeError(`${place.where}: give [carry, result]`);
  }
  const [after, y] = round.tree as [Tree, Tree];
  const carried = leavesOf(init);
  checkCarry(round.sub, carried, init, after, round.results);
  const outside = operandsOfAll([round]);
  const walked = leavesOf(rows);
  const sizes = hiddenSizes([round], outside);
  // The gradient of a round needs the carry that it began with.
  const saves = isDifferentiated(place, [...carried, ...walked, ...outside]) ? carried.length : 0;
  const plain = makeBody(round, outside, sizes);
  if (saves > 0) {
    plain.graph.setOutput([...plain.graph.output.results, ...plain.graph.placeholders.slice(0, saves)]);
  }
  const metas = resultsOf(plain);
  const length = (walked[0] as Tensor).shape[0] as number | SymInt;
  const many = carried.length > 0;
  const op = controlOperator(
    many ? "scan" : "map_impl",
    [plain],
    metas.map((meta, i) => i < carried.length ? meta : stackedMeta(meta, length)),
    saves,
  );
  if (metas.length === 0) round.sub.stop("gives nothing", "give a tensor");
  const results = callControl(op, {
    ...(many ? { init: handOver(carried, new Map()) } : {}),
    xs: handOver(walked, new Map()),
    additional: handOver(outside, new Map()),
    sizes,
  });
  const ys = rebuild(y, results.slice(carried.length));
  const placed = mapTrees([ys], ([t]) => {
    if (t === undefined) return null;
    return (reverse ? t.flip([0]) : t).movedim(0, dim < 0 ? t.ndim + dim : dim);
  }) as Tree;
  return [rebuild(after, results), placed];
}

function scanEagerly(
  where: string,
  combine: (carry: Tree, x: Tree) => readonly [Tree, Tree],
  init: Tree,
  xs: Tree,
  { dim, reverse }: Walk,
  length: number,
): [Tree, Tree] {
  const start = storageClock();
  let carry = init;
  const ys = new Array<Tree>(length);
  for (let step = 0; step < length; step++) {
    const i = reverse ? length - 1 - step : step;
    const x = mapTrees([xs], ([t]) => t?.select(dim, i) ?? null) as Tree;
    const [next, y] = combine(carry, x);
    checkTree(y, `${where}: a result`);
    carry = next;
    ys[i] = y;
  }
  const stacked = mapTrees(ys, (leaves) => F.stack(leaves, { dim }) as Tensor);
  if (stacked === null) throw new TypeError(`${where}: the function gives results of different structures`);
  return [isTree(carry) ? ownResults(carry, start) : carry, stacked];
}

function scanAny(
  where: string,
  combine: (carry: Tree, x: Tree) => readonly [Tree, Tree],
  init: Tree,
  xs: Tree,
  options: ScanOptions,
): [Tree, Tree] {
  checkTree(xs, `${where}: xs`);
  const walk: Walk = { dim: options.dim ?? 0, reverse: options.reverse ?? false };
  const length = commonLength(where, xs, walk.dim);
  if (!isSymInt(length) && length === 0) {
    throw new TypeError(`${where}: xs must have one size above 0 along dimension ${walk.dim}, got 0`);
  }
  const trace = tracing();
  if (trace !== null && isTree(init)) {
    const place: Place = { ...trace, where };
    try {
      return scanGraph(place, combine, init, xs, walk);
    } catch (error) {
      if (!(error instanceof CannotCapture)) throw error;
      suspendMode(trace.mode, () => trace.tracer.remark(`${where}() is unrolled: its function ${error.message}`));
    }
  }
  return scanEagerly(where, combine, init, xs, walk, Number(length));
}

/**
 * Walks a dimension of `xs` with a carried state: `combine(carry, x)` gives the next carry and a result; results are stacked along the same dimension.
 *
 * Differentiable; the gradient computes each round once more. In a trace one round is a sub-graph, so that one graph serves every length.
 *
 * @param init The first carry.
 * @param xs Tensors of one size along `dim`.
 * @returns The last carry and the stacked results.
 * @throws {TypeError} if sizes along `dim` differ or there is nothing to walk.
 *
 * @example
 * ```ts
 * import { scan, tensor } from "@tessera/tessera";
 * const [sum, sums] = scan((s, x) => [s.add(x), s.add(x)], tensor(0), tensor([1, 2, 3]));
 * console.assert(sum.item() === 6 && sums.shape[0] === 3);
 * ```
 */
export function scan<C extends Tree, X extends Tree, Y extends Tree>(
  combine: (carry: C, x: X) => readonly [carry: C, y: Y],
  init: C,
  xs: X,
  options: ScanOptions = {},
): [carry: C, ys: Y] {
  return scanAny("scan", combine as never, init, xs, options) as unknown as [C, Y];
}

/**
 * Applies `fn` to each slice of `xs` along a dimension and stacks what it gives. Differentiable; in a trace `fn` is a sub-graph.
 *
 * @throws {TypeError} if sizes along `dim` differ or there is nothing to walk.
 *
 * @example
 * ```ts
 * import { map, tensor } from "@tessera/tessera";
 * const sums = map((row) => row.sum(), tensor([[1, 2], [3, 4]]));
 * console.assert(sums.shape[0] === 2);
 * ```
 */
export function map<X extends Tree, Y extends Tree>(
  fn: (x: X) => Y,
  xs: X,
  options: { readonly dim?: number } = {},
): Y {
  return scanAny("map", (_, x) => [[], fn(x as X)], [], xs, options)[1] as Y;
}

/**
 * Runs `body` a number of times: `body(i, ...operands)` gives the next operands; `i` is a 0-dim int64 tensor. Gives the last operands.
 *
 * Differentiable. In a trace one round is a sub-graph, so that one graph serves every number of rounds that comes from a size.
 *
 * @throws {TypeError} if `body` gives another number of operands.
 *
 * @example
 * ```ts
 * import { forLoop, tensor } from "@tessera/tessera";
 * const [x] = forLoop(3, (i, x) => [x.mul(2).add(i)], [tensor(1)]);
 * console.assert(x.item() === 12);
 * ```
 */
export function forLoop<A extends unknown[]>(
  count: number | SymInt,
  body: (i: Tensor, ...operands: NoInfer<A>) => readonly [...{ [K in keyof A]: NoInfer<A[K]> }],
  operands: readonly [...A],
): A {
  if (!isSymInt(count) && (!Number.isInteger(count) || count < 0)) {
    throw new RangeError(`forLoop: the number of rounds must be a natural number, got ${count}`);
  }
  const round = (i: Tensor, at: A): A => {
    const next = body(i, ...at);
    if (!Array.isArray(next) || next.length !== operands.length) {
      throw new TypeError(`forLoop: body must give an array of ${operands.length} operands`);
    }
    return next as unknown as A;
  };
  const start = operands as unknown as A;
  const trace = tracing();
  if (trace !== null && count !== 0 && operands.length > 0 && isTree(operands)) {
    const place: Place = { ...trace, where: "forLoop" };
    const { device } = leavesOf(operands as Tree)[0] as Tensor;
    try {
      const steps = noGrad(() => F.arange(count, { dtype: int64, device }));
      return scanGraph(
        place,
        (at, i) => [round(i as Tensor, at as unknown as A) as unknown as Tree, []],
        operands as Tree,
        steps,
        { dim: 0, reverse: false },
      )[0] as unknown as A;
    } catch (error) {
      if (!(error instanceof CannotCapture)) throw error;
      trace.tracer.remark(`forLoop() is unrolled: its function ${error.message}`);
    }
  }
  const before = storageClock();
  let at = start;
  const rounds = Number(count);
  for (let i = 0; i < rounds; i++) at = round(F.full([], i, { dtype: int64 }), at);
  return isTree(operands) && isTree(at) ? ownResults(at, before) as unknown as A : at;
}
