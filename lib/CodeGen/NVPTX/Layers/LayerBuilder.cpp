//===- LayerBuilder.cpp - the kernel of a layer that is no matrix product -----------------------------------------===//

#include "LayerBuilder.h"
#include "../Fragments.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "quantc/Dialect/NN/NN.h"
#include "quantc/Dialect/QF/QF.h"

using namespace mlir;
using namespace quantc;

/// Whether an index is how many tokens the KV cache holds before this step.
static bool isPast(BlockArgument argument) {
  return isa<IndexType>(argument.getType()) &&
         llvm::none_of(argument.getUsers(), [](Operation *user) { return isa<nn::LastOp>(user); });
}

LayerBuilder::LayerBuilder(func::FuncOp function, gpu::GPUModuleOp module, int64_t threads,
                           const FragmentStorage *storage)
    : ImplicitLocOpBuilder(function.getLoc(), function.getContext()), threads(threads) {
  auto pointer = LLVM::LLVMPointerType::get(getContext(), /*global*/ 1);
  auto inMemory = [&](Value weight) -> Type {
    auto type = cast<RankedTensorType>(weight.getType());
    return type.clone({type.getDimSize(0), storage->paddedColumns(type.getDimSize(1))});
  };
  SmallVector<BlockArgument> arguments(function.getArguments());
  BlockArgument memory;
  if (!arguments.empty() && function.getArgAttr(arguments.back().getArgNumber(), scratch))
    memory = arguments.pop_back_val();
  SmallVector<Type> types;
  SmallVector<unsigned> first; // parameter of each argument
  for (BlockArgument argument : arguments) {
    first.push_back(types.size());
    if (storage && isa<qf::ElemType>(getElementTypeOrSelf(argument)))
      for (const FragmentPlane &plane : storage->planes())
        types.push_back(planeType(inMemory(argument), plane));
    else
      types.push_back(isa<IndexType>(argument.getType()) && !isPast(argument) ? Type(getI64Type()) : pointer);
  }
  const unsigned fixed = types.size();
  const DynamicSizes sizes = dynamicSizesOf(function);
  types.append(sizes.context + sizes.tokens, getI64Type());
  if (memory)
    types.push_back(pointer);

  setInsertionPointToEnd(module.getBody());
  gpuFunction = gpu::GPUFuncOp::create(*this, function.getName(), getFunctionType(types, {}));
  gpuFunction->setAttr(gpu::GPUDialect::getKernelFuncAttrName(), getUnitAttr());
  for (StringRef name : {mostTokens, variantOf})
    if (Attribute value = function->getAttr(name))
      gpuFunction->setAttr(name, value);
  gpuFunction.setKnownBlockSizeAttr(getDenseI32ArrayAttr({static_cast<int32_t>(threads), 1, 1}));
  // As many registers as a thread can have: else ptxas prefers a spill or two to a block fewer on a multiprocessor.
  constexpr int64_t threadsOfMultiprocessor = 256;
  const auto blocks = static_cast<int32_t>(std::max<int64_t>(1, threadsOfMultiprocessor / threads));
  gpuFunction->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(), getI32IntegerAttr(blocks));
  setInsertionPointToStart(&gpuFunction.front());
  auto markPointer = [&](unsigned i, BlockArgument argument) {
    gpuFunction.setArgAttr(i, LLVM::LLVMDialect::getNoAliasAttrName(), getUnitAttr());
    if (!function.getArgAttr(argument.getArgNumber(), bufferization::BufferizationDialect::kWritableAttrName))
      gpuFunction.setArgAttr(i, LLVM::LLVMDialect::getReadonlyAttrName(), getUnitAttr());
  };
  for (BlockArgument argument : arguments) {
    const unsigned begin = first[argument.getArgNumber()];
    const unsigned end = argument.getArgNumber() + 1 < first.size() ? first[argument.getArgNumber() + 1] : fixed;
    for (unsigned i = begin; i < end; i++)
      if (!types[i].isInteger())
        markPointer(i, argument);
    Value parameter = gpuFunction.getArgument(begin);
    if (isa<MemRefType>(parameter.getType()))
      planeArrays.assign(gpuFunction.getArguments().begin() + begin, gpuFunction.getArguments().begin() + end);
    else if (isPast(argument))
      parameter = LLVM::LoadOp::create(*this, getI64Type(), parameter, /*alignment=*/8);
    parameters[argument] = parameter;
  }
  if (sizes.context)
    capacity = gpuFunction.getArgument(fixed);
  if (sizes.tokens)
    tokenCount = gpuFunction.getArgument(fixed + sizes.context);
  if (memory) {
    const unsigned last = types.size() - 1;
    parameters[memory] = gpuFunction.getArgument(last);
    markPointer(last, memory);
    recordScratch(gpuFunction, cast<RankedTensorType>(memory.getType()));
  }
  threadId = arith::IndexCastOp::create(*this, getI64Type(), gpu::ThreadIdOp::create(*this, gpu::Dimension::x));
}

void LayerBuilder::finish(const LaunchGrid &grid) {
  gpu::ReturnOp::create(*this);
  grid.record(gpuFunction);
}

Value LayerBuilder::block(gpu::Dimension dimension) {
  return arith::IndexCastOp::create(*this, getI64Type(), gpu::BlockIdOp::create(*this, dimension));
}

Value LayerBuilder::address(Value argument, Value at) {
  Type element = getElementTypeOrSelf(argument);
  return LLVM::GEPOp::create(*this, parameter(argument).getType(), element, parameter(argument),
                             ArrayRef<LLVM::GEPArg>{at});
}

