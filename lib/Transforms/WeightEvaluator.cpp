//===- WeightEvaluator.cpp - executes what methods made of weights -----------------------------------------------===//

#include "WeightEvaluator.h"

#include "mlir/IR/SymbolTable.h"
#include "quantc/Encode/ColumnEncoder.h"
#include "quantc/Encode/Encode.h"
#include "quantc/Encode/WeightError.h"
#include "quantc/Format/Format.h"
#include "quantc/Methods/Awq.h"
#include "quantc/Methods/Importance.h"
#include "quantc/Transforms/Observers.h"
#include "quantc/Transforms/PackedFields.h"
#include "quantc/Transforms/Weights.h"
#include <cstring>

using namespace mlir;
using namespace quantc;

static std::pair<int64_t, int64_t> extents(Value weight) {
  auto shape = cast<RankedTensorType>(weight.getType()).getShape();
  return {shape.size() == 1 ? 1 : shape[0], shape.back()};
}

static Floats shared(std::vector<float> values) {
  return std::make_shared<const std::vector<float>>(std::move(values));
}

static nn::WeightOp weightNamed(nn::GetOp get) {
  return SymbolTable::lookupNearestSymbolFrom<nn::WeightOp>(get, get.getWeightAttr());
}

//===- Values ---------------------------------------------------------------------------------------------------===//

Result<Floats> WeightEvaluator::value(Value weight) {
  // Only factors are small, and used several times.
  const bool isFactor = cast<RankedTensorType>(weight.getType()).getRank() == 1;
  if (isFactor)
    if (Floats known = factors.lookup(weight))
      return known;
  QUANTC_ASSIGN(Floats result, evaluate(weight));
  if (isFactor)
    factors[weight] = result;
  return result;
}

Result<Floats> WeightEvaluator::evaluate(Value weight) {
  Operation *op = weight.getDefiningOp();
  if (auto get = dyn_cast_or_null<nn::GetOp>(op)) {
    const auto [N, K] = extents(weight);
    std::vector<float> values(N * K);
    QUANTC_TRY(store.read(weightNamed(get), 0, N, values.data()));
    return shared(std::move(values));
  }
  if (auto scaled = dyn_cast_or_null<qf::ScaleOp>(op))
    return scale(scaled);
  if (auto search = dyn_cast_or_null<qf::SearchScalesOp>(op))
    return spool ? searchScalesOnce(search) : searchScales(search);
  if (auto clipped = dyn_cast_or_null<qf::ClipOp>(op))
    return clip(clipped);
  return fail("is made by an operation that quantization does not know");
}

Result<Floats> WeightEvaluator::scale(qf::ScaleOp op) {
  QUANTC_ASSIGN(const Floats w, value(op.getW()));
  QUANTC_ASSIGN(const Floats s, value(op.getScales()));
  std::vector<float> values = *w;
  const auto [N, K] = extents(op.getW());
  const bool isVector = N == 1 && cast<RankedTensorType>(op.getW().getType()).getRank() == 1;
  for (int64_t n = 0; n < N; ++n)
    for (int64_t k = 0; k < K; ++k) {
      float &v = values[n * K + k];
      v = op.getColumns() ? v * (*s)[k] : v / (*s)[isVector ? k : n];
    }
  return shared(std::move(values));
}

Result<std::vector<float>> WeightEvaluator::unscaled(Value weight, std::vector<float> values) {
  const auto [N, K] = extents(weight);
  for (Operation *op = weight.getDefiningOp(); isa_and_nonnull<qf::ScaleOp, qf::ClipOp>(op);
       op = op->getOperand(0).getDefiningOp()) {
    auto scale = dyn_cast<qf::ScaleOp>(op);
    if (!scale)
      continue;
    QUANTC_ASSIGN(const Floats s, value(scale.getScales()));
    for (int64_t n = 0; n < N; ++n)
      for (int64_t k = 0; k < K; ++k) {
        float &v = values[n * K + k];
        v = scale.getColumns() ? v / (*s)[k] : v * (*s)[n];
      }
  }
  return values;
}

//===- Statistics -----------------------------------------------------------------------------------------------===//

/// Of the input that an observer sees. What was made of another input is dropped first: there is memory for one.
Result<std::shared_ptr<const InputStatistics>> WeightEvaluator::observed(StringRef observer, bool hessian) {
  if (!source)
    return fail("{}{} is not known: give a text to calibrate with, or statistics", columnsPrefix.str(), observer.str());
  if (input.observer != observer)
    input = Input{.observer = observer.str()};
  QUANTC_ASSIGN(auto found, source->of(input.observer, hessian));
  if (found != input.statistics)
    input = Input{.observer = observer.str(), .statistics = found};
  return found;
}

