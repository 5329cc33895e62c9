//===- Checkpoint.h - the tensors and parameters of a model's files ---------------------------------------------===//
#pragma once

#include "quantc/Import/Architecture.h"
#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>

namespace quantc {

class BoundWeight;
class Catalog;

/// A tensor as a model's files have it. Shapes are row-major: [N, K] for a matrix. A weight whose fields lie in several
/// tensors is one, by the name that it had before it was quantized.
struct CheckpointTensor {
  std::string name;
  std::string file; ///< relative to the model's directory; that of the first part
  std::vector<int64_t> shape;
  std::string format;                       ///< specification: "f32", or that of a quantized format
  std::span<const std::byte> bytes;         ///< mapped, untouched until read; none where it is bound
  std::shared_ptr<const BoundWeight> bound; ///< null: rows of blocks of the format
  /// Its bytes, or those of all its parts one after the other.
  std::vector<std::span<const std::byte>> parts() const;
};

/// The files of a model, mapped: a Hugging Face directory or a GGUF file (with its splits). Immutable.
class Checkpoint {
public:
  /// Fails where the files are broken or hold tensors of a type that no description of the catalog has.
  static Result<std::shared_ptr<const Checkpoint>> open(const std::filesystem::path &model, Catalog &catalog);

  ModelKind kind() const { return modelKind; }
  const std::filesystem::path &path() const { return modelPath; }
  /// What the files call the architecture.
  const std::string &architecture() const { return architectureName; }
  /// config.json, or the GGUF metadata as one flat object without its long lists.
  const nlohmann::json &metadata() const { return parameters; }
  /// Sorted by name.
  const std::vector<CheckpointTensor> &tensors() const { return allTensors; }
  /// Null where there is none of that name.
  const CheckpointTensor *find(std::string_view name) const;

private:
  Checkpoint() = default;
  Status openDirectory(Catalog &catalog);
  Status openGguf(Catalog &catalog);

  ModelKind modelKind = ModelKind::HuggingFace;
  std::filesystem::path modelPath;
  std::string architectureName;
  nlohmann::json parameters;
  std::vector<CheckpointTensor> allTensors;
  std::vector<std::shared_ptr<const void>> files; ///< keep the mappings alive
};

} // namespace quantc
