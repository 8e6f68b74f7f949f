#include "steps.h"

#include <algorithm>
#include <map>
#include <set>

#include "../core/program.h"

namespace tracin::cpu {

namespace {

using Kind = Value::Kind;

// Operators on feature maps alone, and those that take either form; all others work on flat numbers.
const std::set<std::string> kMaps{"Conv", "ConvTranspose", "BatchNormalization", "MaxPool", "AveragePool", "GlobalAveragePool", "Resize"};
const std::set<std::string> kEither{"Relu", "LeakyRelu", "Sigmoid", "Elementwise", "PRelu",     "Add",     "Sub",   "Mul",
                                    "Div",  "Pow",       "Min",     "Max",         "Normalize", "Softmax", "Concat"};

bool canBeMap(const std::vector<int64_t>& dims) { return dims.size() >= 2 && dims.size() <= kAxes + 1; }

class Planner {
 public:
  explicit Planner(Workspace& w) : work_(w), network_(w.network) {}

  Steps plan() {
    Steps steps;
    steps.boxed = true;
    describe(network_.input, true);
    for (const Operation& op : network_.operations) {
      const bool map = isMap(op);
      Operation own = op;
      for (size_t i = 0; i < op.inputs.size(); ++i) {
        const int v = op.inputs[i];
        if (v < 0 || network_.values[v].kind != Kind::activation) continue;
        const bool takesImage = op.type == "Conv" && v == network_.input;
        if (work_.tensors[v].flat == map && !takesImage) own.inputs[i] = other(v, steps);
      }
      describe(op.output, !map);
      if (!map && network_.values[op.output].kind == Kind::activation) steps.boxed = false;
      steps.list.push_back({own, steps.slots});
      steps.slots += static_cast<int>(op.inputs.size());
    }
    joinNormalizations(steps.list);
    steps.logits = work_.tensors[network_.logits].flat ? other(network_.logits, steps) : network_.logits;
    return steps;
  }

 private:
  Workspace& work_;
  const Network& network_;
  std::map<int, int> others_;  // value → its copy in the other form

  bool isMap(const Operation& op) const {
    if (network_.values[op.output].kind == Kind::derived) return false;
    if (kMaps.count(op.type)) return true;
    if (!kEither.count(op.type) || !canBeMap(network_.values[op.output].dims)) return false;
    const size_t rank = network_.values[op.output].dims.size();
    bool anyMap = false;
    for (int v : op.inputs) {
      const auto& value = network_.values[v];
      if (value.kind == Kind::activation) {
        if (value.dims.size() != rank) return false;
        anyMap |= !work_.tensors[v].flat || v == network_.input;
      } else if (value.dims.size() > rank && (value.dims.size() > rank + 1 || value.dims[0] != 1)) {
        return false;
      }
    }
    if (op.type == "Normalize" && network_.values[op.output].dims[0] % static_cast<int64_t>(op.number("groups"))) return false;
    return anyMap;
  }

  // A BatchNormalization joins the convolution before it where nobody else reads between them.
  void joinNormalizations(std::vector<Step>& list) const {
    std::map<int, int> readers;
    for (const Step& step : list)
      for (int v : step.operation.inputs) ++readers[v];
    for (size_t i = 0; i < list.size(); ++i) {
      Operation& conv = list[i].operation;
      if (conv.type != "Conv" || readers[conv.output] != 1 || conv.output == network_.logits) continue;
      if (isDerived(conv.inputs[1]) || (conv.inputs.size() > 2 && isDerived(conv.inputs[2]))) continue;
      const auto next = std::find_if(list.begin() + i + 1, list.end(), [&](const Step& s) {
        return s.operation.type == "BatchNormalization" && s.operation.inputs[0] == conv.output;
      });
      if (next == list.end()) continue;
      const Operation& normalization = next->operation;
      conv.type = "NormalizedConv";
      conv.attributes["middle"] = {double(conv.output)};
      for (const char* key : {"epsilon", "momentum"}) conv.attributes[key] = normalization.attributes.at(key);
      conv.inputs.resize(3, -1);
      conv.inputs.insert(conv.inputs.end(), normalization.inputs.begin() + 1, normalization.inputs.end());
      conv.output = normalization.output;
      list.erase(next);
    }
  }

  bool isDerived(int value) const {
    return value >= 0 && network_.values[value].kind != Kind::parameter && network_.values[value].kind != Kind::constant;
  }

  void describe(int value, bool flat) {
    const Value& v = network_.values[value];
    Tensor& t = work_.tensors[value];
    t.dims = v.dims;
    t.used = true;
    t.flat = flat;
    t.batched = v.kind == Kind::activation;
    if (!canBeMap(v.dims)) {
      if (!flat) throw EngineError("the cpu engine has no layout for value " + v.name + " of " + std::to_string(v.dims.size()) + " axes");
      return;
    }
    t.shape.channels = static_cast<int>(v.dims[0]);
    t.shape.rank = static_cast<int>(v.dims.size()) - 1;
    t.shape.extent = widen({v.dims.begin() + 1, v.dims.end()}, 1);
  }

  // The tensor that holds a value in its other form, made once by a step of our own.
  int other(int value, Steps& steps) {
    const auto known = others_.find(value);
    if (known != others_.end()) return known->second;
    Tensor copy;
    copy.dims = work_.tensors[value].dims, copy.shape = work_.tensors[value].shape;
    copy.used = true, copy.flat = !work_.tensors[value].flat;
    if (!copy.flat && !copy.shape.channels) throw EngineError("the cpu engine has no feature map for value " + network_.values[value].name);
    if (value != network_.input) steps.boxed = false;
    work_.tensors.push_back(std::move(copy));
    const int index = static_cast<int>(work_.tensors.size()) - 1;
    Operation op;
    op.type = "Repack", op.name = network_.values[value].name, op.inputs = {value}, op.output = index;
    steps.list.push_back({op, -1});
    return others_[value] = index;
  }
};

}  // namespace

Steps planSteps(Workspace& work) { return Planner(work).plan(); }

}  // namespace tracin::cpu
