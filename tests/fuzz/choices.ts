/**
 * The steps of random programs: for each family of operators, how arguments are picked among the values that there are.
 *
 * Discontinuous operators (comparisons, rounding, positions of extremes) are left out near their jumps, where executors may rightly
 * differ by rounding; so are normalisations of what is nearly equal.
 */
import type { Tensor } from "../../src/tensor/mod.ts";
import { broadcasts, isBool, isFloat, isInteger, type Make, numbersOf, SIZES } from "./maker.ts";
import type { FuzzArg } from "./program.ts";

const UNARY = [
  "neg",
  "abs",
  "relu",
  "sigmoid",
  "tanh",
  "sin",
  "cos",
  "erf",
  "gelu",
  "silu",
  "square",
  "exp",
  "softplus",
  "atan",
  "expm1",
  "log1p",
  "sqrt",
  "rsqrt",
  "reciprocal",
  "log",
  "hardtanh",
  "elu",
  "leaky_relu",
  "hardswish",
  "mish",
  "log_sigmoid",
  "exp2",
  "ceil",
  "floor",
  "round",
  "trunc",
  "sign",
  "frac",
] as const;
/** Operators with jumps at whole numbers. */
const JUMPS = new Set(["ceil", "floor", "round", "trunc", "sign", "frac"]);
const BINARY = [
  "add.Tensor",
  "sub.Tensor",
  "mul.Tensor",
  "maximum.default",
  "minimum.default",
  "div.Tensor",
  "atan2.default",
  "hypot.default",
] as const;
const INTEGER = [
  "add.Tensor",
  "sub.Tensor",
  "mul.Tensor",
  "maximum.default",
  "minimum.default",
  "bitwise_and.Tensor",
  "bitwise_xor.Tensor",
] as const;
const IN_PLACE = [
  "add_.Tensor",
  "mul_.Tensor",
  "sub_.Tensor",
  "copy_.default",
  "relu_.default",
  "neg_.default",
  "fill_.Scalar",
  "zero_.default",
  "sigmoid_.default",
  "masked_fill_.Scalar",
  "clamp_.default",
] as const;
const v = (value: number): FuzzArg => ({ value });

const unary: Make = (m) => {
  const x = m.pick(isFloat);
  if (x === null) return null;
  const name = m.r.pick(UNARY);
  if (JUMPS.has(name) && !m.farFromJumps(numbersOf(m.at(x)))) return null;
  return { target: `aten.${name}.default`, args: [v(x)] };
};

const binary: Make = (m) => {
  const x = m.pick(isFloat);
  if (x === null) return null;
  const y = m.pick((t) => isFloat(t) && broadcasts(m.shape(x), t.shape.map(Number)));
  if (y === null) return null;
  const name = m.r.pick(BINARY);
  if (name === "div.Tensor" && numbersOf(m.at(y)).some((n) => Math.abs(n) < 0.05)) return null;
  if (name === "atan2.default" && numbersOf(m.at(y)).some((n) => Math.abs(n) < 0.05)) return null;
  return { target: `aten.${name}`, args: [v(x), m.r.below(6) === 0 ? 1.5 : v(y)] };
};

const integer: Make = (m) => {
  const x = m.pick(isInteger);
  if (x === null) return null;
  const y = m.pick((t) => isInteger(t) && broadcasts(m.shape(x), t.shape.map(Number)));
  const name = m.r.pick(INTEGER);
  if (m.r.below(3) === 0) {
    const by = m.r.pick([2, 3, -3, 5]);
    return m.r.below(2) === 0
      ? { target: "aten.remainder.Scalar", args: [v(x), by] }
      : { target: "aten.div.Scalar_mode", args: [v(x), by, m.r.pick(["floor", "trunc"])] };
  }
  return y === null ? null : { target: `aten.${name}`, args: [v(x), v(y)] };
};

const compare: Make = (m) => {
  const x = m.pick((t) => !isBool(t));
  if (x === null) return null;
  const name = m.r.pick(["gt", "lt", "ge", "le", "ne", "eq"]);
  if (m.r.below(2) === 0) {
    const limit = m.r.pick([0, 0.5, 1]);
    const data = numbersOf(m.at(x));
    if (isFloat(m.at(x)) && !m.farApart(data, data.map(() => limit))) return null;
    return { target: `aten.${name}.Scalar`, args: [v(x), limit] };
  }
  const y = m.pick((t) => t.shape.join() === m.shape(x).join() && !isBool(t));
  if (y === null || !m.farApart(numbersOf(m.at(x)), numbersOf(m.at(y)))) return null;
  return { target: `aten.${name}.Tensor`, args: [v(x), v(y)] };
};

