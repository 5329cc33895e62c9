//===- MachineCode.cpp - from the llvm dialect to a flat image --------------------------------------------------===//

#include "quantc/CodeGen/MachineCode.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "quantc/Dialect/QF/QF.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/SmallVectorMemoryBuffer.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include <mutex>

using namespace mlir;
using namespace quantc;

static Result<std::unique_ptr<llvm::TargetMachine>> createTargetMachine(qf::TargetAttr target) {
  static std::once_flag registered; // LLVM's registry of targets is one for the process
  std::call_once(registered, [] {
    llvm::InitializeAllTargetInfos();
    llvm::InitializeAllTargets();
    llvm::InitializeAllTargetMCs();
    llvm::InitializeAllAsmPrinters();
  });
  std::string error;
  llvm::Triple triple(target.getTriple());
  const llvm::Target *known = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!known)
    return fail("target {}: {}", target.getName().str(), error);
  std::unique_ptr<llvm::TargetMachine> machine(known->createTargetMachine(triple, target.getCpu(), target.getFeatures(),
                                                                          {}, llvm::Reloc::PIC_, llvm::CodeModel::Small,
                                                                          llvm::CodeGenOptLevel::Aggressive));
  if (!machine || !machine->getMCSubtargetInfo()->isCPUStringValid(target.getCpu()))
    return fail("target {}: LLVM does not know the CPU '{}'", target.getName().str(), target.getCpu().str());
  return machine;
}

static void setAttributes(llvm::Module &module, qf::TargetAttr target) {
  for (llvm::Function &function : module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", target.getCpu());
    function.addFnAttr("target-features", target.getFeatures());
    function.addFnAttr("no-builtins"); // kernels call nothing, memset included
    function.addFnAttr(llvm::Attribute::NoUnwind);
    // Spilled vectors would straddle cache lines at the 16 bytes of the C ABI: up to 10 % of a matrix product.
    function.addFnAttr(llvm::Attribute::getWithStackAlignment(module.getContext(), llvm::Align(64)));
  }
}

/// LLVM's pipeline, but for its search for vectors: kernels have theirs, and it took a third of the time.
static void optimize(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::PipelineTuningOptions options;
  options.LoopVectorization = options.SLPVectorization = options.LoopInterleaving = false;
  llvm::PassBuilder builder(&machine, options);
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager components;
  llvm::ModuleAnalysisManager modules;
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3).run(module, modules);
}

Result<std::string> quantc::emitCode(ModuleOp module, CodeOutput kind) {
  auto target = qf::TargetAttr::of(module);
  if (!target)
    return fail("the module has no attribute 'qf.target'");
  QUANTC_ASSIGN(std::unique_ptr<llvm::TargetMachine> machine, createTargetMachine(target));

  DialectRegistry registry;
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  module.getContext()->appendDialectRegistry(registry);
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> code = translateModuleToLLVMIR(module, context);
  if (!code)
    return fail("kernels cannot be translated to LLVM IR");
  code->setTargetTriple(machine->getTargetTriple());
  code->setDataLayout(machine->createDataLayout());
  setAttributes(*code, target);
  optimize(*code, *machine);

  llvm::SmallString<0> text;
  llvm::raw_svector_ostream stream(text);
  if (kind == CodeOutput::LLVM) {
    code->print(stream, nullptr);
  } else {
    llvm::legacy::PassManager passes;
    if (machine->addPassesToEmitFile(passes, stream, nullptr,
                                     kind == CodeOutput::Assembly ? llvm::CodeGenFileType::AssemblyFile
                                                                  : llvm::CodeGenFileType::ObjectFile))
      return fail("target {}: LLVM cannot emit code for it", target.getName().str());
    passes.run(*code);
  }
  return text.str().str();
}

Result<CodeImage> quantc::emitImage(ModuleOp module) {
  QUANTC_ASSIGN(std::string object, emitCode(module, CodeOutput::Object));
  std::vector<std::string> names;
  for (auto function : module.getOps<LLVM::LLVMFuncOp>())
    if (module.lookupSymbol((function.getName() + "_tasks").str()))
      names.push_back(function.getName().str());
  QUANTC_ASSIGN(CodeImage image, linkFlat(object, names));
  for (CodeImage::Entry &entry : image.entries)
    entry.choices = Choices::of(module.lookupSymbol(entry.name));
  return image;
}
