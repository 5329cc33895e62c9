//===- Settings.cpp - keys of JSON objects that containers describe ---------------------------------------------===//

#include "Settings.h"
#include "Resolve.h"
#include "quantc/Format/Arithmetic.h"
#include "quantc/Support/Text.h"
#include <algorithm>
#include <cmath>

using namespace quantc;
using nlohmann::json;
using nlohmann::ordered_json;

/// The list of layers that stay as they are.
static constexpr std::string_view keptName = "kept", orderedName = "ordered";

std::string quantc::withNames(std::string text, const std::string &format, const std::string &dtype) {
  for (auto [mark, name] : {std::pair<std::string_view, const std::string &>("{format}", format), {"{dtype}", dtype}})
    if (size_t at = text.find(mark); at != text.npos)
      text.replace(at, mark.size(), name);
  return text;
}

std::string quantc::specOf(const Description &format, const FormatParams &params) {
  std::string spec = format.name;
  for (const ParamDecl &p : format.params)
    if (auto it = params.find(p.name); it != params.end() && it->second != p.fallback)
      spec += ":" + p.prefix + (p.flag ? "" : std::visit([](auto &v) { return fmt::format("{}", v); }, it->second));
  return spec;
}

/// A value as text for messages, shortened.
static std::string shown(const json &value) {
  if (value.is_string())
    return inQuotes(value.get_ref<const std::string &>());
  const std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  return text.size() <= 60 ? text : text.substr(0, 57) + "...";
}

/// The value under "a.b.c"; null where there is none.
static const json *find(const json &object, std::string_view key) {
  const json *at = &object;
  while (at && !key.empty()) {
    const std::string_view part = key.substr(0, key.find('.'));
    key.remove_prefix(std::min(part.size() + 1, key.size()));
    if (!at->is_object())
      return nullptr;
    auto found = at->find(part);
    at = found == at->end() ? nullptr : &*found;
  }
  return at;
}

//===--- Reading ------------------------------------------------------------------------------------------------===//

/// The parameter that an expression is, and whether it is negated.
static std::pair<const ParamDecl *, bool> parameterOf(const SettingValue &value, const Description &format) {
  auto *given = std::get_if<ExprPtr>(&value);
  if (!given)
    return {};
  const Expr *e = given->get();
  const bool negated = e->kind == ExprKind::Unary && e->op == Operator::Not;
  if (negated)
    e = e->args[0].get();
  if (e->kind != ExprKind::Name || !e->args.empty())
    return {};
  auto it = std::ranges::find(format.params, e->name, &ParamDecl::name);
  return {it == format.params.end() || (negated && !it->flag) ? nullptr : &*it, negated};
}

static std::optional<int64_t> integerIn(const json &value) {
  if (value.is_boolean())
    return value.get<bool>();
  if (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX)
    return std::nullopt;
  return value.is_number_integer() ? std::optional(value.get<int64_t>()) : std::nullopt;
}

static std::optional<ParamValue> parameterFrom(const ParamDecl &p, bool negated, const json &value) {
  ParamValue result;
  if (value.is_string()) {
    result = value.get<std::string>();
  } else if (value.is_null() || value == json(-1)) {
    result = "K";
  } else {
    const auto number = integerIn(value);
    if (!number || p.flag != value.is_boolean())
      return std::nullopt;
    result = negated ? !*number : *number;
  }
  return p.allows(result) ? std::optional(result) : std::nullopt;
}

/// A literal of a description as JSON.
static json literal(const SettingValue &value) {
  if (auto *text = std::get_if<std::string>(&value))
    return *text;
  if (auto *truth = std::get_if<bool>(&value))
    return *truth;
  if (auto *e = std::get_if<ExprPtr>(&value); e && (*e)->kind == ExprKind::Integer)
    return (*e)->integer;
  else if (e && (*e)->kind == ExprKind::Float)
    return static_cast<double>((*e)->number);
  return nullptr;
}

Agreement quantc::readSettings(const std::vector<SettingDecl> &settings, const Description &format,
                               const json &object) {
  Agreement result;
  for (const SettingDecl &s : settings) {
    if (s.writtenOnly || s.condition || s.isList)
      continue;
    const json *found = find(object, s.key);
    if (!found && !s.absent) {
      result.missing.push_back(s.key);
      continue;
    }
    const json value = found ? *found : literal(*s.absent);
    auto [parameter, negated] = parameterOf(s.values[0], format);
    std::string wrong;
    if (parameter) {
      if (auto read = parameterFrom(*parameter, negated, value))
        result.params[parameter->name] = *read;
      else
        wrong = fmt::format("'{}' is {}, which format {} does not have", s.key, shown(value), format.name);
    } else if (auto *text = std::get_if<std::string>(&s.values[0])) {
      const std::string want = withNames(*text, format.name, "");
      if (text->find("{dtype}") == text->npos && value != json(want))
        wrong = fmt::format("'{}' is {}, expected {}", s.key, shown(value), inQuotes(want));
    } else if (!std::holds_alternative<ExprPtr>(s.values[0]) && value != literal(s.values[0])) {
      wrong = fmt::format("'{}' is {}, expected {}", s.key, shown(value), shown(literal(s.values[0])));
    }
    result.held += wrong.empty();
    if (result.contradiction.empty())
      result.contradiction = wrong;
  }
  return result;
}

const Field *quantc::fieldOf(const SettingDecl &setting, const Format &format) {
  auto *e = setting.isList ? nullptr : std::get_if<ExprPtr>(&setting.values[0]);
  if (!e || (*e)->kind != ExprKind::Name || !(*e)->args.empty())
    return nullptr;
  const Field *field = format.field((*e)->name);
  return field && field->rank == 0 && field->kind == FieldKind::F32 && field->array.empty() ? field : nullptr;
}

