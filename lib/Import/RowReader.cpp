//===- RowReader.cpp - rows of a weight, wherever its bits lie --------------------------------------------------===//

#include "quantc/Import/RowReader.h"
#include "quantc/Format/Arithmetic.h"
#include "quantc/Import/BoundWeight.h"
#include <cstring>

using namespace quantc;

Result<RowReader> RowReader::create(const CheckpointTensor &tensor, std::shared_ptr<const Format> format,
                                    int64_t columns, Columns order) {
  RowReader reader(tensor, std::move(format), columns, order);
  const Format &of = *reader.format;
  if (tensor.bound) {
    QUANTC_ASSIGN(reader.program, Program::compile(of, of.value()));
    return reader;
  }
  for (const Field &field : of.fields())
    if (!field.inside)
      return fail("format {} has fields outside of its blocks", of.spec());
  if (!of.block() || of.block()->rows != 1 || columns % of.block()->columns)
    return fail("rows of {} numbers are no whole number of blocks of {}", columns, of.spec());
  QUANTC_ASSIGN(reader.layout, BlockLayout::create(of));
  reader.plain = isPlainFloat(of);
  return reader;
}

Status RowReader::read(int64_t row, int64_t count, float *out) const {
  return tensor->bound ? readBound(row, count, out) : readBlocks(row, count, out);
}

Status RowReader::readBlocks(int64_t row, int64_t count, float *out) const {
  const BlockShape &block = *format->block();
  const int64_t blocks = columns / block.columns;
  const std::byte *from = tensor->bytes.data() + row * blocks * block.bytes;
  if (plain) {
    for (int64_t i = 0; i < count * columns; ++i) {
      uint64_t raw = 0;
      std::memcpy(&raw, from + i * block.bytes, block.bytes);
      out[i] = fromBits(format->fields().front().kind, raw);
    }
    return {};
  }
  FieldValues fields = zeroFields(*format, count, columns);
  layout->read(from, 0, count * blocks, fields);
  return decode(*format, fields, count, columns, out);
}

Status RowReader::readBound(int64_t row, int64_t count, float *out) const {
  QUANTC_ASSIGN(const BoundRows found, tensor->bound->fields(row, count));
  const std::vector<int64_t> &columnOf = tensor->bound->order();
  std::vector<float> sorted(order == Columns::OfFile ? columnOf.size() : 0);
  for (int64_t r = 0; r < count; r++, out += columns) {
    program->floats(*found.fields, found.rows, columns, row + r - found.row, 0, static_cast<size_t>(columns),
                    sorted.empty() ? out : sorted.data());
    for (size_t j = 0; j < sorted.size(); j++)
      out[columnOf[j]] = sorted[j];
  }
  return {};
}
