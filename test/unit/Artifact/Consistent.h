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
    if (!artifact.file().find(weight.tensor) || artifact.file().offset(*artifact.file().find(weight.tensor)) % 64)
      return "a weight that is not there, or not aligned";
  for (const quantc::StageEntry &stage : manifest.stages)
    for (const quantc::LaunchEntry &launch : stage.launches)
      for (const quantc::ArgEntry &arg : launch.args)
        if (launch.kernel >= manifest.kernels.size() ||
            (arg.kind == quantc::ArgKind::Buffer && arg.index >= manifest.buffers.size()) ||
            (arg.kind == quantc::ArgKind::Weight && arg.index >= manifest.weights.size()))
          return "an index that names nothing";
  if (manifest.tokensBuffer >= manifest.buffers.size() || manifest.logitsBuffer >= manifest.buffers.size())
    return "an input or output that is not there";
  // What was read can be written and read again.
  const auto text = manifest.serialize();
  if (!text || quantc::Manifest::parse(*text).value().serialize() != text)
    return "the manifest changes when it is written";
  return "";
}
