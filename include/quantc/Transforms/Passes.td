//===- Passes.td - passes on the graph of a model -------------------------------------------------------------===//

#ifndef QUANTC_TRANSFORMS_PASSES
#define QUANTC_TRANSFORMS_PASSES

include "mlir/Pass/PassBase.td"

//===- Rewriting a model so that it quantizes better ---------------------------------------------------------===//

def NNFoldNorms : Pass<"nn-fold-norms", "mlir::ModuleOp"> {
  let summary = "move what norms multiply by into the linears that read them";
  let description = [{
    - *Requires*: a graph, before formats are assigned.
    - *Produces*: for each `nn.rms_norm` over all features that only linears read, weights of these from
      `#nn.scaled<…, by = the norm's>`, and a norm of ones. A weight that is read elsewhere too (embeddings as the head)
      stays what it is there, and becomes one of its own here: `@output`.
    - *Preserves*: the function that the model computes; all other norms.

    ```mlir
    nn.weight @n : tensor<2048xf32> from #nn.source<"a", "norm">
    nn.weight @w : tensor<5632x2048xbf16> from #nn.source<"a", "up">
    // becomes
    nn.weight @n : tensor<2048xf32> from dense<1.0> : tensor<2048xf32>
    nn.weight @w : tensor<5632x2048xf32> from #nn.scaled<#nn.source<"a", "up">, by = #nn.source<"a", "norm">>
    ```
  }];
  let statistics = [Statistic<"folded", "folded", "norms folded">];
}

def NNRotate : Pass<"nn-rotate", "mlir::ModuleOp"> {
  let summary = "fold randomized Hadamard rotations into the weights (QuaRot, R1 and R2 of SpinQuant)";
  let description = [{
    - *Requires*: `nn-fold-norms`, before formats are assigned; linears not yet fused.
    - *Produces*: the residual stream, from the embedding on, in a rotated basis: tables of embeddings, and weights that
      read it through a norm, from `#nn.rotated<…, columns, run = all features>`; weights and biases that add to it from
      `… rows …`. With `heads`, where nothing stands between: the values of each head likewise, `rows` of their linear
      and `columns` of that behind the attention in runs of the head's features, with the next seed. Nothing is left to
      do at run time.
    - *Preserves*: the function that the model computes, up to rounding to f32; names.
    - *Fails* where something else than norms of ones before linears, sums with outputs of linears, and `nn.last` reads
      the residual stream.

    ```mlir
    nn.weight @up : tensor<5632x2048xf32> from #nn.scaled<#nn.source<"a", "up">, by = #nn.source<"a", "norm">>
    nn.weight @down : tensor<2048x5632xbf16> from #nn.source<"a", "down">
    // becomes
    nn.weight @up : tensor<5632x2048xf32> from #nn.rotated<#nn.scaled<…>, columns, run = 2048, seed = 0>
    nn.weight @down : tensor<2048x5632xf32> from #nn.rotated<#nn.source<"a", "down">, rows, run = 2048, seed = 0>
    ```
  }];
  let options = [Option<"seed", "seed", "uint64_t", "0", "of the signs">,
                 Option<"heads", "heads", "bool", "true", "also the values of each head">];
  let statistics = [Statistic<"rotated", "rotated", "weights rotated">];
}

//===- Plan --------------------------------------------------------------------------------------------------===//

def NNAssignFormats : Pass<"nn-assign-formats", "mlir::ModuleOp"> {
  let summary = "decide the format of every matrix of weights";
  let description = [{
    - *Requires*: a graph.
    - *Produces*: the attribute `nn.format` at each `nn.weight` that an `nn.linear` or `nn.embedding` reads: `format`
      for all, or what `policy` says for each by its name and place, or, with neither, the format that the weight has.
      Vectors (norms, biases) stay floats.
    - *Preserves*: everything else.
    - *Fails* on a format or policy that is not known.

    ```mlir
    nn.weight @blk.0.ffn_up : tensor<5632x2048xbf16> from #nn.source<"model.safetensors", "…">
    // becomes
    nn.weight @blk.0.ffn_up : tensor<5632x2048xbf16> from … {nn.format = !qf.elem<int<4, group = 128>>}
    ```
  }];
  let options = [Option<"format", "format", "std::string", "", "specification of a format, for all weights">,
                 Option<"policy", "policy", "std::string", "", "name of a policy, or its file">];
  let statistics = [Statistic<"assigned", "assigned", "weights that change their format">];
  let dependentDialects = ["::quantc::qf::QFDialect"];
}

