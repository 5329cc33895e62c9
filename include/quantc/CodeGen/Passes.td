//===- Passes.td - from linalg and qf on tensors to the llvm dialect ------------------------------------------===//

#ifndef QUANTC_CODEGEN_PASSES
#define QUANTC_CODEGEN_PASSES

include "mlir/Pass/PassBase.td"

def QFSelectTarget : Pass<"qf-select-target", "mlir::ModuleOp"> {
  let summary = "keep the kernels of a program, for one target";
  let description = [{
    - *Requires*: kernels (functions), with or without the program that launches them.
    - *Produces*: the module's attribute `qf.target`, as `targets/NAME.json` says, and `qf.units` where the target has
      instructions that most lack; nothing but functions is left.
      Without the option, a module that has the attribute keeps it.
    - *Preserves*: functions.
    - *Fails* on a target that has no file, and where neither the option nor the module names one.

    ```mlir
    module { nn.weight @w : …   rt.program { … }   func.func @linear_0(…) { … } }
    // becomes
    module attributes {qf.target = #qf.target<"x86-64-v3", triple = …>} { func.func @linear_0(…) { … } }
    ```
  }];
  let options = [Option<"target", "target", "std::string", "", "name of a file in targets/">];
  let dependentDialects = ["quantc::qf::QFDialect"];
}

def QFTile : Pass<"qf-tile", "mlir::func::FuncOp"> {
  let summary = "tile and fuse a kernel into one parallel loop of tasks around loops of register tiles";
  let description = [{
    - *Requires*: functions whose roots (tilable ops that no other tilable op uses) are `qf.contract`, `qf.encode`,
      `qf.decode` or `linalg` ops with one matrix result, N and K static; the module's `qf.target`. A function that
      has an `scf.forall` already is left alone.
    - *Produces*: one `scf.forall` for each root; in it loops of register tiles, tokens innermost so that weights stay
      in the nearest cache; in these a loop over K. All tiles are static: ragged edges are peeled, a dynamic number of
      tokens goes by tiles of its size, of 16, of 4 and of 1. The sizes are recorded at each root as `qf.tiles`: tokens
      and rows of a task, tokens and rows of a register tile, rows left over in the last one; a root that has the
      attribute keeps it. `qf.choices` of the function gets the sizes of products, whence they are, and why no matrix
      unit takes them.
    - *Preserves*: values, and the order of every sum.

    ```mlir
    %y = qf.contract %x, %w into %init : tensor<512x2048xf32>, tensor<5632x2048x!qf.elem<f16>>, … -> …
    // becomes
    scf.forall (%i, %j) = (0, 0) to (512, 5632) step (256, 64) shared_outs(…) {
      scf.for %n = 0 to 64 step 16 { scf.for %m = 0 to 256 step 8 { … scf.for %k = 0 to 2048 step 32 {
        qf.contract … : tensor<8x32xf32>, tensor<16x32x!qf.elem<f16>>, tensor<8x16xf32>
    ```
  }];
  let options = [ListOption<"tiles", "tiles", "int64_t",
                            "tokens and rows of a task, tokens of a register tile (default: the target's)">];
  let dependentDialects = ["mlir::affine::AffineDialect", "mlir::arith::ArithDialect", "mlir::linalg::LinalgDialect",
                           "mlir::scf::SCFDialect", "mlir::tensor::TensorDialect"];
}

