// Hopper: barriers in shared memory, the copy engine (TMA), tensor cores by warpgroups (wgmma).

struct alignas(64) tsr_map { char bytes[128]; };
#ifndef TSR_EMULATED
TSR unsigned tsr_smem(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }
TSR void tsr_barrier_init(unsigned barrier, int count) { asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" :: "r"(barrier), "r"(count) : "memory"); }
TSR void tsr_barrier_visible() { asm volatile("fence.mbarrier_init.release.cluster;\nfence.proxy.async.shared::cta;" ::: "memory"); }
TSR void tsr_barrier_expect(unsigned barrier, int bytes) { asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" :: "r"(barrier), "r"(bytes) : "memory"); }
TSR void tsr_barrier_arrive(unsigned barrier) { asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" :: "r"(barrier) : "memory"); }
TSR void tsr_barrier_wait(unsigned barrier, int parity) {
  asm volatile("{\n.reg .pred done;\nAGAIN:\nmbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n@done bra READY;\nbra AGAIN;\nREADY:\n}" :: "r"(barrier), "r"(parity) : "memory");
}
TSR void tsr_map_ready(const tsr_map* map) { asm volatile("prefetch.tensormap [%0];" :: "l"(map) : "memory"); }
// A box of a tensor to shared memory; coordinates innermost first.
TSR void tsr_box(unsigned to, const tsr_map* map, unsigned barrier, int a, int b) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" :: "r"(to), "l"(map), "r"(barrier), "r"(a), "r"(b) : "memory");
}
TSR void tsr_box(unsigned to, const tsr_map* map, unsigned barrier, int a, int b, int c) {
  asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];" :: "r"(to), "l"(map), "r"(barrier), "r"(a), "r"(b), "r"(c) : "memory");
}
TSR void tsr_box(unsigned to, const tsr_map* map, unsigned barrier, int a, int b, int c, int d) {
  asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6}], [%2];" :: "r"(to), "l"(map), "r"(barrier), "r"(a), "r"(b), "r"(c), "r"(d) : "memory");
}
// Channels of as many pixels as the map says, one for each window from the one at (w, h, d, n) on: what is (x, y, z) behind the place where it begins.
TSR void tsr_pixels(unsigned to, const tsr_map* map, unsigned barrier, int c, int w, int n, int x) {
  asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2], {%6};" :: "r"(to), "l"(map), "r"(barrier), "r"(c), "r"(w), "r"(n), "h"((unsigned short)x) : "memory");
}
TSR void tsr_pixels(unsigned to, const tsr_map* map, unsigned barrier, int c, int w, int h, int n, int x, int y) {
  asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6}], [%2], {%7, %8};" :: "r"(to), "l"(map), "r"(barrier), "r"(c), "r"(w), "r"(h), "r"(n), "h"((unsigned short)x), "h"((unsigned short)y) : "memory");
}
TSR void tsr_pixels(unsigned to, const tsr_map* map, unsigned barrier, int c, int w, int h, int d, int n, int x, int y, int z) {
  asm volatile("cp.async.bulk.tensor.5d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6, %7}], [%2], {%8, %9, %10};" :: "r"(to), "l"(map), "r"(barrier), "r"(c), "r"(w), "r"(h), "r"(d), "r"(n), "h"((unsigned short)x), "h"((unsigned short)y), "h"((unsigned short)z) : "memory");
}
// Brings a line of memory to the second cache.
TSR void tsr_ask(const void* p) { asm volatile("prefetch.global.L2 [%0];" :: "l"(p) : "memory"); }
// Pairs of blocks (clusters of two): half of a box to the same place of both, and its arrival at the barriers of both.
TSR int tsr_mate() { int rank; asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank)); return rank; }
TSR void tsr_mates_sync() { asm volatile("barrier.cluster.arrive.release;\nbarrier.cluster.wait.acquire;" ::: "memory"); }
TSR void tsr_mates_arrive(unsigned barrier, int mate) {
  asm volatile("{\n.reg .b32 there;\nmapa.shared::cluster.u32 there, %0, %1;\nmbarrier.arrive.shared::cluster.b64 _, [there];\n}" :: "r"(barrier), "r"(mate) : "memory");
}
template <int HALF> TSR void tsr_box_half(unsigned to, const tsr_map* map, unsigned barrier, int a, int b) {
  const int mate = tsr_mate();
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%3, %4}], [%2], %5;" :: "r"(to + mate * HALF * 128), "l"(map), "r"(barrier), "r"(a), "r"(b + mate * HALF), "h"((unsigned short)3) : "memory");
}
template <int HALF> TSR void tsr_box_half(unsigned to, const tsr_map* map, unsigned barrier, int a, int b, int c) {
  const int mate = tsr_mate();
  asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%3, %4, %5}], [%2], %6;" :: "r"(to + mate * HALF * 128), "l"(map), "r"(barrier), "r"(a), "r"(b + mate * HALF), "r"(c), "h"((unsigned short)3) : "memory");
}
template <int HALF> TSR void tsr_box_half(unsigned to, const tsr_map* map, unsigned barrier, int a, int b, int c, int d) {
  const int mate = tsr_mate();
  asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%3, %4, %5, %6}], [%2], %7;" :: "r"(to + mate * HALF * 128), "l"(map), "r"(barrier), "r"(a), "r"(b + mate * HALF), "r"(c), "r"(d), "h"((unsigned short)3) : "memory");
}
// 16 bytes to shared memory by this thread, zeros where not `there`; NEAR: neighbours read what is left of the line, which the first cache keeps.
template <bool NEAR> TSR void tsr_gather16(unsigned to, const void* from, bool there) {
  if (NEAR) asm volatile("cp.async.ca.shared.global [%0], [%1], 16, %2;" :: "r"(to), "l"(from), "r"(there ? 16 : 0) : "memory");
  else asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" :: "r"(to), "l"(from), "r"(there ? 16 : 0) : "memory");
}
// Makes what threads wrote to shared memory visible to the tensor cores.
TSR void tsr_gathered() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
// Copies of a warp but the last N groups are there, and visible to the tensor cores: one thread says so.
template <int N> TSR void tsr_gathered_arrive(unsigned barrier) {
  asm volatile("cp.async.wait_group %0;" :: "n"(N) : "memory");
  tsr_gathered();
  __syncwarp();
  if ((threadIdx.x & 31) == 0) tsr_barrier_arrive(barrier);
}
TSR void tsr_wgmma_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
TSR void tsr_wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int N> TSR void tsr_wgmma_wait() { asm volatile("wgmma.wait_group.sync.aligned %0;" :: "n"(N) : "memory"); }
// Waits for, and sends, a signal between warpgroups: `threads` of both sides together.
TSR void tsr_signal_wait(int id, int threads) { asm volatile("bar.sync %0, %1;" :: "r"(id), "r"(threads) : "memory"); }
TSR void tsr_signal_send(int id, int threads) { asm volatile("bar.arrive %0, %1;" :: "r"(id), "r"(threads) : "memory"); }
template <int N> TSR void tsr_more_registers() { asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" :: "n"(N)); }
template <int N> TSR void tsr_fewer_registers() { asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" :: "n"(N)); }
#endif
// A matrix in shared memory with rows of 128 bytes, swizzled: `lead` bytes between pieces of 64 along the rows' axis, where the tile lies along them.
TSR unsigned long tsr_matrix(unsigned at, int lead, int stride) {
  return (unsigned long)((at & 0x3ffff) >> 4) | (unsigned long)((lead & 0x3ffff) >> 4) << 16 |
         (unsigned long)((stride & 0x3ffff) >> 4) << 32 | 1ul << 62;
}
// Sixteen rows and up to 64 columns of a warp's sums, from column FIRST on. Pieces of four columns lie, by turns, in the first and the second half of a row, at places that
// are exchanged by the row's number: neither those who write pairs nor those who read runs of eight want one bank twice.
template <typename T> struct alignas(8) tsr_two { T x, y; };
TSR int tsr_slab(int row, int column) {
  const int half = column >> 2 & 1;
  return row * 64 + half * 32 + (((column >> 3) ^ (row & 7) ^ (half << 2)) << 2) + (column & 3);
}
template <int FIRST, int COLUMNS, int R, typename T>
TSR void tsr_wgmma_put(T* to, const T (&d)[R]) {
  const int lane = threadIdx.x & 31, row = lane >> 2, half = lane >> 1 & 1;
  T* const p = to + row * 64 + half * 32 + (lane & 1) * 2;
#pragma unroll
  for (int j = 0; j < COLUMNS / 8; j++) {
    const int at = FIRST / 2 + j * 4;
    T* const q = p + ((j ^ row ^ (half << 2)) << 2);
    *(tsr_two<T>*)q = {d[at], d[at + 1]};
    *(tsr_two<T>*)(q + 8 * 64) = {d[at + 2], d[at + 3]};
  }
}
// A run of N of them, which begins at a multiple of N.
template <int N, typename C, typename T>
TSR void tsr_slab_load(C (&run)[N], const T* from, int row, int column) {
  constexpr int M = N < 4 ? N : 4;
#pragma unroll
  for (int i = 0; i < N; i += M) tsr_load<M>(*(C(*)[M])(run + i), from + tsr_slab(row, column + i));
}
// Results in registers: a pair of halves is kept where a store would go to memory.
template <typename T> struct tsr_kept { unsigned* at; };
template <typename T> TSR tsr_kept<T> operator+(tsr_kept<T> kept, long) { return kept; }
template <int N, typename T, typename C> TSR void tsr_store(tsr_kept<T> kept, const C (&in)[N]) {
  tsr_vec<T, N> pair;
#pragma unroll
  for (int i = 0; i < N; i++) tsr_put(&pair.v[i], in[i]);
  *kept.at = pair.units[0];
}
// Four threads side by side have a pair of each of four runs: each gets one whole run.
TSR void tsr_quad_turn(unsigned (&p)[4]) {
  const int lane = (int)threadIdx.x;
#pragma unroll
  for (int i = 0; i < 4; i += 2) {
    const unsigned got = __shfl_xor_sync(0xffffffffu, lane & 1 ? p[i] : p[i + 1], 1);
    if (lane & 1) p[i] = got;
    else p[i + 1] = got;
  }
#pragma unroll
  for (int i = 0; i < 2; i++) {
    const unsigned got = __shfl_xor_sync(0xffffffffu, lane & 2 ? p[i] : p[i + 2], 2);
    if (lane & 2) p[i] = got;
    else p[i + 2] = got;
  }
}
template <int N, typename T, typename C> TSR void tsr_load(C (&out)[N], tsr_kept<T> kept) {
  tsr_vec<T, N> pair;
  pair.units[0] = *kept.at;
#pragma unroll
  for (int i = 0; i < N; i++) out[i] = tsr_get(&pair.v[i]);
}
template <typename T> TSR void tsr_quad_load(unsigned (&p)[4], const T* from) {
  const uint4 run = *(const uint4*)from;
  p[0] = run.x, p[1] = run.y, p[2] = run.z, p[3] = run.w;
}
template <typename T> TSR void tsr_quad_store(T* to, const unsigned (&p)[4], bool whether) {
  uint4 run;
  run.x = p[0], run.y = p[1], run.z = p[2], run.w = p[3];
  tsr_put_if((uint4*)to, run, whether);
}
// Parts of one sum from several blocks: a warp leaves its own, `distance` vectors from part to part, and the one that comes last gets all, added in order.
TSR float4 tsr_four(float a, float b, float c, float d) { return make_float4(a, b, c, d); }
TSR int4 tsr_four(int a, int b, int c, int d) { return make_int4(a, b, c, d); }
template <int R, typename T>
TSR bool tsr_add_parts(T (&d)[R], T* parts, int piece, int pieces, int distance, unsigned* counter) {
  typedef decltype(tsr_four(d[0], d[0], d[0], d[0])) Four;
  const int lane = threadIdx.x & 31;
  int from = 0;
  if (piece == 0) {
    // The first part need not go through memory where all others are there.
    unsigned there = 0;
    if (lane == 0) there = *(volatile unsigned*)counter;
    if (__shfl_sync(0xffffffffu, there, 0) == (unsigned)pieces - 1) from = 1;
  }
  if (from == 0) {
    Four* const own = (Four*)parts + (long)piece * distance;
#pragma unroll
    for (int i = 0; i < R / 4; i++) __stcg(own + i * 32 + lane, tsr_four(d[i * 4], d[i * 4 + 1], d[i * 4 + 2], d[i * 4 + 3]));
    __threadfence();
    __syncwarp();
    unsigned count = 0;
    if (lane == 0) count = atomicAdd(counter, 1u);
    if (__shfl_sync(0xffffffffu, count, 0) != (unsigned)pieces - 1) return false;
#pragma unroll
    for (int i = 0; i < R; i++) d[i] = 0;
  }
  if (lane == 0) *counter = 0;
  __threadfence();
  for (int p = from; p < pieces; p++) {
    const Four* const part = (const Four*)parts + (long)p * distance;
#pragma unroll
    for (int i = 0; i < R / 4; i++) {
      const Four v = __ldcg(part + i * 32 + lane);
      d[i * 4] += v.x;
      d[i * 4 + 1] += v.y;
      d[i * 4 + 2] += v.z;
      d[i * 4 + 3] += v.w;
    }
  }
  return true;
}
