//===- BuildGraph.cpp - the graph of a decoder from its parameters ----------------------------------------------===//
//
// One class: it declares weights as layers ask for them by role, checks each against the checkpoint, and remembers the
// first error, so that the code that builds layers reads as the model does.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "BuildGraph.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/Verifier.h"
#include "quantc/Dialect/NN/NN.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Import/BoundWeight.h"
#include <set>

using namespace mlir;
using namespace quantc;

namespace {

/// Rows of the table of angles at step 1.
constexpr int64_t angleRows = 1024;

class GraphBuilder {
public:
  GraphBuilder(const Checkpoint &checkpoint, const Architecture &architecture, const ModelConfig &config,
               MLIRContext &context)
      : checkpoint(checkpoint), architecture(architecture), config(config), builder(&context),
        location(UnknownLoc::get(&context)) {}

  Result<OwningOpRef<ModuleOp>> build();

private:
  // Weights.
  const CheckpointTensor *tensor(const std::string &role, int64_t layer);
  std::string symbolOf(const std::string &role, int64_t layer);
  Value get(StringRef symbol, RankedTensorType type, Attribute from);
  Value weight(const std::string &role, int64_t layer, ArrayRef<int64_t> shape);
  Value optionalBias(const std::string &role, int64_t layer, int64_t size);
  Type elementType(const CheckpointTensor &tensor, bool matrix);
  std::pair<Value, Value> angles();

  // Layers.
  RankedTensorType activations(int64_t features) {
    return RankedTensorType::get({ShapedType::kDynamic, features}, builder.getF32Type());
  }
  Value linear(Value x, const std::string &role, int64_t layer, int64_t outputs, int64_t inputs);
  Value inOrder(Value x, const std::string &role, int64_t layer);
  Value norm(Value x, const std::string &role, int64_t layer, int64_t size);
  Value rope(Value x);
  struct Cache {
    Value keys, values;
  };
  Value attentionPart(Value x, int64_t layer, Cache &cache);
  Value feedForwardPart(Value x, int64_t layer);
  SmallVector<Value> stage(const Twine &name, TypeRange results, function_ref<SmallVector<Value>()> body);

  // The whole.
  void forward();
  Value embed(Value tokens);
  Value head(Value x, Value rows);
  void describeModel();
  void checkLeftOver();

  void fail(std::string message) {
    if (!error)
      error = Error{std::move(message)};
  }

