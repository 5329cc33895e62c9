//===- DeviceCache.h - keys or values of the KV cache in a format, on a GPU ---------------------------------------===//
//
// The same bytes as on processors (CodeGen/CPU/CodedCache.h): for each head and 16 positions blocks of kernel storage,
// whose rows are the positions. A thread reads or writes one row of a block, so neighbours share its lines.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "LayerBuilder.h"
#include "quantc/Dialect/QF/QF.h"

namespace quantc {

class DeviceCache {
public:
  using Value = mlir::Value;

  /// Whether a cache of an nn op is in a format, and not f16.
  static bool isCoded(Value cache);
  /// Of the op `user`, where errors are emitted.
  DeviceCache(mlir::Operation *user, Value cache);

  /// Features of a block, and of a head in whole blocks.
  int64_t columns() const { return block.getColumns(); }
  int64_t blocks() const { return llvm::divideCeil(features, columns()); }
  int64_t paddedFeatures() const { return blocks() * columns(); }

  /// The numbers of block `part` of the features of a head at a position; none, with an error, where the format has no
  /// code.
  LayerBuilder::Values decode(LayerBuilder &b, Value head, Value position, Value part);
  /// Writes block `part` of the features, which lie in shared memory, those beyond the head as zeros. One thread may
  /// write to a block at a time. Emits an error where the format cannot be encoded at run time.
  mlir::LogicalResult encode(LayerBuilder &b, Value features, Value head, Value position, Value part);

private:
  Value addressOf(LayerBuilder &b, Value head, Value position, Value part);

  mlir::Operation *user;
  Value cache;
  qf::BlockType block;
  std::shared_ptr<const KernelStorage> storage;
  int64_t features; // of a head
};

} // namespace quantc
