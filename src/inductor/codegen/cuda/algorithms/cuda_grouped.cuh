// Products of groups: rows that belong to one of several matrices, where the groups end is known on the device alone.
//
// `ends` has the row before which each group ends, in rising order; rows behind the last group are 0.

constexpr int TSR_GROUPS = 1024;
// The ends as ints within the rows there are, the rows behind the last group as one group more.
template <typename O>
TSR void tsr_group_ends(int* to, const O* ends, int groups, int rows) {
  for (int g = threadIdx.x; g <= groups; g += blockDim.x) to[g] = g == groups ? rows : (int)tsr_min((long)rows, tsr_max((long)ends[g], 0l));
  __syncthreads();
}
// Tiles of `height` rows, those of one group side by side: column after column, so that blocks at work share the group's matrix.
struct tsr_group_walk {
  int group, first, row, end, column;
  // The tile `id`, not below the one asked for before.
  __device__ __forceinline__ bool find(const int* ends, int groups, int height, int across, int id) {
    for (; group <= groups; group++) {
      const int start = group == 0 ? 0 : ends[group - 1];
      end = ends[group];
      const int down = end > start ? (end - start + height - 1) / height : 0;
      const int inside = id - first;
      if (inside < down * across) {
        row = start + inside % down * height;
        column = inside / down;
        return true;
      }
      first += down * across;
    }
    return false;
  }
};

// ---- plain arithmetic: tiles of 64 × 64, a thread has 4 × 4 ----
// Sums over `length` of a(i, k) · b(k, j); `put` gets what is within the tile.
template <typename C, typename A, typename B, typename P>
TSR void tsr_group_plain(C (*room)[64 + 4], int length, A a, B b, P put) {
  C acc[4][4] = {};
  const int x = threadIdx.x % 16, y = threadIdx.x / 16;
  for (int k0 = 0; k0 < length; k0 += 16) {
    for (int e = threadIdx.x; e < 16 * 64; e += 256) {
      room[e / 64][e % 64] = k0 + e / 64 < length ? a(e % 64, k0 + e / 64) : (C)0;
      room[16 + e / 64][e % 64] = k0 + e / 64 < length ? b(k0 + e / 64, e % 64) : (C)0;
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < 16; k++)
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) acc[i][j] += room[k][y * 4 + i] * room[16 + k][x + j * 16];
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 4; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) put(y * 4 + i, x + j * 16, acc[i][j]);
}
template <typename T, typename C, typename O, bool TURNED>
TSR void tsr_grouped_plain(const T* x, const T* w, const O* offs, T* out, int groups, int rows, int K, int N) {
  __shared__ int ends[TSR_GROUPS + 1];
  __shared__ C room[32][64 + 4];
  tsr_group_ends(ends, offs, groups, rows);
  tsr_group_walk t = {};
  for (int id = blockIdx.x; t.find(ends, groups, 64, (N + 63) / 64, id); id += gridDim.x) {
    const int n0 = t.column * 64;
    const T* m = w + (long)t.group * K * N;
    tsr_group_plain<C>(
        room, t.group == groups ? 0 : K,
        [=](int i, int k) { return t.row + i < t.end ? (C)tsr_get(x + (long)(t.row + i) * K + k) : (C)0; },
        [=](int k, int j) { return n0 + j < N ? (C)tsr_get(m + (TURNED ? (long)(n0 + j) * K + k : (long)k * N + n0 + j)) : (C)0; },
        [=](int i, int j, C v) { if (t.row + i < t.end && n0 + j < N) tsr_put(out + (long)(t.row + i) * N + n0 + j, v); });
  }
}
template <typename T, typename C, typename O>
TSR void tsr_grouped_outer_plain(const T* x, const T* y, const O* offs, T* out, int groups, int rows, int M, int N) {
  __shared__ int ends[TSR_GROUPS + 1];
  __shared__ C room[32][64 + 4];
  tsr_group_ends(ends, offs, groups, rows);
  const int across = (N + 63) / 64, down = (M + 63) / 64;
  const int g = blockIdx.x / (across * down), m0 = blockIdx.x / across % down * 64, n0 = blockIdx.x % across * 64;
  const int start = g == 0 ? 0 : ends[g - 1], length = tsr_max(ends[g] - start, 0);
  T* to = out + (long)g * M * N;
  tsr_group_plain<C>(
      room, length, [=](int i, int k) { return m0 + i < M ? (C)tsr_get(x + (long)(start + k) * M + m0 + i) : (C)0; },
      [=](int k, int j) { return n0 + j < N ? (C)tsr_get(y + (long)(start + k) * N + n0 + j) : (C)0; },
      [=](int i, int j, C v) { if (m0 + i < M && n0 + j < N) tsr_put(to + (long)(m0 + i) * N + n0 + j, v); });
}

