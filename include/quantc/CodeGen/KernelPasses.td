//===- KernelPasses.td - from the layers of nn that are no matrix products to loops of vectors ------------------===//

#ifndef QUANTC_CODEGEN_KERNELPASSES
#define QUANTC_CODEGEN_KERNELPASSES

include "mlir/Pass/PassBase.td"

class NNLowerPass<string name> : Pass<name, "mlir::func::FuncOp"> {
  let dependentDialects = ["mlir::affine::AffineDialect", "mlir::arith::ArithDialect", "mlir::math::MathDialect",
                           "mlir::memref::MemRefDialect", "mlir::scf::SCFDialect", "mlir::tensor::TensorDialect",
                           "mlir::vector::VectorDialect"];
}

def NNLowerRMSNorm : NNLowerPass<"nn-lower-rms-norm"> {
  let summary = "nn.rms_norm as one parallel loop over tokens";
  let description = [{
    - *Requires*: kernels on tensors.
    - *Produces*: an `scf.forall` whose task is one token: the squares are summed in 16 lanes, lane i taking the
      features i, i + 16, …, and the lanes by a tree (8, 4, 2, 1), whatever the width of the target's vectors. A
      `qf.encode` that alone reads the norm is part of the loop, a block of the activations at a time; it stays for
      `qf-vectorize`.
    - *Preserves*: bits do not depend on the partition of the tasks, nor on the target.

    ```mlir
    %y = nn.rms_norm %x, %w eps 1.0e-5 : tensor<?x2048xf32>, tensor<2048xf32>
    // becomes
    %y = scf.forall (%t) in (%tokens) shared_outs(%o = %empty) -> (tensor<?x2048xf32>) {
      %sum = scf.for %i = %c0 to %c2048 step %c16 iter_args(%a = %zero) -> (vector<16xf32>) {
        … vector.fma %x, %x, %a …
      …
    ```
  }];
}

def NNLowerRope : NNLowerPass<"nn-lower-rope"> {
  let summary = "nn.rope as one parallel loop over tokens";
  let description = [{
    - *Requires*: kernels on tensors.
    - *Produces*: an `scf.forall` whose task is one token; a head is one vector. The norm of heads (`nn.rms_norm` of
      runs of `head_dim`) that made the heads is part of the same loop. A `nn.rope` that only `nn.kv_append` or
      `nn.attention` reads is left to their passes.

    ```mlir
    %y = nn.rope %x at %past angles(%low, %high) head_dim 64 style half : tensor<?x256xf32>, …
    // becomes
    %y = scf.forall (%t) in (%tokens) shared_outs(%o = %empty) -> (tensor<?x256xf32>) {
      … vector.transfer_read %low[…] … vector<32xf32>      // cosines and sines of position past + t
      scf.for %h = %c0 to %c4 step %c1 … { … arith.mulf, arith.subf : vector<32xf32> … }
    ```
  }];
}

def NNLowerKVAppend : NNLowerPass<"nn-lower-kv-append"> {
  let summary = "nn.kv_append as one parallel loop over tokens";
  let description = [{
    - *Requires*: kernels on tensors.
    - *Produces*: an `scf.forall` whose task is one token: it rounds the keys and values of all heads to f16 and
      stores them at the token's position, keys in the lane of their group of 16. The `nn.rope` and the norm of heads
      that made the keys are part of the same loop, so that rotated keys never go through memory.

    ```mlir
    %k, %v = nn.kv_append %x, %y at %past into %keys, %values : tensor<?x256xf32>, …
    // becomes
    scf.forall (%t) in (%tokens) shared_outs(%ko = %keys, %vo = %values) -> (…) {
      … arith.truncf %head : vector<64xf32> to vector<64xf16> …
    ```
  }];
}

def NNLowerAttention : NNLowerPass<"nn-lower-attention"> {
  let summary = "nn.attention as one parallel loop over heads and tiles of queries";
  let description = [{
    - *Requires*: kernels on tensors.
    - *Produces*: an `scf.forall` over (key head, tile of its query heads, tile of tokens). A task keeps running
      maxima, sums and weighted values of its rows (query head × token) and goes over the visible positions once, in
      blocks of 128 aligned to multiples of 128. Keys of a group are the lanes of a vector: scores need no sum across
      lanes, and each load of keys or values serves all rows. The `nn.rope` and the norm of heads that made the
      queries are part of the task. A tile with fewer tokens goes token by token, as decoding does. The weights of a
      block and the sums of values lie on the stack. `qf.choices` of the function gets the size of tiles.
    - *Preserves*: bits of a row depend neither on the tile it falls in, nor on the option, nor on the target.

    ```mlir
    %y = nn.attention %q, %keys, %values at %past scale 0.125 : tensor<?x2048xf32>, tensor<4x?x64xf16>, …
    // becomes
    %y = scf.forall (%h, %tile) in (4, %tiles) shared_outs(%o = %empty) -> (tensor<?x2048xf32>) {
      scf.for %p = %begin to %end step %c128 { … scores … maxima … exp … weighted values … }
    ```
  }];
  let options = [Option<"rows", "rows", "unsigned", "0",
                        "query rows (heads × tokens) of a task, at most; 0: the tokens of the target's register tile">];
}

def NNLowerEmbedding : NNLowerPass<"nn-lower-embedding"> {
  let summary = "nn.embedding of float tables and nn.last as one parallel loop over tokens";
  let description = [{
    - *Requires*: kernels on tensors.
    - *Produces*: an `scf.forall` whose task copies one row, widened to f32. Tables of `!qf.elem` are left to
      `qf.decode`.

    ```mlir
    %y = nn.embedding %ids, %table : (tensor<?xi32>, tensor<32000x2048xbf16>) -> tensor<?x2048xf32>
    // becomes
    %y = scf.forall (%t) in (%tokens) shared_outs(%o = %empty) -> (tensor<?x2048xf32>) { … arith.extf … }
    ```
  }];
}

def NNLowerObserve : NNLowerPass<"nn-lower-observe"> {
  let summary = "nn.observe as parallel loops over features";
  let description = [{
    - *Requires*: kernels on tensors.
    - *Produces*: an `scf.forall` over chunks of 64 features for the columns, and one over panels of 64 rows for the
      Hessian: a block of 128 tokens of the panel is copied to the stack, then that of each tile of columns from the
      diagonal on, whose products go to sums in registers.
    - *Preserves*: bits do not depend on the target: tokens ascending, products fused.

    ```mlir
    %c2, %h2 = nn.observe %x into %c, %h : tensor<?x2048xf32> into tensor<3x2048xf32>, tensor<2048x2048xf32>
    // becomes
    %h2 = scf.forall (%panel) in (32) shared_outs(%o = %h) -> (tensor<2048x2048xf32>) { … vector.fma … }
    ```
  }];
}

#endif // QUANTC_CODEGEN_KERNELPASSES
