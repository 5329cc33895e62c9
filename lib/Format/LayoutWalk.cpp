//===- LayoutWalk.cpp - a layout as a loop nest that names bits in storage order --------------------------------===//

#include "LayoutWalk.h"
#include "Resolve.h"
#include "quantc/Format/Arithmetic.h"
#include <algorithm>
#include <cmath>

using namespace quantc;

namespace {
/// An integer expression over slots (loop variables), as postfix code.
class IndexProgram {
public:
  using Slots = std::map<std::string, size_t>;
  static Result<IndexProgram> compile(const LayoutContext &context, const Slots &slots, const ExprPtr &e) {
    IndexProgram program;
    QUANTC_TRY(program.add(context, slots, e, 1));
    return program;
  }
  int64_t run(const int64_t *slots) const {
    if (code.size() == 1)
      return code[0].kind == Step::Number ? code[0].value : slots[code[0].value];
    int64_t stack[deepest];
    size_t top = 0;
    for (const Step &s : code)
      switch (s.kind) {
      case Step::Number: stack[top++] = s.value; break;
      case Step::Slot: stack[top++] = slots[s.value]; break;
      case Step::Unary: stack[top - 1] = applyInteger(s.op, stack[top - 1], 0); break;
      case Step::Binary:
        top--;
        stack[top - 1] = applyInteger(s.op, stack[top - 1], stack[top]);
        break;
      case Step::Select:
        top -= 2;
        stack[top - 1] = stack[top - 1] ? stack[top] : stack[top + 1];
        break;
      }
    return stack[0];
  }

private:
  struct Step {
    enum { Number, Slot, Unary, Binary, Select } kind;
    int64_t value = 0;
    Operator op{};
  };
  static constexpr size_t deepest = 64;

  /// `height`: of the stack once this is on it.
  Status add(const LayoutContext &context, const Slots &slots, const ExprPtr &e, size_t height) {
    if (height > deepest)
      return errorAt(context.file, e->position, "the index is nested too deeply");
    if (e->kind == ExprKind::Name && e->args.empty())
      if (auto it = slots.find(e->name); it != slots.end()) {
        code.push_back({Step::Slot, static_cast<int64_t>(it->second)});
        return {};
      }
    const bool compound = e->kind == ExprKind::Unary || e->kind == ExprKind::Binary || e->kind == ExprKind::Select;
    if (!compound) { // numbers, parameters, and calls over these
      auto value = constantOf(context.format, e, context.environment);
      if (!value)
        return errorAt(context.file, e->position, e->kind == ExprKind::Name ? fmt::format("unknown name '{}'", e->name) : "expected a constant integer");
      code.push_back({Step::Number, *value});
      return {};
    }
    for (const ExprPtr &a : e->args)
      QUANTC_TRY(add(context, slots, a, height++));
    code.push_back({e->kind == ExprKind::Unary ? Step::Unary : e->kind == ExprKind::Binary ? Step::Binary : Step::Select, 0, e->op});
    return {};
  }
  std::vector<Step> code;
};

constexpr int64_t largestLayout = int64_t(1) << 42;

struct Loop {
  size_t slot;
  int64_t count;
};
} // namespace

namespace quantc {
struct LayoutWalk::Node {
  enum Kind { Loops, Pad, Constant, Cells, WholeBlock } kind = Loops;
  Position position;
  int64_t bits = 0; ///< of one pass over what the loops repeat, or of the leaf
  std::vector<Loop> loops;
  std::vector<Node> body;
  std::vector<IndexProgram> index;
  std::vector<int64_t> extents; ///< of the indices
  std::optional<IndexProgram> low, high, guard, value;
  int64_t cells = 1;           ///< without an index: all of them, in order
  std::vector<uint64_t> words; ///< a constant from a table, by its index
  BitMove move;
};
} // namespace quantc

using Node = LayoutWalk::Node;

LayoutWalk::LayoutWalk() = default;
LayoutWalk::~LayoutWalk() = default;
LayoutWalk::LayoutWalk(LayoutWalk &&) noexcept = default;
LayoutWalk &LayoutWalk::operator=(LayoutWalk &&) noexcept = default;

/// Extents of the indices of a field: its cells, then its array.
static std::vector<int64_t> extentsOf(const LayoutContext &c, const Field &f) {
  std::vector<int64_t> extents;
  const Format &format = c.format;
  const int64_t all = format.cellCount(f, c.N, c.K) / f.arraySize();
  auto up = [](int64_t a, int64_t b) { return b ? (a + b - 1) / b : 1; };
  if (f.flat) {
    extents = {all};
  } else if (f.inside) { // in a container the block comes first
    if (c.inContainer())
      extents = {c.N / format.block()->rows, c.K / format.block()->columns};
    if (all > 1 || !c.inContainer())
      extents.push_back(all);
  } else if (f.rank >= 1) {
    extents.push_back(up(c.N, f.rows));
    if (f.rank == 2)
      extents.push_back(up(c.K, f.columns));
  }
  if (f.inside && !c.inContainer() && all == 1)
    extents.clear();
  extents.insert(extents.end(), f.array.begin(), f.array.end());
  return extents;
}

