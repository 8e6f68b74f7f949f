"""A Keras U-Net as tf2onnx writes it: images and output [N, H, W, C], Transposes around every spatial operator, kernels as Keras has them where
the converter leaves them so. With it the same network in PyTorch, from whose weights the graph is written."""
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper

from architectures import CLASSES


class Keras(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.first_norm = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4, eps=1e-3)
        # padding='same' with strides=2 pads an even size after it only.
        self.strided, self.strided_norm = nn.Conv2d(4, 8, 3, 2), nn.BatchNorm2d(8, eps=1e-3)
        self.depthwise, self.pointwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.Conv2d(8, 6, 1)
        self.transposed, self.dense, self.classify = nn.ConvTranspose2d(6, 4, 2, 2), nn.Linear(8, 6), nn.Conv2d(6, CLASSES, 1)
        self.prelu = nn.Parameter(torch.full((1, 1, 6), 0.25))

    head = ["classify.weight"]

    def forward(self, x):
        a = F.relu(self.first_norm(self.first(x)))
        b = F.relu(self.strided_norm(self.strided(F.pad(a, (0, 1, 0, 1)))))
        c = self.pointwise(self.depthwise(b)).permute(0, 2, 3, 1)
        c = torch.maximum(c, torch.zeros_like(c)) - self.prelu * F.relu(-c)
        c = self.transposed(c.permute(0, 3, 1, 2))
        y = self.dense(torch.cat([a, c], 1).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.classify(F.elu(y))


def build(net):
    """The ModelProto of the network as it stands."""
    state = {name: value.detach().numpy() for name, value in net.state_dict().items()}
    nodes, initializers = [], []

    def store(name, value):
        initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), f"model/{name}:0"))
        return f"model/{name}:0"

    def node(operator, inputs, **attributes):
        out = f"model/{operator.lower()}_{len(nodes)}:0"
        nodes.append(helper.make_node(operator, inputs, [out], name=out[:-2], **attributes))
        return out

    def channels_first(x):
        return node("Transpose", [x], perm=[0, 3, 1, 2])

    def channels_last(x):
        return node("Transpose", [x], perm=[0, 2, 3, 1])

    def conv(x, name, bias=True, operator="Conv", keras_kernel=False, **attributes):
        kernel = state[f"{name}.weight"]
        if keras_kernel:  # [kH, kW, Cin, Cout], turned in the graph
            kernel = node("Transpose", [store(f"{name}/Conv2D/ReadVariableOp", kernel.transpose(2, 3, 1, 0))], perm=[3, 2, 0, 1])
        else:
            kernel = store(f"{name}/Conv2D_weights_fused", kernel)
        y = channels_last(node(operator, [channels_first(x), kernel], **attributes))
        return node("Add", [y, store(f"{name}/BiasAdd/ReadVariableOp", state[f"{name}.bias"])]) if bias else y

    def normalised(x, name):
        parts = [store(f"{name}/{part}", state[f"{name}.{part}"]) for part in ("weight", "bias", "running_mean", "running_var")]
        return node("Relu", [channels_last(node("BatchNormalization", [channels_first(x), *parts], epsilon=1e-3))])

    a = normalised(conv("input_1", "first", pads=[1, 1, 1, 1], keras_kernel=True), "first_norm")
    b = normalised(conv(a, "strided", strides=[2, 2], auto_pad="SAME_UPPER"), "strided_norm")
    c = conv(conv(b, "depthwise", bias=False, pads=[1, 1, 1, 1], group=8), "pointwise", kernel_shape=[1, 1])
    # tf2onnx's PReLU: relu(x) - alpha * relu(-x)
    negative = node("Mul", [node("Relu", [node("Neg", [c])]), store("p_re_lu/ReadVariableOp", state["prelu"])])
    c = node("Sub", [node("Relu", [c]), negative])
    c = conv(c, "transposed", operator="ConvTranspose", strides=[2, 2], kernel_shape=[2, 2])
    y = node("Concat", [a, c], axis=-1)
    y = node("MatMul", [y, store("dense/Tensordot/ReadVariableOp", state["dense.weight"].T)])
    y = node("Elu", [node("Add", [y, store("dense/BiasAdd/ReadVariableOp", state["dense.bias"])])])
    y = node("Softmax", [conv(y, "classify", pads=[0, 0, 0, 0])], axis=-1)
    graph = helper.make_graph(
        [*nodes, helper.make_node("Identity", [y], ["activation"])], "tf2onnx",
        [helper.make_tensor_value_info("input_1", TensorProto.FLOAT, ["unk__1", 24, 32, 2])],
        [helper.make_tensor_value_info("activation", TensorProto.FLOAT, ["unk__2", 24, 32, CLASSES])], initializers)
    return helper.make_model(graph, producer_name="tf2onnx", ir_version=7, opset_imports=[helper.make_opsetid("", 13)])
