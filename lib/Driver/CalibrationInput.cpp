//===- CalibrationInput.cpp - what a model is calibrated with ---------------------------------------------------===//

#include "CalibrationInput.h"
#include "quantc/Dialect/NN/NN.h"
#include "quantc/Driver/Models.h"

using namespace mlir;
using namespace quantc;

Status quantc::fitToModel(CalibrationText &text, ModuleOp graph) {
  const auto facts = graph->getAttrOfType<DictionaryAttr>(nn::modelAttrName);
  const auto context = facts ? facts.getAs<IntegerAttr>("context") : IntegerAttr();
  return context ? fitLength(text, context.getInt()) : Status();
}

Result<CalibrationData> quantc::readCalibration(CalibrationText &text, const std::filesystem::path &model,
                                                ModuleOp graph) {
  QUANTC_TRY(fitToModel(text, graph));
  if (text.file.empty()) {
    QUANTC_ASSIGN(text.file, defaultCalibrationText());
  }
  return readSequences(text, [&] { return loadTokenizer(model); });
}
