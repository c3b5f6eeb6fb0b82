// Attention of sequences of several lengths by the kernel of cuda_flash.cuh: its tiles are those that a block's rows see, its rows queries of the heads that share keys.

// What a row of a sequence sees, as in cuda_ragged.cuh: keys from low to before high.
struct tsr_ragged_score {
  int each, behind, keys, left, right;
  TSR_MEMBER int low(int r) const { return left < 0 ? 0 : tsr_max(behind + r / each - left, 0); }
  TSR_MEMBER int high(int r) const { return right < 0 ? keys : tsr_max(tsr_min(keys, behind + r / each + right + 1), 0); }
  TSR_MEMBER bool keep(int r, int c) const { return c >= low(r) && c < high(r); }
  TSR_MEMBER void change(int, int, float&) const {}
  TSR_MEMBER void back(int, int, float, float&) const {}
};
// From the last tile that is not seen whole downwards, then those in front that are not, then the rest.
template <int BN>
struct tsr_ragged_keys {
  int from, until, behind, before, count, keys;
  TSR_MEMBER tsr_ragged_keys(const tsr_ragged_score& score, int first, int last) {
    from = score.low(first) / BN;
    until = tsr_max(from, (score.high(last) + BN - 1) / BN);
    keys = score.keys;
    count = until - from;
    behind = tsr_min(count, until - tsr_min(until, score.high(first) / BN));
    before = tsr_min(count - behind, tsr_max(0, (score.low(last) + BN - 1) / BN - from));
  }
  TSR_MEMBER int at(int step) const {
    return (step < behind ? until - 1 - step : step < behind + before ? from + step - behind : from + before + step - behind - before) * BN;
  }
  TSR_MEMBER int edges(int) const { return behind + before; }
  TSR_MEMBER int own() const { return until * BN > keys ? keys - (until - 1) * BN : 0; }
};
// The place of a row: queries are `token` elements apart, heads `head`.
struct tsr_ragged_stride {
  int each;
  long token, head;
};
TSR long operator*(long row, const tsr_ragged_stride& s) { return row / s.each * s.token + row % s.each * s.head; }

template <typename T, int W, int BN, int STAGES, int CONSUMERS, bool PING, typename O>
TSR void tsr_ragged_flash(T* o, const tsr_ragged<O> a, const tsr_map* qMap, const tsr_map* kMap, const tsr_map* vMap, int width) {
  TSR_DYNAMIC(memory);
  constexpr int BM = CONSUMERS * 64;
  __shared__ int room[40];
  const int each = a.heads / a.shared, head = blockIdx.y;
  int sequence, tile;
  // Late queries see most keys: they begin first.
  if (!tsr_ragged_find<BM, (CONSUMERS + 1) * 128>(a, each, (int)(gridDim.x - 1 - blockIdx.x), room, sequence, tile)) return;
  const int first = (int)a.queries[sequence], queries = (int)a.queries[sequence + 1] - first, rows = queries * each, m0 = tile * BM;
  const int start = (int)a.keys[sequence], keys = (int)tsr_max((long)a.keys[sequence + 1] - start, 0l);
  const tsr_ragged_score score = {each, keys - queries, keys, a.left, a.right};
  const tsr_ragged_keys<BN> steps(score, m0, tsr_min(m0 + BM, rows) - 1);
  const int at = first + m0 / each;
  tsr_flash_forward<T, W, W, BN, STAGES, CONSUMERS, false, true, PING>(memory, m0, rows, keys, a.scale, steps,
    [&](unsigned to, unsigned full, int column, int) { tsr_box(to, qMap, full, column, head * each, at); },
    [&](unsigned to, unsigned full, int column, int n) { tsr_box(to, kMap, full, column, head, start + n); },
    [&](unsigned to, unsigned full, int column, int n) { tsr_box(to, vMap, full, column, head, start + n); },
    score, o + ((long)first * a.heads + head * each) * width, tsr_ragged_stride{each, (long)a.heads * width, (long)width}, width, nullptr, 0);
}
