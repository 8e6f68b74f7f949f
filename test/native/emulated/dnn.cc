// One convolution as an operation graph of cuDNN. Four engines propose themselves; three must not be taken, or not in every precision:
// one gives other bits each time, one compiles at run time, one rounds operands as tensor cores do.
#include "cudnn.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cuda_bf16.h"
#include "emulated.h"

struct emulatedDnn {
  cudaStream_t stream = nullptr;
};

namespace {

struct Object {
  cudnnBackendDescriptorType_t type;
  bool finished = false;
  std::map<cudnnBackendAttributeName_t, std::vector<char>> values;
  std::map<cudnnBackendAttributeName_t, std::shared_ptr<Object>> objects;
  int engine = -1;  // of configurations, engines and plans

  template <class T>
  std::vector<T> list(cudnnBackendAttributeName_t name) const {
    const auto& bytes = values.at(name);
    std::vector<T> all(bytes.size() / sizeof(T));
    std::memcpy(all.data(), bytes.data(), bytes.size());
    return all;
  }
  template <class T>
  T one(cudnnBackendAttributeName_t name) const {
    return list<T>(name).at(0);
  }
  const Object& object(cudnnBackendAttributeName_t name) const { return *objects.at(name); }
};

using Handle = std::shared_ptr<Object>;
Handle& handleOf(cudnnBackendDescriptor_t raw) { return *static_cast<Handle*>(raw); }

enum Engine { kVarying, kTensorCores, kCompiling, kPlain, kEngines };
constexpr int64_t kWorkspace = 4096;

size_t sizeOf(cudnnBackendAttributeType_t type) {
  switch (type) {
    case CUDNN_TYPE_FLOAT:
      return sizeof(float);
    case CUDNN_TYPE_INT64:
      return sizeof(int64_t);
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_VOID_PTR:
      return sizeof(void*);
    default:
      return sizeof(int);
  }
}

constexpr int kMost = 3;
using Axes = std::array<int64_t, kMost>;

struct Tensor {
  cudnnDataType_t type;
  int64_t name, rows, channels, rowStride, channelStride;
  Axes size{1, 1, 1}, strides{0, 0, 0};

  explicit Tensor(const Object& o)
      : type(o.one<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE)), name(o.one<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID)) {
    const auto dims = o.list<int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS), steps = o.list<int64_t>(CUDNN_ATTR_TENSOR_STRIDES);
    rows = dims[0], channels = dims[1], rowStride = steps[0], channelStride = steps[1];
    for (size_t a = 2; a < dims.size(); ++a) size[kMost - dims.size() + a] = dims[a], strides[kMost - dims.size() + a] = steps[a];
  }
  int64_t volume() const { return size[0] * size[1] * size[2]; }
  int64_t bytes() const { return rows * channels * volume() * (type == CUDNN_DATA_BFLOAT16 ? 2 : 4); }

  // each(offset in the array, number in [channels][positions]) of one row
  template <class Each>
  void walk(int64_t row, Each each) const {
    int64_t number = 0;
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t z = 0; z < size[0]; ++z)
        for (int64_t y = 0; y < size[1]; ++y)
          for (int64_t x = 0; x < size[2]; ++x)
            each(row * rowStride + c * channelStride + z * strides[0] + y * strides[1] + x * strides[2], number++);
  }
  std::vector<float> read(const void* data, int64_t row, bool rounded) const {
    std::vector<float> all(channels * volume());
    walk(row, [&](int64_t at, int64_t i) {
      const float v =
          type == CUDNN_DATA_BFLOAT16 ? float(static_cast<const __nv_bfloat16*>(data)[at]) : static_cast<const float*>(data)[at];
      all[i] = rounded ? emulated::tf32(v) : v;
    });
    return all;
  }
  void write(void* data, int64_t row, const std::vector<float>& all) const {
    walk(row, [&](int64_t at, int64_t i) {
      if (type == CUDNN_DATA_BFLOAT16)
        static_cast<__nv_bfloat16*>(data)[at] = __float2bfloat16(all[i]);
      else
        static_cast<float*>(data)[at] = all[i];
    });
  }
};

struct Convolution {
  cudnnBackendDescriptorType_t pass;
  Tensor input, kernel, output;
  Axes pre{0, 0, 0}, strides{1, 1, 1}, dilations{1, 1, 1};
  int64_t groups;
  bool sound = true;

  static const Object& side(const Object& o, int i) {
    const cudnnBackendAttributeName_t forward[] = {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                                                   CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                                                   CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC};
    const cudnnBackendAttributeName_t data[] = {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                                                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                                                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC};
    const cudnnBackendAttributeName_t filter[] = {
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC};
    return o.object((o.type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR         ? forward
                     : o.type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR ? data
                                                                                              : filter)[i]);
  }

