#include "program.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "../core/checkpoint.h"
#include "../core/optimiser.h"
#include "correlation.h"
#include "losses.h"
#include "processor.h"
#include "residents.h"
#include "runner.h"
#include "threads.h"

namespace tracin::cpu {

namespace {

// A sink of region gradients, some slices at a time.
struct RowSink : Sink {
  int classes;
  std::vector<RowOwner> owners;
  virtual void begin(std::vector<RowOwner> rows) { owners = std::move(rows); }
  virtual void end() {}
  // Where row r of a gradient lies among [slices of the batch, K].
  int64_t row(size_t r) const { return int64_t(owners[r].slice) * classes + owners[r].label; }
};

// Compiled kernels that the library itself keeps, for whoever makes the same again.
constexpr int kLibraryKernels = 256;

// What the first call of a process brings into memory: the library itself and its threads (7.7 MB with oneDNN 2.6 and two threads).
constexpr int64_t kStartBytes = 8 << 20;

// Of slices that run together: kernels are better at several than at one, but memory never touched before is slow, too.
constexpr int64_t kTogetherBytes = int64_t(800) << 20;

// Only what goes backward is rounded: regions are predicted from logits, and an error on the way there moves every later number.
struct Rounding {
  Workspace& work;
  Rounding(Workspace& w, Precision precision) : work(w) { work.precision = precision; }
  ~Rounding() { work.precision = Precision::f32; }
};

class CpuProgram final : public Program {
 public:
  CpuProgram(Network network, const CompileOptions& options)
      : network_(std::move(network)), threads_(options.threads), precision_(options.precision), work_(network_) {
    useThreads(threads_);
    runner_.emplace(work_);
    together_ = static_cast<int>(std::max<int64_t>(1, kTogetherBytes / sliceBytes()));
  }

  int64_t parameterCount() const override {
    int64_t n = 0;
    for (int v : network_.selected) n += count(network_.values[v].dims);
    return n;
  }

  int keptSlices() const override { return together_; }

  int64_t rowBytes() const override {
    int64_t n = 0;
    for (const auto& use : runner_->uses()) n += Residents::bytes(use.floats, precision_);
    return n;
  }

  int quantum() const override { return work_.anySize ? 1 : 4; }

  int64_t fixedBytes() const override {
    int64_t weights = 0, kernels = 0;
    for (const Value& v : network_.values)
      if (v.kind == Value::Kind::parameter) weights += count(v.dims);
    for (const auto& op : network_.operations) kernels += op.type == "Conv" || op.type == "ConvTranspose";
    // weights as stored and in the kernels' orders for either direction, folded and not; compiled kernels of each convolution, and the
    // library's
    return kStartBytes + work_.scratchBytes + 5 * weights * int64_t(sizeof(float)) +
           (kernels * int64_t(kMostCompiled) + kLibraryKernels) * kCompiledBytes;
  }

  int64_t sliceBytes() const override {
    int64_t activations = 0, largest = 0, layer = 0;
    for (const Tensor& t : work_.tensors)
      if (t.used && !t.trainingOnly) activations += t.joined < 0 ? t.floats() : 0, largest = std::max(largest, t.floats());
    for (const auto& use : runner_->uses()) layer = std::max(layer, use.floats);
    // cotangents: a layer's and its input's, those a skip connection keeps waiting, and copies cut to boxes; gradients of one layer
    return (activations + network_.foreground() * (5 * largest + layer)) * int64_t(sizeof(float));
  }

  void load(const Views& initializers, int) override {
    for (size_t v = 0; v < network_.values.size(); ++v) {
      const Value& value = network_.values[v];
      if (value.kind != Value::Kind::parameter && value.kind != Value::Kind::statistic) continue;
      const auto numbers = initializerOf(initializers, value);
      work_.stored[v].assign(numbers.begin(), numbers.end());
    }
    ++work_.version;
  }

