import assert from "node:assert/strict";
import { int64 } from "../../../src/core/mod.ts";
import { compileGraphToPlan } from "../../../src/inductor/compile_plan.ts";
import { emitCppModule } from "../../../src/inductor/codegen/cpp/emit_module.ts";
import { cpuAllocator, type CpuBuffer } from "../../../src/runtime/cpu/memory.ts";
import { prepareThreadPool } from "../../../src/runtime/cpu/thread_pool.ts";
import { graphOf } from "../../helpers/graph_builder.ts";
import { loadModule, startCompile } from "./compile_cpp.ts";
import { REASON } from "./tiers.ts";

const graph = graphOf((b) => {
  const x = b.input([4, 4]);
  const w = b.input([4, 4]);
  const y = b.call("aten.mm.default", [x, w]);
  const index = b.call("aten.argmax.default", [y, 1, true]);
  return [
    b.call("aten.cumsum.default", [b.call("aten.exp.default", [y]), 0]),
    b.call("aten.gather.default", [x, 1, index]),
  ];
});

Deno.test("emitCppModule() cuts a long text into units, each function in one of them", () => {
  const { plan } = compileGraphToPlan(graph);
  const whole = emitCppModule(plan, { lanes: 4, workers: 1 });
  assert.equal(whole.parts.length, 0);
  assert.equal(emitCppModule(plan, { lanes: 4, workers: 1, compilers: 4 }).parts.length, 0, "too little to be cut");
  const cut = emitCppModule(plan, { lanes: 4, workers: 1, compilers: 3, partBytes: 500 });
  assert.equal(cut.parts.length, 2);
  for (let i = 0; i < cut.functions; i++) {
    const homes = [cut.source, ...cut.parts].filter((text) =>
      text.includes(`void k${i}(void* context, long begin, long end, int worker) {`)
    );
    assert.equal(homes.length, 1, `k${i} is defined in ${homes.length} units`);
  }
});

Deno.test("emitCppModule() writes the functions of repeated layers once, however many there are", () => {
  const decoder = (layers: number): number => {
    const deep = graphOf((b) => {
      let x = b.input([8, 16]);
      for (let i = 0; i < layers; i++) {
        const [up, down] = [b.attribute(`up${i}`, [16, 32]), b.attribute(`down${i}`, [32, 16])];
        const hidden = b.call("aten.mm.default", [b.call("aten.tanh.default", [x]), up]);
        x = b.call("aten.add.Tensor", [x, b.call("aten.mm.default", [b.call("aten.relu.default", [hidden]), down])]);
      }
      return [x];
    });
    const module = emitCppModule(compileGraphToPlan(deep).plan, { lanes: 8, workers: 2 });
    assert.ok(module.launches >= 2 * layers);
    return module.functions;
  };
  const functions = decoder(12);
  assert.ok(functions < 10, `${functions} functions for twelve layers`);
  assert.equal(decoder(36), functions);
});

Deno.test({
  name: `a library of several units computes and reports errors as one of one unit does ${REASON}`,
  ignore: REASON !== "",
  sanitizeOps: false,
  sanitizeResources: false,
  fn: () => {
    prepareThreadPool().waitSync();
    const gather = graphOf((b) => {
      const x = b.input([4, 4]);
      const index = b.input([4, 1], int64);
      return [b.call("aten.mm.default", [x, x]), b.call("aten.gather.default", [x, 1, index])];
    });
    const { plan } = compileGraphToPlan(gather);
    const module = emitCppModule(plan, { lanes: 4, workers: 2, compilers: 2, partBytes: 100 });
    assert.equal(module.parts.length, 1);
    const executable = loadModule(plan, module, startCompile(module, "parts").waitSync());
    const buffers = plan.slots.map((): CpuBuffer => cpuAllocator().allocate(256));
    const at = (kind: string, n: number): CpuBuffer =>
      buffers[plan.slots.flatMap((s, i) => s.kind === kind ? [i] : [])[n] ?? -1] as CpuBuffer;
    const floats = (b: CpuBuffer): Float32Array => new Float32Array(b.storage, b.byteOffset, 16);
    floats(at("input", 0)).set([2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 4, 0, 0, 0, 0, 5]);
    const index = new BigInt64Array(at("input", 1).storage, at("input", 1).byteOffset, 4);
    index.set([0n, 1n, 2n, 3n]);
    executable.run(buffers, []);
    const results = [floats(at("output", 0)), floats(at("output", 1))].map((f) => [...f]);
    assert.deepEqual(results.find((r) => r[5] === 9)?.filter((v) => v !== 0), [4, 9, 16, 25]);
    index.set([0n, 1n, 2n, 9n]);
    assert.throws(() => executable.run(buffers, []), /an index is 9, but the dimension it selects from has 4 elements/);
  },
});
