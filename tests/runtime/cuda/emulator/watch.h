// What instrumented kernels tell the one that watches them (`watch.cpp`): every access to memory, and everything that orders threads.
//
// Built into a module with -DTSR_WATCHED: the compiler calls `__asan_*` before each access (kernel-address, which needs no library), and these functions
// pass it on. Threads are numbered in their block; barriers in shared memory by address, named ones from 1 to 16.
#pragma once

struct tsr_watcher {
  // A launch begins: threads of a block, bytes of dynamic shared memory and where it lies, where the module's own variables lie.
  void (*launch)(int threads, const unsigned char* dynamic, unsigned bytes, const unsigned char* statics, const unsigned char* end);
  // A block begins.
  void (*block)(unsigned x, unsigned y, unsigned z);
  // The position of the thread, or block, that comes `i`th of `n` in turn `turn`.
  unsigned (*order)(unsigned i, unsigned n, unsigned turn);
  // kind: 1 a write, 2 an atomic one. `code` is the address behind the instruction.
  void (*access)(int thread, const unsigned char* at, unsigned bytes, int kind, const void* code);
  // All threads of the block, or of a warp, have met.
  void (*met)(int warp);
  // A thread gives what it did before to a barrier; a phase of the barrier ends; a thread takes what the barrier has of its last phase.
  void (*give)(int thread, unsigned barrier);
  void (*complete)(unsigned barrier);
  void (*take)(int thread, unsigned barrier);
  // The copy engine will write to shared memory before the barrier's phase ends.
  void (*engine)(int thread, const unsigned char* at, unsigned bytes, unsigned barrier, const void* code);
  // A thread's own asynchronous copies: one begins, a group ends, all but the last `pending` groups are waited for, a barrier waits for them.
  void (*copy)(int thread, const unsigned char* at, unsigned bytes, const void* code);
  void (*commit)(int thread);
  void (*wait)(int thread, int pending);
  void (*arrive)(int thread, unsigned barrier);
  // A thread has waited for the kernel before; a thread is done.
  void (*previous)(int thread);
  void (*left)(int thread);
};

#ifdef TSR_WATCHED
extern "C" __attribute__((visibility("hidden"))) const unsigned char __bss_start, _end;
// The emulator's own variables, which are no shared memory.
#define TSR_INTERNAL __attribute__((section("tsr_internal")))
TSR_INTERNAL static const tsr_watcher* tsr_watch = nullptr;
// Volatile: the compiler believes that its own calls read no variables.
TSR_INTERNAL static volatile bool tsr_inside = false;  // a thread of a kernel runs
TSR_INTERNAL static volatile int tsr_in_atomic = 0;
extern "C" __attribute__((visibility("default"))) void tsr_watched_by(const tsr_watcher* w) { tsr_watch = w; }
static int tsr_thread();
#define TSR_PLAIN extern "C" __attribute__((no_sanitize_address, visibility("hidden"))) void
#define TSR_TOLD(bytes, kind) if (tsr_inside) tsr_watch->access(tsr_thread(), (const unsigned char*)p, bytes, kind, __builtin_return_address(0))
#define TSR_ACCESSES(n) \
  TSR_PLAIN __asan_load##n##_noabort(void* p) { TSR_TOLD(n, tsr_in_atomic); } \
  TSR_PLAIN __asan_store##n##_noabort(void* p) { TSR_TOLD(n, tsr_in_atomic ? 2 : 1); }
TSR_ACCESSES(1) TSR_ACCESSES(2) TSR_ACCESSES(4) TSR_ACCESSES(8) TSR_ACCESSES(16)
TSR_PLAIN __asan_loadN_noabort(void* p, long n) { TSR_TOLD(n, tsr_in_atomic); }
TSR_PLAIN __asan_storeN_noabort(void* p, long n) { TSR_TOLD(n, tsr_in_atomic ? 2 : 1); }
TSR_PLAIN __asan_handle_no_return() {}
TSR_PLAIN __asan_before_dynamic_init(const void*) {}
TSR_PLAIN __asan_after_dynamic_init() {}
#define TSR_TELL(what, ...) if (tsr_watch) tsr_watch->what(__VA_ARGS__)
#define TSR_ATOMIC struct tsr_during { tsr_during() { tsr_in_atomic = 2; } ~tsr_during() { tsr_in_atomic = 0; } } during
#else
#define TSR_TELL(what, ...)
#define TSR_INTERNAL
#define TSR_ATOMIC
#endif
