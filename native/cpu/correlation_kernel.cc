// A correlation's kernel in the orders that kernels want, and its gradients in theirs.
#include <algorithm>

#include "correlation.h"
#include "lines.h"

namespace tracin::cpu {

using dnn::Desc;
using dnn::Dims;
using dnn::Tag;
using dnnl::memory;

namespace {

Tag plainWeights(int rank, bool groups) {
  if (groups) return rank == 1 ? Tag::goiw : rank == 2 ? Tag::goihw : Tag::goidhw;
  return rank == 1 ? Tag::oiw : rank == 2 ? Tag::oihw : Tag::oidhw;
}

// Weight layouts whose outermost axis is the block of output channels: gradients stacked along it stay contiguous.
std::vector<Tag> outermostOut(int rank) {
  if (rank == 1) return {Tag::OIw16i16o, Tag::Owi16o, Tag::OIw16o16i};
  if (rank == 2) return {Tag::OIhw16i16o, Tag::Ohwi16o, Tag::OIhw16o16i};
  return {Tag::OIdhw16i16o, Tag::Odhwi16o, Tag::OIdhw16o16i};
}

}  // namespace

memory Correlation::weights(const Desc& wanted, bool scaled) {
  scaled &= factors_ != nullptr;
  auto it = std::find_if(packed_.begin(), packed_.end(), [&](const Packed& p) { return p.scaled == scaled && dnn::same(p.desc, wanted); });
  if (it == packed_.end()) it = packed_.insert(packed_.end(), {wanted, Buffer(wanted.get_size() / sizeof(float)), scaled, 0, 0});
  memory to(wanted, work_.engine, it->data.data());
  if (it->version == kernelVersion() && (!scaled || it->scaling == scaling_)) return to;
  const float* plain = given_ ? given_ : work_.numbers(kernel_);
  Pool::Piece room;
  if (scaled) {
    const int64_t each = tracin::count(work_.dims(kernel_)) / shape_.out;
    room = work_.pool.take(each * shape_.out);
    float* to = room.data();
#pragma omp parallel for schedule(static) if (each * shape_.out > kWorthSharing)
    for (int c = 0; c < shape_.out; ++c)
      for (int64_t i = c * each; i < (c + 1) * each; ++i) to[i] = plain[i] * factors_[c];
    plain = to;
  }
  memory from(weightDesc(shape_.out, plainWeights(shape_.rank, shape_.groups > 1)), work_.engine, const_cast<float*>(plain));
  dnnl::reorder(from, to).execute(work_.stream, from, to);
  it->version = kernelVersion(), it->scaling = scaling_;
  return to;
}

// Every call must give rows in one order, whatever its boxes: the order the library likes for this layer if stacking keeps rows
// contiguous in it, else the file's.
void Correlation::chooseGradientLayout() {
  ofImage_ &= !plainGradient_;
  gradientTag_ = minimal_ ? Tag::OIhw16i16o : ofImage_ ? Tag::Ohwi16o : plainWeights(shape_.rank, shape_.groups > 1);
  if (!minimal_ && !ofImage_ && shape_.groups == 1 && !plainGradient_) {
    const auto [x, y] = sample();
    const Desc liked = dnn::backwardWeights(work_.engine, convolution(1, paddedOut(), x, y)).diff_weights_desc();
    for (Tag tag : outermostOut(shape_.rank))
      if (dnn::same(liked, weightDesc(paddedOut(), tag))) gradientTag_ = tag;
  }
  gradientDesc_ = weightDesc(paddedOut(), gradientTag_);
}

int64_t Correlation::gradientFloats() {
  if (gradientTag_ == Tag::undef) chooseGradientLayout();
  return gradientDesc_.get_size() / sizeof(float);
}

void Correlation::unpackGradient(const float* row, float* plain) {
  const Desc wide = weightDesc(paddedOut(), plainWeights(shape_.rank, shape_.groups > 1));
  const bool padded = paddedOut() != shape_.out;
  Pool::Piece room;
  if (padded) room = work_.pool.take(wide.get_size() / sizeof(float));
  memory from(gradientDesc_, work_.engine, const_cast<float*>(row)), to(wide, work_.engine, padded ? room.data() : plain);
  dnnl::reorder(from, to).execute(work_.stream, from, to);
  if (padded) std::copy_n(room.data(), tracin::count(work_.dims(kernel_)), plain);
}

void Correlation::scaleGradient(float* gradient, double* sums) {
  const bool plain = gradientTag_ == plainWeights(shape_.rank, shape_.groups > 1);
  const Desc desc = weightDesc(shape_.out, gradientTag_);
  const float* kernel = static_cast<const float*>(weights(desc, false).get_data_handle());
  // which channel a number belongs to: the slowest axis where they lie as in the file, else a lane of the slowest axis's block
  const bool across = gradientTag_ == outermostOut(shape_.rank).back();
  const int blocks = plain ? shape_.out : blocksOf(shape_.out);
  const int64_t each = int64_t(desc.get_size() / sizeof(float)) / blocks;
#pragma omp parallel for schedule(static) if (blocks * each > kWorthSharing)
  for (int b = 0; b < blocks; ++b) {
    const float* w = kernel + b * each;
    float* g = gradient + b * each;
    if (plain) {
      double sum = 0;
      for (int64_t i = 0; i < each; ++i) sum += double(w[i]) * g[i], g[i] *= factors_[b];
      sums[b] = sum;
      continue;
    }
    double all[kLanes] = {};
    alignas(Lanes) float factor[kLanes] = {};
    const int used = std::min(kLanes, shape_.out - b * kLanes);
    std::copy_n(factors_ + b * kLanes, used, factor);
    // sixteen by sixteen numbers, or fewer at the end, of sixteen channels: along the faster axis or the slower
    for (int64_t i = 0; i < each; i += kLanes * kLanes) {
      const int64_t end = std::min(each, i + kLanes * kLanes);
      Lanes part{};
      if (!across) {
        const Lanes scale = lanes(factor);
        for (int64_t j = i; j < end; j += kLanes) part += lanes(w + j) * lanes(g + j), lanes(g + j) *= scale;
      } else {
        for (int64_t j = i; j < end; j += kLanes) {
          const Lanes product = lanes(w + j) * lanes(g + j);
          for (int l = 0; l < kLanes; ++l) part[(j - i) / kLanes] += product[l];
          lanes(g + j) *= factor[(j - i) / kLanes];
        }
      }
      for (int c = 0; c < kLanes; ++c) all[c] += part[c];
    }
    std::copy_n(all, used, sums + b * kLanes);
  }
}

}  // namespace tracin::cpu
