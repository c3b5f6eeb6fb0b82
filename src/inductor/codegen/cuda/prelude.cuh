// What generated CUDA kernels need: every operation of the tile IR under the names that the C++ emitter uses, on scalars.
//
// No header is included. Types: f16 and bf16 are storage and compute in float; integers of fewer than 32 bits compute in int; bool is an int of 0 and 1.
// With TSR_EMULATED the text compiles for a processor: whoever defines it brings conversions, shuffles and atomics (tests do).

#ifndef TSR_EMULATED
#define __builtin_nanf(x) __int_as_float(0x7fc00000)
#define __builtin_nan(x) __longlong_as_double(0x7ff8000000000000ll)
#define __builtin_inff() __int_as_float(0x7f800000)
#define __builtin_inf() __longlong_as_double(0x7ff0000000000000ll)
// Shared memory whose size the launch gives.
#define TSR_DYNAMIC(name) extern __shared__ __align__(1024) unsigned char name[]
#endif
#pragma nv_diag_suppress 186
#pragma nv_diag_suppress 177
#define TSR static __device__ __forceinline__

// A kernel that was launched to begin before the one ahead of it in the stream has ended waits here until that one has, and all it wrote is there (compute
// capability 9.0 and later; without such a launch, and before, this is nothing). The next kernel begins when all blocks are done.
#ifndef TSR_EMULATED
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
TSR void tsr_wait_previous() { asm volatile("griddepcontrol.wait;" ::: "memory"); }
#else
TSR void tsr_wait_previous() {}
#endif
#endif

struct f16 { unsigned short x; };
struct bf16 { unsigned short x; };
// Floats of eight bits: four of exponent without infinities, or five.
struct e4m3 { unsigned char x; };
struct e5m2 { unsigned char x; };

// ---- half types ----
#ifndef TSR_EMULATED
TSR float tsr_widen(f16 h) { float r; asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(h.x)); return r; }
TSR float tsr_widen(bf16 h) { return __int_as_float((int)h.x << 16); }
TSR f16 tsr_to_f16(float x) { f16 r; asm("cvt.rn.f16.f32 %0, %1;" : "=h"(r.x) : "f"(x)); return r; }
TSR bf16 tsr_to_bf16(float x) { bf16 r; asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(r.x) : "f"(x)); return r; }
// Two at once: the first in the low half.
TSR unsigned tsr_pack_f16(float a, float b) { unsigned r; asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(b), "f"(a)); return r; }
TSR unsigned tsr_pack_bf16(float a, float b) { unsigned r; asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(b), "f"(a)); return r; }
#endif
// Eight bits are a part of float16's, or 2^-8 of a half's with one more bit of mantissa.
TSR float tsr_widen(e5m2 h) { f16 r; r.x = (unsigned short)(h.x << 8); return tsr_widen(r); }
TSR float tsr_widen(e4m3 h) {
  f16 r;
  r.x = (unsigned short)((h.x & 128) << 8 | (h.x & 127) << 7);
  return (h.x & 127) == 127 ? __builtin_nanf("") : tsr_widen(r) * 256.0f;
}
// To nearest even; SPECIAL is the first pattern that is no finite number. Adding a number whose last place is the unit of subnormal numbers rounds these.
template <int M, int SPECIAL>
TSR unsigned char tsr_to_float8(float v) {
  const int bias = M == 3 ? 120 : 112, drop = 23 - M, x = __float_as_int(v), a = x & 0x7fffffff;
  const float unit = M == 3 ? 16384.0f : 128.0f;
  int r = a < ((bias + 1) << 23) ? __float_as_int(__int_as_float(a) + unit) - __float_as_int(unit)
                                 : ((a + ((1 << (drop - 1)) - 1) + ((a >> drop) & 1)) >> drop) - (bias << M);
  if (r >= SPECIAL) r = M == 3 ? SPECIAL - 1 : SPECIAL;
  if (a > 0x7f800000) r = 127;
  return (unsigned char)(r | ((x >> 24) & 128));
}
TSR e4m3 tsr_to_e4m3(float v) { e4m3 r; r.x = tsr_to_float8<3, 127>(v); return r; }
TSR e5m2 tsr_to_e5m2(float v) { e5m2 r; r.x = tsr_to_float8<2, 124>(v); return r; }
TSR float tsr_round_e4m3(float x) { return tsr_widen(tsr_to_e4m3(x)); }
TSR float tsr_round_e5m2(float x) { return tsr_widen(tsr_to_e5m2(x)); }

