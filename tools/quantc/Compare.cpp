//===- Compare.cpp - quantc compare: the error of each tensor ---------------------------------------------------===//

#include "Command.h"
#include "quantc/Driver/Progress.h"
#include "quantc/Driver/Weights.h"
#include "quantc/Encode/WeightError.h"
#include <algorithm>
#include <map>

using namespace quantc;

namespace {
struct Options {
  std::filesystem::path a, b;
};

struct Difference {
  std::string name;
  WeightError error;
};

Result<Difference> compare(const StoredTensor &a, const StoredTensor &b) {
  if (a.rows() != b.rows() || a.columns() != b.columns())
    return fail("'{}' is {} x {}, '{}' {} x {}", a.name, a.rows(), a.columns(), b.name, b.rows(), b.columns());
  Difference d{.name = a.role, .error = {}};
  const int64_t step = std::max<int64_t>(1, (1 << 20) / a.columns());
  std::vector<float> x(static_cast<size_t>(step * a.columns())), y(x.size());
  for (int64_t row = 0; row < a.rows(); row += step) {
    const int64_t rows = std::min(step, a.rows() - row);
    QUANTC_TRY(a.read(row, rows, x.data()));
    QUANTC_TRY(b.read(row, rows, y.data()));
    const size_t count = static_cast<size_t>(rows * a.columns());
    d.error += WeightError::of(std::span(x).first(count), std::span(y).first(count));
  }
  return d;
}

/// Files of models end the names of matrices and norms so, artifacts do not.
std::string withoutEnding(std::string role) {
  constexpr std::string_view ending = ".weight";
  if (role.ends_with(ending))
    role.resize(role.size() - ending.size());
  return role;
}

Status run(const Globals &globals, const Options &options) {
  QUANTC_ASSIGN(auto data, dataDirectory());
  QUANTC_ASSIGN(auto catalog, Catalog::open(data));
  QUANTC_ASSIGN(auto a, openTensors(options.a, *catalog));
  QUANTC_ASSIGN(auto b, openTensors(options.b, *catalog));
  std::map<std::string, const StoredTensor *> other;
  for (const StoredTensor &t : b)
    other[withoutEnding(t.role)] = &t;
  Progress progress("compare", globals.json);
  std::vector<Difference> all;
  std::vector<std::string> missing;
  for (size_t i = 0; i < a.size(); i++) {
    progress.update(i, a.size());
    auto found = other.find(withoutEnding(a[i].role));
    if (found == other.end()) {
      missing.push_back(a[i].name);
      continue;
    }
    QUANTC_ASSIGN(Difference d, compare(a[i], *found->second));
    all.push_back(std::move(d));
    other.erase(found);
  }
  for (auto &[role, tensor] : other)
    missing.push_back(tensor->name);
  std::ranges::sort(all, std::greater<>(), [](const Difference &d) { return d.error.nmse(); });
  const bool equal =
      missing.empty() && std::ranges::all_of(all, [](const Difference &d) { return d.error.largest == 0; });
  Json json = {{"equal", equal}, {"tensors", Json::array()}, {"only_in_one", missing}};
  std::string text;
  for (const Difference &d : all) {
    json["tensors"].push_back({{"name", d.name}, {"max_abs", d.error.largest}, {"nmse", d.error.nmse()}});
    text += fmt::format("{:44} largest difference {:10.4g}   NMSE {:10.4g}\n", d.name, d.error.largest, d.error.nmse());
  }
  for (const std::string &name : missing)
    text += fmt::format("{:44} is in one model only\n", name);
  printResult(globals, json, text + (equal ? "equal" : "different"));
  return {};
}
} // namespace

void quantc::addCompare(CLI::App &app, Globals &globals, Action &chosen) {
  auto options = std::make_shared<Options>();
  CLI::App *c = addCommand(
      app, globals, "compare", "the error of each tensor of one model against another, worst first",
      "  quantc compare model-directory model-q4.gguf", [&globals, options] { return run(globals, *options); }, chosen);
  c->add_option("a", options->a, "the model that is the truth")->required()->type_name("MODEL_A");
  c->add_option("b", options->b, "the other")->required()->type_name("MODEL_B");
}
