//===- Footprint.cpp - what calibration takes, before it is run --------------------------------------------------===//

#include "quantc/Calibrate/Footprint.h"
#include "quantc/Calibrate/FloatWeights.h"
#include "quantc/Calibrate/SavedBuffers.h"
#include "quantc/Transforms/Observers.h"
#include <algorithm>
#include <numeric>
#include <set>

using namespace mlir;
using namespace quantc;

/// Two places are kept at once while a pass goes from one to the next.
static uint64_t savedBytes(const FloatProgram &program, const FloatProgram::Stage &stage,
                           std::span<const int64_t> lengths) {
  uint64_t most = 0, before = 0;
  for (size_t i = 0; i < stage.launches.size(); ++i) {
    if (stage.launches[i].observer.empty())
      continue;
    uint64_t here = 0;
    for (int64_t length : lengths)
      here += SavedBuffers::bytes(program, stage, i + 1, FloatProgram::scalarsFor(length)).value_or(0);
    most = std::max(most, before + here);
    before = here;
  }
  return most;
}

Result<std::vector<StageFootprint>> quantc::calibrationFootprint(const FloatProgram &program, ModuleOp module,
                                                                 unsigned blockRows, std::span<const int64_t> lengths,
                                                                 bool passForEach) {
  const int64_t longest = lengths.empty() ? 0 : std::ranges::max(lengths);
  const double tokens = std::accumulate(lengths.begin(), lengths.end(), 0.0);
  SymbolTable table(module);
  std::vector<StageFootprint> result;
  for (const FloatProgram::Stage &stage : program.stages()) {
    StageFootprint &one = result.emplace_back(StageFootprint{.name = stage.name});
    std::set<size_t> seen;
    for (size_t i = 0; i < stage.usefulLaunches(); ++i) {
      const FloatProgram::Launch &launch = stage.launches[i];
      for (const FloatProgram::Argument &arg : launch.args) {
        if (arg.isScalar || !seen.insert(arg.symbol).second)
          continue;
        const FloatProgram::Symbol &symbol = program.symbols()[arg.symbol];
        if (symbol.isWeight) {
          auto weight = table.lookup<nn::WeightOp>(symbol.name);
          QUANTC_ASSIGN(const uint64_t bytes, floatWeightBytes(weight, blockRows));
          one.weights += bytes;
          const auto type = cast<RankedTensorType>(weight.getType());
          if (program.observers().count(symbol.name))
            one.operations += 2.0 * double(type.getNumElements()) * tokens;
        } else if (StringRef(symbol.name).starts_with(hessianPrefix)) {
          one.observers.emplace_back(launch.observer, program.featuresOf(launch.observer));
        } else {
          one.buffers += symbol.bytesFor(FloatProgram::scalarsFor(longest));
        }
      }
    }
    if (passForEach)
      one.saved = savedBytes(program, stage, lengths);
  }
  return result;
}
