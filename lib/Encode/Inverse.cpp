//===- Inverse.cpp - the stored bits behind a definition --------------------------------------------------------===//

#include "Inverse.h"
#include <algorithm>

using namespace quantc;

/// The only field that an expression reads and how it is indexed; null where there are others, or other indices.
static const Expr *onlyRead(const Format &format, const Expr &e, bool &unique) {
  const Expr *found = e.kind == ExprKind::Name && format.field(e.name) ? &e : nullptr;
  for (const ExprPtr &a : e.args)
    if (const Expr *inner = onlyRead(format, *a, unique)) {
      unique &= !found || (found->name == inner->name && found->args == inner->args);
      found = inner;
    }
  return found;
}

Result<InverseDefinition> InverseDefinition::compile(const Format &format, const Definition &definition,
                                                     Position position) {
  auto impossible = [&](std::string_view why) {
    return format.error(position, fmt::format("'{}' cannot be assigned: {}", definition.name, why));
  };
  QUANTC_ASSIGN(ExprPtr resolved, format.resolve(definition.value));
  bool unique = true;
  const Expr *read = onlyRead(format, *resolved, unique);
  if (!read || !unique)
    return impossible("it is not a function of one field");
  const Field &field = *format.field(read->name);
  if (!field.inside || field.width > 16 || field.array.size() > 1 || format.typeOf(*resolved) != ValueType::Integer)
    return impossible(fmt::format("'{}' is not an inline field of at most 16 bits", field.name));

  InverseDefinition result;
  result.target = &field;
  const BlockShape &block = *format.block();
  const auto weights = static_cast<size_t>(block.rows * block.columns);
  result.elements.resize(static_cast<size_t>(format.cellCount(field, 0, 0)));
  std::vector<int64_t> index(weights);
  if (!read->args.empty()) {
    auto positions = integersOverBlock(format, read->args[0]);
    if (!positions)
      return impossible(fmt::format("the index of '{}' depends on stored bits", field.name));
    index = std::move(*positions);
  }
  for (size_t i = 0; i < weights; i++) {
    const int64_t cell =
        cellIndex(format, field, int64_t(i) / block.columns, int64_t(i) % block.columns, block.rows, block.columns);
    result.elements[static_cast<size_t>(cell + index[i])].weights.push_back(i);
  }

  QUANTC_ASSIGN(Program program, Program::compile(format, resolved));
  FieldValues trial = zeroFields(format, block.rows, block.columns);
  std::vector<int64_t> values(weights);
  for (uint64_t bits = 0; bits < uint64_t(1) << field.width; bits++) {
    std::ranges::fill(trial[field.index], bits);
    for (int64_t n = 0; n < block.rows; n++)
      program.integers(trial, block.rows, block.columns, n, 0, static_cast<size_t>(block.columns),
                       values.data() + n * block.columns);
    for (Element &e : result.elements) {
      std::vector<int64_t> key;
      for (size_t i : e.weights)
        key.push_back(values[i]);
      e.bits.emplace(std::move(key), bits);
    }
  }
  return result;
}

bool InverseDefinition::run(FieldValues &fields, size_t block, const float *wanted) const {
  std::vector<int64_t> key;
  for (size_t j = 0; j < elements.size(); j++) {
    key.clear();
    for (size_t i : elements[j].weights)
      key.push_back(static_cast<int64_t>(wanted[i]));
    const auto found = elements[j].bits.find(key);
    if (found == elements[j].bits.end())
      return false;
    fields[target->index][block * elements.size() + j] = found->second;
  }
  return true;
}
