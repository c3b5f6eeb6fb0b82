/** Linear layers of one input: which become one product, that results stay, and that a weight written later is seen. */
import assert from "node:assert/strict";
import { callOperator, findBackend, type RunValue } from "../../../src/capture/mod.ts";
import { ShapeEnv } from "../../../src/capture/shape_env.ts";
import { float32, withConfig } from "../../../src/core/mod.ts";
import { type Graph, Interpreter, isTensorMeta, type Node, verifyGraph } from "../../../src/graph/mod.ts";
import { type CompiledGraph, freezeProgram, onCompile } from "../../../src/inductor/mod.ts";
import { findToolchain } from "../../../src/runtime/cpu/mod.ts";
import { fakeTensor, noGrad, type Tensor, tensorFrom } from "../../../src/tensor/mod.ts";
import "../../../mod.ts";
import { type GraphBuilder, graphOf } from "../../helpers/graph_builder.ts";

const ignore = !findToolchain().ok;
const SUM = 128;

function wave(shape: readonly number[], start: number): Tensor {
  const numel = shape.reduce((a, b) => a * b, 1);
  return tensorFrom(shape, Array.from({ length: numel }, (_, i) => Math.sin(i * 1.7 + start) / 4), float32);
}

/** What the graph's attributes are, by the shapes that it states. */
function attributesOf(graph: Graph): Map<string, Tensor> {
  return new Map(graph.attributes.map(({ path, value }, i) => {
    assert(isTensorMeta(value));
    return [path, wave(value.shape.map(Number), i)];
  }));
}

const targets = (graph: Graph): string[] => graph.calls.map((n) => n.target.schema.name);
const countOf = (graph: Graph, name: string): number => targets(graph).filter((t) => t === name).length;

function eager(graph: Graph, inputs: readonly Tensor[], attributes: ReadonlyMap<string, Tensor>): number[][] {
  const interpreter = new Interpreter<RunValue>(graph, (_, args, node) => callOperator(node, args));
  const results = noGrad(() => interpreter.run(inputs, attributes as ReadonlyMap<string, RunValue>));
  return results.map((r) => [...(r as Tensor).dataSync()].map(Number));
}

function assertNear(a: readonly number[][], b: readonly number[][], where: string): void {
  assert.deepEqual(a.map((r) => r.length), b.map((r) => r.length));
  const worst = Math.max(...a.flatMap((list, i) => list.map((v, j) => Math.abs(v - (b[i]?.[j] ?? NaN)))));
  assert.ok(worst <= 2e-4, `${where}: off by ${worst}`);
}

interface Frozen {
  readonly graph: Graph;
  readonly attributes: Map<string, Tensor>;
  readonly compiled: CompiledGraph;
  /** Runs it, and compares with the graph as it was. */
  readonly check: (inputs: readonly Tensor[], where: string) => void;
}

/** Freezes and compiles a graph as an exported program is. */
function freeze(make: () => Graph): Frozen {
  const graph = make();
  const attributes = attributesOf(graph);
  const frozen = freezeProgram(graph, attributes);
  verifyGraph(graph);
  const examples = graph.placeholders.flatMap(({ value }) => isTensorMeta(value) ? [fakeTensor(value)] : []);
  const read = new Set(graph.attributes.map((a) => a.path));
  const module = {
    graph,
    attributes: new Map([...frozen.attributes].filter(([path]) => read.has(path))),
    recorded: new Set<Node>(),
    differentiable: graph.output.results.map(() => false),
  };
  let compiled: CompiledGraph | null = null;
  using _ = onCompile((record) => compiled = record.graph);
  const run = findBackend("inductor")(module, examples, { mode: "aot", options: { freezing: true } });
  assert(compiled !== null);
  const check = (inputs: readonly Tensor[], where: string): void => {
    frozen.refresh();
    const results = noGrad(() => run(inputs)).map((r) => [...(r as Tensor).contiguous().dataSync()].map(Number));
    assertNear(results, eager(make(), inputs, attributes), where);
  };
  return { graph, attributes, compiled, check };
}

function contractions({ compiled }: Frozen): number {
  return compiled.compiled.groups.filter((g) => g.kind === "contraction").length;
}

interface Linear {
  readonly width: number;
  readonly bias: boolean;
}

