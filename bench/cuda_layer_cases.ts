/**
 * Convolutions and products that users have beside those of ResNet and of transformers: what `cuda_layers.ts` times, and the same in PyTorch's words.
 */
import { bfloat16, type DType, float16, float32, int8 } from "../src/core/mod.ts";
import { F, type Tensor } from "../src/tensor/mod.ts";

/** Sizes and strides of an input, outermost dimension first. */
export interface LayerInput {
  readonly shape: readonly number[];
  readonly stride: readonly number[];
  readonly dtype: DType;
}

/** One case. */
export interface Layer {
  readonly name: string;
  readonly inputs: readonly LayerInput[];
  readonly body: (inputs: readonly Tensor[]) => Tensor;
  /** Statements that make `a`, `b`, and the expression that is timed. */
  readonly python: readonly [setup: string, call: string];
  readonly flops: number;
  /** One element of the result in double precision, and the number of its terms: `at` reads an input at an index. */
  readonly element: (index: readonly number[], at: (input: number, index: readonly number[]) => number) => number;
  readonly terms: number;
  readonly tf32: boolean;
}

const TORCH: ReadonlyMap<DType, string> = new Map([
  [bfloat16, "torch.bfloat16"],
  [float16, "torch.float16"],
  [float32, "torch.float32"],
]);

function strides(shape: readonly number[], last: boolean): number[] {
  const order = last ? [0, ...shape.keys().drop(2), 1] : [...shape.keys()];
  const out = new Array<number>(shape.length).fill(1);
  let step = 1;
  for (const d of order.reverse()) {
    out[d] = step;
    step *= shape[d] ?? 1;
  }
  return out;
}

/** How a convolution is written; lists have an entry for each dimension of space. */
interface Convolution {
  readonly name: string;
  readonly batch: number;
  readonly channels: number;
  readonly features: number;
  readonly size: readonly number[];
  readonly window: readonly number[];
  readonly step?: number;
  readonly padding?: number;
  readonly dilation?: number;
  readonly groups?: number;
}

type Direction = "forward" | "by input" | "by weight";

/** All index lists below some extents. */
function* places(extents: readonly number[]): Generator<number[]> {
  const all = extents.reduce((a, b) => a * b, 1);
  for (let i = 0; i < all; i++) {
    let rest = i;
    const out = [...extents];
    for (let d = extents.length - 1; d >= 0; d--) {
      out[d] = rest % (extents[d] ?? 1);
      rest = Math.floor(rest / (extents[d] ?? 1));
    }
    yield out;
  }
}

