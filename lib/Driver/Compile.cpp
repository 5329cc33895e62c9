//===- Compile.cpp - from a model's files to an artifact --------------------------------------------------------===//
//
// One phase after the other, each on the module that the one before left: import, plan and encode, graph, code for each
// target, package. What a phase does is said by the passes; this file only orders them and moves their results into the
// artifact.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "quantc/Driver/Compile.h"
#include "Package.h"
#include "quantc/Driver/Models.h"
#include "quantc/Import/Import.h"
#include "quantc/Pipelines/Pipelines.h"
#include "quantc/Runtime/Cpu.h"
#include "quantc/Transforms/Materialize.h"
#include "quantc/Transforms/Passes.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "llvm/Support/raw_ostream.h"
#include <chrono>

using namespace mlir;
using namespace quantc;
namespace fs = std::filesystem;

namespace {
/// The first error that passes report while this lives, with its notes, as one line.
class FirstError {
public:
  explicit FirstError(MLIRContext &context)
      : handler(&context, [this](Diagnostic &diagnostic) {
          if (diagnostic.getSeverity() != DiagnosticSeverity::Error || !text.empty())
            return;
          text = diagnostic.str();
          for (Diagnostic &note : diagnostic.getNotes())
            text += "; " + note.str();
        }) {}
  tl::unexpected<Error> error(const std::string &phase) const {
    return fail("{}", text.empty() ? phase + " failed" : text);
  }

private:
  std::string text;
  ScopedDiagnosticHandler handler;
};

double secondsSince(std::chrono::steady_clock::time_point began) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

class Compiler {
public:
  explicit Compiler(const CompileOptions &options) : options(options) {}
  Result<CompileReport> run();

private:
  Status import();
  Status chooseTargets();
  Status encode();
  Status graph();
  Status code();
  Status runPasses(ModuleOp on, const std::string &phase, const std::string &pipeline);
  Status dump(const std::string &phase, ModuleOp what) const;

  const CompileOptions &options;
  fs::path data;
  std::unique_ptr<MLIRContext> context;
  std::shared_ptr<const Checkpoint> checkpoint;
  OwningOpRef<ModuleOp> module;
  std::vector<Target> targets;
  std::unique_ptr<WeightStore> store;
  std::vector<CompiledTarget> compiled;
  unsigned phase = 0;
  CompileReport report;
};
} // namespace

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

Status Compiler::runPasses(ModuleOp on, const std::string &phase, const std::string &pipeline) {
  FirstError first(*context);
  PassManager manager(context.get());
  if (failed(parsePassPipeline(pipeline, manager)) || failed(manager.run(on)))
    return first.error(phase);
  return {};
}

Status Compiler::import() {
  QUANTC_ASSIGN(data, dataDirectory());
  DialectRegistry registry;
  registerAllDialects(registry);
  context = std::make_unique<MLIRContext>(registry, MLIRContext::Threading::DISABLED);
  context->loadAllAvailableDialects();
  QUANTC_ASSIGN(std::shared_ptr<Catalog> catalog, Catalog::open(data));
  for (const fs::path &file : options.formatFiles)
    QUANTC_TRY(catalog->addFile(file));
  context->getOrLoadDialect<qf::QFDialect>()->setCatalog(catalog);
  QUANTC_ASSIGN(checkpoint, Checkpoint::open(options.model, *catalog));
  QUANTC_ASSIGN(Architectures architectures, Architectures::load(data / "architectures"));
  FirstError first(*context);
  QUANTC_ASSIGN(module, importModel(*checkpoint, architectures, *context));
  return dump("1-import", *module);
}

Status Compiler::chooseTargets() {
  if (!options.targets.empty()) {
    for (const std::string &name : options.targets) {
      QUANTC_ASSIGN(Target target, Target::find(name, data));
      targets.push_back(std::move(target));
    }
    // The artifact lists the best last.
    std::ranges::stable_sort(targets, {}, &Target::rank);
    return {};
  }
  QUANTC_ASSIGN(std::vector<Target> all, Target::all(data));
  for (Target &target : all)
    if (firstMissingFeature(target.required).empty())
      targets = {std::move(target)};
  if (targets.empty())
    return fail("no target of {} runs on this processor ({}); name one by --target", (data / "targets").string(),
                cpuName());
  return {};
}

