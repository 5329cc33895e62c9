//===- Quantize.cpp - a model quantized into a GGUF file --------------------------------------------------------===//

#include "quantc/Export/Quantize.h"
#include "EncodeRows.h"
#include "Kinds.h"
#include "quantc/Artifact/Gguf.h"
#include "quantc/Export/GgufModel.h"
#include "quantc/Format/Container.h"
#include "quantc/Import/Tensors.h"
#include "quantc/Policy/Policy.h"
#include "quantc/Support/Files.h"
#include <algorithm>

using namespace quantc;
namespace fs = std::filesystem;

namespace {
/// A tensor on its way: where its values come from, and what it becomes.
struct Planned {
  StoredTensor source;
  std::shared_ptr<const Format> from, to;
  uint32_t type = 0;
  bool kept = false; ///< bytes are copied
};

/// The order of llama-quantize: outside of the layers first, then layer by layer, by name.
bool before(const Planned &a, const Planned &b) {
  const int64_t layerA = PolicyTensor{a.source.role, 0, 0}.layer(), layerB = PolicyTensor{b.source.role, 0, 0}.layer();
  return layerA != layerB ? layerA < layerB : a.source.role < b.source.role;
}

class Quantizer {
public:
  explicit Quantizer(const QuantizeOptions &options) : options(options) {}
  Result<QuantizeReport> run();

private:
  Status open();
  Status plan();
  Result<std::string> chooseFormat(const StoredTensor &tensor, const PolicyModel &model) const;
  Status write(TensorWriter &writer, Planned &tensor, QuantizedTensor &report) const;
  Status writeMade(TensorWriter &writer, const Planned &tensor, const MadeWeight &made) const;
  Status addFileType(GgufMetadata &metadata) const;
  /// Appends the bytes of a tensor that is kept.
  Status copyTo(TensorWriter &writer, const Planned &tensor) const;
  /// Appends a tensor, and fills in its size and error.
  Status encodeTo(TensorWriter &writer, const Planned &tensor, QuantizedTensor &report) const;
  GgufTypes types() const {
    return [this](uint32_t id) -> std::optional<GgufBlock> {
      auto name = formatOfTypeId(*container, id);
      auto format = name ? catalog->format(*name) : fail("");
      if (!format || !(*format)->block())
        return std::nullopt;
      return GgufBlock{static_cast<uint64_t>((*format)->block()->columns),
                       static_cast<uint64_t>((*format)->block()->bytes)};
    };
  }

  const QuantizeOptions &options;
  fs::path data;
  std::shared_ptr<Catalog> catalog;
  std::shared_ptr<const Description> container;
  std::shared_ptr<const Checkpoint> checkpoint;
  ModelConfig config;
  std::optional<Policy> policy;
  std::vector<Planned> tensors;
};
} // namespace

Status Quantizer::open() {
  QUANTC_TRY(checkOutput(options.output, options.model));
  QUANTC_ASSIGN(data, dataDirectory());
  QUANTC_ASSIGN(catalog, Catalog::open(data, options.formatFiles));
  QUANTC_ASSIGN(container, catalog->container("gguf"));
  QUANTC_ASSIGN(checkpoint, Checkpoint::open(options.model, *catalog));
  QUANTC_ASSIGN(Architectures all, Architectures::load(data / "architectures"));
  QUANTC_ASSIGN(const Architecture *architecture, all.find(checkpoint->kind(), checkpoint->architecture()));
  QUANTC_ASSIGN(config, readModelConfig(*architecture, checkpoint->kind(), checkpoint->metadata()));
  if (!options.policy.empty()) {
    QUANTC_ASSIGN(policy, Policy::load(options.policy, data));
  } else if (!options.format.empty()) {
    policy = Policy::uniform(options.format);
  }
  return {};
}

Result<std::string> Quantizer::chooseFormat(const StoredTensor &t, const PolicyModel &model) const {
  if (isMatrix(t))
    return policy ? policy->formatOf({t.role, t.rows(), t.columns()}, model, *catalog) : Result<std::string>(t.format);
  QUANTC_ASSIGN(auto own, catalog->format(t.format));
  return isPlainFloat(*own) ? std::string("f32") : t.format;
}

