//===- LayoutNode.h - a layout with its loops counted and its indices compiled ----------------------------------===//
#pragma once

#include "IndexProgram.h"
#include "LayoutWalk.h"

namespace quantc {

struct LayoutLoop {
  size_t slot;
  int64_t count;
};

struct LayoutWalk::Node {
  enum Kind { Loops, Pad, Constant, Cells, WholeBlock } kind = Loops;
  Position position;
  int64_t bits = 0; ///< of one pass over the body, or of the leaf

  // Loops.
  std::vector<LayoutLoop> loops; ///< the last runs fastest
  std::vector<Node> body;
  /// A loop with which all leaves of the body grow evenly: each makes a run of it.
  std::optional<size_t> runLoop;

  // Leaves.
  std::string name; ///< of the field, for errors
  std::vector<IndexProgram> index;
  std::vector<int64_t> extents; ///< of the indices
  std::optional<IndexProgram> low, high, guard, value;
  int64_t cells = 1; ///< without an index: all of them, in order
  unsigned cellWidth = 0;
  std::vector<uint64_t> words; ///< a constant from a table, by its index
  BitMove move;
  std::vector<IndexProgram> sides; ///< of a guard that says which is less
  std::vector<int64_t> steps;      ///< of the indices with the run's loop
  int64_t cellStep = 0;            ///< of the cell
};

} // namespace quantc
