// Watches emulated kernels: accesses outside of what they were given, reads of shared memory that nobody wrote, misaligned vectors, and races in shared memory.
//
// A race is two accesses of different threads to a byte of shared memory, one of them a write, between which nothing orders the threads. Every thread has a
// clock; barriers hand clocks on (happens-before, as FastTrack has it). What a thread's asynchronous copies write belongs to an agent of that thread until it
// waits for them, what the copy engine writes to one agent of the block. Threads run one after the other in an order that `watch_set` chooses, so a report
// does not depend on luck, and results of several orders can be compared. Global memory is one range of addresses, of which only `watch_allow`ed parts may be touched.
//
// Of a kernel that was launched to begin before the one ahead of it has ended, every thread waits for that one before it touches global memory (but what is allowed early: no kernel
// writes it), and before it leaves: a kernel that ended without having waited would tell the next one that kernels before it have ended too.
#include "watch.h"
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <map>
#include <string>
#include <sys/mman.h>
#include <vector>

#define API extern "C" __attribute__((visibility("default")))

namespace {
typedef uint32_t Clock;
const int MOST = 1024;
const size_t UNIVERSE = 1ull << 38, GUARD = 1 << 16;

struct Range { uintptr_t from, to; };
struct Reader { int id; Clock clock; };
struct Cell { unsigned block; int writer; Clock clock; bool atomic; unsigned char next; Reader readers[4]; };
typedef std::vector<Clock> Clocks;
struct Barrier { Clocks given, published; };

unsigned char *universe, *top;
std::vector<Range> allowed;   // sorted; what the launch may touch
bool restricted = false;
std::map<uintptr_t, size_t> live;
unsigned seed = 0;
std::string kernel;
std::vector<std::string> reports;
std::map<std::string, int> seen;

int threads, agents;
unsigned blockNumber, blockAt[3];
bool overlaps = false;          // the launch may begin before the one ahead of it has ended
bool waitedPrevious[MOST];
std::vector<Range> early;       // what no kernel writes
const unsigned char *dynamicFrom, *staticFrom, *staticTo;
unsigned dynamicBytes;
std::vector<Cell> dynamicCells, staticCells;
Clock own[MOST], group[MOST], waited[MOST];
Clock engineClock;
std::vector<Clock> ofBlock;            // what all threads know of each
std::vector<std::vector<Clock>> ofWarp;  // what a warp's threads know of each other
std::vector<Clocks> ofThread;          // what a thread took from barriers; empty for most
std::map<unsigned, Barrier> barriers;

void report(const char* kind, const std::string& text, const void* code) {
  Dl_info info;
  char where[512] = "-";
  if (code && dladdr(code, &info)) snprintf(where, sizeof where, "%s+%#lx", info.dli_fname, (unsigned long)code - (unsigned long)info.dli_fbase - 1);
  const std::string key = kernel + kind + where;
  if (++seen[key] > 1) return;
  reports.push_back(kernel + "\t" + kind + "\t" + text + "\t" + where);
}
std::string who(int id) {
  if (id < threads) return "thread " + std::to_string(id);
  if (id < 2 * threads) return "a copy of thread " + std::to_string(id - threads);
  return "the copy engine";
}
std::string place(int thread) {
  return "block " + std::to_string(blockAt[0]) + "," + std::to_string(blockAt[1]) + "," + std::to_string(blockAt[2]) + ", thread " + std::to_string(thread);
}
bool isBefore(int id, Clock clock, int t) {
  if (id == t || clock <= ofBlock[id]) return true;
  if (id == threads + t && clock <= waited[t]) return true;
  if (id < 2 * threads) {
    const int mate = id < threads ? id : id - threads;
    if (mate / 32 == t / 32 && clock <= ofWarp[t / 32][id]) return true;
  }
  return !ofThread[t].empty() && clock <= ofThread[t][id];
}
Cell* cellsAt(const unsigned char* at, unsigned bytes, std::string& name) {
  if (at >= dynamicFrom && at < dynamicFrom + dynamicBytes) {
    name = "byte " + std::to_string(at - dynamicFrom) + " of dynamic shared memory";
    return &dynamicCells[at - dynamicFrom];
  }
  if (at >= staticFrom && at + bytes <= staticTo) {
    name = "byte " + std::to_string(at - staticFrom) + " of shared variables";
    return &staticCells[at - staticFrom];
  }
  return nullptr;
}
void fresh(Cell& c) {
  if (c.block == blockNumber) return;
  c.block = blockNumber;
  c.writer = -1;
  c.next = 0;
  for (Reader& r : c.readers) r.id = -1;
}
// `id` is who accesses, `t` the thread whose knowledge counts.
void touch(int id, int t, Clock clock, const unsigned char* at, unsigned bytes, int kind, const void* code) {
  std::string name;
  Cell* cells = cellsAt(at, bytes, name);
  if (!cells) return;
  for (unsigned i = 0; i < bytes; i++) {
    Cell& c = cells[i];
    fresh(c);
    if (c.writer >= 0 && !(kind == 2 && c.atomic) && !isBefore(c.writer, c.clock, t)) {
      report(kind == 0 ? "read-after-write" : "write-after-write", name + ", written by " + who(c.writer) + ", " + place(t), code);
    }
    if (kind == 0) {
      if (c.writer < 0 && id < threads) report("shared memory that nobody wrote is read", name + ", " + place(t), code);
      Reader* slot = nullptr;
      for (Reader& r : c.readers) if (r.id == id) slot = &r;
      if (!slot) slot = &c.readers[c.next++ & 3];
      *slot = {id, clock};
    } else {
      for (Reader& r : c.readers) {
        if (r.id >= 0 && !isBefore(r.id, r.clock, t)) report("write-after-read", name + ", read by " + who(r.id) + ", " + place(t), code);
        r.id = -1;
      }
      c.writer = id;
      c.clock = clock;
      c.atomic = kind == 2;
    }
  }
}
bool isAllowed(uintptr_t from, uintptr_t to) {
  if (restricted) {
    auto it = std::upper_bound(allowed.begin(), allowed.end(), from, [](uintptr_t a, const Range& r) { return a < r.from; });
    return it != allowed.begin() && to <= (--it)->to;
  }
  auto it = live.upper_bound(from);
  return it != live.begin() && (--it, to <= it->first + it->second);
}
bool isGlobal(const unsigned char* at) { return universe && at >= universe && at < universe + UNIVERSE; }

void global(int t, const unsigned char* at, unsigned bytes, int kind, const void* code) {
  if (overlaps && !waitedPrevious[t]) {
    bool fixed = false;
    for (const Range& r : early) fixed = fixed || (kind == 0 && (uintptr_t)at >= r.from && (uintptr_t)at + bytes <= r.to);
    if (!fixed) report(kind == 0 ? "a read before the wait" : "a write before the wait", std::to_string(bytes) + " bytes, " + place(t), code);
  }
  if (isAllowed((uintptr_t)at, (uintptr_t)at + bytes)) return;
  // The nearest range before it says what was meant.
  char text[160];
  uintptr_t from = 0, to = 0;
  if (restricted) {
    for (const Range& r : allowed) if (r.from <= (uintptr_t)at) { from = r.from; to = r.to; }
  } else if (auto it = live.upper_bound((uintptr_t)at); it != live.begin()) {
    --it;
    from = it->first;
    to = from + it->second;
  }
  snprintf(text, sizeof text, "%u bytes at %lld of a tensor of %llu bytes, ", bytes, (long long)((uintptr_t)at - from), (unsigned long long)(to - from));
  report(kind == 0 ? "read outside of the tensors" : "write outside of the tensors", text + place(t), code);
}

void onLaunch(int n, const unsigned char* dynamic, unsigned bytes, const unsigned char* from, const unsigned char* to) {
  threads = n;
  agents = 2 * n + 1;
  dynamicFrom = dynamic;
  dynamicBytes = bytes;
  staticFrom = from;
  staticTo = to;
  dynamicCells.assign(bytes, Cell{});
  staticCells.assign(to - from, Cell{});
  blockNumber = 0;
}
void onBlock(unsigned x, unsigned y, unsigned z) {
  blockNumber++;
  blockAt[0] = x; blockAt[1] = y; blockAt[2] = z;
  std::fill(own, own + threads, 1);
  std::fill(group, group + threads, 1);
  std::fill(waited, waited + threads, 0);
  std::fill(waitedPrevious, waitedPrevious + threads, false);
  engineClock = 0;
  ofBlock.assign(agents, 0);
  ofWarp.assign((threads + 31) / 32, std::vector<Clock>(agents, 0));
  ofThread.assign(threads, {});
  barriers.clear();
}
unsigned onOrder(unsigned i, unsigned n, unsigned turn) {
  if (seed == 0) return i;
  if (seed == 1) return n - 1 - i;
  // A walk with a step that has no factor in common with n.
  unsigned step = (seed * 2654435761u + turn * 40503u) % n | 1;
  for (;; step += 2) {
    unsigned a = step, b = n;
    while (b) { const unsigned r = a % b; a = b; b = r; }
    if (a == 1) break;
  }
  return (unsigned)(((uint64_t)i * step + seed * 97u + turn * 31u) % n);
}
void onAccess(int t, const unsigned char* at, unsigned bytes, int kind, const void* code) {
  const bool isShared = (at >= dynamicFrom && at < dynamicFrom + dynamicBytes + GUARD) || (at >= staticFrom && at < staticTo);
  if (!isShared && !isGlobal(at)) return;
  if (bytes <= 16 && (bytes & (bytes - 1)) == 0 && (uintptr_t)at % bytes != 0) {
    report("misaligned", std::to_string(bytes) + " bytes at an address that is no multiple of them, " + place(t), code);
  }
  if (isGlobal(at)) { global(t, at, bytes, kind, code); return; }
  if (at >= dynamicFrom && at < dynamicFrom + dynamicBytes + GUARD && at + bytes > dynamicFrom + dynamicBytes) {
    report("outside of shared memory", "byte " + std::to_string(at - dynamicFrom) + " of " + std::to_string(dynamicBytes) + ", " + place(t), code);
    return;
  }
  touch(t, t, own[t], at, bytes, kind, code);
}
void onMet(int warp) {
  const int from = warp < 0 ? 0 : warp * 32, to = warp < 0 ? threads : std::min(threads, from + 32);
  std::vector<Clock>& known = warp < 0 ? ofBlock : ofWarp[warp];
  for (int u = from; u < to; u++) {
    known[u] = own[u]++;
    known[threads + u] = waited[u];
  }
  if (warp < 0) {
    // What any thread took from a barrier of shared memory, all know now.
    for (int u = 0; u < threads; u++) for (size_t i = 0; i < ofThread[u].size(); i++) ofBlock[i] = std::max(ofBlock[i], ofThread[u][i]);
  } else {
    Clocks all;
    for (int u = from; u < to; u++) {
      if (ofThread[u].empty()) continue;
      all.resize(agents);
      for (int i = 0; i < agents; i++) all[i] = std::max(all[i], ofThread[u][i]);
    }
    if (!all.empty()) for (int u = from; u < to; u++) ofThread[u] = all;
  }
}
void join(Clocks& into, const Clocks& from) {
  into.resize(agents);
  for (size_t i = 0; i < from.size(); i++) into[i] = std::max(into[i], from[i]);
}
void onGive(int t, unsigned b) {
  Clocks& given = barriers[b].given;
  join(given, ofThread[t]);
  join(given, ofWarp[t / 32]);
  given[t] = own[t]++;
  given[threads + t] = std::max(given[threads + t], waited[t]);
}
void onComplete(unsigned b) { join(barriers[b].published, barriers[b].given); }
void onTake(int t, unsigned b) { join(ofThread[t], barriers[b].published); }
void onEngine(int t, const unsigned char* at, unsigned bytes, unsigned b, const void* code) {
  const Clock clock = ++engineClock;
  touch(2 * threads, t, clock, at, bytes, 1, code);
  Clocks& given = barriers[b].given;
  given.resize(agents);
  given[2 * threads] = clock;
}
void onCopy(int t, const unsigned char* at, unsigned bytes, const void* code) {
  if ((uintptr_t)at % bytes != 0) report("misaligned", "a copy to shared memory, " + place(t), code);
  touch(threads + t, t, group[t], at, bytes, 1, code);
}
void onCommit(int t) { group[t]++; }
void onWait(int t, int pending) {
  if (group[t] > (Clock)pending + 1) waited[t] = std::max(waited[t], group[t] - 1 - (Clock)pending);
}
void onArrive(int t, unsigned b) {
  Clocks& given = barriers[b].given;
  given.resize(agents);
  given[threads + t] = group[t]++;
}
void onPrevious(int t) { waitedPrevious[t] = true; }
void onLeft(int t) {
  if (overlaps && !waitedPrevious[t]) report("a thread that leaves without the wait", place(t), nullptr);
}
const tsr_watcher table = {onLaunch, onBlock, onOrder, onAccess, onMet, onGive, onComplete, onTake, onEngine, onCopy, onCommit, onWait, onArrive, onPrevious, onLeft};
}  // namespace

