//===- Layout.h - where the bits of inline fields lie in a block ------------------------------------------------===//
#pragma once

#include "quantc/Format/Decode.h"

namespace quantc {

/// Bits [low, low + width) of one cell, or a constant, stored at a bit address (bit 0 of byte 0 first). `transform` is
/// applied to the whole cell when it is stored: + delta, - delta or ^ delta, modulo 2^width of the field.
struct BitMove {
  const Field *field = nullptr; ///< null: `constant` is written, and compared on reading
  int64_t cell = 0;
  unsigned low = 0, width = 0;
  int64_t address = 0;
  std::optional<Operator> transform;
  int64_t delta = 0;
  uint64_t constant = 0;
  Position position;
};

/// The same move for `count` cells: each step adds to the cell and to the address.
struct BitRun {
  BitMove first;
  int64_t count = 1, cellStep = 0, addressStep = 0;
  bool wholeBlock = false; ///< all bits of the block with the number `first.cell`, in a container
};

/// The cell's bits as they are stored, and back.
uint64_t transformed(const BitMove &move, uint64_t value);
uint64_t untransformed(const BitMove &move, uint64_t value);
/// `transformed` for a cell of `width` bits, whose field may be absent.
uint64_t applyTransform(const BitMove &move, uint64_t value, unsigned width);

inline uint64_t lowBits(unsigned width) {
  return width < 64 ? (uint64_t(1) << width) - 1 : ~uint64_t(0);
}

/// Bits [address, address + width) of storage, width <= 64.
uint64_t readBits(const std::byte *storage, int64_t address, unsigned width);
void writeBits(std::byte *storage, int64_t address, unsigned width, uint64_t value);

/// The layout of a format's block as a list of moves. Every bit of every inline field is stored exactly once.
class BlockLayout {
public:
  static Result<BlockLayout> create(const Format &format);
  const std::vector<BitMove> &moves() const { return list; }

  /// Reads blocks [0, count) at `storage` into blocks [first, first + count) of the fields, which hold zeros there.
  /// Constants (fields that the parameters leave out) are not compared.
  void read(const std::byte *storage, int64_t first, int64_t count, FieldValues &fields) const;
  /// The inverse; padding bits are written 0, constants too.
  void store(const FieldValues &fields, int64_t first, int64_t count, std::byte *storage) const;

private:
  explicit BlockLayout(const Format &format) : format(&format) {}
  void makeRuns();
  template <typename Body> void forRuns(int64_t first, int64_t count, Body body) const;
  const Format *format;
  std::vector<BitMove> list;
  std::vector<BitRun> runs; ///< the same, as few as can be
};

} // namespace quantc
