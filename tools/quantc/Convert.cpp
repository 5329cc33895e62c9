//===- Convert.cpp - quantc convert: the same values in another file --------------------------------------------===//

#include "Command.h"
#include "quantc/Driver/Compile.h"
#include "quantc/Driver/Progress.h"
#include "quantc/Export/Quantize.h"

using namespace quantc;

namespace {
struct Options {
  QuantizeOptions convert;
  std::string dequantize;
};

Status run(const Globals &globals, Options options) {
  const bool directory = !options.convert.container.empty() && options.convert.container != "gguf";
  if (!directory && options.convert.output.extension() != ".gguf")
    return fail("{}: a GGUF file is written; end the name in .gguf", options.convert.output.string());
  QUANTC_TRY(checkModel(options.convert.model));
  options.convert.threads = globals.threads;
  options.convert.format = options.dequantize;
  // Decoding loses nothing but what the float format rounds.
  options.convert.allowRequantize |= !options.dequantize.empty();
  Progress progress("convert", globals.json);
  options.convert.progress = [&](uint64_t done, uint64_t total, const std::string &tensor, double) {
    progress.update(done, total, tensor);
  };
  QUANTC_ASSIGN(QuantizeReport report, quantizeModel(options.convert));
  printResult(
      globals,
      {{"output", options.convert.output.string()}, {"bytes", report.bytes}, {"tensors", report.tensors.size()}},
      fmt::format("{}: {} tensors, {:.2f} MB", options.convert.output.string(), report.tensors.size(),
                  double(report.bytes) / 1e6));
  return {};
}
} // namespace

void quantc::addConvert(CLI::App &app, Globals &globals, Action &chosen) {
  auto options = std::make_shared<Options>();
  CLI::App *c = addCommand(
      app, globals, "convert", "the same values in another kind of file, or decoded to floats",
      "  quantc convert model-directory -o model.gguf --container gguf\n"
      "  quantc convert model-q4.gguf -o model-f32.gguf --dequantize f32\n"
      "  quantc convert gptq-directory -o out-directory --container compressed-tensors",
      [&globals, options] { return run(globals, *options); }, chosen);
  addModel(c, options->convert.model);
  c->add_option("-o,--output", options->convert.output, "the file to write, or the folder")->required();
  auto *how = c->add_option_group("how");
  how->add_option("--container", options->convert.container,
                  "the kind of file: gguf, or one of containers/ for a Hugging Face directory; every tensor keeps its "
                  "format");
  how->add_option("--dequantize", options->dequantize, "decode every matrix to this float format")
      ->check(CLI::IsMember({"f32", "f16", "bf16"}));
  how->require_option(1);
  addNotYet(c, {"--allow-requantize"});
}
