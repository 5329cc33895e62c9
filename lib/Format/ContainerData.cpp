//===- ContainerData.cpp - fields from the tensors of a container and back --------------------------------------===//

#include "BindingTensor.h"
#include "Settings.h"
#include "quantc/Support/Json.h"
#include <algorithm>
#include <fmt/ranges.h>
#include <numeric>

using namespace quantc;

namespace {

/// The fields of some rows among those of all.
class RowWindow {
public:
  /// `fields`: of rows from `row` on.
  RowWindow(const Format &format, int64_t N, int64_t K, int64_t row, const FieldValues &fields) : isFirst(row == 0) {
    for (const Field &f : format.fields()) {
      const auto size = static_cast<int64_t>(fields[f.index].size());
      ranges.push_back({cellIndex(format, f, row, 0, N, K), size});
      if (f.inside)
        blocks = {row / format.block()->rows * (K / format.block()->columns), size / format.cellCount(f, N, K)};
    }
  }

  /// The part of a run that these rows have, its cells counted from their first. What holds no field goes with the
  /// first rows.
  std::optional<BitRun> part(const BitRun &run) const {
    if (!run.wholeBlock && !run.first.field)
      return isFirst ? std::optional(run) : std::nullopt;
    const auto [begin, size] = run.wholeBlock ? blocks : ranges[run.first.field->index];
    const int64_t cell = run.first.cell - begin, step = run.cellStep;
    int64_t from = 0, to = run.count;
    if (step > 0) {
      from = std::max(from, cell < 0 ? (-cell + step - 1) / step : 0);
      to = std::min(to, cell < size ? (size - cell + step - 1) / step : 0);
    } else if (step < 0) {
      from = std::max(from, cell >= size ? (cell - size) / -step + 1 : 0);
      to = std::min(to, cell >= 0 ? cell / -step + 1 : 0);
    } else if (cell < 0 || cell >= size) {
      return std::nullopt;
    }
    if (from >= to)
      return std::nullopt;
    BitRun found = run;
    found.first.cell = cell + from * step;
    found.first.address += from * run.addressStep;
    found.count = to - from;
    return found;
  }

private:
  struct Range {
    int64_t begin = 0, size = 0;
  };
  bool isFirst;
  std::vector<Range> ranges; ///< of cells, by the field's index
  Range blocks;
};

} // namespace

template <typename Stream> Status Binding::checkConstant(const BitRun &run, const Stream &stream) const {
  const BitMove &m = run.first;
  for (int64_t j = 0; j < run.count; j++)
    if (const uint64_t found = stream.read(m.address + j * run.addressStep, m.width); found != m.constant)
      return errorAt(container->file, m.position,
                     fmt::format("the tensor does not hold the constant expected here, which is {}: it has {}",
                                 m.constant, found));
  return {};
}

template <typename Stream> Status Binding::readRun(const BitRun &run, const Stream &stream, FieldValues &fields) const {
  const BitMove &m = run.first;
  if (!m.field)
    return checkConstant(run, stream);
  uint64_t *cells = fields[m.field->index].data() + m.cell;
  int64_t bit = m.address;
  if (m.width == m.field->width && !m.transform)
    for (int64_t j = 0; j < run.count; j++, cells += run.cellStep, bit += run.addressStep)
      *cells = stream.read(bit, m.width);
  else
    for (int64_t j = 0; j < run.count; j++, cells += run.cellStep, bit += run.addressStep)
      *cells = m.transform ? untransformed(m, stream.read(bit, m.width)) : *cells | stream.read(bit, m.width) << m.low;
  return {};
}

template <typename Stream>
void Binding::storeRun(const BitRun &run, const Stream &stream, const FieldValues &fields) const {
  const BitMove &m = run.first;
  const uint64_t *cells = m.field ? fields[m.field->index].data() + m.cell : nullptr;
  int64_t bit = m.address;
  for (int64_t j = 0; j < run.count; j++, bit += run.addressStep)
    stream.write(bit, m.width, cells ? transformed(m, cells[j * run.cellStep]) >> m.low : m.constant);
}

Status Binding::checkSizes(const std::vector<std::span<const std::byte>> &data) const {
  if (data.size() != bound.size())
    return fail("container '{}' has {} tensors for this weight, {} were given", container->name, bound.size(),
                data.size());
  for (size_t t = 0; t < layouts.size(); t++)
    if (static_cast<int64_t>(data[t].size()) != bound[t].bytes() && !(bound[t].constant && data[t].empty()))
      return fail("'{}' has {} bytes, expected {} for the shape [{}]", bound[t].suffix, data[t].size(),
                  bound[t].bytes(), fmt::join(bound[t].shape, ", "));
  return {};
}

