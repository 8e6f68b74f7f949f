#include "convolutions.h"

#include <cuda_bf16.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>

#include "layout.h"
#include "timing.h"
#include "winograd_convolution.h"

namespace tracin::cuda {

namespace {

// More scratch than this and a plan is left aside.
constexpr int64_t kMostWorkspace = int64_t(2) << 30;
// Plans timed for each shape: cuDNN lists what it thinks fastest first.
constexpr size_t kCandidates = 8;

enum Name : int64_t { kInput = 'x', kKernel = 'w', kOutput = 'y' };

// A descriptor of cuDNN's graph interface.
class Descriptor {
 public:
  explicit Descriptor(cudnnBackendDescriptorType_t type) { check(cudnnBackendCreateDescriptor(type, &raw_), "descriptor"); }
  Descriptor(Descriptor&& o) noexcept : raw_(std::exchange(o.raw_, nullptr)) {}
  Descriptor& operator=(Descriptor&& o) noexcept {
    std::swap(raw_, o.raw_);
    return *this;
  }
  ~Descriptor() {
    if (raw_) cudnnBackendDestroyDescriptor(raw_);
  }
  template <class T>
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const std::vector<T>& list) {
    check(cudnnBackendSetAttribute(raw_, name, type, list.size(), list.data()), "attribute");
  }
  template <class T>
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, T value) {
    check(cudnnBackendSetAttribute(raw_, name, type, 1, &value), "attribute");
  }
  void set(cudnnBackendAttributeName_t name, const Descriptor& other) { set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, other.raw_); }
  void finalize(const char* what) { check(cudnnBackendFinalize(raw_), what); }
  bool finalizes() { return cudnnBackendFinalize(raw_) == CUDNN_STATUS_SUCCESS; }
  cudnnBackendDescriptor_t raw() const { return raw_; }

 private:
  cudnnBackendDescriptor_t raw_ = nullptr;
};

// The last axes; cuDNN wants two at least.
std::vector<int64_t> axes(const Extent& e, int rank) {
  std::vector<int64_t> list;
  for (int a = kAxes - std::max(rank, 2); a < kAxes; ++a) list.push_back(e[a]);
  return list;
}

Descriptor tensor(int64_t name, cudnnDataType_t type, int64_t rows, int64_t channels, const Extent& size, int rank, bool last) {
  std::vector<int64_t> dims{rows, channels};
  for (int64_t n : axes(size, rank)) dims.push_back(n);
  std::vector<int64_t> strides(dims.size());
  int64_t step = last ? channels : 1;
  for (size_t a = dims.size(); a-- > 2;) strides[a] = step, step *= dims[a];
  strides[1] = last ? 1 : step;
  strides[0] = last ? step : step * channels;
  Descriptor d(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  d.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, type);
  d.set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, dims);
  d.set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, strides);
  d.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, name);
  d.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, int64_t(16));
  d.finalize("tensor");
  return d;
}

struct Names {
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t alpha, beta, convolution, input, kernel, output;
};

Names names(Pass pass) {
  switch (pass) {
    case Pass::forward:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y};
    case Pass::data:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY};
    default:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY};
  }
}

Descriptor operationGraph(const Device& device, Pass pass, const Correlation& c, cudnnDataType_t type, bool last) {
  const int rank = std::max(c.rank, 2);
  Descriptor convolution(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  convolution.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
  convolution.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, CUDNN_CROSS_CORRELATION);
  convolution.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, int64_t(rank));
  convolution.set(CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, axes(c.dilations, rank));
  convolution.set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, axes(c.strides, rank));
  convolution.set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, axes(c.before, rank));
  convolution.set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, axes(c.before, rank));
  convolution.finalize("convolution");

  const Descriptor input = tensor(kInput, type, c.rows, c.in, c.input, rank, last);
  const Descriptor kernel = tensor(kKernel, type, c.out, c.in / c.groups, c.kernel, rank, last);
  const Descriptor output = tensor(kOutput, type, c.rows, c.out, c.output, rank, last);
  const Names n = names(pass);
  Descriptor operation(n.type);
  operation.set(n.alpha, CUDNN_TYPE_FLOAT, 1.f);
  operation.set(n.beta, CUDNN_TYPE_FLOAT, 0.f);
  operation.set(n.convolution, convolution);
  operation.set(n.input, input);
  operation.set(n.kernel, kernel);
  operation.set(n.output, output);
  operation.finalize("convolution operation");

  Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, device.dnn);
  graph.finalize("operation graph");
  return graph;
}

