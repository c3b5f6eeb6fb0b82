// Orthogonal factors, eigenvalues of symmetric matrices, singular values, exponentials: one block a matrix, in double in scratch memory, with the host's formulas.

TSR double tsr_warp_sum(double v) {
#pragma unroll
  for (int d = 16; d > 0; d >>= 1) v += __shfl_xor_sync(0xffffffffu, v, d);
  return v;
}

// The sum of all threads' numbers, for all of them.
template <int THREADS>
TSR double tsr_block_sum(double v) {
  __shared__ double parts[THREADS / 32];
  v = tsr_warp_sum(v);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = v;
  __syncthreads();
  double sum = 0;
  for (int i = 0; i < THREADS / 32; i++) sum += parts[i];
  __syncthreads();
  return sum;
}

// Reflections I - tau v v' that make R of a matrix [rows, columns]: R above, v below the diagonal, in place.
template <int THREADS>
TSR void tsr_reflections(double* a, double* tau, int rows, int columns) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, k = tsr_min(rows, columns);
  for (int j = 0; j < k; j++) {
    double tail = 0;
    for (int i = j + 1 + threadIdx.x; i < rows; i += THREADS) tail += a[(long)i * columns + j] * a[(long)i * columns + j];
    tail = tsr_block_sum<THREADS>(tail);
    const double head = a[(long)j * columns + j];
    if (tail == 0) {
      if (threadIdx.x == 0) tau[j] = 0;
      continue;
    }
    const double beta = (head >= 0 ? -1 : 1) * sqrt(head * head + tail), scale = (beta - head) / beta;
    __syncthreads();
    for (int i = j + 1 + threadIdx.x; i < rows; i += THREADS) a[(long)i * columns + j] /= head - beta;
    if (threadIdx.x == 0) {
      a[(long)j * columns + j] = beta;
      tau[j] = scale;
    }
    __syncthreads();
    for (int c = j + 1 + warp; c < columns; c += THREADS / 32) {
      double s = lane == 0 ? a[(long)j * columns + c] : 0;
      for (int i = j + 1 + lane; i < rows; i += 32) s += a[(long)i * columns + j] * a[(long)i * columns + c];
      s = scale * tsr_warp_sum(s);
      if (lane == 0) a[(long)j * columns + c] -= s;
      for (int i = j + 1 + lane; i < rows; i += 32) a[(long)i * columns + c] -= s * a[(long)i * columns + j];
    }
    __syncthreads();
  }
}

template <int THREADS, typename T>
TSR void tsr_geqrf(const T* x, double* room, double* scales, T* out, T* tau_out, int rows, int columns) {
  const long matrix = blockIdx.x, size = (long)rows * columns;
  const int k = tsr_min(rows, columns);
  double *a = room + matrix * size, *tau = scales + matrix * k;
  for (long e = threadIdx.x; e < size; e += THREADS) a[e] = (double)x[matrix * size + e];
  __syncthreads();
  tsr_reflections<THREADS>(a, tau, rows, columns);
  __syncthreads();
  for (long e = threadIdx.x; e < size; e += THREADS) out[matrix * size + e] = (T)a[e];
  for (int j = threadIdx.x; j < k; j += THREADS) tau_out[matrix * k + j] = (T)tau[j];
}

// Q [rows, width] (none where `q` is null) and R [height, columns].
template <int THREADS, typename T>
TSR void tsr_qr(const T* x, double* room, double* scales, double* basis, T* q_out, T* r_out, int rows, int columns, int width, int height) {
  const long matrix = blockIdx.x, size = (long)rows * columns;
  const int k = tsr_min(rows, columns), warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  double *a = room + matrix * size, *tau = scales + matrix * k;
  for (long e = threadIdx.x; e < size; e += THREADS) a[e] = (double)x[matrix * size + e];
  __syncthreads();
  tsr_reflections<THREADS>(a, tau, rows, columns);
  __syncthreads();
  for (long e = threadIdx.x; e < (long)height * columns; e += THREADS) {
    r_out[matrix * height * columns + e] = (T)(e / columns <= e % columns ? a[e] : 0);
  }
  if (q_out == nullptr) return;
  // A warp has a column of Q: a unit vector that the reflections turn, the last first.
  double* q = basis + matrix * width * rows;
  for (int c = warp; c < width; c += THREADS / 32) {
    double* column = q + (long)c * rows;
    for (int i = lane; i < rows; i += 32) column[i] = i == c;
    for (int j = k - 1; j >= 0; j--) {
      if (tau[j] == 0) continue;
      __syncwarp();
      double s = lane == 0 ? column[j] : 0;
      for (int i = j + 1 + lane; i < rows; i += 32) s += a[(long)i * columns + j] * column[i];
      s = tau[j] * tsr_warp_sum(s);
      if (lane == 0) column[j] -= s;
      for (int i = j + 1 + lane; i < rows; i += 32) column[i] -= s * a[(long)i * columns + j];
    }
    __syncwarp();
    for (int i = lane; i < rows; i += 32) q_out[(matrix * rows + i) * width + c] = (T)column[i];
  }
}

