// Winograd's minimal filtering for 3 × 3 kernels (Lavin & Gray 2016): maps in tiles of 2 × 2, each seen with its border as 4 × 4 numbers,
// 16 multiplications in place of 36 both for convolutions, F(2×2, 3×3), and for what is transposed to them, the kernel's gradient. Of the
// three transforms the input's is the same; each of 16 frequencies is then a matrix product.
//
// A block multiplies operands of 32 rows and 32 or 64 columns at all frequencies, 8 terms at a time: while these are multiplied, the next
// ones are fetched, transformed and put into the other half of its shared memory. Reading from there is what the time goes to, and 64
// columns need three quarters of the reads.
#pragma once
#include "kernels.cuh"

namespace tracin::cuda::winograd {

constexpr int kFrequencies = 16;
constexpr int kSide = 32;    // rows of a block's products; columns come in as many
constexpr int kDepth = 8;    // terms at a time
constexpr int kBlock = 256;  // threads: a warp has two frequencies, a thread 8 rows × a quarter of the columns at one of them

// An operand in shared memory is [terms][frequencies][side]; terms lie so that lanes which put eight terms of four neighbours fall on 32
// banks.
constexpr __host__ __device__ int termPitch(int side) { return kFrequencies * side + 4; }
constexpr __host__ __device__ int operandFloats(int side) { return kDepth * termPitch(side); }

// Of a block: both operands, each twice.
constexpr __host__ __device__ int sharedBytes(int columns) {
  return 2 * (operandFloats(kSide) + operandFloats(columns)) * static_cast<int>(sizeof(float));
}

// Shared memory beyond 48 KiB has to be asked for; false where the device has less.
template <class Kernel>
bool fits(const Device& device, Kernel* kernel, int columns) {
  if (device.sharedBytes < sharedBytes(columns)) return false;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, sharedBytes(columns)), "cudaFuncSetAttribute");
  return true;
}

// Bᵀ · d, along one axis
__device__ inline void transformInput(float& a, float& b, float& c, float& d) {
  const float first = a - c, second = b + c, third = c - b, fourth = b - d;
  a = first, b = second, c = third, d = fourth;
}

// The products of a block, spread over its threads.
template <int kColumns>
class Products {
 public:
  __device__ Products() {
    const int lane = threadIdx.x % 32;
    frequency_ = threadIdx.x / 32 * 2 + lane / 16, row_ = lane % 16 / 4 * 4, column_ = lane % 4 * 4;
  }

  // sums[f][r][c] += Σ left[term][f][r] · right[term][f][c] over terms kFrom to kTo
  template <int kFrom, int kTo>
  __device__ void add(const float* left, const float* right) {
    left += frequency_ * kSide + row_, right += frequency_ * kColumns + column_;
#pragma unroll
    for (int term = kFrom; term < kTo; ++term) {
      float a[8], b[kQuarter];
#pragma unroll
      for (int i = 0; i < 8; i += 4) load(left + term * termPitch(kSide) + i * 4, a + i);
#pragma unroll
      for (int j = 0; j < kQuarter; j += 4) load(right + term * termPitch(kColumns) + j * 4, b + j);
#pragma unroll
      for (int i = 0; i < 8; ++i)
#pragma unroll
        for (int j = 0; j < kQuarter; ++j) sums_[i][j] = fmaf(a[i], b[j], sums_[i][j]);
    }
  }

  // take(row, column, numbers by frequency), each pair once, lanes along columns; the block's shared memory is needed for it.
  template <class Take>
  __device__ void finish(float* shared, Take take) const {
    static_assert(kFrequencies * kSide * kSide * sizeof(float) <= sharedBytes(kColumns));
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const auto at = [](int f, int r, int c) { return (f * kSide + r) * kSide + (c ^ (r % 8 * 4)); };  // 32 banks for whoever writes
#pragma unroll
    for (int part = 0; part < kColumns / kSide; ++part) {
      __syncthreads();
#pragma unroll
      for (int i = 0; i < 8; ++i)
#pragma unroll
        for (int j = 0; j < 8; j += 4) {
          const float* s = sums_[i] + part * 8 + j;
          *reinterpret_cast<float4*>(shared + at(frequency_, row_ + i % 4 + i / 4 * 16, column_ + j * 4)) = {s[0], s[1], s[2], s[3]};
        }
      __syncthreads();
      for (int r = warp; r < kSide; r += kBlock / 32) {
        float numbers[kFrequencies];
#pragma unroll
        for (int f = 0; f < kFrequencies; ++f) numbers[f] = shared[at(f, r, lane)];
        take(r, part * kSide + lane, numbers);
      }
    }
  }

 private:
  static constexpr int kQuarter = kColumns / 4;
  float sums_[8][kQuarter] = {};  // rows row_ + 0…3 and 16 more, columns likewise
  int frequency_, row_, column_;

  static __device__ void load(const float* from, float* to) {
    const float4 v = *reinterpret_cast<const float4*>(from);
    to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w;
  }
};

}  // namespace tracin::cuda::winograd