  KernelTable chooseKernels(const KernelTable& table, bool measure) override {
    useThreads(threads_);
    work_.choice.take(table);
    if (measure) work_.choice.measure(work_, precision_);
    return work_.choice.table(precision_);
  }

  bool useFloat32() override {
    precision_ = Precision::f32;
    return true;
  }

  void forward(int slices, const float* images, float* logits, float* features, const Abort& abort) override {
    useThreads(threads_);
    const int head = network_.operations[network_.head].inputs[0];
    for (int first = 0, n; first < slices; first += n) {
      n = std::min(together_, slices - first);
      runner_->forward(n, images + first * count(network_.values[network_.input].dims), nullptr, 0, abort);
      runner_->copyOut(network_.logits, n, logits + first * count(network_.values[network_.logits].dims));
      if (features) runner_->copyOut(head, n, features + first * count(network_.values[head].dims));
    }
  }

  void tangent(int slices, const float* images, const float* direction, float* logits, float* tangents, const Abort& abort) override {
    const int64_t maps = count(network_.values[network_.logits].dims);
    for (int first = 0, n; first < slices; first += n) {
      n = std::min(together_, slices - first);
      forward(n, images + first * count(network_.values[network_.input].dims), logits + first * maps, nullptr, abort);
      runner_->tangent(n, direction, tangents + first * maps, abort);
    }
  }

  RegionResult gradients(const RegionBatch& batch, const RegionLoss& loss, float* gradients, const Abort& abort) override {
    struct Plain final : RowSink {
      float* to;
      int64_t total;
      std::vector<int64_t> offsets;
      void take(const Gradient& g) override {
        for (int r = 0; r < g.count; ++r)
          g.owner->unpackGradient(g.input, g.rows + r * g.floats, to + row(r) * total + offsets[g.selected]);
      }
    } sink;
    sink.classes = network_.foreground();
    sink.to = gradients, sink.total = parameterCount();
    int64_t offset = 0;
    for (int v : network_.selected) sink.offsets.push_back(offset), offset += count(network_.values[v].dims);
    std::fill_n(gradients, int64_t(batch.slices) * sink.classes * sink.total, 0.f);
    return regions(batch, loss, sink, abort);
  }

  std::unique_ptr<Block> resident(int capacity) override {
    std::vector<int64_t> floats;
    for (const auto& use : runner_->uses()) floats.push_back(use.floats);
    return std::make_unique<Residents>(capacity, network_.foreground(), std::move(floats), precision_);
  }

  RegionResult append(Block& into, const RegionBatch& batch, const RegionLoss& loss, const Abort& abort) override {
    auto& block = dynamic_cast<Residents&>(into);
    block.checkRoom(batch.slices);
    struct Keep final : RowSink {
      Residents* block;
      std::vector<bool> present;
      void begin(std::vector<RowOwner> rows) override {
        RowSink::begin(std::move(rows));
        for (size_t r = 0; r < owners.size(); ++r) present[row(r)] = true;
      }
      void take(const Gradient& g) override {
#pragma omp parallel for schedule(static)
        for (int r = 0; r < g.count; ++r) block->keep(g.selected, row(r), g.rows + r * g.floats);
      }
    } sink;
    const int k = network_.foreground();
    sink.classes = k, sink.block = &block, sink.present.resize(batch.slices * k);
    RegionResult result = regions(batch, loss, sink, abort);
    for (size_t r = 0; r < sink.present.size(); ++r)
      for (size_t s = 0; !sink.present[r] && s < runner_->uses().size(); ++s) block.keep(static_cast<int>(s), r, nullptr);
    block.add(batch.slices);
    return result;
  }

