"""Networks of many exporters with the influence that autograd computes for them in float64. Usage: make_networks.py [NAME ...]

Needs torch 2.13, onnx, onnxruntime, onnxscript, safetensors, numpy. Writes beside itself
  data/{train,test}_{images,labels}.npy                  float32 [N, M, H, W], uint8 [N, H, W]
  NAME/checkpoint-T.onnx (or .safetensors)               two checkpoints, the last always .onnx
  NAME/logits.npy                                        float32 [tests, C, H, W] of the last checkpoint, by onnxruntime
  NAME/expected_<loss>_<region>_<parameters>.npy         float64 [tests, K, trainings, K], sum over t of eta_t g'.g
  NAME/network.json                                      learning rates, classes C, and `parameters`: every trainable one by its name
    in PyTorch, its size, and whether the output depends on it (`used`); `head`: the names of the last layer's kernel

Targets are the labels (above K: background), regions and losses as docs/method.md defines them; networks are in eval mode. Where an
exporter folds BatchNorm into convolutions, autograd differentiates the folded network.
"""
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import safetensors.torch
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

import architectures as plain
import keras_graph
import transformers

HERE = Path(__file__).parent
SIZE, TRAIN, TEST = (24, 32), 3, 2
LEARNING_RATES = [0.05, 0.02]
FREE = {0: "N", 2: "H", 3: "W"}


def tracer(net, image, path, *, folded=False, axes=FREE, opset=17):
    mode = torch.onnx.TrainingMode.EVAL if folded else torch.onnx.TrainingMode.PRESERVE
    torch.onnx.export(net, image, path, input_names=["image"], output_names=["logits"], opset_version=opset, dynamo=False,
                      dynamic_axes={"image": axes}, training=mode, do_constant_folding=folded)


def dynamo(net, image, path, *, external=False, optimise=True):
    batch = torch.export.Dim("N", min=1, max=64)
    torch.onnx.export(net, image.repeat(2, 1, 1, 1), path, input_names=["image"], output_names=["logits"], dynamo=True,
                      dynamic_shapes=({0: batch},), external_data=False, verbose=False, optimize=optimise)
    model = onnx.load(path)
    for node in model.graph.node:  # stack traces of the machine it was exported on
        del node.metadata_props[:]
    onnx.save(model, path, save_as_external_data=external, location=Path(path).name + ".data", size_threshold=0)


def with_options(export, **options):
    return lambda net, image, path: export(net, image, path, **options)


def keras(net, image, path):
    onnx.save(keras_graph.build(net), path)


class ArgMax(nn.Module):
    def forward(self, x):
        return x.argmax(1)


# network, exporter, and what else: `end` (a layer after the logits), `folded`, `safetensors` (first checkpoint), `seed`
NETWORKS = {
    "monai-unet": (plain.MonaiUNet, tracer, {}),
    "nnunet": (plain.NnUNet, tracer, {"safetensors": True}),
    "deeplab": (plain.DeepLab, tracer, {}),
    "mobilenet": (plain.MobileNet, with_options(tracer, opset=14), {"end": nn.LogSoftmax(1)}),
    "segformer": (transformers.SegFormer, tracer, {}),
    "swin": (transformers.Swin, with_options(tracer, opset=16, axes={0: "N"}), {"safetensors": True}),
    "keras": (keras_graph.Keras, keras, {}),
    "sigmoid": (plain.Sigmoid, tracer, {"end": nn.Sigmoid()}),
    "assorted": (plain.Assorted, with_options(tracer, opset=18, axes={0: "N"}), {"end": ArgMax()}),
    "group-norm": (plain.GroupNormUNet, tracer, {"end": nn.Softmax(1)}),
    "folded-opset-9": (plain.PlainUNet, with_options(tracer, opset=9, folded=True, axes={0: "N"}), {"folded": True}),
    "folded-opset-11": (lambda: plain.PlainUNet("bilinear"), with_options(tracer, opset=11, folded=True), {"folded": True}),
    "folded-opset-13": (plain.PlainUNet, with_options(tracer, opset=13, folded=True), {"folded": True}),
    "dynamo-monai": (plain.MonaiUNet, dynamo, {}),
    "dynamo-plain": (lambda: plain.PlainUNet("bilinear"), with_options(dynamo, external=True), {"folded": True}),
    "dynamo-mobilenet": (plain.MobileNet, with_options(dynamo, optimise=False), {}),
    "dynamo-swin": (transformers.Swin, dynamo, {"folded": True}),
}


