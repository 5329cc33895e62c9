//===- Compile.cpp - quantc compile: a model to one artifact ----------------------------------------------------===//

#include "CompileArguments.h"
#include "EvidenceArguments.h"
#include "quantc/Driver/Progress.h"

using namespace quantc;

void quantc::addMethod(CLI::App *c, MethodChoices &method) {
  GptqChoices &gptq = method.gptq;
  addCalibrationText(c, method.calibration);
  c->add_option("--method", method.names,
                "how codes are chosen: rtn, imatrix, gptq; auto: for each tensor the one of these that does best on "
                "held-out text. Before it (awq+gptq): awq, factors of columns; rotate, Hadamard rotations; llm-int8, "
                "columns with large inputs stay floats")
      ->capture_default_str();
  c->add_option("--gptq-damp", gptq.damp, "gptq: part of the mean of the Hessian's diagonal added to it")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  c->add_flag("--gptq-act-order", gptq.actOrder, "gptq: columns with the largest inputs first");
  c->add_option("--gptq-scales", gptq.scales,
                "gptq: a group's scales from the weights as updated, or as at the start of their block of 128 columns")
      ->capture_default_str()
      ->check(CLI::IsMember({"updated", "block"}));
  c->add_option("--gptq-groups", gptq.groups,
                "gptq with --gptq-act-order: static groups, those of the file, which cost nothing at run time; or "
                "dynamic ones, of columns that follow each other in the order, for containers that can say it (gptq)")
      ->capture_default_str()
      ->check(CLI::IsMember({"static", "dynamic"}));
  c->add_option("--gptq-grid", gptq.grid,
                "gptq: a group's scale by the squared errors of its weights, weighted by their inputs (the default) or "
                "not (mse), or by their range (the default of --gptq-plain)")
      ->check(CLI::IsMember({"weighted", "mse", "range"}));
  c->add_option("--gptq-block", gptq.block, "gptq: columns of a block, after which all others are updated")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  c->add_option("--gptq-inputs", gptq.inputs,
                "gptq: inputs that the quantized weights before give (true sequential), or those of the original "
                "model, for which it is run once")
      ->capture_default_str()
      ->check(CLI::IsMember({"quantized", "original"}));
  c->add_flag("--gptq-plain", gptq.plain, "gptq: no refit, no weighted searches, as usual implementations");
  c->add_flag("--held-out", method.heldOut,
              "imatrix, gptq, awq: each tensor takes the method only where that lowers the error on a quarter of the "
              "text, which it does not learn from then");
  c->add_option("--outlier-threshold", method.outlierThreshold,
                "llm-int8: inputs that reach it in the calibration text are outliers")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  c->add_option("--rotate-seed", method.rotateSeed, "rotate: of the random signs")->capture_default_str();
  addMemoryBudget(c, method.memoryBudget);
  c->add_flag("--fresh", method.fresh, "do not go on from the weights that a killed command finished");
  method.note = [](const std::string &line) { fmt::print(stderr, "quantc: {}\n", line); };
}

void quantc::addCompileOptions(CLI::App *c, CompileArguments &a) {
  auto *format = c->add_option(
      "--format", a.format, "the format of every matrix, as in formats/: NAME[:parameter…]; default: the model's own");
  c->add_option("--policy", a.policy, "a policy that gives each tensor its format: a name in policies/ or a file")
      ->excludes(format);
  c->add_option("--format-file", a.formatFiles,
                "a description of a format beyond the shipped ones; may be given several times");
  c->add_option("--kv", a.kv,
                "the format of the KV cache: f16 (the default), or any that numbers can be encoded to at run time "
                "(an encode clause without searches)");
  addMethod(c, a.method);
  c->add_option("--target", a.targets,
                "a processor or GPU in targets/, or host: this machine's best processor, which is the default; may be "
                "given several times");
  c->add_option("--precision", a.precision,
                "fast: int8 activations; high: bf16 activations; float: f32 activations; exact: the same bits on every "
                "processor")
      ->capture_default_str()
      ->check(CLI::IsMember({"fast", "high", "float", "exact"}));
  c->add_option("--activations", a.activations,
                "GPUs: what matrix products read, f16 or bf16; default: what the target's file says")
      ->check(CLI::IsMember({"f16", "bf16"}));
  c->add_flag("--require-fast", a.requireFast, "fail where a layer has no fast kernel");
  c->add_flag("--dump-phases{phases}", a.dumpPhases, "write the IR of every phase into a folder: --dump-phases=DIR");
  c->add_option("--from", a.from,
                "begin behind a phase, whose IR is read from the folder of --dump-phases: import, plan, encode, graph, "
                "or a level of the code (linalg, tiled, vector, …)");
  c->add_option("--schedule", a.schedule, "a file of IR with a transform sequence that tiles the kernels");
}

