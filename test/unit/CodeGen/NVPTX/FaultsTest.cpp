//===- FaultsTest.cpp - planted faults, all of which the emulator must find ---------------------------------------===//
//
// Each fault changes a kernel that is right: its synchronisation at the level 'lanes', or instructions of the LLVM IR
// that becomes PTX, or its weights. The kernel must then fail in the emulator, or be wrong beyond its limit.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "AttentionCase.h"
#include "GPULayer.h"
#include "GPULinear.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/NVGPU/IR/NVGPUDialect.h"
#include "mlir/IR/Builders.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/Module.h"
#include <gtest/gtest.h>

using namespace quantc;
using namespace quantc::test;
using Faults = GPULinear::Faults;

namespace {

const GPULinearCase stream{.spec = "int:4:g128:asym", .N = 32, .K = 1024, .tokens = 5, .epilogue = true};
const GPULinearCase tiled{.spec = "int:4:g128:asym", .N = 64, .K = 768, .epilogue = true};
const GPULinearCase group{.spec = "int:4:g128:asym", .N = 128, .K = 768, .epilogue = true, .target = "sm_90a"};
constexpr double limit = 1e-6;

/// Applies `change` to the operation of a type with this number, counted in the order of the module, or of one kernel.
template <typename Op> Faults lanes(unsigned number, std::function<void(Op)> change, const std::string &kernel = "") {
  Faults faults;
  faults.lanes = [=](mlir::ModuleOp module) {
    std::vector<Op> found;
    module.walk([&](Op op) {
      if (kernel.empty() || op->template getParentOfType<mlir::gpu::GPUFuncOp>().getName() == kernel)
        found.push_back(op);
    });
    ASSERT_GT(found.size(), number) << "nothing to change";
    change(found[number]);
  };
  return faults;
}

/// Applies `change` to the calls whose name (an intrinsic's, or the text of inline assembly) begins with `prefix`; how
/// many is up to it: it says whether it did.
Faults calls(std::string prefix, std::function<bool(llvm::CallBase &)> change) {
  Faults faults;
  faults.code = [=](llvm::Module &module) {
    std::vector<llvm::CallBase *> found;
    for (llvm::Function &function : module)
      for (llvm::Instruction &instruction : llvm::instructions(function))
        if (auto *call = llvm::dyn_cast<llvm::CallBase>(&instruction)) {
          const auto *assembly = llvm::dyn_cast<llvm::InlineAsm>(call->getCalledOperand());
          const llvm::StringRef name =
              assembly ? llvm::StringRef(assembly->getAsmString()) : call->getCalledOperand()->getName();
          if (name.starts_with(prefix))
            found.push_back(call);
        }
    bool changed = false;
    for (llvm::CallBase *call : found)
      if ((changed = change(*call)))
        break;
    ASSERT_TRUE(changed) << "nothing to change";
  };
  return faults;
}

/// Replaces an integer constant of a call by another.
std::function<bool(llvm::CallBase &)> constant(unsigned operand, uint32_t from, uint32_t to) {
  return [=](llvm::CallBase &call) {
    auto *value = llvm::dyn_cast<llvm::ConstantInt>(call.getArgOperand(operand));
    if (!value || static_cast<uint32_t>(value->getZExtValue()) != from)
      return false;
    call.setArgOperand(operand, llvm::ConstantInt::get(value->getType(), to));
    return true;
  };
}

std::function<bool(llvm::CallBase &)> swap(unsigned a, unsigned b) {
  return [=](llvm::CallBase &call) {
    llvm::Value *first = call.getArgOperand(a), *second = call.getArgOperand(b);
    if (first == second)
      return false;
    call.setArgOperand(a, second);
    call.setArgOperand(b, first);
    return true;
  };
}

/// Moves a pointer operand by some bytes.
std::function<bool(llvm::CallBase &)> moved(unsigned operand, int64_t bytes) {
  return [=](llvm::CallBase &call) {
    llvm::Type *i8 = llvm::Type::getInt8Ty(call.getContext()), *i64 = llvm::Type::getInt64Ty(call.getContext());
    call.setArgOperand(operand,
                       llvm::GetElementPtrInst::Create(i8, call.getArgOperand(operand),
                                                       {llvm::ConstantInt::get(i64, bytes)}, "", call.getIterator()));
    return true;
  };
}

bool removed(llvm::CallBase &call) {
  call.eraseFromParent();
  return true;
}

/// Takes an instruction away that values pass.
bool bypassed(llvm::CallBase &call) {
  llvm::IRBuilder<> b(&call);
  llvm::Value *all = llvm::PoisonValue::get(call.getType());
  for (unsigned i = 0; i < call.arg_size(); i++)
    all = b.CreateInsertValue(all, call.getArgOperand(i), i);
  call.replaceAllUsesWith(all);
  call.eraseFromParent();
  return true;
}

/// Takes the last commit before a wait away.
bool commitRemoved(llvm::CallBase &wait) {
  for (llvm::Instruction *before = wait.getPrevNode(); before; before = before->getPrevNode())
    if (auto *call = llvm::dyn_cast<llvm::CallBase>(before);
        call && call->getCalledOperand()->getName().starts_with("llvm.nvvm.wgmma.commit_group"))
      return removed(*call);
  return false;
}

/// Moves a call behind everything in its block.
bool delayed(llvm::CallBase &call) {
  call.moveBefore(call.getParent()->getTerminator()->getIterator());
  return true;
}

/// Adds to an operand, an i64.
std::function<bool(llvm::CallBase &)> increased(unsigned operandFromLast, int64_t by) {
  return [=](llvm::CallBase &call) {
    const unsigned operand = call.arg_size() - operandFromLast;
    llvm::IRBuilder<> b(&call);
    call.setArgOperand(operand, b.CreateAdd(call.getArgOperand(operand), b.getInt64(by)));
    return true;
  };
}

/// Changes bits of an operand, an i64.
std::function<bool(llvm::CallBase &)> flippedBits(unsigned operandFromLast, uint64_t bits) {
  return [=](llvm::CallBase &call) {
    const unsigned operand = call.arg_size() - operandFromLast;
    llvm::IRBuilder<> b(&call);
    call.setArgOperand(operand, b.CreateXor(call.getArgOperand(operand), b.getInt64(bits)));
    return true;
  };
}

/// Changes the first store of f32 that goes to global memory.
Faults stores(std::function<void(llvm::StoreInst &)> change) {
  Faults faults;
  faults.code = [=](llvm::Module &module) {
    for (llvm::Function &function : module)
      for (llvm::Instruction &instruction : llvm::instructions(function))
        if (auto *store = llvm::dyn_cast<llvm::StoreInst>(&instruction);
            store && store->getPointerAddressSpace() != 3 && store->getValueOperand()->getType()->isFloatTy())
          return change(*store);
    FAIL() << "nothing to change";
  };
  return faults;
}

Faults flipped(size_t byte, unsigned bit) {
  Faults faults;
  faults.weights = [=](std::span<std::byte> weights) { weights[byte] ^= std::byte(1 << bit); };
  return faults;
}

struct Fault {
  const char *name;
  const GPULinearCase *linear;
  Faults faults;
};

/// Makes a barrier of no effect, a wait wait for less.
const auto eraseBarrier = [](mlir::gpu::BarrierOp barrier) { barrier.erase(); };
const auto waitForLess = [](mlir::nvgpu::DeviceAsyncWaitOp wait) {
  wait.setNumGroups(static_cast<int32_t>(wait.getNumGroups().value_or(0)) + 1);
};
const auto eraseFence = [](mlir::NVVM::FenceProxyOp fence) { fence.erase(); };
const auto eraseWait = [](mlir::nvgpu::DeviceAsyncWaitOp wait) { wait.erase(); };

const Fault faults[] = {
    {"no barrier behind the activations", &stream, lanes<mlir::gpu::BarrierOp>(0, eraseBarrier)},
    {"no barrier before the sum of the parts", &stream, lanes<mlir::gpu::BarrierOp>(1, eraseBarrier)},
    {"no wait for the activations", &stream, lanes<mlir::nvgpu::DeviceAsyncWaitOp>(0, eraseWait)},
    {"wait for one group less, few tokens", &stream, lanes<mlir::nvgpu::DeviceAsyncWaitOp>(0, waitForLess)},
    {"no barrier in the loop", &tiled, lanes<mlir::gpu::BarrierOp>(0, eraseBarrier)},
    {"no wait in the loop", &tiled, lanes<mlir::nvgpu::DeviceAsyncWaitOp>(0, eraseWait)},
    {"wait for one group less, many tokens", &tiled, lanes<mlir::nvgpu::DeviceAsyncWaitOp>(0, waitForLess)},
    {"a bit of a mask", &stream, calls("lop3", constant(1, 0x000f000f, 0x000b000f))},
    {"a bit of a mask, upper row", &tiled, calls("lop3", constant(1, 0x00f000f0, 0x00f00070))},
    {"an exponent", &stream, calls("lop3", constant(2, 0x64006400, 0x64006800))},
    {"operands A exchanged", &stream, calls("llvm.nvvm.mma", swap(1, 2))},
    {"operands B exchanged", &tiled, calls("llvm.nvvm.mma", swap(4, 5))},
    {"accumulators exchanged", &tiled, calls("llvm.nvvm.mma", swap(6, 9))},
    {"ldmatrix one column to the right", &stream, calls("llvm.nvvm.ldmatrix", moved(0, 16))},
    {"ldmatrix one row further", &tiled, calls("llvm.nvvm.ldmatrix", moved(0, 128))},
    {"a copy to the wrong place", &tiled, calls("llvm.nvvm.cp.async.cg", moved(0, 16))},
    {"a copy from the wrong place", &tiled, calls("llvm.nvvm.cp.async.cg", moved(1, 16))},
    {"a copy left out", &stream, calls("llvm.nvvm.cp.async.cg", removed)},
    {"a group not closed", &tiled, calls("llvm.nvvm.cp.async.commit", removed)},
    {"stored one row further", &tiled, stores([](llvm::StoreInst &store) {
       llvm::Type *i8 = llvm::Type::getInt8Ty(store.getContext()), *i64 = llvm::Type::getInt64Ty(store.getContext());
       store.setOperand(1, llvm::GetElementPtrInst::Create(i8, store.getPointerOperand(),
                                                           {llvm::ConstantInt::get(i64, 64 * 4)}, "",
                                                           store.getIterator()));
     })},
    {"stored where it should not be", &tiled, stores([](llvm::StoreInst &store) {
       for (llvm::BasicBlock *before : llvm::predecessors(store.getParent()))
         if (auto *branch = llvm::dyn_cast<llvm::BranchInst>(before->getTerminator());
             branch && branch->isConditional())
           branch->swapSuccessors();
     })},
    {"earlier kernels not waited for", &group, calls("griddepcontrol.wait", removed)},
    {"earlier kernels waited for too late", &group, calls("griddepcontrol.wait", delayed)},
    {"no fence between proxies", &group, lanes<mlir::NVVM::FenceProxyOp>(0, eraseFence)},
    {"no barrier in the loop, groups", &group, lanes<mlir::gpu::BarrierOp>(0, eraseBarrier)},
    {"no wait in the loop, groups", &group, lanes<mlir::nvgpu::DeviceAsyncWaitOp>(0, eraseWait)},
    {"wait for one group of copies less, groups", &group, lanes<mlir::nvgpu::DeviceAsyncWaitOp>(0, waitForLess)},
    {"codes not fenced", &group, calls("wgmma.fence", bypassed)},
    {"sums not waited for", &group, calls("wgmma.wait_group.sync.aligned 0", bypassed)},
    {"the last product not committed", &group, calls("wgmma.wait_group.sync.aligned 0", commitRemoved)},
    {"another swizzle", &group, calls("{ .reg .pred p; setp.ne.b32 p, 0", flippedBits(1, uint64_t(3) << 62))},
    {"another stride", &group, calls("{ .reg .pred p; setp.ne.b32 p, 0", flippedBits(1, uint64_t(1) << 33))},
    {"a step 8 columns further", &group, calls("{ .reg .pred p; setp.ne.b32 p, 1", increased(1, 1))},
    {"another step", &group, calls("{ .reg .pred p; setp.ne.b32 p, 1", increased(1, 2))},
    {"codes exchanged", &group, calls("{ .reg .pred p; setp.ne.b32 p, 0", swap(0, 1))},
    {"sums exchanged", &group, calls("{ .reg .pred p; setp.ne.b32 p, 1", swap(4, 5))},
    {"a copy to a place that is not swizzled so", &group, calls("llvm.nvvm.cp.async.cg", moved(0, 16))},
    {"a bit of a code", &stream, flipped(1234, 6)},
    {"a bit of a scale", &tiled, flipped(64 * 768 / 2 + 17, 1)},
};

class FaultsTest : public testing::TestWithParam<Fault> {
protected:
  static mlir::MLIRContext &context() {
    static std::unique_ptr<mlir::MLIRContext> shared = createContext();
    return *shared;
  }
  /// Whether a kernel is found to be wrong, under several orders of its threads; how, as a property of the test.
  static bool isFound(const GPULinearCase &linear, const Faults &faults) {
    Result<GPULinear> kernel = GPULinear::create(context(), linear, faults);
    if (!kernel) {
      ADD_FAILURE() << "not even compiled: " << kernel.error().message;
      return false;
    }
    for (uint64_t seed = 1; seed <= 3; seed++) {
      Result<double> error = kernel->error(linear.tokens.value_or(13), seed);
      if (!error || !(*error < limit)) {
        RecordProperty("found", error ? fmt::format("relative error {:.1e}", *error) : error.error().message);
        return true;
      }
    }
    return false;
  }
};

TEST_P(FaultsTest, IsFound) {
  EXPECT_TRUE(isFound(*GetParam().linear, GetParam().faults)) << GetParam().name;
}

INSTANTIATE_TEST_SUITE_P(Planted, FaultsTest, testing::ValuesIn(faults), [](const auto &info) {
  std::string name = info.param.name;
  std::replace_if(name.begin(), name.end(), [](char c) { return !std::isalnum(c); }, '_');
  return name + "_" + std::to_string(info.index);
});

//===- Layers --------------------------------------------------------------------------------------------------===//

const Shape twoWarps{4, 2, 64, 64}, oneWarp{4, 2, 32, 32};

/// Whether kernels for a shape, with faults, are found to be wrong.
bool isFound(mlir::MLIRContext &context, const Shape &shape, int tokens, const Faults &faults) {
  Result<GPULayer> layer = GPULayer::create(context, kernelText(shape), {faults.lanes, faults.code});
  if (!layer) {
    ADD_FAILURE() << "not even compiled: " << layer.error().message;
    return false;
  }
  for (uint64_t seed = 1; seed <= 3; seed++) {
    Call call(shape, tokens, /*past=*/140);
    Buffer<float> y = call.makeResult();
    auto memory = [](auto &buffer, bool writable) {
      return emulator::Buffer{buffer.begin(), buffer.size() * sizeof(buffer[0]), writable};
    };
    const emulator::Buffer buffers[] = {memory(call.q, false), memory(call.keys, false), memory(call.values, false),
                                        memory(y, true)};
    const Status status = layer->run(call.args(y), buffers, seed);
    if (!status || !(normalizedError(y, call.expected()) < 1e-10) || !y.guardIntact())
      return true;
  }
  return false;
}

/// The kernel for any number of tokens, and those for few, of parts of the positions.
const std::string whole = "kernel", parts = "kernel_m8_parts", combined = "kernel_m8";

/// Changes the predicate of the comparison with this number among those of one kind in a kernel.
Faults comparison(unsigned number, mlir::arith::CmpIPredicate from, mlir::arith::CmpIPredicate to,
                  const std::string &kernel) {
  Faults faults;
  faults.lanes = [=](mlir::ModuleOp module) {
    unsigned seen = 0;
    module.walk([&](mlir::arith::CmpIOp op) {
      if (op->getParentOfType<mlir::gpu::GPUFuncOp>().getName() == kernel && op.getPredicate() == from &&
          seen++ == number)
        op.setPredicate(to);
    });
    ASSERT_GT(seen, number) << "nothing to change";
  };
  return faults;
}

/// Stores one element further on.
const auto storeFurther = [](mlir::LLVM::StoreOp store) {
  mlir::OpBuilder b(store);
  store.getAddrMutable().assign(mlir::LLVM::GEPOp::create(b, store.getLoc(), store.getAddr().getType(), b.getF32Type(),
                                                          store.getAddr(), llvm::ArrayRef<mlir::LLVM::GEPArg>{1}));
};
const auto eraseStore = [](mlir::LLVM::StoreOp store) { store.erase(); };

struct LayerFault {
  const char *name;
  const Shape *shape;
  int tokens;
  Faults faults;
};

using Predicate = mlir::arith::CmpIPredicate;
const LayerFault layerFaults[] = {
    {"no barrier behind the queries", &twoWarps, 9, lanes<mlir::gpu::BarrierOp>(1, eraseBarrier, whole)},
    {"no barrier before the maxima of warps", &twoWarps, 9, lanes<mlir::gpu::BarrierOp>(2, eraseBarrier, whole)},
    {"no barrier behind the weights", &twoWarps, 9, lanes<mlir::gpu::BarrierOp>(4, eraseBarrier, whole)},
    {"no barrier before the sums of warps", &twoWarps, 9, lanes<mlir::gpu::BarrierOp>(6, eraseBarrier, whole)},
    {"no barrier before the next chunk", &oneWarp, 9, lanes<mlir::gpu::BarrierOp>(3, eraseBarrier, whole)},
    {"a position that lies behind", &twoWarps, 9, comparison(0, Predicate::slt, Predicate::sle, whole)},
    {"the first lane of each warp is another", &twoWarps, 9, comparison(0, Predicate::eq, Predicate::ne, whole)},
    {"results one place further", &twoWarps, 9, lanes<mlir::LLVM::StoreOp>(0, storeFurther, whole)},
    {"sums of a part one place further", &twoWarps, 2, lanes<mlir::LLVM::StoreOp>(0, storeFurther, parts)},
    {"no maximum of a part", &twoWarps, 2, lanes<mlir::LLVM::StoreOp>(2, eraseStore, parts)},
    {"no barrier behind the weights of a part", &twoWarps, 2, lanes<mlir::gpu::BarrierOp>(4, eraseBarrier, parts)},
    {"a position that lies behind a part", &twoWarps, 2, comparison(1, Predicate::slt, Predicate::sle, parts)},
    {"a part that is not there", &twoWarps, 2, comparison(0, Predicate::slt, Predicate::sle, combined)},
    {"no barrier before the largest maximum", &twoWarps, 2, lanes<mlir::gpu::BarrierOp>(0, eraseBarrier, combined)},
    {"combined one place further", &twoWarps, 2, lanes<mlir::LLVM::StoreOp>(0, storeFurther, combined)},
};

class LayerFaultsTest : public testing::TestWithParam<LayerFault> {
protected:
  static mlir::MLIRContext &context() {
    static std::unique_ptr<mlir::MLIRContext> shared = createContext();
    return *shared;
  }
};

TEST_P(LayerFaultsTest, IsFound) {
  EXPECT_TRUE(isFound(context(), *GetParam().shape, GetParam().tokens, GetParam().faults)) << GetParam().name;
}

INSTANTIATE_TEST_SUITE_P(Planted, LayerFaultsTest, testing::ValuesIn(layerFaults), [](const auto &info) {
  std::string name = info.param.name;
  std::replace_if(name.begin(), name.end(), [](char c) { return !std::isalnum(c); }, '_');
  return name;
});

TEST_F(LayerFaultsTest, NothingToFind) {
  for (int tokens : {2, 9}) {
    EXPECT_FALSE(isFound(context(), twoWarps, tokens, {}));
    EXPECT_FALSE(isFound(context(), oneWarp, tokens, {}));
  }
}

// Without a fault there is nothing to find.
TEST_F(FaultsTest, NothingToFind) {
  EXPECT_FALSE(isFound(stream, {}));
  EXPECT_FALSE(isFound(tiled, {}));
  EXPECT_FALSE(isFound(group, {}));
}

} // namespace
