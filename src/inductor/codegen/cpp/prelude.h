// What generated kernels need beside vec.h: every operation of the tile IR under one name for scalars and for vectors of VW elements.
//
// Element types f32, f16, bf16 compute in float or vf32; int32 and narrower in int or vi32; uint32 in unsigned or vu32; bool is an int of 0 and 1, in
// vectors a mask of 0 and -1; float64 and int64 vectors are pairs of registers, vd2 and vl2. Functions are overloaded, so that the
// emitter writes `tsr_exp(x)` whatever x is. Signed integers wrap (-fwrapv).

struct vd2 { vd a, b; };
struct vl2 { vl a, b; };
#define TSR static inline __attribute__((always_inline))

#define TSR_ARITH(type, scalar, op)                                                                        \
  TSR type operator op(type x, type y) { return {x.a op y.a, x.b op y.b}; }                                \
  TSR type operator op(type x, scalar y) { return {x.a op y, x.b op y}; }                                  \
  TSR type operator op(scalar x, type y) { return {x op y.a, x op y.b}; }
TSR_ARITH(vd2, double, +)
TSR_ARITH(vd2, double, -)
TSR_ARITH(vd2, double, *)
TSR_ARITH(vd2, double, /)
TSR_ARITH(vl2, long, +)
TSR_ARITH(vl2, long, -)
TSR_ARITH(vl2, long, *)
TSR_ARITH(vl2, long, &)
TSR_ARITH(vl2, long, |)
TSR_ARITH(vl2, long, ^)
#define TSR_COMPARE(type, scalar, op)                                                                      \
  TSR vi32 operator op(type x, type y) { return vnarrow((vl)(x.a op y.a), (vl)(x.b op y.b)); }             \
  TSR vi32 operator op(type x, scalar y) { return vnarrow((vl)(x.a op y), (vl)(x.b op y)); }               \
  TSR vi32 operator op(scalar x, type y) { return vnarrow((vl)(x op y.a), (vl)(x op y.b)); }
TSR_COMPARE(vd2, double, ==)
TSR_COMPARE(vd2, double, !=)
TSR_COMPARE(vd2, double, <)
TSR_COMPARE(vd2, double, <=)
TSR_COMPARE(vd2, double, >)
TSR_COMPARE(vd2, double, >=)
TSR_COMPARE(vl2, long, ==)
TSR_COMPARE(vl2, long, !=)
TSR_COMPARE(vl2, long, <)
TSR_COMPARE(vl2, long, <=)
TSR_COMPARE(vl2, long, >)
TSR_COMPARE(vl2, long, >=)
TSR vl2 operator~(vl2 x) { return {~x.a, ~x.b}; }
TSR vd2 operator-(vd2 x) { return {-x.a, -x.b}; }
TSR vl2 operator-(vl2 x) { return {-x.a, -x.b}; }

// ---- broadcast ----
TSR vf32 tsr_set(float x) { return vset(x); }
TSR vi32 tsr_set(int x) { return vset(x); }
TSR vu32 tsr_set(unsigned x) { return (vu32){} + x; }
TSR vd2 tsr_set(double x) { return {vsetd(x), vsetd(x)}; }
TSR vl2 tsr_set(long x) { return {(vl){} + x, (vl){} + x}; }
TSR vi32 tsr_mask(int x) { return (vi32){} - (x != 0); }

// ---- choice ----
TSR vf32 tsr_where(vi32 m, vf32 a, vf32 b) { return m ? a : b; }
TSR vi32 tsr_where(vi32 m, vi32 a, vi32 b) { return m ? a : b; }
TSR vu32 tsr_where(vi32 m, vu32 a, vu32 b) { return m ? a : b; }
TSR vd2 tsr_where(vi32 m, vd2 a, vd2 b) { return {vwiden_low(m) ? a.a : b.a, vwiden_high(m) ? a.b : b.b}; }
TSR vl2 tsr_where(vi32 m, vl2 a, vl2 b) { return {vwiden_low(m) ? a.a : b.a, vwiden_high(m) ? a.b : b.b}; }
template <typename T>
TSR T tsr_where(int m, T a, T b) { return m ? a : b; }

