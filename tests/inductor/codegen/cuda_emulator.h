// CUDA on a processor, for tests: the threads of a block are fibers that run by turns, blocks run one after another.
//
// Barriers and shuffles hand the processor on until all have come. What the prelude does by inline PTX is written out here in C++: conversions,
// fragments of tensor cores, asynchronous copies (which are done at once).
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <functional>
#include <vector>

#define TSR_EMULATED
#define __device__
#define __global__
#define __forceinline__ inline
#define __noinline__
#define __shared__ static
#define __launch_bounds__(...)
#define __restrict__
#define __align__(n)
#define TSR_DYNAMIC(name) unsigned char* const name = emu_dynamic

struct uint2 { unsigned x, y; };
struct uint4 { unsigned x, y, z, w; };
struct emu3 { unsigned x, y, z; };
static emu3 threadIdx, blockIdx, blockDim, gridDim;
alignas(1024) static unsigned char emu_dynamic[232 * 1024];

struct EmuFiber { ucontext_t context; char* stack; bool done; };
static std::vector<EmuFiber> emu_fibers;
static ucontext_t emu_main;
static int emu_current, emu_live, emu_count, emu_generation;
static std::function<void()>* emu_body;
static int emu_warp_count[32], emu_warp_generation[32], emu_warp_live[32];
static unsigned long emu_slots[32][32][4];

static void emu_yield() {
  const int self = emu_current;
  swapcontext(&emu_fibers[self].context, &emu_main);
}
static void emu_release() { if (emu_count > 0 && emu_count == emu_live) { emu_count = 0; emu_generation++; } }
static void __syncthreads() {
  const int g = emu_generation;
  emu_count++;
  emu_release();
  while (emu_generation == g) emu_yield();
}
static void emu_warp_sync() {
  const int w = threadIdx.x / 32, g = emu_warp_generation[w];
  if (++emu_warp_count[w] == emu_warp_live[w]) { emu_warp_count[w] = 0; emu_warp_generation[w]++; }
  while (emu_warp_generation[w] == g) emu_yield();
}
static void emu_entry() {
  (*emu_body)();
  emu_fibers[emu_current].done = true;
  emu_live--;
  const int w = threadIdx.x / 32;
  emu_warp_live[w]--;
  if (emu_warp_count[w] > 0 && emu_warp_count[w] == emu_warp_live[w]) { emu_warp_count[w] = 0; emu_warp_generation[w]++; }
  emu_release();
  swapcontext(&emu_fibers[emu_current].context, &emu_main);
}
static void emu_block(int threads) {
  const size_t stack = 64 << 10;
  while ((int)emu_fibers.size() < threads) emu_fibers.push_back({{}, (char*)malloc(stack), false});
  emu_live = threads;
  emu_count = 0;
  for (int w = 0; w < 32; w++) {
    emu_warp_count[w] = 0;
    emu_warp_live[w] = threads - w * 32 > 32 ? 32 : threads - w * 32;
  }
  for (int i = 0; i < threads; i++) {
    EmuFiber& f = emu_fibers[i];
    f.done = false;
    getcontext(&f.context);
    f.context.uc_stack.ss_sp = f.stack;
    f.context.uc_stack.ss_size = stack;
    f.context.uc_link = &emu_main;
    makecontext(&f.context, emu_entry, 0);
  }
  long rounds = 0;
  while (emu_live > 0) {
    for (int i = 0; i < threads; i++) {
      if (emu_fibers[i].done) continue;
      emu_current = i;
      threadIdx = {(unsigned)i, 0, 0};
      swapcontext(&emu_main, &emu_fibers[i].context);
    }
    if (++rounds > 4000000) { fprintf(stderr, "threads of a block wait for each other\n"); abort(); }
  }
}
static void emu_launch(const int* shape, std::function<void()> body) {
  emu_body = &body;
  gridDim = {(unsigned)shape[0], (unsigned)shape[1], (unsigned)shape[2]};
  blockDim = {(unsigned)shape[3], 1, 1};
  for (unsigned z = 0; z < gridDim.z; z++)
    for (unsigned y = 0; y < gridDim.y; y++)
      for (unsigned x = 0; x < gridDim.x; x++) {
        blockIdx = {x, y, z};
        memset(emu_dynamic, 0xee, sizeof emu_dynamic);
        emu_block(shape[3]);
      }
}

