// Sorting along an axis: stable, NaN above all numbers, both zeros equal, as PyTorch orders.
//
// Elements are keys: their bits, turned so that unsigned comparison orders them; turning back loses nothing. KIND says what the bits mean: 0 unsigned,
// 1 signed, 2 floating with INF the bits of infinity. A row is `n` elements that are `inner` apart. What is kept are the sorted positions from `first` on,
// `take` of them, where `which` may name another first: 1 the lower median or the first NaN, 2 the lower median without NaN.
template <int B> struct tsr_key_type;
template <> struct tsr_key_type<1> { typedef unsigned char type; };
template <> struct tsr_key_type<2> { typedef unsigned short type; };
template <> struct tsr_key_type<4> { typedef unsigned type; };
template <> struct tsr_key_type<8> { typedef unsigned long long type; };

template <int B, int KIND, unsigned long long INF, bool DOWN>
struct tsr_keys {
  typedef typename tsr_key_type<B>::type K;
  // What shuffles and comparisons work on.
  typedef typename tsr_key_type<(B < 4 ? 4 : B)>::type W;
  static constexpr unsigned long long sign = 1ull << (8 * B - 1), all = ~0ull >> (64 - 8 * B);
  TSR K turn(K x) {
    return KIND == 0 ? x : KIND == 1 ? (K)(x ^ sign) : (x & sign) != 0 ? (K)~x : (K)(x | sign);
  }
  TSR K back(K k) {
    return KIND == 0 ? k : KIND == 1 ? (K)(k ^ sign) : (k & sign) != 0 ? (K)(k ^ sign) : (K)~k;
  }
  TSR bool is_nan(K k) { return KIND == 2 && ((unsigned long long)k > (sign | INF) || (unsigned long long)k < (all ^ (sign | INF))); }
  // What decides the order.
  TSR W order(K k) {
    unsigned long long o = k;
    if (KIND == 2) o = is_nan(k) ? all : o == sign - 1 ? sign : o;
    return (W)(DOWN ? o ^ all : o);
  }
  TSR int digit(K k, int pass) { return (int)(order(k) >> (8 * pass)) & 255; }
};

// Where a sorted row is read from, with `nans` of its elements NaN.
TSR long tsr_sorted_first(int which, long first, long n, long nans) {
  if (which == 1) return nans > 0 ? n - nans : (n - 1) / 2;
  if (which == 2) return tsr_max((n - nans - 1) / 2, 0l);
  return first;
}
// Where row `row` begins if its elements are `inner` apart and there are `count` of them.
TSR long tsr_row_start(long row, long count, long inner) { return row / inner * inner * count + row % inner; }

// ---- rows of at most 32 · ITEMS elements: a warp has one, and counts for each element those that stand before it ----
template <typename T, int ITEMS>
TSR void tsr_sort_small(
    const typename T::K* x, typename T::K* values, long* at, long rows, long inner, int n, int which, long first, long take) {
  typedef typename T::K K;
  const int lane = threadIdx.x & 31;
  const long row = (long)blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
  if (row >= rows) return;
  const K* from = x + tsr_row_start(row, n, inner);
  K raw[ITEMS];
  typename T::W key[ITEMS];
  int rank[ITEMS], nans = 0;
#pragma unroll
  for (int i = 0; i < ITEMS; i++) {
    const int p = i * 32 + lane;
    raw[i] = p < n ? from[p * inner] : (K)0;
    key[i] = T::order(T::turn(raw[i]));
    rank[i] = 0;
    nans += __popc(__ballot_sync(0xffffffffu, p < n && T::is_nan(T::turn(raw[i]))));
  }
#pragma unroll
  for (int o = 0; o < ITEMS; o++) {
    const int rest = tsr_min(n - o * 32, 32);
    for (int l = 0; l < rest; l++) {
      const typename T::W other = __shfl_sync(0xffffffffu, key[o], l);
      const int q = o * 32 + l;
#pragma unroll
      for (int i = 0; i < ITEMS; i++) rank[i] += other < key[i] || (other == key[i] && q < i * 32 + lane);
    }
  }
  const long begin = tsr_sorted_first(which, first, n, nans), to = tsr_row_start(row, take, inner);
#pragma unroll
  for (int i = 0; i < ITEMS; i++) {
    const int p = i * 32 + lane;
    const long r = rank[i] - begin;
    if (p < n && r >= 0 && r < take) {
      values[to + r * inner] = raw[i];
      at[to + r * inner] = p;
    }
  }
}

