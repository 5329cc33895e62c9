//===- LinearKernel.h - one matrix product on a GPU, as `quantc kernels` gives it ---------------------------------===//
#pragma once

#include "Strips.h"
#include "quantc/Runtime/CUDA/Timing.h"
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

namespace quantc::gpu {

/// y[m][n] = x[m][k] w[n][k]ᵀ, all f16 but w.
class LinearKernel {
public:
  /// Of a description, as `quantc kernels --json` gives it, and its PTX beside it under the same name. Fails where the
  /// driver does not take the PTX, and on parameters that are not known here.
  static Result<LinearKernel> load(std::shared_ptr<const cuda::Device> device,
                                   const std::filesystem::path &description);
  LinearKernel(LinearKernel &&other) noexcept;
  ~LinearKernel();

  const std::string &format() const { return spec; }
  int64_t rows() const { return N; }
  int64_t columns() const { return K; }
  /// The only number of tokens that it takes; nothing: any.
  std::optional<int64_t> tokens() const { return fixedTokens; }
  const std::string &schedule() const { return kind; }
  std::string title() const;

  /// The context must be current.
  Status launch(cuda::Stream stream, cuda::Address x, cuda::Address w, cuda::Address y, int64_t tokens) const;

private:
  explicit LinearKernel(std::shared_ptr<const cuda::Device> device) : device(std::move(device)) {}
  Status describe(const nlohmann::json &launch);
  Status loadModule(const std::string &ptx, const std::string &name);

  std::shared_ptr<const cuda::Device> device;
  std::string spec, kind;
  int64_t N = 0, K = 0;
  std::optional<int64_t> fixedTokens;
  unsigned gridX = 1, gridY = 1, tokensOfBlock = 0, threads = 1, sharedBytes = 0; ///< tokensOfBlock: 0: gridY holds
  std::vector<uint64_t> planes;                                                   ///< where each begins in the weight
  cuda::Module module = nullptr;
  cuda::Function function = nullptr;
};

/// A weight on a GPU, and copies of it one after the other: so that they do not all lie in its caches.
Result<cuda::DeviceMemory> upload(const std::shared_ptr<const cuda::Device> &device, const StripWeight &weight,
                                  uint64_t copies = 1);

/// Tokens x columns in f16, rows of random numbers of which each is one of a few.
class Activations {
public:
  Activations(int64_t columns);
  Result<cuda::DeviceMemory> upload(const std::shared_ptr<const cuda::Device> &device, int64_t tokens) const;
  /// The numbers of a token, as they are in f16.
  std::span<const float> row(int64_t token) const;

private:
  int64_t columns;
  std::vector<uint16_t> halves;
  std::vector<float> numbers;
};

} // namespace quantc::gpu
