//===- DryRun.cpp - --dry-run: what the work would take, printed instead of doing it ------------------------------===//

#include "DryRun.h"

using namespace quantc;

void quantc::addDryRun(CLI::App *command, bool &dryRun) {
  command->add_flag("--dry-run", dryRun, "say what memory, disk and time this takes, and do nothing");
}

void quantc::printPlan(const Globals &globals, const QuantizePlan &plan, const char *written) {
  Json json = {{"memory_bytes", plan.memory},   {"least_memory_bytes", plan.leastMemory},
               {"scratch_bytes", plan.scratch}, {"output_bytes", plan.output},
               {"seconds", plan.seconds()},     {"peak_flops", plan.peak},
               {"phases", Json::array()}};
  std::string text =
      fmt::format("private memory {:9.1f} MB at most (at least {:.1f} MB with a smaller --memory-budget)\n"
                  "scratch disk   {:9.1f} MB at most, beside the output\n",
                  double(plan.memory) / 1e6, double(plan.leastMemory) / 1e6, double(plan.scratch) / 1e6);
  if (plan.output)
    text += fmt::format("{:14} {:9.1f} MB written\n", written, double(plan.output) / 1e6);
  for (const PlanPhase &phase : plan.phases) {
    json["phases"].push_back({{"name", phase.name}, {"operations", phase.operations}, {"seconds", phase.seconds}});
    text += fmt::format("{:8.0f} s  {}{}\n", phase.seconds, phase.name,
                        phase.operations > 0 ? fmt::format(", {:.1f} TFLOP", phase.operations / 1e12) : "");
  }
  printResult(globals, json,
              text + fmt::format("{:8.0f} s  in all, at {:.0f} GFLOP/s measured now", plan.seconds(), plan.peak / 1e9));
}

Status quantc::dryRun(const Globals &globals, const QuantizeOptions &options, const MethodChoices &method) {
  QUANTC_ASSIGN(const QuantizePlan plan, planQuantization(options, method));
  printPlan(globals, plan, "weights");
  return {};
}
