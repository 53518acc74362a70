// A library with the functions of cuSPARSELt that esparse calls, written from its documentation: host memory, plain
// loops, a "compressed" weight that is a copy. Its search takes configuration 3 with two parts. Environment:
// ESPARSE_FAKE_LOG names a file: s for a search, and the number of the configuration for every product.
#include <cusparseLt.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/dtype.h"

namespace {

using esparse::bf16;

struct Matrix {
  int64_t rows, columns, leading;
  cudaDataType type;
  cusparseOrder_t order;
};
struct Operation {
  cusparseOperation_t b;
  Matrix matrices[3];
};
struct Selection {
  int32_t values[6];  // by cusparseLtMatmulAlgAttribute_t
};
struct Plan {
  Operation operation;
  Selection* selection;
};

template <typename Inner, typename Outer>
Inner& in(Outer* outer) {
  static_assert(sizeof(Inner) <= sizeof(outer->data));
  return *reinterpret_cast<Inner*>(outer->data);
}
template <typename Inner, typename Outer>
const Inner& in(const Outer* outer) {
  return *reinterpret_cast<const Inner*>(outer->data);
}

int64_t place(const Matrix& matrix, int64_t row, int64_t column) {
  return matrix.order == CUSPARSE_ORDER_ROW ? row * matrix.leading + column : column * matrix.leading + row;
}

void log_text(const char* text) {
  const char* path = std::getenv("ESPARSE_FAKE_LOG");
  if (path == nullptr) return;
  std::FILE* file = std::fopen(path, "a");
  std::fputs(text, file);
  std::fclose(file);
}

}  // namespace

