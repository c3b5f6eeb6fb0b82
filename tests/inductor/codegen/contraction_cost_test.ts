/** The cost model of products is the one that the measurements in the repository lead to, and chooses well among what was measured. */
import assert from "node:assert/strict";
import { contractionCost, type CostQuery } from "../../../src/inductor/templates/contraction_cost.ts";
import { HOPPER_COSTS } from "../../../src/inductor/templates/contraction_costs.ts";

const query: CostQuery = {
  height: 128,
  width: 128,
  tiles: 132,
  steps: 64,
  pieces: 1,
  turns: false,
  mates: false,
  straddles: false,
  gathered: false,
  multiprocessors: 132,
  work: 2,
  bytes: 0,
};
const cost = (changes: Partial<CostQuery>): number => contractionCost(HOPPER_COSTS, { ...query, ...changes });

Deno.test("one tile more than a round costs a round, unless several blocks share it", () => {
  assert.ok(cost({ tiles: 133 }) > 1.7 * cost({}));
  assert.ok(cost({ tiles: 133, pieces: 4 }) < 0.95 * cost({ tiles: 133 }));
  assert.equal(cost({ tiles: 264 }), cost({ tiles: 133 }));
});

Deno.test("no way of cutting a product is faster than memory", () => {
  const bytes = 3e8;
  assert.ok(cost({ steps: 1, bytes }) >= bytes / HOPPER_COSTS.bytesPerMicrosecond);
  assert.ok(cost({ steps: 1, bytes, turns: true }) >= bytes / HOPPER_COSTS.bytesPerMicrosecond);
  assert.equal(cost({ width: 77 }), Infinity);
});

Deno.test("what is done with sums costs a tile's end, which another warpgroup's products hide where warpgroups take turns", () => {
  const more = (turns: boolean): number =>
    cost({ steps: 64, tiles: 1320, turns, work: 20 }) - cost({ steps: 64, tiles: 1320, turns });
  assert.ok(more(false) > 5);
  assert.ok(more(true) < more(false) / 2);
});

Deno.test("the constants are those that the tool fits to the measurements, and cost at most 5 % on average", () => {
  const root = new URL("../../../", import.meta.url).pathname;
  const target = Deno.makeTempFileSync({ suffix: ".ts" });
  try {
    const { success, stdout, stderr } = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "tools/fit_contractions.ts", "bench/data/contractions_h100.jsonl", target],
      cwd: root,
      stdout: "piped",
      stderr: "piped",
    }).outputSync();
    const said = new TextDecoder().decode(stdout);
    assert.ok(success, new TextDecoder().decode(stderr));
    assert.equal(
      Deno.readTextFileSync(target),
      Deno.readTextFileSync(`${root}src/inductor/templates/contraction_costs.ts`),
    );
    const [, percent = "100"] = /takes ([\d.]+) % more than the best/.exec(said) ?? [];
    assert.ok(Number(percent) < 5, said);
  } finally {
    Deno.removeSync(target);
  }
});
