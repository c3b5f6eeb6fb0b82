// The blocked contraction: packing, register tiles, sharing among workers. The operands' packing and the epilogue are generated.
//
// k is `steps * inner` long: blocks of k are whole steps, so that generated loops over the inner axes need no bounds. Packed panels are
// [k][MR] and [k][NV * lanes]; a tile of MR x NV registers accumulates over a block of k. Sums over several blocks wait in memory; a long
// k with few tiles is cut into pieces that run at once and are added up in order, so results do not depend on the number of workers.
// An operand that several blocks read is packed once for all of them, by all workers, unless it is large. One that is kept (a weight) is packed at the
// first call and read by later ones from where it was put; whoever writes it says so by its state.
// After Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008), and BLIS.

template <typename T> struct tsr_reg;
template <> struct tsr_reg<float> { typedef vf32 type; };
template <> struct tsr_reg<double> { typedef vd type; };

typedef void (*tsr_pack)(void** A, long batch, long first, long count, long step0, long step1, void* out);
typedef void (*tsr_finish)(void** A, long batch, long i, long rows, long j, long columns, const void* tile);
// Writes rows [y0, y1) of a channel of an image, its padding included, from out on: zeros where there is nothing.
typedef void (*tsr_rows)(void** A, long batch, long sample, long channel, long y0, long y1, float* out, long stride);

// Packed memory that outlives the call. The state is 0 if it must be packed, 1 if it is, 2 if it must be and nobody else needs the pages of the source.
// Behind the state stand the steps of a block that it was packed in, which sizes that change from call to call may change.
struct tsr_kept {
  long* state;
  char* memory;
};

struct tsr_contraction {
  long batches, m, n, steps, inner;
  tsr_pack pack_a, pack_b;
  tsr_finish finish;
  tsr_kept kept_a, kept_b;
};

#ifdef __linux__
extern "C" int madvise(void*, unsigned long, int) noexcept;
#endif
// A page, or what pages are at most where they differ between machines.
#ifdef __x86_64__
#define TSR_PAGE 4096ul
#else
#define TSR_PAGE 65536ul
#endif
// Gives back the whole pages of a mapped file that nobody wrote: they are read again if they are touched again.
static __attribute__((unused)) void tsr_give_back(void* memory, long bytes) {
#ifdef __linux__
  const unsigned long page = TSR_PAGE, begin = ((unsigned long)memory + page - 1) & ~(page - 1);
  const unsigned long end = ((unsigned long)memory + (unsigned long)bytes) & ~(page - 1);
  if (begin < end) madvise((void*)begin, end - begin, 4);
#endif
}

TSR long tsr_ceil(long a, long b) { return (a + b - 1) / b; }

// tile (+)= a · b over k; the tile is [MR][NV] registers in memory.
template <typename T, int MR, int NV>
static __attribute__((noinline)) void tsr_tile(long k, const T* __restrict a, const T* __restrict b, T* __restrict c, int first) {
  typedef typename tsr_reg<T>::type R;
  const int L = sizeof(R) / sizeof(T);
  R acc[MR][NV];
#pragma GCC unroll 16
  for (int i = 0; i < MR; i++)
#pragma GCC unroll 4
    for (int v = 0; v < NV; v++) acc[i][v] = first ? (R){} : vload(c + (i * NV + v) * L);
  for (; k > 0; k--) {
    R bv[NV];
#pragma GCC unroll 4
    for (int v = 0; v < NV; v++) bv[v] = vload(b + v * L);
#pragma GCC unroll 16
    for (int i = 0; i < MR; i++) {
      const R av = (R){} + a[i];
#pragma GCC unroll 4
      for (int v = 0; v < NV; v++) acc[i][v] = vfma(av, bv[v], acc[i][v]);
    }
    a += MR;
    b += NV * L;
  }
#pragma GCC unroll 16
  for (int i = 0; i < MR; i++)
#pragma GCC unroll 4
    for (int v = 0; v < NV; v++) vstore(c + (i * NV + v) * L, acc[i][v]);
}

