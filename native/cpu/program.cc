#include "program.h"

#include <omp.h>

#include <algorithm>
#include <cmath>

#include "../core/optimiser.h"
#include "losses.h"
#include "operators/operators.h"
#include "sinks.h"

namespace tracin::cpu {

namespace {

// Which slice and class a gradient row belongs to.
struct RowOwner {
  int slice, label;  // label 0..K−1
};

struct Cotangent {
  Rows rows;
  Pool::Piece room;
  bool started = false;
};

class CpuBlock final : public Block {
 public:
  int capacity, used = 0;
  std::vector<Buffer> rows;  // by selected parameter: [capacity · K, floats]
  int slices() const override { return used; }
  void clear() override { used = 0; }
};

class CpuProgram final : public Program {
 public:
  CpuProgram(Network network, int threads) : network_(std::move(network)), threads_(threads), work_(network_) {
    omp_set_num_threads(threads_);
    describeTensors();
    makeOperators();
    for (size_t s = 0; s < network_.selected.size(); ++s) selectedIndex_[network_.selected[s]] = static_cast<int>(s);
    findNeeds();
  }

  int64_t parameterCount() const override {
    int64_t n = 0;
    for (int v : network_.selected) n += count(network_.values[v].dims);
    return n;
  }

  int64_t rowBytes() const override {
    int64_t n = 0;
    for (const auto& use : uses_) n += use.floats;
    return n * int64_t(sizeof(float));
  }

  int64_t fixedBytes() const override {
    int64_t weights = 0, kernels = 0;
    for (const Value& v : network_.values)
      if (v.kind == Value::Kind::parameter) weights += count(v.dims);
    for (const auto& op : network_.operations) kernels += op.type == "Conv" || op.type == "ConvTranspose";
    // weights as stored and in the library's orders for either direction; compiled kernels, a handful for each convolution
    return 3 * weights * int64_t(sizeof(float)) + kernels * (int64_t(3) << 20);
  }

  int64_t sliceBytes() const override {
    int64_t activations = 0, largest = 0, layer = 0;
    for (const Tensor& t : work_.tensors)
      if (t.shape.channels) activations += t.floats(), largest = std::max(largest, t.floats());
    for (const auto& use : uses_) layer = std::max(layer, use.floats);
    // cotangents: a layer's and its input's, those a skip connection keeps waiting, and copies cut to boxes; gradients of one layer
    return (activations + network_.foreground() * (5 * largest + layer)) * int64_t(sizeof(float));
  }

  void load(const Arrays& initializers) override {
    for (size_t v = 0; v < network_.values.size(); ++v) {
      const Value& value = network_.values[v];
      if (value.kind == Value::Kind::activation || value.kind == Value::Kind::constant) continue;
      const auto it = initializers.find(value.name);
      if (it == initializers.end() || int64_t(it->second.size()) != count(value.dims))
        throw CheckpointError("initializer " + value.name + " does not fit the network: use a checkpoint of this network");
      for (float x : it->second)
        if (!std::isfinite(x))
          throw CheckpointError("initializer " + value.name + " holds a number that is not finite: use a checkpoint before it diverged");
      work_.stored[v] = it->second;
    }
    ++work_.version;
  }

  void forward(int slices, const float* images, float* logits, float* features, const Abort& abort) override {
    omp_set_num_threads(threads_);
    run(slices, images, abort);
    copyOut(network_.logits, slices, logits);
    if (features) copyOut(network_.operations[network_.head].inputs[0], slices, features);
  }

  RegionResult gradients(const RegionBatch& batch, const RegionLoss& loss, float* gradients, const Abort& abort) override {
    struct Plain final : Sink {
      float* to;
      int64_t total;
      std::vector<int64_t> offsets;
      std::vector<int64_t> rows;
      void take(const Gradient& g) override {
        for (int r = 0; r < g.count; ++r)
          g.owner->unpackGradient(g.input, g.rows + r * g.floats, to + rows[r] * total + offsets[g.selected]);
      }
    } sink;
    sink.to = gradients, sink.total = parameterCount();
    int64_t offset = 0;
    for (int v : network_.selected) sink.offsets.push_back(offset), offset += count(network_.values[v].dims);
    const int k = network_.foreground();
    std::fill_n(gradients, int64_t(batch.slices) * k * sink.total, 0.f);
    return regions(batch, loss, sink, abort, [&](const std::vector<RowOwner>& owners) {
      for (const auto& o : owners) sink.rows.push_back(int64_t(o.slice) * k + o.label);
    });
  }

