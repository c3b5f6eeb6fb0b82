// Hopper's own instructions on a processor: barriers in shared memory, the copy engine, products of warpgroups, signals between warps.
//
// Addresses in shared memory are offsets from `tsr_dynamic_shared`, plus one alignment so that none is 0. Copies and products are done when they are
// issued, which is one of the orders that the device may choose; a thread that waits lets the others run. A wait that never ends stops the process.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

struct tsr_map;
static const unsigned TSR_SHARED_BASE = 4096;
static inline unsigned tsr_smem(const void* p) { return (unsigned)((const unsigned char*)p - tsr_dynamic_shared) + TSR_SHARED_BASE; }
static inline unsigned char* tsr_at(unsigned address) { return tsr_dynamic_shared + (address - TSR_SHARED_BASE); }

// ---- barriers ----
// `filled` is the phase that the last copy completes, `seen` the last one whose end somebody waited for.
struct tsr_emulated_barrier { int count, pending, bytes; unsigned phase, filled, seen, name; };
TSR_INTERNAL static std::map<unsigned, tsr_emulated_barrier> tsr_barriers;
TSR_INTERNAL static long tsr_waits;
static void tsr_wait_turn() {
  if (++tsr_waits > 40000000) {
    fprintf(stderr, "emulated CUDA: a barrier in shared memory is waited for forever (thread %d)\n", (int)(tsr_now - tsr_fibers));
    abort();
  }
  tsr_pause(TSR_RUNS);
}
static void tsr_barrier_check(tsr_emulated_barrier& b) {
  if (b.pending != 0 || b.bytes != 0) return;
  TSR_TELL(complete, b.name);
  b.phase++;
  b.pending = b.count;
  tsr_waits = 0;
}
static inline void tsr_barrier_init(unsigned barrier, int count) { tsr_barriers[barrier] = {count, count, 0, 0, 0, 0, barrier}; }
static inline void tsr_barrier_visible() {}
static void tsr_barrier_count(unsigned barrier) {
  tsr_emulated_barrier& b = tsr_barriers.at(barrier);
  if (--b.pending < 0) { fprintf(stderr, "emulated CUDA: too many arrive at a barrier\n"); abort(); }
  tsr_barrier_check(b);
}
static inline void tsr_barrier_arrive(unsigned barrier) {
  TSR_TELL(give, tsr_thread(), barrier);
  tsr_barrier_count(barrier);
}
static inline void tsr_barrier_expect(unsigned barrier, int bytes) {
  tsr_barriers.at(barrier).bytes += bytes;
  tsr_barrier_arrive(barrier);
}
static inline void tsr_barrier_wait(unsigned barrier, int parity) {
  tsr_emulated_barrier& b = tsr_barriers.at(barrier);
  while ((b.phase & 1) == (unsigned)parity) tsr_wait_turn();
  b.seen = b.phase;
  TSR_TELL(take, tsr_thread(), barrier);
}
static inline void tsr_map_ready(const tsr_map*) {}
template <int N> static inline void tsr_more_registers() {}
template <int N> static inline void tsr_fewer_registers() {}

// ---- named barriers: one count for those who wait and those who go on ----
struct tsr_emulated_signal { int arrived; unsigned turn; };
TSR_INTERNAL static tsr_emulated_signal tsr_signals[16];
static void tsr_signal_arrive(int id, int threads) {
  TSR_TELL(give, tsr_thread(), (unsigned)id + 1);
  if (++tsr_signals[id].arrived < threads) return;
  tsr_signals[id].arrived = 0;
  tsr_signals[id].turn++;
  TSR_TELL(complete, (unsigned)id + 1);
  tsr_waits = 0;
}
static inline void tsr_signal_send(int id, int threads) { tsr_signal_arrive(id, threads); }
static inline void tsr_signal_wait(int id, int threads) {
  const unsigned turn = tsr_signals[id].turn;
  tsr_signal_arrive(id, threads);
  while (tsr_signals[id].turn == turn) tsr_wait_turn();
  TSR_TELL(take, tsr_thread(), (unsigned)id + 1);
}

static void tsr_reset_block() {
  tsr_barriers.clear();
  memset(tsr_signals, 0, sizeof tsr_signals);
  tsr_waits = 0;
}

// On a device a copy that nobody waits for may arrive over what was written since.
static void tsr_finish_block() {
  for (const auto& [address, b] : tsr_barriers) {
    if (b.filled <= b.seen) continue;
    fprintf(stderr, "emulated CUDA: a block ends while copies to its shared memory may be under way\n");
    abort();
  }
}

