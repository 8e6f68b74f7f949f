// Gradients of test regions that stay on the device, to be multiplied with those of training regions.
#pragma once
#include <memory>
#include <vector>

#include "products.h"

namespace tracin::cuda {

class Residents final : public Block {
 public:
  // floats: of each selected parameter; classes: rows of a slice
  Residents(std::shared_ptr<Device>, int capacity, int classes, std::vector<int64_t> floats, Precision);
  ~Residents() override;
  int slices() const override { return used_; }
  void clear() override { used_ = 0; }
  int rows() const { return used_ * classes_; }

  // Room for more slices, whose rows are zero until they are kept; they count once they are added.
  void makeRoom(int slices);
  // Row `row` of those after the ones that count.
  void keep(int selected, int64_t row, const float* gradient);
  void add(int slices) { used_ += slices; }

  // products[l][first + r] += row l · right[r]; products is [rows, stride]. norms[r] += ‖right[r]‖².
  void addProducts(int selected, const float* right, int rightRows, double* products, int64_t first, int64_t stride, double* norms) const;

  // Bytes of one row of so many floats.
  static int64_t bytes(int64_t floats, Precision p) { return floats * sizeOf(operandType(p)); }

 private:
  const std::shared_ptr<Device> device_;
  const int capacity_, classes_;
  const std::vector<int64_t> floats_;
  const cudaDataType_t type_;
  int used_ = 0;
  std::vector<Buffer> data_;  // by selected parameter: [capacity · K, floats]

  void* at(int selected, int64_t row) const { return data_[selected].as<char>() + row * floats_[selected] * sizeOf(type_); }
};

}  // namespace tracin::cuda
