//===- ManifestJson.cpp - a manifest as JSON text ---------------------------------------------------------------===//

#include "quantc/Artifact/Manifest.h"
#include "quantc/Support/Json.h"
#include "quantc/Support/Text.h"
#include <algorithm>
#include <array>
#include <utility>

using namespace quantc;
using nlohmann::ordered_json;

namespace {

/// Manifests are read into a tree, so what they may take of memory is bounded by their length.
constexpr size_t maxManifestBytes = 64u << 20;

/// The names of kinds and scalars, in the order of their enumerations.
constexpr std::array<std::string_view, 3> kindNames = {"buffer", "weight", "scalar"};
constexpr std::array<std::string_view, 4> scalarNames = {"tokens", "past", "context", "rows"};

//===- Reading --------------------------------------------------------------------------------------------------===//

/// A value of the manifest and where it stands, which is spelled only for an error. The first error is kept and reading
/// goes on with zeros and empty texts: the caller looks once, at the end.
class Reader {
public:
  Reader(const ordered_json &value, std::string &problem) : value(value), problem(problem) {}

  Reader member(const char *key) const {
    asked.push_back(key);
    const auto found = value.is_object() ? value.find(key) : value.end();
    const bool missing = !value.is_object() || found == value.end();
    if (missing)
      report(fmt::format("lacks {}", key));
    return Reader(missing ? nothing() : *found, problem, this, key, 0);
  }
  bool has(const char *key) const { return value.is_object() && value.contains(key) && !value[key].is_null(); }
  /// Reports a key that no call of `member` has asked for.
  void finish() const {
    if (!value.is_object())
      return report("is no object");
    for (const auto &[key, ignored] : value.items())
      if (std::ranges::find(asked, key) == asked.end())
        return report("has an unknown key " + inQuotes(key));
  }
  std::string text() const {
    if (value.is_string())
      return value.get<std::string>();
    report("is no string");
    return {};
  }
  bool flag() const {
    if (!value.is_boolean())
      report("is neither true nor false");
    return value.is_boolean() && value.get<bool>();
  }
  /// An integer of [0, most].
  uint64_t count(uint64_t most = INT64_MAX) const {
    if (value.is_number_unsigned() && value.get<uint64_t>() <= most)
      return value.get<uint64_t>();
    report(fmt::format("is no integer from 0 to {}", most));
    return 0;
  }
  int32_t token() const { return static_cast<int32_t>(count(INT32_MAX)); }
  /// The place of a text in a list.
  template <typename Names> size_t choice(const Names &names) const {
    const std::string name = text();
    const auto found = std::ranges::find(names, name);
    if (found != names.end())
      return static_cast<size_t>(found - names.begin());
    report(fmt::format("is {}; {} are possible", inQuotes(name), fmt::join(names, ", ")));
    return 0;
  }
  /// Elements of an array.
  template <typename Read> auto list(Read read) const {
    std::vector<std::invoke_result_t<Read, const Reader &>> result;
    if (!value.is_array())
      report("is no array");
    else
      for (size_t i = 0; i < value.size(); ++i)
        result.push_back(std::invoke(read, Reader(value[i], problem, this, nullptr, i)));
    return result;
  }
  /// Members of an object whose keys are names.
  template <typename Read> auto named(Read read) const {
    std::vector<std::pair<std::string, std::invoke_result_t<Read, const Reader &>>> result;
    if (!value.is_object())
      report("is no object");
    else
      for (const auto &[key, element] : value.items())
        result.emplace_back(key, std::invoke(read, Reader(element, problem, this, key.c_str(), 0)));
    return result;
  }
  const ordered_json &json() const { return value; }

  void report(const std::string &what) const {
    if (problem.empty())
      problem = (parent ? place() : "the manifest") + " " + what;
  }

private:
  Reader(const ordered_json &value, std::string &problem, const Reader *parent, const char *key, size_t index)
      : value(value), problem(problem), parent(parent), key(key), index(index) {}
  static const ordered_json &nothing() {
    static const ordered_json null;
    return null;
  }
  std::string place() const {
    const std::string above = parent->parent ? parent->place() : "";
    if (!key)
      return fmt::format("{}[{}]", above, index);
    return above.empty() ? std::string(key) : above + "." + key;
  }

