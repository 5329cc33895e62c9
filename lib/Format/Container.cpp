//===- Container.cpp - in which tensors of a file the fields lie ------------------------------------------------===//

#include "quantc/Format/Container.h"
#include "LayoutWalk.h"
#include "Resolve.h"
#include <algorithm>
#include <cstring>

using namespace quantc;

namespace quantc {
struct Binding::Tensor {
  Position position;
  LayoutWalk walk;
  std::vector<int64_t> grid;    ///< extents of the dimensions that are no `*`
  std::vector<int64_t> strides; ///< of these, in words
  int64_t star = 0;             ///< stride of the words of one stream

  /// Visits every leaf, its address turned into pieces that lie within one word: action(move, bit of the move, address, bits).
  template <typename Action>
  Status visit(unsigned wordBits, Action action) const;
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
  if (auto known = floatKind(type))
    return known->second;
  for (unsigned bits : {8, 16, 32, 64})
    if (type == fmt::format("i{}", bits) || type == fmt::format("u{}", bits))
      return bits;
  return std::nullopt;
}

template <typename Action>
Status Binding::Tensor::visit(unsigned wordBits, Action action) const {
  std::vector<int64_t> at(grid.size());
  int64_t points = 1;
  for (int64_t n : grid)
    points *= n;
  for (int64_t p = 0; p < points; p++) {
    int64_t base = 0;
    for (size_t d = 0; d < grid.size(); d++)
      base += at[d] * strides[d];
    QUANTC_TRY(walk.visit(at, [&](const BitMove &move, bool whole) -> Status {
      const unsigned width = whole ? 0 : move.width;
      if (whole)
        return action(move, 0u, (base + move.address / wordBits * star) * wordBits + move.address % wordBits, 0u);
      for (unsigned done = 0; done < width;) {
        const int64_t bit = move.address + done;
        const auto part = static_cast<unsigned>(std::min<int64_t>(width - done, wordBits - bit % wordBits));
        QUANTC_TRY(action(move, done, (base + bit / wordBits * star) * wordBits + bit % wordBits, part));
        done += part;
      }
      return {};
    }));
    for (size_t d = grid.size(); d-- > 0;) {
      if (++at[d] < grid[d])
        break;
      at[d] = 0;
    }
  }
  return {};
}

Result<Binding> Binding::create(std::shared_ptr<const Description> container, std::shared_ptr<const Format> format, int64_t N, int64_t K) {
  auto error = [&](Position p, std::string_view message) { return errorAt(container->file, p, message); };
  if (std::ranges::find(container->carries, format->name()) == container->carries.end())
    return error(container->position, fmt::format("container '{}' does not carry '{}'", container->name, format->name()));
  QUANTC_TRY(format->checkShape(N, K));
  if (N * K > (int64_t(1) << 34))
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
  Ownership ownership(*format, container->file, N, K);
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
    Tensor tensor{.position = t.position};
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
      context.variables.push_back(dimension.variable.empty() ? fmt::format(" {}", d) : dimension.variable);
    }
    QUANTC_ASSIGN(tensor.walk, LayoutWalk::compile(t.layout, context));
    const int64_t words = (tensor.walk.bits() + bound.wordBits - 1) / bound.wordBits;
    if (starAt == SIZE_MAX && tensor.walk.bits() != bound.wordBits)
      return error(t.position, fmt::format("'{}' gets {} bits for each {}", t.suffix, tensor.walk.bits(), bound.type));
    if (starAt != SIZE_MAX)
      bound.shape[starAt] = words;
    int64_t stride = 1;
    std::vector<int64_t> strides(bound.shape.size());
    for (size_t d = bound.shape.size(); d-- > 0; stride *= bound.shape[d])
      strides[d] = stride;
    if (stride > (int64_t(1) << 38))
      return error(t.position, fmt::format("'{}' is too large", t.suffix));
    for (size_t d = 0; d < strides.size(); d++)
      if (d == starAt)
        tensor.star = strides[d];
      else
        tensor.strides.push_back(strides[d]);
    std::vector<int64_t> at(tensor.grid.size());
    QUANTC_TRY(tensor.visit(bound.wordBits, [&](const BitMove &move, unsigned done, int64_t, unsigned bits) -> Status {
      if (bits == 0)
        binding.wholeBlocks = true;
      BitMove part = move;
      part.low += done;
      part.width = bits;
      return bits ? ownership.add(part) : Status();
    }));
    binding.bound.push_back(std::move(bound));
    binding.layouts.push_back(std::move(tensor));
  }
  for (const Field &f : format->fields())
    if (!(f.inside && binding.wholeBlocks))
      QUANTC_TRY(ownership.finish(f, container->position));
  binding.container = std::move(container);
  binding.format = std::move(format);
  return binding;
}

Result<FieldValues> Binding::read(const std::vector<std::span<const std::byte>> &data) const {
  if (data.size() != bound.size())
    return fail("container '{}' has {} tensors for this weight, {} were given", container->name, bound.size(), data.size());
  FieldValues fields = zeroFields(*format, N, K);
  std::optional<BlockLayout> blocks;
  if (wholeBlocks) {
    QUANTC_ASSIGN(blocks, BlockLayout::create(*format));
  }
  for (size_t t = 0; t < bound.size(); t++) {
    if (static_cast<int64_t>(data[t].size()) != bound[t].bytes())
      return fail("'{}' has {} bytes, expected {} for the shape [{}]", bound[t].suffix, data[t].size(), bound[t].bytes(), fmt::join(bound[t].shape, ", "));
    uint64_t collected = 0;
    QUANTC_TRY(layouts[t].visit(bound[t].wordBits, [&](const BitMove &m, unsigned done, int64_t address, unsigned bits) -> Status {
      if (bits == 0) {
        blocks->read(data[t].data() + address / 8, m.cell, 1, fields);
        return {};
      }
      const uint64_t part = readBits(data[t].data(), address, bits);
      collected = done ? collected | part << done : part;
      if (done + bits < m.width)
        return {};
      if (!m.field) {
        if (collected != m.constant)
          return errorAt(container->file, m.position, "the tensor does not hold the constant expected here");
        return {};
      }
      uint64_t &cell = fields[m.field->index][static_cast<size_t>(m.cell)];
      cell = m.width == m.field->width ? untransformed(m, collected) : cell | collected << m.low;
      return {};
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
    (void)layouts[t].visit(bound[t].wordBits, [&](const BitMove &m, unsigned done, int64_t address, unsigned bits) -> Status {
      if (bits == 0) {
        blocks->store(fields, m.cell, 1, bytes.data() + address / 8);
        return {};
      }
      const uint64_t value = m.field ? transformed(m, fields[m.field->index][static_cast<size_t>(m.cell)]) >> m.low : m.constant;
      writeBits(bytes.data(), address, bits, value >> done);
      return {};
    });
    data.push_back(std::move(bytes));
  }
  return data;
}