function convolution(c: Convolution, direction: Direction, dtype: DType, last: boolean, tf32 = false): Layer {
  const { batch, channels, features, size, window, step = 1, padding = 0, dilation = 1, groups = 1 } = c;
  const rank = size.length;
  const to = size.map((n, d) => Math.floor((n + 2 * padding - dilation * ((window[d] ?? 1) - 1) - 1) / step) + 1);
  const x = [batch, channels, ...size], w = [features, channels / groups, ...window], y = [batch, features, ...to];
  const [own, each] = [channels / groups, features / groups];
  const list = (n: number): number[] => size.map(() => n);
  const shapes = direction === "forward" ? [x, w] : direction === "by input" ? [y, w] : [x, y];
  const where = `device='cuda'`;
  const make = (name: string, shape: readonly number[]): string =>
    `${name}=torch.randn(${shape.join(",")},${where}).to(${TORCH.get(dtype)})` +
    (last && rank > 1 ? `.to(memory_format=torch.channels_last${rank === 3 ? "_3d" : ""})` : "");
  const tail = `None,${JSON.stringify(list(step))},${JSON.stringify(list(padding))},${
    JSON.stringify(list(dilation))
  },False,${JSON.stringify(list(0))},${groups}`;
  const backward = (mask: string): string => `torch.ops.aten.convolution_backward(g,x,w,${tail},${mask})`;
  const within = (at: readonly number[], extents: readonly number[]): boolean =>
    at.every((n, d) => Number.isInteger(n) && n >= 0 && n < (extents[d] ?? 1));
  const element: Layer["element"] = (index, at) => {
    let sum = 0;
    if (direction === "forward") {
      const [n = 0, o = 0, ...p] = index;
      for (const [ch = 0, ...k] of places([own, ...window])) {
        const q = p.map((v, d) => v * step - padding + (k[d] ?? 0) * dilation);
        if (within(q, size)) sum += at(0, [n, Math.floor(o / each) * own + ch, ...q]) * at(1, [o, ch, ...k]);
      }
    } else if (direction === "by input") {
      const [n = 0, ch = 0, ...q] = index;
      for (const [o = 0, ...k] of places([each, ...window])) {
        const p = q.map((v, d) => (v + padding - (k[d] ?? 0) * dilation) / step);
        const feature = Math.floor(ch / own) * each + o;
        if (within(p, to)) sum += at(0, [n, feature, ...p]) * at(1, [feature, ch % own, ...k]);
      }
    } else {
      const [o = 0, ch = 0, ...k] = index;
      for (const [n = 0, ...p] of places([batch, ...to])) {
        const q = p.map((v, d) => v * step - padding + (k[d] ?? 0) * dilation);
        if (within(q, size)) sum += at(0, [n, Math.floor(o / each) * own + ch, ...q]) * at(1, [n, o, ...p]);
      }
    }
    return sum;
  };
  const area = (s: readonly number[]): number => s.reduce((a, b) => a * b, 1);
  return {
    name: `${c.name}, ${direction} ${tf32 ? "tf32" : dtype.short}${rank > 1 ? last ? " nhwc" : " nchw" : ""}`,
    inputs: shapes.map((shape) => ({ shape, stride: strides(shape, last && rank > 1), dtype })),
    body: ([a, b]) => {
      if (a === undefined || b === undefined) throw new TypeError("a convolution has two inputs");
      const [s, p, l] = [list(step), list(padding), list(dilation)];
      const result = direction === "forward"
        ? F.convolution(a, b, null, s, p, l, false, list(0), groups)
        : direction === "by input"
        ? F.convInputGrad(a, b, [...size], s, p, l, groups)
        : F.convWeightGrad(a, b, [...window], s, p, l, groups);
      // What follows in a network of channels innermost has them so, as PyTorch's results do.
      const positions = size.map((_, d) => d + 2);
      return last && rank > 1
        ? F.permute(F.permute(result, [0, ...positions, 1]).contiguous(), [0, rank + 1, ...positions.map((d) => d - 1)])
        : result;
    },
    python: [
      [make("x", x), make("w", w), make("g", y)].join(";"),
      direction === "forward"
        ? `torch.convolution(x,w,${tail})`
        : backward(direction === "by input" ? "[True,False,False]" : "[False,True,False]"),
    ],
    flops: 2 * area(y) * own * area(window),
    element,
    terms: direction === "forward"
      ? own * area(window)
      : direction === "by input"
      ? each * area(window) / step ** rank
      : batch * area(to),
    tf32,
  };
}

type Layout = "nt" | "nn" | "tn";

function product(
  [m = 1, n = 1, k = 1, batch = 1]: readonly number[],
  dtype: DType,
  layout: Layout,
  tf32 = false,
): Layer {
  const b = batch > 1 ? [batch] : [];
  const first = [...b, ...(layout === "tn" ? [k, m] : [m, k])], second = [...b, ...(layout === "nt" ? [n, k] : [k, n])];
  const turned = (t: Tensor, whether: boolean): Tensor => whether ? F.transpose(t, -2, -1) : t;
  const text = (name: string, whether: boolean): string => whether ? `${name}.transpose(-1,-2)` : name;
  return {
    name: `${batch > 1 ? `${batch} x ` : ""}${m}x${n}x${k} ${tf32 ? "tf32" : dtype.short} ${layout}`,
    inputs: [first, second].map((shape) => ({ shape, stride: strides(shape, false), dtype })),
    body: ([x, y]) => {
      if (x === undefined || y === undefined) throw new TypeError("a product has two inputs");
      return F.matmul(turned(x, layout === "tn"), turned(y, layout === "nt"));
    },
    python: [
      ["x", "y"].map((v, i) =>
        `${v}=torch.randn(${(i === 0 ? first : second).join(",")},device='cuda').to(${TORCH.get(dtype)})`
      )
        .join(";"),
      `torch.matmul(${text("x", layout === "tn")},${text("y", layout === "nt")})`,
    ],
    flops: 2 * batch * m * n * k,
    element: (index, at) => {
      const [i = 0, j = 0] = index.slice(-2);
      const front = index.slice(0, -2);
      let sum = 0;
      for (let l = 0; l < k; l++) {
        sum += at(0, [...front, ...(layout === "tn" ? [l, i] : [i, l])]) *
          at(1, [...front, ...(layout === "nt" ? [j, l] : [l, j])]);
      }
      return sum;
    },
    terms: k,
    tf32,
  };
}

