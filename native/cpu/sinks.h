// Where parameter gradients go as soon as a layer has them: into the file's order, a resident block, or products with one.
#pragma once
#include "operator.h"

namespace tracin::cpu {

// A finished gradient of one selected parameter: `rows` rows of `floats`, in the operator's order.
struct Gradient {
  int selected;  // index into Network::selected
  const float* rows;
  int count;
  int64_t floats;
  Operator* owner;
  int input;
};

class Sink {
 public:
  virtual ~Sink() = default;
  virtual void take(const Gradient&) = 0;
};

// norms[row] += Σ rows[row][i]²
void addSquaredNorms(const float* rows, int count, int64_t floats, double* norms);

}  // namespace tracin::cpu
