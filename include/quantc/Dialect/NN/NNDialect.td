//===- NNDialect.td - the dialect of model graphs -------------------------------------------------------------===//

#ifndef QUANTC_DIALECT_NN_NNDIALECT
#define QUANTC_DIALECT_NN_NNDIALECT

include "mlir/IR/OpBase.td"

def NN_Dialect : Dialect {
  let name = "nn";
  let cppNamespace = "::quantc::nn";
  let summary = "graphs of decoder language models";
  let description = [{
    A model is a module of `nn.weight` symbols and one function `@forward` of `nn` ops. Weights are named, not held.
    All ops have value semantics; the KV cache is an operand and a result of `nn.kv_append`. Dimensions: the first
    dimension of an activation is the tokens of the step (dynamic); `N` are output features (rows of a weight), `K`
    input features.

    ```mlir
    nn.weight @blk.0.ffn_up : tensor<5632x2048xbf16> from #nn.source<"model.safetensors", "…mlp.up_proj.weight">
    func.func @forward(%tokens: tensor<?xi32>, %past: index, %rows: index,
                       %keys0: tensor<4x?x64xf16>, %values0: tensor<4x?x64xf16>)
        -> (tensor<?x32000xf32>, tensor<4x?x64xf16>, tensor<4x?x64xf16>)
    ```

    **Kernels.** `nn-outline-kernels` moves ops into functions with the attribute `rt.kernel`, one function for each
    distinct op, shapes and formats. The parameters of such a function are the operands of the op in order, weights
    included, then one destination for each result, marked `bufferization.writable` and returned. An op that works in
    place (`nn.kv_append`) has no destinations of its own: its caches are the writable parameters.

    ```mlir
    func.func @linear_0(%x: tensor<?x2048xf32>, %w: tensor<5632x2048x!qf.elem<int<4, group = 128>>>,
                        %out: tensor<?x5632xf32> {bufferization.writable = true})
        -> tensor<?x5632xf32> attributes {rt.kernel} {
      %y = nn.linear %x, %w : …
      %r = bufferization.materialize_in_destination %y in %out : …
      return %r : tensor<?x5632xf32>
    }
    ```
  }];
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::mlir::func::FuncDialect", "::mlir::tensor::TensorDialect"];
}

#endif // QUANTC_DIALECT_NN_NNDIALECT
