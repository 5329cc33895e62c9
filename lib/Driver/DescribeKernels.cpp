//===- DescribeKernels.cpp - what the manifest says about kernels -------------------------------------------------===//

#include "DescribeKernels.h"
#include "quantc/Dialect/QF/QF.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace quantc;

/// The format of a tensor's numbers: its specification, or a float type as IR spells it.
static std::string formatOf(Type tensor) {
  Type element = getElementTypeOrSelf(tensor);
  if (auto elem = dyn_cast<qf::ElemType>(element))
    return elem.getSpec().str();
  std::string text;
  llvm::raw_string_ostream(text) << element;
  return text;
}

std::string quantc::productOf(func::FuncOp kernel, llvm::function_ref<std::string(nn::LinearOp)> how) {
  std::string why;
  kernel.walk([&](nn::LinearOp linear) {
    for (Value weight : linear.getWeights()) {
      auto shape = cast<ShapedType>(weight.getType()).getShape();
      why += fmt::format("{}{} x {} {}", why.empty() ? "" : ", ", shape[0], shape[1], formatOf(weight.getType()));
    }
    why += " by " + formatOf(linear.getX().getType()) + how(linear);
  });
  return why;
}

static uint64_t columnsOf(Value tokens) {
  return static_cast<uint64_t>(cast<ShapedType>(tokens.getType()).getDimSize(1));
}

KernelWork quantc::workOf(func::FuncOp kernel) {
  KernelWork work;
  kernel.walk([&](Operation *op) {
    // What only moves values between parameters and operations is no work.
    if (!isa<nn::NNDialect>(op->getDialect()) && !isa<qf::EncodeOp>(op))
      return;
    work.operations.push_back(op->getName().stripDialect().str());
    llvm::TypeSwitch<Operation *>(op)
        .Case([&](nn::LinearOp linear) {
          work.activations = formatOf(linear.getX().getType());
          for (Value weight : linear.getWeights())
            work.multiplications += static_cast<uint64_t>(cast<ShapedType>(weight.getType()).getNumElements());
          if (!linear.getBiases().empty())
            work.operations.push_back("bias");
          if (linear.getGate())
            work.operations.push_back(stringifyActivation(*linear.getGate()).str());
          if (linear.getResidual())
            work.operations.push_back("residual");
        })
        .Case([&](nn::AttentionOp attention) {
          work.ofPosition += columnsOf(attention.getQ()) + columnsOf(attention.getY());
          work.window = static_cast<uint64_t>(attention.getWindow().value_or(0));
        });
  });
  return work;
}

std::vector<std::string> quantc::activationReasons(func::FuncOp kernel, Precision precision,
                                                   const qf::ActivationFormat &format) {
  std::vector<std::string> reasons;
  auto add = [&](std::string reason) {
    if (!llvm::is_contained(reasons, reason))
      reasons.push_back(std::move(reason));
  };
  kernel.walk([&](nn::LinearOp linear) {
    const std::string activations = formatOf(linear.getX().getType());
    for (Value weight : linear.getWeights()) {
      auto elem = dyn_cast<qf::ElemType>(getElementTypeOrSelf(weight));
      if (precision == Precision::Float || precision == Precision::Exact) {
        add(activations + " activations: the precision asked for has no others");
      } else if (!elem) {
        add(activations + " activations: weights are " + formatOf(weight.getType()));
      } else {
        const qf::ActivationFormat::Choice choice =
            precision == Precision::High ? format.suitingExactly(elem.getFormat()) : format.suiting(elem.getFormat());
        const Result<qf::ElemType> suiting = qf::ElemType::of(kernel.getContext(), choice.spec);
        const bool chosen = activations == (choice.spec.empty() ? "f32" : suiting ? suiting->getSpec().str() : "");
        add(chosen ? choice.why : activations + " activations: the graph that was compiled has them");
      }
    }
  });
  return reasons;
}

KernelChoice quantc::choiceOf(std::vector<std::string> ofGraph, const KernelChoices &ofCode) {
  KernelChoice choice{.instructions = ofCode.instructions, .manyTokens = ofCode.manyTokens, .reasons = ofGraph};
  for (const std::vector<int64_t> &sizes : ofCode.tiles)
    choice.tiles.emplace_back(sizes.begin(), sizes.end());
  choice.reasons.insert(choice.reasons.end(), ofCode.reasons.begin(), ofCode.reasons.end());
  return choice;
}
