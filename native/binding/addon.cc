// The addon: what lib/engine/native.ts calls. Callers have validated every shape; calls of one program come one at a time.
#include "../core/checkpoint.h"
#include "../core/soundness.h"
#include "arguments.h"
#include "engines.h"
#include "handles.h"
#include "network.h"
#include "task.h"

namespace tracin::binding {

namespace {

// compile(network, choice) → program
Napi::Value compile(const Napi::CallbackInfo& info) {
  const Choice choice = choiceOf(info[1]);
  const int lane = choice.cuda ? 1 + choice.options.device : 0;
  auto* task = new Task(info.Env(), lane);
  auto network = std::make_shared<Network>(readNetwork(info[0].As<Napi::Object>()));
  auto made = std::make_shared<Held<Program>>();
  return task->start(
      [=] {
        std::shared_ptr<Program> p = binding::compile(choice, std::move(*network));
        const int64_t bytes = p->fixedBytes() + p->sliceBytes();
        *made = {std::move(p), bytes, lane, freeBytes(choice)};
      },
      [=](Napi::Env env) { return wrap<Program>(env, std::move(*made), kProgramTag); });
}

// memory(program) → bytes [whatever the batch, for each slice of it, for each resident row, free on the device or -1]
Napi::Value memory(const Napi::CallbackInfo& info) {
  auto p = program(info);
  const int64_t bytes[] = {p->fixedBytes(), p->sliceBytes(), p->rowBytes(), heldProgram(info).available};
  auto list = Napi::Array::New(info.Env(), 4);
  for (uint32_t i = 0; i < 4; ++i) list.Set(i, static_cast<double>(bytes[i]));
  return list;
}

// quantum(program) → what edges of support boxes are best multiples of
Napi::Value quantum(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), program(info)->quantum()); }

// sound(program, { images, targets, masks }, foreground classes) → whether they can be what they are said to be
Napi::Value sound(const Napi::CallbackInfo& info) {
  auto* task = new Task(info.Env(), besides(heldProgram(info).lane));
  const auto o = info[1].As<Napi::Object>();
  const auto images = spanOf<float>(*task, o.Get("images"));
  const auto targets = spanOf<uint8_t>(*task, o.Get("targets")), masks = spanOf<uint8_t>(*task, o.Get("masks"));
  const uint8_t classes = static_cast<uint8_t>(std::min(info[2].ToNumber().Int32Value(), 255));
  auto are = std::make_shared<bool>();
  return task->start([=] { *are = allFinite(images) && noneAbove(targets, classes) && noneAbove(masks, 1); },
                     [=](Napi::Env env) { return Napi::Boolean::New(env, *are); });
}

// stage(program, place, arrays) → whether a call to come finds them there
Napi::Value stage(const Napi::CallbackInfo& info) {
  auto* task = new Task(info.Env(), besides(heldProgram(info).lane));
  auto p = program(info);
  const int place = info[1].ToNumber();
  std::vector<std::span<const std::byte>> arrays;
  const auto list = info[2].As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); ++i) arrays.push_back(spanOf<std::byte>(*task, list.Get(i)));
  auto done = std::make_shared<bool>();
  return task->start([=] { *done = p->stage(place, arrays); }, [=](Napi::Env env) { return Napi::Boolean::New(env, *done); });
}

// load(program, { name: Float32Array }, staged)
Napi::Value load(const Napi::CallbackInfo& info) {
  auto* task = taskOf(info);
  auto p = program(info);
  Views views;
  for (const auto& s : named(*task, info[1])) views[s.name] = {s.data, s.size};
  const int staged = info[2].ToNumber();
  return task->start([=] {
    requireFinite(views);
    p->load(views, staged);
  });
}

// keptSlices(program) → of how many slices a forward pass leaves the maps
Napi::Value keptSlices(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), program(info)->keptSlices()); }

// chooseKernels(program, { what: kernels }, whether to measure) → { what: kernels }
Napi::Value chooseKernels(const Napi::CallbackInfo& info) {
  auto* task = taskOf(info);
  auto p = program(info);
  auto table = std::make_shared<KernelTable>(tableOf(info[1]));
  const bool measure = info[2].ToBoolean();
  return task->start([=] { *table = p->chooseKernels(*table, measure); },
                     [=](Napi::Env env) {
                       auto o = Napi::Object::New(env);
                       for (const auto& [what, kernels] : *table) o.Set(what, kernels);
                       return o;
                     });
}

