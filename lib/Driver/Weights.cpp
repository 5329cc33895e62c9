//===- Weights.cpp - the tensors of a model of any kind, decoded on demand --------------------------------------===//

#include "quantc/Driver/Weights.h"
#include "quantc/Artifact/Artifact.h"
#include "quantc/Format/FragmentStorage.h"
#include "quantc/Format/Repack.h"
#include "quantc/Import/Architecture.h"
#include "quantc/Support/Files.h"
#include <cstring>
#include <mutex>
#include <optional>

using namespace quantc;
namespace fs = std::filesystem;

namespace {
/// The tensors of an artifact. Weights are in kernel storage, which is unpacked for a tensor as a whole: the last one
/// is kept.
class Unpacked {
public:
  Unpacked(std::unique_ptr<Artifact> artifact, Catalog &catalog) : artifact(std::move(artifact)), catalog(catalog) {}
  const Manifest &manifest() const { return artifact->manifest(); }
  uint64_t bytes(size_t index) const;
  Status read(int64_t N, int64_t K, size_t index, int64_t row, int64_t rows, float *out);

private:
  Status unpack(int64_t N, int64_t K, size_t index);
  std::unique_ptr<Artifact> artifact;
  Catalog &catalog;
  std::mutex mutex;
  std::optional<size_t> held; ///< index of the weight that `values` are of
  std::vector<float> values;
};
} // namespace

uint64_t Unpacked::bytes(size_t index) const {
  const WeightEntry &weight = manifest().weights[index];
  return artifact->tensor(weight.tensor.empty() ? weight.fragments->tensor : weight.tensor).size();
}

Status Unpacked::unpack(int64_t N, int64_t K, size_t index) {
  const WeightEntry &weight = manifest().weights[index];
  const auto bytes = artifact->tensor(weight.tensor);
  if (weight.shape.size() < 2) { // vectors are plain numbers
    if (K < 1 || bytes.size() % sizeof(float) || int64_t(bytes.size() / sizeof(float)) / K != N)
      return fail("{}: {} bytes are no {} x {} numbers", weight.name, bytes.size(), N, K);
    values.resize(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return {};
  }
  QUANTC_ASSIGN(auto format, catalog.format(weight.format));
  QUANTC_ASSIGN(KernelStorage derived, KernelStorage::derive(format));
  auto storage = std::make_shared<const KernelStorage>(std::move(derived));
  FieldValues fields;
  if (weight.tensor.empty()) {
    QUANTC_ASSIGN(const FragmentStorage fragments, FragmentStorage::derive(storage));
    QUANTC_ASSIGN(fields, fragments.toFields(artifact->tensor(weight.fragments->tensor), N, K));
  } else {
    QUANTC_ASSIGN(Repacker repacker, Repacker::create(storage));
    QUANTC_ASSIGN(fields, repacker.toFields(bytes, N, K));
  }
  values.resize(static_cast<size_t>(N * K));
  return decode(*storage->format(), fields, N, K, values.data());
}

Status Unpacked::read(int64_t N, int64_t K, size_t index, int64_t row, int64_t rows, float *out) {
  std::lock_guard lock(mutex);
  if (held != index) {
    held.reset();
    QUANTC_TRY(unpack(N, K, index));
    held = index;
  }
  std::copy_n(values.data() + row * K, rows * K, out);
  return {};
}

static Result<std::vector<StoredTensor>> openArtifact(const fs::path &model, Catalog &catalog) {
  QUANTC_ASSIGN(auto artifact, Artifact::open(model));
  auto unpacked = std::make_shared<Unpacked>(std::move(artifact), catalog);
  const Manifest &manifest = unpacked->manifest();
  QUANTC_ASSIGN(const fs::path data, dataDirectory());
  QUANTC_ASSIGN(const Architectures architectures, Architectures::load(data / "architectures"));
  const auto architecture = architectures.find(ModelKind::Gguf, manifest.architecture);
  const auto given = manifest.details.find("head_dim");
  const int64_t headDim = given != manifest.details.end() && given->is_number_integer() ? given->get<int64_t>() : 0;
  const bool permutes = architecture && (*architecture)->permutesQueriesAndKeys() && headDim > 1 && headDim % 2 == 0;
  std::vector<StoredTensor> all;
  for (size_t index = 0; index < unpacked->manifest().weights.size(); index++) {
    const WeightEntry &w = unpacked->manifest().weights[index];
    if (w.source.empty())
      continue; // a table that the compiler made
    StoredTensor tensor{
        .name = w.name, .role = w.name, .format = w.format, .shape = w.shape, .bytes = unpacked->bytes(index)};
    tensor.read = [unpacked, index, N = tensor.rows(), K = tensor.columns()](int64_t row, int64_t rows, float *out) {
      return unpacked->read(N, K, index, row, rows, out);
    };
    tensor.readStored = tensor.read;
    // "blk.0.attn_q", "blk.0.attn_q.bias": in the order of the file that was compiled.
    const size_t role = w.name.find("attn_");
    const int64_t outputs = tensor.shape.size() < 2 ? tensor.columns() : tensor.rows();
    if (permutes && role != std::string::npos && holdsQueriesOrKeys(std::string_view(w.name).substr(role)) &&
        outputs % headDim == 0 && w.source.find(".gguf#") == std::string::npos)
      readInGgufOrder(tensor, headDim);
    all.push_back(std::move(tensor));
  }
  return all;
}

Result<std::vector<StoredTensor>> quantc::openTensors(const fs::path &model, Catalog &catalog) {
  QUANTC_ASSIGN(InputKind kind, kindOf(model));
  if (kind == InputKind::Artifact)
    return openArtifact(model, catalog);
  QUANTC_ASSIGN(auto checkpoint, Checkpoint::open(model, catalog));
  return openTensors(checkpoint, catalog);
}
