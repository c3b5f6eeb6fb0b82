/**
 * Runs models and keeps what came out: `deno run -A bench/models/main.ts [--suite timm] [--list FILE] [NAME …]`; without names, all of the manifest.
 *
 * PyTorch's models go through `compare.py`: built, exported, run by `tessera run` and compared with PyTorch in float64, in a process of their own. Those written in
 * TypeScript (`zoo:`) go through `run_zoo.ts`, compiled against eager. Rows are appended to a file of JSON
 * lines, and models that stand there already are left out, so a run that was stopped goes on. `TESSERA_PEERS_PYTHON` names a Python with PyTorch and the
 * models; `TESSERA_COMPARE` the script. `table.ts` makes the page of the documentation from the rows.
 */
import { parseArgs } from "node:util";
// @ts-types="npm:@types/cli-progress@^3.11.6"
import cliProgress from "cli-progress";
import { findPeer, print } from "../support.ts";
import { chooseModels, readManifest } from "./manifest.ts";
import { appendRow, isAnswered, readRows } from "./rows.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    suite: { type: "string" },
    "max-parameters": { type: "string", default: "Infinity" },
    list: { type: "string", multiple: true, default: [] },
    out: { type: "string", default: new URL("./results/cpu.jsonl", import.meta.url).pathname },
    device: { type: "string", default: "cpu" },
    dtype: { type: "string", default: "float32" },
    modes: { type: "string", default: "eager" },
    limit: { type: "string", default: "240" },
    retry: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});

if (values.help) {
  print(
    `bench/models/main.ts [NAME …] [--suite timm|huggingface|torchbench|all] [--max-parameters N] [--list FILE]… [--out FILE] [--device cpu] [--dtype float32] [--modes eager,default]
  [--limit SECONDS] [--retry: run models again that failed or disagree]`,
  );
  Deno.exit(0);
}
const manifest = readManifest();
const asked = [...positionals];
if (values.suite !== undefined || (asked.length === 0 && values.list.length === 0)) {
  try {
    const maxParameters = Number(values["max-parameters"]);
    asked.push(
      ...chooseModels(manifest, { maxParameters, ...(values.suite === undefined ? {} : { suite: values.suite }) }),
    );
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    print(error.message);
    Deno.exit(2);
  }
}
const compare = Deno.env.get("TESSERA_COMPARE") ??
  new URL("../../../shared/peers/compare.py", import.meta.url).pathname;
const listed = values.list.flatMap((file) =>
  Deno.readTextFileSync(file).split("\n").map((line) => line.trim()).filter((line) =>
    line !== "" && !line.startsWith("#")
  )
);
const done = new Set(
  readRows(values.out)
    .filter((row) => row.device === values.device && row.dtype === values.dtype && (!values.retry || isAnswered(row)))
    .map((row) => row.model),
);
const names = [...new Set([...asked, ...listed])].filter((name) => !done.has(name));
const python = names.some((name) => !name.startsWith("zoo:")) ? await findPeer() : "";
if (python === null) {
  print("no Python with PyTorch: set TESSERA_PEERS_PYTHON to one");
  Deno.exit(1);
}
const batches = new Map(manifest.map(({ name, batch }) => [name, batch]));

/** Runs one model in a process of its own. */
async function run(name: string, python: string): Promise<Deno.CommandOutput> {
  const zoo = /^zoo:(.*)$/.exec(name)?.[1];
  const signal = AbortSignal.timeout(2000 * Number(values.limit));
  const cwd = new URL("../../", import.meta.url);
  if (zoo !== undefined) {
    const script = new URL("./run_zoo.ts", import.meta.url).pathname;
    // Compile times are those of cold caches, as with compare.py.
    const env = { TESSERA_DISABLE: "cache" };
    return await new Deno.Command(Deno.execPath(), { args: ["run", "-A", script, zoo], cwd, signal, env }).output();
  }
  const { device, dtype, modes, limit } = values;
  const args = [compare, name, "--device", device, "--dtype", dtype, "--modes", modes, "--limit", limit];
  return await new Deno.Command(python, { args, cwd, signal }).output();
}

const bar = new cliProgress.SingleBar({
  format: "{bar} {value}/{total} {name}",
  noTTYOutput: true,
  notTTYSchedule: 30_000,
}, cliProgress.Presets.shades_classic);
bar.start(names.length, 0, { name: names[0] ?? "" });
/** Python writes infinities and NaN as words that are no JSON. */
function parseRow(line: string): unknown {
  return JSON.parse(line.replace(/(?<=[:,[]\s*)(?:-?Infinity|NaN)(?=\s*[,}\]])/g, "null"));
}

for (const name of names) {
  bar.update({ name });
  const { stdout, stderr } = await run(name, python);
  const text = new TextDecoder().decode(stdout).split("\n").find((line) => line.startsWith("{"));
  const row: unknown = text === undefined
    ? { model: name, error: new TextDecoder().decode(stderr).slice(-400) }
    : parseRow(text);
  appendRow(values.out, {
    device: values.device,
    dtype: values.dtype,
    ...name.startsWith("zoo:") ? { against: "own eager" } : {},
    ...batches.has(name) ? { batch: batches.get(name) } : {},
    ...row as object,
    date: new Date().toISOString().slice(0, 10),
  });
  bar.increment();
}
bar.stop();