Status Quantizer::plan() {
  QUANTC_ASSIGN(auto stored, openTensors(checkpoint, *catalog));
  PolicyModel model{config.layers, config.heads, config.kvHeads, true};
  for (const StoredTensor &t : stored)
    model.tied &= t.role != "output.weight";
  const bool dropHead = config.tied.value_or(false) && !options.made.ownHead;
  if (options.made.ownHead && model.tied) {
    const auto table = std::ranges::find(stored, "token_embd.weight", &StoredTensor::role);
    if (table == stored.end())
      return fail("{}: has no embedding of which a head could be made", options.model.string());
    stored.push_back(*table);
    stored.back().role = stored.back().name = "output.weight";
    model.tied = false;
  }
  for (StoredTensor &t : stored) {
    if (t.role.empty() || (dropHead && t.role == "output.weight"))
      continue; // what GGUF does not hold
    QUANTC_ASSIGN(std::string chosen, chooseFormat(t, model));
    Planned p;
    QUANTC_ASSIGN(p.from, catalog->format(t.format));
    QUANTC_ASSIGN(p.to, catalog->format(chosen));
    auto id = typeId(*container, p.to->spec());
    if (!id && !policy && options.allowRequantize && !options.otherwise.empty()) {
      QUANTC_ASSIGN(p.to, catalog->format(options.otherwise));
      id = typeId(*container, p.to->spec());
    }
    if (!id)
      return fail("GGUF has no type for {}; {}", p.to->spec(),
                  policy ? "use a format of containers/gguf.qc, or another container"
                         : "to make another format of it loses: name one by --allow-requantize --format");
    p.type = static_cast<uint32_t>(*id);
    p.kept = p.from == p.to && !t.permuted;
    if (p.from != p.to && !isPlainFloat(*p.from) && !options.allowRequantize)
      return fail("'{}' is quantized already ({}): quantizing it to {} loses twice; give --allow-requantize, or start "
                  "from the float model",
                  t.name, p.from->spec(), chosen);
    p.source = std::move(t);
    tensors.push_back(std::move(p));
  }
  std::ranges::sort(tensors, before);
  return {};
}

Status Quantizer::copyTo(TensorWriter &writer, const Planned &t) const {
  const EncodeSource numbers{.N = t.source.rows(), .K = t.source.columns(), .read = t.source.read, .importance = {}};
  if (Status status = isPlainFloat(*t.from) ? checkNumbers(numbers, options.threads) : Status(); !status)
    return failAt(t.source.name, status.error());
  return writer.append(t.source.raw);
}

Status Quantizer::encodeTo(TensorWriter &writer, const Planned &t, QuantizedTensor &report) const {
  const EncodeSource numbers{.N = t.source.rows(), .K = t.source.columns(), .read = t.source.read, .importance = {}};
  uint64_t bytes = 0;
  auto error = encodeRows(*t.to, numbers, options.threads, [&](std::span<const std::byte> rows) {
    bytes += rows.size();
    return writer.append(rows);
  });
  if (!error)
    return failAt(t.source.name, error.error());
  report.nmse = error->nmse();
  if (report.nmse > 0 || !isPlainFloat(*t.to)) // wider floats change nothing
    report.method = "rtn";
  report.bytes = bytes;
  return {};
}

/// Writes what a method made of a weight, rows in the order of the file.
Status Quantizer::writeMade(TensorWriter &writer, const Planned &t, const MadeWeight &made) const {
  const int64_t N = t.source.rows(), blocks = t.source.columns() / t.to->block()->columns;
  QUANTC_ASSIGN(BlockLayout layout, BlockLayout::create(*t.to));
  // Rows of a block come together; where rows are in another order, one at a time.
  const int64_t unit = t.to->block()->rows, step = t.source.permuted ? unit : std::max<int64_t>(1, 64 / unit) * unit;
  std::vector<std::byte> bytes;
  for (int64_t n = 0; n < N; n += step) {
    const int64_t count = std::min(step, N - n) / unit * blocks;
    bytes.resize(static_cast<size_t>(count * t.to->block()->bytes));
    layout.store(made.fields(t.source.storedRow(n), std::min(step, N - n)), 0, count, bytes.data());
    QUANTC_TRY(writer.append(bytes));
  }
  return {};
}

