// What block programs need: a product of matrices on arrays that are in cache. Rows of b and of the result lie together.

template <typename T>
static void tsr_block_dot_plain(T* out, const T* a, long am, long ak, const T* b, long M, long N, long K) {
  for (long m = 0; m < M; m++)
    for (long k = 0; k < K; k++) {
      const T x = a[m * am + k * ak];
      for (long n = 0; n < N; n++) out[m * N + n] += x * b[k * N + n];
    }
}

template <int R, int C>
static inline __attribute__((always_inline)) void tsr_block_dot_part(float* out, const float* a, long am, long ak, const float* b, long N, long K) {
  vf32 c[R][C];
  for (int r = 0; r < R; r++)
    for (int j = 0; j < C; j++) c[r][j] = vload(out + r * N + j * VW);
  for (long k = 0; k < K; k++) {
    vf32 x[C];
    for (int j = 0; j < C; j++) x[j] = vload(b + k * N + j * VW);
    for (int r = 0; r < R; r++) {
      const vf32 y = vset(a[r * am + k * ak]);
      for (int j = 0; j < C; j++) c[r][j] += y * x[j];
    }
  }
  for (int r = 0; r < R; r++)
    for (int j = 0; j < C; j++) vstore(out + r * N + j * VW, c[r][j]);
}

template <int C>
static inline __attribute__((always_inline)) void tsr_block_dot_columns(float* out, const float* a, long am, long ak, const float* b, long M, long N, long K) {
  long m = 0;
  for (; m + 4 <= M; m += 4) tsr_block_dot_part<4, C>(out + m * N, a + m * am, am, ak, b, N, K);
  for (; m < M; m++) tsr_block_dot_part<1, C>(out + m * N, a + m * am, am, ak, b, N, K);
}

// out[m, n] += sum over k of a[m, k] * b[k, n]
__attribute__((optimize("O3"))) static void tsr_block_dot(float* out, const float* a, long am, long ak, const float* b, long M, long N, long K) {
  if (N % VW != 0) return tsr_block_dot_plain(out, a, am, ak, b, M, N, K);
  long n = 0;
  for (; n + 2 * VW <= N; n += 2 * VW)
    for (long k = 0; k < K; k += 64)
      for (long m = 0; m < M; m += 4) {
        const long rows = M - m < 4 ? M - m : 4, depth = K - k < 64 ? K - k : 64;
        if (rows == 4) tsr_block_dot_part<4, 2>(out + m * N + n, a + m * am + k * ak, am, ak, b + k * N + n, N, depth);
        else
          for (long r = m; r < M; r++) tsr_block_dot_part<1, 2>(out + r * N + n, a + r * am + k * ak, am, ak, b + k * N + n, N, depth);
      }
  for (; n < N; n += VW) tsr_block_dot_columns<1>(out + n, a, am, ak, b + n, M, N, K);
}
static void tsr_block_dot(double* out, const double* a, long am, long ak, const double* b, long M, long N, long K) {
  tsr_block_dot_plain(out, a, am, ak, b, M, N, K);
}
template <typename T>
static void tsr_block_turn(T* out, const T* in, long rows, long columns) {
  for (long r = 0; r < rows; r++)
    for (long c = 0; c < columns; c++) out[c * rows + r] = in[r * columns + c];
}
