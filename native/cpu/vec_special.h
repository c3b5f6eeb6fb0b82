// Functions of one or two numbers beyond the elementary ones, and division with remainder, in f32 on the vectors of vec.h, which includes this file.
//
// Each range has a polynomial of its own, fitted for the least largest error (Lawson's iteration at Chebyshev nodes against 40 digits); ranges are
// cut so that what vanishes (lgamma at 1 and 2, digamma at 1.46) is a factor. Lanes that a fast path does not cover are the caller's or a cold
// function's. Errors against f64: tests/runtime/vec_test.ts.
#ifndef TESSERA_VEC_SPECIAL_H
#define TESSERA_VEC_SPECIAL_H

// ---- logarithms of sums, neighbours ----

// log(e^a + e^b): the larger one and log(1 + t) = 2 artanh(t / (2 + t)) of t = e^-|a - b|, where t / (2 + t) <= 1/3.
V vf32 vlogaddexp(vf32 a, vf32 b) {
  vf32 t = vexp(vselect(a == b, vset(0.0f), vneg(vabs(a - b))));
  vf32 s = t / (t + 2.0f);
  vf32 z = s * s;
  vf32 p = v_poly(z, z * z, 0x1.555556p-1f, 0x1.9998cep-2f, 0x1.24ca58p-2f, 0x1.bc6abep-3f, 0x1.dc3bbcp-3f);
  return vmax(a, b) + vfma(s * z, p, s + s);
}

// The next number from a towards b: one step of the bits, away from zero or towards it.
V vf32 vnextafter(vf32 a, vf32 b) {
  vi32 away = (a < b) ^ (vbits(a) >= 0) ? vset(-1) : vset(1);
  vf32 r = vselect(a == 0.0f, vcopysign(vfloat(vset(1)), b), vfloat(vbits(a) + away));
  return vselect(a == b, b, vselect((a != a) | (b != b), a + b, r));
}

// ---- inverse of erf ----

// x times a polynomial of w = -log(1 - x^2), beyond w = 5 of its root.
V vf32 verfinv(vf32 x) {
  vf32 w = vneg(vlog((1.0f - x) * (x + 1.0f)));
  vf32 n = w - 2.5f, f = vsqrt(w) - 3.125f;
  vf32 near = v_poly(n, n * n, 0x1.805c5ep+0f, 0x1.f91e8ap-3f, -0x1.11c4ecp-8f, -0x1.486614p-10f, 0x1.c9e6bcp-13f,
                     -0x1.4d1702p-18f, -0x1.d0c0cep-19f, 0x1.f4911cp-22f, 0x1.8f19a6p-26f, -0x1.2e1b52p-27f);
  vf32 far = v_poly(f, f * f, 0x1.7aaa3cp+1f, 0x1.00f3b6p+0f, 0x1.cdfa8p-8f, -0x1.5b6294p-8f, 0x1.ef7bacp-9f,
                    -0x1.4ab6c8p-9f, 0x1.58784ep-10f, -0x1.4e1516p-12f, -0x1.71881ap-13f, 0x1.08913cp-13f);
  vf32 y = x * vselect(w < 5.0f, near, far);
  return vselect(vabs(x) == 1.0f, x * __builtin_inff(), y);
}

// ---- gamma functions of positive numbers ----

// log Gamma. Below 3, with t = x or x - 1 in [0, 2], log Gamma(1 + t) = t (t - 1) p(t), less log x where x < 1; above, Stirling's formula with a
// fitted remainder. Numbers that are not positive give NaN.
V vf32 vlgamma_positive(vf32 x) {
  vi32 below = x < 1.0f, small = x < 3.0f;
  vf32 l = vlog(x);
  vf32 t = vselect(below, x, x - 1.0f), u = t - 1.0f;
  vf32 p = v_poly(u, u * u, 0x1.b0ee6p-2f, -0x1.9ae648p-4f, 0x1.0e0c68p-5f, -0x1.95d4b6p-7f, 0x1.47ae46p-8f,
                  -0x1.138552p-9f, 0x1.dc2d92p-11f, -0x1.be40ccp-12f, 0x1.a3cd6p-13f, -0x1.b7aa24p-15f, 0x1.126cf8p-16f,
                  -0x1.44f2p-15f, 0x1.59b792p-16f);
  vf32 inner = vfma(t * u, p, vselect(below, vneg(l), vset(0.0f)));
  vf32 i = 1.0f / x, v = i * i;
  vf32 r = v_poly(v, v * v, 0x1.555556p-4f, -0x1.6c10ap-9f, 0x1.9b8796p-11f, -0x1.ddd682p-12f);
  vf32 outer = vfma(x - 0.5f, l - 1.0f, vfma(r, i, vset(0x1.acfe39p-2f)));
  return vselect(small, inner, vselect(x == __builtin_inff(), x, outer));
}

