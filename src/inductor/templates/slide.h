// Sums over a window that slides over an image of one channel: depthwise convolutions.
//
// Rows of the image stand in memory with their padding, columns apart by the step: column c at place c / STEP of part c % STEP, so that neighbouring results
// read neighbouring elements. R rows of results times W registers are summed at once: an element that is read takes part in all windows that it lies in, and
// the weights of a column of the window are in registers meanwhile.
template <int HEIGHT, int WIDTH, int DOWN, int STEP, int R, int W>
static __attribute__((noinline)) void tsr_slide(const float* image, long row, long part, const float* weights, float* out) {
  vf32 sums[R][W] = {};
  for (int x = 0; x < WIDTH; x++) {
    vf32 w[HEIGHT];
#pragma GCC unroll 16
    for (int y = 0; y < HEIGHT; y++) w[y] = (vf32){} + weights[y * WIDTH + x];
    const float* const column = image + x % STEP * part + x / STEP;
#pragma GCC unroll 64
    for (int i = 0; i < DOWN * (R - 1) + HEIGHT; i++) {
      vf32 line[W];
#pragma GCC unroll 8
      for (int v = 0; v < W; v++) line[v] = vload(column + i * row + v * VW);
#pragma GCC unroll 32
      for (int r = 0; r < R; r++) {
        const int y = i - DOWN * r;
        if (y < 0 || y >= HEIGHT) continue;
#pragma GCC unroll 8
        for (int v = 0; v < W; v++) sums[r][v] = vfma(line[v], w[y], sums[r][v]);
      }
    }
  }
#pragma GCC unroll 32
  for (int r = 0; r < R; r++)
#pragma GCC unroll 8
    for (int v = 0; v < W; v++) vstore(out + (r * W + v) * VW, sums[r][v]);
}

// Takes the columns of lines apart: column c to place c / STEP of part c % STEP. Two registers behind the lines may be read.
template <int STEP>
static __attribute__((unused)) void tsr_apart(const float* line, float* to, long lines, long row, long part) {
  for (; lines > 0; lines--, line += row, to += row) {
    for (int p = 0; p < STEP; p++)
      for (long t = 0; t < part; t += VW) vstore(to + p * part + t, tsr_strided(line + STEP * t + p, STEP));
  }
}
