// Functions of one or two numbers beyond the elementary ones, and division with remainder, in f32 on the vectors of vec.h, which includes this file.
//
// Each range has a polynomial of its own, fitted for the least largest error (Lawson's iteration at Chebyshev nodes against 40 digits); ranges are
// cut so that what vanishes (lgamma at 1 and 2, digamma at 1.46) is a factor. Lanes that a fast path does not cover are the caller's or a cold
// function's. Errors against f64: tests/runtime/vec_test.ts.
#ifndef TESSERA_VEC_SPECIAL_H
#define TESSERA_VEC_SPECIAL_H

// ---- logarithms of sums, neighbours ----

// log(e^a + e^b).
V vf32 vlogaddexp(vf32 a, vf32 b) { return vmax(a, b) + vlog1p_exp_minus(vselect(a == b, vset(0.0f), a - b)); }

// The next number from a towards b: one step of the bits, away from zero or towards it.
V vf32 vnextafter(vf32 a, vf32 b) {
  vi32 away = (a < b) ^ (vbits(a) >= 0) ? vset(-1) : vset(1);
  vf32 r = vselect(a == 0.0f, vcopysign(vfloat(vset(1)), b), vfloat(vbits(a) + away));
  return vselect(a == b, b, vselect((a != a) | (b != b), a + b, r));
}

// ---- inverse of erf ----

