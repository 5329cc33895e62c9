//===- Settings.h - keys of JSON objects that containers describe -----------------------------------------------===//
#pragma once

#include "quantc/Format/Container.h"
#include "quantc/Format/Decode.h"
#include <nlohmann/json.hpp>

namespace quantc {

using FormatParams = std::map<std::string, ParamValue>;

/// A text with {format} and {dtype} replaced.
std::string withNames(std::string text, const std::string &format, const std::string &dtype);

/// The spec of a format with these parameters.
std::string specOf(const Description &format, const FormatParams &params);

/// How an object agrees with settings.
struct Agreement {
  FormatParams params;              ///< what the object gives
  std::vector<std::string> missing; ///< keys that have to be there
  std::string contradiction;        ///< the first, as a message; empty: none
  size_t held = 0;                  ///< settings that hold
};

/// Reads the parameters of `format` that settings give: those that are a lone parameter, or the negation of a flag; -1
/// and null are the whole extent. Compares texts. Other expressions and conditions wait for `checkSettings`.
Agreement readSettings(const std::vector<SettingDecl> &settings, const Description &format,
                       const nlohmann::json &object);

/// Compares every setting whose condition holds with the object; keys of fields are put into `fields` where it is
/// given.
Status checkSettings(const std::vector<SettingDecl> &settings, const Format &format,
                     const std::map<std::string, int64_t> &environment, const nlohmann::json &object,
                     FieldValues *fields = nullptr);

/// The object with every setting whose condition holds.
Result<nlohmann::ordered_json> writeSettings(const std::vector<SettingDecl> &settings, const Format &format,
                                             const std::map<std::string, int64_t> &environment,
                                             const ContainerNames &names, const FieldValues *fields = nullptr);

/// As Python's json.dumps separates, which is how the libraries write such texts.
std::string pythonText(const nlohmann::ordered_json &value);

/// Whether the condition of a setting holds.
Result<bool> applies(const SettingDecl &setting, const Format &format,
                     const std::map<std::string, int64_t> &environment);

/// The field that a setting is: a lone number of the whole tensor; null where it is none.
const Field *fieldOf(const SettingDecl &setting, const Format &format);

} // namespace quantc
