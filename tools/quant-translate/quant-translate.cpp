//===- quant-translate.cpp - a model's files to IR --------------------------------------------------------------===//
//
// quant-translate --import-hf DIR [-o FILE]          the graph of a Hugging Face directory, as text
// quant-translate --import-gguf FILE.gguf            of a GGUF file
//
// MLIR's own driver of translations reads its input as one file; a model may be a folder of many.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "quantc/Import/Import.h"
#include "quantc/Pipelines/Pipelines.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/ToolOutputFile.h"

namespace cl = llvm::cl;

static cl::opt<std::string> importHf("import-hf", cl::desc("import a Hugging Face directory"),
                                     cl::value_desc("directory"));
static cl::opt<std::string> importGguf("import-gguf", cl::desc("import a GGUF file"), cl::value_desc("file"));
static cl::opt<std::string> outputName("o", cl::desc("output file"), cl::value_desc("file"), cl::init("-"));

static int fail(llvm::StringRef message) {
  llvm::errs() << "quant-translate: error: " << message << '\n';
  return 1;
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  cl::ParseCommandLineOptions(argc, argv, "imports models as modules of the dialect nn\n");
  if (importHf.empty() == importGguf.empty())
    return fail("give one of --import-hf and --import-gguf");

  mlir::DialectRegistry registry;
  quantc::registerAllDialects(registry);
  mlir::MLIRContext context(registry);
  context.loadAllAvailableDialects();
  auto module = quantc::importModel(importHf.empty() ? importGguf.getValue() : importHf.getValue(), context);
  if (!module)
    return fail(module.error().message);

  std::error_code error;
  llvm::ToolOutputFile output(outputName, error, llvm::sys::fs::OF_Text);
  if (error)
    return fail(outputName + ": " + error.message());
  (*module)->print(output.os());
  output.os() << '\n';
  output.keep();
  return 0;
}
