//===- Artifact.h - the `.qm` file ------------------------------------------------------------------------------===//
//
// docs/Architecture.md ("Artifact") describes the file: a safetensors file whose metadata is the manifest.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Artifact/Manifest.h"
#include "quantc/Artifact/Safetensors.h"

namespace quantc {

/// An artifact mapped read-only: nothing is copied, and its code is not executable. Immutable. Opening reads the header
/// only.
class Artifact {
public:
  /// Fails on anything that is no valid safetensors file, has another version, or whose manifest names what the file
  /// does not hold: see `Manifest::check`.
  static Result<std::unique_ptr<Artifact>> open(const std::filesystem::path &path);
  static Result<std::unique_ptr<Artifact>> read(std::shared_ptr<const MappedFile> file);

  const Manifest &manifest() const { return description; }
  /// The JSON text as the file has it.
  const std::string &manifestText() const;
  /// The bytes of a tensor where they are mapped; empty where there is none of that name.
  std::span<const std::byte> tensor(std::string_view name) const;
  /// The serialized tokenizer; empty where the artifact has none.
  std::span<const std::byte> tokenizer() const { return tensor("tokenizer"); }
  /// BLAKE3, 32 bytes each: of the manifest's text, then of each tensor of code, weights and the tokenizer in their
  /// order in the file; empty where the artifact has none.
  std::span<const std::byte> hashes() const { return tensor("hashes"); }
  const Safetensors &file() const { return *container; }

private:
  Artifact(std::shared_ptr<const Safetensors> container, Manifest manifest)
      : container(std::move(container)), description(std::move(manifest)) {}
  std::shared_ptr<const Safetensors> container;
  Manifest description;
};

/// A tensor of an artifact that is to be written: `code.<target>`, `weight.<name>`, `fragments.<name>`,
/// `tokenizer` or `hashes`.
struct ArtifactTensor {
  std::string name;
  uint64_t bytes;
};

/// Begins an artifact. Tensors lie in the order given, code on a page, all else aligned to 64 bytes; padding is written
/// without the caller. Fails where `Artifact::open` would refuse the file.
Result<TensorWriter> createArtifact(const std::filesystem::path &path, const Manifest &manifest,
                                    const std::vector<ArtifactTensor> &tensors);

} // namespace quantc
