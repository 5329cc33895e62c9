//===- BulkCopiesTest.cpp - mbarriers and bulk copies in the emulator, against plain expectations -----------------===//
//
// A block brings two tiles of a matrix to shared memory, one after the other and to the same place, and writes what it
// finds there. Then each rule that hardware has is broken, and must be told.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "emulator/Emulator.h"
#include "emulator/TensorMap.h"
#include "llvm/AsmParser/Parser.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/SourceMgr.h"
#include <fmt/format.h>
#include <gmock/gmock.h>

using namespace quantc;
using testing::HasSubstr;

namespace {

constexpr unsigned threads = 64;

struct Case {
  uint32_t tileColumns = 64, tileRows = 16, swizzle = 128; ///< numbers of 16 bits
  int columns = 128, rows = 24;                            ///< of the matrix
  int column = 64, row = 16;                               ///< where the second tile begins; the first at 0, 0
  bool plain = false;                                      ///< bytes side by side, without a tensor map
  int expected = 0;                                        ///< bytes more than come
  unsigned parity = 0;                                     ///< exclusive or with that of the first wait
  bool fence = true, barrier = true;                       ///< behind the initialization
  bool wait = true, release = true;                        ///< before reading; a barrier before the second copy
  bool repeat = false;                                     ///< the second copy at once, to the same place

  size_t bytes() const { return size_t(tileColumns) * tileRows * 2; }
  /// The number at a place of shared memory: row and column in the tile.
  std::pair<unsigned, unsigned> at(size_t byte) const {
    if (swizzle)
      byte ^= (byte / 128 % (swizzle / 16)) * 16;
    return {static_cast<unsigned>(byte / (tileColumns * 2)), static_cast<unsigned>(byte / 2 % tileColumns)};
  }
};

std::string kernelOf(const Case &c) {
  auto wait = [](unsigned parity) {
    return R"(  call void asm sideeffect "{\0A\09.reg .pred       P1; \0A\09LAB_WAIT: \0A\09)"
           R"(mbarrier.try_wait.parity.shared.b64 P1, [$0], $1, $2; \0A\09@P1 bra.uni DONE; \0A\09)"
           R"(bra.uni     LAB_WAIT; \0A\09DONE: \0A\09}", "r,r,r"(ptr addrspace(3) %bar, i32 )" +
           std::to_string(parity) + ", i32 1000)\n";
  };
  unsigned copies = 0;
  auto copy = [&](int column, int row) {
    const unsigned name = copies++;
    const std::string from = fmt::format("  %from{0} = getelementptr i8, ptr addrspace(1) %x, i32 {1}\n", name,
                                         (row * c.columns + column) * 2);
    return fmt::format("  %t{0} = call i64 @llvm.nvvm.mbarrier.arrive.expect.tx.scope.cta.space.cta(ptr addrspace(3) "
                       "%bar, i32 {1})\n",
                       name, static_cast<int64_t>(c.bytes()) + c.expected) +
           (c.plain
                ? from + fmt::format("  call void @llvm.nvvm.cp.async.bulk.global.to.shared.cluster(ptr addrspace(7) "
                                     "%to, ptr addrspace(3) %bar, ptr addrspace(1) %from{}, i32 {}, i16 0, i64 0, i1 "
                                     "false, i1 false)\n",
                                     name, c.bytes())
                : fmt::format("  call void @llvm.nvvm.cp.async.bulk.tensor.g2s.tile.2d(ptr addrspace(7) %to, ptr "
                              "addrspace(3) %bar, ptr %map, i32 {}, i32 {}, i16 0, i64 0, i1 false, i1 false, i32 0)\n",
                              column, row));
  };
  std::string text = fmt::format(R"(
@shared = external addrspace(3) global [0 x i8], align 1024
define void @k(ptr %map, ptr addrspace(1) %x, ptr addrspace(1) %y) {{
  %thread = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %first = icmp eq i32 %thread, 0
  %bar = getelementptr i8, ptr addrspace(3) @shared, i32 {}
  %to = addrspacecast ptr addrspace(3) @shared to ptr addrspace(7)
  br i1 %first, label %init, label %ready
init:
  call void @llvm.nvvm.mbarrier.init.shared(ptr addrspace(3) %bar, i32 1)
)",
                                 c.bytes());
  if (c.fence)
    text += "  call void @llvm.nvvm.fence.mbarrier_init.release.cluster()\n";
  text += "  br label %ready\nready:\n";
  const std::string barrier = "  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)\n";
  if (c.barrier)
    text += barrier;
  text += "  br i1 %first, label %copy0, label %wait0\ncopy0:\n" + copy(0, 0);
  if (c.repeat)
    text += copy(c.column, c.row);
  text += "  br label %wait0\nwait0:\n";
  auto read = [&](unsigned tile) { // each thread a part of the tile, word by word
    for (size_t i = 0; i < c.bytes() / 4 / threads; i++)
      text += fmt::format("  %o{0}_{1} = add i32 %at{0}, {2}\n"
                          "  %s{0}_{1} = getelementptr i8, ptr addrspace(3) @shared, i32 %o{0}_{1}\n"
                          "  %v{0}_{1} = load i32, ptr addrspace(3) %s{0}_{1}\n"
                          "  %p{0}_{1} = add i32 %o{0}_{1}, {3}\n"
                          "  %y{0}_{1} = getelementptr i8, ptr addrspace(1) %y, i32 %p{0}_{1}\n"
                          "  store i32 %v{0}_{1}, ptr addrspace(1) %y{0}_{1}\n",
                          tile, i, i * 4 * threads, tile * c.bytes());
  };
  text += "  %at0 = mul i32 %thread, 4\n  %at1 = mul i32 %thread, 4\n";
  if (c.wait)
    text += wait(c.parity);
  read(0);
  if (c.release)
    text += barrier;
  text += "  br i1 %first, label %copy1, label %wait1\ncopy1:\n" + copy(c.column, c.row) +
          "  br label %wait1\nwait1:\n" + wait(1);
  read(1);
  return text + R"(  ret void
}
declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()
declare void @llvm.nvvm.barrier.cta.sync.aligned.all(i32)
declare void @llvm.nvvm.mbarrier.init.shared(ptr addrspace(3), i32)
declare void @llvm.nvvm.fence.mbarrier_init.release.cluster()
declare i64 @llvm.nvvm.mbarrier.arrive.expect.tx.scope.cta.space.cta(ptr addrspace(3), i32)
declare void @llvm.nvvm.cp.async.bulk.global.to.shared.cluster(ptr addrspace(7), ptr addrspace(3), ptr addrspace(1), i32, i16, i64, i1, i1)
declare void @llvm.nvvm.cp.async.bulk.tensor.g2s.tile.2d(ptr addrspace(7), ptr addrspace(3), ptr, i32, i32, i16, i64, i1 immarg, i1 immarg, i32 immarg)
)";
}

