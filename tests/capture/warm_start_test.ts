/** Captures that other processes left in the cache: found where everything they rely on is the same, and nowhere else. */
import assert from "node:assert/strict";
import { explain } from "../../src/capture/mod.ts";
import { ReLU } from "../../src/nn/mod.ts";
import { randn, type Tensor } from "../../src/tensor/mod.ts";
import { copyLibrary, ignore, Program, ROOT, wasFound, wasTraced } from "./warm_program.ts";

const TRAINING = `
class Net extends nn.Module {
  readonly layers = new nn.Sequential(new nn.Linear(4, 8), new nn.BatchNorm1d(8), new nn.ReLU(), new nn.Dropout(0.5));
  readonly head = new nn.Linear(8, 3);
  get scale(): number { return 0.5; }
  forward(x: Tensor): Tensor {
    return this.head.forward(this.layers.forward(x)).mul(this.scale).add(tensor([1, 2, 3]));
  }
}
const model = new Net();
const opt = new optim.AdamW(model.parameters(), { lr: 0.01 });
const state = { last: null as Tensor | null, log: [] as number[] };
function loss(x: Tensor, y: Tensor): Tensor {
  return nn.functional.crossEntropy(model.forward(x), y);
}
const fn = (x: Tensor, y: Tensor) => {
  const l = loss(x, y);
  l.backward();
  opt.step();
  opt.zeroGrad();
  state.last = l.detach();
  console.log("step");
  return { l, parts: [l, x] };
};
const inputs = () => [randn([6, 4]), tensor([0, 1, 2, 0, 1, 2])] as const;
after = () => [state.last, ...Object.values(model.stateDict())];
`;

Deno.test({
  name: "a warm process neither traces nor lowers a training step, and computes the same",
  ignore,
  fn: async () => {
    using program = new Program(TRAINING);
    const cold = await program.run();
    assert.equal(cold.traced, 1);
    assert.deepEqual(cold.events, []);
    const warm = await program.run();
    wasFound(warm);
    assert.deepEqual(warm.data, cold.data);
    assert.deepEqual([warm.printed, cold.printed], [["step", "step"], ["step", "step"]]);
  },
});

Deno.test({
  name: "a warm process differentiates what it did not trace",
  ignore,
  fn: async () => {
    using program = new Program(`
const layer = new nn.Sequential(new nn.Linear(4, 8), new nn.Tanh(), new nn.Linear(8, 3));
const fn = (x: Tensor) => {
  const y = layer.forward(x);
  return [y, y.view([-1]), x] as const;
};
const inputs = () => [randn([6, 4])] as const;
after = () => {
  const results: unknown[] = [];
  for (let i = 0; i < 2; i++) {
    const x = randn([6, 4]);
    step(x)[0].mul(x.sum()).sum().backward();
    results.push(layer.parameters().map((p) => p.grad?.clone()));
  }
  return results;
};
`);
    const cold = await program.run();
    assert.equal(cold.traced, 1);
    assert.deepEqual(cold.events, []);
    const warm = await program.run();
    wasFound(warm);
    assert.deepEqual(warm.data, cold.data);
    assert.match(JSON.stringify(warm.data), /0\.\d+/);
  },
});

Deno.test({
  name: "a warm process follows a schedule of the learning rate with what the first one compiled",
  ignore,
  fn: async () => {
    using program = new Program(`
const w = randn([4]).requiresGrad_();
const opt = new optim.SGD([w], { lr: 0.5 });
const fn = (x: Tensor) => {
  const l = w.mul(x).sum();
  l.backward();
  opt.step();
  opt.zeroGrad();
  return l;
};
const inputs = () => {
  (opt.paramGroups[0] as { lr: number }).lr *= 0.5;
  return [randn([4])] as const;
};
after = () => [step(...inputs()), w];
`);
    const cold = await program.run();
    assert.equal(cold.traced, 2);
    const warm = await program.run();
    assert.equal(warm.traced, 0);
    assert.deepEqual(warm.data, cold.data);
  },
});

