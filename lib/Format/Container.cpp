//===- Container.cpp - in which tensors of a file the fields lie ------------------------------------------------===//

#include "quantc/Format/Container.h"
#include "IndexProgram.h"
#include "LayoutWalk.h"
#include "Resolve.h"
#include <algorithm>
#include <cstring>

using namespace quantc;

/// A weight has at most so many elements.
static constexpr int64_t largestWeight = int64_t(1) << 32;
/// Larger ones are verified when there is a file of their size.
static constexpr int64_t verifiedAtOnce = int64_t(1) << 26;

/// Words of a tensor: far more than those that hold fields.
static int64_t largestTensor(int64_t N, int64_t K) {
  return 8 * N * K + (int64_t(1) << 24);
}

namespace quantc {
/// Streams of bits: one for each point of `grid`. Word w of the stream at point p lies at word p * strides + w * step.
struct Binding::Tensor {
  LayoutWalk walk;
  std::vector<int64_t> grid, strides;
  int64_t step = 1;

  /// action(run, first word of the stream); the run's addresses are those within the stream.
  template <typename Action> Status visit(Action action) const;
};
} // namespace quantc

Binding::Binding() = default;
Binding::~Binding() = default;
Binding::Binding(Binding &&) noexcept = default;

std::optional<int64_t> quantc::typeId(const Description &container, std::string_view format) {
  for (auto &[name, id] : container.types)
    if (name == format)
      return id;
  return std::nullopt;
}

std::optional<std::string> quantc::formatOfTypeId(const Description &container, int64_t id) {
  for (auto &[name, number] : container.types)
    if (number == id)
      return name;
  return std::nullopt;
}

int64_t BoundTensor::bytes() const {
  int64_t bits = wordBits;
  for (int64_t n : shape)
    bits *= n;
  return bits / 8;
}

static std::optional<unsigned> wordWidth(const std::string &type) {
  if (auto known = floatKind(type); known && known->second >= 8)
    return known->second;
  for (unsigned bits : {8, 16, 32, 64})
    if (type == fmt::format("i{}", bits) || type == fmt::format("u{}", bits))
      return bits;
  return std::nullopt;
}

template <typename Action> Status Binding::Tensor::visit(Action action) const {
  std::vector<int64_t> at(grid.size());
  for (bool more = true; more;) {
    int64_t base = 0;
    for (size_t d = 0; d < grid.size(); d++)
      base += at[d] * strides[d];
    QUANTC_TRY(walk.visit(at, [&](const BitRun &run) { return action(run, base); }));
    more = false;
    for (size_t d = grid.size(); d-- > 0 && !more;) {
      more = ++at[d] < grid[d];
      if (!more)
        at[d] = 0;
    }
  }
  return {};
}

//===--- Streams ------------------------------------------------------------------------------------------------===//

namespace {
/// A stream of bits in words of a tensor, each word `step` after the one before.
template <typename Word, typename Byte> struct Stream {
  static constexpr unsigned wordBits = 8 * sizeof(Word);
  Byte *words;
  int64_t step;

  Byte *place(int64_t word) const { return words + word * step * static_cast<int64_t>(sizeof(Word)); }
  uint64_t word(int64_t at) const {
    Word value;
    std::memcpy(&value, place(at), sizeof(Word));
    return value;
  }
  uint64_t read(int64_t bit, unsigned width) const {
    int64_t at = bit / wordBits;
    const auto shift = static_cast<unsigned>(bit % wordBits);
    uint64_t value = word(at) >> shift;
    for (unsigned have = wordBits - shift; have < width; have += wordBits)
      value |= word(++at) << have;
    return value & lowBits(width);
  }
  /// To bits that are zero.
  void write(int64_t bit, unsigned width, uint64_t value) const {
    int64_t at = bit / wordBits;
    const auto shift = static_cast<unsigned>(bit % wordBits);
    value &= lowBits(width);
    for (unsigned done = 0, from = shift; done < width; done += wordBits - from, from = 0, at++) {
      const auto part = static_cast<Word>(word(at) | (value >> done) << from);
      std::memcpy(place(at), &part, sizeof(Word));
    }
  }
};

template <typename Byte, typename Action> auto withStream(unsigned wordBits, Byte *words, int64_t step, Action action) {
  switch (wordBits) {
  case 8:
    return action(Stream<uint8_t, Byte>{words, step});
  case 16:
    return action(Stream<uint16_t, Byte>{words, step});
  case 32:
    return action(Stream<uint32_t, Byte>{words, step});
  default:
    return action(Stream<uint64_t, Byte>{words, step});
  }
}
} // namespace

