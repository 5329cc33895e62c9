//===- Compile.cpp - from a model's files to an artifact --------------------------------------------------------===//
//
// One phase after the other, each on the module that the one before left: import, plan and encode, graph, code for each
// target, package. What a phase does is said by the passes; this file only orders them and moves their results into the
// artifact.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "quantc/Driver/Compile.h"
#include "ChooseTargets.h"
#include "OpenModel.h"
#include "Package.h"
#include "QuantizeWeights.h"
#include "quantc/Format/FragmentStorage.h"
#include "quantc/Pipelines/CodeInChild.h"
#include "quantc/Pipelines/FirstError.h"
#include "quantc/Pipelines/NVPTX.h"
#include "quantc/Pipelines/Pipelines.h"
#include "quantc/Support/Files.h"
#include "quantc/Support/Text.h"
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
  Status chooseActivations();
  Status plan();
  Status encode();
  Status graph();
  Status loadPrograms();
  Status code();
  Result<CodeImage> codeFor(const Target &target);
  Result<OwningOpRef<ModuleOp>> lowerFor(const GPUTarget &target);
  Status runPasses(ModuleOp on, const std::string &phase, llvm::function_ref<void(OpPassManager &)> build);
  fs::path folder() const { return options.dumpPhases.empty() ? "phases" : options.dumpPhases; }
  Status dump(const std::string &phase, ModuleOp what) const;
  Result<OwningOpRef<ModuleOp>> load(const std::string &phase);

  const CompileOptions &options;
  OpenedModel opened;
  OwningOpRef<ModuleOp> module;                 ///< of the phase that is reached, before there are programs
  OwningOpRef<ModuleOp> processors, gpuProgram; ///< where there are targets of the kind
  std::vector<Target> targets;
  std::vector<GPUTarget> gpus;
  std::unique_ptr<WeightStore> store;
  std::unique_ptr<Spool> spool; ///< finished weights, until the artifact is whole
  std::vector<CompiledTarget> compiled;
  std::vector<CompiledGPU> compiledGPUs;
  Phase from = Phase::Model; ///< whose result is read from a file
  std::string fromLevel;     ///< the same of each target's code; empty: none
  CompileReport report;
};
} // namespace

/// The name of a phase's file, without its suffix.
static std::string fileOf(Phase phase) {
  return fmt::format("{}-{}", static_cast<unsigned>(phase), phaseNames[static_cast<size_t>(phase)]);
}
static std::string fileOf(const std::string &target, unsigned number, StringRef level) {
  return fmt::format("{}-{}-{}", static_cast<unsigned>(Phase::Graph) + number, target, level.str());
}
/// That of the program for GPUs.
static std::string gpuProgramFile() {
  return fileOf(Phase::Graph) + "-gpu";
}

