// The thread pool behind tessera_runtime::parallel_for. One process-wide pool of detached threads, no system headers.
//
// One 64-bit word, the gate, is the whole protocol: [ epoch : 31 | closed : 1 | workers inside : 32 ]. The caller opens a
// new epoch, takes chunks itself, and when no chunk is left closes the gate and waits for the workers inside. A worker
// enters by compare-and-swap on the word it saw, so it can never enter a job that was closed meanwhile, and a job never
// waits for a worker that sleeps. Workers spin for some tens of microseconds after a job, then sleep on a futex.
//
// The library is linked with `-z nodelete`: workers sit in its code until the process ends, whatever dlclose says.
#include "abi.h"

extern "C" {
int pthread_create(unsigned long* thread, const void* attributes, void* (*start)(void*), void* argument);
int pthread_detach(unsigned long thread);
int pthread_key_create(unsigned* key, void (*destructor)(void*));
int pthread_setspecific(unsigned key, const void* value);
int sched_yield(void);
int posix_memalign(void** out, unsigned long alignment, unsigned long bytes);
void free(void* memory);
#ifdef __linux__
long syscall(long number, ...);
void* mmap(void* address, unsigned long bytes, int protection, int flags, int file, long offset);
int munmap(void* address, unsigned long bytes);
#else
int __ulock_wait(unsigned operation, void* address, unsigned long long value, unsigned microseconds);
int __ulock_wake(unsigned operation, void* address, unsigned long long value);
#endif
}

namespace {

typedef unsigned long long word;

constexpr int kMaxThreads = 512;
constexpr word kClosed = 1ull << 32;
constexpr word kEpoch = 1ull << 33;
constexpr word kInside = kClosed - 1;

struct alignas(128) Padded {
  word value;
};

Padded gate = {kClosed};
Padded next_index = {0};
// Futex word: changes with every job. `sleepers` says whether anybody must be woken.
alignas(128) int signal_word = 0;
int sleepers = 0;
alignas(128) int caller_lock = 0;
alignas(128) int started = 0;

// The job. Written before the gate opens, read only by those inside.
void (*job_task)(void*, long, long, int);
void* job_context;
long job_count;
long job_chunk;

tessera_runtime runtime;

__thread int worker_number = 0;
__thread int inside_task = 0;
__thread void* scratch_memory = nullptr;
__thread long scratch_bytes = 0;
unsigned scratch_key;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

inline void sleep_on(int* address, int expected) {
#if defined(__linux__) && defined(__x86_64__)
  syscall(202, address, 128 /* FUTEX_WAIT | PRIVATE */, expected, nullptr, nullptr, 0);
#elif defined(__linux__)
  syscall(98, address, 128, expected, nullptr, nullptr, 0);
#else
  __ulock_wait(1 /* UL_COMPARE_AND_WAIT */, address, (unsigned)expected, 0);
#endif
}

inline void wake_all(int* address) {
#if defined(__linux__) && defined(__x86_64__)
  syscall(202, address, 129 /* FUTEX_WAKE | PRIVATE */, 0x7fffffff, nullptr, nullptr, 0);
#elif defined(__linux__)
  syscall(98, address, 129, 0x7fffffff, nullptr, nullptr, 0);
#else
  __ulock_wake(0x101 /* UL_COMPARE_AND_WAIT | ULF_WAKE_ALL */, address, 0);
#endif
}

// Takes chunks until none is left.
void work(int worker) {
  const long count = job_count, chunk = job_chunk;
  inside_task = 1;
  for (;;) {
    const long begin = (long)__atomic_fetch_add(&next_index.value, (word)chunk, __ATOMIC_RELAXED);
    if (begin >= count) break;
    const long end = begin + chunk < count ? begin + chunk : count;
    job_task(job_context, begin, end, worker);
  }
  inside_task = 0;
}

void* worker_main(void* argument) {
  const int worker = (int)(long)argument;
  worker_number = worker;
  word seen = 0;
  for (;;) {
    const int signal = __atomic_load_n(&signal_word, __ATOMIC_SEQ_CST);
    bool found = false;
    for (int spin = 0; spin < 4000; spin++) {
      word now = __atomic_load_n(&gate.value, __ATOMIC_ACQUIRE);
      if (!(now & kClosed) && now / kEpoch != seen && worker < __atomic_load_n(&runtime.num_threads, __ATOMIC_RELAXED)) {
        if (__atomic_compare_exchange_n(&gate.value, &now, now + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
          seen = now / kEpoch;
          work(worker);
          __atomic_fetch_sub(&gate.value, 1, __ATOMIC_RELEASE);
          found = true;
          break;
        }
      }
      relax();
    }
    if (found) continue;
    __atomic_fetch_add(&sleepers, 1, __ATOMIC_SEQ_CST);
    // A job that came since `signal` was read has changed the word: the futex returns at once.
    sleep_on(&signal_word, signal);
    __atomic_fetch_sub(&sleepers, 1, __ATOMIC_SEQ_CST);
  }
  return nullptr;
}

void parallel_for(void (*task)(void*, long, long, int), void* context, long count, long grain) {
  if (count <= 0) return;
  if (grain < 1) grain = 1;
  const int threads = runtime.num_threads;
  if (inside_task || threads <= 1 || count <= grain) {
    task(context, 0, count, worker_number);
    return;
  }
  // Two callers at once (a non-blocking call beside the main thread) take turns.
  for (int spin = 0; __atomic_exchange_n(&caller_lock, 1, __ATOMIC_ACQUIRE); spin++) {
    if (spin < 1000) relax();
    else sched_yield();
  }
  // Four chunks a thread even out what the system takes away from one of them; fewer would wait, more would contend.
  const long even = (count + 4l * threads - 1) / (4l * threads);
  job_task = task;
  job_context = context;
  job_count = count;
  job_chunk = even > grain ? even : grain;
  __atomic_store_n(&next_index.value, 0, __ATOMIC_RELAXED);
  const word epoch = __atomic_load_n(&gate.value, __ATOMIC_RELAXED) / kEpoch + 1;
  __atomic_store_n(&gate.value, epoch * kEpoch, __ATOMIC_RELEASE);
  __atomic_fetch_add(&signal_word, 1, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&sleepers, __ATOMIC_SEQ_CST) > 0) wake_all(&signal_word);
  work(worker_number);
  __atomic_fetch_or(&gate.value, kClosed, __ATOMIC_ACQ_REL);
  for (int spin = 0; __atomic_load_n(&gate.value, __ATOMIC_ACQUIRE) & kInside; spin++) {
    // A worker that lost its core needs ours to finish.
    if (spin < 4000) relax();
    else sched_yield();
  }
  __atomic_store_n(&caller_lock, 0, __ATOMIC_RELEASE);
}

// Straight from the system, and back to it: what the C library frees it may keep, and a kernel that needs much is followed by one that needs more.
void* take_pages(unsigned long bytes) {
#ifdef __linux__
  void* memory = mmap(nullptr, bytes, 3 /* read and write */, 0x22 /* private, anonymous */, -1, 0);
  return memory == (void*)-1 ? nullptr : memory;
#else
  void* memory = nullptr;
  return posix_memalign(&memory, 64, bytes) ? nullptr : memory;
#endif
}

// Called by a thread that grows its memory, and when it ends.
void give_pages(void* memory) {
#ifdef __linux__
  if (memory != nullptr) munmap(memory, (unsigned long)scratch_bytes);
#else
  free(memory);
#endif
}

void* scratch(int, long bytes) {
  if (bytes > scratch_bytes) {
    const unsigned long rounded = ((unsigned long)bytes + 4095) & ~4095ul;
    give_pages(scratch_memory);
    scratch_memory = nullptr;
    scratch_bytes = 0;
    void* memory = take_pages(rounded);
    pthread_setspecific(scratch_key, memory);
    if (memory == nullptr) return nullptr;
    scratch_memory = memory;
    scratch_bytes = (long)rounded;
  }
  return scratch_memory;
}

}  // namespace