  const ordered_json &value;
  std::string &problem;
  const Reader *parent = nullptr;
  const char *key = nullptr; ///< null: element `index` of an array
  size_t index = 0;
  mutable std::vector<std::string_view> asked;
};

/// Reads an object and reports keys that `read` did not ask for.
template <typename Read> auto whole(Read read) {
  return [read](const Reader &object) {
    auto result = read(object);
    object.finish();
    return result;
  };
}

KernelAddress readAddress(const Reader &pair) {
  const auto offsets = pair.list([](const Reader &offset) { return offset.count(); });
  if (offsets.size() == 2)
    return {offsets[0], offsets[1]};
  pair.report("is no pair of offsets");
  return {};
}

TargetEntry readTarget(const Reader &object) {
  return {.name = {}, .code = object.member("code").text(), .features = object.member("features").list(&Reader::text)};
}

KernelEntry readKernel(const Reader &object) {
  KernelEntry kernel{.name = object.member("name").text(),
                     .calls = object.member("calls").count(),
                     .why = object.member("why").text(),
                     .entry = {}};
  for (auto &[target, address] : object.member("entry").named(readAddress))
    kernel.entry.emplace(std::move(target), address);
  return kernel;
}

WeightEntry readWeight(const Reader &object) {
  return {.name = object.member("name").text(),
          .tensor = object.member("tensor").text(),
          .format = object.member("format").text(),
          .shape = object.member("shape").list([](const Reader &size) { return static_cast<int64_t>(size.count()); }),
          .source = object.member("source").text(),
          .hash = object.member("hash").text()};
}

BufferEntry readBuffer(const Reader &object) {
  return {.name = object.member("name").text(),
          .bytes = object.member("bytes").count(),
          .perToken = object.member("per_token").count(),
          .perContext = object.member("per_context").count(),
          .persistent = object.member("persistent").flag()};
}

ArgEntry readArgument(const Reader &pair) {
  ArgEntry arg{};
  size_t position = 0;
  pair.list([&](const Reader &part) {
    if (position++ == 0)
      arg.kind = static_cast<ArgKind>(part.choice(kindNames));
    else if (arg.kind == ArgKind::Scalar)
      arg.scalar = static_cast<Scalar>(part.choice(scalarNames));
    else
      (position == 2 ? arg.index : arg.row) = part.count();
    return 0;
  });
  if (position != 2 && !(position == 3 && arg.kind == ArgKind::Buffer))
    pair.report("is no pair of a kind and what it is");
  return arg;
}

LaunchEntry readLaunch(const Reader &object) {
  return {.kernel = object.member("kernel").count(), .args = object.member("args").list(readArgument)};
}

StageEntry readStage(const Reader &object) {
  return {.name = object.member("name").text(), .launches = object.member("launches").list(whole(readLaunch))};
}

constexpr std::array<std::string_view, 7> modelKeys = {"architecture", "context", "vocab", "hidden",
                                                       "layers",       "bos",     "eos"};

void readModel(const Reader &object, Manifest &manifest) {
  manifest.architecture = object.member("architecture").text();
  manifest.context = static_cast<int64_t>(object.member("context").count());
  manifest.vocab = static_cast<int64_t>(object.member("vocab").count());
  manifest.hidden = static_cast<int64_t>(object.member("hidden").count());
  manifest.layers = static_cast<int64_t>(object.member("layers").count());
  if (object.has("bos"))
    manifest.bos = object.member("bos").token();
  manifest.eos = object.member("eos").list(&Reader::token);
  if (object.json().is_object())
    for (const auto &[key, value] : object.json().items())
      if (std::ranges::find(modelKeys, key) == modelKeys.end())
        manifest.details.push_back({key, value});
}

Manifest readManifest(const Reader &root) {
  Manifest manifest;
  root.member("version");
  manifest.tool = root.member("tool").text();
  readModel(root.member("model"), manifest);
  for (auto &[name, target] : root.member("targets").named(whole(readTarget))) {
    target.name = name;
    manifest.targets.push_back(std::move(target));
  }
  manifest.kernels = root.member("kernels").list(whole(readKernel));
  manifest.weights = root.member("weights").list(whole(readWeight));
  manifest.buffers = root.member("buffers").list(whole(readBuffer));
  manifest.stages = root.member("stages").list(whole(readStage));
  const auto onlyIndex = [](const Reader &object, const char *key) {
    const uint64_t index = object.member(key).count();
    object.finish();
    return index;
  };
  manifest.tokensBuffer = onlyIndex(root.member("inputs"), "tokens");
  manifest.logitsBuffer = onlyIndex(root.member("outputs"), "logits");
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
  if ((*json)["version"] != artifactVersion)
    return fail("an artifact of version {}; this program knows version {}: compile the model again, or use the quantc "
                "that wrote it",
                (*json)["version"].dump(), artifactVersion);
  std::string problem;
  Manifest manifest = readManifest(Reader(*json, problem));
  if (!problem.empty())
    return fail("the manifest is broken: {}", problem);
  return manifest;
}

//===- Writing --------------------------------------------------------------------------------------------------===//

namespace {

template <typename List, typename Write> ordered_json arrayOf(const List &list, Write write) {
  ordered_json result = ordered_json::array();
  for (const auto &entry : list)
    result.push_back(write(entry));
  return result;
}

ordered_json writeKernel(const KernelEntry &kernel) {
  ordered_json entries = ordered_json::object();
  for (const auto &[target, address] : kernel.entry)
    entries[target] = {address.run, address.tasks};
  return {{"name", kernel.name}, {"calls", kernel.calls}, {"why", kernel.why}, {"entry", std::move(entries)}};
}

ordered_json writeWeight(const WeightEntry &weight) {
  return {{"name", weight.name},   {"tensor", weight.tensor}, {"format", weight.format},
          {"shape", weight.shape}, {"source", weight.source}, {"hash", weight.hash}};
}

ordered_json writeBuffer(const BufferEntry &buffer) {
  return {{"name", buffer.name},
          {"bytes", buffer.bytes},
          {"per_token", buffer.perToken},
          {"per_context", buffer.perContext},
          {"persistent", buffer.persistent}};
}

ordered_json writeArgument(const ArgEntry &arg) {
  ordered_json pair = ordered_json::array({kindNames[static_cast<size_t>(arg.kind)]});
  if (arg.kind == ArgKind::Scalar)
    pair.push_back(scalarNames[static_cast<size_t>(arg.scalar)]);
  else
    pair.push_back(arg.index);
  if (arg.row)
    pair.push_back(arg.row);
  return pair;
}

ordered_json writeStage(const StageEntry &stage) {
  return {{"name", stage.name}, {"launches", arrayOf(stage.launches, [](const LaunchEntry &launch) -> ordered_json {
                                   return {{"kernel", launch.kernel}, {"args", arrayOf(launch.args, writeArgument)}};
                                 })}};
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
  root["targets"] = ordered_json::object();
  for (const TargetEntry &target : targets)
    root["targets"][target.name] = {{"code", target.code}, {"features", target.features}};
  root["kernels"] = arrayOf(kernels, writeKernel);
  root["weights"] = arrayOf(weights, writeWeight);
  root["buffers"] = arrayOf(buffers, writeBuffer);
  root["stages"] = arrayOf(stages, writeStage);
  root["inputs"] = {{"tokens", tokensBuffer}};
  root["outputs"] = {{"logits", logitsBuffer}};
  if (!certificate.is_null())
    root["certificate"] = certificate;
  try {
    return root.dump();
  } catch (const ordered_json::type_error &) {
    return fail("a name in the manifest is not valid UTF-8");
  }
}
