//===- Allocation.h - of each tensor one format, for a budget ---------------------------------------------------===//
//
// A multiple-choice knapsack: each item (a tensor) takes one of its choices (formats); costs (bytes) add up to at most
// a limit, and harms (divergence) to as little as can be. Which of the two is limited does not matter to it.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <vector>

namespace quantc {

struct Choice {
  double cost, harm; ///< finite, not negative
};
using Items = std::vector<std::vector<Choice>>; ///< no item is without choices

struct Allocation {
  std::vector<size_t> chosen; ///< for each item the index of its choice
  double cost = 0, harm = 0;  ///< sums in the order of the items
};

/// The least harm at a cost of at most `limit`, exactly: partial sums that are not dominated, pruned by the bound that
/// fractions of choices give. Fails where even the cheapest choices cost more.
Result<Allocation> allocate(const Items &items, double limit);

/// The allocations that are best for some price of cost in harm, from the cheapest to the one of least harm: the lower
/// convex hull of all that are possible.
std::vector<Allocation> allocationFrontier(const Items &items);

} // namespace quantc
