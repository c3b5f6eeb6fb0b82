// Attention by mma.sync: a block has BM queries, walks the keys in tiles of BN, and never stores a score (Dao, 2023).
//
// Scores and sums are in float32, with exponentials to base 2; probabilities are rounded to the half type for the second product, as they lie in the
// fragments of the first. Tiles of keys and values are copied one step ahead. Rows have 8 elements more than they need, for banks.

// What is added to a score, in units of base 2: what is finite stays finite.
TSR float tsr_attention_bias(float x) {
  const float y = x * 1.44269504088896f;
  return y < -3.4028234e38f && x > -__builtin_inff() ? -3.4028234e38f : y;
}
TSR float tsr_attention_bias(int keep) { return keep != 0 ? 0.f : -__builtin_inff(); }

// Rows of a matrix to shared memory, zeros beyond its `rows` and `width`.
template <typename T, int ROWS, int W, int THREADS, bool VECTOR, typename I>
TSR void tsr_attention_rows(T* to, const T* from, I rows, int width, I rowStride, I columnStride) {
  if (VECTOR) {
    constexpr int all = ROWS * (W / 8);
// More at a time cost registers that the products need.
#pragma unroll 2
    for (int i = 0; i < (all + THREADS - 1) / THREADS; i++) {
      const int at = i * THREADS + (int)threadIdx.x, r = at / (W / 8), c = at % (W / 8) * 8;
      const bool there = (I)r < rows && c < width;
      if (all % THREADS == 0 || at < all) tsr_copy16(to + r * (W + 8) + c, there ? from + (I)r * rowStride + c : from, there);
    }
  } else {
    for (int at = threadIdx.x; at < ROWS * W; at += THREADS) {
      const int r = at / W, c = at % W;
      T x;
      x.x = 0;
      if ((I)r < rows && c < width) x = from[(I)r * rowStride + (I)c * columnStride];
      to[r * (W + 8) + c] = x;
    }
  }
}

// A warp's scores of one tile of keys. What is not FULL has no more than `here` keys.
template <typename T, int MI, int BN, int D, bool FULL>
TSR void tsr_attention_scores(float (&s)[MI][BN / 8][4], const T* sq, const T* kt, int wm, int here) {
  const int lane = threadIdx.x & 31;
#pragma unroll
  for (int x = 0; x < D; x += 16) {
    unsigned fa[MI][4];
#pragma unroll
    for (int i = 0; i < MI; i++) tsr_ldmatrix(fa[i], sq + (wm + i * 16 + (lane & 15)) * (D + 8) + x + (lane >> 4) * 8);
#pragma unroll
    for (int j = 0; j < BN / 16; j++) {
      if (!FULL && j * 16 >= here) break;
      unsigned fb[4];
      tsr_ldmatrix(fb, kt + (j * 16 + (lane & 7) + ((lane >> 4) << 3)) * (D + 8) + x + ((lane >> 3) & 1) * 8);
#pragma unroll
      for (int i = 0; i < MI; i++) {
        tsr_mma(s[i][2 * j], fa[i], fb[0], fb[1], (T*)0);
        tsr_mma(s[i][2 * j + 1], fa[i], fb[2], fb[3], (T*)0);
      }
    }
  }
}

