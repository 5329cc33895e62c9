//===- DeviceModel.cpp - code and weights of a model on a GPU -----------------------------------------------------===//

#include "DeviceModel.h"
#include "../Placement.h"
#include "PtxEntries.h"
#include "quantc/Support/Text.h"
#include <algorithm>
#include <fmt/ranges.h>
#include <ranges>

using namespace quantc;
using namespace quantc::cuda;

//===- Code ----------------------------------------------------------------------------------------------------===//

Status DeviceModel::chooseTarget(const std::string &asked) {
  const auto names =
      fmt::format("{}", fmt::join(description->targets | std::views::transform(&GPUTargetEntry::name), ", "));
  const auto here = fmt::format("this GPU ({}, compute capability {}.{})", gpu->name(), gpu->capability().first,
                                gpu->capability().second);
  for (const GPUTargetEntry &target : description->targets | std::views::reverse)
    if (asked.empty() ? gpu->runs(target.chip) : target.name == asked) {
      chosen = &target;
      break;
    }
  if (!chosen && asked.empty())
    return fail("{} can execute none of its targets for GPUs ({}); compile for this one", here, names);
  if (!chosen)
    return fail("holds no code for the GPU {}; it has {}", asked, names);
  if (!gpu->runs(chosen->chip))
    return fail("the code for {} does not run on {}", asked, here);
  return {};
}

Status DeviceModel::loadModule(const void *image) {
  const Driver &driver = gpu->driver();
  std::string log(4096, '\0');
  int options[] = {JitErrorLog, JitErrorLogBytes};
  void *values[] = {log.data(), reinterpret_cast<void *>(log.size() - 1)};
  if (const int result = driver.moduleLoad(&module, image, 2, options, values)) {
    module = nullptr;
    log.resize(log.find('\0'));
    const std::string line = log.substr(0, log.find('\n'));
    return fail("the code for {} cannot be loaded on the GPU ({}): {}{}{}", chosen->name, gpu->name(),
                driver.check(result, "loading").error().message, line.empty() ? "" : ": ", line);
  }
  return {};
}

void DeviceModel::note(const std::string &what) const {
  if (options.note)
    options.note(what);
}

Status DeviceModel::loadCode(const Artifact &artifact) {
  const auto text = artifact.tensor(chosen->ptx);
  const std::string ptx(reinterpret_cast<const char *>(text.data()), text.size()); // ends with a zero
  QUANTC_TRY(checkKernels(ptx));
  QUANTC_ASSIGN(const Device::Current current, gpu->makeCurrent());
  const auto cubin = artifact.tensor(chosen->cubin);
  // Machine code is what the text would become; where it does not load, it does.
  bool isLoaded = false;
  if (!cubin.empty() && gpu->runsMachineCode(chosen->chip)) {
    const Status loaded = loadModule(cubin.data());
    isLoaded = loaded.has_value();
    if (!isLoaded)
      note(loaded.error().message + "; the driver compiles the PTX instead, which takes a while at each start");
  }
  if (!isLoaded)
    QUANTC_TRY(loadModule(ptx.c_str()));
  return findKernels();
}

/// Whether the text has the kernels that the manifest names, and this GPU can launch them.
Status DeviceModel::checkKernels(std::string_view ptx) const {
  const auto entries = ptxEntries(ptx);
  if (!entries)
    return fail("the code for {} is damaged: it {}", chosen->name, entries.error().message);
  for (const GPUKernelEntry &kernel : description->kernels)
    for (const GPUVariant &variant : kernel.variants.at(chosen->name)) {
      const auto entry = entries->find(variant.symbol);
      if (entry == entries->end() || entry->second != variant.parameters)
        return fail("the code for {} is damaged: its kernel {} {}, {} parameters are to be passed", chosen->name,
                    inQuotes(variant.symbol),
                    entry == entries->end() ? "is missing" : fmt::format("takes {} parameters", entry->second),
                    variant.parameters);
      if (std::cmp_greater(variant.sharedBytes, gpu->sharedBytes()))
        return fail("the code for {} takes {} bytes of shared memory; a block of this GPU ({}) has {}: compile for it",
                    chosen->name, variant.sharedBytes, gpu->name(), gpu->sharedBytes());
    }
  return {};
}