// ---- memory ----
TSR float tsr_get(const e4m3* p) { return tsr_widen(*p); }
TSR float tsr_get(const e5m2* p) { return tsr_widen(*p); }
TSR void tsr_put(e4m3* p, float v) { *p = tsr_to_e4m3(v); }
TSR void tsr_put(e5m2* p, float v) { *p = tsr_to_e5m2(v); }
TSR float tsr_get(const float* p) { return *p; }
TSR double tsr_get(const double* p) { return *p; }
TSR float tsr_get(const f16* p) { return tsr_widen(*p); }
TSR float tsr_get(const bf16* p) { return tsr_widen(*p); }
TSR int tsr_get(const int* p) { return *p; }
TSR unsigned tsr_get(const unsigned* p) { return *p; }
TSR int tsr_get(const short* p) { return *p; }
TSR int tsr_get(const signed char* p) { return *p; }
TSR int tsr_get(const unsigned char* p) { return *p; }
TSR int tsr_get(const bool* p) { return *(const unsigned char*)p != 0; }
TSR long tsr_get(const long* p) { return *p; }
TSR void tsr_put(float* p, float v) { *p = v; }
TSR void tsr_put(double* p, double v) { *p = v; }
TSR void tsr_put(f16* p, float v) { *p = tsr_to_f16(v); }
TSR void tsr_put(bf16* p, float v) { *p = tsr_to_bf16(v); }
TSR void tsr_put(int* p, int v) { *p = v; }
TSR void tsr_put(unsigned* p, unsigned v) { *p = v; }
TSR void tsr_put(short* p, int v) { *p = (short)v; }
TSR void tsr_put(signed char* p, int v) { *p = (signed char)v; }
TSR void tsr_put(unsigned char* p, int v) { *p = (unsigned char)v; }
TSR void tsr_put(bool* p, int v) { *(unsigned char*)p = v != 0; }
TSR void tsr_put(long* p, long v) { *p = v; }

