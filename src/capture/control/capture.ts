/**
 * Runs functions of the program as sub-graphs of the trace around them.
 *
 * Enters: a function and what it is called with. Leaves: a recording and the structure of what it gave. A sub-graph has no effects but writes to tensors: what assigns,
 * prints or fills something ends the whole trace, because it has happened already when it is noticed.
 */
import { contiguousStride } from "../../symbolic/mod.ts";
import { type DispatchMode, isGradEnabled, suspendMode, type Tensor, withMode } from "../../tensor/mod.ts";
import type { Tracer } from "../tracer.ts";
import type { Recording } from "./body.ts";
import { isFollowed, SubTracer } from "./sub_tracer.ts";
import { isTree, leavesOf, rebuild, type Tree } from "./trees.ts";

/** The trace that a call of control flow belongs to. */
export interface Place {
  readonly tracer: Tracer;
  readonly mode: DispatchMode;
  /** The function's name, for messages. */
  readonly where: string;
}

/** What a function did and gave. */
export interface Recorded extends Recording {
  readonly tree: Tree;
}

/** Ends the trace. */
export function breakHere({ tracer, mode, where }: Place, reason: string, remedy: string): never {
  return suspendMode(mode, () => tracer.breakGraph(`${where}() ${reason}`, remedy));
}

/**
 * Records a function. `inputs`: trees of tensors that are its own at each round; it is called with twins of them. Without them it is called with `args`, tensors from outside.
 *
 * @throws {CannotCapture} if it cannot be a sub-graph but might be part of the graph around it.
 */
export function recordFunction(
  place: Place,
  fn: (...args: never[]) => unknown,
  args: readonly unknown[],
  options: { readonly inputs?: boolean; readonly keepsLayout?: boolean; readonly followed?: readonly boolean[] } = {},
): Recorded {
  const { tracer, mode } = place;
  const sub = new SubTracer(mode, options.keepsLayout);
  const before = tracer.mark();
  const own: Tensor[] = [];
  const nodes: Recording["inputs"][number][] = [];
  const seen = options.inputs !== true ? args : args.map((tree, i) =>
    rebuild(
      tree as Tree,
      leavesOf(tree as Tree).map((t) => {
        const { shape, dtype, device } = t;
        const { node, twin } = sub.input(`${place.where}_${i}`, {
          shape,
          stride: contiguousStride(shape),
          storageOffset: 0,
          dtype,
          device,
        });
        if (options.followed?.[own.length] ?? isFollowed(mode, t)) sub.follow(twin);
        nodes.push(node);
        own.push(twin);
        return twin;
      }),
    )
  );
  const versions = own.map((t) => t.storage.version);
  const recorded = withMode(sub, (): Recorded => {
    const tree: unknown = fn(...seen as never[]);
    if (sub.problem !== null) throw sub.problem;
    if (!isTree(tree)) {
      return sub.stop("gives something that is no tensor", "give tensors, arrays and plain objects of them");
    }
    return { sub, inputs: nodes, results: sub.results(leavesOf(tree)), tree };
  });
  if (tracer.mark() !== before) {
    breakHere(
      place,
      "has a function that prints, assigns or fills something",
      "let its functions only compute, and write to tensors",
    );
  }
  if (own.some((t, i) => t.storage.version !== versions[i])) {
    sub.stop("writes to what a round is given", "return the new value instead");
  }
  return recorded;
}

/**
 * Records a function whose first results are its first arguments in the next round. A gradient that flows to one of them flows to the argument as well, which may let it flow to
 * others: the function is recorded until nothing changes.
 */
export function recordRound(
  place: Place,
  fn: (...args: never[]) => unknown,
  args: readonly unknown[],
  carried: number,
): Recorded {
  let followed = leavesOf(args as readonly Tree[]).map((t) => isFollowed(place.mode, t));
  for (;;) {
    const recorded = recordFunction(place, fn, args, { inputs: true, followed });
    const next = followed.map((on, i) => {
      const result = i < carried ? recorded.results[i] : undefined;
      return on || result !== undefined && isGradEnabled() && recorded.sub.follows(result);
    });
    if (next.every((on, i) => on === followed[i])) return recorded;
    followed = next;
  }
}

/** Operands as the call hands them over; a written one as a copy, because the gradient needs what it was. */
export function handOver(
  operands: readonly Tensor[],
  written: ReadonlyMap<Tensor, unknown>,
  keepsLayout = false,
): Tensor[] {
  return operands.map((t) => written.has(t) ? t.clone() : keepsLayout ? t : t.contiguous());
}

/** Tensors from outside that recordings read, each once. */
export function operandsOfAll(recordings: readonly Recording[]): Tensor[] {
  return [...new Set(recordings.flatMap(({ sub }) => [...sub.operands.keys()]))];
}

/** Tensors from outside that recordings write, and whether the tape follows; ends the trace if others share their memory. */
export function writtenOfAll(
  place: Place,
  recordings: readonly Recording[],
  operands: readonly Tensor[],
): ReadonlyMap<Tensor, boolean> {
  const written = new Map<Tensor, boolean>();
  for (const { sub } of recordings) {
    for (const [t, taped] of sub.written) written.set(t, taped || written.get(t) === true);
  }
  for (const t of written.keys()) {
    if (operands.some((o) => o !== t && o.storage === t.storage)) {
      breakHere(place, "writes to a tensor and uses another one of the same memory", "use one of them inside");
    }
  }
  return written;
}

/** Whether a gradient may flow through a call over these tensors. */
export function isDifferentiated({ mode }: Place, operands: readonly Tensor[]): boolean {
  return isGradEnabled() && operands.some((t) => isFollowed(mode, t));
}
