//===- Kernels.h - PTX in the emulator ----------------------------------------------------------------------------===//
#pragma once

#include "emulator/Emulator.h"
#include <memory>
#include <string_view>

namespace quantc::standin {

/// The kernels of a PTX text, as the module of `phases` from which the same text is made. Fails where there is none.
Result<std::shared_ptr<const emulator::Emulator>> kernelsOf(std::string_view ptx, const std::string &phases);

} // namespace quantc::standin
