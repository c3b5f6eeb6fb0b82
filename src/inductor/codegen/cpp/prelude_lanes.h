// What vectors become for generated kernels, after prelude_math.h: sums and extrema over lanes, reductions of columns, errors, dispatch.

// ---- combining lanes ----
TSR float tsr_sum(vf32 x) { return vsum(x); }
TSR int tsr_sum(vi32 x) { return vsum(x); }
TSR unsigned tsr_sum(vu32 x) { return (unsigned)vsum((vi32)x); }
TSR double tsr_sum(vd2 x) { return vsum(x.a + x.b); }
TSR long tsr_sum(vl2 x) { return vsum(x.a + x.b); }
#define TSR_FOLD(name, combine)                                                                            \
  template <typename S, typename T>                                                                        \
  TSR S name##_of(T x) {                                                                                   \
    S t[VW];                                                                                               \
    tsr_store(t, x);                                                                                       \
    for (int half = VW / 2; half > 0; half /= 2) for (int i = 0; i < half; i++) t[i] = combine(t[i], t[i + half]); \
    return t[0];                                                                                           \
  }                                                                                                        \
  TSR float name(vf32 x) { return name##_of<float>(x); }                                                   \
  TSR int name(vi32 x) { return name##_of<int>(x); }                                                       \
  TSR unsigned name(vu32 x) { return name##_of<unsigned>(x); }                                             \
  TSR double name(vd2 x) { return name##_of<double>(x); }                                                  \
  TSR long name(vl2 x) { return name##_of<long>(x); }
template <typename T>
TSR T tsr_times(T a, T b) { return a * b; }
TSR_FOLD(tsr_prod, tsr_times)
TSR_FOLD(tsr_hmax, tsr_maximum)
TSR_FOLD(tsr_hmin, tsr_minimum)
TSR float tsr_hlogaddexp(vf32 x) { float r = x[0]; for (int i = 1; i < VW; i++) r = tsr_logaddexp(r, (float)x[i]); return r; }
TSR double tsr_hlogaddexp(vd2 x) { double t[VW], r; tsr_store(t, x); r = t[0]; for (int i = 1; i < VW; i++) r = tsr_logaddexp(r, t[i]); return r; }
TSR int tsr_any(vi32 m) { return vany(m); }

// Running results of the lanes after those of earlier blocks, of which the last lane counts: each step combines with what is 1, 2, 4, … lanes before.
#if TESSERA_CLANG
template <typename T>
TSR T tsr_lanes(T x, vi32 from) { T r; for (int i = 0; i < VW; i++) r[i] = x[from[i] & (VW - 1)]; return r; }
#else
template <typename T>
TSR T tsr_lanes(T x, vi32 from) { return __builtin_shuffle(x, from); }
#endif
#define TSR_SCAN(name, combine)                                                                            \
  TSR vf32 name##_step(vf32 x, int by) { return tsr_where(viota() >= by, combine(tsr_lanes(x, viota() - by), x), x); } \
  TSR vf32 name(vf32 x, vf32 before) {                                                                     \
    x = name##_step(name##_step(x, 1), 2);                                                                 \
    if (VW > 4) x = name##_step(x, 4);                                                                     \
    if (VW > 8) x = name##_step(x, 8);                                                                     \
    return combine(tsr_lanes(before, vset(VW - 1)), x);                                                    \
  }
TSR vf32 tsr_plus(vf32 a, vf32 b) { return a + b; }
TSR_SCAN(tsr_scan_sum, tsr_plus)
TSR_SCAN(tsr_scan_prod, tsr_times)
// Extrema as integers, which have one order and short instructions: what is below zero is turned around, and a NaN is beyond all numbers. Lanes that have
// nothing before them combine with the first.
#define TSR_SCAN_EXTREMUM(name, combine, nan)                                                              \
  TSR vi32 name##_step(vi32 x, int by) { return combine(tsr_lanes(x, (viota() - by) & (viota() >= by)), x); } \
  TSR vi32 name(vi32 x, vi32 before) {                                                                     \
    x = name##_step(name##_step(x, 1), 2);                                                                 \
    if (VW > 4) x = name##_step(x, 4);                                                                     \
    if (VW > 8) x = name##_step(x, 8);                                                                     \
    return combine(tsr_lanes(before, vset(VW - 1)), x);                                                    \
  }                                                                                                        \
  TSR vf32 name(vf32 x, vf32 before) {                                                                     \
    return vfloat(tsr_ordered(name(tsr_ordered(vselect(x != x, vset(nan), vbits(x))), tsr_ordered(vbits(before))))); \
  }
TSR vi32 tsr_ordered(vi32 bits) { return bits ^ ((bits >> 31) & 0x7fffffff); }
TSR_SCAN_EXTREMUM(tsr_scan_max, vmax, 0x7fc00000)
TSR_SCAN_EXTREMUM(tsr_scan_min, vmin, (int)0xffc00000)
TSR_SCAN(tsr_scan_logaddexp_far, tsr_logaddexp)
// Sums of exponentials so far: `sum` e^most in the last lane. While numbers stay below `limit`, which is little more than `most`, a block waits for nothing
// but the sum of the one before. What goes beyond it, or is no number, goes step by step and sets a new `most`. Infinite sums and NaN have the limit
// -infinity: only what adds nothing is below it.
struct tsr_lse { vf32 most, limit, sum; };
TSR tsr_lse tsr_lse_start() { return {vset(-0x1.fffffep127f), vset(-0x1.fffffep127f), vset(0.0f)}; }
static __attribute__((noinline, cold, unused)) vf32 tsr_lse_beyond(vf32 x, tsr_lse& so) {
  const vf32 r = tsr_scan_logaddexp_far(x, so.most + vlog(so.sum));
  const vf32 most = tsr_lanes(r, vset(VW - 1));
  const vi32 finite = vabs(most) < __builtin_inff();
  // A block of nothing but -infinity leaves things as they were.
  if (vall(most == -__builtin_inff())) return r;
  so = {most, vselect(finite, most + 8.0f, vset(-__builtin_inff())), vset(1.0f)};
  return r;
}
TSR vf32 tsr_scan_logaddexp(vf32 x, tsr_lse& so) {
  if (__builtin_expect(vany(~(x <= so.limit)), 0)) return tsr_lse_beyond(x, so);
  so.sum = tsr_scan_sum(vexp_below(x - so.most), so.sum);
  return so.most + vlog(so.sum);
}
static __attribute__((noinline, cold, unused)) void tsr_lse_one_by_one(vf32* x, long n, tsr_lse& so) {
  for (long u = 0; u < n; u++) x[u] = tsr_scan_logaddexp(x[u], so);
}
// Several registers in three phases, since each is a long chain.
template <int N>
TSR void tsr_scan_logaddexp(const vf32 (&x)[N], vf32 (&r)[N], tsr_lse& so) {
#if TESSERA_AVX512 && !TESSERA_CLANG
  unsigned short within = (unsigned short)-1;
#pragma GCC unroll 8
  for (int u = 0; u < N; u++) within = __builtin_ia32_cmpps512_mask(x[u], so.limit, 2, within, 4);
  const int all = within == (unsigned short)-1;
#else
  vi32 within = x[0] <= so.limit;
#pragma GCC unroll 8
  for (int u = 1; u < N; u++) within &= x[u] <= so.limit;
  const int all = vall(within);
#endif
  if (__builtin_expect(!all, 0)) {
    // Copies: what a function is given the address of is in no register.
    vf32 t[N];
    tsr_lse own = so;
#pragma GCC unroll 8
    for (int u = 0; u < N; u++) t[u] = x[u];
    tsr_lse_one_by_one(t, N, own);
#pragma GCC unroll 8
    for (int u = 0; u < N; u++) r[u] = t[u];
    so = own;
    return;
  }
#pragma GCC unroll 8
  for (int u = 0; u < N; u++) r[u] = vexp_below(x[u] - so.most);
#pragma GCC unroll 8
  for (int u = 0; u < N; u++) so.sum = r[u] = tsr_scan_sum(r[u], so.sum);
#pragma GCC unroll 8
  for (int u = 0; u < N; u++) r[u] = so.most + vlog(r[u]);
}

// ---- two reductions of columns in one walk ----
// `x(row, u)` is a register of the columns; results are arrays of `registers` registers.

#if TESSERA_AVX512 && !TESSERA_CLANG
// The second where one is NaN.
TSR vf32 tsr_larger(vf32 a, vf32 b) { return __builtin_ia32_maxps512_mask(a, b, a, (unsigned short)-1, 4); }
TSR int tsr_any_larger(vf32 a, vf32 b) { return __builtin_ia32_cmpps512_mask(a, b, 30, (unsigned short)-1, 4) != 0; }
#else
TSR vf32 tsr_larger(vf32 a, vf32 b) { return a > b ? a : b; }
TSR int tsr_any_larger(vf32 a, vf32 b) { return vany(a > b); }
#endif
template <int zero>
TSR vf32 tsr_soft_shift(vf32 large) { return zero ? vselect(vabs(large) == __builtin_inff(), vset(0.0f), large) : large; }
// R rows from `row` on: the largest numbers, and the sums of e^(x - from), which grows when what exceeds it by 8 comes along.
template <int R, typename X>
TSR void tsr_soft_rows(long row, long registers, X& x, float* most, float* sum, float* from) {
  for (long u = 0; u < registers; u++) {
    vf32 v[R];
#pragma GCC unroll 4
    for (int i = 0; i < R; i++) v[i] = x(row + i, u);
    vf32 large = v[0];
#pragma GCC unroll 4
    for (int i = 1; i < R; i++) large = tsr_larger(large, v[i]);
    large = tsr_larger(large, vload(most + u * VW));
    vstore(most + u * VW, large);
    vf32 so = vload(from + u * VW), total = vload(sum + u * VW);
    if (__builtin_expect(tsr_any_larger(large, so + 8.0f), 0)) {
      total = total * vexp_below(so - large);
      so = large;
      vstore(from + u * VW, so);
    }
    vf32 own = vexp_term(v[0] - so);
#pragma GCC unroll 4
    for (int i = 1; i < R; i++) own = own + vexp_term(v[i] - so);
    vstore(sum + u * VW, total + own);
  }
}
// What is infinite or no number, as it is defined: infinite extrema count as 0 where `zero` is set.
template <int zero, typename X>
static __attribute__((noinline, cold)) void tsr_soft_anew(long rows, long u, X& x, float* most, float* sum) {
  vf32 large = vset(-__builtin_inff()), total = {};
  for (long r = 0; r < rows; r++) large = vmax(large, x(r, u));
  const vf32 so = tsr_soft_shift<zero>(large);
  for (long r = 0; r < rows; r++) total = total + vexp(x(r, u) - so);
  vstore(most + u * VW, large);
  vstore(sum + u * VW, total);
}
template <int zero, typename X>
TSR void tsr_soft_columns(long rows, long registers, X x, float* most, float* sum) {
  float from[512];
  for (long u = 0; u < registers; u++) {
    vstore(most + u * VW, vset(-0x1.fffffep127f));
    vstore(from + u * VW, vset(-0x1.fffffep127f));
    vstore(sum + u * VW, vset(0.0f));
  }
  long r = 0;
  for (; r + 4 <= rows; r += 4) tsr_soft_rows<4>(r, registers, x, most, sum, from);
  for (; r < rows; r++) tsr_soft_rows<1>(r, registers, x, most, sum, from);
  for (long u = 0; u < registers; u++) {
    const vf32 total = vload(sum + u * VW);
    if (__builtin_expect(vall((total > 0.0f) & (total < __builtin_inff())), 1)) {
      vstore(sum + u * VW, total * vexp(vload(from + u * VW) - vload(most + u * VW)));
    } else tsr_soft_anew<zero>(rows, u, x, most, sum);
  }
}
// The same along a row of `count` numbers; `x(at)` is the register that begins at one.
template <int zero, typename X>
static __attribute__((noinline, cold)) void tsr_soft_row_anew(long count, X& x, float& most, float& sum) {
  vf32 large = vset(-__builtin_inff()), total = {};
  for (long at = 0; at < count; at += VW) large = vmax(large, x(at));
  most = tsr_hmax(large);
  const vf32 so = tsr_soft_shift<zero>(vset(most));
  for (long at = 0; at < count; at += VW) total = total + vexp(x(at) - so);
  sum = tsr_sum(total);
}
struct tsr_soft { vf32 most, from, sum; };
template <int R, typename X>
TSR void tsr_soft_step(long at, X& x, tsr_soft& so) {
  vf32 v[R];
#pragma GCC unroll 4
  for (int i = 0; i < R; i++) v[i] = x(at + i * VW);
#pragma GCC unroll 4
  for (int i = 0; i < R; i++) so.most = tsr_larger(v[i], so.most);
  if (__builtin_expect(tsr_any_larger(so.most, so.from + 8.0f), 0)) {
    so.sum = so.sum * vexp_below(so.from - so.most);
    so.from = so.most;
  }
  vf32 own = vexp_term(v[0] - so.from);
#pragma GCC unroll 4
  for (int i = 1; i < R; i++) own = own + vexp_term(v[i] - so.from);
  so.sum = so.sum + own;
}
template <int zero, typename X>
TSR void tsr_soft_row(long count, X x, float& most, float& sum) {
  const vf32 least = vset(-0x1.fffffep127f);
  tsr_soft so = {least, least, {}};
  long at = 0;
  for (; at + 4 * VW <= count; at += 4 * VW) tsr_soft_step<4>(at, x, so);
  for (; at < count; at += VW) tsr_soft_step<1>(at, x, so);
  most = tsr_hmax(so.most);
  sum = tsr_sum(so.sum * vexp(so.from - most));
  if (__builtin_expect(!(sum > 0 && sum < __builtin_inff()), 0)) tsr_soft_row_anew<zero>(count, x, most, sum);
}

// The better of two candidates of an argmax (sign 1) or argmin (sign -1): NaN first, then the value, then the smaller position.
#define TSR_NOWHERE 0x7fffffffffffffffl
#define TSR_NOWHERE_NEAR 0x7fffffff
TSR vi32 tsr_nowhere(vl2 p) { return p == TSR_NOWHERE; }
TSR vi32 tsr_nowhere(vi32 p) { return p == TSR_NOWHERE_NEAR; }
TSR vl2 tsr_somewhere(vl2 p) { return tsr_where(tsr_nowhere(p), tsr_set(0l), p); }
TSR vi32 tsr_somewhere(vi32 p) { return tsr_where(tsr_nowhere(p), vset(0), p); }
TSR vl2 tsr_positions(vl2 p) { return p; }
TSR vl2 tsr_positions(vi32 p) { return tsr_where(tsr_nowhere(p), tsr_set(TSR_NOWHERE), tsr_i64(p)); }
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
template <typename S, typename T>
TSR void tsr_better_lanes(S& best, long& at, T values, vl2 positions, int sign) {
  S v[VW];
  long p[VW];
  tsr_store(v, values);
  tsr_store(p, positions);
  for (int i = 0; i < VW; i++) tsr_better(best, at, v[i], p[i], sign);
}

template <typename T, typename P>
TSR void tsr_better_vector(T& best, P& at, T value, P position, int sign) {
  const vi32 nan = value != value, known = best != best;
  const vi32 better = sign > 0 ? (vi32)(value > best) : (vi32)(value < best);
  const vi32 earlier = ((vi32)(value == best) | nan) & (vi32)(position < at);
  const vi32 take = (tsr_nowhere(at) | (nan & ~known) | (~(nan ^ known) & (better | earlier))) & ~tsr_nowhere(position);
  best = tsr_where(take, value, best);
  at = tsr_where(take, position, at);
}

// ---- errors: a number, what it should fit, and what is wrong: 1 for an index and its dimension, 2 for memory ----
static long* tsr_error;
static __attribute__((noinline, cold, unused)) void tsr_bad_index(long value, long size) {
  if (tsr_error[2] == 0) {
    tsr_error[0] = value;
    tsr_error[1] = size;
    tsr_error[2] = 1;
  }
}
static __attribute__((noinline, cold, unused)) void tsr_no_memory(long bytes) {
  tsr_error[0] = bytes;
  tsr_error[2] = 2;
}
// `at` is where an index points that was `value`: the same, or as far from the end.
TSR long tsr_bind_at(long at, long value, long size) {
  if (__builtin_expect((unsigned long)at < (unsigned long)size, 1)) return at;
  tsr_bad_index(value, size);
  return 0;
}
TSR long tsr_bind(long value, long size) { return tsr_bind_at(value, value, size); }
TSR long tsr_bind_from_end(long value, long size) { return tsr_bind_at(value < 0 ? value + size : value, value, size); }
// A condition that is stated as an index. Written in line: around a call registers would go to memory and back, whether it is made or not.
TSR void tsr_require(int holds, long value, long size) {
  if (__builtin_expect(!holds, 0) && tsr_error[2] == 0) {
    tsr_error[0] = value;
    tsr_error[1] = size;
    tsr_error[2] = 1;
  }
}
// Lanes where `m` does not hold are 0.
TSR vi32 tsr_bind_at(vi32 at, vi32 value, long size, vi32 m) {
  vi32 bad = (((at < 0) | (at >= (int)size)) & m);
  if (__builtin_expect(vany(bad), 0)) for (int i = 0; i < VW; i++) if (bad[i]) tsr_bad_index(value[i], size);
  return at & m & ~bad;
}
TSR vi32 tsr_bind(vi32 value, long size, vi32 m) { return tsr_bind_at(value, value, size, m); }
TSR vi32 tsr_bind_from_end(vi32 value, long size, vi32 m) {
  return tsr_bind_at(value < 0 ? value + (int)size : value, value, size, m);
}
TSR vi32 tsr_bind_at(vl2 at, vl2 value, long size, vi32 m) {
  vi32 bad = (((at < 0l) | (at >= size)) & m);
  if (__builtin_expect(vany(bad), 0)) {
    for (int i = 0; i < VW; i++) if (bad[i]) tsr_bad_index(i < VH ? value.a[i] : value.b[i - VH], size);
  }
  return tsr_i32(at) & m & ~bad;
}
TSR vi32 tsr_bind(vl2 value, long size, vi32 m) { return tsr_bind_at(value, value, size, m); }
TSR vi32 tsr_bind_from_end(vl2 value, long size, vi32 m) {
  return tsr_bind_at(tsr_where(value < 0l, value + size, value), value, size, m);
}

// ---- running ----
TSR long tsr_grain(long picoseconds) { return picoseconds >= 20000000 ? 1 : 20000000 / tsr_max(picoseconds, 1) + 1; }
typedef void (*tsr_task)(void*, long, long, int);
// Ranges of several kernels in one dispatch: each is cut into pieces of `grain`.
struct tsr_job { tsr_task task; void* args; long count, grain, picoseconds; };
struct tsr_jobs { const tsr_job* jobs; int count; };
static __attribute__((unused)) void tsr_run_pieces(void* context, long begin, long end, int worker) {
  const tsr_jobs* all = (const tsr_jobs*)context;
  long first = 0;
  for (int j = 0; j < all->count && first < end; j++) {
    const tsr_job* job = &all->jobs[j];
    const long pieces = (job->count + job->grain - 1) / job->grain;
    const long from = tsr_max(begin - first, 0), to = tsr_min(end - first, pieces);
    if (from < to) job->task(job->args, from * job->grain, tsr_min(to * job->grain, job->count), worker);
    first += pieces;
  }
}
static __attribute__((unused)) void tsr_together(const tessera_runtime* runtime, const tsr_job* jobs, int count) {
  long pieces = 0;
  double work = 1;
  for (int j = 0; j < count; j++) {
    pieces += (jobs[j].count + jobs[j].grain - 1) / jobs[j].grain;
    work += (double)jobs[j].count * (double)jobs[j].picoseconds;
  }
  tsr_jobs all = {jobs, count};
  runtime->parallel_for(tsr_run_pieces, &all, pieces, (long)(20e6 * (double)pieces / work) + 1);
}
