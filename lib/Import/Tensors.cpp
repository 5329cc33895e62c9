//===- Tensors.cpp - the tensors of a checkpoint, decoded on demand ---------------------------------------------===//

#include "quantc/Import/Tensors.h"
#include "quantc/Import/ModelConfig.h"
#include "quantc/Import/RowReader.h"
#include "quantc/Support/Files.h"

using namespace quantc;
namespace fs = std::filesystem;

/// The role of every tensor name of a checkpoint, and whether its rows are permuted.
struct Roles {
  struct Role {
    std::string name;
    bool permuted = false;
  };
  std::map<std::string, Role> byName;
  int64_t headDim = 0;
};

static Result<Roles> rolesOf(const Checkpoint &checkpoint) {
  Roles roles;
  QUANTC_ASSIGN(fs::path data, dataDirectory());
  QUANTC_ASSIGN(Architectures all, Architectures::load(data / "architectures"));
  auto architecture = all.find(checkpoint.kind(), checkpoint.architecture());
  if (!architecture)
    return roles; // an architecture that is not known: its tensors keep their names
  QUANTC_ASSIGN(ModelConfig config, readModelConfig(**architecture, checkpoint.kind(), checkpoint.metadata()));
  roles.headDim = config.headDim;
  const bool permutes = (*architecture)->permutesQueriesAndKeys() && checkpoint.kind() == ModelKind::HuggingFace;
  for (auto &[role, names] : (*architecture)->tensors)
    for (int64_t layer = 0; layer < config.layers; layer++) {
      const std::string own = (*architecture)->tensorName(checkpoint.kind(), role, layer);
      if (!own.empty())
        roles.byName[own] = {(*architecture)->tensorName(ModelKind::Gguf, role, layer),
                             permutes && holdsQueriesOrKeys(role)};
    }
  return roles;
}

using RowOf = int64_t (*)(int64_t row, int64_t headDim);
using ReadRows = std::function<Status(int64_t, int64_t, float *)>;

/// Reads each row from where the other order of queries and keys has it: see Architecture::permutesQueriesAndKeys.
static ReadRows permutedReader(ReadRows read, RowOf rowOf, int64_t headDim, int64_t K) {
  return [=](int64_t row, int64_t rows, float *out) -> Status {
    for (int64_t r = row; r < row + rows; r++)
      QUANTC_TRY(read(rowOf(r, headDim), 1, out + (r - row) * K));
    return {};
  };
}

/// A vector (a bias) permuted as the rows of its matrix are.
static ReadRows permutedVector(ReadRows read, RowOf rowOf, int64_t headDim, int64_t K) {
  return [=](int64_t, int64_t, float *out) -> Status {
    std::vector<float> plain(static_cast<size_t>(K));
    QUANTC_TRY(read(0, 1, plain.data()));
    for (int64_t i = 0; i < K; i++)
      out[i] = plain[static_cast<size_t>(rowOf(i, headDim))];
    return {};
  };
}

static void readPermuted(StoredTensor &tensor, RowOf rowOf, int64_t headDim) {
  tensor.readStored = tensor.read;
  tensor.read = tensor.shape.size() < 2 ? permutedVector(tensor.read, rowOf, headDim, tensor.columns())
                                        : permutedReader(tensor.read, rowOf, headDim, tensor.columns());
}

bool quantc::holdsQueriesOrKeys(std::string_view role) {
  return (role.starts_with("attn_q") || role.starts_with("attn_k")) && role.find("norm") == std::string_view::npos;
}

void quantc::readInGgufOrder(StoredTensor &tensor, int64_t headDim) {
  tensor.permuted = true;
  tensor.headDim = headDim;
  readPermuted(tensor, ggufRowOf, headDim);
}

void quantc::readInDirectoryOrder(StoredTensor &tensor, int64_t headDim) {
  readPermuted(tensor, directoryRowOf, headDim);
}

Result<std::vector<StoredTensor>> quantc::openTensors(const std::shared_ptr<const Checkpoint> &checkpoint,
                                                      Catalog &catalog) {
  QUANTC_ASSIGN(Roles roles, rolesOf(*checkpoint));
  std::vector<StoredTensor> all;
  for (const CheckpointTensor &t : checkpoint->tensors()) {
    StoredTensor tensor{.name = t.name, .role = t.name, .format = t.format, .shape = t.shape, .raw = t.bytes};
    for (auto part : t.parts())
      tensor.bytes += part.size();
    QUANTC_ASSIGN(auto format, catalog.format(t.format));
    QUANTC_ASSIGN(RowReader reader, RowReader::create(t, format, tensor.columns()));
    tensor.read = [checkpoint, reader = std::make_shared<const RowReader>(std::move(reader))](
                      int64_t row, int64_t rows, float *out) { return reader->read(row, rows, out); };
    tensor.readStored = tensor.read;
    if (auto it = roles.byName.find(t.name); it != roles.byName.end()) {
      tensor.role = it->second.name;
      if (it->second.permuted && roles.headDim > 0)
        readInGgufOrder(tensor, roles.headDim);
    }
    all.push_back(std::move(tensor));
  }
  return all;
}