int64_t quantc::layoutCells(const LayoutContext &c, const Field &f) {
  const int64_t blocks = f.inside && c.inContainer() ? (c.N / c.format.block()->rows) * (c.K / c.format.block()->columns) : 1;
  return blocks * c.format.cellCount(f, c.N, c.K);
}

namespace {
class Compiler {
public:
  Compiler(const LayoutContext &context) : context(context) {
    for (const std::string &v : context.variables)
      slots.emplace(v, slots.size());
    slotCount = slots.size();
  }
  Result<std::vector<Node>> items(const std::vector<LayoutItem> &all) {
    std::vector<Node> nodes;
    for (const LayoutItem &item : all) {
      QUANTC_ASSIGN(Node node, one(item));
      nodes.push_back(std::move(node));
    }
    return nodes;
  }
  size_t slotCount = 0;

private:
  tl::unexpected<Error> error(Position p, std::string_view message) const { return errorAt(context.file, p, message); }
  Result<IndexProgram> program(const ExprPtr &e) const { return IndexProgram::compile(context, slots, e); }

  Result<Node> one(const LayoutItem &item) {
    Node node{.position = item.position};
    switch (item.kind) {
    case LayoutItem::Loop:
      return loop(item);
    case LayoutItem::Pad:
      node.kind = Node::Pad;
      QUANTC_TRY(constant(item.value, node.bits));
      if (node.bits < 1 || node.bits > (int64_t(1) << 32))
        return error(item.position, fmt::format("{} bits of padding", node.bits));
      return node;
    case LayoutItem::Constant: {
      node.kind = Node::Constant;
      if (!context.wordBits)
        return error(item.position, "a constant belongs into a container");
      node.bits = context.wordBits;
      node.move.position = item.position;
      return constantNode(item, std::move(node));
    }
    case LayoutItem::Cells:
      return cells(item, std::move(node));
    }
    return node;
  }

  Status constant(const ExprPtr &e, int64_t &out) const {
    auto value = constantOf(context.format, e, context.environment);
    if (!value)
      return errorAt(context.file, e->position, "expected a constant integer");
    out = *value;
    return {};
  }

  /// A word: an integer expression of the loops, or a table of floats at one.
  Result<Node> constantNode(const LayoutItem &item, Node node) {
    const Expr &e = *item.value;
    if (const Table *table = e.kind == ExprKind::Name ? context.format.table(e.name) : nullptr) {
      if (e.args.size() != 1 || table->shape.size() != 1)
        return error(e.position, fmt::format("'{}' takes one index here", e.name));
      QUANTC_ASSIGN(IndexProgram index, program(e.args[0]));
      node.index.push_back(std::move(index));
      node.extents = table->shape;
      for (int64_t i = 0; i < table->shape[0]; i++)
        node.words.push_back(table->isFloat ? std::bit_cast<uint32_t>(table->floats[i]) : static_cast<uint64_t>(table->integers[i]));
      return node;
    }
    QUANTC_ASSIGN(IndexProgram value, program(item.value));
    node.value = std::move(value);
    return node;
  }

