// Winograd's minimal filtering for 3 × 3 kernels: maps in tiles of kTile × kTile, each seen with its border, take (kTile + 2)²
// multiplications in place of 9 kTile² both for convolutions, F(kTile², 3 × 3), and for what is transposed to them, the kernel's gradient.
// Of the three transforms the input's is the same; each of the frequencies is then a matrix product.
//
// A block multiplies operands of 32 rows and 32 columns at all frequencies, 8 terms at a time: while these are multiplied, the next ones
// are fetched, transformed and put into the other half of its shared memory. Tiles of 4 take 1.8 times fewer multiplications than tiles of
// 2 and move as much less through shared memory, but a multiprocessor holds one of their blocks in place of two, and maps must be cut
// into four times as many tiles before all are busy: which is faster is measured (winograd_choice.h).
#pragma once
#include "kernels.cuh"
#include "winograd_transforms.cuh"

namespace tracin::cuda::winograd {

constexpr int kSide = 32;  // rows, and columns, of a block's products
constexpr int kDepth = 8;  // terms at a time

template <int kTile>
struct Block {
  static constexpr int kSeen = kTile + 2, kFrequencies = kSeen * kSeen;
  static constexpr int kThreads = 16 * kFrequencies;    // a warp has two frequencies, a thread 8 × 8 numbers at one of them
  static constexpr int kResident = kTile == 2 ? 2 : 1;  // on a multiprocessor

  // An operand in shared memory is [terms][frequencies][kSide]; terms lie so that lanes which put eight terms of four neighbours fall on
  // 32 banks. A block has both operands, each twice.
  static constexpr int kTermPitch = kFrequencies * kSide + 4;
  static constexpr int kOperand = kDepth * kTermPitch, kBuffer = 2 * kOperand;
  static constexpr int kBytes = 2 * kBuffer * static_cast<int>(sizeof(float));
};

// The first lanes of a block fetch and transform a tile each. One of 4 is too large for the registers that are left: its numbers lie in
// shared memory behind the operands, each so many floats from the next.
constexpr int kLanes = kDepth * kSide;

// The products of a block, spread over its threads.
template <int kTile>
class Products {
  using B = Block<kTile>;

 public:
  __device__ Products() {
    const int lane = threadIdx.x % 32;
    frequency_ = threadIdx.x / 32 * 2 + lane / 16, row_ = lane / 2 % 4 * 4, column_ = (lane % 2 + lane / 8 % 2 * 2) * 4;
  }

  // sums[f][r][c] += Σ left[term][f][r] · right[term][f][c] over terms kFrom to kTo
  template <int kFrom, int kTo>
  __device__ void add(const float* left, const float* right) {
    left += frequency_ * kSide + row_, right += frequency_ * kSide + column_;
#pragma unroll
    for (int term = kFrom; term < kTo; ++term, left += B::kTermPitch, right += B::kTermPitch) {
      float a[8], b[8];
      load(left + kFrom * B::kTermPitch, a), load(right + kFrom * B::kTermPitch, b);
#pragma unroll
      for (int i = 0; i < 8; ++i)
#pragma unroll
        for (int j = 0; j < 8; ++j) sums_[i][j] = fmaf(a[i], b[j], sums_[i][j]);
    }
  }

  // take(row, column, numbers by frequency), each pair once, lanes along columns; the block's shared memory is needed for it.
  template <class Take>
  __device__ void finish(float* shared, Take take) const {
    static_assert(B::kFrequencies * kSide * kSide <= 2 * B::kBuffer);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const auto at = [](int f, int r, int c) { return (f * kSide + r) * kSide + (c ^ (r / 4 % 4 * 8)); };  // 32 banks for whoever writes
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 8; ++i)
#pragma unroll
      for (int j = 0; j < 8; j += 4) {
        const float* s = sums_[i] + j;
        *reinterpret_cast<float4*>(shared + at(frequency_, row_ + place(i), column_ + place(j))) = {s[0], s[1], s[2], s[3]};
      }
    __syncthreads();
    for (int r = warp; r < kSide; r += B::kThreads / 32) {
      float numbers[B::kSeen][B::kSeen];
#pragma unroll
      for (int f = 0; f < B::kFrequencies; ++f) numbers[f / B::kSeen][f % B::kSeen] = shared[at(f, r, lane)];
      take(r, lane, numbers);
    }
  }

 private:
  float sums_[8][8] = {};
  int frequency_, row_, column_;  // of the first

  // Four rows, or columns, and four more 16 from there. Lanes i and i ^ 1 read the same rows, i and i ^ 2 the same columns: either makes 16
  // bytes a lane two requests in place of four (forums.developer.nvidia.com/t/77228).
  static constexpr __device__ int place(int i) { return i % 4 + i / 4 * 16; }
  static __device__ void load(const float* from, float (&to)[8]) {
    const float4 a = *reinterpret_cast<const float4*>(from), b = *reinterpret_cast<const float4*>(from + place(4));
    to[0] = a.x, to[1] = a.y, to[2] = a.z, to[3] = a.w, to[4] = b.x, to[5] = b.y, to[6] = b.z, to[7] = b.w;
  }
};

// Numbers of a tile, number(line, column), transformed along both axes to where frequencies are kSide floats apart: kTogether columns of
// them at a time, so that few numbers lie between the two.
template <int kTile, int kFrom, class Number, class Transform>
__device__ inline void storeTransformed(Number number, Transform transform, float* at) {
  constexpr int kSeen = Block<kTile>::kSeen, kTogether = kTile == 2 ? kSeen : kSeen / 2;
#pragma unroll
  for (int first = 0; first < kSeen; first += kTogether) {
    float columns[kTogether][kFrom];
#pragma unroll
    for (int l = 0; l < kFrom; ++l) {
      float line[kFrom], seen[kSeen];
#pragma unroll
      for (int c = 0; c < kFrom; ++c) line[c] = number(l, c);
      transform(line, seen);
#pragma unroll
      for (int c = 0; c < kTogether; ++c) columns[c][l] = seen[first + c];
    }
#pragma unroll
    for (int c = 0; c < kTogether; ++c) {
      float seen[kSeen];
      transform(columns[c], seen);
#pragma unroll
      for (int l = 0; l < kSeen; ++l) at[(kSeen * l + first + c) * kSide] = seen[l];
    }
  }
}

// Bᵀ · tile · B, of a tile with its border.
template <int kTile, class Number>
__device__ inline void storeInput(Number number, float* at) {
  constexpr int kSeen = Block<kTile>::kSeen;
  storeTransformed<kTile, kSeen>(
      number, [](const float(&d)[kSeen], float(&v)[kSeen]) { Transforms<kTile>::input(d, v); }, at);
}

// A · tile · Aᵀ
template <int kTile, class Number>
__device__ inline void storeSpread(Number number, float* at) {
  storeTransformed<kTile, kTile>(
      number, [](const float(&y)[kTile], float(&m)[Block<kTile>::kSeen]) { Transforms<kTile>::spread(y, m); }, at);
}

}  // namespace tracin::cuda::winograd