/// The number of a level in its list; fails where there is none of that name.
template <typename Levels>
static Result<unsigned> numberOf(const Levels &levels, const std::string &name, const std::string &target) {
  for (auto [number, level] : llvm::enumerate(levels))
    if (nameOf(level) == name)
      return static_cast<unsigned>(number);
  return fail("code for {} has no level '{}'", target, name);
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
  QUANTC_TRY(chooseTargets());
  if (from != Phase::Model) {
    const bool forGPU = from == Phase::Graph && targets.empty();
    QUANTC_ASSIGN(module, load(forGPU ? gpuProgramFile() : fileOf(from)));
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
    names.emplace_back(nameOf(level).str());
  for (GPULevel level : gpuLevels().drop_front())
    if (std::ranges::count(names, nameOf(level).str()) == 0)
      names.emplace_back(nameOf(level).str());
  if (from == Phase::Model && std::ranges::count(names, options.from)) {
    from = Phase::Graph;
    fromLevel = options.from;
  }
  if (from == Phase::Model)
    return fail("there is no phase '{}'; there are {}", options.from, fmt::join(names, ", "));
  return {};
}

Status Compiler::chooseTargets() {
  QUANTC_ASSIGN(ChosenTargets chosen, quantc::chooseTargets(options.targets, opened.data));
  targets = std::move(chosen.processors); // the artifact lists the best last
  gpus = std::move(chosen.gpus);
  if (!options.activations.empty())
    QUANTC_TRY(chooseActivations());
  for (const GPUTarget &gpu : gpus)
    if (gpu.activations != gpus.front().activations)
      return fail("{} and {} read different activations: compile an artifact for each", gpus.front().name, gpu.name);
  if (gpus.empty())
    return options.cubin ? fail("cubins are for GPUs; none is among the targets") : Status();
  if (options.precision != Precision::Fast)
    return fail("kernels for GPUs ({}) have one precision, 'fast': {} activations, sums in f32", gpus.front().name,
                gpus.front().activations);
  if (!options.schedule.empty())
    return fail("a schedule is for processors; {} is a GPU", gpus.front().name);
  return {};
}

Status Compiler::chooseActivations() {
  if (options.activations != "f16" && options.activations != "bf16")
    return fail("activations are f16 or bf16, not {}", inQuotes(options.activations));
  if (gpus.empty())
    return fail("activations are chosen for GPUs, and none is among the targets; for processors choose a precision");
  for (GPUTarget &gpu : gpus)
    gpu.activations = options.activations;
  return {};
}

Status Compiler::plan() {
  PlanOptions plan;
  plan.format = options.format;
  plan.policy = options.policy;
  plan.kv = options.kv;
  if (!options.kv.empty()) {
    // What can be encoded at run time does not depend on the target: GPUs evaluate the clause as processors do.
    QUANTC_ASSIGN(const std::vector<Target> all, Target::all(opened.data));
    QUANTC_TRY(checkCacheFormat(*opened.context, options.kv, targets.empty() ? all.front() : targets.front()));
  }
  QUANTC_TRY(runPasses(*module, "plan", [&](OpPassManager &manager) { buildPlanPipeline(manager, plan); }));
  return dump(fileOf(Phase::Plan), *module);
}

Status Compiler::encode() {
  const auto began = std::chrono::steady_clock::now();
  const unsigned rows = targets.empty() ? FragmentStorage::rows : targets.front().rows;
  const fs::path scratch = options.output.has_parent_path() ? options.output.parent_path() : fs::path(".");
  QUANTC_ASSIGN(store, WeightStore::create(opened.checkpoint, rows, scratch, options.threads));
  const EncodeProgress progress = [this](const EncodedWeight &weight) {
    if (options.progress)
      options.progress("encode", weight.done, weight.total);
    if (options.method.progress)
      options.method.progress(weight.done, weight.total, weight.name.str(), weight.nmse);
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

/// Each kind of target has a program of its own: they quantize activations and fuse in other ways.
Status Compiler::graph() {
  GraphOptions graph;
  graph.precision = options.precision;
  graph.requireFast = options.requireFast;
  auto build = [&](OpPassManager &manager) { buildGraphPipeline(manager, graph); };
  if (!targets.empty()) {
    processors = module->clone();
    QUANTC_TRY(runPasses(*processors, "graph", build));
    QUANTC_TRY(dump(fileOf(Phase::Graph), *processors));
  }
  if (gpus.empty())
    return {};
  graph.activations = gpus.front().activations;
  gpuProgram = module->clone();
  QUANTC_TRY(runPasses(*gpuProgram, "graph", build));
  return dump(gpuProgramFile(), *gpuProgram);
}

/// The same from files.
Status Compiler::loadPrograms() {
  if (!targets.empty()) {
    QUANTC_ASSIGN(processors, load(fileOf(Phase::Graph)));
  }
  if (!gpus.empty()) {
    QUANTC_ASSIGN(gpuProgram, load(gpuProgramFile()));
  }
  return {};
}

Result<CodeImage> Compiler::codeFor(const Target &target) {
  QUANTC_ASSIGN(const unsigned number,
                numberOf(codegenLevels(), fromLevel.empty() ? nameOf(Level::Kernels).str() : fromLevel, target.name));
  OwningOpRef<ModuleOp> kernels;
  CodegenOptions codegen;
  codegen.precision = options.precision;
  codegen.schedule = options.schedule.string();
  codegen.from = codegenLevels()[number];
  const std::string file = fileOf(target.name, number, nameOf(codegenLevels()[number]));
  if (fromLevel.empty()) {
    kernels = processors->clone();
    codegen.target = target.name;
  } else {
    QUANTC_ASSIGN(kernels, load(file));
  }
  Status dumped;
  unsigned at = number;
  QUANTC_TRY(lowerKernels(*kernels, codegen, [&](StringRef level, ModuleOp reached) {
    if (++at; dumped)
      dumped = dump(fileOf(target.name, at, level), reached);
  }));
  QUANTC_TRY(dumped);
  QUANTC_ASSIGN(CodeImage image, emitImage(*kernels));
  for (func::FuncOp kernel : processors->getOps<func::FuncOp>())
    if (!llvm::is_contained(llvm::map_range(image.entries, [](const auto &entry) { return entry.name; }),
                            kernel.getName().str()))
      return fail("{}: there is no kernel @{}, which the program launches", file, kernel.getName().str());
  return image;
}

Result<OwningOpRef<ModuleOp>> Compiler::lowerFor(const GPUTarget &target) {
  QUANTC_ASSIGN(const unsigned number,
                numberOf(gpuLevels(), fromLevel.empty() ? nameOf(GPULevel::Kernels).str() : fromLevel, target.name));
  OwningOpRef<ModuleOp> kernels;
  NVPTXOptions codegen;
  codegen.from = gpuLevels()[number];
  const std::string file = fileOf(target.name, number, nameOf(gpuLevels()[number]));
  if (fromLevel.empty()) {
    kernels = gpuProgram->clone();
    codegen.target = target.name;
  } else {
    QUANTC_ASSIGN(kernels, load(file));
  }
  Status dumped;
  unsigned at = number;
  QUANTC_TRY(lowerGPUKernels(*kernels, codegen, [&](StringRef level, ModuleOp reached) {
    if (++at; dumped)
      dumped = dump(fileOf(target.name, at, level), reached);
  }));
  QUANTC_TRY(dumped);
  const std::vector<GPUKernel> made = kernelsOf(*kernels);
  for (func::FuncOp kernel : gpuProgram->getOps<func::FuncOp>())
    if (!llvm::is_contained(llvm::map_range(made, [](const GPUKernel &k) { return k.name; }), kernel.getName().str()))
      return fail("{}: there is no kernel @{}, which the program launches", file, kernel.getName().str());
  return kernels;
}

Status Compiler::code() {
  const auto began = std::chrono::steady_clock::now();
  uint64_t done = 0;
  auto finished = [&](const std::string &target) {
    report.targets.push_back(target);
    if (options.progress)
      options.progress("code", ++done, targets.size() + gpus.size());
  };
  for (const Target &target : targets) {
    QUANTC_ASSIGN(CodeImage image, codeInChild("code generation for " + target.name, options.codeLimits,
                                               [&] { return codeFor(target); }));
    compiled.push_back({target, std::move(image)});
    finished(target.name);
  }
  for (const GPUTarget &target : gpus) {
    QUANTC_ASSIGN(GPUCode made,
                  gpuCodeInChild(target, options.codeLimits, options.cubin, [&] { return lowerFor(target); }));
    compiledGPUs.push_back({target, std::move(made)});
    finished(target.name);
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
  if (from < Phase::Plan)
    QUANTC_TRY(plan());
  QUANTC_TRY(encode());
  QUANTC_TRY(from < Phase::Graph ? graph() : loadPrograms());
  QUANTC_TRY(code());
  const auto began = std::chrono::steady_clock::now();
  PackageInput input{.weights = *module,
                     .processors = processors ? *processors : ModuleOp(),
                     .gpuProgram = gpuProgram ? *gpuProgram : ModuleOp(),
                     .checkpoint = *opened.checkpoint,
                     .store = *store,
                     .targets = compiled,
                     .gpus = compiledGPUs,
                     .options = options};
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

Status quantc::checkTargets(const std::vector<std::string> &names) {
  QUANTC_ASSIGN(const fs::path data, dataDirectory());
  QUANTC_TRY(chooseTargets(names, data));
  return {};
}

Result<CompileReport> quantc::compileModel(const CompileOptions &options) {
  QUANTC_TRY(checkOutput(options.output, options.model));
  return Compiler(options).run();
}
