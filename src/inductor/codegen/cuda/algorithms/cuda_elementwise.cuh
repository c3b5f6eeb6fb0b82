// Functions of one element whose loops end where they converge, and draws of distributions: in double, step by step what the host does.

// ---- incomplete gamma functions ----
static __device__ __noinline__ double tsr_incomplete_gamma(double a, double x, bool upper) {
  const double nan = __builtin_nan(""), inf = __builtin_inf();
  if (a != a || x != x || a < 0 || x < 0) return nan;
  if (a == 0) return x > 0 ? (upper ? 0 : 1) : nan;
  if (x == 0) return upper ? 1 : 0;
  if (a == inf) return x == inf ? nan : (upper ? 1 : 0);
  if (x == inf) return upper ? 0 : 1;
  const double scale = exp(a * log(x) - x - lgamma(a));
  if (x < a + 1) {
    double term = 1 / a, sum = term;
    for (int n = 1; n < 10000 && fabs(term) > 1e-17 * fabs(sum); n++) sum += term *= x / (a + n);
    const double lower = sum * scale;
    return upper ? 1 - lower : lower;
  }
  // Lentz's evaluation of the continued fraction of the upper one.
  double b = x + 1 - a, c = 1e300, d = 1 / b, h = d;
  for (int n = 1; n < 10000; n++) {
    const double an = -n * (n - a);
    b += 2;
    d = an * d + b;
    if (fabs(d) < 1e-300) d = 1e-300;
    c = b + an / c;
    if (fabs(c) < 1e-300) c = 1e-300;
    d = 1 / d;
    const double step = d * c;
    h *= step;
    if (fabs(step - 1) < 1e-16) break;
  }
  const double tail = scale * h;
  return upper ? tail : 1 - tail;
}

// The derivative of a gamma variable by its shape.
static __device__ __noinline__ double tsr_gamma_slope(double a, double x) {
  if (!(a > 0) || !(x >= 0)) return __builtin_nan("");
  if (x == 0) return 0;
  const double l = log(x) - tsr_digamma(a);
  if (x < a + 1) {
    double term = 1 / a, slope = -1 / (a * a), harmonic = 1 / a, sum = term, sums = slope;
    for (int n = 1; n < 100000 && term * harmonic > 1e-17 * fabs(sums); n++) {
      term *= x / (a + n);
      harmonic += 1 / (a + n);
      slope = -term * harmonic;
      sum += term;
      sums += slope;
    }
    return -x * (l * sum + sums);
  }
  double b = x + 1 - a, c = 1e300, d = 1 / b, h = d, cs = 0, ds = d * d, hs = ds;
  for (int n = 1; n < 100000; n++) {
    const double an = -n * (n - a);
    b += 2;
    const double next = 1 / (an * d + b);
    ds = -next * next * (n * d + an * ds - 1);
    d = next;
    cs = -1 + n / c - an * cs / (c * c);
    c = b + an / c;
    const double step = d * c, steps = ds * c + d * cs;
    hs = hs * step + h * steps;
    h *= step;
    if (fabs(step - 1) < 1e-15 && fabs(steps) < 1e-14) break;
  }
  return x * (l * h + hs);
}

// ---- orthogonal polynomials of degree n; NaN and a report where the recurrence would be too long ----
template <typename Step>
TSR double tsr_recur(double n, double first, long* error, Step step) {
  if (n < 0) return 0;
  if (n == 0) return 1;
  double before = 1, current = first;
  for (long k = 1; k < n && current == current; k++) {
    if (k > 1 << 20) {
      tsr_report(error, (long)n, 0, 6);
      return __builtin_nan("");
    }
    const double next = step((double)k, current, before);
    before = current;
    current = next;
  }
  return current;
}
// Chebyshev's: twice x times the last, less the one before. High degrees between -1 and 1 are `angle`'s, at the ends every other value goes up by one step.
template <typename Angle>
TSR double tsr_doubling(double x, double n, double first, long* error, Angle angle) {
  const auto step = [=](double, double a, double b) { return 2 * x * a - b; };
  if (n > 8 && fabs(x) < 1) return angle(acos(x));
  if (n > 8 && fabs(x) == 1) {
    const double start = fmod(n, 2.0) == 0 ? 2 : 1, low = tsr_recur(start, first, error, step);
    return low + (tsr_recur(start + 2, first, error, step) - low) * ((n - start) / 2);
  }
  return tsr_recur(n, first, error, step);
}
TSR double tsr_chebyshev_t(double x, double n, long* e) { return tsr_doubling(x, n, x, e, [=](double a) { return cos(n * a); }); }
TSR double tsr_chebyshev_u(double x, double n, long* e) { return tsr_doubling(x, n, 2 * x, e, [=](double a) { return sin((n + 1) * a) / sin(a); }); }
TSR double tsr_chebyshev_v(double x, double n, long* e) { return tsr_doubling(x, n, 2 * x - 1, e, [=](double a) { return cos((n + 0.5) * a) / cos(a / 2); }); }
TSR double tsr_chebyshev_w(double x, double n, long* e) { return tsr_doubling(x, n, 2 * x + 1, e, [=](double a) { return sin((n + 0.5) * a) / sin(a / 2); }); }
TSR double tsr_hermite_h(double x, double n, long* e) {
  return n > 512 ? __builtin_nan("") : tsr_recur(n, 2 * x, e, [=](double k, double a, double b) { return 2 * x * a - 2 * k * b; });
}
TSR double tsr_hermite_he(double x, double n, long* e) {
  return n > 512 ? __builtin_nan("") : tsr_recur(n, x, e, [=](double k, double a, double b) { return x * a - k * b; });
}
TSR double tsr_laguerre_l(double x, double n, long* e) {
  return tsr_recur(n, 1 - x, e, [=](double k, double a, double b) { return ((2 * k + 1 - x) * a - k * b) / (k + 1); });
}
TSR double tsr_legendre_p(double x, double n, long* e) {
  return tsr_recur(n, x, e, [=](double k, double a, double b) { return ((2 * k + 1) * x * a - k * b) / (k + 1); });
}