  explicit Convolution(const Object& o) : pass(o.type), input(side(o, 0)), kernel(side(o, 1)), output(side(o, 2)) {
    const Object& c = side(o, 3);
    const auto axes = [&](cudnnBackendAttributeName_t name, Axes& to) {
      const auto list = c.list<int64_t>(name);
      for (size_t a = 0; a < list.size(); ++a) to[kMost - list.size() + a] = list[a];
    };
    Axes post{0, 0, 0};
    axes(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, pre), axes(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, post);
    axes(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, strides), axes(CUDNN_ATTR_CONVOLUTION_DILATIONS, dilations);
    groups = input.channels / kernel.channels;
    sound = groups * kernel.channels == input.channels && kernel.rows == output.channels && output.channels % groups == 0 &&
            input.rows == output.rows && input.type == kernel.type && kernel.type == output.type;
    for (int a = 0; a < kMost; ++a)
      sound &=
          (input.size[a] + pre[a] + post[a] - (kernel.size[a] - 1) * dilations[a] - 1) / strides[a] + 1 == output.size[a] && pre[a] >= 0;
  }

  // each(first number of x's line, of w, first number of y's line, first and end of the line's outputs) over everything that meets
  template <class Each>
  void meet(Each each) const {
    const int64_t ins = kernel.channels, outs = output.channels / groups, taps = kernel.volume();
    for (int64_t o = 0; o < output.channels; ++o)
      for (int64_t i = 0; i < ins; ++i)
        for (int64_t tap = 0; tap < taps; ++tap) {
          const int64_t kx = tap % kernel.size[2], ky = tap / kernel.size[2] % kernel.size[1], kz = tap / kernel.size[2] / kernel.size[1];
          const int64_t shift = kx * dilations[2] - pre[2], s = strides[2];
          int64_t first = 0, end = output.size[2];
          while (first < end && first * s + shift < 0) ++first;
          while (end > first && (end - 1) * s + shift >= input.size[2]) --end;
          if (first == end) continue;
          const int64_t channel = o / outs * ins + i;
          for (int64_t z = 0; z < output.size[0]; ++z) {
            const int64_t iz = z * strides[0] - pre[0] + kz * dilations[0];
            if (iz < 0 || iz >= input.size[0]) continue;
            for (int64_t y = 0; y < output.size[1]; ++y) {
              const int64_t iy = y * strides[1] - pre[1] + ky * dilations[1];
              if (iy < 0 || iy >= input.size[1]) continue;
              each(((channel * input.size[0] + iz) * input.size[1] + iy) * input.size[2] + first * s + shift, (o * ins + i) * taps + tap,
                   ((o * output.size[0] + z) * output.size[1] + y) * output.size[2] + first, end - first);
            }
          }
        }
  }

  void run(void* x, void* w, void* y, bool rounded) const {
    const int64_t s = strides[2], kernels = kernel.rows * kernel.channels * kernel.volume();
    std::vector<float> weights(kernels);
    const bool gradient = pass == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR;
    if (!gradient)
      for (int64_t o = 0; o < kernel.rows; ++o) {
        const auto part = kernel.read(w, o, rounded);
        std::copy(part.begin(), part.end(), weights.begin() + o * part.size());
      }
    const bool forward = pass == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR;
    const Tensor &source = forward ? input : output, &target = forward ? output : input;
    for (int64_t row = 0; row < input.rows; ++row) {
      if (gradient) {
        const auto a = input.read(x, row, rounded), b = output.read(y, row, rounded);
        meet([&](int64_t in, int64_t k, int64_t out, int64_t n) {
          float sum = 0;
          for (int64_t i = 0; i < n; ++i) sum += a[in + i * s] * b[out + i];
          weights[k] += sum;
        });
        continue;
      }
      const auto from = source.read(forward ? x : y, row, rounded);
      std::vector<float> to(target.channels * target.volume());
      meet([&](int64_t in, int64_t k, int64_t out, int64_t n) {
        const float v = weights[k], *a = from.data() + (forward ? in : out);
        float* b = to.data() + (forward ? out : in);
        const int64_t readStep = forward ? s : 1, writeStep = forward ? 1 : s;
        if (s == 1)
          for (int64_t i = 0; i < n; ++i) b[i] += v * a[i];
        else
          for (int64_t i = 0; i < n; ++i) b[i * writeStep] += v * a[i * readStep];
      });
      target.write(forward ? y : x, row, to);
    }
    if (!gradient) return;
    const int64_t each = kernel.channels * kernel.volume();
    for (int64_t o = 0; o < kernel.rows; ++o)
      kernel.write(w, o, std::vector<float>(weights.begin() + o * each, weights.begin() + (o + 1) * each));
  }
};

Convolution convolutionOf(const Object& plan) {
  return Convolution(plan.object(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG)
                         .object(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH)
                         .object(CUDNN_ATTR_OPERATIONGRAPH_OPS));
}

}  // namespace