// useFloat32(program) → whether it does from now on
Napi::Value useFloat32(const Napi::CallbackInfo& info) {
  auto* task = taskOf(info);
  auto p = program(info);
  auto does = std::make_shared<bool>();
  return task->start([=] { *does = p->useFloat32(); }, [=](Napi::Env env) { return Napi::Boolean::New(env, *does); });
}

// forward(program, slices, images, logits, features | null, abort)
Napi::Value forward(const Napi::CallbackInfo& info) {
  auto* task = taskOf(info);
  auto p = program(info);
  const int slices = info[1].ToNumber();
  const float* images = task->array<float>(info[2]);
  float *logits = task->array<float>(info[3]), *features = task->array<float>(info[4]);
  const Abort abort = task->abort(info[5]);
  return task->start([=] { p->forward(slices, images, logits, features, abort); });
}

// tangent(program, slices, images, direction, logits, tangents, abort)
Napi::Value tangent(const Napi::CallbackInfo& info) {
  auto* task = taskOf(info);
  auto p = program(info);
  const int slices = info[1].ToNumber();
  const float *images = task->array<float>(info[2]), *direction = task->array<float>(info[3]);
  float *logits = task->array<float>(info[4]), *tangents = task->array<float>(info[5]);
  const Abort abort = task->abort(info[6]);
  return task->start([=] { p->tangent(slices, images, direction, logits, tangents, abort); });
}

// gradients(program, regions, gradients, abort)
Napi::Value gradients(const Napi::CallbackInfo& info) {
  auto* task = taskOf(info);
  auto p = program(info);
  const Regions r(*task, info[1].As<Napi::Object>());
  float* to = task->array<float>(info[2]);
  const Abort abort = task->abort(info[3]);
  return task->start([=] { r.give(p->gradients(r.batch, r.loss, to, abort)); });
}

// resident(program, capacity, foreground classes) → block
Napi::Value resident(const Napi::CallbackInfo& info) {
  auto* task = taskOf(info);
  auto p = program(info);
  const int capacity = info[1].ToNumber();
  auto made = std::make_shared<Held<Block>>();
  made->bytes = p->rowBytes() * capacity * info[2].ToNumber().Int64Value();
  made->available = heldProgram(info).available;
  return task->start([=] { made->object = p->resident(capacity); },
                     [=](Napi::Env env) { return wrap<Block>(env, std::move(*made), kBlockTag); });
}

// append(program, block, regions, abort)
Napi::Value append(const Napi::CallbackInfo& info) {
  auto* task = taskOf(info);
  auto p = program(info);
  auto b = block(info[1]);
  const Regions r(*task, info[2].As<Napi::Object>());
  const Abort abort = task->abort(info[3]);
  return task->start([=] { r.give(p->append(*b, r.batch, r.loss, abort)); });
}

// contract(program, block | null, regions, products, abort)
Napi::Value contract(const Napi::CallbackInfo& info) {
  auto* task = taskOf(info);
  auto p = program(info);
  auto b = block(info[1]);
  const Regions r(*task, info[2].As<Napi::Object>());
  float* products = task->array<float>(info[3]);
  const Abort abort = task->abort(info[4]);
  return task->start([=] { r.give(p->contract(b.get(), r.batch, r.loss, products, abort)); });
}

// step(program, { slices, images, targets, dice, crossEntropy, classWeights }, optimiser, abort) → loss
Napi::Value step(const Napi::CallbackInfo& info) {
  auto* task = taskOf(info);
  auto p = program(info);
  const Training t(*task, info[1].As<Napi::Object>());
  const Optimiser optimiser = optimiserOf(info[2].As<Napi::Object>());
  const Abort abort = task->abort(info[3]);
  auto value = std::make_shared<double>();
  return task->start([=] { *value = p->step(t.slices, t.images, t.targets, t.loss, optimiser, abort); },
                     [=](Napi::Env env) { return Napi::Number::New(env, *value); });
}

