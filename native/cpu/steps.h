// The network as the cpu engine walks it: which values are blocked maps and which are flat, and where numbers change from one to the other.
#pragma once
#include "operator.h"

namespace tracin::cpu {

struct Step {
  Operation operation;  // inputs and output name tensors of the Workspace
  int firstSlot;        // of its inputs' support boxes; −1: a step of our own
};

struct Steps {
  std::vector<Step> list;
  int slots = 0;  // inputs of all operations of the network
  int logits;     // tensor that holds them blocked
  bool boxed;     // support boxes hold from end to end: every activation is a blocked map
};

// Describes every tensor of the workspace.
Steps planSteps(Workspace&);

}  // namespace tracin::cpu
