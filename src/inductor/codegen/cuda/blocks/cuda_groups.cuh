// Products of warpgroups: 64 rows from shared memory or from registers. Operands lie in pieces of 64 columns; OUT is how many rows a piece has.
#ifndef TSR_EMULATED
// The instructions stand after this, for each number of columns; what is declared here says that they are templates.
template <int TA, int TB> TSR void tsr_wgmma_ss();
template <int TB> TSR void tsr_wgmma_rs();
#endif
template <typename T, int BK, bool AK, bool BKK, int AOUT, int BOUT, int R>
TSR void tsr_block_ss(float (&d)[R], unsigned a, unsigned b) {
#pragma unroll
  for (int k = 0; k < BK / 16; k++) {
    const unsigned long x = AK ? tsr_matrix(a + (k >> 2) * (AOUT * 128) + (k & 3) * 32, 16, 1024) : tsr_matrix(a + k * 2048, AOUT * 128, 1024);
    const unsigned long y = BKK ? tsr_matrix(b + (k >> 2) * (BOUT * 128) + (k & 3) * 32, 16, 1024) : tsr_matrix(b + k * 2048, BOUT * 128, 1024);
    tsr_wgmma_ss<AK ? 0 : 1, BKK ? 0 : 1>(d, x, y, 1, (T*)0);
  }
}
template <typename T, int BK, bool BKK, int BOUT, int R>
TSR void tsr_block_rs(float (&d)[R], const float (&p)[BK / 2], unsigned b) {
#pragma unroll
  for (int k = 0; k < BK / 16; k++) {
    const unsigned a[4] = {tsr_pair((T*)0, p[k * 8], p[k * 8 + 1]), tsr_pair((T*)0, p[k * 8 + 2], p[k * 8 + 3]),
                           tsr_pair((T*)0, p[k * 8 + 4], p[k * 8 + 5]), tsr_pair((T*)0, p[k * 8 + 6], p[k * 8 + 7])};
    const unsigned long y = BKK ? tsr_matrix(b + (k >> 2) * (BOUT * 128) + (k & 3) * 32, 16, 1024) : tsr_matrix(b + k * 2048, BOUT * 128, 1024);
    tsr_wgmma_rs<BKK ? 0 : 1>(d, a, y, 1, (T*)0);
  }
}
