//===- LayoutWalk.cpp - a layout as a loop nest that names bits in storage order --------------------------------===//

#include "LayoutWalk.h"
#include "IndexProgram.h"
#include "Resolve.h"
#include <algorithm>
#include <bit>

using namespace quantc;

namespace {
constexpr int64_t largestLayout = int64_t(1) << 42, largestStep = int64_t(1) << 24;

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
  unsigned cellWidth = 0;
  std::string name;            ///< of the field, for errors
  /// Set where the innermost loop around makes a run of this leaf: by how much the indices, and the cell, grow with it.
  std::optional<std::vector<int64_t>> steps;
  int64_t cellStep = 0;
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
      slots[v] = slotCount++;
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
      node.name = e.name;
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
    findRuns(node);
    return node;
  }

  /// Leaves whose indices grow evenly with the innermost loop.
  void findRuns(Node &loops) const {
    const size_t slot = loops.loops.back().slot;
    for (Node &n : loops.body) {
      if (n.kind != Node::Cells || n.guard || n.index.empty())
        continue;
      if (n.low && (n.low->stepOf(slot) != 0 || n.high->stepOf(slot) != 0))
        continue;
      std::vector<int64_t> steps;
      int64_t cellStep = 0;
      for (size_t d = 0; d < n.index.size(); d++) {
        const auto step = n.index[d].stepOf(slot);
        if (!step || std::abs(*step) > largestStep)
          break;
        steps.push_back(*step);
        cellStep = cellStep * n.extents[d] + *step;
      }
      if (steps.size() == n.index.size()) {
        n.steps = std::move(steps);
        n.cellStep = cellStep;
      }
    }
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
      node.name = item.field;
      node.bits = format.block()->bytes * 8;
      node.extents = {context.N / format.block()->rows, context.K / format.block()->columns};
      if (item.index.size() != 2)
        return error(item.position, fmt::format("'block' takes 2 indices here, not {}", item.index.size()));
      return indexed(item, std::move(node));
    }
    node.kind = Node::Cells;
    node.move.position = item.position;
    const Field *field = format.field(item.field);
    std::optional<Field> absent; // of a field that the parameters leave out
    if (auto value = format.constant(item.field)) {
      QUANTC_ASSIGN(absent, bindField(format, *format.source().field(item.field)));
      node.move.constant = static_cast<uint64_t>(*value);
    } else if (!field) {
      return error(item.position, fmt::format("unknown field '{}'", item.field));
    }
    const Field &shape = absent ? *absent : *field;
    if (!context.inContainer() && !shape.inside)
      return error(item.position, fmt::format("'{}' has a scope beyond the block: it belongs to a container", item.field));
    node.move.field = field;
    node.extents = extentsOf(context, shape);
    node.cells = layoutCells(context, shape);
    const unsigned width = node.cellWidth = shape.width;
    node.name = item.field;
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
    if (!field) { // what is stored for the constant
      node.move.constant = applyTransform(node.move, node.move.constant, width);
      node.move.transform.reset();
    }
    if (item.guard) {
      QUANTC_ASSIGN(IndexProgram guard, program(item.guard));
      node.guard = std::move(guard);
    }
    node.bits = int64_t(node.move.width) * (item.index.empty() ? node.cells : 1);
    return indexed(item, std::move(node));
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
    if (item.index.size() == 1 && node.kind == Node::Cells)
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

static bool hasBlock(const Node &n) { return n.kind == Node::WholeBlock || std::ranges::any_of(n.body, hasBlock); }
bool LayoutWalk::hasWholeBlocks() const { return hasBlock(*root); }

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
        QUANTC_ASSIGN(int64_t at, cell(n));
        move.constant = n.words[static_cast<size_t>(at)];
      }
      move.constant &= lowBits(move.width);
      return action({move});
    }
    case Node::WholeBlock: {
      BitMove move = n.move;
      move.address = address;
      address += n.bits;
      QUANTC_ASSIGN(move.cell, cell(n));
      return action({.first = move, .wholeBlock = true});
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
    const Loop &loop = n.loops[level];
    if (level + 1 == n.loops.size() && std::ranges::all_of(n.body, [](const Node &leaf) { return leaf.steps || leaf.kind == Node::Pad; }))
      if (areRuns(n, loop))
        return runs(n, loop);
    for (int64_t i = 0; i < loop.count; i++) {
      slots[loop.slot] = i;
      QUANTC_TRY(loops(n, level + 1));
    }
    return {};
  }

  /// Whether all indices of the innermost loop lie inside; else single steps find the one that does not.
  bool areRuns(const Node &n, const Loop &loop) {
    slots[loop.slot] = 0;
    for (const Node &leaf : n.body)
      for (size_t d = 0; d < leaf.index.size(); d++) {
        const int64_t first = leaf.index[d].run(slots.data()), last = first + (*leaf.steps)[d] * (loop.count - 1);
        if (first < 0 || first >= leaf.extents[d] || last < 0 || last >= leaf.extents[d])
          return false;
      }
    return true;
  }

  /// The innermost loop, one leaf after the other.
  Status runs(const Node &n, const Loop &loop) {
    const int64_t start = address;
    int64_t offset = 0;
    for (const Node &leaf : n.body) {
      address = start + offset;
      offset += leaf.bits;
      if (leaf.kind == Node::Cells)
        QUANTC_TRY(cells(leaf, {.count = loop.count, .cellStep = leaf.cellStep, .addressStep = n.bits}));
    }
    address = start + n.bits * loop.count;
    return {};
  }

  /// The flattened index; every one must lie inside.
  Result<int64_t> cell(const Node &n) {
    int64_t flat = 0;
    for (size_t d = 0; d < n.index.size(); d++) {
      const int64_t at = n.index[d].run(slots.data());
      if (at < 0 || at >= n.extents[d])
        return errorAt(file, n.position, fmt::format("'{}' has cells 0..{}, index {} is outside", n.name, n.extents[d] - 1, at));
      flat = flat * n.extents[d] + at;
    }
    return flat;
  }

  Status cells(const Node &n, BitRun run = {}) {
    BitMove &move = run.first = n.move;
    move.address = address;
    address += n.bits;
    if (n.guard && !n.guard->run(slots.data())) // padding in this pass
      return {};
    if (n.low) {
      const int64_t low = n.low->run(slots.data()), high = n.high->run(slots.data());
      if (high - low + 1 != move.width)
        return errorAt(file, n.position, "the number of bits changes from pass to pass");
      if (low < 0 || high >= static_cast<int64_t>(n.cellWidth))
        return errorAt(file, n.position, fmt::format("bits {}..{} of '{}', which has {}", low, high, n.name, n.cellWidth));
      move.low = static_cast<unsigned>(low);
    }
    if (!move.field)
      move.constant = n.move.constant >> move.low & lowBits(move.width);
    if (n.index.empty()) {
      run.count = n.cells;
      run.cellStep = 1;
      run.addressStep = move.width;
    } else {
      QUANTC_ASSIGN(move.cell, cell(n));
    }
    return action(run);
  }
};
} // namespace

Status LayoutWalk::visit(std::span<const int64_t> outer, const LeafAction &action) const {
  Visitor visitor{file, action, std::vector<int64_t>(slots)};
  std::ranges::copy(outer, visitor.slots.begin());
  return visitor.loops(*root, 0);
}