  Result<Node> loop(const LayoutItem &item) {
    Node node{.kind = Node::Loops, .position = item.position};
    auto outer = slots;
    int64_t total = 1;
    for (auto &[variable, count] : item.loops) {
      int64_t n = 0;
      QUANTC_TRY(constant(count, n));
      if (n < 1)
        return error(count->position, fmt::format("loop '{}' has {} passes", variable, n));
      if (n > (int64_t(1) << 32) || (total *= n) > (int64_t(1) << 36))
        return error(count->position, fmt::format("loop '{}' has too many passes", variable));
      slots[variable] = slotCount;
      node.loops.push_back({slotCount++, n});
    }
    auto body = items(item.body);
    slots = std::move(outer);
    if (!body)
      return tl::unexpected(body.error());
    node.body = std::move(*body);
    QUANTC_TRY(addBits(node));
    if (node.bits == 0) // else passes are bounded by what is stored
      return error(item.position, "the loop stores nothing");
    return node;
  }

public:
  /// Sets the bits of one pass over the body of a loop.
  Status addBits(Node &node) const {
    for (const Node &n : node.body) {
      int64_t bits = n.bits;
      for (const Loop &l : n.loops)
        if (__builtin_mul_overflow(bits, l.count, &bits))
          bits = INT64_MAX;
      if (bits > largestLayout - node.bits)
        return error(n.position, fmt::format("the layout has more than {} bits", largestLayout));
      node.bits += bits;
    }
    return {};
  }

private:
  Result<Node> cells(const LayoutItem &item, Node node) {
    const Format &format = context.format;
    if (item.field == "block" && format.block() && context.inContainer()) {
      node.kind = Node::WholeBlock;
      node.bits = format.block()->bytes * 8;
      node.extents = {context.N / format.block()->rows, context.K / format.block()->columns};
      if (item.index.size() != 2)
        return error(item.position, fmt::format("'block' takes 2 indices here, not {}", item.index.size()));
      return indexed(item, std::move(node));
    }
    node.kind = Node::Cells;
    node.move.position = item.position;
    const Field *field = format.field(item.field);
    unsigned width = 0;
    if (field) {
      if (!context.inContainer() && !field->inside)
        return error(item.position, fmt::format("'{}' has a scope beyond the block: it belongs to a container", field->name));
      node.move.field = field;
      width = field->width;
      node.extents = extentsOf(context, *field);
      node.cells = layoutCells(context, *field);
    } else if (auto value = format.constant(item.field)) { // left out by the parameters: a constant of the field's type
      QUANTC_ASSIGN(Field type, bindFieldType(format, *format.source().field(item.field)));
      width = type.width;
      node.move.constant = static_cast<uint64_t>(*value);
      node.extents.assign(item.index.size(), INT64_MAX);
    } else {
      return error(item.position, fmt::format("unknown field '{}'", item.field));
    }
    node.move.width = width;
    if (item.transform) {
      node.move.transform = item.transform;
      QUANTC_TRY(constant(item.delta, node.move.delta));
    }
    if (item.low) {
      QUANTC_TRY(bitRange(item, node, width));
      if (item.index.empty() && node.cells > 1)
        return error(item.position, fmt::format("'{}' has {} cells: give an index with the bits", item.field, node.cells));
    }
    if (!field) { // the word that is stored for the constant
      BitMove whole = node.move;
      whole.width = width;
      node.move.constant = storedConstant(whole);
      node.move.transform.reset();
    }
    if (item.guard) {
      QUANTC_ASSIGN(IndexProgram guard, program(item.guard));
      node.guard = std::move(guard);
    }
    node.bits = int64_t(node.move.width) * (item.index.empty() ? node.cells : 1);
    return indexed(item, std::move(node));
  }

  static uint64_t storedConstant(const BitMove &move) {
    const auto delta = static_cast<uint64_t>(move.delta);
    uint64_t v = move.constant;
    if (move.transform)
      v = *move.transform == Operator::Add ? v + delta : *move.transform == Operator::Sub ? v - delta : v ^ delta;
    return move.width < 64 ? v & ((uint64_t(1) << move.width) - 1) : v;
  }

  Status bitRange(const LayoutItem &item, Node &node, unsigned width) {
    if (item.transform)
      return error(item.position, "a part of a field is stored as it is");
    QUANTC_ASSIGN(IndexProgram low, program(item.low));
    QUANTC_ASSIGN(IndexProgram high, program(item.high));
    const std::vector<int64_t> zeros(slotCount + 1);
    const int64_t first = low.run(zeros.data()), last = high.run(zeros.data());
    if (last < first || last - first >= width)
      return error(item.position, fmt::format("bits {}..{} of '{}', which has {}", first, last, item.field, width));
    node.move.width = static_cast<unsigned>(last - first + 1);
    node.low = std::move(low);
    node.high = std::move(high);
    return {};
  }

  Result<Node> indexed(const LayoutItem &item, Node node) {
    if (item.index.empty())
      return node;
    if (item.index.size() == 1 && node.move.field)
      node.extents = {node.cells};
    if (item.index.size() != node.extents.size())
      return error(item.position, fmt::format("'{}' takes {} indices here, not {}", item.field, node.extents.size(), item.index.size()));
    for (const ExprPtr &e : item.index) {
      QUANTC_ASSIGN(IndexProgram index, program(e));
      node.index.push_back(std::move(index));
    }
    return node;
  }

  const LayoutContext &context;
  IndexProgram::Slots slots;
};
} // namespace

Result<LayoutWalk> LayoutWalk::compile(const std::vector<LayoutItem> &items, const LayoutContext &context) {
  Compiler compiler(context);
  LayoutWalk walk;
  walk.root = std::make_unique<Node>();
  walk.file = context.file;
  QUANTC_ASSIGN(walk.root->body, compiler.items(items));
  QUANTC_TRY(compiler.addBits(*walk.root));
  walk.slots = compiler.slotCount + 1;
  return walk;
}

int64_t LayoutWalk::bits() const { return root->bits; }

