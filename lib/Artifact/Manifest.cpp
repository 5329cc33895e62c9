//===- Manifest.cpp - whether a manifest is consistent ----------------------------------------------------------===//

#include "ManifestCheck.h"
#include <algorithm>

using namespace quantc;

/// The KV cache is allocated for a multiple of this many positions.
static constexpr uint64_t contextGranule = 16;

static Status checkModel(const Manifest &manifest) {
  if (manifest.context < 1 || manifest.context > INT32_MAX)
    return fail("the context is {} positions; 1 to {} are possible", manifest.context, INT32_MAX);
  if (manifest.vocab < 1 || manifest.vocab > INT32_MAX)
    return fail("the vocabulary has {} tokens; 1 to {} are possible", manifest.vocab, INT32_MAX);
  if (manifest.bos && (*manifest.bos < 0 || *manifest.bos >= manifest.vocab))
    return fail("the token bos is {}, the vocabulary has {}", *manifest.bos, manifest.vocab);
  for (int32_t token : manifest.eos)
    if (token < 0 || token >= manifest.vocab)
      return fail("a token of eos is {}, the vocabulary has {}", token, manifest.vocab);
  return {};
}

static Status checkCode(const Manifest &manifest, const Manifest::TensorBytes &tensorBytes) {
  if (manifest.targets.empty() || manifest.kernels.empty() || manifest.stages.empty())
    return fail("there is nothing to run: {} targets, {} kernels, {} stages", manifest.targets.size(),
                manifest.kernels.size(), manifest.stages.size());
  QUANTC_TRY(checkNames(manifest.targets, "target"));
  QUANTC_TRY(checkNames(manifest.kernels, "kernel"));
  for (const TargetEntry &target : manifest.targets) {
    const auto bytes = tensorBytes(target.code);
    if (!bytes)
      return fail("the code of target {}, tensor {}, is not there", inQuotes(target.name), inQuotes(target.code));
    for (const KernelEntry &kernel : manifest.kernels) {
      const auto entry = kernel.entry.find(target.name);
      if (entry == kernel.entry.end())
        return fail("kernel {} has no entry for target {}", inQuotes(kernel.name), inQuotes(target.name));
      if (entry->second.run >= *bytes || entry->second.tasks >= *bytes)
        return fail("kernel {} begins at bytes {} and {} of the code of target {}, which has {}", inQuotes(kernel.name),
                    entry->second.run, entry->second.tasks, inQuotes(target.name), *bytes);
    }
  }
  for (const KernelEntry &kernel : manifest.kernels)
    if (kernel.entry.size() != manifest.targets.size())
      return fail("kernel {} has entries for {} targets, the artifact has {}", inQuotes(kernel.name),
                  kernel.entry.size(), manifest.targets.size());
  return {};
}

static Status checkWeights(const Manifest &manifest, const Manifest::TensorBytes &tensorBytes) {
  QUANTC_TRY(checkNames(manifest.weights, "weight"));
  for (const WeightEntry &weight : manifest.weights) {
    if (!tensorBytes(weight.tensor) && !(weight.tensor.empty() && weight.fragments && manifest.targets.empty()))
      return fail("weight {}: the tensor {} is not there", inQuotes(weight.name), inQuotes(weight.tensor));
    if (weight.fragments && !manifest.gpu)
      return fail("weight {} lies in planes for GPUs, for which there is no program", inQuotes(weight.name));
    int64_t elements = 1;
    for (int64_t size : weight.shape)
      if (size < 0 || __builtin_mul_overflow(elements, size, &elements))
        return fail("weight {}: the shape [{}] has more elements than can be addressed, or a negative dimension",
                    inQuotes(weight.name), fmt::join(weight.shape, ", "));
  }
  return {};
}

