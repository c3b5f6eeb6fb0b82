// A SIMD layer without headers, on the vector extensions and builtins of GCC and Clang.
//
// The width comes from the instruction set that the compiler was told to use: VW lanes of 32 bits (16 with AVX-512, 8 with
// AVX2, else 4). Names: `vf32 vi32 vu32` fill one register; `vd vl` are a register of VW / 2 doubles or 64-bit integers.
// A comparison such as `a < b` gives a mask, a vi32 of 0 and -1; `vselect` chooses by it. Arithmetic uses the operators.
// Values are unaligned in memory; `_n` variants touch only the first n elements and fill the rest with zero.
//
// Accuracy: exp, log and sigmoid compute in f32 and stay within 2 ulp. The other functions compute each half in f64 by
// short series, whose error is far below half an ulp of f32, and round once: 1 ulp at most, subnormal numbers, signed
// zeros and infinities included. Series are Taylor series where the range is small, so every constant is a known fraction.
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

V vi32 vbits(vf32 x) { return (vi32)x; }
V vf32 vfloat(vi32 x) { return (vf32)x; }
V vf32 vset(float x) { return (vf32){} + x; }
V vi32 vset(int x) { return (vi32){} + x; }
V vf32 vselect(vi32 mask, vf32 a, vf32 b) { return mask ? a : b; }
V vi32 vselect(vi32 mask, vi32 a, vi32 b) { return mask ? a : b; }
V vd vselect(vl mask, vd a, vd b) { return mask ? a : b; }
V vd vsetd(double x) { return (vd){} + x; }

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

V vf32 vload(const float* p) { return vload_raw<vf32>(p); }
V vi32 vload(const int* p) { return vload_raw<vi32>(p); }
V vu32 vload(const unsigned* p) { return vload_raw<vu32>(p); }
V vi32 vload(const unsigned char* p) { return __builtin_convertvector(vload_raw<vu8>(p), vi32); }
V vi32 vload(const signed char* p) { return __builtin_convertvector(vload_raw<vi8>(p), vi32); }
V vi32 vload(const short* p) { return __builtin_convertvector(vload_raw<vi16>(p), vi32); }
V void vstore(float* p, vf32 v) { __builtin_memcpy(p, &v, sizeof v); }
V void vstore(int* p, vi32 v) { __builtin_memcpy(p, &v, sizeof v); }
V void vstore(unsigned* p, vu32 v) { __builtin_memcpy(p, &v, sizeof v); }
V void vstore(unsigned char* p, vi32 v) { vu8 b = __builtin_convertvector(v, vu8); __builtin_memcpy(p, &b, sizeof b); }
V void vstore(signed char* p, vi32 v) { vi8 b = __builtin_convertvector(v, vi8); __builtin_memcpy(p, &b, sizeof b); }
V void vstore(short* p, vi32 v) { vi16 b = __builtin_convertvector(v, vi16); __builtin_memcpy(p, &b, sizeof b); }

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
V void vstore_n(float* p, vf32 v, long n) { __builtin_memcpy(p, &v, (unsigned long)n * 4); }
V vi32 vload_n(const int* p, long n) { return vload_raw_n<vi32>(p, n, 4); }
V void vstore_n(int* p, vi32 v, long n) { __builtin_memcpy(p, &v, (unsigned long)n * 4); }
V vf32 vload_mask(const float* p, vi32 mask, vf32 other) { for (int i = 0; i < VW; i++) if (mask[i]) other[i] = p[i]; return other; }
V void vstore_mask(float* p, vf32 v, vi32 mask) { for (int i = 0; i < VW; i++) if (mask[i]) p[i] = v[i]; }
#endif
V vu32 vload_n(const unsigned* p, long n) { return (vu32)vload_n((const int*)p, n); }
V void vstore_n(unsigned* p, vu32 v, long n) { vstore_n((int*)p, (vi32)v, n); }
V vi32 vload_n(const unsigned char* p, long n) { return __builtin_convertvector(vload_raw_n<vu8>(p, n, 1), vi32); }
V vi32 vload_n(const signed char* p, long n) { return __builtin_convertvector(vload_raw_n<vi8>(p, n, 1), vi32); }
V vi32 vload_n(const short* p, long n) { return __builtin_convertvector(vload_raw_n<vi16>(p, n, 2), vi32); }
V void vstore_n(unsigned char* p, vi32 v, long n) { vu8 b = __builtin_convertvector(v, vu8); __builtin_memcpy(p, &b, (unsigned long)n); }
V void vstore_n(signed char* p, vi32 v, long n) { vi8 b = __builtin_convertvector(v, vi8); __builtin_memcpy(p, &b, (unsigned long)n); }
V void vstore_n(short* p, vi32 v, long n) { vi16 b = __builtin_convertvector(v, vi16); __builtin_memcpy(p, &b, (unsigned long)n * 2); }

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
V vf32 vload(const f16* p) { return vfrom_f16(vload_raw<vu16>(p)); }
V vf32 vload(const bf16* p) { return vfrom_bf16(vload_raw<vu16>(p)); }
V vf32 vload_n(const f16* p, long n) { return vfrom_f16(vload_raw_n<vu16>(p, n, 2)); }
V vf32 vload_n(const bf16* p, long n) { return vfrom_bf16(vload_raw_n<vu16>(p, n, 2)); }
V void vstore(f16* p, vf32 v) { vu16 h = vto_f16(v); __builtin_memcpy(p, &h, sizeof h); }
V void vstore(bf16* p, vf32 v) { vu16 h = vto_bf16(v); __builtin_memcpy(p, &h, sizeof h); }
V void vstore_n(f16* p, vf32 v, long n) { vu16 h = vto_f16(v); __builtin_memcpy(p, &h, (unsigned long)n * 2); }
V void vstore_n(bf16* p, vf32 v, long n) { vu16 h = vto_bf16(v); __builtin_memcpy(p, &h, (unsigned long)n * 2); }

