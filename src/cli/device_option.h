// --device: where a command's work is done.
#pragma once

#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "base/status.h"
#include "gpu/device.h"
#include "gpu/gpu_engine.h"
#include "model/engine.h"

namespace esparse {

class DeviceOption {
 public:
  void add_to(CLI::App& app);

  bool on_gpu() const { return name_ != "cpu"; }
  // The GPU that is meant; null where it is the CPU. Refuses a build without CUDA, a machine without a driver or GPU.
  Result<std::unique_ptr<Device>> open() const;

 private:
  std::string name_ = "cpu";  // "cpu", "cuda", "cuda:1"
};

// Runs `model` there; null: on the CPU, where the model must live as long as the engine. Says on standard error what a
// GPU changes in the weights.
Result<std::unique_ptr<Engine>> engine_on(std::unique_ptr<Device> device, const Model& model,
                                          const GpuEngineOptions& options = {});

}  // namespace esparse
