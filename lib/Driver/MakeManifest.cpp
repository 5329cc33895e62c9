//===- MakeManifest.cpp - the manifest of compiled modules --------------------------------------------------------===//

#include "MakeManifest.h"
#include "Certificate.h"
#include "DescribeKernels.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "quantc/CodeGen/Storage.h"
#include "quantc/Dialect/NN/Cache.h"
#include "quantc/Dialect/NN/NN.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Dialect/RT/RT.h"
#include "quantc/Format/Factoring.h"
#include "quantc/Support/Files.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;
using namespace quantc;

namespace {

/// Buffers and launches of one module.
class ProgramBuilder {
public:
  ProgramBuilder(ModuleOp module, const llvm::StringMap<size_t> &weights, ProgramEntry &out)
      : module(module), weights(weights), out(out) {}

  static Result<rt::ProgramOp> programOf(ModuleOp module);
  /// Kernels are numbered in the order of the module.
  void addKernel(StringRef name) { kernels.try_emplace(name, kernels.size()); }
  /// `arguments` makes the arguments of a launch; `called` is told each kernel's index.
  Status build(llvm::function_ref<Result<std::vector<ArgEntry>>(rt::LaunchOp)> arguments,
               llvm::function_ref<void(size_t)> called);
  Result<ArgEntry> argument(Attribute attribute) const;

private:
  ModuleOp module;
  const llvm::StringMap<size_t> &weights;
  ProgramEntry &out;
  llvm::StringMap<size_t> buffers, kernels;
};

/// The manifest, symbol by symbol.
class ManifestBuilder {
public:
  explicit ManifestBuilder(const PackageInput &input) : input(input) {}
  Result<Manifest> build(const Tokenizer *tokenizer);

private:
  void addModel(rt::ProgramOp program, const Tokenizer *tokenizer);
  Status addWeights();
  Status addProcessors();
  Status addGPU();

  const PackageInput &input;
  Manifest manifest;
  llvm::StringMap<size_t> weights;
};

} // namespace

//===- Programs ------------------------------------------------------------------------------------------------===//

Result<rt::ProgramOp> ProgramBuilder::programOf(ModuleOp module) {
  auto programs = module.getOps<rt::ProgramOp>();
  if (programs.empty())
    return fail("the module has no program");
  return *programs.begin();
}

Result<ArgEntry> ProgramBuilder::argument(Attribute attribute) const {
  if (auto scalar = dyn_cast<rt::ScalarAttr>(attribute))
    return ArgEntry{.kind = ArgKind::Scalar, .scalar = static_cast<Scalar>(scalar.getValue())};
  StringRef name = cast<FlatSymbolRefAttr>(attribute).getValue();
  if (auto buffer = buffers.find(name); buffer != buffers.end())
    return ArgEntry{.kind = ArgKind::Buffer, .index = buffer->second};
  if (auto weight = weights.find(name); weight != weights.end())
    return ArgEntry{.kind = ArgKind::Weight, .index = weight->second};
  return fail("a launch names @{}, which is neither a buffer nor a weight", name.str());
}

Status ProgramBuilder::build(llvm::function_ref<Result<std::vector<ArgEntry>>(rt::LaunchOp)> arguments,
                             llvm::function_ref<void(size_t)> called) {
  QUANTC_ASSIGN(rt::ProgramOp program, programOf(module));
  for (rt::BufferOp buffer : module.getOps<rt::BufferOp>()) {
    buffers[buffer.getSymName()] = out.buffers.size();
    out.buffers.push_back({buffer.getSymName().str(), static_cast<uint64_t>(buffer.getBytes()),
                           static_cast<uint64_t>(buffer.getPerToken()), static_cast<uint64_t>(buffer.getPerContext()),
                           buffer.getPersistent()});
  }
  for (rt::StageOp stage : program.getOps<rt::StageOp>()) {
    StageEntry entry{.name = stage.getStage().str(), .launches = {}};
    if (const auto carried = stage.getCarries())
      entry.carries = CarryEntry{.buffer = buffers.lookup(*carried), .perToken = *stage.getPerToken()};
    for (rt::LaunchOp launch : stage.getOps<rt::LaunchOp>()) {
      LaunchEntry one{.kernel = kernels.lookup(launch.getKernel()), .args = {}};
      called(one.kernel);
      QUANTC_ASSIGN(one.args, arguments(launch));
      entry.launches.push_back(std::move(one));
    }
    out.stages.push_back(std::move(entry));
  }
  auto bufferOf = [&](DictionaryAttr dictionary, StringRef name) {
    auto symbol = dictionary.getAs<FlatSymbolRefAttr>(name);
    return symbol ? buffers.lookup(symbol.getValue()) : 0;
  };
  out.tokensBuffer = bufferOf(program.getInputs(), "tokens");
  out.logitsBuffer = bufferOf(program.getOutputs(), "logits");
  if (program.getOutputs().contains("tokens"))
    out.choice = ChoiceEntry{.tokens = bufferOf(program.getOutputs(), "tokens"),
                             .largest = bufferOf(program.getOutputs(), "largest")};
  if (program.getOutputs().contains("top_tokens"))
    out.top = TopEntry{.tokens = bufferOf(program.getOutputs(), "top_tokens"),
                       .logits = bufferOf(program.getOutputs(), "top_logits")};
  return {};
}

