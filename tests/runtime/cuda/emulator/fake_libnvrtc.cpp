// A libnvrtc that compiles generated text for the processor that it runs on, with the C++ compiler of the machine.
//
// The "cubin" is a shared library behind a header that the fake libcuda knows. COMPILER, FLAGS and the version's MINOR are given when
// this is built.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <dlfcn.h>
#include <mutex>
#include <sstream>
#include <string>
#include <unistd.h>
#include <vector>

#define API extern "C" __attribute__((visibility("default")))
namespace {
struct Program { std::string source, name, log, image; };
int count = 0;
// The folder of this library, where sources and results lie while they are compiled.
std::string folder() {
  Dl_info info;
  if (dladdr((void*)&count, &info) == 0) return ".";
  const std::string path = info.dli_fname;
  return path.substr(0, path.rfind('/'));
}
std::mutex mutex;

std::string readFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

// The names of `extern "C" __global__` functions.
std::vector<std::string> kernels(const std::string& text) {
  std::vector<std::string> names;
  const std::string mark = "extern \"C\" __global__ ";
  for (size_t at = 0; (at = text.find(mark, at)) != std::string::npos;) {
    at += mark.size();
    const size_t bounds = text.find("__launch_bounds__(", at);
    if (bounds != std::string::npos && bounds < at + 16) at = text.find(')', bounds) + 1;
    const size_t open = text.find('(', at);
    size_t start = open;
    while (start > at && (isalnum((unsigned char)text[start - 1]) || text[start - 1] == '_')) start--;
    names.push_back(text.substr(start, open - start));
  }
  return names;
}
}  // namespace

API int nvrtcVersion(int* major, int* minor) { *major = 13; *minor = MINOR; return 0; }
API int nvrtcGetNumSupportedArchs(int* n) { *n = 2; return 0; }
API int nvrtcGetSupportedArchs(int* list) { list[0] = 80; list[1] = 90; return 0; }
API const char* nvrtcGetErrorString(int e) { return e == 6 ? "NVRTC_ERROR_COMPILATION" : "an error"; }
API int nvrtcCreateProgram(Program** out, const char* source, const char* name, int, const char* const*, const char* const*) {
  *out = new Program{source, name, "", ""};
  return 0;
}
API int nvrtcDestroyProgram(Program** p) { delete *p; *p = nullptr; return 0; }
API int nvrtcCompileProgram(Program* p, int, const char* const*) {
  std::string base;
  {
    std::lock_guard<std::mutex> lock(mutex);
    base = folder() + "/" + std::to_string(getpid()) + "_" + std::to_string(count++);
  }
  const std::string& text = p->source;
  const bool halves = text.find("struct f16") != std::string::npos;
  std::string whole = "#include \"emulate.h\"\n#line 1\n" + text + (halves ? "\n#include \"emulate_end.h\"\n" : "\n");
  for (const std::string& name : kernels(p->source)) {
    whole += "extern \"C\" void " + name + "_tsr_run(void** values, const unsigned* dims) { tsr_launch(" + name + ", values, dims); }\n";
    whole += "extern \"C\" int " + name + "_tsr_sizes(int* out) { return tsr_sizes(" + name + ", out); }\n";
  }
  std::ofstream(base + ".cpp") << whole;
  const std::string command = COMPILER " " FLAGS " -o " +
                              base + ".so " + base + ".cpp 2>" + base + ".log";
  const int status = system(command.c_str());
  p->log = readFile(base + ".log");
  if (status == 0) {
    const std::string library = readFile(base + ".so");
    unsigned long long length = library.size();
    p->image = "tsrlib\0\0";
    p->image.resize(8);
    p->image.append((const char*)&length, 8);
    p->image += library;
    unlink((base + ".cpp").c_str());
    unlink((base + ".so").c_str());
    unlink((base + ".log").c_str());
  }
  return status == 0 ? 0 : 6;
}
API int nvrtcGetProgramLogSize(Program* p, size_t* n) { *n = p->log.size() + 1; return 0; }
API int nvrtcGetProgramLog(Program* p, char* out) { memcpy(out, p->log.c_str(), p->log.size() + 1); return 0; }
API int nvrtcGetCUBINSize(Program* p, size_t* n) { *n = p->image.size(); return 0; }
API int nvrtcGetCUBIN(Program* p, char* out) { memcpy(out, p->image.data(), p->image.size()); return 0; }
API int nvrtcGetPTXSize(Program* p, size_t* n) { return 1; }
API int nvrtcGetPTX(Program* p, char* out) { return 1; }
