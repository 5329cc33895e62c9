//===- Package.cpp - the last phase: writing the artifact -------------------------------------------------------===//

#include "Package.h"
#include "Certificate.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "quantc/Artifact/Artifact.h"
#include "quantc/Dialect/NN/Cache.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Dialect/RT/RT.h"
#include "quantc/Driver/Models.h"
#include "quantc/Format/Factoring.h"
#include "quantc/Transforms/ContentHash.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;
using namespace quantc;

namespace {
/// The manifest of a module, symbol by symbol.
class ManifestBuilder {
public:
  explicit ManifestBuilder(const PackageInput &input) : input(input), module(input.module) {}
  Result<Manifest> build(const Tokenizer *tokenizer);

private:
  void addModel(rt::ProgramOp program, const Tokenizer *tokenizer);
  void addTargets();
  void addKernels();
  Status addLaunches(rt::ProgramOp program);
  Result<ArgEntry> argument(Attribute attribute) const;

  const PackageInput &input;
  ModuleOp module;
  Manifest manifest;
  llvm::StringMap<size_t> buffers, weights, kernels;
};
} // namespace

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

void ManifestBuilder::addTargets() {
  for (const CompiledTarget &compiled : input.targets)
    manifest.targets.push_back({compiled.target.name, "code." + compiled.target.name, compiled.target.required});
}

/// The format of a tensor's numbers: its specification, or a float type as IR spells it.
static std::string formatOf(Type tensor) {
  Type element = getElementTypeOrSelf(tensor);
  if (auto elem = dyn_cast<qf::ElemType>(element))
    return elem.getSpec().str();
  std::string text;
  llvm::raw_string_ostream(text) << element;
  return text;
}

/// What decided how a kernel computes: of a product, shapes and formats of its weights and that of its activations.
static std::string whyChosen(func::FuncOp kernel) {
  std::string why;
  kernel.walk([&](nn::LinearOp linear) {
    for (Value weight : linear.getWeights()) {
      auto shape = cast<ShapedType>(weight.getType()).getShape();
      why += fmt::format("{}{} x {} {}", why.empty() ? "" : ", ", shape[0], shape[1], formatOf(weight.getType()));
    }
    why += " by " + formatOf(linear.getX().getType());
    if (auto codes = dyn_cast<qf::ElemType>(getElementTypeOrSelf(linear.getX())))
      why += Factoring(codes.getFormat()).isHalfDot() ? ": products of bf16" : ": integer dot products";
  });
  return why;
}

void ManifestBuilder::addKernels() {
  for (func::FuncOp kernel : module.getOps<func::FuncOp>()) {
    kernels[kernel.getName()] = manifest.kernels.size();
    KernelEntry entry{.name = kernel.getName().str(), .why = whyChosen(kernel)};
    for (const CompiledTarget &compiled : input.targets)
      for (const CodeImage::Entry &e : compiled.image.entries)
        if (e.name == entry.name)
          entry.entry[compiled.target.name] = {e.kernel, e.tasks};
    manifest.kernels.push_back(std::move(entry));
  }
}

Result<ArgEntry> ManifestBuilder::argument(Attribute attribute) const {
  if (auto scalar = dyn_cast<rt::ScalarAttr>(attribute))
    return ArgEntry{.kind = ArgKind::Scalar, .scalar = static_cast<Scalar>(scalar.getValue())};
  StringRef name = cast<FlatSymbolRefAttr>(attribute).getValue();
  if (auto buffer = buffers.find(name); buffer != buffers.end())
    return ArgEntry{.kind = ArgKind::Buffer, .index = buffer->second};
  if (auto weight = weights.find(name); weight != weights.end())
    return ArgEntry{.kind = ArgKind::Weight, .index = weight->second};
  return fail("a launch names @{}, which is neither a buffer nor a weight", name.str());
}

Status ManifestBuilder::addLaunches(rt::ProgramOp program) {
  for (rt::StageOp stage : program.getOps<rt::StageOp>()) {
    StageEntry entry{.name = stage.getStage().str()};
    for (rt::LaunchOp launch : stage.getOps<rt::LaunchOp>()) {
      LaunchEntry one{.kernel = kernels.lookup(launch.getKernel())};
      manifest.kernels[one.kernel].calls++;
      ArrayRef<Type> parameters = module.lookupSymbol<func::FuncOp>(launch.getKernel()).getArgumentTypes();
      size_t sizes = 0; // of the parameter before, that are to come
      for (Attribute attribute : launch.getArgs()) {
        QUANTC_ASSIGN(ArgEntry arg, argument(attribute));
        if (sizes > 0) {
          --sizes;
        } else {
          auto tensor = dyn_cast<RankedTensorType>(parameters.front());
          sizes = tensor ? tensor.getNumDynamicDims() : 0;
          // What grows by tokens or rows does so by its first dimension.
          if (arg.kind == ArgKind::Buffer && tensor.getRank() <= 2 && tensor.isDynamicDim(0))
            arg.row = nn::rowBytes(tensor);
          parameters = parameters.drop_front();
        }
        one.args.push_back(arg);
      }
      entry.launches.push_back(std::move(one));
    }
    manifest.stages.push_back(std::move(entry));
  }
  return {};
}