/** A program whose text stays while what the variable `variant` decides changes. */
const VARIANTS: readonly { readonly name: string; readonly body: string; readonly why: RegExp }[] = [
  {
    name: "the value of a constant in the closure",
    body: `const scale = variant === "a" ? 2 : 3;
const fn = (x: Tensor) => x.mul(scale);`,
    why: /scale has another value/,
  },
  {
    name: "the text of a function that it calls",
    body: `const helper = variant === "a" ? (x: Tensor) => x.mul(2) : (x: Tensor) => x.mul(3);
const fn = (x: Tensor) => helper(x).add(1);`,
    why: /text of a function has changed/,
  },
  {
    name: "the constants behind a function that it calls",
    body: `function make(k: number) { return (x: Tensor) => x.mul(k); }
const helper = make(variant === "a" ? 2 : 3);
const fn = (x: Tensor) => helper(x).add(1);`,
    why: /k has another value/,
  },
  {
    name: "the class of an object",
    body: `class A { run(x: Tensor): Tensor { return x.mul(2); } }
class B { run(x: Tensor): Tensor { return x.mul(3); } }
const object = variant === "a" ? new A() : new B();
const fn = (x: Tensor) => object.run(x);`,
    why: /text of (run|B) has changed/,
  },
  {
    name: "the text of a getter",
    body: `const object = variant === "a" ? { get k() { return 2; } } : { get k() { return 3; } };
const fn = (x: Tensor) => x.mul(object.k);`,
    why: /text of get k has changed/,
  },
  {
    name: "a property of a constant object",
    body: `const options = { k: variant === "a" ? 2 : 3 };
const fn = (x: Tensor) => x.mul(options.k);`,
    why: /options\.k was 2/,
  },
  {
    name: "a frozen record",
    body: `const options = Object.freeze({ k: variant === "a" ? 2 : 3 });
const fn = (x: Tensor) => x.mul(options.k);`,
    why: /frozen record/,
  },
  {
    name: "the name of a function that it calls",
    body:
      `const helper = Object.values(variant === "a" ? { f: (x: Tensor) => x } : { gg: (x: Tensor) => x })[0] as (x: Tensor) => Tensor;
const fn = (x: Tensor) => helper(x).mul(helper.name.length);`,
    why: /text of gg has changed/,
  },
  {
    name: "the class of an object that is only asked for",
    body: `class A {}
class B {}
const object: object = variant === "a" ? new A() : new B();
const fn = (x: Tensor) => object instanceof A ? x.mul(2) : x.mul(3);`,
    why: /belongs to another class/,
  },
  {
    name: "the name of the class of an object",
    body: `class A {}
class B {}
const object: object = variant === "a" ? new A() : new B();
const fn = (x: Tensor) => x.mul(object.constructor.name === "A" ? 2 : 3);`,
    why: /text of B has changed/,
  },
  {
    name: "the kind of a layer",
    body: `const layer = variant === "a" ? new nn.ReLU() : new nn.Sigmoid();
const fn = (x: Tensor) => layer.forward(x.sub(0.5));`,
    why: /prototype/,
  },
  {
    name: "the size of a weight",
    body: `const w = randn(variant === "a" ? [3] : [1]);
const fn = (x: Tensor) => x.mul(w);`,
    why: /another dtype, shape/,
  },
  {
    name: "that two weights are one",
    body: `const u = randn([3]);
const w = variant === "a" ? randn([3]) : u;
const fn = (x: Tensor) => x.mul(w).add(u);`,
    why: /two objects have become one/,
  },
  {
    name: "that two weights share memory",
    body: `const u = randn([3]);
const w = variant === "a" ? randn([3]) : u.view([3]);
const fn = (x: Tensor) => x.mul(w).add(u);`,
    why: /share memory|another dtype, shape/,
  },
  {
    name: "a method replaced on a layer of Tessera",
    body: `if (variant !== "a") nn.ReLU.prototype.forward = (x: Tensor) => x.mul(3);
const layer = new nn.ReLU();
const fn = (x: Tensor) => layer.forward(x);`,
    why: /text of a function has changed/,
  },
];

for (const { name, body, why } of VARIANTS) {
  Deno.test({
    name: `a stored capture is not used after a change of ${name}`,
    ignore,
    fn: async () => {
      using program = new Program(`${body}\nconst inputs = () => [tensor([1, 2, 3])] as const;`);
      const first = await program.run("a");
      const other = await program.run("b");
      wasTraced(other, why);
      assert.notDeepEqual(other.data, first.data);
      // Both are kept now.
      const both = await Promise.all([program.run("a"), program.run("b")]);
      both.forEach(wasFound);
      assert.deepEqual(both.map((t) => t.data), [first.data, other.data]);
    },
  });
}

Deno.test({
  name: "a stored capture is not used where a hook listens to the gradient",
  ignore,
  fn: async () => {
    using program = new Program(
      `
const w = tensor([1.5, 2, 3]).requiresGrad_();
if (variant === "b") w.registerHook((g: Tensor) => g.mul(10));
const fn = (x: Tensor) => {
  w.grad = null;
  x.mul(w).sum().backward();
  return w.grad as unknown as Tensor;
};
const inputs = () => [tensor([1, 2, 3])] as const;
`,
      // Functions with a hook run in segments, which fullgraph refuses.
      ROOT,
      "fullgraph: false",
    );
    await program.run("a");
    const hooked = await program.run("b");
    assert.equal(hooked.found, 0);
    assert.match(hooked.events.join("\n"), /had no hook on its gradient/);
    assert.deepEqual((hooked.data as readonly unknown[])[0], [10, 20, 30]);
    assert.equal((await program.run("a")).traced, 0);
  },
});

