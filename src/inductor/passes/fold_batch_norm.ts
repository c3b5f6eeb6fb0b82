/**
 * Folds a batch norm of inference into the convolution before it: `γ·(conv(x, w, b) - μ)/√(σ² + ε) + β` is `conv(x, w·s, (b - μ)·s + β)` with `s = γ/√(σ² + ε)`.
 *
 * Where the weight is large, it keeps its memory and the sum is multiplied instead: a copy of each weight would double a model's memory.
 * Enters: a graph whose convolution nobody else reads, and whose parameters are attributes that the graph does not write. The new weight and bias are computed in
 * double precision. Mirrors `torch.fx.experimental.optimization.fuse` and the freezing passes of TorchInductor.
 */
import { cpu, float32 } from "../../core/mod.ts";
import {
  type Argument,
  type CallNode,
  type GetAttrNode,
  type Graph,
  isNode,
  isTensorMeta,
  type Node,
  type TensorMeta,
} from "../../graph/mod.ts";
import { getOp } from "../../ops/mod.ts";
import { type Tensor, tensorFrom } from "../../tensor/mod.ts";
import type { FrozenConstants } from "./frozen.ts";

/**
 * Weights larger than this keep their memory: the factor is applied to the sum instead, which costs nothing beside a long sum. A copy of each weight would double
 * the memory of a model.
 */
const MOST_WEIGHT_BYTES = 256 << 10;

const CONVOLUTIONS: ReadonlySet<string> = new Set([
  "aten.conv1d.default",
  "aten.conv2d.default",
  "aten.conv3d.default",
  "aten.convolution.default",
]);
const NORMS: ReadonlySet<string> = new Set([
  "aten.batch_norm.default",
  "aten._native_batch_norm_legit_no_training.default",
]);

function argument(node: CallNode, key: string): Argument {
  const at = node.target.schema.args.findIndex((a) => a.key === key);
  return at < 0 ? null : node.args[at] ?? null;
}

/** A parameter of the graph in float32, or on a CUDA device in a half type; null for anything else. `undefined` stands for an argument that was left out. */
function parameter(value: Argument, written: ReadonlySet<Node>): GetAttrNode | null | undefined {
  if (value === null) return undefined;
  if (!isNode(value) || value.op !== "getAttr" || written.has(value) || !isTensorMeta(value.value)) return null;
  const { dtype, device } = value.value;
  return dtype === float32 || (device !== cpu && dtype.isFloat && dtype.bytes === 2) ? value : null;
}

/** Paths of what a batch norm and its convolution are made of. */
export type NormParameters =
  & Readonly<Record<"bias" | "gamma" | "beta", string | null>>
  & Readonly<Record<"weight" | "mean" | "variance", string>>;

interface Norm {
  readonly node: CallNode;
  readonly convolution: CallNode;
  readonly parameters: NormParameters;
  readonly eps: number;
}

function normOf(node: Node, written: ReadonlySet<Node>): Norm | null {
  if (node.op !== "call" || !NORMS.has(node.target.schema.target) || argument(node, "training") === true) return null;
  const convolution = argument(node, "input");
  if (!isNode(convolution) || convolution.op !== "call" || convolution.users.size !== 1) return null;
  if (!CONVOLUTIONS.has(convolution.target.schema.target) || argument(convolution, "transposed") === true) return null;
  const eps = argument(node, "eps");
  const found = {
    weight: parameter(argument(convolution, "weight"), written),
    bias: parameter(argument(convolution, "bias"), written),
    gamma: parameter(argument(node, "weight"), written),
    beta: parameter(argument(node, "bias"), written),
    mean: parameter(argument(node, "runningMean"), written),
    variance: parameter(argument(node, "runningVar"), written),
  };
  if (typeof eps !== "number" || Object.values(found).includes(null)) return null;
  if (!found.weight || !found.mean || !found.variance) return null;
  const path = (p: GetAttrNode | null | undefined): string | null => p?.path ?? null;
  return {
    node,
    convolution,
    eps,
    parameters: {
      weight: found.weight.path,
      bias: path(found.bias),
      gamma: path(found.gamma),
      beta: path(found.beta),
      mean: found.mean.path,
      variance: found.variance.path,
    },
  };
}

/** Factor and summand of each channel. */
function scaleAndShift(
  { parameters: p, eps }: Pick<Norm, "parameters" | "eps">,
  read: (path: string) => Tensor,
): [Float64Array, Float64Array] {
  const values = (path: string | null, other: number, length: number): ArrayLike<number> =>
    path === null ? new Float64Array(length).fill(other) : read(path).dataSync() as ArrayLike<number>;
  const mean = values(p.mean, 0, 0);
  const channels = mean.length;
  const [variance, gamma, beta, bias] = [
    values(p.variance, 1, channels),
    values(p.gamma, 1, channels),
    values(p.beta, 0, channels),
    values(p.bias, 0, channels),
  ];
  const scale = new Float64Array(channels);
  const shift = new Float64Array(channels);
  for (let c = 0; c < channels; c++) {
    const s = (gamma[c] ?? 0) / Math.sqrt((variance[c] ?? 0) + eps);
    scale[c] = s;
    shift[c] = ((bias[c] ?? 0) - (mean[c] ?? 0)) * s + (beta[c] ?? 0);
  }
  return [scale, shift];
}

