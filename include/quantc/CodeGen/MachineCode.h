//===- MachineCode.h - from the llvm dialect to a flat image ----------------------------------------------------===//
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "quantc/CodeGen/Choices.h"
#include "quantc/Support/Result.h"
#include "llvm/ADT/StringRef.h"
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace quantc {

/// Machine code that runs wherever it is mapped: position independent, no imports, no relocations, read-only data
/// included. Map it executable, aligned to at least 4096 bytes.
struct CodeImage {
  /// One kernel: offsets of `kernel` and `kernel_tasks` (docs/Architecture.md, "Kernels").
  struct Entry {
    std::string name;
    uint64_t kernel, tasks;
    KernelChoices choices = {};
  };
  std::vector<std::byte> bytes;
  std::vector<Entry> entries; ///< in the order of the module
};

enum class CodeOutput { LLVM, Assembly, Object };

/// Optimizes a module of the llvm dialect, which has the attribute `qf.target`, by LLVM O3 and emits it as text or an
/// ELF object. Fails where LLVM does not know the target or the module does not translate.
Result<std::string> emitCode(mlir::ModuleOp module, CodeOutput kind);

/// The same as a flat image. Fails where code refers to a symbol that it does not define.
Result<CodeImage> emitImage(mlir::ModuleOp module);

/// Lays out the sections of an ELF object one after the other and resolves all references between them. Fails, with the
/// name, where a symbol is undefined, a relocation depends on the address of the image, or data are writable. `names`
/// are the kernels.
Result<CodeImage> linkFlat(llvm::StringRef object, llvm::ArrayRef<std::string> names);

} // namespace quantc
