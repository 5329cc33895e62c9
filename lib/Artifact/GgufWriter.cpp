//===- GgufWriter.cpp - writes GGUF files -----------------------------------------------------------------------===//

#include "GgufLayout.h"
#include "quantc/Support/Text.h"
#include <ranges>
#include <unordered_set>

using namespace quantc;

static constexpr uint32_t writtenVersion = 3;

/// Everything before the tensors.
static std::string formatHeader(const GgufMetadata &metadata, const std::vector<GgufSpec> &tensors,
                                const std::vector<uint64_t> &offsets) {
  std::string header(ggufMagic);
  appendLittleEndian(header, writtenVersion);
  appendLittleEndian<uint64_t>(header, tensors.size());
  appendLittleEndian<uint64_t>(header, metadata.entries().size());
  for (const auto &[key, value] : metadata.entries()) {
    appendGgufString(header, key);
    appendLittleEndian(header, static_cast<uint32_t>(value.isArray() ? GgufType::Array : value.elementType()));
    header += value.encode();
  }
  for (size_t i = 0; i < tensors.size(); ++i) {
    appendGgufString(header, tensors[i].name);
    appendLittleEndian(header, static_cast<uint32_t>(tensors[i].shape.size()));
    for (int64_t size : tensors[i].shape | std::views::reverse)
      appendLittleEndian(header, size);
    appendLittleEndian(header, tensors[i].type);
    appendLittleEndian(header, offsets[i]);
  }
  return header;
}

Result<TensorWriter> quantc::createGguf(const std::filesystem::path &path, const GgufMetadata &metadata,
                                        const std::vector<GgufSpec> &tensors, const GgufTypes &types) {
  QUANTC_ASSIGN(const uint64_t alignment, ggufAlignment(metadata));
  std::unordered_set<std::string_view> names;
  std::vector<TensorExtent> extents;
  std::vector<uint64_t> offsets;
  uint64_t end = 0;
  for (const GgufSpec &tensor : tensors) {
    auto bytes = ggufTensorBytes(tensor.name, tensor.shape, tensor.type, types);
    if (!bytes)
      return failAt(fmt::format("{}: tensor {}", path.string(), inQuotes(tensor.name)), bytes.error());
    if (!names.insert(tensor.name).second)
      return fail("{}: tensor {} is there twice", path.string(), inQuotes(tensor.name));
    // Neither sum can wrap: both terms are at most INT64_MAX.
    const auto next = alignUp(end + *bytes, alignment);
    if (!next || *next > INT64_MAX)
      return fail("{}: the tensors have more bytes than a file can hold", path.string());
    extents.push_back({tensor.name, end, *bytes});
    offsets.push_back(end);
    end = *next;
  }
  const std::string header = formatHeader(metadata, tensors, offsets);
  const uint64_t dataBegin = *alignUp(header.size(), alignment);
  for (TensorExtent &extent : extents)
    extent.offset += dataBegin;
  QUANTC_ASSIGN(AtomicFile file, AtomicFile::create(path));
  QUANTC_TRY(file.write(header));
  return TensorWriter(std::move(file), std::move(extents), dataBegin + end);
}