Deno.test({
  name: "a stored capture is not used after an edit of the program around it",
  ignore,
  fn: async () => {
    const body =
      "let k = 2;\nconst fn = (x: Tensor) => x.mul(k);\nconst inputs = () => [tensor([1, 2, 3])] as const;\n";
    using program = new Program(body);
    await program.run();
    wasFound(await program.run());
    program.write(`${body}if (events.length > 99) k = 3;\n`);
    const edited = await program.run();
    // Now the name may change, so that nobody can say for another process what it holds.
    assert.equal(edited.found, 0);
    assert.match(edited.events.join("\n"), /has changed[^]*is not kept: it reads k/);
  },
});

Deno.test({
  name: "another version of the library finds nothing of the first",
  ignore,
  fn: async () => {
    const copy = copyLibrary();
    try {
      using program = new Program(
        "const fn = (x: Tensor) => x.mul(2);\nconst inputs = () => [tensor([1, 2, 3])] as const;\n",
        copy,
      );
      await program.run();
      wasFound(await program.run());
      Deno.writeTextFileSync(new URL("src/nn/activation.ts", copy), "\n// edited\n", { append: true });
      const other = await program.run();
      assert.deepEqual([other.traced, other.found], [1, 0]);
    } finally {
      Deno.removeSync(copy, { recursive: true });
    }
  },
});

const SMALL = `const list = [2, 3];
const fn = (x: Tensor) => list.reduce((a, k) => a.mul(k), x);
const inputs = () => [tensor([1, 2, 3])] as const;
after = () => Reflect.get(globalThis, "ran") ?? null;
`;

Deno.test({
  name: "a damaged capture is ignored, said, and replaced",
  ignore,
  fn: async () => {
    using program = new Program(SMALL);
    const cold = await program.run();
    for (const { object } of program.captures()) Deno.writeTextFileSync(object, "{");
    const damaged = await program.run();
    wasTraced(damaged, /checksum mismatch/);
    assert.deepEqual(damaged.data, cold.data);
    wasFound(await program.run());
  },
});

const FORGERIES: readonly (readonly [string, (text: string) => string])[] = [
  ["no JSON", (text) => text.slice(1)],
  ["another form", () => '{"format":1,"captures":{}}'],
  ["an entry of nulls", () => '{"format":1,"captures":[null]}'],
  ["code in the place of a number", (text) => text.replace(/\["length",2\]/, '["length","0) || (globalThis.ran = 1"]')],
  [
    "a path in the place of a hash",
    (text) => text.replace(/"program":"[\w:]+"/, '"program":"program:../../../../etc/passwd"'),
  ],
  ["an object that is found through itself", (text) => text.replace(/"path":\["var",\d+/, '"path":["proto",0],"_":[0')],
  ["sources in circles", (text) => text.replace(/"parent":1/, '"parent":9')],
];

Deno.test({
  name: "a forged capture runs nothing and ends in a trace, which replaces it",
  ignore,
  fn: async () => {
    using program = new Program(SMALL);
    const cold = await program.run();
    for (const [name, change] of FORGERIES) {
      program.forge(change);
      const forged = await program.run();
      assert.deepEqual([forged.traced, forged.found], [1, 0], name);
      assert.deepEqual(forged.data, cold.data, name);
    }
    wasFound(await program.run());
  },
});

Deno.test({
  name: "processes that write at once leave a whole cache behind",
  ignore,
  fn: async () => {
    using program = new Program(SMALL);
    const cold = await Promise.all([program.run(), program.run(), program.run()]);
    for (const told of cold) assert.deepEqual(told.data, cold[0]?.data);
    wasFound(await program.run());
  },
});

Deno.test("explain tells why a capture is for this process only", () => {
  let k = 1;
  const counts = (x: Tensor): Tensor => x.mul(k);
  k = 2;
  const { keptHere } = explain(counts)(randn([3]));
  assert.match(keptHere ?? "", /reads k, an outer variable/);
  assert.equal(explain((x: Tensor) => x.mul(2))(randn([3])).keptHere, null);
});

Deno.test("a program that calls eval() of a model is kept: its names stay constant", () => {
  const layer = new ReLU();
  layer.eval();
  const f = (x: Tensor): Tensor => layer.forward(x);
  assert.equal(explain(f)(randn([3])).keptHere, null);
});
