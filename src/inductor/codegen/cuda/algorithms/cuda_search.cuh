// Searching sorted rows, and the most frequent element of rows.

// NaN stands behind all numbers.
template <typename C> TSR bool tsr_before(C a, C b) { return a < b || (b != b && a == a); }

// Where each value would stand in its sorted row of `n`; every `each` values share one. `sorter` has the order of a row that is not sorted itself.
template <typename C, typename S, typename V, typename O>
TSR void tsr_search(const S* rows, const V* values, const long* sorter, O* out, long total, long n, long each, bool right) {
  for (long i = (long)blockIdx.x * blockDim.x + threadIdx.x; i < total; i += (long)gridDim.x * blockDim.x) {
    const long row = i / each * n;
    const C v = (C)tsr_get(values + i);
    long low = 0, high = n;
    while (low < high) {
      const long middle = (low + high) >> 1;
      const C at = (C)tsr_get(rows + row + (sorter == nullptr ? middle : sorter[row + middle]));
      if (right ? !tsr_before(v, at) : tsr_before(at, v)) low = middle + 1;
      else high = middle;
    }
    tsr_put(out + i, (O)low);
  }
}

// The most frequent element of a row, the smallest of several, and its last position. A block has a row; it compares all pairs.
template <int THREADS, typename T>
TSR void tsr_mode(const T* x, T* values, long* positions, long inner, int n) {
  __shared__ int best_count[THREADS], best_at[THREADS];
  const long line = blockIdx.x, start = line / inner * inner * n + line % inner;
  const auto at = [&](int i) { return tsr_get(x + start + i * inner); };
  const auto better = [&](int count, int i, int than, int j) {
    return count > than || (count == than && count > 0 && tsr_before(at(i), at(j)));
  };
  int most = 0, place = 0;
  for (int i = threadIdx.x; i < n; i += THREADS) {
    const auto v = at(i);
    int count = 0;
    bool last = true;
    for (int j = 0; j < n; j++) {
      const auto w = at(j);
      const bool same = w == v || (w != w && v != v);
      count += same;
      last &= !same || j <= i;
    }
    if (last && better(count, i, most, place)) {
      most = count;
      place = i;
    }
  }
  best_count[threadIdx.x] = most;
  best_at[threadIdx.x] = place;
  for (int half = THREADS / 2; half > 0; half /= 2) {
    __syncthreads();
    const int other = threadIdx.x + half;
    if (threadIdx.x < half && better(best_count[other], best_at[other], best_count[threadIdx.x], best_at[threadIdx.x])) {
      best_count[threadIdx.x] = best_count[other];
      best_at[threadIdx.x] = best_at[other];
    }
  }
  if (threadIdx.x == 0) {
    values[line] = x[start + best_at[0] * inner];
    positions[line] = best_at[0];
  }
}
