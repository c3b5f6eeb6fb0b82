/** Exported programs that lie: each lie is refused with the place where it stands, and no name from a file does any harm. */
import assert from "node:assert/strict";
import { graphToText } from "../../src/graph/mod.ts";
import { float32 } from "../../src/core/mod.ts";
import { Tensor, tensorFrom } from "../../src/tensor/mod.ts";
import {
  FormatError,
  inspectProgram,
  inspectToText,
  readExportedProgram,
  UnsupportedError,
} from "../../src/export/mod.ts";
import { changed, type Parts, partsOf, readParts } from "./rewrite.ts";

const graphOf = (p: Parts) => p.program.graph_module.graph;

const refused: [string, string, (parts: Parts) => void, RegExp][] = [
  ["JSON that is none", "mlp_dynamic", (p) => p.program = "{", /models\/model\.json: no readable JSON/],
  ["JSON nested without end", "mlp_dynamic", (p) => p.program = "[".repeat(100_000), /nested deeper than 400/],
  ["another root", "mlp_dynamic", (p) => p.program = [], /must be an object, is a list/],
  [
    "another version",
    "mlp_dynamic",
    (p) => p.program.schema_version.major = 7,
    /schema_version: the file has schema version 7/,
  ],
  [
    "fields of another type",
    "mlp_dynamic",
    (p) => graphOf(p).nodes[1].inputs[0].arg = 3,
    /graph_module\.graph\.nodes\[1\]\.inputs\[0\]\.arg: must be an object, is 3/,
  ],
  [
    "arguments of two kinds",
    "mlp_dynamic",
    (p) => graphOf(p).nodes[1].inputs[0].arg.as_int = 3,
    /nodes\[1\]\.inputs\[0\]\.arg: must have exactly one field/,
  ],
  [
    "arguments of unknown kinds",
    "mlp_dynamic",
    (p) => graphOf(p).nodes[1].inputs[0].arg = { as_code: "x" },
    /as_code: is no kind of argument/,
  ],
  [
    "names that nothing defines",
    "mlp_dynamic",
    (p) => graphOf(p).nodes[1].inputs[0].arg.as_tensor.name = "ghost",
    /nodes\[1\]: the tensor "ghost" is used before anything defines it/,
  ],
  ["cycles", "mlp_dynamic", (p) => graphOf(p).nodes.reverse(), /is used before anything defines it \(a cycle/],
  [
    "names defined twice",
    "mlp_dynamic",
    (p) => graphOf(p).nodes.push(structuredClone(graphOf(p).nodes[0])),
    /is defined twice/,
  ],
  [
    "results that nothing defines",
    "mlp_dynamic",
    (p) => graphOf(p).outputs[0].as_tensor.name = "ghost",
    /outputs\[0\].*"ghost"/,
  ],
  [
    "inputs that the signature does not know",
    "mlp_dynamic",
    (p) => graphOf(p).inputs.pop(),
    /input_specs: has 5 entries, the graph has 4/,
  ],
  [
    "a signature in another order",
    "mlp_dynamic",
    (p) => p.program.graph_module.signature.input_specs.reverse(),
    /input_specs\[0\]: speaks of/,
  ],
  [
    "tensors without a description",
    "mlp_dynamic",
    (p) => delete graphOf(p).tensor_values.p_a_weight,
    /tensor_values has no entry for "p_a_weight"/,
  ],
  [
    "sizes and strides of different number",
    "mlp_dynamic",
    (p) => graphOf(p).tensor_values.x.strides.pop(),
    /tensor_values\.x: has 2 sizes but 1 strides/,
  ],
  ["negative sizes", "mlp_dynamic", (p) => graphOf(p).tensor_values.x.sizes[1].as_int = -4, /negative/],
  [
    "sizes beyond 2^53",
    "mlp_dynamic",
    (p) =>
      p.program = JSON.stringify(p.program).replace(
        '"sizes":[{"as_int":8}',
        '"sizes":[{"as_int":99999999999999999999}',
      ),
    /beyond 2\^53/,
  ],
  [
    "expressions that are code",
    "mlp_dynamic",
    (p) => graphOf(p).tensor_values.x.sizes[0].as_expr.expr_str = "__import__('os').system('true')",
    /symbolic expression/,
  ],
  [
    "symbols whose names are code",
    "mlp_dynamic",
    (p) => graphOf(p).tensor_values.x.sizes[0].as_expr.expr_str = "Symbol('s0*/ system(1); /*')",
    /cannot be the name of a symbol/,
  ],
  [
    "empty ranges",
    "mlp_dynamic",
    (p) =>
      Object.values(p.program.range_constraints as Record<string, { min_val: number }>).forEach((r) =>
        r.min_val = 1000
      ),
    /1000 … 64 is empty/,
  ],
  [
    "missing weights",
    "mlp_dynamic",
    (p) => p.entries.delete("data/weights/weight_0"),
    /there is no entry "demo\/data\/weights\/weight_0"/,
  ],
  [
    "weights that the configuration lacks",
    "mlp_dynamic",
    (p) => delete p.weights.config["a.weight"],
    /holds no tensor for "a\.weight"/,
  ],
  [
    "weights of another shape",
    "mlp_dynamic",
    (p) => p.weights.config["a.weight"].tensor_meta.sizes[0].as_int = 9,
    /takes "a\.weight" for float32\[8, 4\], the file stores float32\[9, 4\]/,
  ],
  [
    "weights of another dtype",
    "mlp_dynamic",
    (p) => p.weights.config["a.weight"].tensor_meta.dtype = 6,
    /the file stores float16\[8, 4\]/,
  ],
  [
    "weights outside the folder",
    "mlp_dynamic",
    (p) => p.weights.config["a.weight"].path_name = "../../byteorder",
    /there is no entry/,
  ],
  [
    "pickled weights",
    "mlp_dynamic",
    (p) => p.weights.config["a.weight"].use_pickle = true,
    /pickled object, which is not read/,
  ],
  [
    "big-endian weights",
    "mlp_dynamic",
    (p) => p.entries.set("byteorder", new TextEncoder().encode("big")),
    /little-endian/,
  ],
  [
    "results of no input",
    "mutation",
    (p) =>
      p.program.graph_module.signature.output_specs[0] = {
        buffer_mutation: { arg: { name: "add" }, buffer_name: "ghost" },
      },
    /holds no tensor for "ghost"/,
  ],
  [
    "a tree spec of another kind",
    "mlp_dynamic",
    (p) => p.program.graph_module.module_call_graph[0].signature.in_spec = "[1]",
    /must be a protocol number and a spec/,
  ],
];
for (const [what, name, change, message] of refused) {
  Deno.test(`readExportedProgram() refuses ${what}`, async () => {
    await assert.rejects(() => changed(name, change), (error: unknown) => {
      assert.ok(error instanceof FormatError, String(error));
      assert.match(error.message, message);
      assert.match(error.message, /^demo\.pt2/);
      return true;
    });
  });
}

Deno.test("readExportedProgram() says what is wrong with files that are no models", async () => {
  const path = await Deno.makeTempFile();
  await Deno.writeTextFile(path, "no zip at all");
  await assert.rejects(() => readExportedProgram(path), /not a readable zip file/);
  await Deno.remove(path);
  await assert.rejects(() => readExportedProgram(path), Deno.errors.NotFound);
  const parts = await partsOf("mlp_dynamic");
  await assert.rejects(() => readParts({ ...parts, program: undefined }), /no exported program in it/);
});

Deno.test("readExportedProgram() accepts fields, layouts and names that it does not know", async () => {
  const parts = await partsOf("mlp_dynamic");
  parts.program.future = { a: 1 };
  parts.program.graph_module.graph.nodes[0].future = [1];
  parts.program.schema_version.minor = 99;
  const config = JSON.stringify(parts.weights);
  const renamed = await readParts({ ...parts, weights: undefined }, "other root", [
    { name: "other root/data/weights/model_model_param_config.json", data: config },
  ]);
  assert.deepEqual(renamed.problems, []);
  const [y] = renamed.callFlat([tensorFrom([2, 4], [1, 2, 3, 4, 5, 6, 7, 8], float32)]);
  assert.deepEqual((y as Tensor).shape, [2, 3]);
});

Deno.test("readExportedProgram() chooses among several models by name", async () => {
  const parts = await partsOf("mlp_dynamic");
  const extra = [{ name: 'demo/models/b"\\n.json', data: "{}" }].map((e) => ({
    ...e,
    name: e.name.replace(/\\/g, ""),
  }));
  const program = await readParts(parts, "demo", extra);
  assert.equal(program.name, "model");
});

Deno.test("weights that end early or are damaged are refused when they are first used", async () => {
  const short = await changed("mlp_dynamic", (p) => p.entries.set("data/weights/weight_0", new Uint8Array(100)));
  assert.throws(() => short.attributes.tensor("a.weight"), /needs 128 bytes of ".*weight_0", which has 100/);
  const offset = await changed(
    "mlp_dynamic",
    (p) => p.weights.config["a.weight"].tensor_meta.storage_offset.as_int = 1,
  );
  assert.throws(() => offset.attributes.tensor("a.weight"), /needs 132 bytes/);
  const strided = await changed(
    "mlp_dynamic",
    (p) => p.weights.config["a.weight"].tensor_meta.strides[0].as_int = 2 ** 40,
  );
  assert.throws(() => strided.attributes.tensor("a.weight"), FormatError);
});

Deno.test("names from a file are data: quotes, newlines and comment ends stay inside identifiers and texts", async () => {
  const evil = 'x"; */ }\n#include <evil>\u0000\u2028';
  const text = (await partsOf("mlp_dynamic")).program;
  const parts = await partsOf("mlp_dynamic");
  parts.program = JSON.parse(
    JSON.stringify(text).replaceAll('"x"', JSON.stringify(evil)).replaceAll('"linear"', JSON.stringify(evil + "2")),
  );
  const program = await readParts(parts);
  for (const node of program.graph.nodes) assert.match(node.name, /^[A-Za-z_]\w*$/);
  assert.ok(!graphToText(program.graph).includes("#include <"));
  const [y] = program.callFlat([tensorFrom([2, 4], [1, 2, 3, 4, 5, 6, 7, 8], float32)]);
  assert.ok(y instanceof Tensor);
});

Deno.test("a graph that lies about its results can be inspected but not run", async () => {
  const program = await changed("mlp_dynamic", (p) => graphOf(p).tensor_values.relu.sizes[1].as_int = 7);
  assert.throws(() => program.callFlat([tensorFrom([2, 4], new Array(8).fill(1), float32)]), (error: unknown) => {
    assert.ok(error instanceof UnsupportedError);
    assert.match(error.message, /aten\.relu\.default: yields f32\[s77, 8\], the file says f32\[s77, 7\]/);
    return true;
  });
});

Deno.test("unknown targets are listed with their reason, count and place, whatever they are called", async () => {
  const program = await changed("mlp_dynamic", (p) => {
    graphOf(p).nodes[1].target = 'torch.ops.evil.rm"\n -rf.default';
  });
  const [problem] = program.problems;
  assert.equal(problem?.count, 1);
  assert.equal(problem?.location?.file, "models.py");
  assert.equal(problem?.reason, "not in the operator table");
  const text = inspectToText(inspectProgram(program, "demo.pt2"));
  assert.match(text, /unsupported\n {2}evil\.rm/);
});

Deno.test("operators with arguments that the table does not have, or lack, are unsupported", async () => {
  const extra = await changed(
    "mlp_dynamic",
    (p) => graphOf(p).nodes[1].inputs.push({ name: "mode", arg: { as_int: 1 } }),
  );
  assert.match(extra.problems[0]?.reason ?? "", /argument "mode" is not in the operator table's schema/);
  const missing = await changed("mlp_dynamic", (p) => graphOf(p).nodes[1].inputs.pop());
  assert.match(missing.problems[0]?.reason ?? "", /argument self is missing/);
});
