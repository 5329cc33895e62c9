//===- MachineCodeTest.cpp - flat images ------------------------------------------------------------------------===//

#include "CompiledKernels.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"
#include "quantc/CodeGen/TargetAttributes.h"
#include <gmock/gmock.h>
#include <sys/mman.h>

using namespace quantc;
using namespace quantc::test;
using testing::HasSubstr;

namespace {

class MachineCode : public testing::Test {
protected:
  /// Emits functions of the llvm dialect for the first target that runs here.
  Result<CodeImage> emit(const std::string &functions) {
    auto module = mlir::parseSourceString<mlir::ModuleOp>(functions, context.get());
    EXPECT_TRUE(module);
    attach(runnableTargets().front(), *module);
    return emitImage(*module);
  }
  std::unique_ptr<mlir::MLIRContext> context = createContext();
};

TEST_F(MachineCode, RunsWhereverItIsMapped) {
  // A table that is too large for immediate operands: code reaches it by a relative reference.
  Result<CodeImage> image = emit(R"(
    llvm.mlir.global private constant @table(dense<[3, 1, 4, 1, 5, 9, 2, 6]> : tensor<8xi64>) : !llvm.array<8 x i64>
    llvm.func @f(%args: !llvm.ptr, %begin: i64, %end: i64) {
      %table = llvm.mlir.addressof @table : !llvm.ptr
      %at = llvm.getelementptr %table[%begin] : (!llvm.ptr, i64) -> !llvm.ptr, i64
      %v = llvm.load %at : !llvm.ptr -> i64
      llvm.store %v, %args : i64, !llvm.ptr
      llvm.return
    }
    llvm.func @f_tasks(%args: !llvm.ptr) -> i64 {
      %n = llvm.mlir.constant(8 : i64) : i64
      llvm.return %n : i64
    })");
  ASSERT_TRUE(image) << image.error().message;
  ASSERT_EQ(image->entries.size(), 1u);
  EXPECT_EQ(image->entries[0].name, "f");
  const size_t size = image->bytes.size();
  for (size_t shift : {size_t(0), size_t(4096)}) {
    auto *memory = static_cast<std::byte *>(
        ::mmap(nullptr, size + shift, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(memory, MAP_FAILED);
    std::copy(image->bytes.begin(), image->bytes.end(), memory + shift);
    auto f = reinterpret_cast<void (*)(int64_t *, int64_t, int64_t)>(memory + shift + image->entries[0].kernel);
    auto tasks = reinterpret_cast<int64_t (*)(int64_t *)>(memory + shift + image->entries[0].tasks);
    int64_t value = 0;
    EXPECT_EQ(tasks(&value), 8);
    f(&value, 5, 6);
    EXPECT_EQ(value, 9);
    ::munmap(memory, size + shift);
  }
}

TEST_F(MachineCode, RefusesImports) {
  Result<CodeImage> image = emit(R"(
    llvm.func @expf(f32) -> f32
    llvm.func @f(%x: f32) -> f32 { %y = llvm.call @expf(%x) : (f32) -> f32  llvm.return %y : f32 })");
  ASSERT_FALSE(image);
  EXPECT_THAT(image.error().message, HasSubstr("'expf', which they do not define"));
}

TEST_F(MachineCode, RefusesWritableData) {
  Result<CodeImage> image = emit(R"(
    llvm.mlir.global external @counter(1 : i64) : i64
    llvm.func @f() -> i64 {
      %p = llvm.mlir.addressof @counter : !llvm.ptr
      %v = llvm.load %p : !llvm.ptr -> i64
      llvm.return %v : i64
    })");
  ASSERT_FALSE(image);
  EXPECT_THAT(image.error().message, HasSubstr("no writable data"));
}

TEST_F(MachineCode, RefusesUnknownCPU) {
  auto module = mlir::parseSourceString<mlir::ModuleOp>("llvm.func @f() { llvm.return }", context.get());
  Target target = runnableTargets().front();
  target.name = "t";
  target.cpu = "no-such-cpu";
  attach(target, *module);
  Result<CodeImage> image = emitImage(*module);
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().message, "target t: LLVM does not know the CPU 'no-such-cpu'");
}

TEST_F(MachineCode, RefusesWhatIsNoObject) {
  Result<CodeImage> image = linkFlat("not an object", {});
  ASSERT_FALSE(image);
}

} // namespace
