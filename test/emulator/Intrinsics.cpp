//===- Intrinsics.cpp - what kernels call, by name ----------------------------------------------------------------===//

#include "Intrinsics.h"
#include "BulkCopies.h"
#include "Products.h"
#include "quantc/Format/Arithmetic.h"
#include <array>
#include <cmath>
#include <map>

using namespace quantc;
using namespace quantc::emulator;

//===- Inside a lane -------------------------------------------------------------------------------------------===//

template <unsigned table> static void lop3(Block &, const Call &call) {
  const auto a = call.operand<uint32_t>(0), b = call.operand<uint32_t>(1), c = call.operand<uint32_t>(2);
  uint32_t result = 0;
  for (unsigned i = 0; i < 8; i++)
    if (table >> i & 1)
      result |= (i & 4 ? a : ~a) & (i & 2 ? b : ~b) & (i & 1 ? c : ~c);
  call.put(result);
}

/// Bytes of {b, a}, chosen by the nibbles of the selector, whose highest bit replicates the sign.
static void prmt(Block &, const Call &call) {
  const uint64_t bytes = uint64_t(call.operand<uint32_t>(1)) << 32 | call.operand<uint32_t>(0);
  const auto selector = call.operand<uint32_t>(2);
  uint32_t result = 0;
  for (unsigned i = 0; i < 4; i++) {
    const uint32_t nibble = selector >> 4 * i & 15;
    auto byte = static_cast<uint32_t>(bytes >> 8 * (nibble & 7) & 255);
    if (nibble & 8)
      byte = byte & 128 ? 255 : 0;
    result |= byte << 8 * i;
  }
  call.put(result);
}

/// Asynchronous copies of as many bytes, all or some of them read.
template <unsigned bytes> static void copyAll(Block &block, const Call &call) {
  block.copyLater(call.operand<void *>(0), call.operand<const void *>(1), bytes, bytes);
}
template <unsigned bytes> static void copyCount(Block &block, const Call &call) {
  block.copyLater(call.operand<void *>(0), call.operand<const void *>(1), bytes, call.operand<uint32_t>(2));
}

//===- Of a warp -----------------------------------------------------------------------------------------------===//

/// Four matrices of 8 x 8 numbers of 16 bits: lane 8m + r has the address of row r of matrix m.
static void ldmatrix(Block &block, const Call &call) {
  block.access(call.operand<const void *>(0), 16, false);
  block.meet("ldmatrix", call, [](std::span<const Call> lanes) {
    std::array<std::array<uint32_t, 4>, warpSize> results;
    for (unsigned matrix = 0; matrix < 4; matrix++)
      for (unsigned lane = 0; lane < warpSize; lane++)
        __builtin_memcpy(&results[lane][matrix],
                         lanes[8 * matrix + lane / 4].operand<const std::byte *>(0) + lane % 4 * 4, 4);
    for (unsigned lane = 0; lane < warpSize; lane++)
      lanes[lane].put(results[lane]);
  });
}

/// 16 x 8 x 16. Lane 4g + q has of A: rows g, g + 8 at columns 2q, 2q + 1 and 8 more; of B: column g at those rows; of
/// C rows g, g + 8 at columns 2q, 2q + 1.
template <bool isBF16> static void mma(Block &block, const Call &call) {
  block.meet("mma", call, [](std::span<const Call> lanes) {
    auto pair = [&](unsigned lane, unsigned operand) -> std::array<float, 2> {
      const auto word = lanes[lane].operand<uint32_t>(operand);
      auto number = [](uint32_t bits) {
        return isBF16 ? fromBF16(static_cast<uint16_t>(bits)) : fromF16(static_cast<uint16_t>(bits));
      };
      return {number(word & 0xffff), number(word >> 16)};
    };
    float a[16][16], b[16][8];
    for (unsigned lane = 0; lane < warpSize; lane++) {
      const unsigned g = lane / 4, q = lane % 4;
      for (unsigned i = 0; i < 4; i++)
        for (unsigned j = 0; j < 2; j++)
          a[g + 8 * (i % 2)][2 * q + 8 * (i / 2) + j] = pair(lane, i)[j];
      for (unsigned i = 0; i < 2; i++)
        for (unsigned j = 0; j < 2; j++)
          b[2 * q + 8 * i + j][g] = pair(lane, 4 + i)[j];
    }
    for (unsigned lane = 0; lane < warpSize; lane++) {
      std::array<float, 4> sums;
      for (unsigned i = 0; i < 4; i++) {
        double sum = lanes[lane].operand<float>(6 + i);
        for (unsigned k = 0; k < 16; k++)
          sum += double(a[lane / 4 + 8 * (i / 2)][k]) * b[k][2 * (lane % 4) + i % 2];
        sums[i] = static_cast<float>(sum);
      }
      lanes[lane].put(sums);
    }
  });
}