// N elements that lie together at a multiple of their size (at most 16 bytes an access).
template <int B> struct tsr_unit;
template <> struct tsr_unit<1> { typedef unsigned char type; };
template <> struct tsr_unit<2> { typedef unsigned short type; };
template <> struct tsr_unit<4> { typedef unsigned type; };
template <> struct tsr_unit<8> { typedef uint2 type; };
template <> struct tsr_unit<16> { typedef uint4 type; };
template <typename T, int N>
union tsr_vec {
  typedef typename tsr_unit<(sizeof(T) * N > 16 ? 16 : sizeof(T) * N)>::type unit;
  unit units[(sizeof(T) * N + 15) / 16];
  T v[N];
};
template <typename T, int N>
TSR tsr_vec<T, N> tsr_raw(const T* p) {
  tsr_vec<T, N> r;
  typedef typename tsr_vec<T, N>::unit unit;
#pragma unroll
  for (int i = 0; i < (int)((sizeof(T) * N + 15) / 16); i++) r.units[i] = ((const unit*)p)[i];
  return r;
}
template <int N, typename T, typename C>
TSR void tsr_load(C (&out)[N], const T* p) {
  const tsr_vec<T, N> r = tsr_raw<T, N>(p);
#pragma unroll
  for (int i = 0; i < N; i++) out[i] = tsr_get(&r.v[i]);
}
template <int N, typename T, typename C>
TSR void tsr_store(T* p, const C (&in)[N]) {
  tsr_vec<T, N> r;
#pragma unroll
  for (int i = 0; i < N; i++) tsr_put(&r.v[i], in[i]);
  typedef typename tsr_vec<T, N>::unit unit;
#pragma unroll
  for (int i = 0; i < (int)((sizeof(T) * N + 15) / 16); i++) ((unit*)p)[i] = r.units[i];
}
// As tsr_store, if at all, and without a branch: what is stored is computed beside what others are waiting for.
#ifdef TSR_EMULATED
template <typename U> TSR void tsr_put_if(U* p, U v, bool whether) { if (whether) *p = v; }
#else
TSR void tsr_put_if(uint4* p, uint4 v, bool whether) { asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %5, 0;\n@p st.global.v4.b32 [%0], {%1, %2, %3, %4};\n}" :: "l"(p), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w), "r"((int)whether)); }
template <typename U> TSR void tsr_put_if(U* p, U v, bool whether) { if (whether) *p = v; }
#endif
template <int N, typename T, typename C>
TSR void tsr_store_if(T* p, const C (&in)[N], bool whether) {
  tsr_vec<T, N> r;
#pragma unroll
  for (int i = 0; i < N; i++) tsr_put(&r.v[i], in[i]);
  typedef typename tsr_vec<T, N>::unit unit;
#pragma unroll
  for (int i = 0; i < (int)((sizeof(T) * N + 15) / 16); i++) tsr_put_if((unit*)p + i, r.units[i], whether);
}
// Pointers of many tensors as one parameter, which is read at any place.
template <int N> struct tsr_pointers { void* p[N]; };
// As tsr_load and tsr_store where only the first n are there.
template <int N, typename T, typename C>
TSR void tsr_load_n(C (&out)[N], const T* p, int n) {
  if (n >= N) { tsr_load<N>(out, p); return; }
#pragma unroll
  for (int i = 0; i < N; i++) out[i] = i < n ? tsr_get(p + i) : (C)0;
}
template <int N, typename T, typename C>
TSR void tsr_store_n(T* p, const C (&in)[N], int n) {
  if (n >= N) { tsr_store<N>(p, in); return; }
#pragma unroll
  for (int i = 0; i < N; i++) if (i < n) tsr_put(p + i, in[i]);
}

// ---- integers ----
template <typename A, typename B> TSR auto tsr_floor_div(A a, B b) { auto q = a / b; return q - ((a % b != 0) & ((a < 0) != (b < 0))); }
template <typename A, typename B> TSR auto tsr_floor_mod(A a, B b) { auto r = a % b; return (r != 0) & ((r < 0) != (b < 0)) ? r + b : r; }
template <typename T> TSR T tsr_min(T a, T b) { return a < b ? a : b; }
template <typename T> TSR T tsr_max(T a, T b) { return a > b ? a : b; }
TSR long tsr_min(long a, int b) { return a < b ? a : b; }
TSR long tsr_max(long a, int b) { return a > b ? a : b; }
TSR long tsr_min(int a, long b) { return a < b ? a : b; }
TSR long tsr_max(int a, long b) { return a > b ? a : b; }
TSR int tsr_abs(int x) { return x < 0 ? -x : x; }
TSR unsigned tsr_abs(unsigned x) { return x; }
TSR long tsr_abs(long x) { return x < 0 ? -x : x; }
#define TSR_INTEGER(T, Z)                                                                                  \
  TSR T tsr_trunc_div(T a, T b) { return b == 0 ? 0 : b == (T)-1 && Z ? (T)(0 - a) : a / b; }              \
  TSR T tsr_trunc_mod(T a, T b) { return b == 0 || (b == (T)-1 && Z) ? 0 : a % b; }                        \
  TSR T tsr_floor_div(T a, T b) {                                                                          \
    const T q = tsr_trunc_div(a, b), r = tsr_trunc_mod(a, b);                                              \
    return r != 0 && ((r < 0) != (b < 0)) ? q - 1 : q;                                                     \
  }                                                                                                        \
  TSR T tsr_floor_mod(T a, T b) {                                                                          \
    const T r = tsr_trunc_mod(a, b);                                                                       \
    return r != 0 && ((r < 0) != (b < 0)) ? r + b : r;                                                     \
  }                                                                                                        \
  TSR T tsr_maximum(T a, T b) { return a > b ? a : b; }                                                    \
  TSR T tsr_minimum(T a, T b) { return a < b ? a : b; }                                                    \
  TSR T tsr_shl(T a, T b) { return b < 0 || b >= (T)(sizeof(T) * 8) ? 0 : (T)((unsigned long)a << (int)b); } \
  TSR T tsr_shr(T a, T b) { return b < 0 || b >= (T)(sizeof(T) * 8) ? (a < 0 ? -1 : 0) : a >> (int)b; }    \
  TSR T tsr_ipow(T a, T b) {                                                                               \
    if (b < 0) return a == 1 ? 1 : a == (T)-1 ? (b & 1 ? a : 1) : 0;                                       \
    T r = 1;                                                                                               \
    for (; b > 0; b >>= 1, a *= a) if (b & 1) r *= a;                                                      \
    return r;                                                                                              \
  }