// ---- for the fake libcuda ----
extern "C" __attribute__((visibility("hidden"))) const tsr_watcher* watch_table() { return &table; }
extern "C" __attribute__((visibility("hidden"))) void watch_kernel(const char* name, bool early) { kernel = name; overlaps = early; }
extern "C" __attribute__((visibility("hidden"))) void* watch_allocate(size_t bytes) {
  if (!universe) {
    void* room = mmap(nullptr, UNIVERSE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) { perror("watched memory"); abort(); }
    universe = (unsigned char*)room;
    top = universe + UNIVERSE / 2;
  }
  unsigned char* const at = top;
  top += (bytes + GUARD + 511) / 512 * 512;
  if (top > universe + UNIVERSE) { fprintf(stderr, "watched memory is used up\n"); abort(); }
  live[(uintptr_t)at] = bytes;
  return at;
}
extern "C" __attribute__((visibility("hidden"))) void watch_free(void* p) {
  auto it = live.find((uintptr_t)p);
  if (it == live.end()) return;
  madvise(p, (it->second + 4095) / 4096 * 4096, MADV_DONTNEED);
  live.erase(it);
}
extern "C" __attribute__((visibility("hidden"))) void watch_copy(const void* at, size_t bytes, int kind) {
  if (bytes == 0 || !isGlobal((const unsigned char*)at) || isAllowed((uintptr_t)at, (uintptr_t)at + bytes)) return;
  if (!restricted) report(kind ? "a copy writes outside of the tensors" : "a copy reads outside of the tensors", std::to_string(bytes) + " bytes", nullptr);
}

