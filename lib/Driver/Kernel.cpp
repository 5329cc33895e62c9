//===- Kernel.cpp - one kernel by itself --------------------------------------------------------------------------===//

#include "quantc/Driver/Kernel.h"
#include "ChooseTargets.h"
#include "KernelText.h"
#include "mlir/Parser/Parser.h"
#include "quantc/CodeGen/MachineCode.h"
#include "quantc/CodeGen/NVPTX/PTX.h"
#include "quantc/CodeGen/NVPTX/Ptxas.h"
#include "quantc/CodeGen/TargetAttributes.h"
#include "quantc/Dialect/NN/Cache.h"
#include "quantc/Encode/Encode.h"
#include "quantc/Format/FragmentStorage.h"
#include "quantc/Format/Repack.h"
#include "quantc/Pipelines/FirstError.h"
#include "quantc/Pipelines/NVPTX.h"
#include "quantc/Pipelines/Pipelines.h"
#include "quantc/Support/ChildProcess.h"
#include "quantc/Support/Files.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/raw_ostream.h"
#include <cstring>
#include <fmt/ranges.h>

using namespace mlir;
using namespace quantc;
namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

const std::vector<std::string> &quantc::kernelOutputs(bool gpu) {
  static const std::vector<std::string> forGPU = {"mlir", "llvm", "ptx", "cubin", "header", "weights", "decoded"},
                                        forCPU = {"mlir", "llvm", "asm", "obj", "header", "weights", "decoded"};
  return gpu ? forGPU : forCPU;
}

namespace {

struct Compiler {
  const KernelOptions &options;
  fs::path data;
  std::unique_ptr<MLIRContext> context;
  qf::ElemType format;
  OwningOpRef<ModuleOp> module;

  Status open();
  Result<KernelCode> forGPU();
  Result<KernelCode> forCPU();
  Status parse(const std::string &text);
  std::string printed();
  /// The weights of options.weights in the format.
  Result<FieldValues> encoded();
  /// What they are then, f32.
  Result<std::string> decoded();
  /// The same in a storage of `bytes` bytes, by `pack`.
  Result<std::string> packed(int64_t bytes,
                             const std::function<Status(const FieldValues &, std::span<std::byte>)> &pack);
};

} // namespace

Status Compiler::open() {
  QUANTC_ASSIGN(data, dataDirectory());
  DialectRegistry registry;
  registerAllDialects(registry);
  context = std::make_unique<MLIRContext>(registry, MLIRContext::Threading::DISABLED);
  context->loadAllAvailableDialects();
  context->printOpOnDiagnostic(false);
  QUANTC_ASSIGN(std::shared_ptr<Catalog> catalog, Catalog::open(data, options.formatFiles));
  context->getLoadedDialect<qf::QFDialect>()->setCatalog(catalog);
  QUANTC_ASSIGN(format, qf::ElemType::of(context.get(), options.format));
  return format.getFormat()->checkShape(options.n, options.k);
}

Status Compiler::parse(const std::string &text) {
  FirstError problem(context.get());
  module = parseSourceString<ModuleOp>(text, context.get());
  return module ? Status() : problem.error("parsing the kernel");
}

std::string Compiler::printed() {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module->print(stream);
  return text + "\n";
}

Result<FieldValues> Compiler::encoded() {
  if (options.weights.empty())
    return fail("which weights? name a file of {} x {} f32, row-major, by --weights", options.n, options.k);
  QUANTC_ASSIGN(const auto file, MappedFile::open(options.weights));
  std::vector<float> values(static_cast<size_t>(options.n * options.k));
  if (file->bytes().size() != values.size() * sizeof(float))
    return fail("{}: has {} bytes, not those of {} x {} f32", options.weights.string(), file->bytes().size(), options.n,
                options.k);
  std::memcpy(values.data(), file->bytes().data(), file->bytes().size());
  QUANTC_TRY(checkNumbers({.N = options.n,
                           .K = options.k,
                           .read = [&](int64_t row, int64_t rows, float *out) -> Status {
                             std::copy_n(values.data() + row * options.k, rows * options.k, out);
                             return {};
                           },
                           .importance = {}}));
  return encode(*format.getFormat(), values, options.n, options.k);
}

