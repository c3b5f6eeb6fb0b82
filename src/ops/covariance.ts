/**
 * Covariances and correlations of the rows of a matrix.
 *
 * Rows are variables, columns observations, which may count several times (fweights) or more or less (aweights). Mirrors `Correlation.cpp` of ATen.
 */
import { getDefaultDtype } from "../core/mod.ts";
import { shapeToText, type Size, sizeEq, sizeIsOne } from "../symbolic/mod.ts";
import { checkedWeights } from "./checked_values.ts";
import { defineOp, type MetaInput } from "./define.ts";
import type { TensorValue } from "./value.ts";

function rowsSpec(where: string, self: MetaInput): { readonly shape: Size[]; readonly dtype: MetaInput["dtype"] } {
  if (self.shape.length > 2) {
    throw new TypeError(`${where}: needs at most 2 dimensions, got ${shapeToText(self.shape)}`);
  }
  const rows = self.shape.length < 2 ? 1 : self.shape[0] ?? 1;
  const dtype = self.dtype.isFloat ? self.dtype : getDefaultDtype();
  return { shape: sizeIsOne(rows) ? [] : [rows, rows], dtype };
}

function checkWeights(name: string, weights: MetaInput | null, observations: Size, integers: boolean): void {
  if (weights === null) return;
  const fits = weights.shape.length <= 1 && sizeEq(weights.shape[0] ?? 1, observations);
  if (!fits || weights.dtype.isIntegral !== integers) {
    throw new TypeError(
      `cov: ${name} must hold ${observations} ${
        integers ? "integers" : "floats"
      }, one an observation, got ${weights.dtype.name}${shapeToText(weights.shape)}`,
    );
  }
}

defineOp({
  schema: "aten::cov(Tensor self, *, int correction=1, Tensor? fweights=None, Tensor? aweights=None) -> Tensor",
  doc: "The covariances of rows; a single row gives its variance.",
  meta: ({ self, fweights, aweights }) => {
    const spec = rowsSpec("cov", self);
    const observations = self.shape.length === 0 ? 1 : self.shape[self.shape.length - 1] ?? 1;
    checkWeights("fweights", fweights, observations, true);
    checkWeights("aweights", aweights, observations, false);
    return spec;
  },
  decompose: ({ self, correction, ...given }, F) => {
    const checked = (name: string, t: TensorValue | null): TensorValue | null =>
      t === null ? null : checkedWeights(`cov: ${name}`, t, false, F);
    const fweights = checked("fweights", given.fweights), aweights = checked("aweights", given.aweights);
    const dtype = self.dtype.isFloat ? self.dtype : getDefaultDtype();
    const x = (self.ndim < 2 ? self.reshape([1, -1]) : self).to(dtype);
    const observations = x.shape[1] ?? 1;
    const w = fweights === null ? aweights : aweights === null ? fweights : fweights.mul(aweights);
    const less = Number(correction);
    if (w === null) {
      const centred = x.sub(x.sum([1], true).div(observations));
      const norm = Math.max(Number(observations) - less, 0);
      return squeezed(centred.matmul(centred.mT()).div(norm));
    }
    const weights = w.reshape([-1]).to(dtype);
    const total = weights.sum();
    const weighted = (t: TensorValue): TensorValue => t.mul(weights);
    const centred = x.sub(weighted(x).sum([1], true).div(total));
    const norm = aweights === null || less === 0
      ? total.sub(less)
      : total.sub(weights.mul(aweights.reshape([-1]).to(dtype)).sum().div(total).mul(less));
    return squeezed(centred.matmul(weighted(centred).mT()).div(norm.clampMin(0)));
  },
  samples: (g) => [
    { args: { self: g.tensor([3, 5]) } },
    { name: "a row", args: { self: g.tensor([4]), correction: 0 } },
    ...(g.dtype.isFloat
      ? [{
        name: "weights",
        args: {
          self: g.tensor([2, 4]),
          fweights: g.indices([4], 3),
          aweights: g.tensor([4], { values: [1, 0.5, 2, 1], requiresGrad: false }),
        },
        differentiate: false,
      }]
      : []),
  ],
});

/** A matrix of one element as a number. */
function squeezed(matrix: TensorValue): TensorValue {
  return sizeIsOne(matrix.shape[0] ?? 1) ? matrix.reshape([]) : matrix;
}

defineOp({
  schema: "aten::corrcoef(Tensor self) -> Tensor",
  doc: "The correlations of rows, between -1 and 1.",
  meta: ({ self }) => rowsSpec("corrcoef", self),
  decompose: ({ self }, F) => {
    const c = F.cov(self);
    if (c.ndim === 0) return c.div(c);
    const deviation = c.diagonal().sqrt();
    return c.div(deviation.unsqueeze(1)).div(deviation.unsqueeze(0)).clamp(-1, 1);
  },
  samples: (g) => g.dtype.isFloat ? [{ args: { self: g.tensor([3, 5]) }, differentiate: false }] : [],
});
