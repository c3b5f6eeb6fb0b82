/** A function of a module that cannot be looked at, with the text of one that can. */
import assert from "node:assert/strict";
import "../../src/aot_autograd/mod.ts";
import { compile } from "../../src/capture/mod.ts";
import { ones, type Tensor } from "../../src/tensor/mod.ts";
import { same } from "./support.ts";

// Never assigned here, but there.
const factor = 2;
const scaled = (x: Tensor): Tensor => x.mul(factor);

interface Twin {
  readonly scaled: (x: Tensor) => Tensor;
  readonly setFactor: (value: number) => void;
}

/** The module shows under no name that stands in the text. */
function loadTwin(): Promise<Twin> {
  const text = `let factor = 2;
export const scaled = ${scaled};
export function setFactor(value) { factor = value; }`;
  const specifier = `data:text/javascript,${encodeURIComponent(text)}`;
  return import(specifier) as Promise<Twin>;
}

Deno.test("a name is not constant because the same text stands where it is", async () => {
  const twin = await loadTwin();
  assert.equal(`${twin.scaled}`, `${scaled}`);
  for (const fn of [twin.scaled, (x: Tensor): Tensor => twin.scaled(x).add(1)]) {
    twin.setFactor(2);
    const f = compile(fn, { backend: "eager" });
    for (const value of [2, 2, 5, 7]) {
      twin.setFactor(value);
      same(f(ones([2])), fn(ones([2])));
    }
  }
});
