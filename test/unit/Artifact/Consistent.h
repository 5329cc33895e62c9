//===- Consistent.h - what holds of every file that a reader accepts --------------------------------------------===//
//
// For tests of damaged files and for fuzzing: a damage may be one that makes another valid file, but what is accepted
// must agree with itself. Sizes are computed here in other ways than in the readers.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "Samples.h"
#include <nlohmann/json.hpp>

/// An empty text where all is well.
inline std::string whatIsWrong(const quantc::Safetensors &file, std::string_view bytes) {
  const size_t length = static_cast<uint8_t>(bytes[0]) | static_cast<uint8_t>(bytes[1]) << 8 |
                        static_cast<uint8_t>(bytes[2]) << 16 |
                        static_cast<size_t>(static_cast<uint8_t>(bytes[3])) << 24;
  const auto header = nlohmann::json::parse(bytes.substr(8, length), nullptr, false);
  if (!header.is_object())
    return "the header is no JSON object";
  size_t tensors = 0, covered = 8 + length;
  for (const auto &[name, entry] : header.items())
    if (name != "__metadata__") {
      const quantc::SafetensorsEntry *read = file.find(name);
      if (!read)
        return "lost " + name;
      ++tensors;
      covered += read->bytes.size();
      if (file.offset(*read) != 8 + length + entry["data_offsets"][0].get<size_t>() ||
          file.offset(*read) + read->bytes.size() != 8 + length + entry["data_offsets"][1].get<size_t>() ||
          file.offset(*read) + read->bytes.size() > bytes.size())
        return "misplaced " + name;
      long double elements = 1;
      for (const auto &size : entry["shape"])
        elements *= size.get<double>();
      if (entry["shape"].get<std::vector<int64_t>>() != read->shape || entry["dtype"] != read->dtype ||
          elements * *quantc::safetensorsBits(read->dtype) != 8.0L * read->bytes.size())
        return "the size of " + name;
    }
  if (tensors != file.tensors().size() || covered != bytes.size())
    return "tensors are missing, or bytes belong to none";
  return "";
}

inline std::string whatIsWrong(const quantc::Gguf &file, std::string_view bytes) {
  size_t named = 0;
  const std::byte *end = nullptr;
  for (const quantc::GgufTensor &tensor : file.tensors()) {
    named += file.find(tensor.name) == &tensor;
    if (end && (tensor.bytes.data() < end || tensor.bytes.data() - end >= static_cast<ptrdiff_t>(file.alignment())))
      return "misplaced " + tensor.name;
    long double elements = 1;
    for (int64_t size : tensor.shape)
      elements *= size;
    const auto block = samples::blockOf(tensor.type);
    if (!block || elements / block->elements * block->bytes != static_cast<long double>(tensor.bytes.size()))
      return "the size of " + tensor.name;
    if (tensor.bytes.size() > bytes.size())
      return "outside the file: " + tensor.name;
    end = tensor.bytes.data() + tensor.bytes.size();
  }
  if (named != file.tensors().size())
    return "two tensors of one name";
  for (const auto &[key, value] : file.metadata().entries())
    if (file.metadata().find(key) != &value || value.encode().size() > 16 * bytes.size() + 16)
      return "the value of " + key;
  return "";
}

inline bool namesNothing(const quantc::Manifest &manifest, const quantc::ProgramEntry &program, size_t kernels) {
  for (const quantc::StageEntry &stage : program.stages)
    for (const quantc::LaunchEntry &launch : stage.launches)
      for (const quantc::ArgEntry &arg : launch.args)
        if (launch.kernel >= kernels || (arg.kind == quantc::ArgKind::Buffer && arg.index >= program.buffers.size()) ||
            (arg.kind == quantc::ArgKind::Weight && arg.index >= manifest.weights.size()))
          return true;
  return program.tokensBuffer >= program.buffers.size() || program.logitsBuffer >= program.buffers.size();
}

/// The program for GPUs: what the runtime relies on when it launches.
inline std::string whatIsWrong(const quantc::Artifact &artifact, const quantc::GPUProgram &program) {
  for (const quantc::WeightEntry &weight : artifact.manifest().weights)
    if (weight.fragments)
      for (uint64_t plane : weight.fragments->planes)
        if (plane >= artifact.tensor(weight.fragments->tensor).size())
          return "a plane outside of its weight";
  for (const quantc::GPUTargetEntry &target : program.targets)
    for (const quantc::GPUKernelEntry &kernel : program.kernels)
      for (const quantc::GPUVariant &variant : kernel.variants.at(target.name))
        if (variant.threads - 1 >= 1024 || artifact.tensor(target.ptx).empty())
          return "a kernel that cannot be launched";
  for (const quantc::StageEntry &stage : program.stages)
    for (const quantc::LaunchEntry &launch : stage.launches)
      for (const auto &[target, variants] : program.kernels[launch.kernel].variants)
        for (const quantc::GPUVariant &variant : variants)
          if (variant.parameters > quantc::GPUProgram::parameterCount(launch, artifact.manifest().weights))
            return "a launch with too few parameters";
  return namesNothing(artifact.manifest(), program, program.kernels.size()) ? "an index that names nothing" : "";
}

inline std::string whatIsWrong(const quantc::Artifact &artifact, std::string_view bytes) {
  if (const std::string problem = whatIsWrong(artifact.file(), bytes); !problem.empty())
    return problem;
  const quantc::Manifest &manifest = artifact.manifest();
  for (const quantc::TargetEntry &target : manifest.targets)
    for (const quantc::KernelEntry &kernel : manifest.kernels)
      if (kernel.entry.at(target.name).run >= artifact.tensor(target.code).size() ||
          kernel.entry.at(target.name).tasks >= artifact.tensor(target.code).size())
        return "an entry outside the code";
  for (const quantc::WeightEntry &weight : manifest.weights)
    for (const std::string &tensor : {weight.tensor, weight.fragments ? weight.fragments->tensor : weight.tensor})
      if (!tensor.empty() &&
          (!artifact.file().find(tensor) || artifact.file().offset(*artifact.file().find(tensor)) % 64))
        return "a weight that is not there, or not aligned";
  if (!manifest.targets.empty() && namesNothing(manifest, manifest, manifest.kernels.size()))
    return "an index that names nothing";
  if (manifest.gpu)
    if (const std::string problem = whatIsWrong(artifact, *manifest.gpu); !problem.empty())
      return problem;
  // What was read can be written and read again.
  const auto text = manifest.serialize();
  if (!text || quantc::Manifest::parse(*text).value().serialize() != text)
    return "the manifest changes when it is written";
  return "";
}
