//===- linear.cpp - y = x wᵀ on a GPU, by a kernel of quantc and NVIDIA's driver alone ----------------------------===//
//
// Nothing of quantc is linked: three files are what it gives. w.f32 has 1024 x 512 numbers, x.f16 8 x 512.
//
//   k="quantc kernels --format int:4:g128 --n 1024 --k 512 --m 8 --target sm_80"
//   $k --emit ptx -o linear.ptx && $k --emit header -o linear.h && $k --emit weights --weights w.f32 -o w.bin
//   c++ -std=c++17 linear.cpp -I. -I/usr/local/cuda/include -lcuda -o linear && ./linear linear.ptx w.bin x.f16 y.f16
//
//===------------------------------------------------------------------------------------------------------------===//

#include "linear.h" // how the kernel is launched, and where the planes of the weight lie
#include <cstdio>
#include <cstdlib>
#include <cuda.h>
#include <fstream>
#include <iterator>
#include <string>

static constexpr size_t m = 8, n = 1024, halfBytes = 2;

static std::string contents(const char *path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::fprintf(stderr, "%s: cannot be read\n", path);
    std::exit(1);
  }
  return {std::istreambuf_iterator<char>(file), {}};
}

static void check(CUresult result, const char *what) {
  if (result == CUDA_SUCCESS)
    return;
  const char *text = "unknown";
  cuGetErrorString(result, &text);
  std::fprintf(stderr, "%s: %s\n", what, text);
  std::exit(1);
}

static CUdeviceptr copyToGPU(const std::string &bytes) {
  CUdeviceptr memory;
  check(cuMemAlloc(&memory, bytes.size()), "allocating");
  check(cuMemcpyHtoD(memory, bytes.data(), bytes.size()), "copying to the GPU");
  return memory;
}

int main(int argc, char **argv) {
  if (argc != 5)
    return std::fprintf(stderr, "usage: %s linear.ptx w.bin x.f16 y.f16\n", argv[0]), 2;
  CUdevice device;
  CUcontext context;
  CUmodule module;
  CUfunction kernel;
  check(cuInit(0), "starting the driver");
  check(cuDeviceGet(&device, 0), "opening the GPU");
  check(cuDevicePrimaryCtxRetain(&context, device), "making a context");
  check(cuCtxPushCurrent(context), "making a context");
  const std::string ptx = contents(argv[1]);
  check(cuModuleLoadDataEx(&module, ptx.c_str(), 0, nullptr, nullptr), "compiling the PTX");
  check(cuModuleGetFunction(&kernel, module, "linear"), "finding the kernel");
  check(cuFuncSetAttribute(kernel, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, LINEAR_SHARED_BYTES),
        "shared memory");

  const CUdeviceptr weights = copyToGPU(contents(argv[2]));
  std::string result(m * n * halfBytes, '\0');
  linear_parameters parameters = {};
  parameters.x = copyToGPU(contents(argv[3]));
  parameters.w_q_0 = weights + LINEAR_OFFSET_w_q_0; // codes
  parameters.w_s_0 = weights + LINEAR_OFFSET_w_s_0; // scales
  parameters.y = copyToGPU(result);
  size_t bytes = sizeof parameters;
  void *passed[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &parameters, CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes,
                    CU_LAUNCH_PARAM_END};
  check(cuLaunchKernel(kernel, LINEAR_GRID_X, LINEAR_GRID_Y, 1, LINEAR_THREADS, 1, 1, LINEAR_SHARED_BYTES, nullptr,
                       nullptr, passed),
        "launching");
  check(cuMemcpyDtoH(result.data(), parameters.y, result.size()), "copying from the GPU"); // waits for the kernel
  if (!std::ofstream(argv[4], std::ios::binary).write(result.data(), static_cast<std::streamsize>(result.size())))
    return std::fprintf(stderr, "%s: cannot be written\n", argv[4]), 1;
  return 0;
}
