//===- Layers.h - kernels of layers that are no matrix products ---------------------------------------------------===//
#pragma once

#include "LayerBuilder.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "quantc/Dialect/NN/NN.h"
#include "quantc/Dialect/QF/QF.h"

namespace quantc {

/// Each makes the kernel of a function whose last layer it is given, into a module. A rounding of the result to f16 or
/// bf16 is part of the kernel. They emit an error where a shape is not supported.
mlir::LogicalResult emitNorm(nn::RmsNormOp op, mlir::gpu::GPUModuleOp module);
mlir::LogicalResult emitRope(nn::RopeOp op, mlir::gpu::GPUModuleOp module);
mlir::LogicalResult emitAppend(nn::KvAppendOp op, mlir::gpu::GPUModuleOp module);
mlir::LogicalResult emitAttention(nn::AttentionOp op, mlir::gpu::GPUModuleOp module);
mlir::LogicalResult emitAttentionParts(nn::AttentionPartsOp op, mlir::gpu::GPUModuleOp module);
mlir::LogicalResult emitCombineParts(nn::CombinePartsOp op, mlir::gpu::GPUModuleOp module);
/// Rows of a table of floats, by number.
mlir::LogicalResult emitEmbedding(nn::EmbeddingOp op, mlir::gpu::GPUModuleOp module);
/// Rows of a table in any format.
mlir::LogicalResult emitDecode(qf::DecodeOp op, mlir::gpu::GPUModuleOp module);
mlir::LogicalResult emitArgMax(nn::ArgMaxOp op, mlir::gpu::GPUModuleOp module);
mlir::LogicalResult emitTop(nn::TopOp op, mlir::gpu::GPUModuleOp module);
mlir::LogicalResult emitLast(nn::LastOp op, mlir::gpu::GPUModuleOp module);
/// A function of the numbers at one place.
mlir::LogicalResult emitElementwise(mlir::linalg::GenericOp op, mlir::gpu::GPUModuleOp module);

/// How many blocks a kernel of nn.attention has for each token.
int64_t attentionBlocks(nn::AttentionOp op);

} // namespace quantc
