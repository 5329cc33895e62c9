//===- BulkCopies.cpp - mbarriers, and copies that complete them
//----------------------------------------------------===//

#include "BulkCopies.h"
#include <algorithm>
#include <cstring>

using namespace quantc;
using namespace quantc::emulator;

Status emulator::check(const TensorMap &map) {
  if (map.tag != TensorMap::known)
    return quantc::fail("is no tensor map that cuTensorMapEncodeTiled made");
  if (map.address % 16 || map.rowBytes % 16 || map.rowBytes < map.columns * map.elementBytes)
    return quantc::fail("a tensor map needs an address and distances of rows that are multiples of 16");
  if (map.tileColumns == 0 || map.tileRows == 0 || map.tileColumns > 256 || map.tileRows > 256)
    return quantc::fail("a tile of a tensor map has 1 to 256 columns and rows");
  const uint32_t row = map.tileColumns * map.elementBytes;
  if (row % 16 || (map.swizzleBytes && row > map.swizzleBytes))
    return quantc::fail("a row of a tile has {} bytes: a multiple of 16, and at most the {} of its swizzling", row,
                        map.swizzleBytes);
  return {};
}

//===- Barriers
//----------------------------------------------------------------------------------------------------===//

BulkCopies::Barrier &BulkCopies::find(size_t barrier) {
  auto found = barriers.find(barrier);
  if (found == barriers.end())
    block.fail(fmt::format("there is no mbarrier at byte {} of shared memory", barrier));
  return found->second;
}

void BulkCopies::init(size_t barrier, uint32_t arrivals) {
  if (barrier % 8 || arrivals == 0)
    block.fail("an mbarrier has 8 aligned bytes and at least one arrival");
  if (barriers.contains(barrier))
    block.fail(fmt::format("the mbarrier at byte {} is initialized again", barrier));
  barriers[barrier] = {.arrivals = arrivals, .left = arrivals};
}

void BulkCopies::invalidate(size_t barrier) {
  (void)find(barrier);
  barriers.erase(barrier);
}

void BulkCopies::advance(Barrier &barrier) {
  if (barrier.left || barrier.bytes)
    return;
  barrier.parity ^= 1;
  barrier.left = barrier.arrivals;
}

void BulkCopies::arrive(size_t barrier, uint32_t count, uint32_t bytes) {
  Barrier &here = find(barrier);
  if (count > here.left)
    block.fail(fmt::format("the mbarrier at byte {} has more than {} arrivals in a phase", barrier, here.arrivals));
  here.bytes += bytes;
  here.left -= count;
  advance(here);
}

bool BulkCopies::hasEnded(size_t barrier, uint32_t parity) {
  const auto found = barriers.find(barrier);
  return found != barriers.end() && found->second.parity != (parity & 1);
}

//===- Copies
//------------------------------------------------------------------------------------------------------===//

void BulkCopies::issue(Row row) {
  (void)find(row.barrier);
  for (size_t to : row.to) {
    block.checkBulkWrite(to, pieceBytes);
    written[to / pieceBytes] = true;
  }
  underWay.push_back(std::move(row));
}

void BulkCopies::copy(size_t to, size_t barrier, const void *from, uint32_t bytes) {
  if (to % 16 || bytes % 16 || reinterpret_cast<uintptr_t>(from) % 16)
    block.fail("a bulk copy takes addresses and sizes that are multiples of 16");
  constexpr uint32_t most = 256;
  for (uint32_t first = 0; first < bytes; first += most) {
    Row row{.to = {}, .from = static_cast<const std::byte *>(from) + first, .bytes = 0, .barrier = barrier};
    row.bytes = std::min(most, bytes - first);
    for (uint32_t i = 0; i < row.bytes; i += pieceBytes)
      row.to.push_back(to + first + i);
    issue(std::move(row));
  }
}

void BulkCopies::copyTile(size_t to, size_t barrier, const TensorMap &map, int32_t column, int32_t row) {
  if (Status fits = check(map); !fits)
    block.fail(fits.error().message);
  if (to % 128)
    block.fail("a tile is copied to what is no multiple of 128 bytes");
  const uint32_t rowBytes = map.tileColumns * map.elementBytes, pieces = map.swizzleBytes / pieceBytes;
  for (uint32_t r = 0; r < map.tileRows; r++) {
    Row part{.to = {}, .from = nullptr, .bytes = 0, .barrier = barrier};
    for (uint32_t i = 0; i < rowBytes; i += pieceBytes) {
      size_t at = to + r * rowBytes + i; // 1024 bytes of shared memory are aligned
      if (pieces)
        at ^= (at >> 7 & (pieces - 1)) << 4;
      part.to.push_back(at);
    }
    const int64_t y = int64_t(row) + r, left = static_cast<int64_t>(map.columns) - column;
    if (column < 0)
      block.fail("tiles that begin before the first column are not emulated");
    if (y >= 0 && y < static_cast<int64_t>(map.rows) && left > 0) {
      part.from =
          reinterpret_cast<const std::byte *>(map.address) + y * map.rowBytes + column * map.elementBytes; // NOLINT
      part.bytes = static_cast<uint32_t>(std::min<int64_t>(rowBytes, left * map.elementBytes));
    }
    issue(std::move(part));
  }
}

void BulkCopies::land(const Row &row) {
  std::vector<std::byte> data(row.to.size() * pieceBytes);
  if (row.from) {
    block.checkGlobalRead(row.from, row.bytes);
    std::memcpy(data.data(), row.from, row.bytes);
  }
  for (size_t i = 0; i < row.to.size(); i++) {
    written[row.to[i] / pieceBytes] = false;
    block.writeAsync(row.to[i], data.data() + i * pieceBytes, pieceBytes);
  }
  block.requireFenced(row.barrier, 8, "a copy completes the mbarrier at");
  Barrier &barrier = find(row.barrier);
  barrier.bytes -= static_cast<int64_t>(data.size());
  advance(barrier);
}

bool BulkCopies::landSome(std::mt19937_64 &random, bool must) {
  if (underWay.empty() || (!must && random() % 16))
    return false;
  const size_t count = 1 + random() % underWay.size();
  for (size_t i = 0; i < count; i++) {
    const size_t which = random() % underWay.size();
    const Row row = std::move(underWay[which]);
    underWay.erase(underWay.begin() + static_cast<ptrdiff_t>(which));
    land(row);
  }
  return true;
}

bool BulkCopies::isWritten(size_t offset, size_t bytes) const {
  for (size_t piece = offset / pieceBytes; piece <= (offset + bytes - 1) / pieceBytes; piece++)
    if (written[piece])
      return true;
  return false;
}

std::string BulkCopies::leftOver() const {
  if (!underWay.empty())
    return "the block ends with bulk copies under way";
  for (const auto &[at, barrier] : barriers)
    if (barrier.bytes)
      return fmt::format("the mbarrier at byte {} expects {} bytes more than have come", at, barrier.bytes);
  return {};
}
