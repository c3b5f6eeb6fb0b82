// Runs of bytes that the copy engine brings: both ends and the length are multiples of 16, and the barrier counts the bytes.
#ifndef TSR_EMULATED
TSR void tsr_run(unsigned to, const void* from, int bytes, unsigned barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(to), "l"(from), "r"(bytes), "r"(barrier) : "memory");
}
#endif
