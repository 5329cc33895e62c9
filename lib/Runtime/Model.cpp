//===- Model.cpp - an artifact mapped for execution -------------------------------------------------------------===//

#include "quantc/Runtime/Model.h"
#include "CUDA/DeviceModel.h"
#include "Placement.h"
#include "quantc/Runtime/Cpu.h"
#include "quantc/Runtime/Memory.h"
#include <algorithm>
#include <fmt/ranges.h>
#include <ranges>
#include <sys/mman.h>

using namespace quantc;

namespace {

constexpr uintptr_t weightAlignment = 64;

std::string targetNames(const Manifest &manifest) {
  return fmt::format("{}", fmt::join(manifest.targets | std::views::transform(&TargetEntry::name), ", "));
}

/// The target asked for, or the best one (they are in ascending order) that this processor can execute.
Result<const TargetEntry *> chooseTarget(const Manifest &manifest, const std::string &asked) {
  if (manifest.targets.empty())
    return fail("holds code for GPUs only; run it on one (--device cuda), or compile for this processor");
  if (!asked.empty()) {
    const auto found = std::ranges::find(manifest.targets, asked, &TargetEntry::name);
    if (found == manifest.targets.end())
      return fail("holds no code for {}; it has {}", asked, targetNames(manifest));
    if (const auto missing = firstMissingFeature(found->features); !missing.empty())
      return fail("the code for {} needs {}, which this processor ({}) lacks", asked, missing, cpuName());
    return &*found;
  }
  for (const TargetEntry &target : manifest.targets | std::views::reverse)
    if (firstMissingFeature(target.features).empty())
      return &target;
  return fail("this processor ({}) can execute none of its targets ({}); compile for the level of this machine",
              cpuName(), targetNames(manifest));
}

/// Wishes for huge pages, which raise the bandwidth of weights from memory by a tenth and more: the system then reads
/// the file into them. A file that is in the page cache already keeps the pages that it was written or read with.
void adviseHugePages(std::span<const std::byte> file) {
  ::madvise(const_cast<std::byte *>(file.data()), file.size(), MADV_HUGEPAGE);
}

/// The functions at the entries of the chosen target. Each must begin within the image.
Result<std::vector<Model::Kernel>> resolveKernels(const Manifest &manifest, const std::string &target,
                                                  std::span<const std::byte> code) {
  std::vector<Model::Kernel> kernels;
  for (const KernelEntry &kernel : manifest.kernels) {
    const auto entry = kernel.entry.find(target);
    if (entry == kernel.entry.end())
      return fail("kernel {} has no entry for {}", kernel.name, target);
    const auto [run, tasks] = entry->second;
    if (run >= code.size() || tasks >= code.size())
      return fail("kernel {} begins outside its code of {} bytes", kernel.name, code.size());
    kernels.push_back(
        {reinterpret_cast<KernelFunction>(reinterpret_cast<uintptr_t>(code.data() + run)),
         reinterpret_cast<int64_t (*)(const int64_t *)>(reinterpret_cast<uintptr_t>(code.data() + tasks))});
  }
  return kernels;
}

/// What a session relies on beside what `Manifest::check` has seen to.
Status checkBuffers(const Manifest &manifest, const ProgramEntry &program) {
  if (manifest.vocab <= 0 || manifest.vocab > INT32_MAX)
    return fail("its vocabulary has {} tokens", manifest.vocab);
  if (manifest.context <= 0 || manifest.context > INT32_MAX)
    return fail("its context is {} positions", manifest.context);
  if (program.buffers[program.tokensBuffer].perToken < sizeof(int32_t))
    return fail("its buffer of tokens is too small for i32 ids");
  const BufferEntry &logits = program.buffers[program.logitsBuffer];
  const uint64_t row = sizeof(float) * static_cast<uint64_t>(manifest.vocab);
  if (logits.bytes < row && logits.perToken < row)
    return fail("its buffer of logits is too small for one row of {} tokens", manifest.vocab);
  return {};
}

} // namespace

struct Model::Mapped {
  std::unique_ptr<Artifact> artifact;
  std::string target;
  std::vector<Kernel> kernels;
  std::vector<const std::byte *> weights;
  const ProgramEntry *program = nullptr;
  std::shared_ptr<const cuda::DeviceModel> device;
  StageRange onDevice;

