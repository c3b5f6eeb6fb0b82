/**
 * Runs a model of `zoo/`, compiled against eager: `deno run -A bench/models/run_zoo.ts NAME [SECONDS]`. Prints one JSON line as `compare.py` does.
 *
 * What eager computes is held to PyTorch by tests/models/zoo_test.ts, at small sizes; this shows that the real size compiles, agrees and how fast it is.
 */
import { compile, type CompiledGraph, noGrad, onCompile, type Tensor } from "../../mod.ts";
import { callTimes, print } from "../support.ts";
import { makeZooModel } from "./zoo/mod.ts";

const [name = "", seconds = "3"] = Deno.args;

function relativeError(actual: Tensor, expected: Tensor): number {
  return actual.sub(expected).norm().div(expected.norm().clampMin(1e-12)).item();
}

const { model, inputs, forward } = makeZooModel(name);
const call = (...xs: Tensor[]): Tensor => noGrad(() => forward(...xs));
const expected = call(...inputs);
const graphs: CompiledGraph[] = [];
using _ = onCompile(({ graph }) => void graphs.push(graph));
const start = performance.now();
const compiled = compile(call, { fullgraph: true, mode: "aot" });
let result = compiled(...inputs);
await compiled.ready();
const compileMs = performance.now() - start;
result = compiled(...inputs);
const error = relativeError(result, expected);
const times = callTimes(() => compiled(...inputs), Number(seconds));
print(JSON.stringify({
  model: `zoo:${name}`,
  parameters: model.parameters().reduce((sum, p) => sum + p.numel, 0),
  ours: {
    agrees: error < 1e-4,
    rel_error: error,
    kind: "compiled",
    compile_ms: Math.round(compileMs),
    median_ms: times.median_ms,
    kernels: graphs.reduce((sum, graph) => sum + graph.compiled.counters.kernels, 0),
  },
}));
