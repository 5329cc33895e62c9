//===- quantc.cpp - the driver: one program, a command for each thing that users do -----------------------------===//
//
// Exit status: 0 done, 1 failed (one line on stderr says what, where and what to do), 2 wrong usage. Signals end the
// program as usual: outputs have no name before they are whole, so nothing is left behind.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "Command.h"
#include "quantc/Support/Message.h"
#include <algorithm>
#include <cstdlib>
#include <fmt/ranges.h>
#include <iostream>

using namespace quantc;

CLI::App *quantc::addCommand(CLI::App &app, Globals &globals, const char *name, const char *summary,
                             const char *examples, Action run, Action &chosen) {
  CLI::App *command = app.add_subcommand(name, summary);
  command->add_flag("--json", globals.json, "the result as JSON on stdout, and nothing else there");
  command->add_option("-t,--threads", globals.threads, "threads; default: one for each processor")
      ->check(CLI::Range(1, 1024));
  command->add_flag("-v,--verbose", globals.verbose, "say more on stderr");
  command->footer(std::string("Examples:\n") + examples);
  command->callback([run = std::move(run), &chosen] { chosen = run; });
  return command;
}

static void addModelAs(CLI::App *command, std::filesystem::path &model, const char *kinds) {
  command->add_option("-m,model,--model", model, kinds)->required()->type_name("MODEL");
}

void quantc::addModel(CLI::App *command, std::filesystem::path &model) {
  addModelAs(command, model, "a Hugging Face directory, a .gguf or a .qm file");
}

void quantc::addSource(CLI::App *command, std::filesystem::path &model) {
  addModelAs(command, model, "a Hugging Face directory or a .gguf file");
}

void quantc::addNotYet(CLI::App *command, std::initializer_list<const char *> names) {
  for (const std::string name : names)
    command
        ->add_option_function<std::vector<std::string>>(
            name, [name](const auto &) { throw CLI::ValidationError(name, "is not yet available"); })
        ->expected(0, 1)
        ->group("");
}

CLI::Validator quantc::oneOf(std::vector<std::string> now, std::vector<std::string> later) {
  const std::string choices = fmt::format("{{{}}}", fmt::join(now, ","));
  auto check = [=](const std::string &value) -> std::string {
    if (std::ranges::find(now, value) != now.end())
      return "";
    const bool known = std::ranges::any_of(later, [&](const std::string &part) {
      return fmt::format("+{}+", value).find(fmt::format("+{}+", part)) != std::string::npos;
    });
    return known ? value + " is not yet available" : value + " is none of " + choices;
  };
  return CLI::Validator(check, choices);
}

void quantc::printResult(const Globals &globals, const Json &json, const std::string &text) {
  std::cout << (globals.json ? json.dump(2, ' ', false, Json::error_handler_t::replace) : text) << std::endl;
}

/// Commands of the contract that later versions bring.
static constexpr std::string_view notYet[] = {"chat", "serve", "exec"};

static std::filesystem::path cacheDirectory() {
  if (const char *cache = std::getenv("XDG_CACHE_HOME"); cache && *cache)
    return std::filesystem::path(cache) / "quantc";
  const char *home = std::getenv("HOME");
  return std::filesystem::path(home && *home ? home : "/tmp") / ".cache" / "quantc";
}

/// Parses and runs; the exit status.
static int run(std::vector<std::string> arguments) {
  CLI::App app("quantc: an ahead-of-time quantization compiler for language models");
  app.set_version_flag("--version", "quantc " QUANTC_VERSION);
  app.require_subcommand(1);
  app.get_formatter()->column_width(36);

  Globals globals;
  globals.cache = cacheDirectory();
  Action chosen;
  for (auto add : {addQuantize, addCompile, addConvert, addRun, addTokenize, addPerplexity, addCalibrate, addBench,
                   addCompare, addInspect, addKernels, addVerify, addRecommend, addDoctor})
    add(app, globals, chosen);

  if (!arguments.empty() && std::ranges::find(notYet, arguments.front()) != std::end(notYet)) {
    std::cerr << "quantc: '" << arguments.front() << "' is not yet available\n";
    return 2;
  }
  // llama.cpp's name, which would be three short options here.
  std::ranges::replace(arguments, "-ngl", "--gpu-layers");
  std::ranges::reverse(arguments); // as the parser wants them
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  Status status = chosen();
  if (status && !std::cout.flush())
    status = fail("the result cannot be written to the standard output");
  if (status)
    return 0;
  std::cerr << "quantc: error: " << oneLine(status.error().message) << "\n";
  return 1;
}

int main(int argc, char **argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::bad_alloc &) {
    std::cerr << "quantc: error: not enough memory\n";
  } catch (const std::exception &exception) {
    std::cerr << "quantc: error: " << exception.what() << "\n";
  }
  return 1;
}
