#include "network.h"

namespace tracin::binding {

namespace {

template <class T>
std::vector<T> numbers(const Napi::Value& value) {
  std::vector<T> list;
  if (value.IsNumber() || value.IsBoolean()) {
    list.push_back(static_cast<T>(value.ToNumber().DoubleValue()));
  } else if (value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_float64_array) {
    const auto typed = value.As<Napi::Float64Array>();
    list.assign(typed.Data(), typed.Data() + typed.ElementLength());
  } else if (value.IsTypedArray()) {
    const auto typed = value.As<Napi::Int32Array>();
    list.assign(typed.Data(), typed.Data() + typed.ElementLength());
  } else {
    const auto array = value.As<Napi::Array>();
    for (uint32_t i = 0; i < array.Length(); ++i) list.push_back(static_cast<T>(array.Get(i).ToNumber().DoubleValue()));
  }
  return list;
}

std::string text(const Napi::Object& o, const char* key) { return o.Get(key).ToString().Utf8Value(); }
int integer(const Napi::Object& o, const char* key) { return o.Get(key).ToNumber().Int32Value(); }

Value readValue(const Napi::Object& o) {
  static const std::map<std::string, Value::Kind> kinds{{"activation", Value::Kind::activation},
                                                        {"derived", Value::Kind::derived},
                                                        {"parameter", Value::Kind::parameter},
                                                        {"statistic", Value::Kind::statistic},
                                                        {"constant", Value::Kind::constant}};
  Value v{kinds.at(text(o, "kind")), text(o, "name"), numbers<int64_t>(o.Get("dims")), {}};
  if (v.kind == Value::Kind::parameter) v.decays = text(o, "role") == "kernel" || text(o, "role") == "matrix";
  if (v.kind == Value::Kind::constant) v.data = numbers<float>(o.Get("data"));
  return v;
}

AxisTaps readTaps(const Napi::Object& o) {
  return {integer(o, "inputSize"), integer(o, "outputSize"), integer(o, "taps"), numbers<int32_t>(o.Get("index")),
          numbers<float>(o.Get("weight"))};
}

Operation readOperation(const Napi::Object& o) {
  Operation op{text(o, "type"), text(o, "name"), numbers<int>(o.Get("inputs")), integer(o, "output"), {}, {}, {}, {}};
  const auto attributes = o.Get("attributes").As<Napi::Object>();
  const auto names = attributes.GetPropertyNames();
  for (uint32_t i = 0; i < names.Length(); ++i) {
    const std::string name = names.Get(i).ToString().Utf8Value();
    const Napi::Value value = attributes.Get(name);
    if (value.IsUndefined()) continue;
    if (name == "index") {
      op.index = numbers<int32_t>(value);
    } else if (value.IsString()) {
      op.words[name] = value.ToString().Utf8Value();
    } else if (op.type == "Resize" && name == "axes") {
      const auto axes = value.As<Napi::Array>();
      for (uint32_t a = 0; a < axes.Length(); ++a) op.axes.push_back(readTaps(axes.Get(a).As<Napi::Object>()));
    } else {
      op.attributes[name] = numbers<double>(value);
    }
  }
  return op;
}

}  // namespace

Network readNetwork(const Napi::Object& o) {
  Network n;
  const auto values = o.Get("values").As<Napi::Array>(), operations = o.Get("operations").As<Napi::Array>();
  for (uint32_t i = 0; i < values.Length(); ++i) n.values.push_back(readValue(values.Get(i).As<Napi::Object>()));
  for (uint32_t i = 0; i < operations.Length(); ++i) n.operations.push_back(readOperation(operations.Get(i).As<Napi::Object>()));
  n.input = integer(o, "input"), n.logits = integer(o, "logits"), n.head = integer(o, "head");
  n.selected = numbers<int>(o.Get("selected"));
  return n;
}

}  // namespace tracin::binding
