//===- GPUCode.cpp - the kernels of a program for GPUs ------------------------------------------------------------===//

#include "GPUCode.h"
#include "quantc/CodeGen/NVPTX/Ptxas.h"
#include <nlohmann/json.hpp>

using namespace mlir;
using namespace quantc;
using nlohmann::json;

/// Code on its way from the child: kernels and the length of the PTX as a line of JSON, then the bytes.
static std::string packed(const GPUCode &code) {
  json kernels = json::array();
  for (const GPUKernel &k : code.kernels)
    kernels.push_back({k.name, k.base, k.mostTokens, k.threads, k.sharedBytes, k.parameters, k.grid.x.parameter,
                       k.grid.x.size, k.grid.y.parameter, k.grid.y.size, k.scratchBytes, k.parts, k.warpGroups,
                       k.waits});
  return json{{"kernels", kernels}, {"ptx", code.ptx.size()}}.dump() + '\n' + code.ptx + code.cubin;
}

static GPUCode unpacked(const std::string &text) {
  GPUCode code;
  const size_t end = text.find('\n') + 1;
  const json header = json::parse(text.substr(0, end));
  for (const json &k : header["kernels"])
    code.kernels.push_back(
        {k[0], k[1], k[2], k[3], k[4], k[5], {{k[6], k[7]}, {k[8], k[9]}}, k[10], k[11], k[12], k[13]});
  const size_t ptx = header["ptx"];
  code.ptx = text.substr(end, ptx);
  code.cubin = text.substr(end + ptx);
  return code;
}

Result<GPUCode> quantc::gpuCodeInChild(const GPUTarget &target, const ChildLimits &limits, bool cubin,
                                       const std::function<Result<OwningOpRef<ModuleOp>>()> &lower) {
  const auto ptxas = cubin ? findPtxas() : std::nullopt;
  if (cubin && !ptxas)
    return fail("cubins need ptxas of a CUDA toolkit, which is neither in the search path nor in /usr/local/cuda; "
                "without them drivers compile the PTX");
  QUANTC_ASSIGN(const std::string sent,
                runInChild("code generation for " + target.name, limits, [&]() -> Result<std::string> {
                  QUANTC_ASSIGN(const OwningOpRef<ModuleOp> kernels, lower());
                  GPUCode code{.ptx = {}, .cubin = {}, .kernels = kernelsOf(*kernels)};
                  QUANTC_ASSIGN(code.ptx, emitPTX(*kernels));
                  if (ptxas) {
                    QUANTC_ASSIGN(Assembled assembled, assemblePTX(*ptxas, code.ptx, target.chip));
                    code.cubin = std::move(assembled.cubin);
                  }
                  return packed(code);
                }));
  return unpacked(sent);
}
