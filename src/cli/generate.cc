// esparse generate: continues a prompt.
#include <cstdio>
#include <memory>
#include <utility>

#include "base/parallel.h"
#include "cli/commands.h"
#include "cli/device_option.h"
#include "cli/plan_options.h"
#include "io/json.h"
#include "runtime/generate.h"
#include "runtime/session.h"

namespace esparse {
namespace {

struct GenerateCommand {
  CommonOptions common;
  PlanOptions plan;
  DeviceOption device;
  std::string model, tokenizer, prompt;
  GenerateOptions options;
  bool ignore_eos = false;
  std::string kv_dtype = "f16";

  Status run() const;
};

double rate(double count, double seconds) { return seconds > 0 ? count / seconds : 0; }

Status GenerateCommand::run() const {
  set_thread_count(common.threads);
  ESPARSE_RETURN_IF_ERROR(options.sampling.validate());
  ESPARSE_RETURN_IF_ERROR(check_plan_options(plan, device.on_gpu()));
  ESPARSE_ASSIGN_OR_RETURN(std::unique_ptr<Device> gpu, device.open());
  ESPARSE_ASSIGN_OR_RETURN(Session session, open_session(model, tokenizer, gpu ? OpenFor::upload : OpenFor::running));
  const cuda::Backend* backend = gpu ? &gpu->backend() : nullptr;
  gpu ? prepare_gpu(*gpu, plan) : void(prepare_model(*session.model, plan));
  ESPARSE_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, engine_on(std::move(gpu), *session.model, gpu_options(plan)));
  GenerateOptions chosen = options;
  chosen.stop_at_eos = !ignore_eos;
  chosen.kv_dtype = kv_dtype == "f32" ? DType::f32 : kv_dtype == "bf16" ? DType::bf16 : DType::f16;
  Status output;
  std::string waiting = prompt;  // shown once it is known to be good: with the first piece of text
  auto show = [&](std::string_view text) {
    if (!common.json && output.ok()) output = print_out(std::exchange(waiting, "") + std::string(text));
  };
  ESPARSE_ASSIGN_OR_RETURN(const Generation result, generate(*engine, *session.tokenizer, prompt, chosen, show));
  if (backend != nullptr) show_plan_warnings(*backend);
  show("\n");
  ESPARSE_RETURN_IF_ERROR(output);
  const auto prompt_tokens = static_cast<double>(result.prompt_ids.size());
  const double prefill = rate(prompt_tokens, result.prefill_seconds);
  const double decode = rate(static_cast<double>(result.decode_steps), result.decode_seconds);
  if (common.json) {
    Json json = {{"prompt", prompt},
                 {"text", result.text},
                 {"prompt_tokens", result.prompt_ids.size()},
                 {"new_tokens", result.new_ids.size()},
                 {"ids", result.new_ids},
                 {"prefill_tokens_per_second", prefill},
                 {"decode_tokens_per_second", decode}};
    if (device.on_gpu()) json["device"] = engine->device_name();
    return print_out(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  }
  std::fprintf(stderr, "prefill %zu tokens, %.0f tokens/s; decode %zu tokens, %.0f tokens/s; %s\n",
               result.prompt_ids.size(), prefill, result.new_ids.size(), decode, engine->device_name().c_str());
  return {};
}

}  // namespace

CommandBody add_generate_command(CLI::App& app) {
  auto command = std::make_shared<GenerateCommand>();
  CLI::App* sub = app.add_subcommand("generate", "Continue a prompt");
  sub->add_option("MODEL", command->model, "Model directory (Hugging Face), or a llama2.c .bin file")->required();
  sub->add_option("--prompt", command->prompt, "Text to continue; may be empty if the tokenizer has a BOS")->required();
  sub->add_option("-n,--tokens", command->options.max_new_tokens, "New tokens at most")
      ->capture_default_str()
      ->check(at_least_one());
  sub->add_option("--temperature", command->options.sampling.temperature, "0 = always the most probable token")
      ->capture_default_str();
  sub->add_option("--top-p", command->options.sampling.top_p,
                  "Sample from the most probable tokens that together reach this")
      ->capture_default_str();
  sub->add_option("--seed", command->options.sampling.seed, "Seed of the sampler")
      ->check(not_negative())
      ->capture_default_str();
  sub->add_option("--kv-dtype", command->kv_dtype, "Type of the keys and values kept of earlier tokens")
      ->check(CLI::IsMember({"f32", "f16", "bf16"}))
      ->capture_default_str();
  sub->add_flag("--ignore-eos", command->ignore_eos, "Go on after an end-of-text token");
  sub->add_option("--tokenizer", command->tokenizer, "Tokenizer file or directory (default: the model's own)");
  command->device.add_to(*sub);
  add_plan_options(*sub, command->plan);
  add_json_option(*sub, command->common, "prompt, text, ids, token counts and rates");
  add_threads_option(*sub, command->common);
  sub->footer(
      "The text streams to standard output, the speed goes to standard error.\n\n"
      "Examples:\n"
      "  esparse generate models/novel-1m --prompt \"The old house\" -n 64\n"
      "  esparse generate models/novel-1m --prompt \"The old house\" -n 64 --temperature 0.8 --top-p 0.9 --seed 7\n"
      "  esparse generate MODEL --prompt \"The old house\" --device cuda\n");
  return [command] { return command->run(); };
}

}  // namespace esparse
