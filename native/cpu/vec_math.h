// Transcendental functions on the vectors of vec.h, which includes this file.
//
// In f32, within 3 ulp: fast enough to keep up with memory where there are fused products. In f64, each half of a vector by
// short series, rounded once: for functions that lose too much in f32, and for angles too large for its reduction.
// Series are Taylor series where the range is small, so every constant is a known fraction.
#ifndef TESSERA_VEC_MATH_H
#define TESSERA_VEC_MATH_H

// A polynomial, coefficients from the constant on: pairs of terms by the square, so that half as many products wait for each other.
V vf32 v_poly(vf32, vf32, float c) { return vset(c); }
V vf32 v_poly(vf32 x, vf32, float c, float d) { return vfma(x, vset(d), vset(c)); }
template <typename... Rest>
V vf32 v_poly(vf32 x, vf32 square, float c, float d, Rest... rest) {
  return vfma(v_poly(x, square, rest...), square, vfma(x, vset(d), vset(c)));
}

// ---- exp, log, sigmoid in f32 ----

// e^x = 2^n e^r with |r| <= ln 2 / 2. ln 2 is split so that n times its upper part is exact without a fused product.
V vf32 vexp(vf32 x) {
  vf32 c = vselect(x < -104.0f, vset(-104.0f), vselect(x > 89.0f, vset(89.0f), x));
  vf32 t = vfma(c, vset(0x1.715476p+0f), vset(0x1.8p23f));
  vf32 n = t - 0x1.8p23f;
  vi32 k = vbits(t) - 0x4b400000;
  vf32 r = vfma(n, vset(-0x1.62e4p-1f), c);
  r = vfma(n, vset(-0x1.7f7d1cp-20f), r);
  vf32 p = v_poly(r, r * r, 0.5f, 1.0f / 6, 1.0f / 24, 1.0f / 120, 1.0f / 720, 1.0f / 5040);
  p = vfma(p * r, r, r) + 1.0f;
  // Two factors: one cannot reach 2^-149 or 2^128.
  vi32 h = k >> 1;
  return p * vfloat((h + 127) << 23) * vfloat((k - h + 127) << 23);
}

V vf32 vsigmoid(vf32 x) {
  vf32 e = vexp(vneg(vabs(x)));
  return vselect(x < 0.0f, e, vset(1.0f)) / (e + 1.0f);
}

// Parts of log x: n ln 2 and log(1 + f) = 2 artanh(f / (2 + f)), with x = 2^n (1 + f), 1/sqrt 2 <= 1 + f < sqrt 2.
struct vlog_split { vf32 n, y; };
V vlog_split vlog_parts(vf32 x) {
  vi32 tiny = x < 0x1p-126f;
  vf32 a = vselect(tiny, x * 0x1p25f, x);
  vi32 e = (vbits(a) - 0x3f3504f3) >> 23;
  vf32 f = vfloat(vbits(a) - (e << 23)) - 1.0f;
  vf32 s = f / (f + 2.0f);
  vf32 z = s * s;
  vf32 r = vfma(z, vset(2.0f / 9), vset(2.0f / 7));
  r = vfma(r, z, vset(2.0f / 5));
  r = vfma(r, z, vset(2.0f / 3)) * z;
  vf32 half = 0.5f * f * f;
  return {vto_f32(e) - vselect(tiny, vset(25.0f), vset(0.0f)), s * (half + r) - half + f};
}
// The logarithm to another base, of which log 2 is split into an exact upper part and the rest.
V vf32 vlog_base(vf32 x, float upper, float lower, float scale) {
  vlog_split p = vlog_parts(x);
  vf32 y = vfma(p.n, vset(upper), vfma(p.n, vset(lower), p.y * scale));
  y = vselect(x == __builtin_inff(), x, y);
  y = vselect(x == 0.0f, vset(-__builtin_inff()), y);
  return vselect((x < 0.0f) | (x != x), vset(__builtin_nanf("")), y);
}
V vf32 vlog(vf32 x) { return vlog_base(x, 0x1.62e4p-1f, 0x1.7f7d1cp-20f, 1.0f); }
V vf32 vlog2(vf32 x) { return vlog_base(x, 1.0f, 0.0f, 0x1.715476p+0f); }
V vf32 vlog10(vf32 x) { return vlog_base(x, 0x1.344p-2f, 0x1.3509f8p-18f, 0x1.bcb7b2p-2f); }
// log u, where u = 1 + x is rounded to 2^n (1 + f) and what rounding lost goes to f.
V vf32 vlog1p(vf32 x) {
  vf32 u = x + 1.0f;
  vi32 e = (vbits(u) - 0x3f3504f3) >> 23;
  vf32 lost = (x - (u - 1.0f)) * vfloat((127 - vmin(e, vset(64))) << 23);
  vf32 f = vfloat(vbits(u) - (e << 23)) - 1.0f + lost;
  vf32 s = f / (f + 2.0f);
  vf32 z = s * s;
  vf32 r = v_poly(z, z * z, 2.0f / 3, 2.0f / 5, 2.0f / 7, 2.0f / 9) * z;
  vf32 half = 0.5f * f * f, n = vto_f32(e);
  vf32 y = vfma(n, vset(0x1.62e4p-1f), s * (half + r) - half + f + n * 0x1.7f7d1cp-20f);
  y = vselect((x == 0.0f) | ~(x < __builtin_inff()), x, y);
  y = vselect(x == -1.0f, vset(-__builtin_inff()), y);
  return vselect(x < -1.0f, vset(__builtin_nanf("")), y);
}

