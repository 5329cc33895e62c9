//===- RandomFormatsCheck.cpp - random formats, decoded and stored ----------------------------------------------===//
//
//   random-formats-check DIR
//
// Each case of the folder is read, decoded and stored again. Values and bytes must be those of the script.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "RandomCase.h"

using namespace quantc;
using namespace quantc::test;

static std::filesystem::path folder;

TEST(RandomFormats, DecodeAsTheScriptDoes) {
  int cases = 0;
  for (const std::filesystem::path &path : RandomCase::list(folder)) {
    SCOPED_TRACE(path.string());
    auto random = RandomCase::open(path, catalog());
    ASSERT_TRUE(random) << random.error().message;
    auto format = catalog().format(random->spec);
    ASSERT_TRUE(format) << format.error().message;
    auto binding = Binding::create(*catalog().container(random->container), *format, random->N, random->K);
    ASSERT_TRUE(binding) << binding.error().message;
    auto fields = binding->read(random->tensors);
    ASSERT_TRUE(fields) << fields.error().message;
    EXPECT_TRUE(sameValues(decoded(**format, *fields, random->N, random->K), random->values));
    const auto stored = binding->store(*fields);
    for (size_t t = 0; t < stored.size(); t++)
      EXPECT_TRUE(std::ranges::equal(stored[t], random->tensors[t])) << binding->tensors()[t].suffix;
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
