/**
 * Records what a function does with the scores of attention as graphs that a kernel can inline.
 *
 * Enters: functions of a score and its four positions, called once with tensors of [batch, heads, queries, keys] (or 1 where they do not vary). Leaves: a graph of
 * operators that compute element by element, its gradient, and the tensors that the functions closed over, which become inputs. Nothing may be written.
 */
import { gradOf } from "../../autograd/mod.ts";
import { bool, type Device, float32, int64 } from "../../core/mod.ts";
import { type Argument, type Graph, graphToText, isNode, type Node, type TensorMeta } from "../../graph/mod.ts";
import type { ArgValue, NamedArgs, Operator } from "../../ops/mod.ts";
import { enterScoreProgram, type ScoreProgram } from "../../ops/mod.ts";
import { contiguousStride } from "../../symbolic/mod.ts";
import {
  autogradMeta,
  decompose,
  dispatchComplete,
  type DispatchMode,
  GraphRecording,
  inferMeta,
  noGrad,
  type OpResult,
  Tensor,
  withMode,
} from "../../tensor/mod.ts";

/** Sizes of all scores. */
export type ScoreShape = readonly [batch: number, heads: number, queries: number, keys: number];
/** What a score becomes. */
export type ScoreFunction = (score: Tensor, b: Tensor, h: Tensor, q: Tensor, kv: Tensor) => Tensor;
/** Which keys a query sees: a tensor of bools. */
export type MaskFunction = (b: Tensor, h: Tensor, q: Tensor, kv: Tensor) => Tensor;

class Recorder extends GraphRecording implements DispatchMode {
  readonly name = "flexAttention";
  /** Tensors of others, in the order of their inputs. */
  readonly captured: Tensor[];
  readonly #twins = new Map<Tensor, Tensor>();

  constructor(captured: readonly Tensor[]) {
    super();
    this.captured = [...captured];
  }

  /** Declares the tensors that are known to be captured. */
  declare(): void {
    this.captured.forEach((t, i) => this.#twins.set(t, this.#twin(t, i)));
  }

  #twin(t: Tensor, i: number): Tensor {
    const { shape, dtype, device } = t;
    const meta = { shape, stride: contiguousStride(shape), storageOffset: 0, dtype, device };
    return this.placeholder(`captured${i}`, meta);
  }

  wrapInput(t: Tensor): Tensor {
    if (t.wrapped !== null || this.owns(t)) return t;
    let twin = this.#twins.get(t);
    if (twin === undefined) {
      this.#twins.set(t, twin = this.#twin(t, this.captured.length));
      this.captured.push(t);
    }
    return twin;
  }

  override nodeOf(t: Tensor): Node {
    const own = this.wrapInput(t);
    if (own.node === null) throw new TypeError("flexAttention: a function of scores gives a tensor, not a number");
    return own.node;
  }

  dispatch(op: Operator, args: NamedArgs<Tensor>): OpResult {
    if (op.schema.args.some((a) => a.mutated) || op.isRandom) {
      throw new TypeError(
        `flexAttention: ${op.schema.name} ${op.isRandom ? "draws numbers" : "writes"} in a function of scores`,
      );
    }
    if (op.decompose !== null) return noGrad(() => withMode(this, () => decompose(op, args)));
    const metas = inferMeta(op, args);
    const [first] = metas;
    if (first === undefined || metas.length !== 1 || op.schema.returns[0]?.list === true) {
      throw new TypeError(`flexAttention: ${op.schema.name} has no place in a function of scores`);
    }
    return this.tensor(this.graph.call(op, this.argumentsOf(op, args), first), first);
  }

  materialize(_: Tensor, reason: string): Tensor {
    throw new TypeError(`flexAttention: ${reason}, in a function of scores, which sees no numbers`);
  }
}

