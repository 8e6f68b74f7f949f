#include <functional>
#include <map>
#include <stdexcept>

#include "../../core/program.h"
#include "operators.h"

namespace tracin::cpu {

std::unique_ptr<Operator> makeOperator(Workspace& work, const Operation& operation) {
  using Make = std::unique_ptr<Operator> (*)(Workspace&, const Operation&);
  static const std::map<std::string, Make> table{
      {"Conv", conv},
      {"NormalizedConv", normalizedConv},
      {"ConvTranspose", convTranspose},
      {"BatchNormalization", batchNormalization},
      {"Relu", leakyRelu},
      {"LeakyRelu", leakyRelu},
      {"Sigmoid", sigmoid},
      {"Softmax", softmax},
      {"MaxPool", maxPool},
      {"AveragePool", averagePool},
      {"GlobalAveragePool", globalAveragePool},
      {"Resize", resize},
      {"Concat", concat},
      {"Add", arithmetic},
      {"Sub", arithmetic},
      {"Mul", arithmetic},
      {"Div", arithmetic},
      {"Pow", arithmetic},
      {"Min", arithmetic},
      {"Max", arithmetic},
      {"PRelu", arithmetic},
      {"Elementwise", elementwise},
      {"Normalize", normalize},
      {"LogSoftmax", softmax},
      {"Rearrange", rearrange},
      {"Reduce", reduce},
      {"MatMul", matMul},
      {"Compare", compare},
      {"Where", where},
      {"Repack", repack},
  };
  const auto it = table.find(operation.type);
  if (it == table.end()) throw EngineError("the cpu engine has no operator " + operation.type + " (node " + operation.name + ")");
  return it->second(work, operation);
}

}  // namespace tracin::cpu