template <typename T, int MR, int NV>
struct tsr_gemm {
  static constexpr long NR = NV * (long)(sizeof(typename tsr_reg<T>::type) / sizeof(T));
  static constexpr long TILE = MR * NR;
  const tessera_runtime* runtime;
  void** A;
  const tsr_contraction* d;
  // Rows, columns and steps of a block; how many of each; pieces of k.
  long mb, nb, kb, mblocks, nblocks, splits;
  // Sums of pieces, in the calling thread's scratch, in front of its own working memory.
  T* shared;
  long shared_bytes, private_bytes;
  // Where in the shared memory the operands lie that are packed ahead of all tasks, in bytes; -1 if each task packs for itself.
  long ahead_a, ahead_b;
  // Where they are packed ahead, in shared or in kept memory; null if each task packs for itself.
  char *at_a, *at_b;

  // Operands larger than this are not packed ahead.
  static constexpr long MOST_AHEAD = 32l << 20;

  // Room for an operand of all batches; -1 if it is not worth packing ahead.
  long ahead(long panels, long width, long readers) {
    const long bytes = d->batches * panels * width * d->steps * d->inner * (long)sizeof(T);
    if (readers < 2 || bytes > MOST_AHEAD) return -1;
    const long at = shared_bytes;
    shared_bytes += (bytes + 63) & ~63l;
    return at;
  }

  void plan() {
    const long k = tsr_max(1, d->steps * d->inner);
    // A panel of columns and one of rows fill a first-level cache of 48 KiB; one block if k is nearly that.
    const long fit = 40960 / (long)sizeof(T) / (NR + MR);
    kb = tsr_max(1, d->steps);
    if (2 * k > 3 * fit) kb = tsr_max(1, tsr_ceil(d->steps, tsr_ceil(k, fit)));
    const long kc = tsr_max(1, kb * d->inner);
    const long mpanels = tsr_ceil(d->m, MR), npanels = tsr_ceil(d->n, NR);
    // Half of a second-level cache of a megabyte for the rows, a quarter for the columns, at least a few panels.
    const long mfit = tsr_max(4, 393216 / (long)sizeof(T) / (kc * MR)), nfit = tsr_max(2, 393216 / (long)sizeof(T) / (kc * NR));
    mblocks = tsr_ceil(mpanels, mfit);
    nblocks = tsr_ceil(npanels, nfit);
    // Pieces of k if it is long and there are few tiles; else enough tiles for workers to even out. Either way not too small.
    const double work = 2.0 * d->m * d->n * k;
    splits = 1;
    if (k > 4 * (d->m + d->n) && d->batches * mblocks * nblocks < 4 && work > 1e6) {
      splits = tsr_min(tsr_min(8 / (d->batches * mblocks * nblocks), d->steps), k / 256);
      if (splits < 2) splits = 1;
    }
    const long wanted = work * d->batches < 4e6 || splits > 1 ? 1 : 4l * runtime->num_threads;
    while (d->batches * mblocks * nblocks < wanted) {
      if (npanels > 2 * nblocks && npanels / nblocks * NR >= mpanels / mblocks * MR) nblocks *= 2;
      else if (mpanels > 2 * mblocks) mblocks *= 2;
      else if (npanels > nblocks * 2) nblocks *= 2;
      else break;
    }
    mb = tsr_ceil(mpanels, mblocks) * MR;
    nb = tsr_ceil(npanels, nblocks) * NR;
    mblocks = tsr_ceil(d->m, mb);
    nblocks = tsr_ceil(d->n, nb);
    if (splits > 1) kb = tsr_min(kb, tsr_ceil(d->steps, splits));
    const long kp = kb * d->inner;
    const bool waits = splits > 1 || kb < d->steps;
    shared_bytes = splits > 1 ? splits * d->batches * mpanels * npanels * TILE * (long)sizeof(T) : 0;
    shared_bytes = (shared_bytes + 63) & ~63l;
    const bool large = splits == 1 && work * d->batches >= 4e6;
    at_a = d->kept_a.memory;
    at_b = d->kept_b.memory;
    ahead_a = large && !at_a ? ahead(mpanels, MR, nblocks) : -1;
    ahead_b = large && !at_b ? ahead(npanels, NR, mblocks) : -1;
    // A vector's slack behind each buffer: packing may write whole registers.
    private_bytes = ((mb * kp + 2 * VW + nb * kp + 2 * VW + (waits && splits == 1 ? mb * nb : 0)) * (long)sizeof(T) + 255) & ~63l;
  }

