//===- Budget.h - a format for each tensor, for a size or an error ----------------------------------------------===//
//
// Each matrix is quantized alone to each candidate, and the model run: the KL divergence of its predictions from those
// of the original is what that choice harms. Harms are taken to add up; of all allocations the one of least harm within
// the size is found exactly (Policy/Allocation.h), and measured as a whole.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Driver/QuantizePlan.h"
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>

namespace quantc {

/// "4.25bpw": bits per weight of the matrices. "3.9GB", "900MB", "1.5GiB", "700MiB": bytes of all tensors. "kld=0.02":
/// the divergence on the text, in nats, at the least size.
struct Budget {
  enum class Of { BitsPerWeight, Bytes, Divergence } of;
  double value;
  static Result<Budget> parse(const std::string &text);
};

struct BudgetOptions {
  std::filesystem::path model;
  std::vector<std::filesystem::path> formatFiles;
  std::string budget;
  std::vector<std::string> candidates; ///< formats; empty: those of formats/candidates.json
  CalibrationText text;                ///< what the model reads while it is measured
  int64_t tokens = 4096;               ///< of it, at most
  bool kernelStorage = false;          ///< sizes are those of an artifact, not of a checkpoint
  std::filesystem::path output;        ///< beside which is room for the model in f32
  unsigned threads = 0;
  bool fresh = false; ///< does not go on from what a process before measured
  std::function<void(uint64_t done, uint64_t total, const std::string &tensor)> progress;
  std::function<void(const std::string &)> note; ///< called with what a user should know, a line
};

/// What a tensor is, in one format.
struct Sensitivity {
  std::string format;
  double bytes, divergence;
};
struct BudgetTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<Sensitivity> candidates;
  size_t chosen;
};

/// Sizes are in bytes of all tensors.
struct BudgetPoint {
  std::string what; ///< a format, where all matrices have it
  double bytes, divergence;
};
class Spool;
struct BudgetPlan {
  std::vector<BudgetTensor> tensors;
  double bitsPerWeight = 0, bytes = 0;
  double predicted = 0;              ///< the sum of the divergences of the chosen
  double rounded = 0;                ///< of the whole, its matrices rounded to nearest as each was alone
  std::optional<double> measured;    ///< of what was written (measureDivergence)
  int64_t tokens = 0;                ///< that were read
  std::vector<BudgetPoint> frontier; ///< by sums, the cheapest first
  /// Of the whole, rounded to nearest: one candidate for every matrix that can hold it, where they are most of the
  /// model; the others take the one of theirs whose size is nearest.
  std::vector<BudgetPoint> uniform;
  /// What was measured, in `OUTPUT.budget.resume`: to be removed when the output is whole.
  std::shared_ptr<Spool> kept;
  /// A policy file that says the same, to edit and use again.
  nlohmann::ordered_json policy() const;
};

/// Fails where the budget is less than what is possible, and says what is.
Result<BudgetPlan> planBudget(const BudgetOptions &options);

/// What `planBudget` would take: as QuantizePlan.h has it, at most.
Result<QuantizePlan> planMeasurements(const BudgetOptions &options);

/// The mean KL divergence of the predictions of the model at `written` from those of `options.model`, both run in f32
/// on the tokens that the budget measures on.
Result<double> measureDivergence(const BudgetOptions &options, const std::filesystem::path &written);

} // namespace quantc
