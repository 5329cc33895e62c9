//===- RandomFormatsCheck.cpp - random formats, decoded, stored and repacked ------------------------------------===//
//
//   random-formats-check DIR
//
// Each case of the folder is read, decoded and stored again. Values and bytes must be those of the script, and values
// those that are decoded from kernel storage, where the format has one.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "RandomCase.h"
#include "quantc/Format/Repack.h"

using namespace quantc;
using namespace quantc::test;

static std::filesystem::path folder;

/// The values of a weight that goes through kernel storage, or why it cannot.
static Result<std::vector<float>> repacked(std::shared_ptr<const Format> format, const FieldValues &fields, int64_t N,
                                           int64_t K) {
  QUANTC_ASSIGN(KernelStorage derived, KernelStorage::derive(std::move(format)));
  QUANTC_TRY(derived.checkShape(N, K));
  auto storage = std::make_shared<const KernelStorage>(std::move(derived));
  QUANTC_ASSIGN(const Repacker repacker, Repacker::create(storage));
  Bytes packed(static_cast<size_t>(storage->bytes(N, K)));
  QUANTC_TRY(repacker.fromFields(fields, N, K, packed));
  QUANTC_ASSIGN(const FieldValues back, repacker.toFields(packed, N, K));
  return decoded(*storage->format(), back, N, K);
}

TEST(RandomFormats, DecodeAsTheScriptDoes) {
  int cases = 0, kernels = 0;
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
    if (auto again = repacked(*format, *fields, random->N, random->K)) {
      EXPECT_TRUE(sameValues(*again, random->values)) << "out of kernel storage";
      kernels++;
    } else {
      EXPECT_NE(again.error().message.find("has no kernel storage"), std::string::npos) << again.error().message;
    }
    cases++;
  }
  std::printf("%d random formats, %d with kernel storage\n", cases, kernels);
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
