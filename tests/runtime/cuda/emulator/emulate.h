// Runs generated CUDA text on a processor: threads of a block take turns as fibers, blocks follow each other.
//
// Stands before a module's text, which is then C++ (the fake libnvrtc and `kernels.ts` arrange that). A fiber gives up the processor where threads work
// together: at a barrier, a shuffle, a fragment of a matrix. What a warp exchanges goes through a slot for each lane. What the prelude does by inline PTX is
// written out here: fragments of tensor cores, asynchronous copies (done at once). Everything is deterministic; data races are not found.
#define TSR_EMULATED 1
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utility>
#include "watch.h"

#define __device__
#define __host__
#define __global__
#define __forceinline__ inline
#define __noinline__  // nothing: headers of libstdc++ 13 say __attribute__((__noinline__))
#define __launch_bounds__(...)
#define __restrict__
#define __grid_constant__
#define __constant__
#define __shared__ static
#define __align__(n) alignas(n)
#define TSR_DYNAMIC(name) unsigned char* const name = tsr_dynamic_shared
#define __ldg(p) (*(p))
#define __ldcs(p) (*(p))
#define __stcs(p, v) (*(p) = (v))

struct uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
static inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
#define __ldcg(p) (*(p))
#define __stcg(p, v) (*(p) = (v))
struct dim3 { unsigned x, y, z; };
TSR_INTERNAL static dim3 threadIdx, blockIdx, blockDim, gridDim;
TSR_INTERNAL static unsigned char* tsr_dynamic_shared;

// ---- fibers ----
enum { TSR_RUNS, TSR_AT_WARP, TSR_AT_BLOCK, TSR_DONE };
struct tsr_fiber { void* sp; char* stack; dim3 thread; int state; unsigned exchange; };
TSR_INTERNAL static tsr_fiber* tsr_fibers;
TSR_INTERNAL static tsr_fiber* tsr_now;
TSR_INTERNAL static void* tsr_scheduler_sp;
TSR_INTERNAL static void (*tsr_body)(void*);
TSR_INTERNAL static void* tsr_params;
static const size_t TSR_STACK = 128 << 10;
struct alignas(64) tsr_slot { unsigned char bytes[64]; };
TSR_INTERNAL static tsr_slot tsr_slots[2][1024];

// Keeps where the running fiber is in `from`, and goes on with `to`.
#if defined(__x86_64__) && defined(__ELF__) && !defined(TSR_UCONTEXT)
extern "C" void tsr_switch(void** from, void* to) __asm__("tsr_switch_local");
__asm__(
    ".text\n.local tsr_switch_local\n.type tsr_switch_local,@function\ntsr_switch_local:\n"
    "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
    "movq %rsp, (%rdi)\nmovq %rsi, %rsp\n"
    "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n");
static void* tsr_first(char* stack, void (*start)()) {
  void** top = (void**)(((uintptr_t)stack + TSR_STACK) & ~(uintptr_t)15);
  *--top = 0;
  *--top = (void*)start;
  for (int i = 0; i < 6; i++) *--top = 0;
  return top;
}
#else
// The C library's contexts: for any processor, but each switch is a call of the system.
#include <ucontext.h>
static void tsr_switch(void** from, void* to) {
  ucontext_t own;
  *from = &own;
  swapcontext(&own, (ucontext_t*)to);
}
static void* tsr_first(char* stack, void (*start)()) {
  ucontext_t* context = (ucontext_t*)stack;
  const size_t kept = (sizeof(ucontext_t) + 63) / 64 * 64;
  getcontext(context);
  context->uc_stack.ss_sp = stack + kept;
  context->uc_stack.ss_size = TSR_STACK - kept;
  context->uc_link = nullptr;
  makecontext(context, start, 0);
  return context;
}
#endif

