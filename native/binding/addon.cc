// The addon: what lib/engine/native.ts calls. Callers have validated every shape; calls of one program come one at a time.
#include "../core/program.h"
#include "../core/soundness.h"
#include "engines.h"
#include "network.h"
#include "task.h"

namespace tracin::binding {

namespace {

constexpr napi_type_tag kProgramTag{0x8d1f4c3e5a7b4d21, 0x9b6e2f0c7d8a4e13};
constexpr napi_type_tag kBlockTag{0x3c5e7a9b1d2f4860, 0xa4b8c2d6e0f41357};

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
Held<Program>& heldProgram(const Napi::CallbackInfo& info) {
  auto* h = held<Program>(info[0], kProgramTag);
  if (!h->object) throw Napi::Error::New(info.Env(), "the program was disposed");
  return *h;
}
std::shared_ptr<Program> program(const Napi::CallbackInfo& info) { return heldProgram(info).object; }
// A call of the program that is the first argument.
Task* taskOf(const Napi::CallbackInfo& info) { return new Task(info.Env(), heldProgram(info).lane); }
std::shared_ptr<Block> block(const Napi::Value& value) {
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

Abort abortFlag(Task& task, const Napi::Value& flag) { return {task.array<std::atomic<int32_t>>(flag)}; }

// { name: Float32Array } seen from the other thread
struct Named {
  std::string name;
  float* data;
  size_t size;
};
std::vector<Named> named(Task& task, const Napi::Value& value) {
  std::vector<Named> all;
  const auto o = value.As<Napi::Object>();
  const auto names = o.GetPropertyNames();
  for (uint32_t i = 0; i < names.Length(); ++i) {
    const std::string name = names.Get(i).ToString().Utf8Value();
    const auto typed = o.Get(name).As<Napi::TypedArray>();
    all.push_back({name, task.array<float>(typed), typed.ElementLength()});
  }
  return all;
}
Arrays copied(const std::vector<Named>& sources) {
  Arrays all;
  for (const auto& s : sources) all[s.name].assign(s.data, s.data + s.size);
  return all;
}
void fill(const std::vector<Named>& targets, const Arrays& arrays) {
  for (const auto& t : targets) std::copy_n(arrays.at(t.name).data(), t.size, t.data);
}

struct Regions {
  RegionBatch batch;
  RegionLoss loss;
  float *norms, *losses;

  // { slices, images, targets, masks, boxes?, forwarded, staged, dice, sum, norms, losses }
  Regions(Task& task, const Napi::Object& o)
      : batch{o.Get("slices").ToNumber(),          task.array<float>(o.Get("images")),  task.array<uint8_t>(o.Get("targets")),
              task.array<uint8_t>(o.Get("masks")), task.array<int32_t>(o.Get("boxes")), o.Get("forwarded").ToBoolean(),
              o.Get("staged").ToNumber()},
        loss{o.Get("dice").ToBoolean() ? RegionLoss::Kind::dice : RegionLoss::Kind::crossEntropy, o.Get("sum").ToBoolean()},
        norms(task.array<float>(o.Get("norms"))),
        losses(task.array<float>(o.Get("losses"))) {}

  void give(const RegionResult& r) const {
    std::copy(r.norms.begin(), r.norms.end(), norms);
    std::copy(r.losses.begin(), r.losses.end(), losses);
  }
};

// { engine, threads, device, precision }
Choice choiceOf(const Napi::Value& value) {
  const auto o = value.As<Napi::Object>();
  const std::string precision = o.Get("precision").ToString();
  return {o.Get("engine").ToString().Utf8Value() == "cuda",
          {o.Get("threads").ToNumber(), o.Get("device").ToNumber(),
           precision == "bf16"   ? Precision::bf16
           : precision == "tf32" ? Precision::tf32
                                 : Precision::f32}};
}

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

template <class T>
std::span<const T> spanOf(Task& task, const Napi::Value& array) {
  return {task.array<T>(array), array.As<Napi::TypedArray>().ByteLength() / sizeof(T)};
}

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
  return task->start([=] { p->load(views, staged); });
}

// keptSlices(program) → of how many slices a forward pass leaves the maps
Napi::Value keptSlices(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), program(info)->keptSlices()); }

