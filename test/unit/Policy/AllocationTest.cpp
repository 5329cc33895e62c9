//===- AllocationTest.cpp ---------------------------------------------------------------------------------------===//
//
// Small knapsacks, of which every allocation is tried.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "quantc/Policy/Allocation.h"
#include <cmath>
#include <gtest/gtest.h>
#include <random>

using namespace quantc;

namespace {

/// The least harm of all allocations within the limit; infinite where none is.
double leastHarm(const Items &items, double limit) {
  double best = INFINITY;
  std::vector<size_t> chosen(items.size());
  while (true) {
    double cost = 0, harm = 0;
    for (size_t i = 0; i < items.size(); ++i) {
      cost += items[i][chosen[i]].cost;
      harm += items[i][chosen[i]].harm;
    }
    if (cost <= limit)
      best = std::min(best, harm);
    size_t digit = 0;
    while (digit < items.size() && ++chosen[digit] == items[digit].size())
      chosen[digit++] = 0;
    if (digit == items.size())
      return best;
  }
}

/// Sums of small integers are exact, so that equal ones are equal; `fine`: costs and harms of any size.
Items randomItems(std::mt19937 &random, bool fine) {
  Items items(1 + random() % 7);
  for (auto &choices : items) {
    choices.resize(1 + random() % 6);
    for (Choice &choice : choices)
      choice =
          fine ? Choice{std::ldexp(double(random() % 100000), -7), std::exp2(-double(random() % 64)) * (random() % 99)}
               : Choice{double(random() % 12), double(random() % 9)};
  }
  return items;
}

TEST(Allocation, IsTheBestOfAll) {
  std::mt19937 random(1);
  for (int round = 0; round < 3000; ++round) {
    const Items items = randomItems(random, round % 2);
    const auto frontier = allocationFrontier(items);
    const double low = frontier.front().cost, high = frontier.back().cost;
    for (double share : {0.0, 0.1, 0.35, 0.5, 0.8, 1.0, 1.2}) {
      const double limit = low + share * (high - low);
      const auto found = allocate(items, limit);
      ASSERT_TRUE(found) << found.error().message;
      EXPECT_LE(found->cost, limit);
      const double least = leastHarm(items, limit);
      EXPECT_NEAR(found->harm, least, 1e-12 * std::max(1.0, least)) << "round " << round << ", limit " << limit;
    }
  }
}

TEST(Allocation, FrontierIsTheConvexHull) {
  std::mt19937 random(2);
  for (int round = 0; round < 300; ++round) {
    const Items items = randomItems(random, round % 2);
    const auto frontier = allocationFrontier(items);
    for (size_t i = 0; i < frontier.size(); ++i) {
      EXPECT_NEAR(frontier[i].harm, leastHarm(items, frontier[i].cost), 1e-9 * std::max(1.0, frontier[i].harm));
      if (i > 1) { // never steeper than before
        const auto &a = frontier[i - 2], &b = frontier[i - 1], &c = frontier[i];
        EXPECT_GE((a.harm - b.harm) * (c.cost - b.cost) * (1 + 1e-9), (b.harm - c.harm) * (b.cost - a.cost));
      }
    }
  }
}

TEST(Allocation, ManyItemsOfTheShapesOfAModel) {
  // 155 matrices of four shapes in seven formats, harms over six decades: the limit is used up to less than the
  // smallest step, and no exchange of two choices helps.
  std::mt19937 random(3);
  const double weights[] = {2048.0 * 2048, 256.0 * 2048, 5632.0 * 2048, 32000.0 * 2048};
  const double bits[] = {2.625, 3.4375, 4.25, 4.5, 5.5, 6.5625, 8.5};
  Items items(155);
  for (size_t i = 0; i < items.size(); ++i) {
    const double n = i == 0 ? weights[3] : weights[i % 3], scale = std::exp(-double(random() % 1000) / 100);
    for (double b : bits)
      items[i].push_back({n * b / 8, scale * std::exp2(-2 * b)});
  }
  const double limit = allocationFrontier(items).front().cost * 1.6;
  const auto found = allocate(items, limit);
  ASSERT_TRUE(found);
  EXPECT_LE(found->cost, limit);
  for (size_t i = 0; i < items.size(); ++i)
    for (size_t j = 0; j < items.size(); ++j)
      for (const Choice &a : items[i])
        for (const Choice &b : items[j]) {
          const Choice &x = items[i][found->chosen[i]], &y = items[j][found->chosen[j]];
          if (i != j && found->cost - x.cost - y.cost + a.cost + b.cost <= limit)
            ASSERT_GE(a.harm + b.harm, (x.harm + y.harm) * (1 - 1e-9));
        }
}

TEST(Allocation, RefusesWhatIsNotPossible) {
  EXPECT_FALSE(allocate({{{3, 1}, {4, 0}}, {{2, 1}}}, 4.5));
  EXPECT_EQ(allocate({{{3, 1}, {4, 0}}, {{2, 1}}}, 6)->chosen, (std::vector<size_t>{1, 0}));
  EXPECT_EQ(allocate({{{3, 1}, {4, 0}}, {{2, 1}}}, 5)->chosen, (std::vector<size_t>{0, 0}));
}

} // namespace
