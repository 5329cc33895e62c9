//===- Package.cpp - the last phase: writing the artifact -------------------------------------------------------===//

#include "Package.h"
#include "MakeManifest.h"
#include "quantc/Artifact/Artifact.h"
#include "quantc/Dialect/NN/NN.h"
#include "quantc/Driver/Models.h"
#include "quantc/Transforms/ContentHash.h"

using namespace mlir;
using namespace quantc;

namespace {

/// A tensor of the artifact, and what appends its bytes.
struct Part {
  ArtifactTensor tensor;
  std::function<Status(const std::function<Status(std::span<const std::byte>)> &append)> write;
};

Part partOf(std::string name, std::span<const std::byte> bytes) {
  return {{std::move(name), bytes.size()}, [bytes](const auto &append) { return append(bytes); }};
}
Part partOf(std::string name, const std::string &text) {
  return partOf(std::move(name), std::as_bytes(std::span(text)));
}

/// A weight from the storage of processors, in which it is kept, to fragments.
Status writeFragments(const WeightStore &store, nn::WeightOp weight, const FragmentStorage &storage, unsigned threads,
                      const std::function<Status(std::span<const std::byte>)> &append) {
  auto shape = cast<RankedTensorType>(weight.getType()).getShape();
  std::vector<std::byte> blocks;
  QUANTC_TRY(store.write(weight, [&](std::span<const std::byte> bytes) -> Status {
    blocks.insert(blocks.end(), bytes.begin(), bytes.end());
    return {};
  }));
  std::vector<std::byte> packed(static_cast<size_t>(storage.bytes(shape[0], shape[1])));
  QUANTC_TRY(storage.fromBlocks(blocks, shape[0], shape[1], packed, threads));
  return append(packed);
}

class Packager {
public:
  Packager(const PackageInput &input, CompileReport &report) : input(input), report(report) {}
  Status run();

private:
  void addCode();
  Status addWeights(const Manifest &manifest);
  Status write(const Manifest &manifest);

  const PackageInput &input;
  CompileReport &report;
  std::vector<Part> parts; ///< in the order of the file
};

} // namespace

void Packager::addCode() {
  for (const CompiledTarget &compiled : input.targets)
    parts.push_back(partOf("code." + compiled.target.name, compiled.image.bytes));
  for (const CompiledGPU &compiled : input.gpus) {
    parts.push_back(partOf("code." + compiled.target.name, compiled.code.ptx));
    if (!compiled.code.cubin.empty())
      parts.push_back(partOf("code." + compiled.target.name + ".cubin", compiled.code.cubin));
  }
}

Status Packager::addWeights(const Manifest &manifest) {
  ModuleOp named = input.weights;
  SmallVector<nn::WeightOp> weights(named.getOps<nn::WeightOp>());
  report.weights = weights.size();
  for (auto [weight, entry] : llvm::zip(weights, manifest.weights))
    if (!entry.tensor.empty()) {
      QUANTC_ASSIGN(const uint64_t bytes, input.store.bytes(weight));
      parts.push_back(
          {{entry.tensor, bytes}, [this, weight](const auto &append) { return input.store.write(weight, append); }});
      report.weightBytes += bytes;
    }
  for (auto [weight, entry] : llvm::zip(weights, manifest.weights))
    if (entry.fragments) {
      QUANTC_ASSIGN(const std::optional<FragmentStorage> storage, fragmentStorageOf(weight));
      const auto bytes = static_cast<uint64_t>(storage->bytes(entry.shape[0], entry.shape[1]));
      parts.push_back({{entry.fragments->tensor, bytes}, [this, weight, storage](const auto &append) {
                         return writeFragments(input.store, weight, *storage, input.options.threads, append);
                       }});
      report.weightBytes += bytes;
    }
  return {};
}

Status Packager::write(const Manifest &manifest) {
  std::vector<ArtifactTensor> tensors;
  for (const Part &part : parts)
    tensors.push_back(part.tensor);
  tensors.push_back({"hashes", (tensors.size() + 1) * sizeof(ContentHash::Bytes)});
  QUANTC_ASSIGN(TensorWriter writer, createArtifact(input.options.output, manifest, tensors));
  QUANTC_ASSIGN(const std::string text, manifest.serialize());
  std::vector<ContentHash::Bytes> hashes = {ContentHash::of(std::as_bytes(std::span(text))).bytes()};
  for (const Part &part : parts) {
    if (input.options.progress)
      input.options.progress("package", hashes.size() - 1, parts.size());
    ContentHash hash;
    QUANTC_TRY(part.write([&](std::span<const std::byte> bytes) {
      hash.add(bytes);
      return writer.append(bytes);
    }));
    hashes.push_back(hash.bytes());
  }
  QUANTC_TRY(writer.append(std::as_bytes(std::span(hashes))));
  return writer.commit();
}

Status Packager::run() {
  // A model without a tokenizer still runs, on token ids.
  QUANTC_ASSIGN(const bool brings, hasTokenizer(input.options.model));
  std::unique_ptr<Tokenizer> tokenizer;
  if (brings) {
    QUANTC_ASSIGN(tokenizer, loadTokenizer(input.options.model));
  }
  const std::string tables = tokenizer ? tokenizer->model().serialize() : "";
  QUANTC_ASSIGN(const Manifest manifest, makeManifest(input, tokenizer.get()));
  if (tokenizer)
    if (const Status fits = tokenizer->model().checkVocabulary(manifest.vocab); !fits)
      return failAt(input.options.model.string(), fits.error());
  report.kernels = manifest.kernels.size() + (manifest.gpu ? manifest.gpu->kernels.size() : 0);
  addCode();
  QUANTC_TRY(addWeights(manifest));
  if (!tables.empty())
    parts.push_back(partOf("tokenizer", tables));
  QUANTC_TRY(write(manifest));
  std::error_code ignored;
  report.bytes = std::filesystem::file_size(input.options.output, ignored);
  return {};
}

Status quantc::writePackage(const PackageInput &input, CompileReport &report) {
  return Packager(input, report).run();
}