static Status checkBuffers(const Manifest &manifest, const ProgramEntry &program) {
  QUANTC_TRY(checkNames(program.buffers, "buffer"));
  const uint64_t context =
      (static_cast<uint64_t>(manifest.context) + contextGranule - 1) / contextGranule * contextGranule;
  uint64_t total = 0;
  for (const BufferEntry &buffer : program.buffers) {
    uint64_t both, size;
    if (__builtin_add_overflow(buffer.perToken, buffer.perContext, &both) ||
        __builtin_mul_overflow(both, context, &size) || __builtin_add_overflow(size, buffer.bytes, &size) ||
        __builtin_add_overflow(total, size, &total) || total > INT64_MAX)
      return fail("with buffer {} the buffers take more bytes than can be addressed", inQuotes(buffer.name));
  }
  const ChoiceEntry choice = program.choice.value_or(ChoiceEntry{});
  const TopEntry top = program.top.value_or(TopEntry{});
  for (size_t index :
       {program.tokensBuffer, program.logitsBuffer, choice.tokens, choice.largest, top.tokens, top.logits})
    if (index >= program.buffers.size())
      return fail("an input or output is buffer {}, there are {}", index, program.buffers.size());
  const uint64_t ofTokens = program.buffers[top.tokens].perToken, ofLogits = program.buffers[top.logits].perToken;
  if (program.top && (ofTokens == 0 || ofTokens % sizeof(float) || ofTokens != ofLogits))
    return fail("the most likely tokens of a row take {} bytes, their logits {}; both are as many numbers of 4 bytes",
                ofTokens, ofLogits);
  return {};
}

static Status checkArgument(const Manifest &manifest, const ProgramEntry &program, const ArgEntry &arg) {
  if (arg.kind == ArgKind::Buffer && arg.index >= program.buffers.size())
    return fail("an argument is buffer {}, there are {}", arg.index, program.buffers.size());
  if (arg.kind == ArgKind::Weight && arg.index >= manifest.weights.size())
    return fail("an argument is weight {}, there are {}", arg.index, manifest.weights.size());
  return {};
}

static Status checkCarry(const ProgramEntry &program, const CarryEntry &carry) {
  if (carry.buffer >= program.buffers.size())
    return fail("carries buffer {}, there are {}", carry.buffer, program.buffers.size());
  const BufferEntry &buffer = program.buffers[carry.buffer];
  if (carry.perToken == 0 || carry.perToken % sizeof(float) || carry.perToken > buffer.perToken)
    return fail("carries {} bytes of f32 for each token in buffer {}, which has {}", carry.perToken,
                inQuotes(buffer.name), buffer.perToken);
  return {};
}

Status quantc::checkProgram(const Manifest &manifest, const ProgramEntry &program, size_t kernels) {
  QUANTC_TRY(checkBuffers(manifest, program));
  QUANTC_TRY(checkNames(program.stages, "stage"));
  for (const StageEntry &stage : program.stages) {
    if (stage.carries)
      if (const Status status = checkCarry(program, *stage.carries); !status)
        return failAt(fmt::format("stage {}", inQuotes(stage.name)), status.error());
    for (const LaunchEntry &launch : stage.launches) {
      if (launch.kernel >= kernels)
        return fail("stage {} launches kernel {}, there are {}", inQuotes(stage.name), launch.kernel, kernels);
      for (const ArgEntry &arg : launch.args)
        if (const Status status = checkArgument(manifest, program, arg); !status)
          return failAt(fmt::format("stage {}", inQuotes(stage.name)), status.error());
    }
  }
  return {};
}

Status Manifest::check(const TensorBytes &tensorBytes) const {
  QUANTC_TRY(checkModel(*this));
  const bool forProcessors = !targets.empty() || !gpu;
  if (forProcessors)
    QUANTC_TRY(checkCode(*this, tensorBytes));
  else if (!kernels.empty() || !stages.empty() || !buffers.empty())
    return fail("there is a program for processors, but no target");
  QUANTC_TRY(checkWeights(*this, tensorBytes));
  if (forProcessors)
    QUANTC_TRY(checkProgram(*this, *this, kernels.size()));
  if (gpu)
    if (const Status status = checkGPUProgram(*this, tensorBytes); !status)
      return failAt("the program for GPUs", status.error());
  return {};
}
