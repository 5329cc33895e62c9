//===- ManifestJson.cpp - a manifest as JSON text ---------------------------------------------------------------===//

#include "ProgramJson.h"
#include "quantc/Support/Json.h"
#include <algorithm>
#include <array>

using namespace quantc;
using nlohmann::ordered_json;

namespace {

/// Manifests are read into a tree, so what they may take of memory is bounded by their length.
constexpr size_t maxManifestBytes = 64u << 20;

//===- Reading --------------------------------------------------------------------------------------------------===//

std::vector<uint64_t> readCounts(const ManifestReader &list) {
  return list.list([](const ManifestReader &number) { return number.count(); });
}
std::vector<std::string> readTexts(const ManifestReader &list) {
  return list.list(&ManifestReader::text);
}

KernelAddress readAddress(const ManifestReader &pair) {
  const auto offsets = readCounts(pair);
  if (offsets.size() == 2)
    return {offsets[0], offsets[1]};
  pair.report("is no pair of offsets");
  return {};
}

TargetEntry readTarget(const ManifestReader &object) {
  return {.name = {}, .code = object.member("code").text(), .features = readTexts(object.member("features"))};
}

KernelWork readWork(const ManifestReader &object) {
  return {.operations = readTexts(object.member("operations")),
          .activations = object.member("activations").text(),
          .multiplications = object.member("multiplications").count(),
          .ofPosition = object.member("of_position").count(),
          .window = object.member("window").count()};
}

KernelChoice readChoice(const ManifestReader &object) {
  return {.tiles = object.member("tiles").list(readCounts),
          .instructions = readTexts(object.member("instructions")),
          .manyTokens = readTexts(object.member("many_tokens")),
          .reasons = readTexts(object.member("reasons"))};
}

KernelEntry readKernel(const ManifestReader &object) {
  KernelEntry kernel{.name = object.member("name").text(),
                     .calls = object.member("calls").count(),
                     .why = object.member("why").text(),
                     .entry = {}};
  for (auto &[target, address] : object.member("entry").named(readAddress))
    kernel.entry.emplace(std::move(target), address);
  if (object.has("computes"))
    kernel.work = whole(readWork)(object.member("computes"));
  if (object.has("choices"))
    for (auto &[target, choice] : object.member("choices").named(whole(readChoice)))
      kernel.choices.emplace(std::move(target), std::move(choice));
  return kernel;
}

FragmentsEntry readFragments(const ManifestReader &object) {
  return {.tensor = object.member("tensor").text(), .planes = readCounts(object.member("planes"))};
}

WeightEntry readWeight(const ManifestReader &object) {
  WeightEntry weight{.name = object.member("name").text(),
                     .tensor = {},
                     .format = object.member("format").text(),
                     .shape = object.member("shape").list(
                         [](const ManifestReader &size) { return static_cast<int64_t>(size.count()); }),
                     .source = object.member("source").text(),
                     .hash = object.member("hash").text()};
  if (object.has("fragments"))
    weight.fragments = whole(readFragments)(object.member("fragments"));
  if (!weight.fragments || object.has("tensor"))
    weight.tensor = object.member("tensor").text();
  return weight;
}

constexpr std::array<std::string_view, 7> modelKeys = {"architecture", "context", "vocab", "hidden",
                                                       "layers",       "bos",     "eos"};

void readModel(const ManifestReader &object, Manifest &manifest) {
  manifest.architecture = object.member("architecture").text();
  manifest.context = static_cast<int64_t>(object.member("context").count());
  manifest.vocab = static_cast<int64_t>(object.member("vocab").count());
  manifest.hidden = static_cast<int64_t>(object.member("hidden").count());
  manifest.layers = static_cast<int64_t>(object.member("layers").count());
  if (object.has("bos"))
    manifest.bos = object.member("bos").token();
  manifest.eos = object.member("eos").list(&ManifestReader::token);
  if (object.json().is_object())
    for (const auto &[key, value] : object.json().items())
      if (std::ranges::find(modelKeys, key) == modelKeys.end())
        manifest.details.push_back({key, value});
}

Manifest readManifest(const ManifestReader &root) {
  Manifest manifest;
  root.member("version");
  manifest.tool = root.member("tool").text();
  readModel(root.member("model"), manifest);
  // What is for GPUs only has no program for processors.
  if (root.has("gpu"))
    manifest.gpu = whole(readGPUProgram)(root.member("gpu"));
  if (!manifest.gpu || root.has("targets")) {
    for (auto &[name, target] : root.member("targets").named(whole(readTarget))) {
      target.name = name;
      manifest.targets.push_back(std::move(target));
    }
    manifest.kernels = root.member("kernels").list(whole(readKernel));
    readProgram(root, manifest);
  }
  manifest.weights = root.member("weights").list(whole(readWeight));
  if (root.has("certificate"))
    manifest.certificate = root.member("certificate").json();
  root.finish();
  return manifest;
}

} // namespace

