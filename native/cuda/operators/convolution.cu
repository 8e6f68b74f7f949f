// Conv and ConvTranspose: the same Correlation, run one way or the other.
#include "../kernel_gradients.h"
#include "../kernels.cuh"
#include "../layout.h"
#include "operators.h"

namespace tracin::cuda {

namespace {

// y ← leaky(y + bias), planes [images][channels]
__global__ void finishKernel(float* y, const float* bias, int channels, int64_t positions, float slope) {
  const float offset = bias ? bias[blockIdx.x % channels] : 0.f;
  float* plane = y + blockIdx.x * positions;
  eachReadOfPlane(
      positions, [&](unsigned i) { return plane[i] + offset; }, [&](unsigned i, float v) { plane[i] = v > 0.f ? v : v * slope; });
}

// The tangent through what finishKernel did: (ẏ + ḃ) · (y > 0 ? 1 : slope)
__global__ void finishTangentKernel(float* tangent, const float* bias, const float* y, int channels, int64_t positions, float slope) {
  const float offset = bias ? bias[blockIdx.x % channels] : 0.f;
  const int64_t start = blockIdx.x * positions;
  TRACIN_EACH_OF_PLANE(i, positions) {
    const float v = tangent[start + i] + offset;
    tangent[start + i] = y[start + i] > 0.f ? v : v * slope;
  }
}

// dy ← dy · (y > 0 ? 1 : slope)
__global__ void maskKernel(float* dy, WindowView window, const float* y, const int* images, int channels, int height, int width,
                           int64_t mapSize, float slope) {
  const int row = blockIdx.x / channels, channel = blockIdx.x % channels, n = window.volume();
  float* g = dy + int64_t(blockIdx.x) * n;
  const float* map = y + (int64_t(images[row]) * channels + channel) * mapSize;
  TRACIN_EACH_OF_PLANE(i, n) {
    int at[3];
    window.locate(i, at);
    const int z = at[0] + window.corner(row, 0), line = at[1] + window.corner(row, 1), x = at[2] + window.corner(row, 2);
    if (map[(int64_t(z) * height + line) * width + x] <= 0.f) g[i] *= slope;
  }
}

// sums[row][channel] = Σ over the window, of so and so many packs
template <int kRead>
__global__ void biasKernel(const float* dy, unsigned packs, float* sums) {
  __shared__ double shared[32];
  const Pack<kRead>* g = reinterpret_cast<const Pack<kRead>*>(dy) + int64_t(blockIdx.x) * packs;
  double sum = 0;
  eachRead<kRead == 1 ? 8 : 4>(
      threadIdx.x, packs, blockDim.x, [&](unsigned i) { return g[i]; },
      [&](unsigned, const Pack<kRead>& v) {
#pragma unroll
        for (int k = 0; k < kRead; ++k) sum += v.at[k];
      });
  sum = blockSum(sum, shared);
  if (threadIdx.x == 0) sums[blockIdx.x] = static_cast<float>(sum);
}

dim3 planes(int64_t count, int64_t n) {
  return {static_cast<unsigned>(count), static_cast<unsigned>(std::clamp<int64_t>((n + kThreads - 1) / kThreads, 1, 64))};
}

// ONNX kernels: Conv [Cout, Cin/groups, …]; ConvTranspose [Cin, Cout/groups, …], read here as the convolution that it transposes.
Correlation geometry(const Workspace& work, const Operation& op) {
  const auto& kernel = work.dims(op.inputs[1]);
  Correlation c{};
  c.rank = static_cast<int>(kernel.size()) - 2;
  c.groups = static_cast<int>(op.number("groups"));
  c.out = static_cast<int>(kernel[0]);
  c.in = static_cast<int>(kernel[1]) * c.groups;
  c.kernel = widen(op.integers("kernel"), 1);
  c.strides = widen(op.integers("strides"), 1);
  c.dilations = widen(op.integers("dilations"), 1);
  c.before = widen(op.integers("before"), 0);
  return c;
}

class Convolution : public Operator {
 public:
  Convolution(Workspace& w, const Operation& o) : Operator(w, o), shape_(geometry(w, o)), library_(w.device) {}

 protected:
  Correlation shape_;
  Convolutions library_;

