// Where numbers lie: rows of numbers as a grid, numpy broadcasting, windows on maps.
#pragma once
#include <vector>

#include "kernels.cuh"

namespace tracin::cuda {

constexpr int kMaxAxes = 8;  // after neighbours that run on together were joined

// Rows of n numbers: numbers along the grid's x, rows along its y.
inline dim3 gridOf(int64_t n, int rows, int depth = 1) {
  return dim3(blocksFor(within(n)), static_cast<unsigned>(std::min(rows, 65535)), static_cast<unsigned>(depth));
}
#define TRACIN_EACH_OF_ROWS(row, i, rows, n)                 \
  for (int row = blockIdx.y; row < (rows); row += gridDim.y) \
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < static_cast<unsigned>(n); i += gridDim.x * blockDim.x)

// Row r belongs to slice images[r]; without images to slice r.
__device__ inline int sliceOf(const int* images, int row) { return images ? images[row] : row; }
__device__ inline const float* slice(const Operand& o, int image) { return o.data + image * o.stride; }

// A list on the device.
template <class T>
Buffer resident(const Device& device, const std::vector<T>& list) {
  Buffer buffer(list.size() * sizeof(T));
  if (!list.empty()) device.upload(buffer.as<T>(), list.data(), buffer.bytes());
  return buffer;
}

// Steps through an operand's numbers along the result's axes: 0 where it is repeated. An operand may have leading axes of 1 that the
// result lacks.
inline std::vector<int64_t> broadcastStrides(const std::vector<int64_t>& result, const std::vector<int64_t>& operand) {
  std::vector<int64_t> strides(result.size(), 0);
  int64_t stride = 1;
  for (size_t i = 0; i < operand.size() && i < result.size(); ++i) {
    const int64_t n = operand[operand.size() - 1 - i];
    if (n != 1) strides[result.size() - 1 - i] = stride;
    stride *= n;
  }
  return strides;
}

// A result's numbers and where up to three operands broadcast to it have theirs.
struct Spread {
  int axes = 0, numbers = 1;
  Divider size[kMaxAxes];
  int stride[3][kMaxAxes] = {};

  Spread(const std::vector<int64_t>& result, const std::vector<std::vector<int64_t>>& operands) {
    numbers = within(count(result));
    std::vector<std::vector<int64_t>> steps;
    for (const auto& o : operands) steps.push_back(broadcastStrides(result, o));
    for (size_t a = 0; a < result.size(); ++a) {
      if (result[a] == 1) continue;
      bool joins = axes > 0;
      for (size_t o = 0; o < steps.size() && joins; ++o) joins = stride[o][axes - 1] == steps[o][a] * result[a];
      if (!joins && axes == kMaxAxes) throw EngineError("the cuda engine broadcasts over up to 8 axes");
      if (!joins) ++axes;
      size[axes - 1] = Divider(joins ? size[axes - 1].divisor * result[a] : result[a]);
      for (size_t o = 0; o < steps.size(); ++o) stride[o][axes - 1] = static_cast<int>(steps[o][a]);
    }
  }

  template <int N>
  __device__ void places(unsigned i, int (&at)[N]) const {
    for (int o = 0; o < N; ++o) at[o] = 0;
    for (int a = axes - 1; a >= 0; --a) {
      const unsigned rest = a > 0 ? size[a].quotient(i) : 0;
      const int here = i - rest * size[a].divisor;
      for (int o = 0; o < N; ++o) at[o] += here * stride[o][a];
      i = rest;
    }
  }
};

template <int N, class Each>
__global__ void spreadKernel(const __grid_constant__ Spread spread, int rows, Each each) {
  TRACIN_EACH_OF_ROWS(row, i, rows, spread.numbers) {
    int at[N];
    spread.places(i, at);
    each(row, i, at);
  }
}

// each(row, number of the result, places in the N operands)
template <int N, class Each>
void spreadOver(const Device& device, const Spread& spread, int rows, Each each) {
  spreadKernel<N><<<gridOf(spread.numbers, rows), kThreads, 0, device.stream>>>(spread, rows, each);
  launched();
}

// Rows of cotangents (or, without corners, slices) over maps of [channels, extent].
struct MapView {
  Divider size[3];
  int extent[3];
  int channels;
  const int* corners = nullptr;

  MapView(int channels, const Extent& map) : size{Divider(map[0]), Divider(map[1]), Divider(map[2])}, extent{map[0], map[1], map[2]} {
    this->channels = channels;
  }
  MapView(int channels, const Extent& map, const Window& w) : MapView(channels, map) {
    if (w.whole) return;
    for (int a = 0; a < kAxes; ++a) size[a] = Divider(w.size[a]);
    corners = w.onDevice;
  }

  int numbers() const { return within(int64_t(channels) * size[0].divisor * size[1].divisor * size[2].divisor); }
  __device__ int corner(int row, int axis) const { return corners ? corners[row * 3 + axis] : 0; }
  // Channel and place of a row's number: false where it lies off the map.
  __device__ bool locate(int row, unsigned i, int& channel, int (&at)[3]) const {
    bool inside = true;
    for (int a = 2; a >= 0; --a) {
      const unsigned rest = size[a].quotient(i);
      at[a] = static_cast<int>(i - rest * size[a].divisor) + corner(row, a);
      inside &= at[a] >= 0 && at[a] < extent[a];
      i = rest;
    }
    channel = i;
    return inside;
  }
  // Place within the row's window along an axis, −1 where it lies outside.
  __device__ int local(int row, int axis, int at) const {
    const int l = at - corner(row, axis);
    return l >= 0 && l < static_cast<int>(size[axis].divisor) && at >= 0 && at < extent[axis] ? l : -1;
  }
  __device__ int index(int channel, int z, int y, int x) const {
    return ((channel * size[0].divisor + z) * size[1].divisor + y) * size[2].divisor + x;
  }
};

// A value as maps over its last axes, everything before them channels.
inline Extent lastAxes(const std::vector<int64_t>& dims, size_t axes) {
  Extent e{1, 1, 1};
  for (size_t a = 0; a < axes; ++a) e[kAxes - 1 - a] = within(dims[dims.size() - 1 - a]);
  return e;
}

}  // namespace tracin::cuda
