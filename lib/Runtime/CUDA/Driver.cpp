//===- Driver.cpp - NVIDIA's driver, loaded when it is asked for --------------------------------------------------===//

#include "quantc/Runtime/CUDA/Driver.h"
#include <dlfcn.h>
#include <unistd.h>

using namespace quantc;
using namespace quantc::cuda;

/// Null where it is nowhere; dlerror() says what the system found.
static void *find(const std::string &library, std::span<const char *const> folders) {
  constexpr int mode = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE;
  if (void *handle = ::dlopen(library.c_str(), mode))
    return handle;
  if (library.find('/') == std::string::npos)
    for (const char *folder : folders)
      if (const auto path = fmt::format("{}/{}", folder, library); ::access(path.c_str(), R_OK) == 0)
        return ::dlopen(path.c_str(), mode);
  return nullptr;
}

Result<std::shared_ptr<const Driver>> Driver::open(const std::string &library, std::span<const char *const> folders) {
  void *handle = find(library, folders);
  if (!handle)
    return fail("no CUDA driver: {}; install NVIDIA's driver for the GPU, or run on the processor (--device cpu)",
                ::dlerror());
  std::shared_ptr<Driver> driver(new Driver);
#define QUANTC_CUDA_LOAD(member, symbol, parameters)                                                                   \
  driver->member = reinterpret_cast<int(*) parameters>(::dlsym(handle, #symbol));
  QUANTC_CUDA_FUNCTIONS(QUANTC_CUDA_LOAD)
  QUANTC_CUDA_LATER_FUNCTIONS(QUANTC_CUDA_LOAD)
  QUANTC_CUDA_GRAPH_FUNCTIONS(QUANTC_CUDA_LOAD)
#undef QUANTC_CUDA_LOAD
#define QUANTC_CUDA_REQUIRE(member, symbol, parameters)                                                                \
  if (!driver->member)                                                                                                 \
    return fail("{}: is no CUDA driver that can be used: it lacks " #symbol "; install a newer one", library);
  QUANTC_CUDA_FUNCTIONS(QUANTC_CUDA_REQUIRE)
#undef QUANTC_CUDA_REQUIRE
  if (const int result = driver->init(0))
    return fail("the CUDA driver does not start: {}; does nvidia-smi find a GPU?",
                driver->check(result, "cuInit").error().message);
  return std::shared_ptr<const Driver>(std::move(driver));
}

Status Driver::check(int result, const char *what) const {
  if (result == 0)
    return {};
  const char *text = nullptr;
  if (getErrorString(result, &text) != 0 || !text)
    text = "unknown";
  return fail("{}: {} (CUDA error {})", what, text, result);
}

bool Driver::hasGraphs() const {
#define QUANTC_CUDA_HAS(member, symbol, parameters) &&member
  return true QUANTC_CUDA_GRAPH_FUNCTIONS(QUANTC_CUDA_HAS);
#undef QUANTC_CUDA_HAS
}
