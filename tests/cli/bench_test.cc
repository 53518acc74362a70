// esparse bench, inspect --plan and the plan cache, as a user meets them. No test looks at a time.
#include <gtest/gtest.h>

#include "cli/run_binary.h"
#include "cli/tiny_model.h"
#include "io/json.h"
#include "synthetic/synthetic_model.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;

Json parsed(const std::string& text) {
  auto json = parse_json(text, "standard output");
  EXPECT_TRUE(json.ok()) << json.status().message();
  return json.ok() ? *json : Json();
}

void expect_machine(const Json& machine) {
  EXPECT_FALSE(machine.at("cpu").get<std::string>().empty());
  EXPECT_FALSE(machine.at("isa").get<std::string>().empty());
  EXPECT_EQ(machine.at("threads"), 1);
  EXPECT_GT(machine.at("read_bytes_per_second"), 0);
  EXPECT_GT(machine.at("flops_per_second"), 0);
}

TEST(Bench, OfLinearsPrintsJson) {
  const TempDir directory;
  const Outcome outcome = run_line(
      directory.path(), "bench --shapes 64x96,33x70 --pattern 2:4,6:8,dense --tokens 1,9 --repetitions 2 --json");
  expect_success(outcome);
  const Json json = parsed(outcome.out);
  expect_machine(json.at("machine"));
  const Json& rows = json.at("rows");
  ASSERT_EQ(rows.size(), 12u);
  for (const Json& row : rows) {
    for (const char* key : {"dense_ns", "sparse_ns", "speedup", "bandwidth_share", "peak_share"})
      EXPECT_GT(row.at(key).get<double>(), 0) << key;
    for (const char* key : {"shape", "pattern", "kernel", "dense_kernel"})
      EXPECT_FALSE(row.at(key).get<std::string>().empty()) << key;
    EXPECT_EQ(row.at("dtype"), "BF16");
  }
  EXPECT_EQ(rows[0].at("shape"), "64x96");
  EXPECT_EQ(rows[0].at("tokens"), 1);
  EXPECT_EQ(rows[1].at("tokens"), 9);
  EXPECT_EQ(rows[2].at("pattern"), "6:8");
  EXPECT_EQ(rows[11].at("shape"), "33x70");
}

TEST(Bench, OfLinearsPrintsATableAndWritesAFile) {
  const TempDir directory;
  const Outcome outcome = run_line(
      directory.path(), "bench --shapes 64x96 --pattern 2:4 --tokens 3 --dtype f16 --repetitions 1 --json rows.json");
  expect_success(outcome);
  for (const char* part : {"GB/s", "GFLOP/s", "1 thread,", "64 x 96", "dense kernel"})
    EXPECT_NE(outcome.out.find(part), std::string::npos) << part << " is not in\n" << outcome.out;
  const Json json = parsed(read_text(directory / "rows.json"));
  EXPECT_EQ(json.at("rows").at(0).at("dtype"), "F16");
  EXPECT_EQ(directory.entries(), std::vector<std::string>{"rows.json"});
}

TEST(Bench, OfAModelPrintsBothSides) {
  const Workplace workplace("llama2-gqa-untied");
  expect_success_with_estimate(run_line(workplace.path(), "prune model -o sparse --recipe magnitude --pattern 2:4"));
  const std::string line = "bench sparse --against model --prompt-tokens 9 --gen-tokens 3 --repetitions 2";
  const Outcome outcome = run_line(workplace.path(), line + " --json");
  expect_success(outcome);
  const Json json = parsed(outcome.out);
  expect_machine(json.at("machine"));
  const Json& rows = json.at("rows");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].at("model"), "sparse");
  EXPECT_EQ(rows[1].at("model"), "model");
  for (const Json& row : rows) {
    EXPECT_EQ(row.at("prompt_tokens"), 9);
    EXPECT_EQ(row.at("gen_tokens"), 3);
    EXPECT_EQ(row.at("repetitions"), 2);
    for (const char* key : {"prefill_ns", "decode_ns_per_token", "prefill_speedup", "decode_speedup"})
      EXPECT_GT(row.at(key).get<double>(), 0) << key;
  }
  EXPECT_EQ(rows[1].at("decode_speedup"), 1.0) << "against itself";
  EXPECT_LT(rows[0].at("weight_bytes"), rows[1].at("weight_bytes"));
  // What `inspect` counts on disk is what stands in memory of a dense model.
  const Json inventory = parsed(run_line(workplace.path(), "inspect model --json").out);
  EXPECT_EQ(rows[1].at("weight_bytes"), inventory.at("bytes"));
  const Outcome table = run_line(workplace.path(), line);
  expect_success(table);
  EXPECT_NE(table.out.find("x the memory of model"), std::string::npos) << table.out;
}

struct BadBench {
  const char* line;
  std::vector<std::string> texts;
};

