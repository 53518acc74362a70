#include "base/byte_size.h"

#include <limits>

#include <gtest/gtest.h>

#include "support/status_testing.h"

namespace esparse {
namespace {

TEST(ParseBytes, NumbersAndUnits) {
  const std::pair<const char*, int64_t> cases[] = {
      {"0", 0},
      {"4096", 4096},
      {"17B", 17},
      {"2KB", 2000},
      {"2K", 2048},
      {"2KiB", 2048},
      {"3mb", 3'000'000},
      {"3 MiB", 3'145'728},
      {"8GiB", 8'589'934'592},
      {"8g", 8'589'934'592},
      {"8GB", 8'000'000'000},
      {"1TiB", 1'099'511'627'776},
      {"1tb", 1'000'000'000'000},
      {"1.5GiB", 1'610'612'736},
      {"0.25KiB", 256},
      {"1.0009KB", 1000},  // a fraction of a byte is dropped
      {"0.1KB", 100},      // exact, though 0.1 is not in binary
      {"9223372036854775807", std::numeric_limits<int64_t>::max()},
  };
  for (const auto& [text, bytes] : cases) {
    const auto parsed = parse_bytes(text);
    ASSERT_OK(parsed);
    EXPECT_EQ(*parsed, bytes) << text;
  }
}

TEST(ParseBytes, Refusals) {
  for (const char* text : {"", " ", "GiB", "-1", "+1", "1e9", ".5G", "1.", "1.G", "1..2G", "8XiB", "8GiBs", " 8G",
                           "0x10", "8G ", "9223372036854775808", "8388608TiB", "99999999999999999999"})
    EXPECT_FAILURE(parse_bytes(text), StatusKind::invalid_argument, "number of bytes") << text;
}

TEST(FormatBytes, ThreeDigitsInTheLargestUnitThatIsFilled) {
  const std::pair<int64_t, const char*> cases[] = {
      {0, "0 B"},
      {1023, "1023 B"},
      {1024, "1.00 KiB"},
      {1536, "1.50 KiB"},
      {10 << 10, "10.0 KiB"},
      {int64_t{100} << 20, "100 MiB"},
      {int64_t{1} << 30, "1.00 GiB"},
      {int64_t{5} << 40, "5.00 TiB"},
      {int64_t{5000} << 40, "5000 TiB"},
  };
  for (const auto& [bytes, text] : cases) EXPECT_EQ(format_bytes(bytes), text);
}

}  // namespace
}  // namespace esparse
