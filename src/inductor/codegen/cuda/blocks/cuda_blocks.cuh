// Products of block programs whose left operand is in registers, as results of another product lie.

TSR unsigned tsr_pair(f16*, float a, float b) { return tsr_pack_f16(a, b); }
TSR unsigned tsr_pair(bf16*, float a, float b) { return tsr_pack_bf16(a, b); }
// Fragments a of WM rows and BK columns (two numbers that lie together for each of 8 columns, then 8 rows further down), times a tile of BN columns.
template <typename T, int BN, int BK, int WM, int WN, bool BKK>
TSR void tsr_mma_fragments(float (&acc)[WM / 16][WN / 8][4], const float (&a)[WM * BK / 32], const T* b, int wn) {
  const int lane = threadIdx.x & 31;
#pragma unroll
  for (int k = 0; k < BK; k += 16) {
    unsigned fb[WN / 16][4];
#pragma unroll
    for (int j = 0; j < WN / 16; j++) {
      if (BKK) tsr_ldmatrix(fb[j], b + (wn + j * 16 + (lane & 7) + ((lane >> 4) << 3)) * (BK + 8) + k + ((lane >> 3) & 1) * 8);
      else tsr_ldmatrix_t(fb[j], b + (k + (lane & 7) + ((lane >> 3) & 1) * 8) * (BN + 8) + wn + j * 16 + (lane >> 4) * 8);
    }
#pragma unroll
    for (int i = 0; i < WM / 16; i++) {
      const float* p = a + (i * (BK / 8) + k / 8) * 4;
      const unsigned fa[4] = {tsr_pair((T*)0, p[0], p[1]), tsr_pair((T*)0, p[2], p[3]), tsr_pair((T*)0, p[4], p[5]), tsr_pair((T*)0, p[6], p[7])};
#pragma unroll
      for (int j = 0; j < WN / 8; j++) tsr_mma(acc[i][j], fa, fb[j >> 1][(j & 1) * 2], fb[j >> 1][(j & 1) * 2 + 1], (T*)0);
    }
  }
}