Value LayerBuilder::load(Value argument, Value at) {
  Type element = getElementTypeOrSelf(argument);
  const unsigned bytes = element.getIntOrFloatBitWidth() / 8;
  Value number = LLVM::LoadOp::create(*this, element, address(argument, at), bytes);
  if (isa<IntegerType>(element))
    return arith::ExtSIOp::create(*this, getI64Type(), number);
  return element.isF32() ? number : arith::ExtFOp::create(*this, getF32Type(), number).getResult();
}

void LayerBuilder::store(Value number, Value argument, Value at) {
  Type element = getElementTypeOrSelf(argument);
  if (isa<IntegerType>(element))
    number = arith::TruncIOp::create(*this, element, number);
  else if (!element.isF32())
    number = arith::TruncFOp::create(*this, element, number);
  LLVM::StoreOp::create(*this, number, address(argument, at), element.getIntOrFloatBitWidth() / 8);
}

Value LayerBuilder::shared(int64_t count) {
  auto space = gpu::AddressSpaceAttr::get(getContext(), gpu::GPUDialect::getWorkgroupAddressSpace());
  InsertionGuard guard(*this);
  setInsertionPointToStart(&gpuFunction.front());
  return memref::AllocOp::create(*this, MemRefType::get({count}, getF32Type(), AffineMap(), space));
}
Value LayerBuilder::loadShared(Value array, Value at) {
  return memref::LoadOp::create(*this, array, asIndex(at));
}
void LayerBuilder::storeShared(Value number, Value array, Value at) {
  memref::StoreOp::create(*this, number, array, asIndex(at));
}

LayerBuilder::Values LayerBuilder::loop(Value begin, Value end, int64_t step, ValueRange carried,
                                        function_ref<Values(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(*this, begin, end, i64(step), carried);
  InsertionGuard guard(*this);
  setInsertionPointToStart(loop.getBody());
  Values next = body(loop.getInductionVar(), loop.getRegionIterArgs());
  if (!next.empty())
    scf::YieldOp::create(*this, next);
  return loop.getResults();
}

void LayerBuilder::forEach(int64_t count, function_ref<void(Value)> body) {
  if (count == threads)
    return body(thread());
  loop(thread(), i64(count), threads, {}, [&](Value i, ValueRange) {
    body(i);
    return Values();
  });
}

void LayerBuilder::when(Value condition, function_ref<void()> body) {
  auto branch = scf::IfOp::create(*this, condition, /*withElse=*/false);
  InsertionGuard guard(*this);
  setInsertionPointToStart(branch.thenBlock());
  body();
}

Value LayerBuilder::overWarp(Combine kind, Value number) {
  for (int32_t distance = 1; distance < warpSize; distance *= 2)
    number = combine(kind, number,
                     gpu::ShuffleOp::create(*this, number, distance, warpSize, gpu::ShuffleMode::XOR).getResult(0));
  return number;
}

LayerBuilder::Values LayerBuilder::overBlock(Combine kind, ValueRange numbers) {
  Values results(numbers);
  for (Value &number : results)
    number = overWarp(kind, number);
  const int64_t warps = threads / warpSize;
  if (warps == 1)
    return results;
  Value parts = shared(warps * static_cast<int64_t>(results.size()));
  Value warp = div(thread(), warpSize),
        isFirst = arith::CmpIOp::create(*this, arith::CmpIPredicate::eq, rem(thread(), warpSize), i64(0));
  when(isFirst, [&] {
    for (auto [i, number] : llvm::enumerate(results))
      storeShared(number, parts, add(warp, static_cast<int64_t>(i) * warps));
  });
  barrier();
  // Where there are many parts, each warp has them as its lanes; that some count twice changes no maximum.
  constexpr int64_t fewWarps = 8;
  for (auto [i, number] : llvm::enumerate(results)) {
    if (kind == Combine::Maximum && warps > fewWarps) {
      number = overWarp(kind, loadShared(parts, add(rem(thread(), warps), static_cast<int64_t>(i) * warps)));
      continue;
    }
    number = loadShared(parts, i64(static_cast<int64_t>(i) * warps));
    for (int64_t w = 1; w < warps; w++)
      number = combine(kind, number, loadShared(parts, i64(static_cast<int64_t>(i) * warps + w)));
  }
  barrier(); // who comes next may write the parts again
  return results;
}

std::pair<Value, Value> LayerBuilder::firstLargest(Value number, Value place, int64_t places) {
  Value largest = overBlock(Combine::Maximum, number)[0];
  // The smallest place is the largest of those below zero. Where the largest is NaN no thread has it: any place.
  Value hasIt = arith::CmpFOp::create(*this, arith::CmpFPredicate::OEQ, number, largest);
  Value negative = arith::SIToFPOp::create(*this, getF32Type(), sub(i64(0), place));
  negative = overBlock(Combine::Maximum, select(hasIt, negative, f32(static_cast<double>(1 - places))))[0];
  return {largest, sub(i64(0), arith::FPToSIOp::create(*this, getI64Type(), negative))};
}

Value quantc::destinationOf(Value result) {
  for (Operation *user : result.getUsers()) {
    if (auto materialize = dyn_cast<bufferization::MaterializeInDestinationOp>(user))
      return materialize.getDest();
    if (auto rounding = dyn_cast<linalg::GenericOp>(user))
      return rounding.getOutputs().front();
  }
  return {};
}