  const float* bias() const { return input(2) < 0 ? nullptr : in(2).data; }
  float* kernel() const { return const_cast<float*>(in(1).data); }
  float* kernelTangent() const { return const_cast<float*>(tangents(1).data); }
  const float* biasTangent() const { return input(2) < 0 ? nullptr : tangents(2).data; }
  // What goes forward stays in float32: rounding it costs T many times what rounding cotangents does, for every later number moves.
  bool runForward(Pass pass, const Correlation& c, float* input, float* kernel, float* output, const Finish& finish = {}) {
    return library_.run(pass, Precision::f32, c, input, kernel, output, finish);
  }
  void runBackward(Pass pass, const Correlation& c, float* input, float* kernel, float* output) {
    library_.run(pass, work.precision, c, input, kernel, output);
  }
  void finish(int images, float slope) {
    if (!bias() && slope == 1.f) return;
    const Tensor& y = tensor(output);
    const int64_t n = volume(y.extent());
    finishKernel<<<planes(int64_t(images) * y.channels(), n), kThreads, 0, stream()>>>(out(), bias(), y.channels(), n, slope);
    launched();
  }
  // ẋ ⋆ w + x ⋆ ẇ; run(x, w, to) is what forward does.
  template <class Run>
  void tangentBy(int images, float slope, Run run) {
    const Tensor& y = tensor(output);
    const int64_t all = images * y.floats(), n = volume(y.extent());
    bool started = false;
    const auto add = [&](const Operand& x, float* w) {
      Pool::Piece room;
      float* to = outTangent();
      if (started) room = device().pool.takeFloats(all), to = room.floats();
      run(written(x), w, to);
      if (started) accumulate(device(), outTangent(), to, all);
      started = true;
    };
    if (tangents(0)) add(tangents(0), kernel());
    if (tangents(1)) add(in(0), kernelTangent());
    if (!started) device().zero(outTangent(), all * int64_t(sizeof(float)));
    if (!biasTangent() && slope == 1.f) return;
    finishTangentKernel<<<planes(int64_t(images) * y.channels(), n), kThreads, 0, stream()>>>(outTangent(), biasTangent(), out(),
                                                                                              y.channels(), n, slope);
    launched();
  }
  static float* written(const Operand& o) { return const_cast<float*>(o.data); }

  Correlation sized(int rows, const Extent& input, const Extent& output) const {
    Correlation c = shape_;
    c.rows = rows, c.input = input, c.output = output;
    return c;
  }

  void biasGradient(Backward& b) {
    if (input(2) < 0) return;
    const int channels = tensor(output).channels();
    deliver(b, 2, [&](Rows to) {
      const int64_t n = volume(b.dy.window->size);
      const auto add = [&](auto kernel, int read) {
        kernel<<<b.rows * channels, threadsFor(n), 0, stream()>>>(b.dy.data, static_cast<unsigned>(n / read), to.data);
        launched();
      };
      n % 4 == 0 && aligned<4>(b.dy.data) ? add(biasKernel<4>, 4) : add(biasKernel<1>, 1);
    });
  }

  // The kernel's gradient: of each row, or their sum in training.
  void kernelGradient(Backward& b, const Correlation& c, const Source& input, const float* dy) {
    if (!b.dx[1] && !b.gradient[1]) return;
    float* to = b.dx[1] ? b.dx[1].data : b.gradient[1];
    if (!b.summed) return kernelGradients(device(), device().pool, work.precision, c, input, dy, to);
    runBackward(Pass::weights, c, const_cast<float*>(input.maps), to, const_cast<float*>(dy));
    // a derived kernel's cotangent has a row for each slice: the first holds the sum
    if (b.dx[1] && b.rows > 1) device().zero(to + c.kernelFloats(), (b.rows - 1) * c.kernelFloats() * int64_t(sizeof(float)));
  }

  // Rows moved to another window of their map, unless they lie there.
  float* moved(Backward& b, const Rows& rows, const Window& window, const Extent& map, int channels, Pool::Piece& room) {
    if (rows.window->alike(window)) return rows.data;
    room = device().pool.takeFloats(int64_t(b.rows) * channels * volume(window.size));
    rewindow(device(), rows.data, *rows.window, room.floats(), window, b.rows, channels, map);
    return room.floats();
  }

  // A window from another one: its corners in every row changed, its size given.
  template <class Change>
  Window derived(const Window& from, int rows, const Extent& size, Change change, Pool::Piece& room) {
    Window w;
    w.whole = false;
    w.size = size;
    std::vector<int> flat;
    for (int r = 0; r < rows; ++r) {
      Extent corner = from.corners.empty() ? Extent{0, 0, 0} : from.corners[r];
      for (int a = 0; a < kAxes; ++a) flat.push_back(corner[a] = change(corner[a], a));
      w.corners.push_back(corner);
    }
    room = device().pool.upload(flat, stream());
    w.onDevice = room.as<int>();
    return w;
  }
};

class Conv final : public Convolution {
 public:
  Conv(Workspace& w, const Operation& o) : Convolution(w, o), after_(widen(o.integers("after"), 0)) {}

  bool fuse(float slope, int value) override {
    if (slope < 0.f) return false;  // the output's sign must tell the input's
    slope_ = slope, output = value;
    return true;
  }
  Extent alignment(int i) const override { return i == 0 ? shape_.strides : Extent{1, 1, 1}; }

