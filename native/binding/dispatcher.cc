#include "dispatcher.h"

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

namespace tracin::binding {

namespace {

class Dispatcher {
 public:
  Dispatcher() {
    std::thread([this] { serve(); }).detach();
  }

  void add(std::function<void()> work) {
    {
      std::lock_guard lock(mutex_);
      waiting_.push_back(std::move(work));
    }
    ready_.notify_one();
  }

 private:
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::function<void()>> waiting_;

  void serve() {
    for (;;) {
      std::unique_lock lock(mutex_);
      ready_.wait(lock, [this] { return !waiting_.empty(); });
      auto work = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      work();
    }
  }
};

}  // namespace

void dispatch(int lane, std::function<void()> work) {
  static std::mutex mutex;
  // never destroyed: the threads may still be at work when the process ends
  static auto* lanes = new std::map<int, Dispatcher>();
  std::lock_guard lock(mutex);
  (*lanes)[lane].add(std::move(work));
}

}  // namespace tracin::binding
