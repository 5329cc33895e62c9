//===- QFOps.td - the operations on quantized tensors ---------------------------------------------------------===//

#ifndef QUANTC_DIALECT_QF_QFOPS
#define QUANTC_DIALECT_QF_QFOPS

include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.td"
include "mlir/Dialect/LLVMIR/LLVMOpBase.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/TilingInterface.td"
include "quantc/Dialect/QF/QFAttributes.td"
include "quantc/Dialect/QF/QFTypes.td"

/// A matrix of `!qf.elem`, or of `!qf.block` once storage was chosen.
def QF_Quantized : AnyTypeOf<[TensorRankOf<[QF_ElemType, QF_BlockType], [2]>, MemRefRankOf<[QF_BlockType], [2]>],
                             "matrix of quantized numbers">;
def QF_FloatMatrix : AnyTypeOf<[TensorRankOf<[F32], [2]>, MemRefRankOf<[F32], [2]>], "matrix of f32">;
def QF_FloatTile : VectorOfRankAndType<[2], [F32]>;
def QF_Rows : AnyTypeOf<[TensorRankOf<[I32], [1]>, MemRefRankOf<[I32], [1]>], "row numbers">;

class QF_Op<string mnemonic, list<Trait> traits = []> : Op<QF_Dialect, mnemonic, traits>;

def QF_Tiling : DeclareOpInterfaceMethods<TilingInterface, [
  "getLoopIteratorTypes", "getIterationDomain", "getTiledImplementation", "getResultTilePosition",
  "generateResultTileValue", "getIterationDomainTileFromResultTile"]>;
def QF_Bufferizable : DeclareOpInterfaceMethods<BufferizableOpInterface, [
  "bufferizesToMemoryRead", "bufferizesToMemoryWrite", "getAliasingValues", "bufferize"]>;
def QF_Effects : DeclareOpInterfaceMethods<MemoryEffectsOpInterface>;

/// An op in destination style whose tiles follow from the loops that each dimension of each operand runs over.
class QF_TiledOp<string mnemonic, list<Trait> traits = []>
    : QF_Op<mnemonic, [QF_Tiling, DestinationStyleOpInterface, QF_Effects] # traits> {
  string tiledDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getOutMutable(); }
    /// The loop that each dimension of operand `i` runs over.
    static ::llvm::ArrayRef<unsigned> operandLoops(unsigned i);
    /// The loops: parallel or reductions.
    static ::llvm::ArrayRef<::mlir::utils::IteratorType> loops();
  }];
  let extraClassDeclaration = tiledDeclaration;
  let hasVerifier = 1;
}

//===- Weights, ahead of time --------------------------------------------------------------------------------===//
//
// What the passes of methods insert; `qf-materialize` alone executes it. Statistics are those of the inputs of the
// original graph: "columns", 3 × K, the means of |x| and x² and the largest |x|; "hessian", K × K, the mean of x xᵀ.

/// Floats of a weight, as the file has them or changed: f32.
def QF_WeightValue : AnyTypeOf<[TensorRankOf<[AnyFloat, QF_ElemType], [2]>, TensorRankOf<[F32], [1]>],
                               "matrix or vector of a model">;
def QF_Columns : TensorRankOf<[F32], [2]>;
def QF_Features : TensorRankOf<[F32], [1]>;

