// A correlation by kernels of our own: winograd.h, amx.h, image_correlation.h.
#include <omp.h>

#include <algorithm>

#include "correlation.h"
#include "processor.h"

namespace tracin::cpu {

using dnn::Tag;
using dnnl::memory;

namespace {

const winograd::Kernels& minimal(Method method) {
  if constexpr (kX86) {
    if (method == Method::winogradBf16) return winograd::avx512bf16;
    if (hasAvx512()) return winograd::avx512;
  }
  return winograd::portable;
}

const image_correlation::Kernels& ofImage() {
  if constexpr (kX86)
    if (hasAvx512()) return image_correlation::avx512;
  return image_correlation::portable;
}

}  // namespace

winograd::Maps Correlation::maps(int channels, const Part& part) const {
  const Box& box = part.box;
  const Extent e = part.frame.size(), n = box.size();
  const int64_t corner = (int64_t(box.lo[1] - part.frame.lo[1]) * e[2] + box.lo[2] - part.frame.lo[2]) * kLanes;
  return {part.data + corner, step(channels, part), volume(e) * kLanes, int64_t(e[2]) * kLanes, box.lo[1], box.lo[2], n[1], n[2],
          blocksOf(channels)};
}

Pool::Piece Correlation::scratch(const winograd::Kernels& kernels) {
  return work_.pool.take(omp_get_max_threads() * kernels.scratchFloats);
}

const float* Correlation::inBlocks(const float* numbers, int channels, Buffer& room) const {
  if (!numbers) return nullptr;
  if (!room.size()) room = Buffer(blocksOf(channels) * kLanes), std::fill_n(room.data(), room.size(), 0.f);
  std::copy_n(numbers, channels, room.data());
  return room.data();
}

// The relation read forwards, or backwards with the kernel turned round.
void Correlation::convolve(Method method, const std::vector<Pair>& rows, bool turned, const float* bias, float slope) {
  const memory w = weights(weightDesc(shape_.out, turned ? Tag::OIhw16o16i : Tag::OIhw16i16o));
  const int64_t taps = volume(shape_.kernel) * kLanes * kLanes, line = blocksOf(shape_.in) * taps;
  const winograd::Kernel kernel{static_cast<const float*>(w.get_data_handle()), turned ? line : taps, turned ? taps : line, turned};
  const auto offset = [&](int axis) { return turned ? shape_.before[axis] - 2 : -shape_.before[axis]; };
  bias = inBlocks(bias, shape_.out, bias_);
  std::vector<winograd::Pair> pairs;
  for (const auto& [x, y] : rows) {
    const winograd::Maps in = maps(shape_.in, x), out = maps(shape_.out, y);
    pairs.push_back(turned ? winograd::Pair{out, in} : winograd::Pair{in, out});
  }
  const int count = static_cast<int>(pairs.size());
  if constexpr (kX86) {
    if (method == Method::tiles) {
      const auto& [in, out] = pairs[0];
      if (!brief_.tiles.size()) brief_.tiles = Buffer(amx::kernelFloats(in.blocks, out.blocks));
      if (brief_.version != kernelVersion() || brief_.scaling != scaling_) {
        amx::pack(kernel, in.blocks, out.blocks, brief_.tiles.data());
        brief_.version = kernelVersion(), brief_.scaling = scaling_;
      }
      const Pool::Piece room = work_.pool.take(amx::convolveFloats(pairs.data(), count));
      return amx::convolve(pairs.data(), count, brief_.tiles.data(), offset(1), offset(2), room.data());
    }
  }
  const winograd::Kernels& kernels = minimal(method);
  const Pool::Piece room = scratch(kernels);
  kernels.convolve(pairs.data(), count, kernel, offset(1), offset(2), bias, slope, room.data());
}

void Correlation::correlateInBlocks(Method method, const std::vector<Sum>& sums) {
  std::vector<winograd::Sum> all;
  int gradients = 0;
  for (const Sum& s : sums) {
    all.push_back({std::max(s.rows, s.stack), s.stack, maps(shape_.in, s.x), maps(shape_.out, s.y), s.gradient});
    gradients += s.stack;
  }
  const int number = static_cast<int>(all.size()), ins = blocksOf(shape_.in), outs = blocksOf(shape_.out);
  const bool scaled = sums[0].dots != nullptr;
  Pool::Piece blocks;
  winograd::Scaling scaling{};
  if (scaled) {
    blocks = work_.pool.take(int64_t(gradients) * outs * ins * kLanes);
    scaling = {inBlocks(factors_, shape_.out, factorBlocks_),
               static_cast<const float*>(weights(weightDesc(shape_.out, gradientTag_), false).get_data_handle()), blocks.data()};
  }
  const winograd::Scaling* asked = scaled ? &scaling : nullptr;
  if (method != Method::tiles) {
    const winograd::Kernels& kernels = minimal(method);
    const Pool::Piece room = work_.pool.take(kernels.correlateFloats(all.data(), number)), own = scratch(kernels);
    kernels.correlate(all.data(), number, -shape_.before[1], -shape_.before[2], asked, room.data(), own.data());
  } else if constexpr (kX86) {
    const Pool::Piece room = work_.pool.take(amx::correlateFloats(all.data(), number));
    amx::correlate(all.data(), number, -shape_.before[1], -shape_.before[2], asked, room.data());
  }
  if (!scaled) return;
  const float* from = blocks.data();
  for (const Sum& s : sums)
    for (int g = 0; g < s.stack; ++g, from += int64_t(outs) * ins * kLanes)
      for (int c = 0; c < shape_.out; ++c) {
        double& dot = s.dots[g * shape_.out + c] = 0;
        for (int b = 0; b < ins; ++b) dot += from[(int64_t(c / kLanes) * ins + b) * kLanes + c % kLanes];
      }
}

void Correlation::correlateWithImage(const std::vector<Sum>& sums) {
  std::vector<image_correlation::Sum> all;
  std::vector<Pool::Piece> windows;
  for (const Sum& s : sums) {
    const Extent n = s.y.box.size(), frame = s.x.frame.size();
    const int images = std::max(s.rows, s.stack), inputs = s.stack > 1 ? 1 : s.rows, height = n[1] + shape_.kernel[1] - 1,
              width = n[2] + shape_.kernel[2] - 1, top = s.y.box.lo[1] - shape_.before[1], left = s.y.box.lo[2] - shape_.before[2];
    float* window = windows.emplace_back(work_.pool.take(int64_t(inputs) * shape_.in * height * width)).data();
    // columns of the window that are on the map
    const int from = std::max(0, s.x.frame.lo[2] - left), to = std::max(from, std::min(width, s.x.frame.hi[2] - left));
#pragma omp parallel for schedule(static)
    for (int64_t line = 0; line < int64_t(inputs) * shape_.in * height; ++line) {
      float* at = window + line * width;
      const int64_t map = line / height;
      const int y = top + int(line % height) - s.x.frame.lo[1];
      std::fill_n(at, width, 0.f);
      if (y >= 0 && y < frame[1])
        std::copy_n(s.x.data + (map * frame[1] + y) * frame[2] + left + from - s.x.frame.lo[2], to - from, at + from);
    }
    const int64_t channel = int64_t(height) * width;
    all.push_back(
        {images, s.stack, {window, shape_.in * channel, channel, width, shape_.in}, maps(shape_.out, s.y), shape_.kernel[1], s.gradient});
  }
  const int number = static_cast<int>(all.size());
  const Pool::Piece room = work_.pool.take(ofImage().floats(all.data(), number));
  ofImage().correlate(all.data(), number, room.data());
}

}  // namespace tracin::cpu
