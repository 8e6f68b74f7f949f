// Constructors of every operator; table.cc maps ONNX names to them.
#pragma once
#include "../operator.h"

namespace tracin::cpu {

std::unique_ptr<Operator> conv(Workspace&, const Operation&);
std::unique_ptr<Operator> convTranspose(Workspace&, const Operation&);
std::unique_ptr<Operator> batchNormalization(Workspace&, const Operation&);
std::unique_ptr<Operator> leakyRelu(Workspace&, const Operation&);
std::unique_ptr<Operator> sigmoid(Workspace&, const Operation&);
std::unique_ptr<Operator> softmax(Workspace&, const Operation&);
std::unique_ptr<Operator> maxPool(Workspace&, const Operation&);
std::unique_ptr<Operator> averagePool(Workspace&, const Operation&);
std::unique_ptr<Operator> globalAveragePool(Workspace&, const Operation&);
std::unique_ptr<Operator> resize(Workspace&, const Operation&);
std::unique_ptr<Operator> concat(Workspace&, const Operation&);
std::unique_ptr<Operator> arithmetic(Workspace&, const Operation&);

// Slope of a Relu or LeakyRelu for negative inputs.
float negativeSlope(const Operation&);

}  // namespace tracin::cpu
