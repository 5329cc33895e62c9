//===- ModelShape.cpp - how large the tensors of a model are ----------------------------------------------------===//

#include "ModelShape.h"
#include "OpenModel.h"
#include "quantc/Dialect/NN/NN.h"
#include "quantc/Import/ModelConfig.h"
#include "quantc/Support/Files.h"
#include "quantc/Support/Json.h"
#include "quantc/Transforms/Weights.h"

using namespace mlir;
using namespace quantc;
namespace fs = std::filesystem;

static void addCache(ModelShape &shape, double layers, double kvHeads, double headDim) {
  shape.kvNumbers = 2 * layers * kvHeads * headDim;
}

static Result<ModelShape> shapeOfTensors(const fs::path &model) {
  QUANTC_ASSIGN(const OpenedModel opened, openModel(model, {}));
  QUANTC_ASSIGN(OwningOpRef<ModuleOp> module, opened.graph());
  ModelShape shape;
  auto number = [&](StringRef name) {
    auto attribute = (*module)->getAttrOfType<DictionaryAttr>(nn::modelAttrName).getAs<IntegerAttr>(name);
    return attribute ? attribute.getInt() : 0;
  };
  shape.context = number("context");
  addCache(shape, double(number("layers")), double(number("kv_heads")), double(number("head_dim")));
  const auto read = matrices(*module);
  for (nn::WeightOp weight : module->getOps<nn::WeightOp>()) {
    auto type = cast<RankedTensorType>(weight.getType());
    // A table that is the head too is read whole.
    const bool isTable = weight.getSymName() == "token_embd" && module->lookupSymbol("output");
    if (llvm::is_contained(read, weight))
      shape.matrices.push_back({weight.getSymName().str(), type.getDimSize(0), type.getDimSize(1), isTable});
    else if (isa<nn::SourceAttr>(weight.getFrom()))
      shape.vectors += double(type.getNumElements());
  }
  return shape;
}

/// The same as the importer builds (lib/Import/BuildGraph.cpp); biases that a model may have or not are left out.
static Result<ModelShape> shapeOfConfig(const fs::path &file) {
  QUANTC_ASSIGN(const nlohmann::json json, readJsonObject(file));
  const auto names = json.find("architectures");
  if (names == json.end() || !names->is_array() || names->empty() || !names->front().is_string())
    return fail("{}: no configuration of a Hugging Face model: it names no architecture", file.string());
  QUANTC_ASSIGN(const fs::path data, dataDirectory());
  QUANTC_ASSIGN(const Architectures all, Architectures::load(data / "architectures"));
  auto build = [&]() -> Result<ModelShape> {
    QUANTC_ASSIGN(const Architecture *architecture,
                  all.find(ModelKind::HuggingFace, names->front().get<std::string>()));
    QUANTC_ASSIGN(const ModelConfig config, readModelConfig(*architecture, ModelKind::HuggingFace, json));
    const bool isTied = config.tied.value_or(false);
    ModelShape shape{.context = config.context};
    addCache(shape, double(config.layers), double(config.kvHeads), double(config.headDim));
    auto add = [&](const std::string &role, int64_t layer, int64_t rows, int64_t columns) {
      const std::string name = layer < 0 ? role : fmt::format("blk.{}.{}", layer, role);
      shape.matrices.push_back({name, rows, columns, role == "token_embd" && !isTied});
      if (architecture->bias(role) == Presence::Required)
        shape.vectors += double(rows);
    };
    const int64_t queries = config.heads * config.headDim, keys = config.kvHeads * config.headDim;
    add("token_embd", -1, config.vocab, config.hidden);
    for (int64_t layer = 0; layer < config.layers; ++layer) {
      add("attn_q", layer, queries, config.hidden);
      add("attn_k", layer, keys, config.hidden);
      add("attn_v", layer, keys, config.hidden);
      add("attn_output", layer, config.hidden, queries);
      add("ffn_gate", layer, config.ffn, config.hidden);
      add("ffn_up", layer, config.ffn, config.hidden);
      add("ffn_down", layer, config.hidden, config.ffn);
      shape.vectors += double(2 * config.hidden + (architecture->qkNorm ? 2 * config.headDim : 0));
    }
    shape.vectors += double(config.hidden);
    if (!isTied)
      add("output", -1, config.vocab, config.hidden);
    return shape;
  };
  auto shape = build();
  return shape ? shape : failAt(file.string(), shape.error());
}

Result<ModelShape> quantc::shapeOfModel(const fs::path &model) {
  return model.extension() == ".json" ? shapeOfConfig(model) : shapeOfTensors(model);
}
