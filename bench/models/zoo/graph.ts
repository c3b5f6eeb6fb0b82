/**
 * Graph networks: GCN (Kipf & Welling 2017) and GAT (Veličković et al. 2018), with the names of PyTorch Geometric.
 *
 * A graph is its edges as int64 [2, edges]: sources, then targets. Each node is its own neighbour exactly once: loops among the edges are
 * weighted with 0 and one loop a node is added, so that shapes do not depend on the data.
 */
import { arange, F, nn, ones, type Tensor, zeros } from "../../../mod.ts";

interface Edges {
  readonly source: Tensor;
  readonly target: Tensor;
  /** False where an edge does not count. */
  readonly counts: Tensor;
}

function withLoops(edges: Tensor, nodes: number): Edges {
  const own = arange(0, nodes, { device: edges.device, dtype: edges.dtype });
  const [source, target] = edges.unbind(0);
  if (source === undefined || target === undefined) throw new TypeError("edges must be [2, edges]");
  return {
    source: F.cat([source, own]),
    target: F.cat([target, own]),
    counts: F.cat([source.ne(target), own.ge(0)]),
  };
}

/** The mean of the neighbours, weighted by degrees, and a linear layer. */
export class GCNConv extends nn.Module {
  bias: nn.Parameter;
  readonly lin: nn.Linear;

  constructor(inChannels: number, outChannels: number) {
    super();
    this.bias = nn.parameter(zeros([outChannels]));
    this.lin = new nn.Linear(inChannels, outChannels, { bias: false });
  }

  override forward(x: Tensor, edges: Tensor): Tensor {
    const nodes = Number(x.shape[0]);
    const { source, target, counts } = withLoops(edges, nodes);
    const weights = counts.to(x.dtype);
    const degrees = zeros([nodes], { dtype: x.dtype, device: x.device }).indexAdd(0, target, weights).rsqrt();
    const norm = degrees.indexSelect(0, source).mul(degrees.indexSelect(0, target)).mul(weights);
    const messages = this.lin.forward(x);
    return messages.mul(0).indexAdd(0, target, messages.indexSelect(0, source).mul(norm.unsqueeze(1))).add(this.bias);
  }
}

/** Two convolutions: features [nodes, in], edges [2, edges] → logits [nodes, classes]. */
export class GCN extends nn.Module {
  readonly conv1: GCNConv;
  readonly conv2: GCNConv;

  constructor(inChannels: number, hidden: number, classes: number) {
    super();
    this.conv1 = new GCNConv(inChannels, hidden);
    this.conv2 = new GCNConv(hidden, classes);
  }

  override forward(x: Tensor, edges: Tensor): Tensor {
    return this.conv2.forward(nn.functional.relu(this.conv1.forward(x, edges)), edges);
  }
}

/** The mean of the neighbours, weighted by attention; several heads stand side by side. */
export class GATConv extends nn.Module {
  readonly heads: number;
  readonly outChannels: number;
  attSrc: nn.Parameter;
  attDst: nn.Parameter;
  bias: nn.Parameter;
  readonly lin: nn.Linear;

  constructor(inChannels: number, outChannels: number, heads = 1) {
    super();
    this.heads = heads;
    this.outChannels = outChannels;
    this.attSrc = nn.parameter(nn.init.xavierUniform_(ones([1, heads, outChannels])));
    this.attDst = nn.parameter(nn.init.xavierUniform_(ones([1, heads, outChannels])));
    this.bias = nn.parameter(zeros([heads * outChannels]));
    this.lin = new nn.Linear(inChannels, heads * outChannels, { bias: false });
  }

  override forward(x: Tensor, edges: Tensor): Tensor {
    const nodes = Number(x.shape[0]);
    const { source, target, counts } = withLoops(edges, nodes);
    const h = this.lin.forward(x).reshape([nodes, this.heads, this.outChannels]);
    const from = h.mul(this.attSrc).sum([-1]).indexSelect(0, source);
    const to = h.mul(this.attDst).sum([-1]).indexSelect(0, target);
    const scores = nn.functional.leakyRelu(from.add(to), 0.2).maskedFill(counts.logicalNot().unsqueeze(1), -Infinity);
    // A softmax over the edges of each target; the largest score is taken off first and does not change the result.
    const none = zeros([nodes, this.heads], { dtype: x.dtype, device: x.device });
    const at = target.unsqueeze(1).expand(scores.shape);
    const largest = none.scatterReduce(0, at, scores.detach(), "amax", { includeSelf: false });
    const exps = scores.sub(largest.indexSelect(0, target)).exp();
    const shares = exps.div(none.indexAdd(0, target, exps).indexSelect(0, target));
    const messages = h.indexSelect(0, source).mul(shares.unsqueeze(-1));
    return h.mul(0).indexAdd(0, target, messages).flatten(1).add(this.bias);
  }
}

/** Two convolutions with attention: features [nodes, in], edges [2, edges] → logits [nodes, classes]. */
export class GAT extends nn.Module {
  readonly conv1: GATConv;
  readonly conv2: GATConv;

  constructor(inChannels: number, hidden: number, classes: number, heads: number) {
    super();
    this.conv1 = new GATConv(inChannels, hidden, heads);
    this.conv2 = new GATConv(heads * hidden, classes);
  }

  override forward(x: Tensor, edges: Tensor): Tensor {
    return this.conv2.forward(nn.functional.elu(this.conv1.forward(x, edges)), edges);
  }
}
