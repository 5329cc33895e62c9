//===- Format.h - a format: a description with its parameters bound, verified -----------------------------------===//
//
// A format says what the stored bits of a quantized weight W[N][K] mean. `Catalog` finds formats by their spec
// ("int:4:g128:asym"); `Decode.h` evaluates them, `Layout.h` and `Container.h` say where the bits lie.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Format/Syntax.h"
#include <filesystem>
#include <map>
#include <mutex>
#include <span>

namespace quantc {

/// How the bits of a field are read. The floats are converted exactly to f32.
enum class FieldKind { Unsigned, Signed, F32, F16, BF16, E4M3, E5M2, E8M0, E2M1, E2M3, E3M2 };

inline bool isInteger(FieldKind kind) {
  return kind == FieldKind::Unsigned || kind == FieldKind::Signed;
}
/// The kind that a type word names ("f16"), and its width in bits.
std::optional<std::pair<FieldKind, unsigned>> floatKind(std::string_view type);

/// A stored field. One cell holds for `rows` x `columns` weights, 0 being the whole extent, or with `flat` for
/// `columns` consecutive weights of the flattened matrix.
struct Field {
  std::string name;
  FieldKind kind;
  unsigned width; ///< bits
  int64_t rows, columns;
  bool flat = false;
  unsigned rank = 2;          ///< indices of a cell in a container: 2, 1 (per row), 0 (per tensor)
  bool inside = false;        ///< inline: its scope fits into the block
  std::vector<int64_t> array; ///< extents of the cell's own array
  bool extra = false;         ///< `value` does not use it
  Position position;
  unsigned index = 0; ///< in Format::fields()

  int64_t arraySize() const;
};

struct BlockShape {
  int64_t rows, columns, bytes;
};

/// Smallest and largest value of an integer expression; an end at the limit of int64 is unknown.
struct Interval {
  int64_t low = INT64_MIN, high = INT64_MAX;
  bool known() const { return low != INT64_MIN && high != INT64_MAX; }
};

enum class ValueType { Integer, Float };

/// Immutable; every analysis is const and thread-safe.
class Format {
public:
  /// Binds parameters (the others keep their defaults) and verifies. Fails with "file:line:column: message".
  static Result<std::shared_ptr<const Format>> create(std::shared_ptr<const Description> description,
                                                      const std::map<std::string, ParamValue> &params = {});

  const std::string &name() const { return description->name; }
  const std::string &doc() const { return description->doc; }
  /// The canonical spec: name and the parameters that differ from their defaults, "int:3:g64:asym".
  const std::string &spec() const { return canonicalSpec; }
  const Description &source() const { return *description; }

  /// The fields that exist with these parameters, in the order of their declarations.
  const std::vector<Field> &fields() const { return boundFields; }
  const Field *field(std::string_view name) const;
  const std::optional<BlockShape> &block() const { return blockShape; }
  /// What a weight is: definitions substituted, parameters folded, only existing fields named. f32.
  const ExprPtr &value() const { return valueExpr; }
  /// The clause for a statistic ("" or "imatrix"); null where there is none.
  const EncodeClause *encode(std::string_view statistic) const;
  const Table *table(std::string_view name) const { return description->table(name); }

  /// Integer parameters by name; 0 where the value is the extent N or K.
  const std::map<std::string, int64_t> &integers() const { return params; }
  /// The same for a weight N x K.
  std::map<std::string, int64_t> integersFor(int64_t N, int64_t K) const;
  /// The word that a type parameter stands for; other words stand for themselves.
  std::string typeWord(const std::string &word) const;
  /// Value of a field that the parameters leave out (`else`), if it has one.
  std::optional<int64_t> constant(std::string_view field) const;

  /// Whether a weight N x K can be held: whole blocks, and every `require` of the description.
  Status checkShape(int64_t N, int64_t K) const;
  /// Stored bits of a weight N x K by field widths and block size, per weight.
  double bitsPerWeight(int64_t N, int64_t K) const;

  /// Definitions replaced, parameters folded, names and index ranges checked. `variables`: names bound outside.
  Result<ExprPtr> resolve(const ExprPtr &e) const;
  /// Type of a resolved expression.
  ValueType typeOf(const Expr &e) const;
  /// Interval of a resolved integer expression.
  Interval rangeOf(const Expr &e) const;
  /// Whether a field is read.
  bool readsField(const Expr &e) const;
  /// Cells of a field in a weight N x K (outside of the block), or in one block (`inside`), array elements included.
  int64_t cellCount(const Field &field, int64_t N, int64_t K) const;

  tl::unexpected<Error> error(Position position, std::string_view message) const {
    return errorAt(description->file, position, message);
  }

private:
  friend class Verifier;
  std::shared_ptr<const Description> description;
  std::string canonicalSpec;
  std::map<std::string, int64_t> params;
  std::map<std::string, std::string> words; ///< parameters whose value is a word
  std::vector<Field> boundFields;
  std::map<std::string, int64_t, std::less<>> constants;
  std::optional<BlockShape> blockShape;
  ExprPtr valueExpr;
};

/// Formats and containers by name: the descriptions of a data directory, and files given by the user.
class Catalog {
public:
  /// `data` has folders formats/ and containers/, whose files are parsed when first asked for. `files` are added.
  static Result<std::shared_ptr<Catalog>> open(const std::filesystem::path &data,
                                               std::span<const std::filesystem::path> files = {});
  /// Adds a `.qf` or `.qc` file, which from now on is known by the name that it declares.
  Status addFile(const std::filesystem::path &path);

  /// The format of a spec such as "int:4:g128:asym": words after the name are matched with the parameters in the order
  /// of their declarations, by prefix and choices. The same spec gives the same object.
  Result<std::shared_ptr<const Format>> format(const std::string &spec);
  /// The description of a container ("gguf").
  Result<std::shared_ptr<const Description>> container(const std::string &name);

  /// Sorted.
  std::vector<std::string> formatNames() const;
  std::vector<std::string> containerNames() const;

private:
  explicit Catalog(std::filesystem::path data) : data(std::move(data)) {}
  Result<std::shared_ptr<const Description>> load(const std::filesystem::path &path) const;
  Result<std::shared_ptr<const Description>> description(const std::string &name, bool container);

  const std::filesystem::path data;
  mutable std::mutex mutex;
  std::map<std::string, std::shared_ptr<const Description>> formats, containers;
  std::map<std::string, std::shared_ptr<const Format>> bound;
};

} // namespace quantc
