//===- ProgramJson.h - programs of a manifest as JSON -------------------------------------------------------------===//
#pragma once

#include "ManifestReader.h"
#include "quantc/Artifact/Manifest.h"

namespace quantc {

/// The members "buffers", "stages", "inputs" and "outputs".
void readProgram(const ManifestReader &object, ProgramEntry &program);
void writeProgram(const ProgramEntry &program, nlohmann::ordered_json &object);

/// The member "gpu".
GPUProgram readGPUProgram(const ManifestReader &object);
nlohmann::ordered_json writeGPUProgram(const GPUProgram &program);

} // namespace quantc