/// Lane l gets the number of lane l ^ distance; with a flag, whether there is one.
static void shuffleXor(Block &block, const Call &call) {
  block.meet("shfl.bfly", call, [](std::span<const Call> lanes) {
    std::array<std::array<uint32_t, 2>, warpSize> results;
    for (unsigned lane = 0; lane < warpSize; lane++) {
      const uint32_t distance = lanes[lane].operand<uint32_t>(2);
      results[lane] = {lanes[(lane ^ distance) % warpSize].operand<uint32_t>(1), 1};
    }
    for (unsigned lane = 0; lane < warpSize; lane++)
      lanes[lane].put(results[lane]);
  });
}

//===- Of a warp group, each warp for itself
//------------------------------------------------------------------------===//

static void orderRegisters(Block &block, const Call &call) {
  block.meet("wgmma.fence", call,
             [&](std::span<const Call> lanes) { block.products().fence(block.thread() / warpSize, lanes); });
}

static void commitProducts(Block &block, const Call &call) {
  block.meet("wgmma.commit_group", call,
             [&](std::span<const Call>) { block.products().commit(block.thread() / warpSize); });
}

/// The number of groups that may stay under way is the text's; the operands are registers that pass it.
template <unsigned left> static void waitForProducts(Block &block, const Call &call) {
  block.meet("wgmma.wait_group", call,
             [&](std::span<const Call> lanes) { block.products().wait(block.thread() / warpSize, left, lanes); });
}

/// As an intrinsic, the number is its operand.
static void waitForGroups(Block &block, const Call &call) {
  block.meet("wgmma.wait_group", call, [&](std::span<const Call> lanes) {
    block.products().wait(block.thread() / warpSize, call.operand<uint64_t>(0), lanes.first(0));
  });
}

//===- Bulk copies and their barriers
//---------------------------------------------------------------------------------===//

static size_t barrierOf(Block &block, const Call &call, unsigned operand) {
  return block.offsetOf(call.operand<const void *>(operand));
}

static void initBarrier(Block &block, const Call &call) {
  const size_t barrier = barrierOf(block, call, 0);
  block.touchBarrier(barrier, true);
  block.bulkCopies().init(barrier, call.operand<uint32_t>(1));
}

/// With the bytes to expect as second operand.
template <bool expects> static void arrive(Block &block, const Call &call) {
  const size_t barrier = barrierOf(block, call, 0);
  block.touchBarrier(barrier, false);
  block.maybeYield();
  block.bulkCopies().arrive(barrier, 1, expects ? call.operand<uint32_t>(1) : 0);
  call.put(uint64_t(0)); // the phase's token, which no kernel uses
}

static void waitForPhase(Block &block, const Call &call) {
  block.waitForPhase(barrierOf(block, call, 0), call.operand<uint32_t>(1));
}

static void copyBulk(Block &block, const Call &call) {
  block.bulkCopies().copy(barrierOf(block, call, 0), barrierOf(block, call, 1), call.operand<const void *>(2),
                          call.operand<uint32_t>(3));
  block.maybeYield();
}

static void copyTile(Block &block, const Call &call) {
  block.bulkCopies().copyTile(barrierOf(block, call, 0), barrierOf(block, call, 1), *call.operand<const TensorMap *>(2),
                              call.operand<int32_t>(3), call.operand<int32_t>(4));
  block.maybeYield();
}

/// What nvvm.mbarrier.try_wait.parity becomes.
static constexpr std::string_view tryWait =
    "{\n\t.reg .pred       P1; \n\tLAB_WAIT: \n\tmbarrier.try_wait.parity.shared.b64 P1, [$0], $1, $2; \n\t@P1 bra.uni "
    "DONE; \n\tbra.uni     LAB_WAIT; \n\tDONE: \n\t}";

/// The product that the text of an instruction is, with the predicate "sums are added to" before it.
static Intrinsic findProduct(const std::string &text) {
  ProductShape shape;
  unsigned accumulates = 0;
  char type[5] = {};
  if (std::sscanf(
          text.c_str(),
          "{ .reg .pred p; setp.ne.b32 p, %u, 0; wgmma.mma_async.sync.aligned.m64n%uk16.f32.%4[bf16].", // NOLINT
          &accumulates, &shape.tokens, type) != 3 ||
      shape.tokens % 8 || shape.tokens == 0 || shape.tokens > 256 || !text.ends_with(", p, 1, 1, 0; }"))
    return {};
  shape.isBF16 = std::string_view(type) == "bf16";
  shape.accumulates = accumulates != 0;
  return [shape](Block &block, const Call &call) {
    block.meet("wgmma.mma_async", call,
               [&](std::span<const Call> lanes) { block.products().issue(block.thread() / warpSize, shape, lanes); });
    block.maybeYield();
  };
}

