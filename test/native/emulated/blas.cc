// Products as cuBLAS numbers them: columns run on.
#include "cublas_v2.h"

#include <vector>

#include "cuda_bf16.h"
#include "emulated.h"

struct emulatedBlas {
  cudaStream_t stream = nullptr;
};

namespace {

constexpr int kMostProducts = 65535;  // at once, as on Turing

struct Matrix {
  cudaDataType_t type;
  int64_t leading;
  bool transposed;
};

struct Problem {
  int m, n, k;
  float alpha, beta;
  Matrix a, b;
  int64_t ldc;
  cublasComputeType_t compute;

  float operand(const void* data, cudaDataType_t type, int64_t i) const {
    if (type == CUDA_R_16BF) return static_cast<const __nv_bfloat16*>(data)[i];
    const float v = static_cast<const float*>(data)[i];
    return compute == CUBLAS_COMPUTE_32F ? v : compute == CUBLAS_COMPUTE_32F_FAST_TF32 ? emulated::tf32(v) : float(__float2bfloat16(v));
  }

  // c [m, n] = alpha · op(a) · op(b) + beta · c
  void run(const void* from, const void* with, float* c) const {
    std::vector<float> rows(int64_t(k) * m);  // op(a), by k
    for (int64_t j = 0; j < k; ++j)
      for (int64_t i = 0; i < m; ++i) rows[j * m + i] = operand(from, a.type, a.transposed ? i * a.leading + j : j * a.leading + i);
    std::vector<float> sum(m);
    for (int64_t col = 0; col < n; ++col) {
      std::fill(sum.begin(), sum.end(), 0.f);
      for (int64_t j = 0; j < k; ++j) {
        const float v = operand(with, b.type, b.transposed ? j * b.leading + col : col * b.leading + j);
        const float* row = rows.data() + j * m;
        for (int i = 0; i < m; ++i) sum[i] += row[i] * v;
      }
      for (int i = 0; i < m; ++i) {
        float& to = c[col * ldc + i];
        to = alpha * sum[i] + (beta == 0.f ? 0.f : beta * to);
      }
    }
  }

  bool sound() const {
    return m > 0 && n > 0 && k > 0 && a.type == b.type && a.leading >= (a.transposed ? k : m) && b.leading >= (b.transposed ? n : k) &&
           ldc >= m;
  }
};

Problem problem(cublasOperation_t opA, cublasOperation_t opB, int m, int n, int k, const void* alpha, cudaDataType_t typeA, int lda,
                cudaDataType_t typeB, int ldb, const void* beta, int ldc, cublasComputeType_t compute) {
  return {m,
          n,
          k,
          *static_cast<const float*>(alpha),
          *static_cast<const float*>(beta),
          {typeA, lda, opA == CUBLAS_OP_T},
          {typeB, ldb, opB == CUBLAS_OP_T},
          ldc,
          compute};
}

size_t sizeOf(cudaDataType_t type) { return type == CUDA_R_16BF ? 2 : 4; }

}  // namespace

const char* cublasGetStatusString(cublasStatus_t) { return "an argument cuBLAS does not take"; }
cublasStatus_t cublasCreate(cublasHandle_t* handle) { return *handle = new emulatedBlas, CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasDestroy(cublasHandle_t handle) { return delete handle, CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) { return handle->stream = stream, CUBLAS_STATUS_SUCCESS; }

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t opA, cublasOperation_t opB, int m, int n, int k, const void* alpha,
                            const void* a, cudaDataType_t typeA, int lda, const void* b, cudaDataType_t typeB, int ldb, const void* beta,
                            void* c, cudaDataType_t typeC, int ldc, cublasComputeType_t compute, cublasGemmAlgo_t algorithm) {
  return cublasGemmStridedBatchedEx(handle, opA, opB, m, n, k, alpha, a, typeA, lda, 0, b, typeB, ldb, 0, beta, c, typeC, ldc, 0, 1,
                                    compute, algorithm);
}

cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t opA, cublasOperation_t opB, int m, int n, int k,
                                          const void* alpha, const void* a, cudaDataType_t typeA, int lda, long long strideA, const void* b,
                                          cudaDataType_t typeB, int ldb, long long strideB, const void* beta, void* c, cudaDataType_t typeC,
                                          int ldc, long long strideC, int count, cublasComputeType_t compute, cublasGemmAlgo_t) {
  const Problem p = problem(opA, opB, m, n, k, alpha, typeA, lda, typeB, ldb, beta, ldc, compute);
  if (!p.sound() || typeC != CUDA_R_32F || count < 1 || count > kMostProducts) return CUBLAS_STATUS_INVALID_VALUE;
  emulated::enqueue(handle->stream, [=] {
    for (int64_t i = 0; i < count; ++i)
      p.run(static_cast<const char*>(a) + i * strideA * sizeOf(typeA), static_cast<const char*>(b) + i * strideB * sizeOf(typeB),
            static_cast<float*>(c) + i * strideC);
  });
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGemmBatchedEx(cublasHandle_t handle, cublasOperation_t opA, cublasOperation_t opB, int m, int n, int k,
                                   const void* alpha, const void* const a[], cudaDataType_t typeA, int lda, const void* const b[],
                                   cudaDataType_t typeB, int ldb, const void* beta, void* const c[], cudaDataType_t typeC, int ldc,
                                   int count, cublasComputeType_t compute, cublasGemmAlgo_t) {
  const Problem p = problem(opA, opB, m, n, k, alpha, typeA, lda, typeB, ldb, beta, ldc, compute);
  if (!p.sound() || typeC != CUDA_R_32F || count < 1 || count > kMostProducts) return CUBLAS_STATUS_INVALID_VALUE;
  emulated::enqueue(handle->stream, [=] {
    for (int i = 0; i < count; ++i) p.run(a[i], b[i], static_cast<float*>(c[i]));
  });
  return CUBLAS_STATUS_SUCCESS;
}
