//===- Container.cpp - in which tensors of a file the fields lie ------------------------------------------------===//

#include "quantc/Format/Container.h"
#include "BindingTensor.h"
#include "IndexProgram.h"
#include "Resolve.h"
#include "Settings.h"
#include <algorithm>
#include <ranges>
#include <set>

using namespace quantc;

/// A weight has at most so many elements.
static constexpr int64_t largestWeight = int64_t(1) << 32;
/// Larger ones are verified when there is a file of their size.
static constexpr int64_t verifiedAtOnce = int64_t(1) << 26;

/// Words of a tensor: far more than those that hold fields.
static int64_t largestTensor(int64_t N, int64_t K) {
  return 8 * N * K + (int64_t(1) << 24);
}

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

/// Whether a layout stores no field.
static bool isConstant(const std::vector<LayoutItem> &layout) {
  return std::ranges::all_of(layout, [](const LayoutItem &item) {
    return item.kind == LayoutItem::Loop ? isConstant(item.body) : item.kind != LayoutItem::Cells;
  });
}

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

/// "int:3:g64": its name, and its parameters.
static std::pair<std::string_view, std::set<std::string_view>> partsOf(std::string_view spec) {
  std::set<std::string_view> words;
  const std::string_view name = spec.substr(0, spec.find(':'));
  for (auto part : std::views::split(spec.substr(std::min(name.size() + 1, spec.size())), ':'))
    words.emplace(part.begin(), part.end());
  return {name, std::move(words)};
}

size_t quantc::carries(const Description &container, const Format &format) {
  const auto [name, words] = partsOf(format.spec());
  size_t most = 0;
  for (const std::string &carried : container.carries)
    if (const auto [wanted, parameters] = partsOf(carried); wanted == name && std::ranges::includes(words, parameters))
      most = std::max(most, 1 + parameters.size());
  return most;
}

Result<Binding> Binding::create(std::shared_ptr<const Description> container, std::shared_ptr<const Format> format,
                                int64_t N, int64_t K) {
  auto error = [&](Position p, std::string_view message) { return errorAt(container->file, p, message); };
  if (!carries(*container, *format))
    return error(container->position,
                 fmt::format("container '{}' does not carry '{}'", container->name, format->spec()));
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
    BoundTensor bound{
        .suffix = t.suffix, .type = format->typeWord(t.type), .constant = isConstant(t.layout), .order = t.order};
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
    if (bound.order && (!bound.constant || bound.shape != std::vector{K}))
      return error(t.position, "a tensor marked 'order' has a constant for each column");
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
  for (const JsonDecl &j : binding.container->json)
    binding.bound.push_back({.suffix = withNames(j.suffix, binding.format->name(), ""),
                             .type = "u8",
                             .wordBits = 8,
                             .shape = {0},
                             .json = true});
  for (const JsonDecl &j : binding.container->json) // its expressions can be evaluated
    QUANTC_TRY(writeSettings(j.entries, *binding.format, environment, {}));
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
  if (wholeBlocks)
    QUANTC_TRY(ownership.finishBlocks(container->position));
  std::set<unsigned> inJson;
  for (const JsonDecl &j : container->json)
    for (const SettingDecl &s : j.entries)
      if (const Field *f = fieldOf(s, *format); f && applies(s, *format, format->integersFor(N, K)).value_or(false))
        inJson.insert(f->index);
  for (const Field &f : format->fields())
    if (!(f.inside && wholeBlocks) && !inJson.contains(f.index))
      QUANTC_TRY(ownership.finish(f, container->position));
  return {};
}
