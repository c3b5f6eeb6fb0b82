// A program of its own that runs a kept plan: what `tessera run` becomes once everything is known. No JavaScript engine is in memory then, only libraries, weights and activations.
//
// The job comes as an open file whose number is the argument: 64-bit words, texts (length, bytes, padding to 8) and plain data, written and checked by
// `src/runtime/cpu/plan_runner.ts`, which says what follows what. Files are mapped privately: what the program writes of them stays here. Kernels get their arguments as abi.h says.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef long long word;

namespace {

constexpr word kMagic = 0x4e5552535345;
constexpr word kHugeBytes = 4 << 20;
constexpr word kPage = 4096;

[[noreturn]] void fail(const char* what, const char* why) {
  fprintf(stderr, "tessera: %s%s%s\n", what, why == nullptr ? "" : ": ", why == nullptr ? "" : why);
  exit(1);
}

double now_ms() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

struct Job {
  const char* at;
  const char* end;

  const char* take(word bytes) {
    if (bytes < 0 || bytes > end - at) fail("the job of a kept plan ends too early", nullptr);
    const char* start = at;
    at += bytes;
    return start;
  }
  word number() {
    word value;
    memcpy(&value, take(8), 8);
    return value;
  }
  // A number from 0 to `most`.
  word count(word most = (word)1 << 40) {
    const word n = number();
    if (n < 0 || n > most) fail("the job of a kept plan is damaged", nullptr);
    return n;
  }
  // Ends with a zero, which is part of its padding.
  const char* text() {
    const word length = count();
    const char* start = take((length + 8) / 8 * 8);
    if (start[length] != 0) fail("the job of a kept plan is damaged", nullptr);
    return start;
  }
};

template <class T>
struct List {
  T* items = nullptr;
  word size = 0;
  void make(word n) {
    size = n;
    items = (T*)calloc(n == 0 ? 1 : n, sizeof(T));
    if (items == nullptr) fail("out of memory", nullptr);
  }
  T& operator[](word i) {
    if (i < 0 || i >= size) fail("the job of a kept plan names what does not exist", nullptr);
    return items[i];
  }
};

struct Block {
  char* start;
  word bytes;
  char* at(word offset, word length) {
    if (offset < 0 || length < 0 || offset > bytes || length > bytes - offset) {
      fail("the job of a kept plan reaches beyond its memory", nullptr);
    }
    return start + offset;
  }
};

// Zeros, as they come from the system; large ones in large pages.
char* fresh(word bytes) {
  if (bytes == 0) bytes = 1;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    char text[80];
    snprintf(text, sizeof text, "cpu is out of memory: asked for %lld bytes", bytes);
    fail(text, "use smaller batches");
  }
  if (bytes >= kHugeBytes) madvise(memory, bytes / kPage * kPage, MADV_HUGEPAGE);
  return (char*)memory;
}

Block map_file(const char* path, int fd, word size, word inode, word changed_ms) {
  if (fd < 0) fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat info;
  if (fd < 0 || fstat(fd, &info) != 0) fail(path, strerror(errno));
  const word changed = (word)info.st_mtim.tv_sec * 1000 + info.st_mtim.tv_nsec / 1000000;
  if (size >= 0 && (info.st_size != size || (inode != 0 && (word)info.st_ino != inode) || changed != changed_ms)) {
    fail(path, "it was changed while it was opened; run again");
  }
  Block made = {nullptr, info.st_size};
  if (made.bytes > 0) {
    void* memory = mmap(nullptr, made.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (memory == MAP_FAILED) fail(path, strerror(errno));
    made.start = (char*)memory;
  }
  close(fd);
  return made;
}

// A strided layout of elements in a block.
struct Layout {
  char* start;
  word bytes, rank, count;
  List<word> shape, stride;
};

Layout read_layout(Job& job, List<Block>& blocks) {
  Layout l;
  Block& block = blocks[job.count()];
  const word offset = job.count();
  l.bytes = job.count(16);
  l.rank = job.count(64);
  l.count = 1;
  l.shape.make(l.rank);
  l.stride.make(l.rank);
  word reach = 1;
  for (word d = 0; d < l.rank; d++) l.count *= l.shape[d] = job.count();
  for (word d = 0; d < l.rank; d++) reach += (l.shape[d] - 1) * (l.stride[d] = job.count());
  l.start = l.count == 0 ? block.start : block.at(offset, reach * l.bytes);
  return l;
}

// Walks over the innermost rows of a layout, in row-major order.
template <class Visit>
void each_row(Layout& l, Visit visit) {
  if (l.count == 0) return;
  const word inner = l.rank == 0 ? 1 : l.shape[l.rank - 1], step = l.rank == 0 ? 1 : l.stride[l.rank - 1];
  List<word> index;
  index.make(l.rank);
  char* at = l.start;
  for (word done = 0; done < l.count; done += inner) {
    visit(at, inner, step * l.bytes);
    for (word d = l.rank - 2; d >= 0; d--) {
      at += l.stride[d] * l.bytes;
      if (++index[d] < l.shape[d]) break;
      at -= l.shape[d] * l.stride[d] * l.bytes;
      index[d] = 0;
    }
  }
  free(index.items);
}

// The elements one behind the other, in parts; `take` gets each part.
template <class Take>
void in_order(Layout& l, Take take) {
  char buffer[16384];
  word filled = 0;
  each_row(l, [&](char* row, word count, word step) {
    if (step == l.bytes && count * l.bytes >= 4096) {
      if (filled > 0) take(buffer, filled);
      filled = 0;
      take(row, count * l.bytes);
      return;
    }
    for (word i = 0; i < count; i++) {
      if (filled + l.bytes > (word)sizeof buffer) {
        take(buffer, filled);
        filled = 0;
      }
      memcpy(buffer + filled, row + i * step, l.bytes);
      filled += l.bytes;
    }
  });
  if (filled > 0) take(buffer, filled);
}

struct Copy {
  Layout from, to;
};

void copy_elements(Copy& c) {
  // Where the two overlap, all is read before anything is written.
  char* whole = (char*)malloc(c.from.count * c.from.bytes + 1);
  if (whole == nullptr) fail("out of memory", nullptr);
  word filled = 0;
  in_order(c.from, [&](const char* part, word bytes) {
    memcpy(whole + filled, part, bytes);
    filled += bytes;
  });
  const char* at = whole;
  const word size = c.to.bytes;
  each_row(c.to, [&](char* row, word count, word step) {
    for (word i = 0; i < count; i++, at += size) memcpy(row + i * step, at, size);
  });
  free(whole);
}

void write_all(int fd, const char* bytes, word count, const char* path, bool beside) {
  while (count > 0) {
    const long n = write(fd, bytes, count);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int why = errno;
      if (beside) unlink(path);
      fail(path, strerror(why));
    }
    bytes += n;
    count -= n;
  }
}

