//===- Products.cpp - products of warp groups ---------------------------------------------------------------------===//

#include "Products.h"
#include "quantc/Format/Arithmetic.h"
#include <algorithm>
#include <bit>
#include <cstring>

using namespace quantc;
using namespace quantc::emulator;

static constexpr uint32_t mostProducts = 0x7ffe; // the one behind it is in poisoned memory
static constexpr unsigned warpsOfGroup = 4;

static bool contains(const std::vector<uint32_t> &words, uint32_t word) {
  return std::ranges::find(words, word) != words.end();
}

bool Products::Warp::isPending(uint32_t product) const {
  return std::ranges::any_of(pending, [&](const auto &group) { return contains(group, product); });
}

void Products::fence(unsigned warp, std::span<const Call> lanes) {
  for (unsigned lane = 0; lane < warpSize; lane++)
    for (unsigned i = 0; i < lanes[lane].count; i++) {
      warps[warp].fenced[lane].push_back(lanes[lane].operand<uint32_t>(i));
      lanes[lane].putWord(i, lanes[lane].operand<uint32_t>(i));
    }
}

void Products::issue(unsigned warp, const ProductShape &shape, std::span<const Call> lanes) {
  Warp &self = warps[warp];
  const unsigned sums = shape.tokens / 2, a = shape.accumulates ? sums : 0;
  Product product{.shape = shape, .a = {}, .descriptor = lanes[0].operand<uint64_t>(a + 4), .sums = {}, .before = 0};
  auto &group = groups[warp / warpsOfGroup];
  const std::pair<unsigned, uint64_t> what = {shape.tokens, product.descriptor};
  if (self.issued == group.size())
    group.push_back(what);
  if (group[self.issued++] != what)
    block.fail("warps of a group issue different products");
  for (unsigned lane = 0; lane < warpSize; lane++) {
    const Call &call = lanes[lane];
    auto mustBeFenced = [&](uint32_t word, const char *operand) {
      if (!contains(self.fenced[lane], word))
        block.fail(fmt::format("wgmma uses {} that no wgmma.fence has ordered", operand));
      return word;
    };
    if (call.operand<uint64_t>(a + 4) != product.descriptor)
      block.fail("lanes of a warp give wgmma different descriptors");
    for (unsigned i = 0; i < 4; i++)
      product.a[lane][i] = mustBeFenced(call.operand<uint32_t>(a + i), "codes");
    product.sums[lane].assign(sums, 0);
    for (unsigned i = 0; i < a; i++) {
      const auto word = call.operand<uint32_t>(i);
      const uint32_t before = word >> 7 & 0x7fff;
      if ((word & 0xffc00000) != 0xff800000 || !self.products.contains(before)) {
        product.sums[lane][i] = mustBeFenced(word, "sums");
      } else if (word != placeholder(before, i) || (lane + i != 0 && before != product.before) ||
                 self.products.at(before).continued) {
        block.fail("sums of a product under way have been moved");
      } else {
        product.before = before;
      }
    }
  }
  if (product.before)
    self.products.at(product.before).continued = true;
  last = last % mostProducts + 1;
  for (unsigned lane = 0; lane < warpSize; lane++)
    for (unsigned i = 0; i < sums; i++)
      lanes[lane].putWord(i, placeholder(last, i));
  self.products.insert_or_assign(last, std::move(product));
  self.pending.back().push_back(last);
}

void Products::commit(unsigned warp) {
  warps[warp].pending.emplace_back();
  warps[warp].fenced.assign(warpSize, {});
}

void Products::wait(unsigned warp, uint64_t left, std::span<const Call> lanes) {
  Warp &self = warps[warp];
  while (self.pending.size() > left + 1) {
    for (uint32_t id : self.pending.front())
      land(self, self.products.at(id));
    self.pending.erase(self.pending.begin());
  }
  std::erase_if(self.products, [&](const auto &entry) { return entry.second.taken && !self.isPending(entry.first); });
  std::vector<uint32_t> given;
  for (size_t lane = 0; lane < lanes.size(); lane++)
    for (unsigned i = 0; i < lanes[lane].count; i++) {
      auto word = lanes[lane].operand<uint32_t>(i);
      const auto product = self.products.find(word >> 7 & 0x7fff);
      const bool isOne = (word & 0xffc00000) == 0xff800000 && product != self.products.end();
      if (isOne && !product->second.continued && !self.isPending(product->first)) {
        given.push_back(product->first);
        word = product->second.sums[lane][word & 0x7f];
      }
      lanes[lane].putWord(i, word);
    }
  for (uint32_t id : given)
    self.products.erase(id);
}

