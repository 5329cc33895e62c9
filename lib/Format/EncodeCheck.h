//===- EncodeCheck.h - whether an encode clause makes sense -----------------------------------------------------===//
#pragma once

#include "quantc/Format/Format.h"

namespace quantc {

/// Names are known, searches exist and take the constants given, and every field is set.
Status checkEncode(const Format &format, const EncodeClause &clause);

} // namespace quantc
