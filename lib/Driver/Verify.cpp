//===- Verify.cpp - whether an artifact is what its certificate says --------------------------------------------===//

#include "quantc/Driver/Verify.h"
#include "Certificate.h"
#include "QuantizeWeights.h"
#include "mlir/IR/SymbolTable.h"
#include "quantc/Artifact/Artifact.h"
#include "quantc/Dialect/NN/NN.h"
#include "quantc/Driver/Weights.h"
#include "quantc/Support/AtomicDirectory.h"
#include "quantc/Support/Text.h"
#include "quantc/Transforms/ContentHash.h"
#include "quantc/Transforms/WeightStore.h"
#include <cmath>
#include <cstring>
#include <unistd.h>

using namespace mlir;
using namespace quantc;
using nlohmann::ordered_json;
namespace fs = std::filesystem;

/// Errors are sums in f64 over parts of a weight; other parts round otherwise.
static constexpr double sumTolerance = 1e-9;

namespace {
class Verifier {
public:
  explicit Verifier(const VerifyOptions &options) : options(options) {}
  Result<VerifyReport> run();

private:
  Status checkHashes();
  Status openSource();
  Status checkSources();
  Status checkErrors();
  Status deriveAgain();
  Status compileByRecipe(const fs::path &folder, const fs::path &output);
  Status compareWith(const Artifact &again);

  const VerifyOptions &options;
  std::unique_ptr<Artifact> artifact;
  Recipe recipe;
  fs::path folder; ///< for descriptions and what is compiled again
  std::vector<fs::path> formatFiles;
  OpenedModel opened;
  OwningOpRef<ModuleOp> module;
  std::unique_ptr<WeightStore> store;
  VerifyReport report;
};
} // namespace

/// Code, weights and tokenizer, in the order of their hashes.
static std::vector<std::string> hashedTensors(const Artifact &artifact) {
  std::vector<std::string> names;
  for (const SafetensorsEntry &entry : artifact.file().tensors())
    if (!entry.name.starts_with("pad.") && entry.name != "hashes")
      names.push_back(entry.name);
  std::ranges::sort(names, {}, [&](const std::string &name) { return artifact.tensor(name).data(); });
  return names;
}

Status Verifier::checkHashes() {
  const auto stored = artifact->hashes();
  const std::vector<std::string> names = hashedTensors(*artifact);
  if (stored.size() != (names.size() + 1) * sizeof(ContentHash::Bytes) || artifact->manifest().certificate.is_null())
    return fail("{}: has no certificate: compile the model again", options.artifact.string());
  const auto differs = [&](size_t index, const ContentHash &found) {
    const ContentHash::Bytes bytes = found.bytes();
    return std::memcmp(stored.data() + index * bytes.size(), bytes.data(), bytes.size()) != 0;
  };
  if (differs(0, ContentHash::of(std::as_bytes(std::span(artifact->manifestText())))))
    return fail("{}: the manifest is not what was written: its hash differs", options.artifact.string());
  for (size_t i = 0; i < names.size(); ++i) {
    if (differs(i + 1, ContentHash::of(artifact->tensor(names[i]))))
      return fail("{}: tensor {} is not what was written: its hash differs", options.artifact.string(),
                  inQuotes(names[i]));
    ++report.tensors;
    if (options.progress)
      options.progress("hash", i + 1, names.size());
  }
  return {};
}

Status Verifier::openSource() {
  for (const std::string &text : recipe.formatTexts) {
    const fs::path file = folder / fmt::format("format-{}.qf", formatFiles.size());
    QUANTC_ASSIGN(AtomicFile out, AtomicFile::create(file));
    QUANTC_TRY(out.write(text));
    QUANTC_TRY(out.commit());
    formatFiles.push_back(file);
  }
  QUANTC_ASSIGN(opened, openModel(options.source, formatFiles));
  QUANTC_ASSIGN(module, graphFor(opened, recipe.options.method));
  QUANTC_ASSIGN(store, WeightStore::create(opened.checkpoint, /*rows=*/16, folder, options.threads));
  return {};
}