// digamma. Below 2, with t = x or x - 1 in [0, 1], (t - t0) p(t) where 1 + t0 is the root, less 1 / x where x < 1; above, the asymptotic series with
// a fitted remainder.
V vf32 vdigamma_positive(vf32 x) {
  vi32 below = x < 1.0f;
  vf32 i = 1.0f / x, v = i * i;
  vf32 t = vselect(below, x, x - 1.0f), u = t - 0.5f;
  vf32 p = v_poly(u, u * u, 0x1.e6f0ccp-1f, -0x1.b1cb68p-2f, 0x1.eca19cp-3f, -0x1.2febb6p-3f, 0x1.850bfp-4f,
                  -0x1.fc5eccp-5f, 0x1.4ee21cp-5f, -0x1.a66924p-6f, 0x1.16361p-6f, -0x1.0c68e4p-6f, 0x1.6c5196p-7f);
  vf32 inner = vfma((t - 0x1.d8b618p-2f) - 0x1.ab5f2p-27f, p, vselect(below, vneg(i), vset(0.0f)));
  vf32 r = v_poly(v, v * v, 0x1.555556p-4f, -0x1.110edep-7f, 0x1.0327fcp-8f, -0x1.fd8812p-9f, 0x1.3694b8p-8f, -0x1.e3ee9p-9f);
  vf32 outer = vlog(x) - vfma(r, v, 0.5f * i);
  return vselect(x < 2.0f, inner, outer);
}

// ---- powers ----