template <typename T> static T emu_exchange(T v, int from) {
  const int w = threadIdx.x / 32, lane = threadIdx.x % 32;
  memcpy(&emu_slots[w][lane][0], &v, sizeof v);
  emu_warp_sync();
  T r;
  memcpy(&r, &emu_slots[w][from][0], sizeof r);
  emu_warp_sync();
  return r;
}
template <typename T> static T __shfl_xor_sync(unsigned, T v, int d) { return emu_exchange(v, (threadIdx.x % 32) ^ d); }
template <typename T> static T __shfl_up_sync(unsigned, T v, int d) {
  const int lane = threadIdx.x % 32;
  return emu_exchange(v, lane >= d ? lane - d : lane);
}
static void __threadfence() {}
template <typename T> static T atomicAdd(T* p, T v) { T old = *p; *p = old + v; return old; }
template <typename T> static T atomicCAS(T* p, T seen, T next) { T old = *p; if (old == seen) *p = next; return old; }
template <typename T> static T atomicMax(T* p, T v) { T old = *p; if (v > old) *p = v; return old; }
static unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)(((unsigned long)a * b) >> 32); }
static int __float_as_int(float x) { int r; memcpy(&r, &x, 4); return r; }
static float __int_as_float(int x) { float r; memcpy(&r, &x, 4); return r; }
static long long __double_as_longlong(double x) { long long r; memcpy(&r, &x, 8); return r; }
static double __longlong_as_double(long long x) { double r; memcpy(&r, &x, 8); return r; }

struct f16;
struct bf16;
template <typename H> struct EmuHalf;
static float emu_widen_f16(unsigned short x) { _Float16 h; memcpy(&h, &x, 2); return (float)h; }
static unsigned short emu_f16(float x) { _Float16 h = (_Float16)x; unsigned short r; memcpy(&r, &h, 2); return r; }
static unsigned short emu_bf16(float x) {
  unsigned u;
  memcpy(&u, &x, 4);
  if (x != x) return 0x7fff;
  return (unsigned short)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}
#define EMU_HALVES                                                                                         \
  static inline float tsr_widen(f16 h) { return emu_widen_f16(h.x); }                                      \
  static inline float tsr_widen(bf16 h) { return __int_as_float((int)h.x << 16); }                         \
  static inline f16 tsr_to_f16(float x) { f16 r; r.x = emu_f16(x); return r; }                             \
  static inline bf16 tsr_to_bf16(float x) { bf16 r; r.x = emu_bf16(x); return r; }

// ---- tensor cores ----
static void emu_matrix(unsigned (&r)[4], const void* p, bool turned) {
  const int w = threadIdx.x / 32, lane = threadIdx.x % 32;
  memcpy(&emu_slots[w][lane][0], &p, 8);
  emu_warp_sync();
  for (int i = 0; i < 4; i++) {
    unsigned short two[2];
    for (int h = 0; h < 2; h++) {
      const int row = turned ? (lane % 4) * 2 + h : lane / 4, column = turned ? lane / 4 : (lane % 4) * 2 + h;
      const unsigned short* from;
      memcpy(&from, &emu_slots[w][i * 8 + row][0], 8);
      two[h] = from[column];
    }
    r[i] = two[0] | (unsigned)two[1] << 16;
  }
  emu_warp_sync();
}
static void tsr_ldmatrix(unsigned (&r)[4], const void* p) { emu_matrix(r, p, false); }
static void tsr_ldmatrix_t(unsigned (&r)[4], const void* p) { emu_matrix(r, p, true); }
static unsigned emu_a[32][32][4], emu_b[32][32][2];
template <typename W> static void emu_mma(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, W widen) {
  const int w = threadIdx.x / 32, lane = threadIdx.x % 32;
  memcpy(emu_a[w][lane], a, 16);
  emu_b[w][lane][0] = b0;
  emu_b[w][lane][1] = b1;
  emu_warp_sync();
  for (int e = 0; e < 4; e++) {
    const int row = lane / 4 + (e >= 2 ? 8 : 0), column = (lane % 4) * 2 + (e & 1);
    float sum = 0;
    for (int k = 0; k < 16; k++) {
      const unsigned wa = emu_a[w][(row % 8) * 4 + (k % 8) / 2][(row >= 8) + 2 * (k >= 8)];
      const unsigned wb = emu_b[w][column * 4 + (k % 8) / 2][k >= 8];
      sum += widen((unsigned short)(wa >> (k & 1) * 16)) * widen((unsigned short)(wb >> (k & 1) * 16));
    }
    c[e] += sum;
  }
  emu_warp_sync();
}
static void tsr_mma(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, f16*) { emu_mma(c, a, b0, b1, emu_widen_f16); }
static void tsr_mma(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, bf16*) {
  emu_mma(c, a, b0, b1, [](unsigned short x) { return __int_as_float((int)x << 16); });
}
static void tsr_copy16(void* to, const void* from, bool there) { if (there) memcpy(to, from, 16); else memset(to, 0, 16); }
static void tsr_copy_commit() {}
template <int N> static void tsr_copy_wait() {}
