//===- Gguf.cpp - reads GGUF files ------------------------------------------------------------------------------===//

#include "quantc/Artifact/Gguf.h"
#include "GgufLayout.h"
#include "quantc/Support/Text.h"
#include <algorithm>
#include <bit>
#include <cstring>

using namespace quantc;

static_assert(std::endian::native == std::endian::little, "files are read as memory has them");

namespace {

/// The most that the reference reader takes.
constexpr uint64_t maxString = 1u << 30, maxArray = 1u << 30;

/// The unread rest of a file.
class Cursor {
public:
  explicit Cursor(std::span<const std::byte> bytes) : bytes(bytes) {}
  /// Version 1 has counts, lengths and dimensions of 32 bits.
  void setNarrow() { narrow = true; }
  uint64_t position() const { return at; }
  uint64_t left() const { return bytes.size() - at; }
  uint64_t countBytes() const { return narrow ? 4 : 8; }

  Result<std::span<const std::byte>> take(uint64_t size) {
    if (size > left())
      return fail("{} bytes are needed at byte {}, the file has {} more; is it complete?", size, at, left());
    at += size;
    return bytes.subspan(at - size, size);
  }
  template <typename T> Result<T> number() {
    QUANTC_ASSIGN(const auto field, take(sizeof(T)));
    T value;
    std::memcpy(&value, field.data(), sizeof value);
    return value;
  }
  Result<uint64_t> count() {
    if (!narrow)
      return number<uint64_t>();
    QUANTC_ASSIGN(const uint32_t value, number<uint32_t>());
    return value;
  }
  /// A count of things that take at least `least` bytes each: never more than the file can hold.
  Result<uint64_t> countOf(uint64_t least, uint64_t most, std::string_view what) {
    QUANTC_ASSIGN(const uint64_t value, count());
    if (value > most || value > left() / least)
      return fail("{} {} do not fit the {} bytes that follow, or are more than {}", value, what, left(), most);
    return value;
  }
  Result<std::string> text() {
    QUANTC_ASSIGN(const uint64_t length, countOf(1, maxString, "bytes of a string"));
    QUANTC_ASSIGN(const auto field, take(length));
    return std::string(reinterpret_cast<const char *>(field.data()), field.size());
  }

private:
  std::span<const std::byte> bytes;
  uint64_t at = 0;
  bool narrow = false;
};

//===- Metadata -------------------------------------------------------------------------------------------------===//

Result<GgufType> readType(Cursor &cursor) {
  QUANTC_ASSIGN(const uint32_t type, cursor.number<uint32_t>());
  if (type > static_cast<uint32_t>(GgufType::F64))
    return fail("a value has the type {}, which does not exist", type);
  return static_cast<GgufType>(type);
}

Result<GgufValue> readValue(Cursor &cursor) {
  QUANTC_ASSIGN(GgufType type, readType(cursor));
  const bool isArray = type == GgufType::Array;
  uint64_t count = 1;
  if (isArray) {
    QUANTC_ASSIGN(type, readType(cursor));
    if (type == GgufType::Array)
      return fail("an array of arrays is not supported");
    const uint64_t least = type == GgufType::String ? cursor.countBytes() : ggufNumberBytes(type);
    QUANTC_ASSIGN(count, cursor.countOf(least, maxArray, "elements of an array"));
  }
  if (type != GgufType::String) {
    QUANTC_ASSIGN(const auto bytes, cursor.take(count * ggufNumberBytes(type)));
    return GgufValue::numbers(type, isArray, bytes, count);
  }
  std::vector<std::string> strings;
  for (uint64_t i = 0; i < count; ++i) {
    QUANTC_ASSIGN(std::string text, cursor.text());
    strings.push_back(std::move(text));
  }
  return isArray ? GgufValue::array(std::move(strings)) : GgufValue::of(strings.front());
}

Result<GgufMetadata> readMetadata(Cursor &cursor, uint64_t count) {
  GgufMetadata metadata;
  for (uint64_t i = 0; i < count; ++i) {
    auto key = cursor.text();
    if (!key)
      return failAt(fmt::format("key {} of {}", i, count), key.error());
    auto value = readValue(cursor);
    if (!value)
      return failAt("key " + inQuotes(*key), value.error());
    QUANTC_TRY(metadata.add(std::move(*key), std::move(*value)));
  }
  return metadata;
}

//===- Tensors --------------------------------------------------------------------------------------------------===//

struct TensorInfo {
  std::string name;
  std::vector<int64_t> shape; ///< row-major
  uint32_t type = 0;
  uint64_t offset = 0; ///< from the beginning of the data section
};

Result<TensorInfo> readTensorInfo(Cursor &cursor) {
  TensorInfo info;
  QUANTC_ASSIGN(info.name, cursor.text());
  QUANTC_ASSIGN(const uint32_t dimensions, cursor.number<uint32_t>());
  if (dimensions > maxGgufDimensions)
    return fail("tensor {} has {} dimensions; {} are allowed", inQuotes(info.name), dimensions, maxGgufDimensions);
  for (uint32_t i = 0; i < dimensions; ++i) {
    QUANTC_ASSIGN(const uint64_t size, cursor.count());
    if (size > INT64_MAX)
      return fail("tensor {} has a negative dimension", inQuotes(info.name));
    info.shape.push_back(static_cast<int64_t>(size));
  }
  std::ranges::reverse(info.shape);
  QUANTC_ASSIGN(info.type, cursor.number<uint32_t>());
  QUANTC_ASSIGN(info.offset, cursor.number<uint64_t>());
  return info;
}

/// The tensors' places. Each begins where the one before it ends, rounded up to the alignment.
Status placeTensors(std::vector<TensorInfo> infos, std::span<const std::byte> data, uint64_t alignment,
                    const GgufTypes &types, std::vector<GgufTensor> &entries) {
  std::optional<uint64_t> expected = 0;
  for (TensorInfo &info : infos) {
    const std::string name = inQuotes(info.name);
    auto bytes = ggufTensorBytes(info.name, info.shape, info.type, types);
    if (!bytes)
      return failAt("tensor " + name, bytes.error());
    if (info.offset != expected)
      return fail("tensor {} has the offset {}, expected {}", name, info.offset, expected.value_or(UINT64_MAX));
    if (info.offset > data.size() || *bytes > data.size() - info.offset)
      return fail("tensor {} of {} bytes at {} does not fit the {} bytes of data; is the file complete?", name, *bytes,
                  info.offset, data.size());
    entries.push_back({std::move(info.name), std::move(info.shape), info.type, data.subspan(info.offset, *bytes)});
    expected = alignUp(info.offset + *bytes, alignment);
  }
  return {};
}

} // namespace

