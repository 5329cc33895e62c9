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
  let summary = "the order in which a weight has the columns of its file, for nn.permute";
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
