//===- Safetensors.h - reads and writes safetensors files -------------------------------------------------------===//
//
// A file is an u64 length, a JSON header of that length, and the bytes of the tensors without a gap. Everything that
// the format promises is checked when a file is opened, so that users of `Safetensors` need not look at sizes again.
// Source: https://github.com/huggingface/safetensors (README, "Format"; safetensors/src/tensor.rs).
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Artifact/TensorWriter.h"
#include <map>
#include <optional>

namespace quantc {

/// Bits of one element by the name of its type, as safetensors spells it ("BF16": 16); empty for an unknown name.
std::optional<unsigned> safetensorsBits(std::string_view dtype);

/// Bytes of a tensor. Fails on an unknown type, a negative dimension, a product that overflows, and a size that is no
/// whole number of bytes.
Result<uint64_t> safetensorsBytes(std::string_view dtype, const std::vector<int64_t> &shape);

/// One tensor of a file; `bytes` points into the mapping and has no particular alignment.
struct SafetensorsEntry {
  std::string name;
  std::string dtype;          ///< as the file spells it: "F32", "BF16", "U8" …
  std::vector<int64_t> shape; ///< row-major; empty for a scalar
  std::span<const std::byte> bytes;
};

/// One safetensors file, mapped. Immutable.
class Safetensors {
public:
  /// Fails where the header is no valid one (its length, its text, a name twice), sizes do not agree with shapes, or
  /// tensors leave holes, overlap, or do not end with the file.
  static Result<std::shared_ptr<const Safetensors>> open(const std::filesystem::path &path);
  static Result<std::shared_ptr<const Safetensors>> read(std::shared_ptr<const MappedFile> file);

  /// In the order of their bytes.
  const std::vector<SafetensorsEntry> &tensors() const { return entries; }
  /// Null where there is none of that name.
  const SafetensorsEntry *find(std::string_view name) const;
  /// `__metadata__`.
  const std::map<std::string, std::string> &metadata() const { return texts; }
  const std::filesystem::path &path() const { return file->path(); }
  /// Where the bytes of the entry begin in the file.
  uint64_t offset(const SafetensorsEntry &entry) const {
    return static_cast<uint64_t>(entry.bytes.data() - file->bytes().data());
  }

private:
  Status parse();
  std::shared_ptr<const MappedFile> file;
  std::vector<SafetensorsEntry> entries;
  std::map<std::string, size_t, std::less<>> byName;
  std::map<std::string, std::string> texts;
};

/// The files of a model: `model.safetensors.index.json` and its shards, or the only safetensors file of a directory.
class SafetensorsModel {
public:
  /// `path` is a directory, an index, or one safetensors file. Fails where a shard is missing, lies outside the
  /// directory, or holds other tensors than the index says.
  static Result<SafetensorsModel> open(const std::filesystem::path &path);

  /// Sorted by name; no two hold a tensor of the same name.
  const std::vector<std::shared_ptr<const Safetensors>> &files() const { return opened; }
  /// Null where there is none of that name.
  const SafetensorsEntry *find(std::string_view name) const;

private:
  std::vector<std::shared_ptr<const Safetensors>> opened;
};

/// A tensor that is to be written.
struct SafetensorsSpec {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  bool padding = false; ///< zeros that are not appended: they are written without the caller
};

struct SafetensorsWriteOptions {
  std::map<std::string, std::string> metadata = {};
  /// Write the tensors in the order given instead of the reference writer's (types of more bits first, then names).
  bool keepOrder = false;
  /// The bytes of the first tensor begin at a multiple of this.
  uint64_t alignment = 8;
};

/// Begins a file; the same bytes as the reference writer's. The bytes are appended in the order of `tensors()`.
/// Fails on a name twice or not in UTF-8, and where `safetensorsBytes` fails.
Result<TensorWriter> createSafetensors(const std::filesystem::path &path, std::vector<SafetensorsSpec> tensors,
                                       const SafetensorsWriteOptions &options = {});

/// Files `model-00001-of-0000M.safetensors` of at most `shardBytes` of tensors (one tensor at least) with
/// `model.safetensors.index.json`, or only `model.safetensors` where one is enough.
class ShardedSafetensorsWriter {
public:
  /// The directory must exist. Tensors are distributed in the order given; `metadata` is put into every shard.
  static Result<ShardedSafetensorsWriter>
  create(const std::filesystem::path &directory, std::vector<SafetensorsSpec> tensors,
         uint64_t shardBytes = 5'000'000'000, const std::map<std::string, std::string> &metadata = {{"format", "pt"}});

  /// Names of all tensors in the order in which their bytes are wanted.
  const std::vector<std::string> &order() const { return names; }
  Status append(std::span<const std::byte> bytes);
  /// The index appears last.
  Status commit();

private:
  std::filesystem::path directory;
  std::vector<TensorWriter> shards;
  std::vector<std::string> names;
  std::string index; ///< empty: one file
  size_t current = 0;
};

} // namespace quantc
