// Clusters on a processor: blocks follow each other, so a block that would wait for what others send is left where it waits, and begun again when all have run. By then everything
// that is sent to it has been: what it does before it waits must not depend on others, and is done twice.
TSR_INTERNAL static std::map<unsigned, std::map<unsigned, std::string>> tsr_sent;  // by block, then by place in its shared memory
TSR_INTERNAL static int tsr_cluster_blocks;
static const unsigned TSR_BLOCK_SHIFT = 20;
template <int BLOCKS> static inline void tsr_cluster_arrive() { tsr_cluster_blocks = BLOCKS; }
static inline void tsr_cluster_wait() {}
static inline void tsr_touch(const void*) {}
static inline unsigned tsr_there(unsigned address, int block) { return address | (unsigned)block << TSR_BLOCK_SHIFT; }
static inline void tsr_send(unsigned to, unsigned from, int bytes, unsigned) {
  const unsigned block = blockIdx.x / tsr_cluster_blocks * tsr_cluster_blocks + (to >> TSR_BLOCK_SHIFT);
  tsr_enter(false);
  tsr_sent[block][to & ((1u << TSR_BLOCK_SHIFT) - 1)].assign((const char*)tsr_at(from), (size_t)bytes);
  tsr_enter(true);
}
static void tsr_parts_wait(unsigned barrier) {
  if (!tsr_again) {
    tsr_left = true;
    for (;;) tsr_pause(TSR_DONE);
  }
  const auto found = tsr_sent.find(blockIdx.x);
  if (found != tsr_sent.end()) {
    tsr_emulated_barrier& b = tsr_barriers.at(barrier);
    for (const auto& [to, part] : found->second) {
#ifdef TSR_WATCHED
      tsr_watch->engine(tsr_thread(), tsr_at(to), (unsigned)part.size(), barrier, __builtin_return_address(0));
      tsr_enter(false);
#endif
      memcpy(tsr_at(to), part.data(), part.size());
      tsr_enter(true);
      b.filled = b.phase + 1;
      b.bytes -= (int)part.size();
    }
    tsr_sent.erase(found);
    tsr_barrier_check(b);
  }
  tsr_barrier_wait(barrier, 0);
}
