// esparse inspect: what a model directory holds, tensor by tensor, or which kernels run it here.
#include <algorithm>
#include <memory>

#include "base/parallel.h"
#include "cli/commands.h"
#include "cli/device_option.h"
#include "cli/gpu_plan_table.h"
#include "cli/model_report.h"
#include "cli/plan_options.h"
#include "cli/plan_table.h"
#include "io/checkpoint.h"
#include "io/files.h"
#include "io/quote_name.h"
#include "report/table.h"
#include "sparse/inventory.h"

namespace esparse {
namespace {

struct InspectCommand {
  CommonOptions common;
  PlanOptions plan;
  DeviceOption device;
  std::string model, html;
  bool show_plan = false;

  Status run() const;
  Status run_plan(Checkpoint checkpoint) const;
  Status run_gpu_plan(std::unique_ptr<Device> gpu, const Model& loaded) const;
};

std::string shape_text(const std::vector<int64_t>& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

// A name out of a file must not reach the terminal as control codes.
std::string printable(const std::string& name) {
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f; });
  return plain ? name : quote_name(name);
}

Json to_json(const Inventory& inventory, int64_t file_bytes) {
  Json tensors = Json::array();
  for (const InventoryEntry& entry : inventory.entries)
    tensors.push_back({{"name", entry.name},
                       {"shape", entry.shape},
                       {"format", entry.format},
                       {"packed", entry.packed},
                       {"density", entry.density},
                       {"bytes_dense", entry.bytes_dense},
                       {"bytes", entry.bytes_now}});
  int64_t packed_dense = 0, packed_now = 0;
  for (const InventoryEntry& entry : inventory.entries)
    if (entry.packed) packed_dense += entry.bytes_dense, packed_now += entry.bytes_now;
  return {{"tensors", tensors},
          {"bytes_dense", inventory.bytes_dense},
          {"bytes", inventory.bytes_now},
          {"packed_bytes_dense", packed_dense},
          {"packed_bytes", packed_now},
          {"file_bytes", file_bytes},
          {"elements", inventory.elements},
          {"nonzero", inventory.nonzero}};
}

Status InspectCommand::run_plan(Checkpoint checkpoint) const {
  ESPARSE_ASSIGN_OR_RETURN(std::unique_ptr<Device> gpu, device.open());
  ESPARSE_ASSIGN_OR_RETURN(const std::unique_ptr<Model> loaded, Model::load(std::move(checkpoint)));
  if (gpu) return run_gpu_plan(std::move(gpu), *loaded);
  const PlanTable table = prepare_model(*loaded, plan);
  return print_out(common.json ? plan_json(*loaded, table).dump() + "\n" : plan_text(*loaded, table));
}

Status InspectCommand::run_gpu_plan(std::unique_ptr<Device> gpu, const Model& loaded) const {
  prepare_gpu(*gpu, plan);
  const cuda::DeviceInfo info = gpu->info();
  const cuda::Backend& backend = gpu->backend();
  ESPARSE_ASSIGN_OR_RETURN(const auto engine, GpuEngine::create(std::move(gpu), loaded, gpu_options(plan)));
  show_plan_warnings(backend);
  return print_out(common.json ? gpu_plan_json(info, engine->plans()).dump() + "\n"
                               : gpu_plan_text(info, engine->plans()));
}

Status InspectCommand::run() const {
  set_thread_count(common.threads);
  ESPARSE_RETURN_IF_ERROR(check_plan_options(plan, device.on_gpu()));
  if (device.on_gpu() && (!show_plan || plan.use_default))
    return invalid_argument("--device: is for --plan, and without --default-plan");
  ESPARSE_ASSIGN_OR_RETURN(Checkpoint checkpoint, open_checkpoint(model));
  if (show_plan) return run_plan(std::move(checkpoint));
  if (!html.empty()) {
    ESPARSE_ASSIGN_OR_RETURN(const Report page, report_of_model(model, nullptr));
    ESPARSE_RETURN_IF_ERROR(write_file_atomically(html, report_html(page)).with_context("--html"));
  }
  auto taken = take_inventory(checkpoint.tensors);
  if (!taken.ok()) return taken.status().with_context(model);
  const Inventory& inventory = *taken;
  if (common.json) return print_out(to_json(inventory, checkpoint.tensors.file_bytes()).dump() + "\n");

  Table table({"tensor", "shape", "format", "density", "sparsity", "bytes dense", "bytes now"});
  for (const InventoryEntry& entry : inventory.entries)
    table.add_row({printable(entry.name), shape_text(entry.shape), entry.format, fmt::format("{:.4f}", entry.density),
                   fmt::format("{:.4f}", 1 - entry.density), format_count(entry.bytes_dense),
                   format_count(entry.bytes_now)});
  table.add_rule();
  const double density =
      inventory.elements == 0 ? 1.0 : static_cast<double>(inventory.nonzero) / static_cast<double>(inventory.elements);
  const double ratio = inventory.bytes_dense == 0
                           ? 1.0
                           : static_cast<double>(inventory.bytes_now) / static_cast<double>(inventory.bytes_dense);
  table.add_row({"total", fmt::format("{} elements", format_count(inventory.elements)),
                 fmt::format("{:.1f} % of dense", 100 * ratio), fmt::format("{:.4f}", density),
                 fmt::format("{:.4f}", 1 - density), format_count(inventory.bytes_dense),
                 format_count(inventory.bytes_now)});
  return print_out(table.text());
}

}  // namespace

CommandBody add_inspect_command(CLI::App& app) {
  auto command = std::make_shared<InspectCommand>();
  CLI::App* sub = app.add_subcommand("inspect", "Show every tensor: shape, format, density, bytes");
  sub->add_option("MODEL", command->model, "Model directory (Hugging Face), or a llama2.c .bin file")->required();
  sub->add_flag(
      "--plan", command->show_plan,
      "Instead: for each kind of linear and number of tokens the kernel that runs on this machine, and how many "
      "times as fast as dense it is");
  sub->add_option("--html", command->html, "Write a report to this file: one page that needs nothing else");
  add_plan_options(*sub, command->plan);
  command->device.add_to(*sub);
  add_json_option(*sub, command->common, "tensors and totals, or the plan");
  add_threads_option(*sub, command->common);
  sub->footer(
      "Density is the share of non-zero elements; -0.0 counts as zero. Bytes dense is the tensor stored dense in its "
      "own type.\n\n"
      "Examples:\n  esparse inspect models/novel-1m\n  esparse inspect /tmp/sparse --plan\n"
      "  esparse inspect /tmp/sparse --plan --device cuda\n"
      "  esparse inspect /tmp/sparse --html report.html\n");
  return [command] { return command->run(); };
}

}  // namespace esparse
