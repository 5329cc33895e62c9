//===- GPUTarget.cpp - one file of targets/ for a GPU -----------------------------------------------------------===//

#include "quantc/Target/GPUTarget.h"
#include "TargetFile.h"

using namespace quantc;
namespace fs = std::filesystem;

bool quantc::describesGPU(const fs::path &file) {
  const auto root = readTargetFile(file);
  return root && root->contains("family");
}

Result<GPUTarget> GPUTarget::load(const fs::path &file) {
  QUANTC_ASSIGN(const nlohmann::json root, readTargetFile(file));
  TargetReader r(root);
  GPUTarget t;
  t.name = file.stem().string();
  t.chip = r.text("chip");
  t.ptx = static_cast<unsigned>(r.number("ptx"));
  t.multiprocessors = r.number("multiprocessors");
  t.sharedBytes = r.number("shared_bytes");
  t.stream = {r.number("stream.tokens"), r.number("stream.warps")};
  t.tiled = {r.number("tiled.tokens"), r.number("tiled.rows"), r.number("tiled.warp_tokens"),
             r.number("tiled.warp_rows")};
  t.stages = static_cast<unsigned>(r.number("tiled.stages"));
  if (r.has("warp_groups"))
    t.warpGroups = {r.number("warp_groups.tokens"), r.number("warp_groups.rows"), r.number("warp_groups.stages")};
  t.dependentLaunch = r.has("dependent_launch") && r.flag("dependent_launch");
  t.activations = r.text("activations");
  t.rank = r.number("rank");
  r.require(r.text("family") == "cuda" && r.text("triple") == "nvptx64-nvidia-cuda",
            "describes no GPU of the family 'cuda' with the triple 'nvptx64-nvidia-cuda'");
  r.require(r.number("storage.rows") == 16, "'storage.rows' must be 16: those of a matrix instruction");
  r.require(t.stages >= 2 && t.tiled[0] % t.tiled[2] == 0 && t.tiled[1] % t.tiled[3] == 0 && t.tiled[3] % 16 == 0 &&
                t.tiled[2] % 8 == 0 && t.stream[0] % 8 == 0,
            "tiles of warps (multiples of 8 tokens and 16 rows) must divide those of blocks, in 2 stages or more");
  r.require(!t.warpGroups || (t.warpGroups->tokens % 8 == 0 && t.warpGroups->tokens <= 256 &&
                              t.warpGroups->rows % 64 == 0 && t.warpGroups->stages >= 2),
            "'warp_groups' take a multiple of 8 tokens (256 at most) and of 64 rows, in 2 stages or more");
  QUANTC_TRY(r.status(file));
  return t;
}

Result<GPUTarget> GPUTarget::find(std::string_view name, const fs::path &directory) {
  return findTarget<GPUTarget>(name, directory, "GPU");
}

Result<std::vector<GPUTarget>> GPUTarget::all(const fs::path &directory) {
  return allTargets<GPUTarget>(directory, true);
}