//===- The model -----------------------------------------------------------------------------------------------===//

static int64_t integerOf(DictionaryAttr dictionary, StringRef name) {
  auto value = dictionary.getAs<IntegerAttr>(name);
  return value ? value.getInt() : 0;
}

void ManifestBuilder::addModel(rt::ProgramOp program, const Tokenizer *tokenizer) {
  DictionaryAttr model = program.getModel();
  manifest.tool = "quantc " QUANTC_VERSION;
  if (auto architecture = model.getAs<StringAttr>("architecture"))
    manifest.architecture = architecture.str();
  manifest.context = integerOf(model, "context");
  manifest.vocab = integerOf(model, "vocab");
  manifest.hidden = integerOf(model, "hidden");
  manifest.layers = integerOf(model, "layers");
  if (auto bos = model.getAs<DenseI32ArrayAttr>("bos"); bos && !bos.empty())
    manifest.bos = bos[0];
  auto addEnd = [&](int32_t token) {
    if (token >= 0 && token < manifest.vocab && !llvm::is_contained(manifest.eos, token))
      manifest.eos.push_back(token);
  };
  if (auto eos = model.getAs<DenseI32ArrayAttr>("eos"))
    llvm::for_each(eos.asArrayRef(), addEnd);
  if (tokenizer)
    llvm::for_each(tokenizer->model().stops, addEnd);
  for (NamedAttribute attribute : model)
    if (auto integer = dyn_cast<IntegerAttr>(attribute.getValue()))
      if (StringRef name = attribute.getName(); name == "heads" || name == "kv_heads" || name == "head_dim")
        manifest.details[name.str()] = integer.getInt();
}

Result<std::optional<FragmentStorage>> quantc::fragmentStorageOf(nn::WeightOp weight) {
  auto type = cast<RankedTensorType>(weight.getType());
  auto elem = dyn_cast<qf::ElemType>(type.getElementType());
  if (!elem)
    return std::optional<FragmentStorage>();
  QUANTC_ASSIGN(const qf::BlockType block, qf::BlockType::of(elem, FragmentStorage::rows));
  QUANTC_ASSIGN(FragmentStorage storage, FragmentStorage::derive(block.getKernelStorage()));
  if (const Status fits = storage.checkShape(type.getDimSize(0), type.getDimSize(1)); !fits)
    return failAt("weight " + weight.getSymName().str(), fits.error());
  return std::optional(std::move(storage));
}

Status ManifestBuilder::addWeights() {
  ModuleOp named = input.weights;
  for (nn::WeightOp weight : named.getOps<nn::WeightOp>()) {
    weights[weight.getSymName()] = manifest.weights.size();
    auto type = cast<RankedTensorType>(weight.getType());
    auto elem = dyn_cast<qf::ElemType>(type.getElementType());
    const std::string name = weight.getSymName().str();
    WeightEntry entry{.name = name, .tensor = {}, .format = {}, .shape = {}, .source = {}, .hash = {}};
    if (!input.targets.empty() || !elem)
      entry.tensor = "weight." + name;
    if (!input.gpus.empty()) {
      QUANTC_ASSIGN(const std::optional<FragmentStorage> storage, fragmentStorageOf(weight));
      if (storage) {
        entry.fragments.emplace().tensor = "fragments." + name;
        for (size_t plane = 0; plane < storage->planes().size(); plane++)
          entry.fragments->planes.push_back(
              static_cast<uint64_t>(storage->planeOffset(plane, type.getDimSize(0), type.getDimSize(1))));
      }
    }
    entry.format = elem ? elem.getFormat()->spec() : type.getElementType().isInteger(32) ? "i32" : "f32";
    entry.shape.assign(type.getShape().begin(), type.getShape().end());
    std::tie(entry.source, entry.hash) = input.store.provenance(weight);
    manifest.weights.push_back(std::move(entry));
  }
  return {};
}