V vf32 vexp2(vf32 x) {
  vf32 c = vselect(x < -151.0f, vset(-151.0f), vselect(x > 129.0f, vset(129.0f), x));
  vf32 t = c + 0x1.8p23f;
  vf32 n = t - 0x1.8p23f;
  vi32 k = vbits(t) - 0x4b400000;
  vf32 r = (c - n) * 0x1.62e43p-1f;
  vf32 p = v_poly(r, r * r, 0.5f, 1.0f / 6, 1.0f / 24, 1.0f / 120, 1.0f / 720, 1.0f / 5040);
  // (c - n) ln 2 has two roundings; the lower part of ln 2 restores the second.
  p = vfma(p * r, r, vfma(c - n, vset(-0x1.05c61p-29f), r)) + 1.0f;
  vi32 h = k >> 1;
  return p * vfloat((h + 127) << 23) * vfloat((k - h + 127) << 23);
}
// 2^n e^r - 1 = 2^n (e^r - 1) + (2^n - 1), with half of 2^n, which does not overflow.
V vf32 vexpm1(vf32 x) {
  vf32 c = vselect(x < -18.0f, vset(-18.0f), vselect(x > 89.0f, vset(89.0f), x));
  vf32 t = vfma(c, vset(0x1.715476p+0f), vset(0x1.8p23f));
  vf32 n = t - 0x1.8p23f;
  vi32 k = vbits(t) - 0x4b400000;
  vf32 r = vfma(n, vset(-0x1.62e4p-1f), c);
  r = vfma(n, vset(-0x1.7f7d1cp-20f), r);
  vf32 p = v_poly(r, r * r, 0.5f, 1.0f / 6, 1.0f / 24, 1.0f / 120, 1.0f / 720, 1.0f / 5040);
  vf32 q = vfma(p * r, r, r);
  vf32 h = vfloat((k + 126) << 23);
  vf32 y = vfma(h, q, h - 0.5f) * 2.0f;
  return vselect(x == 0.0f, x, vselect(x != x, x, y));
}
V vf32 vtanh(vf32 x) {
  vf32 a = vabs(x);
  vf32 e = vexpm1(vselect(a > 10.0f, vset(20.0f), a + a));
  return vselect(x != x, x, vcopysign(e / (e + 2.0f), x));
}
// Beyond 88 e^a overflows before its half does: (e^(a / 2))^2.
V vf32 vsinh(vf32 x) {
  vf32 a = vabs(x);
  vi32 large = a > 88.0f;
  vf32 e = vexpm1(vselect(large, a * 0.5f, a));
  vf32 half = (e + e / (e + 1.0f)) * 0.5f;
  vf32 f = e + 1.0f;
  return vselect(x != x, x, vcopysign(vselect(large, f * 0.5f * f, half), x));
}
V vf32 vcosh(vf32 x) {
  vf32 a = vabs(x);
  vi32 large = a > 88.0f;
  vf32 e = vexp(vselect(large, a * 0.5f, a));
  return vselect(large, e * 0.5f * e, vfma(e, vset(0.5f), 0.5f / e));
}
V vf32 vasinh(vf32 x) {
  vf32 a = vabs(x);
  vi32 large = a > 0x1p30f;
  vf32 z = a * a;
  vf32 y = vlog1p(vselect(large, a, a + z / (vsqrt(z + 1.0f) + 1.0f)));
  return vselect(x != x, x, vcopysign(y + vselect(large, vset(0x1.62e43p-1f), vset(0.0f)), x));
}
V vf32 vacosh(vf32 x) {
  vi32 large = x > 0x1p30f;
  vf32 t = x - 1.0f;
  vf32 y = vlog1p(vselect(large, x, t + vsqrt(vfma(t, t, t + t))));
  return vselect((x < 1.0f) | (x != x), vset(__builtin_nanf("")), y + vselect(large, vset(0x1.62e43p-1f), vset(0.0f)));
}
V vf32 vatanh(vf32 x) {
  vf32 a = vabs(x);
  return vselect(x == 0.0f, x, vcopysign(vlog1p((a + a) / (1.0f - a)) * 0.5f, x));
}