  void run() {
    plan();
    char* memory = (char*)runtime->scratch(0, shared_bytes + private_bytes);
    if (!memory) return tsr_no_memory(shared_bytes + private_bytes);
    shared = (T*)memory;
    const bool keeps_a = at_a, keeps_b = at_b;
    if (ahead_a >= 0) at_a = memory + ahead_a;
    if (ahead_b >= 0) at_b = memory + ahead_b;
    const bool packs_a = at_a && !(keeps_a && is_packed(d->kept_a)), packs_b = at_b && !(keeps_b && is_packed(d->kept_b));
    const long tasks = d->batches * mblocks * nblocks * splits;
    const double work = 2.0 * d->m * d->n * (double)(d->steps * d->inner) * d->batches;
    // Below some tens of microseconds a dispatch costs more than it gives.
    const long blocks = d->batches * tsr_ceil(d->steps, kb);
    if (work < 4e6) {
      if (packs_a) pack_ahead_a(this, 0, blocks * mblocks, 0);
      if (packs_b) pack_ahead_b(this, 0, blocks * nblocks, 0);
      task(this, 0, tasks, 0);
    } else {
      if (packs_a) runtime->parallel_for(pack_ahead_a, this, blocks * mblocks, 1);
      if (packs_b) runtime->parallel_for(pack_ahead_b, this, blocks * nblocks, 1);
      runtime->parallel_for(task, this, tasks, 1);
    }
    if (keeps_a) d->kept_a.state[0] = 1, d->kept_a.state[1] = kb;
    if (keeps_b) d->kept_b.state[0] = 1, d->kept_b.state[1] = kb;
    if (splits > 1) {
      const long tiles = d->batches * tsr_ceil(d->m, MR) * tsr_ceil(d->n, NR);
      runtime->parallel_for(combine, this, tiles, tsr_max(1, 65536 / (TILE * splits)));
    }
  }

  bool is_packed(const tsr_kept& kept) const { return kept.state[0] == 1 && kept.state[1] == kb; }

  // The panels of one operand that begin at row `first` of block `s` of k, in the memory that was packed ahead.
  T* packed(char* at, long batch, long rows, long width, long first, long s, long k) const {
    const long padded = tsr_ceil(rows, width) * width, whole_k = d->steps * d->inner;
    return (T*)at + (batch * whole_k + s * d->inner) * padded + first * k;
  }

  static void pack_ahead_a(void* self, long begin, long end, int) {
    const tsr_gemm& g = *(const tsr_gemm*)self;
    g.pack_ahead(g.at_a, g.d->pack_a, g.d->m, MR, g.mb, g.mblocks, begin, end);
  }

  static void pack_ahead_b(void* self, long begin, long end, int) {
    const tsr_gemm& g = *(const tsr_gemm*)self;
    g.pack_ahead(g.at_b, g.d->pack_b, g.d->n, NR, g.nb, g.nblocks, begin, end);
  }

