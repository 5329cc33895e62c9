//===- Compile.cpp - from a model's files to an artifact --------------------------------------------------------===//
//
// One phase after the other, each on the module that the one before left: import, plan and encode, graph, code for each
// target, package. What a phase does is said by the passes; this file only orders them and moves their results into the
// artifact.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "quantc/Driver/Compile.h"
#include "OpenModel.h"
#include "Package.h"
#include "QuantizeWeights.h"
#include "quantc/Pipelines/CodeInChild.h"
#include "quantc/Pipelines/FirstError.h"
#include "quantc/Pipelines/Pipelines.h"
#include "quantc/Support/Files.h"
#include "quantc/Transforms/Materialize.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/raw_ostream.h"
#include <chrono>

using namespace mlir;
using namespace quantc;
namespace fs = std::filesystem;

namespace {
double secondsSince(std::chrono::steady_clock::time_point began) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

enum class Phase { Model, Import, Plan, Encode, Graph };
constexpr const char *phaseNames[] = {"model", "import", "plan", "encode", "graph"};

class Compiler {
public:
  explicit Compiler(const CompileOptions &options) : options(options) {}
  Result<CompileReport> run();

private:
  Status open();
  Status chooseFrom();
  Status chooseTargets();
  Status plan();
  Status encode();
  Status graph();
  Status code();
  Result<CodeImage> codeFor(const Target &target);
  Status runPasses(ModuleOp on, const std::string &phase, llvm::function_ref<void(OpPassManager &)> build);
  fs::path folder() const { return options.dumpPhases.empty() ? "phases" : options.dumpPhases; }
  Status dump(const std::string &phase, ModuleOp what) const;
  Result<OwningOpRef<ModuleOp>> load(const std::string &phase);

  const CompileOptions &options;
  OpenedModel opened;
  OwningOpRef<ModuleOp> module;
  std::vector<Target> targets;
  std::unique_ptr<WeightStore> store;
  std::unique_ptr<Spool> spool; ///< finished weights, until the artifact is whole
  std::vector<CompiledTarget> compiled;
  Phase from = Phase::Model;        ///< whose result is read from a file
  Level fromLevel = Level::Kernels; ///< the same of each target's code
  CompileReport report;
};
} // namespace

/// The name of a phase's file, without its suffix.
static std::string fileOf(Phase phase) {
  return fmt::format("{}-{}", static_cast<unsigned>(phase), phaseNames[static_cast<size_t>(phase)]);
}
static std::string fileOf(const Target &target, StringRef level) {
  auto number = llvm::find_if(codegenLevels(), [&](Level l) { return nameOf(l) == level; }) - codegenLevels().begin();
  return fmt::format("{}-{}-{}", static_cast<unsigned>(Phase::Graph) + number, target.name, level.str());
}

/// Writes `<number>-<phase>.mlir` into the folder for dumps, if one is wanted.
Status Compiler::dump(const std::string &phase, ModuleOp what) const {
  if (options.dumpPhases.empty())
    return {};
  std::string text;
  llvm::raw_string_ostream out(text);
  what.print(out);
  QUANTC_ASSIGN(AtomicFile file, AtomicFile::create(options.dumpPhases / (phase + ".mlir")));
  QUANTC_TRY(file.write(text));
  return file.commit();
}

/// Reads what `dump` wrote, or what a user made of it.
Result<OwningOpRef<ModuleOp>> Compiler::load(const std::string &phase) {
  const fs::path file = folder() / (phase + ".mlir");
  FirstError first(opened.context.get());
  if (OwningOpRef<ModuleOp> read = parseSourceFile<ModuleOp>(file.string(), opened.context.get()))
    return read;
  return first.error(file.string());
}

Status Compiler::runPasses(ModuleOp on, const std::string &phase, llvm::function_ref<void(OpPassManager &)> build) {
  FirstError first(opened.context.get());
  PassManager manager(opened.context.get());
  build(manager);
  if (failed(manager.run(on)))
    return first.error(phase);
  return {};
}

Status Compiler::open() {
  QUANTC_ASSIGN(opened, openModel(options.model, options.formatFiles));
  if (from != Phase::Model) {
    QUANTC_ASSIGN(module, load(fileOf(from)));
    return {};
  }
  QUANTC_ASSIGN(module, graphFor(opened, options.method));
  return dump(fileOf(Phase::Import), *module);
}

/// Which phase's result is read: a level of the code needs the program too.
Status Compiler::chooseFrom() {
  if (options.from.empty())
    return {};
  std::vector<std::string> names;
  for (Phase phase : {Phase::Import, Phase::Plan, Phase::Encode, Phase::Graph})
    if (names.emplace_back(phaseNames[static_cast<size_t>(phase)]) == options.from)
      from = phase;
  for (Level level : codegenLevels().drop_front())
    if (names.emplace_back(nameOf(level).str()) == options.from) {
      from = Phase::Graph;
      fromLevel = level;
    }
  if (from == Phase::Model)
    return fail("there is no phase '{}'; there are {}", options.from, fmt::join(names, ", "));
  return {};
}