KernelTable tableOf(const Napi::Value& value) {
  KernelTable table;
  const auto o = value.As<Napi::Object>();
  const auto names = o.GetPropertyNames();
  for (uint32_t i = 0; i < names.Length(); ++i) table[names.Get(i).ToString()] = o.Get(names.Get(i)).ToString();
  return table;
}

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
  const Abort abort = abortFlag(*task, info[5]);
  return task->start([=] { p->forward(slices, images, logits, features, abort); });
}

// tangent(program, slices, images, direction, logits, tangents, abort)
Napi::Value tangent(const Napi::CallbackInfo& info) {
  auto* task = taskOf(info);
  auto p = program(info);
  const int slices = info[1].ToNumber();
  const float *images = task->array<float>(info[2]), *direction = task->array<float>(info[3]);
  float *logits = task->array<float>(info[4]), *tangents = task->array<float>(info[5]);
  const Abort abort = abortFlag(*task, info[6]);
  return task->start([=] { p->tangent(slices, images, direction, logits, tangents, abort); });
}

// gradients(program, regions, gradients, abort)
Napi::Value gradients(const Napi::CallbackInfo& info) {
  auto* task = taskOf(info);
  auto p = program(info);
  const Regions r(*task, info[1].As<Napi::Object>());
  float* to = task->array<float>(info[2]);
  const Abort abort = abortFlag(*task, info[3]);
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
  const Abort abort = abortFlag(*task, info[3]);
  return task->start([=] { r.give(p->append(*b, r.batch, r.loss, abort)); });
}

// contract(program, block | null, regions, products, abort)
Napi::Value contract(const Napi::CallbackInfo& info) {
  auto* task = taskOf(info);
  auto p = program(info);
  auto b = block(info[1]);
  const Regions r(*task, info[2].As<Napi::Object>());
  float* products = task->array<float>(info[3]);
  const Abort abort = abortFlag(*task, info[4]);
  return task->start([=] { r.give(p->contract(b.get(), r.batch, r.loss, products, abort)); });
}

// step(program, { slices, images, targets, dice, crossEntropy, classWeights }, optimiser, abort) → loss
Napi::Value step(const Napi::CallbackInfo& info) {
  auto* task = taskOf(info);
  auto p = program(info);
  const auto o = info[1].As<Napi::Object>(), opt = info[2].As<Napi::Object>();
  const int slices = o.Get("slices").ToNumber();
  const float* images = task->array<float>(o.Get("images"));
  const uint8_t* targets = task->array<uint8_t>(o.Get("targets"));
  TrainingLoss loss{o.Get("dice").ToBoolean(), o.Get("crossEntropy").ToBoolean(), {}};
  const auto weights = o.Get("classWeights").As<Napi::Array>();
  for (uint32_t i = 0; i < weights.Length(); ++i) loss.classWeights.push_back(weights.Get(i).ToNumber());
  const auto number = [&](const char* key) { return opt.Has(key) ? opt.Get(key).ToNumber().DoubleValue() : 0.; };
  const bool sgd = opt.Get("kind").ToString().Utf8Value() == "sgd";
  const Optimiser optimiser{sgd ? Optimiser::Kind::sgd : Optimiser::Kind::adam,
                            number("learningRate"),
                            number("weightDecay"),
                            number("momentum"),
                            number("beta1"),
                            number("beta2"),
                            number("epsilon"),
                            number("step")};
  const Abort abort = abortFlag(*task, info[3]);
  auto value = std::make_shared<double>();
  return task->start([=] { *value = p->step(slices, images, targets, loss, optimiser, abort); },
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
