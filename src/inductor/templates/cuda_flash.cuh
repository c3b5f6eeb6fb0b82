// Attention on Hopper: one warpgroup lets the copy engine fill a ring of tiles, the others multiply from there by wgmma and keep what they sum in registers.
//
// A block has 64 rows for each consumer. The product of one step's scores is under way while the values of the step before are summed, and softmax runs beside
// the latter (Shah et al., 2024). Tiles have rows of 128 bytes, swizzled, in panels of 64 columns. `Tiles` says which steps there are: those that need masks
// come first. Scores are in natural units, scaled, when `Score` sees them.

#define TSR_MEMBER __device__ __forceinline__
struct tsr_yes { enum { value = 1 }; };
struct tsr_no { enum { value = 0 }; };

// Keeps the compiler from using, before this place, what tensor cores write or read until then.
template <int R>
TSR void tsr_settled(float (&x)[R]) {
#ifndef TSR_EMULATED
#pragma unroll
  for (int i = 0; i < R; i++) asm volatile("" : "+f"(x[i]) :: "memory");
#endif
}
template <int R>
TSR void tsr_settled(unsigned (&x)[R][4]) {
#ifndef TSR_EMULATED
#pragma unroll
  for (int i = 0; i < R; i++) {
#pragma unroll
    for (int u = 0; u < 4; u++) asm volatile("" : "+r"(x[i][u]) :: "memory");
  }
#endif
}

// The number of a consumer, known to be one for a whole warp.
TSR int tsr_consumer() { return __shfl_sync(0xffffffffu, (int)threadIdx.x / 128 - 1, 0); }

#ifndef TSR_EMULATED
// The instructions, for each number of columns, stand after this; what is declared here says that they are templates.
template <int TA, int TB> TSR void tsr_wgmma_ss();
template <int TB> TSR void tsr_wgmma_rs();
TSR void tsr_box(unsigned to, const tsr_map* map, unsigned barrier, int a, int b, int c, int d, int e) {
  asm volatile("cp.async.bulk.tensor.5d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6, %7}], [%2];" :: "r"(to), "l"(map), "r"(barrier), "r"(a), "r"(b), "r"(c), "r"(d), "r"(e) : "memory");
}
#endif

// The products of 64 rows of A, in shared memory along k, with N rows of B (along k too), over W columns. AROWS, BROWS: rows of a panel.
template <typename T, int W, int AROWS, int BROWS, int R>
TSR void tsr_flash_scores(float (&s)[R], unsigned a, unsigned b) {
#pragma unroll
  for (int k = 0; k < W / 16; k++) {
    const unsigned column = (k & 3) * 32;
    tsr_wgmma_ss<0, 0>(s, tsr_matrix(a + (k >> 2) * (AROWS * 128) + column, 16, 1024), tsr_matrix(b + (k >> 2) * (BROWS * 128) + column, 16, 1024), k > 0, (T*)0);
  }
}
// Adds the products of fragments (64 × N) with N rows of B, which lie along columns.
template <typename T, int N, int BROWS, int R>
TSR void tsr_flash_sums(float (&acc)[R], const unsigned (&p)[N / 16][4], unsigned b) {
#pragma unroll
  for (int k = 0; k < N / 16; k++) tsr_wgmma_rs<1>(acc, p[k], tsr_matrix(b + k * 2048, BROWS * 128, 1024), 1, (T*)0);
}
// Sums as fragments of halves.
template <typename T, int N>
TSR void tsr_flash_pack(unsigned (&p)[N / 16][4], const float (&s)[N / 2]) {
#pragma unroll
  for (int k = 0; k < N / 16; k++) {
#pragma unroll
    for (int u = 0; u < 4; u++) p[k][u] = tsr_pack(s[k * 8 + u * 2], s[k * 8 + u * 2 + 1], (T*)0);
  }
}
// Writes 64 rows of W columns by way of shared memory (panels of ROWS rows), 16 bytes a thread, no row at or beyond `rows` and no column at or beyond `width`.
// `stride` is what a row is multiplied by to give its place.
template <typename T, int W, int ROWS, typename I, typename S>
TSR void tsr_flash_store(unsigned char* shared, const float (&acc)[W / 2], const float (&by)[2], int row0, T* to, S stride, I m0, I rows, int width) {
  const int lane = threadIdx.x & 31, warp = (threadIdx.x >> 5) & 3;
#pragma unroll
  for (int h = 0; h < 2; h++) {
    const int row = row0 + warp * 16 + h * 8 + (lane >> 2);
#pragma unroll
    for (int j = 0; j < W / 8; j++) {
      *(unsigned*)(shared + (j >> 3) * (ROWS * 128) + row * 128 + (((j & 7) ^ (row & 7)) << 4) + (lane & 3) * 4) =
        tsr_pack(acc[j * 4 + h * 2] * by[h], acc[j * 4 + h * 2 + 1] * by[h], (T*)0);
    }
  }
  __syncwarp();
#pragma unroll
  for (int i = 0; i < W / 16; i++) {
    const int at = i * 32 + lane, row = row0 + warp * 16 + at / (W / 8), c = at % (W / 8);
    const uint4 v = *(const uint4*)(shared + (c >> 3) * (ROWS * 128) + row * 128 + (((c & 7) ^ (row & 7)) << 4));
    if (m0 + row < rows && c * 8 < width) *(uint4*)(to + (m0 + row) * stride + c * 8) = v;
  }
}