const logic: Make = (m) => {
  const c = m.pick(isBool);
  if (c === null) return null;
  const shape = m.shape(c);
  if (m.r.below(4) === 0) return { target: "aten.logical_not.default", args: [v(c)] };
  const x = m.pick((t) => isFloat(t) && broadcasts(shape, t.shape.map(Number)));
  if (x === null) return null;
  if (m.r.below(2) === 0) return { target: "aten.masked_fill.Scalar", args: [v(x), v(c), m.r.pick([0, -2.5, 3])] };
  const y = m.pick((t) => isFloat(t) && broadcasts(m.shape(x), t.shape.map(Number)));
  return y === null ? null : { target: "aten.where.self", args: [v(c), v(x), v(y)] };
};

const view: Make = (m) => {
  const x = m.pick(() => true);
  if (x === null) return null;
  const shape = m.shape(x);
  const rank = shape.length;
  const d = rank === 0 ? 0 : m.r.below(rank);
  const size = shape[d] ?? 1;
  switch (m.r.below(13)) {
    case 0: {
      const dims = Array.from({ length: rank }, (_, i) => i).sort(() => m.r.next() - 0.5);
      return { target: "aten.permute.default", args: [v(x), dims] };
    }
    case 1:
      return rank < 2 ? null : { target: "aten.transpose.int", args: [v(x), d, m.r.below(rank)] };
    case 2: {
      if (size < 2) return null;
      const start = m.r.below(size);
      return {
        target: "aten.slice.Tensor",
        args: [v(x), d, start, start + 1 + m.r.below(size - start), 1 + m.r.below(3)],
      };
    }
    case 3:
      return rank === 0
        ? null
        : { target: "aten.select.int", args: [v(x), d, m.r.below(size) - (m.r.below(2) === 0 ? size : 0)] };
    case 4:
      return { target: "aten.unsqueeze.default", args: [v(x), m.r.below(rank + 1)] };
    case 5:
      return { target: "aten.squeeze.default", args: [v(x)] };
    case 6: {
      const wide = shape.map((s) => s === 1 ? m.r.pick(SIZES) : s);
      return { target: "aten.expand.default", args: [v(x), m.r.below(2) === 0 ? wide : [m.r.pick([2, 3]), ...wide]] };
    }
    case 7: {
      const total = shape.reduce((a, b) => a * b, 1);
      const divisors = [1, 2, 3, 4, 5, 6, 8, 12].filter((n) => total % n === 0);
      const first = m.r.pick(divisors);
      return {
        target: "aten.reshape.default",
        args: [v(x), m.r.pick([[first, -1], [-1], [-1, first], [1, first, -1]])],
      };
    }
    case 8:
      return rank === 0 ? null : { target: "aten.flip.default", args: [v(x), [d]] };
    case 9:
      return size < 3 ? null : { target: "aten.unfold.default", args: [v(x), d, 2, 1 + m.r.below(2)] };
    case 10:
      return rank < 2 ? null : { target: "aten.diagonal.default", args: [v(x), m.r.below(3) - 1, 0, 1] };
    case 11:
      return { target: "aten.clone.default", args: [v(x)] };
    case 12:
      return size < 2
        ? null
        : { target: "aten.split.Tensor", args: [v(x), Math.ceil(size / 2), d], result: m.r.below(2) };
    default:
      return null;
  }
};

