//===- Artifact.cpp - the `.qm` file ----------------------------------------------------------------------------===//

#include "quantc/Artifact/Artifact.h"
#include "quantc/Support/Text.h"
#include <algorithm>

using namespace quantc;

static const std::string manifestKey = "quantc";
static constexpr std::string_view tokenizerName = "tokenizer", hashesName = "hashes", codePrefix = "code.",
                                  weightPrefix = "weight.", fragmentsPrefix = "fragments.";

//===- Reading --------------------------------------------------------------------------------------------------===//

Result<std::unique_ptr<Artifact>> Artifact::open(const std::filesystem::path &path) {
  QUANTC_ASSIGN(auto file, MappedFile::open(path));
  return read(std::move(file));
}

static Status checkAlignment(const Safetensors &file, const std::string &tensor, uint64_t alignment) {
  const uint64_t offset = file.offset(*file.find(tensor));
  if (offset % alignment)
    return fail("tensor {} begins at byte {}, which is no multiple of {}", inQuotes(tensor), offset, alignment);
  return {};
}

/// Whether the tensors are what the manifest says.
static Status checkTensors(const Safetensors &file, const Manifest &manifest) {
  for (const SafetensorsEntry &entry : file.tensors())
    if (entry.dtype != "U8")
      return fail("tensor {} is of {}; all of an artifact are of U8", inQuotes(entry.name), entry.dtype);
  QUANTC_TRY(manifest.check([&](const std::string &name) -> std::optional<uint64_t> {
    const SafetensorsEntry *entry = file.find(name);
    return entry ? std::optional(entry->bytes.size()) : std::nullopt;
  }));
  for (const TargetEntry &target : manifest.targets)
    QUANTC_TRY(checkAlignment(file, target.code, artifactCodeAlignment));
  for (const WeightEntry &weight : manifest.weights) {
    if (!weight.tensor.empty())
      QUANTC_TRY(checkAlignment(file, weight.tensor, artifactTensorAlignment));
    if (weight.fragments)
      QUANTC_TRY(checkAlignment(file, weight.fragments->tensor, artifactTensorAlignment));
  }
  return {};
}

Result<std::unique_ptr<Artifact>> Artifact::read(std::shared_ptr<const MappedFile> file) {
  QUANTC_ASSIGN(auto container, Safetensors::read(std::move(file)));
  const std::string path = container->path().string();
  const auto text = container->metadata().find(manifestKey);
  if (text == container->metadata().end())
    return fail("{}: a safetensors file, but no artifact of quantc: it has no manifest", path);
  auto manifest = Manifest::parse(text->second);
  if (!manifest)
    return failAt(path, manifest.error());
  if (const Status status = checkTensors(*container, *manifest); !status)
    return failAt(path, status.error());
  return std::unique_ptr<Artifact>(new Artifact(std::move(container), std::move(*manifest)));
}

const std::string &Artifact::manifestText() const {
  return container->metadata().at(manifestKey);
}

std::span<const std::byte> Artifact::tensor(std::string_view name) const {
  const SafetensorsEntry *entry = container->find(name);
  return entry ? entry->bytes : std::span<const std::byte>();
}

//===- Writing --------------------------------------------------------------------------------------------------===//

/// The tensors with padding between them that aligns each. The first begins on a page.
static std::vector<SafetensorsSpec> withPadding(const std::vector<ArtifactTensor> &tensors) {
  std::vector<SafetensorsSpec> specs;
  uint64_t end = 0;
  size_t pads = 0;
  for (const ArtifactTensor &tensor : tensors) {
    const uint64_t alignment = tensor.name.starts_with(codePrefix) ? artifactCodeAlignment : artifactTensorAlignment;
    if (const uint64_t gap = (alignment - end % alignment) % alignment) {
      specs.push_back({fmt::format("pad.{}", pads++), "U8", {static_cast<int64_t>(gap)}, true});
      end += gap;
    }
    specs.push_back({tensor.name, "U8", {static_cast<int64_t>(tensor.bytes)}});
    end += tensor.bytes;
  }
  return specs;
}

Result<TensorWriter> quantc::createArtifact(const std::filesystem::path &path, const Manifest &manifest,
                                            const std::vector<ArtifactTensor> &tensors) {
  std::map<std::string, uint64_t> sizes;
  for (const ArtifactTensor &tensor : tensors) {
    if (tensor.name != tokenizerName && tensor.name != hashesName && !tensor.name.starts_with(codePrefix) &&
        !tensor.name.starts_with(weightPrefix) && !tensor.name.starts_with(fragmentsPrefix))
      return fail("{}: a tensor cannot be named {}", path.string(), inQuotes(tensor.name));
    sizes.emplace(tensor.name, tensor.bytes);
  }
  const Status status = manifest.check([&](const std::string &name) {
    const auto found = sizes.find(name);
    return found == sizes.end() ? std::nullopt : std::optional(found->second);
  });
  if (!status)
    return failAt(path.string(), status.error());
  auto text = manifest.serialize();
  if (!text)
    return failAt(path.string(), text.error());
  return createSafetensors(
      path, withPadding(tensors),
      {.metadata = {{manifestKey, std::move(*text)}}, .keepOrder = true, .alignment = artifactCodeAlignment});
}
