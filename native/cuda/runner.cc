#include "runner.h"

#include "operators/operators.h"

namespace tracin::cuda {

using Kind = Value::Kind;

Runner::Runner(Workspace& work) : work_(work), network_(work.network) {
  for (size_t s = 0; s < network_.selected.size(); ++s) selectedIndex_[network_.selected[s]] = static_cast<int>(s);
  describe();
  makeOperators();
  findNeeds();
}

void Runner::describe() {
  const size_t rank = network_.values[network_.logits].dims.size();
  boxed_ = true;
  for (size_t v = 0; v < network_.values.size(); ++v) {
    const Value& value = network_.values[v];
    if (value.kind != Kind::activation && value.kind != Kind::derived) continue;
    Tensor& t = work_.tensors[v];
    t.dims = value.dims, t.used = true, t.batched = value.kind == Kind::activation;
    if (t.batched) boxed_ &= value.dims.size() == rank;
  }
  boxed_ &= rank >= 2 && rank <= kAxes + 1;
}

// A Relu is taken over by what feeds it where nobody else reads that value.
void Runner::makeOperators() {
  std::map<int, int> readers;
  for (const Operation& op : network_.operations)
    for (int v : op.inputs)
      if (v >= 0) ++readers[v];
  std::vector<bool> taken(network_.operations.size(), false);
  int slot = 0;
  for (size_t i = 0; i < network_.operations.size(); ++i) {
    const Operation& op = network_.operations[i];
    const int first = slot;
    slot += static_cast<int>(op.inputs.size());
    if (taken[i]) continue;
    operators_.push_back(makeOperator(work_, op));
    firstSlot_.push_back(first);
    if (readers[op.output] != 1 || op.output == network_.logits) continue;
    for (size_t j = i + 1; j < network_.operations.size(); ++j) {
      const Operation& next = network_.operations[j];
      if (next.inputs[0] != op.output || (next.type != "Relu" && next.type != "LeakyRelu")) continue;
      if (operators_.back()->fuse(negativeSlope(next), next.output)) {
        taken[j] = true;
        work_.tensors[op.output].used = false;  // never materialised
      }
    }
  }
  slots_ = slot;
}

template <class Visit>
void Runner::forEachParameter(const Operator& op, Visit visit) const {
  for (size_t i = 0; i < op.op().inputs.size(); ++i) {
    const auto it = selectedIndex_.find(op.op().inputs[i]);
    if (it != selectedIndex_.end()) visit(static_cast<int>(i), it->second);
  }
}

void Runner::findNeeds() {
  needs_.assign(network_.values.size(), false);
  alignment_.assign(network_.values.size(), Extent{1, 1, 1});
  uses_.assign(network_.selected.size(), 0);
  for (int v : network_.selected) needs_[v] = true;
  for (const auto& op : operators_) {
    bool any = false;
    for (size_t i = 0; i < op->op().inputs.size(); ++i) {
      const int v = op->op().inputs[i];
      if (v < 0) continue;
      any |= needs_[v];
      const Extent wanted = op->alignment(static_cast<int>(i));
      for (int a = 0; a < kAxes; ++a) {  // the least common multiple of all readers' wishes
        int n = alignment_[v][a];
        while (n % wanted[a]) n += alignment_[v][a];
        alignment_[v][a] = n;
      }
    }
    needs_[op->outputValue()] = any;
    forEachParameter(*op, [&](int, int s) { ++uses_[s]; });
  }
}

int64_t Runner::activationFloats() const {
  int64_t n = 0;
  for (const Tensor& t : work_.tensors)
    if (t.used && t.batched) n += t.floats();
  return n;
}

int64_t Runner::cotangentFloats() const {
  // a layer's and its input's, copies moved to other windows, and those that skip connections keep waiting
  int64_t largest = 0, kernel = 0;
  for (const Tensor& t : work_.tensors)
    if (t.used) largest = std::max(largest, t.floats());
  for (int v : network_.selected) kernel = std::max(kernel, work_.floats(v));
  return 5 * largest + 2 * kernel;
}

float* Runner::images(int slices) {
  if (slices > capacity_) {
    // all old ones go before a new one comes, and if memory runs out there is room for none
    capacity_ = 0;
    derivedVersion_ = 0;
    for (Tensor& t : work_.tensors) {
      t.data = Buffer();
      t.tangent = Buffer();
    }
    for (Tensor& t : work_.tensors)
      if (t.used) t.data = Buffer((t.batched ? slices : 1) * t.floats() * int64_t(sizeof(float)));
    capacity_ = slices;
  }
  return work_.tensors[network_.input].data.floats();
}

void Runner::forward(int slices, const Abort& abort) {
  for (const auto& op : operators_) {
    abort.poll();
    const bool derived = !work_.tensors[op->outputValue()].batched;
    if (!derived || derivedVersion_ != work_.version) op->forward(derived ? 1 : slices);
  }
  derivedVersion_ = work_.version;
}

void Runner::tangent(int slices, const Abort& abort) {
  for (size_t v = 0; v < work_.tensors.size(); ++v) {
    Tensor& t = work_.tensors[v];
    const int64_t bytes = (t.batched ? capacity_ : 1) * t.floats() * int64_t(sizeof(float));
    if (t.used && needs_[v] && t.tangent.bytes() < bytes) t.tangent = Buffer(bytes);
  }
  for (const auto& op : operators_) {
    abort.poll();
    if (needs_[op->outputValue()]) op->tangent(work_.tensors[op->outputValue()].batched ? slices : 1);
  }
}

Windows Runner::windows(const std::vector<Region>& regions, const RegionBatch* batch) const {
  if (!batch || !batch->boxes || !boxed_) return Windows(work_, {}, alignment_);
  const int rank = static_cast<int>(network_.values[network_.logits].dims.size()) - 1;
  const auto boxAt = [&](const Region& region, int slot) {
    Box box{{0, 0, 0}, {1, 1, 1}};
    if (region.label < 0) return Box{};
    const int64_t row = int64_t(region.slice) * network_.foreground() + region.label;
    const int32_t* at = batch->boxes + (row * (slots_ + 1) + slot) * rank * 2;
    for (int a = 0; a < rank; ++a) box.lo[kAxes - rank + a] = at[2 * a], box.hi[kAxes - rank + a] = at[2 * a + 1];
    return box;
  };
  // for each value, what its readers send back to it, joined
  std::vector<std::vector<Box>> boxes(network_.values.size());
  const auto join = [&](int value, int slot) {
    auto& rows = boxes[value];
    rows.resize(regions.size());
    for (size_t r = 0; r < regions.size(); ++r) rows[r] = rows[r].joined(boxAt(regions[r], slot));
  };
  join(network_.logits, slots_);
  for (size_t o = 0; o < operators_.size(); ++o) {
    const Operator& op = *operators_[o];
    if (!needs_[op.outputValue()]) continue;
    for (size_t i = 0; i < op.op().inputs.size(); ++i) {
      const int v = op.op().inputs[i];
      if (v >= 0 && work_.tensors[v].used && work_.tensors[v].batched) join(v, firstSlot_[o] + static_cast<int>(i));
    }
  }
  return Windows(work_, boxes, alignment_);
}

void Runner::backward(Pool::Piece seed, const Windows& windows, const int* images, int rows, int real, bool summed, const Sink& sink,
                      const Abort& abort) {
  Pool& pool = work_.device.pool;
  static const Window whole;
  std::vector<Pool::Piece> cotangents(network_.values.size());
  cotangents[network_.logits] = std::move(seed);
  std::vector<Pool::Piece> staged(network_.selected.size());
  std::vector<int> left = uses_;
  const auto rowFloats = [&](int v) {
    const Tensor& t = work_.tensors[v];
    return windows[v].whole ? t.floats() : t.channels() * volume(windows[v].size);
  };
  const int gradientRows = summed ? 1 : rows;

  for (size_t at = operators_.size(); at-- > 0;) {
    Operator& op = *operators_[at];
    const int out = op.outputValue();
    if (!needs_[out]) continue;
    abort.poll();
    const auto& inputs = op.op().inputs;
    if (!cotangents[out]) {  // nobody who matters reads it
      cotangents[out] = pool.takeFloats(rows * rowFloats(out));
      work_.device.zero(cotangents[out].floats(), rows * rowFloats(out) * int64_t(sizeof(float)));
    }
    Backward b{rows, summed, images, {cotangents[out].floats(), &windows[out]}, {}, {}};
    std::vector<Pool::Piece> again(inputs.size());  // further contributions, to be added
    for (size_t i = 0; i < inputs.size(); ++i) {
      const int v = inputs[i];
      b.gradient.push_back(nullptr);
      b.dx.push_back({nullptr, v >= 0 && work_.tensors[v].used ? &windows[v] : &whole});
      if (v < 0 || !needs_[v]) continue;
      const auto selected = selectedIndex_.find(v);
      if (selected != selectedIndex_.end()) {
        Pool::Piece& room = staged[selected->second] ? again[i] : staged[selected->second];
        room = pool.takeFloats(gradientRows * work_.floats(v));
        b.gradient[i] = room.floats();
      } else if (work_.tensors[v].used) {
        Pool::Piece& room = cotangents[v] ? again[i] : cotangents[v];
        room = pool.takeFloats(rows * rowFloats(v));
        b.dx[i].data = room.floats();
      }
    }
    op.backward(b);
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!again[i]) continue;
      if (b.gradient[i])
        accumulate(work_.device, staged[selectedIndex_.at(inputs[i])].floats(), again[i].floats(), gradientRows * work_.floats(inputs[i]));
      else
        accumulate(work_.device, cotangents[inputs[i]].floats(), again[i].floats(), rows * rowFloats(inputs[i]));
      again[i] = Pool::Piece();
    }
    cotangents[out] = Pool::Piece();
    forEachParameter(op, [&](int, int s) {
      if (--left[s]) return;
      sink({s, staged[s].floats(), summed ? 1 : real, work_.floats(network_.selected[s])});
      staged[s] = Pool::Piece();
    });
  }
}

}  // namespace tracin::cuda