// Angles of tangents and sines in [0, 1]: pi/4 and sin(pi/6) are where the complement takes over.
V vf32 vatan_unit(vf32 t) {
  vf32 z = t * t;
  vf32 p = v_poly(z, z * z, -0x1.555554p-2f, 0x1.99988p-3f, -0x1.24725p-3f, 0x1.c44828p-4f, -0x1.63e73ap-4f, 0x1.02cb28p-4f,
                  -0x1.2c665ep-5f, 0x1.caa03ep-7f, -0x1.48ca56p-9f);
  return vfma(p * z, t, t);
}
// pi/2 - r; the constant's lower part is added first.
V vf32 vcomplement(vf32 r) { return 0x1.921fb6p+0f - (r + 0x1.777a5cp-25f); }
// Angle of the point (x, y); every case of C's atan2. Two infinities count as equal, and 0 / 0 as 0.
V vf32 vatan2(vf32 y, vf32 x) {
  vf32 ax = vabs(x), ay = vabs(y);
  vi32 swap = ay > ax;
  vf32 b = vselect(swap, ay, ax), a = vselect(swap, ax, ay);
  vf32 t = vselect((a == b) & (b > 0.0f), vset(1.0f), a / vselect(b == 0.0f, vset(1.0f), b));
  vf32 r = vatan_unit(t);
  r = vselect(swap, vcomplement(r), r);
  r = vselect(vbits(x) < 0, 0x1.921fb6p+1f - (r + 0x1.777a5cp-24f), r);
  return vselect((x != x) | (y != y), x + y, vcopysign(r, y));
}
V vf32 vatan(vf32 x) {
  vf32 a = vabs(x);
  vi32 large = a > 1.0f;
  vf32 r = vatan_unit(vselect(large, vset(1.0f), a) / vselect(large, a, vset(1.0f)));
  return vcopysign(vselect(large, vcomplement(r), r), x);
}
// arcsin of |x|, or half of its complement where |x| > 1/2: arccos x = 2 arcsin sqrt((1 - x) / 2).
V vf32 vasin_part(vf32 a, vi32 large) {
  vf32 z = vselect(large, vfma(a, vset(-0.5f), vset(0.5f)), a * a);
  vf32 s = vselect(large, vsqrt(z), a);
  vf32 p = v_poly(z, z * z, 0x1.55555ep-3f, 0x1.332632p-4f, 0x1.70ce82p-5f, 0x1.b11502p-6f, 0x1.39fabap-5f);
  return vfma(p * z, s, s);
}
V vf32 vasin(vf32 x) {
  vf32 a = vabs(x);
  vi32 large = a > 0.5f;
  vf32 r = vasin_part(a, large);
  return vcopysign(vselect(large, vcomplement(r + r), r), x);
}
V vf32 vacos(vf32 x) {
  vf32 a = vabs(x);
  vi32 large = a > 0.5f;
  vf32 r = vasin_part(a, large);
  vf32 far = vselect(x < 0.0f, 0x1.921fb6p+1f - (r + r + 0x1.777a5cp-24f), r + r);
  return vselect(large, far, vcomplement(vcopysign(r, x)));
}

