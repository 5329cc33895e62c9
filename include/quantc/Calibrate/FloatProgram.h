//===- FloatProgram.h - a model in f32, run stage by stage -------------------------------------------------------===//
//
// What calibration executes: the graph of a model with f32 weights and observers, compiled like any other program. Its
// weights are not part of it: who runs a stage binds memory to them, so that the one kernel of each operation serves
// all layers, and quantized weights take the place of the original ones without compiling again.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "quantc/Dialect/RT/RT.h"
#include "quantc/Runtime/ThreadPool.h"
#include "quantc/Support/Result.h"
#include "quantc/Target/Target.h"
#include "llvm/ADT/StringMap.h"
#include <array>

namespace quantc {

/// Sums over f32 take tokens and features in a fixed order, so the results are the same on every level of a family of
/// targets and for every number of threads.
class FloatProgram {
public:
  /// Values of the scalars, in the order of rt::Scalar.
  using Scalars = std::array<int64_t, 4>;

  /// Those of `tokens` tokens, the first of a sequence.
  static Scalars scalarsFor(int64_t tokens);

  /// What a launch names: a weight, or a buffer of bytes + perToken · tokens + perContext · context bytes.
  struct Symbol {
    std::string name;
    bool isWeight = false, persistent = false;
    uint64_t bytes = 0, perToken = 0, perContext = 0;

    uint64_t bytesFor(const Scalars &scalars) const {
      return bytes + perToken * scalars[static_cast<size_t>(rt::Scalar::Tokens)] +
             perContext * scalars[static_cast<size_t>(rt::Scalar::Context)];
    }
  };
  struct Argument {
    bool isScalar;
    size_t symbol;     ///< index into symbols()
    rt::Scalar scalar; ///< where it is one
  };
  struct Launch {
    size_t kernel;
    std::vector<Argument> args;
    std::string observer; ///< the weight that names it, where the launch is an nn.observe
  };
  struct Stage {
    std::string name;
    std::vector<Launch> launches;
    /// The activations that come from the stage before and go to the next; none at the ends of the program.
    std::optional<size_t> input, output;

    /// How many launches calibration ever runs: what follows the last observer only serves the next stage.
    size_t usefulLaunches() const;
  };

  /// The stages and what they name, without code: to be looked at, not run. `graph`: as imported, it is changed.
  /// `hessian`: observers keep the sums of products too.
  static Result<std::unique_ptr<FloatProgram>> outline(mlir::ModuleOp graph, bool hessian);
  /// The same with code for a target. Fails like `compile`.
  static Result<std::unique_ptr<FloatProgram>> compile(mlir::ModuleOp graph, const Target &target, bool hessian,
                                                       unsigned threads);
  ~FloatProgram();

  const std::vector<Stage> &stages() const { return allStages; }
  const std::vector<Symbol> &symbols() const { return allSymbols; }
  size_t symbol(llvm::StringRef name) const { return byName.at(name); }
  /// The symbol of the tokens' ids.
  size_t tokens() const { return tokenIds; }
  /// The symbol of the logits, f32 [rows][vocab].
  size_t logits() const { return logitValues; }
  /// The weight that names the observer of a linear's input, by any of the weights that read it.
  const llvm::StringMap<std::string> &observers() const { return observerOf; }

  /// The features that an observer sees.
  int64_t featuresOf(llvm::StringRef observer) const;

  /// Runs one launch; `addresses` by symbol.
  Status run(const Launch &launch, const std::vector<void *> &addresses, const Scalars &scalars);

private:
  struct Code;
  FloatProgram() = default;
  void readProgram(mlir::ModuleOp module);

  std::unique_ptr<Code> code;
  std::unique_ptr<ThreadPool> pool;
  std::vector<Stage> allStages;
  std::vector<Symbol> allSymbols;
  llvm::StringMap<size_t> byName, kernelIds;
  llvm::StringMap<std::string> observerOf;
  size_t tokenIds = 0, logitValues = 0;
};

} // namespace quantc