// ---- for TypeScript ----
// The order of threads and blocks: 0 as they are numbered, 1 backwards, others mixed.
API void watch_order(unsigned s) { seed = s; }
// Pairs of addresses that the next launch may touch; a negative count allows all live allocations.
API void watch_allow(const uint64_t* pairs, int count) {
  restricted = count >= 0;
  allowed.clear();
  for (int i = 0; i < count; i++) allowed.push_back({(uintptr_t)pairs[2 * i], (uintptr_t)pairs[2 * i + 1]});
  std::sort(allowed.begin(), allowed.end(), [](const Range& a, const Range& b) { return a.from < b.from; });
}
// Pairs of addresses that the next launch may read before it has waited for the one ahead.
API void watch_early(const uint64_t* pairs, int count) {
  early.clear();
  for (int i = 0; i < count; i++) early.push_back({(uintptr_t)pairs[2 * i], (uintptr_t)pairs[2 * i + 1]});
}
// What was found since the last call: kernel, kind, text and the code (file and offset), by tabs; lines.
API uint64_t watch_reports(char* out, uint64_t room) {
  std::string all;
  for (const std::string& r : reports) all += r + "\n";
  if (out == nullptr) return all.size();
  memcpy(out, all.data(), std::min<uint64_t>(room, all.size()));
  reports.clear();
  seen.clear();
  return all.size();
}
