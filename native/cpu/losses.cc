#include "losses.h"

#include <algorithm>
#include <cmath>

namespace tracin::cpu {

namespace {

constexpr double kSmall = 1e-7;  // in the denominator of Dice
// Positions a thread takes at a time; their sums are added in one order, whatever the threads.
constexpr int64_t kChunk = 1024;

// Class probabilities of one position of a blocked map.
void softmax(const float* logits, int64_t position, int64_t positions, int classes, double* p) {
  double top = -INFINITY, sum = 0;
  for (int c = 0; c < classes; ++c) top = std::max(top, p[c] = logits[(c / kLanes * positions + position) * kLanes + c % kLanes]);
  for (int c = 0; c < classes; ++c) sum += p[c] = std::exp(p[c] - top);
  for (int c = 0; c < classes; ++c) p[c] /= sum;
}

// −log p_label, exact also where p underflows.
double crossEntropy(const float* logits, int64_t position, int64_t positions, int classes, int label) {
  const auto at = [&](int c) { return double(logits[(c / kLanes * positions + position) * kLanes + c % kLanes]); };
  double top = -INFINITY, sum = 0;
  for (int c = 0; c < classes; ++c) top = std::max(top, at(c));
  for (int c = 0; c < classes; ++c) sum += std::exp(at(c) - top);
  return top + std::log(sum) - at(label);
}

// visit(position on the map, position in the box)
template <class Visit>
void inside(const Extent& map, const Box& box, Visit visit) {
  int64_t at = 0;
  for (int z = box.lo[0]; z < box.hi[0]; ++z)
    for (int y = box.lo[1]; y < box.hi[1]; ++y)
      for (int x = box.lo[2]; x < box.hi[2]; ++x, ++at) visit((int64_t(z) * map[1] + y) * map[2] + x, at);
}

}  // namespace

Box boundingBox(const uint8_t* mask, const Extent& e) {
  Box box{e, {0, 0, 0}};
  for (int z = 0; z < e[0]; ++z)
    for (int y = 0; y < e[1]; ++y)
      for (int x = 0; x < e[2]; ++x)
        if (mask[(int64_t(z) * e[1] + y) * e[2] + x]) {
          const int at[kAxes] = {z, y, x};
          for (int a = 0; a < kAxes; ++a) box.lo[a] = std::min(box.lo[a], at[a]), box.hi[a] = std::max(box.hi[a], at[a] + 1);
        }
  return box;
}

double regionLoss(const RegionLoss& loss, int label, const float* logits, const Shape& shape, const uint8_t* targets, const uint8_t* mask,
                  const Box& box, float* cotangent) {
  const int classes = shape.channels;
  const int64_t positions = volume(shape.extent), room = volume(box.size());
  std::vector<double> p(classes);
  std::fill_n(cotangent, shape.floats(box.size()), 0.f);
  const auto write = [&](int64_t at, int c, double g) {
    cotangent[(c / kLanes * room + at) * kLanes + c % kLanes] = static_cast<float>(g);
  };

  if (loss.kind == RegionLoss::Kind::crossEntropy) {
    double total = 0;
    int64_t pixels = 0;
    inside(shape.extent, box, [&](int64_t i, int64_t) { pixels += mask[i] != 0; });
    const double weight = loss.sum ? 1. : 1. / pixels;
    inside(shape.extent, box, [&](int64_t i, int64_t at) {
      if (!mask[i]) return;
      softmax(logits, i, positions, classes, p.data());
      total += weight * crossEntropy(logits, i, positions, classes, targets[i]);
      for (int c = 0; c < classes; ++c) write(at, c, weight * (p[c] - (c == targets[i])));
    });
    return total;
  }

  // D = 1 − 2A / B with A = Σ y p, B = Σ (y² + p²) + 1e-7; dD/dp = −2 (y B − 2 A p) / B²; dp/df_j = p (δ − p_j)
  std::vector<double> masked;  // probabilities of the masked positions, kept between the two passes
  double a = 0, b = kSmall;
  inside(shape.extent, box, [&](int64_t i, int64_t) {
    if (!mask[i]) return;
    softmax(logits, i, positions, classes, p.data());
    masked.insert(masked.end(), p.begin(), p.end());
    const double y = targets[i] == label;
    a += y * p[label], b += y + p[label] * p[label];
  });
  const double* q = masked.data();
  inside(shape.extent, box, [&](int64_t i, int64_t at) {
    if (!mask[i]) return;
    const double y = targets[i] == label, slope = -2 * (y * b - 2 * a * q[label]) / (b * b);
    for (int c = 0; c < classes; ++c) write(at, c, slope * q[label] * ((c == label) - q[c]));
    q += classes;
  });
  return 1 - 2 * a / b;
}

double trainingLoss(const TrainingLoss& loss, int slices, const float* logits, const Shape& shape, const uint8_t* targets,
                    float* cotangents) {
  const int classes = shape.channels, k = classes - 1;
  const int64_t positions = volume(shape.extent), floats = shape.floats(), total = slices * positions;
  const int64_t chunks = (total + kChunk - 1) / kChunk;
  const auto weight = [&](int label) { return loss.classWeights.empty() ? 1. : loss.classWeights[label]; };
  std::vector<double> p(total * classes);
  // Σ weighted cross-entropy, Σ weights, then of each class A and B of its Dice
  const int sums = 2 + 2 * classes;
  std::vector<double> parts(chunks * sums, 0.);
#pragma omp parallel for schedule(static)
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    double* part = &parts[chunk * sums];
    for (int64_t at = chunk * kChunk; at < std::min(total, (chunk + 1) * kChunk); ++at) {
      const float* slice = logits + at / positions * floats;
      const int64_t i = at % positions;
      const int label = targets[at];
      double* q = &p[at * classes];
      softmax(slice, i, positions, classes, q);
      if (loss.crossEntropy) part[0] += weight(label) * crossEntropy(slice, i, positions, classes, label), part[1] += weight(label);
      for (int c = 1; c < classes; ++c) {
        const double y = label == c;
        part[2 + c] += y * q[c], part[2 + classes + c] += y + q[c] * q[c];
      }
    }
  }
  std::vector<double> sum(sums, 0.);
  for (int c = 1; c < classes; ++c) sum[2 + classes + c] = kSmall;
  for (int64_t chunk = 0; chunk < chunks; ++chunk)
    for (int j = 0; j < sums; ++j) sum[j] += parts[chunk * sums + j];
  const double weights = sum[1], *a = &sum[2], *b = a + classes;
  const bool entropy = loss.crossEntropy && weights > 0;