// Pair `pair` of a round in which each of an even number of players meets another; over n - 1 rounds each meets all.
TSR void tsr_meeting(int players, int round, int pair, int& p, int& q) {
  const int others = players - 1, i = pair == 0 ? others : (round + pair) % others, j = (round + others - pair) % others;
  p = tsr_min(i, j);
  q = tsr_max(i, j);
}

// The tangent's rotation that makes an angle of which `zeta` is the cotangent of the double vanish.
TSR void tsr_rotation(double zeta, double& c, double& s) {
  const double t = (zeta >= 0 ? 1 : -1) / (fabs(zeta) + sqrt(1 + zeta * zeta));
  c = 1 / sqrt(1 + t * t);
  s = c * t;
}

// `order[r]` is the place of the r-th smallest of n keys, or of the largest; equal ones in their order.
template <int THREADS>
TSR void tsr_rank(const double* keys, int* order, int n, bool descending) {
  for (int i = threadIdx.x; i < n; i += THREADS) {
    int rank = 0;
    for (int j = 0; j < n; j++) rank += keys[j] == keys[i] ? j < i : (keys[j] < keys[i]) != descending;
    order[rank] = i;
  }
  __syncthreads();
}

// Eigenvalues, ascending, and eigenvectors of symmetric matrices of which one half is read: Jacobi's rotations, those of a round at once.
template <int THREADS, typename T>
TSR void tsr_eigh(const T* x, double* room, double* vectors, double* turns, int* places, T* values_out, T* vectors_out, int n, bool upper) {
  const long matrix = blockIdx.x, size = (long)n * n;
  const int players = n + (n & 1), pairs = players / 2;
  double *a = room + matrix * size, *v = vectors + matrix * size, *turn = turns + matrix * 2 * (n + 1);
  int* order = places + matrix * n;
  for (long e = threadIdx.x; e < size; e += THREADS) {
    const long i = e / n, j = e % n;
    a[e] = (double)x[matrix * size + ((i >= j) != upper || i == j ? e : j * n + i)];
    v[e] = i == j;
  }
  __syncthreads();
  for (int sweep = 0; sweep < 60; sweep++) {
    double rest = 0, all = 0;
    for (long e = threadIdx.x; e < size; e += THREADS) {
      all += a[e] * a[e];
      if (e / n != e % n) rest += a[e] * a[e];
    }
    rest = tsr_block_sum<THREADS>(rest);
    all = tsr_block_sum<THREADS>(all);
    if (!(rest > 1e-32 * all)) break;
    for (int round = 0; round < players - 1; round++) {
      for (int pair = threadIdx.x; pair < pairs; pair += THREADS) {
        int p, q;
        tsr_meeting(players, round, pair, p, q);
        double c = 1, s = 0;
        if (q < n && a[(long)p * n + q] != 0) {
          tsr_rotation((a[(long)q * n + q] - a[(long)p * n + p]) / (2 * a[(long)p * n + q]), c, s);
        }
        turn[2 * pair] = c;
        turn[2 * pair + 1] = s;
      }
      __syncthreads();
      for (long e = threadIdx.x; e < (long)pairs * n; e += THREADS) {
        const int pair = (int)(e / n);
        const long k = e % n;
        int p, q;
        tsr_meeting(players, round, pair, p, q);
        if (q >= n || turn[2 * pair + 1] == 0) continue;
        const double c = turn[2 * pair], s = turn[2 * pair + 1];
        const double y = a[k * n + p], z = a[k * n + q], f = v[k * n + p], g = v[k * n + q];
        a[k * n + p] = c * y - s * z;
        a[k * n + q] = s * y + c * z;
        v[k * n + p] = c * f - s * g;
        v[k * n + q] = s * f + c * g;
      }
      __syncthreads();
      for (long e = threadIdx.x; e < (long)pairs * n; e += THREADS) {
        const int pair = (int)(e / n);
        const long k = e % n;
        int p, q;
        tsr_meeting(players, round, pair, p, q);
        if (q >= n || turn[2 * pair + 1] == 0) continue;
        const double c = turn[2 * pair], s = turn[2 * pair + 1], y = a[p * (long)n + k], z = a[q * (long)n + k];
        a[p * (long)n + k] = c * y - s * z;
        a[q * (long)n + k] = s * y + c * z;
      }
      __syncthreads();
    }
  }
  for (int i = threadIdx.x; i < n; i += THREADS) turn[i] = a[(long)i * n + i];
  __syncthreads();
  tsr_rank<THREADS>(turn, order, n, false);
  for (int i = threadIdx.x; i < n; i += THREADS) values_out[matrix * n + i] = (T)turn[order[i]];
  for (long e = threadIdx.x; e < size; e += THREADS) vectors_out[matrix * size + e] = (T)v[e / n * n + order[e % n]];
}