def NNAssignCacheFormat : Pass<"nn-assign-cache-format", "mlir::ModuleOp"> {
  let summary = "decide the format of the KV cache";
  let description = [{
    - *Requires*: a graph whose caches are f16.
    - *Produces*: caches of the format: types of parameters, stages and `nn.kv_append`. How they lie is said by
      `NN_Cache`.
    - *Preserves*: everything else.
    - *Fails* on a format that is not known, or has no kernel storage.

    ```mlir
    func.func @forward(%tokens: tensor<?xi32>, …, %keys: tensor<4x?x64xf16>, %values: tensor<4x?x64xf16>) …
    // becomes, with format=int:8:g32
    func.func @forward(…, %keys: tensor<4x?x64x!qf.elem<int<8, group = 32>>>, …) …
    ```
  }];
  let options = [Option<"format", "format", "std::string", "", "specification of a format">];
  let dependentDialects = ["::quantc::qf::QFDialect"];
}

def NNCheckFormats : Pass<"nn-check-formats", "mlir::ModuleOp"> {
  let summary = "refuse formats that cannot hold their weights";
  let description = [{
    - *Requires*: `nn-assign-formats`.
    - *Produces*: nothing.
    - *Fails* where the rows of a weight are no whole number of blocks of the assigned format, or the format has no
      kernel storage; a note says what is the matter. All such weights are reported, not only the first.

    ```mlir
    nn.weight @w : tensor<8x96xf32> from … {nn.format = !qf.elem<int<4, group = 64>>}
    // error: weight w (8 x 96) cannot be int:4:g64
    ```
  }];
}

//===- Encode ------------------------------------------------------------------------------------------------===//

def NNSplitOutliers : Pass<"nn-split-outliers", "mlir::ModuleOp"> {
  let summary = "keep columns with large inputs as floats, in a linear of their own (LLM.int8)";
  let description = [{
    - *Requires*: `nn-assign-formats`, linears not yet fused; constants `@columns.NAME`, a file of statistics, or the
      driver's, NAME being the observer of the input (`nn-insert-observers`).
    - *Produces*: where features of an input reach `threshold`, and a linear that reads it shall be quantized: the
      linear reads the input with zeros there (`nn.scale`), from weights with zeros there (`#nn.cleared`); a second
      one reads these features alone (`nn.gather`), from `@WEIGHT.outliers` (`#nn.chosen`) in bf16, where the model has
      that, or f16; their results are added. Any format and method can follow.
    - *Preserves*: the function that the model computes; all other linears; shapes and formats of weights.
    - *Fails* on statistics that nobody gives, and on a threshold that is not positive.

    ```mlir
    %y = nn.linear %x weights(%w : …) : tensor<?x2048xf32> -> tensor<?x5632xf32>
    // becomes
    %i = nn.scale %x by %ones_but_for_outliers : …
    %a = nn.linear %i weights(%w : …) : tensor<?x2048xf32> -> tensor<?x5632xf32>
    %o = nn.gather %x by %columns : tensor<?x2048xf32>, tensor<2xi32> -> tensor<?x2xf32>
    %b = nn.linear %o weights(%w_outliers : …) : tensor<?x2xf32> -> tensor<?x5632xf32>
    %y = nn.add %a, %b : …
    ```
  }];
  let options = [Option<"threshold", "threshold", "double", "6.0", "from which |x| on a feature is an outlier">,
                 Option<"inputs", "statistics", "std::string", "", "a file with the statistics (quantc calibrate)">];
  let statistics = [Statistic<"outliers", "outliers", "features that stay floats">];
  let dependentDialects = ["::quantc::qf::QFDialect"];
}

def QFRtn : Pass<"qf-rtn", "mlir::ModuleOp"> {
  let summary = "quantize by rounding to nearest, with the searches of the format's own encode clause";
  let description = [{
    - *Requires*: `nn-assign-formats`.
    - *Produces*: a `qf.quantize … using "rtn"` behind each `nn.get` of a weight with an assigned format, and no
      `nn.format`. Where the weight has the bits of the format already, only its type changes.
    - *Preserves*: shapes, names, sources; no byte is read.

    ```mlir
    %w = nn.get @w : tensor<5632x2048xbf16>
    %p = qf.quantize %w using "rtn" : tensor<5632x2048xbf16> -> tensor<5632x2048x!qf.elem<int<4, group = 128>>>
    ```
  }];
  let dependentDialects = ["::quantc::qf::QFDialect"];
}