// By the numbers without signs: that of the least int has no positive counterpart.
template <typename T, typename U> TSR T tsr_gcd_of(U x, U y) {
  while (y != 0) { const U r = x % y; x = y; y = r; }
  return (T)x;
}
TSR unsigned tsr_gcd(unsigned a, unsigned b) { return tsr_gcd_of<unsigned, unsigned>(a, b); }
TSR int tsr_gcd(int a, int b) { return tsr_gcd_of<int, unsigned>(a < 0 ? 0u - (unsigned)a : (unsigned)a, b < 0 ? 0u - (unsigned)b : (unsigned)b); }
TSR long tsr_gcd(long a, long b) {
  return tsr_gcd_of<long, unsigned long>(a < 0 ? 0ul - (unsigned long)a : (unsigned long)a, b < 0 ? 0ul - (unsigned long)b : (unsigned long)b);
}
TSR_INTEGER(int, 1)
TSR_INTEGER(unsigned, 0)
TSR_INTEGER(long, 1)

// ---- choice and conversion ----
template <typename T> TSR T tsr_where(int m, T a, T b) { return m ? a : b; }
template <typename T> TSR float tsr_f32(T x) { return (float)x; }
template <typename T> TSR double tsr_f64(T x) { return (double)x; }
template <typename T> TSR long tsr_i64(T x) { return (long)x; }
template <typename T> TSR int tsr_i32(T x) { return (int)(long)x; }
template <typename T> TSR unsigned tsr_u32(T x) { return (unsigned)(long)x; }
TSR int tsr_wrap_i16(int x) { return (short)x; }
TSR int tsr_wrap_i8(int x) { return (signed char)x; }
TSR int tsr_wrap_u8(int x) { return x & 255; }
TSR float tsr_round_f16(float x) { return tsr_widen(tsr_to_f16(x)); }
TSR float tsr_round_bf16(float x) { return tsr_widen(tsr_to_bf16(x)); }
TSR int tsr_bits_i32(float x) { return __float_as_int(x); }
TSR float tsr_bits_f32(int x) { return __int_as_float(x); }
TSR float tsr_bits_f32(unsigned x) { return __int_as_float((int)x); }
TSR long tsr_bits_i64(double x) { return (long)__double_as_longlong(x); }
TSR double tsr_bits_f64(long x) { return __longlong_as_double((long long)x); }
TSR int tsr_bits_of_f16(float x) { return (short)tsr_to_f16(x).x; }
TSR int tsr_bits_of_bf16(float x) { return (short)tsr_to_bf16(x).x; }
TSR float tsr_f16_of_bits(int x) { f16 h; h.x = (unsigned short)x; return tsr_widen(h); }
TSR float tsr_bf16_of_bits(int x) { bf16 h; h.x = (unsigned short)x; return tsr_widen(h); }

