/**
 * Calls that PyTorch refuses (its own error inputs, and its samples with a dimension, a size, an axis or a number spoilt): every one raises a TypeError or
 * a RangeError that says something, eagerly and compiled; none crashes, none returns.
 */
import assert from "node:assert/strict";
import "../../mod.ts";
import { compile, registerLibrary } from "../../src/capture/mod.ts";
import { noGrad, type Tensor } from "../../src/tensor/mod.ts";
import { Case } from "./case.ts";
import { Vectors } from "./vectors.ts";

const errors = new Vectors(new URL("./errors", import.meta.url).pathname);

/** What is wrong with how a call went; null for an error that a person can use. */
function complaint(run: () => readonly Tensor[]): string | null {
  try {
    noGrad(run).forEach((t) => t.dataSync());
    return "it returned";
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof RangeError)) return String(error);
    const isOwn = /^[\w.:]+.*: ./s.test(error.message) &&
      !/undefined|is not a function|Invalid array/.test(error.message);
    return isOwn ? null : String(error);
  }
}

const cases = errors.cases.flatMap((c) => {
  const found = Case.of(c, errors);
  return found === null ? [] : [found];
});

Deno.test("there are error inputs for at least 250 operators", () => {
  assert.equal(cases.length, errors.cases.length);
  assert.ok(new Set(cases.map((c) => c.c.target)).size >= 250);
});

Deno.test("what PyTorch refuses raises eagerly", () => {
  const wrong = cases.flatMap((c) => {
    const why = complaint(() => c.call(c.inputs()));
    return why === null ? [] : [`${c.c.id} ${c.c.target}: ${why}`];
  });
  assert.deepEqual(wrong, []);
});

Deno.test("what PyTorch refuses raises when compiled, with the operator's message", () => {
  const wrong = cases.filter((_, i) => i % 8 === 0).flatMap((c) => {
    const run = (...inputs: Tensor[]): Tensor[] => c.call(inputs);
    registerLibrary({ run });
    const why = complaint(() => compile(run, { options: { tier: "js" } })(...c.inputs()));
    return why === null ? [] : [`${c.c.id} ${c.c.target}: ${why}`];
  });
  assert.deepEqual(wrong, []);
});
