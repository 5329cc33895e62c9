//===- DeviceModels.h - models for a GPU that the emulator plays --------------------------------------------------===//
#pragma once

#include "cuda/StandIn.h"
#include "quantc/Driver/Compile.h"
#include "quantc/Runtime/Session.h"
#include <dlfcn.h>
#include <filesystem>
#include <gmock/gmock.h>

namespace quantc::test {

/// The stand-in's library, in this process before the runtime opens it.
class StandIn {
public:
  static StandIn &get();
  void become(const StandInGPU &gpu) { reset(&gpu); }
  StandInCounts counts() const;
  std::string problem() const { return lastProblem(); }
  /// A function of the driver itself.
  template <typename Function> Function *function(const char *name) const {
    return reinterpret_cast<Function *>(::dlsym(library, name));
  }

private:
  StandIn();
  void *library;
  void (*reset)(const StandInGPU *);
  void (*count)(StandInCounts *);
  const char *(*lastProblem)();
};

/// A format of the tiny model, and a text for it.
extern const std::string spec;
extern const std::vector<int32_t> tokens;

/// Activations are rounded to f16 before each of the products that a logit goes through: four in each of two layers
/// and the head. Each is off by 2^-11 at most; the worst is that all add up. Squared, relative to the square of the
/// logits.
extern const double bound;

/// Where models of these tests lie.
std::filesystem::path folder();

/// A model of random weights in a folder of that name, by make_model.py, and an artifact of it with the phases that the
/// stand-in looks for.
struct MadeModel {
  std::filesystem::path model, artifact, phases;
  /// One that has been compiled.
  explicit MadeModel(const CompileOptions &made) : model(made.model), artifact(made.output), phases(made.dumpPhases) {}
  MadeModel(const std::string &name, const std::string &arguments, const std::string &format,
            const std::vector<std::string> &targets);
};

/// A tiny model for a processor (exact sums) and one for a GPU, whose phases the stand-in finds from then on.
struct Compiled {
  std::filesystem::path model = folder() / "model", cpu = folder() / "cpu.qm", gpu = folder() / "gpu.qm";
  static const Compiled &get();

private:
  Compiled();
};

Result<std::shared_ptr<const Model>> loadOnDevice(const std::filesystem::path &path, const StandInGPU &gpu = {},
                                                  LoadOptions options = {});
/// The same of an artifact whose phases lie in a folder of their own.
Result<std::shared_ptr<const Model>> loadOnDevice(const MadeModel &made, const StandInGPU &gpu = {},
                                                  const LoadOptions &options = {});

std::unique_ptr<Session> sessionOn(std::shared_ptr<const Model> model, SessionOptions options = {.context = 96});

std::vector<float> logitsOf(Session &session, std::span<const int32_t> text, Rows rows);
/// The logits of all tokens, in steps of so many.
std::vector<float> logitsInSteps(Session &session, std::span<const int32_t> text, size_t step);

/// Squared error against squared reference, over all logits.
template <typename Expected> double error(const Expected &expected, std::span<const float> actual) {
  double difference = 0, square = 0;
  size_t i = 0;
  for (const auto e : expected) {
    const double d = actual[i++] - e;
    difference += d * d;
    square += e * e;
  }
  return difference / square;
}

/// What the model means, in f64, with the values that a format gives its matrices.
std::vector<double> reference(const std::filesystem::path &path, const std::string &specification,
                              const std::vector<int32_t> &text);

std::string messageOf(const auto &result) {
  return result ? "" : result.error().message;
}

} // namespace quantc::test
