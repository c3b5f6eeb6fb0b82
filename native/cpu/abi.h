// The binary interface between Tessera and a compiled CPU kernel. No system headers: compile time is a feature.
//
// A kernel is `extern "C" void name(void** args)`. Slot 0 of `args` is the `const tessera_runtime*`; the other slots are
// what the emitter decided: addresses of buffers, and 64-bit words that carry sizes, strides and scalars by value
// (tessera_long / tessera_double read them). All slots are 8 bytes, so that JavaScript fills one array of 32-bit pairs
// once and rewrites only what changed. A kernel keeps nothing of `args` after it returns.
//
// Every change to the layout of this file must raise TESSERA_ABI_VERSION: it is part of each cache key.
#ifndef TESSERA_ABI_H
#define TESSERA_ABI_H

#define TESSERA_ABI_VERSION 1
#define TESSERA_EXPORT extern "C" __attribute__((visibility("default")))

struct tessera_runtime {
  // Threads that may run a task, the calling one included; worker numbers lie in [0, num_threads).
  int num_threads;
  // Runs task(context, begin, end, worker) over disjoint ranges that cover [0, count), each at least `grain` long but for
  // the last, and returns when all are done. Called from inside a task, it runs inline on the same worker.
  void (*parallel_for)(void (*task)(void* context, long begin, long end, int worker), void* context, long count, long grain);
  // 64-byte aligned memory of at least `bytes` bytes that belongs to the calling thread, which passes its worker number
  // (0 outside tasks), until its next call of scratch.
  // The content is undefined. Null when the system has no memory left.
  void* (*scratch)(int worker, long bytes);
};

static inline long tessera_long(void* slot) { return (long)slot; }
static inline double tessera_double(void* slot) {
  double value;
  __builtin_memcpy(&value, &slot, sizeof value);
  return value;
}

#endif
