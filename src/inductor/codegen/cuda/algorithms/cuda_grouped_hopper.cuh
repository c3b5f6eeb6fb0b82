// Products of groups on Hopper: one warpgroup lets the copy engine fill a ring of tiles, two multiply 64 rows each by wgmma; blocks stay, tile after tile.
template <typename T, typename O, int WIDTH, int STAGES, bool TURNED>
TSR void tsr_grouped_wgmma(
    const tsr_map* mapX, const tsr_map* mapW, const O* offs, T* out, int groups, int rows, int K, int N) {
  TSR_DYNAMIC(memory);
  __shared__ int ends[TSR_GROUPS + 1];
  constexpr int PITCH = 64 + 8, LINE = 128, aBytes = 128 * LINE, bBytes = WIDTH * LINE, stageBytes = aBytes + bBytes;
  const unsigned base = (tsr_smem(memory) + 1023) & ~1023u, barriers = base + STAGES * stageBytes;
  tsr_group_ends(ends, offs, groups, rows);
  if (threadIdx.x == 0) {
    for (int i = 0; i < STAGES; i++) {
      tsr_barrier_init(barriers + i * 16, 1);
      tsr_barrier_init(barriers + i * 16 + 8, 8);
    }
    tsr_barrier_visible();
  }
  __syncthreads();
  const int across = (N + WIDTH - 1) / WIDTH, steps = (K + 63) / 64;
  int stage = 0, phase = 0;
  tsr_group_walk t = {};
  if (threadIdx.x < 128) {
    tsr_fewer_registers<40>();
    if (threadIdx.x == 0) {
      for (int id = blockIdx.x; t.find(ends, groups, 128, across, id); id += gridDim.x) {
        if (t.group == groups) break;
        const int n0 = t.column * WIDTH;
        for (int step = 0; step < steps; step++) {
          const unsigned full = barriers + stage * 16, to = base + stage * stageBytes;
          tsr_barrier_wait(full + 8, phase ^ 1);
          tsr_barrier_expect(full, stageBytes);
          if (TURNED) tsr_box(to + aBytes, mapW, full, step * 64, n0, t.group);
          else {
#pragma unroll
            for (int i = 0; i < WIDTH / 64; i++) tsr_box(to + aBytes + i * 64 * LINE, mapW, full, n0 + i * 64, step * 64, t.group);
          }
          tsr_box(to, mapX, full, step * 64, t.row);
          if (++stage == STAGES) { stage = 0; phase ^= 1; }
        }
      }
    }
  } else {
    tsr_more_registers<232>();
    const int warp = (int)threadIdx.x / 32 - 4, lane = threadIdx.x & 31;
    T* const own = (T*)(memory + (base - tsr_smem(memory)) + STAGES * stageBytes + STAGES * 16) + warp * 16 * PITCH;
    for (int id = blockIdx.x; t.find(ends, groups, 128, across, id); id += gridDim.x) {
      const int n0 = t.column * WIDTH;
      float acc[WIDTH / 2];
      if (t.group == groups) {
#pragma unroll
        for (int i = 0; i < WIDTH / 2; i++) acc[i] = 0;
      } else {
        int before = -1;
        for (int step = 0; step < steps; step++) {
          const unsigned full = barriers + stage * 16, from = base + stage * stageBytes + warp / 4 * 64 * LINE;
          const unsigned other = base + stage * stageBytes + aBytes;
          tsr_barrier_wait(full, phase);
          tsr_wgmma_begin();
#pragma unroll
          for (int k = 0; k < 4; k++) {
            const unsigned long b = TURNED ? tsr_matrix(other + k * 32, 16, 1024) : tsr_matrix(other + k * 2048, 64 * LINE, 1024);
            tsr_wgmma_ss<0, TURNED ? 0 : 1>(acc, tsr_matrix(from + k * 32, 16, 1024), b, step > 0 || k > 0, (T*)0);
          }
          tsr_wgmma_commit();
          tsr_wgmma_wait<1>();
          if (before >= 0 && lane == 0) tsr_barrier_arrive(barriers + before * 16 + 8);
          before = stage;
          if (++stage == STAGES) { stage = 0; phase ^= 1; }
        }
        tsr_wgmma_wait<0>();
        if (before >= 0 && lane == 0) tsr_barrier_arrive(barriers + before * 16 + 8);
      }
      // Sixteen rows of 64 columns at a time through a little shared memory of the warp: stores of 16 bytes.
      const int row = t.row + warp * 16;
#pragma unroll
      for (int slab = 0; slab < WIDTH / 64; slab++) {
        T* const put = own + (lane >> 2) * PITCH + (lane & 3) * 2;
#pragma unroll
        for (int j = 0; j < 8; j++) {
          *(unsigned*)(put + j * 8) = tsr_group_pack(acc[(slab * 8 + j) * 4], acc[(slab * 8 + j) * 4 + 1], (T*)0);
          *(unsigned*)(put + 8 * PITCH + j * 8) = tsr_group_pack(acc[(slab * 8 + j) * 4 + 2], acc[(slab * 8 + j) * 4 + 3], (T*)0);
        }
        __syncwarp();
        const int n = n0 + slab * 64 + lane % 8 * 8;
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const int r = i * 4 + lane / 8;
          if (row + r < t.end && n < N) *(uint4*)(out + (long)(row + r) * N + n) = *(const uint4*)(own + r * PITCH + lane % 8 * 8);
        }
        __syncwarp();
      }
    }
  }
}