/// Of statistics that stand in the IR.
Result<std::shared_ptr<const InputStatistics>> WeightEvaluator::constants(ValueRange values) {
  auto own = std::make_shared<InputStatistics>();
  const int64_t K = own->K = extents(values.front()).second;
  own->tokens = 1;
  QUANTC_ASSIGN(const Floats columns, value(values.front()));
  own->meanAbs.assign(columns->begin(), columns->begin() + K);
  own->meanSquare.assign(columns->begin() + K, columns->begin() + 2 * K);
  own->maxAbs.assign(columns->begin() + 2 * K, columns->end());
  if (values.size() > 1) {
    QUANTC_ASSIGN(const Floats products, value(values[1]));
    own->hessian = *products;
  }
  return own;
}

Result<std::shared_ptr<const InputStatistics>> WeightEvaluator::statistics(ValueRange values, Value scales) {
  auto get = values.front().getDefiningOp<nn::GetOp>();
  nn::WeightOp weight = get ? weightNamed(get) : nn::WeightOp();
  if (!weight)
    return fail("a statistic is no nn.get");
  std::shared_ptr<const InputStatistics> found;
  if (auto statistic = dyn_cast<nn::StatisticAttr>(weight.getFrom())) {
    StringRef observer = statistic.getName();
    if (!observer.consume_front(columnsPrefix))
      return fail("{}: no statistic of columns is called so", statistic.getName().str());
    QUANTC_ASSIGN(found, observed(observer, values.size() > 1));
  } else {
    QUANTC_ASSIGN(found, constants(values));
  }
  if (!scales)
    return found;
  QUANTC_ASSIGN(const Floats s, value(scales));
  if (found == input.statistics && s == input.scales)
    return input.divided;
  auto divided = std::make_shared<InputStatistics>(*found);
  divideInputs(*divided, *s);
  if (found == input.statistics) {
    input.scales = s;
    input.divided = divided;
  }
  return divided;
}

/// The factored Hessian, made once for all linears of an input.
Result<GptqInputsRef> WeightEvaluator::factored(const std::shared_ptr<const InputStatistics> &statistics,
                                                const GptqOptions &options) {
  if (input.gptq && input.factored == statistics && input.options == options)
    return input.gptq;
  input.gptq = nullptr;
  QUANTC_ASSIGN(input.gptq, gptqInputs(*statistics, options));
  input.factored = statistics;
  input.options = options;
  return input.gptq;
}

//===- Methods --------------------------------------------------------------------------------------------------===//

static GptqOptions gptqOptions(Operation *op, bool actOrder) {
  GptqOptions options;
  if (auto damp = op->getAttrOfType<FloatAttr>("damp"))
    options.damp = damp.getValueAsDouble();
  if (auto scales = op->getAttrOfType<StringAttr>("scales"))
    options.scales = scales == "block" ? GptqScales::Block : GptqScales::Updated;
  options.actOrder = options.staticGroups = actOrder;
  if (op->hasAttr("plain"))
    options.refit = options.importance = false;
  return options;
}

/// Exponents that are tried where each costs a factorization.
static constexpr int stepsOfGptq = 5;

/// What GPTQ makes of weights whose inputs have these statistics.
static Result<AwqRounding> gptqRounding(const InputStatistics &statistics, const GptqOptions &options) {
  QUANTC_ASSIGN(const GptqInputsRef inputs, gptqInputs(statistics, options));
  return AwqRounding(
      [=](const Format &format, std::span<const float> w, int64_t N, int64_t K) -> Result<std::vector<float>> {
        QUANTC_ASSIGN(const GptqResult found, gptq(format, w, N, K, *inputs, options, /*threads=*/1));
        std::vector<float> values(w.size());
        QUANTC_TRY(decode(format, found.fields, N, K, values.data()));
        return values;
      });
}

Result<Floats> WeightEvaluator::searchScales(qf::SearchScalesOp op) {
  QUANTC_ASSIGN(const auto known, statistics({op.getStatistics(), op.getHessian()}, nullptr));
  std::vector<Floats> values;
  std::vector<std::shared_ptr<const Format>> formats;
  std::vector<AwqLinear> linears;
  for (auto [weight, format] : llvm::zip(op.getWeights(), op.getFormats())) {
    QUANTC_ASSIGN(Floats w, value(weight));
    values.push_back(std::move(w));
    formats.push_back(cast<qf::ElemType>(cast<TypeAttr>(format).getValue()).getFormat());
    linears.push_back({*values.back(), extents(weight).first, formats.back().get()});
  }
  AwqOptions options;
  InputStatistics judge;
  if (op.getHeldOut()) {
    QUANTC_ASSIGN(judge, heldOut(op.getHeldOut(), nullptr));
    options.judge = judge.hessian;
  }
  if (auto method = op->getAttrOfType<StringAttr>("method"); method && method == "gptq") {
    options.steps = stepsOfGptq;
    options.rounding = [gptqOptions = gptqOptions(op, op->hasAttr("act_order"))](const InputStatistics &divided) {
      return gptqRounding(divided, gptqOptions);
    };
  }
  QUANTC_ASSIGN(AwqScales found, awqScales(linears, known->K, *known, options, threads));
  return shared(std::move(found.scales));
}

