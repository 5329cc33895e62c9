//===- EvidenceArguments.cpp - budgets and reports of what quantizes --------------------------------------------===//

#include "EvidenceArguments.h"
#include "DryRun.h"
#include "quantc/Driver/Progress.h"
#include "quantc/Support/Files.h"
#include "quantc/Support/Spool.h"

using namespace quantc;
namespace fs = std::filesystem;

void quantc::addEvidence(CLI::App *c, EvidenceArguments &a) {
  c->add_option(
       "--budget", a.budget,
       "find the format of each tensor by what it harms on the text of --calib, or the one that comes with quantc: "
       "4.25bpw, 3.9GB, or kld=0.02")
      ->check([](const std::string &text) {
        const auto budget = Budget::parse(text);
        return budget ? std::string() : budget.error().message;
      })
      ->excludes("--format")
      ->excludes("--policy");
  c->add_option("--candidates", a.candidates,
                "formats that a budget chooses from, separated by commas; default: formats/candidates.json")
      ->delimiter(',');
  c->add_option("--budget-tokens", a.tokens, "tokens of the text that a budget measures on")
      ->capture_default_str()
      ->check(CLI::Range(16, 1 << 24));
  c->add_option("--save-policy", a.savePolicy, "a file for the formats that a budget chose, for --policy");
  c->add_option("--report", a.report.file,
                "a page (.html, with its numbers as .json beside it), or the numbers alone (.json): errors, "
                "distributions, and what follows");
  c->add_option("--report-text", a.report.text, "a text that the report evaluates both models on");
  c->add_option("--report-ctx", a.report.context, "tokens of a chunk of that text")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(4), int64_t(1) << 24));
}

Result<BudgetOptions> Evidence::budgetFor(const MethodChoices &method) const {
  if (method.calibration.file.empty())
    fmt::print(stderr, "quantc: the budget is measured on the text that comes with quantc; name one like yours by "
                       "--calib\n");
  for (const char *statistics : {".safetensors", ".gguf", ".dat"})
    if (method.calibration.file.extension() == statistics)
      return fail("{}: a budget runs the model on a text, and statistics are none: give the text by --calib",
                  method.calibration.file.string());
  return BudgetOptions{.model = task.model,
                       .formatFiles = task.formatFiles,
                       .budget = arguments.budget,
                       .candidates = arguments.candidates,
                       .text = method.calibration,
                       .tokens = arguments.tokens,
                       .kernelStorage = task.kernelStorage,
                       .output = task.output,
                       .threads = globals.threads,
                       .fresh = method.fresh,
                       .note = method.note};
}

Status Evidence::dryRun(const MethodChoices &method) {
  QUANTC_ASSIGN(budget, budgetFor(method));
  QUANTC_ASSIGN(const QuantizePlan measurements, planMeasurements(budget));
  printPlan(globals, measurements, "policy");
  fmt::print(stderr,
             "quantc: that is what the measurements of the budget take; what they choose is not known before\n");
  return {};
}

Status Evidence::begin(std::string &policy, MethodChoices &method) {
  QUANTC_TRY(checkReport(arguments.report, task.output));
  if (arguments.budget.empty()) {
    if (!arguments.savePolicy.empty() || !arguments.candidates.empty())
      return fail("--save-policy and --candidates are for --budget, which is not given");
    return {};
  }
  std::optional<AtomicFile> out; // made ahead: nothing is measured for a file that cannot be written
  if (!arguments.savePolicy.empty()) {
    QUANTC_ASSIGN(AtomicFile file, AtomicFile::create(arguments.savePolicy));
    out.emplace(std::move(file));
  }
  QUANTC_ASSIGN(budget, budgetFor(method));
  {
    Progress progress("budget", globals.json);
    budget.progress = [&](uint64_t done, uint64_t total, const std::string &tensor) {
      progress.update(done, total, tensor);
    };
    QUANTC_ASSIGN(plan, planBudget(budget));
    budget.progress = nullptr;
  }
  const std::string text = plan->policy().dump(1) + "\n";
  if (out) {
    QUANTC_TRY(out->write(text));
    QUANTC_TRY(out->commit());
    policy = fs::absolute(arguments.savePolicy).string();
  } else {
    QUANTC_TRY(plan->kept->put("budget", std::as_bytes(std::span(text))));
    policy = fs::absolute(plan->kept->fileOf("budget")).string();
  }
  if (method.names == "rtn")
    method.calibration.file.clear();
  return {};
}

/// Where weights were rounded to nearest that is known. Kernels of artifacts round activations too: those are measured
/// by a report.
Status Evidence::measure(const MethodChoices &method) {
  if (method.names == "rtn") {
    plan->measured = plan->rounded;
  } else if (!task.kernelStorage) {
    QUANTC_ASSIGN(plan->measured, measureDivergence(budget, task.output));
  }
  return {};
}

Status Evidence::finish(const MethodChoices &method,
                        const std::function<Result<std::vector<QuantizedTensor>>()> &tensors) {
  if (plan) {
    QUANTC_TRY(measure(method));
    QUANTC_TRY(plan->kept->remove());
  }
  if (arguments.report.file.empty())
    return {};
  ReportOptions options = arguments.report;
  options.formatFiles = task.formatFiles;
  options.threads = globals.threads;
  options.progress = [&, bar = std::shared_ptr<Progress>(),
                      last = std::string()](const std::string &phase, uint64_t done, uint64_t total) mutable {
    if (phase != last)
      bar = std::make_shared<Progress>(last = phase, globals.json);
    bar->update(done, total);
  };
  ReportSubject subject{.model = task.model, .output = task.output, .method = method, .budget = plan};
  QUANTC_ASSIGN(subject.tensors, tensors());
  return writeReport(options, subject);
}

void Evidence::addTo(Json &json, std::string &text) const {
  if (!arguments.report.file.empty())
    json["report"] = arguments.report.file.string();
  if (!plan)
    return;
  json["budget"] = {{"bits_per_weight", plan->bitsPerWeight},
                    {"bytes", plan->bytes},
                    {"predicted_kl_divergence", plan->predicted},
                    {"rounded_kl_divergence", plan->rounded},
                    {"measured_kl_divergence", plan->measured ? Json(*plan->measured) : Json()},
                    {"tokens", plan->tokens}};
  text += fmt::format("budget: {:.4f} bits per weight, {:.2f} MB; KL divergence on {} tokens {:.4g} by the sum, {:.4g} "
                      "rounded to nearest{}\n",
                      plan->bitsPerWeight, plan->bytes / 1e6, plan->tokens, plan->predicted, plan->rounded,
                      plan->measured ? fmt::format(", {:.4g} as written", *plan->measured) : "");
}
