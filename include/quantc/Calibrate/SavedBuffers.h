//===- SavedBuffers.h - where the launches of a stage stopped ----------------------------------------------------===//
#pragma once

#include "quantc/Calibrate/FloatProgram.h"
#include "quantc/Support/ScratchFile.h"

namespace quantc {

/// For each sequence, the buffers that launches before a place in a stage wrote and launches from there on read, in a
/// scratch file.
class SavedBuffers {
public:
  /// `sizes`: values of the scalars, for each sequence. Null where a state that no scratch file can hold (a KV cache,
  /// of which each sequence has its own) is live there. `used` is no longer needed: where it has room enough, its file
  /// is taken over, whose pages the system need not make anew. Fails where the disk is full.
  static Result<std::unique_ptr<SavedBuffers>> create(const FloatProgram &program, const FloatProgram::Stage &stage,
                                                      size_t place, std::span<const FloatProgram::Scalars> sizes,
                                                      const std::filesystem::path &folder,
                                                      std::unique_ptr<SavedBuffers> used);

  /// Bytes for one sequence, by the same rules; nothing where nothing can be saved there.
  static std::optional<uint64_t> bytes(const FloatProgram &program, const FloatProgram::Stage &stage, size_t place,
                                       const FloatProgram::Scalars &sizes);

  /// Copies the buffers of a sequence from, and to, `addresses` by symbol.
  void save(size_t sequence, const std::vector<void *> &addresses);
  void load(size_t sequence, const std::vector<void *> &addresses) const;

private:
  struct Buffer {
    size_t symbol;
    std::span<std::byte> place;
  };
  std::unique_ptr<ScratchFile> file;
  std::span<std::byte> room; ///< in the file
  std::vector<std::vector<Buffer>> sequences;
};

} // namespace quantc