Status DeviceModel::findKernels() {
  const Driver &driver = gpu->driver();
  for (const GPUKernelEntry &kernel : description->kernels) {
    std::vector<Variant> &variants = kernels.emplace_back();
    for (const GPUVariant &variant : kernel.variants.at(chosen->name)) {
      Function function = nullptr;
      QUANTC_TRY(driver.check(driver.moduleGetFunction(&function, module, variant.symbol.c_str()),
                              ("finding the kernel " + variant.symbol).c_str()));
      QUANTC_TRY(
          driver.check(driver.functionSetAttribute(function, DynamicSharedBytes, static_cast<int>(variant.sharedBytes)),
                       ("shared memory of the kernel " + variant.symbol).c_str()));
      variants.push_back({&variant, function});
    }
  }
  return {};
}

//===- Weights -------------------------------------------------------------------------------------------------===//

static const std::string &tensorOf(const WeightEntry &weight) {
  return weight.fragments ? weight.fragments->tensor : weight.tensor;
}

uint64_t DeviceModel::weightBytes(StageRange stages) const {
  uint64_t bytes = 0;
  for (size_t index : weightsOf(*description, stages))
    bytes += sizes[index];
  return bytes;
}

/// The error that says what would fit.
tl::unexpected<Error> DeviceModel::tooLarge(StageRange stages, uint64_t free) const {
  double weights = 0;
  for (size_t index : weightsOf(*description, stages)) {
    double count = 1;
    for (int64_t size : all->weights[index].shape)
      count *= static_cast<double>(size);
    weights += count;
  }
  const std::string layers = layersThatFit(*all, [&](StageRange part) { return weightBytes(part) <= free; });
  return fail("its weights take {} bytes, {} can be used on the GPU ({}); a format of less than {:.1f} bits per weight "
              "would fit{}, beside a KV cache",
              weightBytes(stages), free, gpu->name(), 8 * static_cast<double>(free) / weights, layers);
}

Status DeviceModel::copyWeights(const Artifact &artifact, StageRange stages) {
  for (const WeightEntry &weight : all->weights) {
    const uint64_t bytes = artifact.tensor(tensorOf(weight)).size();
    sizes.push_back((bytes + DeviceMemory::alignment - 1) / DeviceMemory::alignment * DeviceMemory::alignment);
  }
  const uint64_t needed = weightBytes(stages);
  QUANTC_ASSIGN(const Device::MemoryInfo info, gpu->memory());
  if (needed > info.usable())
    return tooLarge(stages, info.usable());
  QUANTC_ASSIGN(memory, DeviceMemory::allocate(gpu, needed));
  QUANTC_ASSIGN(const Device::Current current, gpu->makeCurrent());
  addresses.resize(sizes.size());
  Address begin = memory.address();
  for (size_t index : weightsOf(*description, stages)) {
    const WeightEntry &weight = all->weights[index];
    if (const auto bytes = artifact.tensor(tensorOf(weight)); !bytes.empty())
      QUANTC_TRY(gpu->driver().check(gpu->driver().copyToDevice(begin, bytes.data(), bytes.size()),
                                     ("copying the weight " + weight.name).c_str()));
    for (uint64_t plane : weight.fragments ? weight.fragments->planes : std::vector<uint64_t>{0})
      addresses[index].push_back(begin + plane);
    begin += sizes[index];
  }
  // A copy may land after its call, and the streams of sessions do not wait for it.
  return gpu->driver().check(gpu->driver().contextSynchronize(), "copying weights");
}

Result<std::shared_ptr<const DeviceModel>> DeviceModel::create(std::shared_ptr<const Device> device,
                                                               const Artifact &artifact, const LoadOptions &options,
                                                               StageRange stages) {
  std::shared_ptr<DeviceModel> model(new DeviceModel(std::move(device), artifact, options));
  QUANTC_TRY(model->chooseTarget(options.target));
  QUANTC_TRY(model->loadCode(artifact));
  QUANTC_TRY(model->copyWeights(artifact, stages));
  return std::shared_ptr<const DeviceModel>(std::move(model));
}

DeviceModel::~DeviceModel() {
  if (!module)
    return;
  const auto current = gpu->makeCurrent();
  gpu->driver().moduleUnload(module);
}
