//===- StatisticsSource.h - where methods learn about the inputs of linears -------------------------------------===//
#pragma once

#include "quantc/Methods/InputStatistics.h"
#include "quantc/Support/Result.h"
#include <memory>
#include <span>
#include <string>

namespace quantc {

/// What `qf-materialize` asks while it executes methods, weight by weight in the order of the graph.
class StatisticsSource {
public:
  virtual ~StatisticsSource() = default;
  /// Whether the sums of products are known.
  virtual bool hasHessians() const = 0;
  /// Of the input that an observer sees (Observers.h). `hessian`: with the sums of products.
  virtual Result<std::shared_ptr<const InputStatistics>> of(const std::string &observer, bool hessian) = 0;
  /// The same, with the sums of products, over sequences that `of` does not know: what methods are judged by.
  virtual Result<std::shared_ptr<const InputStatistics>> heldOut(const std::string &observer) {
    return fail("there are no held-out statistics of {}: give a text of several sequences to calibrate with", observer);
  }
  /// A weight has become these values, row-major: what is asked next may depend on them.
  virtual Status replaced(const std::string &weight, std::span<const float> values) = 0;
};

} // namespace quantc
