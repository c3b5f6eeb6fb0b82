// A driver library without a device, for tests of the calls into one.
//
// Device memory is host memory, streams run at once, and the only kernels are those below and those of libraries that the fake libnvrtc of
// emulator/ made. Every function has the name and the parameters of cuda.h; compile with -DWITH_CUDA_H to have the compiler compare them. `fake_*` functions steer it.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <unistd.h>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#ifdef WITH_CUDA_H
#include <cuda.h>
#else
typedef int CUresult;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st* CUcontext;
typedef struct CUstream_st* CUstream;
typedef struct CUevent_st* CUevent;
typedef struct CUmod_st* CUmodule;
typedef struct CUfunc_st* CUfunction;
typedef struct CUlib_st* CUlibrary;
typedef struct CUkern_st* CUkernel;
typedef struct CUgraph_st* CUgraph;
typedef struct CUgraphNode_st* CUgraphNode;
typedef struct CUgraphExec_st* CUgraphExec;
typedef struct CUmemPoolHandle_st* CUmemoryPool;
typedef int CUdevice_attribute, CUmemPool_attribute, CUfunction_attribute, CUjit_option, CUlibraryOption, CUpointer_attribute;
typedef int CUstreamCaptureMode, CUstreamCaptureStatus, CUtensorMapDataType, CUtensorMapInterleave, CUtensorMapSwizzle;
typedef int CUtensorMapL2promotion, CUtensorMapFloatOOBfill;
typedef uint64_t cuuint64_t;
typedef uint32_t cuuint32_t;
struct CUtensorMap { uint64_t words[16]; };
struct CUmemLocation { int type; int id; };
struct CUmemPoolProps { int allocType; int handleTypes; CUmemLocation location; void* security; size_t maxSize; unsigned char reserved[56]; };
struct CUmemAccessDesc { CUmemLocation location; int flags; };
struct CUlaunchAttribute { int id; char pad[4]; union { char bytes[64]; struct { unsigned x, y, z; } clusterDim; int cooperative; } value; };
struct CUlaunchConfig {
  unsigned gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes;
  CUstream hStream;
  CUlaunchAttribute* attrs;
  unsigned numAttrs;
};
struct CUDA_KERNEL_NODE_PARAMS {
  CUfunction func;
  unsigned gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes;
  void** kernelParams;
  void** extra;
  CUkernel kern;
  CUcontext ctx;
};
struct CUDA_MEMSET_NODE_PARAMS { CUdeviceptr dst; size_t pitch; unsigned value, elementSize; size_t width, height; };
typedef int CUgraphNodeType;
struct CUDA_KERNEL_NODE_PARAMS_v1;
struct CUgraphExecUpdateResultInfo;
#endif

#ifdef WATCHED
// Every access of emulated kernels is checked (emulator/watch.cpp); machine code stays in this folder.
struct tsr_watcher;
extern "C" const tsr_watcher* watch_table();
extern "C" void watch_kernel(const char*, bool);
extern "C" void* watch_allocate(size_t);
extern "C" void watch_free(void*);
extern "C" void watch_copy(const void*, size_t, int kind);
#else
static void* watch_allocate(size_t bytes) { return aligned_alloc(512, (bytes + 511) / 512 * 512); }
static void watch_free(void* p) { free(p); }
static void watch_copy(const void*, size_t, int) {}
static void watch_kernel(const char*, bool) {}
#endif
#define API extern "C" __attribute__((visibility("default")))
#define R(x) (CUresult)(x)
static const CUresult OK = R(0), BAD = R(1), NO_ROOM = R(2), NOT_READY = R(600);

