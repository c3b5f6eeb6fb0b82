// Clusters on a processor: blocks follow each other, so a block that would wait for what others send is left where it waits, and begun again when all have run. By then everything
// that is sent to it has been: what it does before it waits must not depend on others, and is done twice, or as often as it waits.
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

// Rows that blocks share: what the warps of all blocks sent, by cluster and step. A block that comes to a step too early is left there.
template <int VALUES> struct tsr_row_room;
struct tsr_row_sent { std::vector<unsigned long> values; std::vector<bool> there; int count; };
TSR_INTERNAL static std::map<std::pair<unsigned, int>, tsr_row_sent> tsr_row_all;
template <int BLOCKS> static inline int tsr_row_rank() { return (int)blockIdx.x % BLOCKS; }
template <int VALUES> static inline void tsr_row_begin(tsr_row_room<VALUES>&) {}
template <int BLOCKS, int VALUES> static inline void tsr_row_expect(tsr_row_room<VALUES>&, int step) {
  tsr_enter(false);
  tsr_row_sent& sent = tsr_row_all[{blockIdx.x / BLOCKS, step}];
  sent.values.resize(VALUES);
  sent.there.resize(VALUES);
  tsr_enter(true);
}
template <int BLOCKS, int VALUES> static inline void tsr_row_send(tsr_row_room<VALUES>&, int step, int at, int, unsigned long bits) {
  tsr_row_sent& sent = tsr_row_all.at({blockIdx.x / BLOCKS, step});
  if (!sent.there[at]) sent.count++;
  sent.there[at] = true;
  sent.values[at] = bits;
}
template <int BLOCKS, int VALUES> static const unsigned long* tsr_row_wait(tsr_row_room<VALUES>&, int step) {
  const tsr_row_sent& sent = tsr_row_all.at({blockIdx.x / BLOCKS, step});
  constexpr int WARPS = VALUES / BLOCKS;
  const auto mine = sent.there.begin() + tsr_row_rank<BLOCKS>() * WARPS;
  while (std::find(mine, mine + WARPS, false) != mine + WARPS) tsr_wait_turn();
  while (sent.count < VALUES) {
    tsr_left = true;
    tsr_pause(TSR_DONE);
  }
  return sent.values.data();
}
static void tsr_finish_launch() { tsr_row_all.clear(); }
