//===- Runnable.cpp - a MODEL argument that is to be executed ---------------------------------------------------===//

#include "Runnable.h"
#include "CompileArguments.h"
#include "quantc/Driver/Progress.h"
#include <xxhash.h>

using namespace quantc;
namespace fs = std::filesystem;

void quantc::addRunnable(CLI::App *command, RunnableOptions &options) {
  addModel(command, options.compile.model);
  addCompileOptions(command, options.compile);
}

/// Everything that decides what compiling gives: the tool, the options, and name, size and time of each file of the
/// model.
static Result<std::string> fingerprint(const CompileArguments &arguments) {
  std::string text = fmt::format("quantc {}\n{}\n{}\n{}\n{}\n{}\n", QUANTC_VERSION, arguments.format, arguments.policy,
                                 arguments.precision, fmt::join(arguments.targets, ","), arguments.from);
  auto add = [&](const fs::path &path) {
    std::error_code ignored;
    text += fmt::format("{} {} {}\n", fs::absolute(path).string(), fs::file_size(path, ignored),
                        fs::last_write_time(path, ignored).time_since_epoch().count());
  };
  for (const fs::path &file : arguments.formatFiles)
    add(file);
  if (!arguments.schedule.empty())
    add(arguments.schedule);
  std::error_code ignored;
  if (fs::is_directory(arguments.model, ignored)) {
    std::vector<fs::path> files;
    for (const auto &entry : fs::directory_iterator(arguments.model, ignored))
      files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    for (const fs::path &file : files)
      add(file);
  } else {
    add(arguments.model);
  }
  return fmt::format("{:016x}", XXH3_64bits(text.data(), text.size()));
}

Result<std::shared_ptr<const Model>> quantc::openRunnable(const RunnableOptions &options, const Globals &globals) {
  const CompileArguments &arguments = options.compile;
  QUANTC_ASSIGN(InputKind kind, kindOf(arguments.model));
  const bool compiled = kind == InputKind::Artifact;
  if (compiled && !(arguments.format.empty() && arguments.policy.empty() && arguments.precision == "fast"))
    return fail("{}: is compiled already; --format, --policy and --precision are for models that are not",
                arguments.model.string());
  if (compiled)
    return Model::load(arguments.model, {.target = arguments.targets.empty() ? "" : arguments.targets.front()});

  QUANTC_ASSIGN(std::string name, fingerprint(arguments));
  const fs::path cached = globals.cache / (name + ".qm");
  std::error_code error;
  fs::create_directories(globals.cache, error);
  if (error)
    return fail("{}: cannot make the cache directory: {}", globals.cache.string(), error.message());
  // Two processes may compile at once: each writes a file of its own and renames it, and both give the same bytes.
  // Dumped phases are wanted each time, and what `from` reads changes under the same name.
  const bool again = !arguments.dumpPhases.empty() || !arguments.from.empty();
  if (again || !fs::exists(cached, error)) {
    CompileOptions compile = toCompileOptions(arguments, globals);
    compile.output = cached;
    QUANTC_TRY(compileModel(compile));
  }
  return Model::load(cached);
}
