//===- RandomFormatsCheck.cpp - formats that scripts/random-formats has made up ---------------------------------===//
//
//   random-formats-check DIR
//
// Reads each case of the folder: the format and its container are added to the catalog as a user would, the tensors
// read, decoded and stored again. Values and bytes must be those of the script.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "TestFormats.h"
#include <algorithm>
#include <cstring>
#include <sstream>

using namespace quantc;
using namespace quantc::test;

static std::filesystem::path folder;

TEST(RandomFormats, DecodeAsTheScriptDoes) {
  int cases = 0;
  std::vector<std::filesystem::path> files;
  for (const auto &entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".case")
      files.push_back(entry.path());
  std::ranges::sort(files);
  for (std::filesystem::path path : files) {
    SCOPED_TRACE(path.string());
    const Bytes bytes = readBytes(path);
    const auto lineEnd = std::ranges::find(bytes, std::byte('\n'));
    std::istringstream head(
        std::string(reinterpret_cast<const char *>(bytes.data()), static_cast<size_t>(lineEnd - bytes.begin())));
    std::string spec, container;
    int64_t N = 0, K = 0;
    head >> spec >> container >> N >> K;
    std::vector<std::span<const std::byte>> tensors;
    std::span<const std::byte> rest(lineEnd + 1, bytes.end());
    for (size_t size; head >> size; rest = rest.subspan(size))
      tensors.push_back(rest.first(size));
    std::vector<float> want(static_cast<size_t>(N * K));
    ASSERT_EQ(rest.size(), want.size() * sizeof(float));
    std::memcpy(want.data(), rest.data(), rest.size());

    for (const char *extension : {".qf", ".qc"}) {
      auto added = catalog().addFile(path.replace_extension(extension));
      ASSERT_TRUE(added) << added.error().message;
    }
    auto format = catalog().format(spec);
    ASSERT_TRUE(format) << format.error().message;
    auto binding = Binding::create(*catalog().container(container), *format, N, K);
    ASSERT_TRUE(binding) << binding.error().message;
    auto fields = binding->read(tensors);
    ASSERT_TRUE(fields) << fields.error().message;
    EXPECT_TRUE(sameValues(decoded(**format, *fields, N, K), want));
    const auto stored = binding->store(*fields);
    for (size_t t = 0; t < tensors.size(); t++)
      EXPECT_TRUE(std::ranges::equal(stored[t], tensors[t])) << binding->tensors()[t].suffix;
    cases++;
  }
  std::printf("%d random formats\n", cases);
  EXPECT_GT(cases, 0);
}

int main(int argc, char **argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc != 2) {
    std::fprintf(stderr, "usage: random-formats-check DIR\n");
    return 2;
  }
  folder = argv[1];
  return RUN_ALL_TESTS();
}