function scaledWeight(weight: Tensor, scale: Float64Array): Tensor {
  const data = Float32Array.from(weight.dataSync() as ArrayLike<number>);
  const each = data.length / Math.max(1, scale.length);
  for (let c = 0; c < scale.length; c++) {
    const s = scale[c] ?? 1;
    for (let i = c * each, end = i + each; i < end; i++) data[i] = (data[i] ?? 0) * s;
  }
  return tensorFrom(weight.shape.map(Number), data, float32);
}

function sourcesOf({ parameters }: Norm): string[] {
  return Object.values(parameters).filter((path) => path !== null);
}

/** The convolution with `weight` and `bias` in the place of its own. */
function convolutionWith(
  graph: Graph,
  { convolution }: Norm,
  weight: Argument,
  bias: Argument,
  value: TensorMeta,
): Node {
  const args = convolution.target.schema.args.map((a, i): Argument =>
    a.key === "weight" ? weight : a.key === "bias" ? bias : convolution.args[i] ?? null
  );
  return graph.call(convolution.target, args, value, convolution.location);
}

/** A convolution with another weight and bias. */
function intoWeight(graph: Graph, constants: FrozenConstants, norm: Norm, value: TensorMeta): Node {
  const sources = sourcesOf(norm);
  const { weight } = norm.parameters;
  const scaled = constants.add({
    sources,
    compute: (read) => scaledWeight(read(weight), scaleAndShift(norm, read)[0]),
  });
  const bias = constants.add({
    sources,
    compute: (read) => {
      const [, shift] = scaleAndShift(norm, read);
      return tensorFrom([shift.length], shift, float32);
    },
  });
  return convolutionWith(graph, norm, scaled, bias, value);
}

/** The factor (0) or the summand (1) of each channel, with dimensions of one element behind it. */
export function normVector(
  parameters: NormParameters,
  eps: number,
  which: 0 | 1,
  ones: number,
  read: (path: string) => Tensor,
): Tensor {
  const data = scaleAndShift({ parameters, eps }, read)[which];
  return tensorFrom([data.length, ...new Array<number>(ones).fill(1)], data, float32);
}

/** The convolution with its own weight, then one factor and one summand a channel. */
function behind(graph: Graph, constants: FrozenConstants, norm: Norm, value: TensorMeta): Node {
  const sources = sourcesOf(norm);
  const { parameters, eps } = norm;
  const ones = Math.max(0, value.shape.length - 2);
  const vector = (which: 0 | 1): Node =>
    constants.add({
      sources,
      compute: (read) => normVector(parameters, eps, which, ones, read).to(value.device),
      stored: { kind: "norm", parameters, eps, which, ones },
    });
  const [scale, shift] = [vector(0), vector(1)];
  const { convolution } = norm;
  const at = convolution.target.schema.args.findIndex((a) => a.key === "weight");
  const plain = convolutionWith(graph, norm, convolution.args[at] ?? null, null, value);
  const { location } = convolution;
  // Halves are scaled in float32 and rounded once.
  const wide = { ...value, dtype: float32 };
  const product = graph.call(getOp("aten.mul.Tensor"), [plain, scale], wide, location);
  const sum = graph.call(getOp("aten.add.Tensor"), [product, shift, 1], wide, location);
  if (value.dtype === float32) return sum;
  const cast = getOp("aten._to_copy.default");
  const args = cast.schema.args.map((a): Argument =>
    a.key === "self" ? sum : a.key === "dtype" ? value.dtype : a.key === "nonBlocking" ? false : null
  );
  return graph.call(cast, args, value, location);
}

/** Folds in place; returns how many batch norms went. `written` are nodes whose memory the graph writes. */
export function foldBatchNorm(graph: Graph, constants: FrozenConstants, written: ReadonlySet<Node>): number {
  const gone: Node[] = [];
  let count = 0;
  for (const node of [...graph.nodes]) {
    const norm = normOf(node, written);
    if (norm === null) continue;
    const results = node.op === "call" && Array.isArray(node.value) ? [...node.users] : [node];
    // Of the form with several results, only the first is a tensor that inference reads.
    if (results.some((r) => r !== node && (r.op !== "getItem" || (r.index !== 0 && r.users.size > 0)))) continue;
    const { convolution, parameters: { weight } } = norm;
    const value = Array.isArray(node.value) ? node.value[0] : node.value;
    if (!isTensorMeta(value)) continue;
    const bytes = constants.read(weight).numel * float32.bytes;
    const rewrites = value.device === cpu && bytes <= MOST_WEIGHT_BYTES;
    const folded = graph.insertBefore(
      node,
      () => rewrites ? intoWeight(graph, constants, norm, value) : behind(graph, constants, norm, value),
    );
    for (const result of results) graph.replaceAllUses(result, folded);
    count++;
    gone.push(...results.filter((r) => r !== node), node, convolution);
  }
  if (gone.length > 0) graph.erase(...gone);
  return count;
}
