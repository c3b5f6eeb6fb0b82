/**
 * From a path of recorded operators to a graph for a backend, and to the text under which equal segments meet.
 *
 * All inputs are placeholders, parameters too: a segment belongs to no particular tensors. Results are the values with memory of their own; views of them are made
 * when the operators are recorded. Offsets count from where an input starts.
 */
import { InternalError } from "../core/mod.ts";
import { type Argument, Graph, type Node, rewriteDeadCode, type TensorMeta } from "../graph/mod.ts";
import { toText } from "../symbolic/mod.ts";
import { asSize, type Dim, dimValue, dimValues, envOf } from "./segment_sizes.ts";
import { type InputSpec, opOf, pathTo, type Pattern, scalarSpec, type Step, type StepResult } from "./segment_steps.ts";
import type { ShapeEnv } from "./shape_env.ts";

/** A value with memory of its own. */
export interface MadeValue {
  readonly number: number;
  readonly result: StepResult;
}

/** What a result is in a call with these sizes. */
export function metaIn({ meta, dims }: StepResult, sizes: readonly number[]): TensorMeta {
  if (dims === null) return meta;
  const { shape, stride, offset } = dims;
  return {
    ...meta,
    shape: dimValues(shape, sizes),
    stride: dimValues(stride, sizes),
    storageOffset: dimValue(offset, sizes),
  };
}

function symbolicMeta({ meta, dims }: StepResult, env: ShapeEnv): TensorMeta {
  if (dims === null) return meta;
  const sizes = (list: readonly Dim[]): TensorMeta["shape"] => list.map((d) => asSize(d, env));
  return { ...meta, shape: sizes(dims.shape), stride: sizes(dims.stride), storageOffset: asSize(dims.offset, env) };
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
    return step.results.flatMap((result, i) => result.base === null ? [{ number: first + i, result }] : []);
  });
}

/** The graph of a segment that yields the values of these numbers, and what its sizes are and what is asked of them. */
export function buildSegmentGraph(
  end: Step,
  results: readonly number[],
  sizes: readonly number[],
): { readonly graph: Graph; readonly env: ShapeEnv } {
  const graph = new Graph();
  const env = envOf(sizes);
  const path = pathTo(end);
  const nodes: Node[] = [];
  for (const step of path) {
    forEachEntering(step.patterns, (number, spec) => {
      const [shape, stride] = [spec.shape, spec.stride].map((dims) => dims.map((d) => asSize(d, env)));
      nodes[number] = graph.placeholder(`in${number}`, { ...spec, shape, stride, storageOffset: 0 } as TensorMeta);
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
      case "size":
        return asSize(pattern.expr, env);
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
    const metas = step.results.map((r) => symbolicMeta(r, env));
    const [meta] = metas;
    if (meta === undefined) throw new InternalError(`${opOf(step).target} yields nothing`);
    const node = graph.call(opOf(step), args, step.many ? metas : meta, step.location);
    metas.forEach((m, i) => nodes[first + i] = step.many ? graph.getItem(node, i, m) : node);
  }
  graph.setOutput(results.map(nodeOf));
  rewriteDeadCode(graph);
  return { graph, env };
}

/** The text under which equal segments meet: everything that the graph depends on. */
export function segmentKey(end: Step, results: readonly number[]): string {
  const lines = pathTo(end).map((step) => {
    const guards = step.guards.map((g) => `[${toText(g)}]`).join("");
    return `${opOf(step).target}(${step.patterns.map(patternKey).join(",")})${guards}`;
  });
  return `${lines.join(";")}->${results.join()}`;
}

function patternKey(pattern: Pattern): string {
  switch (pattern.kind) {
    case "value":
      return `%${pattern.number}`;
    case "new": {
      const { shape, stride, dtype, device } = pattern.spec;
      const text = (dims: readonly Dim[]): string => dims.map((d) => typeof d === "number" ? d : toText(d)).join();
      return `${dtype.name}[${text(shape)}](${text(stride)})@${device}`;
    }
    case "scalar":
      return `~${pattern.dtype.name}`;
    case "constant": {
      const { value } = pattern;
      if (typeof value === "number") return Object.is(value, -0) ? "-0" : String(value);
      return typeof value === "string" ? JSON.stringify(value) : `${typeof value}:${String(value)}`;
    }
    case "size":
      return `=${toText(pattern.expr)}`;
    case "list":
      return `[${pattern.items.map(patternKey).join(",")}]`;
    default:
      return pattern satisfies never;
  }
}
