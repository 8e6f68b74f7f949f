"""Trains a U-Net in PyTorch on the CPU; for every line read, one step on the same random batch, and the seconds it took.

  training.py FILE.onnx WIDTH LEVELS SIZE BATCH THREADS LAYOUT    (LAYOUT: contiguous | channels_last)

Writes the network it begins with to FILE.onnx and the batch beside it (FILE.onnx.images, .targets: raw float32, uint8).
Cross-entropy, stochastic gradient descent with momentum 0.9. Needs torch and onnx.
"""
import json, sys, time
import numpy, torch, torch.nn as nn, torch.nn.functional as F

file, (width, levels, size, batch, threads), layout = sys.argv[1], map(int, sys.argv[2:7]), sys.argv[7]
torch.set_num_threads(threads)
torch.manual_seed(0)


class Block(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.c1, self.b1 = nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o)
        self.c2, self.b2 = nn.Conv2d(o, o, 3, padding=1), nn.BatchNorm2d(o)

    def forward(self, x):
        return F.relu(self.b2(self.c2(F.relu(self.b1(self.c1(x))))))


class UNet(nn.Module):
    def __init__(self, width, levels):
        super().__init__()
        w = [width * 2**i for i in range(levels)]
        self.down = nn.ModuleList(Block(i, o) for i, o in zip([4] + w[:-1], w))
        self.up = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1) for i, o in zip(w[:0:-1], w[-2::-1]))
        self.merge = nn.ModuleList(Block(2 * o, o) for o in w[-2::-1])
        self.head = nn.Conv2d(width, 4, 1)

    def forward(self, x):
        skips = []
        for i, down in enumerate(self.down):
            x = down(x if i == 0 else F.max_pool2d(x, 2))
            skips.append(x)
        skips.pop()
        for up, merge in zip(self.up, self.merge):
            x = merge(torch.cat([up(F.interpolate(x, scale_factor=2, mode="nearest")), skips.pop()], 1))
        return self.head(x)


net = UNet(width, levels).train()
images = torch.randn(batch, 4, size, size)
targets = torch.randint(0, 4, (batch, size, size))
torch.onnx.export(
    net, images, file, input_names=["image"], output_names=["logits"], opset_version=17, do_constant_folding=False,
    training=torch.onnx.TrainingMode.PRESERVE, dynamo=False, dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}},
)
images.numpy().tofile(file + ".images")
targets.numpy().astype(numpy.uint8).tofile(file + ".targets")

if layout == "channels_last":
    net, images = net.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
optimiser = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9)
print(json.dumps({"about": f"PyTorch {torch.__version__.split('+')[0]}", "parameters": sum(p.numel() for p in net.parameters())}), flush=True)
for line in sys.stdin:
    began = time.perf_counter()
    optimiser.zero_grad()
    loss = F.cross_entropy(net(images), targets)
    loss.backward()
    optimiser.step()
    value = loss.item()
    print(json.dumps({"seconds": time.perf_counter() - began, "loss": value}), flush=True)
