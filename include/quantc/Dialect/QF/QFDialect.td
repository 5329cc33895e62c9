//===- QFDialect.td - the dialect of quantized tensors --------------------------------------------------------===//

#ifndef QUANTC_DIALECT_QF_QFDIALECT
#define QUANTC_DIALECT_QF_QFDIALECT

include "mlir/IR/OpBase.td"

def QF_Dialect : Dialect {
  let name = "qf";
  let cppNamespace = "::quantc::qf";
  let summary = "quantized tensors";
  let description = [{
    A quantized number is an *element type*: `tensor<5632x2048x!qf.elem<int<4, group = 128>>>`. What its bits mean is
    said by a description in `formats/`, which the dialect looks up in its catalog; no op and no pass names a format.
    So upstream tiling and fusion work on quantized tensors as on any other, and where the bits lie is decided late,
    when elements become blocks (`!qf.block`, `qf-choose-storage`).

    `qf.contract` is the matrix product of a graph; `qf.tile_dot` is that of one register tile, and the only
    point that knows format and target (`qf-emit-tile-dot`).
  }];
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
  let hasNonDefaultDestructor = 1;
  let dependentDialects = ["::mlir::tensor::TensorDialect"];
  let extraClassDeclaration = [{
    /// The descriptions that types of this context refer to. At first: those beside the program (`dataDirectory()`).
    /// Replace it before any IR is parsed.
    void setCatalog(std::shared_ptr<::quantc::Catalog> catalog);

    /// The description behind the type `elem<spec>`, or why there is none. Thread-safe.
    ::quantc::Result<std::shared_ptr<const ::quantc::Format>> format(::llvm::StringRef spec);

    /// Kernel storage of a format in blocks of `rows` rows, or why there is none. Thread-safe.
    ::quantc::Result<std::shared_ptr<const ::quantc::KernelStorage>> kernelStorage(::llvm::StringRef spec, unsigned
    rows);

  private:
    void registerTypes();
    std::unique_ptr<FormatCache> cache;
  public:
  }];
}

#endif // QUANTC_DIALECT_QF_QFDIALECT