/** Layers of one input whose results are used like those of attention: turned, scaled, multiplied. */
function layers(b: GraphBuilder, x: Node, list: readonly Linear[], sum = SUM): Node[] {
  const known = list.map(({ width, bias }, i) => [
    b.attribute(`w${i}`, [width, sum]),
    bias ? b.attribute(`b${i}`, [width]) : null,
  ]);
  return known.map(([weight = null, bias = null]) => b.call("aten.linear.default", [x, weight, bias]));
}

const use = (b: GraphBuilder, nodes: readonly Node[]): Node[] => nodes.map((n) => b.call("aten.softmax.int", [n, -1]));
const QKV: readonly Linear[] = [{ width: 40, bias: true }, { width: 24, bias: false }, { width: 56, bias: true }];

Deno.test({
  name: "mergeLinears() makes one product of layers of one input, with other widths and without some biases",
  ignore,
  fn() {
    using _ = withConfig({ disabled: new Set(["cache"]), verify: true });
    const make = (): Graph => graphOf((b) => use(b, layers(b, b.input([2, 9, SUM]), QKV)));
    const frozen = freeze(make);
    assert.equal(countOf(frozen.graph, "linear"), 1);
    assert.equal(contractions(frozen), 1);
    frozen.check([wave([2, 9, SUM], 0.3)], "one product");
    using _off = withConfig({ disabled: new Set(["cache", "linear_merging"]) });
    assert.equal(contractions(freeze(make)), 3);
  },
});

Deno.test({
  name: "merged weights are in memory once, packed, and are packed again when one of them was written",
  ignore,
  fn() {
    using _ = withConfig({ disabled: new Set(["cache"]), verify: true });
    const frozen = freeze(() => graphOf((b) => use(b, layers(b, b.input([4, SUM]), QKV))));
    const x = wave([4, SUM], 0.3);
    frozen.check([x], "first call");
    assert.deepEqual(frozen.compiled.cpp?.weights?.states(), [1]);
    // No concatenation of weights is stored, neither by the pass nor in a call.
    const weightBytes = QKV.reduce((n, { width }) => n + width * SUM * 4, 0);
    assert.ok(frozen.compiled.counters.peakBytes < weightBytes / 2, `${frozen.compiled.counters.peakBytes} bytes`);
    const made = [...frozen.graph.attributes].filter((a) => a.path.startsWith("frozen"));
    assert.deepEqual(made.map(({ value }) => isTensorMeta(value) && value.shape), [[120]], "one bias, no weight");
    noGrad(() => {
      frozen.attributes.get("w1")?.mul_(-3);
      frozen.check([x], "after a write to a weight");
      frozen.attributes.get("b2")?.add_(1);
      frozen.check([x], "after a write to a bias");
    });
  },
});

Deno.test({
  name: "mergeLinears() merges a batch that is a symbol, and what is kept serves every size",
  ignore,
  fn() {
    using _ = withConfig({ disabled: new Set(["cache"]), verify: true });
    const batch = new ShapeEnv().createSize(7, { min: 2, max: 1000 });
    const make = (): Graph => graphOf((b) => use(b, layers(b, b.input([batch, 3, SUM]), QKV)));
    const frozen = freeze(make);
    assert.equal(contractions(frozen), 1);
    for (const size of [2, 7, 64, 2, 300]) frozen.check([wave([size, 3, SUM], size)], `batch ${size}`);
    assert.deepEqual(frozen.compiled.cpp?.weights?.states(), [1]);
  },
});

Deno.test({
  name: "mergeLinears() merges products of decomposed programs: views of one tensor, turned weights",
  ignore,
  fn() {
    using _ = withConfig({ disabled: new Set(["cache"]), verify: true });
    const make = (): Graph =>
      graphOf((b) => {
        const x = b.input([2, 5, SUM]);
        const ws = QKV.map(({ width }, i) => b.attribute(`w${i}`, [width, SUM]));
        const bs = QKV.map(({ width, bias }, i) => bias ? b.attribute(`b${i}`, [width]) : null);
        const out = ws.map((w, i) => {
          const turned = b.call("aten.permute.default", [w, [1, 0]]);
          const flat = b.call("aten.view.default", [x, [10, SUM]]);
          const bias = bs[i] ?? null;
          return bias === null
            ? b.call("aten.mm.default", [flat, turned])
            : b.call("aten.addmm.default", [bias, flat, turned]);
        });
        return use(b, out.map((n, i) => b.call("aten.view.default", [n, [2, 5, QKV[i]?.width ?? 0]])));
      });
    const frozen = freeze(make);
    assert.equal(contractions(frozen), 1);
    frozen.check([wave([2, 5, SUM], 0.3)], "decomposed");
    const plain = (): Graph =>
      graphOf((b) => {
        const ws = QKV.map(({ width }, i) => b.attribute(`w${i}`, [SUM, width]));
        const bs = QKV.map(({ width }, i) => b.attribute(`b${i}`, [width]));
        const x = b.input([10, SUM]);
        return use(b, ws.map((w, i) => b.call("aten.addmm.default", [bs[i] as Node, x, w])));
      });
    const other = freeze(plain);
    assert.equal(contractions(other), 1);
    other.check([wave([10, SUM], 0.3)], "weights [in, out]");
  },
});

