// Constructors of every operator; table.cc maps ONNX names to them.
#pragma once
#include "../operator.h"

namespace tracin::cpu {

std::unique_ptr<Operator> conv(Workspace&, const Operation&);
std::unique_ptr<Operator> normalizedConv(Workspace&, const Operation&);
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
std::unique_ptr<Operator> elementwise(Workspace&, const Operation&);
std::unique_ptr<Operator> normalize(Workspace&, const Operation&);
std::unique_ptr<Operator> rearrange(Workspace&, const Operation&);
std::unique_ptr<Operator> reduce(Workspace&, const Operation&);
std::unique_ptr<Operator> matMul(Workspace&, const Operation&);
std::unique_ptr<Operator> compare(Workspace&, const Operation&);
std::unique_ptr<Operator> where(Workspace&, const Operation&);
std::unique_ptr<Operator> repack(Workspace&, const Operation&);

// The chain rule where a slope may be infinite (√ at 0): what no gradient reaches sends none on.
inline float through(float dy, float slope) { return dy == 0.f ? 0.f : dy * slope; }

// Its forward mode: what does not move, or has no slope, counts for nothing even where the other is infinite.
inline float along(float moved, float slope) { return moved == 0.f || slope == 0.f ? 0.f : moved * slope; }

// Slope of a Relu or LeakyRelu for negative inputs.
float negativeSlope(const Operation&);

}  // namespace tracin::cpu
