/**
 * What the tape would have kept: the caller's memory whose content the gradient of a call needs, as eager sees it.
 *
 * A cut keeps other values than the tape does. Which writes between a call and its `backward()` are errors is for the tape to say, so it is read from the joint graph before
 * the cut: memory of inputs, attributes and results that the backward half reads, in the state in which it reads it. Mirrors the versions of `SavedVariable`.
 */
import { type Graph, inputsOf, isTensorMeta, type Node } from "../graph/mod.ts";
import { writtenSince } from "../autograd/mod.ts";
import { isOperator } from "../ops/mod.ts";
import type { GraphInput, GraphResult } from "../capture/mod.ts";
import { Tensor } from "../tensor/mod.ts";
import type { Origin } from "./functionalize.ts";

/** Memory whose content a backward needs. */
export interface Relied {
  /** As it was before the call; after the call's own writes; or a result of the functional graph, by position. */
  readonly of: { readonly kind: "before" | "after"; readonly origin: Origin } | {
    readonly kind: "result";
    readonly index: number;
  };
  /** The first step of the tape that reads it, and the shape of what it reads, where that is a number: eager's error names both. */
  readonly step: string;
  readonly shape: readonly number[] | null;
}

/** Where values of the caller's memory stand in a graph. */
export interface Visible {
  readonly primals: readonly { readonly origin: Origin; readonly node: Node }[];
  readonly written: readonly { readonly origin: Origin; readonly node: Node }[];
  /** Results that the caller sees, by position. */
  readonly results: ReadonlyMap<Node, number>;
}

/** Finds what the nodes behind `forward`, which are the backward, read of the caller's memory. */
export function reliedOn(
  graph: Graph,
  forward: ReadonlySet<Node>,
  visible: Visible,
  steps: ReadonlyMap<Node, string>,
): Relied[] {
  const before = new Map(visible.primals.map(({ origin, node }) => [node, origin]));
  const after = new Map(visible.written.map(({ origin, node }) => [node, origin]));
  const out = new Map<string, Relied>();
  const note = (of: Relied["of"], read: Node, step: string): void => {
    const key = JSON.stringify(of);
    if (out.has(key)) return;
    const shape = isTensorMeta(read.value) ? read.value.shape : [];
    out.set(key, { of, step, shape: shape.every((s) => typeof s === "number") ? shape : null });
  };
  const seen = new Set<Node>();
  for (const node of graph.nodes) {
    // A region that is computed again keeps nothing: eager has no such thing.
    if (node.op !== "call" || forward.has(node) || !isOperator(node.target)) continue;
    const step = steps.get(node);
    if (step === undefined) continue;
    for (const read of inputsOf(node)) {
      for (let at: Node | null = read; at !== null && !seen.has(at); at = forward.has(at) ? shownBy(at) : null) {
        seen.add(at);
        const [origin, written, result] = [before.get(at), after.get(at), visible.results.get(at)];
        if (origin !== undefined) note({ kind: "before", origin }, read, step);
        if (written !== undefined) note({ kind: "after", origin: written }, read, step);
        if (result !== undefined) note({ kind: "result", index: result }, read, step);
      }
    }
  }
  return [...out.values()];
}

/** What a view shows; null for what is no view. */
function shownBy(node: Node): Node | null {
  if (node.op === "getItem") return shownBy(node.source);
  if (node.op !== "call" || !isOperator(node.target) || node.target.view === null) return null;
  return inputsOf(node).find((n) => isTensorMeta(n.value)) ?? null;
}

/** A tensor of one call, and the version that it must still have. */
export interface Expected {
  readonly tensor: Tensor;
  readonly version: number;
  readonly relied: Relied;
}

/** Looks up the real tensors of one call. */
type Read = (origin: Origin, inputs: readonly GraphInput[]) => Tensor;

/** Notes versions as they are before a call; the result notes those after it. */
export function expectations(
  relied: readonly Relied[],
  read: Read,
  inputs: readonly GraphInput[],
): (results: readonly GraphResult[]) => Expected[] {
  const before = relied.map(({ of }) => of.kind === "before" ? read(of.origin, inputs).version : 0);
  return (results) =>
    relied.flatMap((r, i): Expected[] => {
      const { of } = r;
      const tensor = of.kind === "result" ? results[of.index] : read(of.origin, inputs);
      if (!(tensor instanceof Tensor)) return [];
      return [{ tensor, version: of.kind === "before" ? before[i] ?? 0 : tensor.version, relied: r }];
    });
}

/** @throws {TypeError} as eager does, if it was written since. */
export function checkExpected({ tensor, version, relied: { step, shape } }: Expected): void {
  if (tensor.version === version) return;
  throw writtenSince(step, { shape: shape ?? tensor.shape, version: tensor.version, saved: version });
}
