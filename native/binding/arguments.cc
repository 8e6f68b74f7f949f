#include "arguments.h"

#include <algorithm>

namespace tracin::binding {

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

KernelTable tableOf(const Napi::Value& value) {
  KernelTable table;
  const auto o = value.As<Napi::Object>();
  const auto names = o.GetPropertyNames();
  for (uint32_t i = 0; i < names.Length(); ++i) table[names.Get(i).ToString()] = o.Get(names.Get(i)).ToString();
  return table;
}

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

Regions::Regions(Task& task, const Napi::Object& o)
    : batch{o.Get("slices").ToNumber(),          task.array<float>(o.Get("images")),  task.array<uint8_t>(o.Get("targets")),
            task.array<uint8_t>(o.Get("masks")), task.array<int32_t>(o.Get("boxes")), o.Get("forwarded").ToBoolean(),
            o.Get("staged").ToNumber()},
      loss{o.Get("dice").ToBoolean() ? RegionLoss::Kind::dice : RegionLoss::Kind::crossEntropy, o.Get("sum").ToBoolean()},
      norms(task.array<float>(o.Get("norms"))),
      losses(task.array<float>(o.Get("losses"))) {}

void Regions::give(const RegionResult& r) const {
  std::copy(r.norms.begin(), r.norms.end(), norms);
  std::copy(r.losses.begin(), r.losses.end(), losses);
}

Training::Training(Task& task, const Napi::Object& o)
    : slices(o.Get("slices").ToNumber()),
      images(task.array<float>(o.Get("images"))),
      targets(task.array<uint8_t>(o.Get("targets"))),
      loss{o.Get("dice").ToBoolean(), o.Get("crossEntropy").ToBoolean(), {}} {
  const auto weights = o.Get("classWeights").As<Napi::Array>();
  for (uint32_t i = 0; i < weights.Length(); ++i) loss.classWeights.push_back(weights.Get(i).ToNumber());
}

Optimiser optimiserOf(const Napi::Object& o) {
  const auto number = [&](const char* key) { return o.Has(key) ? o.Get(key).ToNumber().DoubleValue() : 0.; };
  const bool sgd = o.Get("kind").ToString().Utf8Value() == "sgd";
  return {sgd ? Optimiser::Kind::sgd : Optimiser::Kind::adam,
          number("learningRate"),
          number("weightDecay"),
          number("momentum"),
          number("beta1"),
          number("beta2"),
          number("epsilon"),
          number("step")};
}

}  // namespace tracin::binding
