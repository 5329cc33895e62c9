//===- WeightStore.cpp - the bytes of weights -------------------------------------------------------------------===//

#include "quantc/Transforms/WeightStore.h"

#include "DerivedWeight.h"
#include "mlir/IR/BuiltinTypes.h"
#include "quantc/Encode/Encode.h"
#include "quantc/Format/PackedFields.h"
#include "quantc/Format/Repack.h"
#include "quantc/Import/BoundWeight.h"
#include "quantc/Import/RowReader.h"
#include "quantc/Support/Parallel.h"
#include "quantc/Transforms/ContentHash.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>
#include <cstring>
#include <numeric>

using namespace mlir;
using namespace quantc;

/// Bytes that are repacked at a time, about.
static constexpr int64_t tileBytes = 16 << 20;

static RankedTensorType typeOf(nn::WeightOp weight) {
  return cast<RankedTensorType>(weight.getType());
}
static std::shared_ptr<const Format> formatOf(qf::ElemType elem) {
  return elem.getFormat();
}

static Result<std::shared_ptr<const Format>> formatNamed(nn::WeightOp weight, StringRef spec) {
  return weight.getContext()->getOrLoadDialect<qf::QFDialect>()->format(spec);
}

/// Rows of a tensor from `first` on, as what reads numbers takes them.
static Result<EncodeSource> rowsOf(const CheckpointTensor &tensor, int64_t first, std::shared_ptr<const Format> format,
                                   int64_t N, int64_t K) {
  QUANTC_ASSIGN(RowReader reader, RowReader::create(tensor, std::move(format), K));
  return EncodeSource{
      N, K, [reader, first](int64_t row, int64_t rows, float *out) { return reader.read(first + row, rows, out); }, {}};
}

//===- Sources --------------------------------------------------------------------------------------------------===//

Result<std::unique_ptr<WeightStore>> WeightStore::create(std::shared_ptr<const Checkpoint> checkpoint, unsigned rows,
                                                         const std::filesystem::path &scratch, unsigned threads,
                                                         KeepAs keepAs) {
  QUANTC_ASSIGN(std::unique_ptr<ScratchFile> file, ScratchFile::create(scratch));
  return std::unique_ptr<WeightStore>(new WeightStore(std::move(checkpoint), rows, std::move(file), threads, keepAs));
}

Result<WeightStore::Source> WeightStore::source(nn::SourceAttr from, int64_t rows) const {
  const CheckpointTensor *tensor = from && checkpoint ? checkpoint->find(from.getTensor().str()) : nullptr;
  if (!tensor)
    return fail("the model has no tensor for it");
  if (tensor->shape.empty() || tensor->shape.size() > 2)
    return fail("tensor '{}' is no vector and no matrix", tensor->name);
  const int64_t all = tensor->shape.size() == 2 ? tensor->shape.front() : 1;
  if (from.getRow() < 0 || rows > all || from.getRow() > all - rows)
    return fail("tensor '{}' has not its rows", tensor->name);
  return Source{tensor, from.getRow()};
}

Result<WeightStore::Source> WeightStore::source(nn::WeightOp weight) const {
  const RankedTensorType type = typeOf(weight);
  QUANTC_ASSIGN(const Source found,
                source(dyn_cast<nn::SourceAttr>(weight.getFrom()), type.getRank() == 2 ? type.getDimSize(0) : 1));
  if (found.tensor->shape.size() != size_t(type.getRank()) || found.tensor->shape.back() != type.getShape().back())
    return fail("tensor '{}' has not its shape", found.tensor->name);
  return found;
}

/// The bytes of `count` rows of blocks from a row on.
static std::span<const std::byte> bytesOf(const CheckpointTensor &tensor, int64_t row, int64_t count) {
  const uint64_t rowBytes = tensor.shape.empty() ? 0 : tensor.bytes.size() / tensor.shape.front();
  return tensor.bytes.subspan(row * rowBytes, count * rowBytes);
}

/// The tensor that a weight was made of; null where it was a constant.
static nn::SourceAttr sourceOf(Attribute from) {
  if (!nn::isDerived(from))
    return dyn_cast<nn::SourceAttr>(from);
  return sourceOf(llvm::TypeSwitch<Attribute, Attribute>(from)
                      .Case<nn::ScaledAttr, nn::RotatedAttr, nn::ChosenAttr, nn::ClearedAttr>(
                          [](auto derived) { return derived.getOf(); }));
}

