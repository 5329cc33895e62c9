//===- WeightStore.cpp - the bytes of weights -------------------------------------------------------------------===//

#include "quantc/Transforms/WeightStore.h"

#include "mlir/IR/BuiltinTypes.h"
#include "quantc/Encode/Encode.h"
#include "quantc/Format/Arithmetic.h"
#include "quantc/Format/Repack.h"
#include "quantc/Support/Parallel.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/BLAKE3.h"
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

//===- Rows -----------------------------------------------------------------------------------------------------===//

RowReader::RowReader(std::shared_ptr<const Format> format, BlockLayout layout, std::span<const std::byte> bytes,
                     int64_t columns)
    : format(std::move(format)), layout(std::move(layout)), data(bytes), columns(columns) {
  const BlockShape &block = *this->format->block();
  rowBytes = columns / block.columns * block.bytes / block.rows;
}

Result<RowReader> RowReader::create(std::shared_ptr<const Format> format, std::span<const std::byte> bytes,
                                    int64_t columns) {
  for (const Field &field : format->fields())
    if (!field.inside)
      return fail("format {} has fields outside of its blocks", format->spec());
  if (!format->block() || columns % format->block()->columns)
    return fail("rows of {} numbers are no whole number of blocks of {}", columns, format->spec());
  QUANTC_ASSIGN(BlockLayout layout, BlockLayout::create(*format));
  return RowReader(std::move(format), std::move(layout), bytes, columns);
}

Status RowReader::read(int64_t row, int64_t count, float *out) const {
  const std::byte *from = data.data() + row * rowBytes;
  const BlockShape &block = *format->block();
  // Plain numbers, the usual source, need no fields.
  const Field &first = format->fields().front();
  if (block.columns == 1 && block.rows == 1 && format->fields().size() == 1 && !isInteger(first.kind) &&
      format->value()->kind == ExprKind::Name && format->value()->name == first.name) {
    for (int64_t i = 0; i < count * columns; ++i) {
      uint64_t raw = 0;
      std::memcpy(&raw, from + i * block.bytes, block.bytes);
      out[i] = fromBits(first.kind, raw);
    }
    return {};
  }
  FieldValues fields = zeroFields(*format, count, columns);
  layout.read(from, 0, count * columns / (block.rows * block.columns), fields);
  return decode(*format, fields, count, columns, out);
}

//===- Sources --------------------------------------------------------------------------------------------------===//

Result<std::unique_ptr<WeightStore>> WeightStore::create(std::shared_ptr<const Checkpoint> checkpoint, unsigned rows,
                                                         const std::filesystem::path &scratch, unsigned threads) {
  QUANTC_ASSIGN(std::unique_ptr<ScratchFile> file, ScratchFile::create(scratch));
  return std::unique_ptr<WeightStore>(new WeightStore(std::move(checkpoint), rows, std::move(file), threads));
}

Result<WeightStore::Source> WeightStore::source(nn::WeightOp weight) const {
  auto from = dyn_cast<nn::SourceAttr>(weight.getFrom());
  const CheckpointTensor *tensor = from && checkpoint ? checkpoint->find(from.getTensor().str()) : nullptr;
  if (!tensor)
    return fail("weight {}: the model has no tensor for it", weight.getSymName().str());
  if (from.getRow() == 0 && ArrayRef(tensor->shape) == typeOf(weight).getShape())
    return Source{tensor->format, tensor->bytes};
  int64_t all = tensor->shape.empty() ? 0 : tensor->shape.front(), wanted = typeOf(weight).getDimSize(0);
  if (ArrayRef(tensor->shape).drop_front() != typeOf(weight).getShape().drop_front() || from.getRow() < 0 ||
      wanted > all || from.getRow() > all - wanted)
    return fail("weight {}: tensor '{}' has not its rows", weight.getSymName().str(), tensor->name);
  uint64_t rowBytes = tensor->bytes.size() / all;
  return Source{tensor->format, tensor->bytes.subspan(from.getRow() * rowBytes, wanted * rowBytes)};
}

