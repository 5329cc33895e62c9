//===- SafetensorsWriter.cpp - writes safetensors files ---------------------------------------------------------===//

#include "SafetensorsHeader.h"
#include "quantc/Artifact/Safetensors.h"
#include "quantc/Support/Text.h"
#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_set>

namespace fs = std::filesystem;
using namespace quantc;

static_assert(std::endian::native == std::endian::little,
              "files are little-endian, and are written as memory has them");

//===- One file -------------------------------------------------------------------------------------------------===//

/// The reference writer's order: naturally aligned, because types of more bits come first.
static void sortAsReference(std::vector<SafetensorsSpec> &tensors) {
  std::ranges::sort(tensors, [](const SafetensorsSpec &a, const SafetensorsSpec &b) {
    const size_t rankA = safetensorsRank(a.dtype), rankB = safetensorsRank(b.dtype);
    return rankA != rankB ? rankA > rankB : a.name < b.name;
  });
}

/// Lays the tensors out one behind the other.
static Result<SafetensorsHeader> makeHeader(const std::vector<SafetensorsSpec> &tensors,
                                            const std::map<std::string, std::string> &metadata) {
  SafetensorsHeader header{{}, metadata};
  std::unordered_set<std::string_view> names;
  uint64_t end = 0;
  for (const SafetensorsSpec &tensor : tensors) {
    if (tensor.name == safetensorsMetadataKey || !names.insert(tensor.name).second)
      return fail("a tensor cannot be named {}: the name is taken", inQuotes(tensor.name));
    auto bytes = safetensorsBytes(tensor.dtype, tensor.shape);
    if (!bytes)
      return failAt("tensor " + inQuotes(tensor.name), bytes.error());
    const uint64_t begin = end;
    if (__builtin_add_overflow(begin, *bytes, &end) || end > INT64_MAX)
      return fail("the tensors have more bytes than a file can hold");
    header.tensors.push_back({tensor.name, tensor.dtype, tensor.shape, begin, end});
  }
  return header;
}

Result<TensorWriter> quantc::createSafetensors(const fs::path &path, std::vector<SafetensorsSpec> tensors,
                                               const SafetensorsWriteOptions &options) {
  if (!options.keepOrder)
    sortAsReference(tensors);
  auto header = makeHeader(tensors, options.metadata);
  if (!header)
    return failAt(path.string(), header.error());
  const auto formatted = formatSafetensorsHeader(*header, options.alignment);
  if (!formatted)
    return failAt(path.string(), formatted.error());
  const std::string &text = *formatted;
  if (text.size() > maxSafetensorsHeader)
    return fail("{}: a header of {} bytes would be more than the {} allowed; write several files", path.string(),
                text.size(), maxSafetensorsHeader);
  const uint64_t length = text.size(), dataBegin = 8 + length;
  QUANTC_ASSIGN(AtomicFile file, AtomicFile::create(path));
  QUANTC_TRY(file.write(std::as_bytes(std::span(&length, 1))));
  QUANTC_TRY(file.write(text));
  std::vector<TensorExtent> extents;
  for (size_t i = 0; i < tensors.size(); ++i)
    if (const SafetensorsHeaderEntry &tensor = header->tensors[i]; !tensors[i].padding)
      extents.push_back({tensor.name, dataBegin + tensor.begin, tensor.end - tensor.begin});
  const uint64_t dataBytes = header->tensors.empty() ? 0 : header->tensors.back().end;
  return TensorWriter(std::move(file), std::move(extents), dataBegin + dataBytes);
}

//===- Shards ---------------------------------------------------------------------------------------------------===//

namespace {

struct Shard {
  std::vector<SafetensorsSpec> tensors;
  uint64_t bytes = 0;
};

/// Fills one shard after the other, in the order given.
Result<std::vector<Shard>> distribute(std::vector<SafetensorsSpec> tensors, uint64_t shardBytes) {
  std::vector<Shard> shards(1);
  for (SafetensorsSpec &tensor : tensors) {
    auto bytes = safetensorsBytes(tensor.dtype, tensor.shape);
    if (!bytes)
      return failAt("tensor " + inQuotes(tensor.name), bytes.error());
    const bool fits = shards.back().bytes <= shardBytes && *bytes <= shardBytes - shards.back().bytes;
    if (!fits && !shards.back().tensors.empty())
      shards.emplace_back();
    shards.back().bytes += *bytes;
    shards.back().tensors.push_back(std::move(tensor));
  }
  return shards;
}

} // namespace

Result<ShardedSafetensorsWriter> ShardedSafetensorsWriter::create(const fs::path &directory,
                                                                  std::vector<SafetensorsSpec> tensors,
                                                                  uint64_t shardBytes,
                                                                  const std::map<std::string, std::string> &metadata) {
  QUANTC_ASSIGN(const std::vector<Shard> shards, distribute(std::move(tensors), shardBytes));
  ShardedSafetensorsWriter writer;
  writer.directory = directory;
  std::map<std::string, std::string> shardOf;
  uint64_t total = 0;
  for (const Shard &shard : shards) {
    const std::string name =
        shards.size() == 1 ? "model.safetensors"
                           : fmt::format("model-{:05}-of-{:05}.safetensors", &shard - shards.data() + 1, shards.size());
    QUANTC_ASSIGN(TensorWriter file, createSafetensors(directory / name, shard.tensors, {.metadata = metadata}));
    for (const TensorExtent &tensor : file.tensors()) {
      if (!shardOf.emplace(tensor.name, name).second)
        return fail("{}: tensor {} is there twice", directory.string(), inQuotes(tensor.name));
      writer.names.push_back(tensor.name);
    }
    total += shard.bytes;
    writer.shards.push_back(std::move(file));
  }
  if (shards.size() > 1) {
    const nlohmann::ordered_json index = {{"metadata", {{"total_size", total}}}, {"weight_map", shardOf}};
    writer.index = index.dump(2) + "\n";
  }
  return writer;
}

Status ShardedSafetensorsWriter::append(std::span<const std::byte> bytes) {
  while (current + 1 < shards.size() && shards[current].complete())
    ++current;
  return shards[current].append(bytes);
}

Status ShardedSafetensorsWriter::commit() {
  for (TensorWriter &shard : shards)
    QUANTC_TRY(shard.commit());
  if (index.empty())
    return {};
  QUANTC_ASSIGN(AtomicFile file, AtomicFile::create(directory / "model.safetensors.index.json"));
  QUANTC_TRY(file.write(index));
  return file.commit();
}