Result<Manifest> Manifest::parse(const std::string &text) {
  if (text.size() > maxManifestBytes)
    return fail("the manifest has {} bytes; {} are allowed", text.size(), maxManifestBytes);
  auto json = parseJson(text);
  if (!json)
    return failAt("the manifest", json.error());
  // Other versions may have another form, so nothing else is looked at before.
  if (!json->is_object() || !json->contains("version") || !(*json)["version"].is_number_integer())
    return fail("the manifest has no version");
  if ((*json)["version"] < oldestArtifactVersion || (*json)["version"] > artifactVersion)
    return fail("an artifact of version {}; this program knows versions {} to {}: compile the model again, or use the "
                "quantc that wrote it",
                (*json)["version"].dump(), oldestArtifactVersion, artifactVersion);
  std::string problem;
  Manifest manifest = readManifest(ManifestReader(*json, problem));
  if (!problem.empty())
    return fail("the manifest is broken: {}", problem);
  return manifest;
}

//===- Writing --------------------------------------------------------------------------------------------------===//

ordered_json quantc::toJson(const KernelWork &work) {
  return {{"operations", work.operations},
          {"activations", work.activations},
          {"multiplications", work.multiplications},
          {"of_position", work.ofPosition},
          {"window", work.window}};
}

ordered_json quantc::toJson(const KernelChoice &choice) {
  return {{"tiles", choice.tiles},
          {"instructions", choice.instructions},
          {"many_tokens", choice.manyTokens},
          {"reasons", choice.reasons}};
}

namespace {

ordered_json writeKernel(const KernelEntry &kernel) {
  ordered_json entries = ordered_json::object();
  for (const auto &[target, address] : kernel.entry)
    entries[target] = {address.run, address.tasks};
  ordered_json object = {
      {"name", kernel.name}, {"calls", kernel.calls}, {"why", kernel.why}, {"entry", std::move(entries)}};
  if (const auto &work = kernel.work)
    object["computes"] = toJson(*work);
  for (const auto &[target, choice] : kernel.choices)
    object["choices"][target] = toJson(choice);
  return object;
}

ordered_json writeWeight(const WeightEntry &weight) {
  ordered_json object = {{"name", weight.name}};
  if (!weight.tensor.empty())
    object["tensor"] = weight.tensor;
  object["format"] = weight.format;
  object["shape"] = weight.shape;
  object["source"] = weight.source;
  object["hash"] = weight.hash;
  if (weight.fragments)
    object["fragments"] = {{"tensor", weight.fragments->tensor}, {"planes", weight.fragments->planes}};
  return object;
}

ordered_json writeModel(const Manifest &manifest) {
  ordered_json model = {{"architecture", manifest.architecture},
                        {"context", manifest.context},
                        {"vocab", manifest.vocab},
                        {"hidden", manifest.hidden},
                        {"layers", manifest.layers}};
  if (manifest.bos)
    model["bos"] = *manifest.bos;
  model["eos"] = manifest.eos;
  for (const auto &[key, value] : manifest.details.items())
    model[key] = value;
  return model;
}

} // namespace

Result<std::string> Manifest::serialize() const {
  ordered_json root = {{"version", artifactVersion}, {"tool", tool}, {"model", writeModel(*this)}};
  const bool forProcessors = !targets.empty() || !gpu;
  if (forProcessors) {
    root["targets"] = ordered_json::object();
    for (const TargetEntry &target : targets)
      root["targets"][target.name] = {{"code", target.code}, {"features", target.features}};
    root["kernels"] = arrayOf(kernels, writeKernel);
  }
  root["weights"] = arrayOf(weights, writeWeight);
  if (forProcessors)
    writeProgram(*this, root);
  if (gpu)
    root["gpu"] = writeGPUProgram(*gpu);
  if (!certificate.is_null())
    root["certificate"] = certificate;
  try {
    return root.dump();
  } catch (const ordered_json::type_error &) {
    return fail("a name in the manifest is not valid UTF-8");
  }
}
