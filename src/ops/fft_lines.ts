/**
 * The discrete Fourier transform of one line of complex numbers, in float64.
 *
 * Mixed radix (Cooley and Tukey 1965): a length is split by its smallest prime factor; prime lengths are summed directly while small and turned into a convolution
 * of a power of two (Bluestein 1970) beyond. Not normalised.
 */

/** Real and imaginary parts of a line. */
export interface ComplexLine {
  readonly re: Float64Array;
  readonly im: Float64Array;
}

const DIRECT_LIMIT = 64;

/** exp(sign · 2πi · k / n) for all k. */
function roots(n: number, sign: number): ComplexLine {
  const re = new Float64Array(n), im = new Float64Array(n);
  for (let k = 0; k < n; k++) {
    const angle = 2 * Math.PI * k / n;
    re[k] = Math.cos(angle);
    im[k] = sign * Math.sin(angle);
  }
  return { re, im };
}

const rootsByLength = new Map<string, ComplexLine>();

function rootsOf(n: number, sign: number): ComplexLine {
  const key = `${n},${sign}`;
  let found = rootsByLength.get(key);
  if (found === undefined) {
    if (rootsByLength.size >= 64) rootsByLength.clear();
    rootsByLength.set(key, found = roots(n, sign));
  }
  return found;
}

function smallestFactor(n: number): number {
  for (let p = 2; p * p <= n; p++) if (n % p === 0) return p;
  return n;
}

/** Transforms a line; `sign` is -1 forward, 1 backward. */
export function transformLine(x: ComplexLine, sign: 1 | -1): ComplexLine {
  const n = x.re.length;
  if (n <= 1) return x;
  const p = smallestFactor(n);
  if (p === n) return n <= DIRECT_LIMIT ? direct(x, sign) : bluestein(x, sign);
  const m = n / p;
  const parts: ComplexLine[] = [];
  for (let r = 0; r < p; r++) {
    const re = new Float64Array(m), im = new Float64Array(m);
    for (let k = 0; k < m; k++) {
      re[k] = x.re[k * p + r] ?? 0;
      im[k] = x.im[k * p + r] ?? 0;
    }
    parts.push(transformLine({ re, im }, sign));
  }
  const w = rootsOf(n, sign);
  const re = new Float64Array(n), im = new Float64Array(n);
  for (let k = 0; k < n; k++) {
    let a = 0, b = 0;
    for (let r = 0; r < p; r++) {
      const part = parts[r] ?? x;
      const at = (r * k) % n, c = w.re[at] ?? 0, s = w.im[at] ?? 0;
      const u = part.re[k % m] ?? 0, v = part.im[k % m] ?? 0;
      a += u * c - v * s;
      b += u * s + v * c;
    }
    re[k] = a;
    im[k] = b;
  }
  return { re, im };
}

function direct(x: ComplexLine, sign: 1 | -1): ComplexLine {
  const n = x.re.length;
  const w = rootsOf(n, sign);
  const re = new Float64Array(n), im = new Float64Array(n);
  for (let k = 0; k < n; k++) {
    let a = 0, b = 0;
    for (let j = 0; j < n; j++) {
      const at = (j * k) % n, c = w.re[at] ?? 0, s = w.im[at] ?? 0;
      const u = x.re[j] ?? 0, v = x.im[j] ?? 0;
      a += u * c - v * s;
      b += u * s + v * c;
    }
    re[k] = a;
    im[k] = b;
  }
  return { re, im };
}

/** A transform of any length as a circular convolution with a chirp. */
function bluestein(x: ComplexLine, sign: 1 | -1): ComplexLine {
  const n = x.re.length;
  let size = 1;
  while (size < 2 * n - 1) size *= 2;
  // exp(sign · πi · k² / n): k² modulo 2n keeps the angle exact.
  const chirp = rootsOf(2 * n, sign);
  const at = (k: number): number => Number(BigInt(k) * BigInt(k) % BigInt(2 * n));
  const a = { re: new Float64Array(size), im: new Float64Array(size) };
  const b = { re: new Float64Array(size), im: new Float64Array(size) };
  for (let k = 0; k < n; k++) {
    const c = chirp.re[at(k)] ?? 0, s = chirp.im[at(k)] ?? 0;
    const u = x.re[k] ?? 0, v = x.im[k] ?? 0;
    a.re[k] = u * c - v * s;
    a.im[k] = u * s + v * c;
    b.re[k] = c;
    b.im[k] = -s;
    if (k > 0) {
      b.re[size - k] = c;
      b.im[size - k] = -s;
    }
  }
  const fa = transformLine(a, -1), fb = transformLine(b, -1);
  for (let k = 0; k < size; k++) {
    const u = fa.re[k] ?? 0, v = fa.im[k] ?? 0, c = fb.re[k] ?? 0, s = fb.im[k] ?? 0;
    a.re[k] = (u * c - v * s) / size;
    a.im[k] = (u * s + v * c) / size;
  }
  const product = transformLine(a, 1);
  const re = new Float64Array(n), im = new Float64Array(n);
  for (let k = 0; k < n; k++) {
    const c = chirp.re[at(k)] ?? 0, s = chirp.im[at(k)] ?? 0;
    const u = product.re[k] ?? 0, v = product.im[k] ?? 0;
    re[k] = u * c - v * s;
    im[k] = u * s + v * c;
  }
  return { re, im };
}
