//===- KernelStorage.cpp - from a rule and a format to offsets --------------------------------------------------===//

#include "quantc/Format/KernelStorage.h"
#include "quantc/Format/Factoring.h"
#include <algorithm>
#include <limits>
#include <map>
#include <numeric>

namespace quantc {
namespace {

//===------------------------------------------------------------------------------------------------------------===//
// What is stored
//===------------------------------------------------------------------------------------------------------------===//

/// Subexpressions are evaluated ahead only where they are constant over this many columns: an f32 for each run.
constexpr unsigned kLeastFactorRun = 16;

/// The fields and the evaluated factors that `value` is computed from.
class Selection {
public:
  Selection(const Format &format, const StorageRule &rule) : format(format), rule(rule) {}
  std::vector<StorageItem> items;
  unsigned leastColumns = 0; ///< the least common multiple of what a block must hold

  Status select() {
    QUANTC_TRY(visit(format.value()));
    // Fields in the order of their declarations, then factors.
    std::vector<StorageItem> ordered;
    for (const Field &f : format.fields())
      for (StorageItem &item : items)
        if (item.field == &f)
          ordered.push_back(item);
    for (StorageItem &item : items)
      if (item.factor)
        ordered.push_back(item);
    items = std::move(ordered);
    return {};
  }
};

//===------------------------------------------------------------------------------------------------------------===//
// Where it lies
//===------------------------------------------------------------------------------------------------------------===//

/// Powers of two from `widest` down that sum up to `bits`: 6 = 4 + 2, 11 = 8 + 2 + 1.
std::vector<StoragePlane> planesOf(unsigned bits, unsigned widest) {
  std::vector<StoragePlane> planes;
  for (unsigned low = 0, width = widest; low < bits; low += width) {
    while (width > bits - low)
      width /= 2;
    planes.push_back({low, width, {}});
  }
  return planes;
}

/// Bytes of one vector of a plane of rows.
unsigned vectorBytes(const StorageRule &rule, const StoragePlane &plane) { return rule.rows * plane.width / 8; }

/// Gives a place to every vector of `items`, of which `parts` equal parts make up a block, from byte `start` of a part on,
/// and returns the end. Rows come first, the widest numbers before others; then lines of quads, the widest planes first,
/// so that planes of several items share a line that one does not fill.
unsigned pack(const StorageRule &rule, const std::vector<StorageItem *> &items, unsigned parts) {
  unsigned end = 0;
  auto forPlanes = [&](CellOrder order, unsigned width, auto &&body) {
    for (StorageItem *item : items)
      for (StoragePlane &plane : item->planes)
        if (item->order == order && plane.width == width)
          body(plane, item->cells / parts);
  };
  for (unsigned width = 32; width > 0; width /= 2)
    forPlanes(CellOrder::Rows, width, [&](StoragePlane &plane, unsigned cells) {
      plane.slots.clear();
      for (unsigned v = 0; v < cells; ++v, end += vectorBytes(rule, plane))
        plane.slots.push_back({end, 0});
    });
  unsigned line = 0, used = 8; // bits of each byte of the current line
  for (unsigned width = 8; width > 0; width /= 2)
    forPlanes(CellOrder::Quads, width, [&](StoragePlane &plane, unsigned cells) {
      plane.slots.clear();
      for (unsigned v = 0; v < cells / rule.cellsPerLane(); ++v, used += width) {
        if (used == 8) {
          line = end;
          end += rule.lineBytes();
          used = 0;
        }
        plane.slots.push_back({line, used});
      }
    });
  return end;
}

void setOrder(StorageItem &item, CellOrder order) {
  item.order = order;
  item.planes = planesOf(item.bits, order == CellOrder::Rows ? 32 : 8);
}

