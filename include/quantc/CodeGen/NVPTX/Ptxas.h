//===- Ptxas.h - from PTX to machine code of a GPU ----------------------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <filesystem>
#include <optional>
#include <string>

namespace quantc {

/// What `ptxas` makes of a PTX file.
struct Assembled {
  std::string cubin;  ///< its bytes
  std::string report; ///< of `ptxas -v`: registers, spills, warnings
};

/// The assembler of a CUDA toolkit: of the search path, or in /usr/local/cuda; nothing where there is none.
std::optional<std::filesystem::path> findPtxas();

/// Assembles PTX for a chip ("sm_80"). Fails with the first line that `ptxas` complains with.
Result<Assembled> assemblePTX(const std::filesystem::path &ptxas, const std::string &ptx, const std::string &chip);

} // namespace quantc