def blobs():
    """Images [N, 2, H, W] of two classes of ellipses, labels [N, H, W]."""
    random, (h, w) = np.random.default_rng(7), SIZE
    y, x = np.mgrid[:h, :w]
    labels = np.zeros((TRAIN + TEST, h, w), np.uint8)
    for n in range(len(labels)):
        cy, cx = random.uniform(9, h - 9), random.uniform(10, w - 10)
        labels[n][((y - cy) / random.uniform(6, 8)) ** 2 + ((x - cx) / random.uniform(7, 9)) ** 2 < 1] = 1
        labels[n][((y - cy - random.uniform(-2, 2)) / 4) ** 2 + ((x - cx - random.uniform(-2, 2)) / 5) ** 2 < 1] = 2
    intensity = np.array([[-0.5, 1.0, 0.2], [-0.3, 0.1, 1.2]])
    images = intensity[:, labels].transpose(1, 0, 2, 3) + random.normal(0, 0.6, (TRAIN + TEST, 2, h, w))
    return images.astype(np.float32), labels


def logits_of(net, images):
    out = net(images)
    out = out[0] if isinstance(out, tuple) else out
    # One channel z before a sigmoid is two classes: softmax([0, z]) = [1 - sigmoid(z), sigmoid(z)].
    return torch.cat([torch.zeros_like(out), out], 1) if out.shape[1] == 1 else out


def trained(make, seed, images, targets):
    """The network's state after each of two spells of training."""
    torch.manual_seed(seed)
    net = make().train()
    optimiser, states = torch.optim.Adam(net.parameters(), lr=0.02), []
    classes = logits_of(net, images[:TRAIN]).shape[1]
    targets = torch.where(targets < classes, targets, 0)
    for _ in LEARNING_RATES:
        for _ in range(16):
            optimiser.zero_grad()
            F.cross_entropy(logits_of(net, images[:TRAIN]), targets[:TRAIN], weight=torch.tensor([0.5, 1.0, 2.0])[:classes]).backward()
            optimiser.step()
        states.append({name: value.clone() for name, value in net.state_dict().items()})
    return net.eval(), states, targets


def folded_twin(net):
    """The network with every BatchNorm that follows a convolution, and every gathered bias, folded as exporters do."""
    for module in net.modules():
        if isinstance(module, transformers.WindowAttention):
            module.fold()
        if isinstance(module, nn.Sequential) and len(module) > 1 and isinstance(module[1], nn.BatchNorm2d):
            module[0], module[1] = fuse_conv_bn_eval(module[0], module[1]), nn.Identity()
    return net.requires_grad_()


def region_loss(kind, logits, target, mask, label):
    log_p = F.log_softmax(logits, 0)
    if kind == "cross-entropy":
        return -(log_p.gather(0, target[None])[0] * mask).sum() / mask.sum().clamp(min=1)
    y, p = (target == label).to(logits.dtype) * mask, log_p.exp()[label] * mask
    return 1 - 2 * (y * p).sum() / ((y**2 + p**2).sum() + 1e-7)


def influence(nets, kind, images, targets, regions, classes, names):
    """T [tests, K, trainings, K]; regions [N, H, W] holds the class each pixel speaks for."""
    total = 0
    for rate, net in zip(LEARNING_RATES, nets):
        chosen = [parameter for name, parameter in net.named_parameters() if name in names]
        rows = []
        for n in range(len(images)):
            logits = logits_of(net, images[n : n + 1])[0]
            losses = [region_loss(kind, logits, targets[n], regions[n] == k, k) for k in range(1, classes)]
            gradients = [torch.autograd.grad(loss, chosen, retain_graph=True) for loss in losses]
            rows.append(torch.stack([torch.cat([g.reshape(-1) for g in gradient]) for gradient in gradients]))
        g = torch.stack(rows)
        total = total + rate * torch.einsum("mip,njp->minj", g[TRAIN:], g[:TRAIN]).numpy()
    return total


