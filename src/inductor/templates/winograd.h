// Convolutions with windows of 3 x 3 that move by 1, by Winograd's minimal filtering: tiles of M x M results from (M + 2)^2 products instead of 9 M^2.
//
// Pixels are transformed, then multiplied for each of the (M + 2)^2 places of a transformed tile (a product over channels), then the sums are transformed back
// and given to the epilogue, which is the contraction's. Tiles are counted along rows of tiles of all samples; vectors run along them. Transformed pixels
// stand in panels of up to three vectors of tiles, [place][panel][channel][tile], transformed weights in [place][panel of 8][channel][8]. As many rows of
// tiles as a second-level cache holds are transformed at a time. Weights are kept where the contraction's would be.
// A transform carries an infinity or a NaN to results whose windows do not see it: where one is met, the panel is summed as written.
// After Lavin and Gray, "Fast algorithms for convolutional neural networks" (2016). The points 0, ±3/4, ±3/2, ∞ keep the rounding error of M = 4 at about
// four times that of plain sums (with 0, ±1, ±2, ∞ it is eight times), after Barabasz et al., "Error analysis and improving the accuracy of Winograd convolution" (2020).

struct tsr_filter {
  long batches, samples, channels, outputs, height, width;
  // Windows are stored from their last place on.
  long mirrored;
  tsr_rows rows;
  tsr_pack weights;
  tsr_finish finish;
  tsr_kept kept;
};

typedef float tsr_v8 __attribute__((vector_size(32)));

// One line of a tile, of results, and of a window. `step` is the distance of neighbours in out.
template <int M> struct tsr_lines;
template <> struct tsr_lines<4> {
  static constexpr float a = 0.75f, b = 1.5f, aa = a * a, bb = b * b;
  template <typename T> TSR void tile(T d0, T d1, T d2, T d3, T d4, T d5, T* out, int step) {
    const T even_a = vfma(d2, (T){} - bb, d4), odd_a = vfma(d1, (T){} - bb, d3);
    const T even_b = vfma(d2, (T){} - aa, d4), odd_b = vfma(d1, (T){} - aa, d3);
    out[0] = vfma(d0, (T){} + aa * bb, vfma(d2, (T){} - (aa + bb), d4));
    out[step] = vfma(odd_a, (T){} + a, even_a);
    out[2 * step] = vfma(odd_a, (T){} - a, even_a);
    out[3 * step] = vfma(odd_b, (T){} + b, even_b);
    out[4 * step] = vfma(odd_b, (T){} - b, even_b);
    out[5 * step] = vfma(d1, (T){} + aa * bb, vfma(d3, (T){} - (aa + bb), d5));
  }
  template <typename T> TSR void results(T m0, T m1, T m2, T m3, T m4, T m5, T* out, int step) {
    const T even_a = m1 + m2, odd_a = m1 - m2, even_b = m3 + m4, odd_b = m3 - m4;
    out[0] = m0 + even_a + even_b;
    out[step] = vfma(odd_b, (T){} + b, odd_a * a);
    out[2 * step] = vfma(even_b, (T){} + bb, even_a * aa);
    out[3 * step] = vfma(odd_b, (T){} + b * bb, vfma(odd_a, (T){} + a * aa, m5));
  }
  template <typename T> TSR void window(T g0, T g1, T g2, T* out, int step) {
    const float f0 = 1 / (aa * bb), fa = 1 / (2 * aa * (aa - bb)), fb = 1 / (2 * bb * (bb - aa));
    const T even_a = g0 + g2 * aa, even_b = g0 + g2 * bb;
    out[0] = g0 * f0;
    out[step] = (even_a + g1 * a) * fa;
    out[2 * step] = (even_a - g1 * a) * fa;
    out[3 * step] = (even_b + g1 * b) * fb;
    out[4 * step] = (even_b - g1 * b) * fb;
    out[5 * step] = g2;
  }
};

#if TESSERA_SHUFFLE
#define TSR_PICK(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define TSR_PICK(a, b, ...) __builtin_shuffle(a, b, (vi32){__VA_ARGS__})
#endif
#define TSR_EVEN(a, b) TSR_PICK(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
#define TSR_ODD(a, b) TSR_PICK(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)
#define TSR_MIX_LOW(a, b) TSR_PICK(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define TSR_MIX_HIGH(a, b) TSR_PICK(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)

