//===- EmulatorTest.cpp - warp groups in the emulator, against plain expectations ---------------------------------===//
//
// One warp group multiplies 64 x 16 weights with N tokens: B is written to shared memory as its descriptor has it, A
// and the sums are computed here. Then each rule that hardware has is broken, and must be told.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "emulator/Emulator.h"
#include "quantc/Format/Arithmetic.h"
#include "llvm/AsmParser/Parser.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/SourceMgr.h"
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>

using namespace quantc;
using testing::HasSubstr;

namespace {

/// A kernel of one warp group, as text: 16 numbers of operand A and of B for each product, in f16.
struct Case {
  unsigned tokens = 16, products = 2;
  unsigned swizzle = 1;         ///< of the descriptor: 0 none, 1 128 bytes, 2 64, 3 32
  unsigned wrongSwizzle = 0;    ///< exclusive or with it in the descriptor
  bool proxyFence = true;       ///< behind the stores to shared memory
  bool barrier = true;          ///< behind that
  bool registerFence = true;    ///< before products
  bool wait = true;             ///< before sums are used
  bool overwrite = false;       ///< B, before the wait
  bool touch = false;           ///< a sum, before the wait
  bool endsEarly = false;       ///< the last warp leaves out the last product
  bool otherDescriptor = false; ///< of the last warp
};

/// The byte in a tile of tokens x 64 columns where a number lies. Tiles of a swizzle of b bytes have b / 2 columns.
size_t placeOf(const Case &c, unsigned token, unsigned column) {
  if (c.swizzle == 0) // matrices of 8 tokens x 16 bytes; those of the next columns behind those of the next tokens
    return column / 8 * c.tokens * 16 + token * 16 + column % 8 * 2;
  const size_t row = size_t(256) >> c.swizzle, address = token * row + column % (row / 2) * 2;
  const size_t chunk = address / 16 % (row / 16) ^ (address / 128 % (row / 16));
  return column / (row / 2) * c.tokens * row + address / row * row + chunk * 16 + address % 16;
}

/// Of B in shared memory, whole rounds of copies by all threads.
unsigned bytesOf(const Case &c) {
  const auto end = static_cast<unsigned>(placeOf(c, c.tokens - 1, 16 * c.products - 1));
  return (end / 2048 + 1) * 2048;
}

std::string kernelOf(const Case &c) {
  std::string text = R"(
@shared = external addrspace(3) global [0 x i8], align 1024
define void @k(ptr addrspace(1) %a, ptr addrspace(1) %b, ptr addrspace(1) %y) {
  %thread = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
)";
  unsigned next = 0;
  auto value = [&](const std::string &code) {
    text += fmt::format("  %v{} = {}\n", next, code);
    return fmt::format("%v{}", next++);
  };
  auto line = [&](const std::string &code) { text += "  " + code + "\n"; };
  const unsigned bytes = bytesOf(c);
  // Each thread copies every 128th chunk of 16 bytes of B.
  auto copy = [&] {
    for (unsigned first = 0; first < bytes; first += 128 * 16) {
      const std::string at = value("mul i32 %thread, 16");
      const std::string offset = value(fmt::format("add i32 {}, {}", at, first));
      const std::string from = value(fmt::format("getelementptr i8, ptr addrspace(1) %b, i32 {}", offset));
      const std::string to = value(fmt::format("getelementptr i8, ptr addrspace(3) @shared, i32 {}", offset));
      const std::string word = value(fmt::format("load <4 x i32>, ptr addrspace(1) {}, align 16", from));
      line(fmt::format("store <4 x i32> {}, ptr addrspace(3) {}, align 16", word, to));
    }
  };
  copy();
  if (c.proxyFence)
    line("call void @llvm.nvvm.fence.proxy.async.shared_cta()");
  if (c.barrier)
    line("call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)");
  const size_t row = c.swizzle ? size_t(256) >> c.swizzle : 16;
  const uint64_t stride = 8 * row, leading = c.tokens * 16;
  const uint64_t fixed = uint64_t(c.swizzle ^ c.wrongSwizzle) << 62 | stride / 16 << 32 | leading / 16 << 16;
  const std::string base = value("ptrtoint ptr addrspace(3) @shared to i64");
  std::vector<std::string> sums;
  const std::string last = value("icmp uge i32 %thread, 96");
  for (unsigned p = 0; p < c.products; p++) {
    std::vector<std::string> words;
    for (unsigned i = 0; i < 4; i++) {
      const std::string at = value(fmt::format("mul i32 %thread, {}", 4 * c.products));
      const std::string offset = value(fmt::format("add i32 {}, {}", at, 4 * p + i));
      const std::string from = value(fmt::format("getelementptr i32, ptr addrspace(1) %a, i32 {}", offset));
      words.push_back(value(fmt::format("load i32, ptr addrspace(1) {}, align 4", from)));
    }
    if (c.registerFence) {
      const std::string fenced = value(fmt::format(
          "call {{i32, i32, i32, i32}} asm sideeffect \"wgmma.fence.sync.aligned;\", \"=r,=r,=r,=r,0,1,2,3\"(i32 {})",
          fmt::join(words, ", i32 ")));
      for (unsigned i = 0; i < 4; i++)
        words[i] = value(fmt::format("extractvalue {{i32, i32, i32, i32}} {}, {}", fenced, i));
    }
    const std::string address = value(fmt::format("add i64 {}, {}", base, placeOf(c, 0, 16 * p)));
    const std::string field = value(fmt::format("and i64 {}, 262143", address));
    const std::string units = value(fmt::format("lshr i64 {}, 4", field));
    std::string descriptor = value(fmt::format("or i64 {}, {}", units, static_cast<int64_t>(fixed)));
    if (c.otherDescriptor) {
      const std::string other = value(fmt::format("add i64 {}, 2", descriptor));
      descriptor = value(fmt::format("select i1 {}, i64 {}, i64 {}", last, other, descriptor));
    }
    if (c.endsEarly && p + 1 == c.products) {
      line(fmt::format("br i1 {}, label %end, label %go\ngo:", last));
    }
    std::vector<std::string> outs, ties, arguments, types(c.tokens / 2, "float");
    for (unsigned i = 0; i < c.tokens / 2; i++) {
      outs.push_back("=f");
      if (p) {
        ties.push_back(std::to_string(i) + ",");
        arguments.push_back("float " + sums[i]);
      }
    }
    for (const std::string &word : words)
      arguments.push_back("i32 " + word);
    arguments.push_back("i64 " + descriptor);
    const std::string type = fmt::format("{{{}}}", fmt::join(types, ", "));
    const std::string product = value(fmt::format("call {} asm sideeffect \"{{ .reg .pred p; setp.ne.b32 p, {}, 0; "
                                                  "wgmma.mma_async.sync.aligned.m64n{}k16.f32.f16."
                                                  "f16 {{...}}, p, 1, 1, 0; }}\", \"{},{}r,r,r,r,l\"({})",
                                                  type, p ? 1 : 0, c.tokens, fmt::join(outs, ","), fmt::join(ties, ""),
                                                  fmt::join(arguments, ", ")));
    sums.clear();
    for (unsigned i = 0; i < c.tokens / 2; i++)
      sums.push_back(value(fmt::format("extractvalue {} {}, {}", type, product, i)));
    line("call void @llvm.nvvm.wgmma.commit_group.sync.aligned()");
  }
  if (c.overwrite)
    copy();
  if (c.touch)
    sums[3] = value(fmt::format("fadd float {}, 1.0", sums[3]));
  if (c.wait) {
    std::vector<std::string> outs(sums.size(), "=f"), ties, types(sums.size(), "float");
    for (size_t i = 0; i < sums.size(); i++)
      ties.push_back(std::to_string(i));
    const std::string type = fmt::format("{{{}}}", fmt::join(types, ", "));
    const std::string passed =
        value(fmt::format("call {} asm sideeffect \"wgmma.wait_group.sync.aligned 0;\", \"{},{}\"(float {})", type,
                          fmt::join(outs, ","), fmt::join(ties, ","), fmt::join(sums, ", float ")));
    for (size_t i = 0; i < sums.size(); i++)
      sums[i] = value(fmt::format("extractvalue {} {}, {}", type, passed, i));
  }
  for (size_t i = 0; i < sums.size(); i++) {
    const std::string at = value(fmt::format("mul i32 %thread, {}", sums.size()));
    const std::string offset = value(fmt::format("add i32 {}, {}", at, i));
    const std::string to = value(fmt::format("getelementptr float, ptr addrspace(1) %y, i32 {}", offset));
    line(fmt::format("store float {}, ptr addrspace(1) {}, align 4", sums[i], to));
  }
  if (c.endsEarly)
    line("br label %end\nend:");
  return text + R"(  ret void
}
declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()
declare void @llvm.nvvm.fence.proxy.async.shared_cta()
declare void @llvm.nvvm.barrier.cta.sync.aligned.all(i32)
declare void @llvm.nvvm.wgmma.commit_group.sync.aligned()
)";
}

