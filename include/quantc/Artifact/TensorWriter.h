//===- TensorWriter.h - tensors appended to a file whose header is written --------------------------------------===//
#pragma once

#include "quantc/Support/Files.h"
#include <string>
#include <vector>

namespace quantc {

/// Where a tensor lies in a file that is being written.
struct TensorExtent {
  std::string name;
  uint64_t offset; ///< from the beginning of the file
  uint64_t bytes;
};

/// The second half of writing any container: the header is there and says where each tensor lies; their bytes are
/// appended in that order, in pieces of any size, so that nothing is held in memory. Gaps are filled with zeros. The
/// file appears when `commit` succeeds, or not at all.
class TensorWriter {
public:
  /// `tensors` are ascending and begin at or after the file's position; the file will have `fileBytes` bytes.
  TensorWriter(AtomicFile file, std::vector<TensorExtent> tensors, uint64_t fileBytes);

  /// All tensors in the order in which their bytes are wanted.
  const std::vector<TensorExtent> &tensors() const { return extents; }
  /// Continues the current tensor; a tensor that is full is followed by the next. Fails where more is given than the
  /// current tensor takes, or the disk is full.
  Status append(std::span<const std::byte> bytes);
  /// Whether all bytes of all tensors are there.
  bool complete() const { return current == extents.size(); }
  /// Fails where the tensors are not complete.
  Status commit();

private:
  Status padTo(uint64_t offset);
  void skipFull();
  AtomicFile file;
  std::vector<TensorExtent> extents;
  uint64_t fileBytes;
  size_t current = 0;
};

} // namespace quantc
