// Functions of numbers for generated kernels, after prelude.h: integers, extrema, floating point, bits, random bits. Each has one name for scalars and vectors.

// ---- integers: division never traps ----
TSR long tsr_floor_div(long a, long b) { if (b == 0) return 0; if (b == -1) return -a; long q = a / b; return q - ((a % b != 0) & ((a < 0) != (b < 0))); }
TSR long tsr_floor_mod(long a, long b) { if (b == 0 || b == -1) return 0; long r = a % b; return r + (((r != 0) & ((r < 0) != (b < 0))) ? b : 0); }
TSR long tsr_trunc_div(long a, long b) { return b == 0 ? 0 : b == -1 ? -a : a / b; }
TSR long tsr_trunc_mod(long a, long b) { return b == 0 || b == -1 ? 0 : a % b; }
TSR long tsr_min(long a, long b) { return a < b ? a : b; }
TSR long tsr_max(long a, long b) { return a > b ? a : b; }
static long tsr_ipow(long a, long b) {
  if (b < 0) return a == 1 ? 1 : a == -1 ? (b % 2 == 0 ? 1 : -1) : 0;
  long r = 1;
  for (; b > 0; b >>= 1, a *= a) if (b & 1) r *= a;
  return r;
}
// The greatest common divisor of absolute values, by the numbers without signs.
static long tsr_gcd(long a, long b) {
  unsigned long x = a < 0 ? 0ul - (unsigned long)a : (unsigned long)a, y = b < 0 ? 0ul - (unsigned long)b : (unsigned long)b;
  while (y != 0) { const unsigned long r = x % y; x = y; y = r; }
  return (long)x;
}
TSR long tsr_shl(long a, long b) { return b < 0 || b > 63 ? 0 : a << b; }
TSR long tsr_shr(long a, long b) { return b < 0 || b > 63 ? (a < 0 ? -1 : 0) : a >> b; }
#define TSR_INT_SCALARS(name)                                                                              \
  TSR int name(int a, int b) { return (int)name((long)a, (long)b); }                                       \
  TSR unsigned name(unsigned a, unsigned b) { return (unsigned)name((long)a, (long)b); }
#define TSR_INT_LANES(name, type) TSR type name(type a, type b) { for (int i = 0; i < VW; i++) a[i] = name(a[i], b[i]); return a; }
#define TSR_LONG_LANES(kind, name, call)                                                                   \
  kind vl2 name(vl2 a, vl2 b) {                                                                             \
    for (int i = 0; i < VH; i++) { a.a[i] = call((long)a.a[i], (long)b.a[i]); a.b[i] = call((long)a.b[i], (long)b.b[i]); } \
    return a;                                                                                              \
  }