namespace {
typedef void (*Entry)(void** values, const unsigned* dims);
// What may be asked for at a launch: 48 KiB less 8 that are the kernel's own.
struct Function { std::string name; int shared = 40960; Entry entry = nullptr; std::vector<int> sizes; };
struct Library { void* handle = nullptr; };
struct Launch { Function* fn; unsigned dims[7]; std::vector<char> values; unsigned cluster = 0; unsigned cooperative = 0; unsigned overlap = 0; };
struct Op { int kind; Launch launch; CUdeviceptr to, from; size_t bytes; int value; Op* before = nullptr; };
struct Graph { std::vector<Op*> ops; };
struct Exec { std::map<Op*, Op> copies; std::vector<Op*> order; };
struct Stream { Graph* graph = nullptr; Op* last = nullptr; };
struct Event { bool recorded = false; };

int devices = 1, version = 13000, initStatus = 0, sticky = 0;
int capability = 90;
bool held = false, pools = true;
int fill = 0xcd;  // what new memory holds
size_t capacity = 1ull << 30, used = 0;
std::map<CUdeviceptr, size_t> sizes;
unsigned log_[64];  // what the last launch was, for tests
uint64_t calls[8];
int64_t alive[2];
CUcontext current = nullptr;
char contexts[16];

// The sizes of each kernel's parameters, as a real driver reads them from the code.
std::vector<int> paramSizes(const std::string& name) {
  if (name == "axpy") return {8, 8, 4, 4};
  if (name == "kinds") return {8, 4, 4, 8, 4, 8, 128};
  return {};
}

void run(const Launch& l) {
  const char* v = l.values.data();
  if (l.fn->entry) {
    // Values stand one after the other, and are used at addresses that suit every type.
    std::vector<char> room(l.values.size() + (l.fn->sizes.size() + 1) * 64);
    std::vector<void*> values;
    char* at = (char*)(((uintptr_t)room.data() + 63) & ~(uintptr_t)63);
    for (int size : l.fn->sizes) {
      memcpy(at, v, size);
      values.push_back(at);
      at += (size + 63) / 64 * 64;
      v += size;
    }
    watch_kernel(l.fn->name.c_str(), l.overlap != 0);
    l.fn->entry(values.data(), l.dims);
    return;
  }
  if (l.fn->name == "axpy") {
    float *x, *y, a;
    int n;
    memcpy(&x, v, 8); memcpy(&y, v + 8, 8); memcpy(&a, v + 16, 4); memcpy(&n, v + 20, 4);
    for (int i = 0; i < n; i++) y[i] += a * x[i];
  } else if (l.fn->name == "kinds") {
    char* to;
    memcpy(&to, v, 8);
    memcpy(to, v, l.values.size());
  } else if (l.fn->name == "fault") {
    sticky = 700;
  }
}

void run(const Op& op) {
  if (op.kind == 0) run(op.launch);
  if (op.kind == 1) {
    watch_copy((void*)op.from, op.bytes, 0);
    watch_copy((void*)op.to, op.bytes, 1);
    memcpy((void*)op.to, (void*)op.from, op.bytes);
  }
  if (op.kind == 2) {
    watch_copy((void*)op.to, op.bytes, 1);
    memset((void*)op.to, op.value, op.bytes);
  }
}

CUresult send(CUstream stream, Op op) {
  if (sticky) return R(sticky);
  if (!current) return R(201);
  Stream* s = (Stream*)stream;
  if (s->graph) {
    Op* kept = new Op(op);
    kept->before = s->graph->ops.empty() ? nullptr : s->graph->ops.back();
    s->graph->ops.push_back(kept);
    s->last = kept;
    return OK;
  }
  run(op);
  return OK;
}

Launch pack(CUfunction f, const unsigned* dims, void** params) {
  Launch l;
  l.fn = (Function*)f;
  memcpy(l.dims, dims, sizeof l.dims);
  int i = 0;
  for (int size : l.fn->entry ? l.fn->sizes : paramSizes(l.fn->name)) {
    const char* from = (const char*)params[i++];
    l.values.insert(l.values.end(), from, from + size);
  }
  return l;
}

CUresult allocate(CUdeviceptr* out, size_t bytes) {
  if (sticky) return R(sticky);
  if (!current) return R(201);
  if (used + bytes > capacity) return NO_ROOM;
  void* p = watch_allocate(bytes);
  memset(p, fill, bytes);
  used += bytes;
  sizes[(CUdeviceptr)p] = bytes;
  *out = (CUdeviceptr)p;
  return OK;
}

CUresult release(CUdeviceptr p) {
  if (!sizes.count(p)) return BAD;
  used -= sizes[p];
  sizes.erase(p);
  watch_free((void*)p);
  return OK;
}
}  // namespace

