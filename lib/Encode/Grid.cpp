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

  // Points by coordinate, so that the distances to all of them are one loop for each coordinate.
  std::vector<std::vector<int16_t>> coordinates(dimension, std::vector<int16_t>(points));
  for (size_t p = 0; p < points; p++)
    for (size_t i = 0; i < dimension; i++)
      coordinates[i][p] = grid.point(p)[i];
  std::vector<int16_t> distances(points);
  std::vector<char> occurs(7 * 7 * 8 + 1);
  for (size_t key = 0; key < keys; key++) {
    grid.firstCandidate.push_back(static_cast<uint32_t>(grid.candidateList.size()));
    if (grid.indices[key] >= 0)
      continue;
    std::ranges::fill(distances, 0);
    for (size_t i = 0, rest = key; i < dimension; i++, rest /= levels.size()) {
      const auto at = static_cast<int16_t>(rest % levels.size());
      for (size_t p = 0; p < points; p++) {
        const auto d = static_cast<int16_t>(coordinates[i][p] - at);
        distances[p] = static_cast<int16_t>(distances[p] + d * d);
      }
    }
    std::ranges::fill(occurs, 0);
    for (int16_t d : distances)
      occurs[static_cast<size_t>(d)] = 1;
    size_t found = 0;
    for (int16_t d = 0; static_cast<size_t>(d) < occurs.size() && found < want; d++) {
      if (!occurs[static_cast<size_t>(d)])
        continue;
      found++;
      for (size_t p = 0; p < points; p++)
        if (distances[p] == d)
          grid.candidateList.push_back(static_cast<uint16_t>(p));
    }
  }
  grid.firstCandidate.push_back(static_cast<uint32_t>(grid.candidateList.size()));
  return grid;
}