// ---- the copy engine ----
static void tsr_engine_writes(unsigned to, const void* from, int bytes, bool there, unsigned barrier) {
#ifdef TSR_WATCHED
  if (there) tsr_watch->access(tsr_thread(), (const unsigned char*)from, bytes, 0, __builtin_return_address(0));
  tsr_watch->engine(tsr_thread(), tsr_at(to), bytes, barrier, __builtin_return_address(0));
  tsr_enter(false);
#endif
  if (there) memcpy(tsr_at(to), from, bytes);
  else memset(tsr_at(to), 0, bytes);
  tsr_enter(true);
}
static void tsr_copy_box(unsigned to, const tsr_map* map, unsigned barrier, const int* at) {
  const int64_t* const whole = (const int64_t*)((const uint64_t*)map)[13];
  static const int sizes[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4};
  const int bytes = sizes[whole[0]], rank = (int)whole[1];
  const int64_t *dims = whole + 4, *strides = whole + 9, *box = whole + 14;
  int64_t total = 1;
  for (int d = 0; d < rank; d++) total *= box[d];
  for (int64_t i = 0; i < total; i++) {
    int64_t rest = i, from = whole[2];
    bool there = true;
    for (int d = 0; d < rank; d++) {
      const int64_t x = at[d] + rest % box[d];
      rest /= box[d];
      there = there && x >= 0 && x < dims[d];
      from += x * (d == 0 ? bytes : strides[d]);
    }
    unsigned address = to + (unsigned)(i * bytes);
    if (whole[3] == 3) address ^= (address >> 7 & 7) << 4;
    tsr_engine_writes(address, (const void*)from, bytes, there, barrier);
  }
  tsr_emulated_barrier& b = tsr_barriers.at(barrier);
  b.filled = b.phase + 1;
  b.bytes -= (int)(total * bytes);
  tsr_barrier_check(b);
}
// Channels of pixels of windows one after the other, from the window at `at` on, each moved by `moved`.
static void tsr_copy_pixels(unsigned to, const tsr_map* map, unsigned barrier, const int* at, const int* moved) {
  const int64_t* const whole = (const int64_t*)((const uint64_t*)map)[13];
  static const int sizes[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4};
  const int bytes = sizes[whole[0]], rank = (int)whole[1];
  const int64_t *dims = whole + 4, *strides = whole + 9, channels = whole[14], pixels = whole[15];
  const int64_t *lower = whole + 19, *upper = whole + 22, *steps = whole + 25;
  int64_t place[5];
  for (int d = 0; d < rank; d++) place[d] = at[d];
  for (int64_t p = 0; p < pixels; p++) {
    int64_t base = whole[2];
    bool there = true;
    for (int d = 1; d < rank; d++) {
      const int64_t x = place[d] + (d + 1 < rank ? moved[d - 1] : 0);
      there = there && x >= 0 && x < dims[d];
      base += x * strides[d];
    }
    for (int64_t c = 0; c < channels; c++) {
      unsigned address = to + (unsigned)((p * channels + c) * bytes);
      if (whole[3] == 3) address ^= (address >> 7 & 7) << 4;
      tsr_engine_writes(address, (const void*)(base + (at[0] + c) * bytes), bytes, there && at[0] + c < dims[0], barrier);
    }
    for (int d = 1; d < rank; d++) {
      if (d + 1 == rank) { place[d]++; break; }
      place[d] += steps[d - 1];
      if (place[d] <= dims[d] - 1 + upper[d - 1]) break;
      place[d] = lower[d - 1];
    }
  }
  tsr_emulated_barrier& b = tsr_barriers.at(barrier);
  b.filled = b.phase + 1;
  b.bytes -= (int)(pixels * channels * bytes);
  tsr_barrier_check(b);
}
static inline void tsr_pixels(unsigned to, const tsr_map* map, unsigned barrier, int c, int w, int n, int x) {
  const int at[] = {c, w, n}, moved[] = {x};
  tsr_copy_pixels(to, map, barrier, at, moved);
}
static inline void tsr_pixels(unsigned to, const tsr_map* map, unsigned barrier, int c, int w, int h, int n, int x, int y) {
  const int at[] = {c, w, h, n}, moved[] = {x, y};
  tsr_copy_pixels(to, map, barrier, at, moved);
}
static inline void tsr_pixels(unsigned to, const tsr_map* map, unsigned barrier, int c, int w, int h, int d, int n, int x, int y, int z) {
  const int at[] = {c, w, h, d, n}, moved[] = {x, y, z};
  tsr_copy_pixels(to, map, barrier, at, moved);
}
static void tsr_run(unsigned to, const void* from, int bytes, unsigned barrier) {
  if ((to | (uintptr_t)from | bytes) & 15) { fprintf(stderr, "emulated CUDA: a run is not aligned to 16 bytes\n"); abort(); }
  tsr_engine_writes(to, from, bytes, true, barrier);
  tsr_emulated_barrier& b = tsr_barriers.at(barrier);
  b.filled = b.phase + 1;
  b.bytes -= bytes;
  tsr_barrier_check(b);
}
template <typename... C>
static void tsr_box(unsigned to, const tsr_map* map, unsigned barrier, C... at) {
  const int places[] = {at...};
  tsr_copy_box(to, map, barrier, places);
}
static inline void tsr_ask(const void*) {}
// Blocks follow each other, so each of a pair reads both halves, and tells itself of stages as often as both would.
static inline void tsr_mates_sync() { __syncthreads(); }
static inline void tsr_mates_arrive(unsigned barrier, int) { tsr_barrier_arrive(barrier); }
template <int HALF, typename... C>
static void tsr_box_half(unsigned to, const tsr_map* map, unsigned barrier, int a, int b, C... batch) {
  for (int mate = 0; mate < 2; mate++) tsr_box(to + mate * HALF * 128, map, barrier, a, b + mate * HALF, batch...);
}
template <bool NEAR> static inline void tsr_gather16(unsigned to, const void* from, bool there) {
  TSR_TELL(copy, tsr_thread(), tsr_at(to), 16, __builtin_return_address(0));
  tsr_move16(tsr_at(to), from, there);
}
static inline void tsr_gathered() {}
template <int N> static inline void tsr_gathered_arrive(unsigned barrier) {
  __syncwarp();
  if ((threadIdx.x & 31) == 0) tsr_barrier_arrive(barrier);
}

