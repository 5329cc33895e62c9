//===- WeightEvaluator.cpp - executes what methods made of weights -----------------------------------------------===//

#include "WeightEvaluator.h"

#include "quantc/Encode/ColumnEncoder.h"
#include "quantc/Encode/Encode.h"
#include "quantc/Encode/WeightError.h"
#include "quantc/Format/Format.h"
#include "quantc/Format/PackedFields.h"
#include "quantc/Methods/Awq.h"
#include "quantc/Methods/Importance.h"
#include "quantc/Support/Parallel.h"
#include "quantc/Transforms/Weights.h"
#include <algorithm>
#include <cstring>
#include <numeric>
#include <thread>

using namespace mlir;
using namespace quantc;

static Floats shared(std::vector<float> values) {
  return std::make_shared<const std::vector<float>>(std::move(values));
}

//===- Values ---------------------------------------------------------------------------------------------------===//

Result<Floats> WeightEvaluator::value(Value weight) {
  // Only factors are small, and used several times.
  const bool isFactor = cast<RankedTensorType>(weight.getType()).getRank() == 1;
  if (isFactor)
    if (Floats known = factors.lookup(weight))
      return known;
  QUANTC_ASSIGN(std::vector<float> values, rowsOf(weight, 0, extents(weight).first));
  const Floats result = shared(std::move(values));
  if (isFactor)
    factors[weight] = result;
  return result;
}

Result<std::vector<float>> WeightEvaluator::rowsOf(Value weight, int64_t row, int64_t count) {
  Operation *op = weight.getDefiningOp();
  if (auto get = dyn_cast_or_null<nn::GetOp>(op)) {
    if (reading.weight != weightNamed(get)) {
      QUANTC_ASSIGN(reading.rows, store.reader(weightNamed(get)));
      reading.weight = weightNamed(get);
    }
    std::vector<float> values(count * extents(weight).second);
    QUANTC_TRY(reading.rows(row, count, values.data()));
    return values;
  }
  if (auto search = dyn_cast_or_null<qf::SearchScalesOp>(op)) {
    QUANTC_ASSIGN(const Floats found, spool ? searchScalesOnce(search) : searchScales(search));
    return *found;
  }
  if (!isa_and_nonnull<qf::ScaleOp, qf::ClipOp>(op))
    return fail("is made by an operation that quantization does not know");
  QUANTC_ASSIGN(std::vector<float> values, rowsOf(op->getOperand(0), row, count));
  if (auto scale = dyn_cast<qf::ScaleOp>(op)) {
    QUANTC_TRY(scaleRows(scale, row, values));
    return values;
  }
  auto clip = cast<qf::ClipOp>(op);
  QUANTC_ASSIGN(const auto known, statistics({clip.getStatistics(), clip.getHessian()}, clip.getInputScales()));
  QUANTC_TRY(awqClip(*cast<qf::ElemType>(clip.getFormat()).getFormat(), values, count, extents(weight).second, *known,
                     {}, threads));
  return values;
}

/// Columns are multiplied by factors, rows (and the numbers of a vector) divided.
Status WeightEvaluator::scaleRows(qf::ScaleOp op, int64_t row, std::span<float> values, bool back) {
  QUANTC_ASSIGN(const Floats s, value(op.getScales()));
  const auto K = static_cast<size_t>(extents(op.getW()).second);
  const bool isVector = cast<RankedTensorType>(op.getW().getType()).getRank() == 1,
             multiplies = op.getColumns() != back;
  for (size_t i = 0; i < values.size(); ++i) {
    const float factor = (*s)[op.getColumns() || isVector ? i % K : row + i / K];
    values[i] = multiplies ? values[i] * factor : values[i] / factor;
  }
  return {};
}

