/**
 * The demo's training step: own eager, JavaScript tier and C++, and PyTorch eager and compiled, same network, batch and threads, in one run.
 *
 *     deno run -A bench/demo.ts [--batch 64] [--seconds 3] [--no-compile]
 *
 * Prints a table and one JSON object. Without a Python that has PyTorch (TESSERA_PEERS_PYTHON), its rows are left out.
 */
import { Command } from "commander";
import { compile, rand, tensor } from "../mod.ts";
import { eagerStep } from "../examples/digits/measure.ts";
import type { Step } from "../examples/digits/network.ts";
import { callTimes, findPeer, print, printTable, runPeer, timed } from "./support.ts";

interface Row {
  readonly name: string;
  readonly first_call_ms: number;
  readonly median_ms: number;
  readonly p10_ms: number;
}

interface PeerReport {
  readonly version: string;
  readonly eager: Omit<Row, "name">;
  readonly compile?: Omit<Row, "name">;
  readonly compile_error?: string;
}

const options = new Command()
  .option("--batch <n>", "images a step", Number, 64)
  .option("--seconds <s>", "for each row", Number, 3)
  .option("--no-compile", "leave torch.compile out")
  .parse()
  .opts<{ batch: number; seconds: number; compile: boolean }>();
const { batch, seconds } = options;
const images = rand([batch, 1, 28, 28]);
const labels = tensor(Array.from({ length: batch }, (_, i) => i % 10));

function measure(name: string, step: Step): Row {
  const call = (): void => {
    step(images, labels).item();
  };
  const first = timed(call);
  for (let i = 0; i < 3; i++) call();
  return { name, first_call_ms: first, ...callTimes(call, seconds) };
}

const rows: Row[] = [
  measure("tessera eager", eagerStep()),
  measure("tessera JavaScript", compile(eagerStep(), { fullgraph: true, options: { tier: "js" } })),
  measure("tessera C++", compile(eagerStep(), { fullgraph: true, mode: "aot" })),
];
const python = await findPeer();
let version: string | null = null;
if (python !== null) {
  const threads = navigator.hardwareConcurrency;
  const args = ["--batch", `${batch}`, "--threads", `${threads}`, "--seconds", `${seconds}`];
  const peer = await runPeer<PeerReport>(python, "demo.py", options.compile ? args : [...args, "--no-compile"]);
  version = peer.version;
  rows.push({ name: `PyTorch ${version} eager`, ...peer.eager });
  if (peer.compile !== undefined) rows.push({ name: `PyTorch ${version} compile`, ...peer.compile });
  if (peer.compile_error !== undefined) print(`torch.compile failed: ${peer.compile_error}`);
} else {
  print("no Python with PyTorch: set TESSERA_PEERS_PYTHON to one to compare");
}
const slowest = rows[0]?.median_ms ?? NaN;
printTable(
  ["training step", "median ms", "p10 ms", "images/s", "× own eager", "first call ms"],
  rows.map((r) => [
    r.name,
    r.median_ms.toFixed(2),
    r.p10_ms.toFixed(2),
    (batch / r.median_ms * 1000).toFixed(0),
    (slowest / r.median_ms).toFixed(2),
    r.first_call_ms.toFixed(0),
  ]),
);
print(JSON.stringify({ bench: "demo", batch, threads: navigator.hardwareConcurrency, pytorch: version, rows }));
