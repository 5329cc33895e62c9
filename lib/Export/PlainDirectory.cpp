//===- PlainDirectory.cpp - a model decoded into a Hugging Face directory of plain numbers ----------------------===//

#include "DirectoryFiles.h"
#include "EncodeRows.h"
#include "HuggingFaceModel.h"
#include "quantc/Artifact/Gguf.h"
#include "quantc/Artifact/Safetensors.h"
#include "quantc/Export/Quantize.h"
#include "quantc/Import/Tensors.h"
#include "quantc/Support/AtomicDirectory.h"
#include "quantc/Support/Json.h"
#include <algorithm>

using namespace quantc;
using nlohmann::ordered_json;
namespace fs = std::filesystem;

namespace {

class PlainWriter {
public:
  explicit PlainWriter(const QuantizeOptions &options) : options(options) {}
  Result<QuantizeReport> run();

private:
  Status open();
  Status takeGguf(std::vector<StoredTensor> stored);
  Status addConfig(const fs::path &folder) const;
  Status addFiles(const fs::path &folder) const;
  /// The format in which a tensor is written: vectors keep their own.
  Result<std::shared_ptr<const Format>> formatOf(const StoredTensor &t) const;
  Status write(ShardedSafetensorsWriter &writer, const StoredTensor &t);

  const QuantizeOptions &options;
  fs::path data;
  std::shared_ptr<Catalog> catalog;
  std::shared_ptr<const Checkpoint> checkpoint;
  Architectures architectures;
  const Architecture *target = nullptr; ///< where a GGUF file is read
  ModelConfig config;
  std::map<std::string, StoredTensor> tensors; ///< by their names in the directory
  QuantizeReport report;
};

} // namespace

Status PlainWriter::open() {
  QUANTC_TRY(checkOutput(options.output, options.model));
  QUANTC_ASSIGN(data, dataDirectory());
  QUANTC_ASSIGN(catalog, Catalog::open(data, options.formatFiles));
  QUANTC_ASSIGN(checkpoint, Checkpoint::open(options.model, *catalog));
  QUANTC_ASSIGN(architectures, Architectures::load(data / "architectures"));
  QUANTC_ASSIGN(const Architecture *own, architectures.find(checkpoint->kind(), checkpoint->architecture()));
  QUANTC_ASSIGN(config, readModelConfig(*own, checkpoint->kind(), checkpoint->metadata()));
  QUANTC_ASSIGN(std::vector<StoredTensor> stored, openTensors(checkpoint, *catalog));
  if (checkpoint->kind() == ModelKind::Gguf) {
    QUANTC_ASSIGN(target, huggingFaceArchitecture(architectures, *own, config));
    return takeGguf(std::move(stored));
  }
  for (StoredTensor &t : stored) {
    t.read = t.readStored;
    tensors.emplace(t.name, std::move(t));
  }
  return {};
}

/// What the tensors of a GGUF file are called in the directory, queries and keys in its order of rows.
Status PlainWriter::takeGguf(std::vector<StoredTensor> stored) {
  std::map<std::string, std::pair<std::string, std::string>> names; // by the file's: the directory's, and the role
  for (auto &[role, both] : target->tensors)
    for (int64_t layer = 0; layer < config.layers; layer++)
      names[target->tensorName(ModelKind::Gguf, role, layer)] = {
          target->tensorName(ModelKind::HuggingFace, role, layer), role};
  bool tied = true;
  for (StoredTensor &t : stored) {
    const auto found = names.find(t.name);
    if (found == names.end())
      return fail("tensor '{}' has no name in a Hugging Face directory of {}", t.name, target->huggingFace.front());
    auto &[name, role] = found->second;
    if (role == "rope_freqs") { // config.json says it
      std::vector<float> factors(static_cast<size_t>(t.columns()));
      QUANTC_TRY(t.read(0, 1, factors.data()));
      QUANTC_TRY(scaleFrequencies(config, factors));
      continue;
    }
    tied &= role != "output";
    if (role == "token_embd")
      config.vocab = t.rows();
    if (role.ends_with(".bias") && target->biasFlags.contains(role.substr(0, role.size() - 5)))
      config.biases[role.substr(0, role.size() - 5)] = true;
    if (target->permutesQueriesAndKeys() && holdsQueriesOrKeys(role)) {
      if (config.headDim != static_cast<int64_t>(config.frequencies.size()) * 2)
        return fail("the order of rows where {} of the {} features of a head are rotated differs between programs",
                    config.frequencies.size() * 2, config.headDim);
      readInDirectoryOrder(t, config.headDim);
    }
    tensors.emplace(name, std::move(t));
  }
  config.tied = tied;
  return {};
}

