//===- NNOps.td - the operations of model graphs --------------------------------------------------------------===//

#ifndef QUANTC_DIALECT_NN_NNOPS
#define QUANTC_DIALECT_NN_NNOPS

include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "quantc/Dialect/NN/NNAttributes.td"

/// f32 activations: tokens × features.
def NN_Activations : 2DTensorOf<[F32]>;
/// Activations of nn.linear may also be quantized by qf.encode.
def NN_LinearInput : TensorRankOf<[AnyType], [2]>;
/// A matrix of weights, N × K: float, or `!qf.elem`.
def NN_Matrix : TensorRankOf<[AnyType], [2]>;
def NN_Vector : 1DTensorOf<[F32, F16, BF16]>;
/// `[kv_head][position][head_dim]`, positions dynamic (the capacity of the cache, a multiple of 16). The *keys* lie in
/// groups of 16 positions: element (h, p, d) of C positions stands at ((h · C/16 + p/16) · D + d) · 16 +
/// p mod 16. Values are row-major. Of `!qf.elem` (any format with kernel storage), both lie as blocks of kernel storage
/// of 16 rows: `[kv_head][group of 16 positions][block of features]`, positions being the rows; what is beyond the head
/// size in the last block counts as zeros when codes are chosen.
def NN_Cache : TensorRankOf<[AnyType], [3]>;
def NN_Tokens : 1DTensorOf<[I32]>;
/// `#nn.angles`: rows × (cosines, sines) × pairs.
def NN_AngleTable : TensorRankOf<[F32], [3]>;

class NN_Op<string mnemonic, list<Trait> traits = []> : Op<NN_Dialect, mnemonic, traits>;

//===- Weights -----------------------------------------------------------------------------------------------===//

def NN_WeightOp : NN_Op<"weight", [Symbol]> {
  let summary = "names a weight of the model";
  let description = [{
    The initializer says what the values are: `#nn.source` (a tensor of a file, the usual case), what passes
    made of one (`#nn.scaled`, `#nn.rotated`, `#nn.chosen`, `#nn.cleared`), `#nn.angles`, `#nn.columns`, or a small
    `dense` constant (at most 4096 elements, or all the same), which makes passes testable from a text file.
    `hash` is the content hash of the source's bytes, once they were read.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<AnyRankedTensor>:$type, AnyAttr:$from,
                       OptionalAttr<StrAttr>:$hash);
  let assemblyFormat = "$sym_name `:` $type `from` $from (`hash` $hash^)? attr-dict";
  let hasVerifier = 1;
}

def NN_GetOp : NN_Op<"get", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "the value of a weight";
  let arguments = (ins FlatSymbolRefAttr:$weight);
  let results = (outs AnyRankedTensor:$value);
  let assemblyFormat = "$weight `:` type($value) attr-dict";
}

//===- Structure ---------------------------------------------------------------------------------------------===//

