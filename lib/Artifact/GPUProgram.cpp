//===- GPUProgram.cpp - whether what GPUs execute is consistent ---------------------------------------------------===//

#include "ManifestCheck.h"
#include <algorithm>

using namespace quantc;

// What the architecture of GPUs allows: CUDA C++ Programming Guide, "Compute Capabilities".
static constexpr uint64_t mostThreads = 1024, warpThreads = 32, mostSharedBytes = uint64_t(256) << 10,
                          mostBlocks = INT32_MAX, planeAlignment = 16;

/// The parameters of a launch that are scalars passed by value: what a grid may depend on.
static std::vector<bool> byValue(const LaunchEntry &launch, const std::vector<WeightEntry> &weights) {
  std::vector<bool> numbers;
  for (const ArgEntry &arg : launch.args) {
    const auto &fragments = arg.kind == ArgKind::Weight ? weights[arg.index].fragments : std::nullopt;
    numbers.insert(numbers.end(), fragments ? fragments->planes.size() : 1,
                   arg.kind == ArgKind::Scalar && arg.scalar != Scalar::Past);
  }
  return numbers;
}

size_t GPUProgram::parameterCount(const LaunchEntry &launch, const std::vector<WeightEntry> &weights) {
  return byValue(launch, weights).size();
}

/// "sm_80", "sm_90a".
static bool isChip(std::string_view chip) {
  if (!chip.starts_with("sm_"))
    return false;
  chip.remove_prefix(3);
  const size_t digits = std::min(chip.find_first_not_of("0123456789"), chip.size());
  return digits >= 2 && digits <= 4 && (chip.substr(digits).empty() || chip.substr(digits) == "a");
}

/// A name of a kernel in PTX, which begins with a letter.
static bool isSymbol(std::string_view name) {
  const auto inside = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$';
  };
  return !name.empty() && std::ranges::all_of(name, inside) && !(name.front() >= '0' && name.front() <= '9');
}

static Status checkVariant(const GPUVariant &variant) {
  if (!isSymbol(variant.symbol))
    return fail("is no function of PTX: {}", inQuotes(variant.symbol));
  if (variant.threads == 0 || variant.threads > mostThreads || variant.threads % warpThreads)
    return fail("has blocks of {} threads; multiples of {} up to {} are possible", variant.threads, warpThreads,
                mostThreads);
  if (variant.sharedBytes > mostSharedBytes)
    return fail("asks for {} bytes of shared memory; no GPU has more than {}", variant.sharedBytes, mostSharedBytes);
  for (const GridAxisEntry &axis : variant.grid) {
    if (axis.size == 0 || axis.size > mostBlocks)
      return fail("has a grid of size {}; 1 to {} are possible", axis.size, mostBlocks);
    if (axis.parameter && *axis.parameter >= variant.parameters)
      return fail("has a grid by parameter {}, it takes {}", *axis.parameter, variant.parameters);
  }
  return {};
}

static Status checkVariants(const GPUKernelEntry &kernel, const GPUTargetEntry &target) {
  const auto found = kernel.variants.find(target.name);
  if (found == kernel.variants.end() || found->second.empty())
    return fail("kernel {} has nothing for target {}", inQuotes(kernel.name), inQuotes(target.name));
  uint64_t before = 0;
  for (const GPUVariant &variant : found->second) {
    const bool isLast = &variant == &found->second.back();
    if (isLast ? variant.mostTokens != 0 : variant.mostTokens == 0 || variant.mostTokens < before)
      return fail("kernel {} for target {}: more tokens must come later, any number last", inQuotes(kernel.name),
                  inQuotes(target.name));
    before = variant.mostTokens;
    if (const Status status = checkVariant(variant); !status)
      return fail("kernel {} for target {} {}", inQuotes(kernel.name), inQuotes(target.name), status.error().message);
  }
  return {};
}