// e^x for -100 < x <= 0 where a result below 2^-126 may be 0.
V vf32 vexp_negative(vf32 x) {
  vf32 t = vfma(x, vset(0x1.715476p+0f), vset(0x1.8p23f));
  vf32 n = t - 0x1.8p23f;
  vf32 r = vfma(n, vset(-0x1.7f7d1cp-20f), vfma(n, vset(-0x1.62e4p-1f), x));
  vf32 p = v_poly(r, r * r, 0.5f, 1.0f / 6, 1.0f / 24, 1.0f / 120, 1.0f / 720, 1.0f / 5040);
  return vfma(p * r, r, r) * vfloat((vbits(t) - (0x4b400000 - 127)) << 23) + vfloat((vbits(t) - (0x4b400000 - 127)) << 23);
}
// Within 0.6 x times a polynomial of x^2; beyond it 1 - e^(x p(x)), whose exponent was fitted.
V vf32 verf(vf32 x) {
  vf32 a = vabs(x), z = x * x;
  vf32 e = v_poly(z, z * z, -0x1.812746p-2f, 0x1.ce2ef2p-4f, -0x1.b81c6ep-6f, 0x1.54548ep-8f, -0x1.8b4ff8p-11f);
  vf32 near = vfma(x * z, e, x * 0x1.20dd76p+0f);
  vf32 c = vselect(a > 4.0f, vset(4.0f), a);
  vf32 p = v_poly(c, c * c, -0x1.20e054p+0f, -0x1.45c78ap-1f, -0x1.a94faep-4f, 0x1.583dc8p-6f, -0x1.d76372p-10f,
                  -0x1.a31a5p-12f, 0x1.296452p-13f, -0x1.c579aap-17f);
  vf32 far = vselect(x != x, x, 1.0f - vexp_negative(c * p));
  return vcopysign(vselect(a < 0.6f, vabs(near), far), x);
}
// 1 - x p(x^2) within 1/2; beyond it e^(-x^2) q(t) / (x + 2), as vd_erfc_tail below. What x^2 loses in rounding goes into a factor.
V vf32 verfc(vf32 x) {
  vf32 a = vabs(x), z = x * x;
  vf32 near = vfma(v_poly(z, z * z, 0x1.20dd74p+0f, -0x1.812732p-2f, 0x1.ce2522p-4f, -0x1.b667cep-6f, 0x1.35530ep-8f),
                   vneg(x), vset(1.0f));
  vf32 c = vselect(a > 10.2f, vset(10.2f), a);
  vf32 w = 1.0f / (c + 2.0f);
  vf32 t = (c - 2.0f) * w;
  vf32 q = v_poly(t, t * t, 0x1.058672p+0f, -0x1.5fd386p-1f, 0x1.1e2ddap-2f, -0x1.2a8b64p-5f, -0x1.60543ep-6f, 0x1.a9625ap-8f,
                  0x1.8f49ccp-9f, -0x1.ce22c8p-11f, -0x1.170c6ap-11f, 0x1.a65e68p-14f);
  vf32 h = c * c;
#if TESSERA_FMA
  vf32 lost = vfma(c, vneg(c), h);
#else
  // Squares of the upper 12 bits are exact.
  vf32 upper = vfloat(vbits(c) & (int)0xfffff000), lower = c - upper;
  vf32 lost = ((h - upper * upper) - 2.0f * upper * lower) - lower * lower;
#endif
  vf32 tail = vexp(vneg(h)) * (q * w * (lost + 1.0f));
  tail = vselect(a > 10.2f, vset(0.0f), tail);
  return vselect(a < 0.5f, near, vselect(x != x, x, vselect(x < 0.0f, 2.0f - tail, tail)));
}

// ---- series in f64, on half a vector each ----

V vd vd_poly(vd, double c) { return vsetd(c); }
template <typename... Rest>
V vd vd_poly(vd x, double c, Rest... rest) { return vfma(vd_poly(x, rest...), x, vsetd(c)); }
V vd vd_abs(vd x) { return (vd)((vl)x & 0x7fffffffffffffffl); }
V vd vd_sign(vd magnitude, vd sign) { return (vd)((vl)magnitude | ((vl)sign & (long)0x8000000000000000ul)); }

// 2^n e^r for r within ln 2 / 2 and |n| below 1000; n is rounded to nearest by the constant that it is added to.
V vd vd_exp_of(vd x, double to_n, double from_n) {
  vd c = vselect(x < -1000.0 / to_n, vsetd(-1000.0 / to_n), vselect(x > 1000.0 / to_n, vsetd(1000.0 / to_n), x));
  vd t = vfma(c, vsetd(to_n), vsetd(0x1.8p52));
  vd n = t - 0x1.8p52;
  vd r = vfma(n, vsetd(-from_n), c) * (0x1.62e42fefa39efp-1 / from_n);
  vd p = vd_poly(r, 1, 1, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320, 1.0 / 362880);
  return p * (vd)(((vl)t + 1023) << 52);
}
V vd vd_exp(vd x) { return vd_exp_of(x, 0x1.71547652b82fep+0, 0x1.62e42fefa39efp-1); }
V vd vd_exp2(vd x) { return vd_exp_of(x, 1.0, 1.0); }

