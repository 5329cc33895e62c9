//===- Bind.cpp - a description with its parameters bound: the verifier -----------------------------------------===//
//
// Every error names a place of the description. Order: parameters, block, fields, definitions and value, encode
// clauses, the layout of the block.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "EncodeCheck.h"
#include "Resolve.h"
#include "quantc/Format/Decode.h"
#include "quantc/Format/Layout.h"
#include <algorithm>

using namespace quantc;

/// Elements of the array of one cell.
static constexpr int64_t largestArray = 1 << 24;
/// Weights of a block, and its bytes.
static constexpr int64_t largestBlock = 1 << 16;

namespace quantc {
class Verifier {
public:
  explicit Verifier(std::shared_ptr<const Description> description) : format(std::make_shared<Format>()) {
    format->description = std::move(description);
  }
  Result<std::shared_ptr<const Format>> run(const std::map<std::string, ParamValue> &given);

private:
  Status bindParams(const std::map<std::string, ParamValue> &given);
  Status bindBlock();
  Status bindField(const FieldDecl &declaration);
  Status bindValue();
  Result<int64_t> constant(const ExprPtr &e) const { return constantOf(*format, e, format->params); }

  std::shared_ptr<Format> format;
};
} // namespace quantc

Result<std::shared_ptr<const Format>> Format::create(std::shared_ptr<const Description> description,
                                                     const std::map<std::string, ParamValue> &params) {
  if (description->isContainer)
    return errorAt(description->file, description->position,
                   fmt::format("'{}' is a container, not a format", description->name));
  return Verifier(std::move(description)).run(params);
}

Status Verifier::bindParams(const std::map<std::string, ParamValue> &given) {
  const Description &d = *format->description;
  for (auto &[name, value] : given)
    if (std::ranges::find(d.params, name, &ParamDecl::name) == d.params.end())
      return format->error(d.position, fmt::format("'{}' has no parameter '{}'", d.name, name));
  format->canonicalSpec = d.name;
  for (const ParamDecl &p : d.params) {
    auto it = given.find(p.name);
    const ParamValue &value = it == given.end() ? p.fallback : it->second;
    const std::string shown = std::visit([](auto &v) { return fmt::format("{}", v); }, value);
    if (!p.allows(value))
      return format->error(p.position, fmt::format("{} is not a choice for '{}'", shown, p.name));
    if (auto *number = std::get_if<int64_t>(&value)) {
      format->params[p.name] = *number;
    } else {
      format->words[p.name] = shown;
      if (shown == "N" || shown == "K")
        format->params[p.name] = 0; // the whole extent
    }
    if (value != p.fallback)
      format->canonicalSpec += p.flag ? ":" + p.prefix : ":" + p.prefix + shown;
  }
  return {};
}

Status Verifier::bindBlock() {
  const auto &block = format->description->block;
  if (!block)
    return {};
  BlockShape shape{1, 0, 0};
  if (block->rows) {
    QUANTC_ASSIGN(shape.rows, constant(block->rows));
  }
  QUANTC_ASSIGN(shape.columns, constant(block->columns));
  QUANTC_ASSIGN(shape.bytes, constant(block->bytes));
  if (shape.rows < 1 || shape.columns < 1 || shape.rows > largestBlock || shape.columns > largestBlock ||
      shape.rows * shape.columns > largestBlock || shape.bytes < 1 || shape.bytes > largestBlock)
    return format->error(block->position,
                         fmt::format("a block of {} x {} weights in {} bytes: it has 1..{} weights in 1..{} bytes",
                                     shape.rows, shape.columns, shape.bytes, largestBlock, largestBlock));
  format->blockShape = shape;
  return {};
}

Status Verifier::bindField(const FieldDecl &declaration) {
  if (declaration.condition) {
    QUANTC_ASSIGN(int64_t exists, constant(declaration.condition));
    if (!exists) {
      if (declaration.otherwise) {
        QUANTC_ASSIGN(int64_t value, constant(declaration.otherwise));
        format->constants[declaration.name] = value;
      }
      return {};
    }
  }
  QUANTC_ASSIGN(Field field, quantc::bindField(*format, declaration));
  field.index = static_cast<unsigned>(format->boundFields.size());
  format->boundFields.push_back(std::move(field));
  return {};
}

