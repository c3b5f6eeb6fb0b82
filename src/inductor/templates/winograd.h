// Convolutions with windows of R x R that move by 1, by Winograd's minimal filtering: tiles of M x M results from N^2 products instead of (R M)^2, N = M + R - 1 = 6.
//
// Pixels are transformed, then multiplied for each of the N^2 places of a transformed tile (a product over channels), then the sums are transformed back
// and given to the epilogue, which is the contraction's. Tiles are counted along rows of tiles of all samples; vectors run along them. Transformed pixels
// stand in panels of up to three vectors of tiles, [place][panel][channel][tile], transformed weights in [place][panel of 8][channel][8]. As many rows of
// tiles as a second-level cache holds are transformed at a time. Weights are kept where the contraction's would be.
// Where the places of a window are A apart, every A-th pixel makes an image of its own, along and across: its tiles stand beside those of the next, so that
// what lies along vectors are pixels in the order of memory, A together.
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

// One line of a tile, of M results, and of a window of R. `step` is the distance of neighbours in out.
template <int M, int R>
struct tsr_lines {
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
    if (M == 2) {
      out[step] = vfma(odd_b, (T){} + b, vfma(odd_a, (T){} + a, m5));
    } else {
      out[step] = vfma(odd_b, (T){} + b, odd_a * a);
      out[2 * step] = vfma(even_b, (T){} + bb, even_a * aa);
      out[3 * step] = vfma(odd_b, (T){} + b * bb, vfma(odd_a, (T){} + a * aa, m5));
    }
  }
  // The weights are `from` apart.
  template <typename T> TSR void window(const T* g, int from, T* out, int step) {
    const float f0 = 1 / (aa * bb), fa = 1 / (2 * aa * (aa - bb)), fb = 1 / (2 * bb * (bb - aa));
    T even_a = g[0] + g[2 * from] * aa, even_b = g[0] + g[2 * from] * bb, odd_a = g[from], odd_b = g[from];
    if (R == 5) {
      even_a += g[(R - 1) * from] * (aa * aa), even_b += g[(R - 1) * from] * (bb * bb);
      odd_a += g[(R - 2) * from] * aa, odd_b += g[(R - 2) * from] * bb;
    }
    out[0] = g[0] * f0;
    out[step] = (even_a + odd_a * a) * fa;
    out[2 * step] = (even_a - odd_a * a) * fa;
    out[3 * step] = (even_b + odd_b * b) * fb;
    out[4 * step] = (even_b - odd_b * b) * fb;
    out[5 * step] = g[(R - 1) * from];
  }
};

