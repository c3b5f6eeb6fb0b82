// A SIMD layer without headers, on the vector extensions and builtins of GCC and Clang.
//
// The width comes from the instruction set that the compiler was told to use: VW lanes of 32 bits (16 with AVX-512, 8 with
// AVX2, else 4). Names: `vf32 vi32 vu32` fill one register; `vd vl` are a register of VW / 2 doubles or 64-bit integers.
// A comparison such as `a < b` gives a mask, a vi32 of 0 and -1; `vselect` chooses by it. Arithmetic uses the operators.
// Values are unaligned in memory; `_n` variants touch only the first n elements and fill the rest with zero.
//
// Accuracy: the functions in f32 stay within 3 ulp (erfc, erfinv and lgamma within 5), as fast as memory on a machine with fused products.
// pow with AVX-512 computes in pairs of f32, 1.1 ulp. The others (pow elsewhere, hypot, large angles) compute each half in f64, whose error is far below half an ulp of f32, and round once: 1 ulp at
// most. Subnormal numbers, signed zeros and infinities included. Constants are fractions of Taylor series, or say how they were fitted.
// The layer expects -ffp-contract=off and never contracts by itself: fused means vfma.
// Everything is `static inline`: a function that is not used costs no more than its parsing.
#ifndef TESSERA_VEC_H
#define TESSERA_VEC_H

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define VW 16
#define TESSERA_AVX512 1
#elif defined(__AVX2__) && defined(__FMA__)
#define VW 8
#define TESSERA_AVX2 1
#else
#define VW 4
#endif
#define VH (VW / 2)
#if defined(__clang__)
#define TESSERA_CLANG 1
#endif
#if defined(__FMA__) || defined(__aarch64__) || defined(__FP_FAST_FMAF)
#define TESSERA_FMA 1
#endif
#ifdef __has_builtin
#define TESSERA_HAS(builtin) __has_builtin(builtin)
#else
#define TESSERA_HAS(builtin) 0
#endif
#define V static inline __attribute__((always_inline))

typedef float vf32 __attribute__((vector_size(VW * 4)));
typedef int vi32 __attribute__((vector_size(VW * 4)));
typedef unsigned vu32 __attribute__((vector_size(VW * 4)));
typedef double vd __attribute__((vector_size(VW * 4)));
typedef long vl __attribute__((vector_size(VW * 4)));
typedef unsigned long vul __attribute__((vector_size(VW * 4)));
// Half a register, and a quarter.
typedef float vf32h __attribute__((vector_size(VH * 4)));
typedef int vi32h __attribute__((vector_size(VH * 4)));
typedef unsigned short vu16 __attribute__((vector_size(VW * 2)));
typedef short vi16 __attribute__((vector_size(VW * 2)));
typedef unsigned char vu8 __attribute__((vector_size(VW)));
typedef signed char vi8 __attribute__((vector_size(VW)));

// Elements of half precision in memory; arithmetic happens in f32.
struct f16 { unsigned short bits; };
struct bf16 { unsigned short bits; };
// Eight bits: four of exponent without infinities, or five.
struct e4m3 { unsigned char bits; };
struct e5m2 { unsigned char bits; };

V vi32 vbits(vf32 x) { return (vi32)x; }
V vf32 vfloat(vi32 x) { return (vf32)x; }
// A difference from +0 keeps the sign of a zero; a sum with it does not.
V vf32 vset(float x) { return x - (vf32){}; }
V vi32 vset(int x) { return (vi32){} + x; }
V vf32 vselect(vi32 mask, vf32 a, vf32 b) { return mask ? a : b; }
V vi32 vselect(vi32 mask, vi32 a, vi32 b) { return mask ? a : b; }
V vd vselect(vl mask, vd a, vd b) { return mask ? a : b; }
V vd vsetd(double x) { return x - (vd){}; }

