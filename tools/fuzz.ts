// deno-lint-ignore-file no-console -- a program that reports to its user
/**
 * Differential fuzzing for as long as one likes: random programs, compiled, against the reference executor.
 *
 * `deno run -A tools/fuzz.ts [--seconds N] [--seed N] [--tier js|cpp|both|cuda] [--dynamic] [--batch N] [--out DIR]`
 *
 * A failing program is made small and written as a runnable test into `tests/fuzz/found/` (or `--out`). Exit code 1 if anything was found.
 */
import { parseArgs } from "node:util";
import "../mod.ts";
import { withConfig } from "../mod.ts";
import { checkProgram, checkPrograms, type FuzzOptions, shrinkProgram } from "../tests/fuzz/check.ts";
import { randomProgram } from "../tests/fuzz/generator.ts";
import { type FuzzProgram, programToText } from "../tests/fuzz/program.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: "0" },
    tier: { type: "string", default: "both" },
    dynamic: { type: "boolean", default: false },
    batch: { type: "string", default: "16" },
    out: { type: "string" },
  },
});

const folder = values.out === undefined
  ? new URL("../tests/fuzz/found/", import.meta.url)
  : new URL(`file://${Deno.realPathSync(values.out)}/`);

/** The text of a test that runs one program. */
function testText(name: string, program: FuzzProgram, options: FuzzOptions, reason: string): string {
  const comment = programToText(program).split("\n").map((line) => `// ${line}`).join("\n");
  return `// Found by tools/fuzz.ts: ${reason}
import assert from "node:assert/strict";
import "../../../mod.ts";
import { checkProgram } from "../check.ts";
import type { FuzzProgram } from "../program.ts";

${comment}
const program: FuzzProgram = JSON.parse(${JSON.stringify(JSON.stringify(program))});

Deno.test("${name} agrees with the reference", () => {
  assert.equal(checkProgram(program, ${JSON.stringify(options)}), null);
});
`;
}

using _ = withConfig({ verify: true });
const deadline = performance.now() + Number(values.seconds) * 1000;
const known = ["js", "cpp", "cuda"] as const;
const tiers = values.tier === "both" ? ["js", "cpp"] as const : known.filter((tier) => tier === values.tier);
if (tiers.length === 0) {
  console.error(`fuzz: --tier ${values.tier} is not js, cpp, both or cuda`);
  Deno.exit(2);
}
let seed = Number(values.seed);
let programs = 0;
let steps = 0;
let found = 0;
while (performance.now() < deadline) {
  const seeds = Array.from({ length: Number(values.batch) }, () => seed++);
  const batch = seeds.map((s) => randomProgram(s, 5 + s % 56));
  programs += batch.length;
  steps += batch.reduce((n, p) => n + p.steps.length, 0);
  for (const tier of tiers) {
    const options: FuzzOptions = { tier, dynamic: values.dynamic };
    const reasons = checkPrograms(batch, options);
    reasons.forEach((reason, i) => {
      if (reason === null) return;
      found++;
      const program = batch[i] as FuzzProgram;
      console.log(`seed ${seeds[i]} on ${tier}: ${reason}`);
      const alone = checkProgram(program, options);
      if (alone === null) {
        console.log(`  only together with the others of its batch: seeds ${seeds.join(", ")}`);
        return;
      }
      const small = shrinkProgram(program, (p) => checkProgram(p, options) !== null);
      const why = checkProgram(small, options) ?? alone;
      console.log(`${programToText(small)}\n  ${why}`);
      Deno.mkdirSync(folder, { recursive: true });
      const file = new URL(`seed_${seeds[i]}_${tier}_test.ts`, folder);
      Deno.writeTextFileSync(file, testText(`seed ${seeds[i]} on ${tier}`, small, options, why));
      console.log(`  written to ${file.pathname}`);
    });
  }
}
console.log(`${programs} programs of ${steps} steps, ${found} failures`);
Deno.exit(found > 0 ? 1 : 0);
