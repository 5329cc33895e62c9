//===- CompiledKernels.cpp - kernels compiled in process, to be called ------------------------------------------===//

#include "CompiledKernels.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"
#include "quantc/Pipelines/Pipelines.h"
#include "quantc/Runtime/Cpu.h"
#include <cstring>
#include <sys/mman.h>

using namespace quantc;
using namespace quantc::test;

void CompiledKernels::Unmap::operator()(std::byte *code) const {
  ::munmap(code, size);
}

Result<CompiledKernels> CompiledKernels::compile(mlir::MLIRContext &context, const std::string &text,
                                                 const Target &target) {
  auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  if (!module)
    return fail("the kernels do not parse:\n{}", text);
  QUANTC_ASSIGN(CodeImage image, compileKernels(*module, target));
  CompiledKernels kernels;
  kernels.size = image.bytes.size();
  if (ForeignProcessor::canRun(target))
    kernels.foreign = std::make_unique<ForeignProcessor>();
  void *memory = ::mmap(nullptr, kernels.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return fail("cannot map {} bytes", kernels.size);
  kernels.code = {static_cast<std::byte *>(memory), Unmap{kernels.size}};
  std::memcpy(memory, image.bytes.data(), kernels.size);
  if (::mprotect(memory, kernels.size, PROT_READ | PROT_EXEC) != 0)
    return fail("cannot map code executable");
  for (CodeImage::Entry &entry : image.entries)
    kernels.entries[entry.name] = entry;
  return kernels;
}

int64_t CompiledKernels::tasks(const std::string &kernel, std::span<const int64_t> args) const {
  std::byte *function = code.get() + entries.at(kernel).tasks;
  if (foreign)
    return foreign->call(function, {reinterpret_cast<int64_t>(args.data())});
  return reinterpret_cast<int64_t (*)(const int64_t *)>(function)(args.data());
}

std::string CompiledKernels::instruction(const std::string &kernel, int64_t tokens) const {
  constexpr int64_t many = 16; // see KernelChoices
  const KernelChoices &choices = entries.at(kernel).choices;
  const std::vector<std::string> &names =
      tokens >= many && !choices.manyTokens.empty() ? choices.manyTokens : choices.instructions;
  return names.empty() ? "" : names.front();
}

void CompiledKernels::run(const std::string &kernel, std::span<const int64_t> args, int64_t begin, int64_t end) const {
  std::byte *function = code.get() + entries.at(kernel).kernel;
  if (foreign)
    foreign->call(function, {reinterpret_cast<int64_t>(args.data()), begin, end});
  else
    reinterpret_cast<void (*)(const int64_t *, int64_t, int64_t)>(function)(args.data(), begin, end);
}

std::unique_ptr<mlir::MLIRContext> quantc::test::createContext() {
  mlir::DialectRegistry registry;
  registerAllDialects(registry);
  registerAllPasses();
  return std::make_unique<mlir::MLIRContext>(registry, mlir::MLIRContext::Threading::DISABLED);
}

std::vector<Target> quantc::test::runnableTargets() {
  std::vector<Target> targets = Target::all(QUANTC_SOURCE_DIR).value();
  std::erase_if(targets, [](const Target &target) { return !firstMissingFeature(target.required).empty(); });
  return targets;
}

std::vector<Target> quantc::test::emulatedTargets() {
  std::vector<Target> targets = Target::all(QUANTC_SOURCE_DIR).value();
  std::erase_if(targets, [](const Target &target) { return !ForeignProcessor::canRun(target); });
  return targets;
}

static std::vector<Target> withEmulated(std::vector<Target> targets) {
  for (Target &target : emulatedTargets())
    targets.push_back(std::move(target));
  return targets;
}

std::vector<Target> quantc::test::testableTargets() {
  return withEmulated(runnableTargets());
}

std::vector<Target> quantc::test::contrastingTargets() {
  const std::vector<Target> all = runnableTargets();
  return withEmulated({all.front(), all.back()});
}

size_t quantc::test::activationStride(const Target &target, size_t bytes) {
  if (!target.matrix || bytes <= 128)
    return bytes;
  const size_t lines = (bytes + 63) / 64;
  return 64 * (lines % 2 ? lines : lines + 1);
}