static void tsr_pause(int state) {
  tsr_now->state = state;
  tsr_switch(&tsr_now->sp, tsr_scheduler_sp);
}
static void tsr_start() {
  tsr_body(tsr_params);
  for (;;) tsr_pause(TSR_DONE);
}
static void tsr_prepare(tsr_fiber& f) {
  f.sp = tsr_first(f.stack, tsr_start);
  f.state = TSR_RUNS;
  f.exchange = 0;
}
static void tsr_reset_block();
static void tsr_finish_block();
static void tsr_finish_launch();
// Whether the running block was left because it waits for others, and whether blocks run again that were.
TSR_INTERNAL static bool tsr_left, tsr_again;
#ifdef TSR_WATCHED
static unsigned tsr_order(unsigned i, unsigned n, unsigned turn) { return tsr_watch ? tsr_watch->order(i, n, turn) : i; }
static void tsr_enter(bool inside) { tsr_inside = inside && tsr_watch; }
static const unsigned TSR_GUARD = 1 << 16;
#else
static unsigned tsr_order(unsigned i, unsigned, unsigned) { return i; }
static void tsr_enter(bool) {}
static const unsigned TSR_GUARD = 0;
#endif
static void tsr_run_block(int threads) {
  tsr_reset_block();
  for (int i = 0; i < threads; i++) tsr_prepare(tsr_fibers[i]);
  unsigned turn = 0;
  for (int done = 0; done < threads; turn++) {
    bool ran = false;
    for (int k = 0; k < threads; k++) {
      const int at = (int)tsr_order(k, threads, turn);
      tsr_fiber& f = tsr_fibers[at];
      if (f.state != TSR_RUNS) continue;
      ran = true;
      tsr_now = &f;
      threadIdx = f.thread;
      tsr_enter(true);
      tsr_switch(&tsr_scheduler_sp, f.sp);
      tsr_enter(false);
      if (f.state == TSR_DONE) {
        done++;
        TSR_TELL(left, at);
      }
    }
    bool released = false;
    for (int w = 0; w < threads; w += 32) {
      const int end = w + 32 < threads ? w + 32 : threads;
      int waiting = 0, others = 0;
      for (int i = w; i < end; i++) {
        if (tsr_fibers[i].state == TSR_AT_WARP) waiting++;
        else if (tsr_fibers[i].state != TSR_DONE) others++;
      }
      if (waiting == 0 || others > 0) continue;
      released = true;
      TSR_TELL(met, w / 32);
      for (int i = w; i < end; i++) if (tsr_fibers[i].state == TSR_AT_WARP) tsr_fibers[i].state = TSR_RUNS;
    }
    int waiting = 0, others = 0;
    for (int i = 0; i < threads; i++) {
      if (tsr_fibers[i].state == TSR_AT_BLOCK) waiting++;
      else if (tsr_fibers[i].state != TSR_DONE) others++;
    }
    if (waiting > 0 && others == 0) {
      released = true;
      TSR_TELL(met, -1);
      for (int i = 0; i < threads; i++) if (tsr_fibers[i].state == TSR_AT_BLOCK) tsr_fibers[i].state = TSR_RUNS;
    }
    if (!ran && !released && done < threads) {
      fprintf(stderr, "emulated CUDA: threads of a block wait for each other at different barriers\n");
      abort();
    }
  }
  tsr_finish_block();
}

// Calls a kernel with the values that `values` point to.
template <typename... A, size_t... I>
static void tsr_apply(void (*kernel)(A...), void** values, std::index_sequence<I...>) { kernel(*(A*)values[I]...); }
TSR_INTERNAL static tsr_fiber tsr_all_fibers[1024];
TSR_INTERNAL static char* tsr_stacks;
template <typename... A>
static void tsr_launch(void (*kernel)(A...), void** values, const unsigned* dims) {
  struct Call { void (*kernel)(A...); void** values; } call = {kernel, values};
  tsr_body = [](void* p) { Call* c = (Call*)p; tsr_apply(c->kernel, c->values, std::index_sequence_for<A...>{}); };
  tsr_params = &call;
  gridDim = {dims[0], dims[1], dims[2]};
  blockDim = {dims[3], dims[4], dims[5]};
  const int threads = (int)(dims[3] * dims[4] * dims[5]);
  if (!tsr_stacks) tsr_stacks = (char*)aligned_alloc(64, 1024 * TSR_STACK);
  tsr_fiber* const fibers = tsr_all_fibers;
  tsr_fibers = fibers;
  for (int i = 0; i < threads; i++) {
    fibers[i].stack = tsr_stacks + i * TSR_STACK;
    fibers[i].thread = {i % dims[3], i / dims[3] % dims[4], i / dims[3] / dims[4]};
  }
  tsr_dynamic_shared = (unsigned char*)aligned_alloc(1024, (dims[6] + TSR_GUARD + 2047) / 1024 * 1024);
  TSR_TELL(launch, threads, tsr_dynamic_shared, dims[6], &__bss_start, &_end);
  const unsigned blocks = dims[0] * dims[1] * dims[2];
  unsigned* const waiting = (unsigned*)malloc(blocks * sizeof(unsigned));
  unsigned left = 0;
  const auto run = [&](unsigned b) {
    blockIdx = {b % dims[0], b / dims[0] % dims[1], b / dims[0] / dims[1]};
    memset(tsr_dynamic_shared, 0xcd, dims[6]);
    TSR_TELL(block, blockIdx.x, blockIdx.y, blockIdx.z);
    tsr_left = false;
    tsr_run_block(threads);
    if (tsr_left) waiting[left++] = b;
  };
  for (unsigned i = 0; i < blocks; i++) run(tsr_order(i, blocks, 0));
  tsr_again = true;
  while (left > 0) {
    const unsigned all = left;
    left = 0;
    for (unsigned i = 0; i < all; i++) run(waiting[i]);
  }
  tsr_again = false;
  tsr_finish_launch();
  free(waiting);
  free(tsr_dynamic_shared);
}
// The same with arguments in words of 8 bytes, as TypeScript has them.
template <typename... A>
static void tsr_launch_words(void (*kernel)(A...), long long* words, const unsigned* dims) {
  // A tensor map is where its word says; pointers of many tensors are one parameter, and the words themselves.
  const bool isLarge[] = {(sizeof(A) > 8 && alignof(A) > 8)..., false};
  void* values[sizeof...(A) + 1];
  for (size_t i = 0; i < sizeof...(A); i++) values[i] = isLarge[i] ? (void*)words[i] : words + i;
  tsr_launch(kernel, values, dims);
}
template <typename... A>
static int tsr_sizes(void (*)(A...), int* out) {
  const int sizes[] = {(int)sizeof(A)..., 0};
  for (size_t i = 0; i < sizeof...(A); i++) out[i] = sizes[i];
  return (int)sizeof...(A);
}