/** Rows times weights of 8 bits, which are scaled a column. */
function scaled(rows: number, n: number, k: number): Layer {
  return {
    name: `${rows}x${n}x${k} bf16, weights int8 with scales`,
    inputs: [
      { shape: [rows, k], stride: [k, 1], dtype: bfloat16 },
      { shape: [n, k], stride: [k, 1], dtype: int8 },
      { shape: [n], stride: [1], dtype: bfloat16 },
    ],
    body: ([x, w, s]) => {
      if (x === undefined || w === undefined || s === undefined) throw new TypeError("rows, weights and scales");
      return F.mul(F.matmul(x, F.transpose(w.to(bfloat16), 0, 1)), s);
    },
    python: [
      `x=torch.randn(${rows},${k},device='cuda').to(torch.bfloat16);w=torch.randint(-127,127,(${n},${k}),device='cuda',dtype=torch.int8);s=torch.rand(${n},device='cuda').to(torch.bfloat16)`,
      "torch._weight_int8pack_mm(x,w,s)",
    ],
    flops: 2 * rows * n * k,
    element: ([i = 0, j = 0], at) => {
      let sum = 0;
      for (let l = 0; l < k; l++) sum += at(0, [i, l]) * at(1, [j, l]);
      return sum * at(2, [j]);
    },
    terms: 2000 * k,
    tf32: false,
  };
}

const B = 32;
const square = (n: number, rank = 2): number[] => new Array<number>(rank).fill(n);

function image(
  name: string,
  [channels = 1, features = 1, size = 1, window = 1]: readonly number[],
  options: Partial<Convolution> = {},
): Convolution {
  const padding = options.padding ?? Math.floor(window / 2) * (options.dilation ?? 1);
  return { name, batch: B, channels, features, size: square(size), window: square(window), ...options, padding };
}

const CONVOLUTIONS = {
  one3: image("3x3, 1 to 32 at 224", [1, 32, 224, 3]),
  three3: image("3x3, 3 to 64 at 224", [3, 64, 224, 3]),
  three3by2: image("3x3 by 2, 3 to 32 at 224", [3, 32, 224, 3], { step: 2 }),
  four3: image("3x3, 4 to 320 at 64", [4, 320, 64, 3]),
  patch4: image("4x4 by 4, 3 to 96 at 224", [3, 96, 224, 4], { step: 4, padding: 0 }),
  patch16: image("16x16 by 16, 3 to 768 at 224", [3, 768, 224, 16], { step: 16, padding: 0 }),
  stem: image("7x7 by 2, 3 to 64 at 224", [3, 64, 224, 7], { step: 2 }),
  last3: image("3x3, 64 to 3 at 224", [64, 3, 224, 3]),
  five: image("5x5, 64 to 64 at 28", [64, 64, 28, 5]),
  dilated: image("3x3 dilated 2, 256 at 28", [256, 256, 28, 3], { dilation: 2 }),
  plain56: image("3x3, 64 at 56", [64, 64, 56, 3]),
  plain28: image("3x3, 128 at 28", [128, 128, 28, 3]),
  plain14: image("3x3, 256 at 14", [256, 256, 14, 3]),
  plain7: image("3x3, 512 at 7", [512, 512, 7, 3]),
  by2: image("3x3 by 2, 128 at 56", [128, 128, 56, 3], { step: 2 }),
  one64: image("1x1, 256 to 64 at 56", [256, 64, 56, 1]),
  one256: image("1x1, 64 to 256 at 56", [64, 256, 56, 1]),
  oneby2: image("1x1 by 2, 256 to 512 at 56", [256, 512, 56, 1], { step: 2 }),
  grouped: image("3x3 in 32 groups, 128 at 56", [128, 128, 56, 3], { groups: 32 }),
  grouped16: image("3x3 in 32 groups, 512 at 14", [512, 512, 14, 3], { groups: 32 }),
  depthwise: image("3x3 depthwise, 144 at 56", [144, 144, 56, 3], { groups: 144 }),
  depthwise7: image("7x7 depthwise, 192 at 28", [192, 192, 28, 7], { groups: 192 }),
  odd: image("3x3, 100 to 150 at 31", [100, 150, 31, 3]),
  up2: image("2x2 by 2, 64 to 128 at 112", [64, 128, 112, 2], { step: 2, padding: 0 }),
  up4: image("4x4 by 2, 64 to 128 at 64", [64, 128, 64, 4], { step: 2, padding: 1 }),
  unet: image("3x3, 320 at 64, batch 4", [320, 320, 64, 3], { batch: 4 }),
  wave: {
    name: "10 by 5, 1 to 512 at 160000",
    batch: 8,
    channels: 1,
    features: 512,
    size: [160000],
    window: [10],
    step: 5,
  },
  wave3: { name: "3 by 2, 512 at 32000", batch: 8, channels: 512, features: 512, size: [32000], window: [3], step: 2 },
  wave3d: {
    name: "3, 256 at 3000 (whisper)",
    batch: 8,
    channels: 256,
    features: 256,
    size: [3000],
    window: [3],
    padding: 1,
  },
  volume: {
    name: "3x3x3, 32 to 64 at 32",
    batch: 4,
    channels: 32,
    features: 64,
    size: square(32, 3),
    window: square(3, 3),
    padding: 1,
  },
  video: {
    name: "3x3x3, 3 to 64 at 16x112x112",
    batch: 4,
    channels: 3,
    features: 64,
    size: [16, 112, 112],
    window: square(3, 3),
    padding: 1,
  },
} satisfies Record<string, Convolution>;

