//===- Directory.cpp - a model quantized into a Hugging Face directory ------------------------------------------===//

#include "DirectoryFiles.h"
#include "Kinds.h"
#include "quantc/Artifact/Safetensors.h"
#include "quantc/Encode/Encode.h"
#include "quantc/Encode/WeightError.h"
#include "quantc/Export/Quantize.h"
#include "quantc/Format/Recognize.h"
#include "quantc/Import/BoundWeight.h"
#include "quantc/Import/ModelConfig.h"
#include "quantc/Support/AtomicDirectory.h"
#include "quantc/Support/Json.h"
#include "quantc/Support/ScratchFile.h"
#include <algorithm>
#include <fmt/ranges.h>
#include <numeric>

using namespace quantc;
using nlohmann::ordered_json;
namespace fs = std::filesystem;

namespace {

/// A tensor of the directory, its bytes in the model that is read or in the scratch file.
struct OutputTensor {
  SafetensorsSpec spec;
  std::span<const std::byte> bytes;
};

/// A linear layer on its way, and what made its fields.
struct LayerFields {
  /// Of rows [row, row + rows), which begin at a multiple of `unit`; in their order, once each.
  std::function<Result<FieldValues>(int64_t row, int64_t rows)> fields;
  int64_t unit;
  std::vector<int64_t> order; ///< which column of the file is the j-th of the fields; empty: the same
  std::string method;
  double nmse = 0; ///< where `fields` does not find it
  std::shared_ptr<WeightError> error = {};
};

class DirectoryWriter {
public:
  explicit DirectoryWriter(const QuantizeOptions &options) : options(options) {}
  Result<QuantizeReport> run();

private:
  Status open();
  Status choose(std::vector<StoredTensor> stored);
  Result<LayerFields> rounded(const StoredTensor &t) const;
  Status chooseOwn();
  std::string lossOf(const StoredTensor &t, const std::string &spec) const;
  Result<LayerFields> weightOf(const StoredTensor &t) const;
  Status addWeight(const StoredTensor &t);
  Status addKept(const StoredTensor &t);
  Status writeTensors(const fs::path &folder);
  Status writeConfig(const fs::path &folder) const;

  const QuantizeOptions &options;
  std::shared_ptr<Catalog> catalog;
  std::vector<std::shared_ptr<const Description>> containers; ///< of the name that is given
  std::shared_ptr<const Description> container;               ///< the one of them that is written
  std::shared_ptr<const Format> format;                       ///< of the layers
  bool encodes = false;                                       ///< layers get this format; else they have it
  std::shared_ptr<const Checkpoint> checkpoint;
  std::vector<StoredTensor> layers, kept;
  ContainerNames names;
  std::unique_ptr<ScratchFile> scratch;
  std::vector<OutputTensor> tensors;
  QuantizeReport report;
};

} // namespace

//===- What is written ------------------------------------------------------------------------------------------===//

/// The name of a layer, of whose weight this is the name.
static std::string layerOf(const std::string &weight) {
  return weight.substr(0, weight.size() - std::string_view(".weight").size());
}

Status DirectoryWriter::open() {
  QUANTC_TRY(checkOutput(options.output, options.model));
  QUANTC_ASSIGN(const fs::path data, dataDirectory());
  QUANTC_ASSIGN(catalog, Catalog::open(data, options.formatFiles));
  QUANTC_ASSIGN(containers, checkpointContainers(*catalog, options.container));
  const std::string &name = containers.front()->name;
  if (!options.policy.empty())
    return fail("container {} holds one format, which its configuration names; give --format instead of --policy",
                name);
  QUANTC_ASSIGN(checkpoint, Checkpoint::open(options.model, *catalog));
  if (checkpoint->kind() != ModelKind::HuggingFace)
    return fail(
        "{}: a GGUF file has neither the config.json nor the tokenizer's files that container {} goes with, and "
        "its rows of queries and keys are in another order; start from a Hugging Face directory, which convert "
        "--dequantize makes of it",
        options.model.string(), name);
  QUANTC_ASSIGN(const Architectures all, Architectures::load(data / "architectures"));
  QUANTC_ASSIGN(const Architecture *architecture, all.find(checkpoint->kind(), checkpoint->architecture()));
  names.kept.push_back(layerOf(architecture->tensorName(checkpoint->kind(), "output")));
  QUANTC_ASSIGN(std::vector<StoredTensor> stored, openTensors(checkpoint, *catalog));
  return choose(std::move(stored));
}