#if TESSERA_TABLES
// x times series of w = -log(1 - x^2), in intervals of w + 3/2 that are quarters of its powers of two.
struct verfinv_log { vf32 q, v; };
V verfinv_log verfinv_first(vf32 x) {
  // v = 3/2 - log q within 2^-24 of itself: q = 2^n m, and m times the reciprocal of the middle of its sixteenth is 1 + d.
  const vf32 inverse = {0x1.f07c2p-1f, 0x1.d41d42p-1f, 0x1.bacf92p-1f, 0x1.a41a42p-1f, 0x1.8f9c18p-1f, 0x1.7d05f4p-1f, 0x1.6c16c2p-1f, 0x1.5c9882p-1f, 0x1.4e5e0ap-1f, 0x1.414142p-1f, 0x1.3521dp-1f, 0x1.29e412p-1f, 0x1.1f7048p-1f, 0x1.15b1e6p-1f, 0x1.0c9714p-1f, 0x1.041042p-1f};
  const vf32 start = {0x1.781f5ap+0f, 0x1.690f2ep+0f, 0x1.5ad55ap+0f, 0x1.4d5b4ap+0f, 0x1.408dcep+0f, 0x1.345c76p+0f, 0x1.28b90ap+0f, 0x1.1d9732p+0f, 0x1.12ec22p+0f, 0x1.08ae58p+0f, 0x1.fdaad6p-1f, 0x1.eab3c2p-1f, 0x1.d86a2p-1f, 0x1.c6c1f2p-1f, 0x1.b5b078p-1f, 0x1.a52bfep-1f};
  vf32 q = (1.0f - x) * (x + 1.0f), m = vmantissa_whole(q);
  vi32 sixteenth = vbits(m) >> 19;
  vf32 d = vfma(m, vlookup(inverse, sixteenth), vset(-1.0f));
  vf32 l = vfma(vfma(d, vset(0.25f), vset(-1.0f / 3)), d * d, vfma(d, vset(0.5f), vset(-1.0f)));
  vf32 v = vatmost(vfma(l, d, vfma(vexponent(q), vset(-0x1.62e43p-1f), vlookup(start, sixteenth))), 18.2f);
  return {q, v};
}
V vf32 verfinv_rest(verfinv_log l, vf32 x) {
  const vf32 c0 = {0x1.013c1p+0f, 0x1.209b9cp+0f, 0x1.408742p+0f, 0x1.60912ep+0f, 0x1.805c5cp+0f, 0x1.be2a1ap+0f, 0x1.f89c26p+0f, 0x1.17a9bap+1f, 0x1.313c8ap+1f, 0x1.5fcb08p+1f, 0x1.897f94p+1f, 0x1.af8648p+1f, 0x1.d2acd8p+1f, 0x0p+0f, 0x1.c5bf8ap-1f, 0x1.e3cbeep-1f};
  const vf32 c1 = {0x1.ef1d9p-3f, 0x1.fb8e8p-3f, 0x1.005ddep-2f, 0x1.ff8238p-3f, 0x1.f920cep-3f, 0x1.e203b6p-3f, 0x1.c4ae9ep-3f, 0x1.a7088ap-3f, 0x1.8bd742p-3f, 0x1.5f322cp-3f, 0x1.3da35p-3f, 0x1.23d5fep-3f, 0x1.0f4e04p-3f, 0x0p+0f, 0x1.db25eep-3f, 0x1.e6146cp-3f};
  const vf32 c2 = {0x1.08a97p-7f, 0x1.1a68d6p-8f, 0x1.01a5e6p-10f, -0x1.d2b014p-10f, -0x1.151e24p-8f, -0x1.b862eap-8f, -0x1.e37c2ep-8f, -0x1.cb0782p-8f, -0x1.9a33dep-8f, -0x1.34750ap-8f, -0x1.d156a6p-9f, -0x1.6f920ep-9f, -0x1.258374p-9f, 0x0p+0f, 0x1.865534p-7f, 0x1.3f65eap-7f};
  const vf32 c3 = {-0x1.fbb554p-9f, -0x1.797d9p-9f, -0x1.86776cp-9f, -0x1.b1657cp-9f, -0x1.0e94eep-10f, -0x1.eca0ep-12f, 0x1.46ecd2p-15f, 0x1.d27c12p-13f, 0x1.372dp-12f, 0x1.f5ebbp-13f, 0x1.0faccp-13f, 0x1.254602p-13f, 0x1.a0d3cap-15f, 0x0p+0f, -0x1.183ac4p-7f, -0x1.28339ap-9f};
  const vf32 c4 = {0x1.6456d2p-8f, 0x1.0d7398p-9f, 0x1.da56aep-9f, 0x1.a879cep-8f, -0x1.b8946ap-13f, 0x1.1e76cp-13f, 0x1.9f82cap-23f, 0x1.6fbadap-17f, -0x1.568b0ep-16f, -0x1.6cac04p-16f, 0x1.25f096p-16f, -0x1.3a8bbep-15f, 0x1.42d9fcp-16f, 0x0p+0f, 0x1.892ec2p-5f, -0x1.72992ap-10f};
  const vf32 c5 = {-0x1.3d87ap-7f, -0x1.c519fap-9f, -0x1.916206p-8f, -0x1.6e15cep-7f, 0x1.8babc4p-12f, 0x1.be1fcep-19f, 0x1.f9219ep-15f, 0x1.36732ep-17f, 0x1.feeecp-18f, 0x1.69f4p-18f, -0x1.6df212p-17f, 0x1.efd67ap-17f, -0x1.2b24c8p-17f, 0x0p+0f, -0x1.5f4b6ep-3f, 0x1.3da744p-8f};
  const vf32 c6 = {0x1.ab50e4p-8f, 0x1.321fa2p-9f, 0x1.0d5564p-8f, 0x1.e9e572p-8f, -0x1.11f11ep-13f, -0x1.a47cdep-18f, -0x1.8d17a6p-16f, -0x1.3f9318p-18f, -0x1.8ab3d6p-20f, -0x1.d00956p-21f, 0x1.f61d5ap-20f, -0x1.476bc8p-19f, 0x1.6fe886p-20f, 0x0p+0f, 0x1.d58ffcp-3f, -0x1.a47002p-8f};
  vi32 at = vbits(l.v) >> 21;
  vf32 r = l.v - vfloat(at << 21), z = r * r;
  vf32 low = vfma(vlookup(c1, at), r, vlookup(c0, at)), middle = vfma(vlookup(c3, at), r, vlookup(c2, at));
  vf32 high = vfma(vlookup(c6, at), z, vfma(vlookup(c5, at), r, vlookup(c4, at)));
  return x * vinverse_cases(l.q, vfma(vfma(high, z, middle), z, low));
}
V vf32 verfinv(vf32 x) { return verfinv_rest(verfinv_first(x), x); }
#else
// Nothing to prepare.
struct verfinv_log {};
V verfinv_log verfinv_first(vf32) { return {}; }
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
V vf32 verfinv_rest(verfinv_log, vf32 x) { return verfinv(x); }
#endif

// ---- gamma functions of positive numbers ----

