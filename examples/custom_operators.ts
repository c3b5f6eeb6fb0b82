// deno-lint-ignore-file no-console
/**
 * Three ways to say what an operator computes: a loop body, from which kernels for every device are made; a function behind an FFI pointer; a kernel over blocks. Each has its shape and its
 * gradient, is checked by `opcheck`, and is used in a compiled function.
 */
import {
  compile,
  defineOp,
  float64,
  functionOf,
  kernel,
  loopOps,
  opcheck,
  pointwise,
  randn,
  type Tensor,
} from "../mod.ts";

/** One element at a time: fuses with what is around it. */
const squareplus = defineOp({
  schema: "example::squareplus(Tensor self) -> Tensor",
  doc: "(x + sqrt(x² + 4)) / 2.",
  meta: ({ self }) => ({ shape: self.shape, dtype: self.dtype }),
  loop: ({ self }, out) =>
    pointwise(out.shape, (index) => {
      const x = self.load(index);
      return loopOps.mul(loopOps.add(x, loopOps.sqrt(loopOps.add(loopOps.mul(x, x), 4))), 0.5);
    }),
  vjp: ({ self }, { grad }) => ({ self: () => grad.mul(self.div(self.mul(self).add(4).sqrt()).add(1).mul(0.5)) }),
  samples: (g) => [{ args: { self: g.tensor([2, 3]) } }],
});

/** The cube root of the system's mathematical library. */
const libm = (): Deno.DynamicLibrary<{ readonly cbrt: { readonly parameters: ["f64"]; readonly result: "f64" } }> =>
  Deno.dlopen(Deno.build.os === "darwin" ? "libSystem.dylib" : "libm.so.6", {
    cbrt: { parameters: ["f64"], result: "f64" },
  });
let loaded: ReturnType<typeof libm> | null = null;

/** A function of another language runs on the host, between kernels: it reads and gives typed arrays. */
const cbrt = defineOp({
  schema: "example::cbrt(Tensor self) -> Tensor",
  doc: "The cube root.",
  meta: ({ self }) => ({ shape: self.shape, dtype: self.dtype }),
  host: ({ self }, [out]) => {
    const { cbrt: root } = (loaded ??= libm()).symbols;
    const data = self.dtype === float64 ? new Float64Array(self.data.length) : new Float32Array(self.data.length);
    for (let i = 0; i < data.length; i++) data[i] = root(Number(self.data[i]));
    return [{ shape: out?.shape.map(Number) ?? [], data }];
  },
  vjp: (_, { grad, out }) => ({ self: () => grad.div(out.mul(out).mul(3)) }),
  samples: (g) => [{ args: { self: g.tensor([2, 3]) } }],
});

/** A kernel over blocks, for what loops cannot say: here a row is in registers while it is read twice. */
const centre = kernel({
  schema: "example::row_centre(Tensor x) -> Tensor",
  meta: ({ x }) => ({ shape: x.shape, dtype: x.dtype }),
  body: (tile, { x, out }) => {
    const row = tile.grid(x.size(0));
    const j = tile.range(x.size(1));
    const value = x.load([row, j]);
    out.store([row, j], value.sub(value.max(j)));
  },
});

/** The functions that call them. */
export const squarePlus = functionOf(squareplus) as (x: Tensor) => Tensor;
export const cubeRoot = functionOf(cbrt) as (x: Tensor) => Tensor;
export const rowCentre = centre as unknown as (x: Tensor) => Tensor;

/** The operators, for tests. */
export const operators = [squareplus, cbrt] as const;

if (import.meta.main) {
  for (const op of operators) {
    for (const line of opcheck(op, { self: randn([2, 3], { dtype: float64 }).abs().add(0.5).requiresGrad_() })) {
      console.log(`${op.target}: ${line}`);
    }
  }
  const f = compile((x: Tensor) => cubeRoot(squarePlus(rowCentre(x))).sum(), { fullgraph: true });
  console.log(`${f(randn([4, 8]))}`);
}