extern "C" {

cusparseStatus_t cusparseLtInit(cusparseLtHandle_t*) { return CUSPARSE_STATUS_SUCCESS; }
cusparseStatus_t cusparseLtGetVersion(const cusparseLtHandle_t*, int* version) {
  *version = 1000;
  return CUSPARSE_STATUS_SUCCESS;
}
const char* cusparseLtGetErrorString(cusparseStatus_t) { return "an error of the library"; }
cusparseStatus_t cusparseLtDenseDescriptorInit(const cusparseLtHandle_t*, cusparseLtMatDescriptor_t* matrix,
                                               int64_t rows, int64_t columns, int64_t leading, uint32_t alignment,
                                               cudaDataType type, cusparseOrder_t order) {
  if (alignment % 16 != 0 || rows % 8 != 0 || columns % 8 != 0) return CUSPARSE_STATUS_NOT_SUPPORTED;
  if (leading < (order == CUSPARSE_ORDER_ROW ? columns : rows)) return CUSPARSE_STATUS_INVALID_VALUE;
  in<Matrix>(matrix) = {rows, columns, leading, type, order};
  return CUSPARSE_STATUS_SUCCESS;
}
cusparseStatus_t cusparseLtStructuredDescriptorInit(const cusparseLtHandle_t* handle, cusparseLtMatDescriptor_t* matrix,
                                                    int64_t rows, int64_t columns, int64_t leading, uint32_t alignment,
                                                    cudaDataType type, cusparseOrder_t order, cusparseLtSparsity_t) {
  if (rows % 16 != 0 || columns % 16 != 0) return CUSPARSE_STATUS_NOT_SUPPORTED;
  return cusparseLtDenseDescriptorInit(handle, matrix, rows, columns, leading, alignment, type, order);
}
cusparseStatus_t cusparseLtMatmulDescriptorInit(const cusparseLtHandle_t*, cusparseLtMatmulDescriptor_t* operation,
                                                cusparseOperation_t of_a, cusparseOperation_t of_b,
                                                const cusparseLtMatDescriptor_t* a, const cusparseLtMatDescriptor_t* b,
                                                const cusparseLtMatDescriptor_t* c, const cusparseLtMatDescriptor_t* d,
                                                cusparseComputeType compute) {
  if (of_a != CUSPARSE_OPERATION_NON_TRANSPOSE || compute != CUSPARSE_COMPUTE_32F || c != d)
    return CUSPARSE_STATUS_NOT_SUPPORTED;
  in<Operation>(operation) = {of_b, {in<Matrix>(a), in<Matrix>(b), in<Matrix>(d)}};
  return CUSPARSE_STATUS_SUCCESS;
}
cusparseStatus_t cusparseLtMatmulAlgSelectionInit(const cusparseLtHandle_t*, cusparseLtMatmulAlgSelection_t* selection,
                                                  const cusparseLtMatmulDescriptor_t*, cusparseLtMatmulAlg_t) {
  in<Selection>(selection) = {};
  return CUSPARSE_STATUS_SUCCESS;
}
cusparseStatus_t cusparseLtMatmulAlgSetAttribute(const cusparseLtHandle_t*, cusparseLtMatmulAlgSelection_t* selection,
                                                 cusparseLtMatmulAlgAttribute_t attribute, const void* value,
                                                 size_t bytes) {
  int32_t number = 0;
  if (bytes != sizeof(number)) return CUSPARSE_STATUS_INVALID_VALUE;
  std::memcpy(&number, value, bytes);
  if (attribute == CUSPARSELT_MATMUL_ALG_CONFIG_ID && (number < 0 || number > 5)) return CUSPARSE_STATUS_INVALID_VALUE;
  in<Selection>(selection).values[attribute] = number;
  return CUSPARSE_STATUS_SUCCESS;
}
cusparseStatus_t cusparseLtMatmulAlgGetAttribute(const cusparseLtHandle_t*,
                                                 const cusparseLtMatmulAlgSelection_t* selection,
                                                 cusparseLtMatmulAlgAttribute_t attribute, void* value, size_t bytes) {
  std::memcpy(value, &in<Selection>(selection).values[attribute], bytes);
  return CUSPARSE_STATUS_SUCCESS;
}
cusparseStatus_t cusparseLtMatmulPlanInit(const cusparseLtHandle_t*, cusparseLtMatmulPlan_t* plan,
                                          const cusparseLtMatmulDescriptor_t* operation,
                                          const cusparseLtMatmulAlgSelection_t* selection) {
  in<Plan>(plan) = {in<Operation>(operation), &in<Selection>(const_cast<cusparseLtMatmulAlgSelection_t*>(selection))};
  return CUSPARSE_STATUS_SUCCESS;
}
// Two parts need room for one of them.
cusparseStatus_t cusparseLtMatmulGetWorkspace(const cusparseLtHandle_t*, const cusparseLtMatmulPlan_t* plan,
                                              size_t* bytes) {
  *bytes = in<Plan>(plan).selection->values[CUSPARSELT_MATMUL_SPLIT_K] > 1 ? 64 : 0;
  return CUSPARSE_STATUS_SUCCESS;
}
cusparseStatus_t cusparseLtMatmul(const cusparseLtHandle_t*, const cusparseLtMatmulPlan_t* plan, const void* alpha,
                                  const void* a, const void* b, const void* beta, const void* c, void* d,
                                  void* workspace, cudaStream_t*, int32_t) {
  const Plan& of = in<Plan>(plan);
  const auto& [w, x, y] = of.operation.matrices;
  const int32_t config = of.selection->values[CUSPARSELT_MATMUL_ALG_CONFIG_ID];
  log_text(std::to_string(config).c_str());
  if (of.selection->values[CUSPARSELT_MATMUL_SPLIT_K] > 1 && workspace == nullptr) return CUSPARSE_STATUS_ALLOC_FAILED;
  if (w.type != CUDA_R_16BF) return CUSPARSE_STATUS_NOT_SUPPORTED;
  const bool transposed = of.operation.b == CUSPARSE_OPERATION_TRANSPOSE;
  const auto value = [](const void* data, int64_t index) {
    return esparse::to_f32(static_cast<const bf16*>(data)[index]);
  };
  for (int64_t row = 0; row < y.rows; ++row)
    for (int64_t column = 0; column < y.columns; ++column) {
      float sum = 0;
      for (int64_t k = 0; k < w.columns; ++k)
        sum += value(a, place(w, row, k)) * value(b, transposed ? place(x, column, k) : place(x, k, column));
      sum *= *static_cast<const float*>(alpha);
      const float factor = *static_cast<const float*>(beta);
      if (factor != 0) sum += factor * value(c, place(y, row, column));
      static_cast<bf16*>(d)[place(y, row, column)] = esparse::to_bf16(sum);
    }
  return CUSPARSE_STATUS_SUCCESS;
}
cusparseStatus_t cusparseLtMatmulSearch(const cusparseLtHandle_t* handle, cusparseLtMatmulPlan_t* plan,
                                        const void* alpha, const void* a, const void* b, const void* beta,
                                        const void* c, void* d, void* workspace, cudaStream_t* streams, int32_t count) {
  log_text("s");
  const cusparseStatus_t status = cusparseLtMatmul(handle, plan, alpha, a, b, beta, c, d, workspace, streams, count);
  in<Plan>(plan).selection->values[CUSPARSELT_MATMUL_ALG_CONFIG_ID] = 3;
  in<Plan>(plan).selection->values[CUSPARSELT_MATMUL_SPLIT_K] = 2;
  return status;
}
cusparseStatus_t cusparseLtSpMMAPruneCheck2(const cusparseLtHandle_t*, const cusparseLtMatDescriptor_t* matrix, int,
                                            cusparseOperation_t, const void* data, int* invalid, cudaStream_t) {
  const Matrix& w = in<Matrix>(matrix);
  *invalid = 0;
  for (int64_t group = 0; group < w.rows * w.columns; group += 4) {
    int kept = 0;
    for (int64_t i = group; i < group + 4; ++i) kept += (static_cast<const bf16*>(data)[i].bits & 0x7fff) != 0;
    *invalid |= kept > 2;
  }
  return CUSPARSE_STATUS_SUCCESS;
}
cusparseStatus_t cusparseLtSpMMACompressedSize2(const cusparseLtHandle_t*, const cusparseLtMatDescriptor_t* matrix,
                                                size_t* bytes, size_t* scratch_bytes) {
  *bytes = static_cast<size_t>(in<Matrix>(matrix).rows * in<Matrix>(matrix).columns * 2);
  *scratch_bytes = 16;
  return CUSPARSE_STATUS_SUCCESS;
}
cusparseStatus_t cusparseLtSpMMACompress2(const cusparseLtHandle_t*, const cusparseLtMatDescriptor_t* matrix, int,
                                          cusparseOperation_t, const void* dense, void* compressed, void* scratch,
                                          cudaStream_t) {
  if (scratch == nullptr) return CUSPARSE_STATUS_INVALID_VALUE;
  std::memcpy(compressed, dense, static_cast<size_t>(in<Matrix>(matrix).rows * in<Matrix>(matrix).columns * 2));
  return CUSPARSE_STATUS_SUCCESS;
}

}  // extern "C"
