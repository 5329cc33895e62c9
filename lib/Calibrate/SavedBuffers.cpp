//===- SavedBuffers.cpp - where the launches of a stage stopped --------------------------------------------------===//

#include "quantc/Calibrate/SavedBuffers.h"
#include <cstring>
#include <set>

using namespace quantc;

/// The buffers that launches of [from, to) name; statistics are no part of what a sequence computes.
static std::set<size_t> buffersOf(const FloatProgram &program, const FloatProgram::Stage &stage, size_t from,
                                  size_t to) {
  std::set<size_t> found;
  for (size_t i = from; i < to; ++i)
    for (const FloatProgram::Argument &arg : stage.launches[i].args)
      if (!arg.isScalar && !program.symbols()[arg.symbol].isWeight && stage.launches[i].observer.empty())
        found.insert(arg.symbol);
  return found;
}

/// Nothing where a persistent one is among them. The input of the stage is kept anyway, token ids come again.
static std::optional<std::vector<size_t>> liveAt(const FloatProgram &program, const FloatProgram::Stage &stage,
                                                 size_t place) {
  std::vector<size_t> live;
  const std::set<size_t> later = buffersOf(program, stage, place, stage.launches.size());
  for (size_t symbol : buffersOf(program, stage, 0, place)) {
    if (!later.count(symbol) || symbol == stage.input || symbol == program.tokens())
      continue;
    if (program.symbols()[symbol].persistent)
      return std::nullopt;
    live.push_back(symbol);
  }
  return live;
}

std::optional<uint64_t> SavedBuffers::bytes(const FloatProgram &program, const FloatProgram::Stage &stage, size_t place,
                                            const FloatProgram::Scalars &sizes) {
  const auto live = liveAt(program, stage, place);
  if (!live)
    return std::nullopt;
  uint64_t total = 0;
  for (size_t symbol : *live)
    total += program.symbols()[symbol].bytesFor(sizes);
  return total;
}

Result<std::unique_ptr<SavedBuffers>> SavedBuffers::create(const FloatProgram &program,
                                                           const FloatProgram::Stage &stage, size_t place,
                                                           std::span<const FloatProgram::Scalars> sizes,
                                                           const std::filesystem::path &folder,
                                                           std::unique_ptr<SavedBuffers> used) {
  const auto live = liveAt(program, stage, place);
  if (!live)
    return nullptr;
  uint64_t total = 0;
  for (const FloatProgram::Scalars &scalars : sizes)
    total += *bytes(program, stage, place, scalars);
  auto result = std::make_unique<SavedBuffers>();
  if (used && used->room.size() >= total) {
    result->file = std::move(used->file);
    result->room = used->room;
  } else {
    used.reset();
    QUANTC_ASSIGN(result->file, ScratchFile::create(folder));
    QUANTC_ASSIGN(result->room, result->file->allocate(total));
  }
  size_t at = 0;
  for (const FloatProgram::Scalars &scalars : sizes) {
    std::vector<Buffer> &buffers = result->sequences.emplace_back();
    for (size_t symbol : *live) {
      const uint64_t size = program.symbols()[symbol].bytesFor(scalars);
      buffers.push_back({symbol, result->room.subspan(at, size)});
      at += size;
    }
  }
  return result;
}

void SavedBuffers::save(size_t sequence, const std::vector<void *> &addresses) {
  for (const Buffer &buffer : sequences[sequence])
    std::memcpy(buffer.place.data(), addresses[buffer.symbol], buffer.place.size());
}

void SavedBuffers::load(size_t sequence, const std::vector<void *> &addresses) const {
  for (const Buffer &buffer : sequences[sequence])
    std::memcpy(addresses[buffer.symbol], buffer.place.data(), buffer.place.size());
}
