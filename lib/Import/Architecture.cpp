//===- Architecture.cpp - reads architectures/*.json ------------------------------------------------------------===//

#include "quantc/Import/Architecture.h"

#include "quantc/Support/Json.h"
#include "quantc/Support/Text.h"
#include <algorithm>

using namespace quantc;
using nlohmann::json;

std::string_view quantc::kindName(ModelKind kind) {
  return kind == ModelKind::Gguf ? "GGUF file" : "Hugging Face directory";
}

static std::string substitute(std::string text, std::string_view mark, const std::string &value) {
  if (size_t at = text.find(mark); at != std::string::npos)
    text.replace(at, mark.size(), value);
  return text;
}

Presence Architecture::bias(const std::string &role) const {
  auto found = biases.find(role);
  return found == biases.end() ? Presence::Never : found->second;
}

std::string Architecture::tensorName(ModelKind kind, const std::string &role, int64_t layer) const {
  auto found = tensors.find(role);
  return found == tensors.end() ? "" : substitute(found->second.in(kind), "{i}", std::to_string(layer));
}

std::string Architecture::parameterName(ModelKind kind, const std::string &role) const {
  auto found = parameters.find(role);
  return found == parameters.end() ? "" : substitute(found->second.in(kind), "{a}", gguf);
}

//===- Reading --------------------------------------------------------------------------------------------------===//

namespace {

FileNames namesFrom(const json &object) {
  return {object.value("huggingface", ""), object.value("gguf", "")};
}

std::map<std::string, FileNames> namesByRole(const json &object) {
  std::map<std::string, FileNames> names;
  for (auto &[role, entry] : object.items())
    names[role] = namesFrom(entry);
  return names;
}

Result<RopePairs> pairsFrom(const std::string &style) {
  if (style == "half")
    return RopePairs::Half;
  if (style == "adjacent")
    return RopePairs::Adjacent;
  return fail("rope_style is {}; it can be half or adjacent", inQuotes(style));
}

Result<WindowUse> windowFrom(const std::string &use) {
  if (use == "never")
    return WindowUse::Never;
  if (use == "always")
    return WindowUse::Always;
  if (use == "use_sliding_window")
    return WindowUse::Flagged;
  return fail("window is {}; it can be never, always or use_sliding_window", inQuotes(use));
}

Result<Architecture> architectureFrom(const json &file, const json &parts) {
  Architecture result;
  result.huggingFace = file.value("huggingface", std::vector<std::string>());
  result.gguf = file.value("gguf", "");
  result.tensors = namesByRole(parts.at("tensors"));
  result.parameters = namesByRole(parts.at("parameters"));
  for (std::string name : parts.at("ignored").at("huggingface"))
    result.ignored.push_back({name, ""});
  for (std::string name : parts.at("ignored").at("gguf"))
    result.ignored.push_back({"", name});
  json biases = file.value("biases", json::object());
  for (const std::string &role : biases.value("optional", std::vector<std::string>()))
    result.biases[role] = Presence::Optional;
  for (const std::string &role : biases.value("required", std::vector<std::string>()))
    result.biases[role] = Presence::Required;
  const json flags = biases.value("flags", json::object()), fixed = parts.value("fixed", json::object());
  for (auto &[key, roles] : flags.items())
    for (const json &role : roles)
      result.biasFlags[role.get<std::string>()] = key;
  result.defaults = file.value("defaults", json::object());
  for (auto &[role, entry] : fixed.items())
    result.fixed.push_back({namesFrom(entry), entry.at("value")});
  result.qkNorm = file.at("qk_norm").get<bool>();
  QUANTC_ASSIGN(result.window, windowFrom(file.value("window", "never")));
  for (ModelKind kind : {ModelKind::HuggingFace, ModelKind::Gguf}) {
    std::string key = kind == ModelKind::Gguf ? "gguf" : "huggingface";
    QUANTC_ASSIGN(result.ropePairs[static_cast<int>(kind)],
                  pairsFrom(file.at("rope_style").at(key).get<std::string>()));
  }
  return result;
}

Result<Architecture> readArchitecture(const std::filesystem::path &path, const json &file) {
  try {
    QUANTC_ASSIGN(json parts, readJsonObject(path.parent_path() / file.at("parts").get<std::string>()));
    auto result = architectureFrom(file, parts);
    if (!result)
      return failAt(path.string(), result.error());
    result->name = path.stem().string();
    return result;
  } catch (const json::exception &error) {
    return fail("{}: {}", path.string(), inQuotes(error.what()));
  }
}

} // namespace

Result<Architectures> Architectures::load(const std::filesystem::path &directory) {
  std::error_code error;
  std::vector<std::filesystem::path> paths;
  for (const auto &entry : std::filesystem::directory_iterator(directory, error))
    if (entry.path().extension() == ".json")
      paths.push_back(entry.path());
  if (error)
    return fail("{}: {}", directory.string(), error.message());
  std::sort(paths.begin(), paths.end());

  Architectures result;
  for (const auto &path : paths) {
    QUANTC_ASSIGN(json file, readJsonObject(path));
    if (!file.contains("parts")) // a file of shared parts
      continue;
    QUANTC_ASSIGN(Architecture architecture, readArchitecture(path, file));
    result.architectures.push_back(std::move(architecture));
  }
  return result;
}

Result<const Architecture *> Architectures::find(ModelKind kind, const std::string &name) const {
  std::string known;
  for (const Architecture &architecture : architectures) {
    std::vector<std::string> names = architecture.huggingFace;
    if (kind == ModelKind::Gguf)
      names = {architecture.gguf};
    for (const std::string &candidate : names) {
      if (candidate.empty())
        continue;
      if (candidate == name)
        return &architecture;
      known += (known.empty() ? "" : ", ") + candidate;
    }
  }
  return fail("architecture {} is not known; those of a {} that are: {}", inQuotes(name), kindName(kind), known);
}
