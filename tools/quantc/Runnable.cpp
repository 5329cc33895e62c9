//===- Runnable.cpp - a MODEL argument that is to be executed ---------------------------------------------------===//

#include "Runnable.h"
#include "CompileArguments.h"
#include "quantc/Runtime/CUDA/Device.h"
#include "quantc/Support/Files.h"
#include "quantc/Target/GPUTarget.h"
#include <algorithm>
#include <fmt/ranges.h>
#include <ranges>
#include <xxhash.h>

using namespace quantc;
namespace fs = std::filesystem;

void quantc::addRunnable(CLI::App *command, RunnableOptions &options) {
  addModel(command, options.compile.model);
  addCompileOptions(command, options.compile);
  command->add_option("--device", options.device, "what computes: cpu, or cuda, an NVIDIA GPU")
      ->capture_default_str()
      ->check(CLI::IsMember({"cpu", "cuda"}));
  command
      ->add_option("--gpu-layers,--n-gpu-layers", options.gpuLayers,
                   "layers that run on a GPU (-ngl): the last N, with the head and all else where N is more than the "
                   "model has, or all")
      ->check(CLI::Range(int64_t(0), int64_t(1) << 30) | CLI::IsMember({"all"}));
  command->add_option("--cuda-library", options.cudaLibrary, "the CUDA driver; default: the system's libcuda.so.1");
  command->add_flag("--cuda-sync", options.synchronize,
                    "on a GPU: wait for each kernel, so that an error names it; slow");
}

/// Everything that decides what compiling gives: the tool with its descriptions, the options, and name, size and time
/// of each file of the model.
static Result<std::string> fingerprint(const CompileArguments &arguments) {
  std::string text =
      fmt::format("quantc {}\n{}\n{}\n{}\n{}\n{}\n{}\n", QUANTC_VERSION, arguments.format, arguments.policy,
                  arguments.kv + " " + arguments.activations, arguments.precision + arguments.from,
                  arguments.requireFast, fmt::join(arguments.targets, ","));
  const MethodChoices &method = arguments.method;
  text += fmt::format("{} {} {} {} {} {} {} {}\n", method.names, method.heldOut, method.outlierThreshold,
                      method.rotateSeed, describe(method.gptq), method.calibration.sequences, method.calibration.length,
                      method.calibration.seed);
  std::vector<fs::path> files = arguments.formatFiles;
  std::error_code ignored;
  auto add = [&](const fs::path &path) {
    if (!fs::is_directory(path, ignored))
      return files.push_back(path);
    constexpr auto follow = fs::directory_options::follow_directory_symlink;
    for (const auto &entry : fs::recursive_directory_iterator(path, follow, ignored))
      if (!entry.is_directory(ignored))
        files.push_back(entry.path());
  };
  QUANTC_ASSIGN(fs::path data, dataDirectory());
  add(data);
  add("/proc/self/exe");
  add(arguments.model);
  add(arguments.policy);
  add(arguments.schedule);
  add(method.calibration.file);
  std::ranges::sort(files);
  for (const fs::path &file : files)
    text += fmt::format("{} {} {}\n", fs::absolute(file, ignored).string(), fs::file_size(file, ignored),
                        fs::last_write_time(file, ignored).time_since_epoch().count());
  return fmt::format("{:016x}", XXH3_64bits(text.data(), text.size()));
}

/// The format of the KV cache, as the certificate says it.
static std::string cacheFormat(const Model &model) {
  const auto &certificate = model.manifest().certificate;
  const auto recipe = certificate.find("recipe");
  return recipe == certificate.end() ? "f16" : recipe->value("kv", "f16");
}

static LoadOptions loadOptions(const RunnableOptions &options) {
  const std::vector<std::string> &targets = options.compile.targets;
  const bool isNumber = !options.gpuLayers.empty() && options.gpuLayers != "all";
  const bool onGPU = options.device == "cuda" || !options.gpuLayers.empty();
  return {.target = targets.empty() ? "" : targets.front(),
          .device = onGPU ? DeviceKind::Cuda : DeviceKind::Cpu,
          .gpuLayers = isNumber ? std::optional(std::stoll(options.gpuLayers)) : std::nullopt,
          .cudaLibrary = options.cudaLibrary,
          .synchronize = options.synchronize,
          .note = [](const std::string &what) { fmt::print(stderr, "quantc: {}\n", what); }};
}

/// The best target that the GPU here can run.
static Result<std::string> bestGPUTarget(const std::string &library) {
  QUANTC_ASSIGN(const auto gpu, cuda::DeviceProperties::of(library.empty() ? cuda::systemLibrary : library));
  QUANTC_ASSIGN(const fs::path data, dataDirectory());
  QUANTC_ASSIGN(const std::vector<GPUTarget> all, GPUTarget::all(data));
  for (const GPUTarget &target : all | std::views::reverse)
    if (gpu.runs(target.chip))
      return target.name;
  return fail("no target of {} runs on this GPU ({}, compute capability {}.{})", (data / "targets").string(),
              gpu.name(), gpu.capability().first, gpu.capability().second);
}

Result<std::shared_ptr<const Model>> quantc::openRunnable(const RunnableOptions &options, const Globals &globals) {
  CompileArguments arguments = options.compile;
  LoadOptions load = loadOptions(options);
  QUANTC_ASSIGN(InputKind kind, kindOf(arguments.model));
  const bool compiled = kind == InputKind::Artifact;
  if (compiled && !(arguments.format.empty() && arguments.policy.empty() && arguments.precision == "fast" &&
                    arguments.activations.empty() && arguments.method.names == "rtn"))
    return fail("{}: is compiled already; --format, --policy, --precision, --activations and --method are for models "
                "that are not",
                arguments.model.string());
  if (compiled) {
    QUANTC_ASSIGN(auto model, Model::load(arguments.model, load));
    const std::string kv = cacheFormat(*model);
    if (!arguments.kv.empty() && arguments.kv != kv)
      return fail("{}: was compiled with a KV cache of {}; compile it with --kv {}", arguments.model.string(), kv,
                  arguments.kv);
    return model;
  }
  if (load.device == DeviceKind::Cuda && load.gpuLayers != 0 && arguments.targets.empty()) {
    QUANTC_ASSIGN(std::string best, bestGPUTarget(options.cudaLibrary));
    arguments.targets = {std::move(best)};
    if (load.gpuLayers)
      arguments.targets.emplace_back("host"); // for the other layers
  }
  load.target = "";

  QUANTC_ASSIGN(std::string name, fingerprint(arguments));
  const fs::path cached = globals.cache / (name + ".qm");
  std::error_code error;
  fs::create_directories(globals.cache, error);
  if (error)
    return fail("{}: cannot make the cache directory: {}; set XDG_CACHE_HOME to a folder that can be written",
                globals.cache.string(), error.message());
  // Two processes may compile at once: each writes a file of its own that appears whole, and both give the same bytes.
  // What does not load (a damaged disk, another machine's processor) is compiled again.
  if (arguments.dumpPhases.empty() && arguments.from.empty() && fs::exists(cached, error))
    if (auto model = Model::load(cached, load))
      return model;
  CompileOptions compile = toCompileOptions(arguments, globals);
  compile.output = cached;
  QUANTC_TRY(compileModel(compile));
  return Model::load(cached, load);
}
