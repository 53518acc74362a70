// Damage of every kind to a valid file: always an answer, never a crash.
#include <random>

#include <gtest/gtest.h>

#include "io/safetensors.h"
#include "io/safetensors_bytes.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

// Touches all data that an accepted header gives away, so that the address sanitizer can object.
uint64_t read_all(const SafetensorsHeader& header) {
  uint64_t sum = 0;
  for (const auto& [name, tensor] : header.tensors) {
    EXPECT_EQ(tensor.element_count() * dtype_bytes(tensor.dtype), static_cast<int64_t>(tensor.data.size()));
    for (std::byte byte : tensor.data) sum += static_cast<uint64_t>(byte);
  }
  return sum;
}

TEST(SafetensorsSweep, EveryPrefixIsRefused) {
  const std::string text = small_safetensors();
  for (size_t length = 0; length < text.size(); ++length) {
    const auto bytes = to_bytes(text.substr(0, length));
    EXPECT_FAILURE(parse_safetensors(bytes, "cut"), StatusKind::corruption, "cut: ") << length;
  }
  const auto whole = to_bytes(text);
  EXPECT_OK(parse_safetensors(whole, "whole"));
}

TEST(SafetensorsSweep, EveryByteOfTheHeaderChanged) {
  const std::string text = small_safetensors();
  const size_t header_end = text.size() - 20;
  int refused = 0, accepted = 0;
  for (size_t position = 0; position < header_end; ++position) {
    for (int value = 0; value < 256; ++value) {
      std::string changed = text;
      changed[position] = static_cast<char>(value);
      const auto bytes = to_bytes(changed);
      const auto header = parse_safetensors(bytes, "flip");
      header.ok() ? ++accepted : ++refused;
      if (header.ok()) {
        EXPECT_GT(read_all(*header), 0u);
      } else {
        EXPECT_TRUE(header.status().message().starts_with("flip: ")) << header.status().message();
      }
    }
  }
  // Most changes hit structure; a changed letter of a name is still a valid file.
  EXPECT_GT(refused, 10 * accepted);
  EXPECT_GT(accepted, 0);
}

size_t pick(std::mt19937& random, size_t count) { return static_cast<size_t>(random() % count); }

// One random change: a byte replaced, some removed, a telling piece of JSON inserted, or a part doubled.
void mutate(std::string& text, std::mt19937& random) {
  static const std::vector<std::string> kSnippets = {"{",         "}",
                                                     "[",         "]",
                                                     "\"",        ",",
                                                     ":",         "-1",
                                                     "0",         "4",
                                                     "20",        "1e9",
                                                     "null",      "18446744073709551615",
                                                     "\"shape\"", "\\u0000",
                                                     "\xff",      std::string(1, '\0')};
  const size_t position = pick(random, text.size());
  switch (pick(random, 4)) {
    case 0:
      text[position] = static_cast<char>(random());
      break;
    case 1:
      text.erase(position, 1 + pick(random, 8));
      break;
    case 2:
      text.insert(position, kSnippets[pick(random, kSnippets.size())]);
      break;
    default:
      text.insert(position, text.substr(pick(random, text.size()), pick(random, 40)));
      break;
  }
}

TEST(SafetensorsSweep, DeterministicFuzz) {
  constexpr int kRounds = 20'000;
  constexpr size_t kAroundHeader = 8 + 20;  // length prefix and data of the seed
  const std::string seed = small_safetensors();
  std::mt19937 random(20240521);
  int refused = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::string text = seed;
    for (size_t edits = 1 + pick(random, 4); edits > 0; --edits) mutate(text, random);
    // Half of them with a length that fits, so that the JSON and not the length is what is wrong.
    if (pick(random, 2) == 0 && text.size() > kAroundHeader) {
      text = length_prefix(text.size() - kAroundHeader) + text.substr(8);
    }
    const auto bytes = to_bytes(text);
    const auto header = parse_safetensors(bytes, "fuzz");
    if (header.ok()) {
      read_all(*header);
    } else {
      ++refused;
    }
  }
  EXPECT_GT(refused, kRounds / 2);
  EXPECT_LT(refused, kRounds);
}

}  // namespace
}  // namespace esparse
