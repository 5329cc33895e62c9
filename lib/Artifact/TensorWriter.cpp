//===- TensorWriter.cpp - tensors appended to a file whose header is written ------------------------------------===//

#include "quantc/Artifact/TensorWriter.h"
#include "quantc/Support/Text.h"
#include <algorithm>
#include <array>

using namespace quantc;

TensorWriter::TensorWriter(AtomicFile file, std::vector<TensorExtent> tensors, uint64_t fileBytes)
    : file(std::move(file)), extents(std::move(tensors)), fileBytes(fileBytes) {
  skipFull();
}

void TensorWriter::skipFull() {
  const auto full = [&](const TensorExtent &tensor) {
    return tensor.bytes == 0 || file.position() == tensor.offset + tensor.bytes;
  };
  while (current < extents.size() && full(extents[current]))
    ++current;
}

Status TensorWriter::padTo(uint64_t offset) {
  static constexpr std::array<std::byte, 4096> zeros{};
  while (file.position() < offset)
    QUANTC_TRY(file.write(std::span(zeros).first(std::min<uint64_t>(zeros.size(), offset - file.position()))));
  return {};
}

Status TensorWriter::append(std::span<const std::byte> bytes) {
  if (bytes.empty())
    return {};
  if (complete())
    return fail("{} bytes follow the last tensor", bytes.size());
  const TensorExtent &tensor = extents[current];
  QUANTC_TRY(padTo(tensor.offset));
  const uint64_t left = tensor.offset + tensor.bytes - file.position();
  if (bytes.size() > left)
    return fail("tensor {} has {} bytes; {} too many were given", inQuotes(tensor.name), tensor.bytes,
                bytes.size() - left);
  QUANTC_TRY(file.write(bytes));
  skipFull();
  return {};
}

Status TensorWriter::commit() {
  if (!complete())
    return fail("tensor {} of {} bytes is not complete", inQuotes(extents[current].name), extents[current].bytes);
  QUANTC_TRY(padTo(fileBytes));
  return file.commit();
}
