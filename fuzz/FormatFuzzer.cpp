//===- FormatFuzzer.cpp - hostile descriptions of formats and containers ----------------------------------------===//
//
// The input is the text of a format, perhaps followed by a line "%%" and the text of a container. Nothing may crash or
// take long, and of what verifies, reading must undo storing. Mutations work on words: they are moved, repeated, and
// taken from the shipped descriptions.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "quantc/Format/Container.h"
#include "quantc/Format/Factoring.h"
#include "quantc/Format/Layout.h"
#include "quantc/Support/Files.h"
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>

using namespace quantc;
using Random = std::minstd_rand;

extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t maxSize);

static const std::string separator = "\n%%\n";

[[noreturn]] static void report(const std::string &problem) {
  std::fprintf(stderr, "%s\n", problem.c_str());
  std::abort();
}

static Result<std::string> loadTable(const std::string &name) {
  if (name.find('/') != std::string::npos)
    return fail("no folders");
  return readText(std::filesystem::path(QUANTC_SOURCE_DIR) / "formats/tables" / name);
}

//===--- What verifies works ------------------------------------------------------------------------------------===//

static constexpr int64_t mostCells = 1 << 18;

/// Fields of random bits; nothing where they are many.
static std::optional<FieldValues> randomFields(const Format &format, int64_t N, int64_t K, Random &random) {
  int64_t cells = 0;
  const int64_t blocks = format.block() ? N / format.block()->rows * (K / format.block()->columns) : 1;
  for (const Field &f : format.fields())
    if ((cells += format.cellCount(f, N, K) * (f.inside ? blocks : 1)) > mostCells)
      return std::nullopt;
  FieldValues fields = zeroFields(format, N, K);
  for (const Field &f : format.fields())
    for (uint64_t &cell : fields[f.index])
      cell = (uint64_t(random()) << 33 ^ uint64_t(random()) << 12 ^ random()) & lowBits(f.width);
  return fields;
}

static void checkFormat(const std::shared_ptr<const Format> &format,
                        const std::shared_ptr<const Description> &container, Random &random) {
  const auto &block = format->block();
  const int64_t N = block ? 2 * block->rows : 3, K = block ? 2 * block->columns : 40;
  if (!format->checkShape(N, K))
    return;
  auto fields = randomFields(*format, N, K, random);
  if (!fields)
    return;
  std::vector<float> values(static_cast<size_t>(N * K));
  if (auto status = decode(*format, *fields, N, K, values.data()); !status)
    report("a format that verifies does not decode: " + status.error().message);
  if (block && K <= 512)
    (void)Factoring(format).text();
  if (block) {
    auto layout = BlockLayout::create(*format);
    if (!layout)
      report("a layout was verified and fails: " + layout.error().message);
    std::vector<std::byte> storage(static_cast<size_t>(4 * block->bytes));
    layout->store(*fields, 0, 4, storage.data());
    FieldValues again = zeroFields(*format, N, K);
    layout->read(storage.data(), 0, 4, again);
    for (const Field &f : format->fields())
      if (f.inside && again[f.index] != (*fields)[f.index])
        report("reading a block does not undo storing it");
  }
  if (!container)
    return;
  auto binding = Binding::create(container, format, N, K);
  if (!binding)
    return;
  const auto tensors = binding->store(*fields);
  if (!container->json.empty()) // JSON has no infinities
    for (const Field &f : format->fields())
      if (f.rank == 0 && f.kind == FieldKind::F32)
        return;
  auto again = binding->read({tensors.begin(), tensors.end()});
  if (!again)
    report("tensors that were stored are refused: " + again.error().message);
  if (*again != *fields)
    report("reading tensors does not undo storing them");
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::string text(reinterpret_cast<const char *>(data), size);
  const size_t middle = std::min(text.find(separator), size);
  Random random(static_cast<unsigned>(size));
  auto parsed = parseDescription(text.substr(0, middle), "f.qf", loadTable);
  if (!parsed)
    return 0;
  if ((*parsed)->isContainer)
    return 0;
  std::shared_ptr<const Description> container;
  if (middle < size)
    container = parseDescription(text.substr(middle + separator.size()), "c.qc", loadTable).value_or(nullptr);
  if (container && !container->isContainer)
    container = nullptr;
  // The default parameters, and each parameter at the first of its choices.
  std::vector<std::map<std::string, ParamValue>> settings{{}};
  for (const ParamDecl &p : (*parsed)->params)
    if (settings.size() < 5) {
      const auto &choice = p.choices.front().range;
      settings.push_back(
          {{p.name, choice.index() ? ParamValue(std::get<1>(choice)) : ParamValue(std::get<0>(choice).first)}});
    }
  for (const auto &setting : settings)
    if (auto format = Format::create(*parsed, setting))
      checkFormat(*format, container, random);
  return 0;
}