// Registers of doubles and of 64-bit integers hold VH elements.
V vd vload(const double* p) { return vload_raw<vd>(p); }
V vl vload(const long* p) { return vload_raw<vl>(p); }
V void vstore(double* p, vd v) { __builtin_memcpy(p, &v, sizeof v); }
V void vstore(long* p, vl v) { __builtin_memcpy(p, &v, sizeof v); }
V vd vload_n(const double* p, long n) { return vload_raw_n<vd>(p, n, 8); }
V vl vload_n(const long* p, long n) { return vload_raw_n<vl>(p, n, 8); }
V void vstore_n(double* p, vd v, long n) { __builtin_memcpy(p, &v, (unsigned long)n * 8); }
V void vstore_n(long* p, vl v, long n) { __builtin_memcpy(p, &v, (unsigned long)n * 8); }
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
V vf32 vmax(vf32 a, vf32 b) { return vselect((a > b) | (a != a), a, b); }
V vf32 vmin(vf32 a, vf32 b) { return vselect((a < b) | (a != a), a, b); }
V vi32 vmax(vi32 a, vi32 b) { return vselect(a > b, a, b); }
V vi32 vmin(vi32 a, vi32 b) { return vselect(a < b, a, b); }
V vf32 vrsqrt(vf32 x) { return 1.0f / vsqrt(x); }
// C's fmod: exact, the sign of a. Lane by lane beyond 2^53 in the quotient.
V float tessera_fmod(float a, float b) { return __builtin_fmodf(a, b); }
V vf32 vfmod(vf32 a, vf32 b) {
  vf32 r;
  for (int i = 0; i < VW; i++) r[i] = __builtin_fmodf(a[i], b[i]);
  return r;
}