/** Runs a graph of single results on tensors. */
function runGraph(graph: Graph, inputs: readonly Tensor[]): Tensor[] {
  const values = new Map<Node, Tensor>();
  const read = (a: Argument): ArgValue<Tensor> =>
    isNode(a) ? values.get(a) ?? null : Array.isArray(a) ? (a as readonly Argument[]).map(read) : a as ArgValue<Tensor>;
  let next = 0;
  for (const node of graph.nodes) {
    if (node.op === "placeholder") values.set(node, inputs[next++] as Tensor);
    else if (node.op === "call") {
      const op = node.target as Operator;
      const named = Object.fromEntries(op.schema.args.map((arg, i) => [arg.key, read(node.args[i] ?? null)]));
      values.set(node, dispatchComplete(op, named) as Tensor);
    } else if (node.op === "output") return node.results.map((r) => values.get(r as Node) as Tensor);
  }
  return [];
}

const POSITIONS = ["b", "h", "q", "kv"] as const;

/** The positions of scores along each of their four dimensions. */
export function scorePositions(shape: ScoreShape, make: (extent: number, d: number) => Tensor): Tensor[] {
  return shape.map((extent, d) => make(extent, d).reshape([1, 1, 1, 1].map((one, i) => i === d ? extent : one)));
}

function metaOf(shape: readonly number[], dtype: TensorMeta["dtype"], device: Device): TensorMeta {
  return { shape, stride: contiguousStride(shape), storageOffset: 0, dtype, device };
}

interface Recorded {
  readonly graph: Graph;
  readonly captured: readonly Tensor[];
}

function record(
  shape: ScoreShape,
  device: Device,
  score: ScoreFunction | null,
  mask: MaskFunction | null,
  before: readonly Tensor[] | null,
): Recorded {
  const r = new Recorder(before ?? []);
  const isBackward = before !== null;
  const results = withMode(r, () => {
    const own = r.placeholder("score", metaOf(shape, float32, device));
    const [b, h, q, kv] = POSITIONS.map((name, d) =>
      r.placeholder(name, metaOf([1, 1, 1, 1].map((one, i) => i === d ? shape[d] ?? 1 : one), int64, device))
    );
    if (b === undefined || h === undefined || q === undefined || kv === undefined) return [];
    const grad = isBackward ? r.placeholder("grad", metaOf(shape, float32, device)) : null;
    if (isBackward) r.declare();
    const changed = (): Tensor => {
      const out = score === null ? own : score(own, b, h, q, kv);
      return out.to(float32).broadcastTo([...shape]);
    };
    if (grad !== null) {
      autogradMeta(own).requiresGrad = true;
      const out = changed();
      const [back] = out.requiresGrad ? gradOf([out], [own], { gradOutputs: [grad], allowUnused: true }) : [null];
      return [(back ?? grad.mul(0)).broadcastTo([...shape])];
    }
    return noGrad(() => [changed(), ...(mask === null ? [] : [mask(b, h, q, kv).to(bool).broadcastTo([...shape])])]);
  });
  r.graph.setOutput(results.map((t) => r.nodeOf(t)));
  return { graph: r.graph, captured: r.captured };
}

/** A recorded program: its name among operators, and the tensors that it reads. */
export interface RecordedScores {
  readonly text: string;
  readonly captured: readonly Tensor[];
}

/** Records functions of scores and enters them. `positions` yields the indices along a dimension, on the device. */
export function recordScores(
  shape: ScoreShape,
  device: Device,
  score: ScoreFunction | null,
  mask: MaskFunction | null,
  positions: (device: Device) => readonly Tensor[],
): RecordedScores {
  const forward = record(shape, device, score, mask, null);
  const backward = record(shape, device, score, null, forward.captured);
  const text = `${graphToText(forward.graph)}\n${graphToText(backward.graph)}`;
  enterScoreProgram(text, (): ScoreProgram => ({
    forward: forward.graph,
    backward: backward.graph,
    apply: (scores, captured) => {
      const [changed, keep] = runGraph(forward.graph, [scores, ...positions(device), ...captured] as Tensor[]);
      if (changed === undefined) throw new TypeError("flexAttention: the program gives no score");
      return keep === undefined ? changed : changed.maskedFill(keep.logicalNot(), -Infinity);
    },
    pull: (scores, grad, captured) =>
      runGraph(backward.graph, [scores, ...positions(device), grad, ...captured] as Tensor[])[0] as Tensor,
  }));
  return { text, captured: forward.captured };
}