/// Of rows [row, row + rows), which have these fields.
static Result<WeightError> errorOf(const StoredTensor &t, const Format &format, const FieldValues &fields, int64_t row,
                                   int64_t rows) {
  std::vector<float> x(static_cast<size_t>(rows * t.columns())), y(x.size());
  QUANTC_TRY(t.readStored(row, rows, x.data()));
  QUANTC_TRY(decode(format, fields, rows, t.columns(), y.data()));
  return WeightError::of(x, y);
}

/// What encoding a layer to a format loses, for messages; nothing where it cannot be encoded.
std::string DirectoryWriter::lossOf(const StoredTensor &t, const std::string &spec) const {
  const auto to = catalog->format(spec);
  const auto fields = to ? encode(**to, {t.rows(), t.columns(), t.readStored, {}}, options.threads) : fail("");
  const auto error = fields ? errorOf(t, **to, *fields, 0, t.rows()) : fail("");
  return error ? fmt::format(" (as {}, '{}' would have the error {:.3g}, squared over its square)", spec, t.name,
                             error->nmse())
               : "";
}

/// The layers keep their format, which all of them have and the container carries; else they get another one where that
/// is allowed.
Status DirectoryWriter::chooseOwn() {
  const auto other = std::ranges::find_if(layers, [&](const auto &t) { return t.format != layers.front().format; });
  const bool isCarried = carries(*container, *format);
  if (isCarried && other == layers.end())
    return {};
  const std::string spec = options.otherwise.empty() ? container->carries.front() : options.otherwise;
  if (!options.allowRequantize) {
    const std::string advice = fmt::format("to make one of that loses{}: use quantize, or give --allow-requantize",
                                           lossOf(layers.front(), spec));
    if (isCarried)
      return fail("{} is {} but {} is {}: container {} holds one format, and {}", layers.front().name,
                  layers.front().format, other->name, other->format, container->name, advice);
    return fail("container {} does not carry {}; it carries {}, and {}", container->name, format->spec(),
                fmt::join(container->carries, ", "), advice);
  }
  QUANTC_ASSIGN(format, catalog->format(spec));
  container = *std::ranges::max_element(containers, {}, [&](const auto &each) { return carries(*each, *format); });
  if (!carries(*container, *format))
    return fail("container {} does not carry {}; it carries {}", container->name, spec,
                fmt::join(container->carries, ", "));
  encodes = true;
  return {};
}

/// Tells the linear layers of the blocks from what stays, and finds their format.
Status DirectoryWriter::choose(std::vector<StoredTensor> stored) {
  for (StoredTensor &t : stored)
    (isMatrix(t) && t.role.starts_with("blk.") ? layers : kept).push_back(std::move(t));
  if (layers.empty())
    return fail("{}: no linear layer was found in the blocks of the model", options.model.string());
  const std::string &spec = options.format.empty() ? layers.front().format : options.format;
  QUANTC_ASSIGN(format, catalog->format(spec));
  container = *std::ranges::max_element(containers, {}, [&](const auto &each) { return carries(*each, *format); });
  if (options.format.empty())
    return chooseOwn();
  if (!carries(*container, *format))
    return fail("container {} does not carry {}; it carries {}", container->name, spec,
                fmt::join(container->carries, ", "));
  encodes = true;
  for (const StoredTensor &t : layers) {
    QUANTC_ASSIGN(const auto from, catalog->format(t.format));
    if (!isPlainFloat(*from) && !options.allowRequantize)
      return fail("'{}' is quantized already ({}): quantizing it to {} loses twice; give --allow-requantize, or start "
                  "from the float model",
                  t.name, from->spec(), spec);
  }
  names.dtype = pytorchType(layers.front().format);
  return {};
}

//===- Weights --------------------------------------------------------------------------------------------------===//

