// Cotangents on their way down: every number of an operand gathers from the numbers of the result that it went into, in the same order
// whatever the launch. Windows of both sides, broadcasting and sums over any axes are one plan.
#pragma once
#include "places.cuh"

namespace tracin::cuda {

// One axis of the result. Kept: the operand runs along it too. Summed: it was repeated.
struct Axis {
  int dim = 1;                       // of the map: beyond it there is nothing
  int dxSize = 1, dySize = 1;        // of the windows
  int dxStride = 0, dyStride = 0;    // within a row
  int stride[2] = {0, 0};            // of two values that the terms are made of
  int dxCorner = -1, dyCorner = -1;  // which of the row's three corner numbers; −1: none
  int shift = 0;                     // operand position p lies at p + shift of the result (Concat)
  Divider size;                      // how often it is run through

  bool plain() const { return dxCorner < 0 && dyCorner < 0 && shift == 0 && dxSize == dim && dySize == dim; }
};

// Offsets within a row, or slice.
struct Place {
  bool inside = true;
  int dx = 0, dy = 0, a = 0, b = 0;
};

struct Plan {
  int kept = 0, summed = 0;
  int numbers = 1, terms = 1;
  Axis keeps[kMaxAxes], sums[kMaxAxes];
  const int *dxCorners = nullptr, *dyCorners = nullptr;

  // Axes from the outermost to the innermost.
  void keep(Axis x) {
    x.size = Divider(x.dxSize);
    numbers = within(int64_t(numbers) * x.dxSize);
    add(x, keeps, kept);
  }
  void sum(Axis x) {
    x.dxSize = x.dim;
    x.size = Divider(x.dySize);
    terms = within(int64_t(terms) * x.dySize);
    add(x, sums, summed);
  }

  // Along a kept axis, at place `q` of dx's window.
  __device__ void step(const Axis& x, int row, int q, Place& place) const {
    const int p = x.dxCorner < 0 ? q : q + dxCorners[row * 3 + x.dxCorner];
    const int l = p + x.shift - (x.dyCorner < 0 ? 0 : dyCorners[row * 3 + x.dyCorner]);
    place.inside &= p >= 0 && p < x.dim && l >= 0 && l < x.dySize;
    place.dx += q * x.dxStride, place.dy += l * x.dyStride, place.a += p * x.stride[0], place.b += p * x.stride[1];
  }
  __device__ Place at(int row, unsigned number) const {
    Place place;
    for (int i = kept - 1; i >= 0; --i) {
      const unsigned rest = i > 0 ? keeps[i].size.quotient(number) : 0;
      step(keeps[i], row, number - rest * keeps[i].size.divisor, place);
      number = rest;
    }
    return place;
  }
  // The place of one of a number's terms.
  __device__ Place term(Place place, int row, unsigned number) const {
    for (int i = summed - 1; i >= 0; --i) {
      const Axis& x = sums[i];
      const unsigned rest = i > 0 ? x.size.quotient(number) : 0;
      const int l = number - rest * x.size.divisor, p = x.dyCorner < 0 ? l : l + dyCorners[row * 3 + x.dyCorner];
      place.inside &= p >= 0 && p < x.dim;
      place.dy += l * x.dyStride, place.a += p * x.stride[0], place.b += p * x.stride[1];
      number = rest;
    }
    return place;
  }