Deno.test({
  name: "attention over merged layers reads slices where they lie: no launch but the products and the softmax",
  ignore,
  fn() {
    using _ = withConfig({ disabled: new Set(["cache"]), verify: true });
    const [images, length, heads, size] = [2, 10, 4, 32];
    const make = (): Graph =>
      graphOf((b) => {
        const x = b.input([images, length, SUM]);
        const of = [0, 1, 2].map((i) => [b.attribute(`w${i}`, [SUM, SUM]), b.attribute(`b${i}`, [SUM])]);
        const [q, k, v] = of.map(([w, bias]) => {
          const out = b.call("aten.linear.default", [x, w as Node, bias as Node]);
          return b.call("aten.transpose.int", [
            b.call("aten.view.default", [out, [images, length, heads, size]]),
            1,
            2,
          ]);
        }) as [Node, Node, Node];
        return b.call("aten.scaled_dot_product_attention.default", [q, k, v]);
      });
    const frozen = freeze(make);
    frozen.check([wave([images, length, SUM], 0.3)], "attention");
    const merged = frozen.compiled.compiled.groups.length;
    using _off = withConfig({ disabled: new Set(["cache", "linear_merging"]), verify: true });
    assert.equal(merged, freeze(make).compiled.compiled.groups.length - 2);
  },
});

const STAYS: Readonly<Record<string, (b: GraphBuilder) => Node | readonly Node[]>> = {
  "what the graph returns": (b) => layers(b, b.input([4, SUM]), QKV),
  "gate and up, whose product has the other as its epilogue": (b) => {
    const x = b.input([4, SUM]);
    const [gate, up] = layers(b, x, [{ width: 64, bias: false }, { width: 64, bias: false }]) as [Node, Node];
    return b.call("aten.mul.Tensor", [b.call("aten.silu.default", [gate]), up]);
  },
  "weights that are inputs": (b) => {
    const x = b.input([4, SUM]);
    const ws = [b.input([64, SUM]), b.input([64, SUM])];
    return use(b, ws.map((w) => b.call("aten.linear.default", [x, w, null])));
  },
  "weights that the graph writes": (b) => {
    const x = b.input([4, SUM]);
    const ws = [b.attribute("w0", [64, SUM]), b.attribute("w1", [64, SUM])];
    const out = use(b, ws.map((w) => b.call("aten.linear.default", [x, w, null])));
    b.call("aten.add_.Tensor", [ws[1] as Node, 1, 1]);
    return out;
  },
  "other inputs": (b) => {
    const [x, y] = [b.input([4, SUM]), b.input([4, SUM])];
    const ws = [b.attribute("w0", [64, SUM]), b.attribute("w1", [64, SUM])];
    return use(b, ws.map((w, i) => b.call("aten.linear.default", [i === 0 ? x : y, w, null])));
  },
  "results of which a view needs strides that slices do not have": (b) => {
    const x = b.input([3, 4, SUM]);
    const out = layers(b, x, [{ width: 40, bias: false }, { width: 24, bias: false }]);
    return use(b, out.map((n) => b.call("aten.view.default", [n, [-1]])));
  },
  "short sums": (b) => use(b, layers(b, b.input([4, 64]), QKV, 64)),
};
for (const [name, body] of Object.entries(STAYS)) {
  Deno.test({
    name: `mergeLinears() leaves ${name}`,
    ignore,
    fn() {
      using _ = withConfig({ verify: true });
      const graph = graphOf(body);
      const before = countOf(graph, "linear");
      freezeProgram(graph, attributesOf(graph));
      assert.equal(countOf(graph, "linear"), before);
    },
  });
}