Status Verifier::checkSources() {
  SymbolTable symbols(*module);
  for (const WeightEntry &entry : artifact->manifest().weights) {
    if (entry.source.empty())
      continue; // a table that the compiler made
    auto weight = symbols.lookup<nn::WeightOp>(entry.name);
    if (!weight) // a part of a weight is called by a suffix
      weight = symbols.lookup<nn::WeightOp>(StringRef(entry.name).rsplit('.').first);
    const std::string hash = weight ? store->provenance(weight).second : "";
    if (hash.empty())
      return fail("{}: has no tensor for weight {}, which was made of {}", options.source.string(),
                  inQuotes(entry.name), inQuotes(entry.source));
    if (hash != entry.hash)
      return fail("{}: weight {} was made of other numbers: {} has the hash {}, the certificate says {}",
                  options.source.string(), inQuotes(entry.name), inQuotes(entry.source), hash, inQuotes(entry.hash));
    ++report.sources;
  }
  return {};
}

/// The error of each weight, from what is stored and what the source has.
Status Verifier::checkErrors() {
  for (const char *method : {"awq", "rotate", "llm-int8"})
    if (recipe.options.method.names.find(method) != std::string::npos) {
      report.notChecked.push_back("errors by decoding: this method changes weights before they are quantized");
      return {};
    }
  QUANTC_ASSIGN(const std::shared_ptr<Catalog> catalog, Catalog::open(opened.data, formatFiles));
  QUANTC_ASSIGN(const std::vector<StoredTensor> stored, openTensors(options.artifact, *catalog));
  SymbolTable symbols(*module);
  const ordered_json &stated = artifact->manifest().certificate.at("weights");
  for (const StoredTensor &tensor : stored) {
    const auto entry = stated.find(tensor.name);
    if (entry == stated.end())
      continue; // as the source has it
    auto weight = symbols.lookup<nn::WeightOp>(tensor.name);
    const auto type = cast<RankedTensorType>(weight.getType());
    if (type.getShape() != ArrayRef(tensor.shape))
      return fail("{}: weight {} has another shape than in the artifact", options.source.string(),
                  inQuotes(tensor.name));
    const int64_t N = tensor.rows(), K = tensor.columns();
    std::vector<float> x(static_cast<size_t>(N * K)), y(x.size());
    QUANTC_TRY(store->read(weight, 0, N, x.data()));
    QUANTC_TRY(tensor.readStored(0, N, y.data()));
    const double found = WeightError::of(x, y).nmse(), said = entry->at("nmse").get<double>();
    if (!(std::fabs(found - said) <= sumTolerance * std::max(found, said)))
      return fail("{}: the error of weight {} is {:.6g}, the certificate says {:.6g}", options.artifact.string(),
                  inQuotes(tensor.name), found, said);
    ++report.errors;
    if (options.progress)
      options.progress("errors", report.errors, stated.size());
  }
  return {};
}

/// A policy of the formats that the artifact's weights have.
static ordered_json policyOf(const Manifest &manifest) {
  ordered_json rules = ordered_json::array();
  for (const WeightEntry &weight : manifest.weights)
    if (weight.shape.size() == 2 && !weight.source.empty())
      rules.push_back({{"name", weight.name}, {"format", weight.format}});
  return {{"format", "f32"}, {"rules", std::move(rules)}};
}

Status Verifier::compileByRecipe(const fs::path &folder, const fs::path &output) {
  CompileOptions compile = recipe.options;
  compile.model = options.source;
  compile.output = output;
  compile.policy = (folder / "formats.json").string();
  compile.formatFiles = formatFiles;
  compile.method.calibration.file = options.calibration;
  compile.threads = options.threads;
  compile.progress = options.progress;
  for (const TargetEntry &target : artifact->manifest().targets)
    compile.targets.push_back(target.name);
  if (const std::optional<GPUProgram> &gpu = artifact->manifest().gpu)
    for (const GPUTargetEntry &target : gpu->targets) {
      compile.targets.push_back(target.name);
      compile.cubin |= !target.cubin.empty();
    }
  QUANTC_ASSIGN(AtomicFile policy, AtomicFile::create(compile.policy));
  QUANTC_TRY(policy.write(policyOf(artifact->manifest()).dump(1)));
  QUANTC_TRY(policy.commit());
  QUANTC_TRY(compileModel(compile));
  return {};
}

