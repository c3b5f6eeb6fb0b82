// Blocks of a cluster that share one tile's sum: each has a part of k, and sends what it has of the others' columns to their shared memory.
#ifndef TSR_EMULATED
// Brings four bytes, and what lies in their line, to the first cache.
TSR void tsr_touch(const void* p) { asm volatile("{\n.reg .b32 there;\nld.global.b32 there, [%0];\n}" :: "l"(p) : "memory"); }
// Every block of the cluster has come here. Barriers that were made visible are, and nothing else: an arrival that releases what was written is a fence, 0.6 us on an H100.
template <int BLOCKS> TSR void tsr_cluster_arrive() { asm volatile("barrier.cluster.arrive.relaxed;" ::: "memory"); }
TSR void tsr_cluster_wait() { asm volatile("barrier.cluster.wait.acquire;" ::: "memory"); }
// The same place in another block of the cluster.
TSR unsigned tsr_there(unsigned address, int block) {
  unsigned there;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(address), "r"(block));
  return there;
}
// Bytes of this block's shared memory to another's, whose barrier counts them. (Stores that do so, st.async, take 2.4 ns for each 16 bytes on an H100.)
TSR void tsr_send(unsigned to, unsigned from, int bytes, unsigned barrier) {
  asm volatile("cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" :: "r"(to), "r"(from), "r"(bytes), "r"(barrier) : "memory");
}
// Waits until everything that others send is there.
TSR void tsr_parts_wait(unsigned barrier) { tsr_barrier_wait(barrier, 0); }
#endif
// Lays the sums from FIRST on, COUNT a thread, where a copy to another block reads them.
template <int FIRST, int COUNT, int R>
TSR void tsr_put_part(float* to, const float (&d)[R]) {
#pragma unroll
  for (int i = 0; i < COUNT / 4; i++) {
    const int j = FIRST + i * 4;
    ((float4*)to)[i * 32 + (threadIdx.x & 31)] = make_float4(d[j], d[j + 1], d[j + 2], d[j + 3]);
  }
}
// Adds `count` parts that others sent, in the order of their blocks.
template <int R>
TSR void tsr_add_sent(float (&d)[R], const float* parts, int count, int distance) {
  for (int p = 0; p < count; p++) {
    const float4* const part = (const float4*)(parts + (long)p * distance) + (threadIdx.x & 31);
#pragma unroll
    for (int i = 0; i < R / 4; i++) {
      const float4 v = part[i * 32];
      d[i * 4] += v.x;
      d[i * 4 + 1] += v.y;
      d[i * 4 + 2] += v.z;
      d[i * 4 + 3] += v.w;
    }
  }
}
