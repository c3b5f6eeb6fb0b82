/**
 * Eigenvalues and eigenvectors of general real matrices on the host: complex numbers in pairs of float64.
 *
 * The matrix is reduced to Hessenberg form by reflections, then to a triangle by QR steps with Wilkinson's shift (Golub and Van Loan, chapter 7), all in complex
 * arithmetic: pairs of conjugate eigenvalues need no case of their own. Vectors are found by back-substitution, of length 1, their largest component
 * real, as LAPACK's `geev` gives them.
 */
import { Matrix } from "./matrices.ts";

/** A matrix of complex numbers. */
interface Pair {
  readonly re: Matrix;
  readonly im: Matrix;
}

/** Eigenvalue k, and column k of the vectors, as real and imaginary parts. */
export interface Eigen {
  readonly re: Float64Array;
  readonly im: Float64Array;
  readonly vectors: Pair;
}

/** The principal square root. */
function root(re: number, im: number): readonly [number, number] {
  const size = Math.hypot(re, im);
  const a = Math.sqrt(Math.max(0, (size + re) / 2)), b = Math.sqrt(Math.max(0, (size - re) / 2));
  return [a, im < 0 ? -b : b];
}

function divide(ar: number, ai: number, br: number, bi: number): readonly [number, number] {
  const d = br * br + bi * bi;
  return [(ar * br + ai * bi) / d, (ai * br - ar * bi) / d];
}

/** Qᵀ A Q with zeros below the subdiagonal, and Q. */
function hessenberg(a: Matrix): { readonly h: Matrix; readonly q: Matrix } {
  const n = a.rows;
  const h = a.copy(), q = Matrix.identity(n);
  for (let j = 0; j < n - 2; j++) {
    let tail = 0;
    for (let i = j + 2; i < n; i++) tail += h.at(i, j) ** 2;
    if (tail === 0) continue;
    const head = h.at(j + 1, j);
    const v0 = head + (head >= 0 ? 1 : -1) * Math.sqrt(head * head + tail);
    const v = Float64Array.from({ length: n }, (_, i) => i <= j ? 0 : i === j + 1 ? v0 : h.at(i, j));
    const scale = 2 / (v0 * v0 + tail);
    const reflect = (m: Matrix, left: boolean): void => {
      for (let c = 0; c < n; c++) {
        let s = 0;
        for (let i = j + 1; i < n; i++) s += (v[i] ?? 0) * (left ? m.at(i, c) : m.at(c, i));
        s *= scale;
        for (let i = j + 1; i < n; i++) {
          if (left) m.set(i, c, m.at(i, c) - s * (v[i] ?? 0));
          else m.set(c, i, m.at(c, i) - s * (v[i] ?? 0));
        }
      }
    };
    reflect(h, true);
    reflect(h, false);
    reflect(q, false);
    for (let i = j + 2; i < n; i++) h.set(i, j, 0);
  }
  return { h, q };
}

/** The eigenvalue of the last 2×2 block up to `at` that is nearer to its corner. */
function wilkinson({ re, im }: Pair, at: number): readonly [number, number] {
  const ar = re.at(at - 1, at - 1), ai = im.at(at - 1, at - 1), dr = re.at(at, at), di = im.at(at, at);
  const br = re.at(at - 1, at), bi = im.at(at - 1, at), cr = re.at(at, at - 1), ci = im.at(at, at - 1);
  const hr = (ar - dr) / 2, hi = (ai - di) / 2;
  const [sr, si] = root(hr * hr - hi * hi + br * cr - bi * ci, 2 * hr * hi + br * ci + bi * cr);
  const same = hr * sr + hi * si >= 0;
  // d - bc / (h ± s), with the sign that does not cancel.
  const er = same ? hr + sr : hr - sr, ei = same ? hi + si : hi - si;
  if (er === 0 && ei === 0) return [dr, di];
  const [qr, qi] = divide(br * cr - bi * ci, br * ci + bi * cr, er, ei);
  return [dr - qr, di - qi];
}

/** Turns rows (or columns) i and i + 1 by the rotation [c, s; -conj(s), c], where c is real. */
function rotate(m: Pair, i: number, c: number, sr: number, si: number, rows: boolean): void {
  const n = m.re.rows;
  for (let k = 0; k < n; k++) {
    const [p, q] = rows ? [[i, k], [i + 1, k]] as const : [[k, i], [k, i + 1]] as const;
    const xr = m.re.at(...p), xi = m.im.at(...p), yr = m.re.at(...q), yi = m.im.at(...q);
    // Columns are turned by the adjoint.
    const tr = sr, ti = rows ? si : -si;
    m.re.set(...p, c * xr + tr * yr - ti * yi);
    m.im.set(...p, c * xi + tr * yi + ti * yr);
    m.re.set(...q, c * yr - tr * xr - ti * xi);
    m.im.set(...q, c * yi - tr * xi + ti * xr);
  }
}

