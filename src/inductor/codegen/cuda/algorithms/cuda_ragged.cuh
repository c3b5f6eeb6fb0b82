// Attention of sequences of several lengths that stand behind each other, over keys that do so, too, or that lie in pages named by a table.
//
// A row is a query of one head; the heads that share keys are rows side by side, so that keys are read once for all of them. Query i of a sequence
// stands at position keys - queries + i, and sees the keys from `left` before it to `right` behind it (negative: all). A block has BM rows of one sequence and walks the
// tiles of 64 keys that any of them sees. Where rows are few its warps take keys instead (KW = 4), and `parts` of the keys go to blocks of their own.
constexpr int TSR_RAGGED_KEYS = 64;
template <typename O>
struct tsr_ragged {
  const O *queries, *keys, *table;
  long* error;
  int sequences, pages, columns, heads, shared, all;
  float scale;
  int left, right;
};
// Tiles before sequence b: found by the whole block, a sequence a thread at a time. False if there is no tile `id`.
template <int BM, int THREADS = 128, typename O>
TSR bool tsr_ragged_find(const tsr_ragged<O>& a, int each, int id, int* room, int& sequence, int& tile) {
  int* const found = room + 32;
  if (threadIdx.x == 0) found[0] = -1;
  int before = 0;
  for (int base = 0; base < a.sequences; base += THREADS) {
    const int b = base + (int)threadIdx.x;
    const int rows = b < a.sequences ? (int)tsr_max((long)(a.queries[b + 1] - a.queries[b]), 0l) * each : 0;
    const int count = (rows + BM - 1) / BM;
    int total;
    const int start = before + tsr_block_scan<THREADS>(count, 0, total, room, [](int x, int y) { return x + y; });
    if (id >= start && id < start + count) {
      found[0] = b;
      found[1] = id - start;
    }
    before += total;
    __syncthreads();
    if (id < before) break;
  }
  sequence = found[0];
  tile = found[1];
  return sequence >= 0;
}
// Rows of 64 keys or values to shared memory; `head` is where the first key of the head lies, `pitch` the distance of keys.
template <typename T, int W, int PAGE, typename O>
TSR void tsr_ragged_rows(T* to, const T* head, long pitch, int n0, int end, int width, const O* pages, const tsr_ragged<O>& a) {
  constexpr int all = TSR_RAGGED_KEYS * (W / 8);
#pragma unroll
  for (int i = 0; i < all / 128; i++) {
    const int at = i * 128 + (int)threadIdx.x, r = at / (W / 8), c = at % (W / 8) * 8, n = n0 + r;
    bool there = n < end && c < width;
    long row = n;
    if (PAGE > 0 && there) {
      const long page = pages[n / (PAGE > 0 ? PAGE : 1)];
      if (page < 0 || page >= a.pages) {
        a.error[0] = page;
        a.error[1] = a.pages;
        a.error[2] = 1;
        there = false;
      }
      row = page * PAGE + n % (PAGE > 0 ? PAGE : 1);
    }
    tsr_copy16(to + r * (W + 8) + c, there ? head + row * pitch + c : head, there);
  }
}

