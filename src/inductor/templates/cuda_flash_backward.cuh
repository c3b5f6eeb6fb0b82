// Gradients of attention on Hopper, in two kernels without atomics: of queries, walking the keys, and of keys and values, walking the queries.
//
// Both compute the probabilities again from scores and their saved log-sum-exp, and need dS = P · (dO · vᵀ - Σ dO · out), whose last term is `delta`. What
// probabilities and dS are multiplied with next, they are as fragments: nothing goes back to shared memory. `Score` has `change` (as forward) and `back`,
// which turns the gradient of a changed score into that of the score.

// One of two halves, as a float.
template <typename T>
TSR float tsr_unpack(unsigned two, int i, T*) {
  T x;
  x.x = (unsigned short)(two >> (16 * i));
  return tsr_widen(x);
}
// A row's log-sum-exp to base 2; rows that see nothing have no probabilities, and neither has what is no row.
TSR float tsr_flash_base(float lse) { return lse == -__builtin_inff() ? 0.f : lse * 1.44269504088896f; }

// The barriers of a block: one for what stays, two a stage. `filled` arrivals tell that a stage is there, those of 8 warps that it was read.
template <int STAGES>
TSR void tsr_flash_barriers(unsigned barriers, int filled) {
  if (threadIdx.x == 0) {
    tsr_barrier_init(barriers, 1);
    for (int i = 0; i < STAGES; i++) {
      tsr_barrier_init(barriers + 8 + i * 16, filled);
      tsr_barrier_init(barriers + 16 + i * 16, 8);
    }
    tsr_barrier_visible();
  }
  __syncthreads();
}
// What one thread asks of the copy engine: 128 rows from `kept` on of two operands that stay, then STEP rows of two others for each tile.
template <int D, int E, int STEP, int STAGES, typename Tiles, typename KeptD, typename KeptE, typename StepD, typename StepE>
TSR void tsr_flash_fill(unsigned base, unsigned barriers, int kept, const Tiles& tiles, const KeptD& keptD, const KeptE& keptE, const StepD& stepD, const StepE& stepE) {
  tsr_barrier_expect(barriers, 256 * (D + E));
#pragma unroll
  for (int p = 0; p < D / 64; p++) keptD(base + p * 128 * 128, barriers, p * 64, kept);
#pragma unroll
  for (int p = 0; p < E / 64; p++) keptE(base + 256 * D + p * 128 * 128, barriers, p * 64, kept);
  int stage = 0, phase = 1;
  for (int i = 0; i < tiles.count; i++) {
    const int first = tiles.at(i);
    const unsigned at = barriers + 8 + stage * 16, to = base + 256 * (D + E) + stage * (2 * STEP * (D + E));
    tsr_barrier_wait(at + 8, phase);
    tsr_barrier_expect(at, 2 * STEP * (D + E));
#pragma unroll
    for (int p = 0; p < D / 64; p++) stepD(to + p * STEP * 128, at, p * 64, first);
#pragma unroll
    for (int p = 0; p < E / 64; p++) stepE(to + 2 * STEP * D + p * STEP * 128, at, p * 64, first);
    if (++stage == STAGES) { stage = 0; phase ^= 1; }
  }
}

template <int D, int E, int BN, int STAGES>
struct tsr_flash_query_room {
  enum { query = 128 * D * 2, grad = 128 * E * 2, key = BN * D * 2, value = BN * E * 2, stage = key + value };
  enum { ring = query + grad, barriers = ring + STAGES * stage, all = barriers + 8 + STAGES * 16 };
};

