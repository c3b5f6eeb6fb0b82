// deno-lint-ignore-file no-console
/**
 * The kernels of `examples/kernels/` on CUDA: how near they come to the device's bandwidth and arithmetic, with every configuration measured.
 *
 * `deno run -A bench/user_kernels.ts [FILTER]`; the least time of several calls counts, calls follow each other without waiting.
 */
import { F, float16, float32, randn, type Tensor } from "../mod.ts";
import { flashAttention, layerNorm, matmul, softmax, vectorAdd } from "../examples/kernels/kernels.ts";
import type { KernelFunction } from "../mod.ts";

const filter = Deno.args[0] ?? "";
/** Bytes a second that a copy reaches on an H100, and products of halves. */
const COPY = 3.0e12;
const PEAK = 8.0e14;

interface Row {
  readonly name: string;
  readonly kernel: KernelFunction;
  readonly args: () => readonly unknown[];
  readonly want: (...args: readonly Tensor[]) => Tensor;
  /** Bytes moved, or operations if `arithmetic`. */
  readonly work: number;
  readonly arithmetic?: boolean;
  readonly tolerance: number;
}

const half = (...shape: number[]): Tensor => randn(shape).to(float16).cuda();
const attention = (batch: number, heads: number, length: number, width: number, causal: boolean): Row => ({
  name: `flash attention ${batch}x${heads}x${length}x${width}${causal ? " causal" : ""}`,
  kernel: flashAttention,
  args: () => [...[0, 1, 2].map(() => half(batch, heads, length, width)), causal],
  want: (q, k, v) => F.scaledDotProductAttention(q as Tensor, k as Tensor, v as Tensor, null, 0, causal),
  work: 4 * batch * heads * length * length * width / (causal ? 2 : 1),
  arithmetic: true,
  tolerance: 2e-2,
});
const product = (size: number): Row => ({
  name: `matmul ${size}`,
  kernel: matmul,
  args: () => [half(size, size), half(size, size)],
  want: (a, b) => (a as Tensor).matmul(b as Tensor),
  work: 2 * size ** 3,
  arithmetic: true,
  tolerance: 1,
});

const rows: readonly Row[] = [
  {
    name: "vector add 64 Mi f32",
    kernel: vectorAdd,
    args: () => [randn([1 << 26]).cuda(), randn([1 << 26]).cuda()],
    want: (x, y) => (x as Tensor).add(y as Tensor),
    work: 3 * 4 * (1 << 26),
    tolerance: 0,
  },
  {
    name: "softmax 8192x4096 f16",
    kernel: softmax,
    args: () => [half(8192, 4096)],
    want: (x) => (x as Tensor).softmax(1),
    work: 2 * 2 * 8192 * 4096,
    tolerance: 1e-3,
  },
  {
    name: "layer norm 8192x4096 f16",
    kernel: layerNorm,
    args: () => [half(8192, 4096), half(4096), half(4096), 1e-5],
    want: (x, w, b) => F.layerNorm(x as Tensor, [4096], w as Tensor, b as Tensor, 1e-5),
    work: 2 * 2 * 8192 * 4096,
    tolerance: 2e-2,
  },
  product(4096),
  product(8192),
  attention(2, 16, 4096, 128, false),
  attention(2, 16, 4096, 128, true),
  attention(4, 16, 4096, 64, false),
];

for (const row of rows) {
  if (!row.name.includes(filter)) continue;
  const args = row.args();
  try {
    const measured = await row.kernel.tune(...args);
    const best = measured.reduce((a, b) => (b.ms ?? Infinity) < (a.ms ?? Infinity) ? b : a);
    const ms = best.ms ?? NaN;
    const out = row.kernel(...args) as Tensor;
    const want = row.want(...args as Tensor[]);
    const worst = Number(out.to(float32).sub(want.to(float32)).abs().max().cpu().item());
    const rate = row.work / (ms / 1000);
    const text = row.arithmetic === true
      ? `${(rate / 1e12).toFixed(0).padStart(6)} TFLOP/s ${(100 * rate / PEAK).toFixed(0).padStart(4)} %`
      : `${(rate / 1e9).toFixed(0).padStart(6)} GB/s    ${(100 * rate / COPY).toFixed(0).padStart(4)} %`;
    console.log(
      `${row.name.padEnd(36)} ${ms.toFixed(4).padStart(9)} ms ${text}  error ${worst.toExponential(1)}${
        worst <= row.tolerance ? "" : "  WRONG"
      }  ${JSON.stringify(best.config)}`,
    );
    for (const m of measured) {
      console.log(`    ${JSON.stringify(m.config).padEnd(64)} ${m.ms === null ? m.error : `${m.ms.toFixed(4)} ms`}`);
    }
  } catch (error) {
    console.log(`${row.name.padEnd(36)} FAILED ${error instanceof Error ? error.stack?.slice(0, 600) : error}`);
  }
}
