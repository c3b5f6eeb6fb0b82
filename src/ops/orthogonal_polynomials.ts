/**
 * Orthogonal polynomials, the Hurwitz zeta function and the Airy function, element by element on the host in float64.
 *
 * The degree of a polynomial is data, so its recurrence has no fixed length and no loop body. Not differentiable, as in PyTorch. Mirrors `Math.h` of ATen.
 */
import { float64, getDefaultDtype } from "../core/mod.ts";
import { camelCase, type Scalar } from "../graph/mod.ts";
import { broadcastShapes } from "../symbolic/mod.ts";
import { scaledK } from "./bessel.ts";
import { promotedDtype, promotionOperand } from "./combinators.ts";
import { defineOp, getOp, type MetaInput } from "./define.ts";
import { hostArray, hostShape, readHost } from "./host_axis.ts";
import { elementwiseStride } from "./layout.ts";
import { isScalar, scalarMeta } from "./scalars.ts";
import { broadcastPositions } from "./special_functions.ts";
import type { TensorValue } from "./value.ts";

/** The polynomial of degree `n` from those of degree 0 and 1 and the step from k - 1 and k to k + 1. */
function recur(n: number, first: number, step: (k: number, current: number, before: number) => number): number {
  if (n < 0) return 0;
  let before = 1, current = first;
  if (n === 0) return 1;
  for (let k = 1; k < n && !Number.isNaN(current); k++) {
    if (k > MOST_STEPS) {
      throw new RangeError(`special polynomial: degree n = ${n} is too high: at most ${MOST_STEPS}`);
    }
    [before, current] = [current, step(k, current, before)];
  }
  return current;
}

/** Degrees from which ATen gives NaN for Hermite polynomials: float's range ends. */
const HERMITE_LIMIT = 512;

/** The degree from which cosines take the place of Chebyshev's recurrence, and up to which other recurrences go. */
const TRIGONOMETRIC = 8, MOST_STEPS = 2 ** 20;

/** Chebyshev's recurrence: twice x times the last, less the one before. High degrees between -1 and 1 are `angle`'s, of n and arccos x. */
function doubling(x: number, n: number, first: number, angle: (n: number, theta: number) => number): number {
  if (n > TRIGONOMETRIC && Math.abs(x) < 1) return angle(n, Math.acos(x));
  if (n > TRIGONOMETRIC && Math.abs(x) === 1) {
    // Every other value at an end goes up by the same step.
    const at = (k: number): number => recur(k, first, (_, a, b) => 2 * x * a - b);
    const start = n % 2 === 0 ? 2 : 1;
    return at(start) + (at(start + 2) - at(start)) * ((n - start) / 2);
  }
  return recur(n, first, (_, a, b) => 2 * x * a - b);
}

const POLYNOMIALS: Readonly<Record<string, readonly [doc: string, value: (x: number, n: number) => number]>> = {
  chebyshev_polynomial_t: [
    "Chebyshev polynomials of the first kind",
    (x, n) => doubling(x, n, x, (m, a) => Math.cos(m * a)),
  ],
  chebyshev_polynomial_u: [
    "Chebyshev polynomials of the second kind",
    (x, n) => doubling(x, n, 2 * x, (m, a) => Math.sin((m + 1) * a) / Math.sin(a)),
  ],
  chebyshev_polynomial_v: [
    "Chebyshev polynomials of the third kind",
    (x, n) => doubling(x, n, 2 * x - 1, (m, a) => Math.cos((m + 0.5) * a) / Math.cos(a / 2)),
  ],
  chebyshev_polynomial_w: [
    "Chebyshev polynomials of the fourth kind",
    (x, n) => doubling(x, n, 2 * x + 1, (m, a) => Math.sin((m + 0.5) * a) / Math.sin(a / 2)),
  ],
  hermite_polynomial_h: [
    "Hermite polynomials of the physicists",
    (x, n) => n > HERMITE_LIMIT ? NaN : recur(n, 2 * x, (k, a, b) => 2 * x * a - 2 * k * b),
  ],
  hermite_polynomial_he: [
    "Hermite polynomials of the probabilists",
    (x, n) => n > HERMITE_LIMIT ? NaN : recur(n, x, (k, a, b) => x * a - k * b),
  ],
  laguerre_polynomial_l: [
    "Laguerre polynomials",
    (x, n) => recur(n, 1 - x, (k, a, b) => ((2 * k + 1 - x) * a - k * b) / (k + 1)),
  ],
  legendre_polynomial_p: [
    "Legendre polynomials",
    (x, n) => recur(n, x, (k, a, b) => ((2 * k + 1) * x * a - k * b) / (k + 1)),
  ],
};