Result<bool> quantc::applies(const SettingDecl &s, const Format &format,
                             const std::map<std::string, int64_t> &environment) {
  if (!s.condition)
    return true;
  QUANTC_ASSIGN(const int64_t holds, constantOf(format, s.condition, environment));
  return holds != 0;
}

static Status checkValue(const SettingDecl &s, const SettingValue &want, const Format &format,
                         const std::map<std::string, int64_t> &environment, const json &value) {
  auto *e = std::get_if<ExprPtr>(&want);
  if (!e || parameterOf(want, format.source()).first) // texts and parameters were read before
    return {};
  QUANTC_ASSIGN(const int64_t number, constantOf(format, *e, environment));
  if (integerIn(value) != number)
    return fail("'{}' is {}, expected {}", s.key, shown(value), number);
  return {};
}

Status quantc::checkSettings(const std::vector<SettingDecl> &settings, const Format &format,
                             const std::map<std::string, int64_t> &environment, const json &object,
                             FieldValues *fields) {
  for (const SettingDecl &s : settings) {
    if (s.writtenOnly)
      continue;
    QUANTC_ASSIGN(const bool wanted, applies(s, format, environment));
    if (!wanted)
      continue;
    const json *value = find(object, s.key);
    if (!value && s.absent)
      continue;
    if (!value)
      return fail("'{}' is missing", s.key);
    if (const Field *field = fieldOf(s, format)) {
      const double number = value->is_number() ? value->get<double>() : NAN;
      if (!std::isfinite(static_cast<float>(number)))
        return fail("'{}' is {}, expected a number", s.key, shown(*value));
      if (fields)
        (*fields)[field->index][0] = std::bit_cast<uint32_t>(static_cast<float>(number));
      continue;
    }
    if (!s.isList) {
      QUANTC_TRY(checkValue(s, s.values[0], format, environment, *value));
      continue;
    }
    if (!value->is_array() || value->size() != s.values.size())
      return fail("'{}' is {}, expected a list of {}", s.key, shown(*value), s.values.size());
    for (size_t i = 0; i < s.values.size(); i++)
      QUANTC_TRY(checkValue(s, s.values[i], format, environment, (*value)[i]));
  }
  return {};
}

//===--- Writing ------------------------------------------------------------------------------------------------===//

static bool isTruth(const Expr &e) {
  return (e.kind == ExprKind::Unary && e.op == Operator::Not) ||
         (e.kind == ExprKind::Binary && e.op >= Operator::Eq && e.op <= Operator::Ge);
}

static Result<ordered_json> written(const SettingValue &value, const Format &format,
                                    const std::map<std::string, int64_t> &environment, const ContainerNames &names) {
  if (auto *text = std::get_if<std::string>(&value))
    return ordered_json(withNames(*text, format.name(), names.dtype));
  auto *e = std::get_if<ExprPtr>(&value);
  if (!e || (*e)->kind == ExprKind::Float)
    return ordered_json(literal(value));
  if ((*e)->kind == ExprKind::Name && (*e)->name == keptName)
    return ordered_json(names.kept);
  if ((*e)->kind == ExprKind::Name && (*e)->name == orderedName)
    return ordered_json(names.ordered);
  auto [parameter, negated] = parameterOf(value, format.source());
  if (parameter && !parameter->flag)
    if (const std::string word = format.typeWord(parameter->name); word != parameter->name)
      return word == "K" || word == "N" ? ordered_json(-1) : ordered_json(word);
  QUANTC_ASSIGN(const int64_t number, constantOf(format, *e, environment));
  return isTruth(**e) || (parameter && parameter->flag) ? ordered_json(number != 0) : ordered_json(number);
}

Result<ordered_json> quantc::writeSettings(const std::vector<SettingDecl> &settings, const Format &format,
                                           const std::map<std::string, int64_t> &environment,
                                           const ContainerNames &names, const FieldValues *fields) {
  ordered_json object = ordered_json::object();
  for (const SettingDecl &s : settings) {
    QUANTC_ASSIGN(const bool wanted, applies(s, format, environment));
    if (!wanted)
      continue;
    ordered_json all = ordered_json::array();
    for (const SettingValue &value : s.values) {
      if (const Field *field = fieldOf(s, format)) {
        const auto bits = static_cast<uint32_t>(fields ? (*fields)[field->index][0] : 0);
        all.push_back(static_cast<double>(std::bit_cast<float>(bits)));
        continue;
      }
      QUANTC_ASSIGN(ordered_json one, written(value, format, environment, names));
      all.push_back(std::move(one));
    }
    ordered_json *at = &object;
    std::string_view key = s.key;
    for (size_t dot; at->is_structured() && (dot = key.find('.')) != key.npos; key.remove_prefix(dot + 1)) {
      at = &(*at)[std::string(key.substr(0, dot))];
      if (at->is_null())
        *at = ordered_json::object();
    }
    if (!at->is_object() || at->contains(key))
      return fail("the key '{}' stands twice", s.key);
    (*at)[std::string(key)] = s.isList ? all : all[0];
  }
  return object;
}

std::string quantc::pythonText(const ordered_json &value) {
  if (!value.is_structured())
    return value.dump();
  std::string text;
  for (auto it = value.begin(); it != value.end(); ++it)
    text +=
        (text.empty() ? "" : ", ") + (value.is_object() ? ordered_json(it.key()).dump() + ": " : "") + pythonText(*it);
  return value.is_object() ? "{" + text + "}" : "[" + text + "]";
}

Result<ordered_json> quantc::configOf(const Description &container, const Format &format, const ContainerNames &names) {
  return writeSettings(container.config, format, format.integers(), names);
}