//===--- Mutation -----------------------------------------------------------------------------------------------===//

/// Names, numbers, strings, symbols, and the spaces before them.
static std::vector<std::string> wordsOf(std::string_view text) {
  std::vector<std::string> words;
  auto isName = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; };
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    while (end < text.size() && text[end] == ' ')
      end++;
    if (end < text.size() && isName(text[end]))
      while (end < text.size() && isName(text[end]))
        end++;
    else
      end = std::min(end + 1, text.size());
    words.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

/// The shipped descriptions, formats with a container that carries them.
static const std::vector<std::string> &seeds() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> texts;
    const std::filesystem::path source(QUANTC_SOURCE_DIR);
    std::vector<std::filesystem::path> files;
    for (const auto &entry : std::filesystem::directory_iterator(source / "formats"))
      if (entry.path().extension() == ".qf")
        files.push_back(entry.path());
    std::ranges::sort(files);
    for (const auto &file : files) {
      const std::string format = readText(file).value_or("");
      texts.push_back(format);
      for (const auto &entry : std::filesystem::directory_iterator(source / "containers"))
        if (auto text = readText(entry.path());
            text && text->find("\ncarries " + file.stem().string() + "\n") != std::string::npos)
          texts.push_back(format + separator + *text);
    }
    return texts;
  }();
  return all;
}

static size_t put(std::string_view text, uint8_t *data, size_t maxSize) {
  const size_t size = std::min(text.size(), maxSize);
  std::copy_n(text.begin(), size, data);
  return size;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t maxSize, unsigned seed) {
  Random random(seed);
  auto below = [&](size_t count) { return random() % count; };
  if (size < 8 || below(20) == 0)
    return put(seeds()[below(seeds().size())], data, maxSize);
  if (below(20) == 0)
    return LLVMFuzzerMutate(data, size, maxSize);
  std::vector<std::string> words = wordsOf({reinterpret_cast<const char *>(data), size});
  const std::vector<std::string> others = wordsOf(seeds()[below(seeds().size())]);
  for (size_t rounds = 1 + below(3); rounds > 0 && words.size() > 1; rounds--) {
    const size_t at = below(words.size()), other = below(others.size());
    const size_t length = std::min(1 + below(6), words.size() - at),
                 otherLength = std::min(1 + below(12), others.size() - other);
    auto place = words.begin() + static_cast<std::ptrdiff_t>(at);
    const auto from = others.begin() + static_cast<std::ptrdiff_t>(other);
    static const char *const numbers[] = {" 0",    " 1",     " 2",          " 3",  " 7",
                                          " 8",    " 32",    " 63",         " 64", " 255",
                                          " 4096", " 65536", " 0x7fffffff", " -1", " 9223372036854775807",
                                          " N",    " K",     " k",          " i",  " n"};
    switch (below(6)) {
    case 0:
      words.erase(place, place + static_cast<std::ptrdiff_t>(length));
      break;
    case 1:
      words.insert(place, from, from + static_cast<std::ptrdiff_t>(otherLength));
      break;
    case 2:
      *place = *from;
      break;
    case 3:
      std::swap(*place, words[below(words.size())]);
      break;
    case 4: {
      const std::vector<std::string> copy(place, place + static_cast<std::ptrdiff_t>(length));
      words.insert(words.begin() + static_cast<std::ptrdiff_t>(below(words.size())), copy.begin(), copy.end());
      break;
    }
    default: // a number for a number
      for (size_t i = at; i < words.size(); i++)
        if (std::isdigit(static_cast<unsigned char>(words[i].back()))) {
          words[i] = numbers[below(std::size(numbers))];
          break;
        }
    }
  }
  std::string text;
  for (const std::string &word : words)
    text += word;
  return put(text, data, maxSize);
}
