//===- GPULayer.cpp - kernels of nn layers on a GPU, in the emulator ----------------------------------------------===//

#include "GPULayer.h"
#include "Emulate.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "quantc/Dialect/NN/NN.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Format/FragmentStorage.h"
#include <optional>

using namespace quantc;
using namespace quantc::test;

Result<GPULayer> GPULayer::create(mlir::MLIRContext &context, const std::string &text, const Faults &faults,
                                  const std::string &target) {
  auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  if (!module)
    return fail("the kernel does not parse:\n{}", text);
  std::vector<Parameter> parameters;
  auto function = module->lookupSymbol<mlir::func::FuncOp>("kernel");
  for (mlir::BlockArgument argument : function.getArguments()) {
    Parameter &parameter = parameters.emplace_back();
    auto tensor = mlir::dyn_cast<mlir::RankedTensorType>(argument.getType());
    parameter.isPast = !tensor && llvm::none_of(argument.getUsers(), llvm::IsaPred<nn::LastOp>);
    if (!tensor)
      continue;
    parameter.sizes = tensor.getNumDynamicDims();
    parameter.isCache = tensor.getRank() == 3;
    if (auto elem = mlir::dyn_cast<qf::ElemType>(tensor.getElementType()); elem && tensor.hasStaticShape()) {
      QUANTC_ASSIGN(qf::BlockType block, qf::BlockType::of(elem, FragmentStorage::rows));
      QUANTC_ASSIGN(FragmentStorage storage, FragmentStorage::derive(block.getKernelStorage()));
      parameter.offsets.clear();
      for (size_t p = 0; p < storage.planes().size(); p++)
        parameter.offsets.push_back(storage.planeOffset(p, tensor.getDimSize(0), tensor.getDimSize(1)));
    }
  }
  NVPTXOptions options;
  options.target = target;
  QUANTC_ASSIGN(emulator::Emulator emulator, emulate(*module, options, faults.lanes, faults.code));
  GPULayer layer(std::move(emulator));
  layer.parameters = std::move(parameters);
  constexpr auto limit = [](const GPUKernel &k) { return static_cast<uint64_t>(k.mostTokens) - 1; };
  for (const GPUKernel &kernel : kernelsOf(*module)) // those for the same number in their order
    layer.list.insert(std::ranges::upper_bound(layer.list, limit(kernel), {}, limit), kernel);
  return layer;
}

Status GPULayer::run(std::span<const int64_t> args, std::span<const emulator::Buffer> memory, uint64_t seed) const {
  std::vector<int64_t> values;
  std::optional<int64_t> tokens, context;
  int64_t past = 0;
  size_t next = 0;
  for (const Parameter &parameter : parameters) {
    const int64_t value = args[next++];
    if (parameter.isPast)
      past = value;
    for (int64_t offset : parameter.offsets)
      values.push_back(parameter.isPast ? reinterpret_cast<int64_t>(&past) : value + offset);
    for (int64_t i = 0; i < parameter.sizes; i++) {
      std::optional<int64_t> &size = parameter.isCache ? context : tokens;
      size = size.value_or(args[next++]);
    }
  }
  for (const std::optional<int64_t> &size : {context, tokens})
    if (size)
      values.push_back(*size);

  const auto first = std::ranges::find_if(
      list, [&](const GPUKernel &k) { return k.mostTokens == 0 || tokens.value_or(1) <= k.mostTokens; });
  // NaN, as bytes: what nobody wrote must not be used.
  std::vector<std::byte> scratch(static_cast<size_t>(first->scratchBytes), std::byte(255));
  values.push_back(reinterpret_cast<int64_t>(scratch.data()));
  std::vector<emulator::Buffer> all(memory.begin(), memory.end());
  all.push_back({&past, sizeof(past)});
  all.push_back({scratch.data(), scratch.size(), true});
  for (const GPUKernel &kernel : list) {
    if (kernel.mostTokens != first->mostTokens)
      continue;
    auto blocks = [&](const GridAxis &axis) {
      return static_cast<unsigned>(axis.parameter < 0 ? axis.size
                                                      : (values[axis.parameter] + axis.size - 1) / axis.size);
    };
    emulator::Launch launch{.kernel = kernel.name,
                            .gridX = blocks(kernel.grid.x),
                            .gridY = blocks(kernel.grid.y),
                            .threads = static_cast<unsigned>(kernel.threads),
                            .sharedBytes = static_cast<size_t>(kernel.sharedBytes),
                            .seed = seed,
                            .overlaps = kernel.waits};
    QUANTC_ASSIGN(const size_t count, code.parameters(kernel.name));
    QUANTC_TRY(code.launch(launch, std::span(values).first(count), all));
  }
  return {};
}
