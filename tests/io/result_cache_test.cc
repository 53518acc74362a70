#include "io/result_cache.h"

#include <gtest/gtest.h>

#include "support/status_testing.h"
#include "support/temp_dir.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;

fs::path only_file(const fs::path& directory) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(directory)) files.push_back(entry.path());
  EXPECT_EQ(files.size(), 1u);
  return files.at(0);
}

TEST(ResultCache, GivesBackWhatWasKeptUnderTheSameKey) {
  const TempDir directory;
  const ResultCache cache(directory / "a/results");
  const Json key = {{"model", 7}, {"text", "abc"}}, other = {{"model", 8}, {"text", "abc"}};
  EXPECT_FALSE(cache.find(key));
  ASSERT_OK(cache.store(key, {{"perplexity", 1.25}}));
  EXPECT_EQ(cache.find(key), Json({{"perplexity", 1.25}}));
  EXPECT_EQ(ResultCache(directory / "a/results").find({{"text", "abc"}, {"model", 7}}), cache.find(key));
  EXPECT_FALSE(cache.find(other));
  ASSERT_OK(cache.store(key, 3));
  EXPECT_EQ(cache.find(key), Json(3));
}

TEST(ResultCache, DamagedAndExchangedFilesAreNotThere) {
  const TempDir directory;
  const ResultCache cache(directory / "results");
  const Json key = {{"model", 7}};
  ASSERT_OK(cache.store(key, 3));
  const fs::path file = only_file(directory / "results");
  for (const char* text :
       {"", "{\"key\": {\"model\": 7}", "[]", "{\"key\": {\"model\": 7}}", "{\"key\": {\"model\": 8}, \"value\": 3}"}) {
    write_text(file, text);
    EXPECT_FALSE(cache.find(key)) << text;
  }
}

TEST(ResultCache, NamesADirectoryItCannotMake) {
  const TempDir directory;
  write_text(directory / "file", "");
  EXPECT_FAILURE(ResultCache(directory / "file/results").store(1, 2), StatusKind::io, "file/results");
}

}  // namespace
}  // namespace esparse
