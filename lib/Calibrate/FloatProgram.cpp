//===- FloatProgram.cpp - a model in f32, run stage by stage -----------------------------------------------------===//

#include "quantc/Calibrate/FloatProgram.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/PassManager.h"
#include "quantc/Dialect/NN/NN.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Pipelines/CodeInChild.h"
#include "quantc/Pipelines/FirstError.h"
#include "quantc/Pipelines/Pipelines.h"
#include "quantc/Runtime/Memory.h"
#include "quantc/Transforms/Observers.h"
#include "quantc/Transforms/Passes.h"
#include "quantc/Transforms/Weights.h"
#include <cstring>

using namespace mlir;
using namespace quantc;

//===- From the graph to kernels --------------------------------------------------------------------------------===//

/// All matrices become f32 in kernel storage, whatever the files have: who binds them converts.
static Status makeFloat(ModuleOp graph) {
  QUANTC_ASSIGN(const qf::ElemType elem, qf::ElemType::of(graph.getContext(), "f32"));
  SymbolTable symbols(graph);
  for (nn::WeightOp weight : matrices(graph))
    weight.setType(cast<RankedTensorType>(weight.getType()).clone(elem));
  graph.walk([&](nn::GetOp get) { get.getValue().setType(symbols.lookup<nn::WeightOp>(get.getWeight()).getType()); });
  return {};
}

static Status outlineKernels(ModuleOp graph, bool hessian) {
  FirstError first(graph.getContext());
  PassManager manager(graph.getContext());
  manager.addPass(createNNInsertObservers({hessian}));
  manager.addPass(createNNFuseProjections());
  manager.addPass(createNNFuseEpilogues());
  manager.addPass(createNNOutlineKernels());
  if (failed(manager.run(graph)))
    return first.error("calibration");
  return {};
}

static Result<CodeImage> compileFor(ModuleOp program, const Target &target) {
  return codeInChild("code generation for calibration", {}, [&]() -> Result<CodeImage> {
    OwningOpRef<ModuleOp> kernels = program.clone();
    CodegenOptions options;
    options.target = target.name;
    options.precision = Precision::Float;
    QUANTC_TRY(lowerKernels(*kernels, options));
    return emitImage(*kernels);
  });
}

//===- The program ----------------------------------------------------------------------------------------------===//

struct FloatProgram::Code {
  struct Kernel {
    KernelFunction run;
    int64_t (*tasks)(const int64_t *args);
  };
  Memory image;
  std::vector<Kernel> kernels;

  /// `names`: of the kernels in the order in which launches count them.
  Status load(const CodeImage &compiled, const llvm::StringMap<size_t> &names) {
    kernels.resize(names.size());
    QUANTC_ASSIGN(image, Memory::allocate(compiled.bytes.size()));
    std::memcpy(image.data(), compiled.bytes.data(), compiled.bytes.size());
    QUANTC_TRY(makeExecutable({image.data(), compiled.bytes.size()}));
    for (const CodeImage::Entry &entry : compiled.entries)
      if (const auto known = names.find(entry.name); known != names.end())
        kernels[known->second] = {reinterpret_cast<KernelFunction>(image.data() + entry.kernel),
                                  reinterpret_cast<int64_t (*)(const int64_t *)>(image.data() + entry.tasks)};
    return {};
  }
};

FloatProgram::~FloatProgram() = default;

/// The KV cache holds a multiple of so many positions.
static constexpr int64_t positionAlignment = 16;

FloatProgram::Scalars FloatProgram::scalarsFor(int64_t tokens) {
  Scalars scalars{};
  scalars[static_cast<size_t>(rt::Scalar::Tokens)] = tokens;
  scalars[static_cast<size_t>(rt::Scalar::Context)] =
      (tokens + positionAlignment - 1) / positionAlignment * positionAlignment;
  scalars[static_cast<size_t>(rt::Scalar::Rows)] = tokens;
  return scalars;
}

size_t FloatProgram::Stage::usefulLaunches() const {
  if (output)
    return launches.size();
  const auto last =
      llvm::find_if(llvm::reverse(launches), [](const Launch &launch) { return !launch.observer.empty(); });
  return static_cast<size_t>(launches.rend() - last);
}