// Adds what a tile's values sum up to, weighted by the probabilities that stand where scores did.
template <typename T, int MI, int BN, int E, bool FULL>
TSR void tsr_attention_sums(float (&acc)[MI][E / 8][4], const float (&s)[MI][BN / 8][4], const T* vt, int here) {
  const int lane = threadIdx.x & 31;
#pragma unroll
  for (int x = 0; x < BN / 16; x++) {
    if (!FULL && x * 16 >= here) break;
    unsigned fa[MI][4];
#pragma unroll
    for (int i = 0; i < MI; i++) {
#pragma unroll
      for (int u = 0; u < 4; u++) {
        fa[i][u] = tsr_pack(s[i][2 * x + (u >> 1)][(u & 1) * 2], s[i][2 * x + (u >> 1)][(u & 1) * 2 + 1], (T*)0);
      }
    }
#pragma unroll
    for (int j = 0; j < E / 16; j++) {
      unsigned fb[4];
      tsr_ldmatrix_t(fb, vt + (x * 16 + (lane & 7) + ((lane >> 3) & 1) * 8) * (E + 8) + j * 16 + (lane >> 4) * 8);
#pragma unroll
      for (int i = 0; i < MI; i++) {
        tsr_mma(acc[i][2 * j], fa[i], fb[0], fb[1], (T*)0);
        tsr_mma(acc[i][2 * j + 1], fa[i], fb[2], fb[3], (T*)0);
      }
    }
  }
}

// One step of softmax for 16 rows of a warp: scores become probabilities, and what was summed before is brought to the same largest score.
template <int N, int E>
TSR void tsr_attention_softmax(float (&s)[N][4], float (&acc)[E][4], float (&top)[2], float (&sum)[2], float unit) {
#pragma unroll
  for (int h = 0; h < 2; h++) {
    float most = top[h];
#pragma unroll
    for (int j = 0; j < N; j++) most = fmaxf(most, fmaxf(s[j][2 * h], s[j][2 * h + 1]));
    most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1));
    most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2));
    const float base = most == -__builtin_inff() ? 0.f : most * unit, factor = tsr_power2(top[h] * unit - base);
    float total = 0;
    top[h] = most;
#pragma unroll
    for (int j = 0; j < N; j++) {
#pragma unroll
      for (int u = 2 * h; u < 2 * h + 2; u++) total += s[j][u] = tsr_power2(s[j][u] * unit - base);
    }
    sum[h] = sum[h] * factor + total;
#pragma unroll
    for (int j = 0; j < E; j++) {
      acc[j][2 * h] *= factor;
      acc[j][2 * h + 1] *= factor;
    }
  }
}

