//===- OutlineKernels.cpp - from the graph to a program of launches ---------------------------------------------===//
//
// Goes over the operations of @forward in order. Each, with the producers that share its kernel, becomes a launch; a
// kernel is made for the first of each kind: the same operations, attributes and types.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "quantc/Dialect/NN/Cache.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Dialect/RT/RT.h"
#include "quantc/Format/Decode.h"
#include "quantc/Format/Format.h"
#include "quantc/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"

namespace quantc {
#define GEN_PASS_DEF_NNOUTLINEKERNELS
#include "quantc/Transforms/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

constexpr StringLiteral writable = "bufferization.writable";

/// Operations that are computed by one kernel, in order, and what goes in and out.
struct Group {
  SmallVector<Operation *> ops;
  SmallVector<Value> inputs;     ///< in the order of their first use
  SmallVector<unsigned> inPlace; ///< inputs that the results overwrite, in the order of the results; else empty
  Operation *root() const { return ops.back(); }
};

/// What only says which values there are: weights, and destinations of qf.encode.
bool isNoWork(Operation *op) {
  return isa<nn::GetOp, nn::StateOp, nn::YieldOp, tensor::EmptyOp, tensor::DimOp, arith::ConstantOp>(op);
}

/// The only operation that reads results of `op`, or null.
Operation *onlyUser(Operation *op) {
  Operation *only = nullptr;
  for (Operation *user : op->getUsers())
    if (!isNoWork(user) || isa<nn::YieldOp>(user)) {
      if (only)
        return nullptr;
      only = user;
    }
  return only;
}

/// Whether an encoding is to a format of plain floats.
bool isRounding(qf::EncodeOp encode) {
  auto elem = dyn_cast<qf::ElemType>(getElementTypeOrSelf(encode.getOut()));
  return elem && isPlainFloat(*elem.getFormat());
}

/// Whether `producer` belongs into the kernel of `user`: the passes nn-lower-* and qf-tile make one loop of them.
bool sharesKernel(Operation *producer, Operation *user) {
  if (!producer || onlyUser(producer) != user)
    return false;
  if (isa<nn::KvAppendOp, nn::AttentionOp>(user))
    return isa<nn::RopeOp>(producer);
  auto norm = dyn_cast<nn::RmsNormOp>(producer);
  auto encode = dyn_cast<qf::EncodeOp>(user);
  // A format of plain floats is a rounding, which any kernel can do where it stores.
  if (encode && isRounding(encode))
    return norm || isa<nn::LinearOp, nn::AttentionOp>(producer);
  if (encode)
    return norm || isa<nn::GatherOp, nn::ScaleOp>(producer);
  auto rope = dyn_cast<nn::RopeOp>(user);
  return norm && rope && norm.getWeight().getType().getDimSize(0) == int64_t(rope.getHeadDim());
}

void collect(Operation *op, SmallVectorImpl<Operation *> &ops) {
  for (Value operand : op->getOperands())
    if (Operation *producer = operand.getDefiningOp(); sharesKernel(producer, op))
      collect(producer, ops);
  ops.push_back(op);
}

/// The group whose last operation is `op`, or nothing where another group computes it.
std::optional<Group> groupOf(Operation *op) {
  if (Operation *user = onlyUser(op); user && sharesKernel(op, user))
    return std::nullopt;
  Group group;
  collect(op, group.ops);
  for (Operation *member : group.ops)
    for (Value operand : member->getOperands())
      if (!llvm::is_contained(group.ops, operand.getDefiningOp()) && !llvm::is_contained(group.inputs, operand))
        group.inputs.push_back(operand);

  auto place = [&](Value value) { group.inPlace.push_back(llvm::find(group.inputs, value) - group.inputs.begin()); };
  if (auto append = dyn_cast<nn::KvAppendOp>(op)) {
    place(append.getKeys());
    place(append.getValues());
  } else if (auto encode = dyn_cast<qf::EncodeOp>(op)) {
    place(encode.getOut());
  } else if (auto observe = dyn_cast<nn::ObserveOp>(op)) {
    place(observe.getColumns());
    if (observe.getHessian())
      place(observe.getHessian());
  }
  return group;
}

/// Equal for groups that can share a kernel: their operations, attributes, types, and how they are connected.
std::string signature(const Group &group) {
  std::string text;
  llvm::raw_string_ostream out(text);
  DenseMap<Value, unsigned> numbers;
  for (Value input : group.inputs)
    numbers.try_emplace(input, numbers.size());
  for (Operation *op : group.ops) {
    out << op->getName() << ' ' << op->getAttrDictionary() << ' ';
    for (Value operand : op->getOperands())
      out << '%' << numbers.at(operand) << ": " << operand.getType() << ' ';
    for (Value result : op->getResults()) {
      numbers.try_emplace(result, numbers.size());
      out << result.getType() << ' ';
    }
  }
  return text;
}

func::FuncOp makeKernel(const Group &group, StringRef name, OpBuilder &builder) {
  SmallVector<Type> inputs(ValueRange(group.inputs).getTypes()), results(group.root()->getResultTypes());
  if (group.inPlace.empty())
    llvm::append_range(inputs, results);
  Location loc = group.root()->getLoc();
  auto kernel = func::FuncOp::create(builder, loc, name, builder.getFunctionType(inputs, results));
  kernel->setAttr(nn::kernelAttrName, builder.getUnitAttr());

  OpBuilder body = OpBuilder::atBlockBegin(kernel.addEntryBlock());
  IRMapping map;
  map.map(group.inputs, kernel.getArguments().take_front(group.inputs.size()));
  for (Operation *op : group.ops)
    body.clone(*op, map);
  SmallVector<Value> returned;
  for (auto [i, result] : llvm::enumerate(group.root()->getResults())) {
    bool inPlace = !group.inPlace.empty();
    unsigned destination = inPlace ? group.inPlace[i] : group.inputs.size() + i;
    kernel.setArgAttr(destination, writable, builder.getBoolAttr(true));
    Value value = map.lookup(result);
    if (!inPlace)
      value = bufferization::MaterializeInDestinationOp::create(body, loc, value.getType(), value,
                                                                kernel.getArgument(destination))
                  .getResult();
    returned.push_back(value);
  }
  func::ReturnOp::create(body, loc, returned);
  return kernel;
}

//===- Buffers --------------------------------------------------------------------------------------------------===//

/// A dimension as a scalar of the runtime, and a value as what a launch passes for it.
class Bindings {
public:
  Bindings(ModuleOp module) : builder(module.getContext()) { builder.setInsertionPointToEnd(module.getBody()); }