/// "right", "wrong", or the emulator's error.
std::string run(const Case &c, uint64_t seed) {
  auto context = std::make_unique<llvm::LLVMContext>();
  llvm::SMDiagnostic diagnostic;
  auto module = llvm::parseAssemblyString(kernelOf(c), diagnostic, *context);
  if (!module)
    return fmt::format("line {}: {}", diagnostic.getLineNo(), diagnostic.getMessage().str());
  auto code = emulator::Emulator::create(std::move(module), std::move(context));
  if (!code)
    return code.error().message;
  std::vector<uint16_t> memory(size_t(c.columns) * c.rows + 8), y(c.bytes());
  uint16_t *x = memory.data() + (16 - reinterpret_cast<uintptr_t>(memory.data()) % 16) % 16 / 2;
  auto number = [](int64_t row, int64_t column) { return static_cast<uint16_t>(row * 256 + column + 1); };
  for (int row = 0; row < c.rows; row++)
    for (int column = 0; column < c.columns; column++)
      x[row * c.columns + column] = number(row, column);
  emulator::TensorMap map{.tag = emulator::TensorMap::known,
                          .address = reinterpret_cast<uint64_t>(x),
                          .columns = static_cast<uint64_t>(c.columns),
                          .rows = static_cast<uint64_t>(c.rows),
                          .rowBytes = static_cast<uint64_t>(c.columns) * 2,
                          .tileColumns = c.tileColumns,
                          .tileRows = c.tileRows,
                          .elementBytes = 2,
                          .swizzleBytes = c.swizzle,
                          .unused = {}};
  const emulator::Buffer buffers[] = {{x, size_t(c.columns) * c.rows * 2}, {y.data(), y.size() * 2, true}};
  const int64_t arguments[] = {reinterpret_cast<int64_t>(&map), reinterpret_cast<int64_t>(x),
                               reinterpret_cast<int64_t>(y.data())};
  const emulator::Launch launch{.kernel = "k", .threads = threads, .sharedBytes = c.bytes() + 8, .seed = seed};
  if (Status status = code->launch(launch, arguments, buffers); !status)
    return status.error().message;
  for (unsigned tile = 0; tile < 2; tile++)
    for (size_t byte = 0; byte < c.bytes(); byte += 2) {
      auto [row, column] = c.at(byte);
      const int64_t r = row + (tile ? c.row : 0), k = column + (tile ? c.column : 0);
      const uint16_t expected = r < c.rows && k < c.columns ? number(r, k) : 0;
      if (y[(tile * c.bytes() + byte) / 2] != expected)
        return "wrong";
    }
  return "right";
}