Result<ReadRows> WeightEvaluator::unscaled(qf::QuantizeOp op, const QuantizedWeight &quantized) {
  const std::shared_ptr<const Format> format = cast<qf::ElemType>(op.getType().getElementType()).getFormat();
  std::vector<qf::ScaleOp> scales;
  for (Operation *made = op.getW().getDefiningOp(); isa_and_nonnull<qf::ScaleOp, qf::ClipOp>(made);
       made = made->getOperand(0).getDefiningOp())
    if (auto scale = dyn_cast<qf::ScaleOp>(made)) {
      QUANTC_TRY(value(scale.getScales())); // from now on it is known: threads only read
      scales.push_back(scale);
    }
  const auto [N, K] = extents(op.getW());
  return [=, this, &quantized](int64_t row, int64_t count, float *out) -> Status {
    QUANTC_TRY(decode(*format, unpackRows(*format, N, K, row, count, quantized.packed), count, K, out));
    restoreColumns(quantized.order, {out, static_cast<size_t>(count * K)});
    for (qf::ScaleOp scale : scales)
      QUANTC_TRY(scaleRows(scale, row, {out, static_cast<size_t>(count * K)}, /*back=*/true));
    return {};
  };
}

/// The factored Hessian, made once for all linears of an input.
Result<GptqInputsRef> WeightEvaluator::factored(const std::shared_ptr<const InputStatistics> &statistics,
                                                const GptqOptions &options) {
  if (input.gptq && input.factored == statistics && input.options == options)
    return input.gptq;
  input.gptq = nullptr;
  QUANTC_ASSIGN(input.gptq, gptqInputs(*statistics, options, threads, memory));
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
  if (auto block = op->getAttrOfType<IntegerAttr>("block"))
    options.block = block.getInt();
  options.actOrder = actOrder;
  auto groups = op->getAttrOfType<StringAttr>("groups");
  options.staticGroups = actOrder && !(groups && groups == "dynamic");
  options.refit = !op->hasAttr("plain");
  auto grid = op->getAttrOfType<StringAttr>("grid");
  if (grid ? grid == "range" : !options.refit)
    options.grid = GptqGrid::Range;
  else if (grid && grid == "mse")
    options.grid = GptqGrid::Mse;
  return options;
}

/// Exponents that are tried where each costs a factorization.
static constexpr int stepsOfGptq = 5;

/// What GPTQ makes of weights whose inputs have these statistics; `threads`: of each of them.
static Result<AwqRounding> gptqRounding(const GptqInputsRef &inputs, const GptqOptions &options, unsigned threads) {
  return AwqRounding(
      [=](const Format &format, std::span<const float> w, int64_t N, int64_t K) -> Result<std::vector<float>> {
        QUANTC_ASSIGN(const GptqResult found, gptq(format, w, N, K, *inputs, options, threads));
        std::vector<float> values(w.size());
        QUANTC_TRY(decode(format, found.fields, N, K, values.data()));
        restoreColumns(found.order, values);
        return values;
      });
}

