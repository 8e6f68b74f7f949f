// Programs and blocks as JavaScript holds them.
#pragma once
#include <memory>

#include "../core/program.h"
#include "napi_setup.h"
#include "task.h"

namespace tracin::binding {

inline constexpr napi_type_tag kProgramTag{0x8d1f4c3e5a7b4d21, 0x9b6e2f0c7d8a4e13};
inline constexpr napi_type_tag kBlockTag{0x3c5e7a9b1d2f4860, 0xa4b8c2d6e0f41357};

// A core object behind a JavaScript handle; shared with the calls in flight, so a collected handle cannot pull it away.
template <class T>
struct Held {
  std::shared_ptr<T> object;
  int64_t bytes;      // of this process's memory
  int lane;           // that runs its calls
  int64_t available;  // bytes free on the device when it was made; -1: it has no memory of its own
};

template <class T>
Napi::Value wrap(Napi::Env env, Held<T> made, const napi_type_tag& tag) {
  if (made.available >= 0) made.bytes = 0;
  Napi::MemoryManagement::AdjustExternalMemory(env, made.bytes);
  auto held = Napi::External<Held<T>>::New(env, new Held<T>(std::move(made)), [](Napi::Env e, Held<T>* h) {
    if (h->object) Napi::MemoryManagement::AdjustExternalMemory(e, -h->bytes);
    delete h;
  });
  held.TypeTag(&tag);
  return held;
}

template <class T>
Held<T>* held(const Napi::Value& value, const napi_type_tag& tag) {
  if (!value.IsExternal() || !value.As<Napi::External<Held<T>>>().CheckTypeTag(&tag))
    throw Napi::TypeError::New(value.Env(), "not a handle of this addon");
  return value.As<Napi::External<Held<T>>>().Data();
}
inline Held<Program>& heldProgram(const Napi::CallbackInfo& info) {
  auto* h = held<Program>(info[0], kProgramTag);
  if (!h->object) throw Napi::Error::New(info.Env(), "the program was disposed");
  return *h;
}
inline std::shared_ptr<Program> program(const Napi::CallbackInfo& info) { return heldProgram(info).object; }
// A call of the program that is the first argument.
inline Task* taskOf(const Napi::CallbackInfo& info) { return new Task(info.Env(), heldProgram(info).lane); }
inline std::shared_ptr<Block> block(const Napi::Value& value) {
  if (value.IsNull() || value.IsUndefined()) return nullptr;
  auto b = held<Block>(value, kBlockTag)->object;
  if (!b) throw Napi::Error::New(value.Env(), "the block was disposed");
  return b;
}

template <class T>
void release(Napi::Env env, const Napi::Value& value, const napi_type_tag& tag) {
  auto* h = held<T>(value, tag);
  if (!h->object) return;
  h->object.reset();
  Napi::MemoryManagement::AdjustExternalMemory(env, -h->bytes);
}

}  // namespace tracin::binding