std::string problemOf(const Case &c) {
  for (uint64_t seed = 1; seed <= 4; seed++)
    if (std::string found = run(c, seed); found != "right")
      return found;
  return "right";
}

TEST(BulkCopiesTest, Tiles) {
  EXPECT_EQ(problemOf({}), "right"); // 8 rows of the second are outside of the matrix
  EXPECT_EQ(problemOf({.tileColumns = 32, .swizzle = 64}), "right");
  EXPECT_EQ(problemOf({.tileColumns = 16, .tileRows = 32, .swizzle = 32}), "right");
  EXPECT_EQ(problemOf({.tileColumns = 64, .swizzle = 0}), "right");
  EXPECT_EQ(problemOf({.tileColumns = 64, .columns = 72}), "right"); // and columns
  EXPECT_EQ(problemOf({.swizzle = 0, .columns = 64, .rows = 33, .column = 0, .row = 16, .plain = true}), "right")
      << "bytes side by side";
}

TEST(BulkCopiesTest, BrokenRulesAreErrors) {
  EXPECT_THAT(problemOf({.expected = 16}), HasSubstr("wait for a phase of an mbarrier that never ends"));
  EXPECT_THAT(problemOf({.expected = -16}),
              testing::AnyOf(HasSubstr("to which a copy is under way"), HasSubstr("never ends"), HasSubstr("wrong")));
  EXPECT_THAT(problemOf({.parity = 1}),
              testing::AnyOf(HasSubstr("to which a copy is under way"), HasSubstr("wrong"), HasSubstr("never ends")));
  EXPECT_THAT(problemOf({.wait = false}),
              testing::AnyOf(HasSubstr("to which a copy is under way"), HasSubstr("wrong")));
  EXPECT_THAT(problemOf({.fence = false}), HasSubstr("completes the mbarrier at"));
  EXPECT_THAT(problemOf({.barrier = false}), testing::AnyOf(HasSubstr("there is no mbarrier"), HasSubstr("race")));
  EXPECT_THAT(problemOf({.release = false}),
              testing::AnyOf(HasSubstr("to which a copy is under way"), HasSubstr("wrong")));
  EXPECT_THAT(problemOf({.repeat = true}),
              testing::AnyOf(HasSubstr("more than 1 arrivals"), HasSubstr("to which a copy is under way")));
}

TEST(BulkCopiesTest, MapsAreChecked) {
  emulator::TensorMap map{.tag = emulator::TensorMap::known,
                          .address = 4096,
                          .columns = 64,
                          .rows = 8,
                          .rowBytes = 128,
                          .tileColumns = 64,
                          .tileRows = 8,
                          .elementBytes = 2,
                          .swizzleBytes = 128,
                          .unused = {}};
  EXPECT_TRUE(check(map));
  auto with = [&](auto change) {
    emulator::TensorMap other = map;
    change(other);
    Status status = check(other);
    return status ? std::string("accepted") : status.error().message;
  };
  EXPECT_THAT(with([](auto &m) { m.tag = 0; }), HasSubstr("no tensor map"));
  EXPECT_THAT(with([](auto &m) { m.address = 8; }), HasSubstr("multiples of 16"));
  EXPECT_THAT(with([](auto &m) { m.rowBytes = 120; }), HasSubstr("multiples of 16"));
  EXPECT_THAT(with([](auto &m) { m.tileRows = 257; }), HasSubstr("1 to 256"));
  EXPECT_THAT(with([](auto &m) { m.swizzleBytes = 64; }), HasSubstr("at most the 64 of its swizzling"));
}

} // namespace