void Products::landSome(unsigned warp, std::mt19937_64 &random) {
  Warp &self = warps[warp];
  for (const auto &group : self.pending)
    for (uint32_t id : group)
      if (random() % 16 == 0)
        land(self, self.products.at(id));
}

/// 64 x tokens x 16, of which a warp has 16 rows: lane 4g + q has of A what `mma` of 16 x 8 x 16 takes, of 8 tokens
/// each the sums of that.
void Products::land(Warp &warp, Product &product) {
  if (product.landed)
    return;
  product.landed = true;
  if (product.before) {
    Product &before = warp.products.at(product.before);
    land(warp, before);
    product.sums = before.sums;
    before.taken = true;
  }
  auto number = [&](uint32_t bits) {
    const auto half = static_cast<uint16_t>(bits);
    return product.shape.isBF16 ? fromBF16(half) : fromF16(half);
  };
  float a[16][16];
  for (unsigned lane = 0; lane < warpSize; lane++)
    for (unsigned i = 0; i < 4; i++)
      for (unsigned j = 0; j < 2; j++)
        a[lane / 4 + 8 * (i % 2)][2 * (lane % 4) + 8 * (i / 2) + j] = number(product.a[lane][i] >> 16 * j);
  for (unsigned token = 0; token < product.shape.tokens; token++) {
    float x[16];
    for (unsigned half = 0; half < 2; half++) {
      uint16_t chunk[8];
      std::memcpy(chunk, block.readAsync(placeOf(product.descriptor, token, 8 * half), sizeof(chunk)), sizeof(chunk));
      for (unsigned k = 0; k < 8; k++)
        x[8 * half + k] = number(chunk[k]);
    }
    for (unsigned row = 0; row < 16; row++) {
      uint32_t &word = product.sums[row % 8 * 4 + token % 8 / 2][token / 8 * 4 + row / 8 * 2 + token % 2];
      double sum = std::bit_cast<float>(word);
      for (unsigned k = 0; k < 16; k++)
        sum += double(a[row][k]) * x[k];
      word = std::bit_cast<uint32_t>(static_cast<float>(sum));
    }
  }
}

/// Descriptors have 18 bits of an address, in units of 16 bytes.
size_t Products::beginOf(uint64_t descriptor) const {
  constexpr uint64_t window = uint64_t(1) << 18;
  return (((descriptor & 0x3fff) << 4) - reinterpret_cast<uintptr_t>(block.sharedMemory())) % window;
}

/// The offset in shared memory of a number of B, which lies with its columns side by side: groups of 8 tokens, each
/// with rows of the swizzle's bytes, whose chunks of 16 bytes are exchanged by bits of the address from 128 on; without
/// swizzling of matrices of 8 tokens x 16 bytes.
size_t Products::placeOf(uint64_t descriptor, unsigned token, unsigned column) const {
  const size_t leading = (descriptor >> 16 & 0x3fff) << 4, stride = (descriptor >> 32 & 0x3fff) << 4;
  const auto mode = static_cast<unsigned>(descriptor >> 62);
  const size_t begin = (descriptor & 0x3fff) << 4, group = begin + token / 8 * stride;
  const uint64_t base = reinterpret_cast<uintptr_t>(block.sharedMemory());
  if (descriptor >> 49 & 7)
    block.fail("descriptors with a base offset are not emulated");
  size_t address;
  if (mode == 0) {
    address = group + column / 8 * leading + token % 8 * 16 + column % 8 * 2;
  } else {
    const size_t row = size_t(256) >> mode; // 128, 64, 32
    address = group + token % 8 * row + column * 2;
    address ^= (address >> 7 & (row / 16 - 1)) << 4;
  }
  return (address - base) % (size_t(1) << 18);
}

bool Products::isRead(size_t offset) const {
  for (const Warp &warp : warps)
    for (const auto &group : warp.pending)
      for (uint32_t id : group) {
        const Product &product = warp.products.at(id);
        const size_t begin = beginOf(product.descriptor) / 1024 * 1024;
        const size_t bytes = product.shape.tokens / 8 * ((product.descriptor >> 32 & 0x3fff) << 4);
        if (offset >= begin && offset < begin + bytes)
          return true;
      }
  return false;
}

std::string Products::leftOver() const {
  for (size_t i = 0; i < warps.size(); i++) {
    if (warps[i].issued != groups[i / warpsOfGroup].size())
      return "a warp has issued fewer products than others of its group";
    if (std::ranges::any_of(warps[i].pending, [](const auto &group) { return !group.empty(); }))
      return "a warp ends with products under way";
  }
  return {};
}
