// Convolutions by their definition, without windows written out: pixels are read where they stand, one at a time, and vectors run along results' channels.
//
// A tile is R neighbouring results of a row times W registers of channels. At each position of k a register's weights are read W times and R pixels, STEP apart,
// once each, which are spread over a register; so neither steps nor windows nor padding cut vectors up. Where a position of k lies, beside the window's first
// pixel, stands in a table. Pixels are in memory as the caller has them, or as lines with their padding written by whoever needs them: for all images ahead if
// they fit the second caches, else for a block of rows by the task that sums it. Sums are turned, so that pixels lie along vectors, and given to the epilogue.
// Weights are [panel][k][W registers]. After Georganas et al., "Anatomy of high-performance deep learning convolutions on SIMD architectures" (2018), and,
// for the table, Dukhan, "The indirect convolution algorithm" (2019).

struct tsr_direct_sum {
  long batches, samples, channels, outputs, height, width;
  // The window, how far its places are apart, and whether it is stored from its last place on.
  long window_down, window_across, apart_down, apart_across, mirrored, step_down;
  // A channel's lines and columns with their padding.
  long lines, columns;
  tsr_rows rows;
  tsr_pack weights;
  tsr_finish finish;
  tsr_kept kept;
};

// Sums over `count` positions of k. Sums are [W][R] registers in memory; weights are fetched some positions ahead, as they come from further away than pixels.
template <int R, int W, int STEP>
static __attribute__((noinline)) void tsr_direct_tile(long count, const int* at, const float* pixels, const float* __restrict weights, float* __restrict sums, int first) {
  const int AHEAD = 16;
  vf32 acc[R][W];
#pragma GCC unroll 32
  for (int i = 0; i < R; i++)
#pragma GCC unroll 8
    for (int v = 0; v < W; v++) acc[i][v] = first ? (vf32){} : vload(sums + (v * R + i) * VW);
  for (const int* const end = at + count; at < end; at++, weights += W * VW) {
    const float* const p = pixels + *at;
    vf32 w[W];
#pragma GCC unroll 8
    for (int v = 0; v < W; v++) w[v] = vload(weights + v * VW), __builtin_prefetch(weights + (v + AHEAD * W) * VW);
#pragma GCC unroll 32
    for (int i = 0; i < R; i++) {
      const vf32 x = (vf32){} + p[i * STEP];
#pragma GCC unroll 8
      for (int v = 0; v < W; v++) acc[i][v] = vfma(x, w[v], acc[i][v]);
    }
  }
#pragma GCC unroll 32
  for (int i = 0; i < R; i++)
#pragma GCC unroll 8
    for (int v = 0; v < W; v++) vstore(sums + (v * R + i) * VW, acc[i][v]);
}

template <int R, int W, int STEP>
struct tsr_direct {
  // What the epilogue gets: rows of so many pixels, with room behind them for what a tile has that is not wanted.
  static constexpr long WIDTH = 128, MOST = WIDTH - 16, PANEL = W * VW;
  // Bytes of lines that a task writes for itself; of what stays in the second cache while it is summed.
  static constexpr long LINES = 393216, NEAR = 524288;
  const tessera_runtime* runtime;
  void** A;
  const tsr_direct_sum* d;
  long batch, taps, k, panels, units, units_of_row, tiles_of_unit;
  // Tasks are blocks of units times groups of panels.
  long blocks, groups;
  // A task writes lines of its own: of `block_rows` rows of results of one sample.
  bool owns_lines;
  long block_rows, blocks_of_sample;
  long pitch, plane, channels_of_block, block_units;
  int* table;
  float *images, *packed;
  long private_floats;

  long weight_floats() const { return panels * k * PANEL; }

