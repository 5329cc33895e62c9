//===- Choices.cpp - how a kernel is compiled, and why ------------------------------------------------------------===//

#include "quantc/CodeGen/Choices.h"
#include "mlir/IR/Builders.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;
using namespace quantc;

Choices::Choices(Operation *op) : function(op) {
  while (function && !isa<FunctionOpInterface>(function))
    function = function->getParentOp();
}

void Choices::add(StringRef list, Attribute entry) {
  if (!function)
    return;
  NamedAttrList all(function->getAttrOfType<DictionaryAttr>(attribute));
  auto before = dyn_cast_or_null<ArrayAttr>(all.get(list));
  SmallVector<Attribute> entries(before ? before.getValue() : ArrayRef<Attribute>());
  if (llvm::is_contained(entries, entry))
    return;
  entries.push_back(entry);
  all.set(list, ArrayAttr::get(function->getContext(), entries));
  function->setAttr(attribute, all.getDictionary(function->getContext()));
}

void Choices::add(StringRef list, ArrayRef<int64_t> entry) {
  if (function)
    add(list, DenseI64ArrayAttr::get(function->getContext(), entry));
}

void Choices::multipliesBy(StringRef instruction, bool manyTokens) {
  if (function)
    add(manyTokens ? "many_tokens" : "instructions", StringAttr::get(function->getContext(), instruction));
}

void Choices::because(const Twine &reason) {
  if (function)
    add("reasons", StringAttr::get(function->getContext(), reason));
}

KernelChoices Choices::of(Operation *function) {
  KernelChoices choices;
  auto all = function->getAttrOfType<DictionaryAttr>(attribute);
  // Files of a level may hold anything there.
  auto entriesOf = [&](StringRef list) {
    auto entries = all ? all.getAs<ArrayAttr>(list) : ArrayAttr();
    return entries ? entries.getValue() : ArrayRef<Attribute>();
  };
  auto texts = [&](StringRef list, std::vector<std::string> &to) {
    for (Attribute entry : entriesOf(list))
      if (auto text = dyn_cast<StringAttr>(entry))
        to.push_back(text.str());
  };
  for (Attribute entry : entriesOf("tiles"))
    if (auto sizes = dyn_cast<DenseI64ArrayAttr>(entry))
      choices.tiles.emplace_back(sizes.asArrayRef().begin(), sizes.asArrayRef().end());
  texts("instructions", choices.instructions);
  texts("many_tokens", choices.manyTokens);
  texts("reasons", choices.reasons);
  return choices;
}