/** The Hurwitz zeta function Σ (k + q)^-s, by Euler and Maclaurin's formula. */
function hurwitzZeta(s: number, q: number): number {
  if (Number.isNaN(s) || Number.isNaN(q)) return NaN;
  if (s === 1) return Infinity;
  if (s < 1) return NaN;
  if (q <= 0) {
    if (q === Math.floor(q)) return Infinity;
    if (s !== Math.floor(s)) return NaN;
  }
  let sum = 0, at = q;
  for (let k = 0; k < 12 || at < 12; k++, at += 1) {
    // 1 to the power of an infinity is no number in JavaScript.
    const term = at === 1 ? 1 : at ** -s;
    sum += term;
    if (Math.abs(term) < 1e-18 * Math.abs(sum)) return sum;
  }
  const tail = at ** -s;
  sum += tail * at / (s - 1) + tail / 2;
  // B_2k / (2k)!
  const bernoulli = [1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000, 1 / 74724249600];
  let factor = tail * s / at;
  bernoulli.forEach((b, k) => {
    sum += b * factor;
    factor *= (s + 2 * k + 1) * (s + 2 * k + 2) / (at * at);
  });
  return sum;
}

/** Ai(x). */
function airy(x: number): number {
  if (!Number.isFinite(x)) return NaN;
  if (x > 104) return 0;
  const zeta = 2 / 3 * Math.abs(x) ** 1.5;
  if (x > 2) return Math.sqrt(x / 3) / Math.PI * scaledK(1 / 3, zeta) * Math.exp(-zeta);
  if (x >= -8) {
    // Ai(0) f - |Ai'(0)| g with f and g of Abramowitz and Stegun 10.4.2.
    let f = 1, g = x, fTerm = 1, gTerm = x;
    for (let k = 1; k < 80; k++) {
      fTerm *= x ** 3 / ((3 * k - 1) * (3 * k));
      gTerm *= x ** 3 / ((3 * k) * (3 * k + 1));
      f += fTerm;
      g += gTerm;
    }
    return 0.355028053887817239 * f - 0.258819403792806798 * g;
  }
  let term = 1, p = 1, q = 0;
  for (let k = 1; k < 30; k++) {
    const next = term * (6 * k - 5) * (6 * k - 3) * (6 * k - 1) / (216 * k * (2 * k - 1) * zeta);
    if (Math.abs(next) >= Math.abs(term)) break;
    term = next;
    if (k % 2 === 1) q += (k % 4 === 1 ? 1 : -1) * term;
    else p += (k % 4 === 0 ? 1 : -1) * term;
  }
  const phase = zeta + Math.PI / 4;
  return (p * Math.sin(phase) - q * Math.cos(phase)) / (Math.sqrt(Math.PI) * Math.abs(x) ** 0.25);
}

/** Defines a function of two numbers that broadcast. */
function defineBinaryHost(name: string, doc: string, value: (a: number, b: number) => number, second: number[]): void {
  const [one, two] = name === "zeta" ? ["self", "other"] : ["x", "n"];
  defineOp({
    schema:
      `aten::special_${name}(Tensor ${one}, Tensor ${two}) -> Tensor` as "aten::special_zeta(Tensor self, Tensor other) -> Tensor",
    doc,
    meta: (args) => {
      const inputs = Object.values(args);
      const shape = broadcastShapes(`special_${name}`, ...inputs.map((t) => t.shape));
      const dtype = promotedDtype(`special_${name}`, inputs.map(promotionOperand), "float");
      return { shape, dtype, stride: elementwiseStride(shape, inputs) };
    },
    host: (args, [out]) => {
      const [a, b] = Object.values(args);
      if (a === undefined || b === undefined) throw new TypeError(`special_${name}: needs two tensors`);
      const shape = broadcastShapes(`special_${name}`, hostShape(a), hostShape(b)).map(Number);
      const data = hostArray(out?.dtype ?? float64, shape.reduce((x, y) => x * y, 1));
      const right = broadcastPositions(b, shape);
      let i = 0;
      for (const position of broadcastPositions(a, shape)) {
        data[i++] = value(
          Number(readHost(a.data, position)),
          Number(readHost(b.data, Number(right.next().value ?? 0))),
        );
      }
      return [{ shape, data }];
    },
    samples: (g) =>
      g.dtype.isFloat && g.dtype.bytes >= 4
        ? [{
          args: {
            [one ?? ""]: g.tensor([3, 1], { values: "uniform", low: 1.25, high: 3, requiresGrad: false }),
            [two ?? ""]: g.tensor([second.length], { values: second, requiresGrad: false }),
          },
        }]
        : [],
  });
  defineWithNumber(name, doc, "first");
  defineWithNumber(name, doc, "second");
}

