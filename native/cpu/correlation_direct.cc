// A correlation by oneDNN's convolutions, whatever their shape.
#include <algorithm>
#include <cstring>

#include "correlation.h"
#include "lines.h"

namespace tracin::cpu {

using dnn::Desc;
using dnn::Dims;
using dnn::Tag;
using dnnl::memory;

namespace {

Tag plainTag(int rank) { return rank == 1 ? Tag::ncw : rank == 2 ? Tag::nchw : Tag::ncdhw; }

Tag blockedTag(int rank) { return rank == 1 ? Tag::nCw16c : rank == 2 ? Tag::nChw16c : Tag::nCdhw16c; }

// The last `rank` axes.
Dims axes(const Extent& e, int rank) {
  Dims d;
  for (int a = kAxes - rank; a < kAxes; ++a) d.push_back(e[a]);
  return d;
}

}  // namespace

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

// A part as it lies in its array.
Desc Correlation::within(const Part& part, int rows, int channels) const {
  const Desc all = side(rows, channels, part.frame, part.plain);
  if (part.box == part.frame) return all;
  Extent start;
  for (int a = 0; a < kAxes; ++a) start[a] = part.box.lo[a] - part.frame.lo[a];
  return all.submemory_desc(sideDims(rows, channels, part.box.size()), sideDims(0, 0, start));
}

Dims Correlation::weightDims(int out) const {
  const int g = shape_.groups;
  Dims d = g == 1 ? Dims{out, shape_.in} : Dims{g, out / g, shape_.in / g};
  for (auto k : axes(shape_.kernel, shape_.rank)) d.push_back(k);
  return d;
}

Desc Correlation::weightDesc(int out, Tag tag) const { return {weightDims(out), memory::data_type::f32, tag}; }

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

// Of windows of 15 × 15 on 32 channels the library asks for 41 MB at 36 × 36 positions, for 6 MB at 48 × 48, and for 1 GB for four rows
// of 230 × 160 (oneDNN 2.6, two threads).
bool Correlation::asksTooMuch(const Primitive& p, int rows, const Part& part) const {
  if (!p.writesWindows || int64_t(p.scratch.get_size()) <= mostScratch_) return false;
  for (int a = 0; a < kAxes; ++a)  // a half might begin between two windows
    if (shape_.strides[a] > (shape_.kernel[a] - 1) * shape_.dilations[a] + 1) return false;
  return rows > 1 || volume(part.box.size()) > 1;
}

// Row by row, and a row in halves of its y, or of its x.
std::vector<Correlation::Pair> Correlation::smaller(int rows, const Part& x, const Part& y, bool byX) const {
  if (rows > 1) return batch(rows, x, y);
  const Extent n = (byX ? x : y).box.size();
  const auto axis = std::max_element(n.begin(), n.end()) - n.begin();
  std::vector<Pair> halves(2, {x, y});
  Box &low = byX ? halves[0].x.box : halves[0].y.box, &high = byX ? halves[1].x.box : halves[1].y.box;
  low.hi[axis] = high.lo[axis] = low.lo[axis] + n[axis] / 2;
  for (auto& [a, b] : halves)
    if (byX)
      b.box = meeting(shape_, a.box, y.box);
    else
      a.box = covered(shape_, b.box, x.box);
  return halves;
}

void Correlation::gatherDirectly(int rows, Part x, Part y, const float* bias, float slope) {
  if (!dense(rows, x, y)) {
    for (const auto& [a, b] : batch(rows, x, y)) gatherDirectly(1, a, b, bias, slope);
    return;
  }
  const Desc biasDesc = bias ? Desc({shape_.out}, memory::data_type::f32, Tag::x) : Desc();
  const Primitive& p = compiled_.get(key(Pass::forward, rows, 1, x, y, (bias ? 1 : 0) + (slope != 1.f ? 2 : 0)), [&]() -> Primitive {
    dnn::Convolution c = convolution(rows, shape_.out, x, y);
    c.bias = biasDesc;
    auto pd = dnn::forward(work_.engine, c, slope == 1.f ? dnn::attributes() : dnn::leaky(slope));
    return {dnnl::convolution_forward(pd), pd.src_desc(), pd.weights_desc(), pd.dst_desc(), pd.scratchpad_desc(), dnn::writesWindows(pd)};
  });
  if (asksTooMuch(p, rows, y)) {
    for (const auto& [a, b] : smaller(rows, x, y, false)) gatherDirectly(1, a, b, bias, slope);
    return;
  }
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
    return {dnnl::convolution_backward_data(pd),
            pd.diff_src_desc(),
            pd.weights_desc(),
            pd.diff_dst_desc(),
            pd.scratchpad_desc(),
            dnn::writesWindows(pd)};
  });
  if (asksTooMuch(p, rows, x)) {
    for (const auto& [a, b] : smaller(rows, x, y, true)) scatterTogether(1, b, a);
    return;
  }
  Pool::Piece xRoom, yRoom;
  const Desc ours = within(x, rows, shape_.in);
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

// The sum of what pairs yield.
void Correlation::correlateOneByOne(const std::vector<Pair>& pairs, int stack, float* gradient) {
  const int64_t n = stack * gradientFloats();
  Pool::Piece room;
  for (const auto& [x, y] : pairs) {
    correlateDirectly(1, stack, x, y, room ? room.data() : gradient);
    if (room)
      add(room.data(), n, gradient);
    else
      room = work_.pool.take(n);
  }
}

void Correlation::correlateDirectly(int rows, int stack, const Part& x, const Part& y, float* gradient) {
  if (!dense(rows, x, y)) return correlateOneByOne(batch(rows, x, y), stack, gradient);
  const int out = shape_.groups == 1 ? paddedOut() * stack : shape_.out;
  const Primitive& p = compiled_.get(key(Pass::weights, rows, stack, x, y), [&]() -> Primitive {
    dnn::Convolution c = convolution(rows, out, x, y);
    auto pd = dnn::backwardWeights(work_.engine, c);
    if (!dnn::same(pd.diff_weights_desc(), weightDesc(out, gradientTag_))) {
      c.weights = weightDesc(out, gradientTag_);
      try {  // the same order as everywhere, unless only a slow generic kernel knows it
        auto asked = dnn::backwardWeights(work_.engine, c);
        if (!std::strstr(asked.impl_info_str(), "ref") && !dnn::writesWindows(asked)) pd = asked;
      } catch (const dnnl::error&) {
      }
    }
    return {dnnl::convolution_backward_weights(pd),
            pd.src_desc(),
            pd.diff_weights_desc(),
            pd.diff_dst_desc(),
            pd.scratchpad_desc(),
            dnn::writesWindows(pd)};
  });
  if (asksTooMuch(p, rows, y)) return correlateOneByOne(smaller(rows, x, y, false), stack, gradient);
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
