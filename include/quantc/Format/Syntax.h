//===- Syntax.h - the syntax tree of a format description -------------------------------------------------------===//
//
// One tree serves formats (`.qf`) and containers (`.qc`). Nodes are immutable and shared. The language:
// docs/FormatLanguage.md.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace quantc {

/// A place in a description, both from 1.
struct Position {
  unsigned line = 0, column = 0;
};

enum class ExprKind { Integer, Float, Name, Unary, Binary, Select, Call, Sum };
enum class Operator { Neg, Not, Complement, Or, Xor, And, Shl, Shr, Add, Sub, Mul, Div, Rem, Eq, Ne, Lt, Le, Gt, Ge };

struct Expr;
using ExprPtr = std::shared_ptr<const Expr>;

/// An expression. `args`: the operands of Unary and Binary; condition, then, else of Select; the indices of Name; the
/// arguments of Call; count and body of Sum.
struct Expr {
  ExprKind kind;
  Position position;
  int64_t integer = 0; ///< Integer
  float number = 0;    ///< Float
  Operator op{};       ///< Unary, Binary
  std::string name;    ///< Name; the function of Call; the variable of Sum
  std::vector<ExprPtr> args;
  std::vector<std::pair<std::string, ExprPtr>> named; ///< Call: arguments given by name
};

/// What a loop of a layout repeats, or one thing that it stores.
struct LayoutItem {
  enum Kind { Loop, Pad, Constant, Cells } kind;
  Position position;
  std::vector<std::pair<std::string, ExprPtr>> loops; ///< Loop: variable and count, the last runs fastest
  std::vector<LayoutItem> body;                       ///< Loop
  ExprPtr value;                                      ///< Pad: bits; Constant: the word
  std::string field;                                  ///< Cells: a field, or "block"
  std::vector<ExprPtr> index;                         ///< Cells: empty: all cells in order
  ExprPtr low, high;                                  ///< Cells: bits of the cell, inclusive; null: all
  std::optional<Operator> transform;                  ///< Cells: Add, Sub or Xor of `delta`, modulo 2^width
  ExprPtr delta, guard;
};

/// A parameter's value: an integer, or a word (a type, or the extents N and K).
using ParamValue = std::variant<int64_t, std::string>;

struct ParamChoice {
  std::variant<std::pair<int64_t, int64_t>, std::string> range; ///< first..last, or a word
};

struct ParamDecl {
  std::string name;
  Position position;
  ParamValue fallback;
  std::vector<ParamChoice> choices;
  std::string prefix; ///< before its value on the command line
  bool flag = false;
  bool allows(const ParamValue &value) const;
};

/// Numbers by row-major index: all integers, or all f32.
struct Table {
  std::string name;
  Position position;
  std::vector<int64_t> shape;
  bool isFloat = false;
  std::vector<int64_t> integers;
  int64_t lowest = 0, highest = 0; ///< of the integers
  std::vector<float> floats;
};

struct ScopeDecl {
  enum Kind { Weight, Block, Row, Tensor, Tile } kind;
  Position position;
  ExprPtr rows, columns; ///< Tile; rows null: 1
  bool flat = false;
};

struct FieldDecl {
  std::string name;
  Position position, typePosition;
  std::string type; ///< "u", "s" with `width`, "u4", "f16", or a parameter
  ExprPtr width;
  std::vector<ExprPtr> array;
  ScopeDecl scope;
  ExprPtr condition, otherwise;
  bool extra = false;
};

struct Definition {
  std::string name;
  Position position;
  ExprPtr value;
};

struct BlockDecl {
  Position position;
  ExprPtr rows, columns, bytes; ///< rows null: 1
  std::vector<LayoutItem> layout;
};

struct Requirement {
  ExprPtr condition;
  std::string message;
  Position position;
};

struct EncodeStep {
  Position position;
  std::vector<std::pair<Position, std::string>> results;
  std::optional<ScopeDecl> scope;
  ExprPtr value;
};

struct EncodeClause {
  std::string statistic; ///< "": without; "imatrix"
  Position position;
  std::vector<EncodeStep> steps;
};

/// One dimension of a container's tensor: a loop, a plain extent, or `*`, the axis of the bit stream's words.
struct DimensionDecl {
  bool star = false;
  std::string variable; ///< empty: none
  ExprPtr extent;
};

struct TensorDecl {
  std::string suffix;
  Position position;
  std::string type;
  std::vector<DimensionDecl> dimensions;
  ExprPtr condition;
  bool order = false; ///< its constants hold once the columns of the weight are in another order
  std::vector<LayoutItem> layout;
};

/// A value of JSON: a text ({format} and {dtype} in it stand for names), an expression, true or false, or null.
using SettingValue = std::variant<std::nullptr_t, bool, std::string, ExprPtr>;

/// What a key of a JSON object holds.
struct SettingDecl {
  std::string key; ///< "a.b.c": in objects of objects
  Position position;
  std::vector<SettingValue> values; ///< one, but for lists
  bool isList = false;
  ExprPtr condition;                  ///< null: always there
  std::optional<SettingValue> absent; ///< what a file means that lacks the key
  bool writtenOnly = false;           ///< says nothing about a file that is read
};

/// A tensor whose bytes are the text of a JSON object.
struct JsonDecl {
  std::string suffix; ///< {format} in it stands for the format's name
  Position position;
  std::vector<SettingDecl> entries;
};

/// A parsed file, names not yet resolved.
struct Description {
  bool isContainer = false;
  std::string name, doc, file;
  Position position;
  std::vector<ParamDecl> params;
  std::vector<Table> tables;
  std::vector<FieldDecl> fields;
  std::vector<Definition> definitions;
  std::optional<BlockDecl> block;
  std::vector<Requirement> requirements;
  std::vector<EncodeClause> encodes;
  std::vector<std::string> carries;                   ///< containers: formats, or specs: "int:gK"
  std::vector<std::pair<std::string, int64_t>> types; ///< containers: format to external id
  std::vector<SettingDecl> config;                    ///< containers
  std::vector<TensorDecl> tensors;                    ///< containers
  std::vector<JsonDecl> json;                         ///< containers
  std::vector<std::string> aliases;                   ///< containers: other names on the command line

  const Definition *definition(std::string_view name) const;
  const FieldDecl *field(std::string_view name) const;
  const Table *table(std::string_view name) const;
};

/// The text of a table file by its name; how files are found is the caller's matter.
using TableLoader = std::function<Result<std::string>(const std::string &name)>;

/// Parses a description. `file` is named in errors, which read "file:line:column: message".
Result<std::shared_ptr<const Description>> parseDescription(std::string_view text, const std::string &file,
                                                            const TableLoader &tables);

/// An error at a place of a description.
tl::unexpected<Error> errorAt(const std::string &file, Position position, std::string_view message);

} // namespace quantc
