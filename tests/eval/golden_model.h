// The small golden checkpoint that the tests of this folder run.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <vector>

#include "io/checkpoint.h"
#include "model/cpu_engine.h"
#include "model/model.h"

namespace esparse {

inline const std::filesystem::path kFixture =
    std::filesystem::path(ESPARSE_SOURCE_DIR) / "tests/golden/models/llama2-gqa-untied";

inline std::unique_ptr<Model> load_model(const std::filesystem::path& path = kFixture) {
  auto checkpoint = open_checkpoint(path);
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  auto model = Model::load(std::move(checkpoint).value());
  EXPECT_TRUE(model.ok()) << model.status().message();
  return std::move(model).value();
}

template <typename T>
std::vector<T> read_expected(const char* name) {
  auto store = TensorStore::open_file(kFixture / "expected.safetensors");
  EXPECT_TRUE(store.ok());
  const TensorInfo* tensor = store->find(name);
  std::vector<T> values(tensor->data.size() / sizeof(T));
  std::memcpy(values.data(), tensor->data.data(), tensor->data.size());
  return values;
}

}  // namespace esparse
