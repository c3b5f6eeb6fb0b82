/** Input that cannot be compiled, or is wrong: an error, or eager behaviour with a report, that says what to do. */
import assert from "node:assert/strict";
import { captureStats, compile, type CompileOptions, type CompilerBackend } from "../../src/capture/mod.ts";
import { CompileError } from "../../src/core/mod.ts";
import "../../src/inductor/mod.ts";
import * as nn from "../../src/nn/mod.ts";
import { randn, type Tensor, tensor, zeros } from "../../src/tensor/mod.ts";
import { full, same } from "./support.ts";

const x = tensor([1, 2.5, -1]);

type Any = (...args: never[]) => unknown;
const anything = (fn: unknown): Any => fn as Any;

Deno.test("compile() on what is no function says what to compile instead", () => {
  const refused: readonly (readonly [unknown, RegExp])[] = [
    [class Net {}, /Net is a class; compile a method of an instance/],
    [function* steps() {}, /steps is a generator; compile what it calls between its yields/],
    [async function* steps() {}, /steps is a generator/],
    [new nn.Linear(2, 2), /needs a function, got object; compile model.forward as \(x\) => model.forward\(x\)/],
    [null, /needs a function, got null/],
    ["forward", /needs a function, got string/],
  ];
  for (const [value, message] of refused) assert.throws(() => compile(anything(value)), message);
});

Deno.test("native and bound functions and the program's own Proxies run as they are, or say what to do", () => {
  // What `bind` was given is seen if it is an object; numbers V8 does not show.
  const bound = (function (this: number, t: Tensor): Tensor {
    return t.mul(Number(this));
  }).bind(3);
  const proxy = new Proxy((t: Tensor): Tensor => t.mul(2), {});
  const cases: readonly (readonly [Any, readonly unknown[], RegExp])[] = [
    [anything(bound), [x], /bound.*is a native function.*call it through an arrow function/s],
    [anything(proxy), [x], /is a native function.*call it through an arrow function/s],
    [
      anything((o: { t: Tensor }) => o.t.mul(2)),
      [new Proxy({ t: x }, {})],
      /Proxy of the program's own.*pass the object behind it/s,
    ],
  ];
  for (const [fn, args, message] of cases) {
    const call = (f: Any): unknown => Reflect.apply(f, undefined, args);
    const f = compile(fn, { backend: "aot_eager" });
    same(call(f), call(fn));
    same(call(f), call(fn));
    assert.match(captureStats(f).breaks[0]?.message ?? "", message);
    assert.throws(() => call(full(fn as never, "aot_eager")), message);
  }
  assert.equal(compile(Math.max, { backend: "aot_eager" })(1, 2), 2);
});

Deno.test("what a closure holds and nobody can see is named, with the way out", () => {
  const array = new Float32Array([1, 2]);
  const pattern = /b/g;
  const weak = new WeakRef(x);
  const when = new Date(0);
  const bodies: readonly (readonly [(t: Tensor) => Tensor, string])[] = [
    [(t) => t.mul(array[0] as number), "array, a Float32Array"],
    [(t) => pattern.test("abc") ? t.mul(2) : t.neg(), "pattern, a RegExp"],
    [(t) => weak.deref() === undefined ? t : t.mul(2), "weak, a WeakRef"],
    [(t) => t.mul(when.getTime()), "when, a Date"],
  ];
  for (const [body, what] of bodies) {
    pattern.lastIndex = 0;
    const expected = body(x);
    pattern.lastIndex = 0;
    same(compile(body, { backend: "aot_eager" })(x), expected);
    assert.throws(
      () => full(body, "aot_eager")(x),
      new RegExp(`uses ${what}.*pass tensors, numbers or plain objects`, "s"),
    );
  }
});

Deno.test("cyclic containers go in and come out", () => {
  interface Ring {
    x: Tensor;
    self?: Ring;
  }
  const ring: Ring = { x };
  ring.self = ring;
  const f = full((o: Ring) => {
    const made: Ring = { x: (o.self?.self?.x as Tensor).mul(2) };
    made.self = made;
    return [o, made] as const;
  }, "aot_eager");
  for (let i = 0; i < 2; i++) {
    const [same_, made] = f(ring);
    assert.equal(same_, ring);
    assert.equal(made.self, made);
    same(made.x, x.mul(2));
  }
});

Deno.test("one function may give results of many structures", () => {
  const body = (t: Tensor, kind: number): unknown =>
    kind === 0 ? [t.mul(2)] : kind === 1 ? { a: t } : kind === 2 ? null : kind === 3 ? new Map([["k", t.neg()]]) : 7;
  const f = full(body, "aot_eager");
  for (const kind of [0, 1, 2, 3, 4, 1, 0]) same(f(x, kind), body(x, kind));
});

Deno.test("an exception in the middle of a trace leaves the world of eager, and the next call is right", () => {
  const run = (wrap: (fn: (t: Tensor, bad: boolean) => Tensor) => (t: Tensor, bad: boolean) => Tensor): unknown => {
    const state = { calls: 0, list: [] as number[], last: null as Tensor | null };
    let outer = 0;
    const f = wrap((t, bad) => {
      state.calls++;
      outer += 2;
      state.list.push(outer);
      t.add_(1);
      state.last = t.mul(3);
      if (bad) throw new RangeError("of the program");
      return t.mul(2);
    });
    const t = tensor([1, 2]);
    const out: unknown[] = [];
    for (const bad of [true, false, true, false, false, true]) {
      try {
        out.push([...f(t, bad).dataSync()]);
      } catch (error) {
        out.push(String(error));
      }
      out.push([...t.dataSync()], state.calls, [...state.list], [...(state.last?.dataSync() ?? [])], outer);
    }
    return out;
  };
  for (const backend of ["eager", "aot_eager"]) {
    assert.deepEqual(run((fn) => compile(fn, { backend })), run((fn) => fn));
    assert.deepEqual(run((fn) => full(fn, backend)), run((fn) => fn));
  }
});