// |x|^y, then the cases that C's pow names.
V vd vd_pow(vd x, vd y) {
  vd a = vd_abs(x);
  vd r = vd_exp2(y * vd_log_scaled(a, 0x1.71547652b82fep+0));
  vd whole = vtrunc(y);
  vl integer = whole == y;
  vd half = y * 0.5;
  vl odd = integer & (vtrunc(half) != half);
  vl finite = vd_abs(y) < __builtin_inf();
  r = vselect((vl)x < 0, vselect(odd & finite, -r, r), r);
  r = vselect((x < 0.0) & (a < __builtin_inf()) & finite & ~integer, vsetd(__builtin_nan("")), r);
  r = vselect((a == 1.0) & (y == y) & ~finite, vsetd(1.0), r);
  return vselect((y == 0.0) | (x == 1.0), vsetd(1.0), r);
}
#if TESSERA_AVX512 && !TESSERA_CLANG
__attribute__((noinline, cold, unused)) static vf32 vpow_any(vf32 a, vf32 b) {
  return vnarrow(vd_pow(vwiden_low(a), vwiden_low(b)), vd_pow(vwiden_high(a), vwiden_high(b)));
}
// z c, where 1 / c is the middle of one of 16 intervals of [0.7, 1.4], is within 0.03 of 1; the interval around 1 has c = 1.
V vd vd_log2_near(vd z, vl interval, vd n) {
  const vd c0 = {0x1.661ec6p+0, 0x1.571ed4p+0, 0x1.49539ep+0, 0x1.3c995ap+0, 0x1.30d19p+0, 0x1.25e228p+0, 0x1.1bb4a4p+0, 0x1.12358ep+0};
  const vd c1 = {0x1.0953f4p+0, 1, 0x1.e573acp-1, 0x1.ca4b3p-1, 0x1.b20364p-1, 0x1.9c2d14p-1, 0x1.886e6p-1, 0x1.767dcep-1};
  const vd l0 = {-0x1.efec5f071e3d9p-2, -0x1.b0b6804d30924p-2, -0x1.7418abe24a63dp-2, -0x1.39de8cc6a56b9p-2,
                 -0x1.01d9bb7350ffbp-2, -0x1.97c1d4d0c206ap-3, -0x1.2f9e32a7954e4p-3, -0x1.960ca5af96cdp-4};
  const vd l1 = {-0x1.a6f9d6f1d16afp-5, 0, 0x1.3aa304acd04f4p-4, 0x1.476aa1c23e268p-3,
                 0x1.e840bea311339p-3, 0x1.40646707c3973p-2, 0x1.88e9c392b7fbbp-2, 0x1.ce0a4a2d1a3cfp-2};
  vd r = vfma(z, __builtin_shuffle(c0, c1, interval), vsetd(-1.0));
  vd p = vd_poly(r, 0x1.71547652c3215p+0, -0x1.715476532a40ap-1, 0x1.ec70935bd9ebfp-2, -0x1.7154633123e6bp-2,
                 0x1.27d48825fc99fp-2, -0x1.ed4aed105c1c6p-3);
  return vfma(r, p, n + __builtin_shuffle(l0, l1, interval));
}
// 2^x within 2^-28, for results in f32.
V vd vd_exp2_short(vd x) {
  vd c = vselect(x < -300.0, vsetd(-300.0), vselect(x > 300.0, vsetd(300.0), x));
  vd t = c + 0x1.8p52;
  vd r = c - (t - 0x1.8p52);
  vd p = vd_poly(r, 0x1.00000002609a3p+0, 0x1.62e430c80e849p-1, 0x1.ebfbdadcb287ep-3, 0x1.c6aed4815db7p-5,
                 0x1.3b2dbb4ac11p-7, 0x1.5f457dc7d8p-10, 0x1.41d3a44cp-13);
  return p * (vd)(((vl)t + 1023) << 52);
}
V vf32 vpow(vf32 a, vf32 b) {
  vi32 bits = vbits(a);
  // Normal positive numbers to finite powers; everything else has its cases.
  if (__builtin_expect(!vall(((vu32)bits - 0x800000u < (vu32){} + 0x7f000000u) & (vabs(b) < __builtin_inff())), 0)) {
    return vpow_any(a, b);
  }
  vi32 from = bits - 0x3f330000;
  vi32 interval = (from >> 19) & 15, n = from >> 23;
  vf32 z = vfloat(bits - (n << 23)), k = vto_f32(n);
  vd low = vd_log2_near(vwiden_low(z), vwiden_low(interval), vwiden_low(k));
  vd high = vd_log2_near(vwiden_high(z), vwiden_high(interval), vwiden_high(k));
  return vnarrow(vd_exp2_short(low * vwiden_low(b)), vd_exp2_short(high * vwiden_high(b)));
}
#else
TESSERA_BINARY(pow)
#endif

// ---- division with remainder ----

