/**
 * Convolutions and their gradients, rewritten for tensor cores, compute what they did.
 */
import assert from "node:assert/strict";
import { GraphRecorder, interpretProgram } from "../../../src/aot_autograd/mod.ts";
import { bfloat16, device, type DType, float32 } from "../../../src/core/mod.ts";
import type { Graph, TensorMeta } from "../../../src/graph/mod.ts";
import { rewriteConvolutions } from "../../../src/inductor/passes/convolution_products.ts";
import { contiguousStride } from "../../../src/symbolic/mod.ts";
import { F, installOperators, manualSeed, randn, sameLayout, type Tensor, withMode } from "../../../src/tensor/mod.ts";

installOperators();

interface Case {
  readonly n: number;
  readonly channels: number;
  readonly out: number;
  readonly size: readonly number[];
  readonly window: readonly number[];
  readonly stride: readonly number[];
  readonly padding: readonly number[];
  readonly dilation?: readonly number[];
  readonly groups?: number;
}

function outSize({ size, window, stride, padding, dilation = [] }: Case): number[] {
  return size.map((s, d) => {
    const reach = ((window[d] ?? 1) - 1) * (dilation[d] ?? 1) + 1;
    return Math.floor((s + 2 * (padding[d] ?? 0) - reach) / (stride[d] ?? 1)) + 1;
  });
}

type Kind = "conv" | "input" | "weight";

function shapes(c: Case, kind: Kind): readonly [readonly number[], readonly number[]] {
  const x = [c.n, c.channels, ...c.size];
  const w = [c.out, c.channels / (c.groups ?? 1), ...c.window];
  const g = [c.n, c.out, ...outSize(c)];
  return kind === "conv" ? [x, w] : kind === "input" ? [g, w] : [x, g];
}

function graphOf(c: Case, kind: Kind, dtype: DType, returned = false): Graph {
  const r = new GraphRecorder();
  const [a, b] = shapes(c, kind).map((shape, i) =>
    r.placeholder(`x${i}`, {
      shape,
      stride: contiguousStride(shape),
      storageOffset: 0,
      dtype,
      device: device("cuda"),
    })
  ) as [Tensor, Tensor];
  const result = withMode(r, () => {
    const rest = [c.stride, c.padding, c.dilation ?? c.size.map(() => 1), c.groups ?? 1] as const;
    const y = kind === "conv"
      ? F.conv(a, b, outSize(c), ...rest)
      : kind === "input"
      ? F.convInputGrad(a, b, c.size, ...rest)
      : F.convWeightGrad(a, b, c.window, ...rest);
    return returned ? y : y.to(float32);
  });
  r.graph.setOutput([r.nodeOf(result)]);
  return r.graph;
}

function run(graph: Graph, inputs: readonly Tensor[]): Tensor {
  const request = { graph, attributes: new Map<string, Tensor>(), writes: [], kind: "inference" as const };
  const program = interpretProgram({ ...request, context: { mode: "default", options: {} } });
  return program(inputs)[0] as Tensor;
}

const names = (graph: Graph): string[] => graph.nodes.flatMap((n) => n.op === "call" ? [n.target.schema.name] : []);

function check(c: Case, kind: Kind, gone: string | null): void {
  manualSeed(7);
  const inputs = shapes(c, kind).map((shape) => randn(shape).mul(0.5).to(bfloat16));
  const expected = run(graphOf(c, kind, bfloat16), inputs);
  const graph = graphOf(c, kind, bfloat16);
  const before = names(graph).join();
  rewriteConvolutions(graph, 0);
  const after = names(graph);
  if (gone === null) assert.equal(after.join(), before);
  else assert.ok(!after.includes(gone), `${gone} is still there: ${after}`);
  const got = run(graph, inputs);
  assert.deepEqual(got.shape, expected.shape);
  const [x, y] = [expected, got].map((t) => t.reshape([-1]).toArray() as number[]) as [number[], number[]];
  const scale = Math.max(...x.map(Math.abs));
  x.forEach((v, i) => assert.ok(Math.abs(v - (y[i] ?? NaN)) <= 0.01 * scale, `${i}: ${v} and ${y[i]}`));
}

const PLAIN: Case = { n: 2, channels: 8, out: 16, size: [6, 5], window: [3, 3], stride: [1, 1], padding: [1, 1] };

Deno.test("the gradient by the input is a convolution, spread out by the step", () => {
  check(PLAIN, "input", "conv_input_grad");
  check({ ...PLAIN, stride: [2, 2], size: [6, 8] }, "input", "conv_input_grad");
  check({ ...PLAIN, stride: [2, 3], size: [7, 9], padding: [0, 1] }, "input", "conv_input_grad");
  check({ ...PLAIN, window: [3, 1], padding: [2, 0] }, "input", "conv_input_grad");
});