  void pack_ahead(char* at, tsr_pack pack, long rows, long width, long size, long count, long begin, long end) const {
    const long kblocks = tsr_ceil(d->steps, kb);
    for (long id = begin; id < end; id++) {
      const long batch = id / count / kblocks, s = id / count % kblocks * kb, first = id % count * size;
      const long e = tsr_min(s + kb, d->steps);
      T* const out = packed(at, batch, rows, width, first, s, (e - s) * d->inner);
      pack(A, batch, first, tsr_min(size, rows - first), s, e, out);
    }
  }

  static void task(void* self, long begin, long end, int worker) {
    const tsr_gemm& g = *(const tsr_gemm*)self;
    const tsr_contraction& d = *g.d;
    char* memory = worker == 0 ? (char*)g.shared + g.shared_bytes : (char*)g.runtime->scratch(worker, g.private_bytes);
    if (!memory) return tsr_no_memory(g.private_bytes);
    const long kp = g.kb * d.inner;
    T* const pa = (T*)memory;
    T* const pb = (T*)(((unsigned long)(pa + g.mb * kp + VW) + 63) & ~63ul);
    T* const pc = (T*)(((unsigned long)(pb + g.nb * kp + VW) + 63) & ~63ul);
    long a_is = -1, b_is = -1;
    // Neighbouring tasks share the operand that is larger to pack.
    const bool rows_inside = g.mblocks * d.n > g.nblocks * d.m;
    for (long id = begin; id < end; id++) {
      long rest = id;
      const long split = rest % g.splits;
      rest /= g.splits;
      long mi, ni;
      if (rows_inside) { mi = rest % g.mblocks; rest /= g.mblocks; ni = rest % g.nblocks; rest /= g.nblocks; }
      else { ni = rest % g.nblocks; rest /= g.nblocks; mi = rest % g.mblocks; rest /= g.mblocks; }
      const long batch = rest;
      const long i0 = mi * g.mb, rows = tsr_min(g.mb, d.m - i0);
      const long j0 = ni * g.nb, columns = tsr_min(g.nb, d.n - j0);
      // Pieces are whole blocks, as what is kept was packed in.
      const long kblocks = tsr_ceil(d.steps, g.kb);
      const long s0 = kblocks * split / g.splits * g.kb, s1 = tsr_min(d.steps, kblocks * (split + 1) / g.splits * g.kb);
      for (long s = s0; s < s1; s += g.kb) {
        const long e = tsr_min(s + g.kb, s1), k = (e - s) * d.inner;
        const long a_key = (batch * g.mblocks + mi) * d.steps + s, b_key = (batch * g.nblocks + ni) * d.steps + s;
        const T *a = pa, *b = pb;
        if (g.at_a) a = g.packed(g.at_a, batch, d.m, MR, i0, s, k);
        else if (a_key != a_is) d.pack_a(g.A, batch, i0, rows, s, e, pa);
        if (g.at_b) b = g.packed(g.at_b, batch, d.n, NR, j0, s, k);
        else if (b_key != b_is) d.pack_b(g.A, batch, j0, columns, s, e, pb);
        a_is = a_key;
        b_is = b_key;
        const bool first = s == s0, last = e == s1;
        for (long j = 0; j < columns; j += NR) {
          for (long i = 0; i < rows; i += MR) {
            T small[TILE] __attribute__((aligned(64)));
            T* c = small;
            if (g.splits > 1) {
              const long mp = tsr_ceil(d.m, MR), np = tsr_ceil(d.n, NR);
              c = g.shared + (((split * d.batches + batch) * mp + (i0 + i) / MR) * np + (j0 + j) / NR) * TILE;
            } else if (!(first && last)) c = pc + (j / NR * (g.mb / MR) + i / MR) * TILE;
            tsr_tile<T, MR, NV>(k, a + i * k, b + j * k, c, first);
            if (last && g.splits == 1) {
              d.finish(g.A, batch, i0 + i, tsr_min(MR, rows - i), j0 + j, tsr_min(NR, columns - j), c);
            }
          }
        }
      }
      if (s1 <= s0) {
        // An empty k: the sums are zero.
        T small[TILE] __attribute__((aligned(64))) = {};
        for (long j = 0; j < columns; j += NR)
          for (long i = 0; i < rows; i += MR)
            d.finish(g.A, batch, i0 + i, tsr_min(MR, rows - i), j0 + j, tsr_min(NR, columns - j), small);
      }
    }
  }

