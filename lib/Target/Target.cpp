//===- Target.cpp - one file of targets/ ------------------------------------------------------------------------===//

#include "quantc/Target/Target.h"
#include "TargetFile.h"

using namespace quantc;
namespace fs = std::filesystem;

Result<Target> Target::load(const fs::path &file) {
  QUANTC_ASSIGN(const nlohmann::json root, readTargetFile(file));
  Target t;
  t.name = file.stem().string();
  if (root.contains("family"))
    return fail("{} is a GPU: for GPUs there are only single kernels yet, by 'quantc kernels'", t.name);
  TargetReader r(root);
  t.triple = r.text("triple");
  t.cpu = r.text("cpu");
  t.features = r.texts("features");
  t.required = r.texts("requires");
  t.dot = r.texts("dot");
  t.dotIsSigned = r.has("dot_is_signed") && r.flag("dot_is_signed");
  t.words = r.text("words");
  t.permute = r.text("permute");
  t.shuffle = r.text("shuffle");
  t.lanes = static_cast<unsigned>(r.number("lanes"));
  t.rows = static_cast<unsigned>(r.number("storage.rows"));
  t.tiles = {r.number("tiles.task_tokens"), r.number("tiles.task_rows"), r.number("tiles.tokens")};
  t.rank = r.number("rank");
  if (r.has("halves"))
    t.halves = r.text("halves");
  if (r.has("choose"))
    t.choose = r.text("choose");
  if (r.has("permute_words"))
    t.permuteWords = r.text("permute_words");
  if (r.has("matrix"))
    t.matrix = {r.number("matrix.tokens"), r.text("matrix.zero"),  r.text("matrix.load"),
                r.text("matrix.store"),    r.text("matrix.bytes"), r.text("matrix.signed_bytes"),
                r.text("matrix.halves")};
  r.require(!t.dotIsSigned || t.dot.size() == 1, "'dot_is_signed' is about one intrinsic");
  r.require(t.dot.size() <= 2 && t.rows % t.lanes == 0,
            "'dot' has at most two intrinsics, and 'lanes' divides the rows of a block");
  QUANTC_TRY(r.status(file));
  return t;
}

Result<Target> Target::find(std::string_view name, const fs::path &directory) {
  return findTarget<Target>(name, directory, "target");
}

Result<std::vector<Target>> Target::all(const fs::path &directory) {
  return allTargets<Target>(directory, false);
}
