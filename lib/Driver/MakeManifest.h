//===- MakeManifest.h - the manifest of compiled modules ----------------------------------------------------------===//
#pragma once

#include "Package.h"
#include "quantc/Artifact/Manifest.h"
#include "quantc/Format/FragmentStorage.h"
#include "quantc/Tokenizer/Tokenizer.h"

namespace quantc {

/// Says of each symbol of the modules what the runtime needs to know. `tokenizer` may be null.
Result<Manifest> makeManifest(const PackageInput &input, const Tokenizer *tokenizer);

/// How a weight lies for GPUs; nothing where they read it as processors do: what is no matrix of `!qf.elem`. Fails
/// where its shape or format has no fragments.
Result<std::optional<FragmentStorage>> fragmentStorageOf(nn::WeightOp weight);

} // namespace quantc
