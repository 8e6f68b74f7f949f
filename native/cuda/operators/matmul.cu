// MatMul as numpy.matmul: products of matrices over broadcast leading axes, by cuBLAS.
#include "../fold.cuh"
#include "operators.h"

namespace tracin::cuda {

namespace {

using Dims = std::vector<int64_t>;

// Where a product finds its matrices: of slice images[row] or of the row itself, then by the leading axes.
struct Matrices {
  const float* data;
  int64_t row;     // numbers from one row to the next
  int64_t matrix;  // numbers of a matrix
  int operand;     // 0, 1: whose place among the leading axes; −1: the result's own
  const int* images;
  __device__ const float* of(int r, unsigned product, const int (&at)[2]) const {
    return data + sliceOf(images, r) * row + (operand < 0 ? int64_t(product) : at[operand]) * matrix;
  }
};

struct Pointers {
  Matrices a, b, c;
  const float **toA, **toB;
  float** toC;
  int64_t n;
  __device__ void operator()(int row, unsigned product, const int (&at)[2]) const {
    const int64_t i = row * n + product;
    toA[i] = a.of(row, product, at), toB[i] = b.of(row, product, at), toC[i] = const_cast<float*>(c.of(row, product, at));
  }
};

struct Copied {
  const float* from;
  int64_t row;
  __device__ float operator()(int r, const Place& p) const { return from[r * row + p.dy]; }
};

struct Size {
  bool transposeA, transposeB;
  int64_t m, n, k;  // c [m, n] = op(a) [m, k] · op(b) [k, n], all row-major
};

// Sizes once the leading axes are known. A right operand without leading axes is one matrix for all rows of the left: one product.
struct Problem {
  Dims left, right, result;  // leading axes
  int64_t m, k, n;
  Problem(const Dims& a, const Dims& b, const Dims& y) : left(leading(a)), right(leading(b)), result(leading(y)) {
    m = a[a.size() - 2], k = a.back(), n = b.back();
    if (count(right) != 1 || count(left) != count(result)) return;
    m *= count(result);
    left = right = result = {};
  }
  int64_t products() const { return count(result); }
  static Dims leading(const Dims& dims) { return {dims.begin(), dims.end() - 2}; }
};

class MatMul final : public Operator {
 public:
  MatMul(Workspace& w, const Operation& o)
      : Operator(w, o),
        p_(w.dims(o.inputs[0]), w.dims(o.inputs[1]), w.dims(o.output)),
        spread_(p_.result, {p_.left, p_.right}),
        back_(w.precision == Precision::f32 ? CUBLAS_COMPUTE_32F : CUBLAS_COMPUTE_32F_FAST_TF32) {}

  void forward(int images) override { multiply(in(0), in(1), out(), repeats(images), 0.f); }

  void backward(Backward& b) override {
    Pool::Piece room;
    const Matrices dy{nullptr, outFloats(), p_.m * p_.n, -1, nullptr};
    deliverWhole(b, 0, [&](float* to) {
      Matrices g = dy;
      g.data = wholeDy(b, room);
      if (in(1).stride == 0 && p_.products() == 1)
        return product({false, true, b.rows * p_.m, p_.k, p_.n}, g.data, in(1).data, to, 0.f, back_);
      toOperand(b, {false, true, p_.m, p_.k, p_.n}, g, matrices(in(1), 1, b.images), p_.left, to);
    });
    deliverWhole(b, 1, [&](float* to) {
      Matrices g = dy;
      g.data = room ? room.floats() : wholeDy(b, room);
      toOperand(b, {true, false, p_.k, p_.n, p_.m}, matrices(in(0), 0, b.images), g, p_.right, to);
    });
  }

  void tangent(int images) override {
    const int slices = repeats(images);
    if (tangents(0)) multiply(tangents(0), in(1), outTangent(), slices, 0.f);
    if (tangents(1)) multiply(in(0), tangents(1), outTangent(), slices, tangents(0) ? 1.f : 0.f);
  }

 private:
  Problem p_;
  Spread spread_;
  const cublasComputeType_t back_;  // on the way back; forward is float32