static Status checkTargets(const Manifest &manifest, const Manifest::TensorBytes &tensorBytes) {
  QUANTC_TRY(checkNames(manifest.gpu->targets, "GPU target"));
  for (const GPUTargetEntry &target : manifest.gpu->targets) {
    if (std::ranges::count(manifest.targets, target.name, &TargetEntry::name))
      return fail("{} is a target for processors and for GPUs", inQuotes(target.name));
    if (!isChip(target.chip))
      return fail("the code of target {} is for {}, which is no GPU", inQuotes(target.name), inQuotes(target.chip));
    if (target.ptx.empty() || tensorBytes(target.ptx).value_or(0) == 0)
      return fail("the code of target {}, tensor {}, is not there", inQuotes(target.name), inQuotes(target.ptx));
    if (!target.cubin.empty() && tensorBytes(target.cubin).value_or(0) == 0)
      return fail("the code of target {}, tensor {}, is not there", inQuotes(target.name), inQuotes(target.cubin));
  }
  return {};
}

static Status checkFragments(const Manifest &manifest, const Manifest::TensorBytes &tensorBytes) {
  for (const WeightEntry &weight : manifest.weights) {
    if (!weight.fragments)
      continue;
    const auto bytes = tensorBytes(weight.fragments->tensor);
    if (!bytes)
      return fail("weight {}: the tensor {} is not there", inQuotes(weight.name), inQuotes(weight.fragments->tensor));
    if (weight.fragments->planes.empty())
      return fail("weight {} has no planes for GPUs", inQuotes(weight.name));
    for (uint64_t offset : weight.fragments->planes)
      if (offset >= *bytes || offset % planeAlignment)
        return fail("weight {}: a plane begins at byte {} of {}; multiples of {} are possible", inQuotes(weight.name),
                    offset, *bytes, planeAlignment);
  }
  return {};
}

/// Whether each launch passes what every variant of its kernel takes.
static Status checkLaunch(const Manifest &manifest, const LaunchEntry &launch) {
  const GPUKernelEntry &kernel = manifest.gpu->kernels[launch.kernel];
  const std::vector<bool> numbers = byValue(launch, manifest.weights);
  for (const auto &[target, variants] : kernel.variants) {
    if (variants.size() > 1 && std::ranges::count(numbers, true) == 0)
      return fail("kernel {} has several variants, but a launch says no number of tokens", inQuotes(kernel.name));
    for (const GPUVariant &variant : variants) {
      if (variant.parameters > numbers.size())
        return fail("kernel {} takes {} parameters, a launch has {}", inQuotes(kernel.name), variant.parameters,
                    numbers.size());
      for (const GridAxisEntry &axis : variant.grid)
        if (axis.parameter && !numbers[*axis.parameter])
          return fail("kernel {} has a grid by parameter {}, which is an address", inQuotes(kernel.name),
                      *axis.parameter);
    }
  }
  return {};
}

Status quantc::checkGPUProgram(const Manifest &manifest, const Manifest::TensorBytes &tensorBytes) {
  const GPUProgram &program = *manifest.gpu;
  if (program.targets.empty() || program.kernels.empty() || program.stages.empty())
    return fail("there is nothing to run: {} targets, {} kernels, {} stages", program.targets.size(),
                program.kernels.size(), program.stages.size());
  QUANTC_TRY(checkTargets(manifest, tensorBytes));
  QUANTC_TRY(checkNames(program.kernels, "kernel"));
  for (const GPUKernelEntry &kernel : program.kernels) {
    for (const GPUTargetEntry &target : program.targets)
      QUANTC_TRY(checkVariants(kernel, target));
    if (kernel.variants.size() != program.targets.size())
      return fail("kernel {} has entries for {} targets, the artifact has {}", inQuotes(kernel.name),
                  kernel.variants.size(), program.targets.size());
  }
  QUANTC_TRY(checkFragments(manifest, tensorBytes));
  QUANTC_TRY(checkProgram(manifest, program, program.kernels.size()));
  for (const StageEntry &stage : program.stages)
    for (const LaunchEntry &launch : stage.launches)
      if (const Status status = checkLaunch(manifest, launch); !status)
        return failAt(fmt::format("stage {}", inQuotes(stage.name)), status.error());
  return {};
}
