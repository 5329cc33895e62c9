//===- Report.cpp - what quantizing did to a model: the numbers -------------------------------------------------===//

#include "quantc/Driver/Report.h"
#include "quantc/Artifact/Artifact.h"
#include "quantc/Driver/Evaluation.h"
#include "quantc/Driver/Weights.h"
#include "quantc/Support/AtomicDirectory.h"
#include <algorithm>
#include <array>
#include <cmath>
#include <unistd.h>

using namespace quantc;
using nlohmann::ordered_json;
namespace fs = std::filesystem;

//===- Distributions --------------------------------------------------------------------------------------------===//

/// Histograms go from -4 to 4 times the root mean square; what is beyond is in the outermost bins.
static constexpr size_t bins = 40;
static constexpr double histogramEnd = 4, outlierFrom = 6;

/// Calls `use` with all numbers of a tensor, some rows at a time.
template <typename Use> static Status forAll(const StoredTensor &tensor, Use use) {
  const int64_t step = std::max<int64_t>(1, (1 << 20) / tensor.columns());
  std::vector<float> values(static_cast<size_t>(step * tensor.columns()));
  for (int64_t row = 0; row < tensor.rows(); row += step) {
    const int64_t rows = std::min(step, tensor.rows() - row);
    QUANTC_TRY(tensor.read(row, rows, values.data()));
    for (int64_t i = 0; i < rows * tensor.columns(); ++i)
      use(double(values[i]));
  }
  return {};
}

/// How the numbers of a tensor lie, in units of their root mean square.
static Status addDistribution(const StoredTensor &tensor, ordered_json &out) {
  double squares = 0, fourths = 0, largest = 0;
  QUANTC_TRY(forAll(tensor, [&](double w) {
    squares += w * w;
    fourths += w * w * w * w;
    largest = std::max(largest, std::fabs(w));
  }));
  const double count = double(tensor.rows()) * double(tensor.columns()), rms = std::sqrt(squares / count);
  std::array<uint64_t, bins> histogram{};
  uint64_t outliers = 0;
  QUANTC_TRY(forAll(tensor, [&](double w) {
    const double x = rms > 0 ? w / rms : 0;
    outliers += std::fabs(x) > outlierFrom;
    const double place = std::floor((x + histogramEnd) * (bins / (2 * histogramEnd)));
    ++histogram[static_cast<size_t>(std::clamp(place, 0.0, double(bins - 1)))];
  }));
  out["rms"] = rms;
  out["largest"] = largest;
  out["kurtosis"] = squares > 0 ? fourths * count / (squares * squares) : 0;
  out["outliers"] = outliers;
  out["histogram"] = histogram;
  return {};
}

/// The tensor of the source that one of the result came from: by its own name, or by its role.
static const StoredTensor *sourceOf(const std::vector<StoredTensor> &sources, const std::string &name) {
  const auto found = std::ranges::find_if(
      sources, [&](const StoredTensor &t) { return t.name == name || t.role == name || t.role == name + ".weight"; });
  return found == sources.end() ? nullptr : &*found;
}

static Result<ordered_json> tensorsOf(const ReportOptions &options, const ReportSubject &subject) {
  QUANTC_ASSIGN(const fs::path data, dataDirectory());
  QUANTC_ASSIGN(const auto catalog, Catalog::open(data, options.formatFiles));
  QUANTC_ASSIGN(const std::vector<StoredTensor> sources, openTensors(subject.model, *catalog));
  ordered_json all = ordered_json::array();
  for (const QuantizedTensor &tensor : subject.tensors) {
    double numbers = 1;
    for (int64_t extent : tensor.shape)
      numbers *= double(extent);
    ordered_json one = {{"name", tensor.name},     {"format", tensor.format},
                        {"method", tensor.method}, {"shape", tensor.shape},
                        {"bytes", tensor.bytes},   {"bits_per_weight", double(tensor.bytes) * 8 / numbers},
                        {"nmse", tensor.nmse}};
    if (const StoredTensor *source = sourceOf(sources, tensor.name)) {
      one["source_format"] = source->format;
      QUANTC_TRY(addDistribution(*source, one));
    }
    all.push_back(std::move(one));
    if (options.progress)
      options.progress("report", all.size(), subject.tensors.size());
  }
  return all;
}

