/**
 * Eigenvalues and eigenvectors of general real matrices: complex results.
 *
 * The host finds them as pairs of real numbers (`general_eigen.ts`), which are then seen as complex numbers. The order of eigenvalues is open, as in PyTorch.
 * Gradients hold for losses that do not depend on the phases of eigenvectors; they are infinite where eigenvalues meet. Mirrors `linalg_eig` of
 * ATen and its backward in `FunctionsManual.cpp`.
 */
import { complex64, float32 } from "../core/mod.ts";
import { defineOp, type MetaInput } from "./define.ts";
import type { Functional } from "./functional.ts";
import { generalEigen } from "./general_eigen.ts";
import { regularMatrices } from "./linalg.ts";
import { squareShape } from "./linalg_checks.ts";
import { batchOf, hostResult, readMatrices } from "./matrices.ts";
import type { TensorValue } from "./value.ts";

function checkSquare(self: MetaInput): ReturnType<typeof squareShape> {
  if (self.dtype !== float32) {
    throw new TypeError(
      `linalg_eig: needs float32 (complex64 is the one complex dtype), got ${self.dtype.name}; convert with .to(float32)`,
    );
  }
  return squareShape("linalg_eig", self);
}

interface Complex {
  readonly re: TensorValue;
  readonly im: TensorValue;
}

function parts(pairs: TensorValue): Complex {
  return { re: pairs.select(-1, 0), im: pairs.select(-1, 1) };
}

function times(a: Complex, b: Complex): Complex {
  return {
    re: a.re.matmul(b.re).sub(a.im.matmul(b.im)),
    im: a.re.matmul(b.im).add(a.im.matmul(b.re)),
  };
}

function adjoint(a: Complex): Complex {
  return { re: a.re.mT(), im: a.im.mT().neg() };
}

/** X with A X = B, as one real system of twice the size; the real part of X. */
function solvedReal(a: Complex, b: Complex, F: Functional): TensorValue {
  const whole = F.cat([F.cat([a.re, a.im.neg()], -1), F.cat([a.im, a.re], -1)], -2);
  const x = F.linalgSolve(whole, F.cat([b.re, b.im], -2));
  return x.narrow(-2, 0, a.re.shape[a.re.ndim - 2] ?? 1);
}

defineOp({
  schema: "tessera::eig_pairs(Tensor self) -> (Tensor, Tensor)",
  doc:
    "Eigenvalues [..., n, 2] and eigenvectors [..., n, n, 2] of square matrices, as pairs of real and imaginary parts.",
  meta: ({ self }) => {
    const { batch, n } = checkSquare(self);
    return [{ shape: [...batch, n, 2], dtype: float32 }, { shape: [...batch, n, n, 2], dtype: float32 }];
  },
  host: ({ self }) => {
    const found = readMatrices(self).map(generalEigen);
    const n = Number(self.shape[self.shape.length - 1]), batch = batchOf(self);
    const paired = (re: Float64Array, im: Float64Array): Float64Array =>
      Float64Array.from({ length: 2 * re.length }, (_, i) => (i % 2 === 0 ? re : im)[i >> 1] ?? 0);
    return [
      hostResult(float32, [...batch, n, 2], found.map((e) => paired(e.re, e.im))),
      hostResult(float32, [...batch, n, n, 2], found.map((e) => paired(e.vectors.re.data, e.vectors.im.data))),
    ];
  },
  vjp: (_, { outs, grads, F }) => ({
    self: () => {
      const [values, vectors] = outs;
      const [ofValues = null, ofVectors = null] = grads;
      if (values === undefined || vectors === undefined) return null;
      const l = parts(values), v = parts(vectors), vh = adjoint(v);
      const diagonal = (x: Complex): Complex => ({ re: x.re.diagEmbed(), im: x.im.diagEmbed() });
      let inner: Complex | null = ofValues === null ? null : diagonal(parts(ofValues));
      if (ofVectors !== null) {
        const turn = times(vh, parts(ofVectors));
        const gram = times(vh, v);
        const scale = turn.re.diagonal(0, -2, -1).unsqueeze(-2);
        const off: Complex = { re: turn.re.sub(gram.re.mul(scale)), im: turn.im.sub(gram.im.mul(scale)) };
        // Divided by the conjugate of λⱼ - λᵢ; nothing on the diagonal.
        const unit = F.eye(l.re.shape[l.re.ndim - 1] ?? 1, { dtype: float32, device: l.re.device });
        const er = l.re.unsqueeze(-2).sub(l.re.unsqueeze(-1)).add(unit);
        const ei = l.im.unsqueeze(-2).sub(l.im.unsqueeze(-1)).neg();
        const size = er.mul(er).add(ei.mul(ei));
        const rest = unit.neg().add(1);
        const quotient: Complex = {
          re: off.re.mul(er).add(off.im.mul(ei)).div(size).mul(rest),
          im: off.im.mul(er).sub(off.re.mul(ei)).div(size).mul(rest),
        };
        inner = inner === null ? quotient : { re: inner.re.add(quotient.re), im: inner.im.add(quotient.im) };
      }
      return inner === null ? null : solvedReal(vh, times(inner, vh), F);
    },
  }),
  samples: (g) => g.dtype === float32 ? [{ args: { self: regularMatrices(g, 2, 3) }, differentiate: false }] : [],
});

defineOp({
  schema: "aten::linalg_eig(Tensor self) -> (Tensor eigenvalues, Tensor eigenvectors)",
  doc: "Eigenvalues and eigenvectors (columns) of square matrices, complex; the order is open.",
  meta: ({ self }) => {
    const { batch, n } = checkSquare(self);
    return [{ shape: [...batch, n], dtype: complex64 }, { shape: self.shape, dtype: complex64 }];
  },
  decompose: ({ self }, F) => F.eigPairs(self).map((pairs) => pairs.viewAsComplex()),
  samples: (g) => g.dtype === float32 ? [{ args: { self: regularMatrices(g, 2, 3) }, differentiate: false }] : [],
});

defineOp({
  schema: "aten::linalg_eigvals(Tensor self) -> Tensor",
  doc: "Eigenvalues of square matrices, complex; the order is open.",
  meta: ({ self }) => {
    const { batch, n } = checkSquare(self);
    return { shape: [...batch, n], dtype: complex64 };
  },
  decompose: ({ self }, F) => F.linalgEig(self)[0],
  samples: (g) => g.dtype === float32 ? [{ args: { self: regularMatrices(g, 2, 3) }, differentiate: false }] : [],
});
