// Transcendental functions on the vectors of vec.h, which includes this file.
//
// In f32, within 3 ulp: fast enough to keep up with memory where there are fused products. What the processor waits for is latency rather than
// arithmetic: it sees some 150 instructions ahead, so short chains (terms by pairs, tables of sixteen series instead of long ones) count more than few
// instructions. Series are Taylor series where the range is small, else fitted for the least largest error, coefficients rounded one after the other.
#ifndef TESSERA_VEC_MATH_H
#define TESSERA_VEC_MATH_H

// A polynomial, coefficients from the constant on: pairs of terms by the square, so that half as many products wait for each other.
V vf32 v_poly(vf32, vf32, float c) { return vset(c); }
V vf32 v_poly(vf32 x, vf32, float c, float d) { return vfma(x, vset(d), vset(c)); }
template <typename... Rest>
V vf32 v_poly(vf32 x, vf32 square, float c, float d, Rest... rest) {
  return vfma(v_poly(x, square, rest...), square, vfma(x, vset(d), vset(c)));
}

// ---- bounds, powers of two, mantissas ----

#if TESSERA_AVX512 && !TESSERA_CLANG
// The smaller of a number and x, the larger; NaN stays.
V vf32 vatmost(vf32 x, float c) { return __builtin_ia32_minps512_mask(vset(c), x, x, (unsigned short)-1, 4); }
V vf32 vatleast(vf32 x, float c) { return __builtin_ia32_maxps512_mask(vset(c), x, x, (unsigned short)-1, 4); }
// x 2^n for a whole n, rounded once where the result is subnormal.
V vf32 vscale(vf32 x, vf32 n) { return __builtin_ia32_scalefps512_mask(x, n, x, (unsigned short)-1, 4); }
V vf32 vexponent(vf32 x) { return __builtin_ia32_getexpps512_mask(x, x, (unsigned short)-1, 4); }
// Without its sign, in [3/4, 3/2), in [1, 2); 1 for 0 and infinity.
V vf32 vmantissa(vf32 x) { return __builtin_ia32_getmantps512_mask(x, 7, x, (unsigned short)-1, 4); }
V vf32 vmantissa_whole(vf32 x) { return __builtin_ia32_getmantps512_mask(x, 4, x, (unsigned short)-1, 4); }
// y, but for an x that is NaN itself, for 0 and infinity what is named, NaN for negative numbers.
V vf32 vlog_cases(vf32 x, vf32 y) { return __builtin_ia32_fixupimmps512_mask(y, x, vset(0x03530422), 0, (unsigned short)-1, 4); }
V vf32 vinverse_cases(vf32 x, vf32 y) { return __builtin_ia32_fixupimmps512_mask(y, x, vset(0x03530522), 0, (unsigned short)-1, 4); }
V vf32 vroot_cases(vf32 x, vf32 y) { return __builtin_ia32_fixupimmps512_mask(y, x, vset(0x03530822), 0, (unsigned short)-1, 4); }
// y, but +0 for zeros and infinity for infinities.
V vf32 vinfinite_powers(vf32 x, vf32 y) { return __builtin_ia32_fixupimmps512_mask(y, x, vset(0x00550800), 0, (unsigned short)-1, 4); }
// The entry of each lane, by the lowest four bits of its position.
V vf32 vlookup(vf32 table, vi32 at) { return __builtin_shuffle(table, at); }
V vf32 vlookup(vf32 lower, vf32 upper, vi32 at) { return __builtin_shuffle(lower, upper, at); }
#define TESSERA_TABLES 1
#else
V vf32 vatmost(vf32 x, float c) { return vselect(x > c, vset(c), x); }
V vf32 vatleast(vf32 x, float c) { return vselect(x < c, vset(c), x); }
// Two factors: one cannot reach 2^-149 or 2^128.
V vf32 vscale(vf32 x, vf32 n) {
  vi32 k = vto_i32(n), h = k >> 1;
  return x * vfloat((h + 127) << 23) * vfloat((k - h + 127) << 23);
}
V vf32 vlog_cases(vf32 x, vf32 y) {
  y = vselect(x == __builtin_inff(), x, y);
  y = vselect(x == 0.0f, vset(-__builtin_inff()), y);
  return vselect((x < 0.0f) | (x != x), vset(__builtin_nanf("")), y);
}
#endif

