/** What the kernels of `examples/kernels/` must yield, on whatever device their arguments are. */
import assert from "node:assert/strict";
import { bfloat16, type DType, F, float16, float32, randn, type Tensor } from "../../mod.ts";
import { flashAttention, layerNorm, matmul, softmax, vectorAdd } from "../../examples/kernels/kernels.ts";

/** A kernel with arguments on the CPU, and the result that is right. */
export interface Tutorial {
  readonly name: string;
  readonly run: (place: (t: Tensor) => Tensor) => Tensor;
  readonly want: Tensor;
  readonly tolerance: number;
}

const TOLERANCE = new Map<DType, number>([[float32, 2e-5], [float16, 4e-3], [bfloat16, 3e-2]]);

/** All of them, over sizes that blocks fit and do not fit. */
export function tutorials(): Tutorial[] {
  const out: Tutorial[] = [];
  const add = (name: string, dtype: DType, want: Tensor, run: Tutorial["run"]): void => {
    out.push({ name: `${name} ${dtype.name}`, run, want, tolerance: TOLERANCE.get(dtype) ?? 0 });
  };
  for (const dtype of [float32, float16, bfloat16]) {
    const make = (...shape: number[]): Tensor => randn(shape).to(dtype);
    const f = (t: Tensor): Tensor => t.to(float32);
    // Each case is a kernel to be compiled: not everything for every dtype.
    const isFloat = dtype === float32;
    for (const size of isFloat ? [1000] : []) {
      const [x, y] = [make(size), make(size)];
      add(`vector add ${size}`, dtype, f(x).add(f(y)), (place) => vectorAdd(place(x), place(y)) as Tensor);
    }
    for (const [rows = 0, columns = 0] of isFloat ? [[37, 300], [3, 1]] : dtype === float16 ? [[5, 1024]] : []) {
      const [x, w, b] = [make(rows, columns), make(columns), make(columns)];
      add(`softmax ${rows}x${columns}`, dtype, f(x).softmax(1), (place) => softmax(place(x)) as Tensor);
      add(
        `softmax of columns ${rows}x${columns}`,
        dtype,
        f(x.t()).softmax(1),
        (place) => softmax(place(x).t()) as Tensor,
      );
      if (columns === 1) continue;
      const norm = F.layerNorm(f(x), [columns], f(w), f(b), 1e-5);
      add(`layer norm ${rows}x${columns}`, dtype, norm, (place) => layerNorm(place(x), place(w), place(b)) as Tensor);
    }
    for (const [m = 0, n = 0, k = 0] of isFloat ? [[70, 90, 50]] : [[128, 192, 64]]) {
      const [a, b, c] = [make(m, k), make(k, n), make(n, k)];
      add(`matmul ${m}x${n}x${k}`, dtype, f(a).matmul(f(b)), (place) => matmul(place(a), place(b)) as Tensor);
      const turned = f(a).matmul(f(c).t());
      add(`matmul of a transposed ${m}x${n}x${k}`, dtype, turned, (place) => matmul(place(a), place(c).t()) as Tensor);
    }
    for (const causal of isFloat ? [false] : dtype === float16 ? [true] : []) {
      const [q, k, v] = [make(2, 3, 100, 32), make(2, 3, 100, 32), make(2, 3, 100, 32)];
      const want = F.scaledDotProductAttention(f(q), f(k), f(v), null, 0, causal);
      add(
        `flash attention${causal ? " causal" : ""}`,
        dtype,
        want,
        (place) => flashAttention(place(q), place(k), place(v), causal) as Tensor,
      );
    }
  }
  return out;
}

/** Fails where a result is not the one that is right, relative to its largest magnitude. */
export function check({ run, want, tolerance, name }: Tutorial, place: (t: Tensor) => Tensor): void {
  const got = run(place).cpu().to(float32);
  assert.deepEqual(got.shape, want.shape);
  const scale = Math.max(1, want.abs().max().item() as number);
  const worst = got.sub(want).abs().max().item() as number;
  assert.ok(worst <= tolerance * scale, `${name}: ${worst} of ${scale}`);
}
