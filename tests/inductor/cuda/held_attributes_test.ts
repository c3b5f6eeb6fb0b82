/** Parameters are looked at only when one of them may have moved; every way in which one can move, or go, is noticed. On an emulated device. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { compile, nn, noGrad, optim, randn, reset, type Tensor } from "../../../mod.ts";
import { CudaBuffer, cudaContext, CudaExecutable } from "../../../src/runtime/cuda/mod.ts";
import { type CompiledGraph, onCompile } from "../../../src/inductor/mod.ts";
import type { PendingWork, Storage } from "../../../src/tensor/mod.ts";
import { assertClose, cudaTest } from "../../helpers/cuda_test.ts";

const { parameter } = nn;

/** Whether each of the calls of `fn` found its parameters where they were. */
function held(fn: () => void): boolean[] {
  const real = CudaExecutable.prototype.run;
  const seen: boolean[] = [];
  CudaExecutable.prototype.run = function (this: CudaExecutable, buffers, sizes, isHeld): void {
    seen.push(isHeld === true);
    real.call(this, buffers, sizes, isHeld);
  };
  try {
    fn();
  } finally {
    CudaExecutable.prototype.run = real;
  }
  return seen;
}

/** A function over parameters of an object, compiled, and as it is on the CPU. */
function weighted(): {
  readonly w: { a: Tensor; b: Tensor };
  readonly f: (x: Tensor) => Tensor;
  readonly check: () => void;
  readonly settle: () => void;
} {
  const w = { a: parameter(randn([4, 4]).to("cuda")), b: parameter(randn([4]).to("cuda")) };
  const plain = (x: Tensor, a: Tensor, b: Tensor): Tensor => x.matmul(a).add(b).softmax(1).mul(a).add(b);
  const f = compile((x: Tensor): Tensor => noGrad(() => plain(x, w.a, w.b)));
  const x = randn([4, 4]);
  const there = x.to("cuda");
  const check = (): void => {
    const y = f(there);
    assertClose(y.cpu(), noGrad(() => plain(x, w.a.cpu(), w.b.cpu())));
    y.dispose();
  };
  // Compiled, recorded, found calm, marked.
  const settle = (): void => {
    for (let i = 0; i < 4; i++) check();
    assert.deepEqual(held(check), [true]);
  };
  return { w, f, check, settle };
}

/** Memory on the device with other content than `t` has. */
function elsewhere(t: Tensor): CudaBuffer {
  const { buffer } = randn(t.shape as number[]).to("cuda").storage;
  assert.ok(buffer instanceof CudaBuffer);
  return buffer;
}

cudaTest("parameters that stay are not looked at, and what is written to them is read", () => {
  const { w, check, settle } = weighted();
  settle();
  for (let i = 0; i < 3; i++) {
    noGrad(() => w.a.add_(1));
    assert.deepEqual(held(check), [true]);
  }
});

cudaTest("one graph with other attributes takes none of the first ones", () => {
  const a = randn([4, 4]).to("cuda"), b = randn([4, 4]).to("cuda");
  let graph: CompiledGraph | null = null;
  using _ = onCompile((record) => graph = record.graph);
  const f = compile((x: Tensor): Tensor => noGrad(() => x.matmul(a)), { dynamic: true });
  f(randn([2, 4]).to("cuda"));
  const call = (x: Tensor, attributes: readonly Tensor[]): void => {
    const [y] = (graph as CompiledGraph | null)?.run([x], attributes) ?? [];
    assertClose((y as Tensor).cpu(), x.cpu().matmul((attributes[0] as Tensor).cpu()));
  };
  const [two, three] = [randn([2, 4]).to("cuda"), randn([3, 4]).to("cuda")];
  const [first, other] = [[a], [b]];
  assert.deepEqual(held(() => [two, two, two, two].forEach((x) => call(x, first))).at(-1), true);
  // At other sizes first, so that the same list comes twice in a row.
  for (const x of [three, two, two, two]) call(x, other);
  assert.deepEqual(held(() => call(two, other)), [true]);
});

const changes: Readonly<Record<string, (w: { a: Tensor; b: Tensor }) => void>> = {
  "another tensor": (w) => void (w.b = parameter(randn([4]).to("cuda"))),
  "other memory": ({ b }) => b.storage.adopt(elsewhere(b)),
  "content that is put off": ({ a }) => {
    const work: PendingWork = {
      settle: (storage: Storage): void => {
        storage.pending = null;
        storage.adopt(elsewhere(a));
      },
    };
    a.storage.pending = work;
  },
};

for (const [name, change] of Object.entries(changes)) {
  cudaTest(`a parameter is noticed that gets ${name}`, () => {
    const { w, check, settle } = weighted();
    settle();
    change(w);
    check();
    settle();
  });
}

cudaTest("a parameter that was disposed is not read, nor is its memory", () => {
  const { w, f, settle } = weighted();
  settle();
  const x = randn([4, 4]).to("cuda");
  w.b.dispose();
  assert.throws(() => f(x), /disposed/);
  assert.throws(() => f(x), /disposed/);
});

cudaTest("a change while nobody marks, right before the marking look, is seen", () => {
  const { w, check } = weighted();
  for (let i = 0; i < 12; i++) {
    check();
    w.b.storage.adopt(elsewhere(w.b));
  }
  check();
});