// 128 queries a block, over tiles of BN keys: dq = scale · Σ dS · k.
template <typename T, int D, int E, int BN, int STAGES, bool CAUSAL, bool PLAIN, typename Tiles, typename LoadQ, typename LoadK, typename LoadV, typename LoadG, typename Score>
TSR void tsr_flash_query(unsigned char* room, int m0, int rows, int keys, float scale, const Tiles tiles, const LoadQ loadQ, const LoadK loadK, const LoadV loadV, const LoadG loadG,
                         const Score score, const float* lse, int lseStride, const float* delta, int deltaStride, T* out, long outStride, int width) {
  typedef tsr_flash_query_room<D, E, BN, STAGES> R;
  unsigned char* const own = room + ((0u - tsr_smem(room)) & 1023u);
  const unsigned base = tsr_smem(own), barriers = base + R::barriers, ring = barriers + 8;
  tsr_flash_barriers<STAGES>(barriers, 1);
  if (threadIdx.x < 128) {
    tsr_fewer_registers<24>();
    if (threadIdx.x == 0) tsr_flash_fill<D, E, BN, STAGES>(base, barriers, m0, tiles, loadQ, loadG, loadK, loadV);
  } else {
    tsr_more_registers<240>();
    const int consumer = tsr_consumer(), lane = threadIdx.x & 31;
    const int row = m0 + consumer * 64 + ((threadIdx.x >> 5) & 3) * 16 + (lane >> 2);
    const unsigned sq = base + consumer * 64 * 128, sg = sq + R::query;
    float acc[D / 2], s[BN / 2], g[BN / 2], top[2], rowDelta[2];
    unsigned p[BN / 16][4];
#pragma unroll
    for (int i = 0; i < D / 2; i++) acc[i] = 0;
#pragma unroll
    for (int h = 0; h < 2; h++) {
      const bool there = row + h * 8 < rows;
      top[h] = there ? tsr_flash_base(lse[(long)(row + h * 8) * lseStride]) : __builtin_inff();
      rowDelta[h] = there ? delta[(long)(row + h * 8) * deltaStride] : 0.f;
    }
    const float unit = PLAIN ? scale * 1.44269504088896f : 1.44269504088896f;
    const int edges = tiles.edges(m0 + consumer * 64);
    // Also where nothing is to be done: results go where these copies do.
    tsr_barrier_wait(barriers, 0);
    int stage = 0, phase = 0, before = -1;
    auto step = [&](int i, auto edge) {
      constexpr bool EDGE = decltype(edge)::value;
      const int n0 = tiles.at(i), column = n0 + (lane & 3) * 2;
      const unsigned at = ring + stage * 16, from = base + R::ring + stage * R::stage;
      tsr_barrier_wait(at, phase);
      tsr_wgmma_begin();
      tsr_flash_scores<T, D, 128, BN>(s, sq, from);
      tsr_wgmma_commit();
      tsr_flash_scores<T, E, 128, BN>(g, sg, from + R::key);
      tsr_wgmma_commit();
      tsr_wgmma_wait<1>();
      tsr_settled(s);
      tsr_settled(acc);
      tsr_settled(p);
      if (before >= 0 && lane == 0) tsr_barrier_arrive(ring + before * 16 + 8);
      float kept[PLAIN ? 1 : BN / 2];
#pragma unroll
      for (int j = 0; j < BN / 8; j++) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
          const int r = row + h * 8, c = column + j * 8, at2 = j * 4 + h * 2;
          float &x = s[at2], &y = s[at2 + 1];
          if (!PLAIN) {
            x *= scale;
            y *= scale;
            kept[PLAIN ? 0 : at2] = x;
            kept[PLAIN ? 0 : at2 + 1] = y;
            score.change(tsr_min(r, rows - 1), EDGE ? tsr_min(c, keys - 1) : c, x);
            score.change(tsr_min(r, rows - 1), EDGE ? tsr_min(c + 1, keys - 1) : c + 1, y);
          }
          x = tsr_power2(x * unit - top[h]);
          y = tsr_power2(y * unit - top[h]);
          if (EDGE) {
            if (c >= keys || (CAUSAL && c > r) || !score.keep(tsr_min(r, rows - 1), tsr_min(c, keys - 1))) x = 0;
            if (c + 1 >= keys || (CAUSAL && c + 1 > r) || !score.keep(tsr_min(r, rows - 1), tsr_min(c + 1, keys - 1))) y = 0;
          }
        }
      }
      tsr_wgmma_wait<0>();
      tsr_settled(g);
#pragma unroll
      for (int j = 0; j < BN / 8; j++) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
          const int r = row + h * 8, c = column + j * 8, at2 = j * 4 + h * 2;
          float &x = s[at2], &y = s[at2 + 1];
          x *= g[at2] - rowDelta[h];
          y *= g[at2 + 1] - rowDelta[h];
          if (!PLAIN) {
            score.back(tsr_min(r, rows - 1), EDGE ? tsr_min(c, keys - 1) : c, kept[PLAIN ? 0 : at2], x);
            score.back(tsr_min(r, rows - 1), EDGE ? tsr_min(c + 1, keys - 1) : c + 1, kept[PLAIN ? 0 : at2 + 1], y);
          }
        }
      }
      tsr_flash_pack<T, BN>(p, s);
      tsr_wgmma_begin();
      tsr_flash_sums<T, BN, BN>(acc, p, from);
      tsr_wgmma_commit();
      before = stage;
      if (++stage == STAGES) { stage = 0; phase ^= 1; }
    };
    int i = 0;
    for (; i < edges; i++) step(i, tsr_yes());
    for (; i < tiles.count; i++) step(i, tsr_no());
    tsr_wgmma_wait<0>();
    tsr_settled(acc);
    const float by[2] = {scale, scale};
    tsr_flash_store<T, D, 128>(own, acc, by, consumer * 64, out, outStride, (long)m0, (long)rows, width);
  }
}