const C = CONVOLUTIONS;
const BACKWARD: readonly Convolution[] = [
  ...[
    C.stem,
    C.three3,
    C.patch4,
    C.five,
    C.dilated,
    C.plain56,
    C.plain28,
    C.plain14,
    C.plain7,
    C.by2,
    C.one64,
    C.oneby2,
  ],
  ...[C.grouped, C.depthwise, C.depthwise7, C.odd, C.up2, C.up4, C.unet, C.wave3, C.wave3d, C.volume],
];
const WITHOUT_IMAGE_GRADIENT: ReadonlySet<Convolution> = new Set([C.stem, C.three3, C.patch4]);

/** All cases. */
export const LAYERS: readonly Layer[] = [
  ...Object.values(CONVOLUTIONS).map((c) => convolution(c, "forward", bfloat16, true)),
  ...BACKWARD.filter((c) => !WITHOUT_IMAGE_GRADIENT.has(c)).map((c) => convolution(c, "by input", bfloat16, true)),
  ...BACKWARD.map((c) => convolution(c, "by weight", bfloat16, true)),
  ...[C.stem, C.three3, C.plain28, C.one64, C.grouped, C.up2, C.volume].map((c) =>
    convolution(c, "forward", float16, false)
  ),
  ...[C.stem, C.plain28, C.one64, C.plain14, C.grouped, C.wave3d].flatMap((c) => [
    convolution(c, "forward", float32, false),
    convolution(c, "forward", float32, false, true),
    convolution(c, "forward", float32, true, true),
  ]),
  ...[C.plain28, C.one64].flatMap((c) => [
    convolution(c, "by input", float32, false, true),
    convolution(c, "by weight", float32, false, true),
  ]),
  ...[[1000, 1000, 1000], [3000, 3000, 1000], [1568, 768, 3072], [6304, 768, 768], [512, 1024, 8192], [256, 768, 768]]
    .map((s) => product(s, float16, "nt")),
  product([999, 1001, 500], float16, "nn"),
  product([999, 1001, 500], float16, "nt"),
  product([2048, 50257, 768], float16, "nt"),
  ...(["nt", "nn"] as const).map((l) => product([4096, 4096, 4096], float32, l, true)),
  ...(["nt", "nn", "tn"] as const).map((l) => product([4096, 4096, 4096], float32, l)),
  ...[[1024, 1024, 1024], [512, 512, 512], [2048, 768, 768], [64, 64, 16384], [256, 1000, 4096], [1000, 1000, 1000]]
    .map((s) => product(s, float32, "nn")),
  product([512, 512, 64, 96], bfloat16, "nt"),
  product([512, 64, 512, 96], bfloat16, "nn"),
  ...[1, 2, 4, 8, 16, 32].flatMap((rows) =>
    [[4096, 4096], [14336, 4096], [4096, 14336]].map(([n = 1, k = 1]) => product([rows, n, k], bfloat16, "nt"))
  ),
  ...[1, 4, 16].map((rows) => product([rows, 14336, 4096], bfloat16, "nn")),
  ...[1, 4, 16].map((rows) => scaled(rows, 14336, 4096)),
];
