// oneDNN, and the one place that knows how its 2.x and 3.x interfaces differ.
#pragma once
#include <oneapi/dnnl/dnnl.hpp>
#include <string>

namespace tracin::cpu::dnn {

using Desc = dnnl::memory::desc;
using Dims = dnnl::memory::dims;
using Tag = dnnl::memory::format_tag;

struct Convolution {
  Desc input, weights, bias, output;  // bias: zero descriptor when there is none
  Dims strides, dilations, before, after;
};

inline bool same(const Desc& a, const Desc& b) { return a == b; }

// Whether a kernel writes into its scratch what each window reads, to multiply matrices: where the library has no better one for windows
// wider than 13, or for groups of channels that do not fill its lanes.
template <class Description>
bool writesWindows(const Description& d) {
  return std::string(d.impl_info_str()).find("gemm") != std::string::npos;
}

// Scratch memory is ours to give: the library's own belongs to the thread that made the primitive, and calls come from any thread.
inline dnnl::primitive_attr attributes() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

#if DNNL_VERSION_MAJOR >= 3

inline dnnl::primitive_attr leaky(float slope) {
  dnnl::post_ops ops;
  ops.append_eltwise(dnnl::algorithm::eltwise_relu, slope, 0.f);
  dnnl::primitive_attr attr = attributes();
  attr.set_post_ops(ops);
  return attr;
}

inline auto forward(const dnnl::engine& e, const Convolution& c, const dnnl::primitive_attr& attr = attributes()) {
  return dnnl::convolution_forward::primitive_desc(e, dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_auto, c.input,
                                                   c.weights, c.bias, c.output, c.strides, c.dilations, c.before, c.after, attr);
}
inline auto backwardData(const dnnl::engine& e, const Convolution& c) {
  return dnnl::convolution_backward_data::primitive_desc(e, dnnl::algorithm::convolution_direct, c.input, c.weights, c.output, c.strides,
                                                         c.dilations, c.before, c.after, forward(e, c), attributes());
}
inline auto backwardWeights(const dnnl::engine& e, const Convolution& c) {
  return dnnl::convolution_backward_weights::primitive_desc(e, dnnl::algorithm::convolution_direct, c.input, c.weights, c.output, c.strides,
                                                            c.dilations, c.before, c.after, forward(e, c), attributes());
}

#else

inline dnnl::primitive_attr leaky(float slope) {
  dnnl::post_ops ops;
  ops.append_eltwise(1.f, dnnl::algorithm::eltwise_relu, slope, 0.f);
  dnnl::primitive_attr attr = attributes();
  attr.set_post_ops(ops);
  return attr;
}

inline auto forward(const dnnl::engine& e, const Convolution& c, const dnnl::primitive_attr& attr = attributes()) {
  return dnnl::convolution_forward::primitive_desc({dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct, c.input,
                                                    c.weights, c.bias, c.output, c.strides, c.dilations, c.before, c.after},
                                                   attr, e);
}
inline auto backwardData(const dnnl::engine& e, const Convolution& c) {
  return dnnl::convolution_backward_data::primitive_desc(
      {dnnl::algorithm::convolution_direct, c.input, c.weights, c.output, c.strides, c.dilations, c.before, c.after}, attributes(), e,
      forward(e, c));
}
inline auto backwardWeights(const dnnl::engine& e, const Convolution& c) {
  return dnnl::convolution_backward_weights::primitive_desc(
      {dnnl::algorithm::convolution_direct, c.input, c.weights, c.output, c.strides, c.dilations, c.before, c.after}, attributes(), e,
      forward(e, c));
}

#endif

}  // namespace tracin::cpu::dnn