  void run() {
    taps = d->window_down * d->window_across;
    k = d->channels * taps;
    panels = tsr_ceil(d->outputs, PANEL);
    const long tiles = tsr_ceil(d->width, R), most = tsr_max(1, MOST / R);
    units_of_row = tsr_ceil(tiles, most);
    tiles_of_unit = tsr_ceil(tiles, units_of_row);
    units_of_row = tsr_ceil(tiles, tiles_of_unit);
    units = d->samples * d->height * units_of_row;
    // Below some tens of microseconds a dispatch costs more than it gives.
    const long wanted = 2.0 * units * tiles_of_unit * R * d->outputs * k < 4e6 ? 1 : 4l * runtime->num_threads;
    // The last tile of a row reads on behind it.
    const long seen = (tiles * R - 1) * STEP + (d->window_across - 1) * d->apart_across + 1;
    pitch = tsr_ceil(tsr_max(d->columns, seen), VW) * VW;
    plan_lines(d->lines);
    long image_floats = d->samples * d->channels * plane;
    owns_lines = image_floats * 4 > (long)runtime->num_threads << 20;
    if (owns_lines) {
      const long fit = LINES / (4 * d->channels * pitch), window = (d->window_down - 1) * d->apart_down + 1;
      blocks_of_sample = tsr_ceil(d->height, tsr_max(1, (fit - window) / d->step_down + 1));
      // The same for all workers, if blocks are few.
      for (int i = 1; i < runtime->num_threads && d->samples * blocks_of_sample < wanted; i++) {
        if (d->samples * blocks_of_sample % runtime->num_threads == 0) break;
        blocks_of_sample++;
      }
      block_rows = tsr_ceil(d->height, blocks_of_sample);
      blocks_of_sample = tsr_ceil(d->height, block_rows);
      plan_lines((block_rows - 1) * d->step_down + window);
      image_floats = 0;
    }
    if (owns_lines) {
      blocks = d->samples * blocks_of_sample, groups = 1;
      block_units = block_rows * units_of_row;
    } else {
      const bool by_panels = d->outputs * k > d->samples * d->height * d->width * d->channels;
      const long near = tsr_ceil(d->samples * d->height * d->width * d->channels * 4, LINES);
      groups = by_panels ? tsr_min(panels, wanted) : 1;
      blocks = tsr_min(units, by_panels ? tsr_ceil(wanted, groups) : tsr_max(wanted, near));
      if (!by_panels) groups = tsr_min(panels, tsr_ceil(wanted, blocks));
      block_units = tsr_ceil(units, blocks);
      blocks = tsr_ceil(units, block_units);
    }
    // As many channels as keep their weights and pixels near; then sums wait in memory.
    const long own_pixels = owns_lines ? plane : tsr_ceil(d->samples * plane, tsr_max(1, blocks / runtime->num_threads));
    channels_of_block = tsr_max(1, NEAR / (taps * PANEL + own_pixels) / 4);
    channels_of_block = tsr_ceil(d->channels, tsr_ceil(d->channels, channels_of_block));
    const long waiting = block_units * tiles_of_unit * R * PANEL;
    private_floats = (channels_of_block < d->channels ? waiting : R * PANEL) + PANEL * WIDTH + 4 * VW * VW;
    if (owns_lines) private_floats += d->channels * plane + VW;
    const long own_weights = d->kept.memory ? 0 : weight_floats(), table_floats = tsr_ceil(k, VW) * VW;
    const long shared = table_floats + image_floats + own_weights;
    float* memory = (float*)runtime->scratch(0, (shared + private_floats) * 4);
    if (!memory) return tsr_no_memory((shared + private_floats) * 4);
    table = (int*)memory;
    images = memory + table_floats;
    for (long c = 0, i = 0; c < d->channels; c++) {
      for (long y = 0; y < d->window_down; y++) {
        for (long x = 0; x < d->window_across; x++) {
          const long down = d->mirrored ? d->window_down - 1 - y : y, across = d->mirrored ? d->window_across - 1 - x : x;
          table[i++] = (int)(c * plane + down * d->apart_down * pitch + across * d->apart_across);
        }
      }
    }
    const bool is_packed = d->kept.memory && d->kept.state[0] == 1;
    for (batch = 0; batch < d->batches; batch++) {
      packed = d->kept.memory ? (float*)d->kept.memory + batch * weight_floats() : images + image_floats;
      if (!is_packed) run_all(pack_weights, panels, 1, wanted == 1);
      if (!owns_lines) run_all(write_images, d->samples * d->channels, tsr_max(1, 16384 / plane), wanted == 1);
      run_all(task, blocks * groups, 1, wanted == 1);
    }
    if (d->kept.memory) d->kept.state[0] = 1;
  }

  // What is little is not worth waking workers.
  void run_all(void (*part)(void*, long, long, int), long count, long grain, bool is_little) {
    if (is_little) part(this, 0, count, 0);
    else runtime->parallel_for(part, this, count, grain);
  }

  // Channels an odd number of lines of the cache apart.
  void plan_lines(long lines) {
    plane = pitch * lines;
    if (plane / 16 % 2 == 0) plane += 16;
  }

  static void pack_weights(void* self, long begin, long end, int) {
    const tsr_direct& w = *(const tsr_direct*)self;
    for (long p = begin; p < end; p++) {
      w.d->weights(w.A, w.batch, p * PANEL, tsr_min(PANEL, w.d->outputs - p * PANEL), 0, w.d->channels, w.packed + p * w.k * PANEL);
    }
  }

