//===- Weights.cpp - the tensors of a model of any kind, decoded on demand --------------------------------------===//

#include "quantc/Driver/Weights.h"
#include "quantc/Artifact/Artifact.h"
#include "quantc/Format/Repack.h"

using namespace quantc;
namespace fs = std::filesystem;

static Result<std::vector<StoredTensor>> openArtifact(const fs::path &model, Catalog &catalog) {
  QUANTC_ASSIGN(auto opened, Artifact::open(model));
  std::shared_ptr<const Artifact> artifact = std::move(opened);
  std::vector<StoredTensor> all;
  for (const WeightEntry &w : artifact->manifest().weights) {
    const auto bytes = artifact->tensor(w.tensor);
    StoredTensor tensor{.name = w.name, .role = w.name, .format = w.format, .shape = w.shape, .bytes = bytes.size()};
    // Weights are kept in kernel storage: a tensor is unpacked as a whole when it is read first.
    tensor.read = [=, &catalog, N = tensor.rows(), K = tensor.columns(), spec = w.format,
                   values = std::make_shared<std::vector<float>>()](int64_t row, int64_t rows, float *out) -> Status {
      if (values->empty()) {
        (void)artifact;
        QUANTC_ASSIGN(auto format, catalog.format(spec));
        QUANTC_ASSIGN(KernelStorage storage, KernelStorage::derive(format));
        auto shared = std::make_shared<const KernelStorage>(std::move(storage));
        QUANTC_ASSIGN(Repacker repacker, Repacker::create(shared));
        QUANTC_ASSIGN(FieldValues fields, repacker.toFields(bytes, N, K));
        values->resize(static_cast<size_t>(N * K));
        QUANTC_TRY(decode(*shared->format(), fields, N, K, values->data()));
      }
      std::copy_n(values->data() + row * K, rows * K, out);
      return {};
    };
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