// ---- warps ----
static inline int tsr_thread() { return (int)(tsr_now - tsr_fibers); }
// Publishes a value; the slots of the warp's lanes once all have.
template <typename T>
static tsr_slot* tsr_exchange(const T& v) {
  static_assert(sizeof(T) <= sizeof(tsr_slot), "too large to exchange");
  const unsigned turn = tsr_now->exchange++ & 1;
  memcpy(tsr_slots[turn][tsr_thread()].bytes, &v, sizeof v);
  tsr_pause(TSR_AT_WARP);
  return &tsr_slots[turn][tsr_thread() & ~31];
}
template <typename T>
static T tsr_from(tsr_slot* slots, int lane) {
  T v;
  memcpy(&v, slots[lane].bytes, sizeof v);
  return v;
}
static inline int tsr_lane() { return tsr_thread() & 31; }
static inline void __syncthreads() { tsr_pause(TSR_AT_BLOCK); }
static inline void __syncwarp(unsigned = ~0u) { tsr_pause(TSR_AT_WARP); }
static inline void __threadfence() {}
static inline void tsr_wait_previous() { TSR_TELL(previous, tsr_thread()); }
static inline void __threadfence_block() {}
template <typename T> static T __shfl_xor_sync(unsigned, T v, int d, int = 32) { return tsr_from<T>(tsr_exchange(v), tsr_lane() ^ d); }
template <typename T> static T __shfl_sync(unsigned, T v, int from, int width = 32) {
  return tsr_from<T>(tsr_exchange(v), (tsr_lane() & ~(width - 1)) + (from & (width - 1)));
}
template <typename T> static T __shfl_up_sync(unsigned, T v, int d, int width = 32) {
  tsr_slot* s = tsr_exchange(v);
  return (tsr_lane() & (width - 1)) < d ? v : tsr_from<T>(s, tsr_lane() - d);
}
template <typename T> static T __shfl_down_sync(unsigned, T v, int d, int width = 32) {
  tsr_slot* s = tsr_exchange(v);
  return (tsr_lane() & (width - 1)) + d >= width ? v : tsr_from<T>(s, tsr_lane() + d);
}
static inline unsigned __ballot_sync(unsigned, int p) {
  tsr_slot* s = tsr_exchange(p);
  unsigned r = 0;
  for (int i = 0; i < 32; i++) if (tsr_from<int>(s, i)) r |= 1u << i;
  return r;
}
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __clz(unsigned x) { return x == 0 ? 32 : __builtin_clz(x); }
static inline int __ffs(int x) { return __builtin_ffs(x); }

// ---- atomics: no other thread runs between two barriers ----
template <typename T> static T tsr_swap(T* p, T v) { const T old = *p; *p = v; return old; }
template <typename T> static T atomicAdd(T* p, T v) { TSR_ATOMIC; return tsr_swap(p, (T)(*p + v)); }
template <typename T> static T atomicMax(T* p, T v) { TSR_ATOMIC; return tsr_swap(p, *p > v ? *p : v); }
template <typename T> static T atomicMin(T* p, T v) { TSR_ATOMIC; return tsr_swap(p, *p < v ? *p : v); }
template <typename T> static T atomicExch(T* p, T v) { TSR_ATOMIC; return tsr_swap(p, v); }
template <typename T> static T atomicCAS(T* p, T compare, T v) { TSR_ATOMIC; return tsr_swap(p, *p == compare ? v : *p); }