  std::unique_ptr<Block> resident(int capacity) override {
    auto block = std::make_unique<CpuBlock>();
    block->capacity = capacity;
    for (const auto& use : uses_) block->rows.emplace_back(size_t(capacity) * network_.foreground() * use.floats);
    return block;
  }

  RegionResult append(Block& into, const RegionBatch& batch, const RegionLoss& loss, const Abort& abort) override {
    auto& block = dynamic_cast<CpuBlock&>(into);
    if (block.used + batch.slices > block.capacity) throw EngineError("resident block is full");
    struct Keep final : Sink {
      CpuBlock* block;
      std::vector<int64_t> rows;
      void take(const Gradient& g) override {
        for (int r = 0; r < g.count; ++r) std::copy_n(g.rows + r * g.floats, g.floats, block->rows[g.selected].data() + rows[r] * g.floats);
      }
    } sink;
    sink.block = &block;
    const int k = network_.foreground();
    const int64_t first = int64_t(block.used) * k;
    for (size_t s = 0; s < uses_.size(); ++s)  // absent regions keep zero rows
      std::fill_n(block.rows[s].data() + first * uses_[s].floats, batch.slices * k * uses_[s].floats, 0.f);
    RegionResult result = regions(batch, loss, sink, abort, [&](const std::vector<RowOwner>& owners) {
      for (const auto& o : owners) sink.rows.push_back(first + int64_t(o.slice) * k + o.label);
    });
    block.used += batch.slices;
    return result;
  }

  RegionResult contract(const Block* with, const RegionBatch& batch, const RegionLoss& loss, float* products, const Abort& abort) override {
    struct Contract final : Sink {
      const CpuBlock* block = nullptr;
      int residents = 0;
      std::vector<double> products;
      void take(const Gradient& g) override {
        if (residents) addProducts(block->rows[g.selected].data(), residents, g.rows, g.count, g.floats, products.data());
      }
    } sink;
    const int k = network_.foreground();
    if (with) sink.block = dynamic_cast<const CpuBlock*>(with), sink.residents = with->slices() * k;
    std::vector<RowOwner> rows;
    RegionResult result = regions(batch, loss, sink, abort, [&](const std::vector<RowOwner>& owners) {
      rows = owners;
      sink.products.assign(size_t(sink.residents) * rows.size(), 0.);
    });
    std::fill_n(products, int64_t(sink.residents) * batch.slices * k, 0.f);
    for (int r = 0; r < sink.residents; ++r)
      for (size_t i = 0; i < rows.size(); ++i)
        products[(int64_t(r) * batch.slices + rows[i].slice) * k + rows[i].label] = static_cast<float>(sink.products[r * rows.size() + i]);
    return result;
  }

