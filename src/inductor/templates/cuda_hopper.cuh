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
// Sixteen rows and 64 columns of a warp's sums, from column 64 · SLAB on, as rows of L floats.
template <typename T> struct alignas(8) tsr_two { T x, y; };
template <int SLAB, int L, int R, typename T>
TSR void tsr_wgmma_put(T* to, const T (&d)[R]) {
  const int lane = threadIdx.x & 31;
  T* p = to + (lane >> 2) * L + (lane & 3) * 2;
#pragma unroll
  for (int j = 0; j < 8; j++) {
    *(tsr_two<T>*)(p + j * 8) = {d[(SLAB * 8 + j) * 4], d[(SLAB * 8 + j) * 4 + 1]};
    *(tsr_two<T>*)(p + 8 * L + j * 8) = {d[(SLAB * 8 + j) * 4 + 2], d[(SLAB * 8 + j) * 4 + 3]};
  }
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
