//===- ContentHash.cpp - what bytes are known by ----------------------------------------------------------------===//

#include "quantc/Transforms/ContentHash.h"
#include "quantc/Support/Files.h"
#include "llvm/ADT/StringExtras.h"

using namespace quantc;

ContentHash ContentHash::of(std::span<const std::byte> bytes) {
  ContentHash hash;
  hash.add(bytes);
  return hash;
}

Result<ContentHash> ContentHash::ofFile(const std::filesystem::path &path) {
  QUANTC_ASSIGN(const auto file, MappedFile::open(path));
  return of(file->bytes());
}

void ContentHash::add(std::span<const std::byte> bytes) {
  hasher.update(llvm::ArrayRef(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size()));
}

std::string ContentHash::text() const {
  return "blake3:" + llvm::toHex(bytes(), /*LowerCase=*/true);
}