const char* cudnnGetErrorString(cudnnStatus_t status) { return status == CUDNN_STATUS_BAD_PARAM ? "bad parameter" : "not supported"; }
cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) { return *handle = new emulatedDnn, CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) { return delete handle, CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) { return handle->stream = stream, CUDNN_STATUS_SUCCESS; }

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t* to) {
  auto* handle = new Handle(std::make_shared<Object>());
  (*handle)->type = type;
  *to = handle;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t raw) { return delete static_cast<Handle*>(raw), CUDNN_STATUS_SUCCESS; }

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t raw, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                                       int64_t count, const void* list) {
  Object& o = *handleOf(raw);
  if (o.finished) return CUDNN_STATUS_BAD_PARAM;
  if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR) {
    const Handle& other = handleOf(*static_cast<const cudnnBackendDescriptor_t*>(list));
    if (count != 1 || !other->finished) return CUDNN_STATUS_BAD_PARAM;
    o.objects[name] = other;
  } else {
    const char* bytes = static_cast<const char*>(list);
    o.values[name].assign(bytes, bytes + count * sizeOf(type));
  }
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t raw) {
  Object& o = *handleOf(raw);
  switch (o.type) {
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR:
      if (!Convolution(o).sound) return CUDNN_STATUS_BAD_PARAM;
      break;
    case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR:
      // the first mode has nothing for convolutions in groups
      if (o.one<cudnnBackendHeurMode_t>(CUDNN_ATTR_ENGINEHEUR_MODE) == CUDNN_HEUR_MODE_B &&
          Convolution(o.object(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH).object(CUDNN_ATTR_OPERATIONGRAPH_OPS)).groups > 1)
        return CUDNN_STATUS_NOT_SUPPORTED;
      break;
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR:
      o.engine = o.object(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG).engine;
      break;
    default:
      break;
  }
  o.finished = true;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t raw, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t,
                                       int64_t wanted, int64_t* count, void* list) {
  Object& o = *handleOf(raw);
  if (!o.finished) return CUDNN_STATUS_BAD_PARAM;
  const auto give = [&](std::vector<int> notes) {
    *count = std::min<int64_t>(wanted, notes.size());
    std::copy_n(notes.data(), *count, static_cast<int*>(list));
    return CUDNN_STATUS_SUCCESS;
  };
  switch (name) {
    case CUDNN_ATTR_ENGINEHEUR_RESULTS: {
      *count = wanted ? std::min<int64_t>(wanted, kEngines) : int64_t(kEngines);
      for (int64_t i = 0; i < wanted && i < kEngines; ++i) {
        Object& configuration = *handleOf(static_cast<cudnnBackendDescriptor_t*>(list)[i]);
        configuration.objects[CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH] = o.objects.at(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
        configuration.engine = static_cast<int>(i), configuration.finished = true;
      }
      return CUDNN_STATUS_SUCCESS;
    }
    case CUDNN_ATTR_ENGINECFG_ENGINE: {
      Object& engine = *handleOf(*static_cast<cudnnBackendDescriptor_t*>(list));
      engine.engine = o.engine, engine.finished = true;
      *count = 1;
      return CUDNN_STATUS_SUCCESS;
    }
    case CUDNN_ATTR_ENGINE_NUMERICAL_NOTE:
      return give(o.engine == kVarying       ? std::vector<int>{CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC}
                  : o.engine == kTensorCores ? std::vector<int>{CUDNN_NUMERICAL_NOTE_TENSOR_CORE}
                                             : std::vector<int>{});
    case CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE:
      return give(o.engine == kCompiling ? std::vector<int>{CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION} : std::vector<int>{});
    case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE:
      *count = 1;
      *static_cast<int64_t*>(list) = kWorkspace;
      return CUDNN_STATUS_SUCCESS;
    default:
      return CUDNN_STATUS_BAD_PARAM;
  }
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t variantPack) {
  const Object &o = *handleOf(plan), &pack = *handleOf(variantPack);
  if (!o.finished || !pack.finished) return CUDNN_STATUS_BAD_PARAM;
  const Convolution c = convolutionOf(o);
  const auto names = pack.list<int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
  const auto pointers = pack.list<void*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
  const auto find = [&](const Tensor& t) -> void* {
    for (size_t i = 0; i < names.size(); ++i)
      if (names[i] == t.name && reinterpret_cast<uintptr_t>(pointers[i]) % 16 == 0 && emulated::onDevice(pointers[i], t.bytes()))
        return pointers[i];
    return nullptr;
  };
  void *x = find(c.input), *w = find(c.kernel), *y = find(c.output), *room = pack.one<void*>(CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
  if (!x || !w || !y || !emulated::onDevice(room, kWorkspace)) return CUDNN_STATUS_BAD_PARAM;
  const int engine = o.engine;
  emulated::enqueue(handle->stream, [=] {
    std::memset(room, 0x7f, kWorkspace);
    if (engine == kVarying || engine == kCompiling) return emulated::fail("a plan of cuDNN that must not be taken");
    c.run(x, w, y, engine == kTensorCores);
  });
  return CUDNN_STATUS_SUCCESS;
}