namespace {
struct Visitor {
  const std::string &file;
  const LeafAction &action;
  std::vector<int64_t> slots;
  int64_t address = 0;

  Status node(const Node &n) {
    switch (n.kind) {
    case Node::Loops:
      return loops(n, 0);
    case Node::Pad:
      address += n.bits;
      return {};
    case Node::Constant: {
      BitMove move = n.move;
      move.width = static_cast<unsigned>(n.bits);
      move.address = address;
      address += n.bits;
      if (n.value) {
        move.constant = static_cast<uint64_t>(n.value->run(slots.data()));
      } else {
        QUANTC_ASSIGN(int64_t at, cell(n, "the table"));
        move.constant = n.words[static_cast<size_t>(at)];
      }
      if (move.width < 64)
        move.constant &= (uint64_t(1) << move.width) - 1;
      return action(move, false);
    }
    case Node::WholeBlock: {
      BitMove move = n.move;
      move.address = address;
      address += n.bits;
      QUANTC_ASSIGN(move.cell, cell(n, "block"));
      return action(move, true);
    }
    case Node::Cells:
      return cells(n);
    }
    return {};
  }

  Status loops(const Node &n, size_t level) {
    if (level == n.loops.size()) {
      for (const Node &inner : n.body)
        QUANTC_TRY(node(inner));
      return {};
    }
    for (int64_t i = 0; i < n.loops[level].count; i++) {
      slots[n.loops[level].slot] = i;
      QUANTC_TRY(loops(n, level + 1));
    }
    return {};
  }

  /// The flattened index; every one must lie inside.
  Result<int64_t> cell(const Node &n, std::string_view name) {
    int64_t flat = 0;
    for (size_t d = 0; d < n.index.size(); d++) {
      const int64_t at = n.index[d].run(slots.data());
      if (at < 0 || at >= n.extents[d])
        return errorAt(file, n.position, fmt::format("'{}' has cells 0..{}, index {} is outside", name, n.extents[d] - 1, at));
      flat = n.extents[d] == INT64_MAX ? 0 : flat * n.extents[d] + at;
    }
    return flat;
  }

  Status cells(const Node &n) {
    BitMove move = n.move;
    if (n.guard && !n.guard->run(slots.data())) { // padding in this pass
      address += n.bits;
      return {};
    }
    if (n.low) {
      const int64_t low = n.low->run(slots.data()), high = n.high->run(slots.data());
      if (high - low + 1 != move.width)
        return errorAt(file, n.position, "the number of bits changes from pass to pass");
      if (move.field && (low < 0 || high >= int64_t(move.field->width)))
        return errorAt(file, n.position, fmt::format("bits {}..{} of '{}', which has {}", low, high, move.field->name, move.field->width));
      move.low = static_cast<unsigned>(low);
    }
    const int64_t count = n.index.empty() ? n.cells : 1;
    QUANTC_ASSIGN(int64_t first, cell(n, move.field ? std::string_view(move.field->name) : "the constant"));
    for (int64_t c = 0; c < count; c++, address += move.width) {
      move.cell = first + c;
      move.address = address;
      QUANTC_TRY(action(move, false));
    }
    return {};
  }
};
} // namespace

Status LayoutWalk::visit(std::span<const int64_t> outer, const LeafAction &action) const {
  Visitor visitor{file, action, std::vector<int64_t>(slots)};
  std::ranges::copy(outer, visitor.slots.begin());
  return visitor.loops(*root, 0);
}

//===--- Ownership ----------------------------------------------------------------------------------------------===//

Status Ownership::add(const BitMove &move) {
  if (!move.field)
    return {};
  auto &bits = owned[move.field->index];
  if (bits.empty()) {
    LayoutContext context{format, file, N, K};
    bits.resize(static_cast<size_t>(layoutCells(context, *move.field) * move.field->width));
  }
  for (unsigned b = 0; b < move.width; b++) {
    auto bit = bits[static_cast<size_t>(move.cell * move.field->width + move.low + b)];
    if (bit)
      return errorAt(file, move.position, fmt::format("bit {} of '{}[{}]' is stored a second time", move.low + b, move.field->name, move.cell));
    bit = true;
  }
  return {};
}

Status Ownership::finish(const Field &field, std::optional<Position> place) const {
  auto missing = [&](size_t bit) {
    return errorAt(file, place.value_or(field.position),
                   fmt::format("bit {} of '{}[{}]' is stored nowhere", bit % field.width, field.name, bit / field.width));
  };
  auto it = owned.find(field.index);
  if (it == owned.end())
    return missing(0);
  auto hole = std::ranges::find(it->second, false);
  if (hole != it->second.end())
    return missing(static_cast<size_t>(hole - it->second.begin()));
  return {};
}
