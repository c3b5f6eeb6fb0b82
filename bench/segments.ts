/**
 * What a function with graph breaks costs on a repeated call: its JavaScript, recording, finding its segments. Kernels are left out: the backend returns what it
 * returned before.
 *
 *     deno run -A bench/segments.ts
 */
import { captureStats, compile, type CompilerBackend, float32, type Tensor, tensor, zeros } from "../mod.ts";
import { isTensorMeta } from "../src/graph/mod.ts";
import { print, printTable } from "./support.ts";

/** Yields the same tensors at each call. */
const nothing: CompilerBackend = ({ graph }) => {
  const results = graph.output.results.map((r) => {
    const value = typeof r === "object" && r !== null && "value" in r ? r.value : null;
    if (!isTensorMeta(value)) throw new TypeError("segments yield tensors");
    return zeros(value.shape, { dtype: value.dtype });
  });
  return () => results;
};

/** `operators` operators, cut by `breaks` reads of data. */
function body(operators: number, breaks: number): (x: Tensor, y: Tensor) => Tensor {
  return (x, y) => {
    let z = x;
    for (let i = 1; i <= operators; i++) {
      z = i % 2 === 0 ? z.add(x) : z.mul(y);
      if (i % Math.floor(operators / breaks) === 0) z.dataSync();
    }
    return z;
  };
}

/** Microseconds a call: the tenth percentile of batches of about 5000 operators, which other load on the machine disturbs least. */
function microseconds(fn: () => void, operators: number): number {
  const count = Math.ceil(5000 / operators);
  for (let i = 0; i < 10 * count; i++) fn();
  const batches: number[] = [];
  for (let b = 0; b < 40; b++) {
    const start = performance.now();
    for (let i = 0; i < count; i++) fn();
    batches.push((performance.now() - start) / count * 1000);
  }
  batches.sort((a, b) => a - b);
  return batches[Math.floor(batches.length / 10)] ?? NaN;
}

interface Row {
  readonly operators: number;
  readonly breaks: number;
  readonly taped: boolean;
  readonly call_us: number;
  readonly segments: number;
}

const results: Row[] = [];
for (const taped of [false, true]) {
  for (const [operators, breaks] of [[10, 1], [100, 1], [100, 10], [400, 1]] as const) {
    const fn = body(operators, breaks);
    const f = compile(fn, { backend: nothing });
    const x = tensor([1, 2, 3.5], { dtype: float32 }).requiresGrad_(taped);
    const y = tensor([1, 0.5, 1.5], { dtype: float32 });
    const call_us = microseconds(() => void f(x, y), operators);
    results.push({ operators, breaks, taped, call_us, segments: captureStats(f).segments });
  }
}
printTable(
  ["operators, breaks", "tape", "µs a call", "µs an operator", "segments"],
  results.map((r) => [
    `${r.operators}, ${r.breaks}`,
    r.taped ? "on" : "off",
    r.call_us.toFixed(1),
    (r.call_us / r.operators).toFixed(2),
    String(r.segments),
  ]),
);
print(JSON.stringify({ bench: "segments", results }));