// Which tiles of queries see a block of keys.
template <int BM, bool CAUSAL, bool ALL>
struct tsr_dense_queries {
  int first, count;
  TSR_MEMBER tsr_dense_queries(int n0, int rows) {
    first = CAUSAL ? n0 / BM : 0;
    count = tsr_max((rows + BM - 1) / BM - first, 0);
  }
  TSR_MEMBER int at(int step) const { return (first + step) * BM; }
  // Steps that need masks for keys up to the last of 64 from n0 on.
  TSR_MEMBER int edges(int n0) const { return ALL ? count : CAUSAL ? tsr_min(count, tsr_max((n0 + 63 + BM - 1) / BM - first, 0)) : 0; }
};

template <int D, int E, int BM, int STAGES>
struct tsr_flash_key_room {
  enum { key = 128 * D * 2, value = 128 * E * 2, query = BM * D * 2, grad = BM * E * 2, stage = query + grad };
  enum { ring = key + value, sums = ring + STAGES * stage, barriers = sums + STAGES * BM * 8, all = barriers + 8 + STAGES * 16 };
};

// 128 keys a block, over tiles of BM queries: dv = Σ Pᵀ · dO, dk = scale · Σ dSᵀ · q.
template <typename T, int D, int E, int BM, int STAGES, bool CAUSAL, bool PLAIN, typename Tiles, typename LoadQ, typename LoadK, typename LoadV, typename LoadG, typename Score>
TSR void tsr_flash_key(unsigned char* room, int n0, int rows, int keys, float scale, const Tiles tiles, const LoadQ loadQ, const LoadK loadK, const LoadV loadV, const LoadG loadG,
                       const Score score, const float* lse, int lseStride, const float* delta, int deltaStride, T* outK, long strideK, int widthK, T* outV, long strideV, int widthV) {
  typedef tsr_flash_key_room<D, E, BM, STAGES> R;
  unsigned char* const own = room + ((0u - tsr_smem(room)) & 1023u);
  const unsigned base = tsr_smem(own), barriers = base + R::barriers, ring = barriers + 8;
  float2* const sums = (float2*)(own + R::sums);
  tsr_flash_barriers<STAGES>(barriers, 65);
  if (threadIdx.x < 128) {
    tsr_fewer_registers<24>();
    if (threadIdx.x == 0) tsr_flash_fill<D, E, BM, STAGES>(base, barriers, n0, tiles, loadK, loadV, loadQ, loadG);
    else if (threadIdx.x >= 32 && threadIdx.x < 96) {
      // One warp for each of the two numbers.
      const bool isLse = threadIdx.x < 64;
      const float* const from = isLse ? lse : delta;
      const int stride = isLse ? lseStride : deltaStride, lane = threadIdx.x & 31;
      float* to = (float*)sums + (isLse ? 0 : 1);
      int stage = 0, phase = 1;
      for (int i = 0; i < tiles.count; i++) {
        const int m0 = tiles.at(i);
        tsr_barrier_wait(ring + stage * 16 + 8, phase);
#pragma unroll 1
        for (int x = lane; x < BM; x += 32) {
          float v = isLse ? __builtin_inff() : 0.f;
          if (m0 + x < rows) v = from[(long)(m0 + x) * stride];
          to[(stage * BM + x) * 2] = isLse && m0 + x < rows ? tsr_flash_base(v) : v;
        }
        tsr_barrier_arrive(ring + stage * 16);
        if (++stage == STAGES) { stage = 0; phase ^= 1; }
      }
    }
  } else {
    tsr_more_registers<240>();
    const int consumer = tsr_consumer(), lane = threadIdx.x & 31;
    const int row = n0 + consumer * 64 + ((threadIdx.x >> 5) & 3) * 16 + (lane >> 2);
    const unsigned sk = base + consumer * 64 * 128, sv = sk + R::key;
    float dk[D / 2], dv[E / 2], s[BM / 2], g[BM / 2];
    unsigned p[BM / 16][4];
#pragma unroll
    for (int i = 0; i < D / 2; i++) dk[i] = 0;
#pragma unroll
    for (int i = 0; i < E / 2; i++) dv[i] = 0;
    tsr_settled(dk);
    tsr_settled(dv);
    const float unit = PLAIN ? scale * 1.44269504088896f : 1.44269504088896f;
    const int edges = tiles.edges(n0 + consumer * 64);
    // Also where nothing is to be done: results go where these copies do.
    tsr_barrier_wait(barriers, 0);
    int stage = 0, phase = 0, before = -1;
    auto step = [&](int i, auto edge) {
      constexpr bool EDGE = decltype(edge)::value;
      const int m0 = tiles.at(i), column = (lane & 3) * 2;
      const unsigned at = ring + stage * 16, from = base + R::ring + stage * R::stage;
      const float4* const known = (const float4*)(sums + stage * BM + column);
      tsr_barrier_wait(at, phase);
      tsr_wgmma_begin();
      tsr_flash_scores<T, D, 128, BM>(s, sk, from);
      tsr_wgmma_commit();
      tsr_flash_scores<T, E, 128, BM>(g, sv, from + R::query);
      tsr_wgmma_commit();
      tsr_wgmma_wait<1>();
      tsr_settled(s);
      tsr_settled(dk);
      tsr_settled(p);
      // What other lanes read of the numbers beside the tiles is read too.
      __syncwarp();
      if (before >= 0 && lane == 0) tsr_barrier_arrive(ring + before * 16 + 8);
      float kept[PLAIN ? 1 : BM / 2];
#pragma unroll
      for (int j = 0; j < BM / 8; j++) {
        const float4 two = known[j * 4];
#pragma unroll
        for (int u = 0; u < 2; u++) {
          const int m = m0 + column + j * 8 + u;
          float &x = s[j * 4 + u], &y = s[j * 4 + 2 + u];
          if (!PLAIN) {
            x *= scale;
            y *= scale;
            kept[PLAIN ? 0 : j * 4 + u] = x;
            kept[PLAIN ? 0 : j * 4 + 2 + u] = y;
            score.change(tsr_min(m, rows - 1), tsr_min(row, keys - 1), x);
            score.change(tsr_min(m, rows - 1), tsr_min(row + 8, keys - 1), y);
          }
          x = tsr_power2(x * unit - (u == 0 ? two.x : two.z));
          y = tsr_power2(y * unit - (u == 0 ? two.x : two.z));
          if (EDGE) {
            if ((CAUSAL && row > m) || !score.keep(tsr_min(m, rows - 1), tsr_min(row, keys - 1))) x = 0;
            if ((CAUSAL && row + 8 > m) || !score.keep(tsr_min(m, rows - 1), tsr_min(row + 8, keys - 1))) y = 0;
          }
        }
      }
      tsr_flash_pack<T, BM>(p, s);
      tsr_wgmma_begin();
      tsr_flash_sums<T, BM, BM>(dv, p, from + R::query);
      tsr_wgmma_commit();
      tsr_wgmma_wait<1>();
      tsr_settled(g);
#pragma unroll
      for (int j = 0; j < BM / 8; j++) {
        const float4 two = known[j * 4];
#pragma unroll
        for (int u = 0; u < 2; u++) {
          const int m = m0 + column + j * 8 + u;
          float &x = g[j * 4 + u], &y = g[j * 4 + 2 + u];
          x = (x - (u == 0 ? two.y : two.w)) * tsr_unpack(p[j >> 1][(j & 1) * 2], u, (T*)0);
          y = (y - (u == 0 ? two.y : two.w)) * tsr_unpack(p[j >> 1][(j & 1) * 2 + 1], u, (T*)0);
          if (!PLAIN) {
            score.back(tsr_min(m, rows - 1), tsr_min(row, keys - 1), kept[PLAIN ? 0 : j * 4 + u], x);
            score.back(tsr_min(m, rows - 1), tsr_min(row + 8, keys - 1), kept[PLAIN ? 0 : j * 4 + 2 + u], y);
          }
        }
      }
      tsr_wgmma_wait<0>();
      tsr_settled(dv);
      tsr_settled(p);
      tsr_flash_pack<T, BM>(p, g);
      tsr_wgmma_begin();
      tsr_flash_sums<T, BM, BM>(dk, p, from);
      tsr_wgmma_commit();
      before = stage;
      if (++stage == STAGES) { stage = 0; phase ^= 1; }
    };
    int i = 0;
    for (; i < edges; i++) step(i, tsr_yes());
    for (; i < tiles.count; i++) step(i, tsr_no());
    tsr_wgmma_wait<0>();
    tsr_settled(dk);
    tsr_settled(dv);
    const float byK[2] = {scale, scale}, byV[2] = {1, 1};
    tsr_flash_store<T, D, 128>(own, dk, byK, consumer * 64, outK, strideK, (long)n0, (long)keys, widthK);
    tsr_flash_store<T, E, 128>(own + R::key, dv, byV, consumer * 64, outV, strideV, (long)n0, (long)keys, widthV);
  }
}
