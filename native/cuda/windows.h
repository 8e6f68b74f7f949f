// Where the rows of a backward pass hold their cotangents: windows of one size a value, around the support boxes of all rows.
#pragma once
#include "operator.h"

namespace tracin::cuda {

// A region: one class of one slice of the batch. Label −1: a row that only fills up a group.
struct Region {
  int slice, label;
};

class Windows {
 public:
  // boxes: by row, of every value of rank maps; an empty list: every value is whole.
  // alignment: of every value, what its corners must be multiples of.
  Windows(const Workspace&, const std::vector<std::vector<Box>>& boxes, const std::vector<Extent>& alignment);
  const Window& operator[](int value) const { return list_[value]; }

 private:
  std::vector<Window> list_;
  Pool::Piece corners_;
};

}  // namespace tracin::cuda
