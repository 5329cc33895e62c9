//===- OpenModel.cpp - a model's files, and the context in which they become IR ---------------------------------===//

#include "OpenModel.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Driver/Models.h"
#include "quantc/Format/Format.h"
#include "quantc/Import/Import.h"
#include "quantc/Pipelines/FirstError.h"
#include "quantc/Pipelines/Pipelines.h"
#include "quantc/Support/Files.h"

using namespace mlir;
using namespace quantc;
namespace fs = std::filesystem;

Result<OpenedModel> quantc::openModel(const fs::path &model, const std::vector<fs::path> &formatFiles) {
  QUANTC_ASSIGN(const InputKind kind, kindOf(model));
  if (kind == InputKind::Artifact)
    return fail("{}: is compiled already; start from the model that it was made of", model.string());
  OpenedModel opened;
  QUANTC_ASSIGN(opened.data, dataDirectory());
  DialectRegistry registry;
  registerAllDialects(registry);
  opened.context = std::make_unique<MLIRContext>(registry, MLIRContext::Threading::DISABLED);
  opened.context->loadAllAvailableDialects();
  opened.context->printOpOnDiagnostic(false); // messages are for users, and one line
  QUANTC_ASSIGN(std::shared_ptr<Catalog> catalog, Catalog::open(opened.data, formatFiles));
  opened.context->getOrLoadDialect<qf::QFDialect>()->setCatalog(catalog);
  QUANTC_ASSIGN(opened.checkpoint, Checkpoint::open(model, *catalog));
  return opened;
}

Result<OwningOpRef<ModuleOp>> OpenedModel::graph() const {
  QUANTC_ASSIGN(const Architectures architectures, Architectures::load(data / "architectures"));
  FirstError first(context.get());
  return importModel(*checkpoint, architectures, *context);
}