/// The largest difference from the sums in f64, or the emulator's error.
Result<double> run(const Case &c, uint64_t seed = 1) {
  auto context = std::make_unique<llvm::LLVMContext>();
  llvm::SMDiagnostic diagnostic;
  auto module = llvm::parseAssemblyString(kernelOf(c), diagnostic, *context);
  if (!module)
    return fail("line {}: {}", diagnostic.getLineNo(), diagnostic.getMessage().str());
  QUANTC_ASSIGN(const emulator::Emulator code, emulator::Emulator::create(std::move(module), std::move(context)));
  const unsigned columns = 16 * c.products;
  auto weight = [](unsigned row, unsigned column) { return static_cast<float>((row * 7 + column * 3) % 11) - 5; };
  auto activation = [](unsigned token, unsigned column) {
    return static_cast<float>((token * 5 + column * 13) % 17) / 4 - 2;
  };
  alignas(16) static uint16_t b[256 * 64];
  std::vector<uint16_t> a(size_t(128) * 8 * c.products);
  std::vector<float> y(size_t(128) * c.tokens / 2, 0);
  for (unsigned token = 0; token < c.tokens; token++)
    for (unsigned column = 0; column < columns; column++)
      b[placeOf(c, token, column) / 2] = toF16(activation(token, column));
  for (unsigned thread = 0; thread < 128; thread++)
    for (unsigned p = 0; p < c.products; p++)
      for (unsigned i = 0; i < 8; i++) // word i / 2: rows g and g + 8 alternate, then 8 columns further
        a[(thread * c.products + p) * 8 + i] = toF16(
            weight(thread / 32 * 16 + thread % 32 / 4 + i / 2 % 2 * 8, 16 * p + i / 4 * 8 + thread % 4 * 2 + i % 2));
  const emulator::Buffer buffers[] = {{a.data(), a.size() * 2}, {b, sizeof(b)}, {y.data(), y.size() * 4, true}};
  const int64_t arguments[] = {reinterpret_cast<int64_t>(a.data()), reinterpret_cast<int64_t>(b),
                               reinterpret_cast<int64_t>(y.data())};
  const emulator::Launch launch{.kernel = "k", .threads = 128, .sharedBytes = bytesOf(c), .seed = seed};
  QUANTC_TRY(code.launch(launch, arguments, buffers));
  double worst = 0;
  for (unsigned thread = 0; thread < 128; thread++)
    for (unsigned i = 0; i < c.tokens / 2; i++) {
      const unsigned row = thread / 32 * 16 + thread % 32 / 4 + i / 2 % 2 * 8;
      const unsigned token = i / 4 * 8 + thread % 4 * 2 + i % 2;
      double sum = 0;
      for (unsigned column = 0; column < columns; column++)
        sum += double(weight(row, column)) * activation(token, column);
      const double error = std::abs(y[thread * (c.tokens / 2) + i] - sum);
      worst = std::isnan(worst) || error <= worst ? worst : error;
    }
  return worst;
}

