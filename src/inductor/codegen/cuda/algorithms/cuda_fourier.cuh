// Fourier transforms of lines of pairs, and counts of bins.

template <typename S> struct tsr_pair { S re, im; };
#ifdef TSR_EMULATED
template <typename S> TSR void tsr_root(S halves, S& re, S& im) { re = cos(3.141592653589793 * halves); im = sin(3.141592653589793 * halves); }
#else
TSR void tsr_root(float halves, float& re, float& im) { sincospif(halves, &im, &re); }
TSR void tsr_root(double halves, double& re, double& im) { sincospi(halves, &im, &re); }
#endif
template <typename S> TSR tsr_pair<S> operator+(tsr_pair<S> a, tsr_pair<S> b) { return {a.re + b.re, a.im + b.im}; }
template <typename S> TSR tsr_pair<S> operator-(tsr_pair<S> a, tsr_pair<S> b) { return {a.re - b.re, a.im - b.im}; }
template <typename S> TSR tsr_pair<S> operator*(tsr_pair<S> a, tsr_pair<S> b) { return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}; }
// Transforms of 2, 4 and 8 in registers; `sign` is that of the imaginary unit.
template <typename S> TSR void tsr_transform(tsr_pair<S> (&v)[2], S) {
  const tsr_pair<S> a = v[0];
  v[0] = a + v[1];
  v[1] = a - v[1];
}
template <typename S> TSR void tsr_transform(tsr_pair<S> (&v)[4], S sign) {
  const tsr_pair<S> a = v[0] + v[2], b = v[0] - v[2], c = v[1] + v[3], d = v[1] - v[3], turned = {-sign * d.im, sign * d.re};
  v[0] = a + c;
  v[1] = b + turned;
  v[2] = a - c;
  v[3] = b - turned;
}
template <typename S> TSR void tsr_transform(tsr_pair<S> (&v)[8], S sign) {
  const S half = (S)0.70710678118654752;
  tsr_pair<S> even[4] = {v[0], v[2], v[4], v[6]}, odd[4] = {v[1], v[3], v[5], v[7]};
  const tsr_pair<S> roots[4] = {{1, 0}, {half, sign * half}, {0, sign}, {-half, sign * half}};
  tsr_transform(even, sign);
  tsr_transform(odd, sign);
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const tsr_pair<S> o = odd[i] * roots[i];
    v[i] = even[i] + o;
    v[i + 4] = even[i] - o;
  }
}
// A stage of radix R behind stages of powers of two: a thread has R inputs and their transform.
template <int R, int THREADS, typename S>
TSR void tsr_fourier_stage(const tsr_pair<S>* a, tsr_pair<S>* b, const tsr_pair<S>* roots, int n, int l, S sign) {
  const int parts = n / R, step = parts >> (__ffs(l) - 1);
  for (int j = threadIdx.x; j < parts; j += THREADS) {
    const int k = j & (l - 1);
    tsr_pair<S> v[R];
    v[0] = a[j];
#pragma unroll
    for (int t = 1; t < R; t++) v[t] = a[j + t * parts] * roots[t * k * step];
    tsr_transform(v, sign);
#pragma unroll
    for (int s = 0; s < R; s++) b[(j - k) * R + k + s * l] = v[s];
  }
}
// A block has one line of `n` pairs that are `inner` apart, in shared memory. Stockham's order: after a stage of radix r the parts of l · r are
// transformed; `radices` has the factors of n, four bits each, lowest first, 0 standing for `prime`.
template <typename S, int THREADS>
TSR void tsr_fourier(const S* x, S* out, long inner, const int n, unsigned long long radices, const int prime, S sign, S scale) {
  TSR_DYNAMIC(memory);
  typedef tsr_pair<S> P;
  P* roots = (P*)memory;
  P* a = roots + n;
  P* b = a + n;
  const long line = blockIdx.x, start = line / inner * inner * n + line % inner;
  for (int i = threadIdx.x; i < n; i += THREADS) {
    S re, im;
    tsr_root(2 * sign * i / n, re, im);
    roots[i] = {re, im};
    const S* at = x + 2 * (start + i * inner);
    a[i] = {at[0], at[1]};
  }
  __syncthreads();
  for (int l = 1; l < n; radices >>= 4) {
    const int r = (int)(radices & 15) == 0 ? prime : (int)(radices & 15), parts = n / r, step = n / (l * r);
    if (r == 8) tsr_fourier_stage<8, THREADS>(a, b, roots, n, l, sign);
    else if (r == 4) tsr_fourier_stage<4, THREADS>(a, b, roots, n, l, sign);
    else if (r == 2) tsr_fourier_stage<2, THREADS>(a, b, roots, n, l, sign);
    else for (int i = threadIdx.x; i < n; i += THREADS) {
      // The element s of the transform of r inputs that begins at j.
      const int s = i / parts, j = i - s * parts, k = j % l;
      S re = 0, im = 0;
      int angle = 0;
      const int turn = (k * step + s * parts) % n;
#pragma unroll 8
      for (int t = 0; t < r; t++) {
        const P v = a[j + t * parts], w = roots[angle];
        re += v.re * w.re - v.im * w.im;
        im += v.re * w.im + v.im * w.re;
        angle += turn;
        if (angle >= n) angle -= n;
      }
      b[j / l * (l * r) + k + s * l] = {re, im};
    }
    __syncthreads();
    P* const swap = a;
    a = b;
    b = swap;
    l *= r;
  }
  for (int i = threadIdx.x; i < n; i += THREADS) {
    S* at = out + 2 * (start + i * inner);
    at[0] = a[i].re * scale;
    at[1] = a[i].im * scale;
  }
}

