/** Sides of a choice in branches of their own. */
import assert from "node:assert/strict";
import "../../../mod.ts";
import { compile } from "../../../src/capture/mod.ts";
import { float32 } from "../../../src/core/mod.ts";
import { emitCppTile } from "../../../src/inductor/codegen/cpp/emit_tile.ts";
import { lowerGroup } from "../../../src/inductor/tile/lower_group.ts";
import { cppTarget } from "../../../src/inductor/tile/target.ts";
import { loopVar, ops, type Value } from "../../../src/loops/mod.ts";
import { symbol } from "../../../src/symbolic/mod.ts";
import { F, linspace, type Tensor, tensor } from "../../../src/tensor/mod.ts";
import { nativeTest } from "../../runtime/support.ts";
import { base, buffer } from "./harness.ts";

/** The C++ of a function of one number. */
function textOf(body: (x: Value) => Value): string {
  const [x, out] = [buffer("x", float32, 4096), buffer("out", float32, 4096)];
  const i = loopVar(4096);
  const value = body(ops.load(x, symbol(i)));
  const [kernel] = lowerGroup({
    kind: "loops",
    axes: [i],
    reduceAxes: [],
    stages: [{ kind: "pointwise", space: "outer", out, index: symbol(i), value }],
    ...base([out]),
  }, cppTarget(16, 2));
  assert(kernel?.kind === "tile");
  return emitCppTile(kernel, 16).text;
}

/** A long computation. */
const long = (x: Value): Value => ops.tan(ops.atan(ops.tan(x)));

Deno.test("a side of a choice that is long, and that nothing else needs, is in a branch", () => {
  const far = textOf((x) => ops.where(ops.lt(x, 1), ops.mul(x, 2), long(x)));
  assert.match(far, /if \(tsr_any\(~/);
  assert.ok(far.indexOf("if (tsr_any") < far.indexOf("tsr_tan("));
  const both = textOf((x) => ops.where(ops.lt(x, 1), long(ops.add(x, 1)), long(x)));
  assert.equal(both.match(/if \(tsr_any\(/g)?.length, 2);
  // A choice within a side has a branch within the branch.
  const nested = textOf((x) => ops.where(ops.lt(x, 1), x, ops.where(ops.lt(x, 2), long(x), ops.exp(long(ops.neg(x))))));
  assert.equal(nested.match(/if \(tsr_any\(/g)?.length, 3);
});

Deno.test("what is short, or is needed beside the choice, is in none", () => {
  assert.doesNotMatch(textOf((x) => ops.where(ops.lt(x, 1), x, ops.mul(x, 2))), /if \(tsr_any/);
  assert.doesNotMatch(textOf((x) => ops.add(long(x), ops.where(ops.lt(x, 1), x, long(x)))), /if \(tsr_any/);
  assert.doesNotMatch(textOf((x) => ops.where(ops.lt(long(x), 1), x, long(x))), /if \(tsr_any/);
});

nativeTest("functions of ranges are right where lanes are of one, of the other and of both", () => {
  // Below and above the limits of all series, in runs longer than a register and mixed.
  const runs = linspace(-40, 40, 1003), mixed = runs.view([17, 59]).t().contiguous().view([-1]);
  const x = F.cat([runs, mixed, tensor([0, -0, Infinity, -Infinity, NaN, 8, -8, 1, -1])]);
  const functions: readonly ((a: Tensor) => Tensor)[] = [
    (a) => F.i0(a.clamp(-30, 30)),
    F.specialI1e,
    F.specialErfcx,
    F.specialLogNdtr,
    F.specialBesselJ0,
    F.specialBesselY1,
    F.specialModifiedBesselK0,
    F.specialSphericalBesselJ0,
    (a) => F.polygamma(1, a.abs().add(0.1)),
  ];
  functions.forEach((fn, k) => {
    const wanted = compile(fn, { backend: "reference" })(x).dataSync();
    const got = compile(fn, { mode: "aot", fullgraph: true })(x).dataSync();
    for (let i = 0; i < x.numel; i++) {
      const [g, w] = [Number(got[i]), Number(wanted[i])];
      const near = Object.is(g, w) || g === w || Math.abs(g - w) <= 2e-5 * Math.abs(w) + 2e-6;
      assert.ok(near, `function ${k} of ${x.dataSync()[i]}: ${g}, not ${w}`);
    }
  });
});
