#include "program.h"

#include <algorithm>
#include <array>
#include <optional>

#include "../core/checkpoint.h"
#include "losses.h"
#include "optimiser.h"
#include "residents.h"
#include "runner.h"
#include "slots.h"
#include "uploads.h"

namespace tracin::cuda {

namespace {

// Regions that run backward together: enough to fill the chip, few enough that their windows are alike.
constexpr int kGroup = 32;
// What the libraries take for themselves, and scratch for the convolutions they choose.
constexpr int64_t kLibraries = int64_t(1) << 30, kScratch = int64_t(2) << 30;

int64_t bytesOf(int64_t floats) { return floats * int64_t(sizeof(float)); }

class CudaProgram final : public Program {
 public:
  CudaProgram(Network network, const CompileOptions& options)
      : network_(std::move(network)),
        device_(std::make_shared<Device>(options.device)),
        uploads_(*device_),
        work_(std::make_unique<Workspace>(*device_, network_, options.precision)),
        slots_(*device_) {
    for (size_t v = 0; v < network_.values.size(); ++v) {
      const Value& value = network_.values[v];
      if (value.kind == Value::Kind::activation || value.kind == Value::Kind::derived) continue;
      work_->stored[v] = Buffer(bytesOf(count(value.dims)));
      if (value.kind == Value::Kind::constant) device_->upload(work_->stored[v].floats(), value.data.data(), bytesOf(value.data.size()));
    }
    device_->synchronize();
    runner_.emplace(*work_);
  }

  ~CudaProgram() override {
    cudaSetDevice(device_->index);
    cudaStreamSynchronize(device_->stream);
  }

  int64_t parameterCount() const override {
    int64_t n = 0;
    for (int v : network_.selected) n += work_->floats(v);
    return n;
  }
  int64_t fixedBytes() const override {
    int64_t weights = 0;
    for (const Value& v : network_.values)
      if (v.kind != Value::Kind::activation) weights += count(v.dims);
    return kLibraries + kScratch + bytesOf((1 + Uploads::kPlaces) * weights + kGroup * runner_->cotangentFloats());
  }
  int64_t sliceBytes() const override {
    const int64_t labels = count(network_.values[network_.logits].dims);  // targets and masks
    return bytesOf(runner_->activationFloats()) + labels + Uploads::kPlaces * (bytesOf(work_->floats(network_.input)) + labels);
  }
  int64_t rowBytes() const override { return Residents::bytes(parameterCount(), work_->precision); }
  int quantum() const override { return 16; }

  bool stage(int place, const std::vector<std::span<const std::byte>>& arrays) override { return uploads_.put(place, arrays); }

  void load(const Views& initializers, int staged) override {
    device_->use();
    const Settled settled{*device_};
    for (size_t v = 0; v < network_.values.size(); ++v) {
      const Value& value = network_.values[v];
      if (value.kind != Value::Kind::parameter && value.kind != Value::Kind::statistic) continue;
      const auto data = initializerOf(initializers, value);
      uploads_.copy(staged, work_->stored[v].floats(), data.data(), bytesOf(data.size()));
    }
    device_->synchronize();
    ++work_->version;
  }

  void forward(int slices, const float* images, float* logits, float* features, const Abort& abort) override {
    device_->use();
    forwardOf(slices, images, -1, abort);
    copyOut(network_.logits, slices, logits);
    if (features) copyOut(network_.operations[network_.head].inputs[0], slices, features);
    device_->synchronize();
  }

  void tangent(int slices, const float* images, const float* direction, float* logits, float* tangents, const Abort& abort) override {
    device_->use();
    for (int v : network_.selected) {
      const int64_t n = work_->floats(v);
      if (!work_->direction[v]) work_->direction[v] = Buffer(bytesOf(n));
      device_->upload(work_->direction[v].floats(), direction, bytesOf(n));
      direction += n;
    }
    forwardOf(slices, images, -1, abort);
    runner_->tangent(slices, abort);
    copyOut(network_.logits, slices, logits);
    const Tensor& t = work_->tensors[network_.logits];
    if (t.tangent)
      device_->download(tangents, t.tangent.floats(), bytesOf(slices * t.floats()));
    else
      std::fill_n(tangents, slices * t.floats(), 0.f);
    device_->synchronize();
  }

