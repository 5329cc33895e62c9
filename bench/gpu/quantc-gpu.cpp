//===- quantc-gpu.cpp - checks and measures on a machine with a GPU -----------------------------------------------===//
//
// Runs what bench/gpu/bundle made on a machine with a compiler: kernels as PTX, small models, skeletons of large ones.
// It needs the driver and nothing else: no MLIR, no network, no weights.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "BenchKernels.h"
#include "CheckKernels.h"
#include "Models.h"
#include "quantc/Support/Files.h"
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <iostream>

using namespace quantc;
using namespace quantc::gpu;
using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

namespace {

constexpr int noGPU = 77; ///< what test programs say where they are skipped

struct Options {
  fs::path data, bundle, output, model, filled; ///< `data`: what a program of quantc has beside itself
  std::string library = cuda::systemLibrary;
  std::string only;            ///< in the name of a kernel; empty: all
  std::vector<int64_t> tokens; ///< of kernels for any number
  uint64_t rotated = 512 << 20;
  int rounds = 5;
  int64_t prompt = 2048, decoded = 128;
};

/// Files of a folder of the bundle with an ending, sorted.
std::vector<fs::path> filesOf(const Options &options, const char *folder, std::string_view ending) {
  std::vector<fs::path> files;
  std::error_code none;
  for (const auto &entry : fs::directory_iterator(options.bundle / folder, none))
    if (const std::string name = entry.path().filename().string();
        name.ends_with(ending) && name.find(options.only) != std::string::npos)
      files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

/// Calls `body` with each kernel of the bundle and its weight.
Status forEachKernel(const Options &options, const std::shared_ptr<const cuda::Device> &device,
                     const std::function<Status(const LinearKernel &, const StripWeight &)> &body) {
  QUANTC_ASSIGN(const auto catalog, Catalog::open(options.data));
  for (const fs::path &file : filesOf(options, "kernels", ".json")) {
    QUANTC_ASSIGN(const LinearKernel kernel, LinearKernel::load(device, file));
    QUANTC_ASSIGN(const auto format, catalog->format(kernel.format()));
    QUANTC_ASSIGN(const StripWeight weight, StripWeight::create(format, kernel.rows(), kernel.columns()));
    QUANTC_TRY(body(kernel, weight));
  }
  return {};
}

std::vector<int64_t> tokensFor(const LinearKernel &kernel, const std::vector<int64_t> &any) {
  return kernel.tokens() ? std::vector<int64_t>{*kernel.tokens()} : any;
}

//===- Checks --------------------------------------------------------------------------------------------------===//

/// Prints a line; the number of lines that were bad.
class Report {
public:
  void add(const std::string &what, const Result<double> &error, double limit) {
    const bool isGood = error && *error <= limit;
    count++;
    bad += !isGood;
    fmt::print("{:4} {:48} {}\n", isGood ? "ok" : "BAD", what,
               error ? fmt::format("{:.1e}, at most {:.0e}", *error, limit) : error.error().message);
    std::fflush(stdout);
  }
  Status result() const {
    fmt::print("{} of {} are right\n", count - bad, count);
    return count == 0 ? fail("the bundle holds nothing to check") : bad == 0 ? Status() : fail("{} are wrong", bad);
  }

private:
  size_t count = 0, bad = 0;
};

Status checkModels(const Options &options, Report &report) {
  // Activations are rounded to f16 before each product that a logit goes through; the worst is that all errors add up.
  const double limit = std::pow(16 * std::ldexp(1, -11), 2);
  for (const fs::path &file : filesOf(options, "models", ".gpu.qm")) {
    const std::string path = file.string();
    const std::string reference = path.substr(0, path.size() - std::string_view("gpu.qm").size()) + "cpu.qm";
    const LoadOptions onGPU = {.device = DeviceKind::Cuda, .cudaLibrary = options.library};
    LoadOptions launched = onGPU;
    launched.synchronize = true;
    const auto error = [&]() -> Result<double> {
      QUANTC_ASSIGN(const auto gpu, Model::load(file, onGPU));
      QUANTC_ASSIGN(const auto plain, Model::load(file, launched));
      QUANTC_ASSIGN(const auto cpu, Model::load(reference));
      return compareModels(gpu, plain, cpu);
    }();
    report.add(file.filename().string(), error, limit);
  }
  return {};
}

Status check(const Options &options) {
  QUANTC_ASSIGN(const auto device, cuda::Device::open(options.library));
  Report report;
  QUANTC_TRY(forEachKernel(options, device, [&](const LinearKernel &kernel, const StripWeight &weight) -> Status {
    QUANTC_ASSIGN(const cuda::DeviceMemory packed, upload(device, weight));
    for (const int64_t tokens : tokensFor(kernel, options.tokens))
      report.add(fmt::format("{} m {}", kernel.title(), tokens),
                 errorOf(device, kernel, weight, packed.address(), tokens), limitOf(weight));
    return {};
  }));
  QUANTC_TRY(checkModels(options, report));
  return report.result();
}

//===- Measurements --------------------------------------------------------------------------------------------===//

Result<Json> describe(const std::shared_ptr<const cuda::Device> &device, double bandwidth) {
  int version = 0;
  QUANTC_TRY(device->driver().check(device->driver().getVersion(&version), "asking for the driver's version"));
  QUANTC_ASSIGN(const cuda::Device::MemoryInfo memory, device->memory());
  fmt::print("{}, compute capability {}.{}, CUDA driver API {}, copies {:.0f} GB/s\n", device->name(),
             device->capability().first, device->capability().second, version, bandwidth / 1e9);
  return Json{{"device", device->name()},
              {"capability", fmt::format("{}.{}", device->capability().first, device->capability().second)},
              {"driver_api", version},
              {"memory", memory.total},
              {"copy_bandwidth", bandwidth}};
}

Status write(const Options &options, const Json &json) {
  if (options.output.empty())
    return {};
  QUANTC_ASSIGN(AtomicFile file, AtomicFile::create(options.output));
  QUANTC_TRY(file.write(json.dump(1) + "\n"));
  return file.commit();
}

Status benchKernels(const Options &options) {
  QUANTC_ASSIGN(const auto device, cuda::Device::open(options.library));
  QUANTC_ASSIGN(const double bandwidth, cuda::copyBandwidth(device));
  QUANTC_ASSIGN(Json json, describe(device, bandwidth));
  QUANTC_ASSIGN(const cuda::WorkStream stream, cuda::WorkStream::create(device));
  QUANTC_ASSIGN(const cuda::Device::Current current, device->makeCurrent());
  const auto cublas = Cublas::open(stream.handle());
  json["cublas"] = cublas != nullptr;
  const Bench bench{device, stream, cublas.get(), bandwidth, options.rotated, options.rounds};
  fmt::print("{:44} {:>5} {:>9} {:>7} {:>8} {:>8} {:>8}\n", "kernel", "m", "us", "GB/s", "of copy", "TFLOP/s",
             cublas ? "cuBLAS =" : "");
  QUANTC_TRY(forEachKernel(options, device, [&](const LinearKernel &kernel, const StripWeight &weight) -> Status {
    for (const int64_t tokens : tokensFor(kernel, options.tokens)) {
      QUANTC_ASSIGN(const Json row, timeKernel(bench, kernel, weight, tokens));
      fmt::print("{:44} {:5} {:9.2f} {:7.0f} {:7.1f}% {:8.1f} {:>8}\n", kernel.title(), tokens,
                 row["seconds"].get<double>() * 1e6, row["bandwidth"].get<double>() / 1e9,
                 row["bandwidth_share"].get<double>() * 100, row["flops"].get<double>() / 1e12,
                 row.contains("cublas") ? fmt::format("{:.2f}", row["speed_of_cublas"].get<double>()) : "");
      std::fflush(stdout);
      json["kernels"].push_back(row);
      QUANTC_TRY(write(options, json)); // what there is, should something fail or time run out
    }
    return {};
  }));
  return {};
}

Status benchModel(const Options &options) {
  QUANTC_ASSIGN(const auto model,
                Model::load(options.model, {.device = DeviceKind::Cuda, .cudaLibrary = options.library}));
  QUANTC_ASSIGN(const Json row, timeModel(model, options.prompt, options.decoded));
  fmt::print("{}: prefill {:.1f} tokens/s ({}), decode {:.1f} tokens/s ({}), {:.1f} % of the bandwidth of a copy\n",
             options.model.filename().string(), row["prefill_tps"].get<double>(), options.prompt,
             row["decode_tps"].get<double>(), options.decoded, row["bandwidth_share"].get<double>() * 100);
  return write(options, row);
}

} // namespace

int main(int argc, char **argv) {
  Options options;
  const auto data = dataDirectory();
  if (!data) {
    std::cerr << "quantc-gpu: error: " << data.error().message << "\n";
    return 1;
  }
  options.data = *data;
  options.bundle = data->parent_path().parent_path();
  CLI::App app("quantc-gpu: checks and measures what bench/gpu/bundle made, on a machine with a GPU");
  app.require_subcommand(1);
  app.add_option("--bundle", options.bundle, "the folder; default: the one that this program lies in");
  app.add_option("--cuda-library", options.library, "the CUDA driver")->capture_default_str();
  app.add_option("--only", options.only, "kernels and models with this in their file's name");
  app.add_option("-o,--output", options.output, "results as JSON");
  std::function<Status()> chosen;
  const auto add = [&](const char *name, const char *what, Status (*run)(const Options &)) {
    CLI::App *command = app.add_subcommand(name, what);
    command->callback([&chosen, &options, run] { chosen = [&options, run] { return run(options); }; });
    return command;
  };
  const auto addTokens = [&](CLI::App *command, std::vector<int64_t> numbers) {
    command->add_option("--tokens", options.tokens, "of kernels for any number")->delimiter(',');
    command->preparse_callback([&options, numbers](size_t) { options.tokens = numbers; });
  };
  addTokens(add("check", "compares kernels with f64 and models with the processor", check), {1, 9, 16, 64, 512});
  CLI::App *kernels = add("kernels", "times of kernels", benchKernels);
  addTokens(kernels, {16, 64, 128, 512, 2048});
  kernels->add_option("--rounds", options.rounds, "of which medians are taken")->capture_default_str();
  kernels->add_option("--rotate", options.rotated, "bytes of weights that are read in turn")->capture_default_str();
  CLI::App *model = add("model", "speed of a model", benchModel);
  model->add_option("model", options.model, "an artifact")->required();
  model->add_option("-p,--prompt", options.prompt, "tokens of the prompt")->capture_default_str();
  model->add_option("-n,--decode", options.decoded, "tokens that follow")->capture_default_str();
  CLI::App *fill = add("fill", "makes an artifact of a skeleton, with random weights",
                       [](const Options &o) { return fillSkeleton(o.model, o.data, o.filled); });
  fill->add_option("skeleton", options.model, "a folder of the bundle")->required();
  fill->add_option("artifact", options.filled, "the file to write")->required();
  CLI11_PARSE(app, argc, argv);

  if (!fill->parsed())
    if (const auto gpu = cuda::DeviceProperties::of(options.library); !gpu) {
      std::cerr << "skipped: " << gpu.error().message << "\n";
      return noGPU;
    }
  const Status status = chosen();
  if (status)
    return 0;
  std::cerr << "quantc-gpu: error: " << status.error().message << "\n";
  return 1;
}
