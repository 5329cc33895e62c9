//===- SafetensorsModel.cpp - reads the safetensors files of a model --------------------------------------------===//

#include "quantc/Artifact/Safetensors.h"
#include "quantc/Support/Json.h"
#include "quantc/Support/Text.h"
#include <set>

namespace fs = std::filesystem;
using namespace quantc;

static constexpr std::string_view indexName = "model.safetensors.index.json";
static constexpr uint64_t maxIndexBytes = 64u << 20;

namespace {

/// Names of tensors by the shard that the index says they lie in.
using ShardContents = std::map<std::string, std::set<std::string>>;

Result<ShardContents> readIndex(const fs::path &path) {
  QUANTC_ASSIGN(const std::string text, readText(path, maxIndexBytes));
  auto index = parseJson(text);
  if (!index)
    return failAt(path.string(), index.error());
  if (!index->is_object() || !index->contains("weight_map") || !(*index)["weight_map"].is_object())
    return fail("{}: lacks the object weight_map", path.string());
  ShardContents shards;
  for (const auto &[tensor, shard] : (*index)["weight_map"].items()) {
    if (!shard.is_string())
      return fail("{}: the shard of tensor {} is no string", path.string(), inQuotes(tensor));
    const std::string name = shard;
    // A shard lies beside its index. An index from the net must not name other files of this machine.
    if (name.empty() || name == "." || name == ".." || name.find('/') != name.npos || name.find('\0') != name.npos)
      return fail("{}: the shard {} is no name of a file in the same directory", path.string(), inQuotes(name));
    shards[name].insert(tensor);
  }
  return shards;
}

/// Whether the shard holds what the index says, and nothing else.
Status checkShard(const Safetensors &shard, const std::set<std::string> &expected) {
  for (const std::string &name : expected)
    if (!shard.find(name))
      return fail("{}: lacks tensor {}, which the index says lies in it", shard.path().string(), inQuotes(name));
  if (shard.tensors().size() == expected.size())
    return {};
  for (const SafetensorsEntry &entry : shard.tensors())
    if (!expected.contains(entry.name))
      return fail("{}: holds tensor {}, which the index does not say", shard.path().string(), inQuotes(entry.name));
  return {};
}

Result<fs::path> findFile(const fs::path &directory) {
  std::error_code error;
  if (fs::exists(directory / indexName, error))
    return directory / indexName;
  std::vector<fs::path> found;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error))
    if (entry->path().extension() == ".safetensors")
      found.push_back(entry->path());
  if (error)
    return fail("{}: cannot list the directory: {}", directory.string(), error.message());
  if (found.empty())
    return fail("{}: holds no safetensors file", directory.string());
  if (found.size() > 1)
    return fail("{}: holds {} safetensors files but no {}; give one of them, or add the index", directory.string(),
                found.size(), indexName);
  return found.front();
}

} // namespace

Result<SafetensorsModel> SafetensorsModel::open(const fs::path &path) {
  std::error_code error;
  fs::path file = path;
  if (fs::is_directory(path, error)) {
    QUANTC_ASSIGN(file, findFile(path));
  }
  SafetensorsModel model;
  if (file.extension() != ".json") {
    QUANTC_ASSIGN(auto only, Safetensors::open(file));
    model.opened.push_back(std::move(only));
    return model;
  }
  QUANTC_ASSIGN(const ShardContents shards, readIndex(file));
  for (const auto &[name, tensors] : shards) {
    const fs::path shardPath = file.parent_path() / name;
    if (!fs::exists(shardPath, error))
      return fail("{}: names the shard {}, which is not there", file.string(), inQuotes(name));
    QUANTC_ASSIGN(auto shard, Safetensors::open(shardPath));
    QUANTC_TRY(checkShard(*shard, tensors));
    model.opened.push_back(std::move(shard));
  }
  return model;
}

const SafetensorsEntry *SafetensorsModel::find(std::string_view name) const {
  for (const auto &file : opened)
    if (const SafetensorsEntry *entry = file->find(name))
      return entry;
  return nullptr;
}
