/**
 * Contraction groups by hand: products of matrices in all layouts, convolutions and both of their gradients.
 */
import { computeType, type DType } from "../../../src/core/mod.ts";
import type { ContractionGroup, PointwiseStage } from "../../../src/inductor/groups.ts";
import { type BufferRef, loopVar, ops, type Value } from "../../../src/loops/mod.ts";
import { add, type Expr, mul, sub, symbol } from "../../../src/symbolic/mod.ts";
import { base, buffer } from "../codegen/harness.ts";

/** A group, its operands and its result. */
export interface Contraction {
  readonly group: ContractionGroup;
  readonly a: BufferRef;
  readonly b: BufferRef;
  readonly out: BufferRef;
  readonly extra: readonly BufferRef[];
  /** Multiplications and additions. */
  readonly flops: number;
}

/** `[batch, m, k] × [batch, k, n]`, each operand perhaps stored transposed, with a bias along n and a ReLU if asked; sums and results perhaps of other dtypes. */
export function matmul(
  [batch, m, n, k]: readonly [number, number, number, number],
  dtype: DType,
  options: {
    readonly ta?: boolean;
    readonly tb?: boolean;
    readonly bias?: boolean;
    /** A matrix that is added at last; only beside a bias. */
    readonly residual?: boolean;
    readonly turned?: boolean;
    readonly second?: DType;
    readonly result?: DType;
  } = {},
): Contraction {
  const [a, b, out] = [
    buffer("a", dtype, batch * m * k),
    buffer("b", options.second ?? dtype, batch * k * n),
    buffer("out", options.result ?? dtype, batch * m * n),
  ];
  const accumulate = computeType(options.result ?? dtype);
  const [vb, vm, vn, vk] = [loopVar(batch, "b"), loopVar(m, "m"), loopVar(n, "n"), loopVar(k, "k")];
  const at = (x: Expr, y: Expr, rows: number, columns: number): Expr =>
    add(mul(symbol(vb), rows * columns), mul(x, columns), y);
  const ai = options.ta === true ? at(symbol(vk), symbol(vm), k, m) : at(symbol(vm), symbol(vk), m, k);
  const bi = options.tb === true ? at(symbol(vn), symbol(vk), n, k) : at(symbol(vk), symbol(vn), k, n);
  const oi = options.turned === true ? at(symbol(vn), symbol(vm), n, m) : at(symbol(vm), symbol(vn), m, n);
  const bias = buffer("bias", out.dtype, n);
  const result = options.bias === true ? buffer("sum", out.dtype, batch * m * n) : out;
  const sum = ops.cast(ops.load(result, oi), accumulate);
  const residual = buffer("residual", out.dtype, batch * m * n);
  const biased = ops.maximum(ops.add(sum, ops.cast(ops.load(bias, symbol(vn)), accumulate)), 0);
  const epilogue: PointwiseStage[] = options.bias === true
    ? [{
      kind: "pointwise",
      space: "outer",
      out,
      index: oi,
      value: ops.cast(
        options.residual === true ? ops.add(biased, ops.cast(ops.load(residual, oi), accumulate)) : biased,
        out.dtype,
      ),
    }]
    : [];
  return {
    a,
    b,
    out,
    extra: options.bias === true ? [bias, ...(options.residual === true ? [residual] : [])] : [],
    flops: 2 * batch * m * n * k,
    group: {
      kind: "contraction",
      batch: batch === 1 ? [] : [vb],
      m: [vm],
      n: [vn],
      k: [vk],
      a: ops.cast(ops.load(a, ai), accumulate),
      b: ops.cast(ops.load(b, bi), accumulate),
      accumulate,
      result,
      resultIndex: oi,
      epilogue,
      ...base([out]),
    },
  };
}

/** Sizes of a convolution. */
export interface ConvSizes {
  readonly n: number;
  readonly ci: number;
  readonly co: number;
  readonly h: number;
  readonly w: number;
  readonly kernel: number;
  readonly padding: number;
  readonly stride: number;
}

function outSize(s: ConvSizes, x: number): number {
  return Math.floor((x + 2 * s.padding - s.kernel) / s.stride) + 1;
}

/** A load that is 0 outside of the padded image. */
function padded(x: BufferRef, at: (y: Expr, z: Expr) => Expr, y: Expr, z: Expr, s: ConvSizes): Value {
  const body = ops.load(x, at(y, z));
  if (s.padding === 0) return body;
  const conditions = [[y, s.h], [z, s.w]] as const;
  let mask: Value | null = null;
  for (const [e, size] of conditions) {
    const inside = ops.apply("bitwiseAnd", [ops.ge(ops.index(e), 0), ops.lt(ops.index(e), size)]);
    mask = mask === null ? inside : ops.apply("bitwiseAnd", [mask, inside]);
  }
  return mask === null ? body : ops.masked(mask, body, 0);
}