/// By rounding to nearest.
Result<LayerFields> DirectoryWriter::rounded(const StoredTensor &t) const {
  const int64_t N = t.rows(), K = t.columns();
  // What needs several passes sees the whole weight.
  QUANTC_ASSIGN(const EncodePlan plan, planEncode(*format, N, K, /*importance=*/false));
  const int64_t unit = plan.passes > 1 ? N : std::lcm(plan.tileRows, cellRowUnit(*format, N, K));
  auto error = std::make_shared<WeightError>();
  auto fields = [=, &t, this](int64_t row, int64_t rows) -> Result<FieldValues> {
    auto read = [&](int64_t r, int64_t count, float *out) { return t.readStored(row + r, count, out); };
    auto made = encode(*format, {.N = rows, .K = K, .read = read, .importance = {}}, options.threads);
    if (!made)
      return row ? failAt(fmt::format("rows from {} on", row), made.error()) : made;
    QUANTC_ASSIGN(const WeightError here, errorOf(t, *format, *made, row, rows));
    *error += here;
    return made;
  };
  return LayerFields{.fields = fields, .unit = unit, .order = {}, .method = "rtn", .error = error};
}

Result<LayerFields> DirectoryWriter::weightOf(const StoredTensor &t) const {
  if (!encodes) {
    const BoundWeight &bound = *checkpoint->find(t.name)->bound;
    auto fields = [&bound](int64_t row, int64_t rows) -> Result<FieldValues> {
      QUANTC_ASSIGN(const BoundRows found, bound.fields(row, rows));
      return *found.fields;
    };
    return LayerFields{.fields = fields, .unit = bound.rowUnit(), .order = bound.order(), .method = ""};
  }
  QUANTC_ASSIGN(const std::optional<MadeWeight> made, options.made.quantizedAs(t.role, *format));
  if (!made)
    return rounded(t);
  return LayerFields{.fields = made->fields,
                     .unit = cellRowUnit(*format, t.rows(), t.columns()),
                     .order = made->order,
                     .method = made->method,
                     .nmse = made->nmse};
}

Status DirectoryWriter::addWeight(const StoredTensor &t) {
  QUANTC_ASSIGN(const Binding binding, Binding::create(container, format, t.rows(), t.columns()));
  QUANTC_ASSIGN(const LayerFields weight, weightOf(t));
  if (!weight.order.empty() && !binding.holdsOrder())
    return fail("its columns are in another order (act-order), which container {} cannot say", container->name);
  names.ordered |= !weight.order.empty();
  std::vector<std::span<std::byte>> parts;
  for (const BoundTensor &part : binding.tensors())
    if (!part.json) {
      QUANTC_ASSIGN(parts.emplace_back(), scratch->allocate(static_cast<uint64_t>(part.bytes())));
    }
  const int64_t window = std::max<int64_t>(1, DirectoryMemory::numbers / t.columns() / weight.unit) * weight.unit;
  FieldValues fields;
  for (int64_t row = 0; row < t.rows(); row += window) {
    QUANTC_ASSIGN(fields, weight.fields(row, std::min(window, t.rows() - row)));
    QUANTC_TRY(binding.checkStorable(fields, row));
    binding.storeRows(fields, row, weight.order, parts);
  }
  for (const std::vector<std::byte> &text : binding.storeJson(fields, names)) {
    QUANTC_ASSIGN(parts.emplace_back(), scratch->allocate(text.size()));
    std::ranges::copy(text, parts.back().begin());
  }
  QuantizedTensor made{t.name,       format->spec(), t.shape, 0, weight.error ? weight.error->nmse() : weight.nmse,
                       weight.method};
  for (size_t i = 0; i < parts.size(); i++) {
    const BoundTensor &part = binding.tensors()[i];
    const auto shape = part.json ? std::vector{static_cast<int64_t>(parts[i].size())} : part.shape;
    tensors.push_back({{layerOf(t.name) + part.suffix, safetensorsType(part.type), shape}, parts[i]});
    made.bytes += parts[i].size();
  }
  report.tensors.push_back(std::move(made));
  return {};
}