// Whether quotients of all lanes have at most 24 bits, so that f64 holds them and their products exactly.
V int vdivides(vf32 a, vf32 b) { return vall((vabs(a) < vabs(b) * 0x1p24f) & (vabs(b) > 0x1p-100f)); }
#if TESSERA_FMA
// a = quotient b + rest, truncated; the rest has the sign of a. A rounded quotient is never too small, so a fused product gives the rest, or that
// of one more, exactly, and their sum is exact too.
struct vdivision { vf32 quotient, rest; };
V vdivision vdivide(vf32 a, vf32 b) {
  vi32 inner = vabs(a) < vabs(b);
  vf32 q = vselect(inner, vset(0.0f), vtrunc(a / b));
  vf32 r = vselect(inner, a, vfma(vneg(q), b, a));
  vi32 over = (r != 0.0f) & ((vbits(r) ^ vbits(a)) < 0);
  vf32 one = vcopysign(vset(1.0f), vfloat(vbits(a) ^ vbits(b)));
  r = vselect(over, r + vcopysign(b, a), r);
  return {vselect(over, q - one, q), vcopysign(r, a)};
}
V vf32 vfmod_part(vf32 a, vf32 b) { return vdivide(a, b).rest; }
V vf32 vfloor_mod_part(vf32 a, vf32 b) {
  vf32 r = vdivide(a, b).rest;
  vi32 apart = (r < 0.0f) != (b < 0.0f);
  return vselect(r == 0.0f, vcopysign(vset(0.0f), b), vselect(apart, r + b, r));
}
V vf32 vfloor_div_part(vf32 a, vf32 b) {
  vdivision d = vdivide(a, b);
  vi32 apart = (d.rest != 0.0f) & ((d.rest < 0.0f) != (b < 0.0f));
  vf32 q = vselect(apart, d.quotient - 1.0f, d.quotient);
  return vselect(q == 0.0f, vcopysign(vset(0.0f), vfloat(vbits(a) ^ vbits(b))), q);
}
#else
struct vd_division { vd quotient, rest; };
// a = quotient b + rest, truncated; the rest has the sign of a.
V vd_division vd_divide(vd a, vd b) {
  vl inner = vd_abs(a) < vd_abs(b);
  vd q = vselect(inner, vsetd(0.0), vtrunc(a / b));
  vd r = vselect(inner, a, vfma(-q, b, a));
  // The rounded quotient may be one too many.
  vl over = (r != 0.0) & (((vl)r ^ (vl)a) < 0);
  vd one = vd_sign(vsetd(1.0), (vd)((vl)a ^ (vl)b));
  r = vselect(over, r + vd_sign(vd_abs(b), a), r);
  return {vselect(over, q - one, q), vd_sign(vd_abs(r), a)};
}
V vd vd_fmod(vd a, vd b) { return vd_divide(a, b).rest; }
V vd vd_floor_mod(vd a, vd b) {
  vd r = vd_divide(a, b).rest;
  vl apart = (r < 0.0) != (b < 0.0);
  return vselect(r == 0.0, vd_sign(vsetd(0.0), b), vselect(apart, r + b, r));
}
V vd vd_floor_div(vd a, vd b) {
  vd_division d = vd_divide(a, b);
  vl apart = (d.rest != 0.0) & ((d.rest < 0.0) != (b < 0.0));
  vd q = vselect(apart, d.quotient - 1.0, d.quotient);
  return vselect(q == 0.0, vd_sign(vsetd(0.0), (vd)((vl)a ^ (vl)b)), q);
}
#define TESSERA_PART(name)                                                                    \
  V vf32 v##name##_part(vf32 a, vf32 b) {                                                     \
    return vnarrow(vd_##name(vwiden_low(a), vwiden_low(b)), vd_##name(vwiden_high(a), vwiden_high(b))); \
  }
TESSERA_PART(fmod)
TESSERA_PART(floor_mod)
TESSERA_PART(floor_div)
#endif
#define TESSERA_DIVISION(name, scalar)                                                        \
  __attribute__((noinline, cold, unused)) static vf32 v##name##_wide(vf32 a, vf32 b) {        \
    for (int i = 0; i < VW; i++) a[i] = (float)scalar((double)a[i], (double)b[i]);            \
    return a;                                                                                 \
  }                                                                                           \
  V vf32 v##name(vf32 a, vf32 b) {                                                            \
    return __builtin_expect(vdivides(a, b), 1) ? v##name##_part(a, b) : v##name##_wide(a, b); \
  }
static inline double tessera_floor_mod(double a, double b) {
  double r = __builtin_fmod(a, b);
  if (r == 0) return b < 0 ? -0.0 : 0.0;
  return (r < 0) != (b < 0) ? r + b : r;
}
static inline double tessera_floor_div(double a, double b) {
  if (b == 0) return a / b;
  double r = __builtin_fmod(a, b), q = (a - r) / b;
  if (r != 0 && (b < 0) != (r < 0)) q -= 1;
  if (q == 0) return __builtin_copysign(0.0, a / b);
  double f = __builtin_floor(q);
  return q - f > 0.5 ? f + 1 : f;
}
// C's fmod: exact, the sign of a. Python's remainder has the sign of b, and its quotient is rounded down.
TESSERA_DIVISION(fmod, __builtin_fmod)
TESSERA_DIVISION(floor_mod, tessera_floor_mod)
TESSERA_DIVISION(floor_div, tessera_floor_div)

#endif
