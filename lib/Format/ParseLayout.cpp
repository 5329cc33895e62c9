//===- ParseLayout.cpp - layouts of blocks and tensors ----------------------------------------------------------===//

#include "Parser.h"

using namespace quantc;

Result<std::vector<LayoutItem>> DescriptionParser::layout() {
  Nested nested(depth);
  if (depth > deepest)
    return error(fmt::format("nested more than {} deep", deepest));
  QUANTC_TRY(expect("{"));
  std::vector<LayoutItem> items;
  for (skipLines(); !accept("}"); skipLines()) {
    QUANTC_ASSIGN(LayoutItem item, layoutItem());
    items.push_back(std::move(item));
  }
  return items;
}

Result<LayoutItem> DescriptionParser::layoutItem() {
  LayoutItem item{.kind = LayoutItem::Cells, .position = here()};
  if (accept("for")) {
    item.kind = LayoutItem::Loop;
    do {
      QUANTC_ASSIGN(std::string variable, name("a loop variable"));
      QUANTC_TRY(expect(":"));
      QUANTC_ASSIGN(ExprPtr count, expr());
      item.loops.emplace_back(std::move(variable), count);
    } while (!is("{"));
    QUANTC_ASSIGN(item.body, layout());
    return item;
  }
  if (accept("pad")) {
    item.kind = LayoutItem::Pad;
    QUANTC_ASSIGN(item.value, primary());
    return item;
  }
  if (accept("(")) {
    item.kind = LayoutItem::Constant;
    QUANTC_ASSIGN(item.value, expr());
    QUANTC_TRY(expect(")"));
    return item;
  }
  QUANTC_ASSIGN(item.field, name("a field, 'for', 'pad' or '}'"));
  QUANTC_ASSIGN(item.index, indices());
  if (accept(".")) {
    QUANTC_ASSIGN(item.low, primary());
    item.high = item.low;
    if (accept("..")) {
      QUANTC_ASSIGN(item.high, primary());
    }
  }
  static const std::pair<const char *, Operator> transforms[] = {
      {"+", Operator::Add}, {"-", Operator::Sub}, {"^", Operator::Xor}};
  for (auto &[text, op] : transforms)
    if (!item.transform && accept(text)) {
      item.transform = op;
      QUANTC_ASSIGN(item.delta, primary());
    }
  if (accept("if")) {
    QUANTC_ASSIGN(item.guard, expr());
  }
  return item;
}