def QFVectorize : Pass<"qf-vectorize", "mlir::func::FuncOp"> {
  let summary = "make register tiles vectors";
  let description = [{
    - *Requires*: static tiles (`qf-tile`).
    - *Produces*: `linalg` ops by upstream vectorization; `qf.contract` becomes `transfer_read`, `qf.tile_dot`,
      `transfer_write`, so that hoisting and forwarding keep accumulators in registers; `qf.encode` takes a vector;
      `qf.decode` of one token becomes `qf.tile_decode`.
    - *Preserves*: values.

    ```mlir
    %r = qf.contract %x, %w into %o : tensor<8x32xf32>, tensor<16x32x!qf.elem<f16>>, … -> tensor<8x16xf32>
    // becomes
    %a = vector.transfer_read %o[%c0, %c0], %p {in_bounds = [true, true]} : tensor<8x16xf32>, vector<8x16xf32>
    %d = qf.tile_dot %a, %x, %w columns 32 : vector<8x16xf32>, tensor<8x32xf32>, tensor<16x32x!qf.elem<f16>>
    %r = vector.transfer_write %d, %o[%c0, %c0] {in_bounds = [true, true]} : vector<8x16xf32>, tensor<8x16xf32>
    ```
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::vector::VectorDialect"];
}

def QFChooseStorage : Pass<"qf-choose-storage", "mlir::func::FuncOp"> {
  let summary = "from numbers to blocks: !qf.elem becomes !qf.block";
  let description = [{
    - *Requires*: the module's `qf.target` (rows of kernel storage); slices of quantized tensors at whole blocks, or
      up to an edge.
    - *Produces*: tensors of blocks. Weights lie in kernel storage; what `qf.encode` writes lies as in files. Types
      change one to one, offsets and sizes of slices are divided by the shape of a block, so that bufferization,
      subviews and addresses are upstream's.
    - *Preserves*: everything else.
    - *Fails* where a slice cuts a block, or the format has no kernel storage.

    ```mlir
    tensor.extract_slice %w[%n, %k] [16, 256] [1, 1] : tensor<5632x2048x!qf.elem<F>> to tensor<16x256x!qf.elem<F>>
    // becomes
    tensor.extract_slice %w[%n floordiv 16, %k floordiv 256] [1, 1] [1, 1] : tensor<352x8x!qf.block<F, r16>> to …
    ```
  }];
  let dependentDialects = ["mlir::affine::AffineDialect", "mlir::tensor::TensorDialect"];
}

def QFRefuseAllocations : Pass<"qf-refuse-allocations", "mlir::func::FuncOp"> {
  let summary = "fail where a kernel would allocate or copy";
  let description = [{
    - *Requires*: buffers.
    - *Produces*: nothing.
    - *Fails* at each `memref.alloc`, `memref.copy` and `memref.alloca` of dynamic size: a tensor did not bufferize in
      place, which costs more than any tile gains and which the ABI of kernels does not allow.

    ```mlir
    %m = memref.alloc() : memref<8x16xf32>      // error
    ```
  }];
}

def QFForallToRange : Pass<"qf-forall-to-range", "mlir::ModuleOp"> {
  let summary = "from parallel loops to a function of a range of tasks";
  let description = [{
    - *Requires*: functions on buffers whose parallel loops (`scf.forall`, not nested, independent of each other)
      stand at their top.
    - *Produces*: `kernel(…, begin, end)`, which runs the tasks [begin, end), the loops' tasks counted one loop after
      the other, and `kernel_tasks(…)`, which says how many there are. Results, equivalent to writable parameters
      after bufferization, are dropped.
    - *Preserves*: each task.
    - *Fails* where a function has buffers but no parallel loop.

    ```mlir
    func.func @f(%x: memref<512x8xf32>) { scf.forall (%i) = (0) to (512) step (64) { … } }
    // becomes
    func.func @f(%x: memref<512x8xf32>, %begin: index, %end: index) { scf.for %t = %begin to %end step 1 { … } }
    func.func @f_tasks(%x: memref<512x8xf32>) -> index { return 8 }
    ```
  }];
  let dependentDialects = ["mlir::affine::AffineDialect", "mlir::arith::ArithDialect", "mlir::scf::SCFDialect"];
}

def QFEmitTileDot : Pass<"qf-emit-tile-dot", "mlir::ModuleOp"> {
  let summary = "expand qf.tile_dot: the only pass that knows format and target";
  let description = [{
    - *Requires*: tiles on buffers of blocks; the module's `qf.target`.
    - *Produces*: `vector`, `arith` and `llvm` ops. With integer activations: the normal form of the format
      (`Factoring`), byte dot products over runs of columns that share their scales, then one fused multiply-add for
      each run. With bf16 activations: the same with products of bf16 pairs. Where the module's `qf.units` has a matrix
      unit: products of tiles. With f32 activations, and bf16 ones where the target has no such products: `value` of
      each weight as written, columns ascending; exact: multiply, then add; else fused, the columns of a pass of the
      loop in a sum of their own. `qf.choices` of the function gets the instructions that multiply, and why.
    - *Preserves*: bits do not depend on the sizes of tiles, nor, but for bf16 activations, on the level of a family of
      targets.
    - *Fails* where integer activations meet a format without integer codes, and bf16 activations others.

    ```mlir
    %d = qf.tile_dot %a, %x, %w columns 256 : vector<8x16xf32>, memref<8x1x!qf.block<…>>, memref<1x1x!qf.block<…>>
    // becomes, of each run of columns and each token
    %codes = arith.andi %line, %mask : vector<64xi8>
    %sum = llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"(%acc, %codes, %x4) : …
    %r = math.fma %scale, %float, %a0 : vector<16xf32>
    ```
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::LLVM::LLVMDialect", "mlir::math::MathDialect",
                           "mlir::scf::SCFDialect", "mlir::vector::VectorDialect"];
}

def QFEmitEncode : Pass<"qf-emit-encode", "mlir::func::FuncOp"> {
  let summary = "expand qf.encode and qf.encode_row: numbers quantized at run time";
  let description = [{
    - *Requires*: vectorized tiles on buffers of blocks.
    - *Produces*: `vector`, `arith`, `math` and `llvm` ops that follow the description's `encode` clause.
    - *Fails* where the clause uses a search: those run ahead of time only.

    ```mlir
    qf.encode %tile into %out : vector<1x256xf32>, memref<1x1x!qf.block<…>>
    // becomes
    %max = vector.reduction <maximumf>, %abs : vector<256xf32> into f32     …   vector.store %codes, …
    ```
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::LLVM::LLVMDialect", "mlir::math::MathDialect",
                           "mlir::vector::VectorDialect"];
}

def QFEmitTileDecode : Pass<"qf-emit-tile-decode", "mlir::ModuleOp"> {
  let summary = "expand qf.tile_decode and qf.decode_block: values of one row, of all rows of a block";
  let description = [{
    - *Requires*: tiles on buffers of blocks.
    - *Produces*: `vector`, `arith` and `llvm` ops that evaluate `value` as written; bits are those of the reference
      decode.

    ```mlir
    %v = qf.tile_decode %w[%row] : memref<352x8x!qf.block<…>> -> vector<1x256xf32>
    // becomes loads of fields, shifts and masks, and the operations of `value`, each rounded
    ```
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::LLVM::LLVMDialect", "mlir::math::MathDialect",
                           "mlir::scf::SCFDialect", "mlir::vector::VectorDialect"];
}

def QFExpandMath : Pass<"qf-expand-math", "mlir::func::FuncOp"> {
  let summary = "expand exp, tanh and their like into polynomials";
  let description = [{
    Upstream's polynomial approximations: kernels call no libm. The same operations on every target, so the same bits.

    ```mlir
    %y = math.exp %x : vector<16xf32>        // becomes multiplications, additions, shifts
    ```
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::math::MathDialect", "mlir::vector::VectorDialect"];
}

def QFKernelABI : Pass<"qf-kernel-abi", "mlir::ModuleOp"> {
  let summary = "give kernels one array of arguments";
  let description = [{
    - *Requires*: `qf-forall-to-range`.
    - *Produces*: `kernel(args, begin, end)` and `kernel_tasks(args)` on an array of i64 (docs/Architecture.md,
      "Kernels"); `qf.argument` reads it.
    - *Fails* where a parameter is neither a row-major buffer nor an `index`.

    ```mlir
    func.func @f(%x: memref<?x8xf32>, %n: index, %begin: index, %end: index) { … }
    // becomes
    func.func @f(%args: !llvm.ptr, %begin: i64, %end: i64) {
      %x = qf.argument %args[0] : !llvm.ptr -> memref<?x8xf32>
      %n = qf.argument %args[2] : !llvm.ptr -> index
    ```
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::LLVM::LLVMDialect", "quantc::qf::QFDialect"];
}

def QFToLLVM : Pass<"qf-to-llvm", "mlir::ModuleOp"> {
  let summary = "convert what is left to the llvm dialect";
  let description = [{
    Upstream's patterns, with one type more (a block is an array of bytes) and two ops (`qf.address`, `qf.argument`).

    - *Requires*: no structured control flow, vectors of one dimension in memory operations.
    - *Produces*: the `llvm` dialect only.

    ```mlir
    %v = vector.load %m[%i] : memref<64xf32>, vector<16xf32>
    // becomes
    %p = llvm.getelementptr %base[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %v = llvm.load %p : !llvm.ptr -> vector<16xf32>
    ```
  }];
  let dependentDialects = ["mlir::LLVM::LLVMDialect"];
}

#endif // QUANTC_CODEGEN_PASSES
