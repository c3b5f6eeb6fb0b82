/** Programs that PyTorch exported give PyTorch's results when they are compiled. */
import assert from "node:assert/strict";
import { bfloat16, float16, float32, int64 } from "../../src/core/mod.ts";
import { registerBackend } from "../../src/capture/mod.ts";
import { compileExported } from "../../src/export/mod.ts";
import { onEvent } from "../../src/core/mod.ts";
import { onCompile } from "../../src/inductor/mod.ts";
import { Tensor, tensorFrom } from "../../src/tensor/mod.ts";
import { assertClose, read, recorded } from "./support.ts";

const JS = { options: { tier: "js" } } as const;

const range = (shape: number[]): Tensor =>
  tensorFrom(shape, Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => (i % 7) - 2.5), float32);

for (
  const name of [
    "mlp_dynamic",
    "dynamic_math",
    "constants",
    "dtypes",
    "grad_autocast",
    "nested",
    "expanded",
    "attention_view",
    "cond",
    "loops",
    "control",
  ]
) {
  for (const backend of ["inductor", "aot_eager", "eager"]) {
    Deno.test(`compileExported() of ${name} by ${backend} gives PyTorch's results`, async () => {
      const program = await read(name);
      const { inputs, output } = recorded(name);
      const run = compileExported(program, { backend, ...(backend === "inductor" ? JS : {}) });
      assert.equal(run.kind, "compiled", run.reason ?? "");
      const again = [run(inputs), run(inputs)];
      for (const results of again) {
        results.forEach((result, i) => {
          const wanted = output(i);
          if (wanted === null) return assert.ok(!(result instanceof Tensor), `result ${i}`);
          const coarse = wanted.dtype.bytes === 2 || name === "grad_autocast";
          assertClose(result, wanted, `result ${i}`, coarse ? 2e-2 : 1e-5);
        });
      }
    });
  }
}

for (const options of [JS, { options: { tier: "aot" } }]) {
  Deno.test(`compileExported() compiles nested control flow over symbolic sizes (tier ${options.options.tier})`, async () => {
    const program = await read("control");
    const graphs: string[] = [];
    using _ = onCompile(({ graph }) => graphs.push(graph.name));
    const run = compileExported(program, options);
    assert.equal(run.kind, "compiled", run.reason ?? "");
    assert.equal(run.stats.graphBreaks, 0);
    // Another batch size, more rounds, the other branch; and back.
    for (const name of ["control", "control_other", "control"]) {
      const { inputs, output } = recorded(name);
      run(inputs).forEach((result, i) => assertClose(result, output(i) as Tensor, `${name}, result ${i}`));
    }
    // The program; cond: two branches and one of the inner cond's (two, if nothing waits for its first run); while_loop, two; scan; map.
    assert.equal(graphs.length, options.options.tier === "aot" ? 9 : 8);
  });
}

Deno.test("compileExported() writes mutated buffers back, each call from the last one's", async () => {
  const program = await read("mutation");
  const { inputs: [input], output } = recorded("mutation");
  assert.ok(input);
  const run = compileExported(program, JS);
  assertClose(run([input])[0], output(0) as Tensor, "first call");
  assert.equal(program.attributes.tensor("count").item(), 1);
  run([input]);
  assert.equal(program.attributes.tensor("count").item(), 2);
  const eager = await read("mutation");
  eager.callFlat([input]);
  eager.callFlat([input]);
  const [a, b] = [program, eager].map((p) => p.attributes.tensor("bn.running_mean"));
  assertClose(a, b as Tensor, "running mean");
});

Deno.test("compileExported() serves all sizes of the declared range by one compilation and refuses others", async () => {
  const program = await read("mlp_dynamic");
  let compiled = 0;
  using _ = onCompile(() => compiled++);
  const run = compileExported(program, JS);
  for (const n of [2, 5, 64]) {
    assertClose(run([range([n, 4])])[0], program.callFlat([range([n, 4])])[0] as Tensor, `batch ${n}`);
  }
  assert.equal(compiled, 1);
  assert.throws(() => run([range([65, 4])]), { name: "RangeError", message: /2 to 64/ });
  assert.throws(() => run([range([2, 5])]), { name: "RangeError", message: /dimension 1 must be 4/ });
  assert.throws(() => run([]), TypeError);
  // A refused call leaves nothing behind.
  assert.deepEqual((run([range([2, 4])])[0] as Tensor).shape, [2, 3]);
});