// ---- exp, log, sigmoid in f32 ----

// e^x = 2^n e^r with |r| <= ln 2 / 2. ln 2 is split so that n times its upper part is exact without a fused product. `t` carries n in its lowest bits.
struct vexp_split { vf32 t, n, r; };
V vexp_split vexp_parts(vf32 x) {
  vf32 t = vfma(x, vset(0x1.715476p+0f), vset(0x1.8p23f));
  vf32 n = t - 0x1.8p23f;
  vf32 r = vfma(n, vset(-0x1.62e4p-1f), x);
  return {t, n, vfma(n, vset(-0x1.7f7d1cp-20f), r)};
}
// e^r - 1.
V vf32 vexpm1_near(vf32 r) {
  vf32 z = r * r;
  return vfma(v_poly(r, z, 0x1.fffffcp-2f, 0x1.555494p-3f, 0x1.5558bep-5f, 0x1.123856p-7f, 0x1.6a3d04p-10f), z, r);
}
// 2^(n + b) where `bits` are those of 2^b.
V vf32 vpower(vexp_split e, int bits) { return vfloat((vbits(e.t) << 23) + bits); }
// e^x for x below 89, NaN included. With tables, x = n ln 2 + r for a multiple n of 1/16: 2^n is an entry and an exponent, and the series is short.
V vf32 vexp_below(vf32 x) {
#if TESSERA_TABLES
  const vf32 roots = {0x1p+0f, 0x1.0b5586p+0f, 0x1.172b84p+0f, 0x1.2387a6p+0f, 0x1.306fep+0f, 0x1.3dea64p+0f, 0x1.4bfdaep+0f, 0x1.5ab07ep+0f, 0x1.6a09e6p+0f, 0x1.7a1148p+0f, 0x1.8ace54p+0f, 0x1.9c4918p+0f, 0x1.ae89fap+0f, 0x1.c199bep+0f, 0x1.d5818ep+0f, 0x1.ea4afap+0f};
  vf32 c = vatleast(x, -104.0f);
  vf32 t = vfma(c, vset(0x1.715476p+0f), vset(0x1.8p19f)), n = t - 0x1.8p19f;
  vf32 r = vfma(n, vset(-0x1.7f7d1cp-20f), vfma(n, vset(-0x1.62e4p-1f), c));
  vf32 near = vfma(vfma(r, vset(0x1.555722p-3f), vset(0x1.000222p-1f)), r * r, r), root = vlookup(roots, vbits(t));
  return vscale(vfma(root, near, root), n);
#else
  vexp_split e = vexp_parts(vatleast(x, -104.0f));
  return vscale(vexpm1_near(e.r) + 1.0f, e.n);
#endif
}
// e^x for terms of a sum that has one of at least 1 - x below 80, then, and NaN -: 1.2 ulp near 0, 5 ulp at e^-84. Fewer instructions by a table of 32 roots.
V vf32 vexp_term(vf32 x) {
#if TESSERA_TABLES
  const vf32 r0 = {0x1p+0f, 0x1.059b0ep+0f, 0x1.0b5586p+0f, 0x1.11301ep+0f, 0x1.172b84p+0f, 0x1.1d4874p+0f, 0x1.2387a6p+0f, 0x1.29e9ep+0f, 0x1.306fep+0f, 0x1.371a74p+0f, 0x1.3dea64p+0f, 0x1.44e086p+0f, 0x1.4bfdaep+0f, 0x1.5342b6p+0f, 0x1.5ab07ep+0f, 0x1.6247ecp+0f};
  const vf32 r1 = {0x1.6a09e6p+0f, 0x1.71f75ep+0f, 0x1.7a1148p+0f, 0x1.82589ap+0f, 0x1.8ace54p+0f, 0x1.93737cp+0f, 0x1.9c4918p+0f, 0x1.a5503cp+0f, 0x1.ae89fap+0f, 0x1.b7f77p+0f, 0x1.c199bep+0f, 0x1.cb720ep+0f, 0x1.d5818ep+0f, 0x1.dfc974p+0f, 0x1.ea4afap+0f, 0x1.f50766p+0f};
  vf32 c = vatleast(x, -104.0f), t = vfma(c, vset(0x1.715476p+0f), vset(0x1.8p18f)), n = t - 0x1.8p18f;
  vf32 r = vfma(n, vset(-0x1.62e43p-1f), c), root = vlookup(r0, r1, vbits(t));
  return vscale(vfma(root * r, vfma(r, vset(0.5f), vset(0x1.0000f6p+0f)), root), n);
#else
  return vexp_below(x);
#endif
}
// The same where a term may be infinite.
V vf32 vexp_term_any(vf32 x) { return vexp_term(vatmost(x, 89.0f)); }
V vf32 vexp(vf32 x) { return vexp_below(vatmost(x, 89.0f)); }
// e^-|x|.
V vf32 vexp_minus(vf32 x) { return vexp_below(vfloat(vbits(x) | (int)0x80000000)); }