// Lanes are combined pairwise, i with i + half, so the order is the same wherever VW is.
#define TESSERA_FOLD(name, scalar, type, combine)                  \
  V scalar name(type v) {                                          \
    scalar t[sizeof(type) / sizeof(scalar)];                       \
    __builtin_memcpy(t, &v, sizeof t);                             \
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

// ---- exp, log, sigmoid in f32 ----

// e^x = 2^n e^r with |r| <= ln 2 / 2. ln 2 is split so that n times its upper part is exact without a fused product.
V vf32 vexp(vf32 x) {
  vf32 c = vselect(x < -104.0f, vset(-104.0f), vselect(x > 89.0f, vset(89.0f), x));
  vf32 t = vfma(c, vset(0x1.715476p+0f), vset(0x1.8p23f));
  vf32 n = t - 0x1.8p23f;
  vi32 k = vbits(t) - 0x4b400000;
  vf32 r = vfma(n, vset(-0x1.62e4p-1f), c);
  r = vfma(n, vset(-0x1.7f7d1cp-20f), r);
  vf32 p = vfma(r, vset(1.0f / 5040), vset(1.0f / 720));
  p = vfma(p, r, vset(1.0f / 120));
  p = vfma(p, r, vset(1.0f / 24));
  p = vfma(p, r, vset(1.0f / 6));
  p = vfma(p, r, vset(0.5f));
  p = vfma(p * r, r, r) + 1.0f;
  // Two factors: one cannot reach 2^-149 or 2^128.
  vi32 h = k >> 1;
  return p * vfloat((h + 127) << 23) * vfloat((k - h + 127) << 23);
}

// x = 2^e (1 + f), 1/sqrt 2 <= 1 + f < sqrt 2; log(1 + f) = 2 artanh(f / (2 + f)).
V vf32 vlog(vf32 x) {
  vi32 tiny = x < 0x1p-126f;
  vf32 a = vselect(tiny, x * 0x1p25f, x);
  vi32 e = (vbits(a) - 0x3f3504f3) >> 23;
  vf32 f = vfloat(vbits(a) - (e << 23)) - 1.0f;
  vf32 n = vto_f32(e) - vselect(tiny, vset(25.0f), vset(0.0f));
  vf32 s = f / (f + 2.0f);
  vf32 z = s * s;
  vf32 r = vfma(z, vset(2.0f / 9), vset(2.0f / 7));
  r = vfma(r, z, vset(2.0f / 5));
  r = vfma(r, z, vset(2.0f / 3)) * z;
  vf32 half = 0.5f * f * f;
  vf32 y = vfma(n, vset(0x1.7f7d1cp-20f), s * (half + r)) - half + f;
  y = vfma(n, vset(0x1.62e4p-1f), y);
  y = vselect(x == __builtin_inff(), x, y);
  y = vselect(x == 0.0f, vset(-__builtin_inff()), y);
  return vselect((x < 0.0f) | (x != x), vset(__builtin_nanf("")), y);
}

V vf32 vsigmoid(vf32 x) {
  vf32 e = vexp(vneg(vabs(x)));
  return vselect(x < 0.0f, e, vset(1.0f)) / (e + 1.0f);
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

#define TESSERA_UNARY(name) V vf32 v##name(vf32 x) { return vnarrow(vd_##name(vwiden_low(x)), vd_##name(vwiden_high(x))); }
#define TESSERA_BINARY(name)                                                                  \
  V vf32 v##name(vf32 a, vf32 b) {                                                            \
    return vnarrow(vd_##name(vwiden_low(a), vwiden_low(b)), vd_##name(vwiden_high(a), vwiden_high(b))); \
  }
// Angles too large for the short reduction go to the C library; so do infinities and NaN.
#define TESSERA_TRIG(name, scalar)                                                            \
  __attribute__((noinline, cold, unused)) static vf32 v##name##_large(vf32 x) {               \
    for (int i = 0; i < VW; i++) x[i] = (float)scalar((double)x[i]);                          \
    return x;                                                                                 \
  }                                                                                           \
  V vf32 v##name(vf32 x) {                                                                    \
    if (__builtin_expect(vany(~(vabs(x) < TESSERA_TRIG_LIMIT)), 0)) return v##name##_large(x); \
    return vnarrow(vd_##name(vwiden_low(x)), vd_##name(vwiden_high(x)));                      \
  }
TESSERA_UNARY(log1p)
TESSERA_UNARY(expm1)
TESSERA_UNARY(tanh)
TESSERA_UNARY(sinh)
TESSERA_UNARY(cosh)
TESSERA_UNARY(erf)
TESSERA_UNARY(erfc)
TESSERA_UNARY(exp2)
TESSERA_UNARY(atan)
TESSERA_UNARY(asin)
TESSERA_UNARY(acos)
TESSERA_BINARY(atan2)
TESSERA_BINARY(pow)
TESSERA_TRIG(sin, __builtin_sin)
TESSERA_TRIG(cos, __builtin_cos)
TESSERA_TRIG(tan, __builtin_tan)
V vd vd_log2(vd x) { return vd_log_scaled(x, 0x1.71547652b82fep+0); }
V vd vd_log10(vd x) { return vd_log_scaled(x, 0x1.bcb7b1526e50ep-2); }
TESSERA_UNARY(log2)
TESSERA_UNARY(log10)

// ---- Philox4x32-10 ----
// Key (seed low, seed high); counter (index low, index high, offset low, offset high), one block an element.
// Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011. Exact integers, so any language can repeat it.

struct vphilox_block { vu32 w[4]; };
// Upper halves of the products of all lanes with m.
V vu32 vmulhi(vu32 a, unsigned m) {
#if TESSERA_AVX512 && !TESSERA_CLANG
  typedef long long vll __attribute__((vector_size(64)));
  vi32 b = (vi32){} + (int)m;
  vul even = (vul)__builtin_ia32_pmuludq512_mask((vi32)a, b, (vll){}, -1);
  vul odd = (vul)__builtin_ia32_pmuludq512_mask((vi32)((vul)a >> 32), b, (vll){}, -1);
#elif TESSERA_AVX2 && !TESSERA_CLANG
  vi32 b = (vi32){} + (int)m;
  vul even = (vul)__builtin_ia32_pmuludq256((vi32)a, b), odd = (vul)__builtin_ia32_pmuludq256((vi32)((vul)a >> 32), b);
#elif defined(__SSE2__) && VW == 4 && !TESSERA_CLANG
  vi32 b = (vi32){} + (int)m;
  vul even = (vul)__builtin_ia32_pmuludq128((vi32)a, b), odd = (vul)__builtin_ia32_pmuludq128((vi32)((vul)a >> 32), b);
#else
  vul even = ((vul)a & 0xfffffffful) * (unsigned long)m;
  vul odd = ((vul)a >> 32) * (unsigned long)m;
#endif
  return (vu32)((even >> 32) | (odd & 0xffffffff00000000ul));
}
V vphilox_block vphilox(vu32 c0, vu32 c1, vu32 c2, vu32 c3, unsigned k0, unsigned k1) {
  for (int round = 0; round < 10; round++) {
    vu32 h0 = vmulhi(c0, 0xd2511f53u), h1 = vmulhi(c2, 0xcd9e8d57u);
    vu32 l0 = c0 * 0xd2511f53u, l1 = c2 * 0xcd9e8d57u;
    c0 = h1 ^ c1 ^ k0;
    c2 = h0 ^ c3 ^ k1;
    c1 = l1;
    c3 = l0;
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  return {{c0, c1, c2, c3}};
}
// Blocks of the elements index, index + 1, …, one a lane.
V vphilox_block vrandom(long seed, long offset, long index) {
  vu32 low = (vu32)viota() + (unsigned)index;
  // Lanes whose low word wrapped carry into the high word.
  vu32 high = (vu32){} + (unsigned)((unsigned long)index >> 32);
  high -= (vu32)(low < (vu32){} + (unsigned)index);
  vu32 zero = {};
  return vphilox(low, high, zero + (unsigned)offset, zero + (unsigned)((unsigned long)offset >> 32), (unsigned)seed,
                 (unsigned)((unsigned long)seed >> 32));
}
// [0, 1) in steps of 2^-24.
V vf32 vuniform_of(vu32 bits) { return vto_f32((vi32)(bits >> 8)) * 0x1p-24f; }
V vf32 vuniform(long seed, long offset, long index) { return vuniform_of(vrandom(seed, offset, index).w[0]); }
// Box-Muller on words 0 and 1: sqrt(-2 ln u) cos(2 pi v), u = ((w0 >> 8) + 1) 2^-24, v = (w1 >> 8) 2^-24.
V vd vd_normal(vd u, vd v) {
  return vsqrt(vd_log_scaled(u * 0x1p-24, -2.0)) * vd_cos(v * (0x1p-24 * 0x1.921fb54442d18p+2));
}
V vf32 vnormal(long seed, long offset, long index) {
  vphilox_block b = vrandom(seed, offset, index);
  vf32 u = vto_f32((vi32)(b.w[0] >> 8)) + 1.0f, v = vto_f32((vi32)(b.w[1] >> 8));
  return vnarrow(vd_normal(vwiden_low(u), vwiden_low(v)), vd_normal(vwiden_high(u), vwiden_high(v)));
}

#endif
