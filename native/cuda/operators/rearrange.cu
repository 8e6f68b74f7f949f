// Rearrange: every Transpose, Slice, Pad, Gather, … as one index; backward every input number sums the results it went to.
#include "../places.cuh"
#include "operators.h"

namespace tracin::cuda {

namespace {

__global__ void pickKernel(Operand x, const int* index, float fill, float* y, int n, int images) {
  TRACIN_EACH_OF_ROWS(image, i, images, n) {
    const int from = index[i];
    y[int64_t(image) * n + i] = from < 0 ? fill : slice(x, image)[from];
  }
}

// The results of input i are readers[starts[i]] … readers[starts[i + 1] − 1].
__global__ void collectKernel(const float* dy, int64_t dyRow, const int* starts, const int* readers, float* dx, int n, int rows) {
  TRACIN_EACH_OF_ROWS(row, i, rows, n) {
    const float* from = dy + row * dyRow;
    const int first = starts[i], end = starts[i + 1];
    float sum = 0.f;
    if (end - first == 1)
      sum = from[readers[first]];
    else if (end > first) {
      double total = 0;
      for (int r = first; r < end; ++r) total += from[readers[r]];
      sum = static_cast<float>(total);
    }
    dx[int64_t(row) * n + i] = sum;
  }
}

// The same with a block for each number: where few are read by many.
__global__ void collectBlocks(const float* dy, int64_t dyRow, const int* starts, const int* readers, float* dx, int n, int rows) {
  __shared__ double shared[32];
  for (int row = blockIdx.y; row < rows; row += gridDim.y)
    for (int i = blockIdx.x; i < n; i += gridDim.x) {
      double sum = 0;
      for (int r = starts[i] + threadIdx.x; r < starts[i + 1]; r += blockDim.x) sum += dy[row * dyRow + readers[r]];
      sum = blockSum(sum, shared);
      if (threadIdx.x == 0) dx[int64_t(row) * n + i] = static_cast<float>(sum);
    }
}

class Rearrange final : public Operator {
 public:
  Rearrange(Workspace& w, const Operation& o) : Operator(w, o), fill_(static_cast<float>(o.number("fill"))) {
    if (o.index.empty()) return;
    const int n = within(outFloats()), m = within(w.floats(o.inputs[0]));
    index_ = resident(device(), o.index);
    std::vector<int32_t> starts(m + 1, 0), readers;
    for (const int32_t from : o.index)
      if (from >= 0) ++starts[from + 1];
    for (int i = 0; i < m; ++i) most_ = std::max(most_, starts[i + 1]), starts[i + 1] += starts[i];
    readers.resize(starts[m]);
    std::vector<int32_t> next(starts.begin(), starts.end() - 1);
    for (int i = 0; i < n; ++i)
      if (o.index[i] >= 0) readers[next[o.index[i]]++] = i;
    starts_ = resident(device(), starts);
    readers_ = resident(device(), readers);
  }

  void forward(int images) override { pick(in(0), out(), images, fill_); }

  void backward(Backward& b) override {
    Pool::Piece room;
    const int64_t n = outFloats();
    deliverWhole(b, 0, [&](float* to) {
      const float* dy = wholeDy(b, room);
      if (!index_) return copy(dy, to, b.rows * n);
      const int m = within(work.floats(input(0)));
      if (most_ > 256) {
        const dim3 grid(static_cast<unsigned>(m), static_cast<unsigned>(std::min(b.rows, 65535)));
        collectBlocks<<<grid, kThreads, 0, stream()>>>(dy, n, starts_.as<int>(), readers_.as<int>(), to, m, b.rows);
      } else {
        collectKernel<<<gridOf(m, b.rows), kThreads, 0, stream()>>>(dy, n, starts_.as<int>(), readers_.as<int>(), to, m, b.rows);
      }
      launched();
    });
  }

  void tangent(int images) override { pick(tangents(0), outTangent(), images, 0.f); }

 private:
  float fill_;
  Buffer index_, starts_, readers_;
  int most_ = 0;  // readers of one number

  void copy(const float* from, float* to, int64_t n) {
    check(cudaMemcpyAsync(to, from, n * sizeof(float), cudaMemcpyDeviceToDevice, stream()), "copy");
  }

  void pick(const Operand& from, float* to, int images, float fill) {
    const int slices = repeats(images), n = within(outFloats());
    if (!index_) return copy(from.data, to, int64_t(slices) * n);
    pickKernel<<<gridOf(n, slices), kThreads, 0, stream()>>>(from, index_.as<int>(), fill, to, n, slices);
    launched();
  }
};

}  // namespace

std::unique_ptr<Operator> rearrange(Workspace& w, const Operation& o) { return std::make_unique<Rearrange>(w, o); }

}  // namespace tracin::cuda
