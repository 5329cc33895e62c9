//===- ArtifactFuzzer.cpp - reads damaged artifacts -------------------------------------------------------------===//
//
// Most inputs are valid safetensors files whose manifest is JSON with a value changed.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "Artifact/Consistent.h"
#include "FuzzFiles.h"

using namespace fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const auto artifact = quantc::Artifact::read(map(view(data, size)));
  expectOneLine(artifact);
  if (artifact)
    if (const std::string problem = whatIsWrong(**artifact, view(data, size)); !problem.empty())
      report(problem);
  return 0;
}

/// The artifact of version 2 that tests read.
static const std::string &sample() {
  static const std::string bytes =
      quantc::readText(QUANTC_SOURCE_DIR "/test/unit/Artifact/golden/version-2.qm").value();
  return bytes;
}

/// Gives the sample a program for GPUs, with tensors that it has.
static void addGPU(ordered_json &manifest) {
  static const ordered_json sample = ordered_json::parse(samples::gpuManifest().serialize().value());
  if (!manifest.is_object() || !manifest.contains("weights") || !manifest["weights"].is_array() ||
      manifest["weights"].empty() || !manifest["weights"][0].is_object())
    return;
  manifest["gpu"] = sample["gpu"];
  manifest["gpu"]["targets"]["sm_80"]["ptx"] = "code.z-plain";
  manifest["gpu"]["targets"]["sm_80"]["cubin"] = "code.a-better";
  manifest["weights"][0]["fragments"] = sample["weights"][0]["fragments"];
  manifest["weights"][0]["fragments"]["tensor"] = "weight.embedding";
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t maxSize, unsigned seed) {
  Random random(seed + 1);
  uint64_t length;
  ordered_json header = headerOf(view(data, size), length);
  if (!header.is_object() || !header.contains("__metadata__") || !header["__metadata__"].contains("quantc") ||
      !header["__metadata__"]["quantc"].is_string())
    return give(sample(), data, size, maxSize);
  const size_t what = below(random, 8);
  if (what == 0)
    return LLVMFuzzerMutate(data, size, maxSize);
  ordered_json &text = header["__metadata__"]["quantc"];
  ordered_json manifest = ordered_json::parse(text.get<std::string>(), nullptr, false);
  if (what == 1 || manifest.is_discarded())
    mutate(header, random);
  else {
    if (what == 2)
      addGPU(manifest);
    for (size_t times = below(random, 3) + 1; times; --times)
      mutate(manifest, random);
    text = dump(manifest);
  }
  std::string padded = dump(header);
  // Aligned as the reader wants it; a mutated container may be longer, and is refused.
  padded.resize(std::max<size_t>(padded.size(), 4096 - 8), ' ');
  return give(samples::safetensorsFile(padded, view(data, size).substr(8 + length)), data, size, maxSize);
}
