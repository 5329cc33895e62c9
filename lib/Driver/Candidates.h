//===- Candidates.h - formats that are tried where nobody names any ---------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <vector>

namespace quantc {

/// The rows of formats/candidates.json: of each tensor the first row counts whose formats can all hold it.
Result<std::vector<std::vector<std::string>>> candidateRows();

} // namespace quantc
