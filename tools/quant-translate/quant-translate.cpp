//===- quant-translate.cpp - a model's files to IR, and IR to code ----------------------------------------------===//
//
// quant-translate --import-hf DIR [-o FILE]          the graph of a Hugging Face directory, as text
// quant-translate --import-gguf FILE.gguf            of a GGUF file
// quant-translate --emit=llvm|asm|obj [FILE.mlir]    what quant-codegen-cpu left, optimized for its target
//
// MLIR's own driver of translations reads its input as one file; a model may be a folder of many.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "mlir/Parser/Parser.h"
#include "quantc/Import/Import.h"
#include "quantc/Pipelines/Pipelines.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/ToolOutputFile.h"

namespace cl = llvm::cl;
using namespace quantc;

static cl::opt<std::string> importHf("import-hf", cl::desc("import a Hugging Face directory"),
                                     cl::value_desc("directory"));
static cl::opt<std::string> importGguf("import-gguf", cl::desc("import a GGUF file"), cl::value_desc("file"));
static cl::opt<CodeOutput> emit("emit", cl::desc("translate a module of the llvm dialect that has a 'qf.target':"),
                                cl::values(clEnumValN(CodeOutput::LLVM, "llvm", "LLVM IR"),
                                           clEnumValN(CodeOutput::Assembly, "asm", "assembly"),
                                           clEnumValN(CodeOutput::Object, "obj", "a relocatable ELF object")));
static cl::opt<std::string> inputName(cl::Positional, cl::desc("<IR for --emit>"), cl::init("-"));
static cl::opt<std::string> outputName("o", cl::desc("output file"), cl::value_desc("file"), cl::init("-"));

/// The text of a model's graph.
static Result<std::string> import(mlir::MLIRContext &context) {
  QUANTC_ASSIGN(auto module, importModel(importHf.empty() ? importGguf.getValue() : importHf.getValue(), context));
  std::string text;
  llvm::raw_string_ostream stream(text);
  module->print(stream);
  return text + '\n';
}

static Result<std::string> translate(mlir::MLIRContext &context) {
  llvm::SourceMgr sources;
  mlir::SourceMgrDiagnosticHandler handler(sources, &context, llvm::errs());
  auto module = mlir::parseSourceFile<mlir::ModuleOp>(inputName, sources, &context);
  if (!module)
    return fail("{}: cannot be read", inputName.getValue());
  return emitCode(*module, emit);
}

static Status run() {
  if (!importHf.empty() + !importGguf.empty() + (emit.getNumOccurrences() > 0) != 1)
    return fail("give one of --import-hf, --import-gguf and --emit");
  mlir::DialectRegistry registry;
  registerAllDialects(registry);
  mlir::MLIRContext context(registry);
  context.loadAllAvailableDialects();
  QUANTC_ASSIGN(std::string text, emit.getNumOccurrences() > 0 ? translate(context) : import(context));

  std::error_code error;
  llvm::ToolOutputFile output(outputName, error, llvm::sys::fs::OF_None);
  if (error)
    return fail("{}: {}", outputName.getValue(), error.message());
  output.os() << text;
  output.keep();
  return {};
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  cl::ParseCommandLineOptions(argc, argv, "imports models as modules of the dialect nn; translates kernels to code\n");
  if (Status status = run(); !status) {
    llvm::errs() << "quant-translate: error: " << status.error().message << '\n';
    return 1;
  }
  return 0;
}
