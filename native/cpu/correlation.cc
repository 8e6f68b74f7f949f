#include "correlation.h"

#include <omp.h>

#include <algorithm>
#include <cstring>

#include "lines.h"
#include "processor.h"

namespace tracin::cpu {

using dnn::Desc;
using dnn::Dims;
using dnn::Tag;
using dnnl::memory;

namespace {

Tag plainTag(int rank) { return rank == 1 ? Tag::ncw : rank == 2 ? Tag::nchw : Tag::ncdhw; }
Tag blockedTag(int rank) { return rank == 1 ? Tag::nCw16c : rank == 2 ? Tag::nChw16c : Tag::nCdhw16c; }
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

// The last `rank` axes.
Dims axes(const Extent& e, int rank) {
  Dims d;
  for (int a = kAxes - rank; a < kAxes; ++a) d.push_back(e[a]);
  return d;
}

}  // namespace

Correlation::Correlation(Workspace& work, const Geometry& shape, int kernel)
    : work_(work),
      shape_(shape),
      kernel_(kernel),
      minimal_(hasAvx512() && shape.rank == 2 && shape.groups == 1 && shape.in >= kLanes && shape.kernel == Extent{1, 3, 3} &&
               shape.strides == Extent{1, 1, 1} && shape.dilations == Extent{1, 1, 1}),
      ofImage_(hasAvx512() && shape.rank == 2 && shape.groups == 1 && shape.in < kLanes && shape.kernel[2] == image_correlation::kColumns &&
               shape.strides == Extent{1, 1, 1} && shape.dilations == Extent{1, 1, 1}) {}

Desc Correlation::side(int rows, int channels, const Box& box, bool plain, bool any) const {
  return {sideDims(rows, channels, box.size()), memory::data_type::f32,
          any     ? Tag::any
          : plain ? plainTag(shape_.rank)
                  : blockedTag(shape_.rank)};
}

Dims Correlation::sideDims(int rows, int channels, const Extent& extent) const {
  Dims d{rows, channels};
  for (auto n : axes(extent, shape_.rank)) d.push_back(n);
  return d;
}

Dims Correlation::weightDims(int out) const {
  const int g = shape_.groups;
  Dims d = g == 1 ? Dims{out, shape_.in} : Dims{g, out / g, shape_.in / g};
  for (auto k : axes(shape_.kernel, shape_.rank)) d.push_back(k);
  return d;
}

Desc Correlation::weightDesc(int out, Tag tag) const { return {weightDims(out), memory::data_type::f32, tag}; }

void Correlation::count(int rows, const Part& y) {
  work_.profile.count(2 * rows * volume(y.box.size()) * volume(shape_.kernel) * shape_.out * (shape_.in / shape_.groups));
}

// Padding follows from the boxes: output o reads o·stride − before + k·dilation, both counted from their boxes' corners.
dnn::Convolution Correlation::convolution(int rows, int out, const Part& x, const Part& y) const {
  dnn::Convolution c;
  c.input = side(rows, shape_.in, x.box, x.plain, true);
  c.output = side(rows, out, y.box, y.plain, true);
  c.weights = weightDesc(out, Tag::any);
  c.strides = axes(shape_.strides, shape_.rank);
  for (int a = kAxes - shape_.rank; a < kAxes; ++a) {
    const int inSize = x.box.hi[a] - x.box.lo[a], outSize = y.box.hi[a] - y.box.lo[a], stride = shape_.strides[a];
    const int before = shape_.before[a] + x.box.lo[a] - y.box.lo[a] * stride;
    const int after = (outSize - 1) * stride + (shape_.kernel[a] - 1) * shape_.dilations[a] + 1 - inSize - before;
    c.dilations.push_back(shape_.dilations[a] - 1);
    c.before.push_back(before);
    c.after.push_back(after < 0 && after > -stride ? 0 : after);  // rows a stride skips at the end
  }
  return c;
}

Correlation::Key Correlation::key(Pass pass, int rows, int stack, const Part& x, const Part& y, int extra) const {
  const Extent in = x.box.size(), out = y.box.size();
  Key k{int(pass), rows, stack, extra, x.plain};
  for (int a = kAxes - shape_.rank; a < kAxes; ++a)
    k.insert(k.end(), {in[a], out[a], shape_.before[a] + x.box.lo[a] - y.box.lo[a] * shape_.strides[a]});
  return k;
}

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

// A part as it lies in its array.
Desc Correlation::within(const Part& part, int rows, int channels) const {
  const Desc all = side(rows, channels, part.frame, part.plain);
  if (part.box == part.frame) return all;
  Extent start;
  for (int a = 0; a < kAxes; ++a) start[a] = part.box.lo[a] - part.frame.lo[a];
  return all.submemory_desc(sideDims(rows, channels, part.box.size()), sideDims(0, 0, start));
}

int64_t Correlation::floats(int channels, const Part& p) const {
  return (p.plain ? channels : blocksOf(channels) * kLanes) * volume(p.frame.size());
}

template <class Item, class Run>
void Correlation::byMethod(Pass pass, const std::vector<Item>& items, Run run) {
  for (Method m : {Method::direct, Method::winograd, Method::tiles}) {
    std::vector<Item> some;
    for (const Item& item : items)
      if (method(pass, item.x, item.y) == m) some.push_back(item);
    if (!some.empty()) run(m, some);
  }
}

// The numbers of a part in the order a kernel wants: copied together where the part is not all of its array.
memory Correlation::bring(int rows, const Part& part, int channels, const Desc& ours, const Desc& wanted, Pool::Piece& room) {
  Pool::Piece cut;
  float* data = part.data;
  if (!(part.box == part.frame)) {
    const Extent n = part.box.size(), e = part.frame.size();
    Box local = part.box;
    for (int a = 0; a < kAxes; ++a) local.lo[a] -= part.frame.lo[a], local.hi[a] -= part.frame.lo[a];
    const int maps = rows * (part.plain ? channels : blocksOf(channels));
    cut = work_.pool.take(maps * volume(n) * (part.plain ? 1 : kLanes));
    if (part.plain) {
      float* to = cut.data();
      for (int c = 0; c < maps; ++c)
        for (int z = local.lo[0]; z < local.hi[0]; ++z)
          for (int y = local.lo[1]; y < local.hi[1]; ++y, to += n[2])
            std::copy_n(data + ((int64_t(c) * e[0] + z) * e[1] + y) * e[2] + local.lo[2], n[2], to);
    } else {
      crop(data, e, local, maps, cut.data());
    }
    data = cut.data();
  }
  memory from(ours, work_.engine, data);
  if (dnn::same(ours, wanted)) {
    room = std::move(cut);
    return from;
  }
  room = work_.pool.take(wanted.get_size() / sizeof(float));
  memory to(wanted, work_.engine, room.data());
  dnnl::reorder(from, to).execute(work_.stream, from, to);
  return to;
}

void Correlation::execute(const Primitive& p, std::unordered_map<int, memory> arguments) {
  Pool::Piece room = work_.pool.take(p.scratch.get_size() / sizeof(float) + 1);
  arguments.emplace(DNNL_ARG_SCRATCHPAD, memory(p.scratch, work_.engine, room.data()));
  p.run.execute(work_.stream, arguments);
}

winograd::Maps Correlation::maps(int channels, const Part& part) const {
  const Box& box = part.box;
  const Extent e = part.frame.size(), n = box.size();
  const int64_t corner = (int64_t(box.lo[1] - part.frame.lo[1]) * e[2] + box.lo[2] - part.frame.lo[2]) * kLanes;
  return {part.data + corner,
          blocksOf(channels) * volume(e) * kLanes,
          volume(e) * kLanes,
          int64_t(e[2]) * kLanes,
          box.lo[1],
          box.lo[2],
          n[1],
          n[2],
          blocksOf(channels)};
}

Pool::Piece Correlation::scratch() { return work_.pool.take(omp_get_max_threads() * winograd::scratchFloats()); }

const float* Correlation::inBlocks(const float* numbers, int channels, Buffer& room) const {
  if (!numbers) return nullptr;
  if (!room.size()) room = Buffer(blocksOf(channels) * kLanes), std::fill_n(room.data(), room.size(), 0.f);
  std::copy_n(numbers, channels, room.data());
  return room.data();
}

Method Correlation::method(Pass pass, const Part& x, const Part& y) const {
  if (!minimal_ || x.plain || y.plain) return Method::direct;
  return work_.choice.of(pass, shape_.in, shape_.out, volume(y.box.size()), work_.precision);
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
      Brief& tiles = brief_[turned];
      if (!tiles.tiles.size()) tiles.tiles = Buffer(amx::kernelFloats(in.blocks, out.blocks));
      if (tiles.version != kernelVersion() || tiles.scaling != scaling_) {
        amx::pack(kernel, in.blocks, out.blocks, tiles.tiles.data());
        tiles.version = kernelVersion(), tiles.scaling = scaling_;
      }
      const Pool::Piece room = work_.pool.take(amx::convolveFloats(pairs.data(), count));
      return amx::convolve(pairs.data(), count, tiles.tiles.data(), offset(1), offset(2), bias, slope, room.data());
    }
  }
  const Pool::Piece room = scratch();
  winograd::convolve(pairs.data(), count, kernel, offset(1), offset(2), bias, slope, room.data());
}

