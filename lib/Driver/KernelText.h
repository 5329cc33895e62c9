//===- KernelText.h - a kernel by itself: its IR, its description, its header -----------------------------------===//
#pragma once

#include "quantc/CodeGen/NVPTX/PTX.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Driver/Kernel.h"
#include "quantc/Format/FragmentStorage.h"
#include "quantc/Target/GPUTarget.h"
#include "quantc/Target/Target.h"

namespace quantc {

/// Function `linear` on tensors.
std::string gpuKernelText(const KernelOptions &options, qf::ElemType format);
/// How to launch it.
nlohmann::ordered_json describeGPUKernel(const KernelOptions &options, const GPUTarget &target,
                                         const FragmentStorage &storage, const GPUKernel &kernel);
/// The description as a C header.
std::string gpuKernelHeader(const KernelOptions &options, const nlohmann::ordered_json &description);

/// The specification of the integer activations of fast kernels; "" for f32.
Result<std::string> cpuActivations(qf::BlockType weights, const std::filesystem::path &data);
/// Function `linear` on tensors and, where activations have codes, `encode`, which makes them.
std::string cpuKernelText(const KernelOptions &options, qf::ElemType format, const std::string &activations);
/// `activationBytes`: of the activations of a token, as `linear` reads them.
nlohmann::ordered_json describeCPUKernel(const KernelOptions &options, const Target &target,
                                         const KernelStorage &storage, const std::string &activations,
                                         int64_t activationBytes);
std::string cpuKernelHeader(const KernelOptions &options, const nlohmann::ordered_json &description);

} // namespace quantc
