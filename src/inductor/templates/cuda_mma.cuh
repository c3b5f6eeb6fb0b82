// Tensor cores by mma.sync: fragments from shared memory by ldmatrix, copies to shared memory by cp.async.
//
// An operand's tile lies in shared memory along k (rows of BK elements and 16 bytes) or along its own rows (BK rows of BM + 8; not those of 8 bits): either way what a warp
// reads at once falls into different banks. Whatever the elements are, one product takes 32 bytes of k, and its fragments are the same words. With TSR_EMULATED the instructions are functions of whoever defines it.

#ifndef TSR_EMULATED
TSR unsigned tsr_shared(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }
TSR void tsr_ldmatrix(unsigned (&r)[4], const void* p) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(tsr_shared(p)) : "memory");
}
TSR void tsr_ldmatrix_t(unsigned (&r)[4], const void* p) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(tsr_shared(p)) : "memory");
}
TSR void tsr_mma(float (&c)[4], const unsigned (&a)[4], const unsigned b0, const unsigned b1, f16*) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
    : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
TSR void tsr_mma(float (&c)[4], const unsigned (&a)[4], const unsigned b0, const unsigned b1, bf16*) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
    : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
TSR void tsr_mma(int (&c)[4], const unsigned (&a)[4], const unsigned b0, const unsigned b1, signed char*) {
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
    : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
TSR void tsr_mma(float (&c)[4], const unsigned (&a)[4], const unsigned b0, const unsigned b1, float*) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
    : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
TSR void tsr_mma(float (&c)[4], const unsigned (&a)[4], const unsigned b0, const unsigned b1, e4m3*) {
  asm volatile("mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
    : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
TSR void tsr_mma(float (&c)[4], const unsigned (&a)[4], const unsigned b0, const unsigned b1, e5m2*) {
  asm volatile("mma.sync.aligned.m16n8k32.row.col.f32.e5m2.e5m2.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
    : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
// The tensor cores would cut bits off.
TSR unsigned tsr_to_tf32(unsigned x) { unsigned r; asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(__int_as_float((int)x))); return r; }
// 16 bytes to shared memory, zeros where not `there`.
TSR void tsr_copy16(void* to, const void* from, bool there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" :: "r"(tsr_shared(to)), "l"(from), "r"(there ? 16 : 0) : "memory");
}
TSR void tsr_copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N> TSR void tsr_copy_wait() { asm volatile("cp.async.wait_group %0;" :: "n"(N) : "memory"); }
#endif

// Fragments of 16 rows from a tile along its rows: `at` is the first of k and of the rows, PITCH apart. For columns, the second and third word change places.
template <int PITCH, bool COLUMNS, typename T>
TSR void tsr_fragment_t(unsigned (&r)[4], const T* at) {
  const int lane = threadIdx.x & 31, one = (lane >> 4) << 3, other = lane & 8;
  tsr_ldmatrix_t(r, at + ((lane & 7) + (COLUMNS ? other : one)) * PITCH + (COLUMNS ? one : other));
}
template <int PITCH, bool COLUMNS>
TSR void tsr_fragment_t(unsigned (&r)[4], const float* at) {
  const int lane = threadIdx.x & 31;
  const unsigned* p = (const unsigned*)at + (lane & 3) * PITCH + (lane >> 2);
  r[0] = p[0];
  r[COLUMNS ? 2 : 1] = p[8];
  r[COLUMNS ? 1 : 2] = p[4 * PITCH];
  r[3] = p[4 * PITCH + 8];
}
template <typename T> TSR void tsr_rounded(unsigned (&)[4], const T*) {}
TSR void tsr_rounded(unsigned (&r)[4], const float*) {
#pragma unroll
  for (int i = 0; i < 4; i++) r[i] = tsr_to_tf32(r[i]);
}
// Products of a warp's part of one tile: WM × WN results, tiles of BM × BK and BN × BK. AK, BKK: the tile lies along k.
template <typename T, int BM, int BN, int BK, int WM, int WN, bool AK, bool BKK, typename C>
TSR void tsr_mma_tile(C (&acc)[WM / 16][WN / 8][4], const T* a, const T* b, int wm, int wn) {
  const int lane = threadIdx.x & 31;
  const int each = 32 / sizeof(T), half = each / 2, pitch = BK + half;
#pragma unroll
  for (int k = 0; k < BK; k += each) {
    unsigned fa[WM / 16][4], fb[WN / 16][4];
#pragma unroll
    for (int i = 0; i < WM / 16; i++) {
      if (AK) tsr_ldmatrix(fa[i], a + (wm + i * 16 + (lane & 15)) * pitch + k + (lane >> 4) * half);
      else tsr_fragment_t<BM + 8, false>(fa[i], a + k * (BM + 8) + wm + i * 16);
      tsr_rounded(fa[i], a);
    }
#pragma unroll
    for (int j = 0; j < WN / 16; j++) {
      if (BKK) tsr_ldmatrix(fb[j], b + (wn + j * 16 + (lane & 7) + ((lane >> 4) << 3)) * pitch + k + ((lane >> 3) & 1) * half);
      else tsr_fragment_t<BN + 8, true>(fb[j], b + k * (BN + 8) + wn + j * 16);
      tsr_rounded(fb[j], b);
    }
#pragma unroll
    for (int i = 0; i < WM / 16; i++) {
#pragma unroll
      for (int j = 0; j < WN / 8; j++) tsr_mma(acc[i][j], fa[i], fb[j >> 1][(j & 1) * 2], fb[j >> 1][(j & 1) * 2 + 1], (T*)0);
    }
  }
}
// A warp's results as rows of L floats in shared memory.
template <int WM, int WN, int L, typename C>
TSR void tsr_mma_put(C* c, const C (&acc)[WM / 16][WN / 8][4], int wm, int wn) {
  const int lane = threadIdx.x & 31;
#pragma unroll
  for (int i = 0; i < WM / 16; i++) {
#pragma unroll
    for (int j = 0; j < WN / 8; j++) {
      C* p = c + (wm + i * 16 + (lane >> 2)) * L + wn + j * 8 + (lane & 3) * 2;
      p[0] = acc[i][j][0];
      p[1] = acc[i][j][1];
      p[8 * L] = acc[i][j][2];
      p[8 * L + 1] = acc[i][j][3];
    }
  }
}
