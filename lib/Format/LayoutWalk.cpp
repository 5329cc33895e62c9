//===- LayoutWalk.cpp - a layout as a loop nest that names bits in storage order --------------------------------===//

#include "LayoutNode.h"
#include "quantc/Format/Arithmetic.h"
#include <algorithm>

using namespace quantc;
using Node = LayoutWalk::Node;

LayoutWalk::LayoutWalk() = default;
LayoutWalk::~LayoutWalk() = default;
LayoutWalk::LayoutWalk(LayoutWalk &&) noexcept = default;
LayoutWalk &LayoutWalk::operator=(LayoutWalk &&) noexcept = default;

int64_t LayoutWalk::bits() const {
  return root->bits;
}

static bool hasBlock(const Node &n) {
  return n.kind == Node::WholeBlock || std::ranges::any_of(n.body, hasBlock);
}
bool LayoutWalk::hasWholeBlocks() const {
  return hasBlock(*root);
}

namespace {
struct Visitor {
  const std::string &file;
  const LeafAction &action;
  std::vector<int64_t> slots;
  int64_t address = 0;

  Status node(const Node &n) {
    switch (n.kind) {
    case Node::Loops: {
      const int64_t start = address;
      QUANTC_TRY(loops(n, 0, start));
      address = start + strideOf(n, 0) * n.loops[0].count;
      return {};
    }
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

  /// Loops from `level` on; `start` is the address of what they repeat.
  Status loops(const Node &n, size_t level, int64_t start) {
    if (level == n.loops.size())
      return n.runLoop ? runs(n, start) : body(n, start);
    if (level == n.runLoop) {
      slots[n.loops[level].slot] = 0;
      return loops(n, level + 1, start);
    }
    const int64_t stride = strideOf(n, level);
    for (int64_t i = 0; i < n.loops[level].count; i++) {
      slots[n.loops[level].slot] = i;
      QUANTC_TRY(loops(n, level + 1, start + i * stride));
    }
    return {};
  }

  /// Bits of what one loop repeats.
  static int64_t strideOf(const Node &n, size_t level) {
    int64_t bits = n.bits;
    for (size_t l = level + 1; l < n.loops.size(); l++)
      bits *= n.loops[l].count;
    return bits;
  }

  Status body(const Node &n, int64_t start) {
    address = start;
    for (const Node &inner : n.body)
      QUANTC_TRY(node(inner));
    return {};
  }

  /// One run of each leaf; single steps where an index lies outside, or a guard is not the same at both ends.
  Status runs(const Node &n, int64_t start) {
    const LayoutLoop &loop = n.loops[*n.runLoop];
    const int64_t stride = strideOf(n, *n.runLoop);
    if (!areRuns(n, loop)) {
      for (int64_t i = 0; i < loop.count; i++) {
        slots[loop.slot] = i;
        QUANTC_TRY(body(n, start + i * stride));
      }
      return {};
    }
    slots[loop.slot] = 0;
    address = start;
    for (const Node &leaf : n.body)
      if (leaf.kind == Node::Pad)
        address += leaf.bits;
      else
        QUANTC_TRY(cells(leaf, {.count = loop.count, .cellStep = leaf.cellStep, .addressStep = stride}));
    return {};
  }

  bool areRuns(const Node &n, const LayoutLoop &loop) {
    slots[loop.slot] = 0;
    for (const Node &leaf : n.body) {
      if (leaf.guard) { // even: the same between two ends that are the same
        const bool first = leaf.guard->run(slots.data());
        slots[loop.slot] = loop.count - 1;
        const bool last = leaf.guard->run(slots.data());
        slots[loop.slot] = 0;
        if (first != last)
          return false;
        if (!first)
          continue;
      }
      for (size_t d = 0; d < leaf.index.size(); d++) {
        const int64_t first = leaf.index[d].run(slots.data()),
                      last = applyInteger(Operator::Add, first, leaf.steps[d] * (loop.count - 1));
        if (first < 0 || first >= leaf.extents[d] || last < 0 || last >= leaf.extents[d])
          return false;
      }
    }
    return true;
  }

  /// The flattened index; every one must lie inside.
  Result<int64_t> cell(const Node &n) {
    int64_t flat = 0;
    for (size_t d = 0; d < n.index.size(); d++) {
      const int64_t at = n.index[d].run(slots.data());
      if (at < 0 || at >= n.extents[d])
        return errorAt(file, n.position,
                       fmt::format("'{}' has cells 0..{}, index {} is outside", n.name, n.extents[d] - 1, at));
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
      if (applyInteger(Operator::Sub, high, low) != static_cast<int64_t>(move.width) - 1)
        return errorAt(file, n.position, "the number of bits changes from pass to pass");
      if (low < 0 || high >= static_cast<int64_t>(n.cellWidth))
        return errorAt(file, n.position,
                       fmt::format("bits {}..{} of '{}', which has {}", low, high, n.name, n.cellWidth));
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
  return visitor.body(*root, 0);
}
