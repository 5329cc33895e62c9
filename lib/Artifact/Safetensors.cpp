//===- Safetensors.cpp - reads safetensors files ----------------------------------------------------------------===//

#include "quantc/Artifact/Safetensors.h"
#include "SafetensorsHeader.h"
#include "quantc/Support/Text.h"
#include <algorithm>
#include <array>
#include <cstring>
#include <tuple>

using namespace quantc;

//===- Types ----------------------------------------------------------------------------------------------------===//

namespace {

struct Dtype {
  std::string_view name;
  unsigned bits;
};

/// In the order of the reference implementation, which sorts by it when it writes.
constexpr std::array<Dtype, 22> dtypes = {
    {{"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},          {"I8", 8},
     {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
     {"U16", 16},    {"F16", 16},    {"BF16", 16},   {"I32", 32},        {"U32", 32},        {"F32", 32},
     {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64}}};

} // namespace

std::optional<unsigned> quantc::safetensorsBits(std::string_view dtype) {
  const auto found = std::ranges::find(dtypes, dtype, &Dtype::name);
  return found == dtypes.end() ? std::nullopt : std::optional(found->bits);
}

size_t quantc::safetensorsRank(std::string_view dtype) {
  return static_cast<size_t>(std::ranges::find(dtypes, dtype, &Dtype::name) - dtypes.begin());
}

Result<uint64_t> quantc::safetensorsBytes(std::string_view dtype, const std::vector<int64_t> &shape) {
  const auto bits = safetensorsBits(dtype);
  if (!bits)
    return fail("unknown type {}", inQuotes(dtype));
  uint64_t total = *bits;
  for (int64_t size : shape)
    if (size < 0 || __builtin_mul_overflow(total, static_cast<uint64_t>(size), &total))
      return fail("the shape [{}] has more elements than can be addressed, or a negative dimension",
                  fmt::join(shape, ", "));
  if (total % 8)
    return fail("{} elements of {} bits are no whole number of bytes", total / *bits, *bits);
  return total / 8;
}

//===- One file -------------------------------------------------------------------------------------------------===//

Result<std::shared_ptr<const Safetensors>> Safetensors::open(const std::filesystem::path &path) {
  QUANTC_ASSIGN(auto file, MappedFile::open(path));
  return read(std::move(file));
}

Result<std::shared_ptr<const Safetensors>> Safetensors::read(std::shared_ptr<const MappedFile> file) {
  auto result = std::make_shared<Safetensors>(Safetensors());
  result->file = std::move(file);
  if (Status status = result->parse(); !status)
    return failAt(result->path().string(), status.error());
  return result;
}

static Result<uint64_t> headerLength(std::span<const std::byte> bytes) {
  if (bytes.size() < 8)
    return fail("{} bytes are too few for a safetensors file", bytes.size());
  uint64_t length;
  std::memcpy(&length, bytes.data(), 8);
  if (length > maxSafetensorsHeader)
    return fail("no safetensors file: a header of {} bytes, more than the {} allowed", length, maxSafetensorsHeader);
  if (length > bytes.size() - 8)
    return fail("a header of {} bytes does not fit the file of {} bytes; is it complete?", length, bytes.size());
  return length;
}

Status Safetensors::parse() {
  const auto bytes = file->bytes();
  QUANTC_ASSIGN(const uint64_t length, headerLength(bytes));
  const std::string_view text(reinterpret_cast<const char *>(bytes.data()) + 8, length);
  if (!text.starts_with('{'))
    return fail("no safetensors file: its header does not begin with {{");
  QUANTC_ASSIGN(SafetensorsHeader header, parseSafetensorsHeader(text));

  auto &tensors = header.tensors;
  std::ranges::sort(tensors, {}, [](const auto &tensor) { return std::tie(tensor.begin, tensor.end, tensor.name); });
  const auto data = bytes.subspan(8 + length);
  uint64_t expected = 0;
  for (auto &tensor : tensors) {
    auto size = safetensorsBytes(tensor.dtype, tensor.shape);
    if (!size)
      return failAt("tensor " + inQuotes(tensor.name), size.error());
    if (tensor.begin != expected || tensor.end < tensor.begin)
      return fail("tensor {} has the offsets [{}, {}] where the next tensor begins at {}: a hole or an overlap",
                  inQuotes(tensor.name), tensor.begin, tensor.end, expected);
    if (tensor.end - tensor.begin != *size)
      return fail("tensor {} of {} [{}] takes {} bytes, its offsets [{}, {}] say {}", inQuotes(tensor.name),
                  tensor.dtype, fmt::join(tensor.shape, ", "), *size, tensor.begin, tensor.end,
                  tensor.end - tensor.begin);
    if (tensor.end > data.size())
      return fail("tensor {} ends at byte {} of the data, the file has {}; is it complete?", inQuotes(tensor.name),
                  tensor.end, data.size());
    byName.emplace(tensor.name, entries.size());
    entries.push_back(
        {std::move(tensor.name), std::move(tensor.dtype), std::move(tensor.shape), data.subspan(tensor.begin, *size)});
    expected = tensor.end;
  }
  if (expected != data.size())
    return fail("{} bytes follow the last tensor", data.size() - expected);
  texts = std::move(header.metadata);
  return {};
}

const SafetensorsEntry *Safetensors::find(std::string_view name) const {
  const auto found = byName.find(name);
  return found == byName.end() ? nullptr : &entries[found->second];
}