Deno.test("where the window is one pixel, the product comes first", () => {
  const one: Case = { ...PLAIN, window: [1, 1], padding: [0, 0], stride: [2, 2], size: [6, 8] };
  const graph = graphOf(one, "input", bfloat16);
  rewriteConvolutions(graph, 0);
  const call = graph.nodes.find((n) => n.op === "call" && n.target.schema.name === "conv_input_grad");
  assert.ok(call?.op === "call");
  assert.deepEqual(call.args[2], [3, 4]);
  assert.deepEqual(call.args[3], [1, 1]);
  for (const size of [[6, 8], [5, 7]] as const) {
    const c = { ...one, size };
    manualSeed(8);
    const inputs = shapes(c, "input").map((shape) => randn(shape).to(bfloat16));
    const g = graphOf(c, "input", bfloat16);
    const expected = run(graphOf(c, "input", bfloat16), inputs);
    rewriteConvolutions(g, 0);
    assert.deepEqual(run(g, inputs).toArray(), expected.toArray());
  }
});

Deno.test("the gradient by the weight is a product of windows", () => {
  for (
    const c of [
      PLAIN,
      { ...PLAIN, stride: [2, 2] as const, size: [7, 8] as const },
      { ...PLAIN, window: [1, 1] as const, padding: [0, 0] as const, stride: [2, 2] as const },
      { ...PLAIN, channels: 3, window: [3, 2] as const, padding: [1, 0] as const },
    ]
  ) {
    check(c, "weight", "");
    const graph = graphOf(c, "weight", bfloat16);
    rewriteConvolutions(graph, 0);
    const call = graph.nodes.find((n) => n.op === "call" && n.target.schema.name === "conv_weight_grad");
    assert.ok(call?.op === "call");
    assert.deepEqual(call.args[2], [1, 1]);
    assert.deepEqual(call.args[3], [1, 1]);
  }
});

/** The shapes of the operands of the first convolution that is left. */
function operandShapes(c: Case): unknown[] {
  const graph = graphOf(c, "conv", bfloat16);
  rewriteConvolutions(graph, 0);
  const call = graph.nodes.find((n) => n.op === "call" && n.target.schema.name === "conv");
  assert.ok(call?.op === "call");
  return call.args.slice(0, 2).map((of) => (of as { value: { shape: unknown } }).value.shape);
}

Deno.test("few channels are filled up to whole vectors, or make a product of windows where that is less", () => {
  const first: Case = { ...PLAIN, channels: 3, window: [7, 7], stride: [2, 2], padding: [3, 3], size: [12, 10] };
  check(first, "conv", "");
  assert.deepEqual(operandShapes(first), [[2, 8, 12, 10], [16, 8, 7, 7]]);
  const patches: Case = { ...PLAIN, channels: 3, window: [4, 4], stride: [4, 4], padding: [0, 0], size: [12, 9] };
  check(patches, "conv", "");
  assert.deepEqual(operandShapes(patches), [[2, 48, 3, 2], [16, 48, 1, 1]]);
});

Deno.test("odd features, one dimension and three, gaps and groups are rewritten as well", () => {
  check({ ...PLAIN, out: 6 }, "input", "conv_input_grad");
  check({ ...PLAIN, out: 6 }, "weight", "");
  const others: Case[] = [
    { ...PLAIN, size: [9], window: [3], stride: [2], padding: [1] },
    { ...PLAIN, size: [4, 5, 4], window: [2, 3, 2], stride: [1, 2, 2], padding: [0, 1, 0] },
    { ...PLAIN, channels: 3, size: [9, 8], dilation: [2, 1] },
    { ...PLAIN, channels: 16, out: 32, groups: 8 },
    { ...PLAIN, channels: 16, out: 8, groups: 4, size: [7, 5], stride: [2, 1] },
  ];
  for (const c of others) {
    check(c, "conv", "");
    check(c, "input", c.groups === undefined || c.stride[0] === 1 ? "conv_input_grad" : "");
    check(c, "weight", "");
  }
});

Deno.test("what the graph returns keeps its strides", () => {
  const one: Case = { ...PLAIN, channels: 3, window: [4, 4], stride: [4, 4], padding: [0, 0], size: [12, 9] };
  for (const kind of ["conv", "input", "weight"] as const) {
    for (const c of [PLAIN, one, { ...PLAIN, size: [7, 9] as const, stride: [2, 2] as const }]) {
      const [before, after] = [graphOf(c, kind, bfloat16, true), graphOf(c, kind, bfloat16, true)];
      rewriteConvolutions(after, 0);
      const [own, made] = [before, after].map(({ output: { results: [node] } }) => node as { value: TensorMeta });
      assert.ok(own !== undefined && made !== undefined && after.nodes.length > before.nodes.length);
      assert.ok(sameLayout(own.value.shape, own.value.stride, made.value.stride), `${kind} of ${c.size}`);
    }
  }
});

Deno.test("weights of depthwise convolutions are laid out with channels innermost", () => {
  const depthwise: Case = { ...PLAIN, channels: 8, out: 8, groups: 8 };
  check(depthwise, "conv", "");
  check(depthwise, "input", "conv_input_grad");
  check(depthwise, "weight", null);
});

Deno.test("float32 that stays exact, and what is too short for copies, stays as it is", () => {
  for (const kind of ["conv", "input", "weight"] as const) {
    const graph = graphOf(PLAIN, kind, float32);
    const before = names(graph).join();
    rewriteConvolutions(graph, 0);
    assert.equal(names(graph).join(), before);
  }
  const graph = graphOf(PLAIN, "conv", bfloat16);
  rewriteConvolutions(graph);
  assert.equal(names(graph).join(), "conv,_to_copy");
});
