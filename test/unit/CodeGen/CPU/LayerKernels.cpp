//===- LayerKernels.cpp - kernels of nn layers, to be called on vectors ----------------------------------------===//

#include "LayerKernels.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "quantc/CodeGen/KernelPasses.h"
#include "quantc/CodeGen/TargetAttributes.h"
#include "quantc/Dialect/NN/NN.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Transforms/Passes.h"
#include <gtest/gtest.h>

using namespace quantc;
using namespace quantc::test;

CompiledKernels test::compileLayer(mlir::MLIRContext &context, const std::string &text, const Target &target) {
  context.loadDialect<nn::NNDialect, qf::QFDialect>();
  auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  EXPECT_TRUE(module) << text;
  if (!module)
    return {};
  attach(target, *module);
  mlir::PassManager manager(&context);
  mlir::OpPassManager &functions = manager.nest<mlir::func::FuncOp>();
  functions.addPass(createNNLowerAttention());
  functions.addPass(createNNLowerKVAppend());
  functions.addPass(createNNLowerRope());
  functions.addPass(createNNLowerRMSNorm());
  functions.addPass(createNNLowerEmbedding());
  functions.addPass(createNNToLinalg());
  EXPECT_TRUE(succeeded(manager.run(*module))) << text;
  std::string lowered;
  llvm::raw_string_ostream(lowered) << *module;
  Result<CompiledKernels> kernels = CompiledKernels::compile(context, lowered, target);
  EXPECT_TRUE(kernels) << kernels.error().message << "\n" << lowered;
  return kernels ? std::move(*kernels) : CompiledKernels();
}

void test::runBackwards(const CompiledKernels &kernels, std::span<const int64_t> args) {
  for (int64_t task = kernels.tasks("kernel", args); task-- > 0;)
    kernels.run("kernel", args, task, task + 1);
}