  Attribute scalar(rt::Scalar scalar) { return rt::ScalarAttr::get(builder.getContext(), scalar); }

  /// `value` lives in a new buffer; its dynamic dimension is `size`.
  FlatSymbolRefAttr makeBuffer(Value value, StringRef name, rt::Scalar size, bool persistent = false) {
    auto type = cast<RankedTensorType>(value.getType());
    bool context = size == rt::Scalar::Context, dynamic = !type.hasStaticShape();
    int64_t bytes = context && dynamic ? nn::cacheBytes(type) : nn::rowBytes(type) * (dynamic ? 1 : type.getDimSize(0));
    auto buffer = rt::BufferOp::create(builder, value.getLoc(), name, dynamic ? 0 : bytes,
                                       dynamic && !context ? bytes : 0, dynamic && context ? bytes : 0, persistent);
    bind(value, FlatSymbolRefAttr::get(buffer.getSymNameAttr()), size);
    return cast<FlatSymbolRefAttr>(places[value]);
  }
  void bind(Value value, Attribute place, rt::Scalar size) {
    places[value] = place;
    sizes[value] = size;
  }
  void alias(Value value, Value same) { bind(value, places.at(same), sizes.at(same)); }
  Attribute place(Value value) const { return places.lookup(value); }
  rt::Scalar size(Value value) const { return sizes.lookup(value); }

  /// The arguments of a launch for one parameter of its kernel.
  void append(Value value, SmallVectorImpl<Attribute> &args) {
    args.push_back(places.at(value));
    if (auto type = dyn_cast<RankedTensorType>(value.getType()))
      args.append(type.getNumDynamicDims(), scalar(sizes.at(value)));
  }

