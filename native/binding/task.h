// One call of the core, off the JavaScript thread: arrays it reads or writes are kept alive, its failure keeps its kind.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "../core/program.h"
#include "dispatcher.h"
#include "napi_setup.h"

namespace tracin::binding {

class Task {
 public:
  Task(Napi::Env env, int lane) : deferred_(Napi::Promise::Deferred::New(env)), lane_(lane) {}

  // Keeps an object alive until the call has ended.
  void hold(const Napi::Object& object) { held_.push_back(Napi::Persistent(object)); }

  template <class T>
  T* array(const Napi::Value& value) {
    if (value.IsNull() || value.IsUndefined()) return nullptr;
    auto typed = value.As<Napi::TypedArray>();
    hold(typed);
    // not by way of its ArrayBuffer, which Node-API does not take for one where several threads share it
    void* data = nullptr;
    napi_get_typedarray_info(typed.Env(), typed, nullptr, nullptr, &data, nullptr, nullptr);
    return static_cast<T*>(data);
  }

  // The flag that the work polls.
  Abort abort(const Napi::Value& flag) { return {abort_ = array<std::atomic<int32_t>>(flag)}; }

  // Hands the work over and owns itself until it is done; `result` then builds the value on the JavaScript thread.
  Napi::Promise start(std::function<void()> work, std::function<Napi::Value(Napi::Env)> result = nullptr) {
    result_ = std::move(result);
    Napi::Promise promise = deferred_.Promise();
    // an empty function of this environment: the way back to its thread, and what keeps its event loop alive
    const auto nothing = Napi::Function::New(promise.Env(), [](const Napi::CallbackInfo&) {});
    back_ = Napi::ThreadSafeFunction::New(promise.Env(), nothing, "tracin", 0, 1);
    napi_add_env_cleanup_hook(promise.Env(), abandon, this);
    dispatch(lane_, [this, state = state_, work = std::move(work)] {
      if (State waiting = State::waiting; !state->compare_exchange_strong(waiting, State::running)) return;
      run(work);
      auto back = back_;
      // where the environment is gone, so is everyone who waited
      back.BlockingCall([this](Napi::Env env, Napi::Function) { finish(env); });
      back.Release();
      *state = State::ended;
      state->notify_all();
    });
    return promise;
  }

 private:
  enum class State { waiting, running, ended, abandoned };

  Napi::Promise::Deferred deferred_;
  const int lane_;
  Napi::ThreadSafeFunction back_;
  std::function<Napi::Value(Napi::Env)> result_;
  std::vector<Napi::ObjectReference> held_;
  std::atomic<int32_t>* abort_ = nullptr;
  const std::shared_ptr<std::atomic<State>> state_ = std::make_shared<std::atomic<State>>(State::waiting);
  const char* code_ = nullptr;
  std::string message_;

  void run(const std::function<void()>& work) {
    try {
      work();
    } catch (const Aborted& e) {
      fail("ERR_TRACIN_ABORTED", e.what());
    } catch (const std::bad_alloc&) {
      fail("ERR_TRACIN_MEMORY", "the engine could not get the memory it needs: lower --batch or --memory, or use a smaller image size");
    } catch (const CheckpointError& e) {
      fail("ERR_TRACIN_CHECKPOINT", e.what());
    } catch (const EngineError& e) {
      fail("ERR_TRACIN_ENGINE", e.what());
    } catch (const std::exception& e) {
      fail("ERR_TRACIN_INTERNAL", e.what());
    }
  }

  void fail(const char* code, const char* message) { code_ = code, message_ = message; }

  // The environment ends first, as that of a worker thread that is terminated, and its arrays with it: the work is not begun any more, or
  // is stopped and waited for. The task stays behind, for what it holds is no longer there to be let go of.
  static void abandon(void* task) {
    auto& self = *static_cast<Task*>(task);
    if (State waiting = State::waiting; self.state_->compare_exchange_strong(waiting, State::abandoned)) return;
    if (self.abort_) *self.abort_ = 1;
    self.state_->wait(State::running);
  }

  void finish(Napi::Env env) {
    std::unique_ptr<Task> self(this);
    napi_remove_env_cleanup_hook(env, abandon, this);
    if (!code_) return deferred_.Resolve(result_ ? result_(env) : env.Undefined());
    auto error = Napi::Error::New(env, message_);
    error.Set("code", Napi::String::New(env, code_));
    deferred_.Reject(error.Value());
  }
};

}  // namespace tracin::binding
