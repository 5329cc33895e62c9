//===- SafetensorsHeader.cpp - the JSON header of a safetensors file --------------------------------------------===//
//
// A header may have a hundred thousand tensors and comes from outside, so it is read in one pass without a tree: the
// parser's events drive a machine that knows the only form allowed, and anything else ends it where it stands.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "SafetensorsHeader.h"
#include "quantc/Support/Json.h"
#include "quantc/Support/Text.h"
#include <optional>
#include <set>

using namespace quantc;
using nlohmann::json;

namespace {

class HeaderReader : public nlohmann::json_sax<json> {
public:
  SafetensorsHeader header;
  std::string problem;

  bool start_object(size_t) override {
    switch (place) {
    case Place::Start:
      return enter(Place::Names);
    case Place::Value:
      return name == safetensorsMetadataKey ? enter(Place::Metadata) : beginTensor();
    default:
      return refuse("an object");
    }
  }
  bool key(std::string &text) override {
    switch (place) {
    case Place::Names:
      name = text;
      if (!names.insert(name).second)
        return stop(fmt::format("the name {} stands twice", inQuotes(name)));
      return enter(Place::Value);
    case Place::Metadata:
      metadataKey = text;
      if (header.metadata.contains(text))
        return stop(fmt::format("the metadata key {} stands twice", inQuotes(text)));
      return enter(Place::MetadataValue);
    default:
      return beginField(text);
    }
  }
  bool end_object() override {
    switch (place) {
    case Place::Names:
      return enter(Place::End);
    case Place::Metadata:
      return enter(Place::Names);
    default:
      if (!dtype || !shape || !offsets)
        return stop(fmt::format("tensor {} lacks {}", inQuotes(name),
                                !dtype   ? "dtype"
                                : !shape ? "shape"
                                         : "data_offsets"));
      if (offsets->size() != 2)
        return stop(
            fmt::format("tensor {}: data_offsets has {} numbers instead of 2", inQuotes(name), offsets->size()));
      header.tensors.push_back({name, *dtype, {shape->begin(), shape->end()}, offsets->front(), offsets->back()});
      return enter(Place::Names);
    }
  }
  bool start_array(size_t) override {
    if (place == Place::Field && field == "shape") {
      shape.emplace();
      return enter(Place::Numbers);
    }
    if (place == Place::Field && field == "data_offsets") {
      offsets.emplace();
      return enter(Place::Numbers);
    }
    return refuse("an array");
  }
  bool end_array() override { return enter(Place::Fields); }
  bool string(std::string &text) override {
    if (place == Place::MetadataValue) {
      header.metadata[metadataKey] = text;
      return enter(Place::Metadata);
    }
    if (place != Place::Field || field != "dtype")
      return refuse("a string");
    dtype = text;
    return enter(Place::Fields);
  }
  bool number_unsigned(uint64_t number) override {
    if (place != Place::Numbers || number > INT64_MAX)
      return refuse(fmt::format("the number {}", number));
    (field == "shape" ? shape : offsets)->push_back(number);
    return true;
  }
  bool number_integer(int64_t number) override { return refuse(fmt::format("the number {}", number)); }
  bool number_float(double, const std::string &text) override { return refuse("the number " + text); }
  bool null() override { return refuse("null"); }
  bool boolean(bool) override { return refuse("a boolean"); }
  bool binary(binary_t &) override { return refuse("binary data"); }
  bool parse_error(size_t position, const std::string &, const nlohmann::detail::exception &) override {
    return stop(fmt::format("no valid JSON in UTF-8 at byte {}", position));
  }

private:
  enum class Place { Start, Names, Value, Metadata, MetadataValue, Fields, Field, Numbers, End };

  bool enter(Place next) {
    place = next;
    return true;
  }
  bool stop(std::string why) {
    problem = std::move(why);
    return false;
  }
  bool refuse(std::string_view what) {
    switch (place) {
    case Place::Start:
      return stop(fmt::format("{} instead of an object", what));
    case Place::MetadataValue:
      return stop(fmt::format("metadata key {} is {}; only strings are allowed", inQuotes(metadataKey), what));
    case Place::Value:
      return stop(fmt::format("{} is {} instead of an object", inQuotes(name), what));
    default:
      return stop(fmt::format("tensor {}: {} is not allowed in {}", inQuotes(name), what, field));
    }
  }
  bool beginTensor() {
    dtype.reset();
    shape.reset();
    offsets.reset();
    return enter(Place::Fields);
  }
  bool beginField(const std::string &key) {
    const bool known = key == "dtype" || key == "shape" || key == "data_offsets";
    if (!known)
      return stop(fmt::format("tensor {} has an unknown key {}", inQuotes(name), inQuotes(key)));
    if ((key == "dtype" && dtype) || (key == "shape" && shape) || (key == "data_offsets" && offsets))
      return stop(fmt::format("tensor {} has {} twice", inQuotes(name), key));
    field = key;
    return enter(Place::Field);
  }

  Place place = Place::Start;
  std::set<std::string> names;
  std::string name, field, metadataKey;
  std::optional<std::string> dtype;
  std::optional<std::vector<uint64_t>> shape, offsets;
};

} // namespace

Result<SafetensorsHeader> quantc::parseSafetensorsHeader(std::string_view text) {
  if (const Status status = refuseNul(text); !status)
    return failAt("the header is broken", status.error());
  HeaderReader reader;
  if (!json::sax_parse(text.begin(), text.end(), &reader))
    return fail("the header is broken: {}", reader.problem);
  return std::move(reader.header);
}

Result<std::string> quantc::formatSafetensorsHeader(const SafetensorsHeader &header, uint64_t alignment) {
  nlohmann::ordered_json root = nlohmann::ordered_json::object();
  // Keys are unique by now; push_back of an object would search for each.
  auto &members = root.get_ref<nlohmann::ordered_json::object_t &>();
  if (!header.metadata.empty())
    members.emplace_back(safetensorsMetadataKey, header.metadata);
  for (const SafetensorsHeaderEntry &tensor : header.tensors)
    members.emplace_back(tensor.name, nlohmann::ordered_json{{"dtype", tensor.dtype},
                                                             {"shape", tensor.shape},
                                                             {"data_offsets", {tensor.begin, tensor.end}}});
  std::string text;
  try {
    text = root.dump();
  } catch (const nlohmann::json::type_error &) {
    return fail("a name or the metadata is not valid UTF-8");
  }
  const uint64_t whole = (text.size() + 8 + alignment - 1) / alignment * alignment;
  text.resize(whole - 8, ' ');
  return text;
}
