// Gradients of test regions that stay in memory, to be multiplied with those of training regions.
#pragma once
#include "sinks.h"

namespace tracin::cpu {

class Residents final : public Block {
 public:
  // floats: of each selected parameter; classes: rows of a slice. In bf16 rows are rounded, and take half of the memory.
  Residents(int capacity, int classes, std::vector<int64_t> floats, Precision);
  int slices() const override { return used_; }
  void clear() override { used_ = 0; }
  int rows() const { return used_ * classes_; }

  // Throws unless so many more slices fit.
  void checkRoom(int slices) const;
  // Row `row` of those after the ones that count, which slices do once they are added; null: zeros.
  void keep(int selected, int64_t row, const float* gradient);
  void add(int slices) { used_ += slices; }

  // products[r][row] += row r · the gradient's row
  void addProducts(const Gradient&, double* products) const;

  // Bytes of one row of so many floats.
  static int64_t bytes(int64_t floats, Precision p) { return floats * int64_t(p == Precision::bf16 ? sizeof(Brief) : sizeof(float)); }

  using Brief = uint16_t;  // bfloat16

 private:
  const int capacity_, classes_;
  const std::vector<int64_t> floats_;
  const bool brief_;
  int used_ = 0;
  std::vector<Buffer> data_;  // by selected parameter: [capacity · K, floats]
};

}  // namespace tracin::cpu
