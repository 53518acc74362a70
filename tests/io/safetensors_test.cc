#include "io/safetensors.h"

#include <gtest/gtest.h>

#include "io/safetensors_bytes.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

Result<SafetensorsHeader> parse(const std::string& text) {
  static std::vector<std::byte> bytes;  // the result borrows it
  bytes = to_bytes(text);
  return parse_safetensors(bytes, "x.safetensors");
}

// A file with this header and `data_bytes` bytes of data.
Result<SafetensorsHeader> parse_header(const std::string& header, size_t data_bytes) {
  return parse(safetensors_text(header, std::string(data_bytes, 'd')));
}

// A file with one tensor "t" whose entry is `entry`.
Result<SafetensorsHeader> parse_entry(const std::string& entry, size_t data_bytes) {
  return parse_header(R"({"t":)" + entry + "}", data_bytes);
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(Safetensors, ReadsTensorsAndMetadata) {
  const auto header = parse(small_safetensors());
  ASSERT_OK(header);
  ASSERT_EQ(header->tensors.size(), 2u);
  const TensorInfo& a = header->tensors.at("a");
  EXPECT_EQ(a.name, "a");
  EXPECT_EQ(a.dtype, DType::f32);
  EXPECT_EQ(a.shape, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(a.shape_text(), "[2, 2]");
  EXPECT_EQ(a.element_count(), 4);
  EXPECT_EQ(text_of(a.data), "456789abcdefghij");
  EXPECT_EQ(text_of(header->tensors.at("b").data), "0123");
  EXPECT_EQ(header->metadata, (std::map<std::string, std::string>{{"format", "pt"}}));
}

TEST(Safetensors, AcceptsScalarsEmptyTensorsAndNoTensors) {
  const auto scalar = parse_entry(R"({"dtype":"F32","shape":[],"data_offsets":[0,4]})", 4);
  ASSERT_OK(scalar);
  EXPECT_EQ(scalar->tensors.at("t").element_count(), 1);
  const auto empty = parse_entry(R"({"dtype":"F32","shape":[3,0],"data_offsets":[0,0]})", 0);
  ASSERT_OK(empty);
  EXPECT_EQ(empty->tensors.at("t").element_count(), 0);
  const auto none = parse_header("{}", 0);
  ASSERT_OK(none);
  EXPECT_TRUE(none->tensors.empty());
}

TEST(Safetensors, AcceptsEveryKnownType) {
  for (const char* name : {"F32", "F16", "BF16", "F64", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL"}) {
    const int64_t bytes = dtype_bytes(*dtype_from_name(name));
    const auto header =
        parse_entry(fmt::format(R"({{"dtype":"{}","shape":[3],"data_offsets":[0,{}]}})", name, 3 * bytes),
                    static_cast<size_t>(3 * bytes));
    ASSERT_OK(header);
    EXPECT_EQ(dtype_name(header->tensors.at("t").dtype), name);
  }
}

TEST(Safetensors, RefusesFileWithoutLength) {
  EXPECT_FAILURE(parse(""), StatusKind::corruption, "x.safetensors: expected at least 8 bytes, got 0");
  EXPECT_FAILURE(parse("1234567"), StatusKind::corruption, "got 7");
}

TEST(Safetensors, RefusesEmptyHeader) {
  EXPECT_FAILURE(parse(length_prefix(0)), StatusKind::corruption, "begins with '{'");
  EXPECT_FAILURE(parse(length_prefix(0) + "{}"), StatusKind::corruption, "begins with '{'");
}

TEST(Safetensors, RefusesHeaderBeyondTheCap) {
  for (const uint64_t length : {uint64_t{100'000'001}, uint64_t{1} << 63, ~uint64_t{0}}) {
    EXPECT_FAILURE(parse(length_prefix(length) + "{}"), StatusKind::corruption, "header of at most 100000000 bytes");
  }
}

TEST(Safetensors, RefusesHeaderBeyondTheFile) {
  EXPECT_FAILURE(parse(length_prefix(3) + "{}"), StatusKind::corruption, "expected a header of 3 bytes, got 2");
  EXPECT_FAILURE(parse(length_prefix(100'000'000) + "{}"), StatusKind::corruption, "got 2");
}

TEST(Safetensors, RefusesHeaderThatDoesNotBeginWithBrace) {
  for (const char* header : {" {}", "[]", "\xef\xbb\xbf{}", "null", "\"a\""}) {
    EXPECT_FAILURE(parse_header(header, 0), StatusKind::corruption, "begins with '{'") << header;
  }
}

TEST(Safetensors, RefusesBadJson) {
  for (const char* header :
       {"{", "{\"a\"}", "{} x", "{}{}", "{\"a\":1,}", "{\"a\":01}", "{\"a\":NaN}", "{/*c*/}", "{'a':1}"}) {
    EXPECT_FAILURE(parse_header(header, 0), StatusKind::corruption, "invalid JSON") << header;
  }
}

TEST(Safetensors, RefusesZeroByteAfterTheJson) {
  EXPECT_FAILURE(parse_header(std::string("{}\0{\"a\"", 7), 0), StatusKind::corruption, "zero byte at offset 2");
}

TEST(Safetensors, RefusesBadUtf8) {
  for (const char* bad : {"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"}) {
    const std::string header = std::string("{\"__metadata__\":{\"k\":\"") + bad + "\"}}";
    EXPECT_FAILURE(parse_header(header, 0), StatusKind::corruption, "invalid JSON");
  }
  EXPECT_OK(parse_header("{\"__metadata__\":{\"k\":\"\xe2\x82\xac\"}}", 0));
}

TEST(Safetensors, RefusesDuplicateKeysAtEveryLevel) {
  const std::string entry = R"({"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  EXPECT_FAILURE(parse_header(R"({"t":)" + entry + R"(,"t":)" + entry + "}", 0), StatusKind::corruption,
                 "duplicate key \"t\"");
  // The same key, spelled with an escape.
  EXPECT_FAILURE(parse_header(R"({"t":)" + entry + R"(,"\u0074":)" + entry + "}", 0), StatusKind::corruption,
                 "duplicate key \"t\"");
  EXPECT_FAILURE(parse_entry(R"({"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]})", 0),
                 StatusKind::corruption, "duplicate key \"dtype\"");
  EXPECT_FAILURE(parse_header(R"({"__metadata__":{"k":"1","k":"1"}})", 0), StatusKind::corruption,
                 "duplicate key \"k\"");
}

TEST(Safetensors, RefusesDeepNesting) {
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  EXPECT_FAILURE(parse_entry(deep, 0), StatusKind::corruption, "nested deeper than 128");
  std::string objects;
  for (int i = 0; i < 10'000; ++i) objects += "{\"a\":";
  EXPECT_FAILURE(parse_header(objects, 0), StatusKind::corruption, "nested deeper than 128");
}

TEST(Safetensors, RefusesEntryThatIsNoObject) {
  for (const char* entry : {"1", "[]", "\"x\"", "null", "true"}) {
    EXPECT_FAILURE(parse_entry(entry, 0), StatusKind::corruption, "tensor \"t\": expected an object") << entry;
  }
}

TEST(Safetensors, RefusesMissingKey) {
  EXPECT_FAILURE(parse_entry(R"({"shape":[0],"data_offsets":[0,0]})", 0), StatusKind::corruption,
                 "\"dtype\" is missing");
  EXPECT_FAILURE(parse_entry(R"({"dtype":"U8","data_offsets":[0,0]})", 0), StatusKind::corruption,
                 "\"shape\" is missing");
  EXPECT_FAILURE(parse_entry(R"({"dtype":"U8","shape":[0]})", 0), StatusKind::corruption,
                 "\"data_offsets\" is missing");
}

TEST(Safetensors, RefusesExtraKey) {
  EXPECT_FAILURE(parse_entry(R"({"dtype":"U8","shape":[0],"data_offsets":[0,0],"more":1})", 0), StatusKind::corruption,
                 "expected exactly dtype, shape and data_offsets, got 4 keys");
}

TEST(Safetensors, RefusesUnknownType) {
  for (const char* dtype : {"F8_E4M3", "f32", "", "F32 "}) {
    EXPECT_FAILURE(parse_entry(fmt::format(R"({{"dtype":"{}","shape":[1],"data_offsets":[0,1]}})", dtype), 1),
                   StatusKind::unsupported, fmt::format("tensor \"t\": dtype \"{}\" is not known", dtype));
  }
  EXPECT_FAILURE(parse_entry(R"({"dtype":7,"shape":[1],"data_offsets":[0,1]})", 1), StatusKind::corruption,
                 "dtype: expected a string");
}

TEST(Safetensors, RefusesBadDimensions) {
  for (const char* shape : {"[-1]", "[1.0]", "[1.5]", "[\"1\"]", "[null]", "[true]", "[[1]]", "[1e0]",
                            "[9223372036854775808]", "[18446744073709551616]", "[-0]"}) {
    EXPECT_FAILURE(parse_entry(fmt::format(R"({{"dtype":"U8","shape":{},"data_offsets":[0,1]}})", shape), 1),
                   StatusKind::corruption, "shape: expected integers in [0, 2^63)")
        << shape;
  }
  for (const char* shape : {"1", "{}", "null", "\"[1]\""}) {
    EXPECT_FAILURE(parse_entry(fmt::format(R"({{"dtype":"U8","shape":{},"data_offsets":[0,1]}})", shape), 1),
                   StatusKind::corruption, "shape: expected an array")
        << shape;
  }
}

TEST(Safetensors, RefusesOverflowingShape) {
  // 2^32 x 2^32 = 2^64 wraps to 0 elements, 2^61 x 8 bytes wraps to 0 bytes.
  for (const char* shape : {"[4294967296,4294967296]", "[2305843009213693952]", "[9223372036854775807,2]"}) {
    EXPECT_FAILURE(parse_entry(fmt::format(R"({{"dtype":"F64","shape":{},"data_offsets":[0,0]}})", shape), 0),
                   StatusKind::corruption, "overflows 64 bits")
        << shape;
  }
}

TEST(Safetensors, RefusesBadOffsets) {
  for (const char* offsets : {"[0]", "[0,1,1]", "[]", "{}", "1", "null"}) {
    EXPECT_FAILURE(parse_entry(fmt::format(R"({{"dtype":"U8","shape":[1],"data_offsets":{}}})", offsets), 1),
                   StatusKind::corruption, "expected [begin, end]")
        << offsets;
  }
  for (const char* offsets : {"[-1,0]", "[0,1.0]", "[0,\"1\"]", "[null,1]", "[0,18446744073709551615]", "[0,1e400]"}) {
    EXPECT_FAILURE(parse_entry(fmt::format(R"({{"dtype":"U8","shape":[1],"data_offsets":{}}})", offsets), 1),
                   StatusKind::corruption, "")
        << offsets;
  }
  EXPECT_FAILURE(parse_entry(R"({"dtype":"U8","shape":[1],"data_offsets":[1,0]})", 1), StatusKind::corruption,
                 "begin 1 lies behind end 0");
}

TEST(Safetensors, RefusesSizeThatDoesNotFitTheShape) {
  EXPECT_FAILURE(parse_entry(R"({"dtype":"F32","shape":[2],"data_offsets":[0,7]})", 7), StatusKind::corruption,
                 "x.safetensors: tensor \"t\": expected 8 bytes for F32 [2], got 7");
  EXPECT_FAILURE(parse_entry(R"({"dtype":"F32","shape":[0],"data_offsets":[0,4]})", 4), StatusKind::corruption,
                 "expected 0 bytes");
}

TEST(Safetensors, RefusesEndBehindTheFile) {
  EXPECT_FAILURE(parse_entry(R"({"dtype":"U8","shape":[2],"data_offsets":[0,2]})", 1), StatusKind::corruption,
                 "end 2 lies behind the file's 1 data bytes");
  EXPECT_FAILURE(
      parse_entry(R"({"dtype":"U8","shape":[9223372036854775807],"data_offsets":[0,9223372036854775807]})", 1),
      StatusKind::corruption, "lies behind");
}

TEST(Safetensors, RefusesBytesBehindTheLastTensor) {
  EXPECT_FAILURE(parse_entry(R"({"dtype":"U8","shape":[1],"data_offsets":[0,1]})", 2), StatusKind::corruption,
                 "cover 1 of 2 data bytes");
  EXPECT_FAILURE(parse_header("{}", 1), StatusKind::corruption, "cover 0 of 1 data bytes");
}

TEST(Safetensors, RefusesHoles) {
  EXPECT_FAILURE(parse_entry(R"({"dtype":"U8","shape":[1],"data_offsets":[1,2]})", 2), StatusKind::corruption,
                 "a hole");
  EXPECT_FAILURE(parse_header(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                              R"("b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
                              3),
                 StatusKind::corruption, "tensor \"b\": data begins at 2, expected 1: a hole");
}

TEST(Safetensors, RefusesOverlap) {
  EXPECT_FAILURE(parse_header(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                              R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
                              3),
                 StatusKind::corruption, "tensor \"b\": data begins at 1, expected 2: it overlaps");
  EXPECT_FAILURE(parse_header(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                              R"("b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
                              2),
                 StatusKind::corruption, "it overlaps");
  // An empty tensor inside another one.
  EXPECT_FAILURE(parse_header(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                              R"("b":{"dtype":"U8","shape":[0],"data_offsets":[1,1]}})",
                              2),
                 StatusKind::corruption, "it overlaps");
}

TEST(Safetensors, RefusesMetadataThatIsNotStrings) {
  EXPECT_FAILURE(parse_header(R"({"__metadata__":{"k":1}})", 0), StatusKind::corruption,
                 "key \"k\": expected a string");
  EXPECT_FAILURE(parse_header(R"({"__metadata__":[]})", 0), StatusKind::corruption, "__metadata__: expected an object");
}

TEST(Safetensors, ErrorsEscapeAndCutNames) {
  EXPECT_FAILURE(parse_header(R"({"\u001b[31m":1})", 0), StatusKind::corruption, "tensor \"\\x1b[31m\"");
  const auto huge = parse_header("{\"" + std::string(1'000'000, 'n') + "\":1}", 0);
  EXPECT_FAILURE(huge, StatusKind::corruption, "(1000000 bytes)");
  EXPECT_LT(huge.status().message().size(), 1000u);
}

}  // namespace
}  // namespace esparse
