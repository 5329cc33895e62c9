//===- Target.cpp - one file of targets/ ------------------------------------------------------------------------===//

#include "quantc/CodeGen/Target.h"
#include "mlir/IR/Builders.h"
#include "quantc/Support/Json.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

namespace fs = std::filesystem;
using namespace quantc;
using nlohmann::json;

/// Reads keys of one object and remembers the first that is missing or has a wrong type.
namespace {
struct Reader {
  const json &object;
  std::string problem;

  template <typename T> void read(const char *key, T &value) {
    auto it = object.find(key);
    if (it == object.end())
      return note(fmt::format("'{}' is missing", key));
    if (!fits(*it, value))
      return note(fmt::format("'{}' has a wrong type or value", key));
    value = it->get<T>();
  }
  void note(std::string what) {
    if (problem.empty())
      problem = std::move(what);
  }

private:
  static bool fits(const json &v, const std::string &) { return v.is_string(); }
  static bool fits(const json &v, const std::vector<std::string> &) {
    return v.is_array() && llvm::all_of(v, [](const json &e) { return e.is_string(); });
  }
  static bool fits(const json &v, const json &) { return v.is_object(); }
  template <typename Int>
    requires std::is_integral_v<Int>
  static bool fits(const json &v, const Int &) {
    return v.is_number_integer() && v.get<int64_t>() >= 0 && v.get<int64_t>() <= 1 << 20;
  }
};
} // namespace

Result<Target> Target::load(const fs::path &file) {
  QUANTC_ASSIGN(json root, readJsonObject(file, 1 << 20));
  Target target;
  target.name = file.stem().string();
  if (root.contains("family"))
    return fail("{} is a GPU: for GPUs there are only single kernels yet, by 'quantc kernels'", target.name);
  json storage = json::object(), tiles = json::object();
  int64_t taskTokens = 0, taskRows = 0, tokens = 0;
  auto read = [&](const json &object, auto... keys) {
    Reader reader{object, {}};
    (reader.read(keys.first, *keys.second), ...);
    return reader.problem;
  };
  std::string problem = read(
      root, std::pair("triple", &target.triple), std::pair("cpu", &target.cpu), std::pair("features", &target.features),
      std::pair("requires", &target.required), std::pair("dot", &target.dot), std::pair("words", &target.words),
      std::pair("permute", &target.permute), std::pair("shuffle", &target.shuffle), std::pair("lanes", &target.lanes),
      std::pair("storage", &storage), std::pair("tiles", &tiles), std::pair("rank", &target.rank));
  if (problem.empty())
    problem = read(storage, std::pair("rows", &target.rows));
  if (problem.empty())
    problem = read(tiles, std::pair("task_tokens", &taskTokens), std::pair("task_rows", &taskRows),
                   std::pair("tokens", &tokens));
  if (problem.empty() && (target.dot.size() > 2 || target.rows == 0 || target.lanes == 0 || target.rows % target.lanes))
    problem = "'dot' has at most two intrinsics, and 'lanes' divides the rows of a block";
  if (problem.empty() && (taskTokens == 0 || taskRows == 0 || tokens == 0))
    problem = "tile sizes must be positive";
  if (!problem.empty())
    return fail("{}: {}", file.string(), problem);
  target.tiles = {taskTokens, taskRows, tokens};
  return target;
}

Result<Target> Target::find(std::string_view name, const fs::path &directory) {
  fs::path file = directory / "targets" / (std::string(name) + ".json");
  std::error_code error;
  if (name.find('/') == std::string_view::npos && fs::exists(file, error))
    return load(file);
  QUANTC_ASSIGN(std::vector<Target> targets, all(directory));
  std::vector<std::string> names;
  for (const Target &target : targets)
    names.push_back(target.name);
  return fail("there is no target '{}'; there are {}", name, llvm::join(names, ", "));
}

Result<std::vector<Target>> Target::all(const fs::path &directory) {
  std::error_code error;
  std::vector<Target> targets;
  for (const fs::directory_entry &entry : fs::directory_iterator(directory / "targets", error)) {
    if (entry.path().extension() != ".json" ||
        readJsonObject(entry.path(), 1 << 20).value_or(json()).contains("family"))
      continue; // a GPU: see NVPTX/Target.h
    QUANTC_ASSIGN(Target target, load(entry.path()));
    targets.push_back(std::move(target));
  }
  if (error)
    return fail("{}: cannot list targets: {}", (directory / "targets").string(), error.message());
  llvm::sort(targets,
             [](const Target &a, const Target &b) { return std::tie(a.rank, a.name) < std::tie(b.rank, b.name); });
  return targets;
}

qf::TargetAttr Target::attribute(mlir::MLIRContext *context) const {
  context->getOrLoadDialect<qf::QFDialect>();
  mlir::Builder builder(context);
  llvm::SmallVector<llvm::StringRef> intrinsics(dot.begin(), dot.end());
  return qf::TargetAttr::get(context, name, triple, cpu, llvm::join(features, ","), builder.getStrArrayAttr(intrinsics),
                             builder.getStringAttr(permute), builder.getStringAttr(shuffle), lanes, rows, tiles,
                             words.empty() ? mlir::StringAttr() : builder.getStringAttr(words));
}

void Target::attach(mlir::Operation *module) const {
  module->setAttr("qf.target", attribute(module->getContext()));
}