template <int M>
struct tsr_winograd {
  static constexpr int N = M + 2, PLACES = N * N, NV = 3, MR = 8, PANEL = NV * VW;
  // The width of what the epilogue gets, panels of results times panels of tiles that are computed together, channels of a block.
  static constexpr long WIDTH = M * PANEL, GROUP = 8, KB = 256;
  typedef tsr_lines<M> lines;
  const tessera_runtime* runtime;
  void** A;
  const tsr_filter* d;
  long batch, down, across, panels_of_results;
  // Rows of tiles [row0, row1), counted over all samples, are in `pixels`.
  long row0, row1, tiles, vectors, panels, place;
  // Panels of tiles, and of results, of a task.
  long wide, high;
  float *pixels, *weights;
  long line, line_rows, edge;

  // Weights of a place; a cache line apart, so that all places of a window are in the first cache at once.
  long weight_place() const { return panels_of_results * MR * d->channels + 16; }
  long weight_floats() const { return PLACES * weight_place(); }
  long first_vector(long panel) const { return vectors * panel / panels; }

  void run() {
    down = tsr_ceil(d->height, M);
    across = tsr_ceil(d->width, M);
    panels_of_results = tsr_ceil(d->outputs, MR);
    const long rows = d->samples * down, bytes = PLACES * d->channels * 4 * across;
    // At least some full panels.
    const long fit = tsr_max(tsr_ceil(3 * PANEL, across), 786432l * tsr_min(2, runtime->num_threads) / bytes);
    const long blocks = tsr_ceil(rows, fit);
    const long most = tsr_ceil(rows, blocks);
    place = (tsr_ceil(most * across, VW) * d->channels + 1) * VW;
    line = (tsr_ceil(across, VW) * M + 1) * VW;
    line_rows = 2 * M + 2;
    edge = tsr_ceil(most * across, VW) * VW + VW;
    const long own_weights = d->kept.memory ? 0 : weight_floats();
    float* memory = (float*)runtime->scratch(0, (PLACES * place + own_weights) * 4 + private_bytes());
    if (!memory) return tsr_no_memory((PLACES * place + own_weights) * 4 + private_bytes());
    pixels = memory;
    const bool is_packed = d->kept.memory && d->kept.state[0] == 1;
    for (batch = 0; batch < d->batches; batch++) {
      weights = d->kept.memory ? (float*)d->kept.memory + batch * weight_floats() : memory + PLACES * place;
      if (!is_packed) runtime->parallel_for(transform_weights, this, panels_of_results, 1);
      for (row0 = 0; row0 < rows; row0 = row1) {
        row1 = tsr_min(rows, row0 + most);
        tiles = (row1 - row0) * across;
        vectors = tsr_ceil(tiles, VW);
        panels = tsr_ceil(vectors, NV);
        // Weights that come from memory are used for two panels at once.
        wide = weight_floats() > 4l << 20 && panels > 1 ? 2 : 1;
        high = GROUP / wide;
        runtime->parallel_for(transform_pixels, this, d->channels, tsr_max(1, 512 / tiles));
        runtime->parallel_for(multiply, this, tsr_ceil(panels, wide) * tsr_ceil(panels_of_results, high), 1);
      }
    }
    if (d->kept.memory) d->kept.state[0] = 1;
  }

  long private_floats() const {
    const long pixel_floats = line_rows * line + PLACES * edge, weight_floats = 9 * d->channels * MR + VW;
    const long product_floats = PLACES * GROUP * MR * PANEL + M * MR * WIDTH + weight_floats + (M + 2) * line;
    return tsr_max(pixel_floats, tsr_max(weight_floats, product_floats)) + 4 * VW;
  }
  long private_bytes() const { return private_floats() * 4; }

  // The working memory of a task; the calling thread's lies behind what is shared.
  float* own(int worker) const {
    if (worker != 0) {
      float* memory = (float*)runtime->scratch(worker, private_bytes());
      if (!memory) tsr_no_memory(private_bytes());
      return memory;
    }
    return pixels + PLACES * place + (d->kept.memory ? 0 : weight_floats());
  }