// log x in units of 1 / scale; x is f64-normal or zero, infinite, negative, NaN.
V vd vd_log_scaled(vd x, double scale) {
  // The bias of 4096 keeps the shift free of the sign bit, which AVX2 cannot shift in 64 bits.
  vul e = ((vul)x - 0x3fe6a09e667f3bcdul + 0x4000000000000000ul) >> 52;
  vd m = (vd)((vul)x - ((e - 1024) << 52));
  vd n = (vd)(e | 0x4330000000000000ul) - (0x1p52 + 1024);
  vd f = m - 1.0;
  vd s = f / (m + 1.0);
  vd z = s * s;
  vd q = vd_poly(z, 1, 1.0 / 3, 1.0 / 5, 1.0 / 7, 1.0 / 9, 1.0 / 11, 1.0 / 13) * 2.0;
  vd y = vfma(n, vsetd(0x1.62e42fefa39efp-1 * scale), q * s * scale);
  y = vselect(x == __builtin_inf(), x, y);
  y = vselect(x == 0.0, vsetd(-__builtin_inf()), y);
  return vselect((x < 0.0) | (x != x), vsetd(__builtin_nan("")), y);
}

V vd vd_log1p(vd x) {
  vd small = x * vd_poly(x, 1, -1.0 / 2, 1.0 / 3, -1.0 / 4);
  return vselect(vd_abs(x) < 1e-4, small, vd_log_scaled(x + 1.0, 1.0));
}
V vd vd_expm1(vd x) {
  vd small = x * vd_poly(x, 1, 1.0 / 2, 1.0 / 6, 1.0 / 24);
  return vselect(vd_abs(x) < 1e-3, small, vd_exp(x) - 1.0);
}
V vd vd_tanh(vd x) {
  vd a = vd_abs(x);
  vd e = vd_exp(vselect(a > 40.0, vsetd(40.0), a) * 2.0);
  vd z = x * x;
  vd big = vd_sign((e - 1.0) / (e + 1.0), x);
  return vselect(a < 1e-2, x * vd_poly(z, 1, -1.0 / 3, 2.0 / 15), vselect(x != x, x, big));
}
V vd vd_sinh(vd x) {
  vd e = vd_exp(vd_abs(x));
  return vselect(vd_abs(x) < 1e-2, x * vd_poly(x * x, 1, 1.0 / 6, 1.0 / 120), vd_sign((e - 1.0 / e) * 0.5, x));
}
V vd vd_cosh(vd x) {
  vd e = vd_exp(vd_abs(x));
  return (e + 1.0 / e) * 0.5;
}

// exp(-x²) q(t) / (x + 2), t = (x - 2) / (x + 2), is erfc x on [0.9, 10.6] within 2e-11; q was fitted by Chebyshev nodes.
V vd vd_erfc_tail(vd a) {
  vd c = vselect(a > 10.6, vsetd(10.6), a);
  vd t = (c - 2.0) / (c + 2.0);
  vd q = vd_poly(t, 0x1.058671b522d54p+0, -0x1.5fd38675f7bcfp-1, 0x1.1e2deed10b962p-2, -0x1.2a88e2f58d6e6p-5,
                 -0x1.606ebd95216d2p-6, 0x1.a89da6040b72cp-8, 0x1.9559f3a9053eap-9, -0x1.b787de6301cc7p-11,
                 -0x1.62ef9b369b568p-11, 0x1.b885313896c4dp-15, 0x1.71377914657bep-13, -0x1.28ce789712d77p-15);
  return vd_exp(c * c * -1.0) * q / (c + 2.0);
}
// The Maclaurin series, for |x| < 1.
V vd vd_erf_core(vd x) {
  vd z = x * x;
  return x * 0x1.20dd750429b6dp+0 *
         vd_poly(z, 1, -1.0 / 3, 1.0 / 10, -1.0 / 42, 1.0 / 216, -1.0 / 1320, 1.0 / 9360, -1.0 / 75600, 1.0 / 685440,
                 -1.0 / 6894720, 1.0 / 76204800, -1.0 / 918086400, 1.0 / 11975040000);
}
V vd vd_erf(vd x) {
  vd a = vd_abs(x);
  return vselect(a < 1.0, vd_erf_core(x), vselect(x != x, x, vd_sign(1.0 - vd_erfc_tail(a), x)));
}
V vd vd_erfc(vd x) {
  vd a = vd_abs(x);
  vd tail = vd_erfc_tail(a);
  tail = vselect(a > 10.6, vsetd(0.0), tail);
  return vselect(a < 1.0, 1.0 - vd_erf_core(x), vselect(x != x, x, vselect(x < 0.0, 2.0 - tail, tail)));
}