Deno.test("compileExported() takes inputs of any strides", async () => {
  const program = await read("mlp_dynamic");
  const run = compileExported(program, JS);
  const transposed = range([4, 6]).t();
  assertClose(run([transposed])[0], program.callFlat([transposed])[0] as Tensor, "transposed");
  const sliced = range([9, 4]).slice(0, 3, 9);
  assertClose(run([sliced])[0], program.callFlat([sliced])[0] as Tensor, "sliced");
});

Deno.test("compileExported() runs in another float dtype", async () => {
  const program = await read("mlp_dynamic");
  const wanted = program.callFlat([range([3, 4])])[0] as Tensor;
  for (const dtype of [float16, bfloat16]) {
    const run = compileExported(program, { dtype, ...JS });
    const [result] = run([range([3, 4])]);
    assert.ok(result instanceof Tensor);
    assert.equal(result.dtype, dtype);
    assertClose(result.to(float32), wanted, dtype.name, 5e-2);
    assertClose((run([range([3, 4]).to(dtype)])[0] as Tensor).to(float32), wanted, `${dtype.name} inputs`, 5e-2);
  }
  assert.equal(program.attributes.tensor(program.attributes.paths[0] as string).dtype, float32);
});

for (const options of [JS, { options: { tier: "aot" } }, { backend: "aot_eager" }]) {
  Deno.test(`compileExported() compiles what lies between sizes that depend on data (${JSON.stringify(options)})`, async () => {
    const program = await read("data_sizes");
    let compiled = 0;
    using _ = onCompile(() => compiled++);
    const run = compileExported(program, options);
    assert.equal(run.kind, "compiled");
    assert.match(run.reason ?? "", /parts are compiled, .*aten\.nonzero.* at models\.py:13/);
    assert.ok(run.stats.graphBreaks >= 4);
    const before = compiled;
    // Other batches and counts, nothing that holds, and back: nothing is compiled again.
    for (const name of ["data_sizes", "data_sizes_other", "data_sizes_none", "data_sizes"]) {
      const { inputs, output } = recorded(name);
      run(inputs).forEach((result, i) => assertClose(result, output(i) as Tensor, `${name}, result ${i}`));
    }
    assert.equal(compiled, before);
    if (!("backend" in options)) assert.ok(compiled >= 4, `${compiled} graphs`);
    const { inputs: [x] } = recorded("data_sizes");
    assert.throws(() => run([x as Tensor, tensorFrom([2], [40n, 11n], int64)]), /must be 2 to 50, .* it is 51/);
    assert.throws(() => run([range([65, 8]), tensorFrom([2], [4n, 1n], int64)]), {
      name: "RangeError",
      message: /2 to 64/,
    });
  });
}

Deno.test("compileExported() runs a program node by node, and says so, that writes to what it has views of between sizes that depend on data", async () => {
  const program = await read("data_sizes_written");
  const { inputs, output } = recorded("data_sizes_written");
  const messages: string[] = [];
  using _ = onEvent((event) => messages.push(event.message));
  const run = compileExported(program, JS);
  assert.equal(run.kind, "interpreted");
  assert.match(messages.join("\n"), /is not compiled but run node by node: aten\.nonzero/);
  run(inputs).forEach((result, i) => assertClose(result, output(i) as Tensor, `result ${i}`));
});

for (const name of ["unbacked", "args"]) {
  Deno.test(`compileExported() says that ${name} is compiled in parts, and why`, async () => {
    const program = await read(name);
    const { inputs, output } = recorded(name);
    const messages: string[] = [];
    using _ = onEvent((event) => messages.push(event.message));
    const run = compileExported(program, JS);
    assert.equal(run.kind, "compiled");
    assert.match(run.reason ?? "", /parts? .* compiled, .*(higher_order|aten\.)/);
    assert.ok(run.stats.graphBreaks > 0);
    assert.match(messages.join("\n"), /what lies between them is run call by call: /);
    run(inputs).forEach((result, i) => {
      const wanted = output(i);
      if (wanted !== null) assertClose(result, wanted, `result ${i}`);
    });
  });
}

Deno.test("compileExported() hands a backend one graph of tensors whose writes are calls", async () => {
  const program = await read("mutation");
  let targets: string[] = [];
  registerBackend("test_export_spy", (module) => {
    targets = module.graph.calls.map((c) => c.target.schema.target);
    assert.equal(module.graph.output.results.length, module.differentiable.length);
    return () => [];
  });
  compileExported(program, { backend: "test_export_spy" });
  assert.ok(targets.includes("aten.copy_.default"));
  assert.throws(() => compileExported(program, { backend: "none" }), /there is no backend "none"/);
});

Deno.test("compileExported() refuses another device than the program was read for", async () => {
  const program = await read("mlp_dynamic");
  assert.throws(() => compileExported(program, { device: "cuda" }), /was read for cpu, not for cuda/);
});
