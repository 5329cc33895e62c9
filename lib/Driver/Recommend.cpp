//===- Recommend.cpp - which format and method for a model and a machine ----------------------------------------===//

#include "quantc/Driver/Recommend.h"
#include "Candidates.h"
#include "ModelShape.h"
#include "quantc/Driver/Compile.h"
#include "quantc/Driver/Evaluation.h"
#include "quantc/Encode/Encode.h"
#include "quantc/Format/KernelStorage.h"
#include "quantc/Runtime/Measure.h"
#include "quantc/Runtime/Memory.h"
#include "quantc/Support/AtomicDirectory.h"
#include <cmath>
#include <unistd.h>

using namespace quantc;
namespace fs = std::filesystem;

namespace {
class Adviser {
public:
  explicit Adviser(const RecommendOptions &options) : options(options) {}
  Result<Recommendation> run();

private:
  Status open();
  Status measureBandwidth();
  void addBits();
  FormatRow rowOf(const Format &format) const;
  void addFormats();
  Status measureQuality();
  Result<QualityRow> measure(const std::string &format, const std::string &method, const Tokenizer &tokenizer,
                             const std::shared_ptr<const Model> &reference, const fs::path &folder) const;
  Status choose();
  const FormatRow *fitting(const std::string &format) const;

  const RecommendOptions &options;
  std::shared_ptr<Catalog> catalog;
  ModelShape shape;
  double numbers = 0; ///< in matrices
  Recommendation found;
};
} // namespace

Status Adviser::open() {
  QUANTC_ASSIGN(const fs::path data, dataDirectory());
  QUANTC_ASSIGN(catalog, Catalog::open(data, options.formatFiles));
  QUANTC_ASSIGN(shape, shapeOfModel(options.model));
  for (const MatrixShape &matrix : shape.matrices)
    numbers += double(matrix.rows) * double(matrix.columns);
  found.parameters = numbers + shape.vectors;
  found.context = std::min(options.context, shape.context);
  found.kvCache = shape.kvNumbers * 2 * double(found.context); // f16
  found.memory = double(options.memory ? options.memory : availableMemory());
  return {};
}

Status Adviser::measureBandwidth() {
  QUANTC_ASSIGN(auto pool, ThreadPool::create(options.threads));
  QUANTC_ASSIGN(found.bandwidth, memoryBandwidth(*pool));
  return {};
}

void Adviser::addBits() {
  for (int bits : {16, 8, 4, 3, 2}) {
    FormatRow row{.bitsPerWeight = double(bits), .fileBytes = numbers * bits / 8 + shape.vectors * sizeof(float)};
    row.memory = row.fileBytes + found.kvCache;
    found.bits.push_back(row);
  }
}

FormatRow Adviser::rowOf(const Format &format) const {
  FormatRow row{.format = format.spec()};
  row.quantizes = format.encode("") != nullptr;
  const auto derived = KernelStorage::derive(catalog->format(format.spec()).value());
  if (!derived)
    row.why = derived.error().message;
  double kernel = 0, perToken = 0, bits = 0;
  for (const MatrixShape &matrix : shape.matrices) {
    if (const Status holds = format.checkShape(matrix.rows, matrix.columns); !holds) {
      row.why = fmt::format("{} ({} x {}): {}", matrix.name, matrix.rows, matrix.columns, holds.error().message);
      return row;
    }
    const double count = double(matrix.rows) * double(matrix.columns);
    bits += format.bitsPerWeight(matrix.rows, matrix.columns) * count;
    if (!derived)
      continue;
    if (const Status holds = derived->checkShape(matrix.rows, matrix.columns); !holds)
      row.why = holds.error().message;
    const double bytes = double(derived->bytes(matrix.rows, matrix.columns));
    kernel += bytes;
    perToken += matrix.isTable ? bytes / double(matrix.rows) : bytes;
  }
  row.bitsPerWeight = bits / numbers;
  row.fileBytes = bits / 8 + shape.vectors * sizeof(float);
  if (row.why.empty()) {
    row.memory = kernel + shape.vectors * sizeof(float) + found.kvCache;
    if (found.bandwidth > 0)
      row.tokensPerSecond = found.bandwidth / (perToken + shape.vectors * sizeof(float));
  }
  return row;
}

void Adviser::addFormats() {
  for (const std::string &name : catalog->formatNames())
    if (const auto format = catalog->format(name))
      found.formats.push_back(rowOf(**format));
  std::ranges::stable_sort(found.formats, std::greater<>(), &FormatRow::bitsPerWeight);
}

