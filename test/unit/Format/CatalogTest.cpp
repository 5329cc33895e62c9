//===- CatalogTest.cpp - formats by their specs; every description verifies ------------------------------------===//

#include "TestFormats.h"
#include "quantc/Support/Parallel.h"
#include <algorithm>
#include <fstream>
#include <gmock/gmock.h>
#include <set>

using namespace quantc;
using namespace quantc::test;

namespace {

/// The ends of each choice of a parameter.
std::vector<ParamValue> cornersOf(const ParamDecl &p) {
  std::set<ParamValue> values{p.fallback};
  for (const ParamChoice &choice : p.choices) {
    if (auto *word = std::get_if<std::string>(&choice.range))
      values.insert(*word);
    else
      for (int64_t end : {std::get<0>(choice.range).first, std::get<0>(choice.range).second})
        values.insert(end);
  }
  return {values.begin(), values.end()};
}

/// Settings of all parameters, each at a corner of its choices. Settings that a `require` over parameters alone refuses
/// are left out: they are refused where a weight is bound.
std::vector<std::map<std::string, ParamValue>> cornersOf(const Description &d) {
  std::vector<std::map<std::string, ParamValue>> settings{{}};
  for (const ParamDecl &p : d.params) {
    std::vector<std::map<std::string, ParamValue>> more;
    for (const auto &setting : settings)
      for (const ParamValue &value : cornersOf(p)) {
        more.push_back(setting);
        more.back()[p.name] = value;
      }
    settings = std::move(more);
  }
  return settings;
}

TEST(Catalog, EveryDescriptionVerifiesAtEveryCornerOfItsParameters) {
  int settings = 0;
  for (const std::string &name : catalog().formatNames()) {
    auto format = formatOf(name);
    ASSERT_TRUE(format) << name;
    EXPECT_EQ(format->name(), name);
    EXPECT_EQ(format->spec(), name);
    EXPECT_FALSE(format->doc().empty()) << name;
    auto description = std::shared_ptr<const Description>(format, &format->source());
    for (const auto &setting : cornersOf(*description)) {
      auto bound = Format::create(description, setting);
      // A block of a group that is no whole number of sums is refused where its layout would be.
      if (!bound && name == "a8")
        continue;
      ASSERT_TRUE(bound) << bound.error().message;
      // The canonical spec leads back to the same parameters.
      auto again = catalog().format((*bound)->spec());
      ASSERT_TRUE(again) << again.error().message;
      EXPECT_EQ((*again)->integers(), (*bound)->integers()) << (*bound)->spec();
      settings++;
    }
  }
  EXPECT_GE(settings, 305);
  for (const std::string &name : catalog().containerNames())
    EXPECT_EQ(containerOf(name)->name, name);
}

TEST(Catalog, SpecsAreCanonical) {
  EXPECT_EQ(formatOf("int:4:g128")->spec(), "int");
  EXPECT_EQ(formatOf("int:asym:g64:3")->spec(), "int:3:g64:asym");
  EXPECT_EQ(formatOf("int:8:gK:bf16")->spec(), "int:8:gK:bf16");
  EXPECT_EQ(formatOf("fp8:r128:c128")->spec(), "fp8:r128:c128");
  EXPECT_EQ(formatOf("fp8:rN:cK")->spec(), "fp8");
  EXPECT_EQ(formatOf("nf4:b128:dq")->spec(), "nf4:b128:dq");
  EXPECT_EQ(formatOf("int:4").get(), formatOf("int:g128").get()) << "one object for one format";
  EXPECT_EQ(formatOf("int:4").get(), formatOf("int").get());
}

TEST(Catalog, IsSharedByThreads) {
  auto fresh = *Catalog::open(QUANTC_SOURCE_DIR);
  const char *specs[] = {"int:3", "int:4", "q4_k", "iq2_xxs", "exl3:3", "nf4:dq"};
  std::vector<std::shared_ptr<const Format>> got(96);
  parallelFor(got.size(), 4, [&](size_t i) { got[i] = fresh->format(specs[i % 6]).value_or(nullptr); });
  for (size_t i = 0; i < got.size(); i++)
    EXPECT_EQ(got[i].get(), got[i % 6].get());
}

TEST(Catalog, FilesOfTheUserAreKnownByTheirNames) {
  const std::filesystem::path folder = ::testing::TempDir() + "/quantc-format-file";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "mine.qf") << "format my_int4 \"mine\"\ntable t[2, 2] from \"my.grid\"\nq : u1 per weight\nd "
                                       ": f32 per row\nvalue = d * t[q][k % 2]\n";
  std::ofstream(folder / "my.grid") << "bits 1 levels -1 5\n1 2\n";
  std::ofstream(folder / "mine.qc") << "container mine \"mine\"\ncarries my_int4\ntensor \"w\" : u8 [*] { for n:N k:K "
                                       "{ q[n, k] } }\ntensor \"d\" : f32 [n:N] { d[n] }\n";
  auto fresh = *Catalog::open(QUANTC_SOURCE_DIR);
  EXPECT_FALSE(fresh->format("my_int4"));
  for (const char *file : {"mine.qf", "mine.qc"}) {
    auto status = fresh->addFile(folder / file);
    ASSERT_TRUE(status) << status.error().message;
  }
  EXPECT_THAT(fresh->formatNames(), ::testing::Contains("my_int4"));
  EXPECT_THAT(fresh->containerNames(), ::testing::Contains("mine"));
  auto format = *fresh->format("my_int4");
  auto binding = Binding::create(*fresh->container("mine"), format, 1, 4);
  ASSERT_TRUE(binding) << binding.error().message;
  auto fields = binding->read(views({fromHex("06"), fromHex("00000040")})); // codes 0 1 1 0, scale 2
  ASSERT_TRUE(fields);
  EXPECT_TRUE(sameValues(decoded(*format, *fields, 1, 4), std::vector<float>{10, 10, -2, -2}));