TEST(Bench, RefusesWhatItCannotMeasure) {
  const Workplace workplace;
  for (const BadBench& bad : {
           BadBench{"bench --shapes llama9", {"--shapes: expected llama3-8b", "\"llama9\""}},
           {"bench --shapes 12", {"--shapes: ", "OUTxIN", "\"12\""}},
           {"bench --shapes 1000000x1000000", {"--shapes: 1000000x1000000", "of memory, this machine has"}},
           {"bench --shapes 8x8 --pattern 4:2", {"--pattern: ", "\"4:2\"", "1 <= N < M"}},
           {"bench --shapes 8x8 --pattern unstructured:2", {"--pattern: ", "between 0 and 1", "\"2\""}},
           {"bench --shapes 8x8 --tokens 0", {"--tokens: ", "from 1 to", "\"0\""}},
           {"bench --shapes 8x8 --tokens 1,,2", {"--tokens: ", "\"\""}},
           {"bench --shapes 8x8 --tokens 1e3", {"--tokens: ", "\"1e3\""}},
           {"bench --shapes 8x8 --dtype int8", {"--dtype: expected bf16, f16 or f32", "\"int8\""}},
           {"bench --shapes 8x8 --gen-tokens 5", {"--gen-tokens: needs a MODEL"}},
           {"bench --shapes 8x8 --against model", {"--against: needs a MODEL"}},
           {"bench model --tokens 5", {"--tokens: is for single linears"}},
           {"bench model --prompt-tokens 100 --gen-tokens 29", {"model: ", "100 prompt tokens", "29 generated", "128 positions"}},
           {"bench nowhere", {"nowhere"}},
           {"bench model --against nowhere", {"nowhere"}},
       }) {
    SCOPED_TRACE(bad.line);
    expect_refused(run_line(workplace.path(), bad.line), bad.texts);
  }
  for (const BadBench& bad : {BadBench{"bench --repetitions 0", {"--repetitions"}},
                              {"bench model --prompt-tokens 0", {"--prompt-tokens"}},
                              {"bench model --default-plan --plan-cache x", {"--plan-cache", "--default-plan"}},
                              {"bench --bogus", {"--bogus"}}}) {
    SCOPED_TRACE(bad.line);
    expect_usage_error(run_line(workplace.path(), bad.line), bad.texts);
  }
}

// Two blocks whose linears are just large enough to be measured.
class PlannedModel : public testing::Test {
 protected:
  PlannedModel() {
    const SyntheticShape shape{"planned", "", 2, 512, 512, 8, 8, 64, 96, 128};
    EXPECT_TRUE(write_synthetic_model(shape, {}, directory_ / "dense").ok());
    write_text(directory_ / "dense/tokenizer.json", tokenizer_json());
    const Outcome pruned = run("prune dense -o sparse --recipe magnitude --pattern 2:4");
    EXPECT_EQ(pruned.exit_code, 0) << pruned.err;
  }
  Outcome run(const std::string& line) const {
    return run_line(directory_.path(), line, {.environment = {{"XDG_CACHE_HOME", (directory_ / "cache").string()}}});
  }
  const TempDir directory_;
};

TEST_F(PlannedModel, IsMeasuredAtItsFirstUse) {
  const std::string generate = "generate sparse --prompt abc -n 4 --ignore-eos --json";
  const Outcome first = run(generate);
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(first.err.rfind("Measuring kernels for ", 0), 0u) << first.err;
  EXPECT_TRUE(fs::exists(directory_ / "cache/esparse/plans.json"));
  const Outcome second = run(generate);
  expect_success(second);  // says nothing: nothing is measured
  EXPECT_EQ(parsed(second.out).at("ids"), parsed(first.out).at("ids"));
  expect_success(run(generate + " --default-plan"));
  EXPECT_NE(run(generate + " --plan-cache own.json").err.find("own.json"), std::string::npos);
  EXPECT_TRUE(fs::exists(directory_ / "own.json"));
}

TEST_F(PlannedModel, SurvivesABrokenCache) {
  write_text(directory_ / "cache/esparse/plans.json", "{");
  const Outcome broken = run("generate sparse --prompt abc -n 2 --json");
  EXPECT_EQ(broken.exit_code, 0);
  EXPECT_NE(broken.err.find("esparse: warning: plan cache: "), std::string::npos) << broken.err;
  EXPECT_NE(broken.err.find("plans.json"), std::string::npos) << broken.err;
  expect_success(run("generate sparse --prompt abc -n 2 --json"));
}

TEST_F(PlannedModel, ShowsItsPlan) {
  const Outcome outcome = run("inspect sparse --plan --json");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json json = parsed(outcome.out);
  EXPECT_EQ(json.at("machine").at("threads"), 1);
  ASSERT_EQ(json.at("linears").size(), 1u) << "all have the same shape";
  const Json& linear = json.at("linears")[0];
  EXPECT_EQ(linear.at("count"), 14);
  EXPECT_EQ(linear.at("names").size(), 7u);
  EXPECT_EQ(linear.at("out_features"), 512);
  ASSERT_EQ(linear.at("paths").size(), 6u);
  for (const Json& path : linear.at("paths")) {
    EXPECT_GT(path.at("speedup").get<double>(), 0);
    EXPECT_FALSE(path.at("path").get<std::string>().empty());
  }
  const Outcome table = run("inspect sparse --plan");
  expect_success(table);  // read from the cache
  for (const char* part :
       {"14 q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj", "512 x 512", "tokens 1", "65+"})
    EXPECT_NE(table.out.find(part), std::string::npos) << part << " is not in\n" << table.out;
  const Outcome small = run("inspect sparse --plan --default-plan");
  expect_success(small);
  EXPECT_EQ(small.out.find("x\n"), std::string::npos) << small.out;
}

}  // namespace
}  // namespace esparse
