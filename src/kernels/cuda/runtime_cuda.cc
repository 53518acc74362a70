#include "kernels/cuda/runtime_cuda.h"

#include <cuda_runtime_api.h>

#include "kernels/cuda/driver.h"

namespace esparse::cuda {
namespace {

Status failure(std::string_view call, cudaError_t code) {
  cudaGetLastError();  // the next call starts clean
  const StatusKind kind = code == cudaErrorMemoryAllocation ? StatusKind::out_of_memory : StatusKind::internal;
  return make_status(kind, "{}: {} ({})", call, cudaGetErrorString(code), cudaGetErrorName(code));
}

cudaStream_t stream_of(Stream stream) { return static_cast<cudaStream_t>(stream); }
cudaEvent_t event_of(Event event) { return static_cast<cudaEvent_t>(event); }

#define ESPARSE_CUDA_RETURN(call) \
  if (const cudaError_t code = (call); code != cudaSuccess) return failure(#call, code)

class CudaRuntime final : public Runtime {
 public:
  Result<DeviceInfo> open(int ordinal) const override;
  Result<int64_t> free_bytes() const override {
    size_t free = 0, total = 0;
    ESPARSE_CUDA_RETURN(cudaMemGetInfo(&free, &total));
    return static_cast<int64_t>(free);
  }
  Result<std::byte*> allocate(int64_t bytes) const override {
    void* memory = nullptr;
    ESPARSE_CUDA_RETURN(cudaMalloc(&memory, static_cast<size_t>(bytes)));
    return static_cast<std::byte*>(memory);
  }
  void release(std::byte* memory) const override { cudaFree(memory); }
  Result<Stream> make_stream() const override {
    cudaStream_t stream = nullptr;
    ESPARSE_CUDA_RETURN(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    return static_cast<Stream>(stream);
  }
  void destroy_stream(Stream stream) const override { cudaStreamDestroy(stream_of(stream)); }
  Status copy_to_device(std::byte* target, const std::byte* source, int64_t bytes, Stream stream) const override {
    // From pageable memory the call returns when the source has been read.
    ESPARSE_CUDA_RETURN(
        cudaMemcpyAsync(target, source, static_cast<size_t>(bytes), cudaMemcpyHostToDevice, stream_of(stream)));
    return {};
  }
  Status copy_to_host(std::byte* target, const std::byte* source, int64_t bytes, Stream stream) const override {
    ESPARSE_CUDA_RETURN(
        cudaMemcpyAsync(target, source, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost, stream_of(stream)));
    return synchronize(stream);
  }
  Status copy_on_device(std::byte* target, const std::byte* source, int64_t bytes, Stream stream) const override {
    ESPARSE_CUDA_RETURN(
        cudaMemcpyAsync(target, source, static_cast<size_t>(bytes), cudaMemcpyDeviceToDevice, stream_of(stream)));
    return {};
  }
  Status fill_bytes(std::byte* target, int value, int64_t bytes, Stream stream) const override {
    ESPARSE_CUDA_RETURN(cudaMemsetAsync(target, value, static_cast<size_t>(bytes), stream_of(stream)));
    return {};
  }
  Status synchronize(Stream stream) const override {
    ESPARSE_CUDA_RETURN(cudaStreamSynchronize(stream_of(stream)));
    return {};
  }
  std::string error_text(LaunchCode code) const override {
    const auto error = static_cast<cudaError_t>(code);
    return fmt::format("{} ({})", cudaGetErrorString(error), cudaGetErrorName(error));
  }
  Result<Event> make_event() const override {
    cudaEvent_t event = nullptr;
    ESPARSE_CUDA_RETURN(cudaEventCreate(&event));
    return static_cast<Event>(event);
  }
  void destroy_event(Event event) const override { cudaEventDestroy(event_of(event)); }
  Status record(Event event, Stream stream) const override {
    ESPARSE_CUDA_RETURN(cudaEventRecord(event_of(event), stream_of(stream)));
    return {};
  }
  Result<double> seconds_between(Event first, Event second) const override {
    float milliseconds = 0;
    ESPARSE_CUDA_RETURN(cudaEventSynchronize(event_of(first)));
    ESPARSE_CUDA_RETURN(cudaEventSynchronize(event_of(second)));
    ESPARSE_CUDA_RETURN(cudaEventElapsedTime(&milliseconds, event_of(first), event_of(second)));
    return milliseconds * 1e-3;
  }
  Status begin_capture(Stream stream) const override {
    ESPARSE_CUDA_RETURN(cudaStreamBeginCapture(stream_of(stream), cudaStreamCaptureModeThreadLocal));
    return {};
  }
  Result<Graph> end_capture(Stream stream) const override {
    cudaGraph_t graph = nullptr;
    ESPARSE_CUDA_RETURN(cudaStreamEndCapture(stream_of(stream), &graph));
    cudaGraphExec_t executable = nullptr;
    const cudaError_t code = cudaGraphInstantiate(&executable, graph, 0);
    cudaGraphDestroy(graph);
    if (code != cudaSuccess) return failure("cudaGraphInstantiate", code);
    return static_cast<Graph>(executable);
  }
  Status launch_graph(Graph graph, Stream stream) const override {
    ESPARSE_CUDA_RETURN(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), stream_of(stream)));
    return {};
  }
  void destroy_graph(Graph graph) const override { cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)); }
};

Result<DeviceInfo> CudaRuntime::open(int ordinal) const {
  int driver = 0, built_for = 0, count = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&built_for);
  ESPARSE_RETURN_IF_ERROR(check_driver(driver, built_for));
  const cudaError_t counted = cudaGetDeviceCount(&count);
  cudaGetLastError();  // the next call starts clean
  ESPARSE_RETURN_IF_ERROR(check_gpu_count(count, counted == cudaSuccess ? "" : cudaGetErrorString(counted), ordinal));
  ESPARSE_CUDA_RETURN(cudaSetDevice(ordinal));
  cudaDeviceProp properties{};
  ESPARSE_CUDA_RETURN(cudaGetDeviceProperties(&properties, ordinal));
  DeviceInfo info;
  info.name = properties.name;
  info.compute_major = properties.major, info.compute_minor = properties.minor;
  info.multiprocessors = properties.multiProcessorCount;
  info.total_bytes = static_cast<int64_t>(properties.totalGlobalMem);
  info.l2_bytes = properties.l2CacheSize;
  info.shared_bytes_per_block = static_cast<int64_t>(properties.sharedMemPerBlockOptin);
  info.driver_version = driver;
  return info;
}

}  // namespace

const Runtime& cuda_runtime() {
  static const CudaRuntime runtime;
  return runtime;
}

LibraryHost cuda_library_host() {
  const auto current_device = [] {
    int ordinal = 0;
    cudaGetDevice(&ordinal);
    return cuda_runtime().open(ordinal);
  };
  const auto is_capturing = [](Stream stream) {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    cudaStreamIsCapturing(stream_of(stream), &status);
    return status != cudaStreamCaptureStatusNone;
  };
  return {&cuda_runtime(), current_device, is_capturing};
}

}  // namespace esparse::cuda
