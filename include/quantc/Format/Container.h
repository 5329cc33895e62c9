//===- Container.h - in which tensors of a file the fields lie --------------------------------------------------===//
#pragma once

#include "quantc/Format/Layout.h"
#include <nlohmann/json_fwd.hpp>

namespace quantc {

/// A tensor of a container that holds a part of a weight.
struct BoundTensor {
  std::string suffix; ///< appended to the name of the linear layer
  std::string type;   ///< "i32", "f16", "u8" ...
  unsigned wordBits;
  std::vector<int64_t> shape; ///< row-major
  bool json = false;          ///< the text of a JSON object, of any length
  bool constant = false;      ///< holds no field: a file may do without it
  bool order = false;         ///< says in which order the columns of the file are
  int64_t bytes() const;
};

/// Names that containers write into JSON.
struct ContainerNames {
  std::string dtype = "float32"; ///< the type of the model's numbers
  std::vector<std::string> kept; ///< linear layers that stay as they are
  bool ordered = false;          ///< columns of some layer lie in another order: `order` was given to `store`
};

/// How closely the container carries the format: words of the longest spec in its `carries` lines that has the format's
/// name and only parameters of its own spec. 0: it does not carry it.
size_t carries(const Description &container, const Format &format);

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

  /// Those that are bit streams, then those that are JSON.
  const std::vector<BoundTensor> &tensors() const { return bound; }
  std::pair<int64_t, int64_t> shape() const { return {N, K}; }
  const std::shared_ptr<const Format> &boundFormat() const { return format; }
  /// Which column of the file is the j-th of the fields, so that a tensor marked `order` holds its constants: columns
  /// of a group stay in the file's order. Empty where that is the file's own order. Fails where no order makes them
  /// hold.
  Result<std::vector<int64_t>> columnOrder(const std::vector<std::span<const std::byte>> &data) const;
  /// Fields from the bytes of the tensors, in their order; no bytes for a constant one that the file lacks. Fails where
  /// a size is wrong or a constant differs. `order`: what `columnOrder` gives.
  Result<FieldValues> read(const std::vector<std::span<const std::byte>> &data,
                           std::span<const int64_t> order = {}) const {
    return readRows(data, order, 0, N);
  }
  /// Those of rows [row, row + rows), which begin and end where cells do (PackedFields.h). The first rows check the
  /// constants too.
  Result<FieldValues> readRows(const std::vector<std::span<const std::byte>> &data, std::span<const int64_t> order,
                               int64_t row, int64_t rows) const;
  /// Fails where a number that the format leaves constant differs in the tensors: reads no more than `read` does, and
  /// keeps nothing.
  Status checkConstants(const std::vector<std::span<const std::byte>> &data) const;
  /// Whether a tensor can say that the columns have another order.
  bool holdsOrder() const;
  /// The bytes of the tensors, in their order. `order`: which column of the file is the j-th of the fields, as
  /// `columnOrder` gives it; only where `holdsOrder`.
  std::vector<std::vector<std::byte>> store(const FieldValues &fields, const ContainerNames &names = {},
                                            std::span<const int64_t> order = {}) const;
  /// Writes the fields of rows from `row` on, as `readRows` gives them, into the tensors that are bit streams: zero
  /// bytes before. The first rows write what holds no field.
  void storeRows(const FieldValues &fields, int64_t row, std::span<const int64_t> order,
                 const std::vector<std::span<std::byte>> &tensors) const;
  /// The texts of the tensors that are JSON; `fields`: of any rows.
  std::vector<std::vector<std::byte>> storeJson(const FieldValues &fields, const ContainerNames &names) const;
  /// Fails where an offset of the container wraps a value of rows from `row` on around: programs disagree on what it is
  /// then.
  Status checkStorable(const FieldValues &fields, int64_t row = 0) const;

private:
  struct Tensor;
  Binding();
  template <typename Stream> Status checkConstant(const BitRun &run, const Stream &stream) const;
  template <typename Stream> Status readRun(const BitRun &run, const Stream &stream, FieldValues &fields) const;
  template <typename Stream> void storeRun(const BitRun &run, const Stream &stream, const FieldValues &fields) const;
  std::shared_ptr<const Description> container;
  std::shared_ptr<const Format> format;
  Status checkSizes(const std::vector<std::span<const std::byte>> &data) const;
  Status verify() const;
  Status readJson(std::span<const std::byte> text, size_t number, FieldValues &fields) const;
  int64_t N = 0, K = 0;
  bool wholeBlocks = false;
  bool verified = false;
  std::vector<BoundTensor> bound;
  std::vector<Tensor> layouts;
};

/// What a configuration says of weights in this container: its `config` and `export` lines.
Result<nlohmann::ordered_json> configOf(const Description &container, const Format &format,
                                        const ContainerNames &names);

/// The type id that a self-describing file uses for a format ("type q = 12" of the container), and back.
std::optional<int64_t> typeId(const Description &container, std::string_view format);
std::optional<std::string> formatOfTypeId(const Description &container, int64_t id);

} // namespace quantc
