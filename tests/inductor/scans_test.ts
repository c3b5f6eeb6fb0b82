/** Scans, and what walks along with them in one kernel. */
import assert from "node:assert/strict";
import "../../mod.ts";
import { compile } from "../../src/capture/mod.ts";
import { float16, float32, int32 } from "../../src/core/mod.ts";
import type { Argument, Node } from "../../src/graph/mod.ts";
import { compileGraphToPlan, type PlanOptions } from "../../src/inductor/compile_plan.ts";
import { groupToText } from "../../src/inductor/print.ts";
import { F, manualSeed, randn, type Tensor, tensor } from "../../src/tensor/mod.ts";
import { type GraphBuilder, graphOf } from "../helpers/graph_builder.ts";
import { nativeTest } from "../runtime/support.ts";

type Body = (b: GraphBuilder) => Argument | readonly Argument[];

/** The kernels of a program, as text. */
function kernels(body: Body, options: PlanOptions = {}): string[] {
  return compileGraphToPlan(graphOf(body), options).groups.map((g) => groupToText(g));
}

const cumsum = (b: GraphBuilder, x: Argument, dim: number): Node => b.call("aten.cumsum.default", [x, dim]);
const largest = (b: GraphBuilder, x: Argument, dim: number): Node => b.call("tessera.running_max.default", [x, dim]);

Deno.test("a scan of a scan along the same axis, and what is made of both, is one kernel", () => {
  const body: Body = (b) => {
    const x = b.input([8, 100]);
    const most = largest(b, x, 1);
    const places = b.call("aten.eq.Tensor", [x, most]);
    return b.call("aten.mul.Tensor", [largest(b, b.call("aten.where.ScalarOther", [places, x, 0]), 1), 2]);
  };
  const [text = "", ...others] = kernels(body);
  assert.equal(others.length, 0);
  assert.equal(text.match(/scan /g)?.length, 3, text);
  // What is in between never reaches memory.
  assert.equal(text.match(/\(kept\)/g)?.length, 2, text);
  assert.equal(kernels(body, { scanSteps: false }).length, 3);
});

Deno.test("a scan along another axis, of another order, or of a part is a kernel of its own", () => {
  assert.equal(kernels((b) => cumsum(b, cumsum(b, b.input([8, 100]), 1), 0)).length, 2);
  assert.equal(
    kernels((b) => cumsum(b, b.call("aten.flip.default", [cumsum(b, b.input([8, 100]), 1), [1]]), 1)).length,
    2,
  );
  assert.equal(
    kernels((b) => {
      const before = cumsum(b, b.input([8, 100]), 1);
      return b.call("aten.sub.Tensor", [
        b.call("aten.slice.Tensor", [before, 1, 1, 100]),
        b.call("aten.slice.Tensor", [before, 1, 0, 99]),
      ]);
    }).length,
    2,
  );
  assert.equal(kernels((b) => b.call("aten.sum.dim_IntList", [cumsum(b, b.input([8, 100]), 1), [1]])).length, 2);
});

Deno.test("a scan that waits for what others make of its first result stays behind them", () => {
  // The second scan reads the first, and a sum of the first that only a kernel in between knows.
  const texts = kernels((b) => {
    const first = cumsum(b, b.input([8, 100]), 1);
    const total = b.call("aten.sum.dim_IntList", [first, [1], true]);
    return cumsum(b, b.call("aten.div.Tensor", [first, total]), 1);
  });
  assert.equal(texts.filter((t) => t.startsWith("scan")).length, 2);
});

function numbers(t: Tensor): number[] {
  return Array.from(t.dataSync() as ArrayLike<number | bigint>, Number);
}

/** What the reference executor gives, operator by operator, and what C++ gives, along both axes of several lengths. */
function agree(program: (x: Tensor, dim: number) => Tensor | readonly Tensor[], x: Tensor, tolerance = 0): void {
  for (const dim of [0, 1]) {
    const fn = (a: Tensor): readonly Tensor[] => [program(a, dim)].flat();
    const wanted = compile(fn, { backend: "reference" })(x);
    compile(fn, { mode: "aot", fullgraph: true })(x).forEach((got, k) => {
      const want = numbers(wanted[k] as Tensor);
      numbers(got).forEach((g, i) => {
        const w = want[i] ?? NaN;
        const near = Object.is(g, w) || Math.abs(g - w) <= tolerance * Math.max(1, Math.abs(w));
        assert.ok(near || g === w, `result ${k} along ${dim} at ${i}: ${g}, not ${w}`);
      });
    });
  }
}

/** Lengths below, at and beyond the blocks of 4 and 8 registers. */
const LENGTHS = [7, 131, 300];

nativeTest(
  "running extrema and their positions are those of the reference, with NaN, infinities and zeros of both signs",
  () => {
    manualSeed(3);
    for (const length of LENGTHS) {
      const values = Float32Array.from(numbers(randn([3, length])));
      for (
        const [i, v] of [[2, -Infinity], [4, -0], [5, 0], [6, -0], [length - 2, Infinity], [length + 3, NaN]] as const
      ) {
        values[i] = v;
      }
      // One row descends, so that its first element wins throughout.
      for (let i = 0; i < length; i++) values[2 * length + i] = 3 - i;
      const x = tensor([...values]).view([3, length]);
      agree((a, dim) => F.cummax(a, dim), x);
      agree((a, dim) => F.cummin(a, dim), x);
      agree((a, dim) => F.cummin(a, dim)[1], x);
      agree((a, dim) => F.cummax(a, dim), x.nanToNum(0, 9, -9).mul(3).to(int32));
    }
  },
);

nativeTest("chains of scans are those of the reference", () => {
  manualSeed(4);
  for (const length of LENGTHS) {
    const x = randn([5, length]);
    agree((a, dim) => F.cumsum(F.cumsum(a, dim).mul(0.5).add(a), dim).sub(1), x, 1e-4);
    agree((a, dim) => F.logcumsumexp(a.mul(20), dim), x, 1e-5);
    agree(
      (a, dim) => {
        const sum = F.cumsum(a.abs(), dim);
        return [sum, F.logcumsumexp(sum, dim).to(float32)];
      },
      x,
      1e-5,
    );
    // What is rounded to a half on its way is rounded without memory too.
    agree((a, dim) => F.cumsum(F.cummax(a.to(float16), dim)[0].to(float32), dim), x, 1e-5);
  }
});