// ---- floating point ----
TSR float tsr_maximum(float a, float b) { return a > b || a != a ? a : b; }
TSR float tsr_minimum(float a, float b) { return a < b || a != a ? a : b; }
TSR double tsr_maximum(double a, double b) { return a > b || a != a ? a : b; }
TSR double tsr_minimum(double a, double b) { return a < b || a != a ? a : b; }
#define TSR_MATH1(name, f, d) TSR float tsr_##name(float x) { return f(x); } TSR double tsr_##name(double x) { return d(x); }
TSR_MATH1(exp, expf, exp)
TSR_MATH1(exp2, exp2f, exp2)
TSR_MATH1(expm1, expm1f, expm1)
TSR_MATH1(log, logf, log)
TSR_MATH1(log2, log2f, log2)
TSR_MATH1(log10, log10f, log10)
TSR_MATH1(log1p, log1pf, log1p)
TSR_MATH1(sin, sinf, sin)
TSR_MATH1(cos, cosf, cos)
TSR_MATH1(tan, tanf, tan)
TSR_MATH1(asin, asinf, asin)
TSR_MATH1(acos, acosf, acos)
TSR_MATH1(atan, atanf, atan)
TSR_MATH1(sinh, sinhf, sinh)
TSR_MATH1(cosh, coshf, cosh)
TSR_MATH1(tanh, tanhf, tanh)
TSR_MATH1(asinh, asinhf, asinh)
TSR_MATH1(acosh, acoshf, acosh)
TSR_MATH1(atanh, atanhf, atanh)
TSR_MATH1(erf, erff, erf)
TSR_MATH1(erfc, erfcf, erfc)
TSR_MATH1(lgamma, lgammaf, lgamma)
TSR_MATH1(sqrt, sqrtf, sqrt)
TSR_MATH1(floor, floorf, floor)
TSR_MATH1(ceil, ceilf, ceil)
TSR_MATH1(trunc, truncf, trunc)
TSR_MATH1(round, rintf, rint)
TSR_MATH1(abs, fabsf, fabs)
#define TSR_MATH2(name, f, d) TSR float tsr_##name(float a, float b) { return f(a, b); } TSR double tsr_##name(double a, double b) { return d(a, b); }
TSR_MATH2(atan2, atan2f, atan2)
TSR_MATH2(hypot, hypotf, hypot)
TSR_MATH2(pow, powf, pow)
TSR_MATH2(copysign, copysignf, copysign)
TSR_MATH2(nextafter, nextafterf, nextafter)
TSR_MATH2(ftrunc_mod, fmodf, fmod)
TSR float tsr_sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
TSR double tsr_sigmoid(double x) { return 1 / (1 + exp(-x)); }
TSR float tsr_rsqrt(float x) { return 1.0f / sqrtf(x); }
TSR double tsr_rsqrt(double x) { return 1 / sqrt(x); }
template <typename T> TSR T tsr_reciprocal(T x) { return 1 / x; }
template <typename T> TSR T tsr_neg(T x) { return -x; }
TSR int tsr_signbit(float x) { return __float_as_int(x) < 0; }
TSR int tsr_signbit(double x) { return __double_as_longlong(x) < 0; }
TSR int tsr_isinf(float x) { return fabsf(x) == __builtin_inff(); }
TSR int tsr_isinf(double x) { return fabs(x) == __builtin_inf(); }
TSR float tsr_fma(float a, float b, float c) { return fmaf(a, b, c); }
TSR double tsr_fma(double a, double b, double c) { return fma(a, b, c); }
template <typename T> TSR T tsr_fma(T a, T b, T c) { return a * b + c; }
template <typename T>
TSR T tsr_ffloor_mod(T a, T b) {
  const T r = tsr_ftrunc_mod(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
template <typename T>
TSR T tsr_ffloor_div(T a, T b) {
  if (b == 0) return a / b;
  const T r = tsr_ftrunc_mod(a, b);
  T q = (a - r) / b;
  if (r != 0 && (b < 0) != (r < 0)) q -= 1;
  if (q == 0) return tsr_copysign((T)0, a / b);
  const T f = tsr_floor(q);
  return q - f > (T)0.5 ? f + 1 : f;
}
template <typename T>
TSR T tsr_logaddexp(T a, T b) {
  if (a == b && tsr_isinf(a)) return a;
  return tsr_maximum(a, b) + tsr_log1p(tsr_exp(-tsr_abs(a - b)));
}
static __device__ __noinline__ double tsr_digamma(double x) {
  if (x == 0) return tsr_signbit(x) ? __builtin_inf() : -__builtin_inf();
  double add = 0;
  if (x < 0) {
    if (x == floor(x)) return __builtin_nan("");
    add = -3.14159265358979323846 / tan(3.14159265358979323846 * x);
    x = 1 - x;
  }
  for (; x < 10; x += 1) add -= 1 / x;
  const double z = 1 / (x * x);
  return add + log(x) - 0.5 / x -
         z * (1.0 / 12 - z * (1.0 / 120 - z * (1.0 / 252 - z * (1.0 / 240 - z * (1.0 / 132 - z * 691.0 / 32760)))));
}
TSR float tsr_digamma(float x) { return (float)tsr_digamma((double)x); }
static __device__ __noinline__ double tsr_erfinv(double x) {
  if (!(x >= -1 && x <= 1)) return __builtin_nan("");
  if (x == 1 || x == -1) return x * __builtin_inf();
  const double w = log((1 - x) * (1 + x)), t = 2 / (3.14159265358979323846 * 0.147) + w / 2;
  double y = copysign(sqrt(sqrt(t * t - w / 0.147) - t), x);
  for (int i = 0; i < 4; i++) {
    const double a = fabs(x);
    const double e = a < 0.5 ? erf(y) - x : (x < 0 ? -1.0 : 1.0) * ((1 - a) - erfc(fabs(y)));
    y -= e / (1.12837916709551257390 * exp(-y * y));
  }
  return y;
}
TSR float tsr_erfinv(float x) { return (float)tsr_erfinv((double)x); }

// Shorter forms for kernels that write halves: right to a few units in the last place of float, which is far below what a half keeps.
#ifdef TSR_EMULATED
TSR float tsr_fast_reciprocal(float x) { return 1.0f / x; }
TSR float tsr_fast_exp2(float x) { return exp2f(x); }
TSR float tsr_fast_rsqrt(float x) { return 1.0f / sqrtf(x); }
TSR float tsr_short_reciprocal(float x) { return 1.0f / x; }
TSR float tsr_short_exp2(float x) { return exp2f(x); }
#else
TSR float tsr_fast_reciprocal(float x) { float r; asm("rcp.approx.f32 %0, %1;" : "=f"(r) : "f"(x)); return r; }
TSR float tsr_fast_exp2(float x) { float r; asm("ex2.approx.f32 %0, %1;" : "=f"(r) : "f"(x)); return r; }
TSR float tsr_fast_rsqrt(float x) { float r; asm("rsqrt.approx.f32 %0, %1;" : "=f"(r) : "f"(x)); return r; }
// Beside a one, numbers below 1e-38 may be zero: one instruction instead of four.
TSR float tsr_short_reciprocal(float x) { float r; asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x)); return r; }
TSR float tsr_short_exp2(float x) { float r; asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x)); return r; }
#endif
TSR float tsr_fast_exp(float x) { return tsr_fast_exp2(x * 1.44269504088896341f); }
TSR float tsr_short_exp(float x) { return tsr_short_exp2(x * 1.44269504088896341f); }
TSR float tsr_fast_sigmoid(float x) { return tsr_short_reciprocal(1.0f + tsr_short_exp2(x * -1.44269504088896341f)); }
TSR float tsr_fast_div(float a, float b) { return a * tsr_fast_reciprocal(b); }
// Both forms, and a choice: a branch would cost more where threads differ.
TSR float tsr_fast_tanh(float x) {
  const float q = x * x, e = tsr_short_exp2(x * 2.88539008177792681f);
  const float far = 1.0f - 2.0f * tsr_short_reciprocal(1.0f + e);
  const float near = x * (1.0f + q * (-0.333333333f + q * 0.133333333f));
  return q < 0.01f ? near : far;
}