def QFImatrix : Pass<"qf-imatrix", "mlir::ModuleOp"> {
  let summary = "quantize with scales and codes weighted by the mean squares of the inputs";
  let description = [{
    - *Requires*: `nn-assign-formats`.
    - *Produces*: a `qf.quantize … using "imatrix"(%columns, %hessian)` where each weight of a linear is read. The
      statistics are weights `@columns.NAME` and `@hessian.NAME` from `#nn.statistic`, NAME being the observer of the
      input (`nn-insert-observers`), unless the module has such weights. Tables of embeddings, which have no input, as
      by `qf-rtn`. `diagonal`: of the columns alone, for statistics that have nothing else.
    - *Preserves*: shapes, names, sources; no byte is read.

    ```mlir
    %c = nn.get @columns.w : tensor<3x2048xf32>
    %h = nn.get @hessian.w : tensor<2048x2048xf32>
    %p = qf.quantize %w using "imatrix"(%c, %h : tensor<3x2048xf32>, tensor<2048x2048xf32>)
       : tensor<5632x2048xbf16> -> tensor<5632x2048x!qf.elem<int<4, group = 128>>>
    ```
  }];
  let options = [Option<"diagonal", "diagonal", "bool", "false", "nothing is known of products of features">];
  let dependentDialects = ["::quantc::qf::QFDialect"];
}

// What the passes have in common that feed errors back; see qf-gptq.
defvar feedbackOptions = [
    Option<"damp", "damp", "double", "0.01", "gptq: part of the mean of the Hessian's diagonal added to it">,
    Option<"scales", "scales", "std::string", "\"updated\"", "gptq: updated or block">,
    Option<"grid", "grid", "std::string", "\"\"", "gptq: weighted (the default), mse, or range (that of plain)">,
    Option<"block", "block", "int64_t", "128", "gptq: columns after which all others are updated">,
    Option<"plain", "plain", "bool", "false", "gptq: no refit, no weighted searches">];

def QFGptq : Pass<"qf-gptq", "mlir::ModuleOp"> {
  let summary = "quantize with error feedback (GPTQ), in any format with a code for each weight";
  let description = [{
    - *Requires*: `nn-assign-formats`.
    - *Produces*: as `qf-imatrix`, a `qf.quantize … using "gptq"(%columns, %hessian)` with the options as attributes.
      `plain`: without refits and weighted searches, as usual implementations do it. `act-order`: columns with large
      inputs first; `groups`: `static`, those of neighbours in the file, whose scales are those of the original
      weights, so that inference does not see the order; or `dynamic`, those of columns that follow each other in it:
      `qf-materialize` keeps the order beside the weight, for containers that can say it. `scales`: of a group, from
      the weights that feedback has changed so far (`updated`, as in the paper), or as they were when the block of
      `block` columns began (`block`). `grid`: what they are searched by: squared errors times the mean squares of
      inputs (`weighted`), squared errors (`mse`), or nothing but the range of the weights (`range`).
    - *Fails* on other words for these, and on dynamic groups without act-order.

    ```mlir
    %p = qf.quantize %w using "gptq"(%c, %h : tensor<3x2048xf32>, tensor<2048x2048xf32>) {damp = 1.0e-02 : f64,
         scales = "updated"} : tensor<5632x2048xbf16> -> tensor<5632x2048x!qf.elem<int<4, group = 128>>>
    ```
  }];
  let options = !listconcat(
      [Option<"actOrder", "act-order", "bool", "false", "columns with the largest inputs first">,
       Option<"groups", "groups", "std::string", "\"static\"", "with act-order: static or dynamic">],
      feedbackOptions);
  let dependentDialects = ["::quantc::qf::QFDialect"];
}

def QFAuto : Pass<"qf-auto", "mlir::ModuleOp"> {
  let summary = "quantize each weight by the method whose outputs are nearest on inputs that no method has seen";
  let description = [{
    - *Requires*: `nn-assign-formats`.
    - *Produces*: as `qf-gptq`, a `qf.quantize … using "auto"(%columns, %hessian, %heldout)`. Methods learn from the
      first two; `@heldout.NAME` is the mean of x xᵀ over other sequences, by which they are judged: the least
      tr(ΔW H ΔWᵀ) wins. `candidates`: the methods that are tried, in the order that ties are broken by;
      `gptq:act-order` is GPTQ with its columns in that order. `nn.method` of the materialized weight is the method
      that won.
    - *Fails* on candidates that are not known.

    ```mlir
    %p = qf.quantize %w using "auto"(%c, %h, %o : tensor<3x2048xf32>, tensor<2048x2048xf32>, tensor<2048x2048xf32>)
         {candidates = ["rtn", "imatrix", "gptq", "gptq:act-order"], damp = 1.0e-02 : f64, scales = "updated"}
         : tensor<5632x2048xbf16> -> tensor<5632x2048x!qf.elem<int<4, group = 128>>>
    ```
  }];
  let options = !listconcat(
      [ListOption<"candidates", "candidates", "std::string", "methods that are tried; default: all">], feedbackOptions);
  let dependentDialects = ["::quantc::qf::QFDialect"];
}

