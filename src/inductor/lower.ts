/**
 * Lowering: a functional graph becomes groups of one stage each, before any fusion.
 *
 * Each node's operator builds its loop from loaders of its inputs; loaders of what has not been stored inline. Pointwise results stay lazy
 * until {@linkcode reasonToRealize} says otherwise or the caller wants them; views are index maps; reductions, contractions, scans,
 * scatters and host operators are stored. Leaves: groups in execution order, whose buffers are objects, and how results are made of
 * buffers. Mirrors `GraphLowering` and `ir.py` of TorchInductor.
 */
import { expectDefined, InternalError, isStageEnabled, log } from "../core/mod.ts";
import type { Argument, CallNode, GetItemNode, Graph, Node, OutputNode, TensorMeta } from "../graph/mod.ts";
import { isNode, isTensorMeta } from "../graph/mod.ts";
import type { BufferRef, ContractionLoop, LoopInput, LoopNode, LoopVar, ReductionLoop } from "../loops/mod.ts";
import { asIndex, extentOf, loopVar, ops, type ScanLoop, type ScatterLoop, type Value } from "../loops/mod.ts";
import type { NamedArgs, Operator } from "../ops/mod.ts";
import { constant, exprOf } from "../symbolic/mod.ts";
import { layoutOf, newBuffer, product, sameStrides, shapeOf, sizeHints, storageSize } from "./buffers.ts";
import { graphDevice } from "./graph_device.ts";
import type { Group, LoopGroup, Stage } from "./groups.ts";
import type { PlanResult } from "./host_plan.ts";
import { type DimOrder, dimOrders } from "./layouts.ts";
import { loopArguments, TrackedInput } from "./loop_inputs.ts";
import { type Hint, simplifyContraction, simplifyLoopGroup, simplifyScan } from "./loop_space.ts";
import { attentionGroup, isWholeAttention } from "./lower_attention.ts";
import { type BlocksHost, lowerBlocks } from "./lower_blocks.ts";
import { Concatenations, joinsWeights } from "./lower_cat.ts";
import { isWholeAlgorithm, lowerHost, type WrittenResult } from "./lower_host.ts";
import { inputLayout, pairsRead } from "./lower_inputs.ts";
import { costOf, flatIndex, type InMemory, isConst, type Layout, LoweredTensor, rowMajorStride } from "./lowered.ts";
import { type Lowering, plainResult } from "./lowering.ts";
import { contractionGroup, operatorOf, refuseUnloweredForms, scanGroup } from "./lower_stored.ts";
import { reasonToFinish, reasonToRealize, reasonToRealizeInput } from "./realize.ts";
import { paddedRows, padRows } from "./row_padding.ts";
import { unrollReduction } from "./unroll.ts";
import { feedsSmaller, UserCounts } from "./users.ts";

/** What a node has become: one tensor, several, or a number. */
type LoweredValue = LoweredTensor | readonly LoweredTensor[] | null;

/**
 * Lowers a functional graph. `replaced` are the results that take the place of what the caller gave: stored where they are computed, and read from there
 * afterwards, so that nobody needs the old values any more.
 *
 * @throws {CompileError} for operators that have to be decomposed, functionalised or run outside of compiled graphs, naming them.
 */
export function lowerGraph(graph: Graph, replaced: Iterable<number> = []): Lowering {
  return new GraphLowering(graph, replaced).run();
}

class GraphLowering {
  readonly #graph: Graph;
  readonly #hint: Hint;
  readonly #groups: Group[] = [];
  readonly #values = new Map<Node, LoweredValue>();
  readonly #users = new UserCounts();
  readonly #realized = new Map<BufferRef, string>();
  /** Results of contractions, by buffer. */
  readonly #contractions = new Map<BufferRef, Node>();
  readonly #inline = isStageEnabled("inlining");
  /** Whether operands are to lie in memory as they are multiplied: tensor cores read them from there. */
  readonly #onCuda: boolean;
  /** Matrices with room at the end of their rows. */
  readonly #padded: ReadonlySet<Node>;
  readonly #orders: ReadonlyMap<Node, DimOrder>;
  readonly #concatenations: Concatenations;
  readonly #replacing: ReadonlySet<Node>;
  #operators = 0;
  /** While a kernel inlines a graph, nothing of it is stored. */
  #keepsLazy = false;

