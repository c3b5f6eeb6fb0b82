/**
 * Random programs, compiled, agree with the reference executor. `tools/fuzz.ts` does the same for hours; what it finds becomes a test in `found/`.
 */
import assert from "node:assert/strict";
import "../../mod.ts";
import { withConfig } from "../../src/core/mod.ts";
import { findToolchain } from "../../src/runtime/cpu/toolchain.ts";
import { checkPrograms, type FuzzOptions, shrinkProgram } from "./check.ts";
import { randomProgram } from "./generator.ts";
import { type FuzzProgram, programToText } from "./program.ts";

/** Checks programs of consecutive seeds in batches; fails with the first one's reason and text. */
function checkSeeds(first: number, count: number, sizes: number, batch: number, options: FuzzOptions): void {
  using _ = withConfig({ verify: true });
  let steps = 0;
  for (let seed = first; seed < first + count; seed += batch) {
    const programs = Array.from({ length: batch }, (_, i) => randomProgram(seed + i, 5 + (seed + i) % sizes));
    steps += programs.reduce((n, p) => n + p.steps.length, 0);
    checkPrograms(programs, options).forEach((reason, i) => {
      const program = programs[i];
      if (reason !== null && program !== undefined) {
        assert.fail(`seed ${seed + i}: ${reason}\n${programToText(program)}`);
      }
    });
  }
  assert.ok(steps > count * 5, `${count} programs have only ${steps} steps`);
}

Deno.test("1,600 random programs compiled to JavaScript agree with the reference", () => {
  checkSeeds(10_000, 1600, 56, 8, { tier: "js" });
});

Deno.test("200 random programs compiled with symbolic sizes agree with the reference", () => {
  checkSeeds(20_000, 200, 30, 4, { tier: "js", dynamic: true });
});

const toolchain = findToolchain();

Deno.test({
  name: `200 random programs compiled to C++ agree with the reference${toolchain.ok ? "" : ` (${toolchain.problem})`}`,
  ignore: !toolchain.ok,
  fn: () => checkSeeds(30_000, 200, 30, 10, { tier: "cpp" }),
});

Deno.test("shrinkProgram() keeps only what a failure needs", () => {
  const program = randomProgram(7, 30);
  const wanted = program.steps.at(-1)?.target ?? "";
  const fails = (p: FuzzProgram): boolean => p.steps.some((s) => s.target === wanted);
  const small = shrinkProgram(program, fails);
  assert.ok(fails(small));
  assert.ok(small.steps.length <= 2 && small.results.length === 1, programToText(small));
});