/** Makes a Hessenberg matrix a triangle by similar ones, which also turn `z`. */
function triangularise(t: Pair, z: Pair): void {
  const n = t.re.rows;
  const size = (i: number, j: number): number => Math.hypot(t.re.at(i, j), t.im.at(i, j));
  let last = n - 1, steps = 0;
  while (last > 0) {
    let first = last;
    while (first > 0) {
      const near = size(first - 1, first - 1) + size(first, first);
      if (!(size(first, first - 1) > 2 ** -52 * (near === 0 ? 1 : near))) {
        t.re.set(first, first - 1, 0);
        t.im.set(first, first - 1, 0);
        break;
      }
      first--;
    }
    if (first === last) {
      last--;
      steps = 0;
      continue;
    }
    if (++steps > 300) throw new RangeError("linalg_eig: the eigenvalues do not converge; are all elements finite?");
    // Every tenth step an arbitrary shift breaks cycles.
    const [mr, mi] = steps % 10 === 0
      ? [size(last, last - 1) + t.re.at(last, last), t.im.at(last, last)]
      : wilkinson(t, last);
    for (let i = first; i <= last; i++) {
      t.re.set(i, i, t.re.at(i, i) - mr);
      t.im.set(i, i, t.im.at(i, i) - mi);
    }
    const turns: [number, number, number][] = [];
    for (let i = first; i < last; i++) {
      const ar = t.re.at(i, i), ai = t.im.at(i, i), br = t.re.at(i + 1, i), bi = t.im.at(i + 1, i);
      const a = Math.hypot(ar, ai), length = Math.hypot(a, br, bi);
      const c = length === 0 ? 1 : a / length;
      // s = phase(a) conj(b) / length
      const [pr, pi] = a === 0 ? [1, 0] : [ar / a, ai / a];
      const sr = length === 0 ? 0 : (pr * br + pi * bi) / length, si = length === 0 ? 0 : (pi * br - pr * bi) / length;
      rotate(t, i, c, sr, si, true);
      turns.push([c, sr, si]);
    }
    turns.forEach(([c, sr, si], k) => {
      rotate(t, first + k, c, sr, si, false);
      rotate(z, first + k, c, sr, si, false);
    });
    for (let i = first; i <= last; i++) {
      t.re.set(i, i, t.re.at(i, i) + mr);
      t.im.set(i, i, t.im.at(i, i) + mi);
    }
  }
}

/** All eigenvalues and eigenvectors of a square matrix. @throws {RangeError} if it holds infinities or NaN. */
export function generalEigen(a: Matrix): Eigen {
  const n = a.rows;
  if (!a.data.every(Number.isFinite)) throw new RangeError("linalg_eig: the matrix holds infinities or NaN");
  const { h, q } = hessenberg(a);
  const t: Pair = { re: h, im: new Matrix(n, n) }, z: Pair = { re: q, im: new Matrix(n, n) };
  triangularise(t, z);
  let norm = 0;
  for (let i = 0; i < n; i++) {
    for (let j = i; j < n; j++) norm = Math.max(norm, Math.hypot(t.re.at(i, j), t.im.at(i, j)));
  }
  const tiny = 2 ** -52 * (norm === 0 ? 1 : norm);
  const re = new Float64Array(n), im = new Float64Array(n);
  const vectors: Pair = { re: new Matrix(n, n), im: new Matrix(n, n) };
  for (let k = 0; k < n; k++) {
    const lr = t.re.at(k, k), li = t.im.at(k, k);
    re[k] = lr;
    // A real matrix has real eigenvalues exactly.
    im[k] = Math.abs(li) <= 64 * n * tiny ? 0 : li;
    const xr = new Float64Array(n), xi = new Float64Array(n);
    xr[k] = 1;
    for (let i = k - 1; i >= 0; i--) {
      let sr = 0, si = 0;
      for (let j = i + 1; j <= k; j++) {
        sr += t.re.at(i, j) * (xr[j] ?? 0) - t.im.at(i, j) * (xi[j] ?? 0);
        si += t.re.at(i, j) * (xi[j] ?? 0) + t.im.at(i, j) * (xr[j] ?? 0);
      }
      const dr = t.re.at(i, i) - lr, di = t.im.at(i, i) - li;
      const [vr, vi] = Math.hypot(dr, di) < tiny ? divide(-sr, -si, tiny, 0) : divide(-sr, -si, dr, di);
      xr[i] = vr;
      xi[i] = vi;
    }
    const vr = new Float64Array(n), vi = new Float64Array(n);
    let total = 0, largest = 0;
    for (let i = 0; i < n; i++) {
      for (let j = 0; j <= k; j++) {
        vr[i] = (vr[i] ?? 0) + z.re.at(i, j) * (xr[j] ?? 0) - z.im.at(i, j) * (xi[j] ?? 0);
        vi[i] = (vi[i] ?? 0) + z.re.at(i, j) * (xi[j] ?? 0) + z.im.at(i, j) * (xr[j] ?? 0);
      }
      const size = Math.hypot(vr[i] ?? 0, vi[i] ?? 0);
      total += size * size;
      if (size > Math.hypot(vr[largest] ?? 0, vi[largest] ?? 0) * (1 + 1e-12)) largest = i;
    }
    const length = Math.sqrt(total), head = Math.hypot(vr[largest] ?? 0, vi[largest] ?? 0);
    const cr = (vr[largest] ?? 0) / head / length, ci = -(vi[largest] ?? 0) / head / length;
    for (let i = 0; i < n; i++) {
      const x = vr[i] ?? 0, y = vi[i] ?? 0;
      vectors.re.set(i, k, x * cr - y * ci);
      vectors.im.set(i, k, im[k] === 0 ? 0 : x * ci + y * cr);
    }
  }
  return { re, im, vectors };
}
