/** Exported programs that compute complex numbers: rotary embeddings, spectra, writes through complex views. */
import assert from "node:assert/strict";
import { compileExported } from "../../src/export/mod.ts";
import { bfloat16, type DType, float16, float32, onEvent } from "../../src/core/mod.ts";
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

/** ‖a − b‖ / ‖b‖ over real numbers, or the pairs of complex ones. */
async function distance(a: Tensor, b: Tensor): Promise<number> {
  const numbers = async (t: Tensor): Promise<number[]> =>
    Array.from(await (t.dtype.isComplex ? t.viewAsReal() : t.to(float32)).contiguous().data() as Float32Array, Number);
  const [got, wanted] = [await numbers(a), await numbers(b)];
  assert.equal(got.length, wanted.length);
  const squares = (list: readonly number[]): number => list.reduce((sum, x) => sum + x * x, 0);
  return Math.sqrt(squares(got.map((x, i) => x - (wanted[i] ?? NaN))) / squares(wanted));
}

for (
  const [dtype, most] of [[float16, 3e-3], [bfloat16, 2e-2]] as const satisfies readonly (readonly [DType, number])[]
) {
  Deno.test(`In ${dtype.name} complex numbers and transforms stay in float32, and the rest is converted`, async () => {
    const run = compileExported(await read("complex"), { dtype, options: { tier: "js" } });
    const { inputs, output } = recorded("complex");
    for (const [i, result] of (run(inputs) as Tensor[]).entries()) {
      const wanted = output(i) as Tensor;
      assert.equal(result.dtype, wanted.dtype === float32 ? dtype : wanted.dtype, `result ${i}`);
      const far = await distance(result, wanted);
      assert.ok(far < most, `result ${i} is off by ${far}`);
    }
  });
}
