//===- GgufLayout.h - the rules that readers and writers of GGUF share ------------------------------------------===//
#pragma once

#include "quantc/Artifact/Gguf.h"

namespace quantc {

constexpr std::string_view ggufMagic = "GGUF", ggufAlignmentKey = "general.alignment";
constexpr size_t maxGgufDimensions = 4, maxGgufName = 63;

/// Bytes of a number; 0 for String and Array.
size_t ggufNumberBytes(GgufType type);

/// `general.alignment`, 32 if there is none. Fails where it is no u32 that is a power of two.
Result<uint64_t> ggufAlignment(const GgufMetadata &metadata);

/// Bytes of a tensor without padding. Fails on too long a name, too many dimensions, negative ones, products that
/// overflow, an unknown type and rows that are no whole number of blocks.
Result<uint64_t> ggufTensorBytes(const std::string &name, const std::vector<int64_t> &shape, uint32_t type,
                                 const GgufTypes &types);

/// The next multiple of a power of two; empty where it does not fit.
std::optional<uint64_t> alignUp(uint64_t offset, uint64_t alignment);

template <typename T> void appendLittleEndian(std::string &out, T value) {
  out.append(reinterpret_cast<const char *>(&value), sizeof value);
}

/// An u64 length and the bytes.
inline void appendGgufString(std::string &out, std::string_view text) {
  appendLittleEndian<uint64_t>(out, text.size());
  out += text;
}

} // namespace quantc