Result<std::string> Compiler::decoded() {
  QUANTC_ASSIGN(const FieldValues fields, encoded());
  std::vector<float> values(static_cast<size_t>(options.n * options.k));
  QUANTC_TRY(decode(*format.getFormat(), fields, options.n, options.k, values.data()));
  return std::string(reinterpret_cast<const char *>(values.data()), values.size() * sizeof(float));
}

Result<std::string> Compiler::packed(int64_t bytes,
                                     const std::function<Status(const FieldValues &, std::span<std::byte>)> &pack) {
  QUANTC_ASSIGN(const FieldValues fields, encoded());
  std::string packed(static_cast<size_t>(bytes), '\0');
  QUANTC_TRY(pack(fields, std::as_writable_bytes(std::span(packed))));
  return packed;
}

//===- GPUs ----------------------------------------------------------------------------------------------------===//

static Result<GPULevel> levelOf(const std::string &name) {
  for (int i = 0; i <= static_cast<int>(GPULevel::LLVM); i++)
    if (nameOf(static_cast<GPULevel>(i)) == name)
      return static_cast<GPULevel>(i);
  return fail("there is no level '{}'; there are kernels, linalg, tiled, vector, planes, buffers, gpu, lanes, llvm",
              name);
}

Result<KernelCode> Compiler::forGPU() {
  QUANTC_ASSIGN(GPUTarget target, GPUTarget::find(options.target, data));
  QUANTC_ASSIGN(GPULevel level, levelOf(options.emit == "mlir" ? options.level : "llvm"));
  QUANTC_ASSIGN(qf::BlockType block, qf::BlockType::of(format, FragmentStorage::rows));
  QUANTC_ASSIGN(FragmentStorage storage, FragmentStorage::derive(block.getKernelStorage()));
  QUANTC_TRY(storage.checkShape(options.n, options.k));
  QUANTC_TRY(parse(gpuKernelText(options, format)));
  NVPTXOptions lowering;
  lowering.target = target.name;
  lowering.from = GPULevel::Linalg;
  lowering.to = level;
  lowering.warpGroups = !options.noWarpGroups;
  QUANTC_TRY(lowerGPUKernels(*module, lowering));
  if (level != GPULevel::LLVM)
    return KernelCode{printed(), {}};
  KernelCode code;
  code.description = describeGPUKernel(options, target, storage, kernelsOf(*module).at(0));
  if (options.emit == "mlir") {
    code.bytes = printed();
  } else if (options.emit == "header") {
    code.bytes = gpuKernelHeader(options, code.description);
  } else if (options.emit == "weights") {
    QUANTC_ASSIGN(code.bytes, packed(storage.bytes(options.n, options.k), [&](const FieldValues &fields, auto to) {
                    return storage.fromFields(fields, options.n, options.k, to);
                  }));
  } else if (options.emit == "llvm") {
    llvm::LLVMContext llvmContext;
    QUANTC_ASSIGN(std::unique_ptr<llvm::Module> translated, translateGPU(*module, llvmContext));
    llvm::raw_string_ostream stream(code.bytes);
    translated->print(stream, nullptr);
  } else {
    QUANTC_ASSIGN(code.bytes, emitPTX(*module));
  }
  if (options.emit != "cubin")
    return code;
  const std::optional<fs::path> ptxas = findPtxas();
  if (!ptxas)
    return fail(
        "a cubin needs ptxas of a CUDA toolkit, which is neither in the search path nor in /usr/local/cuda; emit "
        "ptx instead, which drivers compile");
  QUANTC_ASSIGN(Assembled assembled, assemblePTX(*ptxas, code.bytes, target.chip));
  code.bytes = std::move(assembled.cubin);
  code.description["ptxas"] = assembled.report;
  return code;
}

