// Random numbers of vec.h, which includes this: Philox in vectors, uniform and normal numbers of a position, as on every device.

// ---- Philox4x32-10 ----
// Key (seed low, seed high); counter (index low, index high, offset low, offset high), one block an element.
// Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011. Exact integers, so any language can repeat it.

struct vphilox_block { vu32 w[4]; };
// Upper halves of the products of all lanes with m.
V vu32 vmulhi(vu32 a, unsigned m) {
#if TESSERA_AVX512 && !TESSERA_CLANG
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
