//===- QFGPUOps.td - the product of a warp ---------------------------------------------------------------------===//

#ifndef QUANTC_DIALECT_QF_QFGPUOPS
#define QUANTC_DIALECT_QF_QFGPUOPS

include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "quantc/Dialect/QF/QFDialect.td"
include "quantc/Dialect/QF/QFTypes.td"

def QF_WarpActivations : AnyTypeOf<[TensorRankOf<[F16, BF16], [2]>, MemRefRankOf<[F16, BF16], [2]>],
                                   "matrix of f16 or bf16">;
def QF_WarpWeights : AnyTypeOf<[TensorRankOf<[QF_ElemType], [2]>, TensorRankOf<[I8, I16, I32], [3]>,
                                MemRefRankOf<[I8, I16, I32], [3]>], "weights, or planes of their words">;

def QF_WarpDotOp : Op<QF_Dialect, "warp_dot", [
    AllTypesMatch<["acc", "res"]>, DeclareOpInterfaceMethods<MemoryEffectsOpInterface>,
    DeclareOpInterfaceMethods<BufferizableOpInterface, [
      "bufferizesToMemoryRead", "bufferizesToMemoryWrite", "getAliasingValues", "bufferize"]>]> {
  let summary = "qf.contract of the tile of a warp: the accumulators are a vector value";
  let description = [{
    `acc` is tokens × rows. `w` is one tensor of `!qf.elem`, or, once `qf-choose-planes` ran, the planes of
    `FragmentStorage`, each `[rows / 16][columns / those of a unit][words]`. Made by `qf-vectorize-warps`, expanded by
    `qf-to-lanes`.

    ```mlir
    %r = qf.warp_dot %acc, %x, %codes, %scales of !qf.elem<int<4, group = 128>>
       : vector<8x16xf32>, memref<8x128xf16>, (memref<1x2x128xi32>, memref<1x1x8xi32>)
    ```
  }];
  let arguments = (ins VectorOfRankAndType<[2], [F32]>:$acc, QF_WarpActivations:$x, Variadic<QF_WarpWeights>:$w,
                       TypeAttrOf<QF_ElemType>:$format);
  let results = (outs VectorOfRankAndType<[2], [F32]>:$res);
  let assemblyFormat = "$acc `,` $x `,` $w `of` $format attr-dict `:` type($acc) `,` type($x) `,` `(` type($w) `)`";
  let hasVerifier = 1;
}

#endif // QUANTC_DIALECT_QF_QFGPUOPS
