//===- EdgeFormats.cpp - an example of a pass that quant-opt loads at run time ----------------------------------===//
//
// quant-opt --load-dialect-plugin=edge-formats.so --load-pass-plugin=edge-formats.so \
//   --pass-pipeline='builtin.module(quant-plan{format=int:4:g128:asym},edge-formats{format=int:8:g32})' graph.mlir
//
// The first and the last block of a model suffer most from few bits. This pass stands between `quant-plan` and
// `quant-rtn`: it gives the matrices of these blocks another format. It knows neither formats nor methods.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "mlir/Pass/Pass.h"
#include "mlir/Tools/Plugins/DialectPlugin.h"
#include "mlir/Tools/Plugins/PassPlugin.h"
#include "quantc/Dialect/NN/NN.h"
#include "quantc/Dialect/QF/QF.h"

using namespace mlir;
using namespace quantc;

namespace {

/// A dialect with nothing but a name, so that IR may say `edge.moved`.
class EdgeDialect : public Dialect {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(EdgeDialect)
  static StringRef getDialectNamespace() { return "edge"; }
  explicit EdgeDialect(MLIRContext *context) : Dialect(getDialectNamespace(), context, TypeID::get<EdgeDialect>()) {}
};

struct EdgeFormats : PassWrapper<EdgeFormats, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(EdgeFormats)
  EdgeFormats() = default;
  EdgeFormats(const EdgeFormats &other) : PassWrapper(other) { copyOptionValuesFrom(&other); }
  StringRef getArgument() const override { return "edge-formats"; }
  StringRef getDescription() const override { return "another format for the first and the last block"; }
  void getDependentDialects(DialectRegistry &registry) const override { registry.insert<EdgeDialect, qf::QFDialect>(); }

  void runOnOperation() override {
    auto elem = qf::ElemType::of(&getContext(), format.getValue());
    if (!elem) {
      getOperation().emitError() << elem.error().message;
      return signalPassFailure();
    }
    int64_t last = 0;
    for (nn::WeightOp weight : getOperation().getOps<nn::WeightOp>())
      last = std::max(last, blockOf(weight));
    for (nn::WeightOp weight : getOperation().getOps<nn::WeightOp>())
      if (int64_t block = blockOf(weight); weight->hasAttr("nn.format") && (block == 0 || block == last)) {
        weight->setAttr("nn.format", TypeAttr::get(*elem));
        weight->setAttr("edge.moved", UnitAttr::get(&getContext()));
      }
  }

  /// N of a name "blk.N.…", or -1.
  static int64_t blockOf(nn::WeightOp weight) {
    StringRef name = weight.getSymName();
    int64_t block = -1;
    if (name.consume_front("blk."))
      name.consumeInteger(10, block);
    return block;
  }

  Option<std::string> format{*this, "format", llvm::cl::desc("specification of the format")};
};

} // namespace

extern "C" LLVM_ATTRIBUTE_WEAK PassPluginLibraryInfo mlirGetPassPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "edge-formats", "1", [] { PassRegistration<EdgeFormats>(); }};
}

extern "C" LLVM_ATTRIBUTE_WEAK DialectPluginLibraryInfo mlirGetDialectPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "edge-formats", "1",
          [](DialectRegistry *registry) { registry->insert<EdgeDialect>(); }};
}
