//===- KernelStorage.h - how kernels want the bits of a weight --------------------------------------------------===//
//
// A rule of the target, applied to a format, gives the block of kernel storage (docs/Architecture.md, "Kernel storage"):
// 16 rows x C columns, laid out so that the 16 rows are the lanes of a vector of dwords. Repack.h writes such blocks, code
// emitters read them; both take every offset from here.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Format/Format.h"
#include "quantc/Support/Result.h"
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace quantc {

/// What a family of targets wants: `storage` in targets/*.json.
struct StorageRule {
  unsigned rows = 16;        ///< rows of a block: the lanes of a vector
  unsigned laneBits = 32;    ///< bits of a lane
  unsigned maxColumns = 256; ///< no block is wider
  bool operator==(const StorageRule &) const = default;
};

/// Where one vector of a plane lies.
struct StorageSlot {
  unsigned offset; ///< bytes from the start of the block (items of the head) or of the segment (codes)
  unsigned shift;  ///< Quads: the lowest bit of this vector in each byte of its line; Rows: 0
};

/// Bits [low, low + width) of each cell of an item.
struct StoragePlane {
  unsigned low, width;
  std::vector<StorageSlot> slots; ///< one for each vector of the head, or of a segment
};

/// How the cells of an item make vectors.
enum class CellOrder {
  /// One cell of each row. width >= 8: `rows` consecutive little-endian numbers of `width` bits, row r the r-th. Below 8:
  /// B = rows * width / 8 bytes; row r has bits [width * (r / B), width * (r / B) + width) of byte r % B.
  Rows,
  /// Four cells of each row (laneBits / 8), in a line of rows * laneBits / 8 = 64 bytes: byte 4 * r + j belongs to cell
  /// 4 * v + j of row r, of whose bits the plane has [shift, shift + width).
  Quads,
};

/// One thing that is stored: a field, or a subexpression of `value` evaluated when weights are repacked.
struct StorageItem {
  std::string name;              ///< the field's, or "f0", "f1" ... of an evaluated factor
  const Field *field = nullptr;  ///< null: an evaluated factor
  ExprPtr factor;                ///< null: a field. An f32 expression, the same node as in Format::value()
  unsigned bits;                 ///< of a cell
  unsigned run;                  ///< consecutive columns that share a cell; a divisor of columns()
  unsigned array;                ///< elements of the field's own array, 1 without
  unsigned cells;                ///< of a row of a block: columns() / run * array; cell = column / run * array + element
  CellOrder order;
  bool inSegments;               ///< codes; false: in the head
  std::vector<StoragePlane> planes; ///< from the low bits up
  /// Vectors of the head, or of one segment.
  unsigned vectors() const { return planes.front().slots.size(); }
};

class KernelStorage {
public:
  /// Fails with "<format> has no kernel storage: <why>" where an array is shared by many rows (trellis codes, codebooks
  /// of a tensor) or the scopes fit no block.
  static Result<KernelStorage> derive(const Format &format, const StorageRule &rule = {});

  const StorageRule &rule() const { return storageRule; }
  unsigned rows() const { return storageRule.rows; }
  unsigned columns() const { return blockColumns; }
  unsigned bytes() const { return head + segmentCount * segmentSize; }
  double bitsPerWeight() const { return 8.0 * bytes() / (rows() * columns()); }

  /// The head begins at byte 0; segment s begins at headBytes() + s * segmentBytes() and holds the codes of columns
  /// [s * segmentColumns(), (s + 1) * segmentColumns()). All segments have the same inner layout.
  unsigned headBytes() const { return head; }
  unsigned segments() const { return segmentCount; }
  unsigned segmentBytes() const { return segmentSize; }
  unsigned segmentColumns() const { return blockColumns / segmentCount; }

  const std::vector<StorageItem> &items() const { return storedItems; }
  /// The item of a field, or null.
  const StorageItem *find(std::string_view field) const;
  /// The item of an evaluated factor that is the same expression, or null.
  const StorageItem *find(const Expr &factor) const;

  /// Vector v of an item within the block (v counts through the segments): offset from the start of the block.
  StorageSlot locate(const StorageItem &item, const StoragePlane &plane, unsigned v) const;
  /// The lowest bit of a plane of one cell of one row, as a bit address within the block (bit 0 of byte 0 first). This is
  /// the definition of the layout, one weight at a time.
  unsigned bitAddress(const StorageItem &item, const StoragePlane &plane, unsigned row, unsigned cell) const;

  /// Blocks of a weight [N, K], row-major [ceil(N / rows)][ceil(K / columns)]; rows and columns beyond are zero bits.
  uint64_t rowTiles(uint64_t N) const { return (N + rows() - 1) / rows(); }
  uint64_t columnTiles(uint64_t K) const { return (K + columns() - 1) / columns(); }
  /// Bytes of a weight [N, K]; fails where they exceed 2^63.
  Result<uint64_t> bytes(uint64_t N, uint64_t K) const;

  /// The layout as lines for a person, in storage order.
  std::string text() const;

private:
  StorageRule storageRule;
  unsigned blockColumns = 0, head = 0, segmentCount = 1, segmentSize = 0;
  std::vector<StorageItem> storedItems;
};

} // namespace quantc