  constructor(graph: Graph, replaced: Iterable<number>) {
    this.#graph = graph;
    this.#replacing = new Set([...replaced].map((at) => graph.output.results[at]).filter(isNode));
    this.#hint = sizeHints(graph);
    this.#onCuda = graphDevice(graph).type === "cuda";
    this.#padded = this.#onCuda && isStageEnabled("layouts") ? paddedRows(graph) : new Set();
    this.#concatenations = new Concatenations(graph, {
      tensorOf: (node) => this.#tensorOf(node),
      newTensor: (node, meta, reason) => this.#newTensor(node, meta, reason),
      push: (origins, vars, stage) => this.#push(origins, vars, [], stage),
    }, { inlines: this.#inline, chains: this.#inline && !this.#onCuda });
    this.#orders = this.#onCuda && isStageEnabled("layouts") ? dimOrders(graph) : new Map();
  }

  run(): Lowering {
    const inputs: (InMemory | null)[] = [];
    const attributes: { path: string; memory: InMemory }[] = [];
    let results: readonly PlanResult[] = [];
    for (const node of this.#graph.nodes) {
      switch (node.op) {
        case "placeholder":
          inputs.push(this.#lowerInput(node));
          break;
        case "getAttr": {
          const memory = this.#lowerInput(node);
          if (memory === null) throw new InternalError(`the attribute ${node.path} is not a tensor`);
          attributes.push({ path: node.path, memory });
          break;
        }
        case "call":
          this.#lowerCall(node);
          break;
        case "getItem":
          this.#values.set(node, this.#lowerGetItem(node));
          break;
        case "output":
          results = this.#lowerOutput(node);
          break;
        default:
          node satisfies never;
      }
    }
    log("loops", () => `${this.#groups.length} groups before fusion`);
    return {
      groups: this.#groups,
      inputs: inputs.map((memory) => memory?.buffer ?? null),
      attributes: attributes.map(({ path, memory }) => ({ path, buffer: memory.buffer })),
      inputLayouts: inputs,
      attributeLayouts: attributes.map(({ memory }) => memory),
      results,
      hint: this.#hint,
      realized: this.#realized,
      operators: this.#operators,
    };
  }

  #lowerInput(node: Node): InMemory | null {
    const meta = node.value;
    if (!isTensorMeta(meta)) {
      this.#values.set(node, null);
      return null;
    }
    const { dtype, ...layout } = inputLayout(node, meta);
    const memory: InMemory = { kind: "memory", buffer: newBuffer(node.name, dtype, storageSize(layout)), layout };
    this.#values.set(node, new LoweredTensor(node, layout.shape, dtype, memory));
    return memory;
  }