Result<std::vector<int64_t>> Binding::columnOrder(const std::vector<std::span<const std::byte>> &data) const {
  QUANTC_TRY(checkSizes(data));
  std::vector<int64_t> order;
  for (size_t t = 0; t < layouts.size(); t++) {
    if (!bound[t].order || data[t].empty())
      continue;
    // A word for each column: what the file has, and what columns in order have.
    std::vector<uint64_t> found(static_cast<size_t>(K)), want(found.size());
    QUANTC_TRY(layouts[t].visit([&](const BitRun &run, int64_t base) -> Status {
      return withStream(bound[t].wordBits, data[t].data(), 1, [&](auto stream) -> Status {
        const int64_t first = base + run.first.address / bound[t].wordBits;
        for (int64_t j = 0; j < run.count; j++) {
          const int64_t k = first + j * run.addressStep / bound[t].wordBits;
          found[k] = stream.word(k);
          want[k] = run.first.constant;
        }
        return {};
      });
    }));
    order.resize(found.size());
    std::iota(order.begin(), order.end(), 0);
    std::ranges::sort(order, {}, [&](int64_t k) { return std::pair(found[k], k); });
    for (size_t j = 0; j < order.size(); j++)
      if (found[order[j]] != want[j])
        return fail("'{}': no order of the columns makes groups: column {} belongs to group {}, expected group {}",
                    bound[t].suffix, order[j], found[order[j]], want[j]);
  }
  return std::ranges::is_sorted(order) ? std::vector<int64_t>() : order;
}

/// Columns of fields with a cell for each weight: with `ToFields` the j-th becomes that of the file at order[j],
/// `ToFile` is the inverse.
enum class Move { ToFields, ToFile };
static void moveColumns(const Format &format, std::span<const int64_t> order, Move move, FieldValues &fields) {
  const size_t K = order.size();
  std::vector<uint64_t> row;
  for (const Field &f : format.fields()) {
    const auto size = static_cast<size_t>(f.arraySize());
    if (f.columns != 1 || order.empty())
      continue;
    for (size_t begin = 0; begin < fields[f.index].size(); begin += K * size) {
      uint64_t *cells = fields[f.index].data() + begin;
      row.assign(cells, cells + K * size);
      for (size_t j = 0; j < K; j++) {
        const size_t inFile = order[j], from = move == Move::ToFields ? inFile : j,
                     to = move == Move::ToFields ? j : inFile;
        std::copy_n(row.data() + from * size, size, cells + to * size);
      }
    }
  }
}

Result<FieldValues> Binding::readRows(const std::vector<std::span<const std::byte>> &data,
                                      std::span<const int64_t> order, int64_t row, int64_t rows) const {
  QUANTC_TRY(checkSizes(data));
  if (!verified && row == 0)
    QUANTC_TRY(verify());
  FieldValues fields = zeroFields(*format, rows, K);
  const RowWindow window(*format, N, K, row, fields);
  std::optional<BlockLayout> blocks;
  if (wholeBlocks) {
    QUANTC_ASSIGN(blocks, BlockLayout::create(*format));
  }
  for (size_t t = 0; t < layouts.size(); t++) {
    if (data[t].empty() || (bound[t].order && !order.empty()))
      continue;
    Status status = layouts[t].visit([&](const BitRun &whole, int64_t base) -> Status {
      const auto run = window.part(whole);
      if (!run)
        return {};
      if (run->wholeBlock) {
        blocks->read(data[t].data() + base * bound[t].wordBits / 8 + run->first.address / 8, run->first.cell, 1,
                     fields);
        return {};
      }
      return withStream(bound[t].wordBits, data[t].data() + base * bound[t].wordBits / 8, layouts[t].step,
                        [&](auto stream) { return readRun(*run, stream, fields); });
    });
    if (!status)
      return failAt("'" + bound[t].suffix + "'", status.error());
  }
  for (size_t j = 0; j < container->json.size(); j++)
    if (Status status = readJson(data[layouts.size() + j], j, fields); !status)
      return failAt("'" + bound[layouts.size() + j].suffix + "'", status.error());
  moveColumns(*format, order, Move::ToFields, fields);
  return fields;
}

Status Binding::checkConstants(const std::vector<std::span<const std::byte>> &data) const {
  QUANTC_TRY(checkSizes(data));
  for (size_t t = 0; t < layouts.size(); t++) {
    if (data[t].empty() || bound[t].order)
      continue;
    Status status = layouts[t].visit([&](const BitRun &run, int64_t base) -> Status {
      if (run.wholeBlock || run.first.field)
        return {};
      return withStream(bound[t].wordBits, data[t].data() + base * bound[t].wordBits / 8, layouts[t].step,
                        [&](auto stream) { return checkConstant(run, stream); });
    });
    if (!status)
      return failAt("'" + bound[t].suffix + "'", status.error());
  }
  return {};
}