// Numbers as keys in the same order; NaN stands behind all.
TSR unsigned long long tsr_order_of(double v) {
  const unsigned long long bits = v != v ? 0x7ff8000000000000ull : (unsigned long long)tsr_bits_i64(v);
  return bits >> 63 ? ~bits : bits | 1ull << 63;
}
TSR double tsr_number_of(unsigned long long key) { return tsr_bits_f64((long)(key >> 63 ? key & ~(1ull << 63) : ~key)); }
// The smallest and the largest element, as keys in range[0] and range[1], which hold the largest and the smallest key before.
template <typename T>
TSR void tsr_find_range(const T* x, unsigned long long* range, long n) {
  __shared__ unsigned long long least, most;
  if (threadIdx.x == 0) {
    least = ~0ull;
    most = 0;
  }
  __syncthreads();
  unsigned long long low = ~0ull, high = 0;
  for (long i = (long)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (long)gridDim.x * blockDim.x) {
    const unsigned long long key = tsr_order_of((double)tsr_get(x + i));
    low = tsr_min(low, key);
    high = tsr_max(high, key);
  }
  atomicMin(&least, low);
  atomicMax(&most, high);
  __syncthreads();
  if (threadIdx.x == 0) {
    atomicMin(range, least);
    atomicMax(range + 1, most);
  }
}
// The range as numbers; a single value gets room on both sides.
template <typename C>
TSR bool tsr_read_range(const unsigned long long* range, C& low, C& high, long* error) {
  if (range[0] <= range[1]) {
    low = (C)tsr_number_of(range[0]);
    high = (C)tsr_number_of(range[1]);
  }
  if (low == high) {
    low -= 1;
    high += 1;
  }
  const bool finite = high - low < __builtin_inff();
  if (!finite && threadIdx.x == 0) tsr_report(error, 0, 0, 4);
  return finite;
}

// Counts elements in [low, high] by equal bins, each step rounded to the elements' type. With `range`, that of the elements.
template <typename T, typename C, bool SHARED>
TSR void tsr_count_bins(const T* x, unsigned* counts, long n, int bins, C low, C high, const unsigned long long* range, long* error) {
  TSR_DYNAMIC(memory);
  if (range != nullptr && !tsr_read_range(range, low, high, error)) return;
  unsigned* own = SHARED ? (unsigned*)memory : counts;
  if (SHARED) {
    for (int i = threadIdx.x; i < bins; i += blockDim.x) own[i] = 0;
    __syncthreads();
  }
  const auto round = [](C v) { T t; tsr_put(&t, v); return (C)tsr_get(&t); };
  low = round(low);
  high = round(high);
  const C width = round(high - low);
  for (long i = (long)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (long)gridDim.x * blockDim.x) {
    const C v = tsr_get(x + i);
    if (!(v >= low && v <= high)) continue;
    const long bin = (long)round(round(round(v - low) * bins) / width);
    atomicAdd(own + tsr_min(bin, (long)bins - 1), 1u);
  }
  if (!SHARED) return;
  __syncthreads();
  for (int i = threadIdx.x; i < bins; i += blockDim.x) if (own[i] != 0) atomicAdd(counts + i, own[i]);
}
template <typename T>
TSR void tsr_put_counts(const unsigned* counts, T* out, int bins) {
  const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < bins) tsr_put(out + i, counts[i]);
}
TSR void tsr_zero_counts(unsigned* p, long n, unsigned long long* range) {
  if (range != nullptr && blockIdx.x == 0 && threadIdx.x == 0) {
    range[0] = ~0ull;
    range[1] = 0;
  }
  for (long i = (long)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (long)gridDim.x * blockDim.x) p[i] = 0;
}