  #lowerGetItem(node: GetItemNode): LoweredValue {
    const source = this.#values.get(node.source);
    if (Array.isArray(source)) return expectDefined((source as readonly LoweredTensor[])[node.index], node.name);
    if (node.index === 0 && source instanceof LoweredTensor) return source;
    throw new InternalError(`${node.name} takes result ${node.index} of ${node.source.name}, which has none`);
  }

  #lowerCall(node: CallNode): void {
    const op = operatorOf(node);
    if (isWholeAttention(node)) {
      this.#operators++;
      this.#values.set(node, this.#lowerAttention(node));
      return;
    }
    if (op.kind === "decompose" && this.#onCuda && isWholeAlgorithm(node)) {
      this.#operators++;
      this.#values.set(node, this.#lowerHost(node));
      return;
    }
    refuseUnloweredForms(node, op);
    if (op.view === null) this.#operators++;
    const pairs = pairsRead(node);
    if (pairs !== null) {
      this.#values.set(node, this.#tensorOf(pairs));
    } else if (!isTensorMeta(node.value) && !Array.isArray(node.value)) {
      this.#values.set(node, null); // a size: its value is on the node
    } else if (op.kind === "host") {
      this.#values.set(node, this.#lowerHost(node));
    } else if (op.kind === "blocks") {
      this.#values.set(node, this.#lowerBlocks(node, op));
    } else if (isTensorMeta(node.value)) {
      this.#values.set(node, this.#lowerLoop(node, op, node.value));
    } else throw new InternalError(`${op.target} has a loop and several results (${node.name})`);
  }

  #lowerLoop(node: CallNode, op: Operator, meta: TensorMeta): LoweredTensor {
    if (op.schema.name === "cat") {
      const joined = this.#concatenations.lower(node, meta);
      if (joined !== null) return this.#inMemory(node, joined.buffer, joined.layout);
    }
    const build = expectDefined(op.loop, `${op.target}: its loop`);
    const inputs: TrackedInput[] = [];
    const attempt = (): LoopNode => {
      inputs.length = 0;
      return build(this.#namedArgs(node, op, inputs), meta);
    };
    let loop = attempt();
    if (this.#storeCostlyInputs(loop, inputs, op.schema.name.startsWith("conv"))) loop = attempt();
    return this.#lowerLoopNode(node, meta, loop, inputs);
  }

  /** Stores inputs that the loop would recompute too often; true if there were any. */
  #storeCostlyInputs(loop: LoopNode, inputs: readonly TrackedInput[], isConvolution: boolean): boolean {
    if (this.#keepsLazy) return false;
    let stored = false;
    for (const [i, { tensor, places }] of inputs.entries()) {
      if (tensor.isInMemory || loop.kind === "view") continue;
      if (loop.kind === "contraction" && !this.#onCuda && joinsWeights(tensor.base.node)) continue;
      const how = { places, isConvolution, isSecond: i === 1, onCuda: this.#onCuda, inline: this.#inline };
      const reason = reasonToRealizeInput(loop, tensor, how, this.#hint);
      if (reason === null) continue;
      this.#realize(tensor.base, reason);
      stored = true;
    }
    return stored;
  }

  #lowerLoopNode(node: CallNode, meta: TensorMeta, loop: LoopNode, inputs: readonly TrackedInput[]): LoweredTensor {
    const origins = new Set<Node>([node]);
    for (const { tensor } of inputs) for (const origin of tensor.origins) origins.add(origin);
    switch (loop.kind) {
      case "pointwise":
        return this.#lazy(node, meta, loop.vars, loop.value, origins);
      case "view": {
        if (!(loop.input instanceof TrackedInput)) {
          throw new InternalError(`${node.name}: a view of what is no argument`);
        }
        const state = { kind: "view", base: loop.input.tensor, vars: loop.vars, index: loop.index } as const;
        return new LoweredTensor(node, shapeOf(meta), loop.dtype, state);
      }
      case "reduction": {
        const value = unrollReduction(loop, feedsSmaller(node, meta, this.#hint));
        if (value !== null) return this.#lazy(node, meta, loop.vars, value, origins);
        return this.#lowerReduction(node, meta, loop, origins);
      }
      case "scan":
        return this.#lowerScan(node, meta, loop, origins);
      case "scatter":
        return this.#lowerScatter(node, meta, loop, origins);
      case "contraction":
        return this.#lowerContraction(node, meta, loop, origins);
      default:
        return loop satisfies never;
    }
  }

  #lazy(
    node: Node,
    meta: TensorMeta,
    vars: readonly LoopVar[],
    value: Value,
    origins: ReadonlySet<Node>,
  ): LoweredTensor {
    const cast = ops.cast(value, meta.dtype);
    const state = { kind: "lazy", vars, value: cast, cost: costOf(cast) } as const;
    const tensor = new LoweredTensor(node, shapeOf(meta), meta.dtype, state, origins);
    if (this.#keepsLazy) return tensor;
    const users = this.#users.of(node);
    const reason = this.#replacing.has(node)
      ? "it takes the place of what was there"
      : this.#inline
      ? this.#copyReason(cast) ?? this.#finishReason(cast, meta, users) ?? reasonToRealize(state.cost, users)
      : null;
    if (reason !== null) this.#realize(tensor, reason);
    return tensor;
  }

  /** Why a copy should be made where it stands: the contraction before it can write the new layout at no cost. */
  #copyReason(value: Value): string | null {
    if (value.kind !== "load") return null;
    const source = this.#contractions.get(value.buffer);
    if (source === undefined || this.#users.of(source) !== 1) return null;
    return "the contraction before it writes the copy's layout";
  }

  #finishReason(value: Value, meta: TensorMeta, users: number): string | null {
    if (!this.#onCuda || meta.dtype.bytes !== 2) return null;
    const isProduct = (buffer: BufferRef): boolean => {
      const source = this.#contractions.get(buffer);
      return source !== undefined && this.#users.of(source) === 1;
    };
    return reasonToFinish(value, product(shapeOf(meta)), users, isProduct, this.#hint);
  }

  // Storing.

  #newTensor(node: Node, meta: TensorMeta, reason: string): { buffer: BufferRef; layout: Layout } {
    const dense = layoutOf(meta, this.#orders.get(node));
    const layout = this.#padded.has(node) ? padRows(dense) : dense;
    const buffer = newBuffer(node.name, meta.dtype, layout === dense ? product(layout.shape) : storageSize(layout));
    this.#realized.set(buffer, reason);
    return { buffer, layout };
  }

  #push(origins: ReadonlySet<Node>, axes: readonly LoopVar[], reduceAxes: readonly LoopVar[], stage: Stage): void {
    const group: LoopGroup = {
      kind: "loops",
      origins: [...origins].sort((a, b) => a.id - b.id),
      stored: new Set([stage.out]),
      reasons: [],
      axes,
      reduceAxes,
      stages: [stage],
    };
    this.#groups.push(simplifyLoopGroup(group, this.#hint));
  }

  /** Stores a lazy tensor, in its description's layout. */
  #realize(tensor: LoweredTensor, reason: string): void {
    const meta = tensor.node.value;
    if (!isTensorMeta(meta)) throw new InternalError(`${tensor.node.name} is not a tensor`);
    const { buffer, layout } = this.#newTensor(tensor.node, meta, reason);
    const { vars, value } = tensor.asLoop();
    const origins = new Set([...tensor.origins, tensor.node]);
    const index = flatIndex(layout, asIndex(vars));
    this.#push(origins, vars, [], { kind: "pointwise", space: "outer", out: buffer, index, value });
    tensor.setRealized(buffer, layout);
  }

  #inMemory(node: Node, buffer: BufferRef, layout: Layout): LoweredTensor {
    return new LoweredTensor(node, layout.shape, buffer.dtype, { kind: "memory", buffer, layout });
  }

  /** A reduction of a large domain to few results stays one stage: only the tiler knows how many workers may share it. */
  #lowerReduction(node: Node, meta: TensorMeta, loop: ReductionLoop, origins: ReadonlySet<Node>): LoweredTensor {
    const { buffer, layout } = this.#newTensor(node, meta, "reductions are stored");
    const index = flatIndex(layout, asIndex(loop.vars));
    const { op, value } = loop;
    this.#push(origins, loop.vars, loop.reduceVars, { kind: "reduction", out: buffer, index, op, value });
    return this.#inMemory(node, buffer, layout);
  }

  #lowerScan(node: Node, meta: TensorMeta, loop: ScanLoop, origins: ReadonlySet<Node>): LoweredTensor {
    const scanAxis = expectDefined(loop.vars[loop.axis], `${node.name}: the scanned axis`);
    if (isConst(extentOf(scanAxis), 1)) return this.#lazy(node, meta, loop.vars, loop.value, origins);
    const { buffer, layout } = this.#newTensor(node, meta, "scans are stored");
    const group = scanGroup(loop, scanAxis, { buffer, layout }, origins);
    this.#groups.push(simplifyScan(group));
    return this.#inMemory(node, buffer, layout);
  }

  /** A copy of the base, then the updates into it. */
  #lowerScatter(node: Node, meta: TensorMeta, loop: ScatterLoop, origins: ReadonlySet<Node>): LoweredTensor {
    const { buffer, layout } = this.#newTensor(node, meta, "scatters write to memory");
    const vars = layout.shape.map((size) => loopVar(size));
    const at = asIndex(vars);
    const value = ops.cast(loop.base.load(at), meta.dtype);
    const index = flatIndex(layout, at);
    this.#push(origins, vars, [], { kind: "pointwise", space: "outer", out: buffer, index, value });
    this.#push(origins, loop.vars, [], {
      kind: "scatter",
      space: "outer",
      out: buffer,
      index: flatIndex(layout, loop.target),
      op: loop.op,
      value: ops.cast(loop.value, meta.dtype),
    });
    return this.#inMemory(node, buffer, layout);
  }

  #lowerContraction(node: Node, meta: TensorMeta, loop: ContractionLoop, origins: ReadonlySet<Node>): LoweredTensor {
    const { buffer, layout } = this.#newTensor(node, meta, "contractions are stored");
    this.#contractions.set(buffer, node);
    this.#groups.push(simplifyContraction(contractionGroup(loop, { buffer, layout }, origins)));
    return this.#inMemory(node, buffer, layout);
  }

  #lowerAttention(node: CallNode): LoweredValue {
    const { group, results } = attentionGroup(node, {
      ...this.#lend(),
      inline: (graph, inputs) => this.#inlineGraph(graph, inputs),
    });
    this.#groups.push(group);
    return this.#written(node, results, "attention is stored");
  }

  /** Results of a graph whose operators compute element by element, none of them stored. */
  #inlineGraph(graph: Graph, inputs: readonly LoweredTensor[]): LoweredTensor[] {
    const before = this.#keepsLazy;
    this.#keepsLazy = true;
    try {
      let next = 0;
      for (const node of graph.nodes) {
        if (node.op === "placeholder") this.#values.set(node, inputs[next++] ?? null);
        else if (node.op === "call") this.#lowerCall(node);
        else if (node.op === "output") {
          return node.results.map((r) => expectDefined(isNode(r) ? this.#tensorOf(r) : null, "an inlined result"));
        }
      }
      throw new InternalError("an inlined graph has no results");
    } finally {
      this.#keepsLazy = before;
    }
  }

  #lowerBlocks(node: CallNode, op: Operator): LoweredValue {
    const { groups, results } = lowerBlocks(node, op, this.#lend());
    for (const group of groups) {
      this.#groups.push(group.kind === "loops" ? simplifyLoopGroup(group, this.#hint) : group);
    }
    return this.#written(node, results, "kernels write to memory");
  }

  /** What files that lower operators of their own may use. */
  #lend(): BlocksHost {
    return {
      tensorOf: (argument) => isNode(argument as Argument) ? this.#tensorOf(argument as Node) : null,
      realize: (tensor, reason) => this.#realize(tensor, reason),
      copy: (tensor, reason) => {
        const to: Layout = { shape: tensor.shape, stride: rowMajorStride(tensor.shape), offset: constant(0) };
        return this.#inMemory(tensor.node, this.#copy(tensor, to, reason), to);
      },
    };
  }

  #lowerHost(node: CallNode): LoweredValue {
    const { group, results } = lowerHost(node, (source) => {
      const tensor = this.#tensorOf(source);
      return tensor === null ? null : this.#contiguous(tensor);
    }, this.#onCuda);
    this.#groups.push(group);
    return this.#written(node, results, "host operators write to memory");
  }

  /** Results that one group writes, in memory. */
  #written(node: CallNode, results: readonly WrittenResult[], reason: string): LoweredValue {
    const tensors = results.map(({ buffer, layout }) => {
      this.#realized.set(buffer, reason);
      return this.#inMemory(node, buffer, layout);
    });
    return Array.isArray(node.value) ? tensors : tensors[0] ?? null;
  }

  /** A buffer that holds exactly the tensor's elements in row-major order. */
  #contiguous(tensor: LoweredTensor): BufferRef {
    const found = tensor.inMemory();
    const stride = rowMajorStride(tensor.shape);
    if (
      found !== null && isConst(found.layout.offset, 0) && sameStrides(found.layout, stride) &&
      found.buffer.numel === product(tensor.shape)
    ) return found.buffer;
    const layout: Layout = { shape: tensor.shape, stride, offset: constant(0) };
    return this.#copy(tensor, layout, "a host operator reads it in row-major order");
  }

  #copy(tensor: LoweredTensor, layout: Layout, reason: string): BufferRef {
    const buffer = newBuffer(tensor.node.name, tensor.dtype, storageSize(layout));
    this.#realized.set(buffer, reason);
    const vars = layout.shape.map((size) => loopVar(size));
    const at = asIndex(vars);
    const origins = new Set([...tensor.origins, tensor.node]);
    const value = tensor.load(at);
    this.#push(origins, vars, [], {
      kind: "pointwise",
      space: "outer",
      out: buffer,
      index: flatIndex(layout, at),
      value,
    });
    return buffer;
  }

  // Arguments.

  #tensorOf(node: Node): LoweredTensor | null {
    const value = this.#values.get(node);
    return value instanceof LoweredTensor ? value : null;
  }

  #namedArgs(node: CallNode, op: Operator, inputs: TrackedInput[]): NamedArgs<LoopInput> {
    return loopArguments(node, op, (source) => this.#tensorOf(source), inputs);
  }

  // Results.

  #lowerOutput(node: OutputNode): PlanResult[] {
    return node.results.map((result): PlanResult => {
      const value = isNode(result) ? result.value : result;
      const tensor = isNode(result) ? this.#tensorOf(result) : null;
      if (tensor !== null && isTensorMeta(value)) return this.#tensorResult(tensor, value);
      const plain = plainResult(value);
      if (plain !== null) return plain;
      if (isNode(result)) throw new InternalError(`the graph returns ${result.name}, which is no tensor and no number`);
      throw new InternalError("the graph returns a list: flatten the results before lowering");
    });
  }

  #tensorResult(tensor: LoweredTensor, meta: TensorMeta): PlanResult {
    const stride = meta.stride.map(exprOf);
    if (!tensor.isInMemory) this.#realize(tensor.base, "the graph returns it, or a view of it");
    const found = tensor.inMemory();
    if (found !== null && sameStrides(found.layout, stride)) {
      return { kind: "tensor", buffer: found.buffer, ...found.layout, stride };
    }
    const layout: Layout = { shape: shapeOf(meta), stride, offset: constant(0) };
    const buffer = this.#copy(tensor, layout, "the graph returns it with other strides");
    return { kind: "tensor", buffer, ...layout };
  }
}