// ---- bits and numbers ----
template <typename To, typename From> static inline To tsr_as(From x) { To r; memcpy(&r, &x, sizeof r); return r; }
static inline int __float_as_int(float x) { return tsr_as<int>(x); }
static inline unsigned __float_as_uint(float x) { return tsr_as<unsigned>(x); }
static inline float __int_as_float(int x) { return tsr_as<float>(x); }
static inline float __uint_as_float(unsigned x) { return tsr_as<float>(x); }
static inline long long __double_as_longlong(double x) { return tsr_as<long long>(x); }
static inline double __longlong_as_double(long long x) { return tsr_as<double>(x); }
static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)(((uint64_t)a * b) >> 32); }
#define __builtin_nanf(x) __int_as_float(0x7fc00000)
#define __builtin_nan(x) __longlong_as_double(0x7ff8000000000000ll)

struct f16;
struct bf16;
static float tsr_widen(f16 h);
static float tsr_widen(bf16 h);
static f16 tsr_to_f16(float x);
static bf16 tsr_to_bf16(float x);
static unsigned tsr_pack_f16(float a, float b);
static unsigned tsr_pack_bf16(float a, float b);

// ---- tensor cores ----
static inline unsigned short tsr_element(const void* row, int i) { return ((const unsigned short*)row)[i]; }
static inline void tsr_ldmatrix(unsigned (&r)[4], const void* p) {
  tsr_slot* s = tsr_exchange(p);
  const int lane = tsr_lane();
  for (int m = 0; m < 4; m++) {
    const void* row = tsr_from<const void*>(s, m * 8 + (lane >> 2));
    r[m] = tsr_element(row, 2 * (lane & 3)) | (unsigned)tsr_element(row, 2 * (lane & 3) + 1) << 16;
  }
  __syncwarp();
}
static inline void tsr_ldmatrix_t(unsigned (&r)[4], const void* p) {
  tsr_slot* s = tsr_exchange(p);
  const int lane = tsr_lane();
  for (int m = 0; m < 4; m++) {
    const void* first = tsr_from<const void*>(s, m * 8 + 2 * (lane & 3));
    const void* second = tsr_from<const void*>(s, m * 8 + 2 * (lane & 3) + 1);
    r[m] = tsr_element(first, lane >> 2) | (unsigned)tsr_element(second, lane >> 2) << 16;
  }
  __syncwarp();
}
struct tsr_fragments { unsigned a[4], b[2]; };
template <typename T> static float tsr_half_of(unsigned word, int i);
// Element i of a word of a fragment, as the tensor cores see it.
template <typename T> static double tsr_item(unsigned word, int i);
static inline unsigned tsr_to_tf32(unsigned x) { return (x + 0x1000) & 0xffffe000u; }
template <typename C, typename T>
static void tsr_mma(C (&c)[4], const unsigned (&a)[4], const unsigned b0, const unsigned b1, T*) {
  const int each = 4 / sizeof(T), half = 4 * each;
  const tsr_fragments own = {{a[0], a[1], a[2], a[3]}, {b0, b1}};
  tsr_slot* s = tsr_exchange(own);
  const int lane = tsr_lane();
  for (int i = 0; i < 4; i++) {
    const int row = (lane >> 2) + (i >> 1) * 8, column = 2 * (lane & 3) + (i & 1);
    for (int k = 0; k < 2 * half; k++) {
      const tsr_fragments fa = tsr_from<tsr_fragments>(s, (row & 7) * 4 + k % half / each);
      const tsr_fragments fb = tsr_from<tsr_fragments>(s, column * 4 + k % half / each);
      c[i] = (C)(c[i] + tsr_item<T>(fa.a[(row >> 3) + k / half * 2], k % each) * tsr_item<T>(fb.b[k / half], k % each));
    }
  }
  __syncwarp();
}
// 16 bytes or zeros; who writes them is told elsewhere.
static void tsr_move16(void* to, const void* from, bool there) {
#ifdef TSR_WATCHED
  if (there) tsr_watch->access(tsr_thread(), (const unsigned char*)from, 16, 0, __builtin_return_address(0));
  tsr_enter(false);
#endif
  if (there) memcpy(to, from, 16);
  else memset(to, 0, 16);
  tsr_enter(true);
}
static inline void tsr_copy16(void* to, const void* from, bool there) {
  TSR_TELL(copy, tsr_thread(), (const unsigned char*)to, 16, __builtin_return_address(0));
  tsr_move16(to, from, there);
}
static inline void tsr_copy_commit() { TSR_TELL(commit, tsr_thread()); }
template <int N> static void tsr_copy_wait() { TSR_TELL(wait, tsr_thread(), N); }
#include "emulate_hopper.h"
