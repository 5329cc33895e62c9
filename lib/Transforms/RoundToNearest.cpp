//===- RoundToNearest.cpp - the method that needs no data -------------------------------------------------------===//

#include "QuantizeWeights.h"
#include "quantc/Transforms/Passes.h"

namespace quantc {
#define GEN_PASS_DEF_QFRTN
#include "quantc/Transforms/Passes.h.inc"
} // namespace quantc

using namespace quantc;

namespace {

struct RoundToNearest : quantc::impl::QFRtnBase<RoundToNearest> {
  void runOnOperation() override { quantizeWeights(getOperation(), quantizeByRounding); }
};

} // namespace
