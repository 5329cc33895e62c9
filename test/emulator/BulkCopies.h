//===- BulkCopies.h - mbarriers, and copies that complete them
//------------------------------------------------------===//
//
// An mbarrier counts arrivals and bytes; its phase ends when all that were expected have come. Bulk copies land row by
// row, at random between their issue and the end of the phase that waits for them. What they write must not be read
// before they have landed, nor written or copied to while they have not.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "Block.h"
#include "TensorMap.h"
#include <map>

namespace quantc::emulator {

class BulkCopies {
public:
  BulkCopies(Block &block, size_t sharedBytes) : block(block), written(sharedBytes / pieceBytes + 1) {}

  /// Barriers are named by their offsets in shared memory.
  void init(size_t barrier, uint32_t arrivals);
  void invalidate(size_t barrier);
  /// Expects `bytes` more, then arrives `count` times.
  void arrive(size_t barrier, uint32_t count, uint32_t bytes);
  /// Whether the phase with this parity has ended.
  bool hasEnded(size_t barrier, uint32_t parity);

  /// `bytes` side by side.
  void copy(size_t to, size_t barrier, const void *from, uint32_t bytes);
  /// The tile of a matrix that begins at a column and a row, either of which may be negative.
  void copyTile(size_t to, size_t barrier, const TensorMap &map, int32_t column, int32_t row);

  /// Lets some rows land; one at least, if `must`. Says whether any did.
  bool landSome(std::mt19937_64 &random, bool must);
  /// Whether any has not landed.
  bool isBusy() const { return !underWay.empty(); }
  /// Whether one that has not writes there.
  bool isWritten(size_t offset, size_t bytes) const;
  /// What is wrong when all threads have ended, or nothing.
  std::string leftOver() const;

private:
  static constexpr size_t pieceBytes = 16;
  struct Barrier {
    uint32_t arrivals, left; ///< of a phase; of this one
    int64_t bytes = 0;       ///< expected and not there yet
    uint32_t parity = 0;     ///< of this phase
  };
  /// A part of a copy, in pieces of 16 bytes that lie where the swizzling has them.
  struct Row {
    std::vector<size_t> to;
    const void *from; ///< null: all zeros
    uint32_t bytes;   ///< to read; the rest are zeros
    size_t barrier;
  };
  Barrier &find(size_t barrier);
  void advance(Barrier &barrier);
  void issue(Row row);
  void land(const Row &row);

  Block &block;
  std::map<size_t, Barrier> barriers;
  std::vector<Row> underWay;
  std::vector<bool> written; ///< pieces of shared memory, by these
};

} // namespace quantc::emulator
