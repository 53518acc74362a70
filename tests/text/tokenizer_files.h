// Small tokenizer.json documents for tests.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "io/json.h"
#include "support/status_testing.h"
#include "support/temp_dir.h"
#include "text/tokenizer.h"

namespace esparse {

// Vocabulary a b c ab abc, merges "a b" and "ab c", "<s>" and "</s>" added behind; no other step.
inline Json small_document() {
  return Json::parse(R"({
    "version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [
      {"id": 5, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
       "special": true},
      {"id": 6, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
       "special": true}],
    "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": {"type": "Fuse"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4}, "merges": ["a b", ["ab", "c"]]}
  })");
}

inline Result<std::unique_ptr<Tokenizer>> load_document(const Json& document) {
  const TempDir dir;
  write_text(dir / "tokenizer.json", document.dump());
  return load_tokenizer(dir.path());
}

inline std::vector<int32_t> ids_of(const Tokenizer& tokenizer, std::string_view text, bool add_special = false) {
  auto ids = tokenizer.encode(text, add_special);
  EXPECT_OK(ids);
  return ids.ok() ? *ids : std::vector<int32_t>();
}

}  // namespace esparse