//===- Quality --------------------------------------------------------------------------------------------------===//

Result<QualityRow> Adviser::measure(const std::string &format, const std::string &method, const Tokenizer &tokenizer,
                                    const std::shared_ptr<const Model> &reference, const fs::path &folder) const {
  CompileOptions compile{.model = options.model, .output = folder / "made.qm", .format = format};
  compile.method.names = method;
  if (method != "rtn")
    compile.method.calibration = options.calibration;
  compile.precision = Precision::Float;
  compile.formatFiles = options.formatFiles;
  compile.threads = options.threads;
  QUANTC_TRY(compileModel(compile));
  QUANTC_ASSIGN(const auto model, Model::load(compile.output));
  QUANTC_ASSIGN(const Perplexity result,
                evaluate(model, tokenizer,
                         {.text = options.text, .context = options.chunk, .threads = options.threads, .progress = {}},
                         reference));
  return QualityRow{format, method, *result.klDivergence, result.perplexity, *result.top1};
}

Status Adviser::measureQuality() {
  if (options.model.extension() == ".json")
    return fail(
        "{}: a configuration has no weights whose quality could be measured: leave --text out, or give the model",
        options.model.string());
  std::vector<std::string> formats = options.formats;
  if (formats.empty()) {
    QUANTC_ASSIGN(const auto rows, candidateRows());
    for (const auto &row : rows)
      if (formats.empty() && std::ranges::all_of(row, [&](const std::string &format) { return fitting(format); }))
        formats = row;
  }
  std::vector<std::string> methods = {"rtn"};
  if (!options.calibration.file.empty())
    methods.insert(methods.end(), {"imatrix", "gptq"});
  QUANTC_ASSIGN(const AtomicDirectory folder,
                AtomicDirectory::create(fs::temp_directory_path() / fmt::format("quantc-recommend-{}", ::getpid())));
  CompileOptions compile{.model = options.model, .output = folder.folder() / "reference.qm"};
  compile.precision = Precision::Float;
  compile.threads = options.threads;
  QUANTC_TRY(compileModel(compile));
  QUANTC_ASSIGN(const auto reference, Model::load(compile.output));
  QUANTC_ASSIGN(const auto tokenizer, loadTokenizer(options.model));
  uint64_t done = 0;
  for (const std::string &format : formats)
    for (const std::string &method : methods) {
      if (options.progress)
        options.progress(done++, formats.size() * methods.size(), fmt::format("{} by {}", format, method));
      QUANTC_ASSIGN(found.quality.emplace_back(), measure(format, method, *tokenizer, reference, folder.folder()));
    }
  return {};
}

//===- The choice -----------------------------------------------------------------------------------------------===//

/// The row of a format that runs within the memory; null where it does not.
const FormatRow *Adviser::fitting(const std::string &format) const {
  const auto row = std::ranges::find(found.formats, format, &FormatRow::format);
  return row != found.formats.end() && row->quantizes && row->memory && *row->memory <= found.memory ? &*row : nullptr;
}

Status Adviser::choose() {
  const QualityRow *best = nullptr;
  for (const QualityRow &row : found.quality)
    if (fitting(row.format) && (!best || row.divergence < best->divergence))
      best = &row;
  if (best) {
    found.format = best->format;
    found.method = best->method;
    found.why = fmt::format("the least KL divergence of those that were measured and fit: {:.4g}", best->divergence);
    return {};
  }
  QUANTC_ASSIGN(const auto rows, candidateRows());
  const FormatRow *largest = nullptr;
  for (const auto &row : rows)
    for (const std::string &format : row)
      if (const FormatRow *one = fitting(format); one && (!largest || one->bitsPerWeight > largest->bitsPerWeight))
        largest = one;
  found.format = largest ? largest->format : "";
  found.why = largest ? "of formats/candidates.json the one with the most bits per weight that fits; quality was not "
                        "measured: give a text by --text"
                      : "no format of formats/candidates.json fits";
  return {};
}

Result<Recommendation> Adviser::run() {
  QUANTC_TRY(open());
  QUANTC_TRY(measureBandwidth());
  addBits();
  addFormats();
  if (!options.text.empty())
    QUANTC_TRY(measureQuality());
  QUANTC_TRY(choose());
  return std::move(found);
}

Result<Recommendation> quantc::recommend(const RecommendOptions &options) {
  return Adviser(options).run();
}