// args[0] receives the const tessera_runtime*, args[1] holds the number of threads wished for and receives the number there
// is. Called again, it resizes: threads beyond the number stay asleep.
TESSERA_EXPORT void tessera_pool_configure(void** args) {
  for (int spin = 0; __atomic_exchange_n(&caller_lock, 1, __ATOMIC_ACQUIRE); spin++) sched_yield();
  long threads = tessera_long(args[1]);
  if (threads < 1) threads = 1;
  if (threads > kMaxThreads) threads = kMaxThreads;
  if (started == 0) {
    pthread_key_create(&scratch_key, give_pages);
    runtime.parallel_for = parallel_for;
    runtime.scratch = scratch;
    started = 1;
  }
  while (started < threads) {
    unsigned long thread;
    if (pthread_create(&thread, nullptr, worker_main, (void*)(long)started) != 0) break;
    pthread_detach(thread);
    started++;
  }
  if (threads > started) threads = started;
  __atomic_store_n(&runtime.num_threads, (int)threads, __ATOMIC_RELAXED);
  args[0] = &runtime;
  args[1] = (void*)threads;
  __atomic_store_n(&caller_lock, 0, __ATOMIC_RELEASE);
}

// Measures the pool: args[1] is an empty kernel's dispatch count. Every dispatch hands one index to each thread.
TESSERA_EXPORT void tessera_pool_spin(void** args) {
  const tessera_runtime* pool = (const tessera_runtime*)args[0];
  for (long i = tessera_long(args[1]); i > 0; i--) {
    pool->parallel_for([](void*, long, long, int) {}, nullptr, pool->num_threads, 1);
  }
}