  static void transform_weights(void* self, long begin, long end, int worker) {
    const tsr_winograd& w = *(const tsr_winograd*)self;
    const long channels = w.d->channels;
    float* const panel = w.own(worker);
    if (!panel) return;
    for (long p = begin; p < end; p++) {
      w.d->weights(w.A, w.batch, p * MR, tsr_min(MR, w.d->outputs - p * MR), 0, channels, panel);
      for (long c = 0; c < channels; c++) {
        tsr_v8 g[9], t[3 * N], u[PLACES];
        __builtin_memcpy(g, panel + c * 9 * MR, sizeof g);
        if (w.d->mirrored) {
          for (int i = 0; i < 4; i++) {
            const tsr_v8 other = g[8 - i];
            g[8 - i] = g[i], g[i] = other;
          }
        }
        for (int x = 0; x < 3; x++) lines::window(g[x], g[3 + x], g[6 + x], t + x, 3);
        for (int i = 0; i < N; i++) lines::window(t[3 * i], t[3 * i + 1], t[3 * i + 2], u + i * N, 1);
        for (int e = 0; e < PLACES; e++) {
          __builtin_memcpy(w.weights + e * w.weight_place() + (p * channels + c) * MR, u + e, sizeof *u);
        }
      }
    }
  }

  // Puts the pixels of a line where the tiles of its row, and of the row before, need them.
  TSR void spread(const float* line, float* const* to, int lines_of, long across) {
    for (long x = 0; x < across; x += VW) {
      const float* const p = line + x * M;
      vf32 v[N];
      if (M == 4) {
        const vf32 a0 = vload(p), a1 = vload(p + VW), a2 = vload(p + 2 * VW), a3 = vload(p + 3 * VW);
        const vf32 e0 = TSR_EVEN(a0, a1), e1 = TSR_EVEN(a2, a3), o0 = TSR_ODD(a0, a1), o1 = TSR_ODD(a2, a3);
        v[0] = TSR_EVEN(e0, e1), v[1] = TSR_EVEN(o0, o1), v[2] = TSR_ODD(e0, e1), v[3] = TSR_ODD(o0, o1);
        const vf32 b0 = vload(p + 4), b1 = vload(p + VW + 4), b2 = vload(p + 2 * VW + 4), b3 = vload(p + 3 * VW + 4);
        v[N - 2] = TSR_EVEN(TSR_EVEN(b0, b1), TSR_EVEN(b2, b3));
        v[N - 1] = TSR_EVEN(TSR_ODD(b0, b1), TSR_ODD(b2, b3));
      }
      for (int l = 0; l < lines_of; l++)
        for (int j = 0; j < N; j++) vstore(to[l * N + j] + x, v[j]);
    }
  }

  static void transform_pixels(void* self, long begin, long end, int worker) {
    const tsr_winograd& w = *(const tsr_winograd*)self;
    const tsr_filter& d = *w.d;
    float* const lines_at = w.own(worker);
    if (!lines_at) return;
    float* const tiles_at = lines_at + w.line_rows * w.line;
    for (long c = begin; c < end; c++) {
      for (long r = w.row0; r < w.row1;) {
        const long sample = r / w.down, top = r % w.down, bottom = tsr_min(w.down, top + w.row1 - r);
        for (long y0 = top * M; y0 < bottom * M + 2; y0 += w.line_rows) {
          const long y1 = tsr_min(bottom * M + 2, y0 + w.line_rows);
          d.rows(w.A, w.batch, sample, c, y0, y1, lines_at, w.line);
          for (long y = y0; y < y1; y++) {
            float* to[2 * N];
            int count = 0;
            // As line y % M of its own row, and as one behind the row before.
            for (int back = 0; back < 2; back++) {
              const long row = y / M - back, i = y % M + back * M;
              if (row < top || row >= bottom || i >= N) continue;
              float* const at = tiles_at + i * N * w.edge + (r - w.row0 + row - top) * w.across;
              for (int j = 0; j < N; j++) to[count * N + j] = at + j * w.edge;
              count++;
            }
            spread(lines_at + (y - y0) * w.line, to, count, w.across);
          }
        }
        r += bottom - top;
      }
      for (long panel = 0; panel < w.panels; panel++) {
        const long v0 = w.first_vector(panel), count = w.first_vector(panel + 1) - v0;
        for (long v = 0; v < count; v++) {
          const float* const from = tiles_at + (v0 + v) * VW;
          float* const to = w.pixels + (v0 * d.channels + c * count + v) * VW;
          vf32 t[PLACES], line[N];
#pragma GCC unroll 8
          for (int j = 0; j < N; j++) {
            vf32 x[N];
#pragma GCC unroll 8
            for (int i = 0; i < N; i++) x[i] = vload(from + (i * N + j) * w.edge);
            lines::tile(x[0], x[1], x[2], x[3], x[N - 2], x[N - 1], t + j, N);
          }
#pragma GCC unroll 8
          for (int i = 0; i < N; i++) {
            const vf32* const x = t + i * N;
            lines::tile(x[0], x[1], x[2], x[3], x[N - 2], x[N - 1], line, 1);
#pragma GCC unroll 8
            for (int j = 0; j < N; j++) vstore(to + (i * N + j) * w.place, line[j]);
          }
        }
      }
    }
  }