// log Gamma. Below 3, with t = x or x - 1 in [0, 2], log Gamma(1 + t) = t (t - 1) p(t), less log x where x < 1; above, Stirling's formula with a
// fitted remainder. Numbers that are not positive give NaN.
V vf32 vlgamma_near(vf32 x, vf32 l) {
  vi32 below = x < 1.0f;
  vf32 t = vselect(below, x, x - 1.0f), u = t - 1.0f;
  vf32 p = v_poly(u, u * u, 0x1.b0ee6p-2f, -0x1.9ae648p-4f, 0x1.0e0c68p-5f, -0x1.95d4b6p-7f, 0x1.47ae46p-8f,
                  -0x1.138552p-9f, 0x1.dc2d92p-11f, -0x1.be40ccp-12f, 0x1.a3cd6p-13f, -0x1.b7aa24p-15f, 0x1.126cf8p-16f,
                  -0x1.44f2p-15f, 0x1.59b792p-16f);
  return vfma(t * u, p, vselect(below, vneg(l), vset(0.0f)));
}
V vf32 vlgamma_positive(vf32 x) {
  vi32 small = x < 3.0f;
  vf32 l = vlog(x);
  if (vall(small)) return vlgamma_near(x, l);
  vf32 i = 1.0f / x, v = i * i;
  vf32 r = v_poly(v, v * v, 0x1.555556p-4f, -0x1.6c10ap-9f, 0x1.9b8796p-11f, -0x1.ddd682p-12f);
  vf32 outer = vfma(x - 0.5f, l - 1.0f, vfma(r, i, vset(0x1.acfe39p-2f)));
  return vselect(small, vlgamma_near(x, l), vselect(x == __builtin_inff(), x, outer));
}

