/**
 * From a path of recorded operators to a graph for a backend, and to the text under which equal segments meet.
 *
 * All inputs are placeholders, parameters too: a segment belongs to no particular tensors. Results are the values with memory of their own; views of them are made
 * when the operators are recorded. Offsets count from where an input starts.
 */
import { InternalError } from "../core/mod.ts";
import { type Argument, Graph, type Node, rewriteDeadCode, type TensorMeta } from "../graph/mod.ts";
import { type InputSpec, opOf, pathTo, type Pattern, scalarSpec, type Step } from "./segment_steps.ts";

/** A value with memory of its own. */
export interface MadeValue {
  readonly number: number;
  readonly meta: TensorMeta;
}

function forEachEntering(patterns: readonly Pattern[], visit: (number: number, spec: InputSpec) => void): void {
  for (const pattern of patterns) {
    if (pattern.kind === "new") visit(pattern.number, pattern.spec);
    else if (pattern.kind === "scalar") visit(pattern.number, scalarSpec(pattern.dtype));
    else if (pattern.kind === "list") forEachEntering(pattern.items, visit);
  }
}

/** What enters a segment, in order, and the positions of what it writes. */
export function segmentInputs(end: Step): { readonly specs: InputSpec[]; readonly written: number[] } {
  const specs: InputSpec[] = [];
  const positions = new Map<number, number>();
  /** The value whose memory a value shows. */
  const roots = new Map<number, number>();
  const written = new Set<number>();
  for (const step of pathTo(end)) {
    forEachEntering(step.patterns, (number, spec) => {
      positions.set(number, specs.length);
      specs.push(spec);
    });
    const first = step.values - step.results.length;
    step.results.forEach(({ base }, i) => {
      if (base !== null) roots.set(first + i, roots.get(base) ?? base);
    });
    if (step.writes < 0) continue;
    const position = positions.get(roots.get(step.writes) ?? step.writes);
    if (position !== undefined) written.add(position);
  }
  return { specs, written: [...written] };
}

/** The values of a segment with memory of their own, in order. */
export function segmentMade(end: Step): MadeValue[] {
  return pathTo(end).flatMap((step) => {
    const first = step.values - step.results.length;
    return step.results.flatMap(({ meta, base }, i) => base === null ? [{ number: first + i, meta }] : []);
  });
}

/** The graph of a segment that yields the values of these numbers. */
export function buildSegmentGraph(end: Step, results: readonly number[]): Graph {
  const graph = new Graph();
  const path = pathTo(end);
  const nodes: Node[] = [];
  for (const step of path) {
    forEachEntering(step.patterns, (number, spec) => {
      nodes[number] = graph.placeholder(`in${number}`, { ...spec, storageOffset: 0 });
    });
  }
  const nodeOf = (number: number): Node => {
    const node = nodes[number];
    if (node === undefined) throw new InternalError(`the segment uses value ${number} before it is made`);
    return node;
  };
  const argument = (pattern: Pattern): Argument => {
    switch (pattern.kind) {
      case "value":
      case "new":
      case "scalar":
        return nodeOf(pattern.number);
      case "constant":
        return pattern.value as Argument;
      case "list":
        return pattern.items.map(argument);
      default:
        return pattern satisfies never;
    }
  };
  for (const step of path) {
    const args = step.patterns.map(argument);
    const first = step.values - step.results.length;
    if (step.writes >= 0) {
      graph.call(opOf(step), args, nodeOf(step.writes).value, step.location);
      continue;
    }
    const metas = step.results.map((r) => r.meta);
    const [meta] = metas;
    if (meta === undefined) throw new InternalError(`${opOf(step).target} yields nothing`);
    const node = graph.call(opOf(step), args, step.many ? metas : meta, step.location);
    metas.forEach((m, i) => nodes[first + i] = step.many ? graph.getItem(node, i, m) : node);
  }
  graph.setOutput(results.map(nodeOf));
  rewriteDeadCode(graph);
  return graph;
}

/** The text under which equal segments meet: everything that the graph depends on. */
export function segmentKey(end: Step, results: readonly number[]): string {
  const lines = pathTo(end).map((step) => `${opOf(step).target}(${step.patterns.map(patternKey).join(",")})`);
  return `${lines.join(";")}->${results.join()}`;
}

function patternKey(pattern: Pattern): string {
  switch (pattern.kind) {
    case "value":
      return `%${pattern.number}`;
    case "new": {
      const { shape, stride, dtype, device } = pattern.spec;
      return `${dtype.name}[${shape.join()}](${stride.join()})@${device}`;
    }
    case "scalar":
      return `~${pattern.dtype.name}`;
    case "constant": {
      const { value } = pattern;
      if (typeof value === "number") return Object.is(value, -0) ? "-0" : String(value);
      return typeof value === "string" ? JSON.stringify(value) : `${typeof value}:${String(value)}`;
    }
    case "list":
      return `[${pattern.items.map(patternKey).join(",")}]`;
    default:
      return pattern satisfies never;
  }
}
