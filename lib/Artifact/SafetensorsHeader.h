//===- SafetensorsHeader.h - the JSON header of a safetensors file ----------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace quantc {

/// Longer headers are refused, as the reference reader does.
constexpr uint64_t maxSafetensorsHeader = 100'000'000;
/// The key of the header that is no tensor.
constexpr std::string_view safetensorsMetadataKey = "__metadata__";

/// The place of a type in the reference implementation's enumeration, by which it sorts when it writes.
size_t safetensorsRank(std::string_view dtype);

/// What the header says of a tensor; `end` is exclusive, both are relative to the first tensor's beginning.
struct SafetensorsHeaderEntry {
  std::string name, dtype;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;
};

struct SafetensorsHeader {
  std::vector<SafetensorsHeaderEntry> tensors; ///< in the order of the text
  std::map<std::string, std::string> metadata;
};

/// Reads the text alone: whether the numbers agree with each other and with a file is not looked at. Memory is bounded
/// by a small multiple of the text. Fails on everything that is no JSON of exactly this form, and on names that stand
/// twice.
Result<SafetensorsHeader> parseSafetensorsHeader(std::string_view text);

/// The reference writer's text: no spaces, metadata first, padded with spaces so that with the u64 before it its length
/// is a multiple of `alignment`. Fails on names that are not UTF-8.
Result<std::string> formatSafetensorsHeader(const SafetensorsHeader &header, uint64_t alignment);

} // namespace quantc