// `partial`: for each part and row the sums, then the largest score and the sum of exponentials; null where there is one part.
// A warp has MI times 16 rows.
template <typename T, int D, int MI, int KW, int PAGE, typename O>
TSR void tsr_ragged_attention(const T* q, const T* k, const T* v, T* o, float* partial, const tsr_ragged<O> a, int width) {
  TSR_DYNAMIC(memory);
  constexpr int BM = KW == 4 ? 16 : 64 * MI, BN = TSR_RAGGED_KEYS, OWN = BN / KW, PITCH = D + 8;
  __shared__ int room[40];
  const int each = a.heads / a.shared, head = blockIdx.y, lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  int sequence, tile;
  if (!tsr_ragged_find<BM>(a, each, blockIdx.x, room, sequence, tile)) return;
  T* const sq = (T*)memory;
  T* const sk = sq + BM * PITCH;
  T* const sv = sk + 2 * BN * PITCH;
  const long first = a.queries[sequence];
  const int queries = (int)(a.queries[sequence + 1] - first), rows = queries * each, m0 = tile * BM;
  const int keys = (int)tsr_max(PAGE > 0 ? (long)a.keys[sequence] : (long)(a.keys[sequence + 1] - a.keys[sequence]), 0l);
  const O* const pages = PAGE > 0 ? a.table + (long)sequence * a.columns : nullptr;
  const long pitch = (long)a.shared * width, start = PAGE > 0 ? 0 : (long)a.keys[sequence];
  const T* const kh = k + start * pitch + head * width;
  const T* const vh = v + start * pitch + head * width;
  // What a row sees: from low to before high.
  const auto low = [=](int r) { return a.left < 0 ? 0 : tsr_max(keys - queries + r / each - a.left, 0); };
  const auto high = [=](int r) { return a.right < 0 ? keys : tsr_max(tsr_min(keys, keys - queries + r / each + a.right + 1), 0); };
  const int last = tsr_min(m0 + BM, rows) - 1;
  const int limit = PAGE > 0 ? tsr_min(keys, a.columns * PAGE) : keys;
  const int from = low(m0) / BN, until = (tsr_min(high(last), limit) + BN - 1) / BN;
  const int parts = gridDim.z, share = (tsr_max(until - from, 0) + parts - 1) / parts;
  const int begin = from + (int)blockIdx.z * share, end = tsr_min(until, begin + share);
  for (int at = threadIdx.x; at < BM * (D / 8); at += 128) {
    const int r = at / (D / 8), c = at % (D / 8) * 8, row = m0 + r;
    const bool there = row < rows && c < width;
    tsr_copy16(sq + r * PITCH + c, there ? q + ((first + row / each) * a.heads + head * each + row % each) * width + c : q, there);
  }
  if (begin < end) {
    tsr_ragged_rows<T, D, PAGE>(sk, kh, pitch, begin * BN, limit, width, pages, a);
    tsr_ragged_rows<T, D, PAGE>(sv, vh, pitch, begin * BN, limit, width, pages, a);
  }
  tsr_copy_commit();
  const int wm = KW == 4 ? 0 : warp * 16 * MI, wk = KW == 4 ? warp * OWN : 0;
  int sees[MI][2], seen[MI][2];
  float acc[MI][D / 8][4] = {}, top[MI][2], sum[MI][2];
#pragma unroll
  for (int i = 0; i < MI; i++) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
      const int row = m0 + wm + i * 16 + (lane >> 2) + h * 8;
      sees[i][h] = row < rows ? low(row) : 0;
      seen[i][h] = row < rows ? tsr_min(high(row), limit) : 0;
      top[i][h] = -__builtin_inff();
      sum[i][h] = 0;
    }
  }
  // Tiles that all of the warp's rows see whole need no look at positions.
  const int whole = low(tsr_min(m0 + wm + 16 * MI, rows) - 1), wholeEnd = tsr_min(high(m0 + wm), limit);
  for (int step = begin; step < end; step++) {
    const int now = (step - begin) & 1, n0 = step * BN;
    tsr_copy_wait<0>();
    __syncthreads();
    if (step + 1 < end) {
      tsr_ragged_rows<T, D, PAGE>(sk + (now ^ 1) * BN * PITCH, kh, pitch, n0 + BN, limit, width, pages, a);
      tsr_ragged_rows<T, D, PAGE>(sv + (now ^ 1) * BN * PITCH, vh, pitch, n0 + BN, limit, width, pages, a);
    }
    tsr_copy_commit();
    if (m0 + wm >= rows) continue;
    const T* const kt = sk + (now * BN + wk) * PITCH;
    const T* const vt = sv + (now * BN + wk) * PITCH;
    float s[MI][OWN / 8][4] = {};
    tsr_attention_scores<T, MI, OWN, D, true>(s, sq, kt, wm, OWN);
    if (n0 + wk < whole || n0 + wk + OWN > wholeEnd) {
#pragma unroll
      for (int i = 0; i < MI; i++) {
#pragma unroll
        for (int j = 0; j < OWN / 8; j++) {
#pragma unroll
          for (int u = 0; u < 4; u++) {
            const int column = n0 + wk + j * 8 + (lane & 3) * 2 + (u & 1);
            if (column < sees[i][u >> 1] || column >= seen[i][u >> 1]) s[i][j][u] = -__builtin_inff();
          }
        }
      }
    }
#pragma unroll
    for (int i = 0; i < MI; i++) tsr_attention_softmax(s[i], acc[i], top[i], sum[i], a.scale);
    tsr_attention_sums<T, MI, OWN, D, true>(acc, s, vt, OWN);
  }
  tsr_copy_wait<0>();
  __syncthreads();
  // Sums of a warp as rows of floats in what held the keys, then the largest score and the sum of exponentials of each row.
  float* const sums = (float*)sk;
  float* const marks = sums + KW * BM * (D + 4);
