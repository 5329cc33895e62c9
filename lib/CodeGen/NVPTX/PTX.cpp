//===- PTX.cpp - from the llvm dialect to PTX ---------------------------------------------------------------------===//

#include "quantc/CodeGen/NVPTX/PTX.h"
#include "Schedule.h"
#include "WarpGroup.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/ExecutionEngine/OptUtils.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/GPU/GPUToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Support/Files.h"
#include "quantc/Support/Json.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include <mutex>

using namespace mlir;
using namespace quantc;

std::vector<GPUKernel> quantc::kernelsOf(ModuleOp module) {
  std::vector<GPUKernel> kernels;
  module.walk([&](LLVM::LLVMFuncOp function) {
    auto threads = function->getAttrOfType<DenseI32ArrayAttr>(NVVM::NVVMDialect::getMaxntidAttrName());
    auto shared = function->getAttrOfType<IntegerAttr>("qf.shared_bytes");
    std::optional<LaunchGrid> grid = LaunchGrid::of(function);
    if (!threads || !shared || !grid)
      return;
    auto most = function->getAttrOfType<IntegerAttr>(mostTokens);
    auto of = function->getAttrOfType<FlatSymbolRefAttr>(variantOf);
    auto memory = function->getAttrOfType<IntegerAttr>(scratchBytes);
    kernels.push_back({function.getName().str(), of ? of.getValue().str() : function.getName().str(),
                       most ? most.getInt() : 0, threads[0], shared.getInt(),
                       static_cast<int64_t>(function.getNumArguments()), *grid, memory ? memory.getInt() : 0,
                       Schedule::of(function).value_or(Schedule{}).parts, WarpGroup::isUsedBy(function),
                       function->hasAttr(waitsForLaunches)});
  });
  return kernels;
}

static Result<std::unique_ptr<llvm::TargetMachine>> createMachine(qf::GPUTargetAttr target) {
  static std::once_flag registered; // LLVM's registry of targets is one for the process
  std::call_once(registered, [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
  });
  std::string error;
  llvm::Triple triple("nvptx64-nvidia-cuda");
  const llvm::Target *known = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!known)
    return fail("target {}: {}", target.getName().str(), error);
  const std::string features = fmt::format("+ptx{}", target.getPtx());
  std::unique_ptr<llvm::TargetMachine> machine(known->createTargetMachine(
      triple, target.getChip(), features, {}, std::nullopt, std::nullopt, llvm::CodeGenOptLevel::Aggressive));
  if (!machine || !machine->getMCSubtargetInfo()->isCPUStringValid(target.getChip()))
    return fail("target {}: LLVM does not know the GPU '{}'", target.getName().str(), target.getChip().str());
  return machine;
}

/// The architecture's number: 90 of "sm_90a".
static unsigned versionOf(StringRef chip) {
  unsigned version = 0;
  chip.consume_front("sm_");
  chip.consumeInteger(10, version);
  return version;
}

/// Fails where `code` calls an intrinsic that the target does not have.
static Status checkIntrinsics(const llvm::Module &code, qf::GPUTargetAttr target) {
  QUANTC_ASSIGN(const std::filesystem::path data, dataDirectory());
  const std::filesystem::path file = data / "targets" / "cuda" / "intrinsics.json";
  QUANTC_ASSIGN(const nlohmann::json root, readJsonObject(file, 1 << 20));
  const auto table = root.find("intrinsics");
  if (table == root.end() || !table->is_object())
    return fail("{}: 'intrinsics' is no object", file.string());
  for (const llvm::Function &function : code) {
    StringRef name = function.getName();
    if (!function.isDeclaration() || !name.starts_with("llvm.nvvm."))
      continue;
    const nlohmann::json *needs = nullptr;
    size_t longest = 0;
    for (const auto &[prefix, entry] : table->items())
      if (name.starts_with(prefix) && prefix.size() > longest) {
        longest = prefix.size();
        needs = &entry;
      }
    if (!needs)
      return fail("target {}: it is not known which GPUs have '{}'; add it to {}", target.getName().str(), name.str(),
                  file.string());
    const unsigned sm = needs->value("sm", 0u), ptx = needs->value("ptx", 0u);
    if (const std::string only = needs->value("only", ""); !only.empty() && target.getChip() != only)
      return fail("target {} has no '{}': only {} has", target.getName().str(), name.str(), only);
    if (versionOf(target.getChip()) < sm || target.getPtx() < ptx)
      return fail("target {} (PTX {}.{}) has no '{}': that needs sm_{} and PTX {}.{}", target.getName().str(),
                  target.getPtx() / 10, target.getPtx() % 10, name.str(), sm, ptx / 10, ptx % 10);
  }
  return {};
}

