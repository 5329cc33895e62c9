//===- QFTypes.cpp - a quantized number, and a block of them --------------------------------------------------===//

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "quantc/Dialect/QF/Activations.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Format/KernelStorage.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace quantc;
using namespace quantc::qf;

#define GET_TYPEDEF_CLASSES
#include "quantc/Dialect/QF/QFTypes.cpp.inc"

void QFDialect::registerTypes() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "quantc/Dialect/QF/QFTypes.cpp.inc"
      >();
}

static QFDialect &dialectOf(MLIRContext *context) {
  return *context->getOrLoadDialect<QFDialect>();
}

//===- Specifications: `int<4, group = 64, asym>` in IR is the spec "int:4:g64:asym" ---------------------------===//

/// One argument between < and >: `4`, `asym`, or `group = 64`.
struct SpecArgument {
  SMLoc location;
  std::string name, value; ///< name empty: by position
};

static ParseResult parseWord(AsmParser &parser, std::string &word) {
  int64_t integer;
  if (OptionalParseResult number = parser.parseOptionalInteger(integer); number.has_value()) {
    word = std::to_string(integer);
    return *number;
  }
  return parser.parseKeywordOrString(&word);
}

static std::optional<ParamValue> valueOf(const ParamDecl &param, StringRef word) {
  int64_t integer;
  ParamValue value = word.getAsInteger(10, integer) ? ParamValue(word.str()) : ParamValue(integer);
  if (param.flag ? word == param.name : param.allows(value))
    return value;
  return {};
}

/// Finds the parameters that arguments stand for and writes them in the order of their declarations, as specs have
/// them.
static ParseResult makeSpec(AsmParser &parser, const Description &format, ArrayRef<SpecArgument> arguments,
                            std::string &spec) {
  std::vector<std::string> words(format.params.size());
  for (const SpecArgument &argument : arguments) {
    auto matches = [&](size_t i) {
      const ParamDecl &param = format.params[i];
      const bool byPosition = (param.flag || param.prefix.empty()) && valueOf(param, argument.value);
      return words[i].empty() && (argument.name.empty() ? byPosition : param.name == argument.name);
    };
    size_t i = 0;
    while (i < words.size() && !matches(i))
      i++;
    if (i == words.size())
      return parser.emitError(argument.location) << "format '" << format.name << "' has no parameter '"
                                                 << (argument.name.empty() ? argument.value : argument.name) << "'";
    words[i] = (format.params[i].flag ? "" : format.params[i].prefix) + argument.value;
  }
  spec = format.name;
  for (const std::string &word : words)
    if (!word.empty())
      spec += ":" + word;
  return success();
}

static ParseResult parseSpec(AsmParser &parser, QFDialect &dialect, std::string &spec) {
  SMLoc location = parser.getCurrentLocation();
  std::string name;
  SmallVector<SpecArgument> arguments;
  if (parser.parseKeywordOrString(&name))
    return failure();
  if (succeeded(parser.parseOptionalLess())) {
    auto parseArgument = [&]() -> ParseResult {
      SpecArgument argument{parser.getCurrentLocation(), {}, {}};
      if (parseWord(parser, argument.value))
        return failure();
      if (succeeded(parser.parseOptionalEqual())) {
        argument.name = std::exchange(argument.value, {});
        if (parseWord(parser, argument.value))
          return failure();
      }
      arguments.push_back(std::move(argument));
      return success();
    };
    if (parser.parseCommaSeparatedList(parseArgument) || parser.parseGreater())
      return failure();
  }
  Result<std::shared_ptr<const Format>> format = dialect.format(name);
  if (format && !arguments.empty()) {
    if (makeSpec(parser, (*format)->source(), arguments, spec))
      return failure();
    format = dialect.format(spec);
  }
  if (!format)
    return parser.emitError(location) << format.error().message;
  spec = (*format)->spec();
  return success();
}