/** Forward: `out[n, co, oh, ow]`; the output's channels are m, its pixels n. */
export function convForward(s: ConvSizes, dtype: DType): Contraction {
  const [oh, ow] = [outSize(s, s.h), outSize(s, s.w)];
  const x = buffer("x", dtype, s.n * s.ci * s.h * s.w);
  const weight = buffer("w", dtype, s.co * s.ci * s.kernel ** 2);
  const out = buffer("out", dtype, s.n * s.co * oh * ow);
  const bias = buffer("bias", dtype, s.co);
  const [vn, vco, voh, vow] = [loopVar(s.n, "n"), loopVar(s.co, "m"), loopVar(oh, "n"), loopVar(ow, "n")];
  const [vci, vkh, vkw] = [loopVar(s.ci, "k"), loopVar(s.kernel, "k"), loopVar(s.kernel, "k")];
  const row = sub(add(mul(symbol(voh), s.stride), symbol(vkh)), s.padding);
  const column = sub(add(mul(symbol(vow), s.stride), symbol(vkw)), s.padding);
  const image = (y: Expr, z: Expr): Expr =>
    add(mul(add(mul(symbol(vn), s.ci), symbol(vci)), s.h * s.w), mul(y, s.w), z);
  const oi = add(mul(add(mul(symbol(vn), s.co), symbol(vco)), oh * ow), mul(symbol(voh), ow), symbol(vow));
  const wi = add(mul(add(mul(symbol(vco), s.ci), symbol(vci)), s.kernel ** 2), mul(symbol(vkh), s.kernel), symbol(vkw));
  const sum = buffer("sum", dtype, s.n * s.co * oh * ow);
  const accumulate = computeType(dtype);
  return {
    a: weight,
    b: x,
    out,
    extra: [bias],
    flops: 2 * s.n * s.co * oh * ow * s.ci * s.kernel ** 2,
    group: {
      kind: "contraction",
      batch: [],
      m: [vco],
      n: [vn, voh, vow],
      k: [vci, vkh, vkw],
      a: ops.cast(ops.load(weight, wi), accumulate),
      b: ops.cast(padded(x, image, row, column, s), accumulate),
      accumulate,
      result: sum,
      resultIndex: oi,
      epilogue: [{
        kind: "pointwise",
        space: "outer",
        out,
        index: oi,
        value: ops.cast(
          ops.add(ops.cast(ops.load(sum, oi), accumulate), ops.cast(ops.load(bias, symbol(vco)), accumulate)),
          dtype,
        ),
      }],
      ...base([out]),
    },
  };
}

/** Gradient of the weight: `dw[co, ci, kh, kw] = Σ over images and pixels of dy · x`. */
export function convWeightGradient(s: ConvSizes, dtype: DType): Contraction {
  const [oh, ow] = [outSize(s, s.h), outSize(s, s.w)];
  const x = buffer("x", dtype, s.n * s.ci * s.h * s.w);
  const dy = buffer("dy", dtype, s.n * s.co * oh * ow);
  const dw = buffer("dw", dtype, s.co * s.ci * s.kernel ** 2);
  const [vn, voh, vow] = [loopVar(s.n, "k"), loopVar(oh, "k"), loopVar(ow, "k")];
  const [vco, vci, vkh, vkw] = [
    loopVar(s.co, "m"),
    loopVar(s.ci, "n"),
    loopVar(s.kernel, "n"),
    loopVar(s.kernel, "n"),
  ];
  const row = sub(add(mul(symbol(voh), s.stride), symbol(vkh)), s.padding);
  const column = sub(add(mul(symbol(vow), s.stride), symbol(vkw)), s.padding);
  const image = (y: Expr, z: Expr): Expr =>
    add(mul(add(mul(symbol(vn), s.ci), symbol(vci)), s.h * s.w), mul(y, s.w), z);
  const yi = add(mul(add(mul(symbol(vn), s.co), symbol(vco)), oh * ow), mul(symbol(voh), ow), symbol(vow));
  const wi = add(mul(add(mul(symbol(vco), s.ci), symbol(vci)), s.kernel ** 2), mul(symbol(vkh), s.kernel), symbol(vkw));
  const accumulate = computeType(dtype);
  return {
    a: dy,
    b: x,
    out: dw,
    extra: [],
    flops: 2 * s.n * s.co * oh * ow * s.ci * s.kernel ** 2,
    group: {
      kind: "contraction",
      batch: [],
      m: [vco],
      n: [vci, vkh, vkw],
      k: [vn, voh, vow],
      a: ops.cast(ops.load(dy, yi), accumulate),
      b: ops.cast(padded(x, image, row, column, s), accumulate),
      accumulate,
      result: dw,
      resultIndex: wi,
      epilogue: [],
      ...base([dw]),
    },
  };
}

