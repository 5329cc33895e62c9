//===- DescriptionFuzzer.cpp - hostile policies and architectures -----------------------------------------------===//

#include "FuzzFiles.h"
#include "quantc/Import/Architecture.h"
#include "quantc/Policy/Policy.h"

using namespace fuzz;
using namespace quantc;

static ordered_json read(const char *name) {
  return ordered_json::parse(readText(std::filesystem::path(QUANTC_SOURCE_DIR) / name).value());
}

/// With every third of the tensors and parameters: of each kind there are some.
static ordered_json fewParts() {
  ordered_json decoder = read("architectures/decoder.json");
  for (const char *section : {"tensors", "parameters"}) {
    ordered_json few;
    size_t number = 0;
    for (const auto &[role, names] : decoder[section].items())
      if (number++ % 3 == 0)
        few[role] = names;
    decoder[section] = few;
  }
  return decoder;
}

static const ordered_json &seed() {
  static const ordered_json tree = {{"policy.json", read("policies/q4_k_m.json")},
                                    {"fallbacks.json", read("policies/fallbacks.json")},
                                    {"decoder.json", fewParts()},
                                    {"llama.json", read("architectures/llama.json")}};
  return tree;
}

static void usePolicy(const std::filesystem::path &path) {
  static const std::shared_ptr<Catalog> catalog = std::move(Catalog::open(QUANTC_SOURCE_DIR).value());
  const auto policy = Policy::load(path.string(), QUANTC_SOURCE_DIR);
  expectMessage(policy);
  if (policy)
    for (const PolicyTensor &tensor :
         {PolicyTensor{"blk.1.attn_v.weight", 64, 256}, PolicyTensor{"token_embd.weight", 7, 96},
          PolicyTensor{"blk.99999999999999999999.x", 1, 1}, PolicyTensor{"blk.", 3, 32}})
      expectMessage(policy->formatOf(tensor, {.layers = 2, .heads = 8, .kvHeads = 2, .tied = true}, *catalog));
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static Folder folder;
  const ordered_json tree = treeOf(data, size);
  if (!tree.is_object())
    return -1;
  folder.hold(tree);
  usePolicy(folder.path / "policy.json");
  const auto all = Architectures::load(folder.path);
  expectMessage(all);
  if (all)
    for (const Architecture &architecture : all->all())
      for (const auto &[role, names] : architecture.tensors)
        for (ModelKind kind : {ModelKind::HuggingFace, ModelKind::Gguf})
          (void)architecture.tensorName(kind, role, 3);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t maxSize, unsigned random) {
  return mutateTree(data, size, maxSize, random, seed());
}
