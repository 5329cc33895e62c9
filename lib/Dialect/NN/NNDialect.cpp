//===- NNDialect.cpp - registration and attributes of the nn dialect --------------------------------------------===//

#include "quantc/Dialect/NN/NN.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace quantc::nn;

#include "quantc/Dialect/NN/NNDialect.cpp.inc"
#include "quantc/Dialect/NN/NNEnums.cpp.inc"

/// `[1.0, 0.01]`, so that what is parsed is what was printed: DenseF64ArrayAttr itself prints seven digits.
static ParseResult parseFrequencies(AsmParser &parser, DenseF64ArrayAttr &frequencies) {
  SmallVector<double> values;
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Square,
                                     [&] { return parser.parseFloat(values.emplace_back()); }))
    return failure();
  frequencies = DenseF64ArrayAttr::get(parser.getContext(), values);
  return success();
}
static void printFrequencies(AsmPrinter &printer, DenseF64ArrayAttr frequencies) {
  printer << '[';
  llvm::interleaveComma(frequencies.asArrayRef(), printer, [&](double value) { printer.printFloat(APFloat(value)); });
  printer << ']';
}

#define GET_ATTRDEF_CLASSES
#include "quantc/Dialect/NN/NNAttributes.cpp.inc"

void NNDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "quantc/Dialect/NN/NNAttributes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "quantc/Dialect/NN/NNOps.cpp.inc"
      >();
}
