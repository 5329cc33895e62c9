//===- FragmentStorage.h - how matrix units want the bits of a weight -------------------------------------------===//
//
// The second map from the fields of a format to bits, beside KernelStorage.h: fields lie in planes of plain words, in
// the order in which the 32 lanes of a warp hold operand A of a 16 x 8 x 16 matrix instruction (docs/GPU.md,
// "Weights"). Which fields are stored, and what is evaluated ahead for kernels, is the choice of `KernelStorage`.
//
// Lane 4g + q of a warp holds, of each 16 columns, rows g and g + 8 at columns 2q, 2q + 1, 2q + 8 and 2q + 9: four
// pairs of neighbours, in the order of the instruction's registers.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Format/Decode.h"
#include "quantc/Format/KernelStorage.h"
#include <span>

namespace quantc {

/// Bits [low, low + width) of every cell of a stored field. A unit is what 16 rows have of it in `columns` columns.
struct FragmentPlane {
  const StorageItem *item;
  unsigned low, width; ///< width is a power of two, up to 32
  bool inLanes;        ///< a cell for each weight, in the lanes that need it; else cells by pairs of rows (g, g + 8)
  unsigned columns;    ///< of a unit: a multiple of 64
  unsigned cells;      ///< of a row of a unit, array elements included
  unsigned wordBits;   ///< 8, 16 or 32
  unsigned words;      ///< of a unit
  unsigned perLoad;    ///< words that a lane (a pair of rows) holds side by side

  unsigned pairsPerWord() const { return width < 32 ? 16 / width : 1; } ///< inLanes
  unsigned unitBytes() const { return words * wordBits / 8; }
};

/// The place of bits in a unit.
struct FragmentSlot {
  unsigned word, shift;
};

class FragmentStorage {
public:
  static constexpr unsigned rows = 16, stepColumns = 16, leastColumns = 64, lanes = 32;

  /// Fails with "<format> has no fragments: <why>".
  static Result<FragmentStorage> derive(std::shared_ptr<const KernelStorage> fields);

  /// The fields: which of them, and the format whose expressions read them.
  const KernelStorage &fields() const { return *source; }
  const std::vector<FragmentPlane> &planes() const { return list; }
  /// The least number of columns that a tile of a kernel can have: it begins at whole cells of every field.
  unsigned tileColumns() const { return tile; }
  /// Every weight has a multiple of so many columns in memory.
  unsigned columns() const { return whole; }
  /// The columns that a weight of K has in memory.
  int64_t paddedColumns(int64_t K) const { return (K + whole - 1) / whole * whole; }

  /// Where the pair `slot` (0 .. 3) of step `step` (16 columns of a unit) lies in the words of a lane, counted from its
  /// first; the second of the pair lies 16 bits (a word, if they have 32 bits) further on.
  static FragmentSlot slotOfPair(const FragmentPlane &plane, unsigned step, unsigned slot);
  /// The word of a unit that holds word `word` of a lane.
  static unsigned wordOfLane(const FragmentPlane &plane, unsigned lane, unsigned word);
  /// The lowest bit of a cell of a row (0 .. 15) of a unit.
  static FragmentSlot slotOf(const FragmentPlane &plane, unsigned row, unsigned cell);

  /// A weight is its planes one after the other, each [N / 16, rounded up][paddedColumns(K) / columns][words],
  /// little-endian, from multiples of 256 bytes on. Bits of rows beyond N and of columns beyond K are zeros.
  int64_t planeBytes(const FragmentPlane &plane, int64_t N, int64_t K) const;
  int64_t planeOffset(size_t plane, int64_t N, int64_t K) const;
  int64_t bytes(int64_t N, int64_t K) const { return planeOffset(list.size(), N, K); }
  double bitsPerWeight() const;
  /// Fails where the fields have no kernel storage, and where K is padded, but zero bits are no finite number: a
  /// product with zero would be none.
  Status checkShape(int64_t N, int64_t K) const;

  /// Writes all bytes of `packed` from fields of fields().source(), which may come out of any container.
  Status fromFields(const FieldValues &values, int64_t N, int64_t K, std::span<std::byte> packed,
                    unsigned threads = 0) const;
  /// The same from kernel storage, fields().bytes(N, K) of it: what processors read, in another order.
  Status fromBlocks(std::span<const std::byte> blocks, int64_t N, int64_t K, std::span<std::byte> packed,
                    unsigned threads = 0) const;

  /// The inverse: fields of fields().format(). Fields that its `value` does not read are zeros.
  Result<FieldValues> toFields(std::span<const std::byte> packed, int64_t N, int64_t K) const;

private:
  FragmentStorage() = default;
  template <typename Visit> void eachCell(int64_t first, int64_t count, int64_t N, int64_t K, Visit visit) const;
  void packRows(const FieldValues &stored, int64_t first, int64_t count, int64_t N, int64_t K,
                std::span<std::byte> packed) const;
  std::shared_ptr<const KernelStorage> source;
  std::vector<FragmentPlane> list;
  unsigned tile = leastColumns, whole = leastColumns;
};

} // namespace quantc
