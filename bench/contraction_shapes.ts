/**
 * The products that are measured on CUDA: squares, what the models of the list multiply, sizes that fill rounds badly.
 */
import { bfloat16, type DType, float16, float32, float8_e4m3fn, int8 } from "../src/core/mod.ts";
import type { ContractionKernel } from "../src/inductor/tile/tile_ir.ts";
import { F, type Tensor } from "../src/tensor/mod.ts";
import { contractionOf } from "./contraction_ways.ts";

type Ending = "" | "bias" | "relu" | "gelu" | "residual";
type Layout = "nt" | "nn" | "tn";

/** A product, its operands' layout and what is done with the sums. */
export interface Shape {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly dtype: DType;
  readonly layout: Layout;
  readonly ending: Ending;
}

function shape(sizes: readonly number[], dtype: DType = float16, ending: Ending = "", layout: Layout = "nt"): Shape {
  const [m = 1, n = 1, k = 1, batch = 1] = sizes;
  return { batch, m, n, k, dtype, layout, ending };
}

/** Squares, then what the models of the list multiply, then sizes that fill rounds badly. */
export const SHAPES: readonly Shape[] = [
  shape([4096, 4096, 4096], bfloat16),
  shape([8192, 8192, 8192], bfloat16),
  shape([4096, 4096, 4096], bfloat16, "", "nn"),
  shape([4096, 4096, 4096], float32),
  shape([4096, 4096, 4096], float32, "", "nn"),
  shape([6784, 1024, 4096], bfloat16),
  shape([1408, 2048, 8192], bfloat16),
  shape([2048, 3072, 768], float32, "gelu"),
  shape([4096, 4096, 4096], int8),
  shape([8192, 8192, 8192], int8),
  shape([4096, 4096, 4096], float8_e4m3fn),
  shape([8192, 8192, 8192], float8_e4m3fn),
  shape([2048, 3072, 768], float8_e4m3fn, "bias"),
  shape([1000, 1000, 1000]),
  shape([3000, 3000, 1000]),
  shape([2048, 768, 768], float16, "bias"),
  shape([2048, 768, 3072], float16, "residual"),
  shape([2048, 3072, 768], float16, "gelu"),
  shape([2048, 2304, 768], float16, "bias"),
  shape([6304, 768, 768], float16, "residual"),
  shape([6304, 3072, 768], float16, "gelu"),
  shape([6304, 768, 3072], float16, "residual"),
  shape([4616, 768, 768], float16, "bias"),
  shape([4616, 3072, 768], float16, "gelu"),
  shape([25088, 3072, 768], float16, "gelu"),
  shape([25088, 768, 3072], float16, "bias"),
  shape([2048, 6144, 1536], float16, "gelu"),
  shape([2048, 1536, 6144], float16, "bias"),
  shape([2048, 1024, 1024], float16, "bias"),
  shape([2048, 1024, 4096], float16, "bias"),
  shape([2048, 4096, 1024], float16, "gelu"),
  shape([100352, 256, 64], float16, "relu"),
  shape([100352, 64, 256], float16, "relu"),
  shape([25088, 2048, 512], float16, "relu"),
  shape([25088, 512, 1024], float16, "relu"),
  shape([6272, 1024, 256], float16, "relu"),
  shape([1568, 512, 2048], float16, "relu"),
  shape([1568, 2048, 512], float16, "relu"),
  shape([392, 256, 256], float16, "bias"),
  shape([800, 256, 256], float16, "bias"),
  shape([1568, 3072, 768], float16, "gelu"),
  shape([1568, 768, 3072], float16, "bias"),
  shape([32, 1000, 2048], float16, "bias"),
  shape([64, 4096, 4096], float16, "bias"),
  shape([16, 4096, 11008], float16, "bias"),
  shape([256, 256, 64, 192]),
  shape([256, 64, 256, 192], float16, "", "nn"),
  shape([784, 48, 48, 512]),
  shape([2560, 2560, 2560], bfloat16),
  shape([1280, 5120, 1280], bfloat16, "bias"),
  shape([3072, 4608, 2304], bfloat16),
  shape([768, 3072, 25088], bfloat16, "", "tn"),
  shape([768, 768, 6304], bfloat16, "", "tn"),
  shape([2304, 768, 4096], bfloat16, "", "tn"),
  shape([2048, 50257, 768], float16),
  shape([6272, 3072, 768], float16, "gelu"),
  shape([6272, 768, 3072], float16, "residual"),
  shape([768, 384, 200, 32], float16, "gelu"),
  shape([196, 768, 384, 32], float16, "residual"),
  shape([6304, 2304, 768], float16, "bias"),
  shape([100352, 384, 96], float16, "gelu"),
  shape([100352, 96, 384], float16, "residual"),
  shape([25088, 768, 192], float16, "gelu"),
  shape([25088, 192, 768], float16, "residual"),
  shape([6272, 1536, 384], float16, "gelu"),
  shape([6272, 384, 1536], float16, "residual"),
  shape([25088, 1536, 768], float16, "bias"),
  shape([2048, 5120, 1280], float16, "gelu"),
  shape([2048, 8192, 2048], float16, "gelu"),
  shape([2048, 2048, 8192], float16, "bias"),
];

/** A product in a few words. */
export function nameOf({ batch, m, n, k, dtype, layout, ending }: Shape): string {
  return `${batch === 1 ? "" : `${batch} × `}${m}×${n}×${k} ${dtype.short} ${layout} ${ending}`.trim();
}

/** The kernel that it is lowered to. */
export function kernelOf({ batch, m, n, k, dtype, layout, ending }: Shape): ContractionKernel {
  const b = batch > 1 ? [batch] : [];
  return contractionOf(`${m} × ${n} × ${k}`, dtype, (input) => {
    const x = input("x", [...b, ...(layout === "tn" ? [k, m] : [m, k])]);
    const w = input("w", [...b, ...(layout === "nt" ? [n, k] : [k, n])]);
    if (dtype === int8) return F._intMm(x, F.transpose(w, -2, -1));
    if (dtype === float8_e4m3fn) {
      const [scaleA, scaleB] = ["scaleA", "scaleB"].map((s) => input(s, [], [], float32)) as [Tensor, Tensor];
      const bias = ending === "bias" ? input("bias", [n], [1], bfloat16) : null;
      return F._scaledMm(x, F.transpose(w, -2, -1), scaleA, scaleB, { bias, outDtype: bfloat16 });
    }
    const sum = F.matmul(layout === "tn" ? F.transpose(x, -2, -1) : x, layout === "nt" ? F.transpose(w, -2, -1) : w);
    if (ending === "") return sum;
    const biased = F.add(sum, input("bias", [n]));
    if (ending === "bias") return biased;
    if (ending === "relu") return F.relu(biased);
    return ending === "gelu" ? F.gelu(biased) : F.add(biased, input("residual", [...b, m, n]));
  });
}