  static void multiply(void* self, long begin, long end, int worker) {
    const tsr_winograd& w = *(const tsr_winograd*)self;
    float* const sums = w.own(worker);
    if (!sums) return;
    const long across = tsr_ceil(w.panels, w.wide), down = tsr_ceil(w.panels_of_results, w.high);
    // Neighbouring tasks share what is larger.
    const bool tiles_inside = w.panels_of_results * MR > w.vectors * VW;
    for (long id = begin; id < end; id++) {
      const long t = tiles_inside ? id % across : id / down, o = tiles_inside ? id / across : id % down;
      const long t0 = t * w.wide, t1 = tsr_min(t0 + w.wide, w.panels);
      const long p0 = o * w.high, p1 = tsr_min(p0 + w.high, w.panels_of_results);
      for (int e = 0; e < PLACES; e++) {
        for (long c = 0; c < w.d->channels; c += KB) {
          for (long t = t0; t < t1; t++) {
            float* const to = sums + (t - t0) * w.high * PLACES * MR * PANEL;
            const long count = w.first_vector(t + 1) - w.first_vector(t);
            if (count == 1) w.template product<1>(w.first_vector(t), p0, p1, e, c, to);
            else if (count == 2) w.template product<2>(w.first_vector(t), p0, p1, e, c, to);
            else w.template product<3>(w.first_vector(t), p0, p1, e, c, to);
          }
        }
      }
      float* const results = sums + PLACES * GROUP * MR * PANEL;
      for (long t = t0; t < t1; t++) {
        for (long p = p0; p < p1; p++) {
          w.finish(t, p, sums + ((t - t0) * w.high + p - p0) * PLACES * MR * PANEL, results);
        }
      }
    }
  }

  // Sums of place e over a block of channels.
  template <int W>
  void product(long v0, long p0, long p1, int e, long c, float* to) const {
    const long channels = d->channels;
    const float* const b = pixels + e * place + (v0 * channels + c * W) * VW;
    for (long p = p0; p < p1; p++, to += PLACES * MR * PANEL) {
      const float* const a = weights + e * weight_place() + (p * channels + c) * MR;
      tsr_tile<float, MR, W>(tsr_min(KB, channels - c), a, b, to + e * MR * W * VW, c == 0);
    }
  }

  // Transforms the sums of a panel back, and hands them over.
  void finish(long panel, long p, const float* sums, float* results) const {
    const long v0 = first_vector(panel), count = first_vector(panel + 1) - v0;
    vi32 wild = {};
    for (int o = 0; o < MR; o++) {
      for (long v = 0; v < count; v++) {
        // Behind the last tile lies what was there.
        const vi32 there = vfirst(tiles - (v0 + v) * VW);
        wild |= there & back(sums + (o * count + v) * VW, MR * count * VW, results + o * WIDTH + v * VW * M);
      }
    }
    int any = 0;
    for (int i = 0; i < VW; i++) any |= wild[i];
    if (any) sum_directly(v0, count, p, results, results + M * MR * WIDTH);
    const long end = tsr_min(tiles, (v0 + count) * VW), outputs = tsr_min(MR, d->outputs - p * MR);
    for (long t = v0 * VW; t < end;) {
      const long row = row0 + t / across, x = t % across, run = tsr_min(across - x, end - t);
      const long y = row % down * M, columns = tsr_min(run * M, d->width - x * M);
      for (long i = 0; i < tsr_min(M, d->height - y); i++) {
        const long pixel = (row / down * d->height + y + i) * d->width + x * M;
        d->finish(A, batch, p * MR, outputs, pixel, columns, results + i * MR * WIDTH + (t - v0 * VW) * M);
      }
      t += run;
    }
  }

