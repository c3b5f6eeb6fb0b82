/** What a program can tell capture: disable, allowInGraph, assumeConstant, graphBreak, isCompiling. */
import assert from "node:assert/strict";
import {
  allowInGraph,
  assumeConstant,
  captureStats,
  compile,
  disable,
  explain,
  graphBreak,
  isCompiling,
} from "../../src/capture/mod.ts";
import { CompileError } from "../../src/core/mod.ts";
import { activeMode, type Tensor, tensor } from "../../src/tensor/mod.ts";
import { eachBackend, full, same } from "./support.ts";

const x = tensor([1, 2.5, -3]);

eachBackend("disable() runs eagerly between two graphs", (backend) => {
  const modes: unknown[] = [];
  const largest = disable(function largest(t: Tensor): number {
    modes.push(activeMode());
    return Math.max(...t.dataSync() as Float32Array);
  });
  const body = (t: Tensor): Tensor => {
    const y = t.mul(2);
    return y.div(largest(y)).add(1);
  };
  const f = compile(body, { backend });
  for (let i = 0; i < 4; i++) same(f(x), body(x));
  assert.ok(modes.every((m) => m === null), "it ran under a mode");
  assert.match(captureStats(f).breaks[0]?.message ?? "", /largest\(\) is disabled for capture/);
  assert.ok(captureStats(f).compiledSegments >= 2);
  assert.throws(() => full(body, backend)(x), (e: unknown) => e instanceof CompileError && /disabled/.test(e.message));
});

Deno.test("allowInGraph() is part of the graph, and its closure is not looked at", () => {
  const hidden = { scale: 2, at: new Date() };
  const scaled = allowInGraph((t: Tensor) => t.mul(hidden.scale + 0 * hidden.at.getTime()));
  const f = full((t: Tensor) => scaled(t).add(1), "eager");
  same(f(x), x.mul(2).add(1));
  hidden.scale = 3;
  same(f(x), x.mul(2).add(1));
  assert.equal(explain((t: Tensor) => scaled(t).add(1))(x).operators, 2);
});

Deno.test("assumeConstant() is called once in a trace, with real arguments", () => {
  let calls = 0;
  const options = { depth: 2 };
  const read = assumeConstant((o: { depth: number }, t: Tensor): { scale: number } => {
    calls++;
    assert.equal(o, options);
    return { scale: o.depth * (t.dataSync()[0] as number) };
  });
  const f = full((t: Tensor) => t.mul(read(options, t).scale), "eager");
  same(f(x), x.mul(2));
  options.depth = 5;
  same(f(x), x.mul(2));
  assert.equal(calls, 1);
  assert.throws(() => full((t: Tensor) => t.mul(read(options, t.add(1)).scale), "eager")(x), /assumed to be constant/);
});

eachBackend("graphBreak() cuts a function in two and capture goes on behind", (backend) => {
  const f = compile((t: Tensor) => {
    const y = t.mul(2);
    graphBreak("cut here");
    return y.add(1).exp();
  }, { backend });
  for (let i = 0; i < 3; i++) same(f(x), x.mul(2).add(1).exp());
  const { breaks, segments } = captureStats(f);
  assert.deepEqual([breaks.map((b) => b.reason), segments], [["cut here"], 2]);
  assert.throws(
    () => full((t: Tensor) => (graphBreak(), t), backend)(x),
    /graphBreak\(\) is called at .*directives_test\.ts:\d+.*remove the call/,
  );
  graphBreak();
});

Deno.test("isCompiling() is true in traces and segments only", () => {
  const seen: boolean[] = [];
  const f = compile((t: Tensor) => isCompiling() ? t.mul(2) : t, { backend: "eager", fullgraph: true });
  same(f(x), x.mul(2));
  const g = compile((t: Tensor) => {
    seen.push(isCompiling());
    return t.mul(t.sum().item());
  }, { backend: "eager" });
  for (let i = 0; i < 5; i++) g(x);
  assert.deepEqual(seen, [true, true, true, true, true]);
  assert.equal(isCompiling(), false);
});