  Matrices matrices(const Operand& o, int i, const int* images) const {
    return {o.data, o.stride, i == 0 ? p_.m * p_.k : p_.k * p_.n, i, images};
  }

  // y = a · b + keep · y
  void multiply(const Operand& a, const Operand& b, float* y, int slices, float keep) {
    if (b.stride == 0 && p_.products() == 1 && (a.stride > 0 || slices == 1))
      return product({false, false, slices * p_.m, p_.n, p_.k}, a.data, b.data, y, keep);
    const Matrices to{y, outFloats(), p_.m * p_.n, -1, nullptr};
    products({false, false, p_.m, p_.n, p_.k}, matrices(a, 0, nullptr), matrices(b, 1, nullptr), to, slices, keep);
  }

  // The gradient of an operand: a product for every one of the forward pass, summed where the operand was repeated.
  void toOperand(Backward& b, const Size& s, const Matrices& left, const Matrices& right, const Dims& own, float* to) {
    const int64_t all = p_.products() * s.m * s.n;
    const bool repeated = count(own) != p_.products();
    Pool::Piece terms;
    if (repeated) terms = device().pool.takeFloats(b.rows * all);
    float* result = repeated ? terms.floats() : to;
    products(s, left, right, {result, all, s.m * s.n, -1, nullptr}, b.rows, 0.f, back_);
    if (!repeated) return;
    Dims from = p_.result, into = own;
    from.push_back(s.m * s.n), into.push_back(s.m * s.n);
    fold(device(), planOf(from, Window{}, into, Window{}, {}, {}), b.rows, Copied{result, all}, to);
  }

  // cuBLAS thinks in columns: what it calls the left factor is our right one.
  void product(const Size& s, const float* a, const float* b, float* c, float keep, cublasComputeType_t compute = CUBLAS_COMPUTE_32F) {
    const float one = 1.f;
    const int ldb = within(s.transposeB ? s.k : s.n), lda = within(s.transposeA ? s.m : s.k), ldc = within(s.n);
    check(cublasGemmEx(device().blas, turned(s.transposeB), turned(s.transposeA), within(s.n), within(s.m), within(s.k), &one, b,
                       CUDA_R_32F, ldb, a, CUDA_R_32F, lda, &keep, c, CUDA_R_32F, ldc, compute, CUBLAS_GEMM_DEFAULT),
          "matrix product");
  }

  void products(const Size& s, const Matrices& a, const Matrices& b, const Matrices& c, int rows, float keep,
                cublasComputeType_t compute = CUBLAS_COMPUTE_32F) {
    const int64_t n = p_.products() * rows;
    Pool::Piece room = device().pool.take(3 * n * int64_t(sizeof(float*)));
    const float **toA = room.as<const float*>(), **toB = toA + n;
    float** toC = room.as<float*>() + 2 * n;
    spreadOver<2>(device(), spread_, rows, Pointers{a, b, c, toA, toB, toC, p_.products()});
    const float one = 1.f;
    const int ldb = within(s.transposeB ? s.k : s.n), lda = within(s.transposeA ? s.m : s.k), ldc = within(s.n);
    for (int64_t first = 0; first < n; first += kMostProducts)
      check(cublasGemmBatchedEx(device().blas, turned(s.transposeB), turned(s.transposeA), within(s.n), within(s.m), within(s.k), &one,
                                reinterpret_cast<const void* const*>(toB + first), CUDA_R_32F, ldb,
                                reinterpret_cast<const void* const*>(toA + first), CUDA_R_32F, lda, &keep,
                                reinterpret_cast<void* const*>(toC + first), CUDA_R_32F, ldc,
                                static_cast<int>(std::min<int64_t>(kMostProducts, n - first)), compute, CUBLAS_GEMM_DEFAULT),
            "matrix products");
  }

  static cublasOperation_t turned(bool transposed) { return transposed ? CUBLAS_OP_T : CUBLAS_OP_N; }
};

}  // namespace

std::unique_ptr<Operator> matMul(Workspace& w, const Operation& o) { return std::make_unique<MatMul>(w, o); }

}  // namespace tracin::cuda
