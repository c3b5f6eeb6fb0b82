// What threads do together: reductions and scans over warps and blocks, combinations with memory.

// ---- argmax and argmin ----
// The better of two candidates (sign 1: the larger): NaN first, then the value, then the smaller position.
#define TSR_NOWHERE 0x7fffffffffffffffl
template <typename S>
TSR void tsr_better(S& best, long& at, S value, long position, int sign) {
  if (position == TSR_NOWHERE) return;
  const int nan = value != value, known = best != best;
  const int better = sign > 0 ? value > best : value < best;
  if (at == TSR_NOWHERE || (nan && !known) || (nan == known && (better || ((value == best || nan) && position < at)))) {
    best = value;
    at = position;
  }
}
// The same for an element that is there, without branches, so that reads ahead are not held up.
template <typename S>
TSR void tsr_take(S& best, long& at, S value, long position, int sign) {
  const int nan = value != value, known = best != best;
  const int better = sign > 0 ? value > best : value < best, equal = (value == best) | nan;
  const int taken = (at == TSR_NOWHERE) | (nan & !known) | ((nan == known) & (better | (equal & (position < at))));
  best = taken ? value : best;
  at = taken ? position : at;
}

// ---- copies ----
// Asks for a run of bytes that will be read soon; both ends are aligned to 16 bytes.
TSR void tsr_prefetch(const void* from, int size) {
#if !defined(TSR_EMULATED) && __CUDA_ARCH__ >= 900
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(from), "r"(size));
#endif
}

// N elements, 16 bytes in all, from `shift` behind p on, where p is aligned: two vectors of which each word is taken from where it lies. `whole`: 2 · N elements are there.
template <int N, typename T, typename C>
TSR void tsr_load_shifted(C (&out)[N], const T* p, int shift, bool whole) {
  static_assert(sizeof(T) * N == 16, "vectors of 16 bytes");
  if (!whole) {
#pragma unroll
    for (int i = 0; i < N; i++) out[i] = tsr_get(p + shift + i);
    return;
  }
  union { uint4 units[2]; unsigned words[8]; } a;
  a.units[0] = ((const uint4*)p)[0];
  a.units[1] = ((const uint4*)p)[1];
  const int bytes = shift * (int)sizeof(T);
#pragma unroll
  for (int i = 0; i < 6; i++) a.words[i] = bytes & 8 ? a.words[i + 2] : a.words[i];
#pragma unroll
  for (int i = 0; i < 5; i++) a.words[i] = bytes & 4 ? a.words[i + 1] : a.words[i];
  union { unsigned words[4]; T v[N]; } r;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const unsigned long both = a.words[i] | (unsigned long)a.words[i + 1] << 32;
    r.words[i] = sizeof(T) >= 4 ? a.words[i] : (unsigned)(both >> (bytes & 3) * 8);
  }