Result<Floats> WeightEvaluator::searchScales(qf::SearchScalesOp op) {
  QUANTC_ASSIGN(const auto known, statistics({op.getStatistics(), op.getHessian()}, nullptr));
  std::vector<std::shared_ptr<const Format>> formats;
  std::vector<AwqLinear> linears;
  for (auto [weight, format] : llvm::zip(op.getWeights(), op.getFormats())) {
    formats.push_back(cast<qf::ElemType>(cast<TypeAttr>(format).getValue()).getFormat());
    auto read = [this, weight](int64_t row, int64_t count, float *out) -> Status {
      QUANTC_ASSIGN(const std::vector<float> values, rowsOf(weight, row, count));
      std::ranges::copy(values, out);
      return {};
    };
    linears.push_back({read, extents(weight).first, formats.back().get()});
  }
  AwqOptions options;
  options.memory = memory;
  Statistics judge;
  if (op.getHeldOut()) {
    QUANTC_ASSIGN(judge, heldOut(op.getHeldOut(), nullptr));
    options.judge = judge->hessian;
  }
  if (auto method = op->getAttrOfType<StringAttr>("method"); method && method == "gptq") {
    options.steps = stepsOfGptq;
    options.weights = 0; // feedback costs more than rounding
    options.form = AwqScaleForm::InputsAndWeights;
    const unsigned all = threads ? threads : std::max(1u, std::thread::hardware_concurrency());
    options.rounding = [=, this, gptqOptions = gptqOptions(op, op->hasAttr("act_order")),
                        each = std::max<unsigned>(1, all / op.getWeights().size())](
                           const InputStatistics &divided) -> Result<AwqRounding> {
      QUANTC_ASSIGN(const GptqInputsRef inputs, gptqInputs(divided, gptqOptions, all, memory));
      return gptqRounding(inputs, gptqOptions, each);
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

/// The fields of N rows, and the order of their columns.
Result<GptqResult> WeightEvaluator::fieldsBy(const std::string &method, qf::QuantizeOp op, std::span<const float> w,
                                             int64_t N, const Statistics &known) {
  const std::shared_ptr<const Format> format = cast<qf::ElemType>(op.getType().getElementType()).getFormat();
  const int64_t K = extents(op.getW()).second;
  if (method == "rtn" || method == "imatrix") {
    GptqResult result;
    QUANTC_ASSIGN(result.fields, method == "rtn" ? encode(*format, w, N, K, {}, threads)
                                                 : encodeByImportance(*format, w, N, K, *known, threads));
    return result;
  }
  const bool isActOrder = method == "gptq:act-order";
  if (method != "gptq" && !isActOrder)
    return fail("method \"{}\" is not known; rtn, imatrix, gptq and auto are", method);
  const GptqOptions options = gptqOptions(op, isActOrder || op->hasAttr("act_order"));
  QUANTC_ASSIGN(const GptqInputsRef inputs, factored(known, options));
  return gptq(*format, w, N, K, *inputs, options, threads);
}

/// Rows whose errors are summed on their own, so that sums are the same for all windows.
static constexpr int64_t errorRows = 128;

int64_t WeightEvaluator::windowRows(const Format &format, int64_t N, int64_t K) const {
  const int64_t unit = packedRowUnit(format, N, K);
  const int64_t step = unit < N ? std::lcm(unit, errorRows) : N;
  return std::min(N, std::max<int64_t>(1, window / K / step) * step);
}

Result<QuantizedWeight> WeightEvaluator::quantizeBy(const std::string &method, qf::QuantizeOp op,
                                                    const Statistics &known, const InputStatistics *judge,
                                                    double *error) {
  const std::shared_ptr<const Format> format = cast<qf::ElemType>(op.getType().getElementType()).getFormat();
  const auto [N, K] = extents(op.getW());
  QuantizedWeight result{
      .packed = std::vector<std::byte>(packedFieldBytes(*format, N, K)), .method = method, .order = {}};
  const int64_t unit = packedRowUnit(*format, N, K), step = unit < N ? std::lcm(unit, errorRows) : N;
  const int64_t most = windowRows(*format, N, K);
  WeightError sum;
  for (int64_t row = 0; row < N; row += most) {
    const int64_t count = std::min(most, N - row);
    QUANTC_ASSIGN(const std::vector<float> w, rowsOf(op.getW(), row, count));
    {
      QUANTC_ASSIGN(GptqResult found, fieldsBy(method, op, w, count, known));
      packRows(*format, N, K, row, count, found.fields, result.packed);
      result.order = std::move(found.order); // of the input: that of all windows
    }
    struct Part {
      Status status;
      WeightError weights;
      double outputs = 0;
    };
    std::vector<Part> parts((count + step - 1) / step);
    parallelFor(parts.size(), threads, [&](size_t i) {
      const int64_t first = static_cast<int64_t>(i) * step, here = std::min(step, count - first);
      std::vector<float> decoded(here * K);
      parts[i].status =
          decode(*format, unpackRows(*format, N, K, row + first, here, result.packed), here, K, decoded.data());
      restoreColumns(result.order, decoded);
      const auto original = std::span(w).subspan(first * K, here * K);
      parts[i].weights = WeightError::of(original, decoded);
      if (judge)
        parts[i].outputs = outputError(original, decoded, here, K, judge->hessian);
    });
    for (const Part &part : parts) {
      QUANTC_TRY(part.status);
      sum += part.weights;
      if (error)
        *error += part.outputs;
    }
  }
  result.nmse = sum.nmse();
  return result;
}

/// Room for the name of a method in a part of the spool.
static constexpr size_t methodBytes = 24, partHead = sizeof(double) + methodBytes;

/// A part of the spool is the error, the method that was used, the packed fields, and the order of columns, if any.
Result<QuantizedWeight> WeightEvaluator::quantizeOnce(qf::QuantizeOp op) {
  if (!spool)
    return quantize(op);
  const std::string part = weightOf(op.getW()).str();
  const std::shared_ptr<const Format> format = cast<qf::ElemType>(op.getType().getElementType()).getFormat();
  const auto [N, K] = extents(op.getW());
  QUANTC_ASSIGN(const auto known, spool->find(part));
  if (!known) {
    QUANTC_ASSIGN(QuantizedWeight result, quantize(op));
    std::vector<std::byte> bytes(partHead + result.packed.size());
    std::memcpy(bytes.data(), &result.nmse, sizeof(double));
    result.method.copy(reinterpret_cast<char *>(bytes.data()) + sizeof(double), methodBytes);
    std::ranges::copy(result.packed, bytes.begin() + partHead);
    std::ranges::copy(std::as_bytes(std::span(result.order)), std::back_inserter(bytes));
    QUANTC_TRY(spool->put(part, bytes));
    return result;
  }
  const uint64_t end = partHead + packedFieldBytes(*format, N, K), columns = static_cast<uint64_t>(K) * sizeof(int32_t);
  if (known->size() != end && known->size() != end + columns)
    return fail("what was finished of it has {} bytes, which is not its size; give --fresh", known->size());
  QuantizedWeight result;
  std::memcpy(&result.nmse, known->data(), sizeof(double));
  const char *method = reinterpret_cast<const char *>(known->data()) + sizeof(double);
  result.method.assign(method, strnlen(method, methodBytes));
  result.packed.assign(known->begin() + partHead, known->begin() + end);
  result.order.resize((known->size() - end) / sizeof(int32_t));
  std::memcpy(result.order.data(), known->data() + end, known->size() - end);
  return result;
}

/// Judged by inputs that no candidate has learned from; of equal ones the first.
Result<QuantizedWeight> WeightEvaluator::quantizeByBest(qf::QuantizeOp op, const Statistics &known) {
  const auto [N, K] = extents(op.getW());
  QUANTC_ASSIGN(const Statistics judge, heldOut(op.getStatistics().back(), op.getInputScales()));
  // Codes that are chosen jointly cannot take feedback: there the others compete.
  const auto format = cast<qf::ElemType>(op.getType().getElementType()).getFormat();
  const bool takesFeedback = ColumnEncoder::create(*format, N, K, /*importance=*/true).has_value();
  std::optional<QuantizedWeight> best;
  double least = 0;
  for (auto candidate : op->getAttrOfType<ArrayAttr>("candidates").getAsRange<StringAttr>()) {
    if (!takesFeedback && candidate.getValue().starts_with("gptq"))
      continue;
    double error = 0;
    QUANTC_ASSIGN(QuantizedWeight made, quantizeBy(candidate.str(), op, known, judge.get(), &error));
    if (best && error >= least)
      continue;
    least = error;
    best = std::move(made);
  }
  if (!best)
    return fail("format {} takes none of the candidates", format->spec());
  return std::move(*best);
}

Result<QuantizedWeight> WeightEvaluator::quantize(qf::QuantizeOp op) {
  const int64_t K = extents(op.getW()).second;
  const std::string method = op.getMethod().str();
  ValueRange learned = op.getStatistics();
  const bool isAuto = method == "auto";
  if (isAuto && (learned.size() != 3 || !op->getAttrOfType<ArrayAttr>("candidates")))
    return fail("method \"auto\" needs columns, a Hessian, a held-out one, and candidates");
  if (learned.empty())
    return quantizeBy(method, op, nullptr);
  QUANTC_ASSIGN(const auto known, statistics(isAuto ? learned.drop_back() : learned, op.getInputScales()));
  if (known->K != K)
    return fail("has {} columns, but its statistics are of {} features: calibrate with the same model", K, known->K);
  return isAuto ? quantizeByBest(op, known) : quantizeBy(method, op, known);
}
