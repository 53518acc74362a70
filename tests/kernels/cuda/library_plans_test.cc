#include "kernels/cuda/library_plans.h"

#include <gtest/gtest.h>

#include "io/files.h"
#include "support/status_testing.h"
#include "support/temp_dir.h"

namespace esparse::cuda {
namespace {

const LibraryPlanKey kKey{"NVIDIA H200", 13000, "cuBLASLt", 130002};

LibraryPlanTable example() {
  return {{"1x4096x4096 bf16", {{0x00, 0xff, 0x7a}, 1024, 1e-5}}, {"8x4096x4096 bf16", {{}, 0, 0}}};
}

bool same(const LibraryPlanTable& a, const LibraryPlanTable& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && x.second.algorithm == y.second.algorithm &&
           x.second.workspace_bytes == y.second.workspace_bytes && x.second.seconds == y.second.seconds;
  });
}

TEST(LibraryPlans, ComeBackForTheSameKeyAlone) {
  const TempDir directory;
  const auto file = directory.path() / "below/gpu-plans.json";
  ASSERT_OK(write_library_plans(file, kKey, example()));
  LibraryPlanKey other_gpu = kKey, other_version = kKey;
  other_gpu.gpu = "NVIDIA A100", other_version.library_version = 130100;
  ASSERT_OK(write_library_plans(file, other_gpu, {{"a", {{1}, 2, 3}}}));
  const auto table = read_library_plans(file, kKey);
  ASSERT_OK(table);
  EXPECT_TRUE(same(*table, example()));
  EXPECT_EQ(read_library_plans(file, other_gpu)->size(), 1u);
  EXPECT_TRUE(read_library_plans(file, other_version)->empty());
  // A new version of the library takes the place of the old one.
  ASSERT_OK(write_library_plans(file, other_version, {}));
  EXPECT_TRUE(read_library_plans(file, kKey)->empty());
  EXPECT_EQ(read_library_plans(file, other_gpu)->size(), 1u);
}

TEST(LibraryPlans, OtherVersionsOfTheFileAreAsIfNotThere) {
  const TempDir directory;
  const auto file = directory.path() / "gpu-plans.json";
  EXPECT_TRUE(read_library_plans(file, kKey)->empty());
  ASSERT_OK(write_file_atomically(file, R"({"version": 2, "tables": {}})"));
  EXPECT_TRUE(read_library_plans(file, kKey)->empty());
}

TEST(LibraryPlans, DamageCostsASearchAndAWarning) {
  const TempDir directory;
  const auto file = directory.path() / "gpu-plans.json";
  ASSERT_OK(write_library_plans(file, kKey, example()));
  const std::string good = *read_file(file);
  const auto with = [&](std::string_view old, std::string_view text) {
    std::string bad = good;
    bad.replace(bad.find(old), old.size(), text);
    return bad;
  };
  for (const std::string& bad : {good.substr(0, good.size() / 2), with("00ff7a", "00ff7"), with("00ff7a", "00gg7a"),
                                 with("1024", "-1"), with("\"plans\"", "\"plan\""), std::string("[]"), std::string()}) {
    ASSERT_OK(write_file_atomically(file, bad));
    LibraryPlans plans(file, kKey);
    EXPECT_EQ(plans.find("1x4096x4096 bf16"), nullptr) << bad;
    const auto warnings = plans.take_warnings();
    ASSERT_EQ(warnings.size(), 1u) << bad;
    EXPECT_NE(warnings[0].message().find("gpu-plans.json"), std::string::npos) << warnings[0].message();
    plans.add("new", {{7}, 0, 1});  // and the file is whole again
    EXPECT_TRUE(plans.take_warnings().empty());
    EXPECT_EQ(read_library_plans(file, kKey)->count("new"), 1u) << bad;
  }
}

TEST(LibraryPlans, AnUnwritableFileWarnsOnce) {
  const TempDir directory;
  ASSERT_OK(write_file_atomically(directory.path() / "file", "x"));
  LibraryPlans plans(directory.path() / "file/gpu-plans.json", kKey);
  plans.take_warnings();
  plans.add("a", {{1}, 0, 1});
  plans.add("b", {{2}, 0, 1});
  EXPECT_EQ(plans.take_warnings().size(), 1u);
  ASSERT_NE(plans.find("b"), nullptr);
  EXPECT_EQ(plans.find("b")->algorithm, std::vector<uint8_t>{2});
}

}  // namespace
}  // namespace esparse::cuda
