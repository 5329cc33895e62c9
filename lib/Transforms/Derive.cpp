//===- Derive.cpp - weights that become what is made of them ----------------------------------------------------===//

#include "Derive.h"
#include "quantc/Transforms/Weights.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"

using namespace mlir;
using namespace quantc;

/// What the importer calls the weight of the head.
static constexpr StringLiteral headName = "output";

static SmallVector<nn::GetOp> readersOf(nn::WeightOp weight) {
  SmallVector<nn::GetOp> readers;
  weight->getParentOp()->walk([&](nn::GetOp get) {
    if (get.getWeight() == weight.getSymName())
      readers.push_back(get);
  });
  return readers;
}

static std::string nameForCopy(nn::WeightOp weight, ArrayRef<nn::GetOp> readers, const SymbolTable &symbols) {
  const bool isTable = llvm::any_of(
      readers, [](nn::GetOp get) { return llvm::any_of(get->getUsers(), llvm::IsaPred<nn::EmbeddingOp>); });
  std::string name = isTable ? headName.str() : weight.getSymName().str();
  for (unsigned number = 2; symbols.lookup(name); ++number)
    name = (weight.getSymName() + "." + Twine(number)).str();
  return name;
}

nn::WeightOp quantc::ownWeight(OpOperand &operand, SymbolTable &symbols) {
  auto get = operand.get().getDefiningOp<nn::GetOp>();
  auto weight = get ? symbols.lookup<nn::WeightOp>(get.getWeight()) : nn::WeightOp();
  if (!weight)
    return nullptr;
  const SmallVector<nn::GetOp> readers = readersOf(weight);
  if (readers.size() == 1 && get->hasOneUse())
    return weight;
  OpBuilder builder(weight->getContext());
  builder.setInsertionPointAfter(weight);
  auto copy = cast<nn::WeightOp>(builder.clone(*weight));
  copy.setSymName(nameForCopy(weight, readers, symbols));
  symbols.insert(copy);
  builder.setInsertionPoint(operand.getOwner());
  operand.set(nn::GetOp::create(builder, get.getLoc(), get.getType(), copy.getSymName()));
  if (get->use_empty())
    get.erase();
  return copy;
}

void quantc::derive(nn::WeightOp weight, function_ref<Attribute(Attribute)> make) {
  auto type = cast<RankedTensorType>(weight.getType()).clone(Float32Type::get(weight.getContext()));
  weight.setFromAttr(make(weight.getFrom()));
  weight.setType(type);
  for (nn::GetOp get : readersOf(weight))
    get.getValue().setType(type);
}

bool quantc::isOnes(Attribute from) {
  auto dense = dyn_cast<DenseFPElementsAttr>(from);
  return dense && dense.isSplat() && dense.getSplatValue<APFloat>().isExactlyValue(1.0);
}