def QFAwq : Pass<"qf-awq", "mlir::ModuleOp"> {
  let summary = "scale columns by what makes them quantize best, and fold the inverse into what comes before (AWQ)";
  let description = [{
    - *Requires*: `nn-assign-formats`, linears not yet fused.
    - *Produces*: for linears of one input that a norm, the second factor of a gated activation or the values of an
      attention without grouped queries gives, one `qf.search_scales`, a `qf.scale … columns by` of each of their
      weights and a `qf.scale … over` of the norm, or of the weight and bias before. With `clip`, a `qf.clip` of each
      weight but those of queries and keys. A method that quantizes must follow: `method`, by which factors are tried
      (`gptq` with the options of `qf-gptq`). With `held-out`, by inputs that no method learns from.
    - *Preserves*: the function that the model computes; formats.

    ```mlir
    %s = qf.search_scales %wg, %wu using(%columns, %hessian) formats [!qf.elem<int<4>>, !qf.elem<int<4>>] : …
    %n2 = qf.scale %norm over %s : tensor<2048xf32>, tensor<2048xf32> -> tensor<2048xf32>
    %x = nn.rms_norm %h, %n2 eps 1.0e-5 : …
    %wg2 = qf.scale %wg columns by %s : tensor<5632x2048xbf16>, tensor<2048xf32> -> tensor<5632x2048xf32>
    ```
  }];
  let options = !listconcat(
      [Option<"clip", "clip", "bool", "true", "search for limits of weights too">,
       Option<"method", "method", "std::string", "\"rtn\"", "what will quantize the weights: rtn or gptq">,
       Option<"actOrder", "act-order", "bool", "false", "gptq: columns with the largest inputs first">,
       Option<"groups", "groups", "std::string", "\"static\"", "gptq, with act-order: static or dynamic">,
       Option<"heldOut", "held-out", "bool", "false", "factors are judged by @heldout.NAME">],
      feedbackOptions);
  let statistics = [Statistic<"scaled", "scaled", "inputs that were divided">];
  let dependentDialects = ["::quantc::qf::QFDialect"];
}

def QFMaterialize : Pass<"qf-materialize", "mlir::ModuleOp"> {
  let summary = "execute quantizations";
  let description = [{
    The only pass that touches bytes.

    - *Requires*: `qf.quantize`, `qf.scale`, `qf.clip` and `qf.search_scales` of `nn.get`.
    - *Produces*: weights in their quantized format, with the attributes `nn.method` and `nn.error` (squared error over
      squared size); what was only divided by factors stays f32. In the order of the graph, since statistics may
      depend on the weights before. The codes go to a store in kernel storage: the driver's, or one for this pass, whose
      bytes `output` keeps. Statistics are gone.
    - *Preserves*: where weights came from.
    - *Fails* on weights with NaN or infinite values, with their row and column, and on statistics that nobody gives.

    ```mlir
    nn.weight @w : tensor<5632x2048xbf16> from #nn.source<"model.safetensors", "…">
    %w = nn.get @w : tensor<5632x2048xbf16>
    %p = qf.quantize %w using "rtn" : tensor<5632x2048xbf16> -> tensor<5632x2048x!qf.elem<int<4, group = 128>>>
    // becomes
    nn.weight @w : tensor<5632x2048x!qf.elem<int<4, group = 128>>> from #nn.source<…>
      {nn.error = 7.1e-03 : f64, nn.method = "rtn"}
    %p = nn.get @w : tensor<5632x2048x!qf.elem<int<4, group = 128>>>
    ```
  }];
  let options = [Option<"model", "model", "std::string", "",
                        "where weights come from: a Hugging Face directory or a GGUF file">,
                 Option<"output", "output", "std::string", "",
                        "a safetensors file for the bytes of all weights, as an artifact has them">,
                 Option<"values", "values", "std::string", "",
                        "a safetensors file for the values, as f32, of the weights that were changed">,
                 Option<"inputs", "statistics", "std::string", "",
                        "a file with the statistics that methods want (quantc calibrate)">,
                 Option<"rows", "rows", "unsigned", "16", "rows of a block of kernel storage">];
  let statistics = [Statistic<"encoded", "encoded", "weights encoded">];
}