// Scores that a function changes by what does not depend on them.
template <typename F>
struct tsr_changed_score {
  F f;
  TSR_MEMBER bool keep(int, int) const { return true; }
  TSR_MEMBER void change(int r, int c, float& x) const { f(r, c, x); }
  TSR_MEMBER void back(int, int, float, float&) const {}
};
// Scores of a program: changes, what is kept of tiles at edges, gradients of changes.
template <typename F, typename K, typename B>
struct tsr_scored {
  F f;
  K k;
  B b;
  TSR_MEMBER bool keep(int r, int c) const { return k(r, c); }
  TSR_MEMBER void change(int r, int c, float& x) const { f(r, c, x); }
  TSR_MEMBER void back(int r, int c, float x, float& g) const { b(r, c, x, g); }
};

// Which tiles of keys a block of queries sees: all up to the last, those at edges first.
// With ALL, a mask has to be asked everywhere.
template <int BN, bool CAUSAL, bool ALL, bool LOOPS>
struct tsr_dense_keys {
  int count, keys;
  TSR_MEMBER tsr_dense_keys(int m0, int rows, int n) {
    keys = n;
    const int end = CAUSAL ? tsr_min(n, m0 + rows) : n;
    count = (end + BN - 1) / BN;
#ifndef TSR_EMULATED
    // Where registers are few, loops stay loops though the number of steps is known: unrolled, steps mix, and what they hold does not fit.
    if (LOOPS) asm volatile("" : "+r"(count));
#endif
  }
  TSR_MEMBER int at(int step) const { return (count - 1 - step) * BN; }
  // Steps that need masks for rows from m0 on.
  TSR_MEMBER int edges(int m0) const { return ALL ? count : CAUSAL ? count - tsr_min(count, tsr_min(keys, m0 + 1) / BN) : keys % BN != 0; }
  // Rows of the first step that are keys, where memory goes on with others'; 0: behind the last there are zeros.
  TSR_MEMBER int own() const { return 0; }
};

// No change of scores, and none of their gradients.
struct tsr_plain_score {
  TSR_MEMBER bool keep(int, int) const { return true; }
  TSR_MEMBER void change(int, int, float&) const {}
  TSR_MEMBER void back(int, int, float, float&) const {}
};

