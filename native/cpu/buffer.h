// Aligned memory, and a pool of it for what a pass needs for a while: a steady state allocates nothing.
#pragma once
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <new>
#include <vector>

namespace tracin::cpu {

class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t floats) : floats_(floats) {
    if (!floats) return;
    // a multiple of the alignment, as aligned_alloc demands
    const size_t bytes = floats * sizeof(float), unit = bytes < kHuge ? 64 : kHuge, whole = (bytes + unit - 1) / unit * unit;
    data_.reset(static_cast<float*>(std::aligned_alloc(unit, whole)));
    if (!data_) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
    if (unit == kHuge) madvise(data_.get(), whole, MADV_HUGEPAGE);  // kernels walk maps in lines that lie pages apart
#endif
  }
  float* data() const { return data_.get(); }
  size_t size() const { return floats_; }

 private:
  static constexpr size_t kHuge = size_t(2) << 20;  // bytes of a large page
  struct Free {
    void operator()(float* p) const { std::free(p); }
  };
  std::unique_ptr<float, Free> data_;
  size_t floats_ = 0;
};

// Pieces are cut from large slabs and joined again when they come back, so that a layer works in what the last one left: memory touched
// for the first time is ten times as slow.
class Pool {
 public:
  // Owns a piece until destroyed, then the pool has it again.
  class Piece {
   public:
    Piece() = default;
    Piece(Pool* pool, float* data, size_t floats) : pool_(pool), data_(data), floats_(floats) {}
    Piece(Piece&& o) noexcept { *this = std::move(o); }
    Piece& operator=(Piece&& o) noexcept {
      std::swap(pool_, o.pool_);
      std::swap(data_, o.data_);
      std::swap(floats_, o.floats_);
      return *this;
    }
    ~Piece() {
      if (pool_) pool_->giveBack(data_, floats_);
    }
    float* data() const { return data_; }
    explicit operator bool() const { return pool_ != nullptr; }

   private:
    Pool* pool_ = nullptr;
    float* data_ = nullptr;
    size_t floats_ = 0;
  };

  // From the smallest free stretch that is large enough.
  Piece take(size_t floats) {
    floats = (floats / kLine + 1) * kLine;
    auto best = free_.end();
    for (auto it = free_.begin(); it != free_.end(); ++it)
      if (it->second >= floats && (best == free_.end() || it->second < best->second)) best = it;
    if (best == free_.end()) {
      trim();  // so a piece that grows from call to call leaves nothing behind
      slabs_.emplace_back(std::max(floats, kSlab));
      best = free_.emplace(slabs_.back().data(), slabs_.back().size()).first;
    }
    const auto [data, size] = *best;
    free_.erase(best);
    if (size > floats) free_.emplace(data + floats, size - floats);
    return {this, data, floats};
  }

  // Gives the slabs back that nothing is cut from.
  void trim() {
    std::erase_if(slabs_, [&](const Buffer& slab) {
      const auto it = free_.find(slab.data());
      if (it == free_.end() || it->second != slab.size()) return false;
      free_.erase(it);
      return true;
    });
  }

 private:
  static constexpr size_t kLine = 16, kSlab = size_t(8) << 20;  // floats
  std::vector<Buffer> slabs_;
  std::map<float*, size_t> free_;  // stretches by their start

  void giveBack(float* data, size_t floats) {
    auto after = free_.lower_bound(data);
    if (after != free_.end() && after->first == data + floats && !startsSlab(after->first))
      floats += after->second, after = free_.erase(after);
    if (after != free_.begin() && !startsSlab(data)) {
      const auto before = std::prev(after);
      if (before->first + before->second == data) {
        before->second += floats;
        return;
      }
    }
    free_.emplace(data, floats);
  }
  // Two slabs may happen to lie one after the other.
  bool startsSlab(const float* data) const {
    return std::any_of(slabs_.begin(), slabs_.end(), [&](const Buffer& slab) { return slab.data() == data; });
  }
};

}  // namespace tracin::cpu