  RegionResult gradients(const RegionBatch& batch, const RegionLoss& loss, float* gradients, const Abort& abort) override {
    const int k = network_.foreground();
    const int64_t total = parameterCount();
    std::vector<int64_t> offsets;
    int64_t offset = 0;
    for (int v : network_.selected) offsets.push_back(offset), offset += work_->floats(v);
    std::fill_n(gradients, int64_t(batch.slices) * k * total, 0.f);
    return regions(batch, loss, abort, [&](const std::vector<Region>& rows, int64_t first, const Gradient& g, double* norms) {
      addSquaredNorms(*device_, g.rows, g.count, g.floats, norms);
      for (int r = 0; r < g.count; ++r) {
        const Region& region = rows[first + r];
        device_->download(gradients + (int64_t(region.slice) * k + region.label) * total + offsets[g.selected], g.rows + r * g.floats,
                          bytesOf(g.floats));
      }
    });
  }

  std::unique_ptr<Block> resident(int capacity) override {
    device_->use();
    std::vector<int64_t> floats;
    for (int v : network_.selected) floats.push_back(work_->floats(v));
    return std::make_unique<Residents>(device_, capacity, network_.foreground(), std::move(floats), work_->precision);
  }

  RegionResult append(Block& into, const RegionBatch& batch, const RegionLoss& loss, const Abort& abort) override {
    auto& block = dynamic_cast<Residents&>(into);
    device_->use();
    block.makeRoom(batch.slices);
    const int k = network_.foreground();
    RegionResult result =
        regions(batch, loss, abort, [&](const std::vector<Region>& rows, int64_t start, const Gradient& g, double* norms) {
          addSquaredNorms(*device_, g.rows, g.count, g.floats, norms);
          for (int r = 0; r < g.count; ++r) {
            const Region& region = rows[start + r];
            block.keep(g.selected, int64_t(region.slice) * k + region.label, g.rows + r * g.floats);
          }
        });
    block.add(batch.slices);
    return result;
  }

  RegionResult contract(const Block* with, const RegionBatch& batch, const RegionLoss& loss, float* products, const Abort& abort) override {
    device_->use();
    const int k = network_.foreground();
    const auto* block = dynamic_cast<const Residents*>(with);
    const int residents = block ? block->rows() : 0;
    const int64_t stride = int64_t(batch.slices) * k;  // columns in the order regions run, at most this many
    Pool::Piece sums;
    if (residents) {
      sums = device_->pool.take(residents * stride * int64_t(sizeof(double)));
      device_->zero(sums.as<double>(), residents * stride * int64_t(sizeof(double)));
    }
    std::vector<Region> order;
    RegionResult result =
        regions(batch, loss, abort, [&](const std::vector<Region>& rows, int64_t first, const Gradient& g, double* norms) {
          if (order.empty()) order = rows;
          if (residents)
            block->addProducts(g.selected, g.rows, g.count, sums.as<double>(), first, stride, norms);
          else
            addSquaredNorms(*device_, g.rows, g.count, g.floats, norms);
        });
    std::fill_n(products, residents * stride, 0.f);
    if (!residents) return result;
    std::vector<double> host(residents * stride);
    device_->download(host.data(), sums.as<double>(), int64_t(host.size() * sizeof(double)));
    device_->synchronize();
    for (int r = 0; r < residents; ++r)
      for (size_t i = 0; i < order.size(); ++i)
        products[(int64_t(r) * batch.slices + order[i].slice) * k + order[i].label] = static_cast<float>(host[r * stride + i]);
    return result;
  }