// Angle of the point (x, y); every case of C's atan2.
V vd vd_atan2(vd y, vd x) {
  vd ax = vd_abs(x), ay = vd_abs(y);
  // Two infinities count as equal, and 0 / 0 as 0.
  vl both = (ax == __builtin_inf()) & (ay == __builtin_inf());
  vl swap = ay > ax;
  vd b = vselect(both, vsetd(1.0), vselect(swap, ay, ax));
  vd a = vselect(both, vsetd(1.0), vselect(swap, ax, ay));
  // tan(pi/8): above it, the angle to pi/4 is the smaller one.
  vl upper = (a > b * 0.41421356237309503) & (b < __builtin_inf());
  vd num = vselect(upper, a - b, a);
  vd den = vselect(upper, a + b, b);
  vd t = num / vselect(den == 0.0, vsetd(1.0), den);
  vd z = t * t;
  vd r = t * vd_poly(z, 1, -1.0 / 3, 1.0 / 5, -1.0 / 7, 1.0 / 9, -1.0 / 11, 1.0 / 13, -1.0 / 15, 1.0 / 17, -1.0 / 19,
                     1.0 / 21, -1.0 / 23);
  r = vselect(upper, r + 0x1.921fb54442d18p-1, r);
  r = vselect(swap, 0x1.921fb54442d18p+0 - r, r);
  r = vselect(((vl)x < 0), 0x1.921fb54442d18p+1 - r, r);
  return vselect((x != x) | (y != y), x + y, vd_sign(r, y));
}
V vd vd_atan(vd x) { return vd_atan2(x, vsetd(1.0)); }
V vd vd_asin(vd x) { return vd_atan2(x, vsqrt((1.0 - x) * (1.0 + x))); }
V vd vd_acos(vd x) { return vd_atan2(vsqrt((1.0 - x) * (1.0 + x)), x); }

// x = n pi/2 + r. Good while n times the second part of pi/2 is small: |x| up to 2^20 without, 2^28 with fused products.
#if TESSERA_FMA
#define TESSERA_TRIG_LIMIT 0x1p28f
#define TESSERA_PIO2_1 0x1.921fb54442d18p+0
#define TESSERA_PIO2_2 0x1.1a62633145c07p-54
#else
#define TESSERA_TRIG_LIMIT 0x1p19f
#define TESSERA_PIO2_1 0x1.921fb544p+0
#define TESSERA_PIO2_2 0x1.0b4611a626331p-34
#endif
struct vd_angle { vd sin, cos; vl quadrant; };
V vd_angle vd_sincos(vd x) {
  vd t = vfma(x, vsetd(0x1.45f306dc9c883p-1), vsetd(0x1.8p52));
  vd n = t - 0x1.8p52;
  vd r = vfma(n, vsetd(-TESSERA_PIO2_2), vfma(n, vsetd(-TESSERA_PIO2_1), x));
  vd z = r * r;
  vd_angle out;
  out.sin = r * vd_poly(z, 1, -1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800, 1.0 / 6227020800.0);
  out.cos = vd_poly(z, 1, -1.0 / 2, 1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800, 1.0 / 479001600);
  out.quadrant = (vl)t;
  return out;
}
V vd vd_quarter(vd_angle a, long turn) {
  vl q = a.quadrant + turn;
  vd r = vselect((q & 1) != 0, a.cos, a.sin);
  return (vd)((vl)r ^ ((q & 2) << 62));
}
V vd vd_sin(vd x) { return vselect(x == 0.0, x, vd_quarter(vd_sincos(x), 0)); }
V vd vd_cos(vd x) { return vd_quarter(vd_sincos(x), 1); }
V vd vd_tan(vd x) {
  vd_angle a = vd_sincos(x);
  vl odd = (a.quadrant & 1) != 0;
  vd r = vselect(odd, -a.cos, a.sin) / vselect(odd, a.sin, a.cos);
  return vselect(x == 0.0, x, r);
}