std::pair<std::string, std::string> WeightStore::provenance(nn::WeightOp weight) const {
  auto from = dyn_cast<nn::SourceAttr>(weight.getFrom());
  auto bytes = source(weight);
  if (!from || !bytes)
    return {};
  llvm::BLAKE3 hasher;
  hasher.update(ArrayRef(reinterpret_cast<const uint8_t *>(bytes->bytes.data()), bytes->bytes.size()));
  return {(from.getFile() + "#" + from.getTensor()).str(), "blake3:" + llvm::toHex(hasher.final(), /*LowerCase=*/true)};
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

Status WeightStore::encode(nn::WeightOp weight, qf::ElemType elem) {
  auto run = [&]() -> Status {
    QUANTC_ASSIGN(Source from, source(weight));
    QUANTC_ASSIGN(std::shared_ptr<const Format> sourceFormat, formatNamed(weight, from.format));
    int64_t N = typeOf(weight).getDimSize(0), K = typeOf(weight).getDimSize(1);
    QUANTC_ASSIGN(RowReader reader, RowReader::create(sourceFormat, from.bytes, K));
    auto *dialect = weight.getContext()->getOrLoadDialect<qf::QFDialect>();
    QUANTC_ASSIGN(std::shared_ptr<const KernelStorage> storage, dialect->kernelStorage(elem.getSpec(), rows));
    QUANTC_ASSIGN(Repacker repacker, Repacker::create(storage));
    QUANTC_ASSIGN(std::span<std::byte> packed, scratch->allocate(storage->bytes(N, K)));
    QUANTC_ASSIGN(EncodePlan plan, planEncode(*formatOf(elem), N, K, /*importance=*/false));
    // Slices end where tiles and blocks of kernel storage end. What needs several passes sees the whole weight.
    const int64_t slice = plan.passes > 1 ? N : std::min(N, std::lcm(plan.tileRows, int64_t(rows)));
    QUANTC_TRY(encodeSlices(N, slice, [&](int64_t row, int64_t count) -> Status {
      std::vector<float> values(count * K);
      QUANTC_TRY(reader.read(row, count, values.data()));
      QUANTC_ASSIGN(FieldValues fields, quantc::encode(*formatOf(elem), values, count, K));
      std::span<std::byte> part = packed.subspan(storage->bytes(row, K), storage->bytes(count, K));
      return repacker.fromFields(fields, count, K, part, /*threads=*/1);
    }));
    encoded[weight.getSymName()] = packed;
    return {};
  };
  Status status = run();
  return status ? status : failAt("weight " + weight.getSymName().str(), status.error());
}

Status WeightStore::keep(nn::WeightOp weight, qf::ElemType elem, const FieldValues &fields) {
  const int64_t N = typeOf(weight).getDimSize(0), K = typeOf(weight).getDimSize(1);
  auto *dialect = weight.getContext()->getOrLoadDialect<qf::QFDialect>();
  QUANTC_ASSIGN(std::shared_ptr<const KernelStorage> storage, dialect->kernelStorage(elem.getSpec(), rows));
  QUANTC_ASSIGN(Repacker repacker, Repacker::create(storage));
  QUANTC_ASSIGN(std::span<std::byte> packed, scratch->allocate(storage->bytes(N, K)));
  QUANTC_TRY(repacker.fromFields(fields, N, K, packed, threads));
  encoded[weight.getSymName()] = packed;
  return {};
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

/// Tiles of whole rows of kernel blocks, from the blocks of the file.
Status WeightStore::writeRepacked(nn::WeightOp weight, qf::ElemType elem,
                                  const std::function<Status(std::span<const std::byte>)> &sink) const {
  QUANTC_ASSIGN(Source from, source(weight));
  if (from.format != elem.getSpec())
    return fail("has the format {} but its source {}, and it was not encoded", elem.getSpec().str(), from.format);
  auto *dialect = weight.getContext()->getOrLoadDialect<qf::QFDialect>();
  QUANTC_ASSIGN(std::shared_ptr<const KernelStorage> storage, dialect->kernelStorage(elem.getSpec(), rows));
  QUANTC_ASSIGN(Repacker repacker, Repacker::create(storage));
  int64_t N = typeOf(weight).getDimSize(0), K = typeOf(weight).getDimSize(1);
  const int64_t step = std::lcm(int64_t(rows), formatOf(elem)->block()->rows);
  const int64_t rowBytes = storage->columnTiles(K) * storage->bytes() / rows + 1;
  const int64_t tileRows = std::max<int64_t>(1, tileBytes / (rowBytes * step)) * step;
  std::vector<std::byte> packed;
  for (int64_t row = 0; row < N; row += tileRows) {
    int64_t count = std::min(tileRows, N - row);
    packed.resize(storage->bytes(count, K));
    size_t begin = from.bytes.size() / N * row, size = from.bytes.size() / N * count;
    QUANTC_TRY(repacker.fromBlocks(from.bytes.subspan(begin, size), count, K, packed, threads));
    QUANTC_TRY(sink(packed));
  }
  return {};
}

/// Vectors and tables as f32.
Result<std::vector<float>> WeightStore::floats(nn::WeightOp weight) const {
  std::vector<float> values(typeOf(weight).getNumElements());
  if (auto angles = dyn_cast<nn::AnglesAttr>(weight.getFrom())) {
    ArrayRef<double> frequencies = angles.getFrequencies().asArrayRef();
    size_t pairs = frequencies.size();
    for (size_t i = 0; i < values.size() / 2; ++i) {
      size_t row = i / pairs, pair = i % pairs;
      double angle = double(row) * double(angles.getStep()) * frequencies[pair];
      values[2 * row * pairs + pair] = static_cast<float>(std::cos(angle));
      values[(2 * row + 1) * pairs + pair] = static_cast<float>(std::sin(angle));
    }
    return values;
  }
  if (auto dense = dyn_cast<DenseElementsAttr>(weight.getFrom())) {
    if (!isa<FloatType>(dense.getElementType()))
      return fail("is a constant of integers, expected floats");
    llvm::transform(dense.getValues<APFloat>(), values.begin(),
                    [](const APFloat &v) { return static_cast<float>(v.convertToDouble()); });
    return values;
  }
  QUANTC_ASSIGN(Source from, source(weight));
  QUANTC_ASSIGN(std::shared_ptr<const Format> format, formatNamed(weight, from.format));
  QUANTC_ASSIGN(RowReader reader, RowReader::create(format, from.bytes, values.size()));
  QUANTC_TRY(reader.read(0, 1, values.data()));
  return values;
}

Status WeightStore::read(nn::WeightOp weight, int64_t row, int64_t count, float *out) const {
  auto run = [&]() -> Status {
    if (typeOf(weight).getRank() != 2 || isa<DenseElementsAttr>(weight.getFrom())) {
      QUANTC_ASSIGN(const std::vector<float> values, floats(weight));
      const int64_t columns = typeOf(weight).getRank() == 2 ? typeOf(weight).getDimSize(1) : 0;
      std::copy_n(values.begin() + row * columns, columns ? count * columns : values.size(), out);
      return {};
    }
    QUANTC_ASSIGN(const Source from, source(weight));
    QUANTC_ASSIGN(std::shared_ptr<const Format> format, formatNamed(weight, from.format));
    QUANTC_ASSIGN(const RowReader reader, RowReader::create(format, from.bytes, typeOf(weight).getDimSize(1)));
    return reader.read(row, count, out);
  };
  Status status = run();
  return status ? status : failAt("weight " + weight.getSymName().str(), status.error());
}

Status WeightStore::write(nn::WeightOp weight, const std::function<Status(std::span<const std::byte>)> &sink) const {
  auto run = [&]() -> Status {
    if (auto found = encoded.find(weight.getSymName()); found != encoded.end())
      return sink(found->second);
    if (auto elem = dyn_cast<qf::ElemType>(typeOf(weight).getElementType()))
      return writeRepacked(weight, elem, sink);
    QUANTC_ASSIGN(std::vector<float> values, floats(weight));
    return sink(std::as_bytes(std::span(values)));
  };
  Status status = run();
  return status ? status : failAt("weight " + weight.getSymName().str(), status.error());
}