// VECTOR: bits for query, key, value and result. PLAIN: nothing is added to scores and the scale is positive.
template <typename T, int D, int E, int BM, int BN, int WARPS, int VECTOR, bool CAUSAL, bool PLAIN, typename I, typename Bias>
TSR void tsr_attention(unsigned char* room, const T* q, const T* k, const T* v, T* o, I qr, I qc, I kr, I kc, I vr, I vc, I orow, I oc,
                       I m0, I rows, I keys, int d, int e, float scale, Bias bias) {
  constexpr int MI = BM / (16 * WARPS), THREADS = WARPS * 32, W = D > E ? D : E;
  T* const sq = (T*)room;
  T* const sk = sq + BM * (W + 8);
  T* const sv = sk + 2 * BN * (D + 8);
  const int lane = threadIdx.x & 31, wm = (int)(threadIdx.x >> 5) * 16 * MI;
  const I end = CAUSAL ? tsr_min(keys, m0 + (I)BM) : keys;
  const I steps = (end + (BN - 1)) / BN;
  tsr_attention_rows<T, BM, D, THREADS, (VECTOR & 1) != 0, I>(sq, q + m0 * qr, rows - m0, d, qr, qc);
  if (steps > 0) {
    tsr_attention_rows<T, BN, D, THREADS, (VECTOR & 2) != 0, I>(sk, k, keys, d, kr, kc);
    tsr_attention_rows<T, BN, E, THREADS, (VECTOR & 4) != 0, I>(sv, v, keys, e, vr, vc);
  }
  tsr_copy_commit();
  float acc[MI][E / 8][4] = {}, top[MI][2], sum[MI][2];
#pragma unroll
  for (int i = 0; i < MI; i++) {
    top[i][0] = top[i][1] = -__builtin_inff();
    sum[i][0] = sum[i][1] = 0;
  }
  const float unit = PLAIN ? scale : 1.f;
  for (I step = 0; step < steps; step++) {
    const int now = (int)(step & 1);
    const I n0 = step * BN;
    tsr_copy_wait<0>();
    __syncthreads();
    if (step + 1 < steps) {
      tsr_attention_rows<T, BN, D, THREADS, (VECTOR & 2) != 0, I>(sk + (now ^ 1) * BN * (D + 8), k + (n0 + BN) * kr, keys - n0 - BN, d, kr, kc);
      tsr_attention_rows<T, BN, E, THREADS, (VECTOR & 4) != 0, I>(sv + (now ^ 1) * BN * (E + 8), v + (n0 + BN) * vr, keys - n0 - BN, e, vr, vc);
    }
    tsr_copy_commit();
    // What the whole warp would compute for nobody: rows behind the last, keys that come later than its rows.
    if (m0 + wm >= rows || (CAUSAL && n0 > m0 + (wm + 16 * MI - 1))) continue;
    const int here = (int)tsr_min(keys - n0, (I)BN);
    const T* const kt = sk + now * BN * (D + 8);
    const T* const vt = sv + now * BN * (E + 8);
    float s[MI][BN / 8][4] = {};
    if (here == BN) tsr_attention_scores<T, MI, BN, D, true>(s, sq, kt, wm, here);
    else tsr_attention_scores<T, MI, BN, D, false>(s, sq, kt, wm, here);
    const bool edge = n0 + BN > keys || (CAUSAL && n0 + (BN - 1) > m0 + wm);
    if (!PLAIN || edge) {
#pragma unroll
      for (int i = 0; i < MI; i++) {
#pragma unroll
        for (int j = 0; j < BN / 8; j++) {
#pragma unroll
          for (int h = 0; h < 2; h++) {
            const I row = m0 + wm + i * 16 + (lane >> 2) + h * 8, column = n0 + j * 8 + (lane & 3) * 2;
            float added[2] = {0, 0};
            if (!PLAIN && row < rows && column < keys) bias(row, column, added);
#pragma unroll
            for (int u = 0; u < 2; u++) {
              float& x = s[i][j][2 * h + u];
              const bool seen = column + u < keys && (!CAUSAL || column + u <= row);
              x = !seen ? -__builtin_inff() : PLAIN ? x : x * scale + added[u];
            }
          }
        }
      }
    }
#pragma unroll
    for (int i = 0; i < MI; i++) tsr_attention_softmax(s[i], acc[i], top[i], sum[i], unit);
    if (here == BN) tsr_attention_sums<T, MI, BN, E, true>(acc, s, vt, here);
    else tsr_attention_sums<T, MI, BN, E, false>(acc, s, vt, here);
  }
  tsr_copy_wait<0>();
  __syncthreads();
#pragma unroll
  for (int i = 0; i < MI; i++) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
      float all = sum[i][h];
      all += __shfl_xor_sync(0xffffffffu, all, 1);
      all += __shfl_xor_sync(0xffffffffu, all, 2);
      // Who sees no key gets zeros.
      const float one = all == 0 ? 0.f : 1.f / all;
      T* const to = sq + (wm + i * 16 + h * 8 + (lane >> 2)) * (E + 8) + (lane & 3) * 2;
#pragma unroll
      for (int j = 0; j < E / 8; j++) *(unsigned*)(to + j * 8) = tsr_pack(acc[i][j][2 * h] * one, acc[i][j][2 * h + 1] * one, (T*)0);
    }
  }
  __syncthreads();
  constexpr int run = (VECTOR & 8) != 0 ? 8 : 1;
  for (int at = threadIdx.x; at < BM * (E / run); at += THREADS) {
    const int r = at / (E / run), c = at % (E / run) * run;
    if (m0 + r >= rows || c >= e) continue;
    T* const to = o + (m0 + r) * orow + (I)c * oc;
    const T* const from = sq + r * (E + 8) + c;
    if (run == 8) *(uint4*)to = *(const uint4*)from;
    else *to = *from;
  }
}