// snapshot(program, { name: Float32Array }), filled
Napi::Value snapshot(const Napi::CallbackInfo& info) {
  auto* task = taskOf(info);
  auto p = program(info);
  const auto targets = named(*task, info[1]);
  return task->start([=] { fill(targets, p->snapshot()); });
}

// optimiserSlots(program) → { name: numbers in it }
Napi::Value optimiserSlots(const Napi::CallbackInfo& info) {
  auto o = Napi::Object::New(info.Env());
  for (const auto& [name, data] : program(info)->optimiserState()) o.Set(name, static_cast<double>(data.size()));
  return o;
}

// optimiserState(program, { name: Float32Array }), filled
Napi::Value optimiserState(const Napi::CallbackInfo& info) {
  auto* task = taskOf(info);
  auto p = program(info);
  const auto targets = named(*task, info[1]);
  return task->start([=] { fill(targets, p->optimiserState()); });
}

Napi::Value restoreOptimiserState(const Napi::CallbackInfo& info) {
  auto* task = taskOf(info);
  auto p = program(info);
  const auto sources = named(*task, info[1]);
  return task->start([=] { p->restoreOptimiserState(copied(sources)); });
}

Napi::Value clearBlock(const Napi::CallbackInfo& info) {
  block(info[0])->clear();
  return info.Env().Undefined();
}
Napi::Value disposeProgram(const Napi::CallbackInfo& info) {
  release<Program>(info.Env(), info[0], kProgramTag);
  return info.Env().Undefined();
}
Napi::Value disposeBlock(const Napi::CallbackInfo& info) {
  release<Block>(info.Env(), info[0], kBlockTag);
  return info.Env().Undefined();
}

// A call that is over at once; its failure keeps its kind.
template <class Call>
Napi::Value atOnce(const Napi::CallbackInfo& info, Call call) {
  try {
    return call();
  } catch (const EngineError& e) {
    auto error = Napi::Error::New(info.Env(), e.what());
    error.Set("code", Napi::String::New(info.Env(), "ERR_TRACIN_ENGINE"));
    throw error;
  }
}

// missing(choice) → why the engine cannot compute here so, or ''
Napi::Value missing(const Napi::CallbackInfo& info) {
  return atOnce(info, [&] { return Napi::String::New(info.Env(), binding::missing(choiceOf(info[0]))); });
}

// describe(choice) → one line
Napi::Value describe(const Napi::CallbackInfo& info) {
  return atOnce(info, [&] { return Napi::String::New(info.Env(), binding::describe(choiceOf(info[0]))); });
}

// openCuda(path of libtracin-cuda.so)
Napi::Value openCuda(const Napi::CallbackInfo& info) {
  return atOnce(info, [&] { return binding::openCuda(info[0].ToString()), info.Env().Undefined(); });
}

// cudaDevices() → how many
Napi::Value cudaDevices(const Napi::CallbackInfo& info) {
  return atOnce(info, [&] { return Napi::Number::New(info.Env(), binding::cudaDevices()); });
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  const std::pair<const char*, Napi::Value (*)(const Napi::CallbackInfo&)> functions[] = {
      {"missing", missing},
      {"describe", describe},
      {"openCuda", openCuda},
      {"cudaDevices", cudaDevices},
      {"compile", compile},
      {"memory", memory},
      {"quantum", quantum},
      {"keptSlices", keptSlices},
      {"sound", sound},
      {"stage", stage},
      {"load", load},
      {"chooseKernels", chooseKernels},
      {"useFloat32", useFloat32},
      {"forward", forward},
      {"tangent", tangent},
      {"gradients", gradients},
      {"resident", resident},
      {"append", append},
      {"contract", contract},
      {"step", step},
      {"snapshot", snapshot},
      {"optimiserSlots", optimiserSlots},
      {"optimiserState", optimiserState},
      {"restoreOptimiserState", restoreOptimiserState},
      {"clearBlock", clearBlock},
      {"disposeProgram", disposeProgram},
      {"disposeBlock", disposeBlock},
  };
  for (const auto& [name, function] : functions) exports.Set(name, Napi::Function::New(env, function, name));
  return exports;
}

}  // namespace

}  // namespace tracin::binding

static Napi::Object Init(Napi::Env env, Napi::Object exports) { return tracin::binding::init(env, exports); }
NODE_API_MODULE(NODE_GYP_MODULE_NAME, Init)
