//===- SentencePieceFuzzer.cpp - hostile tokenizer.model files --------------------------------------------------===//
//
// Most inputs are models in protobuf's wire format with a field changed, repeated, moved or dropped.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "Texts.h"

using namespace fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static Folder folder;
  folder.hold(std::map<std::string, std::string>{{"tokenizer.model", std::string(view(data, size))}});
  auto model = quantc::TokenizerModel::fromHuggingFace(folder.path);
  expectMessage(model);
  if (model)
    useTokenizer(std::move(*model), "ab  ab\n\xe2\x96\x81 caf\xc3\xa9 123");
  return 0;
}

namespace {

/// A field: its key, and its value as it stands in the file, behind the length where it has one.
struct WireField {
  uint64_t key;
  std::string value;
};

void putVarint(std::string &out, uint64_t value) {
  for (; value >= 0x80; value >>= 7)
    out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

bool takeVarint(std::string_view &text, uint64_t &value) {
  value = 0;
  for (unsigned shift = 0; shift < 64 && !text.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(text.front());
    text.remove_prefix(1);
    value |= uint64_t(byte & 127) << shift;
    if (byte < 128)
      return true;
  }
  return false;
}

/// Nothing where it is no message.
std::vector<WireField> fieldsOf(std::string_view text) {
  std::vector<WireField> fields;
  while (!text.empty()) {
    WireField field;
    if (!takeVarint(text, field.key))
      return {};
    uint64_t length = (field.key & 7) == 5 ? 4 : 8;
    if ((field.key & 7) == 0) {
      uint64_t value;
      if (!takeVarint(text, value))
        return {};
      putVarint(field.value, value);
      length = 0;
    } else if ((field.key & 7) == 2 && !takeVarint(text, length)) {
      return {};
    }
    if (length > text.size())
      return {};
    field.value += text.substr(0, length);
    text.remove_prefix(length);
    fields.push_back(std::move(field));
  }
  return fields;
}

std::string messageOf(const std::vector<WireField> &fields) {
  std::string text;
  for (const WireField &field : fields) {
    putVarint(text, field.key);
    if ((field.key & 7) == 2)
      putVarint(text, field.value.size());
    text += field.value;
  }
  return text;
}

std::string varint(uint64_t value) {
  std::string text;
  putVarint(text, value);
  return text;
}

void mutateMessage(std::vector<WireField> &fields, Random &random, int depth) {
  if (fields.empty())
    return fields.push_back({below(random, 50) << 3, varint(below(random, 3))});
  const size_t at = below(random, fields.size());
  WireField &field = fields[at];
  const bool message = depth < 2 && (field.key & 7) == 2;
  if (auto inner = message && below(random, 3) ? fieldsOf(field.value) : std::vector<WireField>(); !inner.empty()) {
    mutateMessage(inner, random, depth + 1);
    field.value = messageOf(inner);
    return;
  }
  switch (below(random, 6)) {
  case 0:
    fields.erase(fields.begin() + static_cast<std::ptrdiff_t>(at));
    break;
  case 1:
    fields.insert(fields.begin() + static_cast<std::ptrdiff_t>(below(random, fields.size())), WireField(field));
    break;
  case 2:
    std::swap(field, fields[below(random, fields.size())]);
    break;
  case 3: // another number of the field
    field.key = (field.key & 7) | (1 + below(random, 48)) << 3;
    break;
  default:
    field.value = (field.key & 7) == 0 ? varint(interesting(random, below(random, 8))) : mutated(field.value);
    if ((field.key & 7) == 5)
      field.value.resize(4);
    if ((field.key & 7) == 1)
      field.value.resize(8);
  }
}

std::string seed() {
  std::vector<WireField> model;
  auto piece = [&](std::string_view text, float score, uint64_t type) {
    std::string number(4, '\0');
    std::memcpy(number.data(), &score, 4);
    model.push_back(
        {1 << 3 | 2, messageOf({{1 << 3 | 2, std::string(text)}, {2 << 3 | 5, number}, {3 << 3, varint(type)}})});
  };
  piece("<unk>", 0, 2);
  piece("<s>", 0, 3);
  piece("</s>", 0, 3);
  piece("<0x61>", 0, 6);
  for (const char *text : {"\u2581", "a", "b", "\u2581a", "ab", "c"})
    piece(text, -static_cast<float>(model.size()), 1);
  model.push_back(
      {2 << 3 | 2, messageOf({{3 << 3, varint(2)}, {40 << 3, varint(0)}, {41 << 3, varint(1)}, {42 << 3, varint(2)}})});
  model.push_back({3 << 3 | 2, messageOf({{1 << 3 | 2, "identity"}, {3 << 3, varint(1)}, {4 << 3, varint(0)}})});
  return messageOf(model);
}

} // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t maxSize, unsigned number) {
  Random random(number + 1);
  if (size < 8)
    return give(seed(), data, size, maxSize);
  auto fields = fieldsOf(view(data, size));
  if (fields.empty() || below(random, 16) == 0)
    return LLVMFuzzerMutate(data, size, maxSize);
  for (size_t times = below(random, 3) + 1; times; --times)
    mutateMessage(fields, random, 0);
  return give(messageOf(fields), data, size, maxSize);
}