// ---- products of warpgroups ----
static inline void tsr_wgmma_begin() {}
static inline void tsr_wgmma_commit() {}
template <int N> static inline void tsr_wgmma_wait() {}
// An element of a swizzled matrix in shared memory: `x` along its rows, `k` along the sum; TURNED where it lies along rows.
template <typename T, int TURNED>
static double tsr_operand(unsigned long matrix, int x, int k) {
  const unsigned start = (matrix & 0x3fff) << 4, lead = (matrix >> 16 & 0x3fff) << 4, stride = (matrix >> 32 & 0x3fff) << 4;
  unsigned address = TURNED ? start + x / 64 * lead + k / 8 * stride + k % 8 * 128 + x % 64 * 2 : start + x / 8 * stride + x % 8 * 128 + k * (int)sizeof(T);
  address ^= (address >> 7 & 7) << 4;
  unsigned word = 0;
  memcpy(&word, tsr_at(address), sizeof(T));
  return tsr_item<T>(word, 0);
}
template <typename T, int TB, int K, int R, typename C>
static void tsr_products(C (&d)[R], const double (&a)[2][K], unsigned long b, int keep) {
  const int lane = tsr_lane();
  for (int j = 0; j < R / 4; j++) {
    for (int u = 0; u < 2; u++) {
      double column[K];
      for (int k = 0; k < K; k++) column[k] = tsr_operand<T, TB>(b, j * 8 + (lane & 3) * 2 + u, k);
      for (int h = 0; h < 2; h++) {
        C& x = d[j * 4 + h * 2 + u];
        if (!keep) x = 0;
        for (int k = 0; k < K; k++) x = (C)(x + a[h][k] * column[k]);
      }
    }
  }
}
template <int TA, int TB, int K, int R, typename C, typename T, typename U>
static void tsr_wgmma_ss(C (&d)[R], unsigned long a, unsigned long b, int keep, T*, U*) {
  double rows[2][K];
  const int first = (tsr_thread() & 127) / 32 * 16 + (tsr_lane() >> 2);
  for (int h = 0; h < 2; h++) {
    for (int k = 0; k < K; k++) rows[h][k] = tsr_operand<T, TA>(a, first + h * 8, k);
  }
  tsr_products<U, TB, K>(d, rows, b, keep);
}
template <int TA, int TB, int R, typename T>
static void tsr_wgmma_ss(float (&d)[R], unsigned long a, unsigned long b, int keep, T* type) {
  tsr_wgmma_ss<TA, TB, 16>(d, a, b, keep, type, type);
}
struct tsr_fragment { unsigned x[4]; };
template <int TB, int R, typename T>
static void tsr_wgmma_rs(float (&d)[R], const unsigned (&a)[4], unsigned long b, int keep, T*) {
  const tsr_fragment own = {{a[0], a[1], a[2], a[3]}};
  tsr_slot* const slots = tsr_exchange(own);
  double rows[2][16];
  for (int h = 0; h < 2; h++) {
    for (int k = 0; k < 16; k++) {
      const tsr_fragment f = tsr_from<tsr_fragment>(slots, (tsr_lane() & ~3) + (k & 7) / 2);
      rows[h][k] = tsr_half_of<T>(f.x[h + (k >> 3) * 2], k & 1);
    }
  }
  tsr_products<T, TB, 16>(d, rows, b, keep);
}
#include "emulate_cluster.h"