const reduce: Make = (m) => {
  const x = m.pick((t) => isFloat(t) && t.ndim > 0);
  if (x === null) return null;
  const rank = m.at(x).ndim;
  const d = m.r.below(rank);
  const dims = rank > 1 && m.r.below(3) === 0 ? [d, (d + 1) % rank] : [d];
  const keep = m.r.below(2) === 0;
  switch (m.r.below(10)) {
    case 0:
      return { target: "aten.sum.dim_IntList", args: [v(x), dims, keep] };
    case 1:
      return { target: "aten.mean.dim", args: [v(x), dims, keep] };
    case 2:
      return { target: m.r.pick(["aten.amax.default", "aten.amin.default"]), args: [v(x), dims, keep] };
    case 3:
      return { target: "aten.var.correction", args: [v(x), dims, m.r.below(2), keep] };
    case 4:
      return { target: "aten.logsumexp.default", args: [v(x), dims, keep] };
    case 5: {
      const sorted = numbersOf(m.at(x)).sort((a, b) => a - b);
      if (!m.farApart(sorted.slice(1), sorted)) return null;
      return { target: m.r.pick(["aten.argmax.default", "aten.argmin.default"]), args: [v(x), d, keep] };
    }
    case 6:
      return { target: "aten.sum.default", args: [v(x)] };
    case 7:
      return { target: "aten.prod.dim_int", args: [v(x), d, keep] };
    case 8: {
      const b = m.pick((t) => isBool(t) && t.ndim > 0);
      return b === null
        ? null
        : { target: m.r.pick(["aten.any.dim", "aten.all.dim"]), args: [v(b), m.r.below(m.at(b).ndim), keep] };
    }
    case 9:
      return { target: "aten.linalg_vector_norm.default", args: [v(x), 2, dims, keep] };
    default:
      return null;
  }
};

const scan: Make = (m) => {
  const x = m.pick((t) => t.ndim > 0 && !isBool(t));
  if (x === null) return null;
  const d = m.r.below(m.at(x).ndim);
  return { target: "aten.cumsum.default", args: [v(x), d] };
};

/** Whether each row along the last dimension has elements that differ clearly. */
function variesInRows(t: Tensor): boolean {
  const size = Number(t.shape.at(-1) ?? 1);
  const data = numbersOf(t);
  for (let row = 0; row < data.length; row += size) {
    const part = data.slice(row, row + size);
    const [low, high] = [Math.min(...part), Math.max(...part)];
    if (high - low < 0.05 * Math.max(Math.abs(low), Math.abs(high), 0.1)) return false;
  }
  return true;
}

const normalise: Make = (m) => {
  const x = m.pick((t) => isFloat(t) && t.ndim > 0);
  if (x === null) return null;
  const shape = m.shape(x);
  const d = m.r.below(shape.length);
  switch (m.r.below(4)) {
    case 0:
      return { target: "aten.softmax.int", args: [v(x), d] };
    case 1:
      return { target: "aten.log_softmax.int", args: [v(x), d] };
    case 2:
      // Rows of nearly equal elements are all noise once normalised.
      return !variesInRows(m.at(x)) ? null : { target: "aten.layer_norm.default", args: [v(x), [shape.at(-1) ?? 1]] };
    case 3:
      return { target: "aten.glu.default", args: [v(x), d] };
    default:
      return null;
  }
};

const contract: Make = (m) => {
  const x = m.pick((t) => isFloat(t) && t.ndim >= 2);
  if (x === null) return null;
  const k = m.shape(x).at(-1);
  const { dtype } = m.at(x);
  const y = m.pick((t) => t.dtype === dtype && t.ndim >= 2 && t.shape.at(-2) === k);
  const w = m.pick((t) => t.dtype === dtype && t.ndim === 2 && t.shape[1] === k);
  if (w !== null && m.r.below(3) === 0) return { target: "aten.linear.default", args: [v(x), v(w)] };
  return y === null ? null : { target: "aten.matmul.default", args: [v(x), v(y)] };
};

const join: Make = (m) => {
  const x = m.pick((t) => t.ndim > 0);
  if (x === null) return null;
  const shape = m.shape(x);
  const d = m.r.below(shape.length);
  const same = (t: Tensor): boolean => t.ndim === shape.length && t.shape.every((s, i) => i === d || s === shape[i]);
  const y = m.pick(same) ?? x;
  switch (m.r.below(6)) {
    case 0:
      return { target: "aten.stack.default", args: [[v(x), v(x)], m.r.below(shape.length + 1)] };
    case 1:
      return { target: "aten.constant_pad_nd.default", args: [v(x), [m.r.below(3), m.r.below(3) - 1], 0.5] };
    case 2:
      return { target: "aten.roll.default", args: [v(x), [1 + m.r.below(3)], [d]] };
    case 3:
      return shape.length < 2
        ? null
        : { target: m.r.pick(["aten.tril.default", "aten.triu.default"]), args: [v(x), m.r.below(3) - 1] };
    default:
      return { target: "aten.cat.default", args: [[v(x), v(y)], d] };
  }
};

