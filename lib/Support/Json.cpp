//===- Json.cpp - JSON from outside -----------------------------------------------------------------------------===//

#include "quantc/Support/Json.h"
#include "quantc/Support/Files.h"
#include "quantc/Support/Text.h"
#include <algorithm>
#include <unordered_set>

using namespace quantc;
using nlohmann::ordered_json;

namespace {

/// Builds the tree from the parser's events, because the library's own builder takes the last of equal keys and
/// searches an ordered object for each key that it adds.
class TreeBuilder : public nlohmann::json_sax<ordered_json> {
public:
  ordered_json root;
  std::string problem;

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(int64_t value) override { return add(value); }
  bool number_unsigned(uint64_t value) override { return add(value); }
  bool number_float(double value, const std::string &) override { return add(value); }
  bool string(std::string &value) override { return add(std::move(value)); }
  bool binary(binary_t &) override { return stop("binary data"); }
  bool key(std::string &text) override {
    if (open.back().has(text))
      return stop(fmt::format("the key {} stands twice in an object", inQuotes(text)));
    pendingKey = std::move(text);
    return true;
  }
  bool start_object(size_t) override { return begin(ordered_json::object()); }
  bool start_array(size_t) override { return begin(ordered_json::array()); }
  bool end_object() override { return end(); }
  bool end_array() override { return end(); }
  bool parse_error(size_t position, const std::string &, const nlohmann::detail::exception &) override {
    return stop(fmt::format("no valid JSON in UTF-8 at byte {}", position));
  }

private:
  static constexpr size_t maxDepth = 64, maxValues = 4'000'000;
  /// An object or array that is not closed yet. Its address is stable: it is the last member of its parent, which does
  /// not grow meanwhile.
  struct Open {
    ordered_json *value;
    std::unordered_set<std::string> keys; ///< of an object with many members; few are searched

    bool has(const std::string &key) {
      constexpr size_t few = 16;
      const auto &members = value->get_ref<const ordered_json::object_t &>();
      if (members.size() < few)
        return std::ranges::any_of(members, [&](const auto &member) { return member.first == key; });
      if (members.size() == few)
        for (const auto &member : members)
          keys.insert(member.first);
      return !keys.insert(key).second;
    }
  };

  bool stop(std::string why) {
    problem = std::move(why);
    return false;
  }
  bool add(ordered_json value) {
    if (++values > maxValues)
      return stop(fmt::format("more than {} values", maxValues));
    place(std::move(value));
    return true;
  }
  ordered_json *place(ordered_json value) {
    if (open.empty())
      return &(root = std::move(value));
    ordered_json &parent = *open.back().value;
    if (parent.is_array())
      return &parent.get_ref<ordered_json::array_t &>().emplace_back(std::move(value));
    auto &members = parent.get_ref<ordered_json::object_t &>();
    return &members.emplace_back(std::move(pendingKey), std::move(value)).second;
  }
  bool begin(ordered_json container) {
    if (open.size() == maxDepth)
      return stop(fmt::format("objects and arrays are nested deeper than {}", maxDepth));
    if (++values > maxValues)
      return stop(fmt::format("more than {} values", maxValues));
    open.push_back({place(std::move(container)), {}});
    return true;
  }
  bool end() {
    open.pop_back();
    return true;
  }

  std::vector<Open> open;
  std::string pendingKey;
  size_t values = 0;
};

} // namespace

Status quantc::refuseNul(std::string_view text) {
  if (const size_t at = text.find('\0'); at != text.npos)
    return fail("no valid JSON in UTF-8 at byte {}", at + 1);
  return {};
}

Result<ordered_json> quantc::parseJson(std::string_view text) {
  QUANTC_TRY(refuseNul(text));
  TreeBuilder builder;
  if (!ordered_json::sax_parse(text.begin(), text.end(), &builder))
    return fail("{}", builder.problem);
  return std::move(builder.root);
}

Result<nlohmann::json> quantc::readJsonObject(const std::filesystem::path &path, uint64_t limit) {
  QUANTC_ASSIGN(const std::string text, readText(path, limit));
  auto root = parseJson(text);
  if (!root)
    return fail("{}: not a JSON object: {}", path.string(), root.error().message);
  if (!root->is_object())
    return fail("{}: not a JSON object", path.string());
  return nlohmann::json(std::move(*root));
}
