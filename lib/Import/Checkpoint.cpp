//===- Checkpoint.cpp - the tensors and parameters of a model's files -------------------------------------------===//

#include "quantc/Import/Checkpoint.h"

#include "BindTensors.h"
#include "quantc/Artifact/Gguf.h"
#include "quantc/Import/BoundWeight.h"
#include "quantc/Support/Json.h"
#include "quantc/Support/Text.h"
#include <algorithm>

using namespace quantc;
using nlohmann::json;

/// Longer lists of GGUF metadata are the tokenizer's.
static constexpr uint64_t longestList = 4096;

//===- Hugging Face ---------------------------------------------------------------------------------------------===//

/// The format of plain numbers by its name in safetensors files; empty for other types.
static std::string plainFormat(std::string_view dtype) {
  if (dtype != "F32" && dtype != "F16" && dtype != "BF16")
    return "";
  std::string name(dtype);
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  return name;
}

/// config.json; token ids of generation_config.json win, as in transformers.
static Result<json> readConfig(const std::filesystem::path &directory) {
  QUANTC_ASSIGN(json config, readJsonObject(directory / "config.json"));
  std::error_code ignored;
  if (const auto path = directory / "generation_config.json"; std::filesystem::exists(path, ignored)) {
    QUANTC_ASSIGN(json ids, readJsonObject(path));
    for (const char *key : {"bos_token_id", "eos_token_id"})
      if (ids.contains(key))
        config[key] = ids[key];
  }
  return config;
}

Status Checkpoint::openDirectory(Catalog &catalog) {
  modelKind = ModelKind::HuggingFace;
  QUANTC_ASSIGN(parameters, readConfig(modelPath));
  const json architectures = parameters.value("architectures", json());
  if (!architectures.is_array() || architectures.size() != 1 || !architectures[0].is_string())
    return fail("{}: 'architectures' must be a list of one name", (modelPath / "config.json").string());
  architectureName = architectures[0].get<std::string>();

  QUANTC_ASSIGN(SafetensorsModel model, SafetensorsModel::open(modelPath));
  FileEntries entries;
  for (const auto &file : model.files()) {
    files.push_back(file);
    for (const SafetensorsEntry &entry : file->tensors())
      entries[entry.name] = {&entry, file->path().filename().string()};
  }
  if (const json config = parameters.value("quantization_config", json()); !config.is_null()) {
    auto as = recognizeContainers(catalog, config);
    if (!as)
      return failAt((modelPath / "config.json").string(), as.error());
    auto weights = bindTensors(entries, *as, catalog);
    if (!weights)
      return failAt(modelPath.string(), weights.error());
    allTensors = std::move(*weights);
  }
  for (const auto &[name, in] : entries) {
    std::string format = plainFormat(in.entry->dtype);
    if (format.empty())
      return fail("{}: tensor {} has the type {}; F32, F16 and BF16 can be read", (modelPath / in.file).string(),
                  inQuotes(name), in.entry->dtype);
    allTensors.push_back({name, in.file, in.entry->shape, format, in.entry->bytes, nullptr});
  }
  return {};
}

//===- GGUF -----------------------------------------------------------------------------------------------------===//

Status Checkpoint::openGguf(Catalog &catalog) {
  modelKind = ModelKind::Gguf;
  QUANTC_ASSIGN(auto container, catalog.container("gguf"));
  std::map<uint32_t, std::shared_ptr<const Format>> formats;
  GgufTypes types = [&](uint32_t type) -> std::optional<GgufBlock> {
    auto name = formatOfTypeId(*container, type);
    if (!name)
      return std::nullopt;
    auto format = catalog.format(*name);
    if (!format || !(*format)->block())
      return std::nullopt;
    formats[type] = *format;
    const BlockShape &block = *(*format)->block();
    return GgufBlock{static_cast<uint64_t>(block.rows * block.columns), static_cast<uint64_t>(block.bytes)};
  };
  QUANTC_ASSIGN(GgufModel model, GgufModel::open(modelPath, types));

  parameters = json::object();
  for (const auto &[key, value] : model.metadata().entries())
    if (value.size() <= longestList)
      parameters[key] = value.toJson();
  auto architecture = model.metadata().text("general.architecture");
  if (!architecture)
    return failAt(modelPath.string(), architecture.error());
  architectureName = *architecture;
  for (const auto &file : model.files()) {
    files.push_back(file);
    for (const GgufTensor &tensor : file->tensors())
      allTensors.push_back({tensor.name, file->path().filename().string(), tensor.shape,
                            formats.at(tensor.type)->spec(), tensor.bytes, nullptr});
  }
  return {};
}

//===- Both -----------------------------------------------------------------------------------------------------===//

Result<std::shared_ptr<const Checkpoint>> Checkpoint::open(const std::filesystem::path &model, Catalog &catalog) {
  std::shared_ptr<Checkpoint> result(new Checkpoint());
  result->modelPath = model;
  std::error_code error;
  auto status = std::filesystem::status(model, error);
  if (!std::filesystem::exists(status))
    return fail("{}: no such file or directory", model.string());
  QUANTC_TRY(std::filesystem::is_directory(status) ? result->openDirectory(catalog) : result->openGguf(catalog));
  std::ranges::sort(result->allTensors, {}, &CheckpointTensor::name);
  return result;
}

std::vector<std::span<const std::byte>> CheckpointTensor::parts() const {
  return bound ? bound->parts() : std::vector{bytes};
}

const CheckpointTensor *Checkpoint::find(std::string_view name) const {
  auto found = std::ranges::lower_bound(allTensors, name, {}, &CheckpointTensor::name);
  return found != allTensors.end() && found->name == name ? &*found : nullptr;
}
