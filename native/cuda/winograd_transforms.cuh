// The transforms of Winograd's minimal filtering for kernels of three taps (Lavin & Gray 2016, arXiv:1509.09308) along one axis, by the
// numbers of a tile: F(2, 3), and F(4, 3) with interpolation points that keep the transforms' numbers close together.
#pragma once
#include <cuda_runtime.h>

namespace tracin::cuda::winograd {

template <int kTile>
struct Transforms;

template <>
struct Transforms<2> {
  static __device__ void input(const float (&d)[4], float (&v)[4]) {  // Bᵀ
    v[0] = d[0] - d[2], v[1] = d[1] + d[2], v[2] = d[2] - d[1], v[3] = d[1] - d[3];
  }
  static __device__ void output(const float (&m)[4], float (&y)[2]) {  // Aᵀ
    y[0] = m[0] + m[1] + m[2], y[1] = m[1] - m[2] - m[3];
  }
  static __device__ void spread(const float (&y)[2], float (&m)[4]) {  // A
    m[0] = y[0], m[1] = y[0] + y[1], m[2] = y[0] - y[1], m[3] = -y[1];
  }
  static __device__ void taps(const float (&w)[3], float (&u)[4]) {  // G
    const float ends = .5f * (w[0] + w[2]), middle = .5f * w[1];
    u[0] = w[0], u[1] = ends + middle, u[2] = ends - middle, u[3] = w[2];
  }
  static __device__ void gather(const float (&u)[4], float (&w)[3]) {  // Gᵀ
    const float half = .5f * (u[1] + u[2]);
    w[0] = u[0] + half, w[1] = .5f * (u[1] - u[2]), w[2] = half + u[3];
  }
};

template <>
struct Transforms<4> {
  static constexpr float a = .625f, b = 1.5f, p = a * a, q = b * b;  // points 0, ±a, ±b, ∞
  static constexpr float kA = 1.f / (2 * p * (p - q)), kB = 1.f / (2 * q * (q - p)), k0 = 1.f / (p * q);

  static __device__ void input(const float (&d)[6], float (&v)[6]) {  // Bᵀ
    const float ea = d[4] - q * d[2], oa = a * (d[3] - q * d[1]), eb = d[4] - p * d[2], ob = b * (d[3] - p * d[1]);
    v[0] = d[4] - (p + q) * d[2] + p * q * d[0], v[5] = d[5] - (p + q) * d[3] + p * q * d[1];
    v[1] = ea + oa, v[2] = ea - oa, v[3] = eb + ob, v[4] = eb - ob;
  }
  static __device__ void output(const float (&m)[6], float (&y)[4]) {  // Aᵀ
    const float sa = m[1] + m[2], da = m[1] - m[2], sb = m[3] + m[4], db = m[3] - m[4];
    y[0] = m[0] + sa + sb, y[1] = a * da + b * db, y[2] = p * sa + q * sb, y[3] = p * a * da + q * b * db + m[5];
  }
  static __device__ void spread(const float (&y)[4], float (&m)[6]) {  // A
    const float ea = y[0] + p * y[2], oa = a * (y[1] + p * y[3]), eb = y[0] + q * y[2], ob = b * (y[1] + q * y[3]);
    m[0] = y[0], m[1] = ea + oa, m[2] = ea - oa, m[3] = eb + ob, m[4] = eb - ob, m[5] = y[3];
  }
  static __device__ void taps(const float (&w)[3], float (&u)[6]) {  // G
    const float ea = kA * (w[0] + p * w[2]), oa = kA * a * w[1], eb = kB * (w[0] + q * w[2]), ob = kB * b * w[1];
    u[0] = k0 * w[0], u[1] = ea + oa, u[2] = ea - oa, u[3] = eb + ob, u[4] = eb - ob, u[5] = w[2];
  }
  static __device__ void gather(const float (&u)[6], float (&w)[3]) {  // Gᵀ
    const float sa = kA * (u[1] + u[2]), da = u[1] - u[2], sb = kB * (u[3] + u[4]), db = u[3] - u[4];
    w[0] = k0 * u[0] + sa + sb, w[1] = kA * a * da + kB * b * db, w[2] = p * sa + q * sb + u[5];
  }
};

// A transform along columns, then along lines.
template <int kFrom, int kTo, class Transform>
__device__ inline void alongBoth(const float (&from)[kFrom][kFrom], Transform transform, float (&to)[kTo][kTo]) {
  float lines[kTo][kFrom];
#pragma unroll
  for (int c = 0; c < kFrom; ++c) {
    float column[kFrom], transformed[kTo];
#pragma unroll
    for (int l = 0; l < kFrom; ++l) column[l] = from[l][c];
    transform(column, transformed);
#pragma unroll
    for (int l = 0; l < kTo; ++l) lines[l][c] = transformed[l];
  }
#pragma unroll
  for (int l = 0; l < kTo; ++l) transform(lines[l], to[l]);
}

}  // namespace tracin::cuda::winograd