word peak_bytes() {
  FILE* file = fopen("/proc/self/status", "re");
  if (file == nullptr) return 0;
  char line[256];
  word kilobytes = 0;
  while (fgets(line, sizeof line, file) != nullptr) sscanf(line, "VmHWM: %lld", &kilobytes);
  fclose(file);
  return kilobytes * 1024;
}

int ascending(const void* a, const void* b) {
  const double x = *(const double*)a, y = *(const double*)b;
  return x < y ? -1 : x > y;
}

double quantile(const List<double>& sorted, double q) {
  const word at = (word)(sorted.size * q);
  return sorted.items[at < sorted.size ? at : sorted.size - 1];
}

// Prints a text in which a 1, a letter and a format stand for a number that is known only now.
void print_report(const char* text, const double* values) {
  for (const char* c = text; *c != 0; c++) {
    if (*c != 1 || c[1] < 'a' || c[1] > 'z' || c[2] == 0) {
      putchar(*c);
      continue;
    }
    const double value = values[c[1] - 'a'];
    c += 2;
    if (*c == 'b') printf("%.0f", value);
    else if (*c == 'j') printf("%.4f", value);
    else if (value < 10) printf("%.3f ms", value);
    else printf("%.1f ms", value);
  }
  putchar('\n');
  if (fflush(stdout) != 0) fail("the report cannot be written to standard output", strerror(errno));
}

typedef void (*Kernel)(void**);

}  // namespace