void FloatProgram::readProgram(ModuleOp module) {
  auto add = [&](Symbol symbol) {
    byName[symbol.name] = allSymbols.size();
    allSymbols.push_back(std::move(symbol));
  };
  for (nn::WeightOp weight : module.getOps<nn::WeightOp>())
    add({.name = weight.getSymName().str(), .isWeight = true});
  for (rt::BufferOp buffer : module.getOps<rt::BufferOp>())
    add({buffer.getSymName().str(), false, buffer.getPersistent(), uint64_t(buffer.getBytes()),
         uint64_t(buffer.getPerToken()), uint64_t(buffer.getPerContext())});

  rt::ProgramOp program = *module.getOps<rt::ProgramOp>().begin();
  tokenIds = byName.at(cast<FlatSymbolRefAttr>(program.getInputs().get("tokens")).getValue());
  logitValues = byName.at(cast<FlatSymbolRefAttr>(program.getOutputs().get("logits")).getValue());
  for (rt::StageOp stage : program.getOps<rt::StageOp>()) {
    const std::optional<size_t> input = allStages.empty() ? std::nullopt : allStages.back().output;
    Stage &one = allStages.emplace_back(Stage{.name = stage.getStage().str(), .input = input});
    if (const auto carried = stage.getCarries())
      one.output = byName.at(*carried);
    for (rt::LaunchOp launch : stage.getOps<rt::LaunchOp>()) {
      Launch &out = one.launches.emplace_back(
          Launch{.kernel = kernelIds.try_emplace(launch.getKernel(), kernelIds.size()).first->second});
      for (Attribute arg : launch.getArgs())
        if (auto scalar = dyn_cast<rt::ScalarAttr>(arg)) {
          out.args.push_back({true, 0, scalar.getValue()});
        } else {
          StringRef name = cast<FlatSymbolRefAttr>(arg).getValue();
          out.args.push_back({false, byName.at(name), {}});
          if (StringRef observed = name; observed.consume_front(columnsPrefix))
            out.observer = observed.str();
        }
    }
  }
}

Result<std::unique_ptr<FloatProgram>> FloatProgram::outline(ModuleOp graph, bool hessian) {
  std::unique_ptr<FloatProgram> program(new FloatProgram());
  QUANTC_TRY(makeFloat(graph));
  program->observerOf = observersOf(graph);
  QUANTC_TRY(outlineKernels(graph, hessian));
  program->readProgram(graph);
  return program;
}

Result<std::unique_ptr<FloatProgram>> FloatProgram::compile(ModuleOp graph, const Target &target, bool hessian,
                                                            unsigned threads) {
  QUANTC_ASSIGN(std::unique_ptr<FloatProgram> program, outline(graph, hessian));
  QUANTC_ASSIGN(const CodeImage image, compileFor(graph, target));
  program->code = std::make_unique<Code>();
  QUANTC_TRY(program->code->load(image, program->kernelIds));
  QUANTC_ASSIGN(program->pool, ThreadPool::create(threads));
  return program;
}

int64_t FloatProgram::featuresOf(StringRef observer) const {
  return static_cast<int64_t>(allSymbols[symbol((columnsPrefix + observer).str())].bytes / (3 * sizeof(float)));
}

Status FloatProgram::run(const Launch &launch, const std::vector<void *> &addresses, const Scalars &scalars) {
  std::vector<int64_t> args;
  for (const Argument &arg : launch.args)
    args.push_back(arg.isScalar ? scalars[static_cast<size_t>(arg.scalar)]
                                : reinterpret_cast<int64_t>(addresses[arg.symbol]));
  const Code::Kernel &kernel = code->kernels[launch.kernel];
  const int64_t tasks = kernel.tasks(args.data());
  if (tasks < 0 || tasks > ThreadPool::maxTasks)
    return fail("a kernel of calibration asks for {} tasks; use shorter sequences", tasks);
  pool->run(kernel.run, args.data(), tasks);
  return {};
}
