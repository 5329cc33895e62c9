//===- ContentHash.h - what bytes are known by ------------------------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include "llvm/Support/BLAKE3.h"
#include <array>
#include <filesystem>
#include <span>
#include <string>

namespace quantc {

/// BLAKE3 of bytes that come in pieces.
class ContentHash {
public:
  using Bytes = std::array<uint8_t, 32>;

  static ContentHash of(std::span<const std::byte> bytes);
  /// Of a whole file.
  static Result<ContentHash> ofFile(const std::filesystem::path &path);

  void add(std::span<const std::byte> bytes);
  Bytes bytes() const { return hasher.final<32>(); }
  /// "blake3:" and 64 hexadecimal digits.
  std::string text() const;

private:
  mutable llvm::BLAKE3 hasher;
};

} // namespace quantc
