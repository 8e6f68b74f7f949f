"""ONNX's own tests of single operators, from the installed onnx package, as lines of JSON:

  name, operator (`several` for a function written out), model (base64 ONNX), inputs and outputs [{dims, type, data}] in the model's order

Only those with a float32 input and output and few numbers. Usage: make_node_tests.py [--few] > FILE
--few: the stored subset (node-tests.jsonl), the smallest cases of every operator a segmentation network is made of.
"""
import base64
import json
import sys
import warnings

import numpy as np
import onnx

FEW = """Abs Add AveragePool BatchNormalization Celu Clip Concat Conv ConvTranspose DepthToSpace Div Einsum Elu Erf Exp Expand Flatten Gather
Gelu Gemm GlobalAveragePool GlobalMaxPool Greater GroupNormalization HardSigmoid HardSwish InstanceNormalization LayerNormalization LeakyRelu
Less Log LogSoftmax LpPool MatMul Max MaxPool Mean Min Mish Mul Neg PRelu Pad Pow Reciprocal ReduceL2 ReduceMax ReduceMean ReduceSum Relu
Reshape Resize Selu Sigmoid Slice Softmax Softplus SpaceToDepth Split Sqrt Squeeze Sub Sum Tanh Tile Transpose Unsqueeze Upsample
Where""".split()
# The newest opset read; most later versions of operators differ in the types they take.
NEWEST = 22


def collected():
    from onnx.backend.test.case import node

    if hasattr(node, "collect_testcases"):  # onnx < 1.22
        return node.collect_testcases(None)
    from onnx.backend.test.loader import load_node_model_tests

    return load_node_model_tests()


def tensor(array):
    array = np.asarray(array)
    data = [float(str(value)) for value in array.ravel()] if array.dtype.kind == "f" else [int(value) for value in array.ravel()]
    return {"dims": list(array.shape), "type": str(array.dtype), "data": data}


def fits(case):
    if any(opset.domain != "" for opset in case.model.opset_import) or as_read(case.model) is None:
        return False
    inputs, outputs = case.data_sets[0]
    arrays = [*inputs, *outputs]
    if not all(isinstance(array, (np.ndarray, np.generic)) and array.dtype.kind in "fiub" and array.dtype.itemsize > 0 for array in arrays):
        return False
    plain = {"float32", "float64", "int64", "int32", "int8", "uint8", "bool"}
    finite = all(np.isfinite(array).all() for array in arrays)
    return (finite and all(str(array.dtype) in plain for array in arrays) and any(array.dtype == np.float32 for array in inputs)
            and outputs[0].dtype == np.float32 and 0 < min(array.size for array in arrays) and sum(array.size for array in arrays) <= 20_000)


def as_read(model):
    """The model in an opset that is read, or None if its operator was another one then."""
    older = onnx.ModelProto()
    older.CopyFrom(model)
    older.opset_import[0].version = min(older.opset_import[0].version, NEWEST)
    try:
        onnx.checker.check_model(older)
    except onnx.checker.ValidationError:
        return None
    return older


def line(case):
    model = as_read(case.model)
    inputs, outputs = case.data_sets[0]
    operator = model.graph.node[0].op_type if len(model.graph.node) == 1 else "several"
    fields = {"name": case.name, "operator": operator, "model": base64.b64encode(model.SerializeToString()).decode()}
    return json.dumps({**fields, "inputs": [tensor(a) for a in inputs], "outputs": [tensor(a) for a in outputs]}, separators=(",", ":"))


def main(few):
    warnings.filterwarnings("ignore")
    cases = [case for case in collected() if case.model is not None and fits(case)]
    if few:
        whole = [case for case in cases if len(case.model.graph.node) == 1]
        lines = []
        for operator in FEW:
            named = sorted((line(case) for case in whole if case.model.graph.node[0].op_type == operator), key=len)
            lines += [text for text in named if len(text) < 4000][:4 if operator in ("Conv", "ConvTranspose", "Resize", "Pad") else 2]
    else:
        lines = [line(case) for case in cases]
    print("\n".join(lines))


main("--few" in sys.argv)
