#include "io/keyed_tables.h"

#include <gtest/gtest.h>

#include "io/files.h"
#include "support/temp_dir.h"

namespace esparse {
namespace {

const KeyedTablesFormat kFormat{3, "values"};

Status put(const std::filesystem::path& path, int machine, int value) {
  return write_keyed_tables(path, kFormat, {{"machine", machine}}, value,
                            [&](const JsonFields& old) { return old.raw("machine") == Json(machine); });
}

TEST(KeyedTables, OneTableAKeyOthersStay) {
  const TempDir directory;
  const auto path = directory / "below/tables.json";
  EXPECT_EQ(*read_keyed_tables(path, kFormat), Json::array());
  for (const auto& [machine, value] : {std::pair{1, 10}, {2, 20}, {1, 11}}) ASSERT_TRUE(put(path, machine, value).ok());
  const Json expected = {{{"key", {{"machine", 2}}}, {"values", 20}}, {{"key", {{"machine", 1}}}, {"values", 11}}};
  EXPECT_EQ(*read_keyed_tables(path, kFormat), expected);
  EXPECT_EQ(*read_keyed_tables(path, {4, "values"}), Json::array()) << "another version";
}

TEST(KeyedTables, TheOldestGoBeyond32) {
  const TempDir directory;
  const auto path = directory / "tables.json";
  for (int machine = 0; machine < 40; ++machine) ASSERT_TRUE(put(path, machine, machine).ok());
  const auto tables = read_keyed_tables(path, kFormat);
  ASSERT_EQ(tables->size(), 32u);
  EXPECT_EQ(tables->front()["values"], 8);
  EXPECT_EQ(tables->back()["values"], 39);
}

TEST(KeyedTables, DamageIsRefusedByNameAndReplaced) {
  const TempDir directory;
  const auto path = directory / "tables.json";
  for (const char* text : {"{", "[]", R"({"version": 3})", R"({"version": 3, "tables": {}})",
                           R"({"version": 3, "tables": [{"key": 1, "values": 2}]})",
                           R"({"version": 3, "tables": [{"key": {"machine": 1}}]})"}) {
    write_text(path, text);
    const auto tables = read_keyed_tables(path, kFormat);
    EXPECT_FALSE(tables.ok()) << text;
    EXPECT_NE(tables.status().message().find("tables.json"), std::string::npos) << tables.status().message();
    ASSERT_TRUE(put(path, 1, 5).ok());
    EXPECT_EQ(read_keyed_tables(path, kFormat)->size(), 1u);
  }
}

}  // namespace
}  // namespace esparse