// The Hurwitz zeta function by Euler and Maclaurin's formula.
static __device__ __noinline__ double tsr_zeta(double s, double q) {
  const double nan = __builtin_nan(""), inf = __builtin_inf();
  if (s != s || q != q) return nan;
  if (s == 1) return inf;
  if (s < 1) return nan;
  if (q <= 0) {
    if (q == floor(q)) return inf;
    if (s != floor(s)) return nan;
  }
  double sum = 0, at = q;
  for (int k = 0; k < 12 || at < 12; k++, at += 1) {
    const double term = pow(at, -s);
    sum += term;
    if (fabs(term) < 1e-18 * fabs(sum)) return sum;
  }
  const double tail = pow(at, -s);
  sum += tail * at / (s - 1) + tail / 2;
  // B_2k / (2k)!
  const double bernoulli[] = {1.0 / 12, -1.0 / 720, 1.0 / 30240, -1.0 / 1209600, 1.0 / 47900160, -691 / 1307674368000.0, 1 / 74724249600.0};
  double factor = tail * s / at;
  for (int k = 0; k < 7; k++) {
    sum += bernoulli[k] * factor;
    factor *= (s + 2 * k + 1) * (s + 2 * k + 2) / (at * at);
  }
  return sum;
}

// ---- distributions: an element has a sequence of random words of its own ----
struct tsr_uniform {
  long seed, stream, at, step;
  __device__ __forceinline__ double operator()() {
    const unsigned word = tsr_philox(seed, stream, at);
    at += step;
    return (word + 0.5) / 4294967296.0;
  }
};

static __device__ __noinline__ double tsr_poisson(double rate, tsr_uniform uniform) {
  if (!(rate > 0)) return 0;
  if (rate < 10) {
    const double limit = exp(-rate);
    double product = uniform(), count = 0;
    while (product > limit) {
      product *= uniform();
      count++;
    }
    return count;
  }
  const double b = 0.931 + 2.53 * sqrt(rate), a = -0.059 + 0.02483 * b;
  const double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4), sure = 0.9277 - 3.6224 / (b - 2);
  // No rate that is finite refuses for long; one that is not would for ever.
  for (int round = 0; round < 1 << 16; round++) {
    const double u = uniform() - 0.5, v = uniform(), us = 0.5 - fabs(u);
    const double k = floor((2 * a / us + b) * u + rate + 0.43);
    if (us >= 0.07 && v <= sure) return k;
    if (k < 0 || (us < 0.013 && v > us)) continue;
    const double bound = -rate + k * log(rate) - lgamma(k + 1);
    if (log(v) + log(inverse_alpha) - log(a / (us * us) + b) <= bound) return k;
  }
  return __builtin_nan("");
}

static __device__ __noinline__ double tsr_binomial(double trials, double given, tsr_uniform uniform) {
  const double count = floor(trials);
  if (!(count > 0) || !(given > 0)) return given != given ? given : 0;
  if (given >= 1) return count;
  const bool turned = given > 0.5;
  const double prob = turned ? 1 - given : given;
  if (!(prob > 0)) return count;
  if (count * prob < 10) {
    // Distances between successes are geometric.
    double sum = 0, successes = 0;
    for (;;) {
      sum += ceil(log(uniform()) / log1p(-prob));
      if (sum > count) return turned ? count - successes : successes;
      successes++;
    }
  }
  const double spread = sqrt(count * prob * (1 - prob)), b = 1.15 + 2.53 * spread, a = -0.0873 + 0.0248 * b + 0.01 * prob;
  const double centre = count * prob + 0.5, sure = 0.92 - 4.2 / b, odds = prob / (1 - prob), alpha = (2.83 + 5.1 / b) * spread;
  const double mode = floor((count + 1) * prob);
  const auto likelihood = [=](double k) { return k * log(odds) - lgamma(k + 1) - lgamma(count - k + 1); };
  for (int round = 0; round < 1 << 16; round++) {
    const double u = uniform() - 0.5, v = uniform(), us = 0.5 - fabs(u);
    const double k = floor((2 * a / us + b) * u + centre);
    bool taken = us >= 0.07 && v <= sure;
    if (!taken) {
      if (k < 0 || k > count) continue;
      taken = log(v * alpha / (a / (us * us) + b)) <= likelihood(k) - likelihood(mode);
    }
    if (taken) return turned ? count - k : k;
  }
  return __builtin_nan("");
}

static __device__ __noinline__ double tsr_gamma_variate(double given, tsr_uniform uniform) {
  if (!(given > 0)) return given == 0 ? 1e-38 : __builtin_nan("");
  // Below 1, a gamma of one more times a power of a uniform number.
  const double shape = given < 1 ? given + 1 : given, d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
  for (;;) {
    const double radius = sqrt(-2 * log(uniform())), x = radius * cos(6.283185307179586 * uniform()), y = 1 + c * x;
    if (y <= 0) continue;
    const double v = y * y * y;
    if (log(uniform()) < 0.5 * x * x + d - d * v + d * log(v)) {
      const double drawn = given < 1 ? d * v * pow(uniform(), 1 / given) : d * v;
      return drawn > 1e-38 ? drawn : 1e-38;
    }
  }
}
