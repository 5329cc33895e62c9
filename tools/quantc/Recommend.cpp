//===- Recommend.cpp - quantc recommend: which format and method ------------------------------------------------===//

#include "quantc/Driver/Recommend.h"
#include "Command.h"
#include "quantc/Driver/Progress.h"

using namespace quantc;

static Json rowJson(const FormatRow &row, double memory) {
  Json json = {{"format", row.format},
               {"bits_per_weight", row.bitsPerWeight},
               {"file_bytes", row.fileBytes},
               {"memory_bytes", row.memory ? Json(*row.memory) : Json()},
               {"fits", row.memory && *row.memory <= memory},
               {"quantizes", row.quantizes},
               {"tokens_per_second", row.tokensPerSecond ? Json(*row.tokensPerSecond) : Json()}};
  if (!row.why.empty())
    json["why_not"] = row.why;
  return json;
}

static std::string gigabytes(std::optional<double> bytes) {
  return bytes ? fmt::format("{:10.3f} GB", *bytes / 1e9) : fmt::format("{:>13}", "-");
}

static std::string rowText(const FormatRow &row, double memory) {
  if (!row.why.empty() && row.bitsPerWeight == 0)
    return fmt::format("{:18} {}\n", row.format, row.why);
  const std::string name = row.format.empty() ? fmt::format("{:.0f} bits", row.bitsPerWeight) : row.format;
  return fmt::format("{:18} {:7.3f} {} {}  {:4} {:>9}  {}\n", name, row.bitsPerWeight, gigabytes(row.fileBytes),
                     gigabytes(row.memory), row.memory ? *row.memory <= memory ? "yes" : "no" : "",
                     row.tokensPerSecond ? fmt::format("{:.1f}", *row.tokensPerSecond) : "",
                     !row.why.empty()                        ? row.why
                     : !row.format.empty() && !row.quantizes ? "read only: no encode clause"
                                                             : "");
}

static Status run(const Globals &globals, RecommendOptions options) {
  options.threads = globals.threads;
  Progress progress("measure", globals.json);
  options.progress = [&](uint64_t done, uint64_t total, const std::string &what) {
    progress.update(done, total, what);
  };
  QUANTC_ASSIGN(const Recommendation r, recommend(options));
  Json json = {{"model", options.model.string()}, {"parameters", r.parameters},
               {"memory_bytes", r.memory},        {"context", r.context},
               {"kv_cache_bytes", r.kvCache},     {"read_bandwidth_bytes_s", r.bandwidth},
               {"bits", Json::array()},           {"formats", Json::array()},
               {"quality", Json::array()}};
  std::string text =
      fmt::format("{:.0f} parameters; KV cache of {} positions (f16) {:.3f} GB; memory {:.3f} GB, read at "
                  "{:.1f} GB/s here\n\n{:18} {:>7} {:>13} {:>13}  fits  tokens/s\n",
                  r.parameters, r.context, r.kvCache / 1e9, r.memory / 1e9, r.bandwidth / 1e9, "all matrices in",
                  "bits/w.", "file", "in memory");
  for (const FormatRow &row : r.bits) {
    json["bits"].push_back(rowJson(row, r.memory));
    text += rowText(row, r.memory);
  }
  text += "\n";
  for (const FormatRow &row : r.formats) {
    json["formats"].push_back(rowJson(row, r.memory));
    text += rowText(row, r.memory);
  }
  text +=
      "In memory: storage of kernels, vectors and KV cache; tokens/s: were the weights of a token read at the measured "
      "speed, an upper bound for decoding.\n\n";
  if (r.quality.empty())
    text += "Quality: not measured.\n";
  for (const QualityRow &row : r.quality) {
    json["quality"].push_back({{"format", row.format},
                               {"method", row.method},
                               {"kl_divergence", row.divergence},
                               {"perplexity", row.perplexity},
                               {"top1", row.top1}});
    text += fmt::format("{:18} {:8} KL divergence {:9.3g}  perplexity {:9.4f}  same most likely token {:6.2f} %\n",
                        row.format, row.method, row.divergence, row.perplexity, row.top1 * 100);
  }
  json["recommended"] = r.format.empty() ? Json() : Json{{"format", r.format}};
  if (!r.method.empty())
    json["recommended"]["method"] = r.method;
  json["why"] = r.why;
  const std::string choice = r.format.empty() ? "nothing" : r.format + (r.method.empty() ? "" : " by " + r.method);
  printResult(globals, json, text + fmt::format("\nrecommended: {} ({})", choice, r.why));
  return {};
}

void quantc::addRecommend(CLI::App &app, Globals &globals, Action &chosen) {
  auto options = std::make_shared<RecommendOptions>();
  CLI::App *c = addCommand(
      app, globals, "recommend", "which format and method for a model and a memory, with the evidence",
      "  quantc recommend config.json --memory 6G\n"
      "  quantc recommend model-directory --memory 4G --text heldout.txt\n"
      "  quantc recommend model-directory --memory 4G --text heldout.txt --calib text.txt --formats "
      "int:4:g64,int:3:g64",
      [&globals, options] { return run(globals, *options); }, chosen);
  c->add_option("-m,model,--model", options->model, "a Hugging Face directory, a .gguf file, or a config.json")
      ->required()
      ->type_name("MODEL");
  c->add_option("--memory", options->memory, "for weights and KV cache: 6G, 900M, 8GiB; default: what is free here")
      ->transform(CLI::AsSizeValue(true));
  c->add_option("-c,--ctx", options->context, "positions of the KV cache, at most those of the model")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(1), int64_t(1) << 31));
  c->add_option("--text", options->text,
                "a text on which quality is measured: each format by each method is compiled and run");
  c->add_option("--text-ctx", options->chunk, "tokens of a chunk of that text")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(4), int64_t(1) << 24));
  c->add_option("--formats", options->formats,
                "formats whose quality is measured, separated by commas; default: formats/candidates.json")
      ->delimiter(',');
  addCalibrationText(c, options->calibration);
  c->get_option("--calib")->needs("--text");
  c->add_option("--format-file", options->formatFiles,
                "a description of a format beyond the shipped ones; may be given several times");
}
