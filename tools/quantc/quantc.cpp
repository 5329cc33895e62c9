//===- quantc.cpp - the driver: one program, a command for each thing that users do -----------------------------===//
//
// Exit status: 0 done, 1 failed (one line on stderr says what, where and what to do), 2 wrong usage.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "Command.h"
#include <cstdlib>
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

void quantc::addModel(CLI::App *command, std::filesystem::path &model) {
  command->add_option("-m,model,--model", model, "a Hugging Face directory, a .gguf or a .qm file")
      ->required()
      ->type_name("MODEL");
}

void quantc::printResult(const Globals &globals, const Json &json, const std::string &text) {
  std::cout << (globals.json ? json.dump(2, ' ', false, Json::error_handler_t::replace) : text) << std::endl;
}

/// Commands of the contract that later versions bring.
static constexpr const char *notYet[] = {"chat", "serve", "exec", "verify", "recommend", "kernels", "calibrate"};

static std::filesystem::path cacheDirectory() {
  if (const char *cache = std::getenv("XDG_CACHE_HOME"); cache && *cache)
    return std::filesystem::path(cache) / "quantc";
  const char *home = std::getenv("HOME");
  return std::filesystem::path(home && *home ? home : "/tmp") / ".cache" / "quantc";
}

int main(int argc, char **argv) {
  CLI::App app("quantc: an ahead-of-time quantization compiler for language models");
  app.set_version_flag("--version", "quantc " QUANTC_VERSION);
  app.require_subcommand(1);
  app.get_formatter()->column_width(36);

  Globals globals;
  globals.cache = cacheDirectory();
  Action chosen;
  for (auto add : {addQuantize, addCompile, addConvert, addRun, addTokenize, addPerplexity, addBench, addCompare,
                   addInspect, addDoctor})
    add(app, globals, chosen);

  if (argc > 1)
    for (const char *name : notYet)
      if (std::string_view(argv[1]) == name) {
        std::cerr << "quantc: '" << name << "' is not yet available\n";
        return 2;
      }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (Status status = chosen(); !status) {
    std::cerr << "quantc: error: " << status.error().message << "\n";
    return 1;
  }
  return 0;
}
