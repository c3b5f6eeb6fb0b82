// Rows that the blocks of a cluster share: each has a part in its registers, and what is combined over a row goes to the shared memory of all.
// There are two places for what arrives, taken by turns: who sends to one of them for the second time has got from everybody what was sent to the other, so that nobody reads it any
// more. `step` counts what was combined.
template <int VALUES> struct tsr_row_room {
  unsigned long values[2][VALUES];
  unsigned long arrived[2];
};
#ifndef TSR_EMULATED
template <int BLOCKS> TSR int tsr_row_rank() { int rank; asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank)); return rank; }
TSR unsigned tsr_row_place(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }
// Tells the others that this block's barriers are there.
template <int VALUES> TSR void tsr_row_begin(tsr_row_room<VALUES>& room) {
  if (threadIdx.x == 0) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" :: "r"(tsr_row_place(room.arrived)) : "memory");
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" :: "r"(tsr_row_place(room.arrived + 1)) : "memory");
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  asm volatile("barrier.cluster.arrive.release;" ::: "memory");
}
// Waits until the barriers of all are there; and lets this block's expect what will arrive.
template <int BLOCKS, int VALUES> TSR void tsr_row_expect(tsr_row_room<VALUES>& room, int step) {
  if (step == 0) asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
  if (threadIdx.x == 0) asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" :: "r"(tsr_row_place(room.arrived + (step & 1))), "r"(VALUES * 8) : "memory");
}
// To the place `at` of a block, whose barrier counts the bytes: no fence is needed, which would wait for everything that was stored before.
template <int BLOCKS, int VALUES> TSR void tsr_row_send(tsr_row_room<VALUES>& room, int step, int at, int block, unsigned long bits) {
  asm volatile("{\n.reg .b32 place, there;\nmapa.shared::cluster.u32 place, %0, %3;\nmapa.shared::cluster.u32 there, %1, %3;\nst.async.weak.shared::cluster.mbarrier::complete_tx::bytes.b64 [place], %2, [there];\n}"
    :: "r"(tsr_row_place(room.values[step & 1] + at)), "r"(tsr_row_place(room.arrived + (step & 1))), "l"(bits), "r"(block) : "memory");
}
template <int BLOCKS, int VALUES> TSR const unsigned long* tsr_row_wait(tsr_row_room<VALUES>& room, int step) {
  asm volatile("{\n.reg .pred done;\nAGAIN:\nmbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n@done bra READY;\nbra AGAIN;\nREADY:\n}" :: "r"(tsr_row_place(room.arrived + (step & 1))), "r"(step >> 1 & 1) : "memory");
  return room.values[step & 1];
}
#endif
// Combines a value over BLOCKS blocks of T threads; all get the result, which each of them forms in the same order.
template <int T, int BLOCKS, typename V, typename F>
TSR V tsr_row_reduce(V v, tsr_row_room<T / 32 * BLOCKS>& room, int& step, F f) {
  constexpr int WARPS = T / 32, ALL = WARPS * BLOCKS, FIRST = ALL < 32 ? ALL : 32;
  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
  v = tsr_warp_reduce<32>(v, f);
  tsr_row_expect<BLOCKS>(room, step);
  union { V value; unsigned long bits; } sent;
  sent.bits = 0;
  sent.value = v;
  if (lane < BLOCKS) tsr_row_send<BLOCKS>(room, step, tsr_row_rank<BLOCKS>() * WARPS + warp, lane, sent.bits);
  const unsigned long* const values = tsr_row_wait<BLOCKS>(room, step);
  step++;
  v = *(const V*)(values + (lane & (FIRST - 1)));
#pragma unroll
  for (int i = 32; i < ALL; i += 32) if (lane + i < ALL) v = f(v, *(const V*)(values + lane + i));
  return tsr_warp_reduce<FIRST>(v, f);
}