  static void write_images(void* self, long begin, long end, int) {
    const tsr_direct& w = *(const tsr_direct*)self;
    for (long i = begin; i < end; i++) {
      w.d->rows(w.A, w.batch, i / w.d->channels, i % w.d->channels, 0, w.d->lines, w.images + i * w.plane, w.pitch);
    }
  }

  static void task(void* self, long begin, long end, int worker) {
    const tsr_direct& w = *(const tsr_direct*)self;
    const tsr_direct_sum& d = *w.d;
    float* memory;
    if (worker != 0) {
      memory = (float*)w.runtime->scratch(worker, w.private_floats * 4);
      if (!memory) return tsr_no_memory(w.private_floats * 4);
    } else memory = w.packed_end();
    float *const results = memory, *const sums = memory + PANEL * WIDTH, *const lines = memory + w.private_floats - d.channels * w.plane - VW;
    long lines_are = -1;
    for (long id = begin; id < end; id++) {
      // Neighbouring tasks share pixels.
      const long block = id / w.groups, group = id % w.groups;
      const long p0 = w.panels * group / w.groups, p1 = w.panels * (group + 1) / w.groups;
      long u0 = block * w.block_units, u1 = tsr_min(w.units, u0 + w.block_units), first_line = 0;
      if (w.owns_lines) {
        const long sample = block / w.blocks_of_sample, y0 = block % w.blocks_of_sample * w.block_rows;
        const long y1 = tsr_min(d.height, y0 + w.block_rows);
        u0 = (sample * d.height + y0) * w.units_of_row, u1 = (sample * d.height + y1) * w.units_of_row;
        first_line = y0 * d.step_down;
        if (block != lines_are) {
          const long last = (y1 - 1) * d.step_down + (d.window_down - 1) * d.apart_down + 1;
          for (long c = 0; c < d.channels; c++) {
            d.rows(w.A, w.batch, sample, c, first_line, last, lines + c * w.plane, w.pitch);
          }
        }
        lines_are = block;
      }
      for (long p = p0; p < p1; p++) w.sum(p, u0, u1, first_line, lines, sums, results);
    }
  }

  // Behind what all share: the calling thread's working memory.
  float* packed_end() const {
    float* const at = images + (!owns_lines ? d->samples * d->channels * plane : 0);
    return at + (d->kept.memory ? 0 : weight_floats());
  }

  // Units [u0, u1) of a panel.
  void sum(long p, long u0, long u1, long first_line, const float* lines, float* sums, float* results) const {
    for (long c0 = 0; c0 < d->channels; c0 += channels_of_block) {
      const long c1 = tsr_min(d->channels, c0 + channels_of_block);
      const bool is_last = c1 == d->channels, waits = channels_of_block < d->channels;
      const float* const weights = packed + (p * k + c0 * taps) * PANEL;
      float* own = sums;
      for (long u = u0; u < u1; u++) {
        const long row = u / units_of_row, sample = row / d->height, line = row % d->height * d->step_down - first_line;
        const long x0 = u % units_of_row * tiles_of_unit * R, x1 = tsr_min(d->width, x0 + tiles_of_unit * R);
        const float* const image = (owns_lines ? lines : images + sample * d->channels * plane) + line * pitch;
        for (long x = x0; x < x1; x += R) {
          tsr_direct_tile<R, W, STEP>((c1 - c0) * taps, table + c0 * taps, image + x * STEP, weights, own, c0 == 0);
          if (is_last) {
#pragma GCC unroll 8
            for (int v = 0; v < W; v++) {
              tsr_transpose_put((const vf32*)(own + v * R * VW), results + v * VW * WIDTH + x - x0, WIDTH, VW, VW);
            }
          }
          if (waits) own += R * PANEL;
        }
        if (is_last) {
          d->finish(A, batch, p * PANEL, tsr_min(PANEL, d->outputs - p * PANEL), row * d->width + x0, x1 - x0, results);
        }
      }
    }
  }
};

template <int R, int W, int STEP>
static void tsr_sum_directly(const tessera_runtime* runtime, void** A, const tsr_direct_sum& d) {
  if (d.batches <= 0 || d.samples <= 0 || d.outputs <= 0 || d.height <= 0 || d.width <= 0) return;
  tsr_direct<R, W, STEP> w;
  w.runtime = runtime;
  w.A = A;
  w.d = &d;
  w.run();
}