  double step(int slices, const float* images, const uint8_t* targets, const TrainingLoss& loss, const Optimiser& optimiser,
              const Abort& abort) override {
    struct Train final : Sink {
      std::vector<std::vector<float>> gradients;
      const Network* network;
      void take(const Gradient& g) override {
        gradients[g.selected].resize(count(network->values[network->selected[g.selected]].dims));
        g.owner->unpackGradient(g.input, g.rows, gradients[g.selected].data());
      }
    } sink;
    sink.network = &network_, sink.gradients.resize(network_.selected.size());
    omp_set_num_threads(threads_);
    // an aborted step leaves parameters and statistics as they were
    const auto before = statistics();
    struct Mode {
      bool& training;
      explicit Mode(bool& t) : training(t) { training = true; }
      ~Mode() { training = false; }
    } mode(work_.training);
    double value;
    try {
      run(slices, images, abort);
      const Shape& s = work_.tensors[network_.logits].shape;
      std::vector<Unit> units{{0, slices, false}};
      std::vector<std::vector<Cotangent>> cotangents(1);
      cotangents[0].resize(network_.values.size());
      Cotangent& seed = cotangents[0][network_.logits];
      seed.room = work_.pool.take(slices * s.floats());
      for (int r = 0; r < slices; ++r) seed.rows.list.push_back({Box::whole(s.extent), seed.room.data() + r * s.floats()});
      seed.rows.stacked = seed.started = true;
      value = trainingLoss(loss, slices, work_.tensors[network_.logits].data.data(), s, targets, seed.room.data());
      backward(units, cotangents, nullptr, {}, 1, sink, abort);
    } catch (const Aborted&) {
      for (const auto& [v, data] : before) work_.stored[v] = data;
      throw;
    }
    for (size_t i = 0; i < sink.gradients.size(); ++i) {
      const int v = network_.selected[i];
      update(optimiser, network_.values[v], sink.gradients[i], work_.stored[v], slots_);
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
  struct Use {
    int64_t floats = 0;  // in one gradient row
    int count = 0;       // operators that use the parameter
  };

  const Network network_;
  const int threads_;
  Workspace work_;
  Arrays slots_;
  std::vector<std::unique_ptr<Operator>> operators_;
  std::vector<int> firstSlot_;        // by operator: where its inputs' boxes start
  int slotCount_ = 0;                 // of all operations
  std::vector<bool> needs_;           // by value: a selected parameter lies upstream
  std::map<int, int> selectedIndex_;  // value → index into `selected`
  std::vector<Use> uses_;             // by selected parameter
  int images_ = 0;                    // slices the activations have room for

  void describeTensors() {
    bool plain = true;
    for (const auto& op : network_.operations)
      for (size_t i = 0; i < op.inputs.size(); ++i)
        if (op.inputs[i] == network_.input && op.type != "Conv") plain = false;
    for (size_t v = 0; v < network_.values.size(); ++v) {
      const Value& value = network_.values[v];
      if (value.kind != Value::Kind::activation) continue;
      if (value.dims.size() < 2 || value.dims.size() > kAxes + 1)
        throw EngineError("the cpu engine has no layout for value " + value.name + " of " + std::to_string(value.dims.size()) + " axes");
      Tensor& t = work_.tensors[v];
      t.shape.channels = static_cast<int>(value.dims[0]);
      t.shape.rank = static_cast<int>(value.dims.size()) - 1;
      t.shape.extent = widen({value.dims.begin() + 1, value.dims.end()}, 1);
      t.plain = plain && static_cast<int>(v) == network_.input;
    }
  }

  // One operator for each operation, a Relu taken over by what feeds it where nobody else reads that value.
  void makeOperators() {
    std::map<int, int> readers;
    for (const auto& op : network_.operations)
      for (int v : op.inputs)
        if (v >= 0) ++readers[v];
    std::vector<bool> taken(network_.operations.size(), false);
    for (size_t i = 0; i < network_.operations.size(); ++i) {
      const Operation& op = network_.operations[i];
      const int first = slotCount_;
      slotCount_ += static_cast<int>(op.inputs.size());
      if (taken[i]) continue;
      operators_.push_back(makeOperator(work_, op));
      firstSlot_.push_back(first);
      if (readers[op.output] != 1 || op.output == network_.logits) continue;
      for (size_t j = i + 1; j < network_.operations.size(); ++j) {
        const Operation& next = network_.operations[j];
        if (next.inputs[0] != op.output || (next.type != "Relu" && next.type != "LeakyRelu")) continue;
        if (operators_.back()->fuse(negativeSlope(next), next.output)) {
          taken[j] = true;
          work_.tensors[op.output].shape.channels = 0;  // never materialised
        }
      }
    }
  }

  void findNeeds() {
    needs_.assign(network_.values.size(), false);
    uses_.resize(network_.selected.size());
    for (int v : network_.selected) needs_[v] = true;
    for (auto& op : operators_) {
      bool any = false;
      for (int v : op->op().inputs) any |= v >= 0 && needs_[v];
      needs_[op->outputValue()] = any;
      forEachParameter(*op, [&](int, int s) { ++uses_[s].count; });
    }
    for (auto& op : operators_)
      forEachParameter(*op, [&](int i, int s) {
        if (uses_[s].count > 1) op->keepPlainGradient(i);
        uses_[s].floats = op->gradientFloats(i);
      });
  }

  // visit(input, selected index)
  template <class Visit>
  void forEachParameter(Operator& op, Visit visit) {
    for (size_t i = 0; i < op.op().inputs.size(); ++i) {
      const auto it = selectedIndex_.find(op.op().inputs[i]);
      if (it != selectedIndex_.end()) visit(static_cast<int>(i), it->second);
    }
  }

  void run(int slices, const float* images, const Abort& abort) {
    if (slices > images_) {
      for (auto& t : work_.tensors)
        if (t.shape.channels) t.data = Buffer(), t.data = Buffer(slices * t.floats());
      images_ = slices;
    }
    Tensor& x = work_.tensors[network_.input];
    const int64_t positions = volume(x.shape.extent);
    for (int i = 0; i < slices; ++i) {
      const float* from = images + i * x.shape.channels * positions;
      if (x.plain)
        std::copy_n(from, x.floats(), x.of(i));
      else
        pack(from, x.shape.channels, positions, x.of(i));
    }
    for (auto& op : operators_) {
      abort.poll();
      op->forward(slices);
    }
  }

  void copyOut(int value, int slices, float* to) {
    const Tensor& t = work_.tensors[value];
    const int64_t n = volume(t.shape.extent);
    for (int i = 0; i < slices; ++i, to += t.shape.channels * n) {
      if (t.plain)
        std::copy_n(t.of(i), t.floats(), to);
      else
        unpack(t.of(i), t.shape.channels, n, to);
    }
  }

  std::vector<std::pair<int, std::vector<float>>> statistics() const {
    std::vector<std::pair<int, std::vector<float>>> all;
    for (size_t v = 0; v < network_.values.size(); ++v)
      if (network_.values[v].kind == Value::Kind::statistic) all.emplace_back(v, work_.stored[v]);
    return all;
  }

  Box boxAt(const RegionBatch& batch, const RowOwner& owner, int slot) const {
    const int rank = work_.tensors[network_.logits].shape.rank;
    const int32_t* at = batch.boxes + ((int64_t(owner.slice) * network_.foreground() + owner.label) * (slotCount_ + 1) + slot) * rank * 2;
    Box box{{0, 0, 0}, {1, 1, 1}};
    for (int a = 0; a < rank; ++a) box.lo[kAxes - rank + a] = at[2 * a], box.hi[kAxes - rank + a] = at[2 * a + 1];
    return box;
  }

  // Forward, a cotangent for each present region, backward into the sink. `begin` learns the rows before the first gradient comes.
  template <class Begin>
  RegionResult regions(const RegionBatch& batch, const RegionLoss& loss, Sink& sink, const Abort& abort, Begin begin) {
    omp_set_num_threads(threads_);
    run(batch.slices, batch.images, abort);
    const int k = network_.foreground();
    const Shape& s = work_.tensors[network_.logits].shape;
    const int64_t positions = volume(s.extent);
    RegionResult result{std::vector<float>(batch.slices * k), std::vector<float>(batch.slices * k)};
    std::vector<RowOwner> owners;
    std::vector<Unit> units;
    std::vector<std::vector<Cotangent>> cotangents;
    for (int slice = 0; slice < batch.slices; ++slice) {
      Cotangent seed;
      std::vector<int> present;
      for (int c = 0; c < k; ++c)
        if (!boundingBox(batch.masks + (int64_t(slice) * k + c) * positions, s.extent).empty()) present.push_back(c);
      if (present.empty()) continue;
      seed.rows.stacked = true;
      int64_t floats = 0;
      for (int c : present) {
        const Box box = batch.boxes ? boxAt(batch, {slice, c}, slotCount_) : Box::whole(s.extent);
        seed.rows.stacked &= seed.rows.list.empty() || box == seed.rows.list[0].box;
        seed.rows.list.push_back({box, nullptr});
        floats += s.floats(box.size());
      }
      seed.room = work_.pool.take(floats);
      float* at = seed.room.data();
      for (size_t r = 0; r < present.size(); ++r) {
        Row& row = seed.rows.list[r];
        row.data = at, at += s.floats(row.box.size());
        const int c = present[r];
        result.losses[slice * k + c] =
            static_cast<float>(regionLoss(loss, c + 1, work_.tensors[network_.logits].of(slice), s, batch.targets + slice * positions,
                                          batch.masks + (int64_t(slice) * k + c) * positions, row.box, row.data));
        owners.push_back({slice, c});
      }
      seed.started = true;
      units.push_back({slice, static_cast<int>(present.size()), true});
      cotangents.emplace_back(network_.values.size());
      cotangents.back()[network_.logits] = std::move(seed);
    }
    begin(owners);

    struct WithNorms final : Sink {
      Sink& next;
      std::vector<double> norms;
      WithNorms(Sink& s, size_t rows) : next(s), norms(rows) {}
      void take(const Gradient& g) override {
        for (int r = 0; r < g.count; ++r) norms[r] += squaredNorm(g.rows + r * g.floats, g.floats);
        next.take(g);
      }
    } measured(sink, owners.size());
    if (!units.empty())
      backward(units, cotangents, batch.boxes ? &batch : nullptr, owners, static_cast<int>(owners.size()), measured, abort);
    for (size_t r = 0; r < owners.size(); ++r) result.norms[owners[r].slice * k + owners[r].label] = static_cast<float>(measured.norms[r]);
    return result;
  }

  // Cotangents of a value whose contributions are about to come: one array over the union of what each row receives.
  void open(Cotangent& c, const std::vector<Box>& boxes, const Shape& s) {
    int64_t floats = 0;
    c.rows.stacked = true;
    for (const Box& b : boxes) floats += s.floats(b.size()), c.rows.stacked &= b == boxes[0];
    c.room = work_.pool.take(floats);
    float* at = c.room.data();
    c.rows.list.clear();
    for (const Box& b : boxes) c.rows.list.push_back({b, at}), at += s.floats(b.size());
  }

  // Layers from the last to the first selected one. `batch`: where support boxes come from (null: whole maps).
  void backward(const std::vector<Unit>& units, std::vector<std::vector<Cotangent>>& cotangents, const RegionBatch* batch,
                const std::vector<RowOwner>& owners, int gradientRows, Sink& sink, const Abort& abort) {
    const auto region = [&](int row, int slot, int value) {
      return batch ? boxAt(*batch, owners[row], slot) : Box::whole(work_.tensors[value].shape.extent);
    };
    std::vector<Pool::Piece> staged(uses_.size());
    std::vector<int> left(uses_.size());
    for (size_t s = 0; s < uses_.size(); ++s) left[s] = uses_[s].count;

    for (size_t at = operators_.size(); at-- > 0;) {
      Operator& op = *operators_[at];
      if (!needs_[op.outputValue()]) continue;
      abort.poll();
      const auto& inputs = op.op().inputs;
      std::vector<Pool::Piece> again(inputs.size());  // a shared parameter's further gradients, to be added
      std::vector<float*> gradientRoom(inputs.size(), nullptr);
      forEachParameter(op, [&](int i, int s) {
        Pool::Piece& room = staged[s] ? again[i] : staged[s];
        room = work_.pool.take(gradientRows * uses_[s].floats);
        gradientRoom[i] = room.data();
      });

      int firstRow = 0;
      for (size_t u = 0; u < units.size(); firstRow += units[u].rows, ++u) {
        const Unit& unit = units[u];
        Cotangent& dy = cotangents[u][op.outputValue()];
        Backward b{unit, dy.rows, std::vector<Rows*>(inputs.size(), nullptr), std::vector<float*>(inputs.size(), nullptr)};
        std::vector<Cotangent> parts(inputs.size());  // contributions that are added to others
        forEachParameter(op, [&](int i, int s) { b.gradients[i] = gradientRoom[i] + (unit.shared ? firstRow * uses_[s].floats : 0); });
        for (size_t i = 0; i < inputs.size(); ++i) {
          const int v = inputs[i];
          if (v < 0 || !needs_[v] || network_.values[v].kind != Value::Kind::activation) continue;
          std::vector<Box> boxes;
          for (int r = 0; r < unit.rows; ++r) boxes.push_back(region(firstRow + r, firstSlot_[at] + static_cast<int>(i), v));
          Cotangent& target = cotangents[u][v];
          const std::vector<Box> all = target.started ? std::vector<Box>() : unions(v, unit, firstRow, region);
          const Shape& s = work_.tensors[v].shape;
          if (!target.started && all == boxes) {
            open(target, boxes, s);
            b.dx[i] = &target.rows;
          } else {
            if (!target.started) {
              open(target, all, s);
              for (const Row& row : target.rows.list) std::fill_n(row.data, s.floats(row.box.size()), 0.f);
            }
            open(parts[i], boxes, s);
            b.dx[i] = &parts[i].rows;
          }
          target.started = true;
        }
        op.backward(b);
        for (size_t i = 0; i < inputs.size(); ++i) {
          if (!parts[i].room) continue;
          const auto& to = cotangents[u][inputs[i]].rows.list;
          for (int r = 0; r < unit.rows; ++r)
            addInto(to[r].data, to[r].box, parts[i].rows.list[r].data, parts[i].rows.list[r].box, work_.tensors[inputs[i]].shape.blocks());
        }
        dy = Cotangent();
      }

      forEachParameter(op, [&](int i, int s) {
        const int64_t n = gradientRows * uses_[s].floats;
        if (again[i])
          for (int64_t j = 0; j < n; ++j) staged[s].data()[j] += again[i].data()[j];
        if (--left[s]) return;
        sink.take({s, staged[s].data(), gradientRows, uses_[s].floats, &op, i});
        staged[s] = Pool::Piece();
      });
    }
  }

  // For each row, the box that holds everything a value's readers send back to it.
  template <class Region>
  std::vector<Box> unions(int value, const Unit& unit, int firstRow, Region region) const {
    std::vector<Box> boxes(unit.rows);
    for (size_t o = 0; o < operators_.size(); ++o) {
      if (!needs_[operators_[o]->outputValue()]) continue;
      const auto& inputs = operators_[o]->op().inputs;
      for (size_t i = 0; i < inputs.size(); ++i)
        if (inputs[i] == value)
          for (int r = 0; r < unit.rows; ++r) boxes[r] = boxes[r].joined(region(firstRow + r, firstSlot_[o] + static_cast<int>(i), value));
    }
    return boxes;
  }
};

}  // namespace

std::unique_ptr<Program> compile(Network network, int threads) { return std::make_unique<CpuProgram>(std::move(network), threads); }

std::string describe() {
  const auto* v = dnnl_version();
  const char* isa = "generic";
  switch (dnnl_get_effective_cpu_isa()) {
    case dnnl_cpu_isa_sse41:
      isa = "sse41";
      break;
    case dnnl_cpu_isa_avx:
      isa = "avx";
      break;
    case dnnl_cpu_isa_avx2:
      isa = "avx2";
      break;
    case dnnl_cpu_isa_avx512_core:
      isa = "avx512_core";
      break;
    case dnnl_cpu_isa_avx512_core_vnni:
      isa = "avx512_core_vnni";
      break;
    case dnnl_cpu_isa_avx512_core_bf16:
      isa = "avx512_core_bf16";
      break;
    case dnnl_cpu_isa_avx512_core_amx:
      isa = "avx512_core_amx";
      break;
    default:
      break;
  }
  return "oneDNN " + std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch) + ", " + isa;
}

}  // namespace tracin::cpu