  OpBuilder builder;

private:
  DenseMap<Value, Attribute> places;
  DenseMap<Value, rt::Scalar> sizes;
};

//===- The pass -------------------------------------------------------------------------------------------------===//

struct OutlineKernels : quantc::impl::NNOutlineKernelsBase<OutlineKernels> {
  void runOnOperation() override {
    kernelsBySignature.clear();
    counters.clear();
    values = 0;
    auto forward = getOperation().lookupSymbol<func::FuncOp>("forward");
    if (!forward || forward.isDeclaration()) {
      getOperation().emitError("has no function @forward");
      return signalPassFailure();
    }
    Bindings bindings(getOperation());
    if (failed(bindArguments(forward, bindings)))
      return signalPassFailure();
    if (failed(makeProgram(forward, bindings)))
      return signalPassFailure();
    forward.erase();
  }

  /// @forward(tokens, past, rows, keys and values of each layer).
  LogicalResult bindArguments(func::FuncOp forward, Bindings &bindings) {
    if (forward.getNumArguments() < 3 || forward.getNumArguments() % 2 == 0)
      return forward.emitError("must have the arguments tokens, past, rows, and two caches for each layer");
    bindings.makeBuffer(forward.getArgument(0), "tokens", rt::Scalar::Tokens);
    bindings.bind(forward.getArgument(1), bindings.scalar(rt::Scalar::Past), rt::Scalar::Past);
    bindings.bind(forward.getArgument(2), bindings.scalar(rt::Scalar::Rows), rt::Scalar::Rows);
    for (unsigned i = 3; i < forward.getNumArguments(); ++i) {
      std::string name = ((i % 2 ? "keys." : "values.") + Twine((i - 3) / 2)).str();
      bindings.makeBuffer(forward.getArgument(i), name, rt::Scalar::Context, /*persistent=*/true);
    }
    return success();
  }

  LogicalResult makeProgram(func::FuncOp forward, Bindings &bindings) {
    Operation *ret = forward.front().getTerminator();
    SmallVector<std::pair<StringAttr, SmallVector<rt::LaunchOp>>> built;
    Builder attributes(&getContext());
    OpBuilder program(&getContext());
    Block stages;
    SmallVector<Value> known = {forward.getArgument(0)}; // that later stages may read, beside what persists
    for (Operation &op : forward.front().without_terminator()) {
      auto stage = dyn_cast<nn::StageOp>(op);
      if (!stage && !isNoWork(&op))
        return op.emitError("must stand in an nn.stage");
      if (!stage)
        continue;
      program.setInsertionPointToEnd(&stages);
      auto out = rt::StageOp::create(program, stage.getLoc(), stage.getStageAttr(), /*carries=*/nullptr,
                                     /*per_token=*/nullptr);
      program.createBlock(&out.getBody());
      for (Operation &member : stage.getBody().front())
        if (!isNoWork(&member))
          launch(&member, bindings, program);
      for (auto [result, yielded] :
           llvm::zip(stage.getResults(), stage.getBody().front().getTerminator()->getOperands()))
        bindings.alias(result, yielded);
      llvm::append_range(known, stage.getResults());
      if (Value carried = carriedBy(stage, known)) {
        out.setCarriesAttr(cast<FlatSymbolRefAttr>(bindings.place(carried)));
        out.setPerToken(nn::rowBytes(cast<RankedTensorType>(carried.getType())));
      }
    }

    const unsigned caches = forward.getNumArguments() - 3;
    const auto results = ret->getOperands();
    if (!llvm::is_contained({1 + caches, 3 + caches, 5 + caches}, results.size()))
      return ret->emitError(
          "must have the logits, each cache, and either nothing else or the most likely token and its "
          "logit, or these and the most likely tokens and their logits");
    for (auto [i, result] : llvm::enumerate(results.slice(1, caches)))
      if (bindings.place(result) != bindings.place(forward.getArgument(3 + i)))
        return ret->emitError() << "result #" << i + 1 << " must be the cache of argument #" << 3 + i
                                << ", updated by nn.kv_append";
    auto port = [&](StringRef name, Value value) { return attributes.getNamedAttr(name, bindings.place(value)); };
    SmallVector<NamedAttribute> outputs{port("logits", results[0])};
    static constexpr StringLiteral ofChoice[] = {"tokens", "largest", "top_tokens", "top_logits"};
    for (auto [name, result] : llvm::zip(ofChoice, results.drop_front(1 + caches)))
      outputs.push_back(port(name, result));
    auto model = getOperation()->getAttrOfType<DictionaryAttr>(nn::modelAttrName);
    auto op = rt::ProgramOp::create(
        bindings.builder, forward.getLoc(), attributes.getDictionaryAttr(port("tokens", forward.getArgument(0))),
        attributes.getDictionaryAttr(outputs), model ? model : attributes.getDictionaryAttr({}));
    op.getBody().push_back(new Block());
    Block &body = op.getBody().front();
    body.getOperations().splice(body.end(), stages.getOperations());
    return success();
  }