int main(int argc, char** argv) {
  const double started = now_ms();
  if (argc != 2) fail("this program is run by `tessera run`", nullptr);
  Block whole = map_file("the job of a kept plan", atoi(argv[1]), -1, 0, 0);
  Job job = {whole.start, whole.start + whole.bytes};
  if (job.number() != kMagic) fail("the job of a kept plan is damaged", nullptr);

  const char* pool_path = job.text();
  const char* library_path = job.text();
  const word threads = job.count();
  List<Block> files;
  files.make(job.count() + 1);
  files[0] = whole;
  for (word i = 1; i < files.size; i++) {
    const char* path = job.text();
    const word size = job.count(), inode = job.number(), changed = job.number();
    files[i] = map_file(path, -1, size, inode, changed);
  }

  enum { kMapped, kCopied, kFresh };
  List<Block> blocks;
  blocks.make(job.count());
  for (word i = 0; i < blocks.size; i++) {
    const word kind = job.count(kFresh), file = job.count(), offset = job.count(), bytes = job.count();
    Block made = {nullptr, bytes};
    if (kind == kFresh) made.start = fresh(bytes);
    else made.start = files[file].at(offset, bytes);
    if (kind == kCopied) made.start = (char*)memcpy(fresh(bytes), made.start, bytes);
    blocks[i] = made;
  }

  List<void*> args;
  args.make(job.count());
  for (word n = job.count(); n > 0; n--) {
    const word position = job.count();
    Block& block = blocks[job.count()];
    const word offset = job.count();
    args[position] = block.at(offset, 0);
  }
  word error[3] = {0, 0, 0};
  args[job.count()] = error;
  // The first word of a packed weight says whether the next call packs it.
  struct State {
    word* at;
    word value;
  };
  auto read_states = [&](List<State>& states) {
    states.make(job.count());
    for (word i = 0; i < states.size; i++) {
      Block& block = blocks[job.count()];
      const word offset = job.count();
      states[i] = {(word*)block.at(offset, 8), job.number()};
    }
  };
  List<State> first_states, states;
  read_states(first_states);
  read_states(states);
  for (word i = 0; i < first_states.size; i++) *first_states[i].at = first_states[i].value;

  List<Kernel> kernels;
  kernels.make(job.count());
  void* pool = dlopen(pool_path, RTLD_NOW | RTLD_LOCAL);
  if (pool == nullptr) fail(pool_path, dlerror());
  void* library = dlopen(library_path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) fail(library_path, dlerror());
  for (word i = 0; i < kernels.size; i++) {
    const char* name = job.text();
    kernels[i] = (Kernel)dlsym(library, name);
    if (kernels[i] == nullptr) fail(library_path, name);
  }
  const Kernel configure = (Kernel)dlsym(pool, "tessera_pool_configure");
  if (configure == nullptr) fail(pool_path, dlerror());
  void* configured[2] = {nullptr, (void*)threads};
  configure(configured);
  args[0] = configured[0];

  List<Copy> copies;
  copies.make(job.count());
  for (word i = 0; i < copies.size; i++) {
    copies[i].from = read_layout(job, blocks);
    copies[i].to = read_layout(job, blocks);
    if (copies[i].from.count != copies[i].to.count || copies[i].from.bytes != copies[i].to.bytes) {
      fail("the job of a kept plan is damaged", nullptr);
    }
  }
  const char* out_path = job.text();
  const char* part_path = job.text();
  const word header_bytes = job.count();
  const char* header = job.take((header_bytes + 7) / 8 * 8);
  List<Layout> results;
  results.make(job.count());
  for (word i = 0; i < results.size; i++) results[i] = read_layout(job, blocks);
  const word condition_size = job.number();
  List<const char*> conditions;
  conditions.make(job.count());
  for (word i = 0; i < conditions.size; i++) conditions[i] = job.text();
  const word calls = job.count(), warm_calls = job.count(), warm_ms = job.count();
  const double opening_ms = job.number() / 1e3;
  const double peak_before = job.number();
  const char* report = job.text();

  auto call = [&] {
    for (word i = 0; i < states.size; i++) *states[i].at = states[i].value;
    for (word i = 0; i < kernels.size; i++) {
      kernels[i](args.items);
      if (error[2] == 0) continue;
      char text[160];
      if (error[2] == 2) {
        snprintf(text, sizeof text, "cpu is out of memory: a kernel asked for %lld bytes", error[0]);
        fail(text, "use smaller batches");
      }
      const word broken = -error[0] - condition_size - 1;
      if (error[1] == condition_size && broken >= 0 && broken < conditions.size) fail(conditions[broken], nullptr);
      snprintf(text, sizeof text, "an index is %lld, but the dimension it selects from has %lld elements", error[0], error[1]);
      fail(text, nullptr);
    }
    for (word i = 0; i < copies.size; i++) copy_elements(copies[i]);
  };

  double values[26] = {0};
  const double opened = now_ms();
  call();
  values['f' - 'a'] = now_ms() - opened;
  if (out_path[0] != 0) {
    // Without a place beside it, it is a device or a pipe, which is written to as it is.
    const bool beside = part_path[0] != 0;
    const char* path = beside ? part_path : out_path;
    const int fd = open(path, O_WRONLY | O_CLOEXEC | (beside ? O_CREAT | O_EXCL : 0), 0666);
    if (fd < 0) fail(path, strerror(errno));
    write_all(fd, header, header_bytes, path, beside);
    for (word i = 0; i < results.size; i++) {
      in_order(results[i], [&](const char* part, word bytes) { write_all(fd, part, bytes, path, beside); });
    }
    if (close(fd) != 0 || (beside && rename(part_path, out_path) != 0)) {
      const int why = errno;
      if (beside) unlink(part_path);
      fail(out_path, strerror(why));
    }
  }
  if (calls > 0) {
    const double begin = now_ms();
    for (word i = 0; i < warm_calls && now_ms() - begin < warm_ms; i++) call();
    List<double> times;
    times.make(calls);
    for (word i = 0; i < calls; i++) {
      const double start = now_ms();
      call();
      times[i] = now_ms() - start;
    }
    qsort(times.items, calls, sizeof(double), ascending);
    values['m' - 'a'] = quantile(times, 0.5);
    values['l' - 'a'] = quantile(times, 0.1);
    values['h' - 'a'] = quantile(times, 0.9);
  }
  values['o' - 'a'] = opening_ms + opened - started;
  values['r' - 'a'] = fmax(peak_before, peak_bytes());
  print_report(report, values);
  // Threads of the pool sit in its code: nothing is unloaded.
  _exit(0);
}
