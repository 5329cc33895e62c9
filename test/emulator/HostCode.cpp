//===- HostCode.cpp - a module of kernels for the host ------------------------------------------------------------===//

#include "HostCode.h"
#include "llvm/Analysis/ValueTracking.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include <map>

using namespace llvm;

namespace {

class Rewriter {
public:
  explicit Rewriter(Module &module)
      : module(module), i32(Type::getInt32Ty(module.getContext())), i64(Type::getInt64Ty(module.getContext())),
        pointer(PointerType::get(module.getContext(), 0)) {}

  std::vector<std::string> run(const void *shared) {
    for (Function &function : module)
      if (!function.isDeclaration())
        rewrite(function);
    for (GlobalVariable &global : make_early_inc_range(module.globals()))
      if (global.getAddressSpace() == 3) {
        Constant *address = ConstantInt::get(i64, reinterpret_cast<uintptr_t>(shared));
        global.replaceAllUsesWith(ConstantExpr::getIntToPtr(address, global.getType()));
        global.eraseFromParent();
      }
    for (Function &function : make_early_inc_range(module)) {
      if (function.isDeclaration() && function.use_empty() && function.getName().starts_with("llvm.nvvm."))
        function.eraseFromParent();
      else if (!function.isDeclaration() && !function.getName().ends_with("_run"))
        addEntry(function);
    }
    return names;
  }

private:
  void rewrite(Function &function) {
    function.setCallingConv(CallingConv::C);
    function.setAttributes(AttributeList());
    std::vector<CallBase *> calls;
    std::vector<Instruction *> accesses;
    for (Instruction &instruction : instructions(function)) {
      if (auto *call = dyn_cast<CallBase>(&instruction); call && !nameOf(*call).empty())
        calls.push_back(call);
      if ((isa<LoadInst>(instruction) || isa<StoreInst>(instruction)) &&
          !isOwn(getLoadStorePointerOperand(&instruction)))
        accesses.push_back(&instruction);
    }
    for (Instruction *access : accesses)
      check(*access);
    for (CallBase *call : calls)
      replace(*call, function);
  }

  /// What is emulated: intrinsics of NVPTX, and assembly.
  static std::string nameOf(const CallBase &call) {
    if (const auto *assembly = dyn_cast<InlineAsm>(call.getCalledOperand()))
      return assembly->getAsmString().str();
    const Function *callee = call.getCalledFunction();
    return callee && callee->getName().starts_with("llvm.nvvm.") ? callee->getName().str() : "";
  }

  /// Constants of the module, and the stack.
  static bool isOwn(const Value *address) {
    const Value *object = getUnderlyingObject(address);
    const auto *global = dyn_cast<GlobalVariable>(object);
    return isa<AllocaInst>(object) || (global && global->isConstant());
  }

  /// What an instruction says to be aligned to fewer bytes than it has, PTX accesses in parts.
  void check(Instruction &access) {
    IRBuilder<> b(&access);
    Value *address = b.CreateAddrSpaceCast(getLoadStorePointerOperand(&access), pointer);
    const uint64_t bytes = module.getDataLayout().getTypeStoreSize(getLoadStoreType(&access));
    const uint64_t natural = std::min<uint64_t>(bytes & -bytes, 16), aligned = getLoadStoreAlignment(&access).value();
    const uint64_t part = aligned < natural ? aligned : bytes;
    FunctionCallee callee =
        module.getOrInsertFunction(quantc::emulator::accessFunction, b.getVoidTy(), pointer, i64, i32);
    for (uint64_t at = 0; at < bytes; at += part)
      b.CreateCall(callee, {b.CreateConstGEP1_64(b.getInt8Ty(), address, at), ConstantInt::get(i64, part),
                            ConstantInt::get(i32, isa<StoreInst>(access))});
  }

  void replace(CallBase &call, Function &function) {
    auto [it, isNew] = indices.try_emplace(nameOf(call), names.size());
    if (isNew)
      names.push_back(it->first);
    IRBuilder<> entry(&*function.getEntryBlock().getFirstInsertionPt()), b(&call);
    const unsigned count = call.arg_size();
    Type *slot = ArrayType::get(i64, 2);
    AllocaInst *operands = entry.CreateAlloca(ArrayType::get(slot, std::max(count, 1u)));
    const uint64_t bytes = call.getType()->isVoidTy() ? 0 : module.getDataLayout().getTypeStoreSize(call.getType());
    AllocaInst *result = entry.CreateAlloca(ArrayType::get(slot, bytes / 16 + 1));
    operands->setAlignment(Align(16));
    result->setAlignment(Align(16));
    for (unsigned i = 0; i < count; i++) {
      Value *operand = call.getArgOperand(i);
      if (operand->getType()->isPointerTy())
        operand = b.CreateAddrSpaceCast(operand, pointer);
      b.CreateStore(operand, b.CreateConstInBoundsGEP1_64(slot, operands, i));
    }
    FunctionCallee callee =
        module.getOrInsertFunction(quantc::emulator::callFunction, b.getVoidTy(), i32, pointer, pointer, i32);
    b.CreateCall(callee, {ConstantInt::get(i32, it->second), operands, result, ConstantInt::get(i32, count)});
    if (!call.getType()->isVoidTy())
      call.replaceAllUsesWith(b.CreateLoad(call.getType(), result));
    call.eraseFromParent();
  }

  void addEntry(Function &kernel) {
    kernel.setLinkage(GlobalValue::InternalLinkage);
    auto *type = FunctionType::get(Type::getVoidTy(module.getContext()), {pointer}, false);
    Function *entry = Function::Create(type, GlobalValue::ExternalLinkage, kernel.getName() + "_run", module);
    IRBuilder<> b(BasicBlock::Create(module.getContext(), "", entry));
    std::vector<Value *> arguments;
    for (Argument &argument : kernel.args()) {
      Value *word = b.CreateLoad(i64, b.CreateConstInBoundsGEP1_64(i64, entry->getArg(0), argument.getArgNo()));
      arguments.push_back(argument.getType()->isPointerTy() ? b.CreateIntToPtr(word, argument.getType())
                                                            : b.CreateZExtOrTrunc(word, argument.getType()));
    }
    b.CreateCall(&kernel, arguments);
    b.CreateRetVoid();
  }

  Module &module;
  Type *i32, *i64;
  PointerType *pointer;
  std::vector<std::string> names;
  std::map<std::string, size_t> indices;
};

} // namespace

std::vector<std::string> quantc::emulator::toHost(Module &module, const void *shared) {
  if (NamedMDNode *annotations = module.getNamedMetadata("nvvm.annotations"))
    module.eraseNamedMetadata(annotations);
  return Rewriter(module).run(shared);
}