// Tiles of 128 that somebody listed, in steps of STEP: those that are seen in part first.
template <int STEP>
struct tsr_listed {
  int partials, count;
  const int *partial, *full;
  TSR_MEMBER tsr_listed(int partials, const int* partial, int fulls, const int* full) : partials(partials * (128 / STEP)), count((partials + fulls) * (128 / STEP)), partial(partial), full(full) {}
  TSR_MEMBER int at(int step) const {
    const int tile = step < partials ? partial[step / (128 / STEP)] : full[(step - partials) / (128 / STEP)];
    return tile * 128 + step % (128 / STEP) * STEP;
  }
  TSR_MEMBER int edges(int) const { return partials; }
  TSR_MEMBER int own() const { return 0; }
};

template <int D, int E, int BN, int STAGES, int CONSUMERS>
struct tsr_flash_room {
  enum { query = CONSUMERS * 64 * D * 2, key = BN * D * 2, value = BN * E * 2, result = CONSUMERS * 64 * E * 2 };
  enum { keys = query > result ? query : result, values = keys + STAGES * key, barriers = values + STAGES * value, all = barriers + 8 + STAGES * 32 };
};

// One step of softmax: scores become probabilities; what was summed before is to be multiplied by `factor`.
template <int BN, bool CAUSAL, bool PLAIN, bool EDGE, typename Score>
TSR void tsr_flash_softmax(float (&s)[BN / 2], float (&top)[2], float (&sum)[2], float (&factor)[2], int row, int n0, int rows, int keys, float scale, const Score& score) {
  const int column = n0 + (threadIdx.x & 3) * 2;
  const float unit = PLAIN ? scale * 1.44269504088896f : 1.44269504088896f;
  if (!PLAIN || EDGE) {
#pragma unroll
    for (int j = 0; j < BN / 8; j++) {
#pragma unroll
      for (int h = 0; h < 2; h++) {
        const int r = row + h * 8, c = column + j * 8;
        float &x = s[j * 4 + h * 2], &y = s[j * 4 + h * 2 + 1];
        if (!PLAIN) {
          x *= scale;
          y *= scale;
          score.change(tsr_min(r, rows - 1), EDGE ? tsr_min(c, keys - 1) : c, x);
          score.change(tsr_min(r, rows - 1), EDGE ? tsr_min(c + 1, keys - 1) : c + 1, y);
        }
        if (EDGE) {
          // Columns that are left from the thread's first one on: compared with constants, or the columns of all sums take registers.
          const int left = (CAUSAL ? tsr_min(keys, r + 1) : keys) - column;
          if (j * 8 >= left || !score.keep(tsr_min(r, rows - 1), tsr_min(c, keys - 1))) x = -__builtin_inff();
          if (j * 8 + 1 >= left || !score.keep(tsr_min(r, rows - 1), tsr_min(c + 1, keys - 1))) y = -__builtin_inff();
        }
      }
    }
  }
#pragma unroll
  for (int h = 0; h < 2; h++) {
    float most = top[h];
#pragma unroll
    for (int j = 0; j < BN / 8; j++) most = fmaxf(most, fmaxf(s[j * 4 + h * 2], s[j * 4 + h * 2 + 1]));
    most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1));
    most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2));
    const float base = most == -__builtin_inff() ? 0.f : most * unit;
    factor[h] = tsr_power2(top[h] * unit - base);
    top[h] = most;
    float total = 0;
#pragma unroll
    for (int j = 0; j < BN / 8; j++) {
#pragma unroll
      for (int u = h * 2; u < h * 2 + 2; u++) total += s[j * 4 + u] = tsr_power2(s[j * 4 + u] * unit - base);
    }
    sum[h] = sum[h] * factor[h] + total;
  }
}

// Zeros for a tile's rows from `first` on, written by the 128 threads of a consumer for the tensor cores: what no probability belongs to may be NaN there.
template <int W, int ROWS>
TSR void tsr_flash_clear(unsigned char* tile, int first, int consumer) {
  for (int at = (int)(threadIdx.x & 127); at < (ROWS - first) * (W / 8); at += 128) {
    const int row = first + at / (W / 8), c = at % (W / 8);
    *(uint4*)(tile + (c >> 3) * (ROWS * 128) + row * 128 + ((c & 7) << 4)) = uint4{0, 0, 0, 0};
  }
  tsr_gathered();
  tsr_signal_wait(4 + consumer, 128);
}