std::pair<std::string, std::string> WeightStore::provenance(nn::WeightOp weight) const {
  const auto from = sourceOf(weight.getFrom());
  const int64_t N = typeOf(weight).getRank() == 2 ? typeOf(weight).getDimSize(0) : 1;
  auto found = source(from, N);
  if (!from || !found)
    return {};
  ContentHash hash;
  const bool whole = found->tensor->bound || found->tensor->shape.size() < 2 || found->tensor->shape[0] == N;
  for (auto part : whole ? found->tensor->parts() : std::vector{bytesOf(*found->tensor, found->row, N)})
    hash.add(part);
  return {(from.getFile() + "#" + from.getTensor()).str(), hash.text()};
}

//===- Values ---------------------------------------------------------------------------------------------------===//

static std::vector<float> anglesOf(nn::AnglesAttr angles, size_t count) {
  std::vector<float> values(count);
  ArrayRef<double> frequencies = angles.getFrequencies().asArrayRef();
  const size_t pairs = frequencies.size();
  for (size_t i = 0; i < values.size() / 2; ++i) {
    const size_t row = i / pairs, pair = i % pairs;
    const double angle = double(row) * double(angles.getStep()) * frequencies[pair];
    values[2 * row * pairs + pair] = static_cast<float>(std::cos(angle));
    values[(2 * row + 1) * pairs + pair] = static_cast<float>(std::sin(angle));
  }
  return values;
}

static Result<std::vector<double>> constantOf(DenseElementsAttr dense) {
  if (!isa<FloatType>(dense.getElementType()))
    return fail("is a constant of integers, expected floats");
  std::vector<double> values;
  for (const APFloat &v : dense.getValues<APFloat>())
    values.push_back(v.convertToDouble());
  return values;
}

/// Of a source or a constant.
Result<std::vector<double>> WeightStore::leaf(MLIRContext *context, Attribute from, int64_t row, int64_t count) const {
  if (auto dense = dyn_cast<DenseElementsAttr>(from)) {
    QUANTC_ASSIGN(const std::vector<double> values, constantOf(dense));
    const int64_t K = dense.getType().getShape().back();
    return std::vector<double>(values.begin() + row * K, values.begin() + (row + count) * K);
  }
  QUANTC_ASSIGN(const Source found, source(dyn_cast<nn::SourceAttr>(from), row + count));
  QUANTC_ASSIGN(const auto format, context->getOrLoadDialect<qf::QFDialect>()->format(found.tensor->format));
  const int64_t K = found.tensor->shape.back();
  QUANTC_ASSIGN(const RowReader reader, RowReader::create(*found.tensor, format, K, Columns::OfFields));
  std::vector<float> values(count * K);
  QUANTC_TRY(reader.read(found.row + row, count, values.data()));
  return std::vector<double>(values.begin(), values.end());
}

/// Rows of what is made of other weights. Where each depends on all, they are made once.
Result<ReadRows> WeightStore::derivedReader(nn::WeightOp weight) const {
  const RankedTensorType type = typeOf(weight);
  const int64_t N = type.getRank() == 2 ? type.getDimSize(0) : 1, K = type.getShape().back();
  const DerivedWeight derived(weight.getFrom(),
                              [this, context = weight.getContext()](Attribute from, int64_t row, int64_t count) {
                                return leaf(context, from, row, count);
                              });
  auto read = [derived, K](int64_t row, int64_t count, float *out) -> Status {
    QUANTC_ASSIGN(const std::vector<double> values, derived.rows(row, count));
    if (static_cast<int64_t>(values.size()) != count * K)
      return fail("has {} columns, what it is made of {}", K, values.size() / count);
    std::ranges::transform(values, out, [](double v) { return static_cast<float>(v); });
    return {};
  };
  if (!derived.mixesRows())
    return ReadRows(read);
  auto all = std::make_shared<std::vector<float>>(N * K);
  QUANTC_TRY(read(0, N, all->data()));
  return ReadRows([all, K](int64_t row, int64_t count, float *out) -> Status {
    std::copy_n(all->data() + row * K, count * K, out);
    return {};
  });
}