Result<Floats> WeightEvaluator::searchScalesOnce(qf::SearchScalesOp op) {
  const std::string part = "factors." + weightOf(op.getWeights().front()).str();
  QUANTC_ASSIGN(const auto known, spool->find(part));
  if (!known) {
    QUANTC_ASSIGN(const Floats found, searchScales(op));
    QUANTC_TRY(spool->put(part, std::as_bytes(std::span(*found))));
    return found;
  }
  std::vector<float> values(extents(op.getResult()).second);
  if (known->size() != values.size() * sizeof(float))
    return fail("{}: {} bytes are no {} factors; give --fresh", part, known->size(), values.size());
  std::memcpy(values.data(), known->data(), known->size());
  return shared(std::move(values));
}

Result<Floats> WeightEvaluator::clip(qf::ClipOp op) {
  QUANTC_ASSIGN(const auto known, statistics({op.getStatistics(), op.getHessian()}, op.getInputScales()));
  QUANTC_ASSIGN(const Floats w, value(op.getW()));
  std::vector<float> values = *w;
  const auto [N, K] = extents(op.getW());
  QUANTC_TRY(awqClip(*cast<qf::ElemType>(op.getFormat()).getFormat(), values, N, K, *known, {}, threads));
  return shared(std::move(values));
}

Result<QuantizedWeight> WeightEvaluator::quantizeBy(const std::string &method, qf::QuantizeOp op,
                                                    std::span<const float> w, const Statistics &known) {
  const std::shared_ptr<const Format> format = cast<qf::ElemType>(op.getType().getElementType()).getFormat();
  const auto [N, K] = extents(op.getW());
  QuantizedWeight result{.method = method};
  const bool isActOrder = method == "gptq:act-order";
  if (method == "rtn") {
    QUANTC_ASSIGN(result.fields, encode(*format, w, N, K, {}, threads));
  } else if (method == "imatrix") {
    QUANTC_ASSIGN(result.fields, encodeByImportance(*format, w, N, K, *known, threads));
  } else if (method == "gptq" || isActOrder) {
    const GptqOptions options = gptqOptions(op, isActOrder || op->hasAttr("act_order"));
    QUANTC_ASSIGN(const GptqInputsRef inputs, factored(known, options));
    QUANTC_ASSIGN(GptqResult found, gptq(*format, w, N, K, *inputs, options, threads));
    result.fields = std::move(found.fields);
  } else {
    return fail("method \"{}\" is not known; rtn, imatrix, gptq and auto are", method);
  }
  result.decoded.resize(N * K);
  QUANTC_TRY(decode(*format, result.fields, N, K, result.decoded.data()));
  result.nmse = WeightError::of(w, result.decoded).nmse();
  return result;
}

/// Room for the name of a method in a part of the spool.
static constexpr size_t methodBytes = 24, partHead = sizeof(double) + methodBytes;

/// A part of the spool is the error, the method that was used, and the packed fields.
Result<QuantizedWeight> WeightEvaluator::quantizeOnce(qf::QuantizeOp op) {
  if (!spool)
    return quantize(op);
  const std::string part = weightOf(op.getW()).str();
  const std::shared_ptr<const Format> format = cast<qf::ElemType>(op.getType().getElementType()).getFormat();
  const auto [N, K] = extents(op.getW());
  QuantizedWeight result{.method = op.getMethod().str()};
  QUANTC_ASSIGN(const auto known, spool->find(part));
  if (!known) {
    QUANTC_ASSIGN(result, quantize(op));
    std::vector<std::byte> bytes(partHead + packedFieldBytes(*format, result.fields));
    std::memcpy(bytes.data(), &result.nmse, sizeof(double));
    result.method.copy(reinterpret_cast<char *>(bytes.data()) + sizeof(double), methodBytes);
    packFields(*format, result.fields, std::span(bytes).subspan(partHead));
    QUANTC_TRY(spool->put(part, bytes));
    return result;
  }
  if (known->size() != partHead + packedFieldBytes(*format, zeroFields(*format, N, K)))
    return fail("what was finished of it has {} bytes, which is not its size; give --fresh", known->size());
  std::memcpy(&result.nmse, known->data(), sizeof(double));
  const char *method = reinterpret_cast<const char *>(known->data()) + sizeof(double);
  result.method.assign(method, strnlen(method, methodBytes));
  result.fields = unpackFields(*format, N, K, known->subspan(partHead));
  result.decoded.resize(N * K);
  QUANTC_TRY(decode(*format, result.fields, N, K, result.decoded.data()));
  return result;
}

