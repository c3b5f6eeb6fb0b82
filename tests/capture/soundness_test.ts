/** Changes that a guard might miss: what compiled functions give is what eager gives. */
import assert from "node:assert/strict";
import { captureStats, compile } from "../../src/capture/mod.ts";
import { float32, float64, getDefaultDtype, setDefaultDtype } from "../../src/core/mod.ts";
import { arange, ones, Tensor, tensor } from "../../src/tensor/mod.ts";
import { eachBackend, full, plain } from "./support.ts";

type Wrap = <A extends readonly unknown[], R>(fn: (...args: A) => R) => (...args: A) => R;

/** Runs a program eagerly and compiled; it tells what it sees. */
function agrees(backend: string, program: (wrap: Wrap, tell: (value: unknown) => void) => void): void {
  const run = (wrap: Wrap): unknown[] => {
    const out: unknown[] = [];
    program(wrap, (value) => void out.push(plain(value)));
    return out;
  };
  assert.deepEqual(run((fn) => compile(fn, { backend })), run((fn) => fn));
}

const x = tensor([1, 2.5, -3]);

/** Puts a member on a prototype for the time of a call. */
function withMember(prototype: object, key: string, value: unknown, body: () => void): void {
  Object.defineProperty(prototype, key, { value, configurable: true, writable: true });
  try {
    body();
  } finally {
    Reflect.deleteProperty(prototype, key);
  }
}

const call = (object: unknown, key: string): unknown =>
  Reflect.apply(Reflect.get(Object(object), key) as () => unknown, object, []);

eachBackend("methods that the program puts on prototypes are not frozen", (backend) => {
  for (const prototype of [Tensor.prototype, Number.prototype, String.prototype, Array.prototype]) {
    let k = 2;
    const own = function (this: unknown): unknown {
      return this instanceof Tensor ? this.mul(k) : Array.isArray(this) ? this.length * k : Number(this) * k;
    };
    withMember(prototype, "timesK", own, () => {
      agrees(backend, (wrap, tell) => {
        k = 2;
        const f = wrap((t: Tensor, n: number, s: string) => [
          "timesK" in Tensor.prototype ? call(t, "timesK") : t,
          "timesK" in Number.prototype ? call(n, "timesK") : n,
          "timesK" in String.prototype ? call(s, "timesK") : s,
          "timesK" in Array.prototype ? call([1, 2], "timesK") : 0,
        ]);
        tell(f(x, 3, "4"));
        tell(f(x, 3, "4"));
        k = 7;
        tell(f(x, 3, "4"));
      });
    });
  }
  const named = (t: Tensor): Tensor => (t as unknown as { timesK(): Tensor }).timesK();
  withMember(Tensor.prototype, "timesK", function (this: Tensor): Tensor {
    return this.mul(2);
  }, () => {
    assert.throws(
      () => full(named, backend)(x),
      /timesK, which the program has put on Tensor.prototype.*plain function/s,
    );
  });
});

eachBackend("versions and offsets of tensors are those of each call", (backend) => {
  agrees(backend, (wrap, tell) => {
    const f = wrap((t: Tensor) => [t.version, t.storageOffset, t.mul(2)]);
    const base = arange(6).to(float32);
    for (const [a, b] of [[0, 3], [2, 5], [3, 6]]) tell(f(base.slice(0, a as number, b as number)));
    base.add_(1);
    tell(f(base.slice(0, 1, 4)));
  });
  const counted = { version: 3 };
  const f = full((t: Tensor) => t.mul(counted.version), backend);
  assert.deepEqual(plain(f(x)), plain(x.mul(3)));
});

eachBackend("the default dtype is that of each operator", (backend) => {
  agrees(backend, (wrap, tell) => {
    const f = wrap((t: Tensor) => {
      setDefaultDtype(float64);
      const made = ones([3]);
      setDefaultDtype(float32);
      return [t.add(made), ones([2]).mul(3)];
    });
    for (let i = 0; i < 3; i++) tell(f(x));
    tell(getDefaultDtype().name);
    const g = wrap((t: Tensor) => t.add(ones([3])).add(tensor([0.5, 1, 2])));
    tell(g(x));
    setDefaultDtype(float64);
    tell(g(x));
    setDefaultDtype(float32);
    tell(g(x));
  });
});

eachBackend("a compiled function shows its own name and length", (backend) => {
  const f = compile(function scaled(t: Tensor, k: number): Tensor {
    return t.mul(k);
  }, { backend });
  assert.deepEqual([f.name, f.length], ["scaled", 2]);
});

eachBackend("what changes by being read runs in segments", (backend) => {
  let count = 0;
  const object = {
    get next(): number {
      return ++count;
    },
  };
  const f = compile((t: Tensor) => t.mul(object.next), { backend });
  for (let i = 1; i < 5; i++) assert.deepEqual(plain(f(x)), plain(x.mul(i)));
  assert.equal(count, 4);
  assert.ok(captureStats(f).entries <= 4);
});
