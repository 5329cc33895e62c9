//===- LayoutWalk.h - a layout as a loop nest that names bits in storage order ----------------------------------===//
#pragma once

#include "quantc/Format/Layout.h"
#include <functional>

namespace quantc {

/// What a layout is read with: a whole block (N, K = 0), or a weight N x K in a container.
struct LayoutContext {
  const Format &format;
  const std::string &file; ///< for errors
  int64_t N = 0, K = 0;
  unsigned wordBits = 0;   ///< width of a constant; 0: constants are not allowed
  std::map<std::string, int64_t> environment = {};
  std::vector<std::string> variables = {}; ///< loops around the layout: slots 0, 1 ...

  bool inContainer() const { return N > 0; }
};

/// Reports one cell's bits, a constant, or (field null, width 0 in `move`) a whole block with its number in `cell`.
using LeafAction = std::function<Status(const BitMove &move, bool wholeBlock)>;

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
  /// Visits every leaf in storage order; addresses begin at 0. `outer`: values of the context's variables.
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
  Ownership(const Format &format, const std::string &file, int64_t N, int64_t K) : format(format), file(file), N(N), K(K) {}
  Status add(const BitMove &move);
  Status finish(const Field &field, std::optional<Position> place) const;

private:
  const Format &format;
  const std::string &file;
  int64_t N, K;
  std::map<unsigned, std::vector<bool>> owned; ///< by field: cells x width
};

/// Cells of a field where a layout names them, array elements included.
int64_t layoutCells(const LayoutContext &context, const Field &field);

} // namespace quantc