  /// What stages behind this one read of `known`, where that is one value of some floats for each token.
  static Value carriedBy(nn::StageOp stage, ArrayRef<Value> known) {
    Value carried;
    for (Value value : known) {
      if (llvm::none_of(value.getUsers(), [&](Operation *user) {
            auto reader = user->getParentOfType<nn::StageOp>();
            return reader && stage->isBeforeInBlock(reader);
          }))
        continue;
      if (carried)
        return {};
      carried = value;
    }
    auto type = carried ? cast<RankedTensorType>(carried.getType()) : RankedTensorType();
    return type && type.getRank() == 2 && type.isDynamicDim(0) && type.getElementType().isF32() ? carried : Value();
  }

  void launch(Operation *op, Bindings &bindings, OpBuilder &program) {
    std::optional<Group> group = groupOf(op);
    if (!group)
      return;
    func::FuncOp &kernel = kernelsBySignature[signature(*group)];
    if (!kernel) {
      StringRef base = op->getName().stripDialect();
      std::string name = (base + "_" + Twine(counters[base]++)).str();
      kernel = makeKernel(*group, name, bindings.builder);
      ++kernels;
    }

    bindOperands(*group, bindings);
    for (auto [i, result] : llvm::enumerate(op->getResults())) {
      if (group->inPlace.empty())
        bindings.makeBuffer(result, ("v" + Twine(values++)).str(), sizeOf(*group, bindings));
      else
        bindings.alias(result, group->inputs[group->inPlace[i]]);
    }
    SmallVector<Attribute> args;
    for (Value input : group->inputs)
      bindings.append(input, args);
    if (group->inPlace.empty())
      for (Value result : op->getResults())
        bindings.append(result, args);
    rt::LaunchOp::create(program, op->getLoc(), kernel.getSymName(), program.getArrayAttr(args));
    ++launches;
  }

  /// Weights are their symbols; the destination of qf.encode gets a buffer.
  void bindOperands(const Group &group, Bindings &bindings) {
    for (Value input : group.inputs) {
      if (bindings.place(input))
        continue;
      if (auto get = input.getDefiningOp<nn::GetOp>())
        bindings.bind(input, get.getWeightAttr(), rt::Scalar::Tokens);
      else if (auto state = input.getDefiningOp<nn::StateOp>())
        bindings.makeBuffer(input, state.getName(), rt::Scalar::Tokens, /*persistent=*/true);
      else
        bindings.makeBuffer(input, ("v" + Twine(values++)).str(), sizeOf(group, bindings));
    }
  }

  /// How many rows a result has: as many as its input, or those that nn.last chose.
  rt::Scalar sizeOf(const Group &group, const Bindings &bindings) {
    return isa<nn::LastOp>(group.root()) ? rt::Scalar::Rows : bindings.size(group.inputs.front());
  }

  llvm::StringMap<func::FuncOp> kernelsBySignature;
  llvm::StringMap<unsigned> counters;
  unsigned values = 0;
};

} // namespace