Result<ReadRows> WeightStore::reader(nn::WeightOp weight) const {
  auto open = [&]() -> Result<ReadRows> {
    if (nn::isDerived(weight.getFrom()))
      return derivedReader(weight);
    const int64_t K = typeOf(weight).getRank() == 2 ? typeOf(weight).getDimSize(1) : typeOf(weight).getNumElements();
    if (typeOf(weight).getRank() != 2 || isa<DenseElementsAttr>(weight.getFrom())) {
      QUANTC_ASSIGN(const std::vector<float> values, floats(weight));
      return ReadRows([values, K](int64_t row, int64_t count, float *out) -> Status {
        std::copy_n(values.begin() + row * K, count * K, out);
        return {};
      });
    }
    QUANTC_ASSIGN(const Source from, source(weight));
    QUANTC_ASSIGN(std::shared_ptr<const Format> format, formatNamed(weight, from.tensor->format));
    QUANTC_ASSIGN(const RowReader reader, RowReader::create(*from.tensor, format, K, Columns::OfFields));
    return ReadRows([reader, first = from.row](int64_t row, int64_t count, float *out) {
      return reader.read(first + row, count, out);
    });
  };
  auto result = open();
  return result ? result : failAt("weight " + weight.getSymName().str(), result.error());
}

/// Vectors, tables and constants as f32.
Result<std::vector<float>> WeightStore::floats(nn::WeightOp weight) const {
  std::vector<float> values(typeOf(weight).getNumElements());
  if (auto angles = dyn_cast<nn::AnglesAttr>(weight.getFrom()))
    return anglesOf(angles, values.size());
  if (auto dense = dyn_cast<DenseElementsAttr>(weight.getFrom())) {
    QUANTC_ASSIGN(const std::vector<double> constant, constantOf(dense));
    return std::vector<float>(constant.begin(), constant.end());
  }
  const int64_t N = typeOf(weight).getRank() == 2 ? typeOf(weight).getDimSize(0) : 1, K = values.size() / N;
  if (nn::isDerived(weight.getFrom())) {
    QUANTC_ASSIGN(const ReadRows read, derivedReader(weight));
    QUANTC_TRY(read(0, N, values.data()));
  } else {
    QUANTC_ASSIGN(const Source from, source(weight));
    QUANTC_ASSIGN(std::shared_ptr<const Format> format, formatNamed(weight, from.tensor->format));
    QUANTC_ASSIGN(RowReader reader, RowReader::create(*from.tensor, format, K));
    QUANTC_TRY(reader.read(from.row, N, values.data()));
  }
  auto copy = [&](int64_t row, int64_t rows, float *out) -> Status {
    std::copy_n(values.data() + row * K, rows * K, out);
    return {};
  };
  QUANTC_TRY(checkNumbers({.N = N, .K = K, .read = copy, .importance = {}}, threads));
  return values;
}

Status WeightStore::read(nn::WeightOp weight, int64_t row, int64_t count, float *out) const {
  QUANTC_ASSIGN(const ReadRows rows, reader(weight));
  const Status status = rows(row, count, out);
  return status ? status : failAt("weight " + weight.getSymName().str(), status.error());
}

//===- Encoding -------------------------------------------------------------------------------------------------===//

/// Calls body(row, count) for slices of N rows on several threads; the error of the first slice that fails.
Status WeightStore::encodeSlices(int64_t N, int64_t slice, const std::function<Status(int64_t, int64_t)> &body) const {
  std::vector<Status> results((N + slice - 1) / slice);
  parallelFor(results.size(), threads, [&](size_t i) {
    int64_t row = int64_t(i) * slice;
    results[i] = body(row, std::min(slice, N - row));
  });
  for (size_t i = 0; i < results.size(); ++i)
    if (!results[i])
      return i ? failAt(fmt::format("rows from {} on", int64_t(i) * slice), results[i].error()) : results[i];
  return {};
}

Result<WeightError> WeightStore::encode(nn::WeightOp weight, qf::ElemType elem) {
  auto run = [&]() -> Result<WeightError> {
    int64_t N = typeOf(weight).getDimSize(0), K = typeOf(weight).getDimSize(1);
    QUANTC_ASSIGN(const ReadRows read, reader(weight));
    auto *dialect = weight.getContext()->getOrLoadDialect<qf::QFDialect>();
    QUANTC_ASSIGN(std::shared_ptr<const KernelStorage> storage, dialect->kernelStorage(elem.getSpec(), rows));
    QUANTC_ASSIGN(Repacker repacker, Repacker::create(storage));
    QUANTC_ASSIGN(std::span<std::byte> packed, scratch->allocate(storage->bytes(N, K)));
    QUANTC_ASSIGN(EncodePlan plan, planEncode(*formatOf(elem), N, K, /*importance=*/false));
    // Slices end where tiles and blocks of kernel storage end. What needs several passes sees the whole weight.
    const int64_t slice = plan.passes > 1 ? N : std::min(N, std::lcm(plan.tileRows, int64_t(rows)));
    std::vector<WeightError> errors((N + slice - 1) / slice);
    QUANTC_TRY(encodeSlices(N, slice, [&](int64_t row, int64_t count) -> Status {
      std::vector<float> values(count * K), decoded(values.size());
      QUANTC_TRY(read(row, count, values.data()));
      QUANTC_ASSIGN(FieldValues fields, quantc::encode(*formatOf(elem), values, count, K));
      QUANTC_TRY(decode(*formatOf(elem), fields, count, K, decoded.data()));
      errors[row / slice] = WeightError::of(values, decoded);
      std::span<std::byte> part = packed.subspan(storage->bytes(row, K), storage->bytes(count, K));
      return repacker.fromFields(fields, count, K, part, /*threads=*/1);
    }));
    encoded[weight.getSymName()] = packed;
    WeightError all;
    for (const WeightError &part : errors)
      all += part;
    return all;
  };
  auto error = run();
  return error ? error : failAt("weight " + weight.getSymName().str(), error.error());
}

