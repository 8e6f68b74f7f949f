#include "residents.h"

namespace tracin::cuda {

Residents::Residents(std::shared_ptr<Device> device, int capacity, int classes, std::vector<int64_t> floats, Precision precision)
    : device_(std::move(device)), capacity_(capacity), classes_(classes), floats_(std::move(floats)), type_(operandType(precision)) {
  for (int64_t n : floats_) data_.emplace_back(int64_t(capacity) * classes * n * sizeOf(type_));
}

Residents::~Residents() {
  cudaSetDevice(device_->index);
  cudaStreamSynchronize(device_->stream);
}

void Residents::makeRoom(int slices) {
  if (used_ + slices > capacity_) throw EngineError("resident block is full");
  for (size_t s = 0; s < floats_.size(); ++s)
    device_->zero(at(static_cast<int>(s), rows()), int64_t(slices) * classes_ * floats_[s] * sizeOf(type_));
}

void Residents::keep(int selected, int64_t row, const float* gradient) {
  rounded(*device_, gradient, floats_[selected], at(selected, rows() + row), type_);
}

void Residents::addProducts(int selected, const float* right, int rightRows, double* products, int64_t first, int64_t stride,
                            double* norms) const {
  cuda::addProducts(*device_, at(selected, 0), type_, rows(), right, rightRows, floats_[selected], products, first, stride, norms);
}

}  // namespace tracin::cuda
