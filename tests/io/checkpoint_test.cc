#include "io/checkpoint.h"

#include <gtest/gtest.h>

#include "io/safetensors_bytes.h"
#include "support/status_testing.h"
#include "support/temp_dir.h"

namespace esparse {
namespace {

TEST(OpenCheckpoint, OpensModelDirectory) {
  const TempDir dir;
  write_text(dir / "config.json", R"({"model_type":"llama"})");
  write_text(dir / "model.safetensors", small_safetensors());
  const auto checkpoint = open_checkpoint(dir.path());
  ASSERT_OK(checkpoint);
  EXPECT_EQ(checkpoint->path, dir.path());
  EXPECT_EQ(checkpoint->directory, dir.path());
  EXPECT_EQ(checkpoint->config_label, (dir / "config.json").string());
  EXPECT_EQ(checkpoint->config.at("model_type"), "llama");
  EXPECT_EQ(checkpoint->tensors.tensors().size(), 2u);
}

TEST(OpenCheckpoint, Refusals) {
  const TempDir dir;
  EXPECT_FAILURE(open_checkpoint(dir / "none"), StatusKind::not_found, "none: no such file or directory");
  EXPECT_FAILURE(open_checkpoint(dir.path()), StatusKind::not_found, "config.json");
  write_text(dir / "config.json", "[]");
  EXPECT_FAILURE(open_checkpoint(dir.path()), StatusKind::corruption, "config.json: expected an object");
  write_text(dir / "config.json", "{}");
  EXPECT_FAILURE(open_checkpoint(dir.path()), StatusKind::not_found, "expected model.safetensors or");
  write_text(dir / "model.safetensors", "short");
  EXPECT_FAILURE(open_checkpoint(dir.path()), StatusKind::corruption, "model.safetensors: expected at least 8 bytes");
  EXPECT_FAILURE(open_checkpoint(dir / "model.safetensors"), StatusKind::unsupported, "expected a model directory");
  write_text(dir / "weights.bin", "short");
  EXPECT_FAILURE(open_checkpoint(dir / "weights.bin"), StatusKind::corruption, "llama2.c header");
}

}  // namespace
}  // namespace esparse