Status WeightStore::keep(nn::WeightOp weight, qf::ElemType elem, std::span<const std::byte> packed,
                         std::span<const int32_t> order) {
  if (keepAs == KeepAs::Fields) {
    if (!order.empty())
      orders[weight.getSymName()].assign(order.begin(), order.end());
    QUANTC_ASSIGN(std::span<std::byte> bits, scratch->allocate(packed.size()));
    std::ranges::copy(packed, bits.begin());
    encoded[weight.getSymName()] = bits;
    return {};
  }
  if (!order.empty())
    return fail("its columns are in another order, which kernels do not know");
  const int64_t N = typeOf(weight).getDimSize(0), K = typeOf(weight).getDimSize(1);
  auto *dialect = weight.getContext()->getOrLoadDialect<qf::QFDialect>();
  QUANTC_ASSIGN(std::shared_ptr<const KernelStorage> storage, dialect->kernelStorage(elem.getSpec(), rows));
  QUANTC_ASSIGN(Repacker repacker, Repacker::create(storage));
  QUANTC_ASSIGN(std::span<std::byte> blocks, scratch->allocate(storage->bytes(N, K)));
  const int64_t slice = std::min(N, std::lcm(packedRowUnit(*formatOf(elem), N, K), int64_t(rows)));
  QUANTC_TRY(encodeSlices(N, slice, [&](int64_t row, int64_t count) {
    const FieldValues fields = unpackRows(*formatOf(elem), N, K, row, count, packed);
    return repacker.fromFields(fields, count, K, blocks.subspan(storage->bytes(row, K), storage->bytes(count, K)),
                               /*threads=*/1);
  }));
  encoded[weight.getSymName()] = blocks;
  return {};
}

std::optional<std::span<const std::byte>> WeightStore::packedFields(nn::WeightOp weight) const {
  const auto found = encoded.find(weight.getSymName());
  if (keepAs != KeepAs::Fields || found == encoded.end() || !isa<qf::ElemType>(typeOf(weight).getElementType()))
    return std::nullopt;
  return found->second;
}

std::optional<std::vector<float>> WeightStore::values(nn::WeightOp weight) const {
  const auto found = encoded.find(weight.getSymName());
  if (found == encoded.end() || !typeOf(weight).getElementType().isF32())
    return std::nullopt;
  std::vector<float> result(found->second.size() / sizeof(float));
  std::memcpy(result.data(), found->second.data(), found->second.size());
  return result;
}

Status WeightStore::keep(nn::WeightOp weight, std::span<const float> values) {
  QUANTC_ASSIGN(std::span<std::byte> place, scratch->allocate(values.size_bytes()));
  std::memcpy(place.data(), values.data(), values.size_bytes());
  encoded[weight.getSymName()] = place;
  return {};
}

//===- Bytes for artifacts --------------------------------------------------------------------------------------===//

Result<uint64_t> WeightStore::bytes(nn::WeightOp weight) const {
  RankedTensorType type = typeOf(weight);
  auto elem = dyn_cast<qf::ElemType>(type.getElementType());
  if (!elem)
    return static_cast<uint64_t>(type.getNumElements()) * sizeof(float);
  auto *dialect = weight.getContext()->getOrLoadDialect<qf::QFDialect>();
  QUANTC_ASSIGN(std::shared_ptr<const KernelStorage> storage, dialect->kernelStorage(elem.getSpec(), rows));
  return static_cast<uint64_t>(storage->bytes(type.getDimSize(0), type.getDimSize(1)));
}