Result<std::shared_ptr<const Format>> PlainWriter::formatOf(const StoredTensor &t) const {
  return catalog->format(t.shape.size() == 2 ? options.format : t.format);
}

Status PlainWriter::write(ShardedSafetensorsWriter &writer, const StoredTensor &t) {
  QUANTC_ASSIGN(const auto format, formatOf(t));
  QuantizedTensor made{t.name, format->spec(), t.shape, 0, 0};
  const EncodeSource numbers{.N = t.rows(), .K = t.columns(), .read = t.read, .importance = {}};
  QUANTC_ASSIGN(const WeightError error, encodeRows(*format, numbers, options.threads, [&](auto bytes) {
                  made.bytes += bytes.size();
                  return writer.append(bytes);
                }));
  made.nmse = error.nmse();
  report.bytes += made.bytes;
  report.tensors.push_back(std::move(made));
  return {};
}

Status PlainWriter::addConfig(const fs::path &folder) const {
  const std::string dtype = pytorchType(options.format);
  if (target) {
    QUANTC_ASSIGN(const ordered_json made, huggingFaceConfig(*target, config, dtype));
    return writeJson(folder / "config.json", made);
  }
  QUANTC_ASSIGN(const std::string text, readText(options.model / "config.json"));
  QUANTC_ASSIGN(ordered_json given, parseJson(text));
  given.erase("quantization_config");
  given[given.contains("dtype") ? "dtype" : "torch_dtype"] = dtype;
  return writeJson(folder / "config.json", given);
}

Status PlainWriter::addFiles(const fs::path &folder) const {
  QUANTC_TRY(addConfig(folder));
  if (!target)
    return copyCompanions(options.model, folder);
  QUANTC_ASSIGN(const auto file, Gguf::open(options.model));
  if (!file->metadata().find("tokenizer.ggml.model"))
    return {};
  QUANTC_ASSIGN(const TokenizerModel tokenizer,
                TokenizerModel::fromGguf(file->metadata(), data / "tokenizers" / "pretokenizers.json"));
  return writeTokenizer(tokenizer, folder);
}

Result<QuantizeReport> PlainWriter::run() {
  QUANTC_TRY(open());
  std::vector<SafetensorsSpec> specs;
  uint64_t total = 0, done = 0;
  for (auto &[name, t] : tensors) {
    QUANTC_ASSIGN(const auto format, formatOf(t));
    specs.push_back({name, safetensorsType(format->spec()), t.shape});
    total += t.bytes;
  }
  QUANTC_ASSIGN(AtomicDirectory directory, AtomicDirectory::create(options.output));
  QUANTC_TRY(addFiles(directory.folder())); // what may be refused comes before the long work
  QUANTC_ASSIGN(auto writer, ShardedSafetensorsWriter::create(directory.folder(), std::move(specs)));
  for (const std::string &name : writer.order()) {
    const StoredTensor &t = tensors.at(name);
    if (Status status = write(writer, t); !status)
      return failAt(t.name, status.error());
    done += t.bytes;
    if (options.progress)
      options.progress(done, total, t.name, report.tensors.back().nmse);
  }
  QUANTC_TRY(writer.commit());
  QUANTC_TRY(directory.commit());
  return std::move(report);
}

Result<QuantizeReport> quantc::dequantizeToDirectory(const QuantizeOptions &options) {
  return PlainWriter(options).run();
}
