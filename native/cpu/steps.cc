#include "steps.h"

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