  /// Everything but opening the file; errors do not name it.
  Status load(const LoadOptions &options);
  Status map(const std::string &asked);
  Status upload(const LoadOptions &options);
};

Status Model::Mapped::load(const LoadOptions &options) {
  const Manifest &manifest = artifact->manifest();
  if (options.device == DeviceKind::Cpu || options.gpuLayers == 0)
    return map(options.target);
  if (!manifest.gpu)
    return fail("holds no code for GPUs; it has {}: compile the model with --target of a GPU too",
                targetNames(manifest));
  QUANTC_ASSIGN(onDevice, stagesOnGPU(manifest, options.gpuLayers.value_or(manifest.layers + 1)));
  if (onDevice == manifest.gpu->allStages())
    return upload(options);
  // A name is that of one of the two targets.
  const bool isOfGPU = std::ranges::count(manifest.gpu->targets, options.target, &GPUTargetEntry::name);
  LoadOptions ofGPU = options;
  if (!isOfGPU)
    ofGPU.target.clear();
  QUANTC_TRY(upload(ofGPU));
  const std::string gpuTarget = target;
  QUANTC_TRY(map(isOfGPU ? "" : options.target));
  target = gpuTarget + "+" + target;
  return {};
}

Status Model::Mapped::map(const std::string &asked) {
  const Manifest &manifest = artifact->manifest();
  QUANTC_ASSIGN(const TargetEntry *chosen, chooseTarget(manifest, asked));
  program = &manifest;
  QUANTC_TRY(checkBuffers(manifest, manifest));
  target = chosen->name;

  const auto code = artifact->tensor(chosen->code);
  QUANTC_ASSIGN(kernels, resolveKernels(manifest, target, code));
  QUANTC_TRY(makeExecutable(code));
  for (const WeightEntry &weight : manifest.weights) {
    const auto bytes = artifact->tensor(weight.tensor);
    if (reinterpret_cast<uintptr_t>(bytes.data()) % weightAlignment)
      return fail("weight {} is not aligned to {} bytes", weight.name, weightAlignment);
    weights.push_back(bytes.data());
  }
  return {};
}

Status Model::Mapped::upload(const LoadOptions &options) {
  const Manifest &manifest = artifact->manifest();
  program = &*manifest.gpu;
  QUANTC_TRY(checkBuffers(manifest, *program));
  QUANTC_ASSIGN(auto opened,
                cuda::Device::open(options.cudaLibrary.empty() ? cuda::systemLibrary : options.cudaLibrary));
  QUANTC_ASSIGN(device, cuda::DeviceModel::create(std::move(opened), *artifact, options, onDevice));
  target = device->target().name;
  return {};
}

Result<std::shared_ptr<const Model>> Model::load(const std::filesystem::path &path, const LoadOptions &options) {
  auto mapped = std::make_unique<Mapped>();
  QUANTC_ASSIGN(auto file, MappedFile::open(path));
  if (options.device == DeviceKind::Cpu || options.gpuLayers)
    adviseHugePages(file->bytes());
  QUANTC_ASSIGN(mapped->artifact, Artifact::read(std::move(file)));
  if (const Status status = mapped->load(options); !status)
    return failAt(path.string(), status.error());
  return std::shared_ptr<const Model>(new Model(std::move(mapped)));
}

Model::Model(std::unique_ptr<Mapped> mapped) : mapped(std::move(mapped)) {}
Model::~Model() = default;

const Manifest &Model::manifest() const {
  return mapped->artifact->manifest();
}
const Artifact &Model::artifact() const {
  return *mapped->artifact;
}
const std::string &Model::target() const {
  return mapped->target;
}
const ProgramEntry &Model::program() const {
  return *mapped->program;
}
StageRange Model::stagesOnDevice() const {
  return mapped->onDevice;
}
const std::shared_ptr<const cuda::DeviceModel> &Model::onDevice() const {
  return mapped->device;
}
const std::vector<Model::Kernel> &Model::kernels() const {
  return mapped->kernels;
}
const std::vector<const std::byte *> &Model::weights() const {
  return mapped->weights;
}
int64_t Model::context() const {
  return manifest().context;
}
int64_t Model::vocab() const {
  return manifest().vocab;
}
const std::vector<int32_t> &Model::endTokens() const {
  return manifest().eos;
}
