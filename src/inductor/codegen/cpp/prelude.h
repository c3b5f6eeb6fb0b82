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

// ---- combining lanes ----
TSR float tsr_sum(vf32 x) { return vsum(x); }
TSR int tsr_sum(vi32 x) { return vsum(x); }
TSR unsigned tsr_sum(vu32 x) { return (unsigned)vsum((vi32)x); }
TSR double tsr_sum(vd2 x) { return vsum(x.a + x.b); }
TSR long tsr_sum(vl2 x) { return vsum(x.a + x.b); }
#define TSR_FOLD(name, combine)                                                                            \
  template <typename S, typename T>                                                                        \
  TSR S name##_of(T x) {                                                                                   \
    S t[VW];                                                                                               \
    tsr_store(t, x);                                                                                       \
    for (int half = VW / 2; half > 0; half /= 2) for (int i = 0; i < half; i++) t[i] = combine(t[i], t[i + half]); \
    return t[0];                                                                                           \
  }                                                                                                        \
  TSR float name(vf32 x) { return name##_of<float>(x); }                                                   \
  TSR int name(vi32 x) { return name##_of<int>(x); }                                                       \
  TSR unsigned name(vu32 x) { return name##_of<unsigned>(x); }                                             \
  TSR double name(vd2 x) { return name##_of<double>(x); }                                                  \
  TSR long name(vl2 x) { return name##_of<long>(x); }
template <typename T>
TSR T tsr_times(T a, T b) { return a * b; }
TSR_FOLD(tsr_prod, tsr_times)
TSR_FOLD(tsr_hmax, tsr_maximum)
TSR_FOLD(tsr_hmin, tsr_minimum)
TSR float tsr_hlogaddexp(vf32 x) { float r = x[0]; for (int i = 1; i < VW; i++) r = tsr_logaddexp(r, (float)x[i]); return r; }
TSR double tsr_hlogaddexp(vd2 x) { double t[VW], r; tsr_store(t, x); r = t[0]; for (int i = 1; i < VW; i++) r = tsr_logaddexp(r, t[i]); return r; }
TSR int tsr_any(vi32 m) { return vany(m); }

// Running results of the lanes after those of earlier blocks, of which the last lane counts: each step combines with what is 1, 2, 4, … lanes before.
#if TESSERA_CLANG
template <typename T>
TSR T tsr_lanes(T x, vi32 from) { T r; for (int i = 0; i < VW; i++) r[i] = x[from[i] & (VW - 1)]; return r; }
#else
template <typename T>
TSR T tsr_lanes(T x, vi32 from) { return __builtin_shuffle(x, from); }
#endif
#define TSR_SCAN(name, combine)                                                                            \
  TSR vf32 name##_step(vf32 x, int by) { return tsr_where(viota() >= by, combine(tsr_lanes(x, viota() - by), x), x); } \
  TSR vf32 name(vf32 x, vf32 before) {                                                                     \
    x = name##_step(name##_step(x, 1), 2);                                                                 \
    if (VW > 4) x = name##_step(x, 4);                                                                     \
    if (VW > 8) x = name##_step(x, 8);                                                                     \
    return combine(tsr_lanes(before, vset(VW - 1)), x);                                                    \
  }
TSR vf32 tsr_plus(vf32 a, vf32 b) { return a + b; }
TSR_SCAN(tsr_scan_sum, tsr_plus)
TSR_SCAN(tsr_scan_prod, tsr_times)
// Extrema as integers, which have one order and short instructions: what is below zero is turned around, and a NaN is beyond all numbers. Lanes that have
// nothing before them combine with the first.
#define TSR_SCAN_EXTREMUM(name, combine, nan)                                                              \
  TSR vi32 name##_step(vi32 x, int by) { return combine(tsr_lanes(x, (viota() - by) & (viota() >= by)), x); } \
  TSR vi32 name(vi32 x, vi32 before) {                                                                     \
    x = name##_step(name##_step(x, 1), 2);                                                                 \
    if (VW > 4) x = name##_step(x, 4);                                                                     \
    if (VW > 8) x = name##_step(x, 8);                                                                     \
    return combine(tsr_lanes(before, vset(VW - 1)), x);                                                    \
  }                                                                                                        \
  TSR vf32 name(vf32 x, vf32 before) {                                                                     \
    return vfloat(tsr_ordered(name(tsr_ordered(vselect(x != x, vset(nan), vbits(x))), tsr_ordered(vbits(before))))); \
  }
TSR vi32 tsr_ordered(vi32 bits) { return bits ^ ((bits >> 31) & 0x7fffffff); }
TSR_SCAN_EXTREMUM(tsr_scan_max, vmax, 0x7fc00000)
TSR_SCAN_EXTREMUM(tsr_scan_min, vmin, (int)0xffc00000)
TSR_SCAN(tsr_scan_logaddexp_far, tsr_logaddexp)
// Sums of exponentials so far: `sum` e^most in the last lane. While numbers stay below `limit`, which is little more than `most`, a block waits for nothing
// but the sum of the one before. What goes beyond it, or is no number, goes step by step and sets a new `most`. Infinite sums and NaN have the limit
// -infinity: only what adds nothing is below it.
struct tsr_lse { vf32 most, limit, sum; };
TSR tsr_lse tsr_lse_start() { return {vset(-0x1.fffffep127f), vset(-0x1.fffffep127f), vset(0.0f)}; }
static __attribute__((noinline, cold, unused)) vf32 tsr_lse_beyond(vf32 x, tsr_lse& so) {
  const vf32 r = tsr_scan_logaddexp_far(x, so.most + vlog(so.sum));
  const vf32 most = tsr_lanes(r, vset(VW - 1));
  const vi32 finite = vabs(most) < __builtin_inff();
  // A block of nothing but -infinity leaves things as they were.
  if (vall(most == -__builtin_inff())) return r;
  so = {most, vselect(finite, most + 8.0f, vset(-__builtin_inff())), vset(1.0f)};
  return r;
}
TSR vf32 tsr_scan_logaddexp(vf32 x, tsr_lse& so) {
  if (__builtin_expect(vany(~(x <= so.limit)), 0)) return tsr_lse_beyond(x, so);
  so.sum = tsr_scan_sum(vexp_below(x - so.most), so.sum);
  return so.most + vlog(so.sum);
}
static __attribute__((noinline, cold, unused)) void tsr_lse_one_by_one(vf32* x, long n, tsr_lse& so) {
  for (long u = 0; u < n; u++) x[u] = tsr_scan_logaddexp(x[u], so);
}
// Several registers in three phases, since each is a long chain.
template <int N>
TSR void tsr_scan_logaddexp(const vf32 (&x)[N], vf32 (&r)[N], tsr_lse& so) {
#if TESSERA_AVX512 && !TESSERA_CLANG
  unsigned short within = (unsigned short)-1;
#pragma GCC unroll 8
  for (int u = 0; u < N; u++) within = __builtin_ia32_cmpps512_mask(x[u], so.limit, 2, within, 4);
  const int all = within == (unsigned short)-1;
#else
  vi32 within = x[0] <= so.limit;
#pragma GCC unroll 8
  for (int u = 1; u < N; u++) within &= x[u] <= so.limit;
  const int all = vall(within);
#endif
  if (__builtin_expect(!all, 0)) {
    // Copies: what a function is given the address of is in no register.
    vf32 t[N];
    tsr_lse own = so;
#pragma GCC unroll 8
    for (int u = 0; u < N; u++) t[u] = x[u];
    tsr_lse_one_by_one(t, N, own);
#pragma GCC unroll 8
    for (int u = 0; u < N; u++) r[u] = t[u];
    so = own;
    return;
  }
#pragma GCC unroll 8
  for (int u = 0; u < N; u++) r[u] = vexp_below(x[u] - so.most);
#pragma GCC unroll 8
  for (int u = 0; u < N; u++) so.sum = r[u] = tsr_scan_sum(r[u], so.sum);
#pragma GCC unroll 8
  for (int u = 0; u < N; u++) r[u] = so.most + vlog(r[u]);
}

// ---- two reductions of columns in one walk ----
// `x(row, u)` is a register of the columns; results are arrays of `registers` registers.

#if TESSERA_AVX512 && !TESSERA_CLANG
// The second where one is NaN.
TSR vf32 tsr_larger(vf32 a, vf32 b) { return __builtin_ia32_maxps512_mask(a, b, a, (unsigned short)-1, 4); }
TSR int tsr_any_larger(vf32 a, vf32 b) { return __builtin_ia32_cmpps512_mask(a, b, 30, (unsigned short)-1, 4) != 0; }
#else
TSR vf32 tsr_larger(vf32 a, vf32 b) { return a > b ? a : b; }
TSR int tsr_any_larger(vf32 a, vf32 b) { return vany(a > b); }
#endif
template <int zero>
TSR vf32 tsr_soft_shift(vf32 large) { return zero ? vselect(vabs(large) == __builtin_inff(), vset(0.0f), large) : large; }
// R rows from `row` on: the largest numbers, and the sums of e^(x - from), which grows when what exceeds it by 8 comes along.
template <int R, typename X>
TSR void tsr_soft_rows(long row, long registers, X& x, float* most, float* sum, float* from) {
  for (long u = 0; u < registers; u++) {
    vf32 v[R];
#pragma GCC unroll 4
    for (int i = 0; i < R; i++) v[i] = x(row + i, u);
    vf32 large = v[0];
#pragma GCC unroll 4
    for (int i = 1; i < R; i++) large = tsr_larger(large, v[i]);
    large = tsr_larger(large, vload(most + u * VW));
    vstore(most + u * VW, large);
    vf32 so = vload(from + u * VW), total = vload(sum + u * VW);
    if (__builtin_expect(tsr_any_larger(large, so + 8.0f), 0)) {
      total = total * vexp_below(so - large);
      so = large;
      vstore(from + u * VW, so);
    }
    vf32 own = vexp_term(v[0] - so);
#pragma GCC unroll 4
    for (int i = 1; i < R; i++) own = own + vexp_term(v[i] - so);
    vstore(sum + u * VW, total + own);
  }
}
// What is infinite or no number, as it is defined: infinite extrema count as 0 where `zero` is set.
template <int zero, typename X>
static __attribute__((noinline, cold)) void tsr_soft_anew(long rows, long u, X& x, float* most, float* sum) {
  vf32 large = vset(-__builtin_inff()), total = {};
  for (long r = 0; r < rows; r++) large = vmax(large, x(r, u));
  const vf32 so = tsr_soft_shift<zero>(large);
  for (long r = 0; r < rows; r++) total = total + vexp(x(r, u) - so);
  vstore(most + u * VW, large);
  vstore(sum + u * VW, total);
}
template <int zero, typename X>
TSR void tsr_soft_columns(long rows, long registers, X x, float* most, float* sum) {
  float from[512];
  for (long u = 0; u < registers; u++) {
    vstore(most + u * VW, vset(-0x1.fffffep127f));
    vstore(from + u * VW, vset(-0x1.fffffep127f));
    vstore(sum + u * VW, vset(0.0f));
  }
  long r = 0;
  for (; r + 4 <= rows; r += 4) tsr_soft_rows<4>(r, registers, x, most, sum, from);
  for (; r < rows; r++) tsr_soft_rows<1>(r, registers, x, most, sum, from);
  for (long u = 0; u < registers; u++) {
    const vf32 total = vload(sum + u * VW);
    if (__builtin_expect(vall((total > 0.0f) & (total < __builtin_inff())), 1)) {
      vstore(sum + u * VW, total * vexp(vload(from + u * VW) - vload(most + u * VW)));
    } else tsr_soft_anew<zero>(rows, u, x, most, sum);
  }
}
// The same along a row of `count` numbers; `x(at)` is the register that begins at one.
template <int zero, typename X>
static __attribute__((noinline, cold)) void tsr_soft_row_anew(long count, X& x, float& most, float& sum) {
  vf32 large = vset(-__builtin_inff()), total = {};
  for (long at = 0; at < count; at += VW) large = vmax(large, x(at));
  most = tsr_hmax(large);
  const vf32 so = tsr_soft_shift<zero>(vset(most));
  for (long at = 0; at < count; at += VW) total = total + vexp(x(at) - so);
  sum = tsr_sum(total);
}
struct tsr_soft { vf32 most, from, sum; };
template <int R, typename X>
TSR void tsr_soft_step(long at, X& x, tsr_soft& so) {
  vf32 v[R];
#pragma GCC unroll 4
  for (int i = 0; i < R; i++) v[i] = x(at + i * VW);
#pragma GCC unroll 4
  for (int i = 0; i < R; i++) so.most = tsr_larger(v[i], so.most);
  if (__builtin_expect(tsr_any_larger(so.most, so.from + 8.0f), 0)) {
    so.sum = so.sum * vexp_below(so.from - so.most);
    so.from = so.most;
  }
  vf32 own = vexp_term(v[0] - so.from);
#pragma GCC unroll 4
  for (int i = 1; i < R; i++) own = own + vexp_term(v[i] - so.from);
  so.sum = so.sum + own;
}
template <int zero, typename X>
TSR void tsr_soft_row(long count, X x, float& most, float& sum) {
  const vf32 least = vset(-0x1.fffffep127f);
  tsr_soft so = {least, least, {}};
  long at = 0;
  for (; at + 4 * VW <= count; at += 4 * VW) tsr_soft_step<4>(at, x, so);
  for (; at < count; at += VW) tsr_soft_step<1>(at, x, so);
  most = tsr_hmax(so.most);
  sum = tsr_sum(so.sum * vexp(so.from - most));
  if (__builtin_expect(!(sum > 0 && sum < __builtin_inff()), 0)) tsr_soft_row_anew<zero>(count, x, most, sum);
}

// The better of two candidates of an argmax (sign 1) or argmin (sign -1): NaN first, then the value, then the smaller position.
#define TSR_NOWHERE 0x7fffffffffffffffl
#define TSR_NOWHERE_NEAR 0x7fffffff
TSR vi32 tsr_nowhere(vl2 p) { return p == TSR_NOWHERE; }
TSR vi32 tsr_nowhere(vi32 p) { return p == TSR_NOWHERE_NEAR; }
TSR vl2 tsr_somewhere(vl2 p) { return tsr_where(tsr_nowhere(p), tsr_set(0l), p); }
TSR vi32 tsr_somewhere(vi32 p) { return tsr_where(tsr_nowhere(p), vset(0), p); }
TSR vl2 tsr_positions(vl2 p) { return p; }
TSR vl2 tsr_positions(vi32 p) { return tsr_where(tsr_nowhere(p), tsr_set(TSR_NOWHERE), tsr_i64(p)); }
template <typename S>
TSR void tsr_better(S& best, long& at, S value, long position, int sign) {
  if (position == TSR_NOWHERE) return;
  const int nan = value != value, known = best != best;
  const int better = sign > 0 ? value > best : value < best;
  if (at == TSR_NOWHERE || (nan && !known) || (nan == known && (better || ((value == best || nan) && position < at)))) {
    best = value;
    at = position;
  }
}
template <typename S, typename T>
TSR void tsr_better_lanes(S& best, long& at, T values, vl2 positions, int sign) {
  S v[VW];
  long p[VW];
  tsr_store(v, values);
  tsr_store(p, positions);
  for (int i = 0; i < VW; i++) tsr_better(best, at, v[i], p[i], sign);
}

template <typename T, typename P>
TSR void tsr_better_vector(T& best, P& at, T value, P position, int sign) {
  const vi32 nan = value != value, known = best != best;
  const vi32 better = sign > 0 ? (vi32)(value > best) : (vi32)(value < best);
  const vi32 earlier = ((vi32)(value == best) | nan) & (vi32)(position < at);
  const vi32 take = (tsr_nowhere(at) | (nan & ~known) | (~(nan ^ known) & (better | earlier))) & ~tsr_nowhere(position);
  best = tsr_where(take, value, best);
  at = tsr_where(take, position, at);
}

// ---- errors: a number, what it should fit, and what is wrong: 1 for an index and its dimension, 2 for memory ----
static long* tsr_error;
static __attribute__((noinline, cold, unused)) void tsr_bad_index(long value, long size) {
  if (tsr_error[2] == 0) {
    tsr_error[0] = value;
    tsr_error[1] = size;
    tsr_error[2] = 1;
  }
}
static __attribute__((noinline, cold, unused)) void tsr_no_memory(long bytes) {
  tsr_error[0] = bytes;
  tsr_error[2] = 2;
}
TSR long tsr_bind(long value, long size) {
  const long at = value < 0 ? value + size : value;
  if (__builtin_expect((unsigned long)at < (unsigned long)size, 1)) return at;
  tsr_bad_index(value, size);
  return 0;
}
// A condition that is stated as an index. Written in line: around a call registers would go to memory and back, whether it is made or not.
TSR void tsr_require(int holds, long value, long size) {
  if (__builtin_expect(!holds, 0) && tsr_error[2] == 0) {
    tsr_error[0] = value;
    tsr_error[1] = size;
    tsr_error[2] = 1;
  }
}
// Lanes where `m` does not hold are 0.
TSR vi32 tsr_bind(vi32 value, long size, vi32 m) {
  vi32 at = value < 0 ? value + (int)size : value;
  vi32 bad = (((at < 0) | (at >= (int)size)) & m);
  if (__builtin_expect(vany(bad), 0)) for (int i = 0; i < VW; i++) if (bad[i]) tsr_bad_index(value[i], size);
  return at & m & ~bad;
}
TSR vi32 tsr_bind(vl2 value, long size, vi32 m) {
  vl2 at = tsr_where(value < 0l, value + size, value);
  vi32 bad = (((at < 0l) | (at >= size)) & m);
  if (__builtin_expect(vany(bad), 0)) {
    for (int i = 0; i < VW; i++) if (bad[i]) tsr_bad_index(i < VH ? value.a[i] : value.b[i - VH], size);
  }
  return tsr_i32(at) & m & ~bad;
}

// ---- running ----
TSR long tsr_grain(long picoseconds) { return picoseconds >= 20000000 ? 1 : 20000000 / tsr_max(picoseconds, 1) + 1; }
typedef void (*tsr_task)(void*, long, long, int);
// Ranges of several kernels in one dispatch: each is cut into pieces of `grain`.
struct tsr_job { tsr_task task; void* args; long count, grain, picoseconds; };
struct tsr_jobs { const tsr_job* jobs; int count; };
static __attribute__((unused)) void tsr_run_pieces(void* context, long begin, long end, int worker) {
  const tsr_jobs* all = (const tsr_jobs*)context;
  long first = 0;
  for (int j = 0; j < all->count && first < end; j++) {
    const tsr_job* job = &all->jobs[j];
    const long pieces = (job->count + job->grain - 1) / job->grain;
    const long from = tsr_max(begin - first, 0), to = tsr_min(end - first, pieces);
    if (from < to) job->task(job->args, from * job->grain, tsr_min(to * job->grain, job->count), worker);
    first += pieces;
  }
}
static __attribute__((unused)) void tsr_together(const tessera_runtime* runtime, const tsr_job* jobs, int count) {
  long pieces = 0;
  double work = 1;
  for (int j = 0; j < count; j++) {
    pieces += (jobs[j].count + jobs[j].grain - 1) / jobs[j].grain;
    work += (double)jobs[j].count * (double)jobs[j].picoseconds;
  }
  tsr_jobs all = {jobs, count};
  runtime->parallel_for(tsr_run_pieces, &all, pieces, (long)(20e6 * (double)pieces / work) + 1);
}
