#include "runner.h"

#include "lines.h"
#include "operators/operators.h"

namespace tracin::cpu {

Runner::Runner(Workspace& work) : work_(work), network_(work.network), steps_(planSteps(work)) {
  for (size_t s = 0; s < network_.selected.size(); ++s) selectedIndex_[network_.selected[s]] = static_cast<int>(s);
  makeOperators();
  work_.tensors[steps_.logits].joined = -1;  // losses read those of all slices at once
  findNeeds();
}

// One operator for each step, a Relu taken over by what feeds it where nobody else reads that value.
void Runner::makeOperators() {
  std::map<int, int> readers;
  for (const Step& step : steps_.list)
    for (int v : step.operation.inputs)
      if (v >= 0) ++readers[v];
  std::vector<bool> taken(steps_.list.size(), false);
  for (size_t i = 0; i < steps_.list.size(); ++i) {
    const Operation& op = steps_.list[i].operation;
    if (taken[i]) continue;
    operators_.push_back(makeOperator(work_, op));
    firstSlot_.push_back(steps_.list[i].firstSlot);
    if (readers[op.output] != 1 || op.output == steps_.logits || work_.tensors[op.output].flat) continue;
    for (size_t j = i + 1; j < steps_.list.size(); ++j) {
      const Operation& next = steps_.list[j].operation;
      if (next.inputs[0] != op.output || (next.type != "Relu" && next.type != "LeakyRelu")) continue;
      if (operators_.back()->fuse(negativeSlope(next), next.output)) {
        taken[j] = true;
        work_.tensors[op.output].used = false;  // never materialised
      }
    }
  }
}

bool Runner::passesGradient(int tensor) const { return tensor >= 0 && work_.tensors[tensor].used && needs_[tensor]; }

void Runner::findNeeds() {
  needs_.assign(work_.tensors.size(), false);
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

// A region's cotangents reach no further than what the region reads, so its boxes say where activations are needed, too.
void Runner::want(const RegionBatch* batch, int first, int slices) {
  const bool boxed = batch && batch->boxes && steps_.boxed;
  for (Tensor& t : work_.tensors) t.wanted = boxed ? Box() : t.whole();
  if (!boxed) return;
  for (int slice = first; slice < first + slices; ++slice)
    for (int label = 0; label < network_.foreground(); ++label) {
      const RowOwner owner{slice, label};
      Tensor& logits = work_.tensors[steps_.logits];
      logits.wanted = logits.wanted.joined(boxAt(*batch, owner, steps_.slots));
      for (size_t o = 0; o < operators_.size(); ++o) {
        const auto& inputs = operators_[o]->op().inputs;
        for (size_t i = 0; i < inputs.size(); ++i) {
          if (inputs[i] < 0 || !work_.tensors[inputs[i]].used) continue;
          Tensor& t = work_.tensors[inputs[i]];
          t.wanted = firstSlot_[o] < 0 || t.flat ? t.whole() : t.wanted.joined(boxAt(*batch, owner, firstSlot_[o] + static_cast<int>(i)));
        }
      }
    }
}

void Runner::makeRoom(int slices) {
  for (Tensor& t : work_.tensors) {
    if (!t.used || t.joined >= 0 || (t.trainingOnly && !work_.training)) continue;
    const size_t floats = (t.batched ? slices : 1) * t.floats();
    if (t.data.size() < floats) t.data = Buffer(), t.data = Buffer(floats), derivedVersion_ = 0;
    t.first = t.data.data(), t.step = t.batched ? t.floats() : 0;
  }
  for (Tensor& t : work_.tensors) {
    if (t.joined < 0) continue;
    const Tensor* home = &work_.tensors[t.joined];
    int64_t offset = t.offset;
    for (; home->joined >= 0; home = &work_.tensors[home->joined]) offset += home->offset;
    t.first = home->first + offset, t.step = home->step;
  }
}

void Runner::forward(int slices, const float* images, const RegionBatch* batch, int first, const Abort& abort) {
  want(batch, first, slices);
  makeRoom(slices);
  std::copy_n(images, slices * work_.tensors[network_.input].floats(), work_.tensors[network_.input].of(0));
  for (auto& op : operators_) {
    abort.poll();
    const bool derived = !work_.tensors[op->outputValue()].batched;
    if (derived && derivedVersion_ == work_.version) continue;
    work_.profile.time(op->op(), Profile::forward, [&] { op->forward(derived ? 1 : slices); });
  }
  derivedVersion_ = work_.version;
}

void Runner::tangent(int slices, const float* direction, float* tangents, const Abort& abort) {
  const size_t values = work_.tensors.size();
  std::vector<const float*> moved(values, nullptr);
  for (int v : network_.selected) moved[v] = direction, direction += count(network_.values[v].dims);
  // room goes back to the pool once the last reader is through
  std::vector<Pool::Piece> room(values);
  std::vector<size_t> lastReader(values, 0);
  for (size_t o = 0; o < operators_.size(); ++o)
    for (int v : operators_[o]->op().inputs)
      if (v >= 0) lastReader[v] = o;
  lastReader[network_.logits] = operators_.size();
  for (size_t o = 0; o < operators_.size(); ++o) {
    Operator& op = *operators_[o];
    const int output = op.outputValue();
    if (!needs_[output]) continue;
    abort.poll();
    const Tensor& y = work_.tensors[output];
    room[output] = work_.pool.take((y.batched ? slices : 1) * y.floats());
    Tangent t{slices, {}, room[output].data()};
    if (!y.batched) t.images = 1;
    for (int v : op.op().inputs) t.inputs.push_back(v < 0 ? nullptr : moved[v]);
    op.tangent(t);
    moved[output] = t.output;
    for (int v : op.op().inputs)
      if (v >= 0 && lastReader[v] == o) room[v] = Pool::Piece();
  }
  if (const float* from = moved[network_.logits])
    copyOut(network_.logits, slices, from, work_.tensors[network_.logits].floats(), tangents);
  else
    std::fill_n(tangents, slices * count(work_.dims(network_.logits)), 0.f);
}

void Runner::copyOut(int value, int slices, const float* from, int64_t step, float* to) const {
  const Tensor& t = work_.tensors[value];
  const int64_t n = count(t.dims);
  for (int i = 0; i < slices; ++i, from += step, to += n) {
    if (t.flat)
      std::copy_n(from, n, to);
    else
      unpack(from, t.shape.channels, volume(t.shape.extent), to);
  }
}

Box Runner::boxAt(const RegionBatch& batch, const RowOwner& owner, int slot) const {
  const int rank = work_.tensors[steps_.logits].shape.rank;
  const int32_t* at = batch.boxes + ((int64_t(owner.slice) * network_.foreground() + owner.label) * (steps_.slots + 1) + slot) * rank * 2;
  Box box{{0, 0, 0}, {1, 1, 1}};
  for (int a = 0; a < rank; ++a) box.lo[kAxes - rank + a] = at[2 * a], box.hi[kAxes - rank + a] = at[2 * a + 1];
  return box;
}

void Runner::open(Cotangent& c, const std::vector<Box>& boxes, const Tensor& tensor) {
  int64_t floats = 0;
  c.rows.stacked = true;
  for (const Box& b : boxes) floats += tensor.floats(b), c.rows.stacked &= b == boxes[0];
  c.room = work_.pool.take(floats);
  float* at = c.room.data();
  c.rows.list.clear();
  for (const Box& b : boxes) c.rows.list.push_back({b, at}), at += tensor.floats(b);
  c.started = true;
}

void Runner::addParts(Cotangent& c, const Tensor& tensor) {
  for (const Cotangent& part : c.parts)
    for (size_t r = 0; r < c.rows.list.size(); ++r) {
      const Row &from = part.rows.list[r], &to = c.rows.list[r];
      if (tensor.flat)
        add(from.data, tensor.floats(), to.data);
      else
        addInto(to.data, to.box, from.data, from.box, tensor.shape.blocks());
    }
  c.parts.clear();
}

void Runner::backward(const std::vector<Unit>& units, Cotangents& cotangents, const RegionBatch* batch, const std::vector<RowOwner>& owners,
                      int gradientRows, Sink& sink, const Abort& abort) {
  const bool boxed = batch && batch->boxes && steps_.boxed;
  const auto region = [&](int row, size_t at, size_t input, int value) {
    if (!boxed || firstSlot_[at] < 0 || work_.tensors[value].flat) return work_.tensors[value].whole();
    return boxAt(*batch, owners[row], firstSlot_[at] + static_cast<int>(input));
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

    std::vector<Backward> backward;
    int firstRow = 0;
    for (size_t u = 0; u < units.size(); firstRow += units[u].rows, ++u) {
      const Unit& unit = units[u];
      const auto unionsOf = [&](int v) { return unions(v, unit.rows, firstRow, region); };
      Cotangent& dy = cotangents[u][op.outputValue()];
      const Tensor& y = work_.tensors[op.outputValue()];
      if (!dy.parts.empty()) {  // nobody sent back to the whole of it
        open(dy, unionsOf(op.outputValue()), y);
        for (const Row& row : dy.rows.list) clear(row.data, y.floats(row.box));
        addParts(dy, y);
      }
      Backward& b = backward.emplace_back(
          Backward{unit, dy.rows, std::vector<Rows*>(inputs.size(), nullptr), std::vector<float*>(inputs.size(), nullptr)});
      forEachParameter(op, [&](int i, int s) { b.gradients[i] = gradientRoom[i] + (unit.shared ? firstRow * uses_[s].floats : 0); });
      for (size_t i = 0; i < inputs.size(); ++i) {
        const int v = inputs[i];
        if (!passesGradient(v)) continue;
        const Tensor& tensor = work_.tensors[v];
        std::vector<Box> boxes;
        for (int r = 0; r < unit.rows; ++r) boxes.push_back(region(firstRow + r, at, i, v));
        Cotangent* into = &cotangents[u][v];
        // whoever sends back to the whole of it starts it; others wait, so that nothing large is cleared and read again
        if (into->started || unionsOf(v) != boxes) into = &into->parts.emplace_back();
        open(*into, boxes, tensor);
        b.dx[i] = &into->rows;
      }
    }
    work_.profile.time(op.op(), Profile::backward, [&] { op.backwardTogether(backward); });
    for (size_t u = 0; u < units.size(); ++u) {
      for (int v : inputs)
        if (passesGradient(v) && cotangents[u][v].started) addParts(cotangents[u][v], work_.tensors[v]);
      cotangents[u][op.outputValue()] = Cotangent();
    }

    forEachParameter(op, [&](int i, int s) {
      const int64_t n = gradientRows * uses_[s].floats;
      if (again[i]) add(again[i].data(), n, staged[s].data());
      if (--left[s]) return;
      work_.profile.time(op.op(), Profile::products, [&] { sink.take({s, staged[s].data(), gradientRows, uses_[s].floats, &op, i}); });
      staged[s] = Pool::Piece();
    });
  }
}

}  // namespace tracin::cpu
