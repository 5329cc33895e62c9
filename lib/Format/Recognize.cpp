//===- Recognize.cpp - which container and format the tensors of a file are -------------------------------------===//

#include "quantc/Format/Recognize.h"
#include "Resolve.h"
#include "Settings.h"
#include "quantc/Support/Json.h"
#include "quantc/Support/Text.h"
#include <algorithm>
#include <cstring>
#include <fmt/ranges.h>

using namespace quantc;
using nlohmann::json;

/// The key of a configuration that every container of such models gives.
static constexpr std::string_view methodKey = "quant_method";

/// The text that a container wants under a key; null where it wants none.
static const std::string *textFor(const Description &container, std::string_view key) {
  auto it = std::ranges::find(container.config, key, &SettingDecl::key);
  return it == container.config.end() || it->writtenOnly ? nullptr : std::get_if<std::string>(&it->values[0]);
}

//===--- Containers ---------------------------------------------------------------------------------------------===//

namespace {
struct Candidate {
  Recognized as;
  Agreement agreement;
};
} // namespace

/// The parameters of a format that differ from their defaults.
static FormatParams givenParams(const Format &format) {
  FormatParams given;
  for (const ParamDecl &p : format.source().params) {
    const std::string word = format.typeWord(p.name);
    const ParamValue value = word == p.name ? ParamValue(format.integers().at(p.name)) : ParamValue(word);
    if (value != p.fallback)
      given[p.name] = value;
  }
  return given;
}

/// Every container for a method with each of its formats.
static Result<std::vector<Candidate>> candidatesFor(Catalog &catalog, const json &config) {
  const json method = config.value(methodKey, json());
  std::vector<Candidate> candidates;
  std::set<std::string> methods;
  for (const std::string &name : catalog.containerNames()) {
    QUANTC_ASSIGN(auto container, catalog.container(name));
    const std::string *text = textFor(*container, methodKey);
    if (!text)
      continue;
    methods.insert(*text);
    if (method != json(*text))
      continue;
    for (const std::string &carried : container->carries) {
      QUANTC_ASSIGN(auto format, catalog.format(carried));
      Agreement agreement = readSettings(container->config, format->source(), config);
      agreement.params.merge(givenParams(*format));
      Recognized as{container, format->name(), agreement.params};
      candidates.push_back({std::move(as), std::move(agreement)});
    }
  }
  if (candidates.empty())
    return fail("'{}' of quantization_config is {}; those that can be read are {}", methodKey,
                method.is_string() ? inQuotes(method.get_ref<const std::string &>()) : "missing or no text",
                fmt::join(methods, ", "));
  return candidates;
}

/// By which key the containers differ: a text that stands in none of the files is the user's to add.
static std::string lackOf(const std::string &key, const std::vector<const Candidate *> &undecided) {
  std::vector<std::string> texts;
  for (const Candidate *c : undecided)
    if (const std::string *text = textFor(*c->as.container, key))
      texts.push_back(fmt::format("{} (container {})", inQuotes(*text), c->as.container->name));
  return fmt::format("quantization_config lacks '{}'{}", key,
                     texts.empty()
                         ? std::string()
                         : fmt::format(", and how the model is stored depends on it: add it to config.json, as {}",
                                       fmt::join(texts, " or ")));
}

Result<Recognition> quantc::recognizeContainers(Catalog &catalog, const json &config) {
  if (!config.is_object())
    return fail("quantization_config is no object");
  QUANTC_ASSIGN(std::vector<Candidate> candidates, candidatesFor(catalog, config));
  const Candidate *nearest = &candidates.front();
  std::vector<const Candidate *> agreeing, undecided;
  for (const Candidate &c : candidates) {
    if (!c.agreement.contradiction.empty()) {
      if (c.agreement.held > nearest->agreement.held)
        nearest = &c;
    } else {
      (c.agreement.missing.empty() ? agreeing : undecided).push_back(&c);
    }
  }
  if (agreeing.size() == 1)
    return Recognition{{agreeing.front()->as}, ""};
  if (agreeing.size() > 1)
    return fail("quantization_config fits several containers: {} and {}", agreeing[0]->as.container->name,
                agreeing[1]->as.container->name);
  if (undecided.empty())
    return fail("quantization_config: {}", nearest->agreement.contradiction);
  const std::vector<std::string> &missing = undecided.front()->agreement.missing;
  Recognition open{{}, lackOf(missing.front(), undecided)};
  const bool byOneText = missing.size() == 1 && std::ranges::all_of(undecided, [&](const Candidate *c) {
                           return c->agreement.missing == missing && textFor(*c->as.container, missing.front());
                         });
  if (!byOneText || undecided.size() < 2)
    return fail("{}", open.lack);
  for (const Candidate *c : undecided)
    open.candidates.push_back(c->as);
  return open;
}

Result<Recognized> quantc::recognizeContainer(Catalog &catalog, const json &config) {
  QUANTC_ASSIGN(Recognition found, recognizeContainers(catalog, config));
  if (found.candidates.size() > 1)
    return fail("{}", found.lack);
  return std::move(found.candidates.front());
}

Result<std::vector<std::shared_ptr<const Description>>> quantc::checkpointContainers(Catalog &catalog,
                                                                                     const std::string &name) {
  std::vector<std::shared_ptr<const Description>> named;
  std::vector<std::string> known;
  for (const std::string &each : catalog.containerNames()) {
    QUANTC_ASSIGN(auto container, catalog.container(each));
    if (!textFor(*container, methodKey))
      continue;
    if (each == name || std::ranges::find(container->aliases, name) != container->aliases.end())
      named.push_back(container);
    known.push_back(fmt::format("{}", fmt::join(container->aliases, " or ")));
    known.back() = known.back().empty() ? each : each + " or " + known.back();
  }
  if (!named.empty())
    return named;
  return fail("there is no container '{}' of Hugging Face directories; known: {}", name, fmt::join(known, ", "));
}

