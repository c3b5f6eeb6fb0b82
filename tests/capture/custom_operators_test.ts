// deno-lint-ignore-file no-console
/** Operators of the program's own, what `opcheck` finds, and the examples. */
import assert from "node:assert/strict";
import "../../src/inductor/mod.ts";
import { compile, defineOp, functionOf, opcheck } from "../../src/capture/mod.ts";
import { quickGelu } from "../../examples/custom_operator.ts";
import { cubeRoot, operators, rowCentre, squarePlus } from "../../examples/custom_operators.ts";
import "../../examples/backend_print.ts";
import { float64, onEvent } from "../../src/core/mod.ts";
import type { Operator } from "../../src/ops/mod.ts";
import { getOp } from "../../src/ops/mod.ts";
import { randn, type Tensor, tensor } from "../../src/tensor/mod.ts";

const input = (): Tensor => tensor([[1, -2.5], [0.5, 3]], { dtype: float64 }).requiresGrad_();

Deno.test("opcheck() passes an operator that keeps its promises, and says what it checked", () => {
  const op = getOp("example.quick_gelu.default");
  const checked = opcheck(op, { self: input() });
  assert.equal(checked.length, 3 + 6 + 1);
  assert.match(checked.join("\n"), /compiled with "inductor" and symbolic sizes it gives the same/);
  const f = compile((x: Tensor) => quickGelu(x).sum(), { backend: "aot_eager", fullgraph: true });
  const [a, b] = [input(), input()];
  f(a).backward();
  quickGelu(b).sum().backward();
  assert.deepEqual([...(a.grad as Tensor).dataSync()], [...(b.grad as Tensor).dataSync()]);
  assert.throws(() => quickGelu(...([a, 1] as unknown as [Tensor])), /takes 1 arguments, got 2/);
});

Deno.test("opcheck() names the promise that is broken", () => {
  const broken = (name: string, parts: Partial<Parameters<typeof defineOp>[0]>): Operator =>
    defineOp({
      schema: `broken::${name}(Tensor self) -> Tensor`,
      doc: "",
      meta: ({ self }: { self: Tensor }) => ({ shape: self.shape, dtype: self.dtype }),
      decompose: ({ self }: { self: Tensor }) => self.mul(2),
      samples: () => [],
      ...parts,
    } as never);
  const complaint = (op: Operator): string => {
    try {
      opcheck(op, { self: input() });
    } catch (error) {
      return (error as Error).message;
    }
    return "none";
  };
  assert.match(
    complaint(broken("shares", { decompose: (({ self }: { self: Tensor }) => self.view([-1]).view([2, 2])) as never })),
    /broken\.shares\.default: what it writes and aliases is in its schema: result 0 shares memory with input 0/,
  );
  assert.match(
    complaint(broken("writes", { decompose: (({ self }: { self: Tensor }) => self.add_(1).mul(2)) as never })),
    /what it writes and aliases is in its schema: result 0, element 0 is 2, expected 1/,
  );
  assert.match(
    complaint(
      broken("gradient", {
        vjp: ((_: unknown, { grad }: { grad: Tensor }) => ({ self: () => grad.mul(3) })) as never,
      }),
    ),
    /its gradient is that of finite differences: .*the gradient rule gives/,
  );
  const host = defineOp({
    schema: "broken::meta(Tensor self) -> Tensor",
    doc: "",
    meta: ({ self }) => ({ shape: [1, ...self.shape], dtype: self.dtype }),
    host: ({ self }) => [{ shape: self.shape as number[], data: self.data }],
    samples: () => [],
  });
  assert.match(complaint(host), /meta describes the results: meta says float64\[1, 2, 2\]/);
});

Deno.test("a backend that prints prints the graph once", () => {
  const lines: string[] = [];
  const log = console.log;
  console.log = (...parts: unknown[]): void => void lines.push(parts.join(" "));
  try {
    const f = compile((x: Tensor) => x.relu().sum(), { backend: "print" });
    for (let i = 0; i < 2; i++) assert.equal(f(randn([3])).ndim, 0);
  } finally {
    console.log = log;
  }
  assert.equal(lines.length, 2);
  assert.match(lines[1] ?? "", /aten\.relu\.default\(arg0\)/);
  assert.equal(typeof functionOf(getOp("aten.relu.default")), "function");
});

Deno.test("operators from a loop body, an FFI pointer and a kernel over blocks are checked, compiled and differentiated", () => {
  for (const op of operators) {
    const lines = opcheck(op, { self: tensor([[1, 2.5], [0.5, 3]], { dtype: float64 }).requiresGrad_() });
    assert.match(lines.join("\n"), /its gradient is that of finite differences/);
  }
  const body = (t: Tensor): Tensor => cubeRoot(squarePlus(t.mul(2)).add(1)).sum();
  for (const backend of ["aot_eager", "inductor"]) {
    const f = compile(body, { backend, fullgraph: true });
    const [a, b] = [input(), input()];
    f(a).backward();
    body(b).backward();
    [...(a.grad as Tensor).dataSync()].forEach((v, i) =>
      assert.ok(Math.abs(Number(v) - Number((b.grad as Tensor).dataSync()[i])) < 1e-12)
    );
    const rows = randn([4, 8]);
    const centred = compile((t: Tensor) => rowCentre(t).exp(), { backend, fullgraph: true })(rows);
    const expected = rows.sub(rows.amax(1, true)).exp();
    assert.ok(centred.sub(expected).abs().max().item() < 1e-6);
  }
});

Deno.test("an operator without a gradient rule says how to give one, in eager and where a trace meets it", () => {
  const words = /row_centre\.default has no gradient rule \(vjp\); give its definition a rule, as vjp/;
  assert.throws(() => rowCentre(input()).sum().backward(), words);
  const told: string[] = [];
  using _ = onEvent((e) => void told.push(e.message));
  const loss = compile((x: Tensor) => rowCentre(x).sum(), { backend: "aot_eager" })(input());
  assert.match(told.join(), words);
  assert.throws(() => loss.backward(), words);
});
