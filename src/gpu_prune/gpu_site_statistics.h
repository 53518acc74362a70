// The statistics of one site from activations that lie on the GPU: what calibrate/site_statistics.h gathers on the CPU.
#pragma once

#include "calibrate/site_statistics.h"
#include "gpu/device.h"
#include "kernels/cuda/statistics.h"

namespace esparse {

// Memory that grows to the largest size asked for; what it held is lost then.
class DeviceScratch {
 public:
  Result<std::byte*> at_least(Device& device, int64_t bytes, std::string_view what);

 private:
  DeviceBytes memory_;
};

// Used as SiteStatistics is. Given the same inputs: histograms, and so the entropy, are equal, and so are ranges,
// sample and counts; channel sums, in double, differ by rounding of double (1e-13 relative); second moments by that of
// sums in f32 (products of 16-bit inputs are exact). Device memory: 8 in^2 bytes with gram and cross, 4 in^2 with gram
// alone, and of one window two transposes. The same bits in every run on one GPU.
class GpuSiteStatistics {
 public:
  // total_tokens: of all windows, to spread the sample.
  GpuSiteStatistics(Device& device, const SiteRequest& request, int64_t total_tokens)
      : device_(device), request_(request), total_tokens_(total_tokens) {}

  // inputs of one window. Work is in the order of the device's stream: they may be overwritten by later work there.
  Status add(const cuda::DeviceRows& inputs);
  // The same inputs beside what the dense model has there, of the same type; when residual is asked for, both residual
  // streams, f32 [tokens, hidden_size].
  Status add_dense(const cuda::DeviceRows& inputs, const cuda::DeviceRows& dense_inputs, const float* stream,
                   const float* dense_stream, int64_t hidden_size);

  // Refuses inputs that were not finite.
  Status begin_counting();
  Status count(const cuda::DeviceRows& inputs);

  // Refuses inputs that were not finite.
  Result<InputStatistics> finish();

 private:
  struct Transposed {
    std::byte* data;
    cuda::Element type;
    int64_t rows, tokens, stride;  // tokens: padded with zeros
  };
  Status begin(const cuda::DeviceRows& inputs);
  Status keep_sample(const cuda::DeviceRows& inputs);
  Status add_gram(const cuda::DeviceRows& inputs);
  Result<Transposed> transpose(const cuda::DeviceRows& x, const float* minus, cuda::Element type, DeviceScratch& to);
  Status add_product(const Transposed& x, const Transposed& w, DeviceBytes& sum);
  Status zeroed(int64_t rows, std::string_view what, DeviceBytes& sum);
  Status download_moments();
  Result<Matrix<float>> download(const DeviceBytes& sum, int64_t rows);

  Device& device_;
  SiteRequest request_;
  int64_t total_tokens_;
  int64_t channels_ = 0, sampled_ = 0, residual_rows_ = 0;
  InputStatistics statistics_;
  std::vector<float> minimum_, maximum_;  // after download_moments()
  std::optional<ChannelHistograms> histograms_;
  DeviceScratch partial_, first_transposed_, second_transposed_;
  DeviceBytes moments_, sample_, gram_, cross_, residual_, ranges_, counts_;
};

}  // namespace esparse