Result<std::vector<std::string>> quantc::containersFor(Catalog &catalog, const Format *format) {
  std::vector<std::string> names;
  for (const std::string &each : catalog.containerNames()) {
    QUANTC_ASSIGN(auto container, catalog.container(each));
    if (!textFor(*container, methodKey) || (format && !carries(*container, *format)))
      continue;
    const std::string &name = container->aliases.empty() ? each : container->aliases.front();
    if (std::ranges::find(names, name) == names.end())
      names.push_back(name);
  }
  return names;
}

std::vector<std::string> quantc::suffixesOf(const Recognized &as) {
  std::vector<std::string> suffixes;
  for (const TensorDecl &t : as.container->tensors)
    suffixes.push_back(t.suffix);
  for (const JsonDecl &j : as.container->json)
    suffixes.push_back(withNames(j.suffix, as.format, ""));
  return suffixes;
}

//===--- Weights ------------------------------------------------------------------------------------------------===//

namespace {
/// N and K as far as they are known; whatever says them again has to agree, which `Binding` checks.
struct Extents {
  std::optional<int64_t> N, K;
  /// From the value of `N`, `K`, or one of them divided by a number.
  void learn(const ExprPtr &e, int64_t value) {
    if (!e)
      return;
    if (e->kind == ExprKind::Binary && e->op == Operator::Div && e->args[1]->kind == ExprKind::Integer &&
        !__builtin_mul_overflow(value, e->args[1]->integer, &value))
      return learn(e->args[0], value);
    if (e->kind == ExprKind::Name && e->args.empty() && (e->name == "N" || e->name == "K"))
      (e->name == "N" ? N : K) = value;
  }
};

/// Constants of one word each at the begin of a tensor.
void learnConstants(const TensorDecl &t, const FileTensor &tensor, Extents &extents) {
  size_t words = 1;
  for (int64_t n : tensor.shape)
    words *= static_cast<size_t>(n);
  const size_t word = words ? tensor.bytes.size() / words : 0;
  if (word == 0) // a file without the bytes of its tensor: nothing to learn
    return;
  for (size_t i = 0; i < t.layout.size() && i < words && t.layout[i].kind == LayoutItem::Constant; i++) {
    int64_t value = 0;
    std::memcpy(&value, tensor.bytes.data() + i * word, std::min(word, sizeof value));
    extents.learn(t.layout[i].value, value);
  }
}
} // namespace

/// The text of a JSON tensor is short: a few numbers and names.
static Result<json> readObject(const FileTensor &tensor) {
  constexpr size_t longest = 1 << 16;
  if (tensor.bytes.size() > longest)
    return fail("{} bytes, expected a JSON object of at most {}", tensor.bytes.size(), longest);
  QUANTC_ASSIGN(const auto object,
                parseJson({reinterpret_cast<const char *>(tensor.bytes.data()), tensor.bytes.size()}));
  return json(object);
}

Result<StoredWeight> quantc::recognizeWeight(Catalog &catalog, const Recognized &as,
                                             const std::map<std::string, FileTensor> &tensors) {
  QUANTC_ASSIGN(const auto any, catalog.format(as.format));
  const Description &source = any->source();
  FormatParams params = as.params;
  Extents extents;
  for (const TensorDecl &t : as.container->tensors) {
    auto found = tensors.find(t.suffix);
    if (found == tensors.end())
      continue;
    const FileTensor &tensor = found->second;
    auto p = std::ranges::find(source.params, t.type, &ParamDecl::name);
    if (p != source.params.end()) {
      if (!p->allows(tensor.type))
        return fail("'{}' is of type {}, which format {} does not have", t.suffix, tensor.type, as.format);
      params[p->name] = tensor.type;
    }
    for (size_t d = 0; d < t.dimensions.size() && d < tensor.shape.size(); d++)
      extents.learn(t.dimensions[d].extent, tensor.shape[d]);
    learnConstants(t, tensor, extents);
  }
  for (const JsonDecl &j : as.container->json) {
    const std::string suffix = withNames(j.suffix, as.format, "");
    auto found = tensors.find(suffix);
    if (found == tensors.end())
      return fail("the part '{}' is missing", suffix);
    auto object = readObject(found->second);
    if (!object)
      return failAt("'" + suffix + "'", object.error());
    const Agreement agreement = readSettings(j.entries, source, *object);
    if (!agreement.contradiction.empty())
      return fail("'{}': {}", suffix, agreement.contradiction);
    for (auto &[name, value] : agreement.params)
      params[name] = value;
    for (const SettingDecl &s : j.entries)
      if (const json list = object->is_object() ? object->value(s.key, json()) : json(); list.is_array())
        for (size_t i = 0; i < s.values.size() && i < list.size(); i++)
          if (auto *e = std::get_if<ExprPtr>(&s.values[i]); e && list[i].is_number_integer())
            extents.learn(*e, list[i].get<int64_t>());
  }
  if (!extents.N || !extents.K)
    return fail("the parts that are there do not say how many rows and columns the weight has; the container wants {}",
                fmt::join(suffixesOf(as), ", "));
  // The sizes of the parts are compared with what comes out of these; this keeps their product within 64 bits.
  constexpr int64_t largest = int64_t(1) << 31;
  if (*extents.N < 1 || *extents.K < 1 || *extents.N > largest || *extents.K > largest)
    return fail("a weight of {} x {}", *extents.N, *extents.K);
  QUANTC_ASSIGN(auto format, catalog.format(specOf(source, params)));
  return StoredWeight{std::move(format), *extents.N, *extents.K};
}