Result<InputStatistics> WeightEvaluator::heldOut(Value value, Value scales) {
  auto get = value.getDefiningOp<nn::GetOp>();
  nn::WeightOp weight = get ? weightNamed(get) : nn::WeightOp();
  if (!weight)
    return fail("a statistic is no nn.get");
  InputStatistics own{.K = extents(value).second, .tokens = 1};
  if (auto statistic = dyn_cast<nn::StatisticAttr>(weight.getFrom())) {
    StringRef observer = statistic.getName();
    if (!observer.consume_front(heldOutPrefix))
      return fail("{}: no held-out statistic is called so", statistic.getName().str());
    if (!source)
      return fail("{} is not known: give a text to calibrate with", statistic.getName().str());
    QUANTC_ASSIGN(const auto found, source->heldOut(observer.str()));
    own = *found;
  } else {
    QUANTC_ASSIGN(const Floats numbers, this->value(value));
    own.hessian = *numbers;
  }
  QUANTC_TRY(checkHessian(own));
  if (scales) {
    QUANTC_ASSIGN(const Floats s, this->value(scales));
    divideInputs(own, *s);
  }
  return own;
}

/// What both know, as if one calibration had seen the tokens of both.
static InputStatistics together(const InputStatistics &a, const InputStatistics &b) {
  InputStatistics all = a;
  all.tokens += b.tokens;
  const double part = double(b.tokens) / double(all.tokens);
  for (auto member : {&InputStatistics::hessian, &InputStatistics::meanAbs, &InputStatistics::meanSquare})
    for (size_t i = 0; i < std::min((all.*member).size(), (b.*member).size()); ++i)
      (all.*member)[i] = static_cast<float>((1 - part) * (a.*member)[i] + part * (b.*member)[i]);
  for (size_t i = 0; i < std::min(all.maxAbs.size(), b.maxAbs.size()); ++i)
    all.maxAbs[i] = std::max(a.maxAbs[i], b.maxAbs[i]);
  return all;
}

/// Judged by inputs that no candidate has learned from; of equal ones the first. The winner then learns from all.
Result<QuantizedWeight> WeightEvaluator::quantizeByBest(qf::QuantizeOp op, std::span<const float> w,
                                                        const Statistics &known) {
  const auto [N, K] = extents(op.getW());
  QUANTC_ASSIGN(const InputStatistics judge, heldOut(op.getStatistics().back(), op.getInputScales()));
  // Codes that are chosen jointly cannot take feedback: there the others compete.
  const auto format = cast<qf::ElemType>(op.getType().getElementType()).getFormat();
  const bool takesFeedback = ColumnEncoder::create(*format, N, K, /*importance=*/true).has_value();
  std::optional<QuantizedWeight> best;
  double least = 0;
  for (auto candidate : op->getAttrOfType<ArrayAttr>("candidates").getAsRange<StringAttr>()) {
    if (!takesFeedback && candidate.getValue().starts_with("gptq"))
      continue;
    QUANTC_ASSIGN(QuantizedWeight made, quantizeBy(candidate.str(), op, w, known));
    const double error = outputError(w, made.decoded, N, K, judge.hessian);
    if (best && error >= least)
      continue;
    least = error;
    best = std::move(made);
  }
  if (!best)
    return fail("format {} takes none of the candidates", format->spec());
  if (best->method == "rtn")
    return std::move(*best);
  return quantizeBy(best->method, op, w, std::make_shared<const InputStatistics>(together(*known, judge)));
}

Result<QuantizedWeight> WeightEvaluator::quantize(qf::QuantizeOp op) {
  QUANTC_ASSIGN(const Floats w, value(op.getW()));
  const int64_t K = extents(op.getW()).second;
  const std::string method = op.getMethod().str();
  ValueRange learned = op.getStatistics();
  const bool isAuto = method == "auto";
  if (isAuto && (learned.size() != 3 || !op->getAttrOfType<ArrayAttr>("candidates")))
    return fail("method \"auto\" needs columns, a Hessian, a held-out one, and candidates");
  if (learned.empty())
    return quantizeBy(method, op, *w, nullptr);
  QUANTC_ASSIGN(const auto known, statistics(isAuto ? learned.drop_back() : learned, op.getInputScales()));
  if (known->K != K)
    return fail("has {} columns, but its statistics are of {} features: calibrate with the same model", K, known->K);
  return isAuto ? quantizeByBest(op, *w, known) : quantizeBy(method, op, *w, known);
}
