//===- LayoutWalk.h - a layout as a loop nest that names bits in storage order ----------------------------------===//
#pragma once

#include "quantc/Format/Layout.h"
#include <functional>

namespace quantc {

struct LayoutContext;

using LeafAction = std::function<Status(const BitRun &run)>;

/// A layout with its loop counts evaluated and its index expressions compiled.
class LayoutWalk {
public:
  static Result<LayoutWalk> compile(const std::vector<LayoutItem> &items, const LayoutContext &context);
  ~LayoutWalk();
  LayoutWalk();
  LayoutWalk(LayoutWalk &&) noexcept;
  LayoutWalk &operator=(LayoutWalk &&) noexcept;
  /// Bits of one pass.
  int64_t bits() const;
  /// Whether an item is a block of the format.
  bool hasWholeBlocks() const;
  /// Visits every leaf; addresses begin at 0. The leaves of an innermost loop come one after the other, each as a run
  /// where it can. `outer`: values of the context's variables.
  Status visit(std::span<const int64_t> outer, const LeafAction &action) const;

  struct Node;

private:
  std::unique_ptr<Node> root;
  size_t slots = 0;
  std::string file;
};

/// Fails where a bit of one of the fields is stored twice or nowhere.
class Ownership {
public:
  Ownership(const Format &format, const std::string &file, int64_t N, int64_t K)
      : format(format), file(file), N(N), K(K) {}
  Status add(const BitRun &run);
  /// Fails at `place`, or where the field is declared.
  Status finish(const Field &field, std::optional<Position> place) const;
  /// Fails at `place` where a whole block is missing.
  Status finishBlocks(Position place) const;

private:
  /// The bits of each cell that were stored: `narrow` for fields of at most 8 bits.
  struct Owned {
    std::vector<uint8_t> narrow;
    std::vector<uint64_t> wide;
  };
  Status addBlock(const BitRun &run);
  template <typename Mask> Status add(const BitRun &run, std::vector<Mask> &masks);
  template <typename Mask> Status finish(const Field &field, Position place, const std::vector<Mask> &masks) const;

  const Format &format;
  const std::string &file;
  int64_t N, K;
  std::map<unsigned, Owned> owned; ///< by the field's index
  std::vector<bool> blocks;        ///< those that were stored whole
};

/// Cells of a field where a layout names them, array elements included.
int64_t layoutCells(const LayoutContext &context, const Field &field);

} // namespace quantc
