/** What crosses into graphs of control flow and out of them has the strides that the program states: calls that follow were checked against these. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { config, float32, onEvent } from "../../src/core/mod.ts";
import { compileExported } from "../../src/export/mod.ts";
import { layOut, rowMajor } from "../../src/export/pt2/control_layouts.ts";
import { Graph, Interpreter, isTensorMeta } from "../../src/graph/mod.ts";
import { isOperator, type NamedArgs } from "../../src/ops/mod.ts";
import { dispatch, Tensor, tensorFrom } from "../../src/tensor/mod.ts";
import { type Json, partsOf, readParts } from "./rewrite.ts";
import { assertClose, recorded } from "./support.ts";

// Layouts are compared by the verifier.
config().verify = true;

const symbol = (text: string): Json => ({
  as_expr: { expr_str: text, hint: { as_int: text.startsWith("4") ? 20 : 5 } },
});
const ROWS = "Symbol('s77', positive=True, integer=True)";

/** Puts two views behind the transposition whose result is `name`: all elements in a row, then in rows of four. Neither can be had of a column-major tensor. */
function insertViews(graph: Json, name: string): void {
  const at = graph.nodes.findIndex((n: Json) => n.outputs[0]?.as_tensor?.name === name);
  const transpose = graph.nodes[at];
  assert.equal(transpose.target, "torch.ops.aten.t.default");
  const view = (from: string, made: string, size: number[]): Json => ({
    ...structuredClone(transpose),
    target: "torch.ops.aten.view.default",
    inputs: [
      { name: "self", arg: { as_tensor: { name: from } }, kind: 1 },
      { name: "size", arg: { as_ints: size }, kind: 1 },
    ],
    outputs: [{ as_tensor: { name: made } }],
    name: made,
  });
  const meta = graph.tensor_values[name];
  transpose.outputs = [{ as_tensor: { name: `${name}_before` } }];
  transpose.name = `${name}_before`;
  graph.tensor_values[`${name}_before`] = meta;
  graph.tensor_values[`${name}_row`] = { ...meta, sizes: [symbol(`4*${ROWS}`)], strides: [{ as_int: 1 }] };
  graph.nodes.splice(at + 1, 0, view(`${name}_before`, `${name}_row`, [-1]), view(`${name}_row`, name, [-1, 4]));
}

const callOf = (graph: Json, kind: string): Json =>
  graph.nodes.find((n: Json) => n.target === `torch.ops.higher_order.${kind}`);

for (const where of ["operand", "result"]) {
  Deno.test(`compileExported() keeps views of a transposed ${where} of cond that row-major copies do not have`, async () => {
    const parts = await partsOf("control");
    const { graph } = parts.program.graph_module;
    insertViews(where === "operand" ? callOf(graph, "cond").inputs[1].arg.as_graph.graph : graph, "t_1");
    const run = compileExported(await readParts(parts), { options: { tier: "js" } });
    assert.equal(run.kind, "compiled", run.reason ?? "");
    for (const name of ["control", "control_other"]) {
      const { inputs, output } = recorded(name);
      run(inputs).forEach((result, i) => assertClose(result, output(i) as Tensor, `${name}, result ${i}`));
    }
  });
}

Deno.test("compileExported() does not compile control flow that views storage: operands are handed over as copies", async () => {
  const parts = await partsOf("control");
  const [transpose] = callOf(parts.program.graph_module.graph, "map_impl").inputs[0].arg.as_graph.graph.nodes;
  assert.equal(transpose.target, "torch.ops.aten.t.default");
  transpose.target = "torch.ops.aten.as_strided.default";
  transpose.inputs.push({ name: "size", arg: { as_ints: [4, 4] }, kind: 1 });
  transpose.inputs.push({ name: "stride", arg: { as_ints: [1, 4] }, kind: 1 });
  const messages: string[] = [];
  using _ = onEvent((event) => messages.push(event.message));
  const run = compileExported(await readParts(parts), { options: { tier: "js" } });
  assert.equal(run.kind, "interpreted");
  assert.match(messages.join(), /views the storage/);
  assert.match(run.reason ?? "", /views the storage of a tensor/);
  const { inputs, output } = recorded("control");
  run(inputs).forEach((result, i) => assertClose(result, output(i) as Tensor, `result ${i}`));
});

Deno.test("layOut() gives the elements the strides that are wanted: any order of dimensions, any of them expanded", () => {
  const axis = fc.record({ size: fc.integer({ min: 1, max: 4 }), expanded: fc.boolean(), rank: fc.integer() });
  fc.assert(fc.property(fc.array(axis, { maxLength: 4 }), (axes) => {
    const shape = axes.map((a) => a.size);
    const stride = shape.map(() => 0);
    let next = 1;
    for (const d of shape.map((_, d) => d).sort((x, y) => (axes[x]?.rank ?? 0) - (axes[y]?.rank ?? 0))) {
      if (axes[d]?.expanded === true) continue;
      stride[d] = next;
      next *= shape[d] ?? 1;
    }
    const { storage, device } = tensorFrom([next], Array.from({ length: next }, (_, i) => i), float32);
    const wanted = { shape, stride, storageOffset: 0, dtype: float32, device };
    const lying = new Tensor({ ...wanted, storage });
    const graph = new Graph();
    const made = layOut(graph, graph.placeholder("x", rowMajor(wanted)), wanted);
    graph.setOutput([made]);
    const run = new Interpreter<Tensor>(graph, (target, args, { value }) => {
      if (!isOperator(target)) throw new TypeError("an operator was expected");
      const named = target.schema.args.map((arg, i) => [arg.key, args[i]]);
      const result = dispatch(target, Object.fromEntries(named) as NamedArgs<Tensor>) as Tensor;
      assert.ok(isTensorMeta(value));
      assert.deepEqual(result.shape, value.shape);
      assert.deepEqual(stated(value.shape, result.stride), stated(value.shape, value.stride));
      return result;
    });
    const [result] = run.run([lying.clone().contiguous()]) as Tensor[];
    assert.ok(result);
    assert.deepEqual(stated(shape, result.stride), stated(shape, stride));
    assert.deepEqual([...result.contiguous().dataSync()], [...lying.contiguous().dataSync()]);
  }));
});

/** Strides, where they are ever used. */
function stated(shape: readonly unknown[], stride: readonly unknown[]): unknown[] {
  return stride.map((s, d) => shape[d] === 1 ? null : s);
}