/** The forms with a number in the place of one tensor. */
function defineWithNumber(name: string, doc: string, number: "first" | "second"): void {
  const [one, two] = name === "zeta" ? ["self", "other"] : ["x", "n"];
  const [first, second] = number === "first" ? ["Scalar", "Tensor"] : ["Tensor", "Scalar"];
  const overload = `${number === "first" ? one : two}_scalar`;
  const target = `aten.special_${name}.default`;
  const operandsOf = <T>(args: object): readonly (T | Scalar)[] => Object.values(args) as (T | Scalar)[];
  defineOp({
    schema:
      `aten::special_${name}.${overload}(${first} ${one}, ${second} ${two}) -> Tensor` as "aten::special_zeta.self_scalar(Scalar self, Tensor other) -> Tensor",
    doc,
    meta: (args) => {
      const operands = operandsOf<MetaInput>(args).map((v) => isScalar(v) ? scalarMeta(v) : v);
      return getOp(target).meta({ [one ?? ""]: operands[0] as MetaInput, [two ?? ""]: operands[1] as MetaInput });
    },
    decompose: (args, F) => {
      const call = F[camelCase(`special_${name}`) as "specialZeta"];
      const operands = operandsOf<TensorValue>(args);
      const t = operands.find((v) => !isScalar(v)) as TensorValue;
      const dtype = t.dtype.isFloat ? t.dtype : getDefaultDtype();
      const [a = t, b = t] = operands.map((v) => isScalar(v) ? F.full([], v, { dtype, device: t.device }) : v);
      return call(a, b);
    },
    samples: () => [],
  });
}

for (const [name, [doc, value]] of Object.entries(POLYNOMIALS)) {
  const degree = (n: number): number => Math.trunc(n);
  defineBinaryHost(name, `${doc}, of degree n at x.`, (x, n) => value(x, degree(n)), [0, 1, 2, 5, -1]);
  if (name.startsWith("chebyshev")) {
    defineBinaryHost(
      `shifted_${name}`,
      `${doc}, of degree n at 2x - 1.`,
      (x, n) => value(2 * x - 1, degree(n)),
      [0, 1, 2, 5, -1],
    );
  }
}
defineBinaryHost("zeta", "The Hurwitz zeta function Σ (k + other)^-self.", hurwitzZeta, [0.5, 1, 3.5, 40]);

defineOp({
  schema: "aten::special_airy_ai(Tensor x) -> Tensor",
  doc: "The Airy function of the first kind.",
  meta: ({ x }) => ({
    shape: x.shape,
    dtype: promotedDtype("special_airy_ai", [promotionOperand(x)], "float"),
    stride: elementwiseStride(x.shape, [x]),
  }),
  host: ({ x }, [out]) => {
    const data = hostArray(out?.dtype ?? float64, x.data.length);
    for (let i = 0; i < data.length; i++) data[i] = airy(Number(readHost(x.data, i)));
    return [{ shape: hostShape(x), data }];
  },
  samples: (g) =>
    g.dtype.isFloat && g.dtype.bytes >= 4
      ? [{ args: { x: g.tensor([6], { values: [0, 1.5, -3, 9, -12, 110], requiresGrad: false }) } }]
      : [],
});

defineOp({
  schema: "aten::special_polygamma(int n, Tensor self) -> Tensor",
  doc: "The derivative of order n of digamma.",
  meta: ({ n, self }) => {
    if (Number(n) < 0) throw new RangeError(`special_polygamma: n is ${n}; it must not be negative`);
    return {
      shape: self.shape,
      dtype: promotedDtype("special_polygamma", [promotionOperand(self)], "float"),
      stride: elementwiseStride(self.shape, [self]),
    };
  },
  decompose: ({ n, self }, F) => F.polygamma(n, self),
  samples: (g) =>
    g.dtype.isFloat && g.dtype.bytes >= 4
      ? [{ args: { n: 1, self: g.tensor([3, 4], { values: "uniform", low: 0.5, high: 4 }) }, tolerance: 1e-3 }]
      : [],
});