const gather: Make = (m) => {
  const i = m.pick((t) => t.dtype.name === "int64" && t.ndim === 1 && numbersOf(t).every((n) => n >= 0));
  if (i === null) return null;
  const largest = Math.max(...numbersOf(m.at(i)));
  const x = m.pick((t) => isFloat(t) && t.ndim > 0 && t.shape.some((s) => Number(s) > largest));
  if (x === null) return null;
  const shape = m.shape(x);
  const d = shape.findIndex((s) => s > largest);
  const [count = 1] = m.shape(i);
  switch (m.r.below(4)) {
    case 0:
      return { target: "aten.index_select.default", args: [v(x), d, v(i)] };
    case 1:
      return { target: "aten.index.Tensor", args: [v(x), [...new Array<null>(d).fill(null), v(i)]] };
    case 2: {
      const src = m.pick((t) =>
        t.dtype === m.at(x).dtype && t.ndim === shape.length &&
        t.shape.every((s, k) => s === (k === d ? count : shape[k]))
      );
      return src === null ? null : { target: "aten.index_add.default", args: [v(x), d, v(i), v(src)] };
    }
    case 3:
      return shape.length === 2 && d === 0 ? { target: "aten.embedding.default", args: [v(x), v(i)] } : null;
    default:
      return null;
  }
};

const cast: Make = (m) => {
  const x = m.pick(() => true);
  if (x === null) return null;
  const to = m.r.pick(["float32", "float32", "float64", "float16", "bfloat16", "int64", "int32"]);
  if (isFloat(m.at(x)) && to.startsWith("int") && !m.farFromJumps(numbersOf(m.at(x)))) return null;
  return { target: "aten._to_copy.default", args: [v(x), { dtype: to }] };
};

/** Whether no two elements share memory: what is written to such a tensor depends on the order of writes. */
function isDistinct(t: Tensor): boolean {
  const places = new Set<number>();
  const index = new Array<number>(t.ndim).fill(0);
  for (let k = 0; k < t.numel; k++) {
    let rest = k;
    for (let d = t.ndim - 1; d >= 0; d--) {
      index[d] = rest % Number(t.shape[d]);
      rest = Math.floor(rest / Number(t.shape[d]));
    }
    places.add(index.reduce((at, i, d) => at + i * Number(t.stride[d]), 0));
  }
  return places.size === t.numel;
}

const write: Make = (m) => {
  if (!m.inPlace) return null;
  const x = m.pick((t) => isFloat(t) && isDistinct(t));
  if (x === null) return null;
  const name = m.r.pick(IN_PLACE);
  const target = `aten.${name}`;
  const shape = m.shape(x);
  const fits = (t: Tensor): boolean =>
    t.ndim <= shape.length && t.shape.every((s, i) => {
      const own = shape[shape.length - t.ndim + i];
      return s === own || s === 1;
    });
  switch (name) {
    case "fill_.Scalar":
      return { target, args: [v(x), 0.75] };
    case "clamp_.default":
      return { target, args: [v(x), -1.5, 1.25] };
    case "masked_fill_.Scalar": {
      const c = m.pick((t) => isBool(t) && fits(t));
      return c === null ? null : { target, args: [v(x), v(c), 0.25] };
    }
    case "add_.Tensor":
    case "mul_.Tensor":
    case "sub_.Tensor":
    case "copy_.default": {
      const y = m.pick((t) => isFloat(t) && fits(t));
      return y === null ? null : { target, args: [v(x), v(y)] };
    }
    default:
      return { target, args: [v(x)] };
  }
};

/** All makers; those of common operators several times. */
export const MAKERS: readonly Make[] = [
  unary,
  unary,
  unary,
  binary,
  binary,
  binary,
  binary,
  integer,
  compare,
  logic,
  view,
  view,
  view,
  view,
  reduce,
  reduce,
  scan,
  normalise,
  contract,
  contract,
  join,
  join,
  gather,
  gather,
  cast,
  write,
  write,
];