#pragma unroll
  for (int i = 0; i < MI; i++) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
      sum[i][h] += __shfl_xor_sync(0xffffffffu, sum[i][h], 1);
      sum[i][h] += __shfl_xor_sync(0xffffffffu, sum[i][h], 2);
      const int r = (KW == 4 ? warp * BM : wm) + i * 16 + (lane >> 2) + h * 8;
#pragma unroll
      for (int j = 0; j < D / 8; j++) {
        sums[r * (D + 4) + j * 8 + (lane & 3) * 2] = acc[i][j][2 * h];
        sums[r * (D + 4) + j * 8 + (lane & 3) * 2 + 1] = acc[i][j][2 * h + 1];
      }
      if ((lane & 3) == 0) {
        marks[2 * r] = top[i][h];
        marks[2 * r + 1] = sum[i][h];
      }
    }
  }
  __syncthreads();
  for (int at = threadIdx.x; at < BM * width; at += 128) {
    const int r = at / width, c = at % width, row = m0 + r;
    if (row >= rows) break;
    float most = -__builtin_inff();
#pragma unroll
    for (int w = 0; w < KW; w++) most = fmaxf(most, marks[2 * (w * BM + r)]);
    const float base = most == -__builtin_inff() ? 0.f : most;
    float x = 0, total = 0;
#pragma unroll
    for (int w = 0; w < KW; w++) {
      const float factor = KW == 1 ? 1.f : tsr_power2((marks[2 * (w * BM + r)] - base) * a.scale);
      x += sums[(w * BM + r) * (D + 4) + c] * factor;
      total += marks[2 * (w * BM + r) + 1] * factor;
    }
    const long place = (first + row / each) * a.heads + head * each + row % each;
    if (parts == 1) tsr_put(o + place * width + c, total == 0 ? 0.f : x / total);
    else {
      float* const part = partial + blockIdx.z * (long)a.all * (width + 2);
      part[place * width + c] = x;
      if (c == 0) {
        part[(long)a.all * width + place * 2] = most;
        part[(long)a.all * width + place * 2 + 1] = total;
      }
    }
  }
}
// Adds up the parts of each row; rows of no sequence are 0.
template <typename T, typename O>
TSR void tsr_ragged_join(const float* partial, T* o, const O* queries, int sequences, int parts, int all, int heads, int width, float scale) {
  const long at = (long)blockIdx.x * 256 + threadIdx.x;
  if (at >= (long)all * width) return;
  const long place = at / width, size = (long)all * (width + 2), marks = (long)all * width + place * 2;
  const long token = place / heads;
  if (token < queries[0] || token >= queries[sequences]) {
    tsr_put(o + at, 0.f);
    return;
  }
  float most = -__builtin_inff();
  for (int p = 0; p < parts; p++) most = fmaxf(most, partial[p * size + marks]);
  const float base = most == -__builtin_inff() ? 0.f : most;
  float x = 0, total = 0;
  for (int p = 0; p < parts; p++) {
    const float factor = tsr_power2((partial[p * size + marks] - base) * scale);
    x += partial[p * size + at] * factor;
    total += partial[p * size + marks + 1] * factor;
  }
  tsr_put(o + at, total == 0 ? 0.f : x / total);
}
// Zeros for rows that belong to no sequence.
template <typename T, typename O>
TSR void tsr_ragged_rest(T* o, const O* queries, int sequences, int tokens, int row) {
  const long first = queries[0], last = queries[sequences];
  for (long at = (long)blockIdx.x * 256 + threadIdx.x; at < (long)tokens * row; at += (long)gridDim.x * 256) {
    const long token = at / row;
    if (token < first || token >= last) tsr_put(o + at, 0.f);
  }
}
