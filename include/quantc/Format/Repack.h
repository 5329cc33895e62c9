//===- Repack.h - weights from files into kernel storage --------------------------------------------------------===//
#pragma once

#include "quantc/Format/Decode.h"
#include "quantc/Format/KernelStorage.h"
#include <memory>
#include <span>

namespace quantc {

/// Moves the bits of weights into kernel storage and back. Immutable; its functions may run at the same time.
class Repacker {
public:
  static Result<Repacker> create(std::shared_ptr<const KernelStorage> storage);
  ~Repacker();
  Repacker(Repacker &&) noexcept;

  const KernelStorage &storage() const { return *kernel; }

  /// From the inline blocks of a file, row-major: `blocks` has N * K / (rows * columns) of them. Writes all bytes of
  /// `packed`, storage().bytes(N, K) of them. Fails where a size is wrong, the shape has no kernel storage, or the
  /// format has fields outside of its blocks.
  Status fromBlocks(std::span<const std::byte> blocks, int64_t N, int64_t K, std::span<std::byte> packed,
                    unsigned threads = 0) const;

  /// The same from fields of storage().source(), which may come out of any container.
  Status fromFields(const FieldValues &fields, int64_t N, int64_t K, std::span<std::byte> packed,
                    unsigned threads = 0) const;

  /// The inverse: fields of storage().format(). Fields that `value` does not read are zeros.
  Result<FieldValues> toFields(std::span<const std::byte> packed, int64_t N, int64_t K, unsigned threads = 0) const;

private:
  struct Moves;
  explicit Repacker(std::shared_ptr<const KernelStorage> storage);
  Status checkSizes(int64_t N, int64_t K, size_t packedBytes) const;
  Result<FieldValues> evaluateFactors(const FieldValues &fields, int64_t N, int64_t K, unsigned threads) const;

  std::shared_ptr<const KernelStorage> kernel;
  std::unique_ptr<const Moves> moves; ///< blocks to kernel storage, a row at a time; null where there is no such list
};

} // namespace quantc
