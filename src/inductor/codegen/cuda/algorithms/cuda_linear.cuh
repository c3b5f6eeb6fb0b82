// Systems of linear equations, one block a matrix, in double: what LAPACK gives, as on the host.

// A triangular factor of matrices of which one half is read. `upper`: the other half, transposed.
template <int THREADS, typename T>
TSR void tsr_cholesky(const T* x, double* room, T* out, int* info, int n, bool upper, bool checked, long* error) {
  const long matrix = blockIdx.x;
  x += matrix * n * n;
  out += matrix * n * n;
  double* l = room + matrix * n * n;
  const long size = (long)n * n;
  for (long e = threadIdx.x; e < size; e += THREADS) {
    const long i = e / n, j = e % n;
    l[e] = j > i ? 0 : (double)x[upper ? j * n + i : e];
  }
  __syncthreads();
  int bad = 0;
  for (int j = 0; j < n && bad == 0; j++) {
    const double d = l[(long)j * n + j];
    if (!(d > 0)) {
      bad = j + 1;
      break;
    }
    const double root = sqrt(d);
    __syncthreads();
    for (int i = j + threadIdx.x; i < n; i += THREADS) l[(long)i * n + j] = i == j ? root : l[(long)i * n + j] / root;
    __syncthreads();
    const int rest = n - j - 1;
    for (long e = threadIdx.x; e < (long)rest * rest; e += THREADS) {
      const long i = j + 1 + e / rest, c = j + 1 + e % rest;
      if (c <= i) l[i * n + c] -= l[i * n + j] * l[c * n + j];
    }
    __syncthreads();
  }
  // Columns behind the minor that is not positive were not found.
  const int found = bad == 0 ? n : bad - 1;
  for (long e = threadIdx.x; e < size; e += THREADS) {
    const long i = e / n, j = e % n, column = upper ? i : j;
    out[e] = column < found ? (T)l[upper ? j * n + i : e] : (T)0;
  }
  if (threadIdx.x == 0) {
    info[matrix] = bad;
    if (checked && bad != 0) tsr_report(error, matrix, bad, 3);
  }
}

// X with T X = B for triangular T; a block has 32 columns of a matrix.
template <int THREADS, typename T>
TSR void tsr_triangular(const T* a, const T* b, double* room, T* out, int n, int m, bool upper, bool unit) {
  const int parts = (m + 31) / 32;
  const long matrix = blockIdx.x / parts;
  const int from = (int)(blockIdx.x % parts) * 32, columns = tsr_min(32, m - from);
  const T* t = a + matrix * n * n;
  double* x = room + matrix * n * m + from;
  const long at = matrix * n * m + from;
  for (long e = threadIdx.x; e < (long)n * columns; e += THREADS) x[e / columns * m + e % columns] = (double)b[at + e / columns * m + e % columns];
  __syncthreads();
  for (int step = 0; step < n; step++) {
    const int i = upper ? n - 1 - step : step;
    if (!unit) {
      for (int c = threadIdx.x; c < columns; c += THREADS) x[(long)i * m + c] /= (double)t[(long)i * n + i];
      __syncthreads();
    }
    const int rest = n - 1 - step;
    for (long e = threadIdx.x; e < (long)rest * columns; e += THREADS) {
      const long r = upper ? e / columns : i + 1 + e / columns, c = e % columns;
      x[r * m + c] -= (double)t[r * n + i] * x[(long)i * m + c];
    }
    __syncthreads();
  }
  for (long e = threadIdx.x; e < (long)n * columns; e += THREADS) {
    const long place = e / columns * m + e % columns;
    out[at + place] = (T)x[place];
  }
}

// L and U of a matrix [rows, columns] in place, with the rows of `b` [rows, m] exchanged and reduced alike. The first zero pivot, from 1.
template <int THREADS>
TSR int tsr_eliminate(double* a, double* b, int* pivots, int rows, int columns, int m, bool pivot) {
  __shared__ double heads[THREADS];
  __shared__ int places[THREADS];
  int info = 0;
  for (int j = 0; j < tsr_min(rows, columns); j++) {
    double most = -1;
    int place = j;
    for (int i = j + threadIdx.x; i < (pivot ? rows : j + 1); i += THREADS) {
      const double size = fabs(a[(long)i * columns + j]);
      if (size > most) {
        most = size;
        place = i;
      }
    }
    heads[threadIdx.x] = most;
    places[threadIdx.x] = place;
    for (int half = THREADS / 2; half > 0; half /= 2) {
      __syncthreads();
      const int o = threadIdx.x + half, own = threadIdx.x;
      if (own < half && (heads[o] > heads[own] || (heads[o] == heads[own] && places[o] < places[own]))) {
        heads[own] = heads[o];
        places[own] = places[o];
      }
    }
    __syncthreads();
    const int best = places[0];
    if (pivots != nullptr && threadIdx.x == 0) pivots[j] = best + 1;
    if (best != j) {
      for (int c = threadIdx.x; c < columns + m; c += THREADS) {
        double* p = c < columns ? a + c : b + (c - columns);
        const long step = c < columns ? columns : m;
        const double kept = p[j * step];
        p[j * step] = p[best * step];
        p[best * step] = kept;
      }
    }
    __syncthreads();
    const double head = a[(long)j * columns + j];
    __syncthreads();
    if (head == 0) {
      if (info == 0) info = j + 1;
      continue;
    }
    for (int i = j + 1 + threadIdx.x; i < rows; i += THREADS) a[(long)i * columns + j] /= head;
    __syncthreads();
    const int wide = columns - j - 1 + m;
    for (long e = threadIdx.x; e < (long)(rows - j - 1) * wide; e += THREADS) {
      const long i = j + 1 + e / wide, c = e % wide, in_a = c + j + 1;
      const double factor = a[i * columns + j];
      if (in_a < columns) a[i * columns + in_a] -= factor * a[(long)j * columns + in_a];
      else b[i * m + in_a - columns] -= factor * b[(long)j * m + in_a - columns];
    }
    __syncthreads();
  }
  return info;
}

