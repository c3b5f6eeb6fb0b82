/**
 * Windows of signal processing as tensors: Bartlett, Hann, Hamming, Blackman, Kaiser.
 *
 * A periodic window is the symmetric one of one more element, without its last. All are written with elementwise operators over arange(), so they fuse and
 * need not exist in memory. Mirrors the window functions of `TensorFactories.cpp` of ATen.
 */
import { type Device, type DType, getDefaultDtype } from "../core/mod.ts";
import type { Size } from "../symbolic/mod.ts";
import { fresh, OPTIONS } from "./creation.ts";
import { defineOp, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import type { TensorValue } from "./value.ts";

interface WindowArgs {
  readonly windowLength: Size;
  readonly dtype: DType | null;
  readonly device: Device | null;
}

function windowSpec(where: string, { windowLength, dtype, device }: WindowArgs): TensorSpec {
  if (dtype !== null && !dtype.isFloat) {
    throw new TypeError(`${where}: needs a floating point dtype, got ${dtype.name}`);
  }
  return fresh(where, [windowLength], { dtype, device }, getDefaultDtype());
}

/** A window of `shape(n, count)`, where n counts from 0 in the window's dtype and `count` is the length of the symmetric window. */
function windowOf(
  F: Functional,
  { windowLength, dtype, device }: WindowArgs,
  periodic: boolean,
  shape: (n: TensorValue, count: number) => TensorValue,
): TensorValue {
  const length = Number(windowLength);
  const options = { dtype: dtype ?? getDefaultDtype(), device };
  if (length <= 1) return F.ones([length], options);
  return shape(F.arange(length, options), periodic ? length + 1 : length);
}

/** a₀ - a₁ cos(2πn/(N-1)) + a₂ cos(4πn/(N-1)). */
function cosines(n: TensorValue, count: number, weights: readonly number[]): TensorValue {
  const [a0 = 0, a1 = 0, a2 = 0] = weights;
  const turn = (2 * Math.PI) / (count - 1);
  const two = n.mul(turn).cos().mul(-a1).add(a0);
  return a2 === 0 ? two : two.add(n.mul(2 * turn).cos().mul(a2));
}

function bartlett(n: TensorValue, count: number): TensorValue {
  return n.mul(2 / (count - 1)).sub(1).abs().neg().add(1);
}

function kaiser(n: TensorValue, count: number, beta: number, F: Functional): TensorValue {
  const half = (count - 1) / 2;
  const x = n.sub(half).div(half);
  const inside = x.mul(x).neg().add(1).clamp(0).sqrt().mul(beta);
  // Both are scaled by exp(-|x|), so that large ones do not overflow.
  const peak = F.fullLike(n, beta);
  return F.specialI0e(inside).div(F.specialI0e(peak)).mul(inside.sub(beta).exp());
}

/** Name, overload, its further parameters, and the window. */
const WINDOWS: readonly (readonly [
  name: string,
  overload: string,
  parameters: string,
  shape: (args: Readonly<Record<string, number>>) => (n: TensorValue, count: number, F: Functional) => TensorValue,
])[] = [
  ["bartlett", "", "", () => bartlett],
  ["bartlett", ".periodic", ", bool periodic", () => bartlett],
  ["blackman", "", "", () => (n, count) => cosines(n, count, [0.42, 0.5, 0.08])],
  ["blackman", ".periodic", ", bool periodic", () => (n, count) => cosines(n, count, [0.42, 0.5, 0.08])],
  ["hann", "", "", () => (n, count) => cosines(n, count, [0.5, 0.5])],
  ["hann", ".periodic", ", bool periodic", () => (n, count) => cosines(n, count, [0.5, 0.5])],
  ["hamming", "", "", () => (n, count) => cosines(n, count, [0.54, 0.46])],
  ["hamming", ".periodic", ", bool periodic", () => (n, count) => cosines(n, count, [0.54, 0.46])],
  [
    "hamming",
    ".periodic_alpha",
    ", bool periodic, float alpha",
    ({ alpha = 0.54 }) => (n, count) => cosines(n, count, [alpha, 0.46]),
  ],
  [
    "hamming",
    ".periodic_alpha_beta",
    ", bool periodic, float alpha, float beta",
    ({ alpha = 0.54, beta = 0.46 }) => (n, count) => cosines(n, count, [alpha, beta]),
  ],
  ["kaiser", "", "", () => (n, count, F) => kaiser(n, count, 12, F)],
  ["kaiser", ".periodic", ", bool periodic", () => (n, count, F) => kaiser(n, count, 12, F)],
  [
    "kaiser",
    ".beta",
    ", bool periodic, float beta",
    ({ beta = 12 }) => (n, count, F) => kaiser(n, count, beta, F),
  ],
];

for (const [name, overload, parameters, shape] of WINDOWS) {
  const where = `${name}_window`;
  defineOp({
    schema:
      `aten::${where}${overload}(int window_length${parameters}, *, ${OPTIONS}) -> Tensor` as `aten::hann_window(int window_length, *, ${typeof OPTIONS}) -> Tensor`,
    doc: `The ${name} window of so many elements; periodic ones (the default) repeat without a seam.`,
    meta: (args) => windowSpec(where, args),
    decompose: (args, F) => {
      const given = args as unknown as Readonly<Record<string, number>>;
      const periodic = (args as { readonly periodic?: boolean }).periodic ?? true;
      return windowOf(F, args, periodic, (n, count) => shape(given)(n, count, F));
    },
    samples: (g) => {
      if (!g.dtype.isFloat) return [];
      const more = {
        ...(parameters.includes("periodic") ? { periodic: false } : {}),
        ...(parameters.includes("alpha") ? { alpha: 0.6 } : {}),
        ...(parameters.includes("beta") ? { beta: 2 } : {}),
      };
      return [
        { args: { windowLength: 6, dtype: g.dtype, ...more } },
        { name: "one", args: { windowLength: 1, dtype: g.dtype, ...more } },
      ];
    },
  });
}