  const Checkpoint &checkpoint;
  const Architecture &architecture;
  const ModelConfig &config;
  OpBuilder builder;
  Location location;
  ModuleOp module;
  Block *weights = nullptr; ///< where nn.weight ops go
  Value past;
  int64_t vocab = 0;
  std::set<std::string> symbols, used; ///< weights declared; tensors of the file that have a place
  /// Inputs of linears in another order, by input and order.
  std::map<std::pair<void *, std::vector<int64_t>>, Value> permuted;
  std::optional<Error> error;
};

std::string shapeText(ArrayRef<int64_t> shape) {
  std::string text;
  for (int64_t size : shape)
    text += (text.empty() ? "" : " x ") + std::to_string(size);
  return text;
}

//===- Weights --------------------------------------------------------------------------------------------------===//

const CheckpointTensor *GraphBuilder::tensor(const std::string &role, int64_t layer) {
  std::string name = architecture.tensorName(checkpoint.kind(), role, layer);
  const CheckpointTensor *found = checkpoint.find(name);
  if (found)
    used.insert(name);
  return found;
}

Value GraphBuilder::get(StringRef symbol, RankedTensorType type, Attribute from) {
  if (symbols.insert(symbol.str()).second) {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToEnd(weights);
    nn::WeightOp::create(builder, location, symbol, type, from, /*hash=*/nullptr);
  }
  return nn::GetOp::create(builder, location, type, symbol);
}

/// Vectors are widened to f32 when they are read, which is exact; matrices keep what the file has.
Type GraphBuilder::elementType(const CheckpointTensor &tensor, bool matrix) {
  Type floats = llvm::StringSwitch<Type>(tensor.format)
                    .Case("f32", builder.getF32Type())
                    .Case("f16", builder.getF16Type())
                    .Case("bf16", builder.getBF16Type())
                    .Default(nullptr);
  if (!matrix && !floats)
    fail(fmt::format("tensor '{}' has format {}; norms and biases must be floats", tensor.name, tensor.format));
  if (!matrix)
    return builder.getF32Type();
  if (floats)
    return floats;
  auto elem = qf::ElemType::of(builder.getContext(), tensor.format);
  if (!elem)
    fail(elem.error().message);
  return elem ? Type(*elem) : Type(builder.getF32Type());
}

/// Symbols are the names in GGUF files, which are short, without the suffix that all have.
std::string GraphBuilder::symbolOf(const std::string &role, int64_t layer) {
  std::string symbol = architecture.tensorName(ModelKind::Gguf, role, layer);
  if (StringRef(symbol).ends_with(".weight"))
    symbol.resize(symbol.size() - strlen(".weight"));
  return symbol;
}

Value GraphBuilder::weight(const std::string &role, int64_t layer, ArrayRef<int64_t> shape) {
  Type element = builder.getF32Type();
  nn::SourceAttr source = nn::SourceAttr::get(builder.getContext(), "", "", 0);
  if (const CheckpointTensor *found = tensor(role, layer)) {
    if (ArrayRef(found->shape) != shape)
      fail(fmt::format("tensor '{}' has shape {}, but the configuration says {}", found->name, shapeText(found->shape),
                       shapeText(shape)));
    element = elementType(*found, shape.size() > 1);
    source = nn::SourceAttr::get(builder.getContext(), found->file, found->name, 0);
  } else {
    fail(fmt::format("tensor '{}' is missing", architecture.tensorName(checkpoint.kind(), role, layer)));
  }
  return get(symbolOf(role, layer), RankedTensorType::get(shape, element), source);
}

Value GraphBuilder::optionalBias(const std::string &role, int64_t layer, int64_t size) {
  Presence presence = architecture.bias(role);
  if (auto said = config.biases.find(role); said != config.biases.end())
    presence = said->second ? Presence::Required : Presence::Never;
  bool present = presence == Presence::Required || (presence == Presence::Optional && tensor(role + ".bias", layer));
  return present ? weight(role + ".bias", layer, {size}) : Value();
}

/// Angles of positions 0, 1, … and of the multiples of `angleRows`, up to the context of the model.
std::pair<Value, Value> GraphBuilder::angles() {
  auto frequencies = builder.getDenseF64ArrayAttr(config.frequencies);
  int64_t pairs = config.frequencies.size();
  auto table = [&](StringRef symbol, int64_t rows, int64_t step) {
    auto type = RankedTensorType::get({rows, 2, pairs}, builder.getF32Type());
    return get(symbol, type, nn::AnglesAttr::get(builder.getContext(), step, frequencies));
  };
  int64_t multiples = (config.context + angleRows - 1) / angleRows;
  return {table("rope.low", angleRows, 1), table("rope.high", multiples, angleRows)};
}

//===- Layers ---------------------------------------------------------------------------------------------------===//

/// x in the order in which the weight of a linear has its columns.
Value GraphBuilder::inOrder(Value x, const std::string &role, int64_t layer) {
  const CheckpointTensor *found = tensor(role, layer);
  if (!found || !found->bound || found->bound->order().empty())
    return x;
  // Weights that read the same input mostly agree.
  Value &ordered = permuted[{x.getAsOpaquePointer(), found->bound->order()}];
  if (!ordered) {
    auto type = RankedTensorType::get({found->shape[1]}, builder.getI32Type());
    std::string symbol = symbolOf(role, layer) + ".columns";
    Value columns = get(symbol, type, nn::ColumnsAttr::get(builder.getContext(), found->file, found->name));
    ordered = nn::GatherOp::create(builder, location, x.getType(), x, columns);
  }
  return ordered;
}

Value GraphBuilder::linear(Value x, const std::string &role, int64_t layer, int64_t outputs, int64_t inputs) {
  SmallVector<Value> biases;
  Value matrix = weight(role, layer, {outputs, inputs});
  if (Value bias = optionalBias(role, layer, outputs))
    biases.push_back(bias);
  return nn::LinearOp::create(builder, location, TypeRange(activations(outputs)), inOrder(x, role, layer),
                              ValueRange(matrix), biases,
                              /*residual=*/Value(), /*gate=*/nullptr)
      .getResult(0);
}

Value GraphBuilder::norm(Value x, const std::string &role, int64_t layer, int64_t size) {
  Value scale = weight(role, layer, {size});
  return nn::RmsNormOp::create(builder, location, x.getType(), x, scale, builder.getF32FloatAttr(config.eps));
}

Value GraphBuilder::rope(Value x) {
  auto [low, high] = angles();
  auto style = architecture.rope(checkpoint.kind()) == RopePairs::Half ? nn::RopeStyle::Half : nn::RopeStyle::Adjacent;
  return nn::RopeOp::create(builder, location, x.getType(), x, past, low, high, config.headDim, style);
}

Value GraphBuilder::attentionPart(Value x, int64_t layer, Cache &cache) {
  int64_t queries = config.heads * config.headDim, keys = config.kvHeads * config.headDim;
  Value normed = norm(x, "attn_norm", layer, config.hidden);
  Value q = linear(normed, "attn_q", layer, queries, config.hidden);
  Value k = linear(normed, "attn_k", layer, keys, config.hidden);
  Value v = linear(normed, "attn_v", layer, keys, config.hidden);
  if (architecture.qkNorm) {
    q = norm(q, "attn_q_norm", layer, config.headDim);
    k = norm(k, "attn_k_norm", layer, config.headDim);
  }
  q = rope(q);
  k = rope(k);
  auto append = nn::KvAppendOp::create(builder, location, cache.keys.getType(), cache.values.getType(), k, v, past,
                                       cache.keys, cache.values);
  cache = {append.getNewKeys(), append.getNewValues()};
  int64_t window = config.windows[layer];
  Value mixed = nn::AttentionOp::create(builder, location, activations(queries), q, cache.keys, cache.values, past,
                                        builder.getF32FloatAttr(1 / std::sqrt(double(config.headDim))),
                                        window ? builder.getI64IntegerAttr(window) : IntegerAttr(), FloatAttr());
  Value out = linear(mixed, "attn_output", layer, config.hidden, queries);
  return nn::AddOp::create(builder, location, x.getType(), x, out);
}

Value GraphBuilder::feedForwardPart(Value x, int64_t layer) {
  Value normed = norm(x, "ffn_norm", layer, config.hidden);
  Value gate = linear(normed, "ffn_gate", layer, config.ffn, config.hidden);
  Value up = linear(normed, "ffn_up", layer, config.ffn, config.hidden);
  Value gated = nn::GatedOp::create(builder, location, up.getType(), nn::Activation::Silu, gate, up);
  Value down = linear(gated, "ffn_down", layer, config.hidden, config.ffn);
  return nn::AddOp::create(builder, location, x.getType(), x, down);
}

SmallVector<Value> GraphBuilder::stage(const Twine &name, TypeRange results, function_ref<SmallVector<Value>()> body) {
  auto op = nn::StageOp::create(builder, location, results, builder.getStringAttr(name));
  OpBuilder::InsertionGuard guard(builder);
  builder.createBlock(&op.getBody());
  nn::YieldOp::create(builder, location, body());
  return op.getResults();
}

//===- The whole ------------------------------------------------------------------------------------------------===//

Value GraphBuilder::embed(Value tokens) {
  // The embedding decides how many tokens there are where the configuration does not say it.
  const CheckpointTensor *table = tensor("token_embd", 0);
  vocab = config.vocab ? config.vocab : table && !table->shape.empty() ? table->shape[0] : 1;
  return nn::EmbeddingOp::create(builder, location, activations(config.hidden), tokens,
                                 weight("token_embd", 0, {vocab, config.hidden}));
}

Value GraphBuilder::head(Value x, Value rows) {
  Value last = nn::LastOp::create(builder, location, x.getType(), x, rows);
  Value normed = norm(last, "output_norm", 0, config.hidden);
  bool tied = config.tied.value_or(!tensor("output", 0));
  return linear(normed, tied ? "token_embd" : "output", 0, vocab, config.hidden);
}

void GraphBuilder::forward() {
  MLIRContext *context = builder.getContext();
  Type index = builder.getIndexType();
  Type tokens = RankedTensorType::get({ShapedType::kDynamic}, builder.getI32Type());
  Type cache = RankedTensorType::get({config.kvHeads, ShapedType::kDynamic, config.headDim}, builder.getF16Type());
  SmallVector<Type> inputs = {tokens, index, index}, outputs;
  inputs.append(2 * config.layers, cache);
  auto function = func::FuncOp::create(builder, location, "forward", FunctionType::get(context, inputs, outputs));
  builder.setInsertionPointToStart(function.addEntryBlock());
  past = function.getArgument(1);

  Value x = stage("embed", activations(config.hidden), [&] { return SmallVector{embed(function.getArgument(0))}; })[0];
  SmallVector<Value> caches;
  for (int64_t layer = 0; layer < config.layers && !error; ++layer) {
    Cache state = {function.getArgument(3 + 2 * layer), function.getArgument(4 + 2 * layer)};
    auto results = stage("block." + Twine(layer), {x.getType(), cache, cache}, [&] {
      Value y = feedForwardPart(attentionPart(x, layer, state), layer);
      return SmallVector{y, state.keys, state.values};
    });
    x = results[0];
    caches.append({results[1], results[2]});
  }
  Value logits = stage("head", activations(vocab), [&] { return SmallVector{head(x, function.getArgument(2))}; })[0];
  SmallVector<Value> results = {logits};
  results.append(caches);
  func::ReturnOp::create(builder, location, results);
  function.setType(FunctionType::get(context, inputs, TypeRange(ValueRange(results))));
}

void GraphBuilder::describeModel() {
  auto integer = [&](int64_t value) { return builder.getI64IntegerAttr(value); };
  module->setAttr(nn::modelAttrName,
                  builder.getDictionaryAttr({
                      builder.getNamedAttr("architecture", builder.getStringAttr(config.architecture)),
                      builder.getNamedAttr("context", integer(config.context)),
                      builder.getNamedAttr("vocab", integer(vocab)),
                      builder.getNamedAttr("hidden", integer(config.hidden)),
                      builder.getNamedAttr("layers", integer(config.layers)),
                      builder.getNamedAttr("heads", integer(config.heads)),
                      builder.getNamedAttr("kv_heads", integer(config.kvHeads)),
                      builder.getNamedAttr("head_dim", integer(config.headDim)),
                      builder.getNamedAttr("bos", builder.getDenseI32ArrayAttr(config.bos)),
                      builder.getNamedAttr("eos", builder.getDenseI32ArrayAttr(config.eos)),
                  }));
}

void GraphBuilder::checkLeftOver() {
  if (config.tied.value_or(false))
    used.insert(architecture.tensorName(checkpoint.kind(), "output"));
  used.insert(architecture.tensorName(checkpoint.kind(), "rope_freqs"));
  for (const FileNames &names : architecture.ignored)
    for (int64_t layer = 0; layer < config.layers; ++layer) {
      std::string name = names.in(checkpoint.kind());
      if (size_t at = name.find("{i}"); at != std::string::npos)
        name.replace(at, 3, std::to_string(layer));
      used.insert(name);
    }
  for (const CheckpointTensor &tensor : checkpoint.tensors())
    if (!used.count(tensor.name))
      fail(fmt::format("tensor '{}' ({}) has no place in a {} model of {} layers", tensor.name, shapeText(tensor.shape),
                       architecture.name, config.layers));
}

Result<OwningOpRef<ModuleOp>> GraphBuilder::build() {
  OwningOpRef<ModuleOp> owner = ModuleOp::create(location);
  module = *owner;
  weights = module.getBody();
  builder.setInsertionPointToEnd(weights);
  forward();
  // Weights were appended behind the function; they read better before it.
  auto function = *module.getOps<func::FuncOp>().begin();
  function->moveBefore(weights, weights->end());
  describeModel();
  checkLeftOver();
  if (error)
    return tl::unexpected(*error);
  if (failed(verify(module)))
    return quantc::fail("{}: the graph of the model is not valid", checkpoint.path().string());
  return owner;
}

} // namespace

Result<OwningOpRef<ModuleOp>> quantc::buildGraph(const Checkpoint &checkpoint, const Architecture &architecture,
                                                 const ModelConfig &config, MLIRContext &context) {
  return GraphBuilder(checkpoint, architecture, config, context).build();
}