Status Verifier::bindValue() {
  const Description &d = *format->description;
  const Definition *value = d.definition("value");
  if (!value)
    return format->error(d.position, fmt::format("format '{}' has no 'value'", d.name));
  Resolver resolver(*format);
  QUANTC_ASSIGN(format->valueExpr, resolver.resolve(value->value));
  if (format->typeOf(*format->valueExpr) != ValueType::Float)
    return format->error(value->value->position, "value is an integer; multiply it by a scale or write it as f32");
  QUANTC_TRY(Program::compile(*format, format->valueExpr)); // it is short enough
  for (const Field &f : format->boundFields)
    if (!resolver.used.count(f.name) && !f.extra)
      return format->error(f.position,
                           fmt::format("field '{}' is never used (mark it 'extra' if kernels want it)", f.name));
  if (d.params.empty()) // with parameters a definition may belong to another choice
    for (const Definition &definition : d.definitions)
      if (definition.name != "value" && !resolver.used.count(definition.name))
        return format->error(definition.value->position, fmt::format("'{}' is never used", definition.name));
  return {};
}

Result<std::shared_ptr<const Format>> Verifier::run(const std::map<std::string, ParamValue> &given) {
  const Description &d = *format->description;
  QUANTC_TRY(bindParams(given));
  QUANTC_TRY(bindBlock());
  for (const FieldDecl &declaration : d.fields)
    QUANTC_TRY(bindField(declaration));
  QUANTC_TRY(bindValue());
  for (const EncodeClause &clause : d.encodes)
    QUANTC_TRY(checkEncode(*format, clause));
  if (d.block)
    QUANTC_TRY(BlockLayout::create(*format));
  return format;
}

//===--- Fields -------------------------------------------------------------------------------------------------===//

static Status bindType(const Format &format, const FieldDecl &declaration, Field &field) {
  const std::string type = format.typeWord(declaration.type);
  int64_t width = 0;
  if (auto known = floatKind(type)) {
    field.kind = known->first;
    width = known->second;
  } else {
    const bool sized = type.size() > 1 && type.size() <= 3 &&
                       std::all_of(type.begin() + 1, type.end(), [](char c) { return c >= '0' && c <= '9'; });
    if ((type[0] != 'u' && type[0] != 's') || (type.size() > 1 ? !sized : !declaration.width))
      return format.error(declaration.typePosition, fmt::format("unknown type '{}'", type));
    field.kind = type[0] == 'u' ? FieldKind::Unsigned : FieldKind::Signed;
    if (sized) {
      width = std::stoi(type.substr(1));
    } else {
      QUANTC_ASSIGN(width, constantOf(format, declaration.width, format.integers()));
    }
  }
  if (width < 1 || width > 64)
    return format.error(declaration.typePosition, fmt::format("width {} is not in 1..64", width));
  field.width = static_cast<unsigned>(width);
  return {};
}

static Status bindScope(const Format &format, const ScopeDecl &scope, Field &field) {
  const auto &block = format.block();
  field.rank = 2;
  switch (scope.kind) {
  case ScopeDecl::Weight:
    field.rows = field.columns = 1;
    break;
  case ScopeDecl::Row:
    field.rows = 1;
    field.columns = 0;
    field.rank = 1;
    break;
  case ScopeDecl::Tensor:
    field.rows = field.columns = 0;
    field.rank = 0;
    break;
  case ScopeDecl::Block:
    if (!block)
      return format.error(scope.position, "'per block' in a format without a block");
    field.rows = block->rows;
    field.columns = block->columns;
    break;
  case ScopeDecl::Tile: {
    field.rows = 1;
    if (scope.rows) {
      QUANTC_ASSIGN(field.rows, constantOf(format, scope.rows, format.integers()));
    }
    QUANTC_ASSIGN(field.columns, constantOf(format, scope.columns, format.integers()));
    field.flat = scope.flat;
    if (field.rows < 0 || field.columns < 0 || field.rows > (1 << 30) || field.columns > (1 << 30) ||
        (field.flat && field.columns < 1))
      return format.error(scope.position, fmt::format("a scope of {} x {} weights", field.rows, field.columns));
    break;
  }
  }
  field.inside = block && !field.flat && field.rows > 0 && field.rows <= block->rows && field.columns > 0 &&
                 field.columns <= block->columns;
  if (field.inside && (block->rows % field.rows || block->columns % field.columns))
    return format.error(scope.position, fmt::format("a block of {} weights is not a whole number of {}",
                                                    block->rows * block->columns, field.rows * field.columns));
  return {};
}

Result<Field> quantc::bindField(const Format &format, const FieldDecl &declaration) {
  Field field{.name = declaration.name, .kind = FieldKind::Unsigned, .width = 0, .rows = 1, .columns = 1};
  field.extra = declaration.extra;
  field.position = declaration.position;
  QUANTC_TRY(bindType(format, declaration, field));
  QUANTC_TRY(bindScope(format, declaration.scope, field));
  int64_t size = 1;
  for (const ExprPtr &extent : declaration.array) {
    QUANTC_ASSIGN(int64_t n, constantOf(format, extent, format.integers()));
    if (n < 1 || n > largestArray || (size *= n) > largestArray)
      return format.error(extent->position, fmt::format("an array has 1..{} elements", largestArray));
    field.array.push_back(n);
  }
  return field;
}