  double value = entropy ? sum[0] / weights : 0.;
  if (loss.dice) {
    value += 1;
    for (int c = 1; c < classes; ++c) value -= 2 * a[c] / b[c] / k;
  }
  std::vector<double> gradients(chunks * classes);  // of a position, by chunk
#pragma omp parallel for schedule(static)
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    double* gradient = &gradients[chunk * classes];
    for (int64_t at = chunk * kChunk; at < std::min(total, (chunk + 1) * kChunk); ++at) {
      const int label = targets[at];
      const double* q = &p[at * classes];
      for (int c = 0; c < classes; ++c) gradient[c] = entropy ? weight(label) / weights * (q[c] - (c == label)) : 0.;
      for (int c = 1; loss.dice && c < classes; ++c) {
        const double y = label == c, slope = -2 * (y * b[c] - 2 * a[c] * q[c]) / (b[c] * b[c]) / k * q[c];
        for (int j = 0; j < classes; ++j) gradient[j] += slope * ((j == c) - q[j]);
      }
      float* to = cotangents + at / positions * floats + at % positions * kLanes;
      for (int block = 0; block < shape.blocks(); ++block, to += positions * kLanes)
        for (int l = 0; l < kLanes; ++l) to[l] = block * kLanes + l < classes ? static_cast<float>(gradient[block * kLanes + l]) : 0.f;
    }
  }
  return value;
}

}  // namespace tracin::cpu