  RegionResult contract(const Block* with, const RegionBatch& batch, const RegionLoss& loss, float* products, const Abort& abort) override {
    struct Contract final : RowSink {
      const Residents* block = nullptr;
      int residents = 0;
      int64_t columns;
      float* to;
      std::vector<double> products;
      void begin(std::vector<RowOwner> rows) override {
        RowSink::begin(std::move(rows));
        products.assign(size_t(residents) * owners.size(), 0.);
      }
      void take(const Gradient& g) override {
        if (residents) block->addProducts(g, products.data());
      }
      void end() override {
        for (int r = 0; r < residents; ++r)
          for (size_t i = 0; i < owners.size(); ++i) to[r * columns + row(i)] = static_cast<float>(products[r * owners.size() + i]);
      }
    } sink;
    const int k = network_.foreground();
    if (with) sink.block = dynamic_cast<const Residents*>(with), sink.residents = sink.block->rows();
    sink.classes = k, sink.columns = int64_t(batch.slices) * k, sink.to = products;
    std::fill_n(products, sink.residents * sink.columns, 0.f);
    return regions(batch, loss, sink, abort);
  }

  double step(int slices, const float* images, const uint8_t* targets, const TrainingLoss& loss, const Optimiser& optimiser,
              const Abort& abort) override {
    struct Train final : Sink {
      std::vector<std::vector<float>>* gradients;
      void take(const Gradient& g) override { g.owner->unpackGradient(g.input, g.rows, (*gradients)[g.selected].data()); }
    } sink;
    if (gradients_.empty()) {
      std::vector<std::vector<float>> all;  // or none, where memory runs out
      for (int v : network_.selected) all.emplace_back(count(network_.values[v].dims));
      gradients_ = std::move(all);
    }
    sink.gradients = &gradients_;
    useThreads(threads_);
    // a step that ends early leaves parameters and statistics as they were
    const auto before = statistics();
    struct Mode {
      bool& training;
      explicit Mode(bool& t) : training(t) { training = true; }
      ~Mode() { training = false; }
    } mode(work_.training);
    double value;
    std::vector<std::array<float*, 2>> slots;  // of each selected parameter
    try {
      runner_->forward(slices, images, nullptr, 0, abort);
      const Tensor& logits = work_.tensors[runner_->logits()];
      Cotangents cotangents(1);
      cotangents[0].resize(work_.tensors.size());
      Cotangent& seed = cotangents[0][runner_->logits()];
      runner_->open(seed, std::vector<Box>(slices, logits.whole()), logits);
      value = trainingLoss(loss, slices, logits.of(0), logits.shape, targets, seed.room.data());
      const Rounding rounding(work_, precision_);
      runner_->backward({{0, slices, false}}, cotangents, nullptr, {}, 1, sink, abort);
      for (int v : network_.selected) slots.push_back(slotsOf(optimiser, network_.values[v], slots_));  // before any parameter moves
    } catch (...) {
      for (const auto& [v, data] : before) work_.stored[v] = data;
      throw;
    }
    for (size_t i = 0; i < gradients_.size(); ++i) {
      const int v = network_.selected[i];
      update(optimiser, network_.values[v], gradients_[i], work_.stored[v], slots[i]);
    }
    ++work_.version;
    return value;
  }

  Arrays snapshot() const override {
    Arrays all;
    for (size_t v = 0; v < network_.values.size(); ++v)
      if (!work_.stored[v].empty()) all[network_.values[v].name] = work_.stored[v];
    return all;
  }
  const Arrays& optimiserState() const override { return slots_; }
  void restoreOptimiserState(const Arrays& state) override { slots_ = state; }

 private:
  const Network network_;
  const int threads_;
  Precision precision_;
  Workspace work_;
  std::optional<Runner> runner_;  // made once the thread count is set
  int together_;                  // slices
  Arrays slots_;
  std::vector<std::vector<float>> gradients_;  // by selected parameter, row-major; made with the first step and kept

  std::vector<std::pair<int, std::vector<float>>> statistics() const {
    std::vector<std::pair<int, std::vector<float>>> all;
    for (size_t v = 0; v < network_.values.size(); ++v)
      if (network_.values[v].kind == Value::Kind::statistic) all.emplace_back(v, work_.stored[v]);
    return all;
  }