#pragma unroll
  for (int i = 0; i < N; i++) out[i] = tsr_get(&r.v[i]);
}
// ---- reductions: every thread of the group gets the result ----
// Groups of W neighbouring lanes, W a power of two of at most 32.
template <int W, typename T, typename F>
TSR T tsr_warp_reduce(T v, F f) {
#pragma unroll
  for (int d = W / 2; d > 0; d >>= 1) v = f(v, (T)__shfl_xor_sync(0xffffffffu, v, d));
  return v;
}
template <int W, typename S>
TSR void tsr_warp_best(S& v, long& p, int sign) {
#pragma unroll
  for (int d = W / 2; d > 0; d >>= 1) {
    const S ov = __shfl_xor_sync(0xffffffffu, v, d);
    const long op = __shfl_xor_sync(0xffffffffu, p, d);
    tsr_better(v, p, ov, op, sign);
  }
}
// A whole block of T threads. `room` holds 32 elements, and with FREE may be written again at once; without, after another barrier of the block.
template <int T, bool FREE = true, typename V, typename F>
TSR V tsr_block_reduce(V v, V* room, F f) {
  v = tsr_warp_reduce<32>(v, f);
  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
  if (lane == 0) room[warp] = v;
  __syncthreads();
  v = room[lane & (T / 32 - 1)];
  v = tsr_warp_reduce<T / 32>(v, f);
  if (FREE) __syncthreads();
  return v;
}
// N values at a time; `room` holds 32 · N elements.
template <int T, bool FREE = true, int N, typename V, typename F>
TSR void tsr_block_reduce_all(V (&v)[N], V* room, F f) {
  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
#pragma unroll
  for (int i = 0; i < N; i++) v[i] = tsr_warp_reduce<32>(v[i], f);
  if (lane == 0)
    for (int i = 0; i < N; i++) room[i * 32 + warp] = v[i];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < N; i++) v[i] = tsr_warp_reduce<T / 32>(room[i * 32 + (lane & (T / 32 - 1))], f);
  if (FREE) __syncthreads();
}
template <int T, typename S>
TSR void tsr_block_best(S& v, long& p, S* room, long* places, int sign) {
  tsr_warp_best<32>(v, p, sign);
  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
  if (lane == 0) { room[warp] = v; places[warp] = p; }
  __syncthreads();
  v = room[lane & (T / 32 - 1)];
  p = places[lane & (T / 32 - 1)];
  tsr_warp_best<T / 32>(v, p, sign);
  __syncthreads();
}
// Down the columns of a block of X × Y threads, x fastest. `room` holds X · Y elements.
template <int X, int Y, typename V, typename F>
TSR V tsr_column_reduce(V v, V* room, F f) {
  if (Y == 1) return v;
  const int x = threadIdx.x % X, y = threadIdx.x / X;
  room[threadIdx.x] = v;
  __syncthreads();
#pragma unroll
  for (int d = Y / 2; d > 0; d >>= 1) {
    if (y < d) room[threadIdx.x] = f(room[threadIdx.x], room[threadIdx.x + d * X]);
    __syncthreads();
  }
  v = room[x];
  __syncthreads();
  return v;
}
// The same for N values a thread at once, at most Y, in four barriers whatever N is; `room` holds N · X · Y elements.
template <int X, int Y, int N, typename V, typename F>
TSR void tsr_columns_reduce(V (&v)[N], V* room, F f) {
  if (Y == 1) return;
  constexpr int P = Y / N, E = N;
  const int tid = threadIdx.x, o = tid % (N * X), p = tid / (N * X);
#pragma unroll
  for (int i = 0; i < N; i++) room[tid / X * (N * X) + i * X + tid % X] = v[i];
  __syncthreads();
  V w = room[p * E * (N * X) + o];
#pragma unroll
  for (int e = 1; e < E; e++) w = f(w, room[(p * E + e) * (N * X) + o]);
  __syncthreads();
  room[p * (N * X) + o] = w;
  __syncthreads();
#pragma unroll
  for (int i = 0; i < N; i++) {
    w = room[i * X + tid % X];
#pragma unroll
    for (int q = 1; q < P; q++) w = f(w, room[q * (N * X) + i * X + tid % X]);
    v[i] = w;
  }
  __syncthreads();
}
// Over runs of M neighbours of a block's first X threads, where all threads of a column have the same.
template <int X, int M, typename V, typename F>
TSR V tsr_beside_reduce(V v, V* room, F f) {
  const int first = threadIdx.x % X / M * M;
  if (threadIdx.x < X) room[threadIdx.x] = v;
  __syncthreads();
  v = room[first];
  for (int i = 1; i < M; i++) v = f(v, room[first + i]);
  __syncthreads();
  return v;
}
template <int X, int Y, typename S>
TSR void tsr_column_best(S& v, long& p, S* room, long* places, int sign) {
  if (Y == 1) return;
  const int x = threadIdx.x % X, y = threadIdx.x / X;
  room[threadIdx.x] = v;
  places[threadIdx.x] = p;
  __syncthreads();
  for (int d = Y / 2; d > 0; d >>= 1) {
    if (y < d) {
      tsr_better(v, p, room[threadIdx.x + d * X], places[threadIdx.x + d * X], sign);
      room[threadIdx.x] = v;
      places[threadIdx.x] = p;
    }
    __syncthreads();
  }
  v = room[x];
  p = places[x];
  __syncthreads();
}
// What stands before this thread's v in its block of T threads; `total` is the combination of all. `room` holds 32 elements.
template <int T, typename V, typename F>
TSR V tsr_block_scan(V v, V neutral, V& total, V* room, F f) {
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  V own = v;
#pragma unroll
  for (int d = 1; d < 32; d <<= 1) {
    const V o = __shfl_up_sync(0xffffffffu, own, d);
    if (lane >= d) own = f(o, own);
  }
  if (lane == 31) room[warp] = own;
  const V before = __shfl_up_sync(0xffffffffu, own, 1);
  __syncthreads();
  V prefix = neutral;
  total = neutral;
#pragma unroll
  for (int w = 0; w < T / 32; w++) {
    if (w == warp) prefix = total;
    total = f(total, room[w]);
  }
  __syncthreads();
  return lane == 0 ? prefix : f(prefix, before);
}
// The same down the columns of a block of X × Y threads, x fastest; `room` holds X · Y elements.
template <int X, int Y, typename V, typename F>
TSR V tsr_column_scan(V v, V neutral, V& total, V* room, F f) {
  const int x = threadIdx.x % X, y = threadIdx.x / X;
  room[threadIdx.x] = v;
  __syncthreads();
  V prefix = neutral;
  total = neutral;
#pragma unroll
  for (int w = 0; w < Y; w++) {
    if (w == y) prefix = total;
    total = f(total, room[w * X + x]);
  }
  __syncthreads();
  return prefix;
}