void Correlation::gather(int rows, Part x, Part y, const float* bias, float slope) {
  if (y.box.empty()) return;
  count(rows, y);
  const Method m = method(Pass::forward, x, y);
  if (m != Method::direct) return convolve(m, batch(rows, x, y), false, bias, slope);
  if (!minimal_ || x.plain || y.plain) x.box = x.frame, y.box = y.frame;  // whoever wants less gets more
  const Desc biasDesc = bias ? Desc({shape_.out}, memory::data_type::f32, Tag::x) : Desc();
  const Primitive& p = compiled_.get(key(Pass::forward, rows, 1, x, y, (bias ? 1 : 0) + (slope != 1.f ? 2 : 0)), [&]() -> Primitive {
    dnn::Convolution c = convolution(rows, shape_.out, x, y);
    c.bias = biasDesc;
    auto pd = dnn::forward(work_.engine, c, slope == 1.f ? dnn::attributes() : dnn::leaky(slope));
    return {dnnl::convolution_forward(pd), pd.src_desc(), pd.weights_desc(), pd.dst_desc(), pd.scratchpad_desc()};
  });
  Pool::Piece xRoom, yRoom;
  const Desc ours = within(y, rows, shape_.out);
  memory from = bring(rows, x, shape_.in, side(rows, shape_.in, x.box, x.plain), p.input, xRoom), w = weights(p.weights), to;
  const bool direct = dnn::same(ours, p.output);
  if (!direct) yRoom = work_.pool.take(p.output.get_size() / sizeof(float));
  to = memory(p.output, work_.engine, direct ? y.data : yRoom.data());
  std::unordered_map<int, memory> args{{DNNL_ARG_SRC, from}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DST, to}};
  if (bias) args.emplace(DNNL_ARG_BIAS, memory(biasDesc, work_.engine, const_cast<float*>(bias)));
  execute(p, std::move(args));
  if (!direct) {
    memory end(ours, work_.engine, y.data);
    dnnl::reorder(to, end).execute(work_.stream, to, end);
  }
}