std::string problemOf(const Case &c) {
  Result<double> error = run(c);
  if (!error)
    return error.error().message;
  return *error == 0 ? "right" : "wrong sums";
}

TEST(WarpGroupTest, Products) {
  for (unsigned swizzle : {0u, 1u, 2u, 3u})
    for (unsigned tokens : {8u, 16u, 64u, 128u})
      for (unsigned products : {1u, 2u, 4u}) {
        SCOPED_TRACE(fmt::format("swizzle {}, {} tokens, {} products", swizzle, tokens, products));
        for (uint64_t seed = 1; seed <= 3; seed++) {
          Result<double> error = run({.tokens = tokens, .products = products, .swizzle = swizzle}, seed);
          ASSERT_TRUE(error) << error.error().message;
          EXPECT_EQ(*error, 0);
        }
      }
}

TEST(WarpGroupTest, BrokenRulesAreErrors) {
  EXPECT_EQ(problemOf({}), "right");
  EXPECT_THAT(problemOf({.proxyFence = false}), HasSubstr("with no fence.proxy.async behind it"));
  EXPECT_THAT(problemOf({.barrier = false}), testing::AnyOf(HasSubstr("no barrier between"), HasSubstr("fence.proxy"),
                                                            HasSubstr("which a product under way reads")));
  EXPECT_THAT(problemOf({.registerFence = false}), HasSubstr("that no wgmma.fence has ordered"));
  EXPECT_THAT(problemOf({.wait = false}), HasSubstr("ends with products under way"));
  EXPECT_THAT(problemOf({.overwrite = true}),
              testing::AnyOf(HasSubstr("which a product under way reads"), HasSubstr("no barrier between")));
  EXPECT_EQ(problemOf({.touch = true}), "wrong sums");
  EXPECT_THAT(problemOf({.otherDescriptor = true}), HasSubstr("warps of a group issue different products"));
  EXPECT_THAT(problemOf({.endsEarly = true}), HasSubstr("fewer products than others"));
  for (unsigned wrong : {1u, 2u, 3u})
    EXPECT_NE(problemOf({.tokens = 64, .products = 4, .swizzle = 1, .wrongSwizzle = wrong}), "right") << wrong;
}

} // namespace
