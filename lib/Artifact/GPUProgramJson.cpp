//===- GPUProgramJson.cpp - what GPUs execute as JSON -------------------------------------------------------------===//

#include "ProgramJson.h"

using namespace quantc;
using nlohmann::ordered_json;

namespace {

GPUTargetEntry readGPUTarget(const ManifestReader &object) {
  GPUTargetEntry target{.name = {}, .chip = object.member("chip").text(), .ptx = object.member("ptx").text()};
  if (object.has("cubin"))
    target.cubin = object.member("cubin").text();
  return target;
}

GridAxisEntry readAxis(const ManifestReader &object) {
  GridAxisEntry axis{.size = object.member("size").count()};
  if (object.has("parameter"))
    axis.parameter = object.member("parameter").count();
  return axis;
}

GPUVariant readVariant(const ManifestReader &object) {
  GPUVariant variant{.symbol = object.member("symbol").text(),
                     .mostTokens = object.member("most_tokens").count(),
                     .threads = object.member("threads").count(),
                     .sharedBytes = object.member("shared_bytes").count(),
                     .parameters = object.member("parameters").count()};
  const ManifestReader grid = object.member("grid");
  const auto axes = grid.list(whole(readAxis));
  if (axes.size() == variant.grid.size())
    std::ranges::copy(axes, variant.grid.begin());
  else
    grid.report("is no pair of axes");
  variant.waits = object.has("waits") && object.member("waits").flag();
  return variant;
}

GPUKernelEntry readGPUKernel(const ManifestReader &object) {
  GPUKernelEntry kernel{.name = object.member("name").text(),
                        .calls = object.member("calls").count(),
                        .why = object.member("why").text(),
                        .variants = {}};
  for (auto &[target, variants] :
       object.member("variants").named([](const ManifestReader &list) { return list.list(whole(readVariant)); }))
    kernel.variants.emplace(std::move(target), std::move(variants));
  return kernel;
}

} // namespace

GPUProgram quantc::readGPUProgram(const ManifestReader &object) {
  GPUProgram program;
  for (auto &[name, target] : object.member("targets").named(whole(readGPUTarget))) {
    target.name = name;
    program.targets.push_back(std::move(target));
  }
  program.kernels = object.member("kernels").list(whole(readGPUKernel));
  readProgram(object, program);
  return program;
}

namespace {

ordered_json writeAxis(const GridAxisEntry &axis) {
  ordered_json object = {{"size", axis.size}};
  if (axis.parameter)
    object["parameter"] = *axis.parameter;
  return object;
}

ordered_json writeGPUKernel(const GPUKernelEntry &kernel) {
  ordered_json all = ordered_json::object();
  for (const auto &[target, variants] : kernel.variants)
    all[target] = arrayOf(variants, [](const GPUVariant &variant) -> ordered_json {
      ordered_json object = {{"symbol", variant.symbol},         {"most_tokens", variant.mostTokens},
                             {"threads", variant.threads},       {"shared_bytes", variant.sharedBytes},
                             {"parameters", variant.parameters}, {"grid", arrayOf(variant.grid, writeAxis)}};
      if (variant.waits)
        object["waits"] = true;
      return object;
    });
  return {{"name", kernel.name}, {"calls", kernel.calls}, {"why", kernel.why}, {"variants", std::move(all)}};
}

} // namespace

ordered_json quantc::writeGPUProgram(const GPUProgram &program) {
  ordered_json object = {{"targets", ordered_json::object()}};
  for (const GPUTargetEntry &target : program.targets) {
    ordered_json &entry = object["targets"][target.name] = {{"chip", target.chip}, {"ptx", target.ptx}};
    if (!target.cubin.empty())
      entry["cubin"] = target.cubin;
  }
  object["kernels"] = arrayOf(program.kernels, writeGPUKernel);
  writeProgram(program, object);
  return object;
}