CompileOptions quantc::toCompileOptions(const CompileArguments &a, const Globals &globals) {
  CompileOptions options;
  options.model = a.model;
  options.format = a.format;
  options.policy = a.policy;
  options.kv = a.kv;
  options.activations = a.activations;
  options.method = a.method;
  options.precision = a.precision == "exact"   ? Precision::Exact
                      : a.precision == "float" ? Precision::Float
                      : a.precision == "high"  ? Precision::High
                                               : Precision::Fast;
  options.targets = a.targets;
  options.formatFiles = a.formatFiles;
  options.threads = globals.threads;
  options.requireFast = a.requireFast;
  options.dumpPhases = a.dumpPhases;
  options.from = a.from;
  options.schedule = a.schedule;
  const bool quiet = globals.json;
  auto bar = std::make_shared<std::optional<Progress>>();
  options.progress = [=, last = std::string("encode")](const std::string &phase, uint64_t done,
                                                       uint64_t total) mutable {
    if (phase == "encode")
      return; // said weight by weight
    if (std::exchange(last, phase) != phase)
      bar->emplace(phase, quiet);
    (*bar)->update(done, total);
  };
  options.method.progress = [=](uint64_t done, uint64_t total, const std::string &weight, std::optional<double> nmse) {
    if (!*bar)
      bar->emplace("encode", quiet);
    (*bar)->update(done, total, weight, nmse);
  };
  return options;
}

namespace {
struct Options {
  CompileArguments compile;
  EvidenceArguments evidence;
  std::filesystem::path output;
  bool cubin = false, dryRun = false;
};

/// What methods take; code generation and packaging are seconds.
Status plan(const Globals &globals, const Options &options) {
  const CompileArguments &a = options.compile;
  QUANTC_TRY(checkTargets(a.targets));
  return dryRun(globals,
                {.model = a.model,
                 .output = options.output,
                 .format = a.format,
                 .policy = a.policy,
                 .formatFiles = a.formatFiles,
                 .threads = globals.threads},
                a.method);
}

Status run(const Globals &globals, const Options &options) {
  if (options.dryRun && options.evidence.budget.empty())
    return plan(globals, options);
  CompileOptions compile = toCompileOptions(options.compile, globals);
  compile.output = options.output;
  compile.cubin = options.cubin;
  Evidence evidence(
      options.evidence, globals,
      {.model = compile.model, .output = compile.output, .formatFiles = compile.formatFiles, .kernelStorage = true});
  if (options.dryRun)
    return evidence.dryRun(compile.method);
  QUANTC_TRY(evidence.begin(compile.policy, compile.method));
  QUANTC_ASSIGN(CompileReport r, compileModel(compile));
  QUANTC_TRY(evidence.finish(compile.method, [&] { return artifactTensors(compile.output); }));
  Json json = {{"output", options.output.string()},
               {"bytes", r.bytes},
               {"weight_bytes", r.weightBytes},
               {"weights", r.weights},
               {"kernels", r.kernels},
               {"targets", r.targets},
               {"encode_seconds", r.encodeSeconds},
               {"code_seconds", r.codeSeconds},
               {"package_seconds", r.packageSeconds}};
  std::string text;
  evidence.addTo(json, text);
  printResult(
      globals, json,
      text + fmt::format("{}: {:.1f} MB, {} weights in {:.1f} MB, {} kernels for {}; encoding {:.1f} s, code {:.1f} "
                         "s, writing {:.1f} s",
                         options.output.string(), double(r.bytes) / 1e6, r.weights, double(r.weightBytes) / 1e6,
                         r.kernels, fmt::join(r.targets, ", "), r.encodeSeconds, r.codeSeconds, r.packageSeconds));
  return {};
}
} // namespace

void quantc::addCompile(CLI::App &app, Globals &globals, Action &chosen) {
  auto options = std::make_shared<Options>();
  CLI::App *c = addCommand(
      app, globals, "compile", "compile a model to one artifact (.qm)",
      "  quantc compile model-directory -o model.qm --format int:4:g128:asym\n"
      "  quantc compile model.gguf -o model.qm\n"
      "  quantc compile model.gguf -o model.qm --target sm_80 --target x86-64-v3\n"
      "  quantc compile model-directory -o model.qm --budget kld=0.01 --calib text.txt --report report.html",
      [&globals, options] { return run(globals, *options); }, chosen);
  addSource(c, options->compile.model);
  c->add_option("-o,--output", options->output, "the artifact to write")->required();
  c->add_flag("--cubin", options->cubin, "GPUs: machine code beside the PTX, by ptxas of a CUDA toolkit");
  addCompileOptions(c, options->compile);
  addEvidence(c, options->evidence);
  addDryRun(c, options->dryRun);
}