// One-sided Jacobi: the k vectors of `a` (each `length` long, one behind the other) are turned until all are orthogonal; `v` gathers the turns, `norms` and `order`
// tell the vectors' lengths, the largest first.
template <int THREADS>
TSR void tsr_orthogonalize(double* a, double* v, double* norms, int* order, int k, int length) {
  __shared__ int turned;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, players = k + (k & 1);
  for (long e = threadIdx.x; e < (long)k * k; e += THREADS) v[e] = e / k == e % k;
  for (int sweep = 0; sweep < 60; sweep++) {
    __syncthreads();
    if (threadIdx.x == 0) turned = 0;
    __syncthreads();
    for (int round = 0; round < players - 1; round++) {
      for (int pair = warp; pair < players / 2; pair += THREADS / 32) {
        int p, q;
        tsr_meeting(players, round, pair, p, q);
        if (q >= k) continue;
        double *x = a + (long)p * length, *y = a + (long)q * length;
        double xx = 0, yy = 0, xy = 0;
        for (int i = lane; i < length; i += 32) {
          xx += x[i] * x[i];
          yy += y[i] * y[i];
          xy += x[i] * y[i];
        }
        xx = tsr_warp_sum(xx);
        yy = tsr_warp_sum(yy);
        xy = tsr_warp_sum(xy);
        if (!(fabs(xy) > 1e-15 * sqrt(xx * yy)) || xy == 0) continue;
        if (lane == 0) atomicExch(&turned, 1);
        double c, s;
        tsr_rotation((yy - xx) / (2 * xy), c, s);
        for (int i = lane; i < length; i += 32) {
          const double f = x[i], g = y[i];
          x[i] = c * f - s * g;
          y[i] = s * f + c * g;
        }
        for (int i = lane; i < k; i += 32) {
          const double f = v[(long)p * k + i], g = v[(long)q * k + i];
          v[(long)p * k + i] = c * f - s * g;
          v[(long)q * k + i] = s * f + c * g;
        }
      }
      __syncthreads();
    }
    if (turned == 0) break;
  }
  for (int j = warp; j < k; j += THREADS / 32) {
    double sum = 0;
    for (int i = lane; i < length; i += 32) sum += a[(long)j * length + i] * a[(long)j * length + i];
    sum = tsr_warp_sum(sum);
    if (lane == 0) norms[j] = sqrt(sum);
  }
  __syncthreads();
  tsr_rank<THREADS>(norms, order, k, true);
}

// Vectors of `basis` are orthonormal up to where one is 0 or `found` ends; those get values, so that all `count` are orthonormal. `parts` has room for `count` numbers.
template <int THREADS>
TSR void tsr_complete(double* basis, double* parts, int found, int count, int length) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int j = found; j < count; j++) {
    double* x = basis + (long)j * length;
    for (int axis = 0; axis < length; axis++) {
      for (int i = threadIdx.x; i < length; i += THREADS) x[i] = i == axis;
      // Twice, so that rounding does not leave a part.
      for (int pass = 0; pass < 2; pass++) {
        __syncthreads();
        for (int k = warp; k < j; k += THREADS / 32) {
          double s = 0;
          for (int i = lane; i < length; i += 32) s += x[i] * basis[(long)k * length + i];
          s = tsr_warp_sum(s);
          if (lane == 0) parts[k] = s;
        }
        __syncthreads();
        for (int i = threadIdx.x; i < length; i += THREADS) {
          double s = x[i];
          for (int k = 0; k < j; k++) s -= parts[k] * basis[(long)k * length + i];
          x[i] = s;
        }
      }
      double square = 0;
      for (int i = threadIdx.x; i < length; i += THREADS) square += x[i] * x[i];
      square = tsr_block_sum<THREADS>(square);
      // Some axis is at least this far from the span of the others.
      if (square * length < 0.5) continue;
      for (int i = threadIdx.x; i < length; i += THREADS) x[i] /= sqrt(square);
      break;
    }
    __syncthreads();
  }
}

