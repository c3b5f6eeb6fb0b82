/**
 * Products of a tile by plain arithmetic, as text: what a contraction runs on where no tensor cores take its elements.
 */

/** Products of a tile: a thread has squares of four by four, 64 apart; operands lie along their rows. */
export const PLAIN = `template <int N, typename T>
TSR void tsr_plain_run(T (&run)[N], const T* from) {
#pragma unroll
  for (int g = 0; g < N / 4; g++) {
    const tsr_vec<T, 4> v = tsr_raw<T, 4>(from + g * 64);
#pragma unroll
    for (int i = 0; i < 4; i++) run[g * 4 + i] = v.v[i];
  }
}
template <typename T, int M, int N, int K, int PA, int PB>
TSR void tsr_plain_tile(T (&acc)[M][N], const T* a, const T* b) {
#pragma unroll
  for (int k = 0; k < K; k++) {
    T fa[M], fb[N];
    tsr_plain_run(fa, a + k * PA);
    tsr_plain_run(fb, b + k * PB);
#pragma unroll
    for (int i = 0; i < M; i++)
#pragma unroll
      for (int j = 0; j < N; j++) acc[i][j] = tsr_fma(fa[i], fb[j], acc[i][j]);
  }
}`;