Status Compiler::chooseTargets() {
  if (options.targets.empty()) {
    QUANTC_ASSIGN(Target best, bestTarget(opened.data));
    targets = {std::move(best)};
    return {};
  }
  for (const std::string &name : options.targets) {
    QUANTC_ASSIGN(Target target, Target::find(name, opened.data));
    targets.push_back(std::move(target));
  }
  // The artifact lists the best last.
  std::ranges::stable_sort(targets, {}, &Target::rank);
  return {};
}

Status Compiler::plan() {
  PlanOptions plan;
  plan.format = options.format;
  plan.policy = options.policy;
  plan.kv = options.kv;
  if (!options.kv.empty())
    QUANTC_TRY(checkCacheFormat(*opened.context, options.kv, targets.front()));
  QUANTC_TRY(runPasses(*module, "plan", [&](OpPassManager &manager) { buildPlanPipeline(manager, plan); }));
  return dump(fileOf(Phase::Plan), *module);
}

Status Compiler::encode() {
  const auto began = std::chrono::steady_clock::now();
  const fs::path scratch = options.output.has_parent_path() ? options.output.parent_path() : fs::path(".");
  QUANTC_ASSIGN(store, WeightStore::create(opened.checkpoint, targets.front().rows, scratch, options.threads));
  const EncodeProgress progress = [this](const EncodedWeight &weight) {
    if (options.progress)
      options.progress("encode", weight.done, weight.total);
  };
  if (from < Phase::Encode) {
    QUANTC_ASSIGN(spool, quantizeWeights({opened, *module, *store, options.model, options.output, options.formatFiles,
                                          options.threads},
                                         options.method, /*leavePlain=*/false, progress));
  } else {
    QUANTC_TRY(materializeAgain(*module, *store, progress));
  }
  report.encodeSeconds = secondsSince(began);
  return from < Phase::Encode ? dump(fileOf(Phase::Encode), *module) : Status();
}

Status Compiler::graph() {
  GraphOptions graph;
  graph.precision = options.precision;
  graph.requireFast = options.requireFast;
  QUANTC_TRY(runPasses(*module, "graph", [&](OpPassManager &manager) { buildGraphPipeline(manager, graph); }));
  return dump(fileOf(Phase::Graph), *module);
}

Result<CodeImage> Compiler::codeFor(const Target &target) {
  OwningOpRef<ModuleOp> kernels;
  if (fromLevel == Level::Kernels) {
    kernels = module->clone();
  } else {
    QUANTC_ASSIGN(kernels, load(fileOf(target, nameOf(fromLevel))));
  }
  CodegenOptions codegen;
  if (fromLevel == Level::Kernels)
    codegen.target = target.name;
  codegen.precision = options.precision;
  codegen.schedule = options.schedule.string();
  codegen.from = fromLevel;
  Status dumped;
  QUANTC_TRY(lowerKernels(*kernels, codegen, [&](StringRef level, ModuleOp at) {
    if (dumped)
      dumped = dump(fileOf(target, level), at);
  }));
  QUANTC_TRY(dumped);
  QUANTC_ASSIGN(CodeImage image, emitImage(*kernels));
  for (func::FuncOp kernel : module->getOps<func::FuncOp>())
    if (!llvm::is_contained(llvm::map_range(image.entries, [](const auto &entry) { return entry.name; }),
                            kernel.getName().str()))
      return fail("{}: there is no kernel @{}, which the program launches", fileOf(target, nameOf(fromLevel)),
                  kernel.getName().str());
  return image;
}

Status Compiler::code() {
  const auto began = std::chrono::steady_clock::now();
  uint64_t done = 0;
  for (const Target &target : targets) {
    QUANTC_ASSIGN(CodeImage image, codeInChild("code generation for " + target.name, options.codeLimits,
                                               [&] { return codeFor(target); }));
    report.targets.push_back(target.name);
    compiled.push_back({target, std::move(image)});
    if (options.progress)
      options.progress("code", ++done, targets.size());
  }
  report.codeSeconds = secondsSince(began);
  return {};
}

Result<CompileReport> Compiler::run() {
  if (!options.dumpPhases.empty()) {
    std::error_code error;
    fs::create_directories(options.dumpPhases, error);
    if (error)
      return fail("{}: cannot make the folder: {}", options.dumpPhases.string(), error.message());
  }
  QUANTC_TRY(chooseFrom());
  QUANTC_TRY(open());
  QUANTC_TRY(chooseTargets());
  if (from < Phase::Plan)
    QUANTC_TRY(plan());
  QUANTC_TRY(encode());
  if (from < Phase::Graph)
    QUANTC_TRY(graph());
  QUANTC_TRY(code());
  const auto began = std::chrono::steady_clock::now();
  PackageInput input{
      .module = *module, .checkpoint = *opened.checkpoint, .store = *store, .targets = compiled, .options = options};
  QUANTC_TRY(writePackage(input, report));
  if (spool)
    QUANTC_TRY(spool->remove());
  report.packageSeconds = secondsSince(began);
  return report;
}

Status quantc::checkModel(const fs::path &model) {
  QUANTC_ASSIGN(const OpenedModel opened, openModel(model, {}));
  QUANTC_TRY(opened.graph());
  return {};
}

Result<CompileReport> quantc::compileModel(const CompileOptions &options) {
  QUANTC_TRY(checkOutput(options.output, options.model));
  return Compiler(options).run();
}
