//===- Products.h - products of warp groups -----------------------------------------------------------------------===//
//
// `wgmma` of a block: operand A in registers, operand B in shared memory by a descriptor. A product lands at random
// between its issue and the wait for its group: then, not before, it reads shared memory. Until the wait its sums are
// placeholders: signaling NaNs that say which number of which product they stand for; arithmetic makes them quiet, and
// they stand for nothing any more.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "Block.h"
#include <array>
#include <map>

namespace quantc::emulator {

/// What the text of an instruction says.
struct ProductShape {
  unsigned tokens = 0;
  bool isBF16 = false;
  bool accumulates = false; ///< else the sums begin with zero
};

class Products {
public:
  Products(Block &block, unsigned warps) : block(block), warps(warps), groups((warps + 3) / 4) {}

  /// `wgmma.fence`: products of the warp may use these registers of its lanes, one call each.
  void fence(unsigned warp, std::span<const Call> lanes);
  /// Operands of a lane: sums, if it accumulates; four words of A; the descriptor of B. Gives placeholders.
  void issue(unsigned warp, const ProductShape &shape, std::span<const Call> lanes);
  void commit(unsigned warp);
  /// All but the last `left` groups have landed; their placeholders among the operands become numbers.
  void wait(unsigned warp, uint64_t left, std::span<const Call> lanes);
  /// Lets some products of a warp land.
  void landSome(unsigned warp, std::mt19937_64 &random);

  /// Whether a product that is not waited for reads this place, an offset in shared memory.
  bool isRead(size_t offset) const;
  /// What is wrong when all threads have ended, or nothing.
  std::string leftOver() const;

private:
  struct Product {
    ProductShape shape;
    std::array<std::array<uint32_t, 4>, warpSize> a;
    uint64_t descriptor;
    std::array<std::vector<uint32_t>, warpSize> sums; ///< before it has landed those that it adds to
    uint32_t before;                                  ///< whose sums it adds to; 0: none
    bool landed = false;
    bool continued = false, taken = false; ///< whether another adds to its sums; whether that has landed
  };
  struct Warp {
    std::map<uint32_t, Product> products;       ///< whose sums may still be asked for
    std::vector<std::vector<uint32_t>> pending; ///< by groups; the last is not committed yet
    std::vector<std::vector<uint32_t>> fenced;  ///< registers of each lane
    size_t issued = 0;
    Warp() : pending(1), fenced(warpSize) {}
    bool isPending(uint32_t product) const;
  };

  void land(Warp &warp, Product &product);
  size_t beginOf(uint64_t descriptor) const;
  size_t placeOf(uint64_t descriptor, unsigned token, unsigned column) const;
  static uint32_t placeholder(uint32_t product, unsigned i) { return 0xff800000 | product << 7 | i; }

  Block &block;
  std::vector<Warp> warps;
  std::vector<std::vector<std::pair<unsigned, uint64_t>>> groups; ///< what each group has issued: tokens, descriptor
  uint32_t last = 0;                                              ///< number of the last product
};

} // namespace quantc::emulator
