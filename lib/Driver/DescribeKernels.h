//===- DescribeKernels.h - what the manifest says about kernels ---------------------------------------------------===//
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "quantc/Artifact/Manifest.h"
#include "quantc/CodeGen/Choices.h"
#include "quantc/Dialect/NN/NN.h"
#include "quantc/Dialect/QF/Activations.h"
#include "quantc/Pipelines/Pipelines.h"

namespace quantc {

/// What decided how a kernel computes: of a product, shapes and formats of its weights, that of its activations, and
/// `how`.
std::string productOf(mlir::func::FuncOp kernel, llvm::function_ref<std::string(nn::LinearOp)> how);

/// What a kernel of a program, still of nn ops, has to compute.
KernelWork workOf(mlir::func::FuncOp kernel);

/// Why its products have the activations that they have.
std::vector<std::string> activationReasons(mlir::func::FuncOp kernel, Precision precision,
                                           const qf::ActivationFormat &format);

/// The same reasons and those of the passes that made its code.
KernelChoice choiceOf(std::vector<std::string> ofGraph, const KernelChoices &ofCode);

} // namespace quantc
