//===- Models.cpp - whole models on a GPU -------------------------------------------------------------------------===//

#include "Models.h"
#include "Strips.h"
#include "quantc/Artifact/Artifact.h"
#include "quantc/Runtime/Generator.h"
#include "quantc/Runtime/Measure.h"
#include "quantc/Runtime/Speed.h"
#include "quantc/Support/Files.h"
#include <algorithm>

using namespace quantc;
using namespace quantc::gpu;
namespace fs = std::filesystem;

//===- Comparing -----------------------------------------------------------------------------------------------===//

static Result<std::unique_ptr<Session>> sessionOf(const std::shared_ptr<const Model> &model, int64_t positions) {
  return Session::create(model, {.context = std::min(positions, model->context())});
}

/// All logits of a text, in steps of so many tokens.
static Result<std::vector<float>> logitsOf(Session &session, std::span<const int32_t> text, size_t step) {
  session.reset();
  std::vector<float> all;
  for (size_t at = 0; at < text.size(); at += step) {
    QUANTC_ASSIGN(const auto logits, session.step(text.subspan(at, std::min(step, text.size() - at)), Rows::All));
    all.insert(all.end(), logits.begin(), logits.end());
  }
  return all;
}

static double errorOf(std::span<const float> expected, std::span<const float> found) {
  double difference = 0, square = 0;
  for (size_t i = 0; i < expected.size(); i++) {
    const double d = static_cast<double>(found[i]) - expected[i];
    difference += d * d;
    square += static_cast<double>(expected[i]) * expected[i];
  }
  return difference / square;
}

Result<double> gpu::compareModels(const std::shared_ptr<const Model> &onGPU,
                                  const std::shared_ptr<const Model> &launched,
                                  const std::shared_ptr<const Model> &onCPU) {
  constexpr int64_t length = 21, continued = 8;
  const std::vector<int32_t> text = someTokens(length, onCPU->vocab());
  QUANTC_ASSIGN(const auto gpu, sessionOf(onGPU, 64));
  QUANTC_ASSIGN(const auto plain, sessionOf(launched, 64));
  QUANTC_ASSIGN(const auto cpu, sessionOf(onCPU, 64));
  QUANTC_ASSIGN(const std::vector<float> expected, logitsOf(*cpu, text, text.size()));
  double worst = 0;
  for (const size_t step : {text.size(), size_t(1), size_t(8), size_t(9)}) {
    QUANTC_ASSIGN(const std::vector<float> found, logitsOf(*gpu, text, step));
    const double error = errorOf(expected, found);
    if (!(error <= 1)) // or no number
      return fail("steps of {} tokens give other logits than the processor", step);
    worst = std::max(worst, error);
    QUANTC_ASSIGN(const std::vector<float> again, logitsOf(*plain, text, step));
    if (again != found)
      return fail("steps of {} tokens give other bits where no graph is played", step);
  }
  std::vector<std::vector<int32_t>> continuations;
  for (Session *session : {gpu.get(), cpu.get()}) {
    QUANTC_ASSIGN(const Generation made, generate(*session, text, {.maxTokens = continued, .ignoreEnd = true}));
    continuations.push_back(made.tokens);
  }
  if (continuations[0] != continuations[1])
    return fail("the GPU continues with other tokens than the processor");
  return worst;
}

//===- Measuring -----------------------------------------------------------------------------------------------===//

Result<nlohmann::ordered_json> gpu::timeModel(const std::shared_ptr<const Model> &model, int64_t prompt,
                                              int64_t tokens) {
  constexpr int64_t rounds = 5;
  QUANTC_ASSIGN(const auto session, Session::create(model, {.context = prompt + tokens, .chunk = prompt}));
  QUANTC_ASSIGN(const Speed speed, measureSpeed(*session, prompt, tokens, rounds));
  QUANTC_ASSIGN(const double bandwidth, weightBandwidth(*model));
  const double decode = medianOf(speed.decode), bytes = static_cast<double>(weightBytes(*model));
  return nlohmann::ordered_json{{"prompt", prompt},
                                {"tokens", tokens},
                                {"prefill_tps", medianOf(speed.prefill)},
                                {"decode_tps", decode},
                                {"bytes_per_token", bytes},
                                {"copy_bandwidth", bandwidth},
                                {"bandwidth_share", decode * bytes / bandwidth}};
}

//===- Skeletons -----------------------------------------------------------------------------------------------===//

/// The bytes of a tensor: of a file of the skeleton, or of a large weight.
static Status writeTensor(const fs::path &skeleton, const std::string &name, const Manifest &manifest, Catalog &catalog,
                          TensorWriter &writer) {
  if (const fs::path kept = skeleton / "tensors" / name; fs::exists(kept)) {
    QUANTC_ASSIGN(const auto file, MappedFile::open(kept));
    return writer.append(file->bytes());
  }
  for (const WeightEntry &weight : manifest.weights)
    if (weight.fragments && weight.fragments->tensor == name) {
      QUANTC_ASSIGN(const auto format, catalog.format(weight.format));
      QUANTC_ASSIGN(const StripWeight made, StripWeight::create(format, weight.shape[0], weight.shape[1]));
      return made.write([&](std::span<const std::byte> bytes) { return writer.append(bytes); });
    }
  return fail("{}: the tensor {} is neither there nor a weight", skeleton.string(), name);
}

Status gpu::fillSkeleton(const fs::path &skeleton, const fs::path &data, const fs::path &output) {
  QUANTC_ASSIGN(const auto catalog, Catalog::open(data));
  QUANTC_ASSIGN(const std::string text, readText(skeleton / "manifest.json"));
  QUANTC_ASSIGN(const Manifest manifest, Manifest::parse(text));
  QUANTC_ASSIGN(const std::string sizes, readText(skeleton / "tensors.json"));
  std::vector<ArtifactTensor> tensors;
  const nlohmann::json list = nlohmann::json::parse(sizes, nullptr, /*allow_exceptions=*/false);
  if (!list.is_array())
    return fail("{}: is no list of tensors", (skeleton / "tensors.json").string());
  for (const nlohmann::json &tensor : list)
    tensors.push_back({tensor.at(0), tensor.at(1)});
  QUANTC_ASSIGN(TensorWriter writer, createArtifact(output, manifest, tensors));
  for (const ArtifactTensor &tensor : tensors)
    QUANTC_TRY(writeTensor(skeleton, tensor.name, manifest, *catalog, writer));
  return writer.commit();
}
