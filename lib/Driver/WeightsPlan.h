//===- WeightsPlan.h - memory, disk and time of the methods -----------------------------------------------------===//
#pragma once

#include "QuantizeWeights.h"
#include "quantc/Driver/QuantizePlan.h"
#include "quantc/Pipelines/Pipelines.h"

namespace quantc {

/// The share of the f32 peak that running a model reaches.
inline constexpr double forwardShare = 0.7;
/// Private memory of this process, and what compiling and running kernels takes beside their buffers.
uint64_t memoryOfProcess();
/// As many as the machine has where nobody says how many.
unsigned threadsOf(unsigned threads);
/// Seconds that one thread takes to round a number of a weight N x K to nearest, by some rows of random ones.
double secondsToEncode(const Format &format, int64_t N, int64_t K);

/// The bytes that work may take which takes at least `least`: those of a budget that was `given`, which fails where
/// that is too small; without one (0) what is free, or, where that is less, what it takes, and `note` is told.
Result<uint64_t> memoryFor(uint64_t given, uint64_t free, uint64_t least, unsigned threads,
                           const std::function<void(const std::string &)> &note);

/// What a plan holds: times are measured on this machine, which takes a moment.
enum class PlanOf { Memory, MemoryAndTimes };

/// `lengths`: tokens of the calibration sequences that the model will read; empty where it reads none. Fails where
/// `choices.memoryBudget` is too small.
Result<QuantizePlan> planWeights(const MethodInput &input, const MethodChoices &choices,
                                 llvm::ArrayRef<std::string> methods, llvm::ArrayRef<int64_t> lengths, PlanOf what);

} // namespace quantc
