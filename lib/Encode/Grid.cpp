//===- Grid.cpp - the points of a codebook, and what is near to them --------------------------------------------===//

#include "quantc/Encode/Searches.h"
#include <algorithm>

using namespace quantc;
using namespace quantc::search;

size_t Grid::keyOf(const uint8_t *point) const {
  size_t key = 0;
  for (size_t i = size; i-- > 0;)
    key = key * levelCount + point[i];
  return key;
}

std::span<const uint16_t> Grid::candidates(const uint8_t *point) const {
  const size_t key = keyOf(point);
  return std::span(candidateList).subspan(firstCandidate[key], firstCandidate[key + 1] - firstCandidate[key]);
}

Result<Grid> Grid::create(std::span<const int64_t> table, size_t dimension, size_t want) {
  std::vector<int64_t> levels(table.begin(), table.end());
  std::ranges::sort(levels);
  levels.erase(std::unique(levels.begin(), levels.end()), levels.end());
  Grid grid;
  grid.size = dimension;
  grid.levelCount = levels.size();
  size_t keys = 1;
  for (size_t i = 0; i < dimension && keys <= 1 << 16; i++)
    keys *= levels.size();
  const size_t points = table.size() / std::max<size_t>(dimension, 1);
  if (levels.size() < 2 || levels.size() > 8 || keys > 1 << 16 || dimension > 8 || points > 1 << 12)
    return fail("a grid has 2..8 levels, at most 8 numbers and 4096 points, and spans at most 2^16 vectors");

  grid.indices.assign(keys, -1);
  for (int64_t v : table)
    grid.digits.push_back(static_cast<uint8_t>(std::ranges::lower_bound(levels, v) - levels.begin()));
  for (size_t p = 0; p < points; p++)
    grid.indices[grid.keyOf(grid.point(p))] = static_cast<int>(p);

  std::vector<std::pair<int, uint16_t>> byDistance(points);
  std::vector<uint8_t> at(dimension);
  for (size_t key = 0; key < keys; key++) {
    grid.firstCandidate.push_back(static_cast<uint32_t>(grid.candidateList.size()));
    if (grid.indices[key] >= 0)
      continue;
    for (size_t i = 0, rest = key; i < dimension; i++, rest /= levels.size())
      at[i] = static_cast<uint8_t>(rest % levels.size());
    for (size_t p = 0; p < points; p++) {
      int distance = 0;
      for (size_t i = 0; i < dimension; i++) {
        const int d = grid.point(p)[i] - at[i];
        distance += d * d;
      }
      byDistance[p] = {distance, static_cast<uint16_t>(p)};
    }
    std::vector<int> distances;
    for (const auto &[distance, p] : byDistance)
      distances.push_back(distance);
    std::ranges::sort(distances);
    distances.erase(std::unique(distances.begin(), distances.end()), distances.end());
    const int last = distances[std::min(want, distances.size()) - 1];
    const auto first = static_cast<std::ptrdiff_t>(grid.candidateList.size());
    std::vector<std::pair<int, uint16_t>> near;
    std::ranges::copy_if(byDistance, std::back_inserter(near), [&](const auto &c) { return c.first <= last; });
    std::ranges::sort(near);
    grid.candidateList.resize(static_cast<size_t>(first) + near.size());
    std::ranges::transform(near, grid.candidateList.begin() + first, [](const auto &c) { return c.second; });
  }
  grid.firstCandidate.push_back(static_cast<uint32_t>(grid.candidateList.size()));
  return grid;
}