/// Without what may differ though the result is the same: names of files, how formats were asked for, the tool.
static ordered_json comparable(const Artifact &artifact) {
  ordered_json manifest = ordered_json::parse(artifact.manifestText());
  manifest.erase("tool");
  manifest["certificate"].erase("recipe");
  return manifest;
}

Status Verifier::compareWith(const Artifact &again) {
  const bool sameTool = again.manifest().tool == artifact->manifest().tool;
  if (!sameTool)
    report.notChecked.push_back(fmt::format("code and manifest: this is {}, the artifact was written by {}",
                                            again.manifest().tool, artifact->manifest().tool));
  for (const std::string &name : hashedTensors(*artifact)) {
    if (!sameTool && name.starts_with("code."))
      continue;
    const auto was = artifact->tensor(name), is = again.tensor(name);
    if (!std::ranges::equal(was, is))
      return fail("{}: tensor {} is not what the recipe gives", options.artifact.string(), inQuotes(name));
    ++report.identical;
  }
  if (sameTool && comparable(*artifact) != comparable(again))
    return fail("{}: the manifest is not what the recipe gives", options.artifact.string());
  return {};
}

Status Verifier::deriveAgain() {
  const auto leaveOut = [&](std::string why) { report.notChecked.push_back("bytes by the recipe: " + std::move(why)); };
  if (!recipe.incomplete.empty())
    return leaveOut(recipe.incomplete), Status();
  if (!recipe.calibrationHash.empty() && options.calibration.empty())
    return leaveOut(fmt::format("it learned from {}: give that by --calib", inQuotes(recipe.calibrationName))),
           Status();
  const fs::path output = folder / "again.qm";
  QUANTC_TRY(compileByRecipe(folder, output));
  QUANTC_ASSIGN(const std::unique_ptr<Artifact> again, Artifact::open(output));
  return compareWith(*again);
}

Result<VerifyReport> Verifier::run() {
  QUANTC_ASSIGN(artifact, Artifact::open(options.artifact));
  report.tool = artifact->manifest().tool;
  QUANTC_TRY(checkHashes());
  if (auto read = readRecipe(artifact->manifest().certificate))
    recipe = std::move(*read);
  else
    return failAt(options.artifact.string(), read.error());
  report.recipe = artifact->manifest().certificate.at("recipe");
  if (!options.calibration.empty()) {
    if (recipe.calibrationHash.empty())
      return fail("{}: its recipe learned from no text: leave --calib out", options.artifact.string());
    QUANTC_ASSIGN(const ContentHash hash, ContentHash::ofFile(options.calibration));
    if (hash.text() != recipe.calibrationHash)
      return fail("{}: is not what the recipe learned from: its hash is {}, the certificate says {} ({})",
                  options.calibration.string(), hash.text(), inQuotes(recipe.calibrationHash),
                  inQuotes(recipe.calibrationName));
  }
  if (options.source.empty()) {
    report.notChecked.push_back("sources, errors, and bytes by the recipe: give the model by --source");
    return std::move(report);
  }
  // The folder is removed with everything in it.
  QUANTC_ASSIGN(const AtomicDirectory temporary,
                AtomicDirectory::create(fs::temp_directory_path() / fmt::format("quantc-verify-{}", ::getpid())));
  folder = temporary.folder();
  QUANTC_TRY(openSource());
  QUANTC_TRY(checkSources());
  QUANTC_TRY(checkErrors());
  QUANTC_TRY(deriveAgain());
  return std::move(report);
}

Result<VerifyReport> quantc::verifyArtifact(const VerifyOptions &options) {
  return Verifier(options).run();
}
