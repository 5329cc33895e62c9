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

/// Long work whose finished parts are kept.
struct KeptWork {
  const OpenedModel &opened;
  mlir::ModuleOp module; ///< its graph, as it is worked on
  const std::vector<std::filesystem::path> &formatFiles;
  std::filesystem::path output; ///< parts lie in the folder `OUTPUT.resume`
  std::string options;          ///< all else that decides what a part is
  bool fresh;
  std::function<void(const std::string &)> note; ///< is told of what was found; may be null
};

/// The spool of work: parts are those of the same program, model, graph, formats and options.
Result<std::unique_ptr<Spool>> openSpool(const KeptWork &work);
/// That of a quantization, with the `data` that methods learn from.
Result<std::unique_ptr<Spool>> openSpool(const MethodInput &input, const MethodChoices &choices,
                                         const std::string &data);

} // namespace quantc