V vf32 vsigmoid(vf32 x) {
  vf32 e = vexp_minus(x);
  return vselect(x < 0.0f, e, vset(1.0f)) / (e + 1.0f);
}

// |x| = 2^n (1 + f), where 1 + f is in [3/4, 3/2).
struct vlog_split { vf32 n, f; };
V vlog_split vlog_parts(vf32 x) {
#if TESSERA_TABLES
  vf32 m = vmantissa(x);
  return {vexponent(x) - vexponent(m), m - 1.0f};
#else
  vi32 tiny = x < 0x1p-126f;
  vf32 a = vselect(tiny, x * 0x1p25f, x);
  vi32 e = (vbits(a) - 0x3f400000) >> 23;
  return {vto_f32(e) - vselect(tiny, vset(25.0f), vset(0.0f)), vfloat(vbits(a) - (e << 23)) - 1.0f};
#endif
}
// log(1 + f) - f + start for f in [-1/4, 1/2]: with s = f / (2 + f), 2 artanh s = f - s (f - s^2 r(s^2)).
V vf32 vlog_near(vf32 f, vf32 start) {
  vf32 s = f / (-2.0f - f), z = s * s;
  vf32 r = v_poly(z, z * z, -0x1.5555b4p-1f, -0x1.992aaap-2f, -0x1.36ec6ap-2f);
  return vfma(s, vfma(r, z, f), start);
}
#define TESSERA_LN2_UPPER 0x1.62e4p-1f
#define TESSERA_LN2_LOWER 0x1.7f7d1cp-20f
V vf32 vlog(vf32 x) {
  vlog_split p = vlog_parts(x);
  vf32 y = vlog_near(p.f, vfma(p.n, vset(TESSERA_LN2_LOWER), p.f));
  return vlog_cases(x, vfma(p.n, vset(TESSERA_LN2_UPPER), y));
}
V vf32 vlog2(vf32 x) {
  vlog_split p = vlog_parts(x);
  return vlog_cases(x, vfma(vlog_near(p.f, p.f), vset(0x1.715476p+0f), p.n));
}
// log10 2 is split into an exact upper part and the rest.
V vf32 vlog10(vf32 x) {
  vlog_split p = vlog_parts(x);
  vf32 y = vfma(p.n, vset(0x1.3509f8p-18f), vlog_near(p.f, p.f) * 0x1.bcb7b2p-2f);
  return vlog_cases(x, vfma(p.n, vset(0x1.344p-2f), y));
}
// 1 + x = 2^-m (1 + f): f is x 2^m - (1 - 2^m), rounded once. Negated terms keep the sign of a zero.
V vf32 vlog1p(vf32 x) {
  vf32 u = x + 1.0f;
#if TESSERA_TABLES
  vf32 m = vexponent(vmantissa(u)) - vexponent(u);
  vf32 p = vscale(vset(1.0f), m);
  vf32 f = x * p - (1.0f - p);
  vf32 y = vlog_near(f, vfma(m, vset(-TESSERA_LN2_LOWER), f));
  return vlog_cases(u, vfma(m, vset(-TESSERA_LN2_UPPER), y));
#else
  // What rounding 1 + x lost goes to f.
  vi32 e = (vbits(u) - 0x3f400000) >> 23;
  vf32 lost = (x - (u - 1.0f)) * vfloat((127 - vmin(e, vset(64))) << 23);
  vf32 f = vfloat(vbits(u) - (e << 23)) - 1.0f + lost, n = vto_f32(e);
  vf32 y = vfma(n, vset(TESSERA_LN2_UPPER), vlog_near(f, vfma(n, vset(TESSERA_LN2_LOWER), f)));
  y = vselect((x == 0.0f) | ~(x < __builtin_inff()), x, y);
  y = vselect(x == -1.0f, vset(-__builtin_inff()), y);
  return vselect(x < -1.0f, vset(__builtin_nanf("")), y);
#endif
}