// ---- conversions ----
TSR float tsr_f32(float x) { return x; }
TSR float tsr_f32(double x) { return (float)x; }
TSR float tsr_f32(int x) { return (float)x; }
TSR float tsr_f32(unsigned x) { return (float)x; }
TSR float tsr_f32(long x) { return (float)x; }
TSR vf32 tsr_f32(vf32 x) { return x; }
TSR vf32 tsr_f32(vi32 x) { return vto_f32(x); }
TSR vf32 tsr_f32(vu32 x) { return __builtin_convertvector(x, vf32); }
TSR vf32 tsr_f32(vd2 x) { return vnarrow(x.a, x.b); }
TSR vf32 tsr_f32(vl2 x) { return vjoin(__builtin_convertvector(x.a, vf32h), __builtin_convertvector(x.b, vf32h)); }
TSR double tsr_f64(float x) { return x; }
TSR double tsr_f64(double x) { return x; }
TSR double tsr_f64(int x) { return x; }
TSR double tsr_f64(unsigned x) { return x; }
TSR double tsr_f64(long x) { return (double)x; }
TSR vd2 tsr_f64(vf32 x) { return {vwiden_low(x), vwiden_high(x)}; }
TSR vd2 tsr_f64(vd2 x) { return x; }
TSR vd2 tsr_f64(vi32 x) { return {__builtin_convertvector(vlow(x), vd), __builtin_convertvector(vhigh(x), vd)}; }
TSR vd2 tsr_f64(vl2 x) { return {__builtin_convertvector(x.a, vd), __builtin_convertvector(x.b, vd)}; }
TSR vl2 tsr_i64(vi32 x) { return {vwiden_low(x), vwiden_high(x)}; }
TSR vl2 tsr_i64(vu32 x) { vl2 r = tsr_i64((vi32)x); return r & 0xffffffffl; }
TSR vl2 tsr_i64(vl2 x) { return x; }
TSR vl2 tsr_i64(vd2 x) { return {__builtin_convertvector(x.a, vl), __builtin_convertvector(x.b, vl)}; }
TSR vl2 tsr_i64(vf32 x) { return tsr_i64(tsr_f64(x)); }
TSR vd2 tsr_f64(vu32 x) { return tsr_f64(tsr_i64(x)); }
TSR long tsr_i64(int x) { return x; }
TSR long tsr_i64(unsigned x) { return x; }
TSR long tsr_i64(long x) { return x; }
TSR long tsr_i64(float x) { return (long)x; }
TSR long tsr_i64(double x) { return (long)x; }
TSR vi32 tsr_i32(vi32 x) { return x; }
TSR vi32 tsr_i32(vu32 x) { return (vi32)x; }
TSR vi32 tsr_i32(vl2 x) { return vnarrow(x.a, x.b); }
TSR vi32 tsr_i32(vf32 x) { return vto_i32(x); }
TSR vi32 tsr_i32(vd2 x) { return tsr_i32(tsr_i64(x)); }
TSR int tsr_i32(int x) { return x; }
TSR int tsr_i32(unsigned x) { return (int)x; }
TSR int tsr_i32(long x) { return (int)x; }
TSR int tsr_i32(float x) { return (int)(long)x; }
TSR int tsr_i32(double x) { return (int)(long)x; }
TSR vu32 tsr_u32(vi32 x) { return (vu32)x; }
TSR vu32 tsr_u32(vu32 x) { return x; }
TSR vu32 tsr_u32(vl2 x) { return (vu32)tsr_i32(x); }
TSR vu32 tsr_u32(vf32 x) { return (vu32)tsr_i32(tsr_i64(x)); }
TSR vu32 tsr_u32(vd2 x) { return (vu32)tsr_i32(tsr_i64(x)); }
template <typename T>
TSR unsigned tsr_u32(T x) { return (unsigned)(long)x; }
// Integers in 32 bits, wrapped to a narrower type.
TSR vi32 tsr_wrap_i16(vi32 x) { return (x << 16) >> 16; }
TSR vi32 tsr_wrap_i8(vi32 x) { return (x << 24) >> 24; }
TSR vi32 tsr_wrap_u8(vi32 x) { return x & 255; }
TSR int tsr_wrap_i16(int x) { return (short)x; }
TSR int tsr_wrap_i8(int x) { return (signed char)x; }
TSR int tsr_wrap_u8(int x) { return x & 255; }
TSR vf32 tsr_round_f16(vf32 x) { return vfrom_f16(vto_f16(x)); }
TSR vf32 tsr_round_bf16(vf32 x) {
  vu32 bits = (vu32)x;
  vi32 rounded = (vi32)((bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u);
  return vfloat(vselect(x != x, (vi32)bits | 0x400000, rounded));
}
TSR float tsr_round_f16(float x) { return vfrom_f16(vto_f16(vset(x)))[0]; }
TSR float tsr_round_bf16(float x) { return tsr_round_bf16(vset(x))[0]; }
TSR vf32 tsr_round_e4m3(vf32 x) { return vfrom(vto(x, (const e4m3*)0), (const e4m3*)0); }
TSR vf32 tsr_round_e5m2(vf32 x) { return vfrom(vto(x, (const e5m2*)0), (const e5m2*)0); }
TSR float tsr_round_e4m3(float x) { return tsr_round_e4m3(vset(x))[0]; }
TSR float tsr_round_e5m2(float x) { return tsr_round_e5m2(vset(x))[0]; }

// ---- memory ----
TSR vf32 tsr_load(const e4m3* p) { return vload(p); }
TSR vf32 tsr_load(const e5m2* p) { return vload(p); }
TSR vf32 tsr_load(const float* p) { return vload(p); }
TSR vf32 tsr_load(const f16* p) { return vload(p); }
TSR vf32 tsr_load(const bf16* p) { return vload(p); }
TSR vi32 tsr_load(const int* p) { return vload(p); }
TSR vu32 tsr_load(const unsigned* p) { return vload(p); }
TSR vi32 tsr_load(const short* p) { return vload(p); }
TSR vi32 tsr_load(const signed char* p) { return vload(p); }
TSR vi32 tsr_load(const unsigned char* p) { return vload(p); }
TSR vd2 tsr_load(const double* p) { return {vload(p), vload(p + VH)}; }
TSR vl2 tsr_load(const long* p) { return {vload(p), vload(p + VH)}; }
TSR vi32 tsr_load(const bool* p) { return vload((const unsigned char*)p) != 0; }
TSR vf32 tsr_load_n(const float* p, long n) { return vload_n(p, n); }
TSR vi32 tsr_load_n(const int* p, long n) { return vload_n(p, n); }
TSR vu32 tsr_load_n(const unsigned* p, long n) { return vload_n(p, n); }
#if TESSERA_AVX512 && !TESSERA_CLANG
// A copy of n bytes is a call of the C library; a masked load is one instruction.
typedef char tsr_c16 __attribute__((vector_size(16)));
typedef short tsr_s16 __attribute__((vector_size(32)));
#define TSR_KEEP(n) ((unsigned short)((1u << (n)) - 1))
#define TSR_KEEP8(n) ((unsigned char)((1u << (n)) - 1))
TSR vu8 tsr_bytes(const void* p, long n) { return (vu8)__builtin_ia32_loaddquqi128_mask((const char*)p, (tsr_c16){}, TSR_KEEP(n)); }
TSR vu16 tsr_shorts(const void* p, long n) { return (vu16)__builtin_ia32_loaddquhi256_mask((const short*)p, (tsr_s16){}, TSR_KEEP(n)); }
TSR vd tsr_doubles(const double* p, long n) { return __builtin_ia32_loadupd512_mask(p, (vd){}, TSR_KEEP8(n)); }
TSR void tsr_put_bytes(void* p, vu8 v, long n) { __builtin_ia32_storedquqi128_mask((char*)p, (tsr_c16)v, TSR_KEEP(n)); }
TSR void tsr_put_shorts(void* p, vu16 v, long n) { __builtin_ia32_storedquhi256_mask((short*)p, (tsr_s16)v, TSR_KEEP(n)); }
TSR void tsr_put_doubles(double* p, vd v, long n) { __builtin_ia32_storeupd512_mask(p, v, TSR_KEEP8(n)); }
#else
TSR vu8 tsr_bytes(const void* p, long n) { return vload_raw_n<vu8>(p, n, 1); }
TSR vu16 tsr_shorts(const void* p, long n) { return vload_raw_n<vu16>(p, n, 2); }
TSR vd tsr_doubles(const double* p, long n) { return vload_n(p, n); }
TSR void tsr_put_bytes(void* p, vu8 v, long n) { vstore_raw_n(p, v, n, 1); }
TSR void tsr_put_shorts(void* p, vu16 v, long n) { vstore_raw_n(p, v, n, 2); }
TSR void tsr_put_doubles(double* p, vd v, long n) { vstore_n(p, v, n); }
#endif
TSR vf32 tsr_load_n(const f16* p, long n) { return vfrom_f16(tsr_shorts(p, n)); }
TSR vf32 tsr_load_n(const bf16* p, long n) { return vfrom_bf16(tsr_shorts(p, n)); }
TSR vi32 tsr_load_n(const short* p, long n) { return __builtin_convertvector((vi16)tsr_shorts(p, n), vi32); }
TSR vi32 tsr_load_n(const signed char* p, long n) { return __builtin_convertvector((vi8)tsr_bytes(p, n), vi32); }
TSR vi32 tsr_load_n(const unsigned char* p, long n) { return __builtin_convertvector(tsr_bytes(p, n), vi32); }
TSR vi32 tsr_load_n(const bool* p, long n) { return tsr_load_n((const unsigned char*)p, n) != 0; }
TSR vf32 tsr_load_n(const e4m3* p, long n) { return vfrom(tsr_bytes(p, n), p); }
TSR vf32 tsr_load_n(const e5m2* p, long n) { return vfrom(tsr_bytes(p, n), p); }
TSR void tsr_store(e4m3* p, vf32 v) { vu8 h = vto(v, p); vstore_raw(p, h); }
TSR void tsr_store(e5m2* p, vf32 v) { vu8 h = vto(v, p); vstore_raw(p, h); }
TSR void tsr_store_n(e4m3* p, vf32 v, long n) { tsr_put_bytes(p, vto(v, p), n); }
TSR void tsr_store_n(e5m2* p, vf32 v, long n) { tsr_put_bytes(p, vto(v, p), n); }
TSR vd2 tsr_load_n(const double* p, long n) {
  return {tsr_doubles(p, n < VH ? n : VH), tsr_doubles(p + VH, n > VH ? n - VH : 0)};
}
TSR vl2 tsr_load_n(const long* p, long n) {
  vd2 v = tsr_load_n((const double*)p, n);
  return {(vl)v.a, (vl)v.b};
}
TSR void tsr_store(float* p, vf32 v) { vstore(p, v); }
TSR void tsr_store(f16* p, vf32 v) { vstore(p, v); }
TSR void tsr_store(bf16* p, vf32 v) { vstore(p, v); }
TSR void tsr_store(int* p, vi32 v) { vstore(p, v); }
TSR void tsr_store(unsigned* p, vu32 v) { vstore(p, v); }
TSR void tsr_store(short* p, vi32 v) { vstore(p, v); }
TSR void tsr_store(signed char* p, vi32 v) { vstore(p, v); }
TSR void tsr_store(unsigned char* p, vi32 v) { vstore(p, v); }
TSR void tsr_store(bool* p, vi32 v) { vstore((unsigned char*)p, v & 1); }
TSR void tsr_store(double* p, vd2 v) { vstore(p, v.a); vstore(p + VH, v.b); }
TSR void tsr_store(long* p, vl2 v) { vstore(p, v.a); vstore(p + VH, v.b); }
TSR void tsr_store_n(float* p, vf32 v, long n) { vstore_n(p, v, n); }
TSR void tsr_store_n(int* p, vi32 v, long n) { vstore_n(p, v, n); }
TSR void tsr_store_n(unsigned* p, vu32 v, long n) { vstore_n(p, v, n); }
TSR void tsr_store_n(f16* p, vf32 v, long n) { tsr_put_shorts(p, vto_f16(v), n); }
TSR void tsr_store_n(bf16* p, vf32 v, long n) { tsr_put_shorts(p, vto_bf16(v), n); }
TSR void tsr_store_n(short* p, vi32 v, long n) { tsr_put_shorts(p, __builtin_convertvector(v, vu16), n); }
TSR void tsr_store_n(signed char* p, vi32 v, long n) { tsr_put_bytes(p, __builtin_convertvector(v, vu8), n); }
TSR void tsr_store_n(unsigned char* p, vi32 v, long n) { tsr_put_bytes(p, __builtin_convertvector(v, vu8), n); }
TSR void tsr_store_n(bool* p, vi32 v, long n) { tsr_put_bytes(p, __builtin_convertvector(v & 1, vu8), n); }
TSR void tsr_store_n(double* p, vd2 v, long n) {
  tsr_put_doubles(p, v.a, n < VH ? n : VH);
  if (n > VH) tsr_put_doubles(p + VH, v.b, n - VH);
}
TSR void tsr_store_n(long* p, vl2 v, long n) { tsr_store_n((double*)p, (vd2){(vd)v.a, (vd)v.b}, n); }
// Only lanes whose mask is set touch memory; the others are zero.
TSR vf32 tsr_load_m(const float* p, vi32 m) { return vload_mask(p, m, (vf32){}); }
template <typename T>
TSR auto tsr_load_m(const T* p, vi32 m) {
  T t[VW] = {};
  for (int i = 0; i < VW; i++) if (m[i]) t[i] = p[i];
  return tsr_load(t);
}
template <typename T>
TSR auto tsr_strided(const T* p, long stride, long n) {
  T t[VW] = {};
  for (int i = 0; i < VW; i++) if (i < n) t[i] = p[i * stride];
  return tsr_load(t);
}
template <typename T>
TSR auto tsr_strided(const T* p, long stride) {
  T t[VW];
  for (int i = 0; i < VW; i++) t[i] = p[i * stride];
  return tsr_load(t);
}
#if TESSERA_SHUFFLE && VW == 16
// Every fourth element of three loads, and of a fourth one that ends at the last element that is needed.
TSR vf32 tsr_fourth(vf32 a, vf32 b, vf32 c, vf32 d) {
  const vf32 low = __builtin_shufflevector(a, b, 0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
  const vf32 high = __builtin_shufflevector(c, d, 0, 4, 8, 12, 19, 23, 27, 31, 0, 4, 8, 12, 19, 23, 27, 31);
  return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
}
TSR vf32 tsr_fourth_part(const float* p, long n) { return n > 0 ? vload_n(p, n > 16 ? 16 : n) : (vf32){}; }
#endif
// Every second element is a shuffle of two loads; the second ends at the last element that is needed.
TSR vf32 tsr_strided(const float* p, long stride, long n) {
#if TESSERA_SHUFFLE && VW == 16
  if (__builtin_constant_p(stride) && stride == 4) {
    const long end = 4 * n - 3;
    const vf32 c = tsr_fourth_part(p + 32, end - 32), d = tsr_fourth_part(p + 45, end - 45);
    return tsr_fourth(tsr_fourth_part(p, end), tsr_fourth_part(p + 16, end - 16), c, d);
  }
  if (__builtin_constant_p(stride) && stride == 2) {
    const vf32 a = vload_n(p, n > 8 ? 16 : 2 * n - 1), b = n > 8 ? vload_n(p + 15, 2 * n - 16) : (vf32){};
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31);
  }
#endif
  return vgather(p, vmin(viota(), vset((int)n - 1)) * (int)stride);
}
TSR vf32 tsr_strided(const float* p, long stride) {
#if TESSERA_SHUFFLE && VW == 16
  if (__builtin_constant_p(stride) && stride == 4) return tsr_fourth(vload(p), vload(p + 16), vload(p + 32), vload(p + 45));
  if (__builtin_constant_p(stride) && stride == 2) {
    return __builtin_shufflevector(vload(p), vload(p + 15), 0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31);
  }
#endif
  return vgather(p, viota() * (int)stride);
}
// Every second element where the mask is set, which alone touch memory; the others are zero: rows of a padded image under a window of step 2.
TSR vf32 tsr_second_m(const float* p, vi32 m) {
#if TESSERA_SHUFFLE && VW == 16
  const vi32 even = (viota() & 1) == 0;
  const vf32 a = vload_mask(p, even & __builtin_shufflevector(m, m, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7), (vf32){});
  const vf32 b = vload_mask(p + 15, ~even & __builtin_shufflevector(m, m, 8, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15), (vf32){});
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31);
#elif TESSERA_AVX2 && !TESSERA_AVX512 && !TESSERA_CLANG
  return __builtin_ia32_gathersiv8sf((vf32){}, p, viota() * 2, (vf32)m, 4);
#else
  vf32 r = {};
  for (int i = 0; i < VW; i++) if (m[i]) r[i] = p[2 * i];
  return r;
#endif
}
TSR vf32 tsr_gather(const float* p, vi32 at) { return vgather(p, at); }
TSR vi32 tsr_gather(const int* p, vi32 at) { return vgather(p, at); }
template <typename T>
TSR auto tsr_gather(const T* p, vi32 at) {
  T t[VW];
  for (int i = 0; i < VW; i++) t[i] = p[at[i]];
  return tsr_load(t);
}
template <typename T, typename W>
TSR void tsr_store_strided(T* p, long stride, W v, long n) {
  T t[VW];
  tsr_store(t, v);
  for (int i = 0; i < VW; i++) if (i < n) p[i * stride] = t[i];
}
#if TESSERA_AVX512 && !TESSERA_CLANG
TSR void tsr_store_strided(float* p, long stride, vf32 v, long n) {
  if (__builtin_constant_p(stride) && stride == 2) {
    const vi32 even = (viota() & 1) == 0, last = vset((int)(2 * n));
    vstore_mask(p, __builtin_shufflevector(v, v, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7), even & (viota() < last));
    if (n > 8) {
      vstore_mask(p + 16, __builtin_shufflevector(v, v, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15),
                  even & (viota() + 16 < last));
    }
    return;
  }
  __builtin_ia32_scattersiv16sf(p, TSR_KEEP(n), viota() * (int)stride, v, 4);
}
TSR void tsr_scatter(float* p, vi32 at, vf32 v, long n) { __builtin_ia32_scattersiv16sf(p, TSR_KEEP(n), at, v, 4); }
#endif
template <typename T, typename W>
TSR void tsr_scatter(T* p, vi32 at, W v, long n) {
  T t[VW];
  tsr_store(t, v);
  for (int i = 0; i < VW; i++) if (i < n) p[at[i]] = t[i];
}
// A square of VW × VW numbers, rows `stride` apart, turned: numbers whose positions differ in one bit change places, bit by bit.
#if TESSERA_CLANG || VW == 4
TSR void tsr_turn(const float* p, long stride, float* out) {
  for (int i = 0; i < VW; i++) for (int j = 0; j < VW; j++) out[j * VW + i] = p[i * stride + j];
}
#else
TSR void tsr_swap(vf32& a, vf32& b, int by) {
  const vi32 lane = viota(), upper = (lane & by) != 0;
  const vf32 c = __builtin_shuffle(a, b, upper ? lane - by + VW : lane), d = __builtin_shuffle(a, b, upper ? lane + VW : lane + by);
  a = c;
  b = d;
}
static __attribute__((noinline, unused)) void tsr_turn(const float* p, long stride, float* out) {
  vf32 r[VW];
#pragma GCC unroll 16
  for (int i = 0; i < VW; i++) r[i] = vload(p + i * stride);
#pragma GCC unroll 4
  for (int by = VW / 2; by > 0; by /= 2) {
#pragma GCC unroll 16
    for (int i = 0; i < VW; i++) if (!(i & by)) tsr_swap(r[i], r[i + by], by);
  }
#pragma GCC unroll 16
  for (int i = 0; i < VW; i++) vstore(out + i * VW, r[i]);
}
#endif
// Whole lines past the caches, where the line begins at p; in order only when all is done.
TSR void tsr_stream(float* p, vf32 v) {
#if TESSERA_AVX512 && !TESSERA_CLANG
  if (__builtin_expect(((long)p & 63) == 0, 1)) return __builtin_ia32_movntps512(p, v);
#endif
  vstore(p, v);
}
TSR void tsr_stream_end() {
#if TESSERA_AVX512 && !TESSERA_CLANG
  __builtin_ia32_sfence();
#endif
}
// Turns a square and fetches what lies so much further in its rows.
TSR void tsr_turn(const float* p, long stride, float* out, long ahead) {
  for (int i = 0; i < VW; i++) __builtin_prefetch(p + i * stride + ahead, 0, 3);
  tsr_turn(p, stride, out);
}
// Into the first cache; into the second, where what is being worked on should stay in the first.
TSR void tsr_fetch_near(const void* p) { __builtin_prefetch(p, 0, 3); }
TSR void tsr_fetch(const void* p) { __builtin_prefetch(p, 0, 2); }
// Scalars in memory.
TSR float tsr_get(const float* p) { return *p; }
TSR double tsr_get(const double* p) { return *p; }
TSR float tsr_get(const f16* p) { return vfrom_f16((vu16){} + p->bits)[0]; }
TSR float tsr_get(const bf16* p) { unsigned x = (unsigned)p->bits << 16; float f; __builtin_memcpy(&f, &x, 4); return f; }
TSR float tsr_get(const e4m3* p) { return vfrom((vu8){} + p->bits, p)[0]; }
TSR float tsr_get(const e5m2* p) { return vfrom((vu8){} + p->bits, p)[0]; }
TSR void tsr_put(e4m3* p, float v) { p->bits = vto(vset(v), p)[0]; }
TSR void tsr_put(e5m2* p, float v) { p->bits = vto(vset(v), p)[0]; }
TSR long tsr_get(const long* p) { return *p; }
TSR int tsr_get(const int* p) { return *p; }
TSR unsigned tsr_get(const unsigned* p) { return *p; }
TSR int tsr_get(const short* p) { return *p; }
TSR int tsr_get(const signed char* p) { return *p; }
TSR int tsr_get(const unsigned char* p) { return *p; }
TSR int tsr_get(const bool* p) { return *(const unsigned char*)p != 0; }
TSR void tsr_put(float* p, float v) { *p = v; }
TSR void tsr_put(double* p, double v) { *p = v; }
TSR void tsr_put(f16* p, float v) { p->bits = vto_f16(vset(v))[0]; }
TSR void tsr_put(bf16* p, float v) { p->bits = vto_bf16(vset(v))[0]; }
TSR void tsr_put(long* p, long v) { *p = v; }
TSR void tsr_put(int* p, int v) { *p = v; }
TSR void tsr_put(unsigned* p, unsigned v) { *p = v; }
TSR void tsr_put(short* p, int v) { *p = (short)v; }
TSR void tsr_put(signed char* p, int v) { *p = (signed char)v; }
TSR void tsr_put(unsigned char* p, int v) { *p = (unsigned char)v; }
TSR void tsr_put(bool* p, int v) { *(unsigned char*)p = v != 0; }