/** Gradient of the input, for stride 1: a convolution of dy with the turned kernel. */
export function convInputGradient(s: ConvSizes, dtype: DType): Contraction {
  const [oh, ow] = [outSize(s, s.h), outSize(s, s.w)];
  const dx = buffer("dx", dtype, s.n * s.ci * s.h * s.w);
  const dy = buffer("dy", dtype, s.n * s.co * oh * ow);
  const weight = buffer("w", dtype, s.co * s.ci * s.kernel ** 2);
  const [vn, vci, vh, vw] = [loopVar(s.n, "n"), loopVar(s.ci, "m"), loopVar(s.h, "n"), loopVar(s.w, "n")];
  const [vco, vkh, vkw] = [loopVar(s.co, "k"), loopVar(s.kernel, "k"), loopVar(s.kernel, "k")];
  const row = sub(add(symbol(vh), s.padding), symbol(vkh));
  const column = sub(add(symbol(vw), s.padding), symbol(vkw));
  const gradient = (y: Expr, z: Expr): Expr =>
    add(mul(add(mul(symbol(vn), s.co), symbol(vco)), oh * ow), mul(y, ow), z);
  const xi = add(mul(add(mul(symbol(vn), s.ci), symbol(vci)), s.h * s.w), mul(symbol(vh), s.w), symbol(vw));
  const wi = add(mul(add(mul(symbol(vco), s.ci), symbol(vci)), s.kernel ** 2), mul(symbol(vkh), s.kernel), symbol(vkw));
  const accumulate = computeType(dtype);
  const full = { ...s, h: oh, w: ow, padding: 1 };
  return {
    a: weight,
    b: dy,
    out: dx,
    extra: [],
    flops: 2 * s.n * s.co * oh * ow * s.ci * s.kernel ** 2,
    group: {
      kind: "contraction",
      batch: [],
      m: [vci],
      n: [vn, vh, vw],
      k: [vco, vkh, vkw],
      a: ops.cast(ops.load(weight, wi), accumulate),
      b: ops.cast(padded(dy, gradient, row, column, full), accumulate),
      accumulate,
      result: dx,
      resultIndex: xi,
      epilogue: [],
      ...base([dx]),
    },
  };
}

/** Depthwise: channels are the batch, m is empty. */
export function convDepthwise(s: ConvSizes, dtype: DType): Contraction {
  const [oh, ow] = [outSize(s, s.h), outSize(s, s.w)];
  const x = buffer("x", dtype, s.n * s.ci * s.h * s.w);
  const weight = buffer("w", dtype, s.ci * s.kernel ** 2);
  const out = buffer("out", dtype, s.n * s.ci * oh * ow);
  const [vn, vc, voh, vow] = [loopVar(s.n, "n"), loopVar(s.ci, "b"), loopVar(oh, "n"), loopVar(ow, "n")];
  const [vkh, vkw] = [loopVar(s.kernel, "k"), loopVar(s.kernel, "k")];
  const row = sub(add(mul(symbol(voh), s.stride), symbol(vkh)), s.padding);
  const column = sub(add(mul(symbol(vow), s.stride), symbol(vkw)), s.padding);
  const image = (y: Expr, z: Expr): Expr => add(mul(add(mul(symbol(vn), s.ci), symbol(vc)), s.h * s.w), mul(y, s.w), z);
  const oi = add(mul(add(mul(symbol(vn), s.ci), symbol(vc)), oh * ow), mul(symbol(voh), ow), symbol(vow));
  const accumulate = computeType(dtype);
  return {
    a: weight,
    b: x,
    out,
    extra: [],
    flops: 2 * s.n * s.ci * oh * ow * s.kernel ** 2,
    group: {
      kind: "contraction",
      batch: [vc],
      m: [],
      n: [vn, voh, vow],
      k: [vkh, vkw],
      a: ops.cast(
        ops.load(weight, add(mul(symbol(vc), s.kernel ** 2), mul(symbol(vkh), s.kernel), symbol(vkw))),
        accumulate,
      ),
      b: ops.cast(padded(x, image, row, column, s), accumulate),
      accumulate,
      result: out,
      resultIndex: oi,
      epilogue: [],
      ...base([out]),
    },
  };
}
