//===- BindTensors.cpp - the tensors of a quantized model made into weights -------------------------------------===//

#include "BindTensors.h"
#include "quantc/Import/BoundWeight.h"
#include "quantc/Support/Text.h"
#include <algorithm>
#include <fmt/ranges.h>
#include <set>

using namespace quantc;

/// What a layer's matrix is called where it is not quantized: a part of this name says nothing about the layer.
static constexpr std::string_view weightSuffix = ".weight";

/// The type of a tensor as containers call it: "i32", "e4m3".
static std::string typeWord(std::string_view dtype) {
  if (dtype.starts_with("F8_") || dtype.starts_with("F4_") || dtype.starts_with("F6_"))
    dtype.remove_prefix(3);
  std::string word(dtype);
  std::ranges::transform(word, word.begin(), [](unsigned char c) { return std::tolower(c); });
  return word;
}

namespace {

class TensorBinder {
public:
  TensorBinder(FileEntries &entries, const Recognized &as, Catalog &catalog)
      : entries(entries), as(as), catalog(catalog), suffixes(suffixesOf(as)) {}
  Result<std::vector<CheckpointTensor>> run();

private:
  std::set<std::string> layers() const;
  Result<CheckpointTensor> bind(const std::string &layer);
  Result<std::shared_ptr<const Binding>> bindingFor(const StoredWeight &weight);

  FileEntries &entries;
  const Recognized &as;
  Catalog &catalog;
  const std::vector<std::string> suffixes;
  std::map<std::tuple<std::string, int64_t, int64_t>, std::shared_ptr<const Binding>> bindings; ///< layers are alike
  std::shared_ptr<FieldCache> cache = std::make_shared<FieldCache>();
};

} // namespace

std::set<std::string> TensorBinder::layers() const {
  std::set<std::string> found;
  for (auto &[name, entry] : entries)
    for (const std::string &suffix : suffixes)
      if (suffix != weightSuffix && name.ends_with(suffix))
        found.insert(name.substr(0, name.size() - suffix.size()));
  return found;
}

Result<std::shared_ptr<const Binding>> TensorBinder::bindingFor(const StoredWeight &weight) {
  auto &known = bindings[{weight.format->spec(), weight.N, weight.K}];
  if (!known) {
    QUANTC_ASSIGN(Binding binding, Binding::create(as.container, weight.format, weight.N, weight.K));
    known = std::make_shared<const Binding>(std::move(binding));
  }
  return known;
}

/// Whether the file's tensor is the part that the binding wants.
static Status checkPart(const BoundTensor &part, const SafetensorsEntry &entry) {
  const std::string type = typeWord(entry.dtype);
  if (type != part.type)
    return fail("tensor {} is of type {}, expected {}", inQuotes(entry.name), entry.dtype, part.type);
  if (part.json ? entry.shape.size() != 1 : entry.shape != part.shape)
    return fail("tensor {} has the shape [{}], expected [{}]", inQuotes(entry.name), fmt::join(entry.shape, ", "),
                part.json ? "bytes" : fmt::format("{}", fmt::join(part.shape, ", ")));
  return {};
}

Result<CheckpointTensor> TensorBinder::bind(const std::string &layer) {
  std::map<std::string, FileTensor> tensors;
  for (const std::string &suffix : suffixes)
    if (auto found = entries.find(layer + suffix); found != entries.end()) {
      const SafetensorsEntry &entry = *found->second.entry;
      tensors[suffix] = {typeWord(entry.dtype), entry.shape, entry.bytes};
    }
  auto weight = recognizeWeight(catalog, as, tensors);
  if (!weight)
    return failAt("layer " + inQuotes(layer), weight.error());
  auto binding = bindingFor(*weight);
  if (!binding)
    return failAt("layer " + inQuotes(layer), binding.error());

  CheckpointTensor result{
      .name = layer + std::string(weightSuffix), .shape = {weight->N, weight->K}, .format = weight->format->spec()};
  std::vector<std::span<const std::byte>> parts;
  for (const BoundTensor &part : (*binding)->tensors()) {
    auto found = entries.find(layer + part.suffix);
    if (found == entries.end()) {
      if (!part.constant)
        return fail("layer {}: the tensor {} is missing, which a weight of {} in the container {} has", inQuotes(layer),
                    inQuotes(layer + part.suffix), weight->format->spec(), as.container->name);
      parts.emplace_back();
      continue;
    }
    QUANTC_TRY(checkPart(part, *found->second.entry));
    parts.push_back(found->second.entry->bytes);
    if (result.file.empty())
      result.file = found->second.file;
    entries.erase(found);
  }
  auto bound = BoundWeight::create(*binding, std::move(parts), cache);
  if (!bound)
    return failAt("layer " + inQuotes(layer), bound.error());
  result.bound = std::move(*bound);
  return result;
}

Result<std::vector<CheckpointTensor>> TensorBinder::run() {
  std::vector<CheckpointTensor> weights;
  for (const std::string &layer : layers()) {
    QUANTC_ASSIGN(CheckpointTensor weight, bind(layer));
    if (entries.contains(weight.name))
      return fail("layer {} has both a weight and the parts of one", inQuotes(layer));
    weights.push_back(std::move(weight));
  }
  if (weights.empty())
    return fail("quantization_config describes the container {}, but there is none of its tensors: {}",
                as.container->name, fmt::join(suffixes, ", "));
  return weights;
}

Result<std::vector<CheckpointTensor>> quantc::bindTensors(FileEntries &entries, const Recognized &as,
                                                          Catalog &catalog) {
  return TensorBinder(entries, as, catalog).run();
}

static Status checkConstants(const std::vector<CheckpointTensor> &weights) {
  for (const CheckpointTensor &weight : weights)
    if (Status holds = weight.bound->checkConstants(); !holds)
      return failAt(weight.name, holds.error());
  return {};
}

Result<std::vector<CheckpointTensor>> quantc::bindTensors(FileEntries &entries, const Recognition &as,
                                                          Catalog &catalog) {
  if (as.candidates.size() == 1)
    return bindTensors(entries, as.candidates.front(), catalog);
  struct Fit {
    FileEntries left;
    std::vector<CheckpointTensor> weights;
  };
  std::vector<Fit> fits;
  for (const Recognized &candidate : as.candidates) {
    FileEntries left = entries;
    QUANTC_ASSIGN(auto weights, bindTensors(left, candidate, catalog));
    if (checkConstants(weights))
      fits.push_back({std::move(left), std::move(weights)});
  }
  if (fits.size() != 1)
    return fail("{}; the tensors do not tell, as {} fits them", as.lack, fits.empty() ? "none" : "each");
  entries = std::move(fits.front().left);
  return std::move(fits.front().weights);
}
