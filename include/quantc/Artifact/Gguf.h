//===- Gguf.h - reads and writes GGUF files ---------------------------------------------------------------------===//
//
// What a tensor's type id means is not said here: containers/gguf.qc lists the ids, and the descriptions of formats
// know the sizes of blocks. Callers pass both as one function. Source:
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Artifact/GgufMetadata.h"
#include "quantc/Artifact/TensorWriter.h"
#include <functional>
#include <map>
#include <optional>

namespace quantc {

/// A block of a type: `elements` consecutive elements of a row take `bytes` bytes.
struct GgufBlock {
  uint64_t elements, bytes;
};

/// The block of a type id; empty for an id that is not known.
using GgufTypes = std::function<std::optional<GgufBlock>(uint32_t type)>;

/// One tensor of a file; `bytes` points into the mapping.
struct GgufTensor {
  std::string name;
  std::vector<int64_t> shape;       ///< row-major, [N, K]: the reverse of the file's `ne`
  uint32_t type;                    ///< the file's type id
  std::span<const std::byte> bytes; ///< without padding
};

/// One GGUF file of version 1, 2 or 3, little-endian, mapped. Immutable.
class Gguf {
public:
  /// Fails where the file breaks a rule of the format: counts, lengths and offsets are checked before they are used.
  /// Without `types` only the metadata is for use: tensors have no bytes and their offsets are not checked.
  static Result<std::shared_ptr<const Gguf>> open(const std::filesystem::path &path, const GgufTypes &types = {});
  static Result<std::shared_ptr<const Gguf>> read(std::shared_ptr<const MappedFile> file, const GgufTypes &types = {});

  uint32_t version() const { return fileVersion; }
  uint64_t alignment() const { return tensorAlignment; }
  const GgufMetadata &metadata() const { return values; }
  /// In the order of their bytes.
  const std::vector<GgufTensor> &tensors() const { return entries; }
  /// Null where there is none of that name.
  const GgufTensor *find(std::string_view name) const;
  const std::filesystem::path &path() const { return file->path(); }

private:
  Status parse(const GgufTypes &types);
  std::shared_ptr<const MappedFile> file;
  uint32_t fileVersion = 0;
  uint64_t tensorAlignment = 0;
  GgufMetadata values;
  std::vector<GgufTensor> entries;
  std::map<std::string, size_t, std::less<>> byName;
};

/// A model in one file, or in splits `<prefix>-00001-of-0000M.gguf` of which any one is given.
class GgufModel {
public:
  /// Metadata without `types`, as `Gguf::open`. Fails where a split is missing, is out of place, or the splits together
  /// have not the tensors that they should.
  static Result<GgufModel> open(const std::filesystem::path &path, const GgufTypes &types = {});

  /// The first file's.
  const GgufMetadata &metadata() const { return opened.front()->metadata(); }
  const std::vector<std::shared_ptr<const Gguf>> &files() const { return opened; }
  /// Null where there is none of that name.
  const GgufTensor *find(std::string_view name) const;

private:
  std::vector<std::shared_ptr<const Gguf>> opened;
};

/// A tensor that is to be written.
struct GgufSpec {
  std::string name;
  std::vector<int64_t> shape; ///< row-major
  uint32_t type;
};

/// Begins a file of version 3 with the metadata and tensors in the order given. Tensors, the last one too, are padded
/// to `general.alignment`, 32 if there is none. Fails where a reader would refuse the file.
Result<TensorWriter> createGguf(const std::filesystem::path &path, const GgufMetadata &metadata,
                                const std::vector<GgufSpec> &tensors, const GgufTypes &types);

} // namespace quantc