// The vectors that a singular value decomposition turns: columns of a matrix that is not wide, rows of one that is.
template <int THREADS, typename T>
TSR void tsr_load_vectors(const T* x, double* a, int rows, int columns) {
  const long size = (long)rows * columns;
  for (long e = threadIdx.x; e < size; e += THREADS) {
    a[e] = (double)x[rows >= columns ? e % rows * columns + e / rows : e];
  }
  __syncthreads();
}

// U [rows, left], singular values in descending order, V' [right, columns].
template <int THREADS, typename T>
TSR void tsr_svd(const T* x, double* room, double* turns, double* sizes, double* long_basis, double* sums, int* places, T* u_out, T* s_out, T* vh_out, int rows, int columns, int left, int right) {
  const long matrix = blockIdx.x;
  const int k = tsr_min(rows, columns), length = tsr_max(rows, columns), count = rows >= columns ? left : right;
  double *a = room + matrix * k * length, *v = turns + matrix * k * k, *norms = sizes + matrix * k;
  double *basis = long_basis + matrix * count * length, *parts = sums + matrix * count;
  int* order = places + matrix * k;
  tsr_load_vectors<THREADS>(x + matrix * rows * columns, a, rows, columns);
  tsr_orthogonalize<THREADS>(a, v, norms, order, k, length);
  int found = 0;
  while (found < k && norms[order[found]] > 0) found++;
  for (long e = threadIdx.x; e < (long)found * length; e += THREADS) {
    const int j = order[e / length];
    basis[e] = a[(long)j * length + e % length] / norms[j];
  }
  __syncthreads();
  tsr_complete<THREADS>(basis, parts, found, count, length);
  for (int r = threadIdx.x; r < k; r += THREADS) s_out[matrix * k + r] = (T)norms[order[r]];
  T *u = u_out + matrix * rows * left, *vh = vh_out + matrix * right * columns;
  for (long e = threadIdx.x; e < (long)rows * left; e += THREADS) {
    const long i = e / left, r = e % left;
    u[e] = (T)(rows >= columns ? basis[r * length + i] : v[(long)order[r] * k + i]);
  }
  for (long e = threadIdx.x; e < (long)right * columns; e += THREADS) {
    const long r = e / columns, i = e % columns;
    vh[e] = (T)(rows >= columns ? v[(long)order[r] * k + i] : basis[r * length + i]);
  }
}

// Pseudo-inverses [columns, rows]; singular values up to max(atol, rtol * largest) count as 0. Tolerances are one, or one a matrix.
template <int THREADS, typename T, typename A, typename R>
TSR void tsr_pseudo_inverse(const T* x, const A* atol, const R* rtol, double* room, double* turns, double* sizes, int* places, T* out, int rows, int columns, long atols, long rtols) {
  const long matrix = blockIdx.x;
  const int k = tsr_min(rows, columns), length = tsr_max(rows, columns);
  double *a = room + matrix * k * length, *v = turns + matrix * k * k, *norms = sizes + matrix * k;
  int* order = places + matrix * k;
  tsr_load_vectors<THREADS>(x + matrix * rows * columns, a, rows, columns);
  tsr_orthogonalize<THREADS>(a, v, norms, order, k, length);
  const double from = k == 0 ? 0 : (double)tsr_get(rtol + matrix % rtols) * norms[order[0]];
  const double least = tsr_max((double)tsr_get(atol + matrix % atols), from);
  for (long e = threadIdx.x; e < (long)rows * columns; e += THREADS) {
    const long i = e / rows, j = e % rows, at = rows >= columns ? j : i, turn = rows >= columns ? i : j;
    double sum = 0;
    for (int r = 0; r < k; r++) {
      const int c = order[r];
      if (norms[c] > least) sum += a[(long)c * length + at] / norms[c] * v[(long)c * k + turn] / norms[c];
    }
    out[matrix * rows * columns + e] = (T)sum;
  }
}

