// Winograd's minimal filtering for 3 × 3 kernels (Lavin & Gray 2016): maps in tiles of 2 × 2, each seen with its border as 4 × 4 numbers,
// 16 multiplications in place of 36 both for convolutions, F(2×2, 3×3), and for what is transposed to them, the kernel's gradient. Of the
// three transforms the input's is the same; each of 16 frequencies is then a matrix product.
//
// A block multiplies operands of 32 rows and 32 columns at all frequencies, 8 terms at a time: while these are multiplied, the next ones
// are fetched, transformed and put into the other half of its shared memory.
#pragma once
#include "kernels.cuh"

namespace tracin::cuda::winograd {

constexpr int kFrequencies = 16;
constexpr int kSide = 32;    // rows, and columns, of a block's products
constexpr int kDepth = 8;    // terms at a time
constexpr int kBlock = 256;  // threads: a warp has two frequencies, a thread 8 × 8 numbers at one of them

// An operand in shared memory is [terms][frequencies][kSide]; terms lie so that lanes which put eight terms of four neighbours fall on 32
// banks. A block has both operands, each twice.
constexpr int kTermPitch = kFrequencies * kSide + 4;
constexpr int kOperand = kDepth * kTermPitch, kBuffer = 2 * kOperand;
constexpr int kSharedBytes = 2 * kBuffer * static_cast<int>(sizeof(float));

// Shared memory beyond 48 KiB has to be asked for; false where the device has less.
template <class Kernel>
bool fits(const Device& device, Kernel* kernel) {
  if (device.sharedBytes < kSharedBytes) return false;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes), "cudaFuncSetAttribute");
  return true;
}

// Bᵀ · d, along one axis
__device__ inline void transformInput(float& a, float& b, float& c, float& d) {
  const float first = a - c, second = b + c, third = c - b, fourth = b - d;
  a = first, b = second, c = third, d = fourth;
}

// The products of a block, spread over its threads.
class Products {
 public:
  __device__ Products() {
    const int lane = threadIdx.x % 32;
    frequency_ = threadIdx.x / 32 * 2 + lane / 16, row_ = lane % 16 / 4 * 4, column_ = lane % 4 * 4;
  }

  // sums[f][r][c] += Σ left[term][f][r] · right[term][f][c] over terms kFrom to kTo
  template <int kFrom, int kTo>
  __device__ void add(const float* left, const float* right) {
    left += frequency_ * kSide + row_, right += frequency_ * kSide + column_;
#pragma unroll
    for (int term = kFrom; term < kTo; ++term, left += kTermPitch, right += kTermPitch) {
      float a[8], b[8];
      load(left + kFrom * kTermPitch, a), load(right + kFrom * kTermPitch, b);
#pragma unroll
      for (int i = 0; i < 8; ++i)
#pragma unroll
        for (int j = 0; j < 8; ++j) sums_[i][j] = fmaf(a[i], b[j], sums_[i][j]);
    }
  }

  // take(row, column, numbers by frequency), each pair once, lanes along columns; the block's shared memory is needed for it.
  template <class Take>
  __device__ void finish(float* shared, Take take) const {
    static_assert(kFrequencies * kSide * kSide <= 2 * kBuffer);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const auto at = [](int f, int r, int c) { return (f * kSide + r) * kSide + (c ^ (r % 8 * 4)); };  // 32 banks for whoever writes
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 8; ++i)
#pragma unroll
      for (int j = 0; j < 8; j += 4) {
        const float* s = sums_[i] + j;
        *reinterpret_cast<float4*>(shared + at(frequency_, row_ + place(i), column_ + place(j))) = {s[0], s[1], s[2], s[3]};
      }
    __syncthreads();
    for (int r = warp; r < kSide; r += kBlock / 32) {
      float numbers[kFrequencies];
#pragma unroll
      for (int f = 0; f < kFrequencies; ++f) numbers[f] = shared[at(f, r, lane)];
      take(r, lane, numbers);
    }
  }

 private:
  float sums_[8][8] = {};
  int frequency_, row_, column_;  // of the first

  // Four rows, or columns, and four more 16 from there: eight lanes read 128 bytes on end, or the same.
  static constexpr __device__ int place(int i) { return i % 4 + i / 4 * 16; }
  static __device__ void load(const float* from, float (&to)[8]) {
    const float4 a = *reinterpret_cast<const float4*>(from), b = *reinterpret_cast<const float4*>(from + place(4));
    to[0] = a.x, to[1] = a.y, to[2] = a.z, to[3] = a.w, to[4] = b.x, to[5] = b.y, to[6] = b.z, to[7] = b.w;
  }
};

}  // namespace tracin::cuda::winograd
