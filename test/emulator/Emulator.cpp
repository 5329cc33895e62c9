//===- Emulator.cpp - GPU kernels on the CPU ----------------------------------------------------------------------===//

#include "Emulator.h"
#include "HostCode.h"
#include "Intrinsics.h"
#include "quantc/Format/Arithmetic.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/TargetSelect.h"
#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>

using namespace quantc;
using namespace quantc::emulator;

/// Blocks run one after the other: there is one shared memory, whose address is a constant of the code.
static constexpr size_t mostShared = size_t(256) << 10;

struct Emulator::Code {
  std::unique_ptr<std::byte, void (*)(void *)> shared{static_cast<std::byte *>(std::aligned_alloc(1024, mostShared)),
                                                      std::free};
  std::vector<Intrinsic> intrinsics;
  std::map<std::string, size_t> parameters; ///< of each kernel
  std::unique_ptr<llvm::orc::LLJIT> jit;
};

static thread_local const std::vector<Intrinsic> *activeIntrinsics = nullptr;

static void callIntrinsic(uint32_t index, std::byte *operands, std::byte *result, uint32_t count) {
  (*activeIntrinsics)[index](Block::current(), {operands, result, count});
}
static void checkAccess(const void *address, uint64_t bytes, uint32_t isWrite) {
  Block::current().access(address, bytes, isWrite != 0);
}
/// What the host's code generator calls where the processor has no such conversion.
static uint16_t narrowToBF16(float value) {
  return toBF16(value);
}

Emulator::Emulator(std::unique_ptr<Code> code) : code(std::move(code)) {}
Emulator::~Emulator() = default;
Emulator::Emulator(Emulator &&) noexcept = default;

static Error asError(llvm::Error error) {
  return Error{"emulator: " + llvm::toString(std::move(error))};
}

Result<Emulator> Emulator::create(std::unique_ptr<llvm::Module> kernels, std::unique_ptr<llvm::LLVMContext> context) {
  static std::once_flag registered;
  std::call_once(registered, [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
  });
  auto code = std::make_unique<Code>();
  for (const llvm::Function &function : *kernels)
    if (!function.isDeclaration())
      code->parameters[function.getName().str()] = function.arg_size();
  const std::vector<std::string> names = toHost(*kernels, code->shared.get());
  for (const std::string &name : names) {
    code->intrinsics.push_back(find(name));
    if (!code->intrinsics.back())
      return fail("emulator: '{}' is not emulated", name);
  }
  auto jit = llvm::orc::LLJITBuilder().create();
  if (!jit)
    return tl::unexpected(asError(jit.takeError()));
  code->jit = std::move(*jit);
  kernels->setTargetTriple(code->jit->getTargetTriple());
  kernels->setDataLayout(code->jit->getDataLayout());

  llvm::orc::SymbolMap symbols;
  auto define = [&](const char *name, auto *function) {
    symbols[code->jit->mangleAndIntern(name)] = {llvm::orc::ExecutorAddr::fromPtr(function),
                                                 llvm::JITSymbolFlags::Exported | llvm::JITSymbolFlags::Callable};
  };
  define(callFunction, &callIntrinsic);
  define(accessFunction, &checkAccess);
  define("fmaf", static_cast<float (*)(float, float, float)>(&std::fma));
  define("__truncsfbf2", &narrowToBF16);
  if (llvm::Error error = code->jit->getMainJITDylib().define(llvm::orc::absoluteSymbols(std::move(symbols))))
    return tl::unexpected(asError(std::move(error)));
  if (llvm::Error error = code->jit->addIRModule({std::move(kernels), std::move(context)}))
    return tl::unexpected(asError(std::move(error)));
  return Emulator(std::move(code));
}

Result<size_t> Emulator::parameters(const std::string &kernel) const {
  const auto found = code->parameters.find(kernel);
  if (found == code->parameters.end())
    return fail("emulator: there is no kernel {}", kernel);
  return found->second;
}

Status Emulator::launch(const Launch &launch, std::span<const int64_t> arguments,
                        std::span<const Buffer> buffers) const {
  if (launch.sharedBytes > mostShared || launch.threads % warpSize || launch.threads == 0)
    return fail("emulator: a block has whole warps and at most {} bytes of shared memory", mostShared);
  auto entry = code->jit->lookup(launch.kernel + "_run");
  if (!entry)
    return tl::unexpected(asError(entry.takeError()));
  auto *run = entry->toPtr<void (*)(const int64_t *)>();
  QUANTC_ASSIGN(const size_t count, parameters(launch.kernel));
  if (arguments.size() != count)
    return fail("emulator: kernel {} has {} parameters, not {}", launch.kernel, count, arguments.size());

  std::vector<unsigned> order(launch.gridX * launch.gridY);
  for (unsigned i = 0; i < order.size(); i++)
    order[i] = i;
  std::mt19937_64 random(launch.seed);
  std::ranges::shuffle(order, random);
  activeIntrinsics = &code->intrinsics;
  Block block(launch, buffers, code->shared.get());
  for (unsigned i : order)
    QUANTC_TRY(block.run(i % launch.gridX, i / launch.gridX, [&] { run(arguments.data()); }));
  return {};
}
