//===- Allocation.cpp - of each tensor one format, for a budget -------------------------------------------------===//

#include "quantc/Policy/Allocation.h"
#include <algorithm>
#include <cmath>
#include <numeric>

using namespace quantc;

namespace {

/// A better choice of an item, on the convex hull of its choices.
struct Step {
  size_t item, choice;
  double cost, harm; ///< what it costs more, and harms less, than the one before
  double worth() const { return harm / cost; }
};

/// The choices of an item that no other makes pointless, cheapest first: harm falls as cost grows.
std::vector<size_t> undominated(const std::vector<Choice> &choices) {
  std::vector<size_t> order(choices.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::ranges::stable_sort(order, [&](size_t a, size_t b) {
    return std::pair(choices[a].cost, choices[a].harm) < std::pair(choices[b].cost, choices[b].harm);
  });
  std::vector<size_t> kept;
  for (size_t index : order)
    if (kept.empty() || choices[index].harm < choices[kept.back()].harm)
      kept.push_back(index);
  return kept;
}

/// Of those, the ones on the lower convex hull, as steps from each to the next: worth falls.
void addSteps(size_t item, const std::vector<Choice> &choices, const std::vector<size_t> &kept,
              std::vector<Step> &steps) {
  std::vector<size_t> hull;
  const auto worth = [&](size_t from, size_t to) {
    return (choices[from].harm - choices[to].harm) / (choices[to].cost - choices[from].cost);
  };
  for (size_t index : kept) {
    while (hull.size() > 1 && worth(hull[hull.size() - 2], hull.back()) <= worth(hull.back(), index))
      hull.pop_back();
    hull.push_back(index);
  }
  for (size_t i = 1; i < hull.size(); ++i)
    steps.push_back({item, hull[i], choices[hull[i]].cost - choices[hull[i - 1]].cost,
                     choices[hull[i - 1]].harm - choices[hull[i]].harm});
}

/// Sums over the chosen, in the order of the items.
Allocation summed(const Items &items, std::vector<size_t> chosen) {
  Allocation result{.chosen = std::move(chosen)};
  for (size_t i = 0; i < items.size(); ++i) {
    result.cost += items[i][result.chosen[i]].cost;
    result.harm += items[i][result.chosen[i]].harm;
  }
  return result;
}

/// The choices of every item, and the steps of all by falling worth. Of one item they keep their order, since on a hull
/// their worth falls.
struct Relaxation {
  std::vector<std::vector<size_t>> kept;
  std::vector<Step> steps;

  explicit Relaxation(const Items &items) {
    for (size_t i = 0; i < items.size(); ++i) {
      kept.push_back(undominated(items[i]));
      addSteps(i, items[i], kept.back(), steps);
    }
    std::ranges::stable_sort(steps, std::greater<>(), &Step::worth);
  }
  std::vector<size_t> cheapest() const {
    std::vector<size_t> chosen;
    for (const auto &choices : kept)
      chosen.push_back(choices.front());
    return chosen;
  }
};

/// The least harm that the items from some place on can have, were fractions of steps allowed.
struct Bound {
  double cost = 0, harm = 0;              ///< of the cheapest choices
  std::vector<double> costs{0}, saved{0}; ///< sums over the steps, the worthiest first

  double at(double budget) const {
    const double left = budget - cost;
    const size_t whole = std::ranges::upper_bound(costs, left) - costs.begin() - 1;
    double result = harm - saved[whole];
    if (whole + 1 < costs.size())
      result -= (left - costs[whole]) / (costs[whole + 1] - costs[whole]) * (saved[whole + 1] - saved[whole]);
    return result;
  }
};

/// A sum over the items so far.
struct Partial {
  double cost, harm;
  size_t before, choice; ///< index into the layer before; choice of the item
};

class Search {
public:
  Search(const Items &items, double limit) : items(items), limit(limit), relaxation(items) {}
  Allocation run();

private:
  void greedy();
  void orderItems();
  std::vector<Bound> bounds() const;
  std::vector<Partial> extend(const std::vector<Partial> &layer, size_t item, const Bound &rest) const;

  const Items &items;
  double limit;
  Relaxation relaxation;
  Allocation best;
  double price = 0;          ///< worth of the first step that does not fit
  std::vector<size_t> order; ///< of the items in the search
};

/// The worthiest steps that fit: an allocation, and the price of cost at the limit.
void Search::greedy() {
  std::vector<size_t> chosen = relaxation.cheapest();
  double cost = summed(items, chosen).cost;
  std::vector<bool> ended(items.size());
  for (const Step &step : relaxation.steps) {
    if (ended[step.item] || cost + step.cost > limit) {
      price = price > 0 ? price : step.worth();
      ended[step.item] = true; // the next steps of this item need this one
      continue;
    }
    cost += step.cost;
    chosen[step.item] = step.choice;
  }
  best = summed(items, std::move(chosen));
}

/// Items that are clear at the price come first, so that few sums are left when the others are weighed.
void Search::orderItems() {
  std::vector<double> clear(items.size(), INFINITY);
  for (const Step &step : relaxation.steps)
    clear[step.item] = std::min(clear[step.item], std::fabs(std::log(step.worth() / std::max(price, 1e-300))));
  order.resize(items.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::ranges::stable_sort(order, std::greater<>(), [&](size_t item) { return clear[item]; });
}

/// Of the items behind each place of the order.
std::vector<Bound> Search::bounds() const {
  std::vector<size_t> place(items.size());
  for (size_t i = 0; i < order.size(); ++i)
    place[order[i]] = i;
  std::vector<Bound> result(items.size() + 1);
  for (size_t i = 0; i <= items.size(); ++i) {
    for (size_t j = i; j < items.size(); ++j) {
      const Choice &cheapest = items[order[j]][relaxation.kept[order[j]].front()];
      result[i].cost += cheapest.cost;
      result[i].harm += cheapest.harm;
    }
    for (const Step &step : relaxation.steps)
      if (place[step.item] >= i) {
        result[i].costs.push_back(result[i].costs.back() + step.cost);
        result[i].saved.push_back(result[i].saved.back() + step.harm);
      }
  }
  return result;
}

/// The sums with one item more that can still become the best.
std::vector<Partial> Search::extend(const std::vector<Partial> &layer, size_t item, const Bound &rest) const {
  std::vector<Partial> all;
  for (size_t before = 0; before < layer.size(); ++before)
    for (size_t choice : relaxation.kept[item]) {
      const double cost = layer[before].cost + items[item][choice].cost,
                   harm = layer[before].harm + items[item][choice].harm;
      if (cost + rest.cost <= limit && harm + rest.at(limit - cost) < best.harm)
        all.push_back({cost, harm, before, choice});
    }
  std::ranges::stable_sort(
      all, [](const Partial &a, const Partial &b) { return std::pair(a.cost, a.harm) < std::pair(b.cost, b.harm); });
  std::vector<Partial> kept;
  for (const Partial &one : all)
    if (kept.empty() || one.harm < kept.back().harm)
      kept.push_back(one);
  return kept;
}

Allocation Search::run() {
  greedy();
  orderItems();
  const std::vector<Bound> rest = bounds();
  std::vector<std::vector<Partial>> layers = {{{0, 0, 0, 0}}};
  for (size_t i = 0; i < order.size() && !layers.back().empty(); ++i)
    layers.push_back(extend(layers.back(), order[i], rest[i + 1]));
  if (layers.size() <= order.size() || layers.back().empty())
    return best; // nothing is better than what was found first
  const auto &last = layers.back();
  size_t at = static_cast<size_t>(std::ranges::min_element(last, {}, &Partial::harm) - last.begin());
  std::vector<size_t> chosen(items.size());
  for (size_t i = order.size(); i > 0; --i) {
    chosen[order[i - 1]] = layers[i][at].choice;
    at = layers[i][at].before;
  }
  return summed(items, std::move(chosen));
}

} // namespace

Result<Allocation> quantc::allocate(const Items &items, double limit) {
  const Allocation cheapest = summed(items, Relaxation(items).cheapest());
  if (cheapest.cost > limit)
    return fail("the least that is possible is {:.6g}, more than {:.6g}", cheapest.cost, limit);
  return Search(items, limit).run();
}

std::vector<Allocation> quantc::allocationFrontier(const Items &items) {
  const Relaxation relaxation(items);
  std::vector<size_t> chosen = relaxation.cheapest();
  std::vector<Allocation> frontier = {summed(items, chosen)};
  for (const Step &step : relaxation.steps) {
    chosen[step.item] = step.choice;
    frontier.push_back(summed(items, chosen));
  }
  return frontier;
}