// Squares of f32 neither overflow nor vanish in f64.
V vd vd_hypot(vd x, vd y) {
  vl infinite = (vd_abs(x) == __builtin_inf()) | (vd_abs(y) == __builtin_inf());
  return vselect(infinite, vsetd(__builtin_inf()), vsqrt(vfma(x, x, y * y)));
}

#define TESSERA_UNARY(name) V vf32 v##name(vf32 x) { return vnarrow(vd_##name(vwiden_low(x)), vd_##name(vwiden_high(x))); }
#define TESSERA_BINARY(name)                                                                  \
  V vf32 v##name(vf32 a, vf32 b) {                                                            \
    return vnarrow(vd_##name(vwiden_low(a), vwiden_low(b)), vd_##name(vwiden_high(a), vwiden_high(b))); \
  }
// Angles up to a few thousand turns in f32: n pi/2 is taken off in three parts, the first two exactly. Without fused products
// the parts would have to be shorter than they are, so f64 serves every angle.
#if TESSERA_FMA
#define TESSERA_SHORT_ANGLE 0x1p13f
#else
#define TESSERA_SHORT_ANGLE 0x1p-10f
#endif
struct vangle { vf32 sin, cos; vi32 quadrant; };
V vangle vsincos_short(vf32 x) {
  vf32 t = vfma(x, vset(0x1.45f306p-1f), vset(0x1.8p23f));
  vf32 n = t - 0x1.8p23f;
  vf32 r = vfma(n, vset(-0x1.921fb6p+0f), x);
  r = vfma(n, vset(0x1.777a5cp-25f), r);
  r = vfma(n, vset(0x1.ee59dap-50f), r);
  vf32 z = r * r;
  vf32 s = vfma(z, vset(1.0f / 362880), vset(-1.0f / 5040));
  s = vfma(s, z, vset(1.0f / 120));
  s = vfma(s, z, vset(-1.0f / 6));
  vf32 c = vfma(z, vset(-1.0f / 3628800), vset(1.0f / 40320));
  c = vfma(c, z, vset(-1.0f / 720));
  c = vfma(c, z, vset(1.0f / 24));
  c = vfma(c, z, vset(-0.5f));
  return {vfma(s * z, r, r), vfma(c, z, vset(1.0f)), vbits(t)};
}
V vf32 vquarter(vangle a, int turn) {
  vi32 q = a.quadrant + turn;
  vf32 r = vselect((q & 1) != 0, a.cos, a.sin);
  return vfloat(vbits(r) ^ ((q & 2) << 30));
}
V vf32 vsin_short(vf32 x) { return vselect(x == 0.0f, x, vquarter(vsincos_short(x), 0)); }
V vf32 vcos_short(vf32 x) { return vquarter(vsincos_short(x), 1); }
V vf32 vtan_short(vf32 x) {
  vangle a = vsincos_short(x);
  vi32 odd = (a.quadrant & 1) != 0;
  return vselect(x == 0.0f, x, vselect(odd, vneg(a.cos), a.sin) / vselect(odd, a.sin, a.cos));
}
// Larger angles are reduced in f64; the largest, infinities and NaN go to the C library.
#define TESSERA_TRIG(name, scalar)                                                            \
  __attribute__((noinline, cold, unused)) static vf32 v##name##_large(vf32 x) {               \
    if (vall(vabs(x) < TESSERA_TRIG_LIMIT)) return vnarrow(vd_##name(vwiden_low(x)), vd_##name(vwiden_high(x))); \
    for (int i = 0; i < VW; i++) x[i] = (float)scalar((double)x[i]);                          \
    return x;                                                                                 \
  }                                                                                           \
  V vf32 v##name(vf32 x) {                                                                    \
    if (__builtin_expect(vany(~(vabs(x) < TESSERA_SHORT_ANGLE)), 0)) return v##name##_large(x); \
    return v##name##_short(x);                                                                \
  }
TESSERA_BINARY(hypot)
TESSERA_TRIG(sin, __builtin_sin)
TESSERA_TRIG(cos, __builtin_cos)
TESSERA_TRIG(tan, __builtin_tan)

#endif
