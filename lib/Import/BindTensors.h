//===- BindTensors.h - the tensors of a quantized model made into weights ---------------------------------------===//
#pragma once

#include "quantc/Artifact/Safetensors.h"
#include "quantc/Format/Recognize.h"
#include "quantc/Import/Checkpoint.h"

namespace quantc {

/// A tensor of a model with the file that it lies in.
struct FileEntry {
  const SafetensorsEntry *entry;
  std::string file;
};
using FileEntries = std::map<std::string, FileEntry>;

/// Takes the parts of every weight that is stored in a container out of `entries`, and gives the weights: the layer P
/// with a tensor P.part gives the weight P.weight. Fails where a part is missing or has another type or shape.
Result<std::vector<CheckpointTensor>> bindTensors(FileEntries &entries, const Recognized &as, Catalog &catalog);

/// The same where the configuration leaves several containers possible: the only one whose constants all tensors hold.
/// Fails where that is none or not one, with what the configuration lacks.
Result<std::vector<CheckpointTensor>> bindTensors(FileEntries &entries, const Recognition &as, Catalog &catalog);

} // namespace quantc