/// The tensor's layout, with the dimensions around it as loops, where the words of all its streams follow each other.
static std::vector<LayoutItem> wholeTensor(const TensorDecl &t, const std::vector<int64_t> &grid, int64_t padding) {
  auto number = [&](int64_t value) {
    return std::make_shared<const Expr>(Expr{.kind = ExprKind::Integer, .position = t.position, .integer = value});
  };
  LayoutItem loop{.kind = LayoutItem::Loop, .position = t.position, .body = t.layout};
  size_t d = 0;
  for (const DimensionDecl &dimension : t.dimensions)
    if (!dimension.star)
      loop.loops.emplace_back(dimension.variable, number(grid[d++]));
  if (padding)
    loop.body.push_back({.kind = LayoutItem::Pad, .position = t.position, .value = number(padding)});
  if (!loop.loops.empty())
    return {std::move(loop)};
  return std::move(loop.body);
}

Result<Binding> Binding::create(std::shared_ptr<const Description> container, std::shared_ptr<const Format> format,
                                int64_t N, int64_t K) {
  auto error = [&](Position p, std::string_view message) { return errorAt(container->file, p, message); };
  if (std::ranges::find(container->carries, format->name()) == container->carries.end())
    return error(container->position,
                 fmt::format("container '{}' does not carry '{}'", container->name, format->name()));
  QUANTC_TRY(format->checkShape(N, K));
  if (N * K > largestWeight)
    return error(container->position, fmt::format("a weight of {} x {} is too large", N, K));
  const auto environment = format->integersFor(N, K);
  auto constant = [&](const ExprPtr &e) -> Result<int64_t> {
    auto value = constantOf(*format, e, environment);
    if (!value)
      return error(e->position, "expected a constant integer");
    return value;
  };
  for (const Requirement &r : container->requirements) {
    QUANTC_ASSIGN(int64_t holds, constant(r.condition));
    if (!holds)
      return error(r.position, r.message);
  }
  Binding binding;
  binding.N = N;
  binding.K = K;
  int64_t stored = 0; // bits
  for (const TensorDecl &t : container->tensors) {
    if (t.condition) {
      QUANTC_ASSIGN(int64_t exists, constant(t.condition));
      if (!exists)
        continue;
    }
    BoundTensor bound{.suffix = t.suffix, .type = format->typeWord(t.type)};
    auto word = wordWidth(bound.type);
    if (!word)
      return error(t.position, fmt::format("unknown type '{}'", bound.type));
    bound.wordBits = *word;
    LayoutContext context{*format, container->file, N, K, bound.wordBits, environment};
    Tensor tensor;
    size_t starAt = SIZE_MAX;
    for (size_t d = 0; d < t.dimensions.size(); d++) {
      const DimensionDecl &dimension = t.dimensions[d];
      if (dimension.star) {
        if (starAt != SIZE_MAX)
          return error(t.position, "a tensor has one '*'");
        starAt = d;
        bound.shape.push_back(0);
        continue;
      }
      QUANTC_ASSIGN(int64_t extent, constant(dimension.extent));
      if (extent < 1 || extent > (int64_t(1) << 34))
        return error(dimension.extent->position, fmt::format("an extent of {}", extent));
      bound.shape.push_back(extent);
      tensor.grid.push_back(extent);
      context.variables.push_back(dimension.variable);
    }
    QUANTC_ASSIGN(tensor.walk, LayoutWalk::compile(t.layout, context));
    const int64_t words = (tensor.walk.bits() + bound.wordBits - 1) / bound.wordBits;
    if (starAt == SIZE_MAX && tensor.walk.bits() != bound.wordBits)
      return error(t.position, fmt::format("'{}' gets {} bits for each {}", t.suffix, tensor.walk.bits(), bound.type));
    if (starAt != SIZE_MAX)
      bound.shape[starAt] = words;
    if (words == 0)
      return error(t.position, fmt::format("'{}' stores nothing", t.suffix));
    int64_t stride = 1;
    std::vector<int64_t> strides(bound.shape.size());
    for (size_t d = bound.shape.size(); d-- > 0;) {
      strides[d] = stride;
      if (__builtin_mul_overflow(stride, bound.shape[d], &stride) || stride > largestTensor(N, K))
        return error(t.position, fmt::format("'{}' is too large", t.suffix));
    }
    for (size_t d = 0; d < strides.size(); d++)
      if (d == starAt)
        tensor.step = strides[d];
      else
        tensor.strides.push_back(strides[d]);
    if (tensor.step == 1) { // streams follow each other: they are one
      context.variables.clear();
      QUANTC_ASSIGN(
          tensor.walk,
          LayoutWalk::compile(wholeTensor(t, tensor.grid, words * bound.wordBits - tensor.walk.bits()), context));
      tensor.grid.clear();
    }
    binding.wholeBlocks |= tensor.walk.hasWholeBlocks();
    stored += bound.bytes() * 8;
    binding.bound.push_back(std::move(bound));
    binding.layouts.push_back(std::move(tensor));
  }
  for (const Field &f : format->fields())
    if (const int64_t cells = layoutCells({*format, container->file, N, K}, f);
        !(f.inside && binding.wholeBlocks) && cells > stored)
      return error(container->position,
                   fmt::format("'{}' has {} cells, the tensors have {} bits", f.name, cells, stored));
  binding.container = std::move(container);
  binding.format = std::move(format);
  if (N * K <= verifiedAtOnce) {
    QUANTC_TRY(binding.verify());
    binding.verified = true;
  }
  return binding;
}

