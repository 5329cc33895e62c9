//===- StepGraphs.cpp - steps of few tokens as graphs of launches -------------------------------------------------===//

#include "StepGraphs.h"
#include <algorithm>

using namespace quantc;
using namespace quantc::cuda;

StepGraphs::~StepGraphs() {
  const auto current = model->device()->makeCurrent();
  for (const Step &step : steps)
    if (step.graph)
      model->device()->driver().graphExecDestroy(step.graph);
}

/// The step of a shape, as the latest.
StepGraphs::Step &StepGraphs::find(const Shape &shape, bool &isNew) {
  const auto found = std::ranges::find(steps, shape, &Step::shape);
  isNew = found == steps.end();
  if (!isNew) {
    std::rotate(found, found + 1, steps.end());
    return steps.back();
  }
  if (steps.size() == mostShapes) {
    if (steps.front().graph)
      model->device()->driver().graphExecDestroy(steps.front().graph);
    steps.erase(steps.begin());
  }
  return steps.emplace_back(Step{shape});
}

Result<GraphExec> StepGraphs::record(Stream stream, const std::function<Status()> &launch) const {
  const Driver &d = model->device()->driver();
  if (!d.hasGraphs())
    return fail("this driver has no graphs");
  QUANTC_TRY(d.check(d.beginCapture(stream, CaptureThreadLocal), "beginning"));
  const Status launched = launch();
  Graph captured = nullptr;
  const Status ended = d.check(d.endCapture(stream, &captured), "ending");
  GraphExec graph = nullptr;
  Status made = !launched ? launched : ended;
  if (made)
    made = d.check(d.graphInstantiate(&graph, captured, 0), "making the graph ready");
  if (captured)
    d.graphDestroy(captured);
  QUANTC_TRY(std::move(made));
  return graph;
}

Status StepGraphs::run(Stream stream, const Shape &shape, const std::function<Status()> &launch) {
  if (isOff ||
      std::ranges::any_of(shape.parts, [](int64_t tokens) { return tokens > mostTokens; }, &Shape::Part::tokens))
    return launch();
  bool isNew;
  Step &step = find(shape, isNew);
  if (isNew)
    return launch();
  if (!step.graph) {
    const auto graph = record(stream, launch);
    if (!graph) {
      // What fails here is tried no more: launches one by one do the same.
      isOff = true;
      model->note(fmt::format("a step is launched kernel by kernel, as it cannot be recorded as a graph: {}",
                              graph.error().message));
      return launch();
    }
    step.graph = *graph;
  }
  return model->device()->driver().check(model->device()->driver().graphLaunch(step.graph, stream), "a step");
}