/// Bytes of a row of an argument, which grows by tokens or rows by its first dimension; 0: it does not.
static uint64_t rowBytes(const ArgEntry &arg, RankedTensorType tensor) {
  const bool hasRows = arg.kind == ArgKind::Buffer && tensor.getRank() <= 2 && tensor.isDynamicDim(0);
  return hasRows ? nn::rowBytes(tensor) : 0;
}

//===- Processors ----------------------------------------------------------------------------------------------===//

Status ManifestBuilder::addProcessors() {
  ModuleOp module = input.processors;
  for (const CompiledTarget &compiled : input.targets)
    manifest.targets.push_back({compiled.target.name, "code." + compiled.target.name, compiled.target.required});
  QUANTC_ASSIGN(const std::filesystem::path data, dataDirectory());
  QUANTC_ASSIGN(const qf::ActivationFormat activations, qf::ActivationFormat::load(data));
  ProgramBuilder program(module, weights, manifest);
  for (func::FuncOp kernel : module.getOps<func::FuncOp>()) {
    program.addKernel(kernel.getName());
    KernelEntry entry{.name = kernel.getName().str(),
                      .why = productOf(kernel,
                                       [](nn::LinearOp linear) -> std::string {
                                         auto codes = dyn_cast<qf::ElemType>(getElementTypeOrSelf(linear.getX()));
                                         return !codes                                     ? ""
                                                : Factoring(codes.getFormat()).isHalfDot() ? ": products of bf16"
                                                                                           : ": integer dot products";
                                       }),
                      .entry = {},
                      .work = workOf(kernel)};
    const std::vector<std::string> ofGraph = activationReasons(kernel, input.options.precision, activations);
    for (const CompiledTarget &compiled : input.targets)
      for (const CodeImage::Entry &e : compiled.image.entries)
        if (e.name == entry.name) {
          entry.entry[compiled.target.name] = {e.kernel, e.tasks};
          entry.choices[compiled.target.name] = choiceOf(ofGraph, e.choices);
        }
    manifest.kernels.push_back(std::move(entry));
  }
  return program.build(
      [&](rt::LaunchOp launch) -> Result<std::vector<ArgEntry>> {
        std::vector<ArgEntry> args;
        ArrayRef<Type> parameters = module.lookupSymbol<func::FuncOp>(launch.getKernel()).getArgumentTypes();
        size_t sizes = 0; // of the parameter before, that are to come
        for (Attribute attribute : launch.getArgs()) {
          QUANTC_ASSIGN(ArgEntry arg, program.argument(attribute));
          if (sizes > 0) {
            --sizes;
          } else {
            auto tensor = dyn_cast<RankedTensorType>(parameters.front());
            sizes = tensor ? tensor.getNumDynamicDims() : 0;
            // Blocks of activations have other bytes on other targets.
            arg.row = tensor && isQuantized(tensor) ? 0 : rowBytes(arg, tensor);
            parameters = parameters.drop_front();
          }
          args.push_back(arg);
        }
        return args;
      },
      [&](size_t kernel) { manifest.kernels[kernel].calls++; });
}

//===- GPUs ----------------------------------------------------------------------------------------------------===//

static GridAxisEntry axisOf(const GridAxis &axis) {
  GridAxisEntry entry{.size = static_cast<uint64_t>(axis.size), .parameter = {}};
  if (axis.parameter >= 0)
    entry.parameter = static_cast<size_t>(axis.parameter);
  return entry;
}

/// The forms of a kernel, more tokens later, any number last. Those for the same number stay in their order: they are
/// launched one after the other.
static std::vector<GPUVariant> variantsOf(const GPUCode &code, StringRef name) {
  constexpr auto limit = [](const GPUVariant &variant) { return variant.mostTokens - 1; };
  std::vector<GPUVariant> variants;
  for (const GPUKernel &kernel : code.kernels) {
    if (kernel.base != name)
      continue;
    GPUVariant variant{.symbol = kernel.name,
                       .mostTokens = static_cast<uint64_t>(kernel.mostTokens),
                       .threads = static_cast<uint64_t>(kernel.threads),
                       .sharedBytes = static_cast<uint64_t>(kernel.sharedBytes),
                       .parameters = static_cast<size_t>(kernel.parameters),
                       .grid = {axisOf(kernel.grid.x), axisOf(kernel.grid.y)},
                       .waits = kernel.waits};
    variants.insert(std::ranges::upper_bound(variants, limit(variant), {}, limit), variant);
  }
  return variants;
}

