//===- Command.h - what every command of quantc shares ----------------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace quantc {

struct CalibrationText;
struct MethodChoices;
struct QuantizeOptions;

using Json = nlohmann::ordered_json;

/// Options that every command takes.
struct Globals {
  bool json = false;    ///< the result as JSON on stdout, and nothing else there
  unsigned threads = 0; ///< 0: one for each processor
  bool verbose = false;
  std::filesystem::path cache; ///< where compiled models are kept
};

/// What a command does once its options are parsed.
using Action = std::function<Status()>;

/// Adds a command with the options of all of them; `run` is called after parsing.
CLI::App *addCommand(CLI::App &app, Globals &globals, const char *name, const char *summary, const char *examples,
                     Action run, Action &chosen);

/// The model as a positional argument, and as `-m`, which users of llama.cpp type.
void addModel(CLI::App *command, std::filesystem::path &model);

/// The same for what begins with a model that is not compiled.
void addSource(CLI::App *command, std::filesystem::path &model);

/// --method, its options, and --calib and its like.
void addMethod(CLI::App *command, MethodChoices &method);

void addMemoryBudget(CLI::App *command, uint64_t &bytes);

/// --calib, --calib-sequences, --calib-length.
void addCalibrationText(CLI::App *command, CalibrationText &text);

/// Options of the contract that later versions bring: known, absent from the help, and refused.
void addNotYet(CLI::App *command, std::initializer_list<const char *> names);

/// A value of `now`; those of `later` (or made of them, "a+b") are refused as not yet available.
CLI::Validator oneOf(std::vector<std::string> now, std::vector<std::string> later);

/// Prints the result: JSON, or the text.
void printResult(const Globals &globals, const Json &json, const std::string &text);

/// --dry-run, and what it prints instead of doing the work.
void addDryRun(CLI::App *command, bool &dryRun);
Status dryRun(const Globals &globals, const QuantizeOptions &options, const MethodChoices &method);

void addBench(CLI::App &app, Globals &globals, Action &chosen);
void addCalibrate(CLI::App &app, Globals &globals, Action &chosen);
void addCompare(CLI::App &app, Globals &globals, Action &chosen);
void addCompile(CLI::App &app, Globals &globals, Action &chosen);
void addConvert(CLI::App &app, Globals &globals, Action &chosen);
void addDoctor(CLI::App &app, Globals &globals, Action &chosen);
void addInspect(CLI::App &app, Globals &globals, Action &chosen);
void addKernels(CLI::App &app, Globals &globals, Action &chosen);
void addPerplexity(CLI::App &app, Globals &globals, Action &chosen);
void addQuantize(CLI::App &app, Globals &globals, Action &chosen);
void addRecommend(CLI::App &app, Globals &globals, Action &chosen);
void addRun(CLI::App &app, Globals &globals, Action &chosen);
void addTokenize(CLI::App &app, Globals &globals, Action &chosen);
void addVerify(CLI::App &app, Globals &globals, Action &chosen);

} // namespace quantc
