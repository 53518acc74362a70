#include "io/json.h"

#include <gtest/gtest.h>

#include "support/status_testing.h"
#include "support/temp_dir.h"

namespace esparse {
namespace {

TEST(ParseJson, GivesTheSameDocumentAsTheLibrary) {
  for (const char* text :
       {R"({"a":[1,-2,3.5,{"b":null,"c":[true,false]}],"d":"\u00e9\n","e":{}})", "[]", "{}", "7", "\"s\"",
        "[[],[[]],{}]", "null", " [ 1 , 2 ] ", "18446744073709551615", "-9223372036854775808", "1e300"}) {
    const auto json = parse_json(text, "x");
    ASSERT_OK(json);
    EXPECT_EQ(*json, Json::parse(text)) << text;
    EXPECT_EQ(json->type(), Json::parse(text).type()) << text;
  }
}

TEST(ParseJson, RefusesWhatIsNotJson) {
  for (const char* text :
       {"", " ", "{", "[1,]", "{\"a\":}", "nul", "1 2", "\"\x01\"", "\"\\ud800\"", "1e999", "NaN", "+1", "\"\xff\""}) {
    EXPECT_FAILURE(parse_json(text, "config.json"), StatusKind::corruption, "config.json: invalid JSON: ") << text;
  }
}

TEST(ParseJson, RefusesZeroBytes) {
  EXPECT_FAILURE(parse_json(std::string_view("{}\0", 3), "x"), StatusKind::corruption, "zero byte at offset 2");
}

TEST(ParseJson, RefusesDuplicateKeys) {
  EXPECT_FAILURE(parse_json(R"({"a":1,"b":2,"a":3})", "x"), StatusKind::corruption, "duplicate key \"a\"");
  EXPECT_FAILURE(parse_json(R"([{"a":{"b":1,"b":1}}])", "x"), StatusKind::corruption, "duplicate key \"b\"");
  EXPECT_OK(parse_json(R"([{"a":{"a":1}},{"a":1}])", "x"));
}

TEST(ParseJson, BoundsTheDepth) {
  auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_OK(parse_json(nested(128), "x"));
  EXPECT_FAILURE(parse_json(nested(129), "x"), StatusKind::corruption, "nested deeper than 128 levels");
  EXPECT_FAILURE(parse_json(nested(1'000'000), "x"), StatusKind::corruption, "nested deeper");
}

TEST(ParseJson, ErrorsStayShort) {
  const auto json = parse_json("\"" + std::string(1'000'000, 'a'), "x");
  ASSERT_FALSE(json.ok());
  EXPECT_LT(json.status().message().size(), 400u);
}

TEST(ReadJson, NamesTheFile) {
  const TempDir dir;
  EXPECT_FAILURE(read_json(dir / "none.json"), StatusKind::not_found, "none.json");
  EXPECT_FAILURE(read_json(dir.path()), StatusKind::io, "expected a file, got a directory");
  write_text(dir / "bad.json", "{,}");
  EXPECT_FAILURE(read_json(dir / "bad.json"), StatusKind::corruption, (dir / "bad.json").string() + ": invalid JSON");
  write_text(dir / "good.json", R"({"a":1})");
  const auto json = read_json(dir / "good.json");
  ASSERT_OK(json);
  EXPECT_EQ(json->at("a"), 1);
}

class JsonFieldsTest : public testing::Test {
 protected:
  const Json json_ = Json::parse(
      R"({"i":7,"neg":-7,"f":1.5,"s":"text","b":true,"n":null,"big":9223372036854775808,"whole":7.0,"o":{}})");
  const JsonFields fields_{json_, "config.json"};
};

TEST_F(JsonFieldsTest, GivesValues) {
  EXPECT_EQ(fields_.integer("i").value(), 7);
  EXPECT_EQ(fields_.integer("neg").value(), -7);
  EXPECT_EQ(fields_.number("f").value(), 1.5);
  EXPECT_EQ(fields_.number("i").value(), 7.0);
  EXPECT_EQ(fields_.string("s").value(), "text");
  EXPECT_EQ(fields_.boolean("b", false).value(), true);
  EXPECT_TRUE(fields_.has("i"));
  EXPECT_TRUE(fields_.raw("o").is_object());
}

TEST_F(JsonFieldsTest, FallbackForAbsentAndNull) {
  for (const char* key : {"absent", "n"}) {
    EXPECT_FALSE(fields_.has(key));
    EXPECT_TRUE(fields_.raw(key).is_null());
    EXPECT_EQ(fields_.integer(key, 3).value(), 3);
    EXPECT_EQ(fields_.number(key, 2.5).value(), 2.5);
    EXPECT_EQ(fields_.boolean(key, true).value(), true);
    EXPECT_EQ(fields_.string(key, "d").value(), "d");
    const std::string message = std::string("config.json: key \"") + key + "\" is missing";
    EXPECT_FAILURE(fields_.integer(key), StatusKind::corruption, message);
    EXPECT_FAILURE(fields_.number(key), StatusKind::corruption, message);
    EXPECT_FAILURE(fields_.string(key), StatusKind::corruption, message);
  }
}

TEST_F(JsonFieldsTest, RefusesWrongTypesEvenWithFallback) {
  EXPECT_FAILURE(fields_.integer("s"), StatusKind::corruption,
                 "config.json: key \"s\": expected an integer, got \"text\"");
  EXPECT_FAILURE(fields_.integer("whole", 1), StatusKind::corruption, "expected an integer, got 7.0");
  EXPECT_FAILURE(fields_.integer("f", 1), StatusKind::corruption, "got 1.5");
  EXPECT_FAILURE(fields_.integer("b", 1), StatusKind::corruption, "got true");
  EXPECT_FAILURE(fields_.integer("big"), StatusKind::corruption,
                 "expected an integer below 2^63, got 9223372036854775808");
  EXPECT_FAILURE(fields_.number("s", 1.0), StatusKind::corruption, "expected a number");
  EXPECT_FAILURE(fields_.boolean("i", true), StatusKind::corruption, "expected true or false, got 7");
  EXPECT_FAILURE(fields_.string("o", ""), StatusKind::corruption, "expected a string, got an object");
}

TEST(JsonFields, DocumentThatIsNoObject) {
  const Json array = Json::array({1});
  const JsonFields fields(array, "x");
  EXPECT_FAILURE(fields.integer("a"), StatusKind::corruption, "x: expected an object, got an array");
  EXPECT_FALSE(fields.has("a"));
}

}  // namespace
}  // namespace esparse