// log(1 + e^-|x|).
V vf32 vlog1p_exp_minus(vf32 x) {
  vf32 t = vexp_minus(x), z = t * t;
  return t * v_poly(t, z, 0x1p+0f, -0x1.ffffd2p-2f, 0x1.554ddp-2f, -0x1.ff23e6p-3f, 0x1.934b54p-3f, -0x1.3a435ep-3f, 0x1.b4ae08p-4f,
                    -0x1.d6b08cp-5f, 0x1.4917cep-6f, -0x1.af49cep-9f);
}

V vf32 vexp2(vf32 x) {
  vf32 c = vatleast(vatmost(x, 129.0f), -151.0f);
  vf32 n = (c + 0x1.8p23f) - 0x1.8p23f;
  // (c - n) ln 2 has two roundings; the lower part of ln 2 restores the second.
  vf32 d = c - n, r = d * 0x1.62e43p-1f, z = r * r;
  vf32 p = v_poly(r, z, 0x1.fffffcp-2f, 0x1.555494p-3f, 0x1.5558bep-5f, 0x1.123856p-7f, 0x1.6a3d04p-10f);
  return vscale(vfma(p, z, vfma(d, vset(-0x1.05c61p-29f), r)) + 1.0f, n);
}
// 2^n e^r - 1 = 2^n (e^r - 1) + (2^n - 1), with half of 2^n, which does not overflow.
V vf32 vexpm1(vf32 x) {
  vexp_split e = vexp_parts(vatleast(vatmost(x, 89.0f), -18.0f));
  vf32 h = vpower(e, 0x3f000000);
  vf32 y = vfma(h, vexpm1_near(e.r), h - 0.5f) * 2.0f;
  return vselect(x == 0.0f, x, y);
}
// (e^2a - 1) / (e^2a + 1), from 0.55 on 1 - 2 / (e^2a + 1).
V vf32 vtanh(vf32 x) {
  vf32 a = vatmost(vabs(x), 10.0f);
  vexp_split e = vexp_parts(a + a);
  vf32 p = vpower(e, 0x3f800000), q = vexpm1_near(e.r);
  vi32 far = a > 0.55f;
  vf32 y = vselect(far, vset(-2.0f), vfma(p, q, p - 1.0f)) / vfma(p, q, p + 1.0f);
  return vcopysign(vselect(far, vset(1.0f), vset(0.0f)) + y, x);
}
// cosh and sinh of r, less 1 and r; of n ln 2, each a quarter of it: sums and differences of powers of two. The angle addition needs no division.
struct vhyper { vf32 cosh, sinh, far_cosh, far_sinh, r; };
V vhyper vhyperbolic(vf32 x) {
  vexp_split e = vexp_parts(vatmost(vabs(x), 90.0f));
  vf32 z = e.r * e.r, up = vpower(e, 0x3e000000);
  // 2^-n cannot be told from 0 where it is not normal.
  vf32 down = vfloat(vmax(0x3e000000 - (vbits(e.t) << 23), vset(0)));
  vf32 c = z * v_poly(z, z * z, 0x1p-1f, 0x1.5554e6p-5f, 0x1.6d4f0ap-10f);
  return {c, z * e.r * vfma(z, vset(0x1.122798p-7f), vset(0x1.5554bp-3f)), up + down, up - down, e.r};
}
V vf32 vsinh(vf32 x) {
  vhyper h = vhyperbolic(x);
  vf32 y = vfma(h.far_sinh, h.cosh, vfma(h.far_cosh, h.sinh, vfma(h.far_cosh, h.r, h.far_sinh)));
  return vcopysign(y * 4.0f, x);
}
V vf32 vcosh(vf32 x) {
  vhyper h = vhyperbolic(x);
  return vfma(h.far_cosh, h.cosh, vfma(h.far_sinh, h.r + h.sinh, h.far_cosh)) * 4.0f;
}
// The last part of asinh and acosh: n ln 2 + log(1 + f).
V vf32 vlog_sum(vlog_split p) {
  return vfma(p.n, vset(TESSERA_LN2_UPPER), vlog_near(p.f, vfma(p.n, vset(TESSERA_LN2_LOWER), p.f)));
}
// A series below 3/4, beyond log(a + sqrt(a^2 + 1)), and where a^2 overflows log(2 a).
V vlog_split vasinh_first(vf32 x) {
  vf32 a = vabs(x);
  vi32 large = a > 0x1p62f;
  vlog_split p = vlog_parts(vselect(large, a, a + vsqrt(vfma(a, a, vset(1.0f)))));
  return {p.n + vselect(large, vset(1.0f), vset(0.0f)), p.f};
}
V vf32 vasinh_rest(vlog_split p, vf32 x) {
  vf32 a = vabs(x), z = a * a;
  vf32 r = v_poly(z, z * z, -0x1.555548p-3f, 0x1.332e38p-4f, -0x1.6d144cp-5f, 0x1.e7c50cp-6f, -0x1.42d294p-6f, 0x1.568d4p-7f,
                  -0x1.86f0c6p-9f);
  vf32 y = vselect(a < 0.75f, vfma(r * z, a, a), vlog_sum(p));
#if !TESSERA_TABLES
  y = vselect(a < __builtin_inff(), y, a);
#endif
  return vcopysign(y, x);
}
V vf32 vasinh(vf32 x) { return vasinh_rest(vasinh_first(x), x); }
// log(1 + t + sqrt(t^2 + 2 t)) with t = x - 1; of what lies beyond 2^60, log(2 x).
V vlog_split vacosh_first(vf32 x) {
  vf32 t = x - 1.0f;
  vi32 large = x > 0x1p60f;
  vf32 y = vselect(large, x * 0x1p-30f, t + vsqrt(vfma(t, t, t + t)));
  // As log1p, where 1 + y is below 2^100: powers of two by their bits.
  vi32 k = (vbits(y + 1.0f) - 0x3f400000) & (int)0xff800000;
  vf32 p = vfloat(0x3f800000 - k);
  return {vfma(vto_f32(k), vset(0x1p-23f), vselect(large, vset(31.0f), vset(0.0f))), y * p - (1.0f - p)};
}
V vf32 vacosh_rest(vlog_split p, vf32 x) {
#if TESSERA_TABLES
  return vroot_cases(x - 1.0f, vlog_sum(p));
#else
  vf32 y = vselect(x < __builtin_inff(), vlog_sum(p), x);
  return vselect(x < 1.0f, vset(__builtin_nanf("")), y);
#endif
}
V vf32 vacosh(vf32 x) { return vacosh_rest(vacosh_first(x), x); }
// (1 + a) / (1 - a) = 2^n (1 + s) / (1 - s); n = 0 below 1/3, and there s = a. Beyond, 2^n (1 - a) is in [1, 2), so that s is in [-1/6, 1/3].
V vf32 vatanh(vf32 x) {
  vf32 a = vabs(x), d = 1.0f - a;
  vi32 n = vselect(a < 0.333333f, vset(0), 0x3f800000 - (vbits(d) & 0x7f800000));
  vf32 p = vfloat(n + 0x3f800000), e = a + 1.0f;
  vf32 s = vselect(n == 0, a, (e - p * d) / vfma(p, d, e)), z = s * s;
  vf32 r = v_poly(z, z * z, 0x1.555558p-2f, 0x1.9996d8p-3f, 0x1.25051p-3f, 0x1.b72bb6p-4f, 0x1.f08b0cp-4f);
  vf32 y = vfma(vto_f32(n), vset(0x1.62e43p-25f), vfma(s * z, r, s));
#if TESSERA_TABLES
  return vcopysign(vinverse_cases(d, y), x);
#else
  y = vselect(a == 1.0f, vset(__builtin_inff()), y);
  return vselect(a > 1.0f, vset(__builtin_nanf("")), vcopysign(y, x));
#endif
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

#if TESSERA_TABLES
// Sixteen series of the distance to the nearest multiple of 33/128; erf is 1 beyond them.
V vf32 verf(vf32 x) {
  const vf32 c0 = {0x0p+0f, 0x1.236bfp-2f, 0x1.117892p-1f, 0x1.73b102p-1f, 0x1.b5e63p-1f, 0x1.dd0788p-1f, 0x1.f14e82p-1f, 0x1.fa84fep-1f, 0x1.fe308p-1f, 0x1.ff789ep-1f, 0x1.ffdd18p-1f, 0x1.fff81p-1f, 0x1.fffe68p-1f, 0x1.ffffb8p-1f, 0x1.fffff4p-1f, 0x1.fffffep-1f};
  const vf32 c1 = {0x1.20dd74p+0f, 0x1.0e4a08p+0f, 0x1.bada58p-1f, 0x1.3da26ep-1f, 0x1.8eed36p-2f, 0x1.b6a858p-3f, 0x1.a64de6p-4f, 0x1.63f3f6p-5f, 0x1.06ae14p-6f, 0x1.536fc2p-8f, 0x1.8005f2p-10f, 0x1.7c629ap-12f, 0x1.49e176p-14f, 0x1.f4f12ep-17f, 0x1.4d023p-19f, 0x1.83a2p-22f};
  const vf32 c2 = {0x1.43ed1ap-55f, -0x1.16bbb8p-2f, -0x1.c8abbp-2f, -0x1.eb564p-2f, -0x1.9b659cp-2f, -0x1.1abc76p-2f, -0x1.46a108p-3f, -0x1.412ca4p-4f, -0x1.0efc3cp-5f, -0x1.8973a8p-7f, -0x1.f044f2p-9f, -0x1.0dbe98p-10f, -0x1.e162cp-13f, -0x1.885dcep-15f, 0x1.d14786p-19f, 0x1.716cbap-18f};
  const vf32 c3 = {-0x1.811eb8p-2f, -0x1.387fc8p-2f, -0x1.1472a4p-3f, 0x1.4caf3cp-5f, 0x1.2bb6dp-3f, 0x1.53b6e4p-3f, 0x1.0a73b2p-3f, 0x1.471cc2p-4f, 0x1.48b18cp-5f, 0x1.144b24p-6f, 0x1.896822p-8f, 0x1.de2774p-10f, 0x1.f2b2fcp-12f, 0x1.bffbfap-14f, 0x1.5b9204p-16f, 0x1.d2c83ap-19f};
  const vf32 c4 = {-0x1.290f24p-59f, 0x1.08b6b2p-3f, 0x1.737f22p-3f, 0x1.262a2cp-3f, 0x1.e1c876p-5f, -0x1.cce332p-7f, -0x1.81be8ap-5f, -0x1.7964ep-5f, -0x1.e5f462p-6f, -0x1.0a3272p-6f, -0x1.86129ap-8f, -0x1.272a6ap-9f, -0x1.86efd6p-10f, -0x1.7aae06p-12f, -0x1.99cba4p-11f, -0x1.b99704p-12f};
  const vf32 c5 = {0x1.c45422p-4f, 0x1.44063cp-4f, 0x1.65e152p-10f, -0x1.cc70d8p-5f, -0x1.156beep-4f, -0x1.574d1ep-5f, -0x1.4242a2p-7f, 0x1.2838bap-7f, 0x1.a86b7ep-7f, 0x1.33329ep-7f, 0x1.410456p-8f, 0x1.07d6ccp-9f, 0x1.61c0c6p-11f, 0x1.8b18aap-13f, 0x1.73a27ap-15f, 0x1.28f3e2p-17f};
  vf32 a = vatmost(vabs(x), 3.97f);
  vf32 t = vfma(a, vset(128.0f / 33), vset(0x1.8p23f));
  vf32 r = vfma(t - 0x1.8p23f, vset(-33.0f / 128), a), z = r * r;
  vi32 at = vbits(t);
  vf32 low = vfma(vlookup(c1, at), r, vlookup(c0, at)), middle = vfma(vlookup(c3, at), r, vlookup(c2, at));
  vf32 high = vfma(vlookup(c5, at), r, vlookup(c4, at));
  return vcopysign(vfma(vfma(high, z, middle), z, low), x);
}
#else
// Within 0.6 x times a polynomial of x^2; beyond it 1 - e^(x p(x)), whose exponent was fitted.
V vf32 verf(vf32 x) {
  vf32 a = vabs(x), z = x * x;
  vf32 e = v_poly(z, z * z, -0x1.812746p-2f, 0x1.ce2ef2p-4f, -0x1.b81c6ep-6f, 0x1.54548ep-8f, -0x1.8b4ff8p-11f);
  vf32 near = vfma(x * z, e, x * 0x1.20dd76p+0f);
  vf32 c = vselect(a > 4.0f, vset(4.0f), a);
  vf32 p = v_poly(c, c * c, -0x1.20e054p+0f, -0x1.45c78ap-1f, -0x1.a94faep-4f, 0x1.583dc8p-6f, -0x1.d76372p-10f,
                  -0x1.a31a5p-12f, 0x1.296452p-13f, -0x1.c579aap-17f);
  vf32 far = vselect(x != x, x, 1.0f - vexp_below(c * p));
  return vcopysign(vselect(a < 0.6f, vabs(near), far), x);
}
#endif
// e^(-x^2) times series of the distance of |x| + 1 to the eighth of a power of two below it. What x^2 loses in rounding goes into a factor.
#if TESSERA_TABLES
V vf32 verfc(vf32 x) {
  const vf32 a0 = {0x1.b5d876p-2f, 0x1.78a692p-2f, 0x1.494dbp-2f, 0x1.23cfc2p-2f, 0x1.058672p-2f, 0x1.d94446p-3f, 0x1.afbb4p-3f, 0x1.8c9eb6p-3f, 0x1.6e9826p-3f, 0x1.3e0a98p-3f, 0x1.18932cp-3f, 0x1.f5b2ap-4f, 0x1.c5723ap-4f, 0x1.9d8a8ep-4f, 0x1.7c0348p-4f, 0x1.5f75c4p-4f};
  const vf32 b0 = {0x1.46dc6ap-4f, 0x1.1ea8c4p-4f, 0x1.fe6cc4p-5f, 0x1.cbe832p-5f, 0x0p+0f, 0x0p+0f, 0x0p+0f, 0x0p+0f, 0x1p+0f, 0x1.bf16eep-1f, 0x1.8a6adcp-1f, 0x1.5f28aep-1f, 0x1.3b3bc4p-1f, 0x1.1d16b6p-1f, 0x1.038d54p-1f, 0x1.db747ep-2f};
  const vf32 a1 = {-0x1.17c36p-2f, -0x1.aba9bap-3f, -0x1.4f18f2p-3f, -0x1.0c3c26p-3f, -0x1.b5702p-4f, -0x1.6a6fccp-4f, -0x1.308768p-4f, -0x1.0304d2p-4f, -0x1.bd67e2p-5f, -0x1.52838cp-5f, -0x1.094898p-5f, -0x1.aa3df2p-6f, -0x1.5d83ep-6f, -0x1.238b5cp-6f, -0x1.ed7ea6p-7f, -0x1.a6e254p-7f};
  const vf32 b1 = {-0x1.6e486cp-7f, -0x1.1a57bp-7f, -0x1.c04546p-8f, -0x1.6c55dcp-8f, 0x0p+0f, 0x0p+0f, 0x0p+0f, 0x0p+0f, -0x1.20dd2ap+0f, -0x1.d1f3e8p-1f, -0x1.7c847ap-1f, -0x1.3a5c48p-1f, -0x1.067f2ep-1f, -0x1.babdd8p-2f, -0x1.78cbeep-2f, -0x1.436902p-2f};
  const vf32 a2 = {0x1.3bca42p-3f, 0x1.b51cc8p-4f, 0x1.37bbcp-4f, 0x1.c8570ep-5f, 0x1.565c48p-5f, 0x1.05e178p-5f, 0x1.98b228p-6f, 0x1.437c32p-6f, 0x1.03dd58p-6f, 0x1.5cd3f4p-7f, 0x1.e8e95cp-8f, 0x1.628b5ap-8f, 0x1.08b39ap-8f, 0x1.94abc8p-9f, 0x1.3c4e34p-9f, 0x1.f72a64p-10f};
  const vf32 b2 = {0x1.95f7a8p-10f, 0x1.13d02ap-10f, 0x1.8717c8p-11f, 0x1.1f4776p-11f, 0x0p+0f, 0x0p+0f, 0x0p+0f, 0x0p+0f, 0x1.ffd294p-1f, 0x1.849664p-1f, 0x1.2b1814p-1f, 0x1.d2738cp-2f, 0x1.6fef9ap-2f, 0x1.258e76p-2f, 0x1.d85f36p-3f, 0x1.809c54p-3f};
  const vf32 a3 = {-0x1.3c877p-4f, -0x1.93824p-5f, -0x1.094ae8p-5f, -0x1.63fefep-6f, -0x1.f51dc8p-7f, -0x1.61496p-7f, -0x1.0641e4p-7f, -0x1.7d0894p-8f, -0x1.1ca712p-8f, -0x1.53b3dcp-9f, -0x1.b0204cp-10f, -0x1.1c9516p-10f, -0x1.853bb8p-11f, -0x1.0dd84ap-11f, -0x1.8ace5ap-12f, -0x1.247d58p-12f};
  const vf32 b3 = {-0x1.b09086p-13f, -0x1.05c0dcp-13f, -0x1.4ce5c8p-14f, -0x1.c58dcap-15f, 0x0p+0f, 0x0p+0f, 0x0p+0f, 0x0p+0f, -0x1.7cd4e8p-1f, -0x1.118882p-1f, -0x1.90d40ap-2f, -0x1.2bfd9ep-2f, -0x1.c3efbcp-3f, -0x1.5ab9ap-3f, -0x1.00f314p-3f, -0x1.93b6f4p-4f};
  const vf32 a4 = {0x1.d2a5ap-6f, 0x1.1a4262p-6f, 0x1.5d0622p-7f, 0x1.a152f8p-8f, 0x1.27b662p-8f, 0x1.6f9bfap-9f, 0x1.241b6cp-9f, 0x1.5a1d84p-10f, 0x1.d2debcp-11f, 0x1.f1c3fcp-12f, 0x1.2da0f8p-12f, 0x1.6ebaecp-13f, 0x1.d47f0cp-14f, 0x1.10d096p-14f, 0x1.91d73p-15f, 0x1.192da4p-15f};
  const vf32 b4 = {0x1.5d1ca4p-16f, 0x1.869a62p-17f, 0x1.c565b4p-18f, 0x1.767adap-18f, 0x0p+0f, 0x0p+0f, 0x0p+0f, 0x0p+0f, 0x1.ab4494p-2f, 0x1.1ab4b8p-2f, 0x1.8d574ep-3f, 0x1.2dd21ap-3f, 0x1.bb1a56p-4f, 0x1.5b9214p-4f, 0x1.68a7ecp-5f, 0x1.2bd9c4p-5f};
  vf32 c = vatmost(vabs(x), 10.2f);
  vi32 at = vbits(c + 1.0f) >> 20;
  vf32 r = c - (vfloat(at << 20) - 1.0f), z = r * r, h = c * c;
  vf32 low = vfma(vlookup(a1, b1, at), r, vlookup(a0, b0, at)), middle = vfma(vlookup(a3, b3, at), r, vlookup(a2, b2, at));
  vf32 q = vfma(vfma(vlookup(a4, b4, at), z, middle), z, low);
  vf32 tail = vexp_below(vneg(h)) * vfma(q, vfma(c, vneg(c), h), q);
  return vselect(x < 0.0f, 2.0f - tail, tail);
}
#else
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
  vf32 tail = vexp_below(vneg(h)) * (q * w * (lost + 1.0f));
  tail = vselect(a > 10.2f, vset(0.0f), tail);
  return vselect(a < 0.5f, near, vselect(x != x, x, vselect(x < 0.0f, 2.0f - tail, tail)));
}
#endif

#include "vec_f64.h"

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
