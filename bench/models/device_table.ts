/**
 * The table of docs/performance/cuda_models.md from what `device.py` wrote: `deno run -A bench/models/device_table.ts ROWS.jsonl [--kept torch_h100.json]`.
 *
 * PyTorch's figures are those of the same run, marked *; where it has none, those of the file of earlier sessions. Prints the table, and geometric means.
 */
import { print } from "../support.ts";

interface Times {
  readonly median_ms?: number;
  readonly compile_ms?: number;
}

/** A line of `device.py`: one stage of one model. */
interface Line {
  readonly model: string;
  readonly stage: "export" | "cold" | "warm" | "torch";
  readonly error?: string;
  readonly exported_in?: string;
  readonly torch_way?: string;
  readonly dtype: string;
  readonly load_ms?: number;
  readonly compile_ms?: number;
  readonly first_call_ms?: number;
  readonly median_ms?: number;
  readonly kernels?: number;
  readonly agrees?: boolean;
  readonly rel_error?: number;
  readonly torch?: Readonly<Record<string, Times>>;
}

const [rowsFile, flag, keptFile = new URL("./results/torch_h100.json", import.meta.url).pathname] = Deno.args;
if (rowsFile === undefined || (flag !== undefined && flag !== "--kept")) {
  print("bench/models/device_table.ts ROWS.jsonl [--kept FILE]");
  Deno.exit(2);
}
const kept = JSON.parse(Deno.readTextFileSync(keptFile)) as {
  readonly models: Readonly<Record<string, { readonly torch: Readonly<Record<string, Times>> }>>;
};
const stages = new Map<string, Map<Line["stage"], Line>>();
for (const text of Deno.readTextFileSync(rowsFile).split("\n").filter((t) => t !== "")) {
  // Python writes infinities as words that are no JSON.
  const line = JSON.parse(text.replace(/(?<=: )(?:-?Infinity|NaN)(?=[,}])/g, "null")) as Line;
  const known = stages.get(line.model) ?? new Map<Line["stage"], Line>();
  stages.set(line.model, known.set(line.stage, line));
}

const fixed = (x: number | undefined, digits: number): string => x === undefined ? "" : x.toFixed(digits);
const faster: number[] = [], thanEager: number[] = [], colds: number[] = [], warms: number[] = [];
const unsettled: string[] = [];
print("| model | tessera | eager | `reduce-overhead` | faster | cold compile, s | PyTorch's, s | warm, ms | kernels |");
print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
for (const [model, found] of stages) {
  const [exported, cold, warm, torch] = (["export", "cold", "warm", "torch"] as const).map((s) => found.get(s));
  const own = torch?.torch ?? {}, earlier = kept.models[model]?.torch ?? {};
  const isOwn = own["reduce-overhead"]?.median_ms !== undefined;
  const theirs = isOwn ? own : earlier;
  const [eager, compiled] = [theirs["eager"]?.median_ms, theirs["reduce-overhead"]?.median_ms];
  const ms = warm?.median_ms;
  const ready = cold?.compile_ms === undefined ? undefined : (cold.compile_ms + (cold.first_call_ms ?? 0)) / 1e3;
  const theirReady = own["reduce-overhead"]?.compile_ms;
  const opened = warm?.load_ms === undefined
    ? undefined
    : warm.load_ms + (warm.compile_ms ?? 0) + (warm.first_call_ms ?? 0);
  if (warm?.agrees !== true) {
    unsettled.push(
      `${model}: ${found.values().find((l) => l.error !== undefined)?.error ?? `off by ${warm?.rel_error}`}`,
    );
  }
  if (ms !== undefined && compiled !== undefined) faster.push(compiled / ms);
  if (ms !== undefined && eager !== undefined) thanEager.push(eager / ms);
  if (ready !== undefined && theirReady !== undefined) colds.push(theirReady / 1e3 / ready);
  if (opened !== undefined) warms.push(opened);
  const marks = [
    isOwn ? " *" : "",
    exported?.exported_in === undefined || exported.exported_in === exported.dtype ? "" : " †",
    torch?.torch_way === undefined || torch.torch_way === torch.dtype ? "" : ` (PyTorch: ${torch.torch_way})`,
  ];
  const cells = [
    `${model.replace(/^\w+:/, "").replace("@full", "")}${marks.join("")}`,
    fixed(ms, 2),
    fixed(eager, 2),
    fixed(compiled, 2),
    ms === undefined || compiled === undefined ? "" : fixed(compiled / ms, 2),
    fixed(ready, 1),
    fixed(theirReady === undefined ? undefined : theirReady / 1e3, 1),
    fixed(opened, 0),
    String(warm?.kernels ?? ""),
  ];
  print(`| ${cells.join(" | ")} |`);
}
const mean = (list: readonly number[]): string =>
  Math.exp(list.reduce((sum, x) => sum + Math.log(x), 0) / list.length).toFixed(2);
const sorted = warms.toSorted((a, b) => a - b);
print("");
print(
  `* PyTorch in the same run; † exported in float32 and run with --dtype. Geometric means: ${mean(faster)} against`,
);
print(`reduce-overhead (${faster.length} models), ${mean(thanEager)} against eager (${thanEager.length}).`);
if (colds.length > 0) {
  print(
    `PyTorch's cold compile takes at least ${Math.min(...colds).toFixed(1)} times as long (${colds.length} models).`,
  );
}
if (sorted.length > 0) {
  print(`warm: median ${fixed(sorted[sorted.length >> 1], 0)} ms, at most ${fixed(sorted.at(-1), 0)} ms.`);
}
for (const text of unsettled) print(`not settled: ${text}`);
