//===- FuzzFiles.h - what the fuzzers of file formats share -----------------------------------------------------===//
#pragma once

#include "quantc/Artifact/Safetensors.h"
#include "quantc/Support/Files.h"
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t maxSize);

namespace fuzz {

using Random = std::minstd_rand;
using nlohmann::ordered_json;

inline size_t below(Random &random, size_t count) {
  return random() % count;
}

/// Ends the program, which the fuzzer reports with the input.
[[noreturn]] inline void report(const std::string &problem) {
  std::fprintf(stderr, "%s\n", problem.c_str());
  std::abort();
}

/// The input as a mapped file. Only one exists at a time.
inline std::shared_ptr<const quantc::MappedFile> map(std::string_view bytes) {
  static const int descriptor = ::memfd_create("input", MFD_CLOEXEC);
  if (::ftruncate(descriptor, 0) != 0 ||
      ::pwrite(descriptor, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    report("cannot write the input");
  auto file = quantc::MappedFile::open("/proc/self/fd/" + std::to_string(descriptor));
  if (!file)
    report(file.error().message);
  return *file;
}

template <typename T> void expectOneLine(const quantc::Result<T> &result) {
  if (!result && (result.error().message.empty() || result.error().message.find('\n') != std::string::npos))
    report("not one line: " + result.error().message);
}

/// The same where messages have names from the input, whose line breaks the programs replace (`oneLine`).
template <typename T> void expectMessage(const quantc::Result<T> &result) {
  if (!result && result.error().message.empty())
    report("an error without a message");
}

inline uint64_t interesting(Random &random, uint64_t value) {
  static constexpr uint64_t values[] = {0,          1,          2,          3,         7,          8,
                                        16,         32,         63,         64,        255,        256,
                                        4095,       4096,       65535,      INT32_MAX, UINT32_MAX, 1ull << 31,
                                        1ull << 32, 1ull << 47, 1ull << 62, INT64_MAX, 1ull << 63, UINT64_MAX};
  switch (below(random, 6)) {
  case 0:
    return value + 1;
  case 1:
    return value - 1;
  case 2:
    return value * 2;
  case 3:
    return value ^ 1ull << below(random, 64);
  default:
    return values[below(random, std::size(values))];
  }
}

//===- JSON -----------------------------------------------------------------------------------------------------===//

/// All values of a tree, the root first.
inline void collect(ordered_json &value, std::vector<ordered_json *> &all) {
  all.push_back(&value);
  if (value.is_structured())
    for (ordered_json &member : value)
      collect(member, all);
}

/// Other text of about the same length.
inline std::string mutated(std::string text) {
  const size_t size = text.size();
  text.resize(size + 16);
  text.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t *>(text.data()), size, text.size()));
  return text;
}

/// Changes one value: another number, another value of the tree, a member more or less.
inline void mutate(ordered_json &root, Random &random) {
  std::vector<ordered_json *> all;
  collect(root, all);
  ordered_json &chosen = *all[below(random, all.size())];
  const ordered_json other = *all[below(random, all.size())];
  if (chosen.is_number_integer() && below(random, 4)) {
    const uint64_t value = interesting(random, chosen.get<uint64_t>());
    chosen = below(random, 8) ? ordered_json(value) : ordered_json(static_cast<int64_t>(value));
    return;
  }
  if (chosen.is_string() && below(random, 3) == 0) {
    chosen = mutated(chosen.get<std::string>());
    return;
  }
  if (chosen.is_array() && !chosen.empty() && below(random, 2)) {
    if (below(random, 2))
      chosen.erase(below(random, chosen.size()));
    else
      chosen.push_back(other);
    return;
  }
  if (chosen.is_object() && !chosen.empty() && below(random, 2)) {
    const auto member = std::next(chosen.begin(), static_cast<ptrdiff_t>(below(random, chosen.size())));
    if (below(random, 2))
      chosen.erase(member);
    else // the same key twice, often
      chosen.get_ref<ordered_json::object_t &>().emplace_back(below(random, 2) ? member.key() : "x", other);
    return;
  }
  static const ordered_json values[] = {
      nullptr, true, 0.5, -1, "", "U8", "F4", "x\n", ordered_json::array(), ordered_json::object()};
  chosen = below(random, 2) ? other : values[below(random, std::size(values))];
}

inline std::string dump(const ordered_json &value) {
  return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

/// The header of a safetensors file; a discarded value where there is none.
inline ordered_json headerOf(std::string_view file, uint64_t &length) {
  length = 0;
  if (file.size() >= 8)
    std::memcpy(&length, file.data(), 8);
  if (file.size() < 8 || length > file.size() - 8)
    return ordered_json(ordered_json::value_t::discarded);
  return ordered_json::parse(file.substr(8, length), nullptr, false);
}

/// Lays the tensors out behind each other, as far as the header is one, and returns data of the right size.
inline std::string repair(ordered_json &header) {
  uint64_t end = 0;
  if (header.is_object())
    for (auto &[name, entry] : header.items()) {
      if (name == "__metadata__" || !entry.is_object() || !entry.contains("dtype") || !entry.contains("shape") ||
          !entry["dtype"].is_string() || !entry["shape"].is_array())
        continue;
      std::vector<int64_t> shape;
      for (const ordered_json &size : entry["shape"])
        shape.push_back(size.is_number_integer() ? size.get<int64_t>() : 0);
      const uint64_t bytes = quantc::safetensorsBytes(entry["dtype"].get<std::string>(), shape).value_or(0);
      entry["data_offsets"] = {end, end + bytes};
      end += bytes;
    }
  return std::string(std::min<uint64_t>(end, 4096), 'd');
}

/// What a mutator returns: `file` where it fits.
inline size_t give(const std::string &file, uint8_t *data, size_t size, size_t maxSize) {
  if (file.size() > maxSize)
    return LLVMFuzzerMutate(data, size, maxSize);
  std::memcpy(data, file.data(), file.size());
  return file.size();
}

inline std::string_view view(const uint8_t *data, size_t size) {
  return {reinterpret_cast<const char *>(data), size};
}

//===- Inputs that are trees ------------------------------------------------------------------------------------===//

/// The input as JSON; a discarded value where it is none.
inline ordered_json treeOf(const uint8_t *data, size_t size) {
  return ordered_json::parse(view(data, size), nullptr, /*allow_exceptions=*/false);
}

/// The mutator of inputs that are trees: begins with `seed`, and stays a tree.
inline size_t mutateTree(uint8_t *data, size_t size, size_t maxSize, unsigned seed, const ordered_json &first) {
  Random random(seed + 1);
  ordered_json tree = treeOf(data, size);
  if (!tree.is_object() || below(random, 200) == 0)
    tree = first;
  else
    for (size_t times = below(random, 3) + 1; times; --times)
      mutate(tree, random);
  const std::string text = dump(tree);
  return text.size() <= maxSize ? give(text, data, size, maxSize) : give(dump(first), data, size, maxSize);
}

/// A folder in memory with the files of one input. Those that the next input has too are left as they are.
class Folder {
public:
  Folder() : path("/dev/shm/quantc-fuzz-" + std::to_string(::getpid())) { std::filesystem::create_directory(path); }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }

  /// Holds these files and no others. What is no name of a file is left out.
  void hold(std::map<std::string, std::string> files) {
    std::erase_if(files, [](const auto &file) { return !isName(file.first); });
    for (const auto &[name, text] : held)
      if (!files.contains(name))
        std::filesystem::remove(path / name);
    for (const auto &[name, text] : files)
      if (const auto old = held.find(name); old == held.end() || old->second != text)
        write(name, text);
    held = std::move(files);
  }

  /// Holds a file of JSON for each member of a tree.
  void hold(const ordered_json &tree) {
    std::map<std::string, std::string> files;
    for (const auto &[name, content] : tree.items())
      files[name] = dump(content);
    hold(std::move(files));
  }

  const std::filesystem::path path;

private:
  static bool isName(const std::string &name) {
    return !name.empty() && name.size() <= NAME_MAX && name != "." && name != ".." &&
           name.find_first_of(std::string_view("/\0", 2)) == name.npos;
  }
  void write(const std::string &name, std::string_view text) const {
    const int descriptor = ::open((path / name).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (descriptor < 0 || ::write(descriptor, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
      report("cannot write " + (path / name).string());
    ::close(descriptor);
  }

  std::map<std::string, std::string> held;
};

} // namespace fuzz
