//===- NNAttributes.td - where weights come from, and choices of ops ------------------------------------------===//

#ifndef QUANTC_DIALECT_NN_NNATTRIBUTES
#define QUANTC_DIALECT_NN_NNATTRIBUTES

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "quantc/Dialect/NN/NNDialect.td"

def NN_SourceAttr : AttrDef<NN_Dialect, "Source"> {
  let summary = "the bytes of a weight: a tensor of a file of the model";
  let description = [{
    `file` is relative to the model's directory. `row` is the first row of `tensor` that belongs to the weight, for
    files that stack several projections in one tensor (`#nn.source<"a.safetensors", "qkv_proj.weight", row = 2048>`).
  }];
  let mnemonic = "source";
  let parameters = (ins StringRefParameter<"file">:$file, StringRefParameter<"tensor of the file">:$tensor,
                        DefaultValuedParameter<"int64_t", "0">:$row);
  let assemblyFormat = "`<` $file `,` $tensor (`,` `row` `=` $row^)? `>`";
}

def NN_ColumnsAttr : AttrDef<NN_Dialect, "Columns"> {
  let summary = "the order in which a weight has the columns of its file, for nn.gather";
  let description = [{
    Element `j` of the table `tensor<K x i32>` is the column of `tensor` in `file` that is column j of the weight.
  }];
  let mnemonic = "columns";
  let parameters = (ins StringRefParameter<"file">:$file, StringRefParameter<"tensor of the file">:$tensor);
  let assemblyFormat = "`<` $file `,` $tensor `>`";
}

def NN_AnglesAttr : AttrDef<NN_Dialect, "Angles"> {
  let summary = "a table of cosines and sines for nn.rope, computed in f64 and rounded to f32 once";
  let description = [{
    Row `p` of the table `tensor<R x 2 x H x f32>` holds `cos(p · step · frequency[i])` for the H frequencies, then
    the sines. Frequencies are written with all their digits: `#nn.angles<step = 1, frequencies = [1.0, 0.01]>`.
  }];
  let mnemonic = "angles";
  let parameters = (ins "int64_t":$step, "::mlir::DenseF64ArrayAttr":$frequencies);
  let assemblyFormat = "`<` `step` `=` $step `,` `frequencies` `=` custom<Frequencies>($frequencies) `>`";
}

def NN_StatisticAttr : AttrDef<NN_Dialect, "Statistic"> {
  let summary = "a statistic of the inputs of a linear, which calibration gives";
  let description = [{
    `#nn.statistic<"columns.blk.0.attn_q">` or `#nn.statistic<"hessian.blk.0.attn_q">`: what the observer of that name
    found, as means over tokens. A `nn.weight` of it is gone once weights were quantized.
  }];
  let mnemonic = "statistic";
  let parameters = (ins StringRefParameter<"columns or hessian, and the observer">:$name);
  let assemblyFormat = "`<` $name `>`";
}

//===- Values that are made of others -------------------------------------------------------------------------===//
//
// What a pass made of a weight stands where the weight came from, so bytes are still read where they lie, when somebody
// wants them: `of` is `#nn.source`, a dense constant, or again one of these. Computed in f64, rounded to f32 once.

def NN_ScaledAttr : AttrDef<NN_Dialect, "Scaled"> {
  let summary = "a weight whose columns are multiplied by the elements of a vector";
  let description = "What a norm multiplied by: `#nn.scaled<#nn.source<\"a\", \"q\">, by = #nn.source<\"a\", \"n\">>`.";
  let mnemonic = "scaled";
  let parameters = (ins "::mlir::Attribute":$of, "::mlir::Attribute":$by);
  let assemblyFormat = "`<` $of `,` `by` `=` $by `>`";
}

def NN_Side : I32EnumAttr<"Side", "which features of a matrix: of what it reads, or of what it gives", [
    I32EnumAttrCase<"Columns", 0, "columns">, I32EnumAttrCase<"Rows", 1, "rows">
  ]> {
  let cppNamespace = "::quantc::nn";
}

def NN_RotatedAttr : AttrDef<NN_Dialect, "Rotated"> {
  let summary = "a weight in the basis that a randomized Hadamard rotation gives its features";
  let description = [{
    Runs of `run` = m · 2^k features (m odd) are multiplied by the orthogonal matrix R = D (Q ⊗ H) / sqrt(2^k): D has
    signs on its diagonal, which the seed gives (Rotation.h); H is Sylvester's Hadamard matrix of size 2^k; Q is the
    reflection 1 − 2/m of size m, or 1 where m is 1. `columns`: W R; `rows`: Rᵀ W; a vector is a row, and has columns.
    Then (x R)(W R)ᵀ = x Wᵀ, and x (Rᵀ W)ᵀ = (x Wᵀ) R. (Ashkboos et al., "QuaRot", 2024.)
  }];
  let mnemonic = "rotated";
  let parameters = (ins "::mlir::Attribute":$of, EnumParameter<NN_Side>:$side, "int64_t":$run, "uint64_t":$seed);
  let assemblyFormat = "`<` $of `,` $side `,` `run` `=` $run `,` `seed` `=` $seed `>`";
}

def NN_ChosenAttr : AttrDef<NN_Dialect, "Chosen"> {
  let summary = "some columns of a weight, in an order";
  let description = "`#nn.chosen<#nn.source<\"a\", \"q\">, [3, 17]>`: columns 3 and 17.";
  let mnemonic = "chosen";
  let parameters = (ins "::mlir::Attribute":$of, ArrayRefParameter<"int64_t">:$columns);
  let assemblyFormat = "`<` $of `,` `[` $columns `]` `>`";
}

def NN_ClearedAttr : AttrDef<NN_Dialect, "Cleared"> {
  let summary = "a weight with zeros in some columns";
  let description = "`#nn.cleared<dense<1.0> : tensor<64xf32>, [3, 17]>`: ones, but for elements 3 and 17.";
  let mnemonic = "cleared";
  let parameters = (ins "::mlir::Attribute":$of, ArrayRefParameter<"int64_t">:$columns);
  let assemblyFormat = "`<` $of `,` `[` $columns `]` `>`";
}

//===- Choices of ops -----------------------------------------------------------------------------------------===//

def NN_RopeStyle : I32EnumAttr<"RopeStyle", "which two features of a head make a pair", [
    I32EnumAttrCase<"Half", 0, "half">,         // (i, i + D/2)
    I32EnumAttrCase<"Adjacent", 1, "adjacent">  // (2i, 2i + 1)
  ]> {
  let cppNamespace = "::quantc::nn";
}

def NN_Activation : I32EnumAttr<"Activation", "an activation function", [
    I32EnumAttrCase<"Silu", 0, "silu">,            // x / (1 + exp(-x))
    I32EnumAttrCase<"GeluTanh", 1, "gelu_tanh">,   // x Φ(x) by the approximation of tanh
    I32EnumAttrCase<"Relu", 2, "relu">
  ]> {
  let cppNamespace = "::quantc::nn";
}

#endif // QUANTC_DIALECT_NN_NNATTRIBUTES
