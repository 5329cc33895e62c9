//===- Report.h - what quantizing did to a model, for people and for programs -----------------------------------===//
#pragma once

#include "quantc/Driver/Budget.h"
#include "quantc/Driver/Compile.h"
#include "quantc/Export/Quantize.h"

namespace quantc {

struct ReportOptions {
  std::filesystem::path file; ///< .html: a page, and the same as .json beside it; .json: that alone
  std::filesystem::path text; ///< that both models are evaluated on; empty: none
  int64_t context = 512;      ///< tokens of a chunk of it
  std::vector<std::filesystem::path> formatFiles;
  unsigned threads = 0;
  std::function<void(const std::string &phase, uint64_t done, uint64_t total)> progress;
};

/// What was done.
struct ReportSubject {
  std::filesystem::path model, output;
  MethodChoices method;
  std::vector<QuantizedTensor> tensors;
  std::optional<BudgetPlan> budget;
};

/// The tensors of an artifact, with what its certificate says of them.
Result<std::vector<QuantizedTensor>> artifactTensors(const std::filesystem::path &artifact);

/// Fails at once where the report could not be written: before work is done.
Status checkReport(const ReportOptions &options, const std::filesystem::path &output);

/// Everything that the report says, as JSON (docs/CommandLine.md, "Reports"): reads the model's tensors for their
/// distributions, and runs both models where there is a text.
Result<nlohmann::ordered_json> makeReport(const ReportOptions &options, const ReportSubject &subject);
/// A page of its own that shows it: no other file is needed.
std::string reportPage(const nlohmann::ordered_json &report);
/// Makes and writes it; files appear whole.
Status writeReport(const ReportOptions &options, const ReportSubject &subject);

} // namespace quantc