static void printSpec(AsmPrinter &printer, const Format &format) {
  printer << format.name();
  SmallVector<StringRef> words;
  StringRef(format.spec()).split(words, ':');
  std::vector<std::string> arguments;
  size_t next = 0;
  for (StringRef word : llvm::drop_begin(words)) {
    // Words stand in the order of the declarations.
    for (const std::vector<ParamDecl> &params = format.source().params; next < params.size(); next++) {
      const ParamDecl &param = params[next];
      StringRef value = word;
      if ((!param.flag && !value.consume_front(param.prefix)) || !valueOf(param, value))
        continue;
      arguments.push_back(param.flag || param.prefix.empty() ? value.str() : param.name + " = " + value.str());
      next++;
      break;
    }
  }
  if (!arguments.empty())
    printer << "<" << llvm::join(arguments, ", ") << ">";
}

//===- !qf.elem ------------------------------------------------------------------------------------------------===//

Type ElemType::parse(AsmParser &parser) {
  QFDialect &dialect = dialectOf(parser.getContext());
  std::string spec;
  if (parser.parseLess() || parseSpec(parser, dialect, spec) || parser.parseGreater())
    return {};
  return get(parser.getContext(), spec);
}

void ElemType::print(AsmPrinter &printer) const {
  printer << "<";
  printSpec(printer, *getFormat());
  printer << ">";
}

Result<ElemType> ElemType::of(MLIRContext *context, StringRef spec) {
  QUANTC_ASSIGN(std::shared_ptr<const Format> format, dialectOf(context).format(spec));
  return get(context, format->spec());
}

std::shared_ptr<const Format> ElemType::getFormat() const {
  return dialectOf(getContext()).format(getSpec()).value();
}

//===- !qf.block -----------------------------------------------------------------------------------------------===//

Result<BlockType> BlockType::of(ElemType elem, unsigned storageRows, bool inLines) {
  if (storageRows) {
    QUANTC_TRY(dialectOf(elem.getContext()).kernelStorage(elem.getSpec(), storageRows));
  } else if (!elem.getFormat()->block()) {
    return fail("format '{}' has no blocks", elem.getSpec().str());
  }
  return get(elem.getContext(), elem.getSpec(), storageRows, inLines);
}

Type BlockType::parse(AsmParser &parser) {
  QFDialect &dialect = dialectOf(parser.getContext());
  SMLoc location = parser.getCurrentLocation();
  std::string spec;
  unsigned rows = 0;
  bool inLines = false;
  if (parser.parseLess() || parseSpec(parser, dialect, spec))
    return {};
  if (succeeded(parser.parseOptionalComma())) {
    StringRef storage;
    if (parser.parseKeyword(&storage))
      return {};
    inLines = storage == "lines";
    if (!inLines && (!storage.consume_front("r") || storage.getAsInteger(10, rows) || rows == 0))
      return parser.emitError(location, "expected kernel storage such as 'r16', blocks of 16 rows, or 'lines'"), Type();
  }
  if (parser.parseGreater())
    return {};
  Result<BlockType> block = of(ElemType::get(parser.getContext(), spec), rows, inLines);
  if (!block)
    return parser.emitError(location) << block.error().message, Type();
  return *block;
}

void BlockType::print(AsmPrinter &printer) const {
  printer << "<";
  printSpec(printer, *getFormat());
  if (getStorageRows())
    printer << ", r" << getStorageRows();
  if (getInLines())
    printer << ", lines";
  printer << ">";
}

std::shared_ptr<const Format> BlockType::getFormat() const {
  return dialectOf(getContext()).format(getSpec()).value();
}

std::shared_ptr<const KernelStorage> BlockType::getKernelStorage() const {
  if (getStorageRows() == 0)
    return nullptr;
  return dialectOf(getContext()).kernelStorage(getSpec(), getStorageRows()).value();
}

int64_t BlockType::getRows() const {
  return getStorageRows() ? getStorageRows() : getFormat()->block()->rows;
}
int64_t BlockType::getColumns() const {
  return getStorageRows() ? getKernelStorage()->columns() : getFormat()->block()->columns;
}
int64_t BlockType::getBytes() const {
  if (getStorageRows())
    return getKernelStorage()->bytes();
  return getInLines() ? bytesInLines(*getFormat()) : getFormat()->block()->bytes;
}
