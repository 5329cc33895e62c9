//===- StatisticsSource.h - where methods learn about the inputs of linears -------------------------------------===//
#pragma once

#include "quantc/Methods/InputStatistics.h"
#include "quantc/Support/Result.h"
#include <functional>
#include <memory>
#include <string>

namespace quantc {

/// Rows [row, row + count) of a weight, row-major; a vector is one row. Called from several threads at once.
using ReadRows = std::function<Status(int64_t row, int64_t count, float *out)>;

/// What `qf-materialize` asks while it executes methods, weight by weight in the order of the graph.
class StatisticsSource {
public:
  virtual ~StatisticsSource() = default;
  /// Whether the sums of products are known.
  virtual bool hasHessians() const = 0;
  /// Of the input that an observer sees: the first weight that reads it gives the name. `hessian`: with the sums of
  /// products.
  virtual Result<std::shared_ptr<const InputStatistics>> of(const std::string &observer, bool hessian) = 0;
  /// The same, with the sums of products, over sequences that `of` does not know: what methods are judged by.
  virtual Result<std::shared_ptr<const InputStatistics>> heldOut(const std::string &observer) {
    return fail("there are no held-out statistics of {}: give a text of several sequences to calibrate with", observer);
  }
  /// A weight has become the values that `read` gives: what is asked next may depend on them.
  virtual Status replaced(const std::string &weight, const ReadRows &read) = 0;
};

} // namespace quantc
