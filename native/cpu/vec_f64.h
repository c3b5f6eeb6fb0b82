// Functions in f64 on half a vector each, by short series that are rounded once to f32: for what loses too much in f32, and for angles too large for its
// reduction. vec_math.h includes this file. Series are Taylor series where the range is small, so that constants are known fractions.
#ifndef TESSERA_VEC_F64_H
#define TESSERA_VEC_F64_H

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

#endif