def NN_StageOp : NN_Op<"stage", [SingleBlock, NoRegionArguments, RecursiveMemoryEffects]> {
  let summary = "a part of the model that is one stage of the program: embed, block.0, head";
  let arguments = (ins StrAttr:$stage);
  let results = (outs Variadic<AnyType>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$stage (`->` type($results)^)? $body attr-dict";
  let hasVerifier = 1;
}

def NN_YieldOp : NN_Op<"yield", [Pure, Terminator, HasParent<"StageOp">]> {
  let summary = "the results of a stage";
  let arguments = (ins Variadic<AnyType>:$values);
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
}

//===- Layers ------------------------------------------------------------------------------------------------===//

def NN_EmbeddingOp : NN_Op<"embedding", [Pure]> {
  let summary = "rows of a table: y[t] = table[tokens[t]]";
  let description = "Tokens lie in [0, V): who runs the program checks that.";
  let arguments = (ins NN_Tokens:$tokens, NN_Matrix:$table);
  let results = (outs NN_Activations:$y);
  let assemblyFormat = "$tokens `,` $table attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def NN_LinearOp : NN_Op<"linear", [Pure, AttrSizedOperandSegments]> {
  let summary = "y = x Wᵀ + bias, for one weight or several, with an epilogue";
  let description = [{
    Each weight `N × K` gives one result `tokens × N`. Fused projections have several weights, each of its own N and
    format; bytes are never concatenated. Epilogues: biases (none, or one for each weight), then either a `gate` (two
    weights of one shape, one result `gate(x W₀ᵀ) · (x W₁ᵀ)`) or `add`, a residual of the shape of the one result.

    ```mlir
    %q, %k, %v = nn.linear %x weights(%wq, %wk, %wv : …) bias(%bq, %bk, %bv : …) : tensor<?x2048xf32> -> …
    %h = nn.linear %x weights(%gate, %up : …) gate(silu) : tensor<?x2048xf32> -> tensor<?x5632xf32>
    %y = nn.linear %h weights(%down : …) add(%x : tensor<?x2048xf32>) : tensor<?x5632xf32> -> tensor<?x2048xf32>
    ```
  }];
  let arguments = (ins NN_LinearInput:$x, Variadic<NN_Matrix>:$weights, Variadic<NN_Vector>:$biases,
                       Optional<NN_Activations>:$residual, OptionalAttr<NN_Activation>:$gate);
  let results = (outs Variadic<NN_Activations>:$results);
  let assemblyFormat = [{
    $x `weights` `(` $weights `:` type($weights) `)` (`bias` `(` $biases^ `:` type($biases) `)`)?
    (`gate` `(` $gate^ `)`)? (`add` `(` $residual^ `:` type($residual) `)`)? attr-dict `:` type($x) `->` type($results)
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// Input features.
    int64_t getK() { return ::llvm::cast<::mlir::RankedTensorType>(getX().getType()).getDimSize(1); }
  }];
}

def NN_GatherOp : NN_Op<"gather", [Pure]> {
  let summary = "chosen features, in an order: y[t][j] = x[t][columns[j]]";
  let description = [{
    Where a weight has its columns in another order than its file (GPTQ's act-order: those of a group next to each
    other), the input of its linear has to be in that order; where a linear reads only some features, they are chosen.
    Who writes the table checks that its elements lie in [0, K).

    ```mlir
    %c = nn.get @blk.0.ffn_down.columns : tensor<5632xi32>
    %p = nn.gather %x by %c : tensor<?x5632xf32>, tensor<5632xi32> -> tensor<?x5632xf32>
    ```
  }];
  let arguments = (ins NN_Activations:$x, 1DTensorOf<[I32]>:$columns);
  let results = (outs NN_Activations:$y);
  let assemblyFormat = "$x `by` $columns attr-dict `:` type($x) `,` type($columns) `->` type($y)";
  let hasVerifier = 1;
}

def NN_ScaleOp : NN_Op<"scale", [Pure, AllTypesMatch<["x", "y"]>]> {
  let summary = "each feature times a number: y[t][k] = x[t][k] · factors[k]";
  let description = [{
    ```mlir
    %f = nn.get @blk.0.attn_q.inner : tensor<2048xf32>
    %y = nn.scale %x by %f : tensor<?x2048xf32>, tensor<2048xf32>
    ```
  }];
  let arguments = (ins NN_Activations:$x, 1DTensorOf<[F32]>:$factors);
  let results = (outs NN_Activations:$y);
  let assemblyFormat = "$x `by` $factors attr-dict `:` type($x) `,` type($factors)";
  let hasVerifier = 1;
}

def NN_RmsNormOp : NN_Op<"rms_norm", [Pure, AllTypesMatch<["x", "y"]>]> {
  let summary = "y = x / sqrt(mean(x²) + eps) · weight, over runs of as many features as the weight has";
  let description = [{
    The weight has C elements and C divides the features D of x: each run of C features of a token is normalized by
    itself (C = D: the usual norm; C = head_dim: the norm of queries and keys).
  }];
  let arguments = (ins NN_Activations:$x, NN_Vector:$weight, F32Attr:$eps);
  let results = (outs NN_Activations:$y);
  let assemblyFormat = "$x `,` $weight `eps` $eps attr-dict `:` type($x) `,` type($weight)";
  let hasVerifier = 1;
}

def NN_RopeOp : NN_Op<"rope", [Pure, AllTypesMatch<["x", "y"]>]> {
  let summary = "rotary position embedding of each head of x";
  let description = [{
    x holds heads of `head_dim` features. Token t stands at position p = past + t. Of each head the first 2H features
    are rotated, H the pairs of the tables: pair i, (a, b), becomes (a cos − b sin, b cos + a sin) of the angle p ·
    frequency[i]. `low` has the angles of R positions at step 1, `high` those of the multiples of R (step R), so that
    angle = low[p mod R] + high[p div R]; cosine and sine come by the angle sum. R is a power of two. Style `half`
    pairs (i, i + H), `adjacent` pairs (2i, 2i + 1).
  }];
  let arguments = (ins NN_Activations:$x, Index:$past, NN_AngleTable:$low, NN_AngleTable:$high,
                       I64Attr:$head_dim, NN_RopeStyle:$style);
  let results = (outs NN_Activations:$y);
  let assemblyFormat = [{
    $x `at` $past `angles` `(` $low `,` $high `)` `head_dim` $head_dim `style` $style attr-dict
    `:` type($x) `,` type($low) `,` type($high)
  }];
  let hasVerifier = 1;
}

def NN_KvAppendOp : NN_Op<"kv_append", [Pure, AllTypesMatch<["keys", "new_keys"]>,
                                        AllTypesMatch<["values", "new_values"]>]> {
  let summary = "stores keys and values of this step at positions past, past + 1, … of the cache";
  let description = [{
    k is `tokens × (kv_heads · D)`, the caches are `kv_heads × positions × D` in f16, rounded to nearest even, or in a
    format, by its clause `encode`. The caches are written in place once bufferized.
  }];
  let arguments = (ins NN_Activations:$k, NN_Activations:$v, Index:$past, NN_Cache:$keys, NN_Cache:$values);
  let results = (outs NN_Cache:$new_keys, NN_Cache:$new_values);
  let assemblyFormat = [{
    $k `,` $v `at` $past `into` $keys `,` $values attr-dict `:` type($k) `,` type($v) `into` type($keys) `,`
    type($values)
  }];
  let hasVerifier = 1;
}

def NN_AttentionOp : NN_Op<"attention", [Pure]> {
  let summary = "causal attention of grouped queries over the KV cache";
  let description = [{
    q is `tokens × (heads · D)`, the result `tokens × (heads · Dv)`. Query head h reads key head h / (heads /
    kv_heads). Token t at position p = past + t sees the positions j of the cache with j ≤ p and, with a `window`, j >
    p − window: score = scale · (q · key[j]), softcap · tanh(score / softcap) where given, softmax over j, then the
    sum of values.
  }];
  let arguments = (ins NN_Activations:$q, NN_Cache:$keys, NN_Cache:$values, Index:$past, F32Attr:$scale,
                       OptionalAttr<I64Attr>:$window, OptionalAttr<F32Attr>:$softcap);
  let results = (outs NN_Activations:$y);
  let assemblyFormat = [{
    $q `,` $keys `,` $values `at` $past `scale` $scale (`window` $window^)? (`softcap` $softcap^)? attr-dict
    `:` type($q) `,` type($keys) `,` type($values) `->` type($y)
  }];
  let hasVerifier = 1;
}

def NN_AttentionPartsOp : NN_Op<"attention_parts", [Pure]> {
  let summary = "nn.attention over parts of the positions, each by itself";
  let description = [{
    The positions that a token sees are dealt out in order: each of `parts` parts has the same number, a multiple of
    128, the last ones fewer or none. (With a window they begin at the multiple of 16 before it.) The result is
    `tokens × (parts · heads · (Dv + 2))`, of each part and head: the sums of the values, weighted by exp(score −
    maximum), the maximum of the scores, the sum of the weights. A part without positions holds anything.

    ```mlir
    %p = nn.attention_parts %q, %keys, %values at %past scale 0.125 parts 16 : tensor<?x2048xf32>,
      tensor<8x?x64xf16>, tensor<8x?x64xf16> -> tensor<?x33792xf32>
    %y = nn.combine_parts %p at %past heads 32 parts 16 : tensor<?x33792xf32> -> tensor<?x2048xf32>
    ```
  }];
  let arguments = (ins NN_Activations:$q, NN_Cache:$keys, NN_Cache:$values, Index:$past, F32Attr:$scale,
                       OptionalAttr<I64Attr>:$window, OptionalAttr<F32Attr>:$softcap, I64Attr:$parts);
  let results = (outs NN_Activations:$state);
  let assemblyFormat = [{
    $q `,` $keys `,` $values `at` $past `scale` $scale (`window` $window^)? (`softcap` $softcap^)? `parts` $parts
    attr-dict `:` type($q) `,` type($keys) `,` type($values) `->` type($state)
  }];
  let hasVerifier = 1;
}

def NN_CombinePartsOp : NN_Op<"combine_parts", [Pure]> {
  let summary = "attention of what nn.attention_parts left: one softmax over all parts";
  let description = [{
    y = Σ exp(maximum[p] − m) · values[p] / Σ exp(maximum[p] − m) · sum[p], m the largest maximum, over the parts that
    have positions, in order. `past`, `parts` and `window` are those of `nn.attention_parts`.
  }];
  let arguments = (ins NN_Activations:$state, Index:$past, I64Attr:$heads, I64Attr:$parts,
                       OptionalAttr<I64Attr>:$window);
  let results = (outs NN_Activations:$y);
  let assemblyFormat = [{
    $state `at` $past `heads` $heads `parts` $parts (`window` $window^)? attr-dict `:` type($state) `->` type($y)
  }];
  let hasVerifier = 1;
}

def NN_GatedOp : NN_Op<"gated", [Pure, AllTypesMatch<["gate", "up", "y"]>]> {
  let summary = "y = activation(gate) · up";
  let arguments = (ins NN_Activation:$activation, NN_Activations:$gate, NN_Activations:$up);
  let results = (outs NN_Activations:$y);
  let assemblyFormat = "$activation $gate `,` $up attr-dict `:` type($y)";
}

def NN_AddOp : NN_Op<"add", [Pure, Commutative, AllTypesMatch<["a", "b", "y"]>]> {
  let summary = "the residual: y = a + b";
  let arguments = (ins NN_Activations:$a, NN_Activations:$b);
  let results = (outs NN_Activations:$y);
  let assemblyFormat = "$a `,` $b attr-dict `:` type($y)";
}

def NN_LastOp : NN_Op<"last", [Pure, AllTypesMatch<["x", "y"]>]> {
  let summary = "the last `rows` tokens of x: those whose logits are wanted";
  let arguments = (ins NN_Activations:$x, Index:$rows);
  let results = (outs NN_Activations:$y);
  let assemblyFormat = "$x `,` $rows attr-dict `:` type($x)";
}

def NN_ArgMaxOp : NN_Op<"argmax", [Pure]> {
  let summary = "the largest feature of each token, and where it stands first";
  let description = [{
    `largest[t]` is the largest of the numbers x[t], `tokens[t]` the first i with x[t][i] = largest[t]: the most likely
    token, where x are logits. If one of x[t] is NaN, `largest[t]` is NaN and `tokens[t]` any feature.

    ```mlir
    %tokens, %largest = nn.argmax %logits : tensor<?x32000xf32> -> tensor<?xi32>, tensor<?xf32>
    ```
  }];
  let arguments = (ins NN_Activations:$x);
  let results = (outs NN_Tokens:$tokens, 1DTensorOf<[F32]>:$largest);
  let assemblyFormat = "$x attr-dict `:` type($x) `->` type($tokens) `,` type($largest)";
  let hasVerifier = 1;
}

def NN_TopOp : NN_Op<"top", [Pure]> {
  let summary = "the largest features of each token in their order, and where they stand";
  let description = [{
    `logits[t]` are the largest of the numbers x[t], the largest first, `tokens[t]` where they stand; of equal ones the
    smaller place comes first. Where fewer numbers are above -infinity, the rest are -infinity, at place 0. If one of
    x[t] is NaN, all of `logits[t]` are NaN and `tokens[t]` any features.

    ```mlir
    %tokens, %largest = nn.top %logits : tensor<?x32000xf32> -> tensor<?x64xi32>, tensor<?x64xf32>
    ```
  }];
  let arguments = (ins NN_Activations:$x);
  let results = (outs 2DTensorOf<[I32]>:$tokens, 2DTensorOf<[F32]>:$logits);
  let assemblyFormat = "$x attr-dict `:` type($x) `->` type($tokens) `,` type($logits)";
  let hasVerifier = 1;
}

//===- Calibration -------------------------------------------------------------------------------------------===//

def NN_StateOp : NN_Op<"state", [Pure]> {
  let summary = "numbers that outlive a step: a persistent buffer of the program, named";
  let arguments = (ins StrAttr:$name);
  let results = (outs TensorOf<[F32]>:$value);
  let assemblyFormat = "$name attr-dict `:` type($value)";
}

def NN_ObserveOp : NN_Op<"observe", [MemoryEffects<[MemWrite]>, AllTypesMatch<["columns", "new_columns"]>]> {
  let summary = "adds what calibration wants to know of x to states";
  let description = [{
    `columns` (3 × K): the sums of |x| and of x² of each feature over tokens, and the largest |x|. `hessian` (K × K):
    the sums of x[i] · x[j] for j ≥ i; below the diagonal it stays as it was. Sums are f32, tokens ascending, products
    fused. The states are updated in place.

    ```mlir
    %c = nn.state "columns.blk.0.attn_q" : tensor<3x2048xf32>
    %h = nn.state "hessian.blk.0.attn_q" : tensor<2048x2048xf32>
    %c2, %h2 = nn.observe %x into %c, %h : tensor<?x2048xf32> into tensor<3x2048xf32>, tensor<2048x2048xf32>
      -> tensor<2048x2048xf32>
    ```
  }];
  let arguments = (ins NN_Activations:$x, 2DTensorOf<[F32]>:$columns, Optional<2DTensorOf<[F32]>>:$hessian);
  let results = (outs 2DTensorOf<[F32]>:$new_columns, Optional<2DTensorOf<[F32]>>:$new_hessian);
  let assemblyFormat = [{
    $x `into` $columns (`,` $hessian^)? attr-dict `:` type($x) `into` type($columns) (`,` type($hessian)^)?
    (`->` type($new_hessian)^)?
  }];
  let hasVerifier = 1;
}

#endif // QUANTC_DIALECT_NN_NNOPS