// Abramowitz and Stegun 7.1.26, and two terms of the series where that is not precise relative to the result.
TSR float tsr_fast_erf(float x) {
  const float q = x * x, t = tsr_short_reciprocal(1.0f + 0.3275911f * fabsf(x));
  const float p = t * (0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
  const float far = copysignf(1.0f - p * tsr_short_exp2(q * -1.44269504088896341f), x);
  const float near = x * (1.128379167f - 0.376126389f * q);
  return q < 0.0025f ? near : far;
}

// 1 + erf(x), as GELU has it: nothing cancels. The complement's logarithm is a polynomial to 6e-6 up to 4.5, and falls from there on.
TSR float tsr_fast_one_erf(float x) {
  const float a = fabsf(x);
  const float p = a * (-1.62806323f + a * (-0.917081525f + a * (-0.152429942f + a * (0.0339104268f + a * (-0.00522368295f + a * (0.000486100436f + a * -2.03183011e-05f))))));
  const float e = tsr_short_exp2(p);
  return x < 0.0f ? e : 2.0f - e;
}
// 1 + tanh(x), likewise.
TSR float tsr_fast_one_tanh(float x) { return 2.0f * tsr_short_reciprocal(1.0f + tsr_short_exp2(x * -2.88539008177792681f)); }

// ---- random bits ----
TSR unsigned tsr_philox(long seed, long stream, long position) {
  const long block = position >> 2;
  unsigned c0 = (unsigned)block, c1 = (unsigned)(block >> 32), c2 = (unsigned)stream, c3 = (unsigned)((unsigned long)stream >> 32);
  unsigned k0 = (unsigned)seed, k1 = (unsigned)((unsigned long)seed >> 32);
#pragma unroll
  for (int round = 0; round < 10; round++) {
    const unsigned h0 = __umulhi(0xd2511f53u, c0), l0 = 0xd2511f53u * c0, h1 = __umulhi(0xcd9e8d57u, c2), l1 = 0xcd9e8d57u * c2;
    c0 = h1 ^ c1 ^ k0;
    c1 = l1;
    c2 = h0 ^ c3 ^ k1;
    c3 = l0;
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  const int w = (int)position & 3;
  return w == 0 ? c0 : w == 1 ? c1 : w == 2 ? c2 : c3;
}

// ---- what was wrong with data: `kind` is one of error_board.ts ----
static __device__ __noinline__ void tsr_report(long* error, long value, long size, int kind) {
  if (atomicCAS((unsigned long long*)error + 2, 0ull, (unsigned long long)kind) == 0ull) {
    error[0] = value;
    error[1] = size;
  }
}
template <typename I>
TSR I tsr_bind(long value, I size, long* error) {
  if (value >= 0 && value < size) return (I)value;
  tsr_report(error, value, size, 1);
  return 0;
}
template <typename I>
TSR I tsr_bind_from_end(long value, I size, long* error) {
  const long at = value < 0 ? value + size : value;
  if (at >= 0 && at < size) return (I)at;
  tsr_report(error, value, size, 1);
  return 0;
}