  std::ofstream(folder / "bad.qf") << "format bad\nvalue = 0.5 * q\n";
  EXPECT_EQ(fresh->addFile(folder / "bad.qf").error().message, "bad.qf:2:15: unknown name 'q'");
  EXPECT_FALSE(fresh->addFile(folder / "none.qf"));
}

TEST(Format, KnowsItsShape) {
  const std::pair<const char *, double> bits[] = {{"q4_k", 4.5},
                                                  {"q6_k", 6.5625},
                                                  {"iq2_xxs", 2.0625},
                                                  {"tq1_0", 1.6875},
                                                  {"int:4:g128", 4.125},
                                                  {"int:3:g64", 3.25},
                                                  {"int:4:g64:asym", 4.3125},
                                                  {"f16", 16},
                                                  {"nf4", 4.5},
                                                  {"exl3:3", 3},
                                                  {"fp8:r128:c128:bf16", 8 + 16.0 / 16384}};
  for (auto &[spec, want] : bits)
    EXPECT_DOUBLE_EQ(formatOf(spec)->bitsPerWeight(1024, 4096), want) << spec;

  auto format = formatOf("q4_k");
  EXPECT_EQ(format->block()->columns, 256);
  EXPECT_EQ(format->block()->bytes, 144);
  EXPECT_EQ(format->fields().size(), 5u);
  const Field &sc = *format->field("sc");
  EXPECT_EQ(sc.width, 6u);
  EXPECT_EQ(sc.columns, 32);
  EXPECT_TRUE(sc.inside);
  EXPECT_TRUE(format->checkShape(3, 512));
  EXPECT_EQ(format->checkShape(3, 500).error().message, "q4_k cannot hold a weight of 3 x 500: its blocks are 1 x 256");
  EXPECT_FALSE(format->checkShape(0, 256));
  EXPECT_FALSE(format->checkShape(INT64_MAX, 256));

  // A constant instead of a field that the parameters leave out.
  EXPECT_EQ(formatOf("int:3")->constant("z"), 4);
  EXPECT_EQ(formatOf("int:3:asym")->constant("z"), std::nullopt);
  EXPECT_EQ(formatOf("int:8:gK")->integersFor(64, 512).at("group"), 512);
}

} // namespace
