/**
 * What a call of a compiled function costs on tiny tensors: guards, plan and launch against the bare kernels.
 *
 *     deno run -A bench/overhead.ts
 */
import { compile, type CompiledGraph, nn, onCompile, randn, type Tensor } from "../mod.ts";
import { median, print, printTable } from "./support.ts";

/** Microseconds a call: the median of batches of calls. */
function microseconds(fn: () => void): number {
  for (let i = 0; i < 20_000; i++) fn();
  const batches: number[] = [];
  for (let b = 0; b < 30; b++) {
    const start = performance.now();
    for (let i = 0; i < 2000; i++) fn();
    batches.push((performance.now() - start) / 2);
  }
  return median(batches);
}

const linear = new nn.Linear(4, 4).requiresGrad_(false);
const CASES: Readonly<Record<string, () => [(...args: Tensor[]) => Tensor, Tensor[]]>> = {
  "one operator": () => [(x) => x.add(1), [randn([8])]],
  "five operators": () => [(x) => x.add(1).mul(2).sigmoid().sub(0.5).relu(), [randn([8])]],
  "a linear layer": () => [(x) => linear.forward(x ?? randn([1])), [randn([2, 4])]],
};

const results: { name: string; tier: string; eager_us: number; call_us: number; kernel_us: number }[] = [];
for (const [name, make] of Object.entries(CASES)) {
  const [fn, inputs] = make();
  const eager = microseconds(() => fn(...inputs));
  for (const tier of ["js", "aot"] as const) {
    const graphs: CompiledGraph[] = [];
    using _ = onCompile(({ graph }) => {
      graphs.push(graph);
    });
    const compiled = compile(fn, { fullgraph: true, options: { tier } });
    compiled(...inputs);
    await compiled.ready();
    const call = microseconds(() => compiled(...inputs));
    const [graph] = graphs;
    if (graph === undefined) throw new Error(`${name}: nothing was compiled`);
    const slots = graph.compiled.plan.slots;
    // The bare kernels, on memory that is allocated once.
    const { CpuAllocator } = await import("../src/runtime/cpu/mod.ts");
    const allocator = new CpuAllocator();
    const buffers = slots.map(() => allocator.allocate(4096));
    const kernel = microseconds(() => graph.runBuffers(buffers, []));
    results.push({ name, tier: graph.tier, eager_us: eager, call_us: call, kernel_us: kernel });
  }
}
printTable(
  ["tiny tensors", "tier", "eager µs", "compiled µs", "bare kernel µs", "overhead µs"],
  results.map((r) => [
    r.name,
    r.tier,
    r.eager_us.toFixed(2),
    r.call_us.toFixed(2),
    r.kernel_us.toFixed(2),
    (r.call_us - r.kernel_us).toFixed(2),
  ]),
);
print(JSON.stringify({ bench: "overhead", results }));