  // The results of a panel from pixels and weights as they are.
  __attribute__((noinline)) void sum_directly(long v0, long count, long p, float* results, float* memory) const {
    const long channels = d->channels, end = tsr_min(tiles, (v0 + count) * VW), outputs = tsr_min(MR, d->outputs - p * MR);
    float *const windows = memory, *const image = memory + ((9 * channels * MR + VW) & -VW);
    d->weights(A, batch, p * MR, outputs, 0, channels, windows);
    __builtin_memset(results, 0, M * MR * WIDTH * 4);
    for (long t = v0 * VW; t < end;) {
      const long row = row0 + t / across, x = t % across, run = tsr_min(across - x, end - t), y = row % down * M;
      float* const to = results + (t - v0 * VW) * M;
      for (long c = 0; c < channels; c++) {
        d->rows(A, batch, row / down, c, y, y + M + 2, image, line);
        for (int k = 0; k < 9; k++) {
          const float* const weight = windows + (c * 9 + (d->mirrored ? 8 - k : k)) * MR;
          for (int i = 0; i < M; i++) {
            const float* const from = image + (i + k / 3) * line + x * M + k % 3;
            for (long o = 0; o < outputs; o++) {
              float* const sum = to + (i * MR + o) * WIDTH;
              for (long j = 0; j < run * M; j++) sum[j] += weight[o] * from[j];
            }
          }
        }
      }
      t += run;
    }
  }

  // Results of a vector of tiles, in the order of pixels: M lines, a line of all results of the panel apart. Tells in which lanes one is infinite or NaN.
  TSR vi32 back(const float* from, long step, float* to) {
    vf32 t[M * N], y[M];
    vf32 nothing = {};
#pragma GCC unroll 8
    for (int j = 0; j < N; j++) {
      vf32 x[N];
#pragma GCC unroll 8
      for (int i = 0; i < N; i++) x[i] = vload(from + (i * N + j) * step);
      lines::results(x[0], x[1], x[2], x[3], x[N - 2], x[N - 1], t + j, N);
    }
#pragma GCC unroll 8
    for (int i = 0; i < M; i++) {
      const vf32* const x = t + i * N;
      lines::results(x[0], x[1], x[2], x[3], x[N - 2], x[N - 1], y, 1);
      for (int j = 0; j < M; j++) nothing = vfma(y[j], (vf32){}, nothing);
      float* const line = to + i * MR * WIDTH;
      if (M == 4) {
        const vf32 e0 = TSR_MIX_LOW(y[0], y[2]), e1 = TSR_MIX_HIGH(y[0], y[2]);
        const vf32 o0 = TSR_MIX_LOW(y[1], y[M - 1]), o1 = TSR_MIX_HIGH(y[1], y[M - 1]);
        vstore(line, TSR_MIX_LOW(e0, o0));
        vstore(line + VW, TSR_MIX_HIGH(e0, o0));
        vstore(line + 2 * VW, TSR_MIX_LOW(e1, o1));
        vstore(line + 3 * VW, TSR_MIX_HIGH(e1, o1));
      }
    }
    // Zero times anything finite is zero.
    return nothing != (vf32){};
  }
};

template <int M>
static void tsr_filter_by(const tessera_runtime* runtime, void** A, const tsr_filter& d) {
  if (d.batches <= 0 || d.samples <= 0 || d.outputs <= 0 || d.height <= 0 || d.width <= 0) return;
  tsr_winograd<M> w;
  w.runtime = runtime;
  w.A = A;
  w.d = &d;
  w.run();
}
