//===- Certificate.cpp - what an artifact says of how it came to be ---------------------------------------------===//

#include "Certificate.h"
#include "quantc/Dialect/NN/NN.h"
#include "quantc/Support/Files.h"
#include "quantc/Support/Text.h"
#include "quantc/Transforms/ContentHash.h"

using namespace mlir;
using namespace quantc;
using nlohmann::ordered_json;

static constexpr std::array<const char *, 4> precisionNames = {"fast", "high", "float", "exact"};

static ordered_json toJson(const GptqChoices &gptq) {
  return {{"damp", gptq.damp},     {"act_order", gptq.actOrder}, {"plain", gptq.plain}, {"scales", gptq.scales},
          {"groups", gptq.groups}, {"grid", gptq.grid},          {"block", gptq.block}, {"inputs", gptq.inputs}};
}

std::string quantc::describe(const GptqChoices &choices) {
  return toJson(choices).dump();
}

static Result<ordered_json> recipeOf(const CompileOptions &options) {
  ordered_json recipe = {{"format", options.format},
                         {"policy", std::filesystem::path(options.policy).filename().string()},
                         {"method", options.method.names},
                         {"precision", precisionNames[static_cast<size_t>(options.precision)]}};
  if (!options.kv.empty())
    recipe["kv"] = options.kv;
  if (!options.activations.empty())
    recipe["activations"] = options.activations;
  recipe["gptq"] = toJson(options.method.gptq);
  recipe["held_out"] = options.method.heldOut;
  recipe["llm_int8"] = {{"threshold", options.method.outlierThreshold}};
  recipe["rotate"] = {{"seed", options.method.rotateSeed}};
  if (options.method.names != "rtn") {
    // The text that comes with quantc has no name here: who derives the bytes again has it.
    const CalibrationText &text = options.method.calibration;
    recipe["calibration"] = {{"sequences", text.sequences}, {"length", text.length}, {"seed", text.seed}};
    if (!text.file.empty()) {
      QUANTC_ASSIGN(const ContentHash hash, ContentHash::ofFile(text.file));
      recipe["calibration"]["file"] = text.file.filename().string();
      recipe["calibration"]["hash"] = hash.text();
    }
  }
  for (const std::filesystem::path &file : options.formatFiles) {
    QUANTC_ASSIGN(std::string text, readText(file));
    recipe["format_files"].push_back(std::move(text));
  }
  if (!options.schedule.empty()) {
    QUANTC_ASSIGN(const ContentHash hash, ContentHash::ofFile(options.schedule));
    recipe["schedule"] = hash.text();
  }
  return recipe;
}

Result<ordered_json> quantc::makeCertificate(const CompileOptions &options, ModuleOp module) {
  ordered_json certificate;
  QUANTC_ASSIGN(certificate["recipe"], recipeOf(options));
  certificate["weights"] = ordered_json::object();
  for (nn::WeightOp weight : module.getOps<nn::WeightOp>()) {
    auto method = weight->getAttrOfType<StringAttr>(nn::methodAttrName);
    auto error = weight->getAttrOfType<FloatAttr>(nn::errorAttrName);
    if (method && error)
      certificate["weights"][weight.getSymName().str()] = {{"method", method.str()},
                                                           {"nmse", error.getValueAsDouble()}};
  }
  return certificate;
}

Result<Recipe> quantc::readRecipe(const ordered_json &certificate) {
  try {
    const ordered_json &text = certificate.at("recipe");
    Recipe recipe;
    MethodChoices &method = recipe.options.method;
    method.names = text.at("method").get<std::string>();
    const std::string precision = text.at("precision").get<std::string>();
    const auto known = std::ranges::find(precisionNames, precision);
    if (known == precisionNames.end())
      return fail("the certificate names the precision {}, which is not known", inQuotes(precision));
    recipe.options.precision = static_cast<Precision>(known - precisionNames.begin());
    const ordered_json &gptq = text.at("gptq");
    method.gptq = {.damp = gptq.at("damp").get<double>(),
                   .actOrder = gptq.at("act_order").get<bool>(),
                   .plain = gptq.at("plain").get<bool>(),
                   .scales = gptq.at("scales").get<std::string>()};
    // What certificates had not from the beginning.
    method.gptq.groups = gptq.value("groups", method.gptq.groups);
    method.gptq.grid = gptq.value("grid", method.gptq.grid);
    method.gptq.block = gptq.value("block", method.gptq.block);
    method.gptq.inputs = gptq.value("inputs", method.gptq.inputs);
    recipe.options.kv = text.value("kv", "");
    recipe.options.activations = text.value("activations", "");
    method.heldOut = text.value("held_out", false);
    if (text.contains("llm_int8"))
      method.outlierThreshold = text["llm_int8"].at("threshold").get<double>();
    if (text.contains("rotate"))
      method.rotateSeed = text["rotate"].at("seed").get<uint64_t>();
    if (text.contains("calibration")) {
      const ordered_json &calibration = text.at("calibration");
      recipe.calibrationName = calibration.value("file", "");
      recipe.calibrationHash = calibration.value("hash", "");
      method.calibration.seed = calibration.at("seed").get<uint64_t>();
      method.calibration.sequences = calibration.at("sequences").get<int64_t>();
      method.calibration.length = calibration.at("length").get<int64_t>();
    }
    recipe.formatTexts = text.value("format_files", std::vector<std::string>());
    if (text.contains("schedule"))
      recipe.incomplete = "its kernels were tiled by a schedule, which the certificate knows by its hash only";
    return recipe;
  } catch (const ordered_json::exception &problem) {
    return fail("the certificate is broken: {}", inQuotes(problem.what()));
  }
}