def run_onnx(path, images):
    """Logits [N, C, H, W] by onnxruntime, read before a closing Softmax, Sigmoid or ArgMax."""
    model = onnx.load(path)
    output, channels_last = model.graph.output[0].name, model.graph.input[0].type.tensor_type.shape.dim[3].dim_value == images.shape[1]
    while True:
        last = next(node for node in model.graph.node if output in node.output)
        if last.op_type not in ("Softmax", "LogSoftmax", "Sigmoid", "ArgMax", "Identity"):
            break
        output = last.input[0]
    model.graph.output.append(onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    feed = images.transpose(0, 2, 3, 1) if channels_last else images
    [logits] = session.run([output], {model.graph.input[0].name: np.ascontiguousarray(feed)})
    logits = logits.transpose(0, 3, 1, 2) if channels_last else logits
    return np.concatenate([np.zeros_like(logits), logits], 1) if logits.shape[1] == 1 else np.ascontiguousarray(logits)


def make(name, images, labels):
    make_net, export, options = NETWORKS[name]
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    x = torch.tensor(images)
    net, states, targets = trained(make_net, options.get("seed", 1), x, torch.tensor(labels.astype(np.int64)))
    nets = []
    for t, state in enumerate(states):
        net.load_state_dict(state)
        exported = nn.Sequential(net, options["end"]).eval() if "end" in options else net
        if options.get("safetensors") and t == 0:
            safetensors.torch.save_file(state, folder / "checkpoint-0.safetensors")
        else:
            export(exported, x[:1], str(folder / f"checkpoint-{t}.onnx"))
        twin = make_net().eval()
        twin.load_state_dict(state)
        nets.append((folded_twin(twin) if options.get("folded") else twin).double())
    images64 = x.double()
    with torch.no_grad():
        logits = logits_of(nets[-1], images64)
    classes = logits.shape[1]
    predicted, best = logits.argmax(1), logits.topk(2, 1).values
    sizes = torch.stack([(predicted == k).sum((1, 2)) for k in range(1, classes)], 1)
    margin = (best[:, 0] - best[:, 1]).min().item()
    assert sizes.min() >= 5 and margin > 2e-4, f"{name}: regions {sizes.tolist()}, margin {margin}: try another seed"
    probe = torch.autograd.grad(logits_of(nets[-1], images64).square().sum(), list(nets[-1].parameters()), allow_unused=True)
    parameters = [{"name": n, "size": p.numel(), "used": g is not None} for (n, p), g in zip(nets[-1].named_parameters(), probe)]
    used = [p["name"] for p in parameters if p["used"]]
    largest = {}
    for kind, region, scope in (("dice", "predicted", "all"), ("cross-entropy", "truth", "all"), ("dice", "predicted", "head")):
        regions = predicted if region == "predicted" else targets
        t = influence(nets, kind, images64, targets, regions, classes, used if scope == "all" else net.head)
        np.save(folder / f"expected_{kind}_{region}_{scope}.npy", t)
        largest[f"{kind} {region} {scope}"] = float(np.abs(t).max())
    ran = run_onnx(folder / "checkpoint-1.onnx", images[TRAIN:])
    difference = np.abs(ran - logits[TRAIN:].numpy()).max()
    assert difference < 1e-4, f"{name}: onnxruntime and PyTorch differ by {difference}"
    np.save(folder / "logits.npy", ran)
    fields = {"learningRates": LEARNING_RATES, "classes": classes, "head": net.head}
    lines = [f'  "{field}": {json.dumps(value)},' for field, value in fields.items()]
    listed = ",\n".join(f"    {{ {json.dumps(parameter)[1:-1]} }}" for parameter in parameters)
    (folder / "network.json").write_text("\n".join(["{", *lines, '  "parameters": [', listed, "  ]", "}"]) + "\n")
    size = sum(file.stat().st_size for file in folder.iterdir())
    assert size < 150_000, f"{name}: {size} bytes"
    stored = onnx.load(folder / "checkpoint-1.onnx")
    print(f"{name}: {size >> 10} KiB, {sum(p['size'] for p in parameters)} parameters, smallest region {sizes.min()}, margin {margin:.1e},",
          f"largest T {largest}, {stored.opset_import[0].version}: {' '.join(sorted({n.op_type for n in stored.graph.node}))}")


def main(names):
    warnings.filterwarnings("ignore")
    images, labels = blobs()
    (HERE / "data").mkdir(exist_ok=True)
    for role, part in (("train", slice(0, TRAIN)), ("test", slice(TRAIN, None))):
        np.save(HERE / "data" / f"{role}_images.npy", images[part])
        np.save(HERE / "data" / f"{role}_labels.npy", labels[part])
    for name in names or NETWORKS:
        make(name, images, labels)


if __name__ == "__main__":
    main(sys.argv[1:])
