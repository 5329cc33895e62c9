//===- Target.cpp - one file of targets/ for a GPU --------------------------------------------------------------===//

#include "quantc/CodeGen/NVPTX/Target.h"
#include "quantc/Support/Json.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

namespace fs = std::filesystem;
using namespace quantc;
using nlohmann::json;

bool quantc::describesGPU(const fs::path &file) {
  Result<json> root = readJsonObject(file, 1 << 20);
  return root && root->value("family", json()) == "cuda";
}

namespace {
/// Reads numbers and remembers the first key that is missing or has a wrong type.
struct Reader {
  const json &root;
  std::string problem;

  const json *at(const char *group, const char *key) {
    const json *object = &root;
    if (*group)
      object = root.contains(group) && root[group].is_object() ? &root[group] : nullptr;
    if (object && object->contains(key))
      return &(*object)[key];
    note(group, key, "is missing");
    return nullptr;
  }
  int64_t number(const char *group, const char *key) {
    const json *value = at(group, key);
    if (value && value->is_number_integer() && *value > 0 && *value <= 1 << 20)
      return value->get<int64_t>();
    note(group, key, "is no positive number");
    return 1;
  }
  std::string word(const char *group, const char *key) {
    const json *value = at(group, key);
    if (value && value->is_string())
      return value->get<std::string>();
    note(group, key, "is no text");
    return "";
  }
  void note(const char *group, const char *key, const char *what) {
    if (problem.empty())
      problem = fmt::format("'{}{}{}' {}", group, *group ? "." : "", key, what);
  }
};
} // namespace

Result<GPUTarget> GPUTarget::load(const fs::path &file) {
  QUANTC_ASSIGN(const json root, readJsonObject(file, 1 << 20));
  Reader r{root, {}};
  GPUTarget t;
  t.name = file.stem().string();
  t.chip = r.word("", "chip");
  t.ptx = static_cast<unsigned>(r.number("", "ptx"));
  t.sharedBytes = r.number("", "shared_bytes");
  t.stream = {r.number("stream", "tokens"), r.number("stream", "warps")};
  t.tiled = {r.number("tiled", "tokens"), r.number("tiled", "rows"), r.number("tiled", "warp_tokens"),
             r.number("tiled", "warp_rows")};
  t.stages = static_cast<unsigned>(r.number("tiled", "stages"));
  t.rank = r.number("", "rank");
  if (r.problem.empty() && (r.word("", "family") != "cuda" || r.word("", "triple") != "nvptx64-nvidia-cuda"))
    r.problem = "describes no GPU of the family 'cuda' with the triple 'nvptx64-nvidia-cuda'";
  if (r.problem.empty() && r.number("storage", "rows") != 16)
    r.problem = "'storage.rows' must be 16: those of a matrix instruction";
  if (r.problem.empty() && (t.stages < 2 || t.tiled[0] % t.tiled[2] || t.tiled[1] % t.tiled[3] || t.tiled[3] % 16 ||
                            t.tiled[2] % 8 || t.stream[0] % 8))
    r.problem = "tiles of warps (multiples of 8 tokens and 16 rows) must divide those of blocks, in 2 stages or more";
  if (!r.problem.empty())
    return fail("{}: {}", file.string(), r.problem);
  return t;
}

Result<GPUTarget> GPUTarget::find(std::string_view name, const fs::path &directory) {
  fs::path file = directory / "targets" / (std::string(name) + ".json");
  std::error_code error;
  if (name.find('/') == std::string_view::npos && fs::exists(file, error))
    return load(file);
  QUANTC_ASSIGN(std::vector<GPUTarget> targets, all(directory));
  std::vector<std::string> names;
  for (const GPUTarget &target : targets)
    names.push_back(target.name);
  return fail("there is no GPU '{}'; there are {}", name, llvm::join(names, ", "));
}

Result<std::vector<GPUTarget>> GPUTarget::all(const fs::path &directory) {
  std::error_code error;
  std::vector<GPUTarget> targets;
  for (const fs::directory_entry &entry : fs::directory_iterator(directory / "targets", error))
    if (entry.path().extension() == ".json" && describesGPU(entry.path())) {
      QUANTC_ASSIGN(GPUTarget target, load(entry.path()));
      targets.push_back(std::move(target));
    }
  if (error)
    return fail("{}: cannot list targets: {}", (directory / "targets").string(), error.message());
  llvm::sort(targets, [](const GPUTarget &a, const GPUTarget &b) {
    return std::tie(a.rank, a.name) < std::tie(b.rank, b.name);
  });
  return targets;
}

qf::GPUTargetAttr GPUTarget::attribute(mlir::MLIRContext *context) const {
  context->getOrLoadDialect<qf::QFDialect>();
  return qf::GPUTargetAttr::get(context, name, chip, ptx, sharedBytes, stream, tiled, stages);
}

void GPUTarget::attach(mlir::Operation *module) const {
  module->setAttr("qf.gpu", attribute(module->getContext()));
}
