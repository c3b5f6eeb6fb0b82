// A cuBLASLt without a device: matrices of float32 with contiguous columns in the host's memory, epilogues included. Tests pass it what they pass the real one.
#include <cmath>
#include <cstdint>
#include <cstring>

namespace {
struct Desc { int compute = 0, scale = 0, transA = 0, transB = 0, epilogue = 1, biasType = 0; const float* bias = nullptr; };
struct Layout { int type = 0; uint64_t rows = 0, columns = 0; int64_t ld = 0; int batch = 1; int64_t stride = 0; };
struct Result { uint64_t algo[8]; uint64_t workspace; int state; float waves; int reserved[4]; };
uint64_t version = 130000, most = 0, workspace = 0;
int alive = 0, algorithms = 3, ran = -1;
}

extern "C" {
void fake_lt_set(int version_, int algorithms_) { version = version_; algorithms = algorithms_; }
int fake_lt_alive() { return alive; }
int fake_lt_ran() { return ran; }
uint64_t fake_lt_most_workspace() { return most; }

uint64_t cublasLtGetVersion() { return version; }
const char* cublasLtGetStatusName(int status) { return status == 15 ? "CUBLAS_STATUS_NOT_SUPPORTED" : "CUBLAS_STATUS_OTHER"; }
int cublasLtCreate(void** out) { *out = &version; return 0; }
int cublasLtMatmulDescCreate(Desc** out, int compute, int scale) { alive++; *out = new Desc; (*out)->compute = compute; (*out)->scale = scale; return 0; }
int cublasLtMatmulDescDestroy(Desc* d) { alive--; delete d; return 0; }
int cublasLtMatmulDescSetAttribute(Desc* d, int attribute, const void* from, uint64_t bytes) {
  if (bytes != (attribute == 8 ? 8 : 4)) return 7;
  switch (attribute) {
    case 3: memcpy(&d->transA, from, 4); return 0;
    case 4: memcpy(&d->transB, from, 4); return 0;
    case 7: memcpy(&d->epilogue, from, 4); return 0;
    case 8: memcpy(&d->bias, from, 8); return 0;
    case 26: memcpy(&d->biasType, from, 4); return 0;
    default: return 7;
  }
}
int cublasLtMatrixLayoutCreate(Layout** out, int type, uint64_t rows, uint64_t columns, int64_t ld) {
  alive++;
  *out = new Layout{type, rows, columns, ld};
  return ld >= (int64_t)rows ? 0 : 7;
}
int cublasLtMatrixLayoutDestroy(Layout* l) { alive--; delete l; return 0; }
int cublasLtMatrixLayoutSetAttribute(Layout* l, int attribute, const void* from, uint64_t bytes) {
  if (attribute == 5 && bytes == 4) memcpy(&l->batch, from, 4);
  else if (attribute == 6 && bytes == 8) memcpy(&l->stride, from, 8);
  else return 7;
  return 0;
}
int cublasLtMatmulPreferenceCreate(void** out) { alive++; *out = &most; return 0; }
int cublasLtMatmulPreferenceDestroy(void*) { alive--; return 0; }
int cublasLtMatmulPreferenceSetAttribute(void*, int attribute, const void* from, uint64_t bytes) {
  if (attribute == 1 && bytes == 8) { memcpy(&most, from, 8); return 0; }
  return attribute >= 5 && attribute <= 8 && bytes == 4 ? 0 : 7;
}
int cublasLtMatmulAlgoGetHeuristic(void*, Desc*, Layout*, Layout*, Layout*, Layout*, void*, int asked, Result* results, int* count) {
  *count = algorithms < asked ? algorithms : asked;
  for (int i = 0; i < *count; i++) {
    memset(&results[i], 0, sizeof(Result));
    results[i].algo[0] = 1000 + i;
    results[i].workspace = 4096 * (i + 1);
  }
  return algorithms == 0 ? 15 : 0;
}
int cublasLtMatmul(void*, Desc* d, const float* alpha, const float* a, Layout* la, const float* b, Layout* lb, const float* beta, const float*, Layout*,
                   float* out, Layout* lo, const uint64_t* algo, void*, uint64_t bytes, void*) {
  ran = (int)algo[0] - 1000;
  workspace = bytes;
  if (la->type != 0 || bytes != (uint64_t)4096 * (ran + 1)) return 15;
  const uint64_t k = d->transA ? la->rows : la->columns;
  for (int batch = 0; batch < lo->batch; batch++)
    for (uint64_t i = 0; i < lo->rows; i++)
      for (uint64_t j = 0; j < lo->columns; j++) {
        float sum = 0;
        for (uint64_t x = 0; x < k; x++)
          sum += a[batch * la->stride + (d->transA ? x + i * la->ld : i + x * la->ld)] *
                 b[batch * lb->stride + (d->transB ? j + x * lb->ld : x + j * lb->ld)];
        sum *= *alpha;
        if (d->epilogue & 4) sum += d->bias[i];
        if (d->epilogue & 2) sum = sum > 0 ? sum : 0;
        if (d->epilogue & 32) sum = 0.5f * sum * (1 + std::tanh(0.7978845608f * (sum + 0.044715f * sum * sum * sum)));
        out[batch * lo->stride + i + j * lo->ld] = sum + *beta;
      }
  return 0;
}
}