// ---- ranks in a block: elements in the order warp, item, lane ----
// `counts` (256 for each warp) is needed; `starts` and `totals` get where each digit begins in the tile and how often it is there.
template <int THREADS, int ITEMS>
TSR void tsr_rank(const int (&digit)[ITEMS], int (&rank)[ITEMS], int* counts, int* starts, int* totals, int* room) {
  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
  int* const own = counts + warp * 256;
  for (int i = threadIdx.x; i < THREADS / 32 * 256; i += THREADS) counts[i] = 0;
  __syncthreads();
#pragma unroll
  for (int i = 0; i < ITEMS; i++) {
    unsigned peers = 0xffffffffu;
#pragma unroll
    for (int b = 0; b < 8; b++) {
      const bool bit = (digit[i] >> b & 1) != 0;
      const unsigned set = __ballot_sync(0xffffffffu, bit);
      peers &= bit ? set : ~set;
    }
    const int before = own[digit[i]], among = __popc(peers & ((1u << lane) - 1));
    __syncwarp();
    if (among == 0) own[digit[i]] = before + __popc(peers);
    __syncwarp();
    rank[i] = before + among;
  }
  __syncthreads();
  constexpr int EACH = THREADS >= 256 ? 1 : 256 / THREADS;
  int sum = 0, found[EACH];
#pragma unroll
  for (int j = 0; j < EACH; j++) {
    const int d = threadIdx.x * EACH + j;
    int run = 0;
    if (d < 256) {
      for (int w = 0; w < THREADS / 32; w++) {
        const int c = counts[w * 256 + d];
        counts[w * 256 + d] = run;
        run += c;
      }
    }
    found[j] = run;
    sum += run;
  }
  int all;
  int start = tsr_block_scan<THREADS>(sum, 0, all, room, [](int a, int b) { return a + b; });
#pragma unroll
  for (int j = 0; j < EACH; j++) {
    const int d = threadIdx.x * EACH + j;
    if (d < 256) {
      starts[d] = start;
      totals[d] = found[j];
    }
    start += found[j];
  }
  __syncthreads();
#pragma unroll
  for (int i = 0; i < ITEMS; i++) rank[i] += own[digit[i]] + starts[digit[i]];
}

// Shared memory of a block that sorts.
template <typename T, int THREADS, int ITEMS>
struct tsr_sort_room {
  typename T::K keys[THREADS * ITEMS];
  unsigned index[THREADS * ITEMS];
  int counts[THREADS / 32 * 256];
  int starts[256], totals[256], room[32];
};
// Sorts what the threads hold, in the order warp, item, lane, into shared memory. Elements whose index is ~0 are no elements; they stand last already.
template <typename T, int THREADS, int ITEMS>
TSR void tsr_sort_tile(typename T::K (&key)[ITEMS], unsigned (&index)[ITEMS], tsr_sort_room<T, THREADS, ITEMS>& s) {
  int digit[ITEMS], rank[ITEMS];
  const int mine = (threadIdx.x >> 5) * 32 * ITEMS + (threadIdx.x & 31);
  for (int pass = 0; pass < (int)sizeof(key[0]); pass++) {
#pragma unroll
    for (int i = 0; i < ITEMS; i++) digit[i] = index[i] == ~0u ? 255 : T::digit(key[i], pass);
    tsr_rank<THREADS, ITEMS>(digit, rank, s.counts, s.starts, s.totals, s.room);
#pragma unroll
    for (int i = 0; i < ITEMS; i++) {
      s.keys[rank[i]] = key[i];
      s.index[rank[i]] = index[i];
    }
    __syncthreads();
    if (pass + 1 == (int)sizeof(key[0])) break;
#pragma unroll
    for (int i = 0; i < ITEMS; i++) {
      key[i] = s.keys[mine + i * 32];
      index[i] = s.index[mine + i * 32];
    }
    __syncthreads();
  }
}