Deno.test("recursion without end is an error that says so", () => {
  const again = (t: Tensor): Tensor => again(t.add(1));
  assert.throws(
    () => full((t: Tensor) => again(t), "aot_eager")(x),
    /call each other until the stack is full; let the recursion end/,
  );
  assert.throws(() => compile((t: Tensor) => again(t), { backend: "aot_eager" })(x), RangeError);
  const down = (t: Tensor, n: number): Tensor => n === 0 ? t : down(t.add(1), n - 1);
  same(full(down, "aot_eager")(x, 30), x.add(30));
});

Deno.test("errors of wrong indices and sizes use the program's words", () => {
  const logits = randn([2, 3]);
  assert.throws(
    () => nn.functional.crossEntropy(logits, tensor([1, 7])),
    /^RangeError: cross_entropy: a target is 7, but there are 3 classes, 0 to 2; .*ignoreIndex/,
  );
  assert.throws(
    () => nn.functional.embedding(tensor([7]), randn([3, 2])),
    /^RangeError: embedding: an index is 7, .* 3 elements$/,
  );
  assert.throws(
    () =>
      compile((i: Tensor, w: Tensor) => nn.functional.embedding(i, w).mul(2))(tensor([7]), randn([3, 2])).dataSync(),
    /^RangeError: embedding: an index is 7, .* 3 elements$/,
  );
  for (const make of [() => zeros([1.5]), () => randn([2, 2.5])]) {
    assert.throws(make, /sizes are whole numbers, got \[.*\.5\]; round with Math.floor/);
  }
  assert.throws(() => zeros([-1]), /a size cannot be negative/);
  assert.throws(() => x.reshape([1.5, 2]), /it takes whole numbers: round with/);
});

Deno.test("options of another kind are refused when they are given", () => {
  const f = (x: Tensor): Tensor => x.mul(2);
  const refused: readonly (readonly [unknown, RegExp])[] = [
    [null, /the options are null: give an object, or nothing/],
    [{ dynamic: "yes" }, /the option dynamic is "yes": it must be a boolean/],
    [{ captures: { scale: 2 } }, /the option captures is object: it must be a function/],
    [{ fullgraph: 1 }, /the option fullgraph is number: it must be a boolean/],
    [{ backend: {} }, /the option backend is object: it must be a string or a function/],
    [{ fullGraph: true }, /there is no option "fullGraph"/],
  ];
  for (const [options, message] of refused) {
    assert.throws(() => compile(f, options as CompileOptions), { name: "TypeError", message });
  }
});

Deno.test("a backend of the program's own that fails, or gives no function, is named; the next call with another is right", () => {
  const state = { calls: 0 };
  const f = (x: Tensor): Tensor => {
    state.calls++;
    return x.mul(2);
  };
  const mine = (): never => {
    throw new RangeError("no such operator here");
  };
  assert.throws(() => compile(f, { backend: mine })(randn([2])), (error) => {
    assert.ok(error instanceof CompileError && error.cause instanceof RangeError);
    assert.match(error.message, /the backend mine\(\) failed: no such operator here; mend it/);
    return true;
  });
  const nothing = (() => undefined) as unknown as CompilerBackend;
  assert.throws(() => compile(f, { backend: nothing })(randn([2])), /returned undefined: it must return a function/);
  assert.equal(state.calls, 0);
  assert.deepEqual(compile(f, { backend: "eager" })(tensor([1, 2.5])).toArray(), [2, 5]);
  assert.equal(state.calls, 1);
});

Deno.test("Proxies whose traps throw are not asked anything by capture", () => {
  const deaf = new Proxy({}, {
    get: () => assert.fail("get"),
    getPrototypeOf: () => assert.fail("getPrototypeOf"),
  });
  const { proxy, revoke } = Proxy.revocable({ k: 1 }, {});
  revoke();
  for (const unused of [deaf, proxy]) {
    const f = compile((x: Tensor, _: object) => x.mul(2));
    for (let i = 0; i < 3; i++) assert.deepEqual(f(tensor([1, 2.5]), unused).toArray(), [2, 5]);
  }
});

Deno.test("recursion that fits the stack eagerly and not in a trace runs in segments, and says so", () => {
  const down = (x: Tensor, n: number): Tensor => n === 0 ? x : down(x, n - 1);
  let depth = 0;
  const measure = (): void => {
    depth++;
    measure();
  };
  assert.throws(measure, RangeError);
  const f = compile((x: Tensor, n: number) => down(x.mul(2), n).add(1));
  assert.deepEqual(f(tensor([1, 2.5]), Math.floor(depth / 3)).toArray(), [3, 6]);
  const [found] = captureStats(f).breaks;
  if (found !== undefined) assert.match(found.message, /too deeply for a trace; write the recursion as a loop/);
});

Deno.test("a backend whose program returns too few results, or no tensor, is named", () => {
  const f = (t: Tensor): Tensor[] => [t.mul(2), t.neg()];
  const call = (results: unknown): void => {
    const mine: CompilerBackend = () => () => results as Tensor[];
    compile(f, { backend: mine })(tensor([1]));
  };
  assert.throws(() => call([]), /the backend mine\(\): what it made returned 0 results for a graph with 2/);
  assert.throws(() => call(undefined), /what it made returned undefined for a graph with 2/);
  assert.throws(() => call([tensor([1]), 3]), /result 1 of what it made is number: the graph returns a tensor there/);
});
