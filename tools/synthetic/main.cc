// make-synthetic: writes a model directory of a published shape with random weights.
#include <cstdio>
#include <exception>

#include <CLI/CLI.hpp>

#include "base/byte_size.h"
#include "synthetic/synthetic_model.h"

namespace {

using namespace esparse;

struct Command {
  std::string name, output, shard_size = "1GB", tokenizer;
  SyntheticOptions options;
};

Status make(Command& command) {
  ESPARSE_ASSIGN_OR_RETURN(const SyntheticShape shape, find_synthetic_shape(command.name));
  Result<int64_t> bytes = parse_bytes(command.shard_size);
  if (!bytes.ok()) return bytes.status().with_context("--shard-size");
  command.options.shard_bytes = *bytes;
  command.options.tokenizer = command.tokenizer;
  return write_synthetic_model(shape, command.options, command.output);
}

int run(int argc, char** argv) {
  Command command;
  CLI::App app("Writes a LLaMA model directory of a published shape with random bf16 weights; the same on every run.",
               "make-synthetic");
  std::string shapes = "Shape:";
  for (const SyntheticShape& shape : synthetic_shapes()) shapes += fmt::format("\n{} - {}", shape.name, shape.summary);
  app.add_option("SHAPE", command.name, shapes)->required();
  app.add_option("-o,--output", command.output, "Directory to write; refused if it exists, unless --force")->required();
  app.add_option("--layers", command.options.blocks, "Write only the first N decoder blocks")
      ->check(CLI::Range(1, 1000));
  app.add_option("--seed", command.options.seed, "Another seed gives other weights")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--shard-size", command.shard_size, "Bytes of weights per file")->capture_default_str();
  app.add_option("--tokenizer", command.tokenizer, "Directory whose tokenizer files are copied (default: none)")
      ->take_last();
  app.add_flag("--force", command.options.force, "Replace an existing output directory");
  CLI11_PARSE(app, argc, argv);
  const Status status = make(command);
  if (!status.ok()) std::fprintf(stderr, "make-synthetic: %s\n", status.message().c_str());
  return status.ok() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {  // not enough memory
    std::fprintf(stderr, "make-synthetic: %s\n", error.what());
    return 1;
  }
}