std::vector<Correlation::Pair> Correlation::batch(int rows, const Part& x, const Part& y) const {
  std::vector<Pair> pairs(rows, {x, y});
  for (int r = 1; r < rows; ++r) pairs[r].x.data += r * floats(shape_.in, x), pairs[r].y.data += r * floats(shape_.out, y);
  return pairs;
}

void Correlation::scatter(const std::vector<Pair>& pairs) {
  for (const Pair& p : pairs) count(1, p.y);
  byMethod(Pass::data, pairs, [&](Method m, const std::vector<Pair>& some) {
    m == Method::direct ? scatterDirectly(some) : convolve(m, some, true, nullptr, 1.f);
  });
}

void Correlation::scatterDirectly(const std::vector<Pair>& pairs) {
  // those on one box that lie one after another are a batch to the library
  for (size_t first = 0, next; first < pairs.size(); first = next) {
    const auto& [x, y] = pairs[first];
    for (next = first + 1; next < pairs.size(); ++next) {
      const auto& [a, b] = pairs[next];
      const int64_t n = next - first;
      if (!(a.box == x.box && b.box == y.box && a.data == x.data + n * floats(shape_.in, x) &&
            b.data == y.data + n * floats(shape_.out, y)))
        break;
    }
    scatterTogether(static_cast<int>(next - first), y, x);
  }
}

void Correlation::scatterTogether(int rows, const Part& y, const Part& x) {
  const Primitive& p = compiled_.get(key(Pass::data, rows, 1, x, y), [&]() -> Primitive {
    auto pd = dnn::backwardData(work_.engine, convolution(rows, shape_.out, x, y));
    return {dnnl::convolution_backward_data(pd), pd.diff_src_desc(), pd.weights_desc(), pd.diff_dst_desc(), pd.scratchpad_desc()};
  });
  Pool::Piece xRoom, yRoom;
  const Desc ours = side(rows, shape_.in, x.box, x.plain);
  memory from = bring(rows, y, shape_.out, side(rows, shape_.out, y.box, y.plain), p.output, yRoom), w = weights(p.weights);
  const bool direct = dnn::same(ours, p.input);
  if (!direct) xRoom = work_.pool.take(p.input.get_size() / sizeof(float));
  memory to(p.input, work_.engine, direct ? x.data : xRoom.data());
  execute(p, {{DNNL_ARG_DIFF_DST, from}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DIFF_SRC, to}});
  if (!direct) {
    memory end(ours, work_.engine, x.data);
    dnnl::reorder(to, end).execute(work_.stream, to, end);
  }
}

