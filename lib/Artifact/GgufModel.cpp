//===- GgufModel.cpp - reads models of several GGUF files -------------------------------------------------------===//

#include "quantc/Artifact/Gguf.h"
#include "quantc/Support/Text.h"
#include <regex>
#include <set>

namespace fs = std::filesystem;
using namespace quantc;

static constexpr int64_t maxSplits = 65535; // of `split.count`, an u16

/// Reads `split.no` or `split.count`, which are there in every file of a model that is split.
static Result<int64_t> splitKey(const Gguf &file, std::string_view key) {
  auto value = file.metadata().integer(key);
  if (!value)
    return failAt(file.path().string(), value.error());
  return *value;
}

/// Whether the split says of itself what its name says.
static Status checkSplit(const Gguf &file, int64_t number, int64_t count) {
  QUANTC_ASSIGN(const int64_t saysNumber, splitKey(file, "split.no"));
  QUANTC_ASSIGN(const int64_t saysCount, splitKey(file, "split.count"));
  if (saysNumber != number || saysCount != count)
    return fail("{}: says that it is split {} of {}, its name says {} of {}", file.path().string(), saysNumber + 1,
                saysCount, number + 1, count);
  return {};
}

/// The splits' common prefix.
static Result<std::string> splitPrefix(const fs::path &path, int64_t count) {
  static const std::regex pattern("(.*)-([0-9]{5})-of-([0-9]{5})\\.gguf");
  std::smatch match;
  const std::string name = path.filename().string();
  if (!std::regex_match(name, match, pattern) || std::stol(match[3]) != count)
    return fail("{}: is one of {} splits, whose names end with -00001-of-{:05}.gguf and so on", path.string(), count,
                count);
  return match[1].str();
}

Result<GgufModel> GgufModel::open(const fs::path &path, const GgufTypes &types) {
  QUANTC_ASSIGN(auto given, Gguf::open(path, types));
  GgufModel model;
  if (!given->metadata().find("split.count")) {
    model.opened.push_back(std::move(given));
    return model;
  }
  QUANTC_ASSIGN(const int64_t count, splitKey(*given, "split.count"));
  if (count < 0 || count > maxSplits)
    return fail("{}: is one of {} splits; at most {} are allowed", path.string(), count, maxSplits);
  // Programs that merge splits leave the key behind, as 0 or 1.
  if (count <= 1) {
    model.opened.push_back(std::move(given));
    return model;
  }
  QUANTC_ASSIGN(const std::string prefix, splitPrefix(path, count));
  std::set<std::string_view> names;
  for (int64_t number = 0; number < count; ++number) {
    const fs::path splitPath = path.parent_path() / fmt::format("{}-{:05}-of-{:05}.gguf", prefix, number + 1, count);
    QUANTC_ASSIGN(auto split, Gguf::open(splitPath, types));
    QUANTC_TRY(checkSplit(*split, number, count));
    for (const GgufTensor &tensor : split->tensors())
      if (!names.insert(tensor.name).second)
        return fail("{}: holds tensor {}, which another split holds too", splitPath.string(), inQuotes(tensor.name));
    model.opened.push_back(std::move(split));
  }
  QUANTC_ASSIGN(const int64_t total, splitKey(*model.opened.front(), "split.tensors.count"));
  if (total != static_cast<int64_t>(names.size()))
    return fail("{}: the splits hold {} tensors together, they should hold {}", path.string(), names.size(), total);
  return model;
}

const GgufTensor *GgufModel::find(std::string_view name) const {
  for (const auto &file : opened)
    if (const GgufTensor *tensor = file->find(name))
      return tensor;
  return nullptr;
}