//===- All of them ---------------------------------------------------------------------------------------------===//

Intrinsic emulator::find(std::string_view name) {
  static const std::map<std::string_view, Intrinsic> all = {
      {"llvm.nvvm.read.ptx.sreg.tid.x", [](Block &b, const Call &c) { c.put(b.thread()); }},
      {"llvm.nvvm.read.ptx.sreg.ctaid.x", [](Block &b, const Call &c) { c.put(b.x()); }},
      {"llvm.nvvm.read.ptx.sreg.ctaid.y", [](Block &b, const Call &c) { c.put(b.y()); }},
      {"llvm.nvvm.barrier0", [](Block &b, const Call &) { b.barrier(); }},
      {"llvm.nvvm.barrier.cta.sync.aligned.all", [](Block &b, const Call &) { b.barrier(); }},
      {"llvm.nvvm.cp.async.cg.shared.global.16", copyAll<16>},
      {"llvm.nvvm.cp.async.cg.shared.global.16.s", copyCount<16>},
      {"llvm.nvvm.cp.async.ca.shared.global.8.s", copyCount<8>},
      {"llvm.nvvm.cp.async.ca.shared.global.4.s", copyCount<4>},
      {"llvm.nvvm.cp.async.commit.group", [](Block &b, const Call &) { b.commitGroup(); }},
      {"llvm.nvvm.cp.async.wait.group", [](Block &b, const Call &c) { b.waitGroups(c.operand<uint32_t>(0)); }},
      {"llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.b16.p3", ldmatrix},
      {"llvm.nvvm.mma.m16n8k16.row.col.f32.f32", mma<false>},
      {"llvm.nvvm.mma.m16n8k16.row.col.bf16", mma<true>},
      {"lop3.b32 $0, $1, $2, $3, 0xEA;", lop3<0xea>},
      {"lop3.b32 $0, $1, $2, $3, 0x6A;", lop3<0x6a>},
      {"llvm.nvvm.fence.proxy.async.shared_cta", [](Block &b, const Call &) { b.fenceProxy(); }},
      {"llvm.nvvm.fence.mbarrier_init.release.cluster", [](Block &b, const Call &) { b.fenceProxy(); }},
      {"llvm.nvvm.mbarrier.init.shared", initBarrier},
      {"llvm.nvvm.mbarrier.inval.shared",
       [](Block &b, const Call &c) { b.bulkCopies().invalidate(barrierOf(b, c, 0)); }},
      {"llvm.nvvm.mbarrier.arrive.shared", arrive<false>},
      {"llvm.nvvm.mbarrier.arrive.expect.tx.scope.cta.space.cta", arrive<true>},
      {tryWait, waitForPhase},
      {"llvm.nvvm.cp.async.bulk.global.to.shared.cluster", copyBulk},
      {"llvm.nvvm.cp.async.bulk.tensor.g2s.tile.2d", copyTile},
      {"griddepcontrol.wait;", [](Block &b, const Call &) { b.waitForLaunches(); }},
      {"griddepcontrol.launch_dependents;", [](Block &, const Call &) {}},
      {"wgmma.fence.sync.aligned;", orderRegisters},
      {"llvm.nvvm.wgmma.commit_group.sync.aligned", commitProducts},
      {"wgmma.wait_group.sync.aligned 0;", waitForProducts<0>},
      {"llvm.nvvm.wgmma.wait_group.sync.aligned", waitForGroups},
      {"llvm.nvvm.shfl.sync.bfly.f32", shuffleXor},
      {"llvm.nvvm.shfl.sync.bfly.f32p", shuffleXor},
      {"llvm.nvvm.shfl.sync.bfly.i32", shuffleXor},
      {"llvm.nvvm.shfl.sync.bfly.i32p", shuffleXor},
      {"llvm.nvvm.ex2.approx.f32", [](Block &, const Call &c) { c.put(std::exp2(c.operand<float>(0))); }},
      {"llvm.nvvm.sqrt.rn.f", [](Block &, const Call &c) { c.put(std::sqrt(c.operand<float>(0))); }},
      {"llvm.nvvm.prmt", prmt},
      {"prmt.b32 $0, $1, $2, $3;", prmt},
  };
  auto it = all.find(name);
  return it == all.end() ? findProduct(std::string(name)) : it->second;
}