template <int THREADS, typename T>
TSR void tsr_lu(const T* x, double* room, T* out, int* pivots, int* info, int rows, int columns, bool pivot, bool checked, long* error) {
  const long matrix = blockIdx.x, size = (long)rows * columns;
  double* a = room + matrix * size;
  for (long e = threadIdx.x; e < size; e += THREADS) a[e] = (double)x[matrix * size + e];
  __syncthreads();
  const int bad = tsr_eliminate<THREADS>(a, nullptr, pivots + matrix * tsr_min(rows, columns), rows, columns, 0, pivot);
  for (long e = threadIdx.x; e < size; e += THREADS) out[matrix * size + e] = (T)a[e];
  if (threadIdx.x == 0) {
    info[matrix] = bad;
    if (checked && bad != 0) tsr_report(error, matrix, bad, 2);
  }
}

// X with A X = B.
template <int THREADS, typename T>
TSR void tsr_solve(const T* x, const T* y, double* room, double* right, T* out, int* info, int n, int m) {
  const long matrix = blockIdx.x, size = (long)n * n, wide = (long)n * m;
  double* a = room + matrix * size;
  double* b = right + matrix * wide;
  for (long e = threadIdx.x; e < size; e += THREADS) a[e] = (double)x[matrix * size + e];
  for (long e = threadIdx.x; e < wide; e += THREADS) b[e] = (double)y[matrix * wide + e];
  __syncthreads();
  const int bad = tsr_eliminate<THREADS>(a, b, nullptr, n, n, m, true);
  for (int i = n - 1; i >= 0; i--) {
    for (int c = threadIdx.x; c < m; c += THREADS) b[(long)i * m + c] /= a[(long)i * n + i];
    __syncthreads();
    for (long e = threadIdx.x; e < (long)i * m; e += THREADS) b[e] -= a[e / m * n + i] * b[(long)i * m + e % m];
    __syncthreads();
  }
  for (long e = threadIdx.x; e < wide; e += THREADS) out[matrix * wide + e] = (T)b[e];
  if (threadIdx.x == 0) info[matrix] = bad;
}

// A copy; says where `info` is not 0.
template <typename T>
TSR void tsr_regular(const T* x, const int* info, T* out, long n, long matrices, long* error) {
  for (long i = (long)blockIdx.x * blockDim.x + threadIdx.x; i < tsr_max(n, matrices); i += (long)gridDim.x * blockDim.x) {
    if (i < n) out[i] = x[i];
    if (i < matrices && info[i] != 0) tsr_report(error, i, info[i], 2);
  }
}

// The matrix that undoes exchanges of rows; a block has one, `order` is room for its rows.
template <typename T>
TSR void tsr_permutation(const int* pivots, int* order, T* out, int rows, int k) {
  const long matrix = blockIdx.x, size = (long)rows * rows;
  order += matrix * rows;
  for (int i = threadIdx.x; i < rows; i += blockDim.x) order[i] = i;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int i = 0; i < k; i++) {
      const int other = pivots[matrix * k + i] - 1, kept = order[i];
      order[i] = order[other];
      order[other] = kept;
    }
  }
  __syncthreads();
  for (long e = threadIdx.x; e < size; e += blockDim.x) out[matrix * size + e] = (T)(order[e % rows] == (int)(e / rows) ? 1 : 0);
}

// Determinants: with `log` their signs and the logarithms of their sizes, else themselves.
template <int THREADS, typename T>
TSR void tsr_determinant(const T* x, double* room, int* pivots, T* out, T* log_out, int n) {
  const long matrix = blockIdx.x, size = (long)n * n;
  double* a = room + matrix * size;
  for (long e = threadIdx.x; e < size; e += THREADS) a[e] = (double)x[matrix * size + e];
  __syncthreads();
  pivots += matrix * n;
  tsr_eliminate<THREADS>(a, nullptr, pivots, n, n, 0, true);
  if (threadIdx.x != 0) return;
  double sign = 1, size_log = 0;
  for (int i = 0; i < n; i++) {
    const double d = a[(long)i * n + i];
    sign *= (d > 0 ? 1 : d < 0 ? -1 : d) * (pivots[i] == i + 1 ? 1 : -1);
    size_log += log(fabs(d));
  }
  if (log_out == nullptr) out[matrix] = (T)(sign == 0 ? 0 : sign * exp(size_log));
  else {
    out[matrix] = (T)sign;
    log_out[matrix] = (T)size_log;
  }
}