def QF_QuantizeOp : QF_Op<"quantize", [Pure, AttrSizedOperandSegments]> {
  let summary = "quantizes a weight by a method, ahead of time";
  let description = [{
    Operands after the method's name are its statistics. `inputs_over`: the linear's inputs are those that the
    statistics describe, divided by these numbers. Options of the method are attributes.

    ```mlir
    %p = qf.quantize %w using "gptq"(%columns, %hessian : tensor<3x2048xf32>, tensor<2048x2048xf32>) {damp = 0.01 : f64}
       : tensor<5632x2048xf32> -> tensor<5632x2048x!qf.elem<int<4, group = 128>>>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$w, StrAttr:$method, Variadic<QF_Columns>:$statistics,
                       Optional<QF_Features>:$input_scales);
  let results = (outs TensorOf<[QF_ElemType]>:$res);
  let assemblyFormat = [{
    $w `using` $method (`(` $statistics^ `:` type($statistics) `)`)?
    (`inputs_over` `(` $input_scales^ `:` type($input_scales) `)`)? attr-dict `:` type($w) `->` type($res)
  }];
  let hasVerifier = 1;
}

def QF_ScaleOp : QF_Op<"scale", [Pure]> {
  let summary = "multiplies the columns of a weight, or divides its rows, by numbers";
  let description = [{
    What one weight is multiplied by, the weight before it is divided by: the model stays the same. A vector (a norm, a
    bias) is divided like rows.

    ```mlir
    %a = qf.scale %w columns by %s : tensor<5632x2048xbf16>, tensor<2048xf32> -> tensor<5632x2048xf32>
    %n = qf.scale %norm over %s : tensor<2048xf32>, tensor<2048xf32> -> tensor<2048xf32>
    ```
  }];
  let arguments = (ins QF_WeightValue:$w, QF_Features:$scales, UnitAttr:$columns);
  let results = (outs QF_WeightValue:$res);
  let assemblyFormat = [{
    $w (`columns` `by` $columns^):(`over`)? $scales attr-dict `:` type($w) `,` type($scales) `->` type($res)
  }];
  let hasVerifier = 1;
}

def QF_SearchScalesOp : QF_Op<"search_scales", [Pure, AttrSizedOperandSegments]> {
  let summary = "the factors of columns that make the quantized weights best, for linears that share an input";
  let description = [{
    AWQ's search (Lin et al., 2023): of the factors mean|x|^r and mean|x|^r / mean|w|^(1 - r), r = 0, 1/steps, …,
    those with the least error of the outputs once the weights times the factors are rounded to `formats`; 1, where none
    lowers it.
    `method`: what will quantize the weights, `rtn` if nothing is said; `gptq` takes attributes of `qf.quantize`.
    `judged_by`: the Hessian of other inputs, by which errors are taken.

    ```mlir
    %s = qf.search_scales %wg, %wu using(%columns, %hessian) formats [!qf.elem<int<4>>, !qf.elem<int<4>>]
       : (tensor<64x32xf32>, tensor<64x32xf32>, tensor<3x32xf32>, tensor<32x32xf32>) -> tensor<32xf32>
    ```
  }];
  let arguments = (ins Variadic<QF_WeightValue>:$weights, QF_Columns:$statistics, QF_Columns:$hessian,
                       Optional<QF_Columns>:$held_out, TypeArrayAttr:$formats);
  let results = (outs QF_Features:$scales);
  let assemblyFormat = [{
    $weights `using` `(` $statistics `,` $hessian `)` (`judged_by` `(` $held_out^ `)`)? `formats` $formats attr-dict
    `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def QF_ClipOp : QF_Op<"clip", [Pure]> {
  let summary = "limits the weights of each group where that lowers the error of the outputs";
  let description = [{
    AWQ's clip search. `inputs_over` as for `qf.quantize`.

    ```mlir
    %c = qf.clip %w using(%columns, %hessian) format !qf.elem<int<4>>
       : tensor<64x32xf32>, tensor<3x32xf32>, tensor<32x32xf32> -> tensor<64x32xf32>
    ```
  }];
  let arguments = (ins QF_WeightValue:$w, QF_Columns:$statistics, QF_Columns:$hessian,
                       Optional<QF_Features>:$input_scales, TypeAttr:$format);
  let results = (outs QF_WeightValue:$res);
  let assemblyFormat = [{
    $w `using` `(` $statistics `,` $hessian `)` (`inputs_over` `(` $input_scales^ `:` type($input_scales) `)`)? `format`
    $format attr-dict `:` type($w) `,` type($statistics) `,` type($hessian) `->` type($res)
  }];
  let hasVerifier = 1;
}

//===- Activations and products ------------------------------------------------------------------------------===//

def QF_EncodeOp : QF_TiledOp<"encode", [QF_Bufferizable]> {
  let summary = "quantizes activations at run time: out = codes of x";
  let description = [{
    The format is the element of `out`; its description says how codes are chosen (clause `encode`). A vectorized tile
    has a vector for `x`; a bufferized op has no result.

    ```mlir
    %a = qf.encode %x into %out : tensor<?x2048xf32>, tensor<?x2048x!qf.elem<int<8>>> -> tensor<?x2048x!qf.elem<int<8>>>
    ```
  }];
  let arguments = (ins AnyTypeOf<[TensorRankOf<[F32], [2]>, QF_FloatTile]>:$x, QF_Quantized:$out);
  let results = (outs Variadic<AnyRankedTensor>:$res);
  let assemblyFormat = "$x `into` $out attr-dict `:` type($x) `,` type($out) (`->` type($res)^)?";
}

def QF_DecodeOp : QF_TiledOp<"decode"> {
  let summary = "values of chosen rows: out[t, k] = value of w[rows[t], k]";
  let description = [{
    Rows lie in [0, N): who runs the program checks that. Bits are those of the reference decode.

    ```mlir
    %e = qf.decode %table rows(%tokens) into %out
       : tensor<32000x2048x!qf.elem<f16>>, tensor<?xi32>, tensor<?x2048xf32> -> tensor<?x2048xf32>
    ```
  }];
  let arguments = (ins QF_Quantized:$w, QF_Rows:$rows, TensorRankOf<[F32], [2]>:$out);
  let results = (outs TensorRankOf<[F32], [2]>:$res);
  let assemblyFormat = "$w `rows` `(` $rows `)` `into` $out attr-dict `:` type($w) `,` type($rows) `,` type($out) "
                       "`->` type($res)";
}

def QF_ContractOp : QF_TiledOp<"contract"> {
  let summary = "out[m, n] += sum over k of x[m, k] w[n, k]";
  let description = [{
    `x` is f32, or activations of a format with integer codes, or on GPUs f16 or bf16. `exact`: f32, multiply then add,
    each rounded, k ascending. Otherwise one fixed order whose error is bounded (docs/Rationale.md).

    ```mlir
    %y = qf.contract %x, %w into %zero
       : tensor<?x2048xf32>, tensor<5632x2048x!qf.elem<int<4, group = 128>>>, tensor<?x5632xf32> -> tensor<?x5632xf32>
    ```
  }];
  let arguments = (ins AnyTypeOf<[TensorRankOf<[F32, F16, BF16], [2]>, QF_Quantized]>:$x, QF_Quantized:$w,
                       TensorRankOf<[F32], [2]>:$out, UnitAttr:$exact);
  let results = (outs TensorRankOf<[F32], [2]>:$res);
  let assemblyFormat = [{
    $x `,` $w `into` $out (`exact` $exact^)? attr-dict `:` type($x) `,` type($w) `,` type($out) `->` type($res)
  }];
}

def QF_TileDotOp : QF_Op<"tile_dot", [AllTypesMatch<["acc", "res"]>, QF_Effects, QF_Bufferizable]> {
  let summary = "qf.contract of one register tile: the accumulators are a vector value";
  let description = [{
    `acc` is tokens × rows; in kernel storage `w` has as many blocks below each other as that takes. `columns` is the
    extent of the sum, at most that of the tiles (the last block of a row may be filled up with zeros). Made by
    `qf-vectorize`, expanded by `qf-emit-tile-dot`.
  }];
  let arguments = (ins QF_FloatTile:$acc, AnyTypeOf<[QF_FloatMatrix, QF_Quantized]>:$x, QF_Quantized:$w,
                       ConfinedAttr<I64Attr, [IntPositive]>:$columns, UnitAttr:$exact);
  let results = (outs QF_FloatTile:$res);
  let assemblyFormat = "$acc `,` $x `,` $w `columns` $columns (`exact` $exact^)? attr-dict `:` "
                       "type($acc) `,` type($x) `,` type($w)";
  let hasVerifier = 1;
}

def QF_TileDecodeOp : QF_Op<"tile_decode", [QF_Effects, QF_Bufferizable]> {
  let summary = "qf.decode of one tile of one row";
  let description = "`row` counts from the first row of `w`; the vector has the first columns of that row.";
  let arguments = (ins QF_Quantized:$w, Index:$row);
  let results = (outs QF_FloatTile:$res);
  let assemblyFormat = "$w `[` $row `]` attr-dict `:` type($w) `->` type($res)";
  let hasVerifier = 1;
}

/// Blocks of kernel storage as bytes: the last dimension is one block.
def QF_BlockBytes : AnyTypeOf<[RankedTensorOf<[I8]>, MemRefOf<[I8]>], "blocks as bytes">;

def QF_EncodeRowOp : QF_Op<"encode_row", [QF_Effects, QF_Bufferizable]> {
  let summary = "quantizes a row of one block of kernel storage at run time";
  let description = [{
    Stores `x`, the first columns of a row of the block at `at` (those beyond are zeros), by the clause `encode` of the
    block's format. Other rows stay. How rows of the KV cache are written: the tensor is one of bytes, because a cache
    is counted in positions, of which a block holds several. A bufferized op has no result.

    ```mlir
    %new = qf.encode_row %key row %r of !qf.block<f16, r16> into %cache[%head, %group, %c0]
      : vector<32xf32>, tensor<4x?x2x1024xi8> -> tensor<4x?x2x1024xi8>
    ```
  }];
  let arguments = (ins VectorOfRankAndType<[1], [F32]>:$x, Index:$row, TypeAttrOf<QF_BlockType>:$block,
                       QF_BlockBytes:$out, Variadic<Index>:$at);
  let results = (outs Variadic<RankedTensorOf<[I8]>>:$res);
  let assemblyFormat = [{
    $x `row` $row `of` $block `into` $out `[` $at `]` attr-dict `:` type($x) `,` type($out) (`->` type($res)^)?
  }];
  let hasVerifier = 1;
}

def QF_DecodeBlockOp : QF_Op<"decode_block", [QF_Effects, QF_Bufferizable]> {
  let summary = "values of all rows of one block of kernel storage";
  let description = [{
    `res[c, r]` is the value in column c of row r: the rows are the lanes of vectors. Bits are those of the reference
    decode.

    ```mlir
    %v = qf.decode_block %cache[%head, %group, %c0] of !qf.block<f16, r16> : tensor<4x?x2x1024xi8> -> vector<32x16xf32>
    ```
  }];
  let arguments = (ins QF_BlockBytes:$bytes, Variadic<Index>:$at, TypeAttrOf<QF_BlockType>:$block);
  let results = (outs QF_FloatTile:$res);
  let assemblyFormat = "$bytes `[` $at `]` `of` $block attr-dict `:` type($bytes) `->` type($res)";
  let hasVerifier = 1;
}

def QF_AddressOp : QF_Op<"address", [Pure]> {
  let summary = "the address of the first element of a memref";
  let description = "How emitted code, which works on bytes, reaches blocks.";
  let arguments = (ins AnyMemRef:$memref);
  let results = (outs LLVM_AnyPointer:$address);
  let assemblyFormat = "$memref attr-dict `:` type($memref) `->` type($address)";
}

def QF_ArgumentOp : QF_Op<"argument", [MemoryEffects<[MemRead]>]> {
  let summary = "an argument of a kernel, out of the array of arguments";
  let description = [{
    `args[slot]` is the address of a buffer and is followed by its dynamic sizes, or it is the value of an `index`.
  }];
  let arguments = (ins LLVM_AnyPointer:$args, ConfinedAttr<I64Attr, [IntNonNegative]>:$slot);
  let results = (outs AnyTypeOf<[AnyMemRef, Index]>:$value);
  let assemblyFormat = "$args `[` $slot `]` attr-dict `:` type($args) `->` type($value)";
}

#endif // QUANTC_DIALECT_QF_QFOPS