// det(A) times the inverse of A', which singular matrices have too: with A = U S V', det(U V') U T V', where T has on its diagonal the product of the other values.
template <int THREADS, typename T>
TSR void tsr_cofactors(const T* x, double* room, double* turns, double* sizes, double* long_basis, double* sums, int* places, int* exchanges, T* out, int n) {
  const long matrix = blockIdx.x, size = (long)n * n;
  double *a = room + matrix * size, *v = turns + matrix * size, *norms = sizes + matrix * n, *u = long_basis + matrix * size, *parts = sums + matrix * n;
  int *order = places + matrix * n, *pivots = exchanges + matrix * n;
  tsr_load_vectors<THREADS>(x + matrix * size, a, n, n);
  tsr_orthogonalize<THREADS>(a, v, norms, order, n, n);
  // What is 0 but for rounding has no direction.
  const double least = n == 0 ? 0 : norms[order[0]] * n * 2.2e-16;
  int found = 0;
  while (found < n && norms[order[found]] > least) found++;
  for (long e = threadIdx.x; e < (long)found * n; e += THREADS) u[e] = a[(long)order[e / n] * n + e % n] / norms[order[e / n]];
  __syncthreads();
  tsr_complete<THREADS>(u, parts, found, n, n);
  for (int r = threadIdx.x; r < n; r += THREADS) {
    double product = 1;
    for (int i = 0; i < n; i++) product *= i == r ? 1 : i < found ? norms[order[i]] : 0;
    parts[r] = product;
  }
  for (long e = threadIdx.x; e < size; e += THREADS) {
    double sum = 0;
    for (int r = 0; r < n; r++) sum += u[(long)r * n + e / n] * v[(long)order[r] * n + e % n];
    a[e] = sum;
  }
  __syncthreads();
  tsr_eliminate<THREADS>(a, nullptr, pivots, n, n, 0, true);
  __syncthreads();
  int sign = 1;
  for (int i = 0; i < n; i++) sign *= (a[(long)i * n + i] < 0 ? -1 : 1) * (pivots[i] == i + 1 ? 1 : -1);
  for (long e = threadIdx.x; e < size; e += THREADS) {
    double sum = 0;
    for (int r = 0; r < n; r++) sum += parts[r] * u[(long)r * n + e / n] * v[(long)order[r] * n + e % n];
    out[matrix * size + e] = (T)(sign * sum);
  }
}

template <int THREADS>
TSR void tsr_square_product(const double* a, const double* b, double* out, int n) {
  for (long e = threadIdx.x; e < (long)n * n; e += THREADS) {
    double sum = 0;
    for (int k = 0; k < n; k++) sum += a[e / n * n + k] * b[(long)k * n + e % n];
    out[e] = sum;
  }
  __syncthreads();
}

// exp of a matrix: a Taylor polynomial of the scaled matrix, squared. `room` has four matrices.
template <int THREADS, typename T>
TSR void tsr_matrix_exp(const T* x, double* room, T* out, int n) {
  const long matrix = blockIdx.x, size = (long)n * n;
  double *scaled = room + matrix * 4 * size, *term = scaled + size, *sum = term + size, *next = sum + size;
  double norm = 0;
  for (int i = threadIdx.x; i < n; i += THREADS) {
    double row = 0;
    for (int j = 0; j < n; j++) row += fabs((double)x[matrix * size + (long)i * n + j]);
    norm = tsr_max(norm, row);
  }
  __shared__ double norms[THREADS];
  norms[threadIdx.x] = norm;
  __syncthreads();
  for (int i = 0; i < THREADS; i++) norm = tsr_max(norm, norms[i]);
  const bool finite = norm < __builtin_inf();
  const int squarings = finite ? tsr_max(0, (int)ceil(log2(norm == 0 ? 1 : norm)) + 2) : 0;
  for (long e = threadIdx.x; e < size; e += THREADS) {
    scaled[e] = ldexp((double)x[matrix * size + e], -squarings);
    sum[e] = term[e] = e / n == e % n;
  }
  __syncthreads();
  // The norm is at most 1/4: 16 terms reach double precision.
  for (int k = 1; k <= 16; k++) {
    tsr_square_product<THREADS>(term, scaled, next, n);
    for (long e = threadIdx.x; e < size; e += THREADS) {
      next[e] /= k;
      sum[e] += next[e];
    }
    __syncthreads();
    double* kept = term;
    term = next;
    next = kept;
  }
  for (int k = 0; k < squarings; k++) {
    tsr_square_product<THREADS>(sum, sum, next, n);
    double* kept = sum;
    sum = next;
    next = kept;
  }
  for (long e = threadIdx.x; e < size; e += THREADS) out[matrix * size + e] = (T)sum[e];
}