Status Compiler::encode() {
  const auto began = std::chrono::steady_clock::now();
  std::string assign = "nn-assign-formats";
  if (!options.format.empty())
    assign += "{format=" + options.format + "}";
  else if (!options.policy.empty())
    assign += "{policy=" + options.policy + "}";
  QUANTC_TRY(runPasses(*module, "plan", assign + ",nn-check-formats,qf-rtn"));
  QUANTC_TRY(dump("2-plan", *module));
  const fs::path folder = options.output.has_parent_path() ? options.output.parent_path() : fs::path(".");
  QUANTC_ASSIGN(store, WeightStore::create(checkpoint, targets.front().rows, folder, options.threads));
  {
    FirstError first(*context);
    PassManager manager(context.get());
    manager.addPass(createMaterializePass(*store, [this](uint64_t done, uint64_t total) {
      if (options.progress)
        options.progress("encode", done, total);
    }));
    if (failed(manager.run(*module)))
      return first.error("encode");
  }
  report.encodeSeconds = secondsSince(began);
  return dump("3-encode", *module);
}

Status Compiler::graph() {
  // Activations come first: only linears that read the same quantized input can be fused.
  std::string pipeline;
  if (options.precision == Precision::Fast)
    pipeline = options.requireFast ? "nn-quantize-activations{require-fast=true}," : "nn-quantize-activations,";
  QUANTC_TRY(runPasses(*module, "graph",
                       pipeline + "nn-fuse-projections,nn-fuse-epilogues,nn-outline-kernels,rt-plan-buffers"));
  return dump("4-graph", *module);
}

Status Compiler::code() {
  const auto began = std::chrono::steady_clock::now();
  const bool exact = options.precision == Precision::Exact;
  uint64_t done = 0;
  for (const Target &target : targets) {
    OwningOpRef<ModuleOp> kernels = ModuleOp::create(module->getLoc());
    for (func::FuncOp kernel : module->getOps<func::FuncOp>())
      kernels->push_back(kernel.clone());
    target.attach(*kernels);
    QUANTC_TRY(
        runPasses(*kernels, "linalg",
                  std::string("func.func(nn-lower-rms-norm,nn-lower-kv-append,nn-lower-attention,nn-lower-rope,") +
                      "nn-lower-embedding,nn-to-linalg{exact=" + (exact ? "true" : "false") + "})"));
    QUANTC_TRY(dump("5-" + target.name + "-linalg", *kernels));
    std::string failure;
    unsigned level = 6;
    auto image = compileKernels(*kernels, target, [&](StringRef name, ModuleOp at) {
      if (Status status = dump(fmt::format("{}-{}-{}", level++, target.name, name.str()), at);
          !status && failure.empty())
        failure = status.error().message;
    });
    if (!image)
      return tl::unexpected(image.error());
    if (!failure.empty())
      return fail("{}", failure);
    report.targets.push_back(target.name);
    compiled.push_back({target, std::move(*image)});
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
  QUANTC_TRY(import());
  QUANTC_TRY(chooseTargets());
  QUANTC_TRY(encode());
  QUANTC_TRY(graph());
  QUANTC_TRY(code());
  const auto began = std::chrono::steady_clock::now();
  PackageInput input{
      .module = *module, .checkpoint = *checkpoint, .store = *store, .targets = compiled, .options = options};
  QUANTC_TRY(writePackage(input, report));
  report.packageSeconds = secondsSince(began);
  return report;
}

Result<CompileReport> quantc::compileModel(const CompileOptions &options) {
  QUANTC_ASSIGN(InputKind kind, kindOf(options.model));
  if (kind == InputKind::Artifact)
    return fail("{}: is compiled already", options.model.string());
  // Passes are found by name; registering them twice is harmless.
  registerAllPasses();
  return Compiler(options).run();
}