// digamma. Below 2, with t = x or x - 1 in [0, 1], (t - t0) p(t) where 1 + t0 is the root, less 1 / x where x < 1; above, the asymptotic series with
// a fitted remainder.
V vf32 vdigamma_near(vf32 x, vf32 i) {
  vi32 below = x < 1.0f;
  vf32 t = vselect(below, x, x - 1.0f), u = t - 0.5f;
  vf32 p = v_poly(u, u * u, 0x1.e6f0ccp-1f, -0x1.b1cb68p-2f, 0x1.eca19cp-3f, -0x1.2febb6p-3f, 0x1.850bfp-4f,
                  -0x1.fc5eccp-5f, 0x1.4ee21cp-5f, -0x1.a66924p-6f, 0x1.16361p-6f, -0x1.0c68e4p-6f, 0x1.6c5196p-7f);
  return vfma((t - 0x1.d8b618p-2f) - 0x1.ab5f2p-27f, p, vselect(below, vneg(i), vset(0.0f)));
}
V vf32 vdigamma_positive(vf32 x) {
  vi32 small = x < 2.0f;
  vf32 i = 1.0f / x, v = i * i;
  if (vall(small)) return vdigamma_near(x, i);
  vf32 r = v_poly(v, v * v, 0x1.555556p-4f, -0x1.110edep-7f, 0x1.0327fcp-8f, -0x1.fd8812p-9f, 0x1.3694b8p-8f, -0x1.e3ee9p-9f);
  vf32 outer = vlog(x) - vfma(r, v, 0.5f * i);
  return vselect(small, vdigamma_near(x, i), outer);
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
// The natural logarithm of a positive normal number as a sum. x = 2^n m with m in [3/4, 3/2); r = m c - 1, where 1 / c is near the middle of one of 16
// intervals of m, is exact for c of five or six bits; the intervals beside 1 have c = 1. n ln 2 - log c is exact but for what `rest` and the product with
// the rest of ln 2 add. Within 2^-34 of itself; `moderate`, where r^2 / 2 is rounded, within 2^-29, enough for exponents up to 16.
struct vpow_log { vf32 high, low; };
template <int moderate>
V vpow_log vpow_parts(vf32 x) {
  const vf32 c = {0x1p+0f, 0x1.dp-1f, 0x1.cp-1f, 0x1.ap-1f, 0x1.9p-1f, 0x1.8p-1f, 0x1.7p-1f, 0x1.6p-1f, 0x1.5p+0f, 0x1.4p+0f, 0x1.38p+0f, 0x1.28p+0f, 0x1.2p+0f, 0x1.18p+0f, 0x1.1p+0f, 0x1p+0f};
  const vf32 upper = {0x0p+0f, 0x1.933p-4f, 0x1.1178p-3f, 0x1.a94p-3f, 0x1.f99p-3f, 0x1.2698p-2f, 0x1.522cp-2f, 0x1.7fbp-2f, -0x1.1674p-2f, -0x1.c9p-3f, -0x1.9528p-3f, -0x1.2958p-3f, -0x1.e27p-4f, -0x1.6f1p-4f, -0x1.f0ap-5f, 0x0p+0f};
  const vf32 rest = {0x0p+0f, 0x1.797566p-18f, 0x1.d044fcp-20f, -0x1.2c3752p-19f, 0x1.c6cb3cp-19f, -0x1.deecb2p-18f, -0x1.1f8c76p-18f, -0x1.7109fap-20f, -0x1.cababap-18f, 0x1.070cacp-20f, 0x1.2b185ep-18f, 0x1.683fp-18f, -0x1.db8abcp-22f, 0x1.6ba8d4p-19f, -0x1.86008cp-20f, 0x0p+0f};
  vf32 m = vmantissa(x);
  vi32 at = vbits(m) >> 19;
  vf32 n = vexponent(x) - vexponent(m);
  vf32 r = vfma(m, vlookup(c, at), vset(-1.0f)), z = r * r;
  vf32 a = vfma(n, vset(0x1.62e4p-1f), vlookup(upper, at)), small = vfma(n, vset(0x1.7f7d1cp-20f), vlookup(rest, at));
  if (moderate) {
    vf32 tail = v_poly(r, z, -0.5f, 0x1.555556p-2f, -0x1p-2f, 0x1.999596p-3f, -0x1.559d2cp-3f, 0x1.1de144p-3f), high = a + r;
    return {high, vfma(tail, z, (r - (high - a)) + small)};
  }
  vf32 tail = v_poly(r, z, 0x1.555556p-2f, -0x1p-2f, 0x1.999596p-3f, -0x1.559d2cp-3f, 0x1.1de144p-3f);
  vf32 half = r * -0.5f, s = vfma(half, r, r), high = a + s;
  return {high, vfma(tail, z * r, (s - (high - a)) + (small + vfma(half, r, r - s)))};
}
V vpow_log vpow_first(vf32 x) { return vpow_parts<0>(x); }
V vpow_log vpow_first_moderate(vf32 x) { return vpow_parts<1>(x); }
// Whether vpow_rest gives a^b: for normal positive numbers to moderate powers.
V int vpow_easy(vf32 a, vf32 b) { return vall(((vu32)vbits(a) - 0x800000u < (vu32){} + 0x7f000000u) & (vabs(b) < 0x1p11f)); }
// e^(b log a) = 2^p: a whole number, a sixteenth and a series. What the products lost in rounding enters where the rest is small.
V vf32 vpow_rest(vpow_log l, vf32 a, vf32 b) {
  if (__builtin_expect(!vpow_easy(a, b), 0)) return vpow_any(a, b);
  const vf32 roots = {0x1p+0f, 0x1.0b5586p+0f, 0x1.172b84p+0f, 0x1.2387a6p+0f, 0x1.306fep+0f, 0x1.3dea64p+0f, 0x1.4bfdaep+0f, 0x1.5ab07ep+0f, 0x1.6a09e6p+0f, 0x1.7a1148p+0f, 0x1.8ace54p+0f, 0x1.9c4918p+0f, 0x1.ae89fap+0f, 0x1.c199bep+0f, 0x1.d5818ep+0f, 0x1.ea4afap+0f};
  vf32 h = b * 0x1.715476p+0f, lost = vfma(b, vset(0x1.4ae0cp-26f), vfma(b, vset(0x1.715476p+0f), -h));
  vf32 p = l.high * h, e = vfma(l.low, h, vfma(l.high, lost, vfma(l.high, h, -p)));
  vf32 t = (p + e) + 0x1.8p19f, k = t - 0x1.8p19f, f = (p - k) + e, root = vlookup(roots, vbits(t));
  vf32 u = vfma(vfma(f, vset(0x1.c6afap-5f), vset(0x1.ebfbep-3f)), f, vset(0x1.62e43p-1f)) * f;
  return vscale(vfma(root, u, root), k);
}
V vf32 vpow(vf32 a, vf32 b) { return vpow_rest(vpow_first(a), a, b); }
#else
// Nothing to prepare.
struct vpow_log {};
V vpow_log vpow_first(vf32) { return {}; }
V vpow_log vpow_first_moderate(vf32) { return {}; }
TESSERA_BINARY(pow)
V vf32 vpow_rest(vpow_log, vf32 a, vf32 b) { return vpow(a, b); }
#endif
// x^(3/2) and x^(5/2), by the root and what its rounding, and that of x times it, lost.
template <int n>
V vf32 vpow_half(vf32 x) {
  // Beyond, the result is infinite, and nothing before it.
  vf32 c = vatmost(x, n == 1 ? 0x1p90f : 0x1p60f), s = vsqrt(c);
#if TESSERA_FMA
  vf32 lost = vfma(s, -s, c) * (0.5f * s), t = c * s;
  vf32 r = n == 1 ? vfma(c, s, lost) : vfma(t, c, (vfma(c, s, -t) + lost) * c);
#else
  vf32 r = n == 1 ? c * s : c * c * s;
#endif
#if TESSERA_TABLES
  return vinfinite_powers(x, r);
#else
  return vselect(vabs(x) == __builtin_inff(), vset(__builtin_inff()), vabs(r));
#endif
}

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
  return vselect(r == 0.0f, vcopysign(vset(0.0f), a), vselect(apart, r + b, r));
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
  return vselect(r == 0.0, vd_sign(vsetd(0.0), a), vselect(apart, r + b, r));
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
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
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