Status Binding::verify() const {
  Ownership ownership(*format, container->file, N, K);
  for (const Tensor &tensor : layouts)
    QUANTC_TRY(tensor.visit([&](const BitRun &run, int64_t) -> Status {
      if (run.wholeBlock && (tensor.step != 1 || run.first.address % 8))
        return errorAt(container->file, run.first.position,
                       "a block begins at a byte, and its words follow each other");
      return ownership.add(run);
    }));
  for (const Field &f : format->fields())
    if (!(f.inside && wholeBlocks))
      QUANTC_TRY(ownership.finish(f, container->position));
  return {};
}

template <typename Stream> Status Binding::readRun(const BitRun &run, const Stream &stream, FieldValues &fields) const {
  const BitMove &m = run.first;
  if (!m.field) {
    for (int64_t j = 0; j < run.count; j++)
      if (stream.read(m.address + j * run.addressStep, m.width) != m.constant)
        return errorAt(container->file, m.position, "the tensor does not hold the constant expected here");
    return {};
  }
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

Result<FieldValues> Binding::read(const std::vector<std::span<const std::byte>> &data) const {
  if (data.size() != bound.size())
    return fail("container '{}' has {} tensors for this weight, {} were given", container->name, bound.size(),
                data.size());
  for (size_t t = 0; t < bound.size(); t++)
    if (static_cast<int64_t>(data[t].size()) != bound[t].bytes())
      return fail("'{}' has {} bytes, expected {} for the shape [{}]", bound[t].suffix, data[t].size(),
                  bound[t].bytes(), fmt::join(bound[t].shape, ", "));
  if (!verified)
    QUANTC_TRY(verify());
  FieldValues fields = zeroFields(*format, N, K);
  std::optional<BlockLayout> blocks;
  if (wholeBlocks) {
    QUANTC_ASSIGN(blocks, BlockLayout::create(*format));
  }
  for (size_t t = 0; t < bound.size(); t++) {
    QUANTC_TRY(layouts[t].visit([&](const BitRun &run, int64_t base) -> Status {
      if (run.wholeBlock) {
        blocks->read(data[t].data() + base * bound[t].wordBits / 8 + run.first.address / 8, run.first.cell, 1, fields);
        return {};
      }
      return withStream(bound[t].wordBits, data[t].data() + base * bound[t].wordBits / 8, layouts[t].step,
                        [&](auto stream) { return readRun(run, stream, fields); });
    }));
  }
  return fields;
}

std::vector<std::vector<std::byte>> Binding::store(const FieldValues &fields) const {
  std::optional<BlockLayout> blocks;
  if (wholeBlocks)
    blocks = BlockLayout::create(*format).value();
  std::vector<std::vector<std::byte>> data;
  for (size_t t = 0; t < bound.size(); t++) {
    std::vector<std::byte> bytes(static_cast<size_t>(bound[t].bytes()));
    // The walk was checked when the binding was made: it cannot fail.
    (void)layouts[t].visit([&](const BitRun &run, int64_t base) -> Status {
      if (run.wholeBlock)
        blocks->store(fields, run.first.cell, 1, bytes.data() + base * bound[t].wordBits / 8 + run.first.address / 8);
      else
        withStream(bound[t].wordBits, bytes.data() + base * bound[t].wordBits / 8, layouts[t].step,
                   [&](auto stream) { storeRun(run, stream, fields); });
      return {};
    });
    data.push_back(std::move(bytes));
  }
  return data;
}
