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

/// A GGUF file by its name, else a directory.
bool writesGguf(const QuantizeOptions &convert) {
  return convert.container == "gguf" || (convert.container.empty() && convert.output.extension() == ".gguf");
}

Status run(const Globals &globals, Options options) {
  if (options.convert.container == "gguf" && options.convert.output.extension() != ".gguf")
    return fail("{}: a GGUF file is written; end the name in .gguf", options.convert.output.string());
  if (!options.convert.otherwise.empty() && !options.convert.allowRequantize)
    return fail("--format is for --allow-requantize, which is not given: convert keeps formats; use quantize");
  QUANTC_TRY(checkModel(options.convert.model));
  options.convert.threads = globals.threads;
  options.convert.format = options.dequantize;
  // Decoding loses nothing but what the float format rounds.
  options.convert.allowRequantize |= !options.dequantize.empty();
  Progress progress("convert", globals.json);
  options.convert.progress = [&](uint64_t done, uint64_t total, const std::string &tensor, double) {
    progress.update(done, total, tensor);
  };
  const bool directory = !writesGguf(options.convert) && !options.dequantize.empty();
  QUANTC_ASSIGN(QuantizeReport report,
                directory ? dequantizeToDirectory(options.convert) : quantizeModel(options.convert));
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
      "  quantc convert gptq-directory -o float-directory --dequantize bf16\n"
      "  quantc convert model.gguf -o model-directory --dequantize f16\n"
      "  quantc convert gptq-directory -o out-directory --container compressed-tensors",
      [&globals, options] { return run(globals, *options); }, chosen);
  addSource(c, options->convert.model);
  c->add_option("-o,--output", options->convert.output, "the file to write, or the folder")->required();
  auto *how = c->add_option_group("how");
  how->add_option("--container", options->convert.container,
                  "the kind of file: gguf, or one of containers/ for a Hugging Face directory; every tensor keeps its "
                  "format");
  how->add_option(
         "--dequantize", options->dequantize,
         "decode every matrix to this float format: into a GGUF file where the output ends in .gguf, else into "
         "a Hugging Face directory")
      ->check(CLI::IsMember({"f32", "f16", "bf16"}));
  how->require_option(1);
  c->add_flag("--allow-requantize", options->convert.allowRequantize,
              "encode anew, from its decoded values, what the container cannot hold as it is");
  c->add_option("--format", options->convert.otherwise,
                "with --allow-requantize: the format that it gets; default: the first one that the container carries");
}