Result<std::vector<QuantizedTensor>> quantc::artifactTensors(const fs::path &path) {
  QUANTC_ASSIGN(const auto artifact, Artifact::open(path));
  const ordered_json &certificate = artifact->manifest().certificate;
  std::vector<QuantizedTensor> tensors;
  for (const WeightEntry &weight : artifact->manifest().weights) {
    if (weight.source.empty())
      continue; // a table that the compiler made
    QuantizedTensor tensor{weight.name, weight.format, weight.shape, artifact->tensor(weight.tensor).size(), 0, ""};
    if (certificate.contains("weights") && certificate["weights"].contains(weight.name)) {
      const ordered_json &stated = certificate["weights"][weight.name];
      tensor.method = stated.value("method", "");
      tensor.nmse = stated.value("nmse", 0.0);
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

//===- Evaluation -----------------------------------------------------------------------------------------------===//

/// Compiles a model with f32 activations, so that its weights are what is measured; an artifact is taken as it is.
static Result<std::shared_ptr<const Model>> runnable(const ReportOptions &options, const fs::path &model,
                                                     const fs::path &compiled) {
  QUANTC_ASSIGN(const InputKind kind, kindOf(model));
  if (kind == InputKind::Artifact)
    return Model::load(model);
  CompileOptions compile{.model = model, .output = compiled};
  compile.precision = Precision::Float;
  compile.formatFiles = options.formatFiles;
  compile.threads = options.threads;
  compile.progress = options.progress;
  QUANTC_TRY(compileModel(compile));
  return Model::load(compiled);
}

static Result<ordered_json> evaluationOf(const ReportOptions &options, const ReportSubject &subject) {
  QUANTC_ASSIGN(const AtomicDirectory folder,
                AtomicDirectory::create(fs::temp_directory_path() / fmt::format("quantc-report-{}", ::getpid())));
  QUANTC_ASSIGN(const auto before, runnable(options, subject.model, folder.folder() / "before.qm"));
  QUANTC_ASSIGN(const auto after, runnable(options, subject.output, folder.folder() / "after.qm"));
  QUANTC_ASSIGN(const auto tokenizer, loadTokenizer(subject.model));
  auto evaluation = [&](const std::string &phase) {
    return EvaluationOptions{.text = options.text,
                             .context = options.context,
                             .threads = options.threads,
                             .progress = [&options, phase](int64_t done, int64_t total, double) {
                               if (options.progress)
                                 options.progress(phase, uint64_t(done), uint64_t(total));
                             }};
  };
  QUANTC_ASSIGN(const Perplexity original, evaluate(before, *tokenizer, evaluation("evaluate before")));
  QUANTC_ASSIGN(const Perplexity made, evaluate(after, *tokenizer, evaluation("evaluate after"), before));
  return ordered_json{{"text", options.text.filename().string()},
                      {"context", options.context},
                      {"tokens", made.tokens},
                      {"before", {{"perplexity", original.perplexity}}},
                      {"after",
                       {{"perplexity", made.perplexity},
                        {"kl_divergence", made.klDivergence.value_or(0)},
                        {"top1", made.top1.value_or(0)}}}};
}

//===- The whole ------------------------------------------------------------------------------------------------===//

static ordered_json pointsOf(const std::vector<BudgetPoint> &points) {
  ordered_json all = ordered_json::array();
  for (const BudgetPoint &point : points) {
    all.push_back({{"bytes", point.bytes}, {"kl_divergence", point.divergence}});
    if (!point.what.empty())
      all.back()["format"] = point.what;
  }
  return all;
}

static ordered_json budgetOf(const BudgetPlan &plan) {
  ordered_json tensors = ordered_json::array();
  for (const BudgetTensor &tensor : plan.tensors) {
    ordered_json candidates = ordered_json::array();
    for (const Sensitivity &one : tensor.candidates)
      candidates.push_back({{"format", one.format}, {"bytes", one.bytes}, {"kl_divergence", one.divergence}});
    tensors.push_back({{"name", tensor.name},
                       {"chosen", tensor.candidates[tensor.chosen].format},
                       {"candidates", std::move(candidates)}});
  }
  return {{"bits_per_weight", plan.bitsPerWeight},
          {"bytes", plan.bytes},
          {"predicted_kl_divergence", plan.predicted},
          {"rounded_kl_divergence", plan.rounded},
          {"measured_kl_divergence", plan.measured ? ordered_json(*plan.measured) : ordered_json()},
          {"tokens", plan.tokens},
          {"frontier", pointsOf(plan.frontier)},
          {"uniform", pointsOf(plan.uniform)},
          {"tensors", std::move(tensors)}};
}

Result<ordered_json> quantc::makeReport(const ReportOptions &options, const ReportSubject &subject) {
  ordered_json report = {{"tool", "quantc " QUANTC_VERSION},
                         {"model", subject.model.string()},
                         {"output", subject.output.string()},
                         {"method", subject.method.names}};
  if (const CalibrationText &text = subject.method.calibration; !text.file.empty())
    report["calibration"] = {
        {"file", text.file.filename().string()}, {"sequences", text.sequences}, {"length", text.length}};
  double bytes = 0, weights = 0;
  for (const QuantizedTensor &tensor : subject.tensors) {
    double numbers = 1;
    for (int64_t extent : tensor.shape)
      numbers *= double(extent);
    weights += numbers;
    bytes += double(tensor.bytes);
  }
  report["bytes"] = bytes;
  report["bits_per_weight"] = bytes * 8 / weights;
  QUANTC_ASSIGN(report["tensors"], tensorsOf(options, subject));
  if (!options.text.empty()) {
    QUANTC_ASSIGN(report["evaluation"], evaluationOf(options, subject));
  }
  if (subject.budget)
    report["budget"] = budgetOf(*subject.budget);
  return report;
}

Status quantc::checkReport(const ReportOptions &options, const fs::path &output) {
  if (options.file.empty())
    return options.text.empty() ? Status() : fail("--report-text is for --report FILE, which is not given");
  const std::string extension = options.file.extension().string();
  if (extension != ".html" && extension != ".json")
    return fail("{}: a report is a page (.html) or its numbers (.json)", options.file.string());
  if (options.file.lexically_normal() == output.lexically_normal())
    return fail("{}: report and output have the same name", options.file.string());
  if (!options.text.empty())
    QUANTC_TRY(readText(options.text, uint64_t(1) << 30));
  QUANTC_TRY(AtomicFile::create(options.file));
  return {};
}

Status quantc::writeReport(const ReportOptions &options, const ReportSubject &subject) {
  QUANTC_ASSIGN(const ordered_json report, makeReport(options, subject));
  const std::string numbers = report.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
  if (options.file.extension() == ".html")
    QUANTC_TRY(writeFile(options.file, reportPage(report)));
  return writeFile(fs::path(options.file).replace_extension(".json"), numbers);
}