cudaTest("functions that share parameters all notice a change, whoever looks first", () => {
  const w = { a: parameter(randn([6]).to("cuda")) };
  const fs = [(t: Tensor) => t.mul(w.a), (t: Tensor) => t.add(w.a), (t: Tensor) => t.sub(w.a)].map((plain) => ({
    plain,
    f: compile((t: Tensor): Tensor => noGrad(() => plain(t))),
  }));
  const x = randn([6]).to("cuda");
  const all = (): void => {
    for (const { plain, f } of fs) assertClose(f(x).cpu(), noGrad(() => plain(x)).cpu());
  };
  for (let i = 0; i < 5; i++) all();
  w.a.storage.adopt(elsewhere(w.a));
  all();
  all();
});

cudaTest("what a call on another stream uses is declared to its memory", () => {
  const { f, settle } = weighted();
  settle();
  const context = cudaContext();
  const x = randn([4, 4]).to("cuda");
  const expected = f(x).cpu();
  using stream = context.createStream();
  context.synchronize();
  assert.deepEqual(
    held(() => {
      const y = context.withStream(stream, () => f(x));
      stream.synchronize();
      assertClose(y.cpu(), expected);
    }),
    [false],
  );
  settle();
});

cudaTest("a parameter that lies on the CPU, or where kernels cannot read it, is looked at in each call", () => {
  const base = randn([33]).to("cuda");
  // One element behind an aligned address: vectors cannot begin there.
  const places = [randn([]), base.narrow(0, 1, 32)];
  for (const place of places) {
    const w = { a: parameter(place) };
    const plain = (t: Tensor): Tensor => t.mul(w.a).cos();
    const f = compile((t: Tensor): Tensor => noGrad(() => plain(t)));
    const x = randn([32]).to("cuda");
    for (let i = 0; i < 7; i++) {
      noGrad(() => w.a.mul_(1.5));
      const y = f(x);
      assertClose(y.cpu(), noGrad(() => plain(x)).cpu());
    }
  }
});

cudaTest("a part of a tensor as parameter goes with the whole", () => {
  const base = randn([128]).to("cuda");
  const w = { a: parameter(base.narrow(0, 64, 64)) };
  const f = compile((t: Tensor): Tensor => noGrad(() => t.add(w.a)));
  const x = randn([64]).to("cuda");
  for (let i = 0; i < 5; i++) assertClose(f(x).cpu(), noGrad(() => x.add(w.a)).cpu());
  base.dispose();
  assert.throws(() => f(x), /disposed/);
});

cudaTest("sizes in turn each find the parameters of their own calls", () => {
  const w = { a: parameter(randn([4]).to("cuda")) };
  const f = compile((t: Tensor): Tensor => noGrad(() => t.add(w.a).softmax(1)), { dynamic: true });
  const check = (rows: number): void => {
    const x = randn([rows, 4]).to("cuda");
    assertClose(f(x).cpu(), noGrad(() => x.add(w.a).softmax(1)).cpu());
  };
  for (let i = 0; i < 12; i++) check(2 + (i % 3));
  w.a.storage.adopt(elsewhere(w.a));
  for (let i = 0; i < 6; i++) check(2 + (i % 3));
});

cudaTest("results that are parameters, or views of them, share their memory", () => {
  const w = { a: parameter(randn([4, 4]).to("cuda")) };
  const f = compile((t: Tensor): readonly Tensor[] => noGrad(() => [w.a.t(), t.add(w.a)]));
  const x = randn([4, 4]).to("cuda");
  for (let i = 0; i < 6; i++) {
    const [view, sum] = f(x);
    assert.equal(view?.storage, w.a.storage);
    assertClose((sum as Tensor).cpu(), noGrad(() => x.add(w.a)).cpu());
  }
});

cudaTest("a training step writes its parameters where they are, call after call", () => {
  const make = (device: string): { step: () => Tensor; model: nn.Linear } => {
    const model = new nn.Linear(4, 4);
    noGrad(() => {
      model.weight.fill_(0.3);
      model.bias?.fill_(0.1);
    });
    model.to(device);
    const sgd = new optim.SGD(model.parameters(), { lr: 0.05, momentum: 0.9 });
    const x = randn([4, 4], { device: "cpu" }).fill_(0.7).to(device);
    const step = (): Tensor => {
      const loss = model.forward(x).square().mean();
      loss.backward();
      sgd.step();
      sgd.zeroGrad();
      return loss.detach();
    };
    return { step, model };
  };
  const [here, there] = [make("cpu"), make("cuda")];
  const compiled = compile(there.step);
  for (let i = 0; i < 8; i++) {
    if (i === 6) there.model.weight.storage.adopt(elsewhere(there.model.weight));
    if (i === 6) noGrad(() => there.model.weight.copy_(here.model.weight.to("cuda")));
    assertClose(compiled().cpu(), here.step());
    assertClose(there.model.weight.detach().cpu(), here.model.weight.detach());
  }
});

cudaTest("whatever happens to parameters between calls, results are those of the parameters", () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom("write", "call", "call", "call", ...Object.keys(changes)), { maxLength: 16 }),
      (steps) => {
        reset();
        const { w, check } = weighted();
        for (const step of steps) {
          if (step === "call") check();
          else if (step === "write") noGrad(() => w.a.mul_(0.5));
          else changes[step]?.(w);
        }
        check();
      },
    ),
    { numRuns: 25, seed: 1 },
  );
});