/// Appends a tensor in the way that fits it, and fills in what the report says of it.
Status Quantizer::write(TensorWriter &writer, Planned &t, QuantizedTensor &report) const {
  if (auto values = options.made.valuesOf(t.source.role)) {
    t.kept = false;
    const int64_t N = t.source.rows(), K = t.source.columns();
    if (static_cast<int64_t>(values->size()) != N * K)
      return fail("{}: {} numbers are to take the place of {} x {}", t.source.role, values->size(), N, K);
    t.source.read = [K, values = std::move(*values)](int64_t row, int64_t rows, float *out) -> Status {
      std::copy_n(values.data() + row * K, rows * K, out);
      return {};
    };
  }
  QUANTC_ASSIGN(const std::optional<MadeWeight> made, options.made.quantizedAs(t.source.role, *t.to));
  if (made) {
    report.nmse = made->nmse;
    report.method = made->method;
    report.bytes = static_cast<uint64_t>(t.source.rows() * t.source.columns() / t.to->block()->columns *
                                         t.to->block()->bytes / t.to->block()->rows);
    return writeMade(writer, t, *made);
  }
  return t.kept ? copyTo(writer, t) : encodeTo(writer, t, report);
}

/// The number of the policy. A file of one format has that of the policy of this name, or of the smallest of this name.
Status Quantizer::addFileType(GgufMetadata &metadata) const {
  std::optional<uint32_t> type = policy ? policy->fileType() : std::nullopt;
  for (const char *suffix : {"", "_s"})
    if (!type && !options.format.empty())
      if (auto named = Policy::load(options.format + suffix, data))
        type = named->fileType();
  return type ? metadata.add("general.file_type", GgufValue::of(*type)) : Status();
}

Result<QuantizeReport> Quantizer::run() {
  QUANTC_TRY(open());
  QUANTC_TRY(plan());
  QUANTC_ASSIGN(GgufMetadata given, ggufMetadata(*checkpoint, data));
  GgufMetadata metadata;
  for (auto &[key, value] : given.entries())
    if (key != "general.file_type" && key != "general.quantization_version")
      QUANTC_TRY(metadata.add(key, value));
  QUANTC_TRY(addFileType(metadata));
  QUANTC_TRY(metadata.add("general.quantization_version", GgufValue::of(uint32_t(2))));

  std::vector<ExtraTensor> extra;
  if (checkpoint->kind() == ModelKind::HuggingFace)
    extra = extraTensors(config);
  std::vector<GgufSpec> specs;
  const auto plain = static_cast<uint32_t>(*typeId(*container, "f32"));
  for (const ExtraTensor &e : extra)
    specs.push_back({e.name, {static_cast<int64_t>(e.values.size())}, plain});
  uint64_t total = 0, done = 0;
  for (const Planned &t : tensors) {
    specs.push_back({t.source.role, t.source.shape, t.type});
    total += t.source.bytes;
  }
  QUANTC_ASSIGN(TensorWriter writer, createGguf(options.output, metadata, specs, types()));
  for (const ExtraTensor &e : extra)
    QUANTC_TRY(writer.append(std::as_bytes(std::span(e.values))));
  QuantizeReport report;
  for (Planned &t : tensors) {
    QuantizedTensor made{t.source.role, t.to->spec(), t.source.shape, t.source.raw.size(), 0};
    QUANTC_TRY(write(writer, t, made));
    report.bytes += made.bytes;
    done += t.source.bytes;
    if (options.progress)
      options.progress(done, total, t.source.role, made.nmse);
    report.tensors.push_back(std::move(made));
  }
  QUANTC_TRY(writer.commit());
  return report;
}

Result<QuantizeReport> quantc::quantizeModel(const QuantizeOptions &options) {
  return options.container.empty() || options.container == "gguf" ? quantizeToGguf(options)
                                                                  : quantizeToDirectory(options);
}

Result<QuantizeReport> quantc::quantizeToGguf(const QuantizeOptions &options) {
  return Quantizer(options).run();
}
