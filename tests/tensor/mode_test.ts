import assert from "node:assert/strict";
import type { NamedArgs, Operator } from "../../src/ops/mod.ts";
import {
  activeMode,
  type DispatchMode,
  FakeTensorMode,
  noGrad,
  ones,
  type OpResult,
  type Tensor,
  tensor,
  tracked,
  withMode,
  withoutModes,
  zeros,
} from "../../src/tensor/mod.ts";
import "../../src/autograd/mod.ts";

/** Runs on fake twins and notes what it was asked. */
class RecordingMode extends FakeTensorMode implements DispatchMode {
  readonly calls: string[] = [];
  readonly reads: string[] = [];
  /** Modes in force while this one worked. */
  readonly active: (DispatchMode | null)[] = [];

  override dispatch(op: Operator, args: NamedArgs<Tensor>): OpResult {
    this.calls.push(op.target);
    this.active.push(activeMode());
    return super.dispatch(op, args);
  }

  override trackRead(_object: object, key: PropertyKey, value: unknown): unknown {
    this.reads.push(String(key));
    return value;
  }
}

Deno.test("a mode gets every operator, suspended while it works", () => {
  const mode = new RecordingMode();
  const x = ones([2, 3]);
  const y = withMode(mode, () => x.mul(2).sum());
  assert.deepEqual(mode.calls, ["aten.mul.Scalar", "aten.sum.default"]);
  assert.deepEqual(mode.active, [null, null]);
  assert.deepEqual([y.shape, y.isDense], [[], false]);
  assert.equal(activeMode(), null);
  withMode(mode, () => withoutModes(() => x.add_(1)));
  assert.deepEqual(x.at(0).toArray(), [2, 2, 2]);
});

Deno.test("backward inside a mode runs on twins and is recorded; real gradients stay as they are", () => {
  const mode = new RecordingMode();
  const w = tensor([1.5, 2], { requiresGrad: true });
  withMode(mode, () => {
    w.mul(w).sum().backward();
    const { grad } = w;
    assert.deepEqual([grad?.shape, grad?.isDense], [[2], false]);
    assert.equal(grad, mode.wrapInput(w).grad);
    noGrad(() => w.sub_(w.grad as Tensor));
    w.grad = null;
  });
  assert.equal(w.grad, null);
  assert.deepEqual(w.toArray(), [1.5, 2]);
  assert.ok(mode.calls.filter((c) => c.startsWith("aten.mul")).length >= 2, mode.calls.join());
  assert.equal(mode.calls.at(-1), "aten.sub_.Tensor");
});

Deno.test("writes and views inside a mode count versions on the twin's storage only", () => {
  const mode = new RecordingMode();
  const x = zeros([4]);
  withMode(mode, () => {
    const view = x.view([2, 2]);
    view.add_(1);
    assert.equal(view.storage, mode.wrapInput(x).storage);
    assert.equal(mode.wrapInput(x).version, 1);
  });
  assert.equal(x.version, 0);
});

Deno.test("operators that may return their argument are decomposed before a mode sees them", () => {
  const mode = new RecordingMode();
  const x = ones([2, 2]);
  const same = withMode(mode, () => x.contiguous());
  assert.equal(same, mode.wrapInput(x));
  assert.deepEqual(mode.calls, []);
  withMode(mode, () => x.t().contiguous());
  assert.deepEqual(mode.calls, ["aten.t.default", "aten.clone.default"]);
});

Deno.test("reading data inside a mode asks it", () => {
  const mode = new RecordingMode();
  const x = tensor([1.5]);
  assert.equal(withMode(mode, () => x.item()), 1.5);
  assert.throws(() => withMode(mode, () => x.add(1).item()), { name: "TypeError", message: /no data/ });
});

Deno.test("tracked() reads plainly, and tells the mode in force", () => {
  const options = { lr: 0.1 };
  assert.equal(tracked(options, "lr"), 0.1);
  const mode = new RecordingMode();
  assert.equal(withMode(mode, () => tracked(options, "lr")), 0.1);
  assert.deepEqual(mode.reads, ["lr"]);
});

Deno.test("a fake tensor that was expanded refuses writes as a real one does", () => {
  withMode(new FakeTensorMode(), () => {
    assert.throws(() => zeros([1, 4]).expand([3, 4]).add_(1), /add_: several elements .* share memory/);
  });
});