//===- Processors ----------------------------------------------------------------------------------------------===//

Result<KernelCode> Compiler::forCPU() {
  QUANTC_ASSIGN(Target target, Target::find(options.target, data));
  QUANTC_ASSIGN(qf::BlockType block, qf::BlockType::of(format, target.rows));
  QUANTC_TRY(block.getKernelStorage()->checkShape(options.n, options.k));
  QUANTC_ASSIGN(const std::string activations, cpuActivations(block, data));
  QUANTC_TRY(parse(cpuKernelText(options, format, activations)));
  CodegenOptions lowering;
  lowering.target = target.name;
  attach(target, *module);
  lowering.from = Level::Linalg;
  if (options.emit == "mlir") {
    bool known = false;
    for (Level level : codegenLevels().drop_front())
      if (nameOf(level) == options.level) {
        lowering.to = level;
        known = true;
      }
    if (!known)
      return fail("there is no level '{}' for {}", options.level, target.name);
  }
  QUANTC_TRY(lowerKernels(*module, lowering));
  KernelCode code;
  Type number = Float32Type::get(context.get());
  if (!activations.empty()) {
    QUANTC_ASSIGN(number, qf::ElemType::of(context.get(), activations));
  }
  code.description = describeCPUKernel(options, target, *block.getKernelStorage(), activations,
                                       nn::rowBytes(RankedTensorType::get({1, options.k}, number)));
  if (options.emit == "mlir") {
    code.bytes = printed();
  } else if (options.emit == "header") {
    code.bytes = cpuKernelHeader(options, code.description);
  } else if (options.emit == "weights") {
    const auto storage = block.getKernelStorage();
    QUANTC_ASSIGN(const Repacker repacker, Repacker::create(storage));
    QUANTC_ASSIGN(code.bytes, packed(storage->bytes(options.n, options.k), [&](const FieldValues &fields, auto to) {
                    return repacker.fromFields(fields, options.n, options.k, to);
                  }));
  } else {
    const CodeOutput kind = options.emit == "llvm"  ? CodeOutput::LLVM
                            : options.emit == "asm" ? CodeOutput::Assembly
                                                    : CodeOutput::Object;
    QUANTC_ASSIGN(code.bytes, emitCode(*module, kind));
  }
  return code;
}

static Result<KernelCode> compileHere(KernelOptions options) {
  QUANTC_ASSIGN(const fs::path data, dataDirectory());
  QUANTC_ASSIGN(options.target, targetNamed(options.target, data));
  Compiler compiler{options, {}, {}, {}, {}};
  QUANTC_TRY(compiler.open());
  const bool gpu = describesGPU(data / "targets" / (options.target + ".json"));
  const std::vector<std::string> &outputs = kernelOutputs(gpu);
  if (std::ranges::find(outputs, options.emit) == outputs.end())
    return fail("for {} a kernel can be emitted as {}, not as '{}'", options.target, fmt::join(outputs, ", "),
                options.emit);
  if (!gpu && (options.m || options.bias || options.residual || options.noWarpGroups || options.activations != "f16"))
    return fail(
        "a number of tokens, a bias, a residual, an instruction and a type of activations can be chosen for GPUs only");
  if (options.emit == "decoded") {
    QUANTC_ASSIGN(std::string values, compiler.decoded());
    return KernelCode{std::move(values), {}};
  }
  return gpu ? compiler.forGPU() : compiler.forCPU();
}

Result<KernelCode> quantc::compileKernel(const KernelOptions &options) {
  // LLVM may abort on what it does not expect, which becomes an error.
  QUANTC_ASSIGN(const std::string sent, runInChild("the kernel", {}, [&]() -> Result<std::string> {
                  QUANTC_ASSIGN(KernelCode code, compileHere(options));
                  return code.description.dump() + '\n' + code.bytes;
                }));
  const size_t end = sent.find('\n');
  return KernelCode{sent.substr(end + 1), Json::parse(sent.substr(0, end))};
}
