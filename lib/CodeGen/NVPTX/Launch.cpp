//===- Launch.cpp - how many blocks a kernel is launched with -----------------------------------------------------===//

#include "quantc/CodeGen/NVPTX/Launch.h"

using namespace mlir;
using namespace quantc;

void LaunchGrid::record(Operation *kernel) const {
  kernel->setAttr(attribute, DenseI64ArrayAttr::get(kernel->getContext(), {x.parameter, x.size, y.parameter, y.size}));
}

std::optional<LaunchGrid> LaunchGrid::of(Operation *kernel) {
  auto grid = kernel->getAttrOfType<DenseI64ArrayAttr>(attribute);
  if (!grid || grid.size() != 4)
    return {};
  ArrayRef<int64_t> g = grid.asArrayRef();
  return LaunchGrid{{static_cast<int>(g[0]), g[1]}, {static_cast<int>(g[2]), g[3]}};
}

void quantc::recordScratch(Operation *kernel, ShapedType memory) {
  const int64_t row = memory.getDimSize(1) * static_cast<int64_t>(memory.getElementTypeBitWidth()) / 8;
  const int64_t tokens = kernel->getAttrOfType<IntegerAttr>(mostTokens).getInt();
  kernel->setAttr(scratchBytes, Builder(kernel->getContext()).getI64IntegerAttr(tokens * row));
}

DynamicSizes quantc::dynamicSizesOf(func::FuncOp function) {
  DynamicSizes sizes;
  for (Type type : function.getArgumentTypes())
    if (auto shaped = dyn_cast<ShapedType>(type); shaped && !shaped.hasStaticShape())
      (shaped.getRank() == 3 ? sizes.context : sizes.tokens) = true;
  return sizes;
}

gpu::GPUModuleOp quantc::gpuModuleOf(ModuleOp module) {
  auto modules = module.getOps<gpu::GPUModuleOp>();
  if (!modules.empty())
    return *modules.begin();
  OpBuilder b = OpBuilder::atBlockEnd(module.getBody());
  module->setAttr(gpu::GPUDialect::getContainerModuleAttrName(), b.getUnitAttr());
  return gpu::GPUModuleOp::create(b, module.getLoc(), "kernels");
}
