//===- LayoutCompiler.cpp - from the items of a layout to nodes -------------------------------------------------===//

#include "LayoutNode.h"
#include "Resolve.h"
#include "quantc/Format/Arithmetic.h"
#include <algorithm>

using namespace quantc;
using Node = LayoutWalk::Node;

static constexpr int64_t largestLayout = int64_t(1) << 42, longestLoop = int64_t(1) << 36,
                         largestStep = int64_t(1) << 24;

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
  const int64_t blocks =
      f.inside && c.inContainer() ? (c.N / c.format.block()->rows) * (c.K / c.format.block()->columns) : 1;
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
        node.words.push_back(table->isFloat ? std::bit_cast<uint32_t>(table->floats[i])
                                            : static_cast<uint64_t>(table->integers[i]));
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
      if (__builtin_mul_overflow(total, n, &total) || total > longestLoop)
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
    if (node.body.size() == 1 && node.body[0].kind == Node::Loops) { // one nest
      Node inner = std::move(node.body[0]);
      inner.loops.insert(inner.loops.begin(), node.loops.begin(), node.loops.end());
      node = std::move(inner);
    }
    findRuns(node);
    return node;
  }

  /// The longest loop with which all leaves of the body grow evenly.
  static void findRuns(Node &nest) {
    nest.runLoop.reset();
    for (size_t l = nest.loops.size(); l-- > 0;) {
      const bool longer = !nest.runLoop || nest.loops[l].count > nest.loops[*nest.runLoop].count;
      if (longer && std::ranges::all_of(nest.body, [&](const Node &leaf) { return isEven(leaf, nest.loops[l].slot); }))
        nest.runLoop = l;
    }
    if (!nest.runLoop)
      return;
    const size_t slot = nest.loops[*nest.runLoop].slot;
    for (Node &leaf : nest.body) {
      leaf.steps.clear();
      leaf.cellStep = 0;
      for (size_t d = 0; d < leaf.index.size(); d++) {
        leaf.steps.push_back(*leaf.index[d].stepOf(slot));
        leaf.cellStep =
            applyInteger(Operator::Add, applyInteger(Operator::Mul, leaf.cellStep, leaf.extents[d]), leaf.steps.back());
      }
    }
  }

  static bool isEven(const Node &leaf, size_t slot) {
    auto grows = [&](const IndexProgram &p) {
      const auto step = p.stepOf(slot);
      return step && -largestStep <= *step && *step <= largestStep;
    };
    if (leaf.kind == Node::Pad)
      return true;
    if (leaf.kind != Node::Cells || leaf.index.empty() || !std::ranges::all_of(leaf.index, grows))
      return false;
    if (leaf.guard && !(leaf.sides.size() == 2 && std::ranges::all_of(leaf.sides, grows)))
      return false;
    return !leaf.low || (leaf.low->stepOf(slot) == 0 && leaf.high->stepOf(slot) == 0);
  }

public:
  /// Sets the bits of one pass over the body of a loop.
  Status addBits(Node &node) const {
    for (const Node &n : node.body) {
      int64_t bits = n.bits;
      for (const LayoutLoop &l : n.loops)
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
      node.move.position = item.position;
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
      return error(item.position,
                   fmt::format("'{}' has a scope beyond the block: it belongs to a container", item.field));
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
        return error(item.position,
                     fmt::format("'{}' has {} cells: give an index with the bits", item.field, node.cells));
    }
    if (!field) { // what is stored for the constant
      node.move.constant = applyTransform(node.move, node.move.constant, width);
      node.move.transform.reset();
    }
    if (item.guard)
      QUANTC_TRY(compileGuard(*item.guard, item.guard, node));
    node.bits = int64_t(node.move.width) * (item.index.empty() ? node.cells : 1);
    return indexed(item, std::move(node));
  }

  Status compileGuard(const Expr &e, const ExprPtr &guard, Node &node) const {
    QUANTC_ASSIGN(node.guard, program(guard));
    if (e.kind == ExprKind::Binary &&
        (e.op == Operator::Lt || e.op == Operator::Le || e.op == Operator::Gt || e.op == Operator::Ge))
      for (const ExprPtr &side : e.args) {
        QUANTC_ASSIGN(IndexProgram compiled, program(side));
        node.sides.push_back(std::move(compiled));
      }
    return {};
  }

  Status bitRange(const LayoutItem &item, Node &node, unsigned width) {
    if (item.transform)
      return error(item.position, "a part of a field is stored as it is");
    QUANTC_ASSIGN(IndexProgram low, program(item.low));
    QUANTC_ASSIGN(IndexProgram high, program(item.high));
    const std::vector<int64_t> zeros(slotCount + 1);
    const int64_t first = low.run(zeros.data()), last = high.run(zeros.data());
    if (last < first || applyInteger(Operator::Sub, last, first) < 0 ||
        applyInteger(Operator::Sub, last, first) >= width)
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
      return error(item.position, fmt::format("'{}' takes {} indices here, not {}", item.field, node.extents.size(),
                                              item.index.size()));
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
