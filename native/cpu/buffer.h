// Aligned memory, and a pool that gives back what was released so that a steady state allocates nothing.
#pragma once
#include <sys/mman.h>

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

class Pool {
 public:
  // Owns a piece until destroyed, then the pool has it again.
  class Piece {
   public:
    Piece() = default;
    Piece(Pool* pool, Buffer buffer) : pool_(pool), buffer_(std::move(buffer)) {}
    Piece(Piece&& o) noexcept : pool_(o.pool_), buffer_(std::move(o.buffer_)) { o.pool_ = nullptr; }
    Piece& operator=(Piece&& o) noexcept {
      std::swap(pool_, o.pool_);
      std::swap(buffer_, o.buffer_);
      return *this;
    }
    ~Piece() {
      if (pool_) pool_->free_.emplace(buffer_.size(), std::move(buffer_));
    }
    float* data() const { return buffer_.data(); }
    explicit operator bool() const { return pool_ != nullptr; }

   private:
    Pool* pool_ = nullptr;
    Buffer buffer_;
  };

  // The smallest free piece that is large enough and not more than twice as large, else a new one.
  Piece take(size_t floats) {
    auto it = free_.lower_bound(floats);
    if (it != free_.end() && it->first <= 2 * floats + 1024) {
      Buffer b = std::move(it->second);
      free_.erase(it);
      return {this, std::move(b)};
    }
    return {this, Buffer(floats)};
  }
  void trim() { free_.clear(); }

 private:
  std::multimap<size_t, Buffer> free_;
};

}  // namespace tracin::cpu