/// Bytes of the memory that kernels of one launch leave each other something in; 0: none do.
static uint64_t scratchBytesOf(ArrayRef<CompiledGPU> gpus, StringRef name) {
  int64_t bytes = 0;
  for (const CompiledGPU &compiled : gpus)
    for (const GPUKernel &kernel : compiled.code.kernels)
      if (kernel.base == name)
        bytes = std::max(bytes, kernel.scratchBytes);
  return static_cast<uint64_t>(bytes);
}

/// The parameters of a kernel: those of its function without their dynamic sizes, which stand behind all once, tokens
/// last.
static Result<std::vector<ArgEntry>> gpuArguments(const ProgramBuilder &program, func::FuncOp kernel,
                                                  rt::LaunchOp launch) {
  std::vector<ArgEntry> args;
  std::optional<ArgEntry> tokens, context;
  size_t next = 0;
  for (Type type : kernel.getArgumentTypes()) {
    QUANTC_ASSIGN(ArgEntry arg, program.argument(launch.getArgs()[next++]));
    auto shaped = dyn_cast<RankedTensorType>(type);
    arg.row = rowBytes(arg, shaped);
    args.push_back(arg);
    for (int64_t i = 0; shaped && i < static_cast<int64_t>(shaped.getNumDynamicDims()); i++) {
      QUANTC_ASSIGN(const ArgEntry size, program.argument(launch.getArgs()[next++]));
      std::optional<ArgEntry> &which = shaped.getRank() == 3 ? context : tokens;
      which = which.value_or(size);
    }
  }
  for (const std::optional<ArgEntry> &size : {context, tokens})
    if (size)
      args.push_back(*size);
  return args;
}

Status ManifestBuilder::addGPU() {
  ModuleOp module = input.gpuProgram;
  GPUProgram &gpu = manifest.gpu.emplace();
  for (const CompiledGPU &compiled : input.gpus) {
    GPUTargetEntry &target = gpu.targets.emplace_back(GPUTargetEntry{
        .name = compiled.target.name, .chip = compiled.target.chip, .ptx = "code." + compiled.target.name});
    if (!compiled.code.cubin.empty())
      target.cubin = target.ptx + ".cubin";
  }
  ProgramBuilder program(module, weights, gpu);
  for (func::FuncOp kernel : module.getOps<func::FuncOp>()) {
    program.addKernel(kernel.getName());
    GPUKernelEntry entry{.name = kernel.getName().str(),
                         .why = productOf(kernel, [](nn::LinearOp) { return ": matrix units, sums in f32"; }),
                         .variants = {}};
    for (const CompiledGPU &compiled : input.gpus)
      entry.variants[compiled.target.name] = variantsOf(compiled.code, kernel.getName());
    gpu.kernels.push_back(std::move(entry));
  }
  BufferEntry scratch{.name = "scratch"};
  QUANTC_TRY(program.build(
      [&](rt::LaunchOp launch) -> Result<std::vector<ArgEntry>> {
        QUANTC_ASSIGN(std::vector<ArgEntry> args,
                      gpuArguments(program, module.lookupSymbol<func::FuncOp>(launch.getKernel()), launch));
        if (const uint64_t bytes = scratchBytesOf(input.gpus, launch.getKernel())) {
          scratch.bytes = std::max(scratch.bytes, bytes);
          args.push_back({.kind = ArgKind::Buffer, .index = gpu.buffers.size()}); // behind those of the module
        }
        return args;
      },
      [&](size_t kernel) { gpu.kernels[kernel].calls++; }));
  if (scratch.bytes)
    gpu.buffers.push_back(std::move(scratch));
  return {};
}

Result<Manifest> ManifestBuilder::build(const Tokenizer *tokenizer) {
  QUANTC_ASSIGN(const rt::ProgramOp program,
                ProgramBuilder::programOf(input.processors ? input.processors : input.gpuProgram));
  addModel(program, tokenizer);
  QUANTC_TRY(addWeights());
  if (input.processors)
    QUANTC_TRY(addProcessors());
  if (input.gpuProgram)
    QUANTC_TRY(addGPU());
  QUANTC_ASSIGN(manifest.certificate, makeCertificate(input.options, input.weights));
  return std::move(manifest);
}

Result<Manifest> quantc::makeManifest(const PackageInput &input, const Tokenizer *tokenizer) {
  return ManifestBuilder(input).build(tokenizer);
}