API void fake_reset() { devices = 1; version = 13000; initStatus = 0; sticky = 0; held = false; pools = true; capacity = 1ull << 30; memset(calls, 0, sizeof calls); }
API void fake_set(int what, double value) {
  if (what == 0) devices = (int)value;
  if (what == 1) version = (int)value;
  if (what == 2) initStatus = (int)value;
  if (what == 3) capacity = (size_t)value;
  if (what == 4) held = value != 0;
  if (what == 5) pools = value != 0;
  if (what == 6) sticky = (int)value;
  if (what == 7) fill = (int)value;
  if (what == 8) capability = (int)value;
}
// A process of its own is steered by its environment: `FAKE_CUDA="version=12040 cuDevicePrimaryCtxRetain=46"`. Names of functions give their status.
static int given(const char* name) {
  const char* all = getenv("FAKE_CUDA");
  const char* at = all ? strstr(all, name) : nullptr;
  return at && at[strlen(name)] == '=' ? atoi(at + strlen(name) + 1) : -1;
}
static CUresult refusal(const char* name) { const int status = given(name); return status > 0 ? R(status) : OK; }
__attribute__((constructor)) static void settle() {
  const char* names[] = {"devices", "version", "initStatus"};
  for (int i = 0; i < 3; i++) if (given(names[i]) >= 0) fake_set(i, given(names[i]));
  if (given("capability") > 0) fake_set(8, given("capability"));
}
API void fake_last_launch(unsigned* out) { memcpy(out, log_, sizeof log_); }
API double fake_used() { return (double)used; }
// Recorded graphs that can run, and loaded code.
API double fake_alive(int what) { return (double)alive[what]; }