// What cuDNN proposes, best guess first.
std::vector<Descriptor> proposals(const Descriptor& graph, cudnnBackendHeurMode_t mode) {
  std::vector<Descriptor> list;
  Descriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, mode);
  if (!heuristics.finalizes()) return list;
  int64_t found = 0;
  if (cudnnBackendGetAttribute(heuristics.raw(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &found, nullptr) !=
      CUDNN_STATUS_SUCCESS)
    return list;
  std::vector<cudnnBackendDescriptor_t> raw;
  for (int64_t i = 0; i < found; ++i) {
    list.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    raw.push_back(list.back().raw());
  }
  int64_t given = 0;
  check(cudnnBackendGetAttribute(heuristics.raw(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, found, &given, raw.data()),
        "heuristics");
  list.erase(list.begin() + given, list.end());
  return list;
}

// float32 without tensor cores (they would round operands to tf32) unless allowed; the same bits every time; nothing compiled at run time.
bool acceptable(const Descriptor& configuration, Precision precision) {
  Descriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  int64_t found = 0;
  cudnnBackendDescriptor_t raw = engine.raw();
  if (cudnnBackendGetAttribute(configuration.raw(), CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &found, &raw) !=
      CUDNN_STATUS_SUCCESS)
    return false;
  std::array<cudnnBackendNumericalNote_t, CUDNN_NUMERICAL_NOTE_TYPE_COUNT> numerical;
  if (cudnnBackendGetAttribute(raw, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, numerical.size(), &found,
                               numerical.data()) != CUDNN_STATUS_SUCCESS)
    return false;
  for (int64_t i = 0; i < found; ++i) {
    if (numerical[i] == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC) return false;
    if (precision != Precision::f32) continue;
    if (numerical[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE || numerical[i] == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS) return false;
  }
  std::array<cudnnBackendBehaviorNote_t, CUDNN_BEHAVIOR_NOTE_TYPE_COUNT> behaviour;
  if (cudnnBackendGetAttribute(raw, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE, behaviour.size(), &found,
                               behaviour.data()) != CUDNN_STATUS_SUCCESS)
    return false;
  for (int64_t i = 0; i < found; ++i)
    if (behaviour[i] == CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION) return false;
  return true;
}

std::string describe(Pass pass, const Correlation& c) {
  const char* names[] = {"forward", "backward data", "backward weights"};
  const auto text = [](const Extent& e) { return std::to_string(e[0]) + "×" + std::to_string(e[1]) + "×" + std::to_string(e[2]); };
  return std::string(names[static_cast<int>(pass)]) + " convolution of " + std::to_string(c.rows) + " × " + std::to_string(c.in) + " to " +
         std::to_string(c.out) + " channels, input " + text(c.input) + ", kernel " + text(c.kernel);
}

}  // namespace

struct Convolutions::Plan {
  Descriptor plan;
  int64_t workspace;

  void run(Device& device, void* input, void* kernel, void* output) const {
    Pool::Piece room = device.pool.take(workspace);
    Descriptor arguments(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    arguments.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, std::vector<int64_t>{kInput, kKernel, kOutput});
    arguments.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, std::vector<void*>{input, kernel, output});
    arguments.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, room.as<void>());
    arguments.finalize("variant pack");
    check(cudnnBackendExecute(device.dnn, plan.raw(), arguments.raw()), "convolution");
  }
};

Convolutions::Convolutions(Device& device) : device_(device) {}
Convolutions::~Convolutions() = default;

namespace {

// Which of cuDNN's proposals serves each shape on a kind of device, chosen once in a process: measured again, another might win, and
// programs of one process would no longer give the same bits. Plans are made one at a time: beside each other, times would say little.
struct Choices {
  std::mutex one;
  std::map<std::pair<std::string, Convolutions::Key>, int> chosen;
};

Choices& choices() {
  static Choices all;
  return all;
}

}  // namespace

Convolutions::Plan& Convolutions::plan(const Key& key, void* input, void* kernel, void* output) {
  auto& known = plans_[key];
  if (known) return *known;
  const std::lock_guard lock(choices().one);
  const auto& [pass, precision, c] = key;
  const bool last = precision != Precision::f32;
  const Descriptor graph = operationGraph(device_, pass, c, precision == Precision::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT, last);
  auto& all = choices().chosen;
  const auto before = all.find({device_.kind, key});
  const int* chosen = before == all.end() ? nullptr : &before->second;
  std::unique_ptr<Plan> best;
  double least = INFINITY;
  int number = 0, choice = -1;
  size_t tried = 0;
  bool memory = true;  // was there for all that were tried
  for (const auto mode : {CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
    if (best) break;  // the other modes are for shapes the first has nothing for
    for (const Descriptor& configuration : proposals(graph, mode)) {
      if (best && (chosen || tried == kCandidates)) break;
      const int own = number++;
      if (chosen ? own != *chosen : !acceptable(configuration, precision)) continue;
      auto candidate = std::make_unique<Plan>(Plan{Descriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR), 0});
      candidate->plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, device_.dnn);
      candidate->plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration);
      if (!candidate->plan.finalizes()) continue;
      int64_t found = 0;
      check(cudnnBackendGetAttribute(candidate->plan.raw(), CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &found,
                                     &candidate->workspace),
            "workspace size");
      if (candidate->workspace > kMostWorkspace) continue;
      double ms = 0;
      if (!chosen) {
        try {
          ms = milliseconds(device_, 2, [&] { candidate->run(device_, input, kernel, output); });
        } catch (const std::bad_alloc&) {
          memory = false;
          continue;
        } catch (const std::exception&) {
          continue;  // a plan that cannot run here; the next one may
        }
        ++tried;
      }
      if (ms < least) least = ms, choice = own, best = std::move(candidate);
    }
  }
  if (!best && !memory) throw std::bad_alloc();
  if (!best) throw EngineError("cuda: cuDNN has no plan for a " + describe(pass, c));
  if (!chosen) all.emplace(std::pair(device_.kind, key), choice);
  return *(known = std::move(best));
}