// ---- halves on mma.sync: tiles of 128 × 128, k in steps of 32 by cp.async ----
template <typename T> struct tsr_group_tile {
  static constexpr int stages = 4, side = 128, step = 32, along = side * (step + 8), beside = step * (side + 8);
};
TSR unsigned tsr_group_pack(float a, float b, f16*) { return tsr_pack_f16(a, b); }
TSR unsigned tsr_group_pack(float a, float b, bf16*) { return tsr_pack_bf16(a, b); }
// `a` and `b` give where eight neighbours are, null for zeros: (row, k) of an operand along k, else (k, column).
template <typename T, bool AK, bool BK, typename A, typename B>
TSR void tsr_group_mma(T* room, float (&acc)[4][4][4], int length, A a, B b) {
  typedef tsr_group_tile<T> S;
  constexpr int aSize = AK ? S::along : S::beside, bSize = BK ? S::along : S::beside, stage = aSize + bSize, ahead = S::stages - 1;
  const int warp = threadIdx.x >> 5, wm = warp / 4 * 64, wn = warp % 4 * 32;
  const int steps = (length + S::step - 1) / S::step;
  for (int s = -ahead; s < steps; s++) {
    const int next = s + ahead, k0 = next * S::step;
    tsr_copy_wait<ahead - 1>();
    __syncthreads();
    if (next < steps) {
      T* to = room + next % S::stages * stage;
#pragma unroll
      for (int i = 0; i < 2; i++) {
        const int e = threadIdx.x + i * 256;
        const T* from = AK ? a(e / 4, k0 + e % 4 * 8) : a(k0 + e / 16, e % 16 * 8);
        tsr_copy16(to + (AK ? e / 4 * (S::step + 8) + e % 4 * 8 : e / 16 * (S::side + 8) + e % 16 * 8), from == nullptr ? room : from, from != nullptr);
      }
      to += aSize;
#pragma unroll
      for (int i = 0; i < 2; i++) {
        const int e = threadIdx.x + i * 256;
        const T* from = BK ? b(e / 4, k0 + e % 4 * 8) : b(k0 + e / 16, e % 16 * 8);
        tsr_copy16(to + (BK ? e / 4 * (S::step + 8) + e % 4 * 8 : e / 16 * (S::side + 8) + e % 16 * 8), from == nullptr ? room : from, from != nullptr);
      }
    }
    tsr_copy_commit();
    if (s >= 0) {
      const T* from = room + s % S::stages * stage;
      tsr_mma_tile<T, S::side, S::side, S::step, 64, 32, AK, BK>(acc, from, from + aSize, wm, wn);
    }
  }
  tsr_copy_wait<0>();
  __syncthreads();
}
// Writes a tile's sums in pairs; rows up to `height`, columns up to `width` count.
template <typename T>
TSR void tsr_group_put(T* out, long pitch, const float (&acc)[4][4][4], int height, int width) {
  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
#pragma unroll
  for (int i = 0; i < 4; i++) {
#pragma unroll
    for (int j = 0; j < 4; j++) {
      const int r = warp / 4 * 64 + i * 16 + (lane >> 2), c = warp % 4 * 32 + j * 8 + (lane & 3) * 2;
      if (c >= width) continue;
      if (r < height) *(unsigned*)(out + r * pitch + c) = tsr_group_pack(acc[i][j][0], acc[i][j][1], (T*)0);
      if (r + 8 < height) *(unsigned*)(out + (r + 8) * pitch + c) = tsr_group_pack(acc[i][j][2], acc[i][j][3], (T*)0);
    }
  }
}
template <typename T, typename O, bool TURNED>
TSR void tsr_grouped_mma(const T* x, const T* w, const O* offs, T* out, int groups, int rows, int K, int N) {
  TSR_DYNAMIC(memory);
  __shared__ int ends[TSR_GROUPS + 1];
  tsr_group_ends(ends, offs, groups, rows);
  tsr_group_walk t = {};
  for (int id = blockIdx.x; t.find(ends, groups, 128, (N + 127) / 128, id); id += gridDim.x) {
    const int n0 = t.column * 128;
    const T* m = w + (long)t.group * K * N;
    float acc[4][4][4] = {};
    tsr_group_mma<T, true, TURNED>(
        (T*)memory, acc, t.group == groups ? 0 : K,
        [=](int i, int k) { return t.row + i < t.end && k < K ? x + (long)(t.row + i) * K + k : nullptr; },
        [=](int i, int j) {
          const int k = TURNED ? j : i, n = n0 + (TURNED ? i : j);
          return k < K && n < N ? m + (TURNED ? (long)n * K + k : (long)k * N + n) : nullptr;
        });
    tsr_group_put(out + (long)t.row * N + n0, N, acc, t.end - t.row, N - n0);
  }
}
template <typename T, typename O>
TSR void tsr_grouped_outer_mma(const T* x, const T* y, const O* offs, T* out, int groups, int rows, int M, int N) {
  TSR_DYNAMIC(memory);
  __shared__ int ends[TSR_GROUPS + 1];
  tsr_group_ends(ends, offs, groups, rows);
  const int across = (N + 127) / 128, down = (M + 127) / 128;
  const int g = blockIdx.x / (across * down), m0 = blockIdx.x / across % down * 128, n0 = blockIdx.x % across * 128;
  const int start = g == 0 ? 0 : ends[g - 1], length = tsr_max(ends[g] - start, 0);
  float acc[4][4][4] = {};
  tsr_group_mma<T, false, false>(
      (T*)memory, acc, length, [=](int k, int i) { return k < length && m0 + i < M ? x + (long)(start + k) * M + m0 + i : nullptr; },
      [=](int k, int j) { return k < length && n0 + j < N ? y + (long)(start + k) * N + n0 + j : nullptr; });
  tsr_group_put(out + (long)g * M * N + (long)m0 * N + n0, N, acc, M - m0, N - n0);
}
