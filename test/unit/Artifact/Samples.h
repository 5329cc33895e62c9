//===- Samples.h - small files, byte by byte and by the writers -------------------------------------------------===//
#pragma once

#include "quantc/Artifact/Artifact.h"
#include "quantc/Artifact/Gguf.h"

namespace samples {

/// The bytes of a text of hexadecimal digits; spaces are skipped.
std::string fromHex(std::string_view digits);

/// b = [1, -2, 300] of I32 and a = [[1, -0.5], [65504, 2^-14]] of F16, as the reference writer has them.
std::string safetensors();
/// The same file in parts.
std::string safetensorsHeader();
std::string safetensorsData();
/// A file of a header, with its length, and data.
std::string safetensorsFile(std::string_view header, std::string_view data);

/// Three keys, a tensor `a` of f32 and a tensor `b` of blocks of 32.
std::string gguf();
quantc::GgufMetadata ggufMetadata();
/// Sizes of blocks by type id, of all types that files have.
std::optional<quantc::GgufBlock> blockOf(uint32_t type);

/// A model of one kernel that adds a weight; two targets.
quantc::Manifest manifest();
/// The same for a GPU, in a kernel for one token and one for any number; the embedding has two planes.
quantc::Manifest gpuManifest();
std::vector<quantc::ArtifactTensor> artifactTensors();
/// Writes them with bytes 0, 1, 2 … in each tensor.
quantc::Status writeArtifact(const std::filesystem::path &path);

} // namespace samples