void Convolutions::library(Pass pass, Precision precision, const Correlation& c, void* input, void* kernel, void* output) {
  plan({pass, precision, c}, input, kernel, output).run(device_, input, kernel, output);
}

bool Convolutions::run(Pass pass, Precision precision, const Correlation& c, float* input, float* kernel, float* output,
                       const Finish& finish) {
  if (const int rows = c.together(mostNumbers); rows < c.rows) return runInParts(rows, pass, precision, c, input, kernel, output, finish);
  if (precision == Precision::f32 && isWinograd(device_, pass, c)) {
    winogradConvolution(device_, pass, c, input, kernel, output, finish);
    return true;
  }
  if (!c.symmetric())
    runPadded(pass, precision, c, input, kernel, output);
  else if (precision == Precision::f32)
    library(pass, precision, c, input, kernel, output);
  else
    runChannelsLast(pass, precision, c, input, kernel, output);
  return false;
}

// Channels last, in the operands' type; the pass yields its array in that type, too.
void Convolutions::runChannelsLast(Pass pass, Precision precision, const Correlation& c, float* input, float* kernel, float* output) {
  const bool half = precision == Precision::bf16;
  struct Side {
    Pool::Piece room;
    float* plain;
    int rows, channels;
    int64_t positions;
  };
  Side sides[] = {{{}, input, c.rows, c.in, volume(c.input)},
                  {{}, kernel, c.out, c.in / c.groups, volume(c.kernel)},
                  {{}, output, c.rows, c.out, volume(c.output)}};
  Side& result = sides[pass == Pass::forward ? 2 : pass == Pass::data ? 0 : 1];
  for (Side& s : sides) {
    s.room = device_.pool.take(s.rows * s.channels * s.positions * (half ? 2 : 4));
    if (&s == &result) continue;
    if (half)
      channelsLast(device_, s.plain, s.room.as<__nv_bfloat16>(), s.rows, s.channels, s.positions);
    else
      channelsLast(device_, s.plain, s.room.floats(), s.rows, s.channels, s.positions);
  }
  void* arrays[] = {sides[0].room.as<void>(), sides[1].room.as<void>(), sides[2].room.as<void>()};
  library(pass, precision, c, arrays[0], arrays[1], arrays[2]);
  if (half)
    channelsFirst(device_, result.room.as<__nv_bfloat16>(), result.plain, result.rows, result.channels, result.positions);
  else
    channelsFirst(device_, result.room.floats(), result.plain, result.rows, result.channels, result.positions);
}

// So many rows at a time; kernels are summed over them.
bool Convolutions::runInParts(int together, Pass pass, Precision precision, const Correlation& c, float* input, float* kernel,
                              float* output, const Finish& finish) {
  Pool::Piece room;
  bool finished = false;
  for (int first = 0; first < c.rows; first += together) {
    Correlation part = c;
    part.rows = std::min(together, c.rows - first);
    if (pass == Pass::weights && first > 0 && !room) room = device_.pool.takeFloats(c.kernelFloats());
    finished = run(pass, precision, part, input + first * c.inputFloats(), room ? room.floats() : kernel, output + first * c.outputFloats(),
                   finish);
    if (room) accumulate(device_, kernel, room.floats(), c.kernelFloats());
  }
  return finished;
}

// The same on an input that holds its padding.
void Convolutions::runPadded(Pass pass, Precision precision, const Correlation& c, float* input, float* kernel, float* output) {
  Correlation padded = c;
  padded.before = {0, 0, 0};
  Window own, wide;
  own.size = c.input;
  wide.whole = false;
  Extent corner;
  for (int a = 0; a < kAxes; ++a) {
    padded.input[a] = (c.output[a] - 1) * c.strides[a] + (c.kernel[a] - 1) * c.dilations[a] + 1;
    corner[a] = -c.before[a];
  }
  wide.size = padded.input;
  std::vector<int> corners;
  for (int r = 0; r < c.rows; ++r) corners.insert(corners.end(), corner.begin(), corner.end());
  const Pool::Piece onDevice = device_.pool.upload(corners, device_.stream);
  wide.onDevice = onDevice.as<int>();
  Pool::Piece room = device_.pool.takeFloats(int64_t(c.rows) * c.in * volume(wide.size));
  if (pass != Pass::data) rewindow(device_, input, own, room.floats(), wide, c.rows, c.in, c.input);
  run(pass, precision, padded, room.floats(), kernel, output);
  if (pass == Pass::data) rewindow(device_, room.floats(), wide, input, own, c.rows, c.in, c.input);
}

}  // namespace tracin::cuda