  double step(int slices, const float* images, const uint8_t* targets, const TrainingLoss& loss, const Optimiser& optimiser,
              const Abort& abort) override {
    device_->use();
    // a step that ends early leaves parameters and statistics as they were
    const auto before = statistics();
    struct Mode {
      bool& training;
      explicit Mode(bool& t) : training(t) { training = true; }
      ~Mode() { training = false; }
    } mode(work_->training);
    std::vector<Buffer> gradients(network_.selected.size());
    std::vector<std::array<float*, 2>> slots;  // of each selected parameter
    double value;
    try {
      forwardOf(slices, images, -1, abort);
      const Tensor& logits = work_->tensors[network_.logits];
      const Pool::Piece labels =
          device_->pool.upload(std::vector<uint8_t>(targets, targets + slices * volume(logits.extent())), device_->stream);
      std::vector<int> order(slices);
      for (int i = 0; i < slices; ++i) order[i] = i;
      const Pool::Piece images32 = device_->pool.upload(order, device_->stream);
      Pool::Piece seed = device_->pool.takeFloats(slices * logits.floats());
      value = trainingLoss(*device_, loss, slices, logits, labels.as<uint8_t>(), seed.floats());
      const Windows whole = runner_->windows({}, nullptr);
      runner_->backward(
          std::move(seed), whole, images32.as<int>(), slices, slices, true,
          [&](const Gradient& g) {
            gradients[g.selected] = Buffer(bytesOf(g.floats));
            check(cudaMemcpyAsync(gradients[g.selected].floats(), g.rows, bytesOf(g.floats), cudaMemcpyDeviceToDevice, device_->stream),
                  "copy of gradients");
          },
          abort);
      for (int v : network_.selected) slots.push_back(slots_.of(optimiser, network_.values[v]));  // before any parameter moves
    } catch (...) {
      for (const auto& [v, data] : before) device_->upload(work_->stored[v].floats(), data.data(), bytesOf(data.size()));
      device_->synchronize();
      throw;
    }
    for (size_t i = 0; i < gradients.size(); ++i) {
      const int v = network_.selected[i];
      update(*device_, optimiser, network_.values[v], gradients[i].floats(), work_->stored[v].floats(), slots[i]);
    }
    ++work_->version;
    device_->synchronize();
    return value;
  }

  Arrays snapshot() const override {
    device_->use();
    Arrays all;
    for (size_t v = 0; v < network_.values.size(); ++v) {
      const Value& value = network_.values[v];
      if (value.kind == Value::Kind::parameter || value.kind == Value::Kind::statistic)
        all[value.name] = device_->numbers(work_->stored[v]);
    }
    return all;
  }

  const Arrays& optimiserState() const override {
    device_->use();
    return slotsOnHost_ = slots_.numbers();
  }

  void restoreOptimiserState(const Arrays& state) override {
    device_->use();
    slots_.restore(state);
  }

 private:
  const Network network_;
  const std::shared_ptr<Device> device_;  // outlives the program while a block needs it
  Uploads uploads_;
  std::unique_ptr<Workspace> work_;
  std::optional<Runner> runner_;
  Slots slots_;
  mutable Arrays slotsOnHost_;

  // However a call ends, nothing that it queued still reads what was staged for it.
  struct Settled {
    const Device& device;
    ~Settled() { cudaStreamSynchronize(device.stream); }
  };

  void forwardOf(int slices, const float* images, int staged, const Abort& abort) {
    uploads_.copy(staged, runner_->images(slices), images, bytesOf(slices * work_->floats(network_.input)));
    runner_->forward(slices, abort);
  }

  std::vector<std::pair<int, std::vector<float>>> statistics() const {
    std::vector<std::pair<int, std::vector<float>>> all;
    for (size_t v = 0; v < network_.values.size(); ++v)
      if (network_.values[v].kind == Value::Kind::statistic) all.emplace_back(v, device_->numbers(work_->stored[v]));
    return all;
  }

  void copyOut(int value, int slices, float* to) const {
    const Operand from = work_->numbers(value);
    const int64_t n = work_->floats(value);
    for (int i = 0; i < (from.stride ? 1 : slices); ++i) device_->download(to + i * n, from.data, bytesOf(from.stride ? slices * n : n));
  }

