//===- KernelStorage.h - how kernels want the bits of a weight --------------------------------------------------===//
//
// A rule of the target, applied to a format, gives the block of kernel storage (docs/Architecture.md, "Kernel
// storage"): 16 rows x C columns, laid out so that the 16 rows are the lanes of a vector of dwords. Repack.h writes
// such blocks, code emitters read them; both take every offset from here.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Format/Format.h"

namespace quantc {

/// What a family of targets wants: `storage` in targets/*.json.
struct StorageRule {
  unsigned rows = 16;        ///< rows of a block: the lanes of a vector; 8, 16, 32 or 64
  unsigned laneBits = 32;    ///< bits of a lane; 32
  unsigned maxColumns = 256; ///< no block is wider; a multiple of 32 up to 1024
  bool operator==(const StorageRule &) const = default;

  unsigned cellsPerLane() const { return laneBits / 8; }
  unsigned lineBytes() const { return rows * laneBits / 8; }
};

/// How the cells of an item make vectors.
enum class CellOrder {
  /// Vector v is cell v of each row. width >= 8: `rows` consecutive little-endian numbers of `width` bits, row r the
  /// r-th.
  /// Below 8: B = rows * width / 8 bytes, of which byte r % B has row r in bits [width * (r / B), width * (r / B) +
  /// width).
  Rows,
  /// Vector v is four cells of each row, 4v .. 4v + 3, in a line of 64 bytes: byte 4r + j belongs to cell 4v + j of row
  /// r, and
  /// has the plane in bits [shift, shift + width). (4: laneBits / 8, 64: rows * laneBits / 8.)
  Quads,
};

/// Where one vector of a plane lies.
struct StorageSlot {
  unsigned offset; ///< bytes from the start of the block (head), or of the segment (codes)
  unsigned shift;  ///< Quads: the lowest bit of the vector in each byte of the line. Rows: 0
};

/// Bits [low, low + width) of each cell of an item; width is a power of two, up to 8 in Quads and up to 32 in Rows.
struct StoragePlane {
  unsigned low, width;
  std::vector<StorageSlot> slots; ///< one for each vector of the head, or of a segment
};

/// A stored field.
struct StorageItem {
  const Field *field; ///< of KernelStorage::format()
  ExprPtr factor;     ///< not null: the field holds this expression of the source format, evaluated by the repack
  unsigned run;       ///< consecutive columns that share a cell; divides columns()
  unsigned cells;     ///< of a row of a block: columns() / run * array; cell = column / run * array + element
  CellOrder order;
  bool inSegments;                  ///< false: in the head
  std::vector<StoragePlane> planes; ///< from the low bits up
  /// Vectors of the head, or of one segment.
  unsigned vectors() const { return static_cast<unsigned>(planes.front().slots.size()); }
};

class KernelStorage {
public:
  /// Fails with "<format> has no kernel storage: <why>" where many rows share an array (trellis codes, codebooks of a
  /// tensor) or no block holds whole groups.
  static Result<KernelStorage> derive(std::shared_ptr<const Format> source, const StorageRule &rule = {});

  const StorageRule &rule() const { return storageRule; }
  /// The format that is repacked.
  const std::shared_ptr<const Format> &source() const { return sourceFormat; }
  /// The format that is stored, for kernels and for `Factoring`: the same values, but evaluated factors are f32 fields
  /// of their own. It is `source()` where nothing is evaluated. Its fields begin with those of `source()`.
  const std::shared_ptr<const Format> &format() const { return storedFormat; }

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

  /// In the order of the fields; exactly the fields that format()->value() reads.
  const std::vector<StorageItem> &items() const { return storedItems; }
  /// The item of a field, or null.
  const StorageItem *find(std::string_view field) const;

  /// Vector v of a plane within the block (v counts on through the segments): offset from the start of the block.
  StorageSlot locate(const StorageItem &item, const StoragePlane &plane, unsigned v) const;
  /// The lowest bit of a plane of one cell of one row, as a bit address within the block (bit 0 of byte 0 first): the
  /// definition of the layout, one weight at a time. Above bit 8 the plane goes on in the next byte.
  unsigned bitAddress(const StorageItem &item, const StoragePlane &plane, unsigned row, unsigned cell) const;

  /// Blocks of a weight N x K, row-major [rowTiles][columnTiles]; rows and columns beyond the weight are zero bits.
  int64_t rowTiles(int64_t N) const { return (N + rows() - 1) / rows(); }
  int64_t columnTiles(int64_t K) const { return (K + columns() - 1) / columns(); }
  /// Bytes of a weight; extents are at most 2^31.
  int64_t bytes(int64_t N, int64_t K) const { return rowTiles(N) * columnTiles(K) * bytes(); }
  /// Fails where the rows of a weight N x K are no whole number of flat runs.
  Status checkShape(int64_t N, int64_t K) const;

  /// The layout for a person: a line for each range of bytes, in storage order.
  std::string text() const;

private:
  KernelStorage() = default;
  void placeItems();

  StorageRule storageRule;
  std::shared_ptr<const Format> sourceFormat, storedFormat;
  unsigned blockColumns = 0, head = 0, segmentCount = 1, segmentSize = 0;
  std::vector<StorageItem> storedItems;
};

} // namespace quantc