// Every call must give rows in one order, whatever its boxes: the order the library likes for this layer if stacking keeps rows
// contiguous in it, else the file's.
void Correlation::chooseGradientLayout(const Part& x, const Part& y) {
  if (gradientTag_ != Tag::undef) return;
  ofImage_ &= !plainGradient_;
  gradientTag_ = minimal_ ? Tag::OIhw16i16o : ofImage_ ? Tag::Ohwi16o : plainWeights(shape_.rank, shape_.groups > 1);
  if (!minimal_ && !ofImage_ && shape_.groups == 1 && !plainGradient_) {
    const Desc liked = dnn::backwardWeights(work_.engine, convolution(1, paddedOut(), x, y)).diff_weights_desc();
    for (Tag tag : outermostOut(shape_.rank))
      if (dnn::same(liked, weightDesc(paddedOut(), tag))) gradientTag_ = tag;
  }
  gradientDesc_ = weightDesc(paddedOut(), gradientTag_);
}

int64_t Correlation::gradientFloats() {
  if (gradientTag_ == Tag::undef) {
    // any window the relation allows tells the layout: one output position and what it reads
    Box out{{0, 0, 0}, {1, 1, 1}}, in;
    for (int a = 0; a < kAxes; ++a) {
      out.hi[a] = 16, in.lo[a] = -shape_.before[a];
      in.hi[a] = in.lo[a] + 15 * shape_.strides[a] + (shape_.kernel[a] - 1) * shape_.dilations[a] + 1;
      if (a < kAxes - shape_.rank) out.hi[a] = in.hi[a] = 1, in.lo[a] = 0;
    }
    chooseGradientLayout({in, nullptr, shape_.in < kLanes}, {out, nullptr});
  }
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

void Correlation::correlate(const std::vector<Sum>& sums) {
  const int64_t n = gradientFloats();
  for (const Sum& s : sums) count(s.rows * s.stack, s.y);
  byMethod(Pass::weights, sums, [&](Method m, const std::vector<Sum>& some) {
    if (m != Method::direct) return correlateInBlocks(m, some);
    if (ofImage_ && some[0].x.plain)
      correlateWithImage(some);
    else
      for (const Sum& s : some) correlateDirectly(s.rows, s.stack, s.x, s.y, s.gradient);
    for (const Sum& s : some)
      for (int g = 0; s.dots && g < s.stack; ++g) scaleGradient(s.gradient + g * n, s.dots + g * shape_.out);
  });
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
  if (method == Method::winograd) {
    const Pool::Piece room = work_.pool.take(winograd::correlateFloats(all.data(), number)), own = scratch();
    winograd::correlate(all.data(), number, -shape_.before[1], -shape_.before[2], asked, room.data(), own.data());
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
  const Pool::Piece room = work_.pool.take(image_correlation::floats(all.data(), number));
  image_correlation::correlate(all.data(), number, room.data());
}

void Correlation::correlateDirectly(int rows, int stack, const Part& x, const Part& y, float* gradient) {
  const int out = shape_.groups == 1 ? paddedOut() * stack : shape_.out;
  const Primitive& p = compiled_.get(key(Pass::weights, rows, stack, x, y), [&]() -> Primitive {
    dnn::Convolution c = convolution(rows, out, x, y);
    auto pd = dnn::backwardWeights(work_.engine, c);
    if (!dnn::same(pd.diff_weights_desc(), weightDesc(out, gradientTag_))) {
      c.weights = weightDesc(out, gradientTag_);
      try {  // the same order as everywhere, unless only a slow generic kernel knows it
        auto asked = dnn::backwardWeights(work_.engine, c);
        if (!std::strstr(asked.impl_info_str(), "ref") && !std::strstr(asked.impl_info_str(), "gemm")) pd = asked;
      } catch (const dnnl::error&) {
      }
    }
    return {dnnl::convolution_backward_weights(pd), pd.src_desc(), pd.diff_weights_desc(), pd.diff_dst_desc(), pd.scratchpad_desc()};
  });
  Pool::Piece xRoom, yRoom, room;
  memory from = bring(rows, x, shape_.in, side(rows, shape_.in, x.box, x.plain), p.input, xRoom);
  memory dy = bring(rows, y, out, side(rows, out, y.box, y.plain), p.output, yRoom);
  const Desc ours = weightDesc(out, gradientTag_);
  const bool direct = dnn::same(ours, p.weights);
  if (!direct) room = work_.pool.take(p.weights.get_size() / sizeof(float));
  memory to(p.weights, work_.engine, direct ? gradient : room.data());
  execute(p, {{DNNL_ARG_SRC, from}, {DNNL_ARG_DIFF_DST, dy}, {DNNL_ARG_DIFF_WEIGHTS, to}});
  if (!direct) {
    memory end(ours, work_.engine, gradient);
    dnnl::reorder(to, end).execute(work_.stream, to, end);
  }
}

}  // namespace tracin::cpu