TSR_INT_SCALARS(tsr_floor_div)
TSR_INT_SCALARS(tsr_floor_mod)
TSR_INT_SCALARS(tsr_trunc_div)
TSR_INT_SCALARS(tsr_trunc_mod)
TSR_INT_SCALARS(tsr_ipow)
TSR_INT_SCALARS(tsr_gcd)
TSR_INT_SCALARS(tsr_shl)
TSR_INT_SCALARS(tsr_shr)
TSR_INT_LANES(tsr_floor_div, vu32)
TSR_INT_LANES(tsr_floor_mod, vu32)
TSR_INT_LANES(tsr_trunc_div, vu32)
TSR_INT_LANES(tsr_trunc_mod, vu32)
TSR_INT_LANES(tsr_ipow, vi32)
TSR_INT_LANES(tsr_ipow, vu32)
TSR_LONG_LANES(TSR, tsr_ipow, tsr_ipow)
TSR_INT_LANES(tsr_gcd, vu32)
TSR_LONG_LANES(TSR, tsr_gcd, tsr_gcd)
// Stein's algorithm on several registers at once, which hides what each step waits for, and mispredicted ends: where u and v are odd,
// min(u, v) and the odd part of |u - v| have their divisors. Both are kept less 1, so that 0 is larger than all, and the other one stays.
#if TESSERA_AVX512 && !TESSERA_CLANG && defined(__AVX512CD__)
TSR vi32 tsr_unsigned_min(vi32 a, vi32 b) { return __builtin_ia32_pminud512_mask(a, b, a, (unsigned short)-1); }
TSR vi32 tsr_distance(vi32 a) { return __builtin_ia32_pabsd512_mask(a, a, (unsigned short)-1); }
// The zeros above the lowest bit that is set; 32 for 0.
TSR vi32 tsr_above_lowest(vi32 x) { const vi32 low = x & -x; return __builtin_ia32_vplzcntd_512_mask(low, low, (unsigned short)-1); }
TSR vi32 tsr_rotate(vi32 x, vi32 n) { return __builtin_ia32_prolvd512_mask(x, n, x, (unsigned short)-1); }
template <int n>
TSR void tsr_gcd_all(vi32 (&a)[n], const vi32 (&b)[n]) {
  vi32 above[n], u[n], v[n], least = vset(-1), more;
#pragma GCC unroll 8
  for (int i = 0; i < n; i++) {
    u[i] = tsr_distance(a[i]);
    v[i] = tsr_distance(b[i]);
    least = tsr_unsigned_min(least, tsr_unsigned_min(u[i], v[i]));
  }
  if (__builtin_expect(vany(least == 0), 0)) {
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) {
      u[i] = vselect(u[i] == 0, v[i], u[i]);
      v[i] = vselect(v[i] == 0, u[i], v[i]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < n; i++) {
    const vi32 x = tsr_above_lowest(u[i]), y = tsr_above_lowest(v[i]);
    above[i] = vmax(x, y);
    u[i] = tsr_rotate(u[i], x + 1) - 1;
    v[i] = tsr_rotate(v[i], y + 1) - 1;
  }
  do {
    more = (vi32){};
#pragma GCC unroll 2
    for (int step = 0; step < 2; step++) {
#pragma GCC unroll 8
      for (int i = 0; i < n; i++) {
        const vi32 d = tsr_distance(u[i] - v[i]);
        v[i] = tsr_unsigned_min(u[i], v[i]);
        const vi32 odd = tsr_rotate(d + d, tsr_above_lowest(d));
        u[i] = odd - 1;
        if (step == 1) more |= tsr_unsigned_min(odd, u[i] ^ v[i]);
      }
    }
  } while (vany(more != 0));
#pragma GCC unroll 8
  for (int i = 0; i < n; i++) a[i] = (v[i] + 1) << ((31 - above[i]) & 31);
}
TSR vi32 tsr_gcd(vi32 a, vi32 b) { vi32 x[1] = {a}; const vi32 y[1] = {b}; tsr_gcd_all(x, y); return x[0]; }
#else
TSR_INT_LANES(tsr_gcd, vi32)
template <int n>
TSR void tsr_gcd_all(vi32 (&a)[n], const vi32 (&b)[n]) { for (int i = 0; i < n; i++) a[i] = tsr_gcd(a[i], b[i]); }
#endif
// Quotients of 32 bits in f64, of 24 bits in f32: rounding reaches no whole number that the quotient does not. What is divided by 0 is 0.
// Both stand in line: around a call registers go to memory and back, whether it is made or not.
struct tsr_division { vi32 quotient, rest; };
TSR vi32 tsr_quotient_wide(vi32 a, vi32 b) {
#if TESSERA_AVX512 && !TESSERA_CLANG
  const vd low = __builtin_ia32_cvtdq2pd512_mask(vlow(a), (vd){}, (unsigned char)-1) / __builtin_ia32_cvtdq2pd512_mask(vlow(b), (vd){}, (unsigned char)-1);
  const vd high = __builtin_ia32_cvtdq2pd512_mask(vhigh(a), (vd){}, (unsigned char)-1) / __builtin_ia32_cvtdq2pd512_mask(vhigh(b), (vd){}, (unsigned char)-1);
  return vjoin(__builtin_ia32_cvttpd2dq512_mask(low, (vi32h){}, (unsigned char)-1, 4), __builtin_ia32_cvttpd2dq512_mask(high, (vi32h){}, (unsigned char)-1, 4));
#else
  const vd low = __builtin_convertvector(vlow(a), vd) / __builtin_convertvector(vlow(b), vd);
  const vd high = __builtin_convertvector(vhigh(a), vd) / __builtin_convertvector(vhigh(b), vd);
  return vjoin(__builtin_convertvector(low, vi32h), __builtin_convertvector(high, vi32h));
#endif
}
TSR vi32 tsr_quotient(vi32 a, vi32 b) {
  const vi32 wide = ((a ^ (a >> 31)) | (b ^ (b >> 31))) >> 24;
  return __builtin_expect(vany(wide != 0), 0) ? tsr_quotient_wide(a, b) : vto_i32(vto_f32(a) / vto_f32(b));
}
TSR tsr_division tsr_divide(vi32 a, vi32 b) {
  const vi32 none = b == 0, q = tsr_quotient(a, vselect(none, vset(1), b));
  return {vselect(none, vset(0), q), vselect(none, vset(0), a - q * b)};
}
TSR vi32 tsr_apart(tsr_division d, vi32 b) { return (d.rest != 0) & ((d.rest ^ b) < 0); }
TSR vi32 tsr_trunc_div(vi32 a, vi32 b) { return tsr_divide(a, b).quotient; }
TSR vi32 tsr_trunc_mod(vi32 a, vi32 b) { return tsr_divide(a, b).rest; }
TSR vi32 tsr_floor_div(vi32 a, vi32 b) { const tsr_division d = tsr_divide(a, b); return d.quotient + tsr_apart(d, b); }
TSR vi32 tsr_floor_mod(vi32 a, vi32 b) { const tsr_division d = tsr_divide(a, b); return d.rest + (b & tsr_apart(d, b)); }
// Numbers of 64 bits that fit 31, as positions and counts do.
TSR int tsr_fit(vl2 a, vl2 b) {
  const vl wide = ((a.a + 0x40000000l) | (a.b + 0x40000000l) | (b.a + 0x40000000l) | (b.b + 0x40000000l)) >> 31;
  return vall((vi32)(wide == 0));
}
#define TSR_LONG_DIVISION(name)                                                                            \
  TSR_LONG_LANES(__attribute__((noinline, cold, unused)) static, name##_far, name)                         \
  static __attribute__((noinline, unused)) vl2 name(vl2 a, vl2 b) {                                        \
    if (__builtin_expect(tsr_fit(a, b), 1)) {                                                              \
      const vi32 r = name(vnarrow(a.a, a.b), vnarrow(b.a, b.b));                                           \
      return {vwiden_low(r), vwiden_high(r)};                                                              \
    }                                                                                                      \
    return name##_far(a, b);                                                                               \
  }
TSR_LONG_DIVISION(tsr_trunc_div)
TSR_LONG_DIVISION(tsr_trunc_mod)
TSR_LONG_DIVISION(tsr_floor_div)
TSR_LONG_DIVISION(tsr_floor_mod)
// Counts below 0 or beyond the width shift everything out.
TSR vi32 tsr_shl(vi32 a, vi32 b) { return vselect((vi32)((vu32)b < 32u), a << (b & 31), vset(0)); }
TSR vi32 tsr_shr(vi32 a, vi32 b) { return a >> vselect((vi32)((vu32)b < 32u), b, vset(31)); }
TSR vu32 tsr_shl(vu32 a, vu32 b) { return (vu32)vselect((vi32)(b < 32u), (vi32)(a << (b & 31u)), vset(0)); }
TSR vu32 tsr_shr(vu32 a, vu32 b) { return (vu32)vselect((vi32)(b < 32u), (vi32)(a >> (b & 31u)), vset(0)); }
TSR_LONG_LANES(TSR, tsr_shl, tsr_shl)
TSR_LONG_LANES(TSR, tsr_shr, tsr_shr)
// Index arithmetic on lanes: a in 32 bits, b > 0. The half makes the product with the rounded reciprocal floor correctly.
TSR vi32 tsr_div(vi32 a, int b) {
  const double inverse = 1.0 / b;
  vd low = (__builtin_convertvector(vlow(a), vd) + 0.5) * inverse, high = (__builtin_convertvector(vhigh(a), vd) + 0.5) * inverse;
  vl fl = (vl)(vtrunc(low) > low), fh = (vl)(vtrunc(high) > high);
  return vnarrow(__builtin_convertvector(vtrunc(low), vl) + fl, __builtin_convertvector(vtrunc(high), vl) + fh);
}
TSR vi32 tsr_rem(vi32 a, int b) { return a - tsr_div(a, b) * b; }

// ---- larger and smaller, NaN first ----
TSR float tsr_maximum(float a, float b) { return a > b || a != a ? a : b; }
TSR float tsr_minimum(float a, float b) { return a < b || a != a ? a : b; }
TSR double tsr_maximum(double a, double b) { return a > b || a != a ? a : b; }
TSR double tsr_minimum(double a, double b) { return a < b || a != a ? a : b; }
TSR int tsr_maximum(int a, int b) { return a > b ? a : b; }
TSR int tsr_minimum(int a, int b) { return a < b ? a : b; }
TSR unsigned tsr_maximum(unsigned a, unsigned b) { return a > b ? a : b; }
TSR unsigned tsr_minimum(unsigned a, unsigned b) { return a < b ? a : b; }
TSR long tsr_maximum(long a, long b) { return a > b ? a : b; }
TSR long tsr_minimum(long a, long b) { return a < b ? a : b; }
TSR vf32 tsr_maximum(vf32 a, vf32 b) { return vmax(a, b); }
TSR vf32 tsr_minimum(vf32 a, vf32 b) { return vmin(a, b); }
TSR vi32 tsr_maximum(vi32 a, vi32 b) { return vmax(a, b); }
TSR vi32 tsr_minimum(vi32 a, vi32 b) { return vmin(a, b); }
TSR vu32 tsr_maximum(vu32 a, vu32 b) { return a > b ? a : b; }
TSR vu32 tsr_minimum(vu32 a, vu32 b) { return a < b ? a : b; }
TSR vd2 tsr_maximum(vd2 a, vd2 b) { return tsr_where((a > b) | (a != a), a, b); }
TSR vd2 tsr_minimum(vd2 a, vd2 b) { return tsr_where((a < b) | (a != a), a, b); }
TSR vl2 tsr_maximum(vl2 a, vl2 b) { return tsr_where(a > b, a, b); }
TSR vl2 tsr_minimum(vl2 a, vl2 b) { return tsr_where(a < b, a, b); }

// ---- floating point functions ----
static double tsr_digamma_d(double x) {
  if (x == 0) return __builtin_signbit(x) ? __builtin_inf() : -__builtin_inf();
  double add = 0;
  if (x < 0) {
    if (x == __builtin_floor(x)) return __builtin_nan("");
    add = -3.14159265358979323846 / __builtin_tan(3.14159265358979323846 * x);
    x = 1 - x;
  }
  for (; x < 10; x += 1) add -= 1 / x;
  double z = 1 / (x * x);
  return add + __builtin_log(x) - 0.5 / x -
         z * (1.0 / 12 - z * (1.0 / 120 - z * (1.0 / 252 - z * (1.0 / 240 - z * (1.0 / 132 - z * 691.0 / 32760)))));
}
static double tsr_erfinv_d(double x) {
  if (!(x >= -1 && x <= 1)) return __builtin_nan("");
  if (x == 1 || x == -1) return x * __builtin_inf();
  double w = __builtin_log((1 - x) * (1 + x)), t = 2 / (3.14159265358979323846 * 0.147) + w / 2;
  double y = __builtin_copysign(__builtin_sqrt(__builtin_sqrt(t * t - w / 0.147) - t), x);
  for (int i = 0; i < 4; i++) {
    double a = __builtin_fabs(x);
    double e = a < 0.5 ? __builtin_erf(y) - x : (x < 0 ? -1.0 : 1.0) * ((1 - a) - __builtin_erfc(__builtin_fabs(y)));
    y -= e / (1.12837916709551257390 * __builtin_exp(-y * y));
  }
  return y;
}
TSR double tsr_sigmoid_d(double x) { return 1 / (1 + __builtin_exp(-x)); }
TSR double tsr_rsqrt_d(double x) { return 1 / __builtin_sqrt(x); }
TSR double tsr_pow_d(double a, double b) { return __builtin_pow(a, b); }
TSR double tsr_lgamma_d(double x) { return __builtin_lgamma(x); }

#define TSR_LANES1(name, type, n, part, call) TSR type name(type x) { for (int i = 0; i < n; i++) x[i] = call(x[i]); return x; }
// A function that vec.h has for vf32; scalars and f64 lanes go to the C library.
#define TSR_FAST1(name, vector, call)                                                                      \
  TSR float name(float x) { return (float)call((double)x); }                                               \
  TSR double name(double x) { return call(x); }                                                            \
  TSR vf32 name(vf32 x) { return vector(x); }                                                              \
  TSR vd2 name(vd2 x) { for (int i = 0; i < VH; i++) { x.a[i] = call(x.a[i]); x.b[i] = call(x.b[i]); } return x; }
// Lanes that are not positive go to the scalar function.
#define TSR_POSITIVE(name, vector, call)                                                                   \
  __attribute__((noinline, cold, unused)) static vf32 name##_any(vf32 x, vf32 y) {                         \
    for (int i = 0; i < VW; i++) if (!(x[i] > 0)) y[i] = (float)call((double)x[i]);                        \
    return y;                                                                                              \
  }                                                                                                        \
  TSR vf32 name(vf32 x) {                                                                                  \
    const vf32 y = vector(x);                                                                              \
    return __builtin_expect(vall(x > 0.0f), 1) ? y : name##_any(x, y);                                     \
  }
TSR_POSITIVE(tsr_vlgamma, vlgamma_positive, tsr_lgamma_d)
TSR_POSITIVE(tsr_vdigamma, vdigamma_positive, tsr_digamma_d)
#define TSR_FAST2(name, vector, call)                                                                      \
  TSR float name(float x, float y) { return (float)call((double)x, (double)y); }                           \
  TSR double name(double x, double y) { return call(x, y); }                                               \
  TSR vf32 name(vf32 x, vf32 y) { return vector(x, y); }                                                   \
  TSR vd2 name(vd2 x, vd2 y) { for (int i = 0; i < VH; i++) { x.a[i] = call(x.a[i], y.a[i]); x.b[i] = call(x.b[i], y.b[i]); } return x; }
#define TSR_SLOW2(name, call)                                                                              \
  TSR float name(float x, float y) { return (float)call((double)x, (double)y); }                           \
  TSR double name(double x, double y) { return call(x, y); }                                               \
  TSR vf32 name(vf32 x, vf32 y) { for (int i = 0; i < VW; i++) x[i] = (float)call((double)x[i], (double)y[i]); return x; } \
  TSR vd2 name(vd2 x, vd2 y) { for (int i = 0; i < VH; i++) { x.a[i] = call(x.a[i], y.a[i]); x.b[i] = call(x.b[i], y.b[i]); } return x; }
TSR_FAST1(tsr_exp, vexp, __builtin_exp)
TSR_FAST1(tsr_exp2, vexp2, __builtin_exp2)
TSR_FAST1(tsr_expm1, vexpm1, __builtin_expm1)
TSR_FAST1(tsr_log, vlog, __builtin_log)
TSR_FAST1(tsr_log2, vlog2, __builtin_log2)
TSR_FAST1(tsr_log10, vlog10, __builtin_log10)
TSR_FAST1(tsr_log1p, vlog1p, __builtin_log1p)
TSR_FAST1(tsr_sin, vsin, __builtin_sin)
TSR_FAST1(tsr_cos, vcos, __builtin_cos)
TSR_FAST1(tsr_tan, vtan, __builtin_tan)
TSR_FAST1(tsr_asin, vasin, __builtin_asin)
TSR_FAST1(tsr_acos, vacos, __builtin_acos)
TSR_FAST1(tsr_atan, vatan, __builtin_atan)
TSR_FAST1(tsr_sinh, vsinh, __builtin_sinh)
TSR_FAST1(tsr_cosh, vcosh, __builtin_cosh)
TSR_FAST1(tsr_tanh, vtanh, __builtin_tanh)
TSR_FAST1(tsr_erf, verf, __builtin_erf)
TSR_FAST1(tsr_erfc, verfc, __builtin_erfc)
TSR_FAST1(tsr_sigmoid, vsigmoid, tsr_sigmoid_d)
TSR_FAST1(tsr_asinh, vasinh, __builtin_asinh)
TSR_FAST1(tsr_acosh, vacosh, __builtin_acosh)
TSR_FAST1(tsr_atanh, vatanh, __builtin_atanh)
TSR_FAST1(tsr_lgamma, tsr_vlgamma, tsr_lgamma_d)
TSR_FAST1(tsr_digamma, tsr_vdigamma, tsr_digamma_d)
TSR_FAST1(tsr_erfinv, verfinv, tsr_erfinv_d)
TSR_FAST2(tsr_atan2, vatan2, __builtin_atan2)
TSR_FAST2(tsr_pow, vpow, tsr_pow_d)
TSR_FAST2(tsr_hypot, vhypot, __builtin_hypot)
TSR_FAST2(tsr_ffloor_div, vfloor_div, tessera_floor_div)
TSR_FAST2(tsr_ffloor_mod, vfloor_mod, tessera_floor_mod)
TSR_FAST2(tsr_ftrunc_mod, vfmod, __builtin_fmod)
TSR_SLOW2(tsr_copysign_d2, __builtin_copysign)
TSR float tsr_nextafter(float a, float b) { return __builtin_nextafterf(a, b); }
TSR double tsr_nextafter(double a, double b) { return __builtin_nextafter(a, b); }
TSR vf32 tsr_nextafter(vf32 a, vf32 b) { return vnextafter(a, b); }
TSR vd2 tsr_nextafter(vd2 a, vd2 b) { for (int i = 0; i < VH; i++) { a.a[i] = __builtin_nextafter(a.a[i], b.a[i]); a.b[i] = __builtin_nextafter(a.b[i], b.b[i]); } return a; }
TSR float tsr_sqrt(float x) { return __builtin_sqrtf(x); }
TSR double tsr_sqrt(double x) { return __builtin_sqrt(x); }
TSR vf32 tsr_sqrt(vf32 x) { return vsqrt(x); }
TSR vd2 tsr_sqrt(vd2 x) { return {vsqrt(x.a), vsqrt(x.b)}; }
TSR float tsr_rsqrt(float x) { return 1 / __builtin_sqrtf(x); }
TSR double tsr_rsqrt(double x) { return 1 / __builtin_sqrt(x); }
TSR vf32 tsr_rsqrt(vf32 x) { return vrsqrt(x); }
TSR vd2 tsr_rsqrt(vd2 x) { return 1.0 / tsr_sqrt(x); }
TSR float tsr_reciprocal(float x) { return 1 / x; }
TSR double tsr_reciprocal(double x) { return 1 / x; }
TSR vf32 tsr_reciprocal(vf32 x) { return 1.0f / x; }
TSR vd2 tsr_reciprocal(vd2 x) { return 1.0 / x; }
TSR float tsr_abs(float x) { return __builtin_fabsf(x); }
TSR double tsr_abs(double x) { return __builtin_fabs(x); }
TSR vf32 tsr_abs(vf32 x) { return vabs(x); }
TSR vd2 tsr_abs(vd2 x) { return {vd_abs(x.a), vd_abs(x.b)}; }
TSR int tsr_abs(int x) { return x < 0 ? -x : x; }
TSR long tsr_abs(long x) { return x < 0 ? -x : x; }
TSR unsigned tsr_abs(unsigned x) { return x; }
TSR vi32 tsr_abs(vi32 x) { return x < 0 ? -x : x; }
TSR vu32 tsr_abs(vu32 x) { return x; }
TSR vl2 tsr_abs(vl2 x) { return tsr_where(x < 0l, -x, x); }
TSR float tsr_neg(float x) { return -x; }
TSR double tsr_neg(double x) { return -x; }
TSR vf32 tsr_neg(vf32 x) { return vneg(x); }
TSR vd2 tsr_neg(vd2 x) { return -x; }
template <typename T>
TSR T tsr_neg(T x) { return -x; }
TSR float tsr_copysign(float a, float b) { return __builtin_copysignf(a, b); }
TSR double tsr_copysign(double a, double b) { return __builtin_copysign(a, b); }
TSR vf32 tsr_copysign(vf32 a, vf32 b) { return vcopysign(a, b); }
TSR vd2 tsr_copysign(vd2 a, vd2 b) { return {vd_sign(vd_abs(a.a), (vd)((vl)b.a)), vd_sign(vd_abs(a.b), b.b)}; }
#define TSR_ROUNDING(name, vector, call)                                                                   \
  TSR float name(float x) { return call##f(x); }                                                           \
  TSR double name(double x) { return call(x); }                                                            \
  TSR vf32 name(vf32 x) { return vector(x); }                                                              \
  TSR vd2 name(vd2 x) { for (int i = 0; i < VH; i++) { x.a[i] = call(x.a[i]); x.b[i] = call(x.b[i]); } return x; }
TSR_ROUNDING(tsr_floor, vfloor, __builtin_floor)
TSR_ROUNDING(tsr_ceil, vceil, __builtin_ceil)
TSR_ROUNDING(tsr_trunc, vtrunc, __builtin_trunc)
TSR_ROUNDING(tsr_round, vround, __builtin_rint)
TSR int tsr_signbit(float x) { return __builtin_signbit(x) != 0; }
TSR int tsr_signbit(double x) { return __builtin_signbit(x) != 0; }
TSR vi32 tsr_signbit(vf32 x) { return vbits(x) < 0; }
TSR vi32 tsr_signbit(vd2 x) { return vnarrow((vl)x.a < 0, (vl)x.b < 0); }
TSR int tsr_isinf(float x) { return __builtin_fabsf(x) == __builtin_inff(); }
TSR int tsr_isinf(double x) { return __builtin_fabs(x) == __builtin_inf(); }
TSR vi32 tsr_isinf(vf32 x) { return vabs(x) == __builtin_inff(); }
TSR vi32 tsr_isinf(vd2 x) { return tsr_abs(x) == __builtin_inf(); }
TSR float tsr_fma(float a, float b, float c) {
#ifdef __FP_FAST_FMAF
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}
TSR double tsr_fma(double a, double b, double c) { return a * b + c; }
TSR vf32 tsr_fma(vf32 a, vf32 b, vf32 c) { return vfma(a, b, c); }
TSR vd2 tsr_fma(vd2 a, vd2 b, vd2 c) { return {vfma(a.a, b.a, c.a), vfma(a.b, b.b, c.b)}; }
template <typename T>
TSR T tsr_fma(T a, T b, T c) { return a * b + c; }
TSR double tsr_logaddexp(double a, double b) {
  if (a == b) return a + 0.693147180559945309417;
  return tsr_maximum(a, b) + __builtin_log1p(__builtin_exp(-__builtin_fabs(a - b)));
}
TSR float tsr_logaddexp(float a, float b) { return (float)tsr_logaddexp((double)a, (double)b); }
TSR vf32 tsr_logaddexp(vf32 a, vf32 b) { return vlogaddexp(a, b); }
TSR vd2 tsr_logaddexp(vd2 a, vd2 b) { for (int i = 0; i < VH; i++) { a.a[i] = tsr_logaddexp((double)a.a[i], (double)b.a[i]); a.b[i] = tsr_logaddexp((double)a.b[i], (double)b.b[i]); } return a; }

// ---- bits ----
TSR vi32 tsr_bits_i32(vf32 x) { return vbits(x); }
TSR vf32 tsr_bits_f32(vi32 x) { return vfloat(x); }
TSR vf32 tsr_bits_f32(vu32 x) { return (vf32)x; }
TSR vl2 tsr_bits_i64(vd2 x) { return {(vl)x.a, (vl)x.b}; }
TSR vd2 tsr_bits_f64(vl2 x) { return {(vd)x.a, (vd)x.b}; }
// An entry of a table of 16 or 32, by the low bits of its position.
template <int n>
TSR float tsr_lookup(const float (&table)[n], int at) { return table[at & (n - 1)]; }
template <int n>
TSR vf32 tsr_lookup(const float (&table)[n], vi32 at) {
#if TESSERA_TABLES
  return n == 16 ? vlookup(vload(table), at) : vlookup(vload(table), vload(table + n - 16), at);
#else
  return vgather(table, at & (n - 1));
#endif
}
TSR int tsr_bits_i32(float x) { int r; __builtin_memcpy(&r, &x, 4); return r; }
TSR float tsr_bits_f32(int x) { float r; __builtin_memcpy(&r, &x, 4); return r; }
TSR float tsr_bits_f32(unsigned x) { float r; __builtin_memcpy(&r, &x, 4); return r; }
TSR long tsr_bits_i64(double x) { long r; __builtin_memcpy(&r, &x, 8); return r; }
TSR double tsr_bits_f64(long x) { double r; __builtin_memcpy(&r, &x, 8); return r; }
TSR vi32 tsr_bits_of_f16(vf32 x) { return (__builtin_convertvector(vto_f16(x), vi32) << 16) >> 16; }
TSR vi32 tsr_bits_of_bf16(vf32 x) { return (__builtin_convertvector(vto_bf16(x), vi32) << 16) >> 16; }
TSR vf32 tsr_f16_of_bits(vi32 x) { return vfrom_f16(__builtin_convertvector(x, vu16)); }
TSR vf32 tsr_bf16_of_bits(vi32 x) { return vfrom_bf16(__builtin_convertvector(x, vu16)); }
TSR int tsr_bits_of_f16(float x) { return tsr_bits_of_f16(vset(x))[0]; }
TSR int tsr_bits_of_bf16(float x) { return tsr_bits_of_bf16(vset(x))[0]; }
TSR float tsr_f16_of_bits(int x) { return tsr_f16_of_bits(vset(x))[0]; }
TSR float tsr_bf16_of_bits(int x) { return tsr_bf16_of_bits(vset(x))[0]; }

// ---- random bits: word `position mod 4` of block `position div 4` ----
TSR vu32 tsr_philox_words(vphilox_block w, vi32 lane) {
  vi32 which = lane & 3;
  vu32 low = (which & 1) ? w.w[1] : w.w[0], high = (which & 1) ? w.w[3] : w.w[2];
  return (which & 2) ? high : low;
}
TSR vu32 tsr_philox(long seed, long stream, vl2 position) {
  vl2 block = {position.a >> 2, position.b >> 2};
  vl2 upper = {block.a >> 32, block.b >> 32};
  vu32 zero = {};
  return tsr_philox_words(vphilox((vu32)tsr_i32(block), (vu32)tsr_i32(upper), zero + (unsigned)stream,
                                  zero + (unsigned)((unsigned long)stream >> 32), (unsigned)seed,
                                  (unsigned)((unsigned long)seed >> 32)), tsr_i32(position));
}
TSR vu32 tsr_philox(long seed, long stream, vi32 position) {
  vu32 zero = {};
  return tsr_philox_words(vphilox((vu32)(position >> 2), zero, zero + (unsigned)stream,
                                  zero + (unsigned)((unsigned long)stream >> 32), (unsigned)seed,
                                  (unsigned)((unsigned long)seed >> 32)), position);
}
TSR unsigned tsr_philox(long seed, long stream, long position) { return tsr_philox(seed, stream, tsr_set(position))[0]; }
TSR vu32 tsr_philox(vl2 seed, vl2 stream, vl2 position) {
  vu32 r;
  for (int i = 0; i < VW; i++) {
    const int h = i >= VH, j = h ? i - VH : i;
    r[i] = tsr_philox(h ? seed.b[j] : seed.a[j], h ? stream.b[j] : stream.a[j], (long)(h ? position.b[j] : position.a[j]));
  }
  return r;
}
