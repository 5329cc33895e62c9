//===- TestData.h - where the outside test data lies ------------------------------------------------------------===//
#pragma once

#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>

/// The folder of outside data, which tests may use but the project does not ship.
inline std::filesystem::path testData() {
  const char *given = std::getenv("QUANTC_TEST_DATA");
  return given ? given : std::filesystem::path(QUANTC_SOURCE_DIR) / ".." / "shared" / "data";
}

/// Declares `name` as a sub-folder of the data, or skips the test.
#define QUANTC_REQUIRE_DATA(name, folder)                                                                              \
  const std::filesystem::path name = testData() / folder;                                                              \
  if (!std::filesystem::exists(name))                                                                                  \
  GTEST_SKIP() << name << " is not there; set QUANTC_TEST_DATA"
