//===- Compile.h - from a model's files to an artifact ----------------------------------------------------------===//
#pragma once

#include "quantc/Driver/MethodChoices.h"
#include "quantc/Pipelines/Precision.h"
#include "quantc/Support/ChildProcess.h"
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace quantc {

struct CompileOptions {
  std::filesystem::path model;  ///< a Hugging Face directory or a GGUF file
  std::filesystem::path output; ///< the `.qm` to write
  /// The format of all matrices ("name" or "name:parameter:…"), or a policy by name or file. Both empty: as the model
  /// has them.
  std::string format, policy;
  std::string kv; ///< the format of the KV cache; empty: f16
  MethodChoices method;
  Precision precision = Precision::Fast;
  std::string activations; ///< GPUs: what matrix products read, "f16" or "bf16"; empty: what the targets' files say
  std::vector<std::string> targets; ///< names in targets/, or "host", the best that this machine can run; empty: that
  std::vector<std::filesystem::path> formatFiles; ///< descriptions beyond those beside the program
  unsigned threads = 0;                           ///< 0: as many as the machine has
  bool requireFast = false;                       ///< fail where a linear has no fast kernel
  bool cubin = false;                             ///< GPUs: machine code too, by ptxas
  ChildLimits codeLimits;                         ///< of the process that generates code
  std::filesystem::path dumpPhases;               ///< a folder for the IR of each phase; empty: none
  /// Begins behind a phase, whose IR is read from the folder of phases ("phases" where that is empty): import, plan,
  /// encode, graph, or a level of the code generation (Pipelines.h). Empty: from the model.
  std::string from;
  std::filesystem::path schedule; ///< a transform sequence that tiles kernels; empty: by the target's sizes
  /// Called as work goes on, in order: what is done ("encode", "code", "package"), and how far of how much. Of "encode"
  /// `method.progress` is called too, where there is one.
  std::function<void(const std::string &phase, uint64_t done, uint64_t total)> progress;
};

struct CompileReport {
  uint64_t bytes = 0;                ///< of the artifact
  uint64_t weightBytes = 0;          ///< of the weights in kernel storage
  uint64_t weights = 0, kernels = 0; ///< how many
  std::vector<std::string> targets;
  double encodeSeconds = 0, codeSeconds = 0, packageSeconds = 0;
};

/// Whether a model has the tensors that its configuration asks for, and no others: what `compileModel` finds out first.
Status checkModel(const std::filesystem::path &model);

/// Whether there are targets of these names.
Status checkTargets(const std::vector<std::string> &names);

/// Import, plan, encode, graph, codegen, package. Same inputs and options, same bytes. The output appears whole or not
/// at all. Fails with one line; with several problems of the same kind, the first.
Result<CompileReport> compileModel(const CompileOptions &options);

} // namespace quantc