// 0, 1, …, VW - 1.
V vi32 viota() {
#if VW == 16
  return (vi32){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#elif VW == 8
  return (vi32){0, 1, 2, 3, 4, 5, 6, 7};
#else
  return (vi32){0, 1, 2, 3};
#endif
}

// Mask of the first n lanes.
V vi32 vfirst(long n) { return viota() < (vi32){} + (int)(n < VW ? n : VW); }

// ---- halves and conversions between f32 and f64, i32 and i64 ----

#if TESSERA_HAS(__builtin_shufflevector)
#define TESSERA_SHUFFLE 1
#endif

#if TESSERA_SHUFFLE && VW == 16
#define TESSERA_LOW(v) __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7)
#define TESSERA_HIGH(v) __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15)
#define TESSERA_JOIN(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#elif TESSERA_SHUFFLE && VW == 8
#define TESSERA_LOW(v) __builtin_shufflevector(v, v, 0, 1, 2, 3)
#define TESSERA_HIGH(v) __builtin_shufflevector(v, v, 4, 5, 6, 7)
#define TESSERA_JOIN(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7)
#elif TESSERA_SHUFFLE
#define TESSERA_LOW(v) __builtin_shufflevector(v, v, 0, 1)
#define TESSERA_HIGH(v) __builtin_shufflevector(v, v, 2, 3)
#define TESSERA_JOIN(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3)
#endif

#if TESSERA_SHUFFLE
V vf32h vlow(vf32 v) { return TESSERA_LOW(v); }
V vf32h vhigh(vf32 v) { return TESSERA_HIGH(v); }
V vf32 vjoin(vf32h a, vf32h b) { return TESSERA_JOIN(a, b); }
V vi32h vlow(vi32 v) { return TESSERA_LOW(v); }
V vi32h vhigh(vi32 v) { return TESSERA_HIGH(v); }
V vi32 vjoin(vi32h a, vi32h b) { return TESSERA_JOIN(a, b); }
#else
#define TESSERA_HALVES(whole, half)                                                                             \
  V half vlow(whole v) { half h; __builtin_memcpy(&h, &v, sizeof h); return h; }                                \
  V half vhigh(whole v) { half h; __builtin_memcpy(&h, (char*)&v + sizeof h, sizeof h); return h; }             \
  V whole vjoin(half a, half b) { half h[2] = {a, b}; whole v; __builtin_memcpy(&v, h, sizeof v); return v; }
TESSERA_HALVES(vf32, vf32h)
TESSERA_HALVES(vi32, vi32h)
#endif

#if TESSERA_AVX512 && !TESSERA_CLANG
// Of a conversion of vectors GCC 12 makes two of half the size.
typedef long long vll __attribute__((vector_size(VW * 4)));
V vd vwiden_low(vf32 v) { return __builtin_ia32_cvtps2pd512_mask(vlow(v), (vd){}, (unsigned char)-1, 4); }
V vd vwiden_high(vf32 v) { return __builtin_ia32_cvtps2pd512_mask(vhigh(v), (vd){}, (unsigned char)-1, 4); }
V vl vwiden_low(vi32 v) { return (vl)__builtin_ia32_pmovsxdq512_mask(vlow(v), (vll){}, (unsigned char)-1); }
V vl vwiden_high(vi32 v) { return (vl)__builtin_ia32_pmovsxdq512_mask(vhigh(v), (vll){}, (unsigned char)-1); }
V vf32 vnarrow(vd low, vd high) {
  return vjoin(__builtin_ia32_cvtpd2ps512_mask(low, (vf32h){}, (unsigned char)-1, 4),
               __builtin_ia32_cvtpd2ps512_mask(high, (vf32h){}, (unsigned char)-1, 4));
}
// Keeps the low 32 bits of each.
V vi32 vnarrow(vl low, vl high) {
  return vjoin(__builtin_ia32_pmovqd512_mask((vll)low, (vi32h){}, (unsigned char)-1),
               __builtin_ia32_pmovqd512_mask((vll)high, (vi32h){}, (unsigned char)-1));
}
#else
V vd vwiden_low(vf32 v) { return __builtin_convertvector(vlow(v), vd); }
V vd vwiden_high(vf32 v) { return __builtin_convertvector(vhigh(v), vd); }
V vl vwiden_low(vi32 v) { return __builtin_convertvector(vlow(v), vl); }
V vl vwiden_high(vi32 v) { return __builtin_convertvector(vhigh(v), vl); }
V vf32 vnarrow(vd low, vd high) {
  return vjoin(__builtin_convertvector(low, vf32h), __builtin_convertvector(high, vf32h));
}
// Keeps the low 32 bits of each.
V vi32 vnarrow(vl low, vl high) {
  return vjoin(__builtin_convertvector(low, vi32h), __builtin_convertvector(high, vi32h));
}
#endif
V vf32 vto_f32(vi32 v) { return __builtin_convertvector(v, vf32); }
// Truncates towards zero, as a cast does.
V vi32 vto_i32(vf32 v) { return __builtin_convertvector(v, vi32); }

// ---- fused multiply-add, square root, rounding ----

#if TESSERA_AVX512 && !TESSERA_CLANG
V vf32 vfma(vf32 a, vf32 b, vf32 c) { return __builtin_ia32_vfmaddps512_mask(a, b, c, (unsigned short)-1, 4); }
V vd vfma(vd a, vd b, vd c) { return __builtin_ia32_vfmaddpd512_mask(a, b, c, (unsigned char)-1, 4); }
V vf32 vsqrt(vf32 x) { return __builtin_ia32_sqrtps512_mask(x, x, (unsigned short)-1, 4); }
V vd vsqrt(vd x) { return __builtin_ia32_sqrtpd512_mask(x, x, (unsigned char)-1, 4); }
V vf32 vfloor(vf32 x) { return __builtin_ia32_rndscaleps_mask(x, 9, x, (unsigned short)-1, 4); }
V vf32 vceil(vf32 x) { return __builtin_ia32_rndscaleps_mask(x, 10, x, (unsigned short)-1, 4); }
V vf32 vtrunc(vf32 x) { return __builtin_ia32_rndscaleps_mask(x, 11, x, (unsigned short)-1, 4); }
V vf32 vround(vf32 x) { return __builtin_ia32_rndscaleps_mask(x, 8, x, (unsigned short)-1, 4); }
V vd vtrunc(vd x) { return __builtin_ia32_rndscalepd_mask(x, 11, x, (unsigned char)-1, 4); }
#elif TESSERA_AVX2 && !TESSERA_CLANG
V vf32 vfma(vf32 a, vf32 b, vf32 c) { return __builtin_ia32_vfmaddps256(a, b, c); }
V vd vfma(vd a, vd b, vd c) { return __builtin_ia32_vfmaddpd256(a, b, c); }
V vf32 vsqrt(vf32 x) { return __builtin_ia32_sqrtps256(x); }
V vd vsqrt(vd x) { return __builtin_ia32_sqrtpd256(x); }
V vf32 vfloor(vf32 x) { return __builtin_ia32_roundps256(x, 9); }
V vf32 vceil(vf32 x) { return __builtin_ia32_roundps256(x, 10); }
V vf32 vtrunc(vf32 x) { return __builtin_ia32_roundps256(x, 11); }
V vf32 vround(vf32 x) { return __builtin_ia32_roundps256(x, 8); }
V vd vtrunc(vd x) { return __builtin_ia32_roundpd256(x, 11); }
#else
// Lane by lane, where the compiler has no builtin for whole vectors: optimisers make instructions of it where there are
// some. Without a fused multiply-add in hardware the two roundings stay: a call of fmaf a lane would cost a hundred times
// more than its half ulp is worth.
#define TESSERA_LANES(type, name, call) \
  V type name(type x) { type r; for (int i = 0; i < (int)(sizeof(x) / sizeof(x[0])); i++) r[i] = call(x[i]); return r; }
#define TESSERA_WHOLE(type, name, call) V type name(type x) { return call(x); }
#if TESSERA_HAS(__builtin_elementwise_fma)
V vf32 vfma(vf32 a, vf32 b, vf32 c) { return __builtin_elementwise_fma(a, b, c); }
V vd vfma(vd a, vd b, vd c) { return __builtin_elementwise_fma(a, b, c); }
#elif TESSERA_FMA
V vf32 vfma(vf32 a, vf32 b, vf32 c) { vf32 r; for (int i = 0; i < VW; i++) r[i] = __builtin_fmaf(a[i], b[i], c[i]); return r; }
V vd vfma(vd a, vd b, vd c) { vd r; for (int i = 0; i < VH; i++) r[i] = __builtin_fma(a[i], b[i], c[i]); return r; }
#else
V vf32 vfma(vf32 a, vf32 b, vf32 c) { return a * b + c; }
V vd vfma(vd a, vd b, vd c) { return a * b + c; }
#endif
#if TESSERA_HAS(__builtin_elementwise_sqrt)
TESSERA_WHOLE(vf32, vsqrt, __builtin_elementwise_sqrt)
TESSERA_WHOLE(vd, vsqrt, __builtin_elementwise_sqrt)
#else
TESSERA_LANES(vf32, vsqrt, __builtin_sqrtf)
TESSERA_LANES(vd, vsqrt, __builtin_sqrt)
#endif
#if TESSERA_HAS(__builtin_elementwise_floor) && TESSERA_HAS(__builtin_elementwise_roundeven)
TESSERA_WHOLE(vf32, vfloor, __builtin_elementwise_floor)
TESSERA_WHOLE(vf32, vceil, __builtin_elementwise_ceil)
TESSERA_WHOLE(vf32, vtrunc, __builtin_elementwise_trunc)
TESSERA_WHOLE(vf32, vround, __builtin_elementwise_roundeven)
TESSERA_WHOLE(vd, vtrunc, __builtin_elementwise_trunc)
#else
TESSERA_LANES(vf32, vfloor, __builtin_floorf)
TESSERA_LANES(vf32, vceil, __builtin_ceilf)
TESSERA_LANES(vf32, vtrunc, __builtin_truncf)
TESSERA_LANES(vf32, vround, __builtin_rintf)
TESSERA_LANES(vd, vtrunc, __builtin_trunc)
#endif
#endif

// Any lane, all lanes of a mask.
V int vany(vi32 mask) {
#if TESSERA_AVX512 && !TESSERA_CLANG
  return __builtin_ia32_cvtd2mask512((vi32)mask) != 0;
#else
  vl m = (vl)mask;
  long r = 0;
  for (int i = 0; i < VH; i++) r |= m[i];
  return r != 0;
#endif
}
V int vall(vi32 mask) { return !vany(~mask); }

// ---- memory ----

template <typename T>
V T vload_raw(const void* p) { T v; __builtin_memcpy(&v, p, sizeof v); return v; }
template <typename T>
V T vload_raw_n(const void* p, long n, long bytes) { T v = {}; __builtin_memcpy(&v, p, (unsigned long)(n * bytes)); return v; }

// As a vector, not by memcpy: of a constant whose upper half is zero GCC 12 copies the lower lanes over all, where it moves bytes as one wide integer.
template <typename T>
V void vstore_raw(void* p, T v) { typedef T place __attribute__((aligned(1), may_alias)); *(place*)p = v; }
// The first n elements; all of them as a vector.
template <typename T>
V void vstore_raw_n(void* p, T v, long n, long bytes) {
  if (n * bytes == (long)sizeof v) vstore_raw(p, v);
  else __builtin_memcpy(p, &v, (unsigned long)(n * bytes));
}

V vf32 vload(const float* p) { return vload_raw<vf32>(p); }
V vi32 vload(const int* p) { return vload_raw<vi32>(p); }
V vu32 vload(const unsigned* p) { return vload_raw<vu32>(p); }
V vi32 vload(const unsigned char* p) { return __builtin_convertvector(vload_raw<vu8>(p), vi32); }
V vi32 vload(const signed char* p) { return __builtin_convertvector(vload_raw<vi8>(p), vi32); }
V vi32 vload(const short* p) { return __builtin_convertvector(vload_raw<vi16>(p), vi32); }
V void vstore(float* p, vf32 v) { vstore_raw(p, v); }
V void vstore(int* p, vi32 v) { vstore_raw(p, v); }
V void vstore(unsigned* p, vu32 v) { vstore_raw(p, v); }
V void vstore(unsigned char* p, vi32 v) { vu8 b = __builtin_convertvector(v, vu8); vstore_raw(p, b); }
V void vstore(signed char* p, vi32 v) { vi8 b = __builtin_convertvector(v, vi8); vstore_raw(p, b); }
V void vstore(short* p, vi32 v) { vi16 b = __builtin_convertvector(v, vi16); vstore_raw(p, b); }

#if TESSERA_AVX512 && !TESSERA_CLANG
#define TESSERA_TAIL(n) ((unsigned short)((1u << (n)) - 1))
V vf32 vload_n(const float* p, long n) { return __builtin_ia32_loadups512_mask(p, (vf32){}, TESSERA_TAIL(n)); }
V void vstore_n(float* p, vf32 v, long n) { __builtin_ia32_storeups512_mask(p, v, TESSERA_TAIL(n)); }
V vi32 vload_n(const int* p, long n) { return (vi32)vload_n((const float*)p, n); }
V void vstore_n(int* p, vi32 v, long n) { vstore_n((float*)p, (vf32)v, n); }
// Lanes whose mask is set; the others read `other` or are left alone.
V vf32 vload_mask(const float* p, vi32 mask, vf32 other) {
  return __builtin_ia32_loadups512_mask(p, other, __builtin_ia32_cvtd2mask512(mask));
}
V void vstore_mask(float* p, vf32 v, vi32 mask) { __builtin_ia32_storeups512_mask(p, v, __builtin_ia32_cvtd2mask512(mask)); }
#elif TESSERA_AVX2 && !TESSERA_CLANG
V vf32 vload_n(const float* p, long n) { return __builtin_ia32_maskloadps256((const vf32*)p, vfirst(n)); }
V void vstore_n(float* p, vf32 v, long n) { __builtin_ia32_maskstoreps256((vf32*)p, vfirst(n), v); }
V vi32 vload_n(const int* p, long n) { return (vi32)vload_n((const float*)p, n); }
V void vstore_n(int* p, vi32 v, long n) { vstore_n((float*)p, (vf32)v, n); }
V vf32 vload_mask(const float* p, vi32 mask, vf32 other) {
  return vselect(mask, __builtin_ia32_maskloadps256((const vf32*)p, mask), other);
}
V void vstore_mask(float* p, vf32 v, vi32 mask) { __builtin_ia32_maskstoreps256((vf32*)p, mask, v); }
#else
V vf32 vload_n(const float* p, long n) { return vload_raw_n<vf32>(p, n, 4); }
V void vstore_n(float* p, vf32 v, long n) { vstore_raw_n(p, v, n, 4); }
V vi32 vload_n(const int* p, long n) { return vload_raw_n<vi32>(p, n, 4); }
V void vstore_n(int* p, vi32 v, long n) { vstore_raw_n(p, v, n, 4); }
V vf32 vload_mask(const float* p, vi32 mask, vf32 other) { for (int i = 0; i < VW; i++) if (mask[i]) other[i] = p[i]; return other; }
V void vstore_mask(float* p, vf32 v, vi32 mask) { for (int i = 0; i < VW; i++) if (mask[i]) p[i] = v[i]; }
#endif
V vu32 vload_n(const unsigned* p, long n) { return (vu32)vload_n((const int*)p, n); }
V void vstore_n(unsigned* p, vu32 v, long n) { vstore_n((int*)p, (vi32)v, n); }
V vi32 vload_n(const unsigned char* p, long n) { return __builtin_convertvector(vload_raw_n<vu8>(p, n, 1), vi32); }
V vi32 vload_n(const signed char* p, long n) { return __builtin_convertvector(vload_raw_n<vi8>(p, n, 1), vi32); }
V vi32 vload_n(const short* p, long n) { return __builtin_convertvector(vload_raw_n<vi16>(p, n, 2), vi32); }
V void vstore_n(unsigned char* p, vi32 v, long n) { vu8 b = __builtin_convertvector(v, vu8); vstore_raw_n(p, b, n, 1); }
V void vstore_n(signed char* p, vi32 v, long n) { vi8 b = __builtin_convertvector(v, vi8); vstore_raw_n(p, b, n, 1); }
V void vstore_n(short* p, vi32 v, long n) { vi16 b = __builtin_convertvector(v, vi16); vstore_raw_n(p, b, n, 2); }

// p[index[lane]]
V vf32 vgather(const float* p, vi32 index) {
#if TESSERA_AVX512 && !TESSERA_CLANG
  return __builtin_ia32_gathersiv16sf((vf32){}, p, index, (unsigned short)-1, 4);
#elif TESSERA_AVX2 && !TESSERA_CLANG
  return __builtin_ia32_gathersiv8sf((vf32){}, p, index, (vf32)((vi32){} - 1), 4);
#else
  vf32 r;
  for (int i = 0; i < VW; i++) r[i] = p[index[i]];
  return r;
#endif
}
V vi32 vgather(const int* p, vi32 index) { return (vi32)vgather((const float*)p, index); }
// Every `stride`-th element.
V vf32 vload_strided(const float* p, long stride) { vf32 r; for (int i = 0; i < VW; i++) r[i] = p[i * stride]; return r; }
V void vstore_strided(float* p, long stride, vf32 v) { for (int i = 0; i < VW; i++) p[i * stride] = v[i]; }

// ---- half precision; rounding to nearest even ----

V vf32 vfrom_f16(vu16 h) {
#if TESSERA_AVX512 && !TESSERA_CLANG
  return __builtin_ia32_vcvtph2ps512_mask((vi16)h, (vf32){}, (unsigned short)-1, 4);
#elif TESSERA_AVX2 && defined(__F16C__) && !TESSERA_CLANG
  return __builtin_ia32_vcvtph2ps256((vi16)h);
#else
  // Shifted into place, the exponent is 112 too small: a product with 2^112 mends it, subnormal numbers included.
  vi32 x = __builtin_convertvector(h, vi32);
  vf32 magnitude = vfloat((x & 0x7fff) << 13) * 0x1p112f;
  vi32 special = (x & 0x7c00) == 0x7c00;
  return vfloat(vselect(special, vbits(magnitude) | 0x7f800000, vbits(magnitude)) | ((x & 0x8000) << 16));
#endif
}
V vu16 vto_f16(vf32 v) {
#if TESSERA_AVX512 && !TESSERA_CLANG
  return (vu16)__builtin_ia32_vcvtps2ph512_mask(v, 8, (vi16){}, (unsigned short)-1);
#elif TESSERA_AVX2 && defined(__F16C__) && !TESSERA_CLANG
  return (vu16)__builtin_ia32_vcvtps2ph256(v, 8);
#else
  vi32 x = vbits(v);
  vi32 sign = (x >> 16) & 0x8000;
  vi32 a = x & 0x7fffffff;
  vi32 normal = (a - (112 << 23) + 0xfff + ((a >> 13) & 1)) >> 13;
  // Adding 0.5 makes the hardware round a subnormal result at the right bit.
  vi32 small = vbits(vfloat(a) + 0.5f) - vbits(vset(0.5f));
  vi32 r = vselect(a < (113 << 23), small, normal);
  r = vselect(a >= (143 << 23), vset(0x7c00), r);
  r = vselect(a > 0x7f800000, ((a >> 13) & 0x3ff) | 0x7e00, r);
  return __builtin_convertvector(r | sign, vu16);
#endif
}
V vf32 vfrom_bf16(vu16 h) { return vfloat(__builtin_convertvector(h, vi32) << 16); }
V vu16 vto_bf16(vf32 v) {
  vu32 x = (vu32)v;
  vi32 nan = v != v;
  vi32 rounded = (vi32)((x + 0x7fffu + ((x >> 16) & 1u)) >> 16);
  return __builtin_convertvector(vselect(nan, (vi32)(x >> 16) | 0x40, rounded), vu16);
}
// Floats of eight bits with M of mantissa. As for halves, the exponent that a shift gives is mended by a product, and adding a number whose last place is the unit of
// subnormal numbers rounds these; a pattern from SPECIAL on is no finite number.
template <int M, int SPECIAL>
V vf32 vfrom_float8(vu8 h) {
  vi32 x = __builtin_convertvector(h, vi32);
  vi32 a = x & 127;
  vi32 magnitude = vbits(vfloat(a << (23 - M)) * (M == 3 ? 0x1p120f : 0x1p112f));
  vi32 other = M == 3 ? vset(0x7fc00000) : vselect(a == SPECIAL, vset(0x7f800000), vset(0x7fc00000));
  return vfloat(vselect(a >= SPECIAL, other, magnitude) | ((x & 128) << 24));
}
template <int M, int SPECIAL>
V vu8 vto_float8(vf32 v) {
  const int bias = M == 3 ? 120 : 112, drop = 23 - M;
  vi32 x = vbits(v);
  vi32 a = x & 0x7fffffff;
  vi32 normal = ((a + ((1 << (drop - 1)) - 1) + ((a >> drop) & 1)) >> drop) - (bias << M);
  const float unit = M == 3 ? 0x1p14f : 0x1p7f;
  vi32 small = vbits(vfloat(a) + unit) - vbits(vset(unit));
  vi32 r = vselect(a < ((bias + 1) << 23), small, normal);
  r = vselect(r >= SPECIAL, vset(M == 3 ? SPECIAL - 1 : SPECIAL), r);
  r = vselect(a > 0x7f800000, vset(127), r);
  return __builtin_convertvector(r | ((x >> 24) & 128), vu8);
}
V vf32 vfrom(vu8 h, const e4m3*) { return vfrom_float8<3, 127>(h); }
V vf32 vfrom(vu8 h, const e5m2*) { return vfrom_float8<2, 124>(h); }
V vu8 vto(vf32 v, const e4m3*) { return vto_float8<3, 127>(v); }
V vu8 vto(vf32 v, const e5m2*) { return vto_float8<2, 124>(v); }
V vf32 vload(const e4m3* p) { return vfrom(vload_raw<vu8>(p), p); }
V vf32 vload(const e5m2* p) { return vfrom(vload_raw<vu8>(p), p); }
V vf32 vload_n(const e4m3* p, long n) { return vfrom(vload_raw_n<vu8>(p, n, 1), p); }
V vf32 vload_n(const e5m2* p, long n) { return vfrom(vload_raw_n<vu8>(p, n, 1), p); }
V vf32 vload(const f16* p) { return vfrom_f16(vload_raw<vu16>(p)); }
V vf32 vload(const bf16* p) { return vfrom_bf16(vload_raw<vu16>(p)); }
V vf32 vload_n(const f16* p, long n) { return vfrom_f16(vload_raw_n<vu16>(p, n, 2)); }
V vf32 vload_n(const bf16* p, long n) { return vfrom_bf16(vload_raw_n<vu16>(p, n, 2)); }
V void vstore(f16* p, vf32 v) { vu16 h = vto_f16(v); vstore_raw(p, h); }
V void vstore(bf16* p, vf32 v) { vu16 h = vto_bf16(v); vstore_raw(p, h); }
V void vstore_n(f16* p, vf32 v, long n) { vu16 h = vto_f16(v); vstore_raw_n(p, h, n, 2); }
V void vstore_n(bf16* p, vf32 v, long n) { vu16 h = vto_bf16(v); vstore_raw_n(p, h, n, 2); }

// Registers of doubles and of 64-bit integers hold VH elements.
V vd vload(const double* p) { return vload_raw<vd>(p); }
V vl vload(const long* p) { return vload_raw<vl>(p); }
V void vstore(double* p, vd v) { vstore_raw(p, v); }
V void vstore(long* p, vl v) { vstore_raw(p, v); }
V vd vload_n(const double* p, long n) { return vload_raw_n<vd>(p, n, 8); }
V vl vload_n(const long* p, long n) { return vload_raw_n<vl>(p, n, 8); }
V void vstore_n(double* p, vd v, long n) { vstore_raw_n(p, v, n, 8); }
V void vstore_n(long* p, vl v, long n) { vstore_raw_n(p, v, n, 8); }
// VW elements of 64 bits as 32-bit ones: f64 rounds, i64 keeps the low bits.
V vf32 vload_f32(const double* p) { return vnarrow(vload(p), vload(p + VH)); }
V vi32 vload_i32(const long* p) { return vnarrow(vload(p), vload(p + VH)); }
V void vstore_f64(double* p, vf32 v) { vstore(p, vwiden_low(v)); vstore(p + VH, vwiden_high(v)); }
V void vstore_i64(long* p, vi32 v) { vstore(p, vwiden_low(v)); vstore(p + VH, vwiden_high(v)); }

// ---- arithmetic ----

V vf32 vabs(vf32 x) { return vfloat(vbits(x) & 0x7fffffff); }
V vf32 vneg(vf32 x) { return vfloat(vbits(x) ^ (int)0x80000000); }
V vf32 vcopysign(vf32 magnitude, vf32 sign) {
  return vfloat((vbits(magnitude) & 0x7fffffff) | (vbits(sign) & (int)0x80000000));
}
V vi32 visnan(vf32 x) { return x != x; }
// A NaN on either side wins, as in PyTorch.
#if TESSERA_AVX512 && !TESSERA_CLANG
// Where one side is NaN, the instruction gives the second: a NaN on the first side is put in place after it.
V vf32 vmax(vf32 a, vf32 b) {
  const vf32 r = __builtin_ia32_maxps512_mask(a, b, a, (unsigned short)-1, 4);
  return __builtin_ia32_fixupimmps512_mask(r, a, vset(0x22), 0, (unsigned short)-1, 4);
}
V vf32 vmin(vf32 a, vf32 b) {
  const vf32 r = __builtin_ia32_minps512_mask(a, b, a, (unsigned short)-1, 4);
  return __builtin_ia32_fixupimmps512_mask(r, a, vset(0x22), 0, (unsigned short)-1, 4);
}
#else
V vf32 vmax(vf32 a, vf32 b) { return vselect((a > b) | (a != a), a, b); }
V vf32 vmin(vf32 a, vf32 b) { return vselect((a < b) | (a != a), a, b); }
#endif
#if TESSERA_AVX512 && !TESSERA_CLANG
V vi32 vmax(vi32 a, vi32 b) { return __builtin_ia32_pmaxsd512_mask(a, b, a, (unsigned short)-1); }
V vi32 vmin(vi32 a, vi32 b) { return __builtin_ia32_pminsd512_mask(a, b, a, (unsigned short)-1); }
#else
V vi32 vmax(vi32 a, vi32 b) { return vselect(a > b, a, b); }
V vi32 vmin(vi32 a, vi32 b) { return vselect(a < b, a, b); }
#endif
V vf32 vrsqrt(vf32 x) { return 1.0f / vsqrt(x); }
// Lanes are combined pairwise, i with i + half, so the order is the same wherever VW is.
#define TESSERA_FOLD(name, scalar, type, combine)                  \
  V scalar name(type v) {                                          \
    scalar t[sizeof(type) / sizeof(scalar)];                       \
    vstore_raw(t, v);                                              \
    for (int half = sizeof(type) / sizeof(scalar) / 2; half > 0; half /= 2) \
      for (int i = 0; i < half; i++) { scalar a = t[i], b = t[i + half]; t[i] = combine; } \
    return t[0];                                                   \
  }
TESSERA_FOLD(vsum, float, vf32, a + b)
TESSERA_FOLD(vprod, float, vf32, a* b)
TESSERA_FOLD(vhmax, float, vf32, (a > b || a != a) ? a : b)
TESSERA_FOLD(vhmin, float, vf32, (a < b || a != a) ? a : b)
TESSERA_FOLD(vsum, int, vi32, a + b)
TESSERA_FOLD(vprod, int, vi32, a* b)
TESSERA_FOLD(vhmax, int, vi32, a > b ? a : b)
TESSERA_FOLD(vhmin, int, vi32, a < b ? a : b)
TESSERA_FOLD(vsum, double, vd, a + b)
TESSERA_FOLD(vsum, long, vl, a + b)

#include "vec_math.h"
#include "vec_special.h"

#include "vec_random.h"

#endif
