//===- StepGraphs.h - steps of few tokens as graphs of launches ---------------------------------------------------===//
#pragma once

#include "DeviceModel.h"
#include <functional>

namespace quantc::cuda {

/// The graphs of one session. A step is recorded when one of its shape comes for the second time (drivers load kernels
/// when they first run) and played from then on, where the driver can. So many shapes are known at a time; the one that
/// was not asked for the longest is forgotten for another.
class StepGraphs {
public:
  /// What the launches of a step depend on, beside what lies in memory.
  struct Shape {
    struct Part {
      int64_t sequence, tokens, rows;
      bool operator==(const Part &) const = default;
    };
    std::vector<Part> parts; ///< in the step's order
    bool findsTop;           ///< of the logits
    bool operator==(const Shape &) const = default;
  };
  /// Steps with more tokens of a sequence take so long that their launches do not count.
  static constexpr int64_t mostTokens = 8;
  static constexpr size_t mostShapes = 8;

  explicit StepGraphs(std::shared_ptr<const DeviceModel> model) : model(std::move(model)) {}
  ~StepGraphs();
  StepGraphs(const StepGraphs &) = delete;
  StepGraphs &operator=(const StepGraphs &) = delete;

  /// Puts a step on the stream: `launch` does it kernel by kernel.
  Status run(Stream stream, const Shape &shape, const std::function<Status()> &launch);

private:
  struct Step {
    Shape shape;
    GraphExec graph = nullptr; ///< null: not yet recorded
  };
  Step &find(const Shape &shape, bool &isNew);
  Result<GraphExec> record(Stream stream, const std::function<Status()> &launch) const;

  std::shared_ptr<const DeviceModel> model;
  std::vector<Step> steps; ///< the latest last
  bool isOff = false;      ///< the driver cannot
};

} // namespace quantc::cuda