static Result<gpu::GPUModuleOp> gpuModule(ModuleOp module) {
  auto modules = module.getOps<gpu::GPUModuleOp>();
  if (modules.empty())
    return fail("the module has no 'gpu.module'");
  return *modules.begin();
}

/// Upstream makes a kernel's dynamic shared memory an internal array of no elements. LLVM then knows that nothing lies
/// there, concludes that no two accesses of it meet, and reads again what was read before a store. Memory from outside
/// has no known size; PTX calls it `.extern .shared`. Aligned for whatever is
/// copied there, and read by descriptors.
static void declareSharedMemory(llvm::Module &code) {
  for (llvm::GlobalVariable &global : code.globals())
    if (global.getAddressSpace() == static_cast<unsigned>(NVVM::NVVMMemorySpace::Shared)) {
      global.setInitializer(nullptr);
      global.setLinkage(llvm::GlobalValue::ExternalLinkage);
      global.setAlignment(llvm::Align(WarpGroup::alignment));
    }
}

static Result<std::unique_ptr<llvm::Module>> translate(ModuleOp module, llvm::LLVMContext &context,
                                                       llvm::TargetMachine &machine, qf::GPUTargetAttr target) {
  QUANTC_ASSIGN(gpu::GPUModuleOp kernels, gpuModule(module));
  DialectRegistry registry;
  registerBuiltinDialectTranslation(registry);
  registerGPUDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  registerNVVMDialectTranslation(registry);
  module.getContext()->appendDialectRegistry(registry);
  std::unique_ptr<llvm::Module> code = translateModuleToLLVMIR(kernels, context);
  if (!code)
    return fail("kernels cannot be translated to LLVM IR");
  code->setTargetTriple(machine.getTargetTriple());
  code->setDataLayout(machine.createDataLayout());
  declareSharedMemory(*code);
  QUANTC_TRY(checkIntrinsics(*code, target));
  if (llvm::Error error = makeOptimizingTransformer(/*optLevel=*/3, /*sizeLevel=*/0, &machine)(code.get()))
    return fail("target {}: {}", target.getName().str(), llvm::toString(std::move(error)));
  QUANTC_TRY(checkIntrinsics(*code, target));
  return code;
}

static Result<qf::GPUTargetAttr> targetOf(ModuleOp module) {
  if (auto target = qf::GPUTargetAttr::of(module))
    return target;
  return fail("the module has no attribute 'qf.gpu'");
}

Result<std::unique_ptr<llvm::Module>> quantc::translateGPU(ModuleOp module, llvm::LLVMContext &context) {
  QUANTC_ASSIGN(qf::GPUTargetAttr target, targetOf(module));
  QUANTC_ASSIGN(std::unique_ptr<llvm::TargetMachine> machine, createMachine(target));
  return translate(module, context, *machine, target);
}

Result<std::string> quantc::emitPTX(ModuleOp module) {
  QUANTC_ASSIGN(qf::GPUTargetAttr target, targetOf(module));
  QUANTC_ASSIGN(std::unique_ptr<llvm::TargetMachine> machine, createMachine(target));
  llvm::LLVMContext context;
  QUANTC_ASSIGN(std::unique_ptr<llvm::Module> code, translate(module, context, *machine, target));
  llvm::SmallString<0> text;
  llvm::raw_svector_ostream stream(text);
  llvm::legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, stream, nullptr, llvm::CodeGenFileType::AssemblyFile))
    return fail("target {}: LLVM cannot emit PTX", target.getName().str());
  passes.run(*code);
  return text.str().str();
}
