//===- EvidenceArguments.h - budgets and reports of what quantizes ----------------------------------------------===//
#pragma once

#include "Command.h"
#include "quantc/Driver/Report.h"

namespace quantc {

/// --budget, --candidates, --budget-tokens, --save-policy; --report, --report-text, --report-ctx.
struct EvidenceArguments {
  std::string budget;
  std::vector<std::string> candidates;
  int64_t tokens = 4096;
  std::filesystem::path savePolicy;
  ReportOptions report;
};

void addEvidence(CLI::App *command, EvidenceArguments &arguments);

/// What quantizes, as far as evidence is about it.
struct QuantizationTask {
  std::filesystem::path model, output;
  std::vector<std::filesystem::path> formatFiles;
  bool kernelStorage; ///< the result is an artifact
};

/// Evidence of one run of a command: before and after the work.
class Evidence {
public:
  Evidence(const EvidenceArguments &arguments, const Globals &globals, QuantizationTask task)
      : arguments(arguments), globals(globals), task(std::move(task)) {}

  /// Prints what the measurements of a budget take, instead of doing anything.
  Status dryRun(const MethodChoices &method);
  /// Where there is a budget, finds the formats and makes `policy` the file that says them; a calibration text that no
  /// method learns from has then done its work, and is forgotten.
  Status begin(std::string &policy, MethodChoices &method);
  /// Measures what was written, where there is a budget, and writes the report, if one is wanted. `tensors` gives what
  /// was made.
  Status finish(const MethodChoices &method, const std::function<Result<std::vector<QuantizedTensor>>()> &tensors);
  /// What the JSON result and the text say of the budget.
  void addTo(Json &json, std::string &text) const;

private:
  const EvidenceArguments &arguments;
  const Globals &globals;
  QuantizationTask task;
  Result<BudgetOptions> budgetFor(const MethodChoices &method) const;
  Status measure(const MethodChoices &method);
  BudgetOptions budget; ///< where there is a plan
  std::optional<BudgetPlan> plan;
};

} // namespace quantc