 private:
  static void add(const Axis& x, Axis* list, int& n) {
    if (x.dim == 1 && x.dxSize == 1 && x.dySize == 1 && x.shift == 0) return;  // both windows stand on its one place
    if (n > 0) {
      Axis& before = list[n - 1];
      if (before.plain() && x.plain() && before.dyStride == x.dyStride * x.dim && before.dxStride == x.dxStride * x.dim &&
          before.stride[0] == x.stride[0] * x.dim && before.stride[1] == x.stride[1] * x.dim) {
        const int dim = before.dim * x.dim;
        before = x;
        before.dim = before.dxSize = before.dySize = dim;
        before.size = Divider(dim);
        return;
      }
    }
    if (n == kMaxAxes) throw EngineError("the cuda engine broadcasts over up to 8 axes");
    list[n++] = x;
  }
};

// How a value's rows lie along one of its axes.
struct Span {
  int size, corner;
};
inline Span spanOf(const std::vector<int64_t>& dims, const Window& w, size_t axis) {
  if (w.whole || axis == 0) return {within(dims[axis]), -1};
  const int a = static_cast<int>(kAxes - dims.size() + axis);
  return {w.size[a], a};
}

// Numbers of one row.
inline int rowNumbers(const std::vector<int64_t>& dims, const Window& w) {
  int64_t n = 1;
  for (size_t a = 0; a < dims.size(); ++a) n *= spanOf(dims, w, a).size;
  return within(n);
}

inline std::vector<int64_t> rowStrides(const std::vector<int64_t>& dims, const Window& w) {
  std::vector<int64_t> strides(dims.size());
  int64_t step = 1;
  for (size_t a = dims.size(); a-- > 0;) strides[a] = step, step *= spanOf(dims, w, a).size;
  return strides;
}

// Of an operand broadcast to a result, with terms made of two operands.
inline Plan planOf(const std::vector<int64_t>& result, const Window& dy, const std::vector<int64_t>& operand, const Window& dx,
                   const std::vector<int64_t>& first, const std::vector<int64_t>& second) {
  Plan plan;
  plan.dxCorners = dx.onDevice, plan.dyCorners = dy.onDevice;
  const auto dyStrides = rowStrides(result, dy), a = broadcastStrides(result, first), b = broadcastStrides(result, second);
  for (size_t axis = 0; axis < result.size(); ++axis) {
    const bool missing = axis + operand.size() < result.size();
    const size_t own = axis + operand.size() - result.size();
    const Span from = spanOf(result, dy, axis), to = missing ? Span{1, -1} : spanOf(operand, dx, own);
    Axis x;
    x.dim = within(result[axis]), x.dySize = from.size, x.dyCorner = from.corner, x.dyStride = within(dyStrides[axis]);
    x.stride[0] = within(a[axis]), x.stride[1] = within(b[axis]);
    if (!missing && operand[own] == result[axis]) {
      x.dxSize = to.size, x.dxCorner = to.corner;
      plan.keep(x);
      continue;
    }
    plan.sum(x);
    if (to.size == 1) continue;
    // a window wider than the one place there is
    Axis wide;
    wide.dxSize = to.size, wide.dxCorner = to.corner;
    plan.keep(wide);
  }
  return plan;
}

template <class Term>
__global__ void gatherKernel(const __grid_constant__ Plan plan, int rows, Term term, float* to) {
  TRACIN_EACH_OF_ROWS(row, i, rows, plan.numbers) {
    const Place place = plan.at(row, i);
    to[int64_t(row) * plan.numbers + i] = place.inside ? term(row, place) : 0.f;
  }
}

// A share of a sum: sums are split where there are few of them, and then finished in order.
struct Shares {
  int count, terms;  // terms of each
  double factor;
  float* to;
  double* parts;  // [count][rows · numbers]; unused where one share is all
  __device__ void put(int64_t at, int64_t all, double sum) const {
    if (count == 1)
      to[at] = static_cast<float>(sum * factor);
    else
      parts[blockIdx.z * all + at] = sum;
  }
};

template <class Term>
__global__ void foldThreads(const __grid_constant__ Plan plan, int rows, Term term, Shares shares) {
  const unsigned first = blockIdx.z * shares.terms, end = min(first + shares.terms, static_cast<unsigned>(plan.terms));
  TRACIN_EACH_OF_ROWS(row, i, rows, plan.numbers) {
    const Place place = plan.at(row, i);
    double sum = 0;
    if (place.inside)
      for (unsigned t = first; t < end; ++t) {
        const Place p = plan.term(place, row, t);
        if (p.inside) sum += term(row, p);
      }
    shares.put(int64_t(row) * plan.numbers + i, int64_t(rows) * plan.numbers, sum);
  }
}

// One number a block.
template <class Term>
__global__ void foldBlocks(const __grid_constant__ Plan plan, int rows, Term term, Shares shares) {
  __shared__ double shared[32];
  const unsigned first = blockIdx.z * shares.terms, end = min(first + shares.terms, static_cast<unsigned>(plan.terms));
  for (int row = blockIdx.y; row < rows; row += gridDim.y)
    for (unsigned i = blockIdx.x; i < static_cast<unsigned>(plan.numbers); i += gridDim.x) {
      const Place place = plan.at(row, i);
      double sum = 0;
      if (place.inside)
        for (unsigned t = first + threadIdx.x; t < end; t += blockDim.x) {
          const Place p = plan.term(place, row, t);
          if (p.inside) sum += term(row, p);
        }
      sum = blockSum(sum, shared);
      if (threadIdx.x == 0) shares.put(int64_t(row) * plan.numbers + i, int64_t(rows) * plan.numbers, sum);
    }
}

static __global__ void finishShares(int64_t n, Shares shares) {
  TRACIN_EACH(i, n) {
    double sum = 0;
    for (int s = 0; s < shares.count; ++s) sum += shares.parts[s * n + i];
    shares.to[i] = static_cast<float>(sum * shares.factor);
  }
}

// to[row][number] = factor · Σ term(row, place) over the number's terms, in double; dense over dx's window and 0 where nothing arrives.
template <class Term>
void fold(Device& device, const Plan& plan, int rows, Term term, float* to, double factor = 1) {
  if (plan.summed == 0 && factor == 1) {
    gatherKernel<<<gridOf(plan.numbers, rows), kThreads, 0, device.stream>>>(plan, rows, term, to);
    return launched();
  }
  // Neighbouring threads read neighbouring numbers: along the terms, or along the sums.
  const bool blocks = plan.summed > 0 && plan.sums[plan.summed - 1].dyStride == 1 && plan.terms >= 64;
  const int64_t sums = int64_t(rows) * plan.numbers, wanted = blocks ? 1024 : 1 << 16, least = blocks ? 2048 : 32;
  const int64_t split = std::min((plan.terms + least - 1) / least, (wanted + sums - 1) / sums);
  Shares shares{static_cast<int>(split), static_cast<int>((plan.terms + split - 1) / split), factor, to, nullptr};
  Pool::Piece parts;
  if (split > 1) parts = device.pool.take(split * sums * int64_t(sizeof(double))), shares.parts = parts.as<double>();
  if (blocks) {
    const dim3 grid(static_cast<unsigned>(plan.numbers), static_cast<unsigned>(std::min(rows, 65535)), static_cast<unsigned>(split));
    foldBlocks<<<grid, kThreads, 0, device.stream>>>(plan, rows, term, shares);
  } else {
    foldThreads<<<gridOf(plan.numbers, rows, shares.count), kThreads, 0, device.stream>>>(plan, rows, term, shares);
  }
  launched();
  if (split == 1) return;
  finishShares<<<blocksFor(sums), kThreads, 0, device.stream>>>(sums, shares);
  launched();
}

}  // namespace tracin::cuda
