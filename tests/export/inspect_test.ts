/** What `inspectModel()` reports of real files. */
import assert from "node:assert/strict";
import { inspectModel, inspectToText } from "../../src/export/mod.ts";
import "../../src/tensor/mod.ts";
import { makeUnknown, writeChanged } from "./rewrite.ts";
import { fixture } from "./support.ts";

Deno.test("inspectModel() counts operators, parameters and bytes, and names dynamic sizes with their ranges", async () => {
  const report = await inspectModel(fixture("mlp_dynamic.pt2"));
  assert.deepEqual(report.operators, [{ target: "aten.linear.default", count: 2 }, {
    target: "aten.relu.default",
    count: 1,
  }]);
  assert.equal(report.parameters, 4 * 8 + 8 + 8 * 3 + 3);
  assert.equal(report.bytes, 4 * report.parameters);
  assert.deepEqual(report.dtypes, { float32: report.bytes });
  assert.deepEqual(report.inputs, [{ name: "x", place: "args[0]", type: "f32[s77, 4]" }]);
  assert.deepEqual(report.outputs.map((o) => o.type), ["f32[s77, 3]"]);
  assert.deepEqual(report.dynamic, [{ symbol: "s77", min: 2, max: 64, range: "2 to 64", dimensions: ["x[0]"] }]);
  assert.deepEqual(report.unsupported, []);
  assert.equal(report.torchVersion, "2.13.0+cpu");
  JSON.stringify(report);
});

Deno.test("inspectModel() counts tied weights once and lists every dtype", async () => {
  const report = await inspectModel(fixture("dtypes.pt2"));
  assert.equal(report.stored.filter((s) => s.path.startsWith("tied")).length, 2);
  assert.equal(report.parameters, 3 + 3 + 3 + 4 + 3);
  assert.deepEqual(Object.keys(report.dtypes).sort(), [
    "bfloat16",
    "bool",
    "float16",
    "float32",
    "float64",
    "int16",
    "int32",
    "int8",
    "uint8",
  ]);
});

Deno.test("inspectModel() looks into control flow", async () => {
  const targets = (await inspectModel(fixture("loops.pt2"))).operators.map((o) => o.target);
  for (const target of ["higher_order.while_loop.default", "higher_order.scan.default", "aten.lt.Scalar"]) {
    assert.ok(targets.includes(target), `${target} is missing in ${targets}`);
  }
});

Deno.test("inspectModel() says what is unsupported and where it stands in the user's source", async () => {
  const folder = await Deno.makeTempDir();
  const report = await inspectModel(await writeChanged(folder, "unsupported", makeUnknown));
  await Deno.remove(folder, { recursive: true });
  const unknown = report.unsupported.find((u) => u.target === "aten.not_yet_invented.default");
  assert.equal(unknown?.location?.file, "models.py");
  assert.equal(unknown?.location?.functionName, "forward");
  assert.match(unknown?.stackTrace ?? "", /^File "models\.py"/);
  assert.match(
    inspectToText(report),
    /unsupported\n.*aten\.not_yet_invented\.default: not in the operator table \(once, at models\.py:\d+\)/,
  );
});