//===- Calibrate ---------------------------------------------------------------------------------------------===//

def NNInsertObservers : Pass<"nn-insert-observers", "mlir::ModuleOp"> {
  let summary = "observe the inputs of linears";
  let description = [{
    - *Requires*: a graph whose linears read f32, and their weights by `nn.get`.
    - *Produces*: an `nn.observe` before the first `nn.linear` that reads an input, into the states
      `columns.<first weight>` and, with `hessian`, `hessian.<first weight>`.
    - *Preserves*: everything else.

    ```mlir
    %q = nn.linear %x weights(%wq : …) : …
    // becomes
    %c = nn.state "columns.blk.0.attn_q" : tensor<3x2048xf32>
    %h = nn.state "hessian.blk.0.attn_q" : tensor<2048x2048xf32>
    %c2, %h2 = nn.observe %x into %c, %h : …
    %q = nn.linear %x weights(%wq : …) : …
    ```
  }];
  let options = [Option<"hessian", "hessian", "bool", "true", "also the sums of x[i] x[j]">];
  let statistics = [Statistic<"observed", "observed", "inputs observed">];
}

//===- Graph -------------------------------------------------------------------------------------------------===//

def NNQuantizeActivations : Pass<"nn-quantize-activations", "mlir::ModuleOp"> {
  let summary = "quantize the inputs of linears at run time";
  let description = [{
    - *Requires*: weights in their final formats.
    - *Produces*: a `qf.encode` to the activation format before each `nn.linear` whose weight has integer codes
      (`Factoring`); its group is the coarsest scope of the weight's scales within [32, 256]. Where codes are bf16, or
      few numbers that are rounded to bf16, the activations are bf16; with `exactly` also where codes are integers that
      bf16 holds. Linears of one input and one group share it.
    - *Preserves*: all other linears, which keep f32 inputs; `require-fast` makes them an error. With `all` every
      input of f32 gets that format.

    ```mlir
    %y = nn.linear %x weights(%w : tensor<8x256x!qf.elem<int<4>>>) : tensor<?x256xf32> -> tensor<?x8xf32>
    // becomes
    %a = qf.encode %x into %empty : tensor<?x256xf32>, tensor<?x256x!qf.elem<A>> -> tensor<?x256x!qf.elem<A>>
    %y = nn.linear %a weights(%w : tensor<8x256x!qf.elem<int<4>>>) : tensor<?x256x!qf.elem<A>> -> tensor<?x8xf32>
    ```
  }];
  let options = [Option<"requireFast", "require-fast", "bool", "false", "fail where an input stays f32">,
                 Option<"exactly", "exactly", "bool", "false", "no int8: bf16 for all codes that are bf16 numbers">,
                 Option<"all", "all", "std::string", "", "the format of all inputs, whatever their weights">];
  let statistics = [Statistic<"floats", "float-inputs", "linears that keep f32 inputs">];
  let dependentDialects = ["::quantc::qf::QFDialect", "mlir::arith::ArithDialect", "mlir::tensor::TensorDialect"];
}

def NNFuseProjections : Pass<"nn-fuse-projections", "mlir::ModuleOp"> {
  let summary = "make one nn.linear of those that read the same input";
  let description = [{
    - *Requires*: a graph.
    - *Produces*: one `nn.linear` with several weights for queries, keys and values, and for gate and up. Weights keep
      their names, formats and bytes. Linears with an epilogue, and those of which only some have a bias, are left
      alone.
    - *Preserves*: values.

    ```mlir
    %q = nn.linear %x weights(%wq : …) : …      // becomes
    %k = nn.linear %x weights(%wk : …) : …      %r:2 = nn.linear %x weights(%wq, %wk : …) : …
    ```
  }];
  let options = [Option<"gates", "gates", "bool", "false", "only gates with what they are multiplied by">];
  let statistics = [Statistic<"fused", "fused", "linears that joined another">];
}

