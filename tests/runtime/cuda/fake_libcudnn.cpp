// A cuDNN without a device: graphs of one convolution and its steps, float32, in the host's memory. Tests pass it what they pass the real one.
#include <cstdint>
#include <cstring>
#include <map>
#include <vector>

namespace {
struct Descriptor {
  int kind = 0;
  bool finalized = false;
  std::map<int, std::vector<int64_t>> numbers;
  std::map<int, std::vector<Descriptor*>> parts;
  int64_t number(int name) { return numbers[name].at(0); }
  Descriptor* part(int name) { return parts[name].at(0); }
};
uint64_t version = 91000, cuda = 13000;
int alive = 0, engines = 3, ran = -1, last = 0;
int64_t workspace = 4096;
const char* said = "";
int refuse(const char* why, int status = 2000) { said = why; return status; }

struct Tensor {
  float* at;
  std::vector<int64_t> sizes, strides;
  float& operator()(std::vector<int64_t> place) {
    int64_t offset = 0;
    for (size_t d = 0; d < place.size(); d++) offset += (sizes[d] == 1 ? 0 : place[d]) * strides[d];
    return at[offset];
  }
};
}

extern "C" {
void fake_dnn_set(int version_, int cuda_, int engines_, int64_t workspace_) { version = version_; cuda = cuda_; engines = engines_; workspace = workspace_; }
int fake_dnn_alive() { return alive; }
int fake_dnn_ran() { return ran; }

uint64_t cudnnGetVersion() { return version; }
uint64_t cudnnGetCudartVersion() { return cuda; }
const char* cudnnGetErrorString(int status) { return status == 3000 ? "CUDNN_STATUS_NOT_SUPPORTED" : "CUDNN_STATUS_BAD_PARAM"; }
void cudnnGetLastErrorString(char* out, uint64_t room) { strncpy(out, said, room); said = ""; }
int cudnnCreate(void** out) { *out = &version; return 0; }
// The fake driver's streams begin with the graph that they record into; what is recorded does not run.
static void* const* stream;
int cudnnSetStream(void*, void* s) { stream = (void* const*)s; return 0; }
int cudnnBackendCreateDescriptor(int kind, Descriptor** out) { alive++; *out = new Descriptor; (*out)->kind = kind; return 0; }
int cudnnBackendDestroyDescriptor(Descriptor* d) { alive--; delete d; return 0; }

int cudnnBackendSetAttribute(Descriptor* d, int name, int type, int64_t count, const void* from) {
  if (d->finalized) return refuse("it is finalised");
  if (type == 15) {
    Descriptor* const* list = (Descriptor* const*)from;
    for (int64_t i = 0; i < count; i++) {
      // What the library fills counts as finalised.
      if (!list[i]->finalized) return refuse("a part is not finalised");
      d->parts[name].push_back(list[i]);
    }
    return 0;
  }
  for (int64_t i = 0; i < count; i++) {
    int64_t value = 0;
    switch (type) {
      case 0: case 6: value = ((const int64_t*)from)[i]; break;
      case 3: value = ((const int64_t*)from)[i]; break;
      case 2: value = ((const char*)from)[i]; break;
      case 4: memcpy(&value, (const char*)from + 4 * i, 4); break;
      case 1: case 7: case 8: case 14: value = ((const int*)from)[i]; break;
      default: return refuse("an unknown type");
    }
    d->numbers[name].push_back(value);
  }
  return 0;
}

int cudnnBackendFinalize(Descriptor* d) {
  static const std::map<int, std::vector<int>> wanted = {
    {0, {0, 1}}, {1, {100, 101, 102, 103, 104, 105, 106}}, {4, {200, 201}}, {5, {400, 401}}, {10, {700, 701, 702, 703, 704, 705}},
    {13, {750, 751, 753}}, {15, {800, 801}}, {16, {1000, 1001, 1003}}, {17, {900, 901, 902, 903, 906}},
  };
  const auto names = wanted.find(d->kind);
  if (names == wanted.end()) return refuse("an unknown kind");
  for (int name : names->second) if (!d->numbers.count(name) && !d->parts.count(name)) return refuse("an attribute is missing");
  if (d->kind == 17 && d->number(901) != 0) return refuse("only float32 here", 3000);
  if (d->kind == 4 && engines == 0) return refuse("no engine", 3000);
  d->finalized = true;
  return 0;
}

int cudnnBackendGetAttribute(Descriptor* d, int name, int type, int64_t room, int64_t* count, void* into) {
  if (!d->finalized) return refuse("it is not finalised");
  if (name == 202 && type == 15) {
    *count = engines < room ? engines : room;
    for (int64_t i = 0; i < *count; i++) {
      Descriptor* engine = ((Descriptor**)into)[i];
      if (engine->kind != 3) return refuse("no descriptors of engines");
      engine->numbers[-1] = {i};
      engine->parts[-1] = {d->part(201)};
      engine->finalized = true;
    }
    return 0;
  }
  if (name == 402 && type == 3 && room == 1) { *count = 1; *(int64_t*)into = workspace; return 0; }
  return refuse("an unknown attribute");
}

int cudnnBackendExecute(void*, Descriptor* plan, Descriptor* pack) {
  if (stream && *stream) return 0;
  Descriptor* engine = plan->part(401);
  ran = (int)engine->number(-1);
  std::map<int64_t, float*> at;
  for (size_t i = 0; i < pack->numbers[1000].size(); i++) at[pack->numbers[1000][i]] = (float*)pack->numbers[1001].at(i);
  std::map<int64_t, std::vector<float>> rooms;
  auto tensor = [&](Descriptor* d) {
    Tensor t{nullptr, d->numbers[902], d->numbers[903]};
    const int64_t id = d->number(906);
    int64_t last = 0;
    for (size_t i = 0; i < t.sizes.size(); i++) last += (t.sizes[i] - 1) * t.strides[i];
    if (d->numbers.count(907)) {
      rooms[id].resize(last + 1);
      t.at = rooms[id].data();
    } else t.at = at.at(id);
    return t;
  };
  for (Descriptor* op : engine->part(-1)->parts[801]) {
    if (op->kind == 10) {
      Descriptor* c = op->part(702);
      Tensor x = tensor(op->part(704)), w = tensor(op->part(703)), y = tensor(op->part(705));
      if (x.sizes.size() != 4 || c->number(106) != 2) return refuse("two dimensions here", 3000);
      auto dilation = c->numbers[102], step = c->numbers[103], behind = c->numbers[104], before = c->numbers[105];
      for (int d = 0; d < 2; d++) {
        const int64_t reach = x.sizes[2 + d] + before[d] + behind[d] - (w.sizes[2 + d] - 1) * dilation[d] - 1;
        if (reach / step[d] + 1 != y.sizes[2 + d]) return refuse("sizes do not fit");
      }
      const int64_t groups = x.sizes[1] / w.sizes[1], each = w.sizes[0] / groups;
      for (int64_t n = 0; n < y.sizes[0]; n++) for (int64_t k = 0; k < y.sizes[1]; k++)
      for (int64_t i = 0; i < y.sizes[2]; i++) for (int64_t j = 0; j < y.sizes[3]; j++) {
        double sum = 0;
        for (int64_t g = 0; g < w.sizes[1]; g++) for (int64_t r = 0; r < w.sizes[2]; r++) for (int64_t s = 0; s < w.sizes[3]; s++) {
          const int64_t a = i * step[0] + r * dilation[0] - before[0], b = j * step[1] + s * dilation[1] - before[1];
          if (a < 0 || b < 0 || a >= x.sizes[2] || b >= x.sizes[3]) continue;
          sum += (double)x({n, k / each * w.sizes[1] + g, a, b}) * w({k, g, r, s});
        }
        y({n, k, i, j}) = (float)sum;
      }
    } else {
      const int64_t mode = op->part(750)->number(0);
      Tensor x = tensor(op->part(751)), y = tensor(op->part(753));
      Tensor b = mode == 0 ? tensor(op->part(752)) : x;
      for (int64_t n = 0; n < y.sizes[0]; n++) for (int64_t k = 0; k < y.sizes[1]; k++)
      for (int64_t i = 0; i < y.sizes[2]; i++) for (int64_t j = 0; j < y.sizes[3]; j++) {
        const float v = x({n, k, i, j});
        y({n, k, i, j}) = mode == 0 ? v + b({n, k, i, j}) : v > 0 ? v : 0;
      }
    }
  }
  return 0;
}
}
