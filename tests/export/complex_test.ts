/** Exported programs that compute complex numbers: rotary embeddings, spectra, writes through complex views. */
import assert from "node:assert/strict";
import { compileExported } from "../../src/export/mod.ts";
import { onEvent } from "../../src/core/mod.ts";
import "../../mod.ts";
import type { Tensor } from "../../src/tensor/mod.ts";
import { partsOf, readParts } from "./rewrite.ts";
import { assertClose, read, recorded } from "./support.ts";

for (
  const [backend, options] of [["reference", {}], ["inductor", { tier: "js" }], ["inductor", { tier: "aot" }]] as const
) {
  Deno.test(`compileExported() of complex arithmetic by ${backend} ${JSON.stringify(options)} gives PyTorch's results`, async () => {
    const run = compileExported(await read("complex"), { backend, options });
    assert.equal(run.kind, "compiled", run.reason ?? "");
    for (const name of ["complex", "complex_other", "complex"]) {
      const { inputs, output } = recorded(name);
      run(inputs).forEach((result, i) => assertClose(result, output(i) as Tensor, `${name}, result ${i}`, 2e-5));
    }
  });
}

Deno.test("A file cannot state another shape of a complex product", async () => {
  const parts = await partsOf("complex");
  const { nodes, tensor_values } = parts.program.graph_module.graph;
  const product = nodes.find((n: { target: string }) => n.target === "torch.ops.aten.mul.Tensor");
  const value = tensor_values[product.outputs[0].as_tensor.name];
  value.sizes[1] = { as_int: 7 };
  const program = await readParts(parts);
  assert.match(program.problems[0]?.reason ?? "", /yields .*the file says/);
});

Deno.test("Complex arithmetic of exported programs leaves only transforms on the host", async () => {
  const seen = new Set<string>();
  using _ = onEvent(({ kind, message }) =>
    void (kind === "fallback" && seen.add(/aten\.(\w+)/.exec(message)?.[1] ?? ""))
  );
  const run = compileExported(await read("complex"), { options: { tier: "js" } });
  run(recorded("complex").inputs);
  assert.ok(![...seen].some((name) => ["mul", "view", "select", "transpose"].includes(name)), [...seen].join());
});
