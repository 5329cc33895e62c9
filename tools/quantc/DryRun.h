//===- DryRun.h - what work would take -------------------------------------------------------------------------===//
#pragma once

#include "Command.h"
#include "quantc/Driver/QuantizePlan.h"

namespace quantc {

/// Prints a plan instead of doing the work; `written`: what the output holds, where there is one.
void printPlan(const Globals &globals, const QuantizePlan &plan, const char *written);

} // namespace quantc