Status Binding::readJson(std::span<const std::byte> text, size_t number, FieldValues &fields) const {
  QUANTC_ASSIGN(const auto object, parseJson({reinterpret_cast<const char *>(text.data()), text.size()}));
  return checkSettings(container->json[number].entries, *format, format->integersFor(N, K), nlohmann::json(object),
                       &fields);
}

bool Binding::holdsOrder() const {
  return std::ranges::any_of(bound, &BoundTensor::order);
}

/// A constant for each column, in the order of the fields, to where its column lies in the file.
static void moveWords(std::span<const int64_t> order, size_t wordBytes, std::span<std::byte> words) {
  const std::vector<std::byte> sorted(words.begin(), words.end());
  for (size_t j = 0; j < order.size(); j++)
    std::copy_n(sorted.data() + j * wordBytes, wordBytes, words.data() + order[j] * wordBytes);
}

void Binding::storeRows(const FieldValues &sorted, int64_t row, std::span<const int64_t> order,
                        const std::vector<std::span<std::byte>> &tensors) const {
  FieldValues moved;
  if (!order.empty())
    moveColumns(*format, order, Move::ToFile, moved = sorted);
  const FieldValues &fields = order.empty() ? sorted : moved;
  const RowWindow window(*format, N, K, row, fields);
  std::optional<BlockLayout> blocks;
  if (wholeBlocks)
    blocks = BlockLayout::create(*format).value();
  for (size_t t = 0; t < layouts.size(); t++) {
    const std::span<std::byte> bytes = tensors[t];
    // The walk was checked when the binding was made: it cannot fail.
    (void)layouts[t].visit([&](const BitRun &whole, int64_t base) -> Status {
      const auto run = window.part(whole);
      if (!run)
        return {};
      if (run->wholeBlock)
        blocks->store(fields, run->first.cell, 1, bytes.data() + base * bound[t].wordBits / 8 + run->first.address / 8);
      else
        withStream(bound[t].wordBits, bytes.data() + base * bound[t].wordBits / 8, layouts[t].step,
                   [&](auto stream) { storeRun(*run, stream, fields); });
      return {};
    });
    if (bound[t].order && row == 0)
      moveWords(order, bound[t].wordBits / 8, bytes);
  }
}

std::vector<std::vector<std::byte>> Binding::storeJson(const FieldValues &fields, const ContainerNames &names) const {
  std::vector<std::vector<std::byte>> texts;
  for (const JsonDecl &j : container->json) {
    // Its expressions were evaluated when the binding was made.
    const auto object = writeSettings(j.entries, *format, format->integersFor(N, K), names, &fields);
    const std::string text = pythonText(object.value_or(nlohmann::ordered_json::object()));
    const auto bytes = std::as_bytes(std::span(text));
    texts.emplace_back(bytes.begin(), bytes.end());
  }
  return texts;
}

std::vector<std::vector<std::byte>> Binding::store(const FieldValues &fields, const ContainerNames &names,
                                                   std::span<const int64_t> order) const {
  std::vector<std::vector<std::byte>> data;
  for (size_t t = 0; t < layouts.size(); t++)
    data.emplace_back(static_cast<size_t>(bound[t].bytes()));
  storeRows(fields, 0, order, {data.begin(), data.end()});
  std::ranges::move(storeJson(fields, names), std::back_inserter(data));
  return data;
}

Status Binding::checkStorable(const FieldValues &fields, int64_t row) const {
  const RowWindow window(*format, N, K, row, fields);
  auto check = [&](const BitRun &run) -> Status {
    const BitMove &m = run.first;
    if (run.wholeBlock || !m.field || !m.transform || *m.transform == Operator::Xor)
      return {};
    const uint64_t *cells = fields[m.field->index].data() + m.cell;
    for (int64_t j = 0; j < run.count; j++)
      if (const uint64_t value = cells[j * run.cellStep], stored = transformed(m, value);
          (stored < value) != ((*m.transform == Operator::Sub) == (m.delta > 0)))
        return errorAt(container->file, m.position,
                       fmt::format("'{}' is {} somewhere, which is stored as {}: programs read that differently; use "
                                   "another container",
                                   m.field->name, value, stored));
    return {};
  };
  for (const Tensor &tensor : layouts)
    QUANTC_TRY(tensor.visit([&](const BitRun &whole, int64_t) {
      const auto run = window.part(whole);
      return run ? check(*run) : Status();
    }));
  return {};
}