API CUresult cuInit(unsigned flags) { return R(initStatus); }
API CUresult cuDriverGetVersion(int* out) { *out = version; return OK; }
API CUresult cuGetErrorName(CUresult e, const char** out) { return BAD; }
API CUresult cuGetErrorString(CUresult e, const char** out) { if ((int)e == 700) { *out = "an illegal memory access was encountered"; return OK; } return BAD; }
API CUresult cuDeviceGetCount(int* out) { if (CUresult refused = refusal("cuDeviceGetCount"); (int)refused) return refused; *out = devices; return OK; }
API CUresult cuDeviceGet(CUdevice* out, int i) { *out = i; return i < devices ? OK : R(101); }
API CUresult cuDeviceGetName(char* out, int n, CUdevice d) { strncpy(out, "Fake H100", n); return OK; }
API CUresult cuDeviceTotalMem_v2(size_t* out, CUdevice d) { *out = capacity; return OK; }
API CUresult cuDeviceGetAttribute(int* out, CUdevice_attribute a, CUdevice d) {
  switch ((int)a) {
    case 75: *out = capability / 10; return OK;
    case 76: *out = capability % 10; return OK;
    // A number that no device has: what is kept on disk for this one is no machine code of a real one.
    case 16: *out = capability < 90 ? 107 : 131; return OK;
    case 97: *out = capability < 90 ? 166912 : 232448; return OK;
    case 115: *out = pools; return OK;
    case 127: return BAD;
    default: *out = 1; return OK;
  }
}
API CUresult cuDeviceCanAccessPeer(int* out, CUdevice a, CUdevice b) { *out = 1; return OK; }
API CUresult cuDevicePrimaryCtxRetain(CUcontext* out, CUdevice d) { if (CUresult refused = refusal("cuDevicePrimaryCtxRetain"); (int)refused) return refused; *out = (CUcontext)&contexts[d]; return OK; }
API CUresult cuDevicePrimaryCtxRelease_v2(CUdevice d) { return OK; }
API CUresult cuCtxSetCurrent(CUcontext c) { current = c; return OK; }
API CUresult cuCtxPushCurrent_v2(CUcontext c) { current = c; return OK; }
API CUresult cuCtxPopCurrent_v2(CUcontext* c) { return OK; }
API CUresult cuCtxSynchronize() { return R(sticky); }
API CUresult cuCtxEnablePeerAccess(CUcontext c, unsigned f) { return R(704); }
API CUresult cuCtxGetStreamPriorityRange(int* least, int* greatest) { *least = 0; *greatest = -5; return OK; }
API CUresult cuStreamCreateWithPriority(CUstream* out, unsigned f, int p) { if (CUresult refused = refusal("cuStreamCreateWithPriority"); (int)refused) return refused; if (f != 1) return BAD; *out = (CUstream) new Stream; log_[40] = p; return current ? OK : R(201); }
API CUresult cuStreamDestroy_v2(CUstream s) { delete (Stream*)s; return OK; }
API CUresult cuStreamSynchronize(CUstream s) { if (CUresult refused = refusal("cuStreamSynchronize"); (int)refused) return refused; return R(((Stream*)s)->graph ? 900 : sticky); }
API CUresult cuStreamQuery(CUstream s) { return sticky ? R(sticky) : held ? NOT_READY : OK; }
API CUresult cuStreamWaitEvent(CUstream s, CUevent e, unsigned f) { return ((Event*)e)->recorded ? OK : BAD; }
API CUresult cuEventCreate(CUevent* out, unsigned f) { *out = (CUevent) new Event; return OK; }
API CUresult cuEventDestroy_v2(CUevent e) { delete (Event*)e; return OK; }
API CUresult cuEventRecord(CUevent e, CUstream s) { ((Event*)e)->recorded = true; return OK; }
API CUresult cuEventQuery(CUevent e) { return sticky ? R(sticky) : held ? NOT_READY : OK; }
API CUresult cuEventSynchronize(CUevent e) { if (CUresult refused = refusal("cuEventSynchronize"); (int)refused) return refused; held = false; return R(sticky); }
#undef cuEventElapsedTime
API CUresult cuEventElapsedTime(float* out, CUevent a, CUevent b) { *out = 1.5f; return OK; }
API CUresult cuMemGetInfo_v2(size_t* a, size_t* b) { *a = capacity - used; *b = capacity; return OK; }
API CUresult cuMemAlloc_v2(CUdeviceptr* out, size_t n) { calls[0]++; return allocate(out, n); }
API CUresult cuMemFree_v2(CUdeviceptr p) { return release(p); }
API CUresult cuMemAllocFromPoolAsync(CUdeviceptr* out, size_t n, CUmemoryPool p, CUstream s) { if (CUresult refused = refusal("cuMemAllocFromPoolAsync"); (int)refused) return refused; calls[1]++; return allocate(out, n); }
API CUresult cuMemFreeAsync(CUdeviceptr p, CUstream s) { return release(p); }
API CUresult cuMemPoolCreate(CUmemoryPool* out, const CUmemPoolProps* p) {
  if ((int)p->allocType != 1 || (int)p->location.type != 1) return BAD;
  *out = (CUmemoryPool) new int(p->location.id);
  return OK;
}
API CUresult cuMemPoolDestroy(CUmemoryPool p) { return OK; }
API CUresult cuMemPoolSetAttribute(CUmemoryPool p, CUmemPool_attribute a, void* v) { return (int)a == 4 && *(uint64_t*)v == ~0ull ? OK : BAD; }
API CUresult cuMemPoolTrimTo(CUmemoryPool p, size_t n) { return OK; }
API CUresult cuMemPoolSetAccess(CUmemoryPool p, const CUmemAccessDesc* d, size_t n) { return n == 1 && (int)d->flags == 3 ? OK : BAD; }
API CUresult cuMemHostAlloc(void** out, size_t n, unsigned f) { *out = malloc(n); calls[2] += n; return OK; }
API CUresult cuMemFreeHost(void* p) { free(p); return OK; }
API CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t n, CUstream s) { return send(s, Op{1, {}, to, (CUdeviceptr)from, n, 0}); }
API CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t n, CUstream s) { return send(s, Op{1, {}, (CUdeviceptr)to, from, n, 0}); }
API CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t n, CUstream s) { return send(s, Op{1, {}, to, from, n, 0}); }
API CUresult cuMemcpyPeerAsync(CUdeviceptr to, CUcontext tc, CUdeviceptr from, CUcontext fc, size_t n, CUstream s) { return tc == fc ? BAD : send(s, Op{1, {}, to, from, n, 0}); }
API CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char v, size_t n, CUstream s) { return send(s, Op{2, {}, to, 0, n, v}); }
API CUresult cuMemsetD32Async(CUdeviceptr to, unsigned v, size_t n, CUstream s) { return BAD; }
API CUresult cuPointerGetAttribute(void* out, CUpointer_attribute a, CUdeviceptr p) { return BAD; }
API CUresult cuModuleLoadDataEx(CUmodule* out, const void* image, unsigned n, CUjit_option* o, void** v) {
  if (strncmp((const char*)image, "fake", 4) == 0) { *out = (CUmodule) new int; return OK; }
  if (n == 2 && (int)o[0] == 5 && (int)o[1] == 6) strncpy((char*)v[0], "line 7: no such instruction", (size_t)v[1]);
  return R(218);
}
API CUresult cuModuleGetFunction(CUfunction* out, CUmodule m, const char* name) { if (!strcmp(name, "missing")) return R(500); *out = (CUfunction) new Function{name}; return OK; }
API CUresult cuModuleUnload(CUmodule m) { return OK; }
API CUresult cuLibraryLoadData(CUlibrary* out, const void* code, CUjit_option* o, void** v, unsigned n, CUlibraryOption* lo, void** lv, unsigned ln) { if (CUresult refused = refusal("cuLibraryLoadData"); (int)refused) return refused;
  if (o || v || n || lo || lv || ln) return BAD;
  if (memcmp(code, "tsrlib\0", 8) == 0) {
    unsigned long long length;
    memcpy(&length, (const char*)code + 8, 8);
#ifdef WATCHED
    char path[] = WATCHED "/module-XXXXXX";
#else
    char path[] = "/tmp/tessera-emulated-XXXXXX";
#endif
    const int file = mkstemp(path);
    const bool written = file >= 0 && write(file, (const char*)code + 16, length) == (ssize_t)length;
    close(file);
    void* handle = written ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : nullptr;
#ifdef WATCHED
    typedef void (*Watched)(const tsr_watcher*);
    if (handle) { if (Watched by = (Watched)dlsym(handle, "tsr_watched_by")) by(watch_table()); }
#else
    unlink(path);
#endif
    if (!handle) { fprintf(stderr, "%s\n", dlerror()); return R(200); }
    *out = (CUlibrary) new Library{handle};
    alive[1]++;
    return OK;
  }
  // Real machine code loads as well, so that everything up to it can be tried; its kernels do nothing.
  if (strncmp((const char*)code, "fake", 4) != 0 && memcmp(code, "\x7f" "ELF", 4) != 0) return R(218);
  *out = (CUlibrary) new Library;
  alive[1]++;
  return OK;
}
API CUresult cuLibraryGetKernel(CUkernel* out, CUlibrary l, const char* name) {
  if (!strcmp(name, "missing")) return R(500);
  Function* fn = new Function{name};
  if (void* handle = ((Library*)l)->handle) {
    fn->entry = (Entry)dlsym(handle, (fn->name + "_tsr_run").c_str());
    int (*sizes)(int*) = (int (*)(int*))dlsym(handle, (fn->name + "_tsr_sizes").c_str());
    if (!fn->entry || !sizes) return R(500);
    fn->sizes.resize(600);
    fn->sizes.resize(sizes(fn->sizes.data()));
  }
  *out = (CUkernel)fn;
  return OK;
}
API CUresult cuLibraryUnload(CUlibrary l) { alive[1]--; return OK; }
API CUresult cuKernelGetFunction(CUfunction* out, CUkernel k) { *out = (CUfunction)k; return OK; }
API CUresult cuFuncGetAttribute(int* out, CUfunction_attribute a, CUfunction f) { *out = 100 + (int)a; return OK; }
API CUresult cuFuncSetAttribute(CUfunction f, CUfunction_attribute a, int v) { if ((int)a == 8) ((Function*)f)->shared = v; return OK; }
API CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* out, CUfunction f, int threads, size_t shared) { *out = 2048 / threads - (shared > 100000); return OK; }
API CUresult cuOccupancyMaxActiveClusters(int* out, CUfunction f, const CUlaunchConfig* c) { *out = 132 / c->attrs[0].value.clusterDim.x; return OK; }
static CUresult launch(CUfunction f, const unsigned* dims, CUstream s, void** params, const Launch& extra) {
  memcpy(log_, dims, 28);
  log_[7] = extra.cluster;
  log_[8] = extra.cooperative;
  log_[9] = extra.overlap;
  if ((int)dims[6] > ((Function*)f)->shared) return R(1);
  Op op{0, pack(f, dims, params), 0, 0, 0, 0};
  op.launch.overlap = extra.overlap;
  return send(s, op);
}
API CUresult cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, CUstream s, void** params, void** extra) {
  if (extra) return BAD;
  const unsigned dims[7] = {gx, gy, gz, bx, by, bz, shared};
  return launch(f, dims, s, params, Launch{});
}
API CUresult cuLaunchKernelEx(const CUlaunchConfig* c, CUfunction f, void** params, void** extra) {
  if (extra) return BAD;
  const unsigned dims[7] = {c->gridDimX, c->gridDimY, c->gridDimZ, c->blockDimX, c->blockDimY, c->blockDimZ, c->sharedMemBytes};
  Launch more{};
  for (unsigned i = 0; i < c->numAttrs; i++) {
    if ((int)c->attrs[i].id == 4) more.cluster = c->attrs[i].value.clusterDim.x * 100 + c->attrs[i].value.clusterDim.y * 10 + c->attrs[i].value.clusterDim.z;
    if ((int)c->attrs[i].id == 2) more.cooperative = c->attrs[i].value.cooperative;
    if ((int)c->attrs[i].id == 6) more.overlap = c->attrs[i].value.cooperative;
  }
  return launch(f, dims, c->hStream, params, more);
}
API CUresult cuStreamBeginCapture_v2(CUstream s, CUstreamCaptureMode m) { ((Stream*)s)->graph = new Graph; return (int)m == 2 ? OK : BAD; }
API CUresult cuStreamEndCapture(CUstream s, CUgraph* out) { *out = (CUgraph)((Stream*)s)->graph; ((Stream*)s)->graph = nullptr; return OK; }
static CUgraphNode lastNode;
#undef cuStreamGetCaptureInfo
API CUresult cuStreamGetCaptureInfo_v2(CUstream s, CUstreamCaptureStatus* st, cuuint64_t* id, CUgraph* g, const CUgraphNode** deps, size_t* n) {
  Stream* stream = (Stream*)s;
  if (!stream->graph) return BAD;
  *(int*)st = 1; *id = 7; *g = (CUgraph)stream->graph;
  lastNode = (CUgraphNode)stream->last;
  *deps = &lastNode;
  *n = 1;
  return OK;
}
API CUresult cuGraphGetNodes(CUgraph g, CUgraphNode* nodes, size_t* n) {
  const auto& ops = ((Graph*)g)->ops;
  for (size_t i = 0; nodes && i < ops.size() && i < *n; i++) nodes[i] = (CUgraphNode)ops[i];
  *n = ops.size();
  return OK;
}
API CUresult cuGraphNodeGetType(CUgraphNode n, CUgraphNodeType* out) { *(int*)out = ((Op*)n)->kind; return OK; }
// What a stream recorded depends on what it recorded before.
#undef cuGraphNodeGetDependencies
API CUresult cuGraphNodeGetDependencies(CUgraphNode n, CUgraphNode* list, size_t* count) {
  Op* const before = ((Op*)n)->before;
  *count = before ? 1 : 0;
  if (list && before) list[0] = (CUgraphNode)before;
  return OK;
}
#undef cuGraphKernelNodeGetParams
API CUresult cuGraphKernelNodeGetParams_v2(CUgraphNode n, CUDA_KERNEL_NODE_PARAMS* p) {
  Op* const op = (Op*)n;
  static void* params[64];
  char* at = op->launch.values.data();
  int i = 0;
  for (int size : paramSizes(op->launch.fn->name)) { params[i++] = at; at += size; }
  const unsigned* d = op->launch.dims;
  memset(p, 0, sizeof *p);
  p->func = (CUfunction)op->launch.fn;
  p->gridDimX = d[0]; p->gridDimY = d[1]; p->gridDimZ = d[2]; p->blockDimX = d[3]; p->blockDimY = d[4]; p->blockDimZ = d[5]; p->sharedMemBytes = d[6];
  p->kernelParams = params;
  return OK;
}
API CUresult cuGraphMemsetNodeGetParams(CUgraphNode n, CUDA_MEMSET_NODE_PARAMS* p) {
  *p = CUDA_MEMSET_NODE_PARAMS{};
  p->dst = ((Op*)n)->to; p->value = ((Op*)n)->value; p->elementSize = 1; p->width = ((Op*)n)->bytes; p->height = 1;
  return OK;
}
API CUresult cuGraphExecMemsetNodeSetParams(CUgraphExec e, CUgraphNode n, const CUDA_MEMSET_NODE_PARAMS* p, CUcontext c) {
  Exec* exec = (Exec*)e;
  if (!exec->copies.count((Op*)n) || c != current || p->height != 1) return BAD;
  Op& op = exec->copies[(Op*)n];
  op.to = p->dst; op.bytes = p->width * p->elementSize; op.value = p->value;
  return OK;
}
API CUresult cuGraphInstantiateWithFlags(CUgraphExec* out, CUgraph g, unsigned long long f) {
  Exec* e = new Exec;
  for (Op* op : ((Graph*)g)->ops) { e->copies[op] = *op; e->order.push_back(op); }
  *out = (CUgraphExec)e;
  alive[0]++;
  return OK;
}
API CUresult cuGraphUpload(CUgraphExec e, CUstream s) { return OK; }
API CUresult cuGraphLaunch(CUgraphExec e, CUstream s) { for (Op* op : ((Exec*)e)->order) { CUresult r = send(s, ((Exec*)e)->copies[op]); if ((int)r) return r; } return OK; }
API CUresult cuGraphExecDestroy(CUgraphExec e) { alive[0]--; delete (Exec*)e; return OK; }
API CUresult cuGraphDestroy(CUgraph g) { for (Op* op : ((Graph*)g)->ops) delete op; delete (Graph*)g; return OK; }
#undef cuGraphExecKernelNodeSetParams
#ifdef WITH_CUDA_H
API CUresult cuGraphExecKernelNodeSetParams(CUgraphExec e, CUgraphNode n, const CUDA_KERNEL_NODE_PARAMS_v1* p) { return R(801); }
#else
API CUresult cuGraphExecKernelNodeSetParams(CUgraphExec e, CUgraphNode n, const void* p) { return R(801); }
#endif
API CUresult cuGraphExecKernelNodeSetParams_v2(CUgraphExec e, CUgraphNode n, const CUDA_KERNEL_NODE_PARAMS* p) {
  Exec* exec = (Exec*)e;
  if (!exec->copies.count((Op*)n) || p->extra || p->kern || p->ctx) return BAD;
  const unsigned dims[7] = {p->gridDimX, p->gridDimY, p->gridDimZ, p->blockDimX, p->blockDimY, p->blockDimZ, p->sharedMemBytes};
  Launch& kept = exec->copies[(Op*)n].launch;
  const unsigned overlap = kept.overlap;
  kept = pack(p->func, dims, p->kernelParams);
  kept.overlap = overlap;
  memcpy(log_, dims, sizeof dims);
  return OK;
}
API CUresult cuTensorMapEncodeTiled(CUtensorMap* out, CUtensorMapDataType type, cuuint32_t rank, void* address, const cuuint64_t* dims, const cuuint64_t* strides, const cuuint32_t* box, const cuuint32_t* steps, CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle, CUtensorMapL2promotion l2, CUtensorMapFloatOOBfill fill) {
  if ((uintptr_t)out % 64) return BAD;
  uint64_t* w = (uint64_t*)out;
  w[0] = type; w[1] = rank; w[2] = (uint64_t)address; w[3] = dims[0]; w[4] = dims[rank - 1]; w[5] = strides[rank - 2];
  w[6] = box[0]; w[7] = box[rank - 1]; w[8] = steps[0]; w[9] = interleave; w[10] = swizzle; w[11] = l2; w[12] = fill;
  // Everything, for kernels that run on the processor (`emulate_hopper.h`): type, rank, address, swizzle, sizes, strides, box.
  int64_t* whole = new int64_t[19]();
  whole[0] = type; whole[1] = rank; whole[2] = (int64_t)address; whole[3] = swizzle;
  for (unsigned d = 0; d < rank; d++) { whole[4 + d] = dims[d]; whole[14 + d] = box[d]; if (d > 0) whole[9 + d] = strides[d - 1]; }
  w[13] = (uint64_t)whole;
  return OK;
}
API CUresult cuTensorMapEncodeIm2col(CUtensorMap* out, CUtensorMapDataType type, cuuint32_t rank, void* address, const cuuint64_t* dims, const cuuint64_t* strides, const int* lower, const int* upper, cuuint32_t channels, cuuint32_t pixels, const cuuint32_t* steps, CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle, CUtensorMapL2promotion l2, CUtensorMapFloatOOBfill fill) {
  uint64_t* w = (uint64_t*)out;
  w[0] = type; w[1] = rank; w[2] = (uint64_t)address; w[3] = dims[0]; w[4] = strides[0]; w[5] = (uint64_t)(int64_t)lower[0]; w[6] = (uint64_t)(int64_t)upper[1];
  w[7] = channels; w[8] = pixels; w[9] = steps[0]; w[10] = swizzle; w[11] = l2; w[12] = fill;
  // As for boxes, and the corners and steps of W, H, D.
  int64_t* whole = new int64_t[28]();
  whole[0] = type; whole[1] = rank; whole[2] = (int64_t)address; whole[3] = swizzle; whole[14] = channels; whole[15] = pixels;
  for (unsigned d = 0; d < rank; d++) { whole[4 + d] = dims[d]; if (d > 0) whole[9 + d] = strides[d - 1]; }
  for (unsigned d = 0; d + 2 < rank; d++) { whole[19 + d] = lower[d]; whole[22 + d] = upper[d]; whole[25 + d] = steps[d + 1]; }
  w[13] = (uint64_t)whole;
  return OK;
}