// PLAIN: scores stay as they are and the scale is positive. PING: consumers take turns at the tensor cores. `lse` is null where nobody wants it.
template <typename T, int D, int E, int BN, int STAGES, int CONSUMERS, bool CAUSAL, bool PLAIN, bool PING, typename Tiles, typename LoadQ, typename LoadK, typename LoadV, typename Score, typename S>
TSR void tsr_flash_forward(unsigned char* room, int m0, int rows, int keys, float scale, const Tiles tiles, const LoadQ loadQ, const LoadK loadK, const LoadV loadV, const Score score,
                           T* out, S outStride, int width, float* lse, int lseStride) {
  typedef tsr_flash_room<D, E, BN, STAGES, CONSUMERS> R;
  constexpr int BM = CONSUMERS * 64;
  unsigned char* const own = room + ((0u - tsr_smem(room)) & 1023u);
  const unsigned base = tsr_smem(own), barriers = base + R::barriers;
  // Of each stage: keys are there, values are there, keys were read, values were read.
  const unsigned ring = barriers + 8;
  if (threadIdx.x == 0) {
    tsr_barrier_init(barriers, 1);
    for (int i = 0; i < STAGES; i++) {
      tsr_barrier_init(ring + i * 32, 1);
      tsr_barrier_init(ring + i * 32 + 8, 1);
      tsr_barrier_init(ring + i * 32 + 16, CONSUMERS * 4);
      tsr_barrier_init(ring + i * 32 + 24, CONSUMERS * 4);
    }
    tsr_barrier_visible();
  }
  __syncthreads();
  if (threadIdx.x < 128) {
    tsr_fewer_registers<CONSUMERS == 3 ? 32 : 24>();
    if (threadIdx.x == 0) {
      tsr_barrier_expect(barriers, R::query);
#pragma unroll
      for (int p = 0; p < D / 64; p++) loadQ(base + p * BM * 128, barriers, p * 64, m0);
      int stage = 0, phase = 1;
      for (int i = 0; i < tiles.count; i++) {
        const int n0 = tiles.at(i);
        const unsigned at = ring + stage * 32;
        tsr_barrier_wait(at + 16, phase);
        tsr_barrier_expect(at, R::key);
#pragma unroll
        for (int p = 0; p < D / 64; p++) loadK(base + R::keys + stage * R::key + p * BN * 128, at, p * 64, n0);
        tsr_barrier_wait(at + 24, phase);
        tsr_barrier_expect(at + 8, R::value);
#pragma unroll
        for (int p = 0; p < E / 64; p++) loadV(base + R::values + stage * R::value + p * BN * 128, at + 8, p * 64, n0);
        if (++stage == STAGES) { stage = 0; phase ^= 1; }
      }
    }
  } else {
    tsr_more_registers<CONSUMERS == 3 ? 160 : 240>();
    const int consumer = tsr_consumer(), lane = threadIdx.x & 31;
    const int row = m0 + consumer * 64 + ((threadIdx.x >> 5) & 3) * 16 + (lane >> 2);
    const unsigned sq = base + consumer * 64 * 128;
    float acc[E / 2], s[BN / 2], top[2], sum[2], factor[2];
    unsigned p[BN / 16][4];
#pragma unroll
    for (int i = 0; i < E / 2; i++) acc[i] = 0;
    top[0] = top[1] = -__builtin_inff();
    sum[0] = sum[1] = 0;
    const int edges = tiles.edges(m0 + consumer * 64);
    if (PING && consumer == 1) tsr_signal_send(1, 256);
    // Also where nothing is to be done: the result goes where these copies do.
    tsr_barrier_wait(barriers, 0);
    if (tiles.count > 0) {
      tsr_barrier_wait(ring, 0);
      if (PING) tsr_signal_wait(1 + consumer, 256);
      tsr_wgmma_begin();
      tsr_flash_scores<T, D, BM, BN>(s, sq, base + R::keys);
      tsr_wgmma_commit();
      if (PING) tsr_signal_send(2 - consumer, 256);
      tsr_wgmma_wait<0>();
      tsr_settled(s);
      if (lane == 0) tsr_barrier_arrive(ring + 16);
      if (edges > 0) tsr_flash_softmax<BN, CAUSAL, PLAIN, true>(s, top, sum, factor, row, tiles.at(0), rows, keys, scale, score);
      else tsr_flash_softmax<BN, CAUSAL, PLAIN, false>(s, top, sum, factor, row, tiles.at(0), rows, keys, scale, score);
      tsr_flash_pack<T, BN>(p, s);
      int stage = 0, phase = 0;
      auto step = [&](int i, auto edge) {
        const int before = stage;
        const int beforePhase = phase;
        if (++stage == STAGES) { stage = 0; phase ^= 1; }
        const unsigned at = ring + stage * 32;
        tsr_barrier_wait(at, phase);
        if (PING) tsr_signal_wait(1 + consumer, 256);
        tsr_wgmma_begin();
        tsr_flash_scores<T, D, BM, BN>(s, sq, base + R::keys + stage * R::key);
        tsr_wgmma_commit();
        tsr_barrier_wait(ring + before * 32 + 8, beforePhase);
        if (i == 1 && tiles.own() > 0) tsr_flash_clear<E, BN>(own + R::values + before * R::value, tiles.own(), consumer);
        tsr_wgmma_begin();
        tsr_flash_sums<T, BN, BN>(acc, p, base + R::values + before * R::value);
        tsr_wgmma_commit();
        if (PING) tsr_signal_send(2 - consumer, 256);
        tsr_wgmma_wait<1>();
        tsr_settled(s);
        if (lane == 0) tsr_barrier_arrive(at + 16);
        tsr_flash_softmax<BN, CAUSAL, PLAIN, decltype(edge)::value>(s, top, sum, factor, row, tiles.at(i), rows, keys, scale, score);
        tsr_wgmma_wait<0>();
        tsr_settled(acc);
        tsr_settled(p);
        if (lane == 0) tsr_barrier_arrive(ring + before * 32 + 24);
#pragma unroll
        for (int j = 0; j < E / 8; j++) {
#pragma unroll
          for (int u = 0; u < 4; u++) acc[j * 4 + u] *= factor[u >> 1];
        }
        tsr_flash_pack<T, BN>(p, s);
      };
      int i = 1;
      for (; i < edges; i++) step(i, tsr_yes());
      for (; i < tiles.count; i++) step(i, tsr_no());
      tsr_barrier_wait(ring + stage * 32 + 8, phase);
      if (tiles.count == 1 && tiles.own() > 0) tsr_flash_clear<E, BN>(own + R::values + stage * R::value, tiles.own(), consumer);
      tsr_wgmma_begin();
      tsr_flash_sums<T, BN, BN>(acc, p, base + R::values + stage * R::value);
      tsr_wgmma_commit();
      tsr_wgmma_wait<0>();
      tsr_settled(acc);
    }
    float by[2];
#pragma unroll
    for (int h = 0; h < 2; h++) {
      float total = sum[h];
      total += __shfl_xor_sync(0xffffffffu, total, 1);
      total += __shfl_xor_sync(0xffffffffu, total, 2);
      // Who sees no key gets zeros.
      by[h] = total == 0 ? 0.f : 1.f / total;
      const float most = top[h] * (PLAIN ? scale : 1.f);
      if (lse != nullptr && (lane & 3) == 0 && row + h * 8 < rows) {
        lse[(long)(row + h * 8) * lseStride] = total == 0 ? -__builtin_inff() : most + 0.6931471805599453f * log2f(total);
      }
    }
    tsr_flash_store<T, E, BM>(own, acc, by, consumer * 64, out, outStride, (long)m0, (long)rows, width);
  }
}
