#include "kernels/cuda/cold_timing.h"

#include <limits>

#include "base/timing.h"

namespace esparse::cuda {
namespace {

// What is freed at the end.
class Tools {
 public:
  explicit Tools(const Runtime& runtime) : runtime_(runtime) {}
  Tools(const Tools&) = delete;
  Tools& operator=(const Tools&) = delete;
  ~Tools() {
    if (flush != nullptr) runtime_.release(flush);
    for (const Event event : {first, last})
      if (event != nullptr) runtime_.destroy_event(event);
  }

  Status create(int64_t flush_bytes) {
    ESPARSE_ASSIGN_OR_RETURN(first, runtime_.make_event());
    ESPARSE_ASSIGN_OR_RETURN(last, runtime_.make_event());
    ESPARSE_ASSIGN_OR_RETURN(flush, runtime_.allocate(flush_bytes));
    return {};
  }

  std::byte* flush = nullptr;
  Event first = nullptr, last = nullptr;

 private:
  const Runtime& runtime_;
};

}  // namespace

Result<std::vector<double>> time_cold(const Runtime& runtime, Stream stream, int64_t flush_bytes,
                                      std::span<const std::function<Status()>> candidates, int rounds) {
  Tools tools(runtime);
  ESPARSE_RETURN_IF_ERROR(tools.create(flush_bytes));
  std::vector<std::vector<double>> times(candidates.size());
  std::vector<bool> failed(candidates.size(), false);
  for (int round = 0; round <= rounds; ++round)
    for (size_t i = 0; i < candidates.size(); ++i) {
      if (failed[i]) continue;
      ESPARSE_RETURN_IF_ERROR(runtime.fill_bytes(tools.flush, round, flush_bytes, stream));
      ESPARSE_RETURN_IF_ERROR(runtime.record(tools.first, stream));
      if (!candidates[i]().ok()) {
        failed[i] = true;
        continue;
      }
      ESPARSE_RETURN_IF_ERROR(runtime.record(tools.last, stream));
      ESPARSE_ASSIGN_OR_RETURN(const double seconds, runtime.seconds_between(tools.first, tools.last));
      if (round > 0) times[i].push_back(seconds);
    }
  std::vector<double> medians;
  for (size_t i = 0; i < candidates.size(); ++i)
    medians.push_back(failed[i] ? std::numeric_limits<double>::infinity() : median(times[i]));
  return medians;
}

}  // namespace esparse::cuda
