/**
 * Higher-order operators as calls of a graph: operators made for one call, which carry their bodies.
 *
 * Enters: a kind, bodies, and what the results are. Leaves: an {@linkcode Operator} that is not in the table. Run on tensors, it runs its bodies; a checkpoint is taken
 * apart by AOTAutograd, so that its region fuses with what is around it. Gradients are in `gradients.ts`.
 */
import { InternalError } from "../../core/mod.ts";
import {
  CONTROL_SCHEMAS,
  type ControlKind,
  type ControlTarget,
  type Graph,
  isNode,
  isTensorMeta,
  runControl,
  type TensorMeta,
} from "../../graph/mod.ts";
import type { NamedArgs, Operator, TensorValue } from "../../ops/mod.ts";
import type { Size } from "../../symbolic/mod.ts";
import { dispatchComplete, F, Tensor } from "../../tensor/mod.ts";
import { type Body, runBody } from "./body.ts";
import { gradientRule } from "./gradients.ts";

/** A higher-order operator of one call. */
export interface ControlOperator extends Operator, ControlTarget {
  readonly bodies: readonly Body[];
  /** Of a scan: how many of its last results are the carries with which its rounds began, kept for the gradient. */
  readonly savedCarries: number;
  /** Runs the call on tensors with data; `run` runs a graph, by default operator by operator. */
  readonly onTensors: (args: NamedArgs<TensorValue>, run?: GraphRunner) => readonly TensorValue[];
}

/** Runs one of the graphs of a call. */
export type GraphRunner = (graph: Graph, inputs: readonly (Tensor | Size)[]) => readonly Tensor[];

/** Tells whether an operator is one of these. */
export function isControlOperator(op: object): op is ControlOperator {
  return "bodies" in op && "control" in op;
}

/** What a body gives, as it describes it. */
export function resultsOf(body: Body): TensorMeta[] {
  return body.graph.output.results.map((r) => {
    if (!isNode(r) || !isTensorMeta(r.value)) throw new InternalError("a result of a sub-graph is no tensor");
    return r.value;
  });
}

/** Results of rounds, put together: one more dimension in front. */
export function stackedMeta(meta: TensorMeta, length: Size): TensorMeta {
  const inner = meta.stride;
  const first = meta.shape.length === 0 ? 1 : meta.shape.reduce<Size>((n, s) => timesSize(n, s), 1);
  return { ...meta, shape: [length, ...meta.shape], stride: [first, ...inner], storageOffset: 0 };
}

function timesSize(a: Size, b: Size): Size {
  if (typeof a === "number") return typeof b === "number" ? a * b : b.mul(a);
  return a.mul(b);
}

/** Makes the operator. `metas` describe its results. */
export function controlOperator(
  control: ControlKind,
  bodies: readonly Body[],
  metas: readonly TensorMeta[],
  savedCarries = 0,
): ControlOperator {
  const schema = CONTROL_SCHEMAS[control];
  const onTensors: ControlOperator["onTensors"] = (args, given) => {
    const run = given ?? ((graph, inputs) => runBody(bodyOf(graph), inputs));
    const values = schema.args.map((a) => args[a.key]);
    const results = runControl<Tensor | Size>(op, values, {
      run,
      isTrue: (v) => v instanceof Tensor ? Number(v.item()) !== 0 : Boolean(v),
      slices,
      stack: (rows, _, from) => stack(rows as readonly (readonly Tensor[])[], metas.slice(from)),
    }) as readonly Tensor[];
    // After no rounds the carries are still the operands.
    const operands = new Set<unknown>(values.flat());
    return results.map((t) => operands.has(t) ? t.clone() : t) as unknown as readonly TensorValue[];
  };
  const bodyOf = (graph: Graph): Body => {
    const found = bodies.find((b) => b.graph === graph);
    if (found === undefined) throw new InternalError(`${schema.target}: a graph of another call`);
    return found;
  };
  const isRegion = control === "checkpoint";
  const op: ControlOperator = {
    schema,
    target: schema.target,
    doc: "",
    kind: isRegion ? "decompose" : "host",
    control,
    bodies,
    graphs: bodies.map((b) => b.graph),
    savedCarries,
    hasEffects: false,
    meta: () => metas,
    vjp: (args, context) => gradientRule(op, args as unknown as NamedArgs<Tensor>, context),
    loop: null,
    decompose: isRegion ? (args) => onTensors(args) : null,
    host: null,
    onTensors,
    view: null,
    functional: null,
    writesArguments: null,
    isRandom: false,
    isDataDependent: false,
    checksItself: true,
    isPublic: false,
    samples: () => [],
  };
  return op;
}

/** The same call over other bodies that compute the same. */
export function withBodies(op: ControlOperator, bodies: readonly Body[]): ControlOperator {
  return controlOperator(op.control, bodies, op.meta({}) as readonly TensorMeta[], op.savedCarries);
}

function slices(xs: readonly (Tensor | Size)[]): Tensor[][] {
  const tensors = xs.filter((x) => x instanceof Tensor);
  const length = Number(tensors[0]?.shape[0] ?? 0);
  return Array.from({ length }, (_, i) => tensors.map((t) => t.select(0, i)));
}

function stack(rows: readonly (readonly Tensor[])[], metas: readonly TensorMeta[]): Tensor[] {
  const [first] = rows;
  if (first !== undefined) return first.map((_, i) => F.stack(rows.map((row) => row[i] as Tensor), { dim: 0 }));
  return metas.map(({ shape, dtype, device }) => F.zeros([0, ...shape.slice(1).map(Number)], { dtype, device }));
}

/** Calls a higher-order operator. */
export function callControl(op: ControlOperator, args: NamedArgs<Tensor>): readonly Tensor[] {
  const result = dispatchComplete(op, args);
  return result instanceof Tensor ? [result] : result;
}