#if TESSERA_SHUFFLE
#define TSR_PICK(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define TSR_PICK(a, b, ...) __builtin_shuffle(a, b, (vi32){__VA_ARGS__})
#endif
// Every second of two registers' elements, or pairs of elements, and what undoes it.
template <int A> TSR vf32 tsr_even(vf32 a, vf32 b) {
  if (A == 2) return TSR_PICK(a, b, 0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29);
  return TSR_PICK(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}
template <int A> TSR vf32 tsr_odd(vf32 a, vf32 b) {
  if (A == 2) return TSR_PICK(a, b, 2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31);
  return TSR_PICK(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
}
template <int A> TSR vf32 tsr_mix_low(vf32 a, vf32 b) {
  if (A == 2) return TSR_PICK(a, b, 0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22, 23);
  return TSR_PICK(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
template <int A> TSR vf32 tsr_mix_high(vf32 a, vf32 b) {
  if (A == 2) return TSR_PICK(a, b, 8, 9, 24, 25, 10, 11, 26, 27, 12, 13, 28, 29, 14, 15, 30, 31);
  return TSR_PICK(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

template <int M, int R, int A>
struct tsr_winograd {
  static constexpr int N = M + R - 1, PLACES = N * N, TAPS = R * R, NV = 3, MR = 8, PANEL = NV * VW;
  // Lines of pixels that a row of tiles sees.
  static constexpr int SEEN = (N - 1) * A + 1;
  // The width of what the epilogue gets, panels of results times panels of tiles that are computed together, channels of a block.
  static constexpr long WIDTH = M * PANEL, GROUP = 8, KB = 256;
  typedef tsr_lines<M, R> lines;
  const tessera_runtime* runtime;
  void** arguments;
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
    down = tsr_ceil(d->height, M * A) * A;
    across = tsr_ceil(d->width, M * A) * A;
    panels_of_results = tsr_ceil(d->outputs, MR);
    const long rows = d->samples * down, bytes = PLACES * d->channels * 4 * across;
    // At least some full panels.
    const long fit = tsr_max(tsr_ceil(3 * PANEL, across), 786432l * tsr_min(2, runtime->num_threads) / bytes);
    const long blocks = tsr_ceil(rows, fit);
    const long most = tsr_ceil(rows, blocks);
    place = (tsr_ceil(most * across, VW) * d->channels + 1) * VW;
    line = (tsr_ceil(across, VW) * M + 1) * VW;
    line_rows = (2 * M + R - 1) * A;
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
    const long pixel_floats = line_rows * line + PLACES * edge, weight_floats = TAPS * d->channels * MR + VW;
    const long product_floats = PLACES * GROUP * MR * PANEL + M * MR * WIDTH + weight_floats + SEEN * line;
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
      w.d->weights(w.arguments, w.batch, p * MR, tsr_min(MR, w.d->outputs - p * MR), 0, channels, panel);
      for (long c = 0; c < channels; c++) {
        tsr_v8 g[TAPS], t[R * N], u[PLACES];
        __builtin_memcpy(g, panel + c * TAPS * MR, sizeof g);
        if (w.d->mirrored) {
          for (int i = 0; i < TAPS / 2; i++) {
            const tsr_v8 other = g[TAPS - 1 - i];
            g[TAPS - 1 - i] = g[i], g[i] = other;
          }
        }
        for (int x = 0; x < R; x++) lines::window(g + x, R, t + x, R);
        for (int i = 0; i < N; i++) lines::window(t + R * i, 1, u + i * N, 1);
        for (int e = 0; e < PLACES; e++) {
          __builtin_memcpy(w.weights + e * w.weight_place() + (p * channels + c) * MR, u + e, sizeof *u);
        }
      }
    }
  }

  // Puts the pixels of a line where the tiles of its row, and of rows before, need them.
  TSR void spread(const float* line, float* const* to, int lines_of, long across) {
    for (long x = 0; x < across; x += VW) {
      const float* const p = line + x * M;
      vf32 v[N];
#pragma GCC unroll 3
      for (int j = 0; j < N; j += M) {
        const float* const q = p + j * A;
        const vf32 a0 = vload(q), a1 = vload(q + VW);
        const vf32 e0 = tsr_even<A>(a0, a1), o0 = tsr_odd<A>(a0, a1);
        if (M == 4) {
          const vf32 a2 = vload(q + 2 * VW), a3 = vload(q + 3 * VW);
          const vf32 e1 = tsr_even<A>(a2, a3), o1 = tsr_odd<A>(a2, a3);
          v[j] = tsr_even<A>(e0, e1), v[j + 1] = tsr_even<A>(o0, o1);
          if (j + 2 < N) v[(j + 2) % N] = tsr_odd<A>(e0, e1), v[(j + 3) % N] = tsr_odd<A>(o0, o1);
        } else v[j] = e0, v[j + 1] = o0;
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
        const long end = ((bottom - 1) / A * M + N) * A;
        for (long y0 = top / A * M * A; y0 < end; y0 += w.line_rows) {
          const long y1 = tsr_min(end, y0 + w.line_rows);
          d.rows(w.arguments, w.batch, sample, c, y0, y1, lines_at, w.line);
          for (long y = y0; y < y1; y++) {
            float* to[(N + M - 1) / M * N];
            int count = 0;
            // As a line of its own row, and of those before that see it too.
            for (int back = 0; back * M < N; back++) {
              const long row = (y / A / M - back) * A + y % A, i = y / A % M + back * M;
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

  // The first line that a row of tiles sees, and the first that it gives.
  long line_of(long row) const { return row % down / A * M * A + row % A; }

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
      const long y = line_of(row), columns = tsr_min(run * M, d->width - x * M);
      for (long i = 0; i < M && y + i * A < d->height; i++) {
        const long pixel = (row / down * d->height + y + i * A) * d->width + x * M;
        d->finish(arguments, batch, p * MR, outputs, pixel, columns, results + i * MR * WIDTH + (t - v0 * VW) * M);
      }
      t += run;
    }
  }

  // The results of a panel from pixels and weights as they are.
  __attribute__((noinline)) void sum_directly(long v0, long count, long p, float* results, float* memory) const {
    const long channels = d->channels, end = tsr_min(tiles, (v0 + count) * VW), outputs = tsr_min(MR, d->outputs - p * MR);
    float *const windows = memory, *const image = memory + ((TAPS * channels * MR + VW) & -VW);
    d->weights(arguments, batch, p * MR, outputs, 0, channels, windows);
    __builtin_memset(results, 0, M * MR * WIDTH * 4);
    for (long t = v0 * VW; t < end;) {
      const long row = row0 + t / across, x = t % across, run = tsr_min(across - x, end - t), y = line_of(row);
      float* const to = results + (t - v0 * VW) * M;
      for (long c = 0; c < channels; c++) {
        d->rows(arguments, batch, row / down, c, y, y + SEEN, image, line);
        for (int k = 0; k < TAPS; k++) {
          const float* const weight = windows + (c * TAPS + (d->mirrored ? TAPS - 1 - k : k)) * MR;
          for (int i = 0; i < M; i++) {
            const float* const from = image + (i + k / R) * A * line + x * M + k % R * A;
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
        const vf32 e0 = tsr_mix_low<A>(y[0], y[2 % M]), e1 = tsr_mix_high<A>(y[0], y[2 % M]);
        const vf32 o0 = tsr_mix_low<A>(y[1], y[M - 1]), o1 = tsr_mix_high<A>(y[1], y[M - 1]);
        vstore(line, tsr_mix_low<A>(e0, o0));
        vstore(line + VW, tsr_mix_high<A>(e0, o0));
        vstore(line + 2 * VW, tsr_mix_low<A>(e1, o1));
        vstore(line + 3 * VW, tsr_mix_high<A>(e1, o1));
      } else {
        vstore(line, tsr_mix_low<A>(y[0], y[1]));
        vstore(line + VW, tsr_mix_high<A>(y[0], y[1]));
      }
    }
    // Zero times anything finite is zero.
    return nothing != (vf32){};
  }
};

template <int M, int R, int A>
static void tsr_filter_by(const tessera_runtime* runtime, void** arguments, const tsr_filter& d) {
  if (d.batches <= 0 || d.samples <= 0 || d.outputs <= 0 || d.height <= 0 || d.width <= 0) return;
  tsr_winograd<M, R, A> w;
  w.runtime = runtime;
  w.arguments = arguments;
  w.d = &d;
  w.run();
}