def NNFuseEpilogues : Pass<"nn-fuse-epilogues", "mlir::ModuleOp"> {
  let summary = "fuse gated activations and residuals into the linears before them";
  let description = [{
    - *Requires*: a graph; gates need `nn-fuse-projections` first.
    - *Produces*: `gate(…)` and `add(…)` of `nn.linear` where its results have no other use.
    - *Preserves*: values.

    ```mlir
    %g:2 = nn.linear %x weights(%wg, %wu : …) : …
    %h = nn.gated silu %g#0, %g#1 : …
    // becomes
    %h = nn.linear %x weights(%wg, %wu : …) gate(silu) : …
    ```
  }];
  let statistics = [Statistic<"fused", "fused", "operations fused">];
}

def NNOutlineKernels : Pass<"nn-outline-kernels", "mlir::ModuleOp"> {
  let summary = "turn the graph into a program of launches, with one kernel for each distinct operation";
  let description = [{
    - *Requires*: `@forward` of `nn.stage`s.
    - *Produces*: kernels (description of the dialect nn, "Kernels"), one for each distinct op, attributes, shapes and
      formats; a `rt.buffer` for each value; the `rt.program`, whose stages say what they carry to the next where that
      is one value, some f32 for each token, and which has outputs `tokens` and `largest`, `top_tokens` and
      `top_logits` where `@forward` returns these last. The norm of heads and `nn.rope` share a kernel with the
      `nn.kv_append` or `nn.attention` that alone reads them, a norm with the `qf.encode` that does. `@forward` is gone.
    - *Preserves*: order, weights.

    ```mlir
    %y = nn.stage "block.0" -> … { %w = nn.get @w : …   %r = nn.linear %x weights(%w : …) : …   nn.yield %r : … }
    // becomes
    rt.buffer @y per_token 22528
    rt.program … { rt.stage "block.0" carries @y per_token 22528 { rt.launch @linear_0 [@x, …, @w, @y, …] } }
    func.func @linear_0(%x: …, %w: …, %out: … {bufferization.writable = true}) -> … { … nn.linear … }
    ```
  }];
  let statistics = [Statistic<"kernels", "kernels", "kernels made">,
                    Statistic<"launches", "launches", "launches of them">];
  let dependentDialects = ["::quantc::rt::RTDialect", "mlir::func::FuncDialect",
                           "mlir::bufferization::BufferizationDialect"];
}

def RTPlanBuffers : Pass<"rt-plan-buffers", "mlir::ModuleOp"> {
  let summary = "let buffers that are never alive together share memory";
  let description = [{
    - *Requires*: a program.
    - *Produces*: as few buffers as first fit finds over the order of launches. A buffer lives from its first to its
      last launch; persistent buffers, inputs and outputs are left alone.
    - *Preserves*: values.

    ```mlir
    rt.launch @norm_0 [@a, @b]  rt.launch @linear_0 [@b, @c]  rt.launch @norm_1 [@c, @d]
    // becomes: @b is free once @linear_0 has run
    rt.launch @norm_0 [@a, @b]  rt.launch @linear_0 [@b, @c]  rt.launch @norm_1 [@c, @b]
    ```
  }];
  let statistics = [Statistic<"removed", "removed", "buffers that share another's memory">];
}

//===- Kernels -----------------------------------------------------------------------------------------------===//

def NNToLinalg : Pass<"nn-to-linalg", "mlir::func::FuncOp"> {
  let summary = "nn.linear and element-wise layers as linalg and qf on tensors";
  let description = [{
    - *Requires*: kernels.
    - *Produces*: `qf.contract` and a `linalg.generic` for the epilogue, `qf.decode` for the embedding of a quantized
      table, written straight to the kernel's destinations. `exact`: unfused f32 sums. Norms, rope, attention and the
      KV cache are left to the passes `nn-lower-*`.

    ```mlir
    %y = nn.linear %x weights(%w : …) : tensor<?x2048xf32> -> tensor<?x5632xf32>
    // becomes
    %0 = linalg.fill ins(%zero : f32) outs(%out : tensor<?x5632xf32>) -> tensor<?x5632xf32>
    %y = qf.contract %x, %w into %0 : …
    ```
  }];
  let options = [Option<"exact", "exact", "bool", "false", "multiply, then add, each rounded, K ascending">];
  let dependentDialects = ["::quantc::qf::QFDialect", "mlir::arith::ArithDialect", "mlir::linalg::LinalgDialect",
                           "mlir::math::MathDialect", "mlir::tensor::TensorDialect"];
}

#endif // QUANTC_TRANSFORMS_PASSES
