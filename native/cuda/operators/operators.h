// Constructors of every operator; table.cc maps ONNX names to them.
#pragma once
#include "../operator.h"

namespace tracin::cuda {

std::unique_ptr<Operator> conv(Workspace&, const Operation&);
std::unique_ptr<Operator> convTranspose(Workspace&, const Operation&);
std::unique_ptr<Operator> batchNormalization(Workspace&, const Operation&);
std::unique_ptr<Operator> leakyRelu(Workspace&, const Operation&);
std::unique_ptr<Operator> sigmoid(Workspace&, const Operation&);
std::unique_ptr<Operator> softmax(Workspace&, const Operation&);
std::unique_ptr<Operator> maxPool(Workspace&, const Operation&);
std::unique_ptr<Operator> averagePool(Workspace&, const Operation&);
std::unique_ptr<Operator> resize(Workspace&, const Operation&);
std::unique_ptr<Operator> concat(Workspace&, const Operation&);
std::unique_ptr<Operator> arithmetic(Workspace&, const Operation&);
std::unique_ptr<Operator> elementwise(Workspace&, const Operation&);
std::unique_ptr<Operator> normalize(Workspace&, const Operation&);
std::unique_ptr<Operator> rearrange(Workspace&, const Operation&);
std::unique_ptr<Operator> reduce(Workspace&, const Operation&);  // GlobalAveragePool too
std::unique_ptr<Operator> matMul(Workspace&, const Operation&);
std::unique_ptr<Operator> compare(Workspace&, const Operation&);
std::unique_ptr<Operator> where(Workspace&, const Operation&);

// Slope of a Relu or LeakyRelu for negative inputs.
float negativeSlope(const Operation&);

}  // namespace tracin::cuda
