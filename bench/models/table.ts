/**
 * Writes docs/models.md from the rows that `main.ts` kept: `deno run -A bench/models/table.ts [FILE …]`.
 */
import { paperSuite, readManifest, SUITES } from "./manifest.ts";
import { type ModelRow, readRows } from "./rows.ts";

const files = Deno.args.length > 0
  ? Deno.args
  : ["cpu_eager", "cpu", "zoo"].map((name) => new URL(`./results/${name}.jsonl`, import.meta.url).pathname);
const rows = readRows(...files).sort((a, b) => a.model < b.model ? -1 : a.model > b.model ? 1 : 0);

const number = (value: number | undefined, digits = 1): string => value === undefined ? "" : value.toFixed(digits);

/** Rows write an infinite error as null: PyTorch's own results are not finite, so the comparison says nothing. */
function errorText(error: number | null | undefined): string {
  return error === undefined ? "" : error === null ? "not finite on both sides" : error.toExponential(1);
}

/** One line of an error, without file names of the machine that ran it. */
function reason(text: string): string {
  const lines = text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  const told = lines.find((line) => line.startsWith("tessera: ")) ?? lines.at(-1) ?? "";
  return told.replace(/\/\S*\/(?=[^/\s]+)/g, "").replaceAll("|", "\\|").slice(0, 280);
}

function line(row: ModelRow): string {
  const { ours, torch } = row;
  const eager = torch?.["eager"]?.median_ms;
  const compiled = torch?.["default"];
  const agrees = ours?.agrees === true ? (ours.kind === "interpreted" ? "yes, interpreted" : "yes") : "no";
  return `| ${
    [
      row.reduced === undefined ? row.model : `${row.model} (${row.reduced})`,
      agrees,
      number(ours?.compile_ms, 0),
      number(ours?.median_ms, 2),
      number(eager, 2),
      number(compiled?.compile_ms, 0),
      number(compiled?.median_ms, 2),
      ours?.kernels ?? "",
      errorText(ours?.rel_error),
      row.against ?? "float64",
    ].join(" | ")
  } |`;
}

const manifest = readManifest();
const tried = new Set(rows.map((row) => row.model));

/** What the manifest holds, and how much of it has results here. */
function coverage(): string[] {
  const lines = [
    "| suite | models | tried | models of the paper's list that they stand for |",
    "| --- | ---: | ---: | ---: |",
  ];
  for (const suite of SUITES) {
    const list = manifest.filter((entry) => entry.suite === suite);
    const paper = new Set(manifest.flatMap(({ standsFor }) => standsFor.filter((name) => paperSuite(name) === suite)));
    lines.push(`| ${suite} | ${list.length} | ${list.filter(({ name }) => tried.has(name)).length} | ${paper.size} |`);
  }
  return lines;
}

const groups = Map.groupBy(rows, (row) => `${row.device}, ${row.dtype}`);
const text = ["# Models", ""];
text.push(
  "PyTorch's models, exported by `torch.export`, run by `tessera run`: random weights, batch 2, 64 tokens. A model agrees if its relative error",
  "against PyTorch in float64 is at most three times that of PyTorch's eager run, or 1e-4; where `against` says eager, it was compared with PyTorch's",
  "eager run in float32, by 1e-4. What is in brackets was made smaller: PyTorch's references at full size took more memory than the machine has. Models from transformers have two layers. The machine (2 cores) was loaded by other work: times say where to look, not more.",
  "`zoo:` models are written in TypeScript; what is compared there is compiled against eager, and tests hold eager to PyTorch (`tests/models`).",
  "Times are medians in milliseconds; compile times start with cold caches. Made by `bench/models/table.ts` from `bench/models/results/`.",
);
text.push(
  "",
  `The manifest (\`bench/models/manifest.json\`) holds ${manifest.length} models, and of which models of the PyTorch 2 paper each is there for;`,
  "`deno run -A bench/models/main.ts --suite timm` goes on with those that have no result yet.",
  "Families of transformers and timm that are on no list, heads, programs written from papers and other ways to export are tried in small configurations as well:",
  "what they found is in `tests/export/varied_programs_test.ts` and `tests/ops/select_order_test.ts`.",
  "",
  ...coverage(),
);
for (const [title, list] of groups) {
  const agreeing = list.filter((r) => r.ours?.agrees === true).length;
  const dates = list.flatMap((r) => r.date === undefined ? [] : [r.date]).sort();
  text.push("", `## ${title}`, "");
  text.push(`${agreeing} of ${list.length} models agree (${dates[0]} to ${dates.at(-1)}).`, "");
  text.push(
    "| model | agrees | compile ms | median ms | PyTorch eager ms | torch.compile compile ms | torch.compile ms | kernels | error | against |",
  );
  text.push("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |");
  text.push(...list.map(line));
  const failed = list.filter((r) => r.ours?.agrees !== true);
  if (failed.length > 0) {
    text.push("", "What does not agree, and why:", "");
    for (const row of failed) {
      const why = row.error ?? row.ours?.error;
      text.push(
        `- ${row.model}: ${why === undefined ? `error ${row.ours?.rel_error?.toExponential(1)}` : reason(why)}`,
      );
    }
  }
}
Deno.writeTextFileSync(new URL("../../docs/models.md", import.meta.url), `${text.join("\n")}\n`);
