//===- Weights.h - the tensors of a model of any kind -----------------------------------------------------------===//
#pragma once

#include "quantc/Driver/Models.h"
#include "quantc/Import/Tensors.h"

namespace quantc {

/// The tensors of a Hugging Face directory, a GGUF file or an artifact, mapped.
Result<std::vector<StoredTensor>> openTensors(const std::filesystem::path &model, Catalog &catalog);

} // namespace quantc
