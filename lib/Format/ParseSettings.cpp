//===- ParseSettings.cpp - keys of JSON objects in containers ---------------------------------------------------===//

#include "Parser.h"

using namespace quantc;

Result<SettingValue> DescriptionParser::settingValue() {
  if (peek().kind == FormatToken::String)
    return SettingValue(next().text);
  if (accept("null"))
    return SettingValue(nullptr);
  for (bool truth : {false, true})
    if (accept(truth ? "true" : "false"))
      return SettingValue(truth);
  QUANTC_ASSIGN(ExprPtr value, expr());
  return SettingValue(value);
}

/// STRING "=" (value | "[" value {"," value} "]") ["if" expr] ["else" value]
Result<SettingDecl> DescriptionParser::setting() {
  SettingDecl setting{.position = here()};
  QUANTC_ASSIGN(setting.key, string());
  if (("." + setting.key + ".").find("..") != std::string::npos)
    return error(setting.position, fmt::format("the key '{}' has an empty part", setting.key));
  QUANTC_TRY(expect("="));
  setting.isList = accept("[");
  QUANTC_TRY(list([&]() -> Status {
    QUANTC_ASSIGN(SettingValue value, settingValue());
    setting.values.push_back(std::move(value));
    return {};
  }));
  if (setting.isList)
    QUANTC_TRY(expect("]"));
  else if (setting.values.size() > 1)
    return error(setting.position, "several values are a list: [a, b]");
  if (accept("if")) {
    QUANTC_ASSIGN(setting.condition, expr());
  }
  if (accept("else")) {
    QUANTC_ASSIGN(setting.absent, settingValue());
  }
  return setting;
}

Status DescriptionParser::json(Position position) {
  JsonDecl json{.position = position};
  QUANTC_ASSIGN(json.suffix, string());
  QUANTC_TRY(expect("{"));
  for (skipLines(); !accept("}"); skipLines()) {
    QUANTC_ASSIGN(SettingDecl entry, setting());
    QUANTC_TRY(lineEnd());
    json.entries.push_back(std::move(entry));
  }
  out->json.push_back(std::move(json));
  return {};
}