// ---- rows of at most THREADS · ITEMS elements: a block has one ----
template <typename T, int THREADS, int ITEMS>
TSR void tsr_sort_row(
    const typename T::K* x, typename T::K* values, long* at, long inner, int n, int which, long first, long take) {
  TSR_DYNAMIC(memory);
  tsr_sort_room<T, THREADS, ITEMS>& s = *(tsr_sort_room<T, THREADS, ITEMS>*)memory;
  const long row = blockIdx.x;
  const typename T::K* from = x + tsr_row_start(row, n, inner);
  typename T::K key[ITEMS];
  unsigned index[ITEMS];
  int nans = 0;
#pragma unroll
  for (int i = 0; i < ITEMS; i++) {
    const int p = ((threadIdx.x >> 5) * ITEMS + i) * 32 + (threadIdx.x & 31);
    key[i] = p < n ? T::turn(from[p * inner]) : 0;
    index[i] = p < n ? p : ~0u;
    nans += p < n && T::is_nan(key[i]);
  }
  if (which != 0) nans = tsr_block_reduce<THREADS>(nans, s.room, [](int a, int b) { return a + b; });
  tsr_sort_tile<T, THREADS, ITEMS>(key, index, s);
  const long begin = tsr_sorted_first(which, first, n, nans), to = tsr_row_start(row, take, inner);
  for (long t = threadIdx.x; t < take; t += THREADS) {
    values[to + t * inner] = T::back(s.keys[begin + t]);
    at[to + t * inner] = s.index[begin + t];
  }
}

// ---- the first `take` of long rows, at most THREADS · ITEMS of them: digit by digit the last of them is found, then all that stand before it ----
template <typename T, int THREADS, int ITEMS>
TSR void tsr_select_row(const typename T::K* x, typename T::K* values, long* at, long inner, long n, int take) {
  TSR_DYNAMIC(memory);
  tsr_sort_room<T, THREADS, ITEMS>& s = *(tsr_sort_room<T, THREADS, ITEMS>*)memory;
  typedef typename T::K K;
  typedef typename T::W W;
  const auto sum = [](int a, int b) { return a + b; };
  const long row = blockIdx.x;
  const K* from = x + tsr_row_start(row, n, inner);
  int left = take, all;
  W found = 0, known = 0;
  for (int pass = (int)sizeof(K) - 1; pass >= 0; pass--) {
    for (int i = threadIdx.x; i < 256; i += THREADS) s.counts[i] = 0;
    __syncthreads();
    for (long p = threadIdx.x; p < n; p += THREADS) {
      const W o = T::order(T::turn(from[p * inner]));
      if ((o & known) == found) atomicAdd(&s.counts[(int)(o >> (8 * pass)) & 255], 1);
    }
    __syncthreads();
    const int c = threadIdx.x < 256 ? s.counts[threadIdx.x] : 0;
    const int start = tsr_block_scan<THREADS>(c, 0, all, s.room, sum);
    if (start < left && left <= start + c) {
      s.starts[0] = threadIdx.x;
      s.starts[1] = start;
    }
    __syncthreads();
    found |= (W)s.starts[0] << (8 * pass);
    known |= (W)255 << (8 * pass);
    left -= s.starts[1];
    __syncthreads();
  }
  // Of those that are equal to the last one the first `left` count.
  constexpr int RUN = 8;
  int place = 0, equal = 0;
  for (long base = 0; base < n && place < take; base += THREADS * RUN) {
    K mine[RUN];
    bool less[RUN], same[RUN];
    int count = 0;
#pragma unroll
    for (int u = 0; u < RUN; u++) {
      const long p = base + (long)threadIdx.x * RUN + u;
      mine[u] = p < n ? T::turn(from[p * inner]) : 0;
      const W o = T::order(mine[u]);
      less[u] = p < n && o < found;
      same[u] = p < n && o == found;
      count += less[u] + (same[u] ? 1 << 16 : 0);
    }
    // Both counts in one number: a tile has fewer than 65536 elements.
    int both;
    const int before = tsr_block_scan<THREADS>(count, 0, both, s.room, sum);
    int smaller = before & 0xffff, even = equal + (before >> 16);
#pragma unroll
    for (int u = 0; u < RUN; u++) {
      if (less[u] || (same[u] && even < left)) {
        const int to = place + smaller + (tsr_min(even, left) - tsr_min(equal, left));
        s.keys[to] = mine[u];
        s.index[to] = (unsigned)(base + (long)threadIdx.x * RUN + u);
      }
      smaller += less[u];
      even += same[u];
    }
    const int next = equal + (both >> 16);
    place += (both & 0xffff) + tsr_min(next, left) - tsr_min(equal, left);
    equal = next;
  }
  __syncthreads();
  K key[ITEMS];
  unsigned index[ITEMS];
#pragma unroll
  for (int i = 0; i < ITEMS; i++) {
    const int p = ((threadIdx.x >> 5) * ITEMS + i) * 32 + (threadIdx.x & 31);
    key[i] = p < take ? s.keys[p] : 0;
    index[i] = p < take ? s.index[p] : ~0u;
  }
  __syncthreads();
  tsr_sort_tile<T, THREADS, ITEMS>(key, index, s);
  const long to = tsr_row_start(row, take, inner);
  for (int t = threadIdx.x; t < take; t += THREADS) {
    values[to + t * inner] = T::back(s.keys[t]);
    at[to + t * inner] = s.index[t];
  }
}

