//===- PlanBuffers.cpp - buffers that share memory --------------------------------------------------------------===//

#include "quantc/Dialect/RT/RT.h"
#include "quantc/Transforms/Passes.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/MapVector.h"

namespace quantc {
#define GEN_PASS_DEF_RTPLANBUFFERS
#include "quantc/Transforms/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

/// A buffer and the launches between which its contents matter.
struct Lifetime {
  rt::BufferOp buffer;
  unsigned first, last;
};

struct PlanBuffers : quantc::impl::RTPlanBuffersBase<PlanBuffers> {
  void runOnOperation() override {
    for (rt::ProgramOp program : getOperation().getOps<rt::ProgramOp>())
      plan(program);
  }

  void plan(rt::ProgramOp program) {
    SymbolTable symbols(getOperation());
    // In the order of first use, which is the order in which buffers are placed.
    llvm::MapVector<StringAttr, Lifetime> lifetimes;
    unsigned time = 0;
    program.walk([&](rt::LaunchOp launch) {
      for (auto arg : launch.getArgs().getAsRange<Attribute>())
        if (auto symbol = dyn_cast<FlatSymbolRefAttr>(arg))
          if (auto buffer = symbols.lookup<rt::BufferOp>(symbol.getAttr()))
            lifetimes.try_emplace(symbol.getAttr(), Lifetime{buffer, time, time}).first->second.last = time;
      ++time;
    });
    for (DictionaryAttr ports : {program.getInputs(), program.getOutputs()})
      for (NamedAttribute port : ports)
        lifetimes.erase(cast<FlatSymbolRefAttr>(port.getValue()).getAttr());
    lifetimes.remove_if([](auto &entry) { return entry.second.buffer.getPersistent(); });

    // First fit: the memory that became free and needs to grow least.
    SmallVector<Lifetime> memories;
    DenseMap<StringAttr, FlatSymbolRefAttr> renamed;
    for (auto &[name, lifetime] : lifetimes) {
      Lifetime *best = nullptr;
      for (Lifetime &memory : memories)
        if (memory.last < lifetime.first && (!best || growth(memory, lifetime) < growth(*best, lifetime)))
          best = &memory;
      if (!best) {
        memories.push_back(lifetime);
        continue;
      }
      best->last = lifetime.last;
      grow(best->buffer, lifetime.buffer);
      renamed[name] = FlatSymbolRefAttr::get(best->buffer.getSymNameAttr());
      lifetime.buffer.erase();
      ++removed;
    }
    program.walk([&](rt::LaunchOp launch) {
      SmallVector<Attribute> args(launch.getArgs().getAsRange<Attribute>());
      for (Attribute &arg : args)
        if (auto symbol = dyn_cast<FlatSymbolRefAttr>(arg))
          if (FlatSymbolRefAttr name = renamed.lookup(symbol.getAttr()))
            arg = name;
      launch.setArgsAttr(ArrayAttr::get(&getContext(), args));
    });
    // The next stage reads it, so that it lives until then.
    for (rt::StageOp stage : program.getOps<rt::StageOp>())
      if (FlatSymbolRefAttr carried = stage.getCarriesAttr())
        if (FlatSymbolRefAttr name = renamed.lookup(carried.getAttr()))
          stage.setCarriesAttr(name);
  }

  /// Bytes that `memory` lacks for a token, or is too large: both are waste.
  static uint64_t growth(Lifetime memory, Lifetime other) {
    int64_t difference = memory.buffer.getPerToken() - other.buffer.getPerToken();
    return difference < 0 ? -difference : difference;
  }

  static void grow(rt::BufferOp memory, rt::BufferOp other) {
    memory.setBytes(std::max(memory.getBytes(), other.getBytes()));
    memory.setPerToken(std::max(memory.getPerToken(), other.getPerToken()));
    memory.setPerContext(std::max(memory.getPerContext(), other.getPerContext()));
  }
};

} // namespace
