//===- PipelineSums.cpp - copies and loads of the loop over K run ahead -------------------------------------------===//

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/NVGPU/IR/NVGPUDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/Patterns.h"
#include "mlir/Dialect/SCF/Transforms/Transforms.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "quantc/CodeGen/NVPTX/Passes.h"

namespace quantc {
#define GEN_PASS_DEF_QFPIPELINESUMS
#include "quantc/CodeGen/NVPTX/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

/// Which stage each operation of a loop belongs to; those without one run last.
class Stages {
public:
  Stages(IRRewriter &rewriter, scf::ForOp loop, unsigned last) : rewriter(rewriter), loop(loop), last(last) {}

  /// `roots` and everything that they need run in `stage`. What others need too is cloned for them.
  void assign(ArrayRef<Operation *> roots, unsigned stage) {
    SetVector<Operation *> needed;
    for (Operation *root : roots)
      collect(root, needed);
    IRMapping copies;
    for (Operation &op : llvm::make_early_inc_range(*loop.getBody())) {
      if (!needed.contains(&op))
        continue;
      stages[&op] = stage;
      if (!isMemoryEffectFree(&op))
        continue;
      rewriter.setInsertionPointAfter(&op);
      Operation *copy = rewriter.clone(op, copies);
      for (auto [from, to] : llvm::zip(op.getResults(), copy->getResults()))
        from.replaceUsesWithIf(to, [&](OpOperand &use) {
          Operation *user = loop.getBody()->findAncestorOpInBlock(*use.getOwner());
          return !needed.contains(user) && user != copy;
        });
    }
  }

  /// Waits, fences and barriers come first: what they guard may be anywhere behind them.
  std::vector<std::pair<Operation *, unsigned>> schedule() const {
    auto isSync = [](Operation &op) { return isa<nvgpu::DeviceAsyncWaitOp, NVVM::FenceProxyOp, gpu::BarrierOp>(op); };
    std::vector<std::pair<Operation *, unsigned>> order;
    for (Operation &op : loop.getBody()->without_terminator())
      if (isSync(op))
        order.emplace_back(&op, last);
    for (unsigned stage = 0; stage <= last; stage++)
      for (Operation &op : loop.getBody()->without_terminator())
        if (auto it = stages.find(&op); !isSync(op) && (it == stages.end() ? last : it->second) == stage)
          order.emplace_back(&op, stage);
    return order;
  }

private:
  void collect(Operation *op, SetVector<Operation *> &needed) {
    if (op->getBlock() != loop.getBody() || needed.contains(op))
      return;
    op->walk([&](Operation *inner) { // branches read what is outside of them
      for (Value operand : inner->getOperands())
        if (Operation *producer = operand.getDefiningOp(); producer && !op->isProperAncestor(producer))
          collect(producer, needed);
    });
    needed.insert(op);
  }

  IRRewriter &rewriter;
  mutable scf::ForOp loop;
  unsigned last;
  DenseMap<Operation *, unsigned> stages;
};

/// Whether an operation copies to shared memory, by itself or within.
bool copies(Operation *op) {
  return op
      ->walk([](Operation *inner) {
        auto store = dyn_cast<memref::StoreOp>(inner);
        const bool isStore = store && gpu::GPUDialect::hasWorkgroupMemoryAddressSpace(store.getMemRefType());
        return isStore || isa<nvgpu::DeviceAsyncCopyOp>(inner) ? WalkResult::interrupt() : WalkResult::advance();
      })
      .wasInterrupted();
}

/// Past the last iteration copies read nothing, and loads read something that is not used. Numbers that are copied one
/// by one know where their rows end.
Operation *predicate(RewriterBase &rewriter, Operation *op, Value inside) {
  OpBuilder::InsertionGuard guard(rewriter);
  auto orZero = [&](Value v) -> Value {
    Value zero = arith::ConstantIndexOp::create(rewriter, op->getLoc(), 0);
    return arith::SelectOp::create(rewriter, op->getLoc(), inside, v, zero);
  };
  rewriter.setInsertionPoint(op);
  if (copies(op)) {
    op->walk([&](nvgpu::DeviceAsyncCopyOp copy) {
      rewriter.setInsertionPoint(copy);
      Value elements = copy.getSrcElements();
      if (!elements)
        elements = arith::ConstantIndexOp::create(rewriter, op->getLoc(), copy.getDstElements().getSExtValue());
      copy.getSrcElementsMutable().assign(orZero(elements));
    });
  } else if (auto load = dyn_cast<vector::LoadOp>(op)) {
    for (OpOperand &index : load.getIndicesMutable())
      index.set(orZero(index.get()));
  } else if (!isMemoryEffectFree(op) && !isa<nvgpu::DeviceAsyncCreateGroupOp, scf::IfOp>(op)) {
    return nullptr;
  }
  return op;
}

struct PipelineSumsPass : quantc::impl::QFPipelineSumsBase<PipelineSumsPass> {
  void runOnOperation() override {
    SmallVector<scf::ForOp> loops;
    getOperation().walk([&](scf::ForOp loop) {
      if (loop->hasAttr("qf.stages"))
        loops.push_back(loop);
    });
    IRRewriter rewriter(&getContext());
    for (scf::ForOp loop : loops)
      if (failed(pipeline(rewriter, loop, cast<IntegerAttr>(loop->removeAttr("qf.stages")).getInt())))
        return signalPassFailure();
  }

  static LogicalResult pipeline(IRRewriter &rewriter, scf::ForOp loop, int64_t count) {
    Stages stages(rewriter, loop, static_cast<unsigned>(count - 1));
    SmallVector<Operation *> ahead;
    for (Operation &op : *loop.getBody())
      if (isa<nvgpu::DeviceAsyncCreateGroupOp>(op) || copies(&op))
        ahead.push_back(&op);
    stages.assign(ahead, 0);
    scf::PipeliningOption options;
    options.getScheduleFn = [&](scf::ForOp, std::vector<std::pair<Operation *, unsigned>> &order) {
      order = stages.schedule();
    };
    options.peelEpilogue = false;
    options.predicateFn = predicate;
    rewriter.setInsertionPoint(loop); // upstream does not
    if (failed(scf::pipelineForLoop(rewriter, loop, options)))
      return loop.emitOpError("cannot be pipelined");
    return success();
  }
};

} // namespace
