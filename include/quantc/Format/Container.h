//===- Container.h - in which tensors of a file the fields lie --------------------------------------------------===//
#pragma once

#include "quantc/Format/Layout.h"

namespace quantc {

/// A tensor of a container that holds a part of a weight.
struct BoundTensor {
  std::string suffix; ///< appended to the name of the linear layer
  std::string type;   ///< "i32", "f16", "u8" ...
  unsigned wordBits;
  std::vector<int64_t> shape; ///< row-major
  int64_t bytes() const;
};

/// One container holding one weight N x K of a format. Reading and storing are inverse to each other on all but padding
/// bits.
class Binding {
public:
  /// Fails where the container does not carry the format, a `require` does not hold, or the layout is wrong: not every
  /// bit of every field is stored exactly once. That check takes memory as large as the weight; of large weights it is
  /// left to `read`, which has seen that there is such a file.
  static Result<Binding> create(std::shared_ptr<const Description> container, std::shared_ptr<const Format> format,
                                int64_t N, int64_t K);
  ~Binding();
  Binding(Binding &&) noexcept;

  const std::vector<BoundTensor> &tensors() const { return bound; }
  /// Fields from the bytes of the tensors, in their order. Fails where a size is wrong or a constant differs.
  Result<FieldValues> read(const std::vector<std::span<const std::byte>> &data) const;
  std::vector<std::vector<std::byte>> store(const FieldValues &fields) const;

private:
  struct Tensor;
  Binding();
  template <typename Stream> Status readRun(const BitRun &run, const Stream &stream, FieldValues &fields) const;
  template <typename Stream> void storeRun(const BitRun &run, const Stream &stream, const FieldValues &fields) const;
  std::shared_ptr<const Description> container;
  std::shared_ptr<const Format> format;
  Status verify() const;
  int64_t N = 0, K = 0;
  bool wholeBlocks = false;
  bool verified = false;
  std::vector<BoundTensor> bound;
  std::vector<Tensor> layouts;
};

/// The type id that a self-describing file uses for a format ("type q = 12" of the container), and back.
std::optional<int64_t> typeId(const Description &container, std::string_view format);
std::optional<std::string> formatOfTypeId(const Description &container, int64_t id);

} // namespace quantc
