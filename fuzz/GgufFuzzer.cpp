//===- GgufFuzzer.cpp - reads damaged GGUF files ----------------------------------------------------------------===//
//
// Half of the inputs are files that were taken apart into fields and put together again with a field changed.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "Artifact/Consistent.h"
#include "FuzzFiles.h"

using namespace fuzz;
using quantc::Gguf;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::string_view bytes = view(data, size);
  const auto file = Gguf::read(map(bytes), samples::blockOf);
  expectOneLine(file);
  const auto metadataOnly = Gguf::read(map(bytes));
  expectOneLine(metadataOnly);
  if (!file)
    return 0;
  if (!metadataOnly || !((*metadataOnly)->metadata() == (*file)->metadata()))
    report("the metadata depends on the tensors");
  if (const std::string problem = whatIsWrong(**file, bytes); !problem.empty())
    report(problem);
  const quantc::GgufMetadata &metadata = (*file)->metadata();
  for (const auto &[key, value] : metadata.entries()) {
    const bool number = value.number().has_value();
    if (value.integer() && !number)
      report("an integer that is no number");
    if (number + value.boolean().has_value() + value.text().has_value() + value.isArray() != 1)
      report("a value of no type or of two");
    if (value.toJson().is_array() != value.isArray())
      report("a value changes in JSON");
  }
  return 0;
}

namespace {

template <typename T> void put(std::string &out, T value) {
  out.append(reinterpret_cast<const char *>(&value), sizeof value);
}

/// A file of version 2 or 3 in fields.
struct Fields {
  struct Tensor {
    std::string name;
    std::vector<uint64_t> ne;
    uint32_t type;
    uint64_t offset;
  };
  uint32_t version = 3;
  uint64_t moreTensors = 0, moreKeys = 0;                 ///< than there are
  std::vector<std::pair<std::string, std::string>> pairs; ///< key; type and value
  std::vector<Tensor> tensors;
  std::string content;

  std::string file() const {
    std::string out = "GGUF";
    put(out, version);
    put<uint64_t>(out, tensors.size() + moreTensors);
    put<uint64_t>(out, pairs.size() + moreKeys);
    const auto text = [&](const std::string &value) {
      put<uint64_t>(out, value.size());
      out += value;
    };
    for (const auto &[key, value] : pairs) {
      text(key);
      out += value;
    }
    for (const Tensor &tensor : tensors) {
      text(tensor.name);
      put<uint32_t>(out, tensor.ne.size());
      for (uint64_t size : tensor.ne)
        put(out, size);
      put(out, tensor.type);
      put(out, tensor.offset);
    }
    out.resize((out.size() + 31) / 32 * 32);
    return out + content;
  }
};

Fields take(const Gguf &file) {
  Fields fields;
  fields.version = std::max<uint32_t>(file.version(), 2);
  for (const auto &[key, value] : file.metadata().entries()) {
    std::string encoded;
    put(encoded, static_cast<uint32_t>(value.isArray() ? quantc::GgufType::Array : value.elementType()));
    fields.pairs.emplace_back(key, encoded + value.encode());
  }
  uint64_t offset = 0;
  for (const quantc::GgufTensor &tensor : file.tensors()) {
    fields.tensors.push_back({tensor.name, {tensor.shape.rbegin(), tensor.shape.rend()}, tensor.type, offset});
    fields.content.append(reinterpret_cast<const char *>(tensor.bytes.data()), tensor.bytes.size());
    fields.content.resize((fields.content.size() + 31) / 32 * 32);
    offset = fields.content.size();
  }
  return fields;
}

void mutateValue(std::string &value, Random &random) {
  const size_t at = below(random, value.size());
  switch (below(random, 4)) {
  case 0: // the type
    value.replace(0, 4, std::string{static_cast<char>(below(random, 14)), 0, 0, 0});
    break;
  case 1: // the type of elements, or a number
    if (value.size() >= 8)
      value.replace(4, 4, std::string{static_cast<char>(below(random, 14)), 0, 0, 0});
    break;
  case 2: { // a length
    std::string count;
    put(count, interesting(random, below(random, 64)));
    value.replace(std::min(value.size(), below(random, 2) ? size_t(4) : size_t(8)), 8, count);
    break;
  }
  default:
    value[at] ^= static_cast<char>(1 << below(random, 8));
  }
}

void mutate(Fields &fields, Random &random) {
  const size_t what = below(random, 12);
  if (what < 5 && !fields.tensors.empty()) {
    Fields::Tensor &tensor = fields.tensors[below(random, fields.tensors.size())];
    switch (what) {
    case 0:
      tensor.offset = interesting(random, tensor.offset);
      break;
    case 1:
      tensor.type = below(random, 44);
      break;
    case 2:
      if (!tensor.ne.empty())
        tensor.ne[below(random, tensor.ne.size())] = interesting(random, tensor.ne[0]);
      break;
    case 3:
      tensor.ne.resize(below(random, 6), 1);
      break;
    case 4:
      fields.tensors.push_back(tensor);
      fields.tensors.back().name += below(random, 4) ? "x" : "";
      break;
    }
  } else if (what < 9 && !fields.pairs.empty()) {
    auto &pair = fields.pairs[below(random, fields.pairs.size())];
    if (what == 5)
      fields.pairs.emplace_back(below(random, 2)   ? pair.first
                                : below(random, 2) ? "general.alignment"
                                                   : "k",
                                pair.second);
    else
      mutateValue(pair.second, random);
  } else if (what == 9)
    fields.version = interesting(random, fields.version);
  else if (what == 10)
    fields.moreTensors = interesting(random, 0);
  else
    fields.moreKeys = interesting(random, 0);
}

} // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t maxSize, unsigned seed) {
  Random random(seed + 1);
  if (size < 24)
    return give(samples::gguf(), data, size, maxSize);
  const auto file =
      below(random, 2) ? Gguf::read(map(view(data, size)), samples::blockOf) : quantc::fail("not this time");
  if (!file)
    return LLVMFuzzerMutate(data, size, maxSize);
  Fields fields = take(**file);
  for (size_t times = below(random, 3) + 1; times; --times)
    mutate(fields, random);
  return give(fields.file(), data, size, maxSize);
}