  static void combine(void* self, long begin, long end, int worker) {
    const tsr_gemm& g = *(const tsr_gemm*)self;
    const tsr_contraction& d = *g.d;
    const long mp = tsr_ceil(d.m, MR), np = tsr_ceil(d.n, NR), all = d.batches * mp * np;
    for (long id = begin; id < end; id++) {
      T sum[TILE] __attribute__((aligned(64)));
      const long lanes = sizeof(typename tsr_reg<T>::type) / sizeof(T);
      for (long x = 0; x < TILE; x += lanes) {
        typename tsr_reg<T>::type total = vload(g.shared + id * TILE + x);
        for (long s = 1; s < g.splits; s++) total += vload(g.shared + (s * all + id) * TILE + x);
        vstore(sum + x, total);
      }
      const long j = id % np * NR, i = id / np % mp * MR;
      d.finish(g.A, id / np / mp, i, tsr_min(MR, d.m - i), j, tsr_min(NR, d.n - j), sum);
    }
  }
};

template <typename T, int MR, int NV>
static void tsr_contract(const tessera_runtime* runtime, void** A, const tsr_contraction& d) {
  if (d.batches <= 0 || d.m <= 0 || d.n <= 0) return;
  tsr_gemm<T, MR, NV> g;
  g.runtime = runtime;
  g.A = A;
  g.d = &d;
  g.run();
}

// Writes `count` vectors of `lanes` rows, transposed: out[c * stride + r] = rows[r][c].
static __attribute__((noinline, unused)) void tsr_transpose_put(const vf32* rows, float* out, long stride, long count, long lanes) {
#if TESSERA_SHUFFLE && VW == 16
#define TSR_LOW(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define TSR_HIGH(a, b) __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#elif TESSERA_SHUFFLE && VW == 8
#define TSR_LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define TSR_HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#elif TESSERA_SHUFFLE
#define TSR_LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define TSR_HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#endif
#ifdef TSR_LOW
  vf32 r[VW];
#pragma GCC unroll 16
  for (int i = 0; i < VW; i++) r[i] = rows[i];
#pragma GCC unroll 4
  for (int stage = 1; stage < VW; stage *= 2) {
    vf32 t[VW];
#pragma GCC unroll 8
    for (int i = 0; i < VW / 2; i++) {
      t[2 * i] = TSR_LOW(r[i], r[i + VW / 2]);
      t[2 * i + 1] = TSR_HIGH(r[i], r[i + VW / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < VW; i++) r[i] = t[i];
  }
  if (count == VW && lanes == VW) {
#pragma GCC unroll 16
    for (int c = 0; c < VW; c++) vstore(out + c * stride, r[c]);
  } else {
#pragma GCC unroll 16
    for (int c = 0; c < VW; c++) if (c < count) vstore_n(out + c * stride, r[c], lanes);
  }
#else
  for (long c = 0; c < count; c++) for (long i = 0; i < lanes; i++) out[c * stride + i] = rows[i][c];
#endif
}
static __attribute__((noinline, unused)) void tsr_transpose_put(const vd2* rows, double* out, long stride, long count, long lanes) {
  const double* all = (const double*)rows;
  for (long c = 0; c < count; c++) for (long i = 0; i < lanes; i++) out[c * stride + i] = all[i * VW + c];
}
template <typename T>
TSR void tsr_clear(T* out, long count) { __builtin_memset(out, 0, (unsigned long)count * sizeof(T)); }