  // As many slices at a time as `together_` allows.
  RegionResult regions(const RegionBatch& batch, const RegionLoss& loss, RowSink& sink, const Abort& abort) {
    useThreads(threads_);
    const int k = network_.foreground();
    RegionResult result{std::vector<float>(batch.slices * k), std::vector<float>(batch.slices * k)};
    for (int first = 0; first < batch.slices; first += together_)
      regions(batch, first, std::min(together_, batch.slices - first), loss, sink, result, abort);
    return result;
  }

  // Forward, a cotangent for each present region, backward into the sink.
  void regions(const RegionBatch& batch, int first, int slices, const RegionLoss& loss, RowSink& sink, RegionResult& result,
               const Abort& abort) {
    const int k = network_.foreground();
    const Tensor& logits = work_.tensors[runner_->logits()];
    const Shape& s = logits.shape;
    const int64_t positions = volume(s.extent);
    const auto mask = [&](const RowOwner& o) { return batch.masks + (int64_t(o.slice) * k + o.label) * positions; };
    std::vector<RowOwner> owners;
    for (int slice = first; slice < first + slices; ++slice)
      for (int c = 0; c < k; ++c)
        if (!boundingBox(mask({slice, c}), s.extent).empty()) owners.push_back({slice, c});
    if (owners.empty()) return;
    if (!batch.forwarded)
      runner_->forward(slices, batch.images + first * count(network_.values[network_.input].dims), &batch, first, abort);
    std::vector<Unit> units;
    Cotangents cotangents;
    for (size_t from = 0, to; from < owners.size(); from = to) {
      const int slice = owners[from].slice;
      std::vector<Box> boxes;
      for (to = from; to < owners.size() && owners[to].slice == slice; ++to) boxes.push_back(runner_->logitsBox(batch, owners[to]));
      cotangents.emplace_back(work_.tensors.size());
      Cotangent& seed = cotangents.back()[runner_->logits()];
      runner_->open(seed, boxes, logits);
      for (size_t r = from; r < to; ++r) {
        const RowOwner& o = owners[r];
        const Row& row = seed.rows.list[r - from];
        result.losses[o.slice * k + o.label] = static_cast<float>(
            regionLoss(loss, o.label + 1, logits.of(slice - first), s, batch.targets + slice * positions, mask(o), row.box, row.data));
      }
      units.push_back({slice - first, static_cast<int>(to - from), true});
    }
    sink.begin(owners);

    struct WithNorms final : Sink {
      Sink& next;
      std::vector<double> norms;
      WithNorms(Sink& s, size_t rows) : next(s), norms(rows) {}
      void take(const Gradient& g) override {
        addSquaredNorms(g.rows, g.count, g.floats, norms.data());
        next.take(g);
      }
    } measured(sink, owners.size());
    const Rounding rounding(work_, precision_);
    runner_->backward(units, cotangents, &batch, owners, static_cast<int>(owners.size()), measured, abort);
    for (size_t r = 0; r < owners.size(); ++r) result.norms[owners[r].slice * k + owners[r].label] = static_cast<float>(measured.norms[r]);
    sink.end();
  }
};

}  // namespace

std::unique_ptr<Program> compile(Network network, const CompileOptions& options) {
  if (const std::string reason = missing(options.precision); !reason.empty()) throw EngineError("cpu: " + reason);
  dnnl::set_primitive_cache_capacity(kLibraryKernels);
  return std::make_unique<CpuProgram>(std::move(network), options);
}

std::string missing(Precision precision) {
  if (precision == Precision::f32) return "";
  if (precision == Precision::tf32) return "only cuda has tf32: use f32";
  return hasBf16() ? "" : "this processor has no AVX-512 instructions for bfloat16, without which bf16 is no faster than f32: use f32";
}

std::string describe() {
  const auto* v = dnnl_version();
  return "oneDNN " + std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch) + ", " + instructions();
}

}  // namespace tracin::cpu
