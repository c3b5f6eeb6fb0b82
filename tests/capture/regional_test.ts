/** Regional compilation: one graph for all siblings of a repeated block. */
import assert from "node:assert/strict";
import "../../mod.ts";
import { compileRepeated } from "../../src/capture/mod.ts";
import { withConfig } from "../../src/core/mod.ts";
import * as nn from "../../src/nn/mod.ts";
import { manualSeed, randn, type Tensor } from "../../src/tensor/mod.ts";

class Block extends nn.Module {
  readonly norm = new nn.LayerNorm([6]);
  readonly up: nn.Linear;
  readonly down: nn.Linear;
  #scale = 0.5;
  constructor(width: number) {
    super();
    this.up = new nn.Linear(6, width);
    this.down = new nn.Linear(width, 6);
  }
  forward(x: Tensor): Tensor {
    return x.add(this.down.forward(nn.functional.gelu(this.up.forward(this.norm.forward(x)))).mul(this.#scale));
  }
}

class Model extends nn.Module {
  readonly embed = new nn.Linear(4, 6);
  readonly blocks: nn.ModuleList<Block>;
  readonly head = new nn.Linear(6, 2);
  constructor(widths: readonly number[]) {
    super();
    this.blocks = new nn.ModuleList(widths.map((w) => new Block(w)));
  }
  forward(x: Tensor): Tensor {
    let y = this.embed.forward(x);
    for (const block of this.blocks) y = block.forward(y);
    return this.head.forward(y);
  }
}

function model(widths: readonly number[]): Model {
  manualSeed(3);
  return new Model(widths);
}

function near(actual: Tensor | null, expected: Tensor | null): void {
  if (actual === null || expected === null) return assert.equal(actual, expected);
  assert.ok(actual.sub(expected).abs().max().item() < 1e-5);
}

const twelve = new Array<number>(12).fill(8);

for (const [backend, options] of [["eager", {}], ["aot_eager", {}], ["inductor", { tier: "js" }]] as const) {
  Deno.test(`twelve equal blocks are captured once, and compute and learn as before (${backend})`, () => {
    using _ = withConfig({ verify: true });
    const [plain, regional] = [model(twelve), model(twelve)];
    const regions = compileRepeated(regional, { backend, options });
    assert.equal(regions.blocks, 12);
    for (let i = 0; i < 3; i++) {
      const x = randn([5, 4]);
      const [y, z] = [plain.forward(x), regional.forward(x)];
      near(z, y);
      y.pow(2).sum().backward();
      z.pow(2).sum().backward();
    }
    // The first run opens the private field.
    assert.deepEqual(regions.graphs(), { Block: 1 });
    const grads = [plain, regional].map((m) => m.parameters().map((p) => p.grad));
    grads[0]?.forEach((g, i) => near(grads[1]?.[i] ?? null, g));
    assert.deepEqual(Object.keys(regional.stateDict()), Object.keys(plain.stateDict()));
  });
}

Deno.test("siblings of other shapes and modes have graphs of their own, and sizes become symbols", () => {
  const m = model([8, 8, 16, 16, 8]);
  const reference = model([8, 8, 16, 16, 8]);
  const regions = compileRepeated(m, { backend: "eager" });
  for (const n of [2, 3, 4, 5]) {
    const x = randn([n, 4]);
    near(m.forward(x), reference.forward(x));
  }
  assert.ok((regions.graphs()["Block"] ?? 0) <= 4, JSON.stringify(regions.graphs()));
  const before = regions.graphs()["Block"];
  const x = randn([6, 4]);
  near(m.forward(x), reference.forward(x));
  assert.equal(regions.graphs()["Block"], before);
});

Deno.test("blocks are put back, and models without repeated blocks are refused", () => {
  const m = model([8, 8]);
  {
    using regions = compileRepeated(m, { backend: "eager" });
    assert.ok(Object.hasOwn(m.blocks.at(0), "forward"));
    assert.equal(regions.blocks, 2);
  }
  assert.ok(!Object.hasOwn(m.blocks.at(0), "forward"));
  const flat = new nn.Sequential(new nn.Linear(2, 2), new nn.Linear(2, 2));
  assert.throws(() => compileRepeated(flat), /TypeError: compileRepeated: the model repeats no block/);
  assert.throws(() => compileRepeated((() => {}) as never), /needs a module/);
});
