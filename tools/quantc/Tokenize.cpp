//===- Tokenize.cpp - quantc tokenize: text to token ids and back -----------------------------------------------===//

#include "Command.h"
#include "quantc/Driver/Models.h"

using namespace quantc;

namespace {
struct TokenizeOptions {
  std::filesystem::path model, file;
  std::string text;
  std::vector<int32_t> ids;
  bool plain = false;
};

Status run(const Globals &globals, const TokenizeOptions &options) {
  QUANTC_ASSIGN(auto tokenizer, loadTokenizer(options.model));
  if (!options.ids.empty()) {
    QUANTC_ASSIGN(std::string text, tokenizer->decode(options.ids));
    printResult(globals, {{"text", text}}, text);
    return {};
  }
  std::string text = options.text;
  if (!options.file.empty()) {
    QUANTC_ASSIGN(text, readText(options.file, uint64_t(1) << 30));
  }
  QUANTC_ASSIGN(auto ids, tokenizer->encode(text, {.addSpecial = !options.plain, .parseSpecial = !options.plain}));
  printResult(globals, {{"ids", ids}}, fmt::format("{}", fmt::join(ids, " ")));
  return {};
}
} // namespace

void quantc::addTokenize(CLI::App &app, Globals &globals, Action &chosen) {
  auto options = std::make_shared<TokenizeOptions>();
  CLI::App *c = addCommand(
      app, globals, "tokenize", "token ids of a text, or the text of token ids",
      "  quantc tokenize model.qm --text \"Once upon a time\"\n"
      "  quantc tokenize model.qm --decode 1,2,3",
      [&globals, options] { return run(globals, *options); }, chosen);
  addModel(c, options->model);
  auto *input = c->add_option_group("input");
  input->add_option("--text", options->text, "the text");
  input->add_option("--file", options->file, "a file with the text");
  input->add_option("--decode", options->ids, "token ids: 1,2,3")->delimiter(',');
  input->require_option(1);
  c->add_flag("--plain", options->plain, "no token before or after the text, and no control token in it");
}
