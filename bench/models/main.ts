/**
 * Runs PyTorch's models through `compare.py` and keeps what came out: `deno run -A bench/models/main.ts [--list FILE] [NAME …]`.
 *
 * Each model is built, exported, run by `tessera run` and compared with PyTorch in float64, in a process of its own. Rows are appended to a file of JSON
 * lines, and models that stand there already are left out, so a run that was stopped goes on. `TESSERA_PEERS_PYTHON` names a Python with PyTorch and the
 * models; `TESSERA_COMPARE` the script. `table.ts` makes the page of the documentation from the rows.
 */
import { parseArgs } from "node:util";
// @ts-types="npm:@types/cli-progress@^3.11.6"
import cliProgress from "cli-progress";
import { findPeer, print } from "../support.ts";
import { appendRow, isAnswered, readRows } from "./rows.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
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
    `bench/models/main.ts [NAME …] [--list FILE]… [--out FILE] [--device cpu] [--dtype float32] [--modes eager,default]
  [--limit SECONDS] [--retry: run models again that failed or disagree]`,
  );
  Deno.exit(0);
}
const python = await findPeer();
if (python === null) {
  print("no Python with PyTorch: set TESSERA_PEERS_PYTHON to one");
  Deno.exit(1);
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
const names = [...new Set([...positionals, ...listed])].filter((name) => !done.has(name));
const bar = new cliProgress.SingleBar({
  format: "{bar} {value}/{total} {name}",
  noTTYOutput: true,
  notTTYSchedule: 30_000,
}, cliProgress.Presets.shades_classic);
bar.start(names.length, 0, { name: names[0] ?? "" });
for (const name of names) {
  bar.update({ name });
  const { stdout, stderr } = await new Deno.Command(python, {
    args: [
      compare,
      name,
      "--device",
      values.device,
      "--dtype",
      values.dtype,
      "--modes",
      values.modes,
      "--limit",
      values.limit,
    ],
    cwd: new URL("../../", import.meta.url),
  }).output();
  const text = new TextDecoder().decode(stdout).split("\n").find((line) => line.startsWith("{"));
  const row: unknown = text === undefined
    ? { model: name, error: new TextDecoder().decode(stderr).slice(-400) }
    : JSON.parse(text);
  appendRow(values.out, {
    device: values.device,
    dtype: values.dtype,
    ...row as object,
    date: new Date().toISOString().slice(0, 10),
  });
  bar.increment();
}
bar.stop();
