//===- Certificate.h - what an artifact says of how it came to be -----------------------------------------------===//
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "quantc/Driver/Compile.h"
#include <nlohmann/json.hpp>

namespace quantc {

/// The certificate of a manifest (docs/Architecture.md, "Certificate"): the recipe, that is all options that decide
/// what compiling gives, and method and error of each quantized weight. Fails where a file that the options name cannot
/// be read.
Result<nlohmann::ordered_json> makeCertificate(const CompileOptions &options, mlir::ModuleOp module);

/// A recipe as options of `compileModel`, without the model, the calibration text and the outputs.
struct Recipe {
  CompileOptions options;
  std::string calibrationName, calibrationHash; ///< empty: learned from no file
  std::vector<std::string> formatTexts;         ///< descriptions beyond those of quantc
  /// Why the recipe alone does not say all: a schedule, of which it has the hash. Empty: it does.
  std::string incomplete;
};
Result<Recipe> readRecipe(const nlohmann::ordered_json &certificate);

} // namespace quantc
