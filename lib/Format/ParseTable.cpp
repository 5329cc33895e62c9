//===- ParseTable.cpp - tables, in the description or in files --------------------------------------------------===//

#include "Parser.h"
#include <charconv>

using namespace quantc;

static constexpr int64_t largestTable = 1 << 20;

/// Numbers on the line, or in parentheses on several lines. One float makes all of them floats.
Status DescriptionParser::tableNumbers(Table &table) {
  const bool open = accept("(");
  while (!is(")") && peek().kind != FormatToken::LineEnd) {
    const bool negative = accept("-");
    if (peek().kind != FormatToken::Integer && peek().kind != FormatToken::Float)
      return expected("a number");
    const FormatToken &token = next();
    table.isFloat |= token.kind == FormatToken::Float;
    const float number = token.kind == FormatToken::Float ? token.number : static_cast<float>(token.integer);
    table.integers.push_back(negative ? -token.integer : token.integer);
    table.floats.push_back(negative ? -number : number);
  }
  if (open)
    QUANTC_TRY(expect(")"));
  if (table.integers.empty())
    return expected("a number");
  table.shape = {static_cast<int64_t>(table.integers.size())};
  (table.isFloat ? static_cast<void>(table.integers.clear()) : table.floats.clear());
  return {};
}

/// First line "bits W levels a b c ...", then hexadecimal numbers: digit j (W bits) of number e selects the level of
/// [e][j].
Status DescriptionParser::tableFile(Table &table) {
  auto wrong = [&](std::string_view what) { return error(table.position, what); };
  int64_t size = 1;
  QUANTC_TRY(list([&]() -> Status {
    const Position place = here();
    QUANTC_ASSIGN(int64_t extent, integer());
    if (extent < 1 || extent > largestTable || (size *= extent) > largestTable)
      return error(place, fmt::format("a table has 1..{} numbers", largestTable));
    table.shape.push_back(extent);
    return {};
  }));
  QUANTC_TRY(expect("]"));
  QUANTC_TRY(expect("from"));
  QUANTC_ASSIGN(std::string fileName, string());
  if (table.shape.size() != 2)
    return wrong("a table in a file has two extents");
  auto text = loadTable(fileName);
  if (!text)
    return wrong(fmt::format("table file \"{}\" not found", fileName));
  std::string_view rest = *text;
  auto word = [&]() -> std::string_view {
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t\r\n"), rest.size()));
    std::string_view w = rest.substr(0, rest.find_first_of(" \t\r\n"));
    rest.remove_prefix(w.size());
    return w;
  };
  auto number = [&](std::string_view w, int base) -> std::optional<int64_t> {
    int64_t value = 0;
    auto [end, failure] = std::from_chars(w.data(), w.data() + w.size(), value, base);
    return failure == std::errc() && end == w.data() + w.size() && !w.empty() ? std::optional(value) : std::nullopt;
  };
  const std::string head = std::string(rest.substr(0, rest.find('\n')));
  const size_t headEnd = rest.size() - std::min(head.size(), rest.size());
  const bool bits = word() == "bits";
  auto width = number(word(), 10);
  const bool levels = word() == "levels";
  if (!bits || !levels || !width || *width < 1 || *width > 8 || *width * table.shape[1] > 63)
    return wrong(fmt::format("table file \"{}\" does not begin with 'bits W levels a b c …'", fileName));
  std::vector<int64_t> values;
  while (rest.size() > headEnd) {
    std::string_view w = word();
    auto level = number(w, 10);
    if (!level)
      return wrong(fmt::format("table file \"{}\": '{}' is no level", fileName, w));
    values.push_back(*level);
  }
  int64_t entries = 0;
  for (std::string_view w = word(); !w.empty(); w = word(), entries++) {
    auto code = number(w, 16);
    if (!code || entries >= table.shape[0])
      return wrong(
          fmt::format("table file \"{}\" has more than {} entries, or '{}' is none", fileName, table.shape[0], w));
    for (int64_t j = 0; j < table.shape[1]; j++) {
      const auto digit = static_cast<size_t>(*code >> (*width * j) & ((1 << *width) - 1));
      if (digit >= values.size())
        return wrong(fmt::format("table file \"{}\": '{}' selects level {} of {}", fileName, w, digit, values.size()));
      table.integers.push_back(values[digit]);
    }
  }
  if (entries != table.shape[0])
    return wrong(fmt::format("table file \"{}\" has {} entries, not {}", fileName, entries, table.shape[0]));
  return {};
}

Status DescriptionParser::table(Position position) {
  Table table{.position = position};
  QUANTC_ASSIGN(table.name, name());
  QUANTC_TRY(declare(table.name, position));
  if (accept("[")) {
    QUANTC_TRY(tableFile(table));
  } else {
    QUANTC_TRY(expect("="));
    QUANTC_TRY(tableNumbers(table));
  }
  if (!table.isFloat)
    std::tie(table.lowest, table.highest) =
        std::pair(*std::ranges::min_element(table.integers), *std::ranges::max_element(table.integers));
  out->tables.push_back(std::move(table));
  return {};
}