//===- One file -------------------------------------------------------------------------------------------------===//

Result<std::shared_ptr<const Gguf>> Gguf::open(const std::filesystem::path &path, const GgufTypes &types) {
  QUANTC_ASSIGN(auto file, MappedFile::open(path));
  return read(std::move(file), types);
}

Result<std::shared_ptr<const Gguf>> Gguf::read(std::shared_ptr<const MappedFile> file, const GgufTypes &types) {
  auto result = std::make_shared<Gguf>(Gguf());
  result->file = std::move(file);
  if (Status status = result->parse(types); !status)
    return failAt(result->path().string(), status.error());
  return result;
}

static Result<uint32_t> readVersion(Cursor &cursor) {
  const auto magic = cursor.take(ggufMagic.size());
  if (!magic || std::memcmp(magic->data(), ggufMagic.data(), ggufMagic.size()) != 0)
    return fail("no GGUF file: it does not begin with {}", ggufMagic);
  QUANTC_ASSIGN(const uint32_t version, cursor.number<uint32_t>());
  if ((version & 0xffff) == 0)
    return fail("a big-endian GGUF file; convert it to little-endian");
  if (version > 3)
    return fail("GGUF version {} is not supported; versions 1 to 3 are", version);
  if (version == 1)
    cursor.setNarrow();
  return version;
}

Status Gguf::parse(const GgufTypes &types) {
  Cursor cursor(file->bytes());
  QUANTC_ASSIGN(fileVersion, readVersion(cursor));
  const uint64_t leastInfo = 2 * 4 + 8 + cursor.countBytes(), leastPair = 4 + 1 + cursor.countBytes();
  QUANTC_ASSIGN(const uint64_t tensorCount, cursor.countOf(leastInfo, INT64_MAX, "tensors"));
  QUANTC_ASSIGN(const uint64_t pairCount, cursor.countOf(leastPair, INT64_MAX, "keys"));
  QUANTC_ASSIGN(values, readMetadata(cursor, pairCount));
  QUANTC_ASSIGN(tensorAlignment, ggufAlignment(values));

  std::vector<TensorInfo> infos;
  for (uint64_t i = 0; i < tensorCount; ++i) {
    auto info = readTensorInfo(cursor);
    if (!info)
      return failAt(fmt::format("tensor {} of {}", i, tensorCount), info.error());
    if (!byName.emplace(info->name, i).second)
      return fail("tensor {} is there twice", inQuotes(info->name));
    infos.push_back(std::move(*info));
  }
  if (!types) {
    for (TensorInfo &info : infos)
      entries.push_back({std::move(info.name), std::move(info.shape), info.type, {}});
    return {};
  }
  // A file without tensors may end without the padding.
  const auto begin = alignUp(cursor.position(), tensorAlignment);
  if (begin && *begin <= file->bytes().size())
    return placeTensors(std::move(infos), file->bytes().subspan(*begin), tensorAlignment, types, entries);
  if (!infos.empty())
    return fail("the file ends before its tensors; is it complete?");
  return {};
}

const GgufTensor *Gguf::find(std::string_view name) const {
  const auto found = byName.find(name);
  return found == byName.end() ? nullptr : &entries[found->second];
}
