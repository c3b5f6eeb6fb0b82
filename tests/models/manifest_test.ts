import assert from "node:assert/strict";
import { chooseModels, paperSuite, readManifest, SUITES } from "../../bench/models/manifest.ts";
import { ZOO_NAMES } from "../../bench/models/zoo/mod.ts";

const manifest = readManifest();

Deno.test("the manifest holds at least 200 different models, and all suites of the paper", () => {
  assert.ok(manifest.length >= 200, `${manifest.length}`);
  assert.equal(new Set(manifest.map(({ name }) => name)).size, manifest.length);
  for (const suite of SUITES) {
    const paper = manifest.flatMap((entry) => entry.standsFor.filter((name) => paperSuite(name) === suite));
    assert.ok(new Set(paper).size >= 30, `${suite} stands for ${paper.length} models of the paper`);
  }
});

Deno.test("the manifest's zoo models are those of the zoo", () => {
  const names = manifest.flatMap(({ name }) => name.startsWith("zoo:") ? [name.slice(4)] : []);
  assert.deepEqual(names.toSorted(), ZOO_NAMES.toSorted());
});

Deno.test("chooseModels() takes a suite, leaves large models out, and names the suites that there are", () => {
  const timm = chooseModels(manifest, { suite: "timm" });
  assert.ok(timm.length > 60 && timm.every((name) => name.startsWith("timm:")));
  assert.equal(chooseModels(manifest, {}).length, manifest.length);
  const small = chooseModels(manifest, { suite: "huggingface", maxParameters: 1e9 });
  assert.ok(small.includes("hf:bert") && !small.includes("hf:mixtral"));
  assert.throws(() => chooseModels(manifest, { suite: "imagenet" }), /--suite imagenet: use one of timm/);
});