// ---- long rows: a pass over tiles for each byte of the keys, lowest first ----
// How often each digit is in a row, for all passes; the last word counts NaN. `counts` is zero before.
template <typename T>
TSR void tsr_sort_count(const typename T::K* x, unsigned* counts, long rows, long inner, long n, long span) {
  typedef typename T::K K;
  constexpr int PASSES = (int)sizeof(K);
  __shared__ unsigned own[PASSES * 256 + 1];
  const long pieces = (n + span - 1) / span, row = blockIdx.x / pieces, piece = blockIdx.x % pieces;
  for (int i = threadIdx.x; i < PASSES * 256 + 1; i += blockDim.x) own[i] = 0;
  __syncthreads();
  const K* from = x + tsr_row_start(row, n, inner);
  const long end = tsr_min(n, (piece + 1) * span);
  for (long p = piece * span + threadIdx.x; p < end; p += blockDim.x) {
    const K k = T::turn(from[p * inner]);
#pragma unroll
    for (int pass = 0; pass < PASSES; pass++) atomicAdd(&own[pass * 256 + T::digit(k, pass)], 1u);
    if (T::is_nan(k)) atomicAdd(&own[PASSES * 256], 1u);
  }
  __syncthreads();
  unsigned* to = counts + row * (PASSES * 256 + 1);
  for (int i = threadIdx.x; i < PASSES * 256 + 1; i += blockDim.x) if (own[i] != 0) atomicAdd(to + i, own[i]);
}
// One pass. Tiles are taken in order; where the elements of a digit go is known from the tiles before (Merrill and Garland's decoupled look-back): a
// word of `status` is 1 << 30 and the tile's count, or 2 << 30 and the count of all tiles up to it. `words` has the tickets, which tell the pass as well,
// the counts of all rows, and the status for each pass. Keys and positions go from one half of their memory to the other.
template <typename T, int THREADS, int ITEMS>
TSR void tsr_sort_sweep(
    const typename T::K* x, typename T::K* both_keys, unsigned* both_index, typename T::K* values, long* at, unsigned* words, long rows, long inner,
    long n, int which, long first, long take) {
  TSR_DYNAMIC(memory);
  typedef typename T::K K;
  typedef tsr_sort_room<T, THREADS, ITEMS> Room;
  Room& s = *(Room*)memory;
  constexpr int PASSES = (int)sizeof(K), TILE = THREADS * ITEMS;
  __shared__ long goes[256];
  if (threadIdx.x == 0) s.room[0] = (int)atomicAdd(words, 1u);
  __syncthreads();
  const long tiles = (n + TILE - 1) / TILE;
  const unsigned ticket = (unsigned)s.room[0];
  const int pass = (int)(ticket / (rows * tiles));
  const long id = ticket - pass * rows * tiles, row = id / tiles, tile = id % tiles;
  const bool is_first = pass == 0, is_last = pass == PASSES - 1;
  const unsigned* row_counts = words + 1 + row * (PASSES * 256 + 1);
  volatile unsigned* status = words + 1 + rows * (PASSES * 256 + 1) + pass * rows * tiles * 256;
  const long half = rows * n;
  const unsigned* positions = both_index + (pass % 2 == 0 ? half : 0);
  const K* read = both_keys + (pass % 2 == 0 ? half : 0);
  K* keys = both_keys + (pass % 2 == 0 ? 0 : half);
  unsigned* index = both_index + (pass % 2 == 0 ? 0 : half);
  const int count = (int)tsr_min((long)TILE, n - tile * TILE);
  __syncthreads();
  K key[ITEMS];
  unsigned own[ITEMS];
  int digit[ITEMS], rank[ITEMS];
  const int mine = (threadIdx.x >> 5) * 32 * ITEMS + (threadIdx.x & 31);
  const K* from = is_first ? x + tsr_row_start(row, n, inner) : read + row * n;
#pragma unroll
  for (int i = 0; i < ITEMS; i++) {
    const int t = mine + i * 32;
    const long p = tile * TILE + t;
    key[i] = t >= count ? 0 : is_first ? T::turn(from[p * inner]) : from[p];
    own[i] = t >= count ? 0 : is_first ? (unsigned)p : positions[row * n + p];
    digit[i] = t >= count ? 255 : T::digit(key[i], pass);
  }
  tsr_rank<THREADS, ITEMS>(digit, rank, s.counts, s.starts, s.totals, s.room);
  int all;
  const int d = threadIdx.x;
  const int begins = tsr_block_scan<THREADS>(
      d < 256 ? (int)row_counts[pass * 256 + d] : 0, 0, all, s.room, [](int a, int b) { return a + b; });
  if (d < 256) {
    const unsigned have = (unsigned)(s.totals[d] - (d == 255 ? TILE - count : 0));
    volatile unsigned* here = status + (row * tiles + tile) * 256 + d;
    unsigned before = 0;
    if (tile == 0) *here = 2u << 30 | have;
    else {
      *here = 1u << 30 | have;
      for (long back = 1;; back++) {
        unsigned seen;
        do seen = *(here - back * 256); while (seen >> 30 == 0);
        before += seen & ((1u << 30) - 1);
        if (seen >> 31 != 0) break;
      }
      *here = 2u << 30 | (before + have);
    }
    goes[d] = (long)begins + before - s.starts[d];
  }
#pragma unroll
  for (int i = 0; i < ITEMS; i++) {
    s.keys[rank[i]] = key[i];
    s.index[rank[i]] = own[i];
  }
  __syncthreads();
  const long begin = is_last ? tsr_sorted_first(which, first, n, row_counts[PASSES * 256]) : 0;
  const long to = is_last ? tsr_row_start(row, take, inner) : row * n;
  for (int t = threadIdx.x; t < count; t += THREADS) {
    const K k = s.keys[t];
    const long p = goes[T::digit(k, pass)] + t;
    if (is_last) {
      if (p >= begin && p < begin + take) {
        values[to + (p - begin) * inner] = T::back(k);
        at[to + (p - begin) * inner] = s.index[t];
      }
    } else {
      keys[to + p] = k;
      index[to + p] = s.index[t];
    }
  }
}
TSR void tsr_zero_words(unsigned* p, long n) {
  for (long i = (long)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (long)gridDim.x * blockDim.x) p[i] = 0;
}