  // Regions that are there, largest box first: neighbours then have windows alike.
  std::vector<Region> present(const RegionBatch& batch) const {
    const auto& dims = network_.values[network_.logits].dims;
    const int rank = static_cast<int>(dims.size()) - 1, k = network_.foreground();
    const int64_t pixels = count(dims) / dims[0];
    int64_t slots = 1;  // the last box of a region is the logits'
    for (const Operation& op : network_.operations) slots += static_cast<int64_t>(op.inputs.size());
    std::vector<std::pair<int64_t, Region>> found;
    for (int slice = 0; slice < batch.slices; ++slice)
      for (int label = 0; label < k; ++label) {
        const int64_t row = int64_t(slice) * k + label;
        int64_t area = 1;
        if (batch.boxes) {
          const int32_t* box = batch.boxes + (row * slots + slots - 1) * rank * 2;
          for (int a = 0; a < rank; ++a) area *= std::max(0, box[2 * a + 1] - box[2 * a]);
        } else {
          const uint8_t* mask = batch.masks + row * pixels;
          area = std::any_of(mask, mask + pixels, [](uint8_t m) { return m != 0; });
        }
        if (area) found.push_back({area, {slice, label}});
      }
    std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    std::vector<Region> regions;
    for (const auto& [_, region] : found) regions.push_back(region);
    return regions;
  }

  // Forward, cotangents of the present regions, backward group by group; take(regions, index of the group's first, gradient, the group's
  // squared norms, to which it adds).
  template <class Take>
  RegionResult regions(const RegionBatch& batch, const RegionLoss& loss, const Abort& abort, Take take) {
    device_->use();
    const Settled settled{*device_};
    const int k = network_.foreground();
    RegionResult result{std::vector<float>(batch.slices * k), std::vector<float>(batch.slices * k)};
    const std::vector<Region> rows = present(batch);
    if (rows.empty()) return result;
    forwardOf(batch.slices, batch.images, batch.staged, abort);
    const Tensor& logits = work_->tensors[network_.logits];
    const int64_t pixels = volume(logits.extent());
    const Pool::Piece targets = device_->pool.take(batch.slices * pixels), masks = device_->pool.take(batch.slices * k * pixels);
    uploads_.copy(batch.staged, targets.as<uint8_t>(), batch.targets, batch.slices * pixels);
    uploads_.copy(batch.staged, masks.as<uint8_t>(), batch.masks, batch.slices * k * pixels);

    const int64_t total = static_cast<int64_t>(rows.size()), room = (total + kGroup) * int64_t(sizeof(double));
    const Pool::Piece norms = device_->pool.take(room), losses = device_->pool.take(room);
    device_->zero(norms.as<double>(), room);
    for (int64_t first = 0; first < total; first += kGroup) {
      const int real = static_cast<int>(std::min<int64_t>(kGroup, total - first));
      // one number of rows for all groups, so that kernels chosen once serve all; the rest are rows of nothing
      const int count = total > kGroup ? kGroup : real;
      std::vector<Region> group(rows.begin() + first, rows.begin() + first + real);
      group.resize(count, {0, -1});
      std::vector<int> images, labels;
      for (const Region& r : group) images.push_back(r.slice), labels.push_back(r.label);
      const Pool::Piece onDevice = device_->pool.upload(images, device_->stream), classes = device_->pool.upload(labels, device_->stream);
      const Windows windows = runner_->windows(group, &batch);
      const Window& window = windows[network_.logits];
      Pool::Piece seed = device_->pool.takeFloats(int64_t(count) * logits.channels() * volume(window.size));
      regionLosses(*device_, loss, logits, {targets.as<uint8_t>(), masks.as<uint8_t>()}, onDevice.as<int>(), classes.as<int>(), count,
                   window, seed.floats(), losses.as<double>() + first);
      runner_->backward(
          std::move(seed), windows, onDevice.as<int>(), count, real, false,
          [&](const Gradient& g) { take(rows, first, g, norms.as<double>() + first); }, abort);
    }
    std::vector<double> hostNorms(total), hostLosses(total);
    device_->download(hostNorms.data(), norms.as<double>(), total * int64_t(sizeof(double)));
    device_->download(hostLosses.data(), losses.as<double>(), total * int64_t(sizeof(double)));
    device_->synchronize();
    for (int64_t r = 0; r < total; ++r) {
      result.norms[rows[r].slice * k + rows[r].label] = static_cast<float>(hostNorms[r]);
      result.losses[rows[r].slice * k + rows[r].label] = static_cast<float>(hostLosses[r]);
    }
    return result;
  }
};

}  // namespace

std::unique_ptr<Program> compile(Network network, const CompileOptions& options) {
  return std::make_unique<CudaProgram>(std::move(network), options);
}

}  // namespace tracin::cuda