  void forward(int images) override {
    if (!runForward(Pass::forward, whole(images), written(in(0)), kernel(), out(), {bias(), slope_})) finish(images, slope_);
  }

  void tangent(int images) override {
    tangentBy(images, slope_, [&](float* x, float* w, float* y) { runForward(Pass::forward, whole(images), x, w, y); });
  }

  void backward(Backward& b) override {
    const Tensor &y = tensor(output), &x = tensor(input(0));
    if (slope_ != 1.f) {
      const Extent e = y.extent();
      maskKernel<<<planes(int64_t(b.rows) * y.channels(), volume(b.dy.window->size)), kThreads, 0, stream()>>>(
          b.dy.data, *b.dy.window, out(), b.images, y.channels(), e[1], e[2], volume(e), slope_);
      launched();
    }
    biasGradient(b);
    // On the input's window the convolution is what it is on the map: what its windows meet of dy lies inside, or dy is zero there.
    const Window& window = *b.dx[0].window;
    Extent size;
    for (int a = 0; a < kAxes; ++a)
      size[a] = (window.size[a] + shape_.before[a] + after_[a] - (shape_.kernel[a] - 1) * shape_.dilations[a] - 1) / shape_.strides[a] + 1;
    Pool::Piece corners, room;
    Window onOutput;
    onOutput.size = size;
    if (!window.whole)
      onOutput = derived(
          window, b.rows, size, [&](int corner, int a) { return corner / shape_.strides[a]; }, corners);
    const float* dy = moved(b, b.dy, onOutput, y.extent(), y.channels(), room);
    const Correlation c = sized(b.rows, window.size, size);
    kernelGradient(b, c, {x.data.floats(), b.images, &window, x.extent()}, dy);
    if (b.dx[0]) runBackward(Pass::data, c, b.dx[0].data, kernel(), const_cast<float*>(dy));
  }

 private:
  const Extent after_;
  float slope_ = 1.f;

  Correlation whole(int images) const { return sized(images, tensor(input(0)).extent(), tensor(output).extent()); }
};

class ConvTranspose final : public Convolution {
 public:
  using Convolution::Convolution;

  void forward(int images) override {
    if (!runForward(Pass::data, whole(images), out(), kernel(), written(in(0)), {bias()})) finish(images, 1.f);
  }

  void tangent(int images) override {
    tangentBy(images, 1.f, [&](float* x, float* w, float* y) { runForward(Pass::data, whole(images), y, w, x); });
  }

  void backward(Backward& b) override {
    const Tensor &y = tensor(output), &x = tensor(input(0));
    biasGradient(b);
    if (b.summed) {
      const Correlation c = sized(b.rows, y.extent(), x.extent());
      kernelGradient(b, c, {b.dy.data, nullptr, b.dy.window, y.extent()}, x.data.floats());
      if (b.dx[0]) runBackward(Pass::forward, c, b.dy.data, kernel(), b.dx[0].data);
      return;
    }
    // dy over exactly what the windows at dx's positions cover, map or no map
    const Window& window = *b.dx[0].window;
    Extent size;
    for (int a = 0; a < kAxes; ++a) size[a] = (window.size[a] - 1) * shape_.strides[a] + (shape_.kernel[a] - 1) * shape_.dilations[a] + 1;
    Pool::Piece corners, room, cut;
    const Window covered = derived(
        window, b.rows, size, [&](int corner, int a) { return corner * shape_.strides[a] - shape_.before[a]; }, corners);
    float* dy = moved(b, b.dy, covered, y.extent(), y.channels(), room);
    Correlation c = sized(b.rows, size, window.size);
    c.before = {0, 0, 0};
    if (b.dx[1] || b.gradient[1]) {
      cut = device().pool.takeFloats(int64_t(b.rows) * x.channels() * volume(window.size));
      cutWindows(device(), x.data.floats(), b.images, cut.floats(), window, b.rows, x.channels(), x.extent());
      Window own;  // what lies in dy is all there is
      own.size = size;
      kernelGradient(b, c, {dy, nullptr, &own, size}, cut.floats());
    }
    if (b.dx[0]) runBackward(Pass::forward, c, dy, kernel(), b.dx[0].data);
  }

 private:
  Correlation whole(int images) const { return sized(images, tensor(output).extent(), tensor(input(0)).extent()); }
};

}  // namespace

std::unique_ptr<Operator> conv(Workspace& w, const Operation& o) { return std::make_unique<Conv>(w, o); }
std::unique_ptr<Operator> convTranspose(Workspace& w, const Operation& o) { return std::make_unique<ConvTranspose>(w, o); }

}  // namespace tracin::cuda