Result<Manifest> ManifestBuilder::build(const Tokenizer *tokenizer) {
  auto programs = module.getOps<rt::ProgramOp>();
  if (programs.empty())
    return fail("the module has no program");
  rt::ProgramOp program = *programs.begin();
  addModel(program, tokenizer);
  addTargets();
  addKernels();
  for (rt::BufferOp buffer : module.getOps<rt::BufferOp>()) {
    buffers[buffer.getSymName()] = manifest.buffers.size();
    manifest.buffers.push_back({buffer.getSymName().str(), static_cast<uint64_t>(buffer.getBytes()),
                                static_cast<uint64_t>(buffer.getPerToken()),
                                static_cast<uint64_t>(buffer.getPerContext()), buffer.getPersistent()});
  }
  for (nn::WeightOp weight : module.getOps<nn::WeightOp>()) {
    weights[weight.getSymName()] = manifest.weights.size();
    auto type = cast<RankedTensorType>(weight.getType());
    WeightEntry entry{.name = weight.getSymName().str(), .tensor = "weight." + weight.getSymName().str()};
    auto elem = dyn_cast<qf::ElemType>(type.getElementType());
    entry.format = elem ? elem.getFormat()->spec() : type.getElementType().isInteger(32) ? "i32" : "f32";
    entry.shape.assign(type.getShape().begin(), type.getShape().end());
    std::tie(entry.source, entry.hash) = input.store.provenance(weight);
    manifest.weights.push_back(std::move(entry));
  }
  QUANTC_TRY(addLaunches(program));
  QUANTC_ASSIGN(manifest.certificate, makeCertificate(input.options, module));
  auto bufferOf = [&](DictionaryAttr dictionary, StringRef name) {
    auto symbol = dictionary.getAs<FlatSymbolRefAttr>(name);
    return symbol ? buffers.lookup(symbol.getValue()) : 0;
  };
  manifest.tokensBuffer = bufferOf(program.getInputs(), "tokens");
  manifest.logitsBuffer = bufferOf(program.getOutputs(), "logits");
  return std::move(manifest);
}

Status quantc::writePackage(const PackageInput &input, CompileReport &report) {
  // A model without a tokenizer still runs, on token ids.
  QUANTC_ASSIGN(const bool brings, hasTokenizer(input.options.model));
  std::unique_ptr<Tokenizer> tokenizer;
  if (brings) {
    QUANTC_ASSIGN(tokenizer, loadTokenizer(input.options.model));
  }
  const std::string tables = tokenizer ? tokenizer->model().serialize() : "";
  QUANTC_ASSIGN(Manifest manifest, ManifestBuilder(input).build(tokenizer.get()));
  if (tokenizer)
    if (const Status fits = tokenizer->model().checkVocabulary(manifest.vocab); !fits)
      return failAt(input.options.model.string(), fits.error());

  std::vector<ArtifactTensor> tensors;
  for (const CompiledTarget &compiled : input.targets)
    tensors.push_back({"code." + compiled.target.name, compiled.image.bytes.size()});
  ModuleOp module = input.module;
  SmallVector<nn::WeightOp> weights(module.getOps<nn::WeightOp>());
  for (auto [i, weight] : llvm::enumerate(weights)) {
    QUANTC_ASSIGN(uint64_t bytes, input.store.bytes(weight));
    tensors.push_back({manifest.weights[i].tensor, bytes});
    report.weightBytes += bytes;
  }
  if (!tables.empty())
    tensors.push_back({"tokenizer", tables.size()});
  tensors.push_back({"hashes", (tensors.size() + 1) * sizeof(ContentHash::Bytes)});
  report.weights = weights.size();
  report.kernels = manifest.kernels.size();

  QUANTC_ASSIGN(TensorWriter writer, createArtifact(input.options.output, manifest, tensors));
  QUANTC_ASSIGN(const std::string text, manifest.serialize());
  std::vector<ContentHash::Bytes> hashes = {ContentHash::of(std::as_bytes(std::span(text))).bytes()};
  for (const CompiledTarget &compiled : input.targets) {
    hashes.push_back(ContentHash::of(compiled.image.bytes).bytes());
    QUANTC_TRY(writer.append(compiled.image.bytes));
  }
  for (auto [i, weight] : llvm::enumerate(weights)) {
    if (input.options.progress)
      input.options.progress("package", i, weights.size());
    ContentHash hash;
    QUANTC_TRY(input.store.write(weight, [&](std::span<const std::byte> bytes) {
      hash.add(bytes);
      return writer.append(bytes);
    }));
    hashes.push_back(hash.bytes());
  }
  if (!tables.empty())
    hashes.push_back(ContentHash::of(std::as_bytes(std::span(tables))).bytes());
  QUANTC_TRY(writer.append(std::as_bytes(std::span(tables))));
  QUANTC_TRY(writer.append(std::as_bytes(std::span(hashes))));
  QUANTC_TRY(writer.commit());
  std::error_code ignored;
  report.bytes = std::filesystem::file_size(input.options.output, ignored);
  return {};
}
