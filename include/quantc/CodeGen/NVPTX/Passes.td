//===- Passes.td - from linalg and qf on tensors to kernels of a GPU --------------------------------------------===//

#ifndef QUANTC_CODEGEN_NVPTX_PASSES
#define QUANTC_CODEGEN_NVPTX_PASSES

include "mlir/Pass/PassBase.td"

def QFSelectGPU : Pass<"qf-select-gpu", "mlir::ModuleOp"> {
  let summary = "choose the GPU that kernels are for";
  let description = [{
    - *Requires*: kernels (functions).
    - *Produces*: the module's attribute `qf.gpu`, as `targets/NAME.json` says. Without the option, a module that has
      the attribute keeps it. Weights, buffers and the program are erased.
    - *Fails* on a target that has no file, and where neither the option nor the module names one.

    ```mlir
    module attributes {qf.gpu = #qf.gpu<"sm_80", chip = "sm_80", …>} { func.func @linear(…) { … } }
    ```
  }];
  let options = [Option<"target", "target", "std::string", "", "name of a GPU's file in targets/">];
  let dependentDialects = ["quantc::qf::QFDialect"];
}

def QFFloatActivations : Pass<"qf-float-activations", "mlir::func::FuncOp"> {
  let summary = "activations in a format of plain floats are tensors of these floats";
  let description = [{
    - *Requires*: kernels on tensors.
    - *Produces*: parameters of tokens × features of a format that is f32, f16 or bf16 get that type; `qf.encode` to it
      becomes a `linalg.generic` that rounds.
    - *Preserves*: weights, and other formats.

    ```mlir
    %e = qf.encode %x into %out : tensor<?x64xf32>, tensor<?x64x!qf.elem<f16>> -> tensor<?x64x!qf.elem<f16>>
    // becomes
    %e = linalg.generic … ins(%x : tensor<?x64xf32>) outs(%out : tensor<?x64xf16>) { … arith.truncf … }
    ```
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::linalg::LinalgDialect"];
}

def NNChooseTokens : Pass<"nn-choose-tokens", "mlir::ModuleOp"> {
  let summary = "let the program choose the most likely tokens itself";
  let description = [{
    - *Requires*: `@forward`, whose first result are the logits of an `nn.stage`.
    - *Produces*: an `nn.argmax` of the logits at the end of that stage and, where `candidates` is not 0, an `nn.top` of
      so many (all, where the vocabulary is smaller); their results are the last ones of `@forward`, in this order.
    - *Preserves*: everything else.

    ```mlir
    %logits = nn.stage "head" -> tensor<?x32000xf32> { …  nn.yield %y : … }
    // becomes
    %logits, %tokens, %largest, %top_tokens, %top_logits = nn.stage "head" -> … {
      …
      %t, %l = nn.argmax %y : tensor<?x32000xf32> -> tensor<?xi32>, tensor<?xf32>
      %ts, %ls = nn.top %y : tensor<?x32000xf32> -> tensor<?x64xi32>, tensor<?x64xf32>
      nn.yield %y, %t, %l, %ts, %ls : …
    }
    ```
  }];
  let options = [Option<"candidates", "candidates", "uint64_t", "64",
                        "the largest logits that a host can draw from; 0: it needs all of them for that">];
}

def NNSpecializeTokens : Pass<"nn-specialize-tokens", "mlir::ModuleOp"> {
  let summary = "give matrix products kernels of their own for few tokens";
  let description = [{
    - *Requires*: kernels on tensors; the module's `qf.gpu`.
    - *Produces*: of each kernel with an `nn.linear` a copy for one token, of static size, and one for as many as the
      target's `stream` takes, whose number stays a parameter. `qf.variant_of` names the kernel, `qf.most_tokens` the
      limit.
    - *Preserves*: the kernel, which is for any number.
    - *Fails* where the module names no GPU.

    ```mlir
    func.func @linear_0(%x: tensor<?x64xf16>, …)      // and
    func.func @linear_0_m1(%x: tensor<1x64xf16>, …) attributes {qf.most_tokens = 1, qf.variant_of = @linear_0}
    func.func @linear_0_m8(%x: tensor<?x64xf16>, …) attributes {qf.most_tokens = 8, qf.variant_of = @linear_0}
    ```
  }];
}

def NNSplitAttention : Pass<"nn-split-attention", "mlir::ModuleOp"> {
  let summary = "let several blocks share the positions that few tokens see";
  let description = [{
    A token has a block for each key head, too few to keep a GPU busy; so the positions are dealt out to more.

    - *Requires*: kernels on tensors; the module's `qf.gpu` and `qf.multiprocessors`.
    - *Produces*: of each kernel with an `nn.attention`, for as many tokens as the target's `stream` takes, two kernels
      that are launched one after the other: one of `nn.attention_parts`, one of `nn.combine_parts`. Both have one more
      parameter, the memory of the parts (`qf.scratch`). There are as many parts as give each multiprocessor four
      blocks, 64 at most: the same number for every length of the context, so that results do not depend on it.
    - *Preserves*: the kernel, which is for any number of tokens. Nothing is changed where it has enough blocks, or
      where the number of multiprocessors is not known.
    - *Fails* where the module names no GPU.

    ```mlir
    func.func @attention_0(%q: tensor<?x64xf32>, …)      // and
    func.func @attention_0_m8_parts(%q: tensor<?x64xf32>, …, %p: tensor<?x8320xf32> {qf.scratch})
      attributes {qf.most_tokens = 8, qf.variant_of = @attention_0} { … nn.attention_parts … }
    func.func @attention_0_m8(%q: tensor<?x64xf32>, …, %p: tensor<?x8320xf32> {qf.scratch})
      attributes {qf.most_tokens = 8, qf.variant_of = @attention_0} { … nn.combine_parts … }
    ```
  }];
}

def QFSplitSums : Pass<"qf-split-sums", "mlir::ModuleOp"> {
  let summary = "let several blocks share the sums of products of some tokens";
  let description = [{
    A tile of all of some tokens has a block for each run of rows, too few to keep a GPU busy; so the columns are dealt
    out to more.

    - *Requires*: kernels of `linalg` and `qf.contract` on tensors; the module's `qf.gpu` and `qf.multiprocessors`.
    - *Produces*: of each kernel for any number of tokens with one product, for as many tokens as a block can have at
      once (`tiled` of the target, fewer where shared memory is short), two kernels that are launched one after the
      other: the first multiplies parts of the columns, in a loop over blocks, the second adds them in their order, with
      whatever follows. Both have one more parameter, the memory of the parts (`qf.scratch`). There are as many parts
      as give each multiprocessor a block, or the most below that which are equal, of whole units of storage and of at
      least 1024 columns.
    - *Preserves*: the kernel. Nothing is changed where it has enough blocks or not two such parts, where rows or
      columns are padded, or where the number of multiprocessors is not known.
    - *Fails* where the module names no GPU.

    ```mlir
    func.func @linear_0(%x: tensor<?x4096xf16>, …)      // and
    func.func @linear_0_m64_parts(%x: tensor<?x4096xf16>, …, %p: tensor<?x16384xf32> {qf.scratch})
      attributes {qf.most_tokens = 64, qf.variant_of = @linear_0} {
      scf.forall (%k, %n) = (0, 0) to (4096, 4096) step (1024, 128) … { … qf.contract … }
    func.func @linear_0_m64(%x: tensor<?x4096xf16>, …, %p: tensor<?x16384xf32> {qf.scratch})
      attributes {qf.most_tokens = 64, qf.variant_of = @linear_0} { … linalg.generic … }
    ```
  }];
  let dependentDialects = ["mlir::affine::AffineDialect", "mlir::arith::ArithDialect", "mlir::gpu::GPUDialect",
                           "mlir::linalg::LinalgDialect", "mlir::scf::SCFDialect", "mlir::tensor::TensorDialect"];
}

def NNLayersToGPU : Pass<"nn-layers-to-gpu", "mlir::ModuleOp"> {
  let summary = "make layers that are no matrix products kernels of a gpu.module";
  let description = [{
    - *Requires*: functions of layers; `nn-to-linalg` has made element-wise ones and embeddings of quantized tables
      `linalg.generic` and `qf.decode`.
    - *Produces*: a `gpu.func` for each function without `qf.contract`: norms, RoPE, the KV cache, attention, rows of
      tables, element-wise functions, each with the operations on heads and the rounding that belong to it. Tensors are
      bare pointers, `past` the address of an i64; sizes that are dynamic (context, tokens) stand behind them, then the
      address of `qf.scratch`. `qf.grid` says how many blocks.
    - *Preserves*: functions with `qf.contract`.
    - *Fails* where a layer has no kernel.

    ```mlir
    func.func @rms_norm_0(%x: tensor<?x64xf32>, %w: tensor<64xf32>, %y: tensor<?x64xf32>) { … nn.rms_norm … }
    // becomes
    gpu.func @rms_norm_0(%x: !llvm.ptr<1>, %w: !llvm.ptr<1>, %y: !llvm.ptr<1>, %tokens: i64) kernel
      attributes {known_block_size = array<i32: 64, 1, 1>, qf.grid = array<i64: -1, 1, 3, 1>} { … }
    ```
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::gpu::GPUDialect", "mlir::LLVM::LLVMDialect",
                           "mlir::math::MathDialect", "mlir::memref::MemRefDialect", "mlir::scf::SCFDialect",
                           "mlir::vector::VectorDialect"];
}

def QFPadColumns : Pass<"qf-pad-columns", "mlir::func::FuncOp"> {
  let summary = "give products whole units of columns";
  let description = [{
    A weight has whole units of columns in memory (`FragmentStorage`), padded with zero bits; activations have not. Bits
    are numbers, finite ones (`FragmentStorage::checkShape`), so they count nothing where the activations are zeros:
    `qf-map-warps` copies zeros behind the last column.

    - *Requires*: a kernel on tensors.
    - *Produces*: where the columns of a `qf.contract` fill no units, weights and activations with whole ones;
      `qf.pitch_in_memory` of the activations says how many numbers a row of them has. `qf-outline-gpu` gives the
      parameter this stride.
    - *Preserves*: kernels with whole units.
    - *Fails* where the activations are computed in the kernel, where products of the same activations have units that
      differ, and where zero bits of a format are no finite number.

    ```mlir
    func.func @linear(%x: tensor<?x50xf16>, %w: tensor<32x50x!qf.elem<…>>, %y: tensor<?x32xf32>)
    // becomes
    func.func @linear(%x: tensor<?x64xf16> {qf.pitch_in_memory = 50 : i64}, %w: tensor<32x64x!qf.elem<…>>,
                      %y: tensor<?x32xf32>)
    ```
  }];
}

def QFPadRows : Pass<"qf-pad-rows", "mlir::func::FuncOp"> {
  let summary = "give products whole tiles of rows";
  let description = [{
    Vocabularies are of any size. A weight has whole tiles of rows in memory, padded with zeros; what else has a number
    for each row (bias, residual, result) has not.

    - *Requires*: a kernel on tensors; columns in whole units of storage, so that no other size is that of the rows.
    - *Produces*: where the rows of a `qf.contract` are no multiple of 16, all tensors of that kernel with the next one;
      `qf.rows_in_memory` of the function says how many rows there are, `qf.pitch_in_memory` of its parameters how many
      numbers a row of them has. `qf-outline-gpu` gives parameters these strides, `qf-to-lanes` touches nothing behind
      them.
    - *Preserves*: kernels with whole tiles.
    - *Fails* where products of one kernel have different numbers of rows, and one of them no whole tiles.

    ```mlir
    func.func @head(%x: tensor<?x64xf16>, %w: tensor<50x64x!qf.elem<…>>, %y: tensor<?x50xf32>)
    // becomes
    func.func @head(%x: tensor<?x64xf16>, %w: tensor<64x64x!qf.elem<…>>,
                    %y: tensor<?x64xf32> {qf.pitch_in_memory = 50 : i64}) attributes {qf.rows_in_memory = 50 : i64}
    ```
  }];
}

def QFTileBlocks : Pass<"qf-tile-blocks", "mlir::func::FuncOp"> {
  let summary = "tile and fuse a kernel into thread blocks, warps and steps of the sum";
  let description = [{
    - *Requires*: a function whose last tilable op uses, directly or not, all its `qf.contract`; N and K static; the
      module's `qf.gpu`.
    - *Produces*: an `scf.forall` mapped to blocks, in it `scf.forall`s mapped to warps, in these a loop over K. With
      few tokens (a static number, at most that of the target's `stream`) the warps of a block share the sum: each
      has a part of the columns, equal ones and then a unit more for the first warps where units are left; one adds the
      parts, with whatever follows fused. The sizes are recorded as
      `qf.tiles`; a function that has the attribute keeps it. One that has a loop over blocks already
      (`qf-split-sums`) gets what is within. Where the module has `qf.warp_groups` (tokens, rows,
      stages) and the rows are a multiple of 64, many tokens go by tiles of warp groups: four warps have 16 rows each
      and all tokens of the block, and the function gets `qf.warp_group`.
    - *Preserves*: values up to the order of sums.
    - *Fails* where a shape, a format or the shared memory of the target does not fit.

    ```mlir
    %y = qf.contract %x, %w into %init : tensor<?x4096xf16>, tensor<4096x4096x!qf.elem<…>>, … -> …
    // becomes
    scf.forall (%i, %j) = (0, 0) to (%M, 4096) step (64, 128) { scf.forall (%a, %b) = … { scf.for %k … { qf.contract … }
    ```
  }];
  let options = [Option<"warpGroups", "warp-groups", "bool", "true", "let groups of four warps multiply together">];
  let dependentDialects = ["mlir::affine::AffineDialect", "mlir::arith::ArithDialect",
                           "mlir::bufferization::BufferizationDialect", "mlir::gpu::GPUDialect",
                           "mlir::linalg::LinalgDialect", "mlir::scf::SCFDialect", "mlir::tensor::TensorDialect"];
}

def QFVectorizeWarps : Pass<"qf-vectorize-warps", "mlir::func::FuncOp"> {
  let summary = "make the tiles of warps vectors";
  let description = [{
    - *Requires*: `qf-tile-blocks`.
    - *Produces*: `linalg` ops by upstream vectorization; `qf.contract` becomes `transfer_read`, `qf.warp_dot`,
      `transfer_write`. Where the number of tokens is dynamic, a vector has the size of a whole tile, and what lies past
      the end of the tensor is out of bounds: not read, not written.
    - *Preserves*: values of the tokens that there are.

    ```mlir
    %d = qf.warp_dot %a, %x, %w of !qf.elem<…> : vector<64x32xf32>, tensor<?x64xf16>, (tensor<32x64x!qf.elem<…>>)
    ```
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::vector::VectorDialect"];
}

def QFForwardTiles : Pass<"qf-forward-tiles", "mlir::func::FuncOp"> {
  let summary = "pass vectors on that are written to a tile and read again at once";
  let description = [{
    Upstream forwards only what is in bounds. Past the end of a tile the value differs from what a read would give (the
    padding), but is never stored: tokens do not mix.

    - *Requires*: `qf-vectorize-warps`; accumulators carried by loops (`loop-invariant-subset-hoisting`).
    - *Produces*: reads replaced by the vectors that were written; slices that take the whole of a tensor folded.
    - *Preserves*: what is stored.

    ```mlir
    %t = vector.transfer_write %v, %tile[%c0, %c0] {in_bounds = [false, true]} : vector<64x32xf32>, tensor<?x32xf32>
    %r = vector.transfer_read %t[%c0, %c0], %p {in_bounds = [false, true]} : …     // becomes %v
    ```
  }];
  let dependentDialects = ["mlir::tensor::TensorDialect", "mlir::vector::VectorDialect"];
}

def QFChoosePlanes : Pass<"qf-choose-planes", "mlir::func::FuncOp"> {
  let summary = "from numbers to words: a tensor of !qf.elem becomes one tensor for each plane of its storage";
  let description = [{
    - *Requires*: weights are parameters; slices of them begin at whole units of every plane, or lie in one.
    - *Produces*: `tensor<[N / 16] x [K / columns of a unit] x words>` for each plane of `FragmentStorage`; offsets and
      sizes of slices are divided by the shape of a unit. So bufferization, subviews and addresses are upstream's.
    - *Preserves*: everything else.
    - *Fails* where a slice cuts a unit, or the format has no fragments.

    ```mlir
    func.func @f(%x: tensor<8x4096xf16>, %w: tensor<4096x4096x!qf.elem<int<4, group = 128>>>) { … }
    // becomes
    func.func @f(%x: tensor<8x4096xf16>, %codes: tensor<256x64x128xi32>, %scales: tensor<256x32x8xi32>) { … }
    ```
  }];
  let dependentDialects = ["mlir::affine::AffineDialect", "mlir::tensor::TensorDialect"];
}

def QFOutlineGPU : Pass<"qf-outline-gpu", "mlir::ModuleOp"> {
  let summary = "make functions kernels of a gpu.module";
  let description = [{
    - *Requires*: functions on buffers with one `scf.forall` mapped to blocks.
    - *Produces*: a `gpu.func` for each in the module `@kernels`. Parameters are bare pointers, read-only where the
      function does not return them; a dynamic number of tokens is one more parameter. The outer loop becomes ids of
      blocks; `qf.grid` says how many there are.
    - *Fails* where a function has no such loop.

    ```mlir
    func.func @f(%x: memref<?x4096xf16>, …) { scf.forall (%i, %j) = (0, 0) to (%M, 4096) step (64, 128) { … }
      {mapping = …} }
    // becomes
    gpu.func @f(%x: memref<1x4096xf16> {llvm.noalias, llvm.readonly}, …, %M: index) kernel { %id = gpu.block_id x … }
    ```
  }];
  let dependentDialects = ["mlir::affine::AffineDialect", "mlir::gpu::GPUDialect", "mlir::memref::MemRefDialect"];
}

def QFMapWarps : Pass<"qf-map-warps", "mlir::gpu::GPUFuncOp"> {
  let summary = "stage operands in shared memory, and make loops over warps ids";
  let description = [{
    - *Requires*: `qf-outline-gpu`; the function's `qf.tiles`.
    - *Produces*: asynchronous copies to shared memory: of the activations as a whole before the warps, where these
      share a sum; else of the tiles of activations and codes along K, in one buffer for each stage
      (`memref.multiBuffer`). Loops over warps become ids, barriers and predicates by upstream's mapping. With
      `qf.warp_group` activations are staged as panels of 64 columns, swizzled as `wgmma` reads them, with a fence
      before the barrier; their `qf.warp_dot` have the attribute too.
    - *Preserves*: values. Tokens past the end are staged from the last one; their results are not stored. Columns past
      the end of a row are staged as zeros: by copies of 16, 8 or 4 bytes, as the rows are aligned, and where they have
      an odd number of columns by loads and stores.

    ```mlir
    scf.forall (%a, %b) = … { scf.for %k … { qf.warp_dot %v, %x, %codes, %scales … } } {mapping = [#gpu.warp<…>, …]}
    // becomes
    scf.for %k … { nvgpu.device_async_copy …, nvgpu.device_async_wait, gpu.barrier, qf.warp_dot …
    ```
  }];
  let dependentDialects = ["mlir::affine::AffineDialect", "mlir::arith::ArithDialect", "mlir::gpu::GPUDialect",
                           "mlir::memref::MemRefDialect", "mlir::nvgpu::NVGPUDialect", "mlir::NVVM::NVVMDialect",
                           "mlir::scf::SCFDialect"];
}

def QFToLanes : Pass<"qf-to-lanes", "mlir::gpu::GPUFuncOp"> {
  let summary = "from vectors of a warp to those of a lane: the only pass for GPUs that knows the format";
  let description = [{
    - *Requires*: `qf-map-warps`; the module's `qf.gpu`.
    - *Produces*: a vector `[.., m, n]` of a warp becomes `[.., n / 16, m / 8, 2, 2]` of a lane, in the order of the
      accumulators of a 16 × 8 × 16 matrix instruction whose operand A is the weights. `qf.warp_dot` becomes loads of
      words, codes as f16 or bf16, matrix instructions, and one multiply-add in f32 for each group of columns that share
      their scales: the normal form of the format (`Factoring`). Those with `qf.warp_group` become `wgmma` with codes in
      registers; those of the next step are made while it is under way.
    - *Fails* where a format has no code.

    ```mlir
    %r = qf.warp_dot %a, %x, %codes, %scales of … : vector<64x32xf32>, …
    // becomes
    %b = nvgpu.ldmatrix …  %u = vector.load %codes …  %h = llvm.inline_asm "lop3.b32 …"  %c = nvvm.mma.sync …
    ```
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::gpu::GPUDialect", "mlir::LLVM::LLVMDialect",
                           "mlir::math::MathDialect", "mlir::memref::MemRefDialect", "mlir::nvgpu::NVGPUDialect",
                           "mlir::NVVM::NVVMDialect", "mlir::scf::SCFDialect", "mlir::vector::VectorDialect"];
}

def QFPipelineSums : Pass<"qf-pipeline-sums", "mlir::gpu::GPUFuncOp"> {
  let summary = "run copies and loads of the loop over K ahead";
  let description = [{
    Upstream's software pipelining (`scf::pipelineForLoop`) with a schedule of ours: copies to shared memory run `stages
    - 1` iterations ahead. What others need too is computed anew, so that no address is carried from one iteration to
    the next.

    - *Requires*: `qf-to-lanes`; loops marked by `qf-map-warps`.
    - *Produces*: a prologue, and a loop that carries the tokens of its copies.
    - *Preserves*: values; copies past the end read nothing.
    - *Fails* where a loop cannot be pipelined.

    ```mlir
    scf.for %k … iter_args(%acc, %t0, %t1, %t2: !nvgpu.device.async.token) { nvgpu.device_async_wait %t0 {numGroups =
      2} …
    ```
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::nvgpu::NVGPUDialect", "mlir::scf::SCFDialect"];
}

def QFPlaceShared : Pass<"qf-place-shared", "mlir::gpu::GPUFuncOp"> {
  let summary = "give buffers places in dynamic shared memory";
  let description = [{
    - *Requires*: buffers of static size.
    - *Produces*: views of one `gpu.dynamic_shared_memory`; the function's `qf.shared_bytes`. Tiles of two bytes an
      element in rows of 128 bytes are swizzled (upstream's `optimizeSharedMemoryReadsAndWrites`), but for buffers with
      an alignment of their own.
    - *Fails* on buffers in any other memory, and where there are more bytes than the target's blocks can have.

    ```mlir
    %a = memref.alloc() : memref<4x64x64xf16, #gpu.address_space<workgroup>>
    // becomes
    %a = memref.view %shared[%c0][] : memref<?xi8, #gpu.address_space<workgroup>> to memref<4x64x64xf16, …>
    ```
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::gpu::GPUDialect", "mlir::memref::MemRefDialect"];
}

def QFOverlapLaunches : Pass<"qf-overlap-launches", "mlir::gpu::GPUFuncOp"> {
  let summary = "let kernels begin while the one before ends";
  let description = [{
    Programmatic dependent launch: blocks of a kernel take their places while those of the one before still run, and
    wait there for its end.

    - *Requires*: nothing has touched memory at the beginning of the kernel.
    - *Produces*: where the module has `qf.dependent_launch`, kernels that wait for all that was launched before them,
      then let the next one begin; their attribute `qf.waits`. Who launches one may let it overlap; launched as others
      are, it does the same.
    - *Preserves*: values.

    ```mlir
    gpu.func @linear(…) kernel { …
    // becomes
    gpu.func @linear(…) kernel attributes {qf.waits} {
      llvm.inline_asm has_side_effects "griddepcontrol.wait;", "~{memory}" …
      llvm.inline_asm has_side_effects "griddepcontrol.launch_dependents;", "~{memory}" …
    ```
  }];
  let dependentDialects = ["mlir::LLVM::LLVMDialect"];
}

#endif // QUANTC_CODEGEN_NVPTX_PASSES
