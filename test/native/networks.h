// Small networks for the native engines' own tests, with weights drawn from one seed.
#pragma once
#include <cmath>
#include <random>

#include "../../native/core/program.h"

namespace tracin::test {

constexpr int kClasses = 4;

class Builder {
 public:
  Network network;
  Arrays weights;

  Builder(int height, int width) : random_(7) { network.input = value(Value::Kind::activation, "image", {4, height, width}); }

  int operation(const std::string& type, const std::vector<int>& inputs, const std::vector<int64_t>& dims,
                std::map<std::string, std::vector<double>> attributes = {}) {
    const int output = value(Value::Kind::activation, type + std::to_string(network.operations.size()), dims);
    network.operations.push_back({type, network.values[output].name, inputs, output, std::move(attributes), {}, {}, {}});
    return output;
  }
  const std::vector<int64_t>& dims(int v) const { return network.values[v].dims; }

  int parameter(const std::vector<int64_t>& dims, double around = 0, double spread = 0.3) {
    const int v = stored(Value::Kind::parameter, dims, around, spread);
    network.selected.push_back(v);
    return v;
  }

  int conv(int x, int64_t out, double kernel, double stride = 1) {
    const auto in = dims(x);
    const double pad = std::floor(kernel / 2);
    const auto size = [&](int64_t n) { return static_cast<int64_t>((n + 2 * pad - kernel) / stride) + 1; };
    const int64_t k = static_cast<int64_t>(kernel);
    return operation("Conv", {x, parameter({out, in[0], k, k}, 0, 1.2 / std::sqrt(in[0] * kernel * kernel)), parameter({out})},
                     {out, size(in[1]), size(in[2])}, window({kernel, kernel}, stride, pad));
  }
  int transposed(int x, int64_t out) {
    const auto in = dims(x);
    auto attributes = window({2, 2}, 2, 0);
    attributes["outputPadding"] = {0, 0};
    return operation("ConvTranspose", {x, parameter({in[0], out, 2, 2}), parameter({out})}, {out, 2 * in[1], 2 * in[2]}, attributes);
  }
  int normalised(int x) {
    const std::vector<int64_t> c{dims(x)[0]};
    const std::vector<int> inputs{x, parameter(c, 1), parameter(c), stored(Value::Kind::statistic, c, 0, 0.2),
                                  stored(Value::Kind::statistic, c, 1, 0.5)};
    return operation("BatchNormalization", inputs, dims(x), {{"epsilon", {1e-5}}, {"momentum", {0.9}}});
  }
  int pooled(int x) {
    auto attributes = window({2, 2}, 2, 0);
    return operation("MaxPool", {x}, {dims(x)[0], dims(x)[1] / 2, dims(x)[2] / 2}, attributes);
  }
  int relu(int x) { return operation("Relu", {x}, dims(x)); }
  int binary(const std::string& type, int a, int b) { return operation(type, {a, b}, dims(a)); }
  int joined(int a, int b) { return operation("Concat", {a, b}, {dims(a)[0] + dims(b)[0], dims(a)[1], dims(a)[2]}, {{"axis", {0}}}); }

  void end(int x) {
    network.logits = conv(x, kClasses, 1);
    network.head = static_cast<int>(network.operations.size()) - 1;
  }

 private:
  std::mt19937 random_;

  int value(Value::Kind kind, const std::string& name, const std::vector<int64_t>& dims) {
    network.values.push_back({kind, name, dims, {}});
    return static_cast<int>(network.values.size()) - 1;
  }
  int stored(Value::Kind kind, const std::vector<int64_t>& dims, double around, double spread) {
    const int v = value(kind, "w" + std::to_string(network.values.size()), dims);
    std::uniform_real_distribution<float> noise(-1, 1);
    auto& data = weights[network.values[v].name];
    for (int64_t i = 0; i < count(dims); ++i) data.push_back(static_cast<float>(around + spread * noise(random_)));
    return v;
  }
  static std::map<std::string, std::vector<double>> window(std::vector<double> kernel, double stride, double pad) {
    return {{"kernel", kernel},     {"strides", {stride, stride}}, {"dilations", {1, 1}},
            {"before", {pad, pad}}, {"after", {pad, pad}},         {"groups", {1}}};
  }
};

// Encoder and decoder with skips, an attention gate, a strided convolution and normalised channels.
inline Builder everything() {
  Builder b(24, 32);
  const int first = b.relu(b.normalised(b.conv(b.network.input, 12, 3)));
  const int deep = b.relu(b.normalised(b.conv(b.pooled(first), 40, 3)));
  const int strided = b.relu(b.conv(first, 12, 3, 2));
  const int inner = b.binary("Add", deep, b.conv(strided, 40, 1));
  const int up = b.transposed(inner, 12);
  const int gate = b.operation("Sigmoid", {b.conv(up, 1, 1)}, {1, 24, 32});
  const int gated = b.operation("Mul", {gate, first}, b.dims(first));
  const int slope = b.parameter({12, 1, 1}, 0.25, 0.1);
  const int leaky = b.operation("PRelu", {b.conv(b.joined(up, gated), 12, 3), slope}, {12, 24, 32});
  b.end(b.relu(b.conv(leaky, 33, 3)));
  return b;
}

// Convolutions of stride 1 alone: support boxes are the mask's, one pixel wider for each 3 × 3.
inline Builder chain() {
  Builder b(40, 56);
  int x = b.network.input;
  for (int channels : {9, 33, 16}) x = b.relu(b.normalised(b.conv(x, channels, 3)));
  b.end(x);
  return b;
}

}  // namespace tracin::test