/// Tiles of whole rows of kernel blocks from the blocks of the file, or the fields of a bound weight.
Status WeightStore::writeRepacked(nn::WeightOp weight, qf::ElemType elem,
                                  const std::function<Status(std::span<const std::byte>)> &sink) const {
  QUANTC_ASSIGN(Source from, source(weight));
  if (from.tensor->format != elem.getSpec())
    return fail("has the format {} but its source {}, and it was not encoded", elem.getSpec().str(),
                from.tensor->format);
  auto *dialect = weight.getContext()->getOrLoadDialect<qf::QFDialect>();
  QUANTC_ASSIGN(std::shared_ptr<const KernelStorage> storage, dialect->kernelStorage(elem.getSpec(), rows));
  QUANTC_ASSIGN(Repacker repacker, Repacker::create(storage));
  int64_t N = typeOf(weight).getDimSize(0), K = typeOf(weight).getDimSize(1);
  std::vector<std::byte> packed;
  if (from.tensor->bound) {
    if (from.row != 0 || N != from.tensor->shape[0])
      return fail("is a part of '{}', whose fields lie in several tensors", from.tensor->name);
    const int64_t unit = std::lcm(int64_t(rows), from.tensor->bound->rowUnit());
    const int64_t window = std::max<int64_t>(1, tileBytes / int64_t(sizeof(uint64_t)) / (K * unit)) * unit;
    for (int64_t row = 0; row < N; row += window) {
      const int64_t count = std::min(window, N - row);
      QUANTC_ASSIGN(const BoundRows part, from.tensor->bound->fields(row, count));
      packed.resize(storage->bytes(count, K));
      QUANTC_TRY(repacker.fromFields(*part.fields, count, K, packed, threads));
      QUANTC_TRY(sink(packed));
    }
    return {};
  }
  if (isPlainFloat(*formatOf(elem))) {
    QUANTC_ASSIGN(const EncodeSource numbers, rowsOf(*from.tensor, from.row, formatOf(elem), N, K));
    QUANTC_TRY(checkNumbers(numbers, threads));
  }
  const int64_t step = std::lcm(int64_t(rows), formatOf(elem)->block()->rows);
  const int64_t rowBytes = storage->columnTiles(K) * storage->bytes() / rows + 1;
  const int64_t tileRows = std::max<int64_t>(1, tileBytes / (rowBytes * step)) * step;
  for (int64_t row = 0; row < N; row += tileRows) {
    int64_t count = std::min(tileRows, N - row);
    packed.resize(storage->bytes(count, K));
    QUANTC_TRY(repacker.fromBlocks(bytesOf(*from.tensor, from.row + row, count), count, K, packed, threads));
    QUANTC_TRY(sink(packed));
  }
  return {};
}

/// A table for nn.gather.
Result<std::vector<int32_t>> WeightStore::columns(nn::WeightOp weight) const {
  if (auto dense = dyn_cast<DenseIntElementsAttr>(weight.getFrom()))
    return std::vector<int32_t>(dense.value_begin<int32_t>(), dense.value_end<int32_t>());
  auto from = cast<nn::ColumnsAttr>(weight.getFrom());
  const CheckpointTensor *tensor = checkpoint->find(from.getTensor().str());
  if (!tensor || !tensor->bound || int64_t(tensor->bound->order().size()) != typeOf(weight).getNumElements())
    return fail("the model has no tensor '{}' of {} columns in another order", from.getTensor().str(),
                typeOf(weight).getNumElements());
  return std::vector<int32_t>(tensor->bound->order().begin(), tensor->bound->order().end());
}

Status WeightStore::write(nn::WeightOp weight, const std::function<Status(std::span<const std::byte>)> &sink) const {
  auto run = [&]() -> Status {
    if (auto found = encoded.find(weight.getSymName()); found != encoded.end())
      return sink(found->second);
    if (auto elem = dyn_cast<qf::ElemType>(typeOf(weight).getElementType()))
      return writeRepacked(weight, elem, sink);
    if (typeOf(weight).getElementType().isInteger(32)) {
      QUANTC_ASSIGN(std::vector<int32_t> table, columns(weight));
      return sink(std::as_bytes(std::span(table)));
    }
    QUANTC_ASSIGN(std::vector<float> values, floats(weight));
    return sink(std::as_bytes(std::span(values)));
  };
  Status status = run();
  return status ? status : failAt("weight " + weight.getSymName().str(), status.error());
}
