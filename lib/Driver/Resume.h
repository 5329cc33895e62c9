//===- Resume.h - what tells one quantization from another -------------------------------------------------------===//
#pragma once

#include "QuantizeWeights.h"
#include "quantc/Pipelines/Pipelines.h"
#include "quantc/Transforms/ContentHash.h"

namespace quantc {

/// A content hash of several things.
class Digest {
public:
  /// Each with its size, so that no two lists of things are the same bytes.
  void add(std::span<const std::byte> bytes);
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
  std::string text() const { return hash.text(); }

private:
  ContentHash hash;
};

/// The spool of a quantization: parts are those of the same version, model, formats, options, and `data` that methods
/// learn from.
Result<std::unique_ptr<Spool>> openSpool(const MethodInput &input, const MethodChoices &choices,
                                         const std::string &data);

} // namespace quantc