Status DirectoryWriter::addKept(const StoredTensor &t) {
  if (const auto values = options.made.valuesOf(t.role)) {
    QUANTC_ASSIGN(const auto own, catalog->format(t.format));
    QUANTC_ASSIGN(const BlockLayout layout, BlockLayout::create(*own));
    QUANTC_ASSIGN(const FieldValues fields, encode(*own, *values, t.rows(), t.columns()));
    QUANTC_ASSIGN(const std::span<std::byte> bytes, scratch->allocate(t.raw.size()));
    layout.store(fields, 0, t.rows() * t.columns() / own->block()->columns, bytes.data());
    tensors.push_back({{t.name, safetensorsType(t.format), t.shape}, bytes});
    report.tensors.push_back({t.name, t.format, t.shape, bytes.size(), 0});
    return {};
  }
  QUANTC_ASSIGN(const auto own, catalog->format(t.format));
  const EncodeSource numbers{.N = t.rows(), .K = t.columns(), .read = t.read, .importance = {}};
  if (Status status = isPlainFloat(*own) ? checkNumbers(numbers, options.threads) : Status(); !status)
    return failAt(t.name, status.error());
  tensors.push_back({{t.name, safetensorsType(t.format), t.shape}, t.raw});
  report.tensors.push_back({t.name, t.format, t.shape, t.raw.size(), 0});
  return {};
}

//===- Files ----------------------------------------------------------------------------------------------------===//

Status DirectoryWriter::writeTensors(const fs::path &folder) {
  std::map<std::string, std::span<const std::byte>> byName;
  std::vector<SafetensorsSpec> specs;
  std::ranges::sort(tensors, {}, [](const OutputTensor &t) { return t.spec.name; });
  for (const OutputTensor &t : tensors) {
    byName[t.spec.name] = t.bytes;
    specs.push_back(t.spec);
    report.bytes += t.bytes.size();
  }
  QUANTC_ASSIGN(auto writer, ShardedSafetensorsWriter::create(folder, std::move(specs)));
  for (const std::string &name : writer.order())
    QUANTC_TRY(writer.append(byName.at(name)));
  return writer.commit();
}

Status DirectoryWriter::writeConfig(const fs::path &folder) const {
  QUANTC_ASSIGN(const std::string text, readText(options.model / "config.json"));
  QUANTC_ASSIGN(ordered_json config, parseJson(text));
  QUANTC_ASSIGN(config["quantization_config"], configOf(*container, *format, names));
  QUANTC_TRY(writeJson(folder / "config.json", config));
  return copyCompanions(options.model, folder);
}

Result<QuantizeReport> DirectoryWriter::run() {
  QUANTC_TRY(open());
  QUANTC_ASSIGN(AtomicDirectory directory, AtomicDirectory::create(options.output));
  QUANTC_ASSIGN(scratch, ScratchFile::create(directory.folder()));
  uint64_t total = 0, done = 0;
  for (const StoredTensor &t : layers)
    total += t.bytes;
  for (const StoredTensor &t : layers) {
    if (const Status status = addWeight(t); !status)
      return failAt(t.name, status.error());
    done += t.bytes;
    if (options.progress)
      options.progress(done, total, t.name, report.tensors.back().nmse);
  }
  for (const StoredTensor &t : kept)
    QUANTC_TRY(addKept(t));
  QUANTC_TRY(writeTensors(directory.folder()));
  QUANTC_TRY(writeConfig(directory.folder()));
  QUANTC_TRY(directory.commit());
  return std::move(report);
}

Result<QuantizeReport> quantc::quantizeToDirectory(const QuantizeOptions &options) {
  return DirectoryWriter(options).run();
}

Result<std::string> quantc::containerOf(const std::string &format, const std::vector<fs::path> &formatFiles) {
  QUANTC_ASSIGN(const fs::path data, dataDirectory());
  QUANTC_ASSIGN(const auto catalog, Catalog::open(data, formatFiles));
  std::vector<std::string> names;
  if (format.empty()) {
    QUANTC_ASSIGN(names, containersFor(*catalog, nullptr));
    return fail("a Hugging Face directory is written, and nothing says how: give --container ({})",
                fmt::join(names, ", "));
  }
  QUANTC_ASSIGN(const auto given, catalog->format(format));
  QUANTC_ASSIGN(names, containersFor(*catalog, given.get()));
  if (names.size() == 1)
    return names.front();
  if (names.empty())
    return fail("no container of Hugging Face directories carries {}; write a .gguf, or compile the model", format);
  return fail("{} is carried by several containers: give --container ({})", format, fmt::join(names, ", "));
}
