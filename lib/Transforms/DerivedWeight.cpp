//===- DerivedWeight.cpp - the values of weights that are made of others ----------------------------------------===//

#include "DerivedWeight.h"
#include "quantc/Methods/Rotation.h"

using namespace mlir;
using namespace quantc;

bool DerivedWeight::mixesRows() const {
  bool mixes = false;
  Attribute(from).walk([&](nn::RotatedAttr rotated) { mixes |= rotated.getSide() == nn::Side::Rows; });
  return mixes;
}

Result<std::vector<double>> DerivedWeight::rowsOf(Attribute of, int64_t row, int64_t count) const {
  if (auto attr = dyn_cast<nn::ScaledAttr>(of))
    return scaled(attr, row, count);
  if (auto attr = dyn_cast<nn::RotatedAttr>(of))
    return rotated(attr, row, count);
  if (auto attr = dyn_cast<nn::ChosenAttr>(of))
    return chosen(attr, row, count);
  if (auto attr = dyn_cast<nn::ClearedAttr>(of))
    return cleared(attr, row, count);
  return leaf(of, row, count);
}

Result<std::vector<double>> DerivedWeight::scaled(nn::ScaledAttr of, int64_t row, int64_t count) const {
  QUANTC_ASSIGN(std::vector<double> values, rowsOf(of.getOf(), row, count));
  QUANTC_ASSIGN(const std::vector<double> factors, rowsOf(of.getBy(), 0, 1));
  const size_t K = values.size() / count;
  if (factors.size() != K)
    return fail("is scaled by {} numbers, but has {} columns", factors.size(), K);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] *= factors[i % K];
  return values;
}

Result<std::vector<double>> DerivedWeight::rotated(nn::RotatedAttr of, int64_t row, int64_t count) const {
  const Rotation rotation(of.getRun(), of.getSeed());
  if (of.getSide() == nn::Side::Columns) {
    QUANTC_ASSIGN(std::vector<double> values, rowsOf(of.getOf(), row, count));
    if (values.size() / count % of.getRun())
      return fail("has {} columns, which are no runs of {}", values.size() / count, of.getRun());
    for (size_t run = 0; run < values.size(); run += of.getRun())
      rotation.apply(values.data() + run, /*width=*/1);
    return values;
  }
  if (row % of.getRun() || count % of.getRun())
    return fail("has rows that depend on others: it is read as a whole");
  QUANTC_ASSIGN(std::vector<double> values, rowsOf(of.getOf(), row, count));
  const int64_t K = static_cast<int64_t>(values.size()) / count;
  for (int64_t run = 0; run < count; run += of.getRun())
    rotation.apply(values.data() + run * K, K);
  return values;
}

Result<std::vector<double>> DerivedWeight::chosen(nn::ChosenAttr of, int64_t row, int64_t count) const {
  QUANTC_ASSIGN(const std::vector<double> values, rowsOf(of.getOf(), row, count));
  const int64_t K = static_cast<int64_t>(values.size()) / count;
  std::vector<double> result;
  result.reserve(count * of.getColumns().size());
  for (int64_t r = 0; r < count; ++r)
    for (const int64_t column : of.getColumns()) {
      if (column >= K)
        return fail("has no column {}: it has {}", column, K);
      result.push_back(values[r * K + column]);
    }
  return result;
}

Result<std::vector<double>> DerivedWeight::cleared(nn::ClearedAttr of, int64_t row, int64_t count) const {
  QUANTC_ASSIGN(std::vector<double> values, rowsOf(of.getOf(), row, count));
  const int64_t K = static_cast<int64_t>(values.size()) / count;
  for (int64_t r = 0; r < count; ++r)
    for (const int64_t column : of.getColumns()) {
      if (column >= K)
        return fail("has no column {}: it has {}", column, K);
      values[r * K + column] = 0;
    }
  return values;
}
