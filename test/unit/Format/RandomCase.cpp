//===- RandomCase.cpp - a format that scripts/random-formats has made up ----------------------------------------===//

#include "RandomCase.h"
#include <algorithm>
#include <cstring>
#include <sstream>

namespace quantc::test {

std::vector<std::filesystem::path> RandomCase::list(const std::filesystem::path &folder) {
  std::vector<std::filesystem::path> files;
  for (const auto &entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".case")
      files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

Result<RandomCase> RandomCase::open(std::filesystem::path path, Catalog &catalog) {
  RandomCase result{.name = path.stem(), .bytes = readBytes(path)};
  const Bytes &bytes = result.bytes;
  const auto lineEnd = std::ranges::find(bytes, std::byte('\n'));
  std::istringstream head(
      std::string(reinterpret_cast<const char *>(bytes.data()), static_cast<size_t>(lineEnd - bytes.begin())));
  head >> result.spec >> result.container >> result.N >> result.K;
  std::span<const std::byte> rest(lineEnd + 1, bytes.end());
  for (size_t size; head >> size; rest = rest.subspan(size))
    result.tensors.push_back(rest.first(size));
  result.values.resize(static_cast<size_t>(result.N * result.K));
  if (rest.size() != result.values.size() * sizeof(float))
    return fail("{} has {} bytes of values", path.string(), rest.size());
  std::memcpy(result.values.data(), rest.data(), rest.size());
  for (const char *extension : {".qf", ".qc"})
    QUANTC_TRY(catalog.addFile(path.replace_extension(extension)));
  return result;
}

} // namespace quantc::test
