// A library with the functions of cuBLASLt that esparse calls, written from its documentation: column-major matrices in
// host memory, plain loops. It proposes four algorithms: the first and the last work, the second fails when it runs,
// the third is the fastest. Environment: ESPARSE_FAKE_LOG names a file to which every product adds its algorithm's
// number.
#include <cublasLt.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "base/dtype.h"

namespace {

using esparse::bf16;
using esparse::f16;

constexpr int kAlgorithms = 4, kFails = 1, kFastest = 2;
constexpr uint64_t kMark = 0x6573706172736521;  // an algorithm that this library has made

struct Layout {
  cudaDataType type;
  uint64_t rows, columns;
  int64_t leading;
};
Layout& layout_of(cublasLtMatrixLayout_t layout) { return *reinterpret_cast<Layout*>(layout); }

float load(const void* data, const Layout& layout, uint64_t row, uint64_t column) {
  const uint64_t place = row + column * static_cast<uint64_t>(layout.leading);
  if (layout.type == CUDA_R_32F) return static_cast<const float*>(data)[place];
  if (layout.type == CUDA_R_16F) return esparse::to_f32(static_cast<const f16*>(data)[place]);
  return esparse::to_f32(static_cast<const bf16*>(data)[place]);
}
void store(void* data, const Layout& layout, uint64_t row, uint64_t column, float value) {
  const uint64_t place = row + column * static_cast<uint64_t>(layout.leading);
  if (layout.type == CUDA_R_32F)
    static_cast<float*>(data)[place] = value;
  else if (layout.type == CUDA_R_16F)
    static_cast<f16*>(data)[place] = esparse::to_f16(value);
  else
    static_cast<bf16*>(data)[place] = esparse::to_bf16(value);
}

void log_algorithm(uint64_t number) {
  const char* path = std::getenv("ESPARSE_FAKE_LOG");
  if (path == nullptr) return;
  std::FILE* file = std::fopen(path, "a");
  std::fprintf(file, "%d", static_cast<int>(number));
  std::fclose(file);
}

}  // namespace

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  *handle = reinterpret_cast<cublasLtHandle_t>(new int);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete reinterpret_cast<int*>(handle);
  return CUBLAS_STATUS_SUCCESS;
}
size_t cublasLtGetVersion() { return 130002; }
const char* cublasLtGetStatusString(cublasStatus_t status) {
  return status == CUBLAS_STATUS_EXECUTION_FAILED ? "CUBLAS_STATUS_EXECUTION_FAILED" : "CUBLAS_STATUS_OTHER";
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, uint64_t rows,
                                          uint64_t columns, int64_t leading) {
  if (leading < static_cast<int64_t>(rows)) return CUBLAS_STATUS_INVALID_VALUE;
  *layout = reinterpret_cast<cublasLtMatrixLayout_t>(new Layout{type, rows, columns, leading});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete reinterpret_cast<Layout*>(layout);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* operation, cublasComputeType_t compute,
                                        cudaDataType scale) {
  if (compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
  *operation = reinterpret_cast<cublasLtMatmulDesc_t>(new cublasOperation_t(CUBLAS_OP_N));
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t operation) {
  delete reinterpret_cast<cublasOperation_t*>(operation);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, size_t bytes) {
  if (attribute != CUBLASLT_MATMUL_DESC_TRANSA || bytes != sizeof(cublasOperation_t))
    return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(operation, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = reinterpret_cast<cublasLtMatmulPreference_t>(new int);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete reinterpret_cast<int*>(preference);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void*,
                                                    size_t bytes) {
  const bool is_workspace = attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
  return bytes == (is_workspace ? 8u : 4u) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatmulPreference_t, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[], int* found) {
  *found = wanted < kAlgorithms ? wanted : kAlgorithms;
  for (int i = 0; i < *found; ++i) {
    results[i] = {};
    results[i].algo.data[0] = static_cast<uint64_t>(i), results[i].algo.data[1] = kMark;
    results[i].state = CUBLAS_STATUS_SUCCESS;
  }
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t,
                                       cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                       const cublasLtMatmulAlgo_t* algorithm, cublasLtMatmulHeuristicResult_t* result) {
  *result = {};
  return algorithm->data[1] == kMark ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}
cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t operation, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                              const void* beta, const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algorithm, void* workspace,
                              size_t, cudaStream_t) {
  const uint64_t number = algorithm->data[0];
  log_algorithm(number);
  if (number == kFails) return CUBLAS_STATUS_EXECUTION_FAILED;
  if (number != kFastest) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const Layout &of_a = layout_of(a_layout), &of_b = layout_of(b_layout), &of_c = layout_of(c_layout),
               &of_d = layout_of(d_layout);
  const bool transposed = *reinterpret_cast<cublasOperation_t*>(operation) == CUBLAS_OP_T;
  const uint64_t rows = transposed ? of_a.columns : of_a.rows, depth = transposed ? of_a.rows : of_a.columns;
  if (workspace == nullptr || rows != of_d.rows || depth != of_b.rows || of_b.columns != of_d.columns)
    return CUBLAS_STATUS_INVALID_VALUE;
  for (uint64_t column = 0; column < of_d.columns; ++column)
    for (uint64_t row = 0; row < rows; ++row) {
      float sum = 0;
      for (uint64_t k = 0; k < depth; ++k)
        sum += (transposed ? load(a, of_a, k, row) : load(a, of_a, row, k)) * load(b, of_b, k, column);
      sum *= *static_cast<const float*>(alpha);
      const float factor = *static_cast<const float*>(beta);
      store(d, of_d, row, column, factor == 0 ? sum : sum + factor * load(c, of_c, row, column));
    }
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
