/**
 * Products of a tile by plain arithmetic, as text: what a contraction runs on where no tensor cores take its elements.
 */

/** Products of a tile: a thread has squares of four by four, 64 apart; operands lie along their rows. */
export const PLAIN = `template <typename T, int N, int K, int PA, int PB>
TSR void tsr_plain_tile(T (&acc)[N][N], const T* a, const T* b) {
#pragma unroll
  for (int k = 0; k < K; k++) {
    T fa[N], fb[N];
#pragma unroll
    for (int g = 0; g < N / 4; g++) {
      const tsr_vec<T, 4> va = tsr_raw<T, 4>(a + k * PA + g * 64), vb = tsr_raw<T, 4>(b + k * PB + g * 64);
#pragma unroll
      for (int i = 0; i < 4; i++) { fa[g * 4 + i] = va.v[i]; fb[g * 4 + i] = vb.v[i]; }
    }
#pragma unroll
    for (int i = 0; i < N; i++)
#pragma unroll
      for (int j = 0; j < N; j++) acc[i][j] = tsr_fma(fa[i], fb[j], acc[i][j]);
  }
}`;