// ---- split reductions ----
// How many of `total` positions a piece has, of pieces that take runs of `each` by turns.
template <typename I> TSR I tsr_share(I total, int each, int pieces, int piece) {
  const I runs = (total + each - 1) / each, own = piece < runs ? (runs - 1 - piece) / pieces + 1 : 0;
  return own * each - (runs > 0 && (runs - 1) % pieces == piece ? runs * each - total : 0);
}
// True in all threads of the block that is the last of `blocks` to come here; what the others wrote before is visible to it.
TSR bool tsr_is_last(unsigned* counter, unsigned blocks, int* room) {
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    const unsigned n = atomicAdd(counter, 1u);
    *room = n == blocks - 1;
    if (n == blocks - 1) *counter = 0;
  }
  __syncthreads();
  const bool last = *room != 0;
  __threadfence();
  return last;
}

// ---- combinations with memory ----
template <int B> struct tsr_word;
template <> struct tsr_word<4> { typedef unsigned type; };
template <> struct tsr_word<8> { typedef unsigned long long type; };
// Replaces *p by f(*p) as one step.
template <typename T, typename F>
TSR void tsr_atomic(T* p, F f) {
  if (sizeof(T) >= 4) {
    typedef typename tsr_word<(sizeof(T) < 4 ? 4 : sizeof(T))>::type word;
    word* const at = (word*)p;
    word old = *(volatile word*)at, seen;
    do {
      seen = old;
      T element;
      *(word*)&element = seen;
      T next;
      tsr_put(&next, f(tsr_get(&element)));
      old = atomicCAS(at, seen, *(word*)&next);
    } while (old != seen);
    return;
  }
  unsigned* const at = (unsigned*)((unsigned long)p & ~3ul);
  const int shift = (int)((unsigned long)p & 3) * 8;
  const unsigned mask = (sizeof(T) == 1 ? 0xffu : 0xffffu) << shift;
  unsigned old = *(volatile unsigned*)at, seen;
  do {
    seen = old;
    union { T element; unsigned short bits; } u;
    u.bits = (unsigned short)((seen & mask) >> shift);
    tsr_put(&u.element, f(tsr_get(&u.element)));
    const unsigned next = (seen & ~mask) | (((unsigned)u.bits << shift) & mask);
    old = atomicCAS(at, seen, next);
  } while (old != seen);
}
TSR void tsr_atomic_add(float* p, float v) { atomicAdd(p, v); }
TSR void tsr_atomic_add(double* p, double v) { atomicAdd(p, v); }
TSR void tsr_atomic_add(int* p, int v) { atomicAdd(p, v); }
TSR void tsr_atomic_add(unsigned* p, unsigned v) { atomicAdd(p, v); }
TSR void tsr_atomic_add(long* p, long v) { atomicAdd((unsigned long long*)p, (unsigned long long)v); }
// Adds up what goes to one place; what was held for another place is written.
TSR void tsr_hold(float*& at, float& held, float* p, float v) {
  if (at == p) { held += v; return; }
  if (at != nullptr) atomicAdd(at, held);
  at = p;
  held = v;
}
template <typename T, typename C>
TSR void tsr_atomic_add(T* p, C v) { tsr_atomic(p, [=](C x) { return x + v; }); }
