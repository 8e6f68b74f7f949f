"""The networks of make_networks.py: small ones of the families people segment with, each built as its own library builds it."""
import torch
import torch.nn as nn
import torch.nn.functional as F

CLASSES = 3


def conv_bn_relu(i, o, k=3, **options):
    return nn.Sequential(nn.Conv2d(i, o, k, padding=options.pop("padding", k // 2), bias=False, **options), nn.BatchNorm2d(o), nn.ReLU())


# MONAI 1.3, networks.nets.UNet: residual units of convolution, InstanceNorm, PReLU; transposed convolutions with output_padding


def adn(convolution, channels):
    return nn.Sequential(convolution, nn.InstanceNorm2d(channels, affine=True), nn.Dropout(0.1), nn.PReLU())


class ResidualUnit(nn.Module):
    def __init__(self, i, o, stride=1, subunits=2, last_conv_only=False):
        super().__init__()
        units = []
        for u in range(subunits):
            conv = nn.Conv2d(i if u == 0 else o, o, 3, stride if u == 0 else 1, 1)
            units.append(conv if last_conv_only and u == subunits - 1 else adn(conv, o))
        self.conv = nn.Sequential(*units)
        shortcut = nn.Conv2d(i, o, 3, stride, 1) if stride > 1 else nn.Conv2d(i, o, 1)
        self.residual = shortcut if stride > 1 or i != o else nn.Identity()

    def forward(self, x):
        return self.conv(x) + self.residual(x)


class MonaiUNet(nn.Module):
    def __init__(self, channels=(4, 6, 10)):
        super().__init__()
        a, b, c = channels

        def up(i, o, top=False):
            return nn.Sequential(adn(nn.ConvTranspose2d(i, o, 3, 2, 1, output_padding=1), o), ResidualUnit(o, o, 1, 1, last_conv_only=top))

        self.down1, self.down2, self.bottom = ResidualUnit(2, a, 2), ResidualUnit(a, b, 2), ResidualUnit(b, c)
        self.up2, self.up1 = up(b + c, a), up(2 * a, CLASSES, top=True)

    head = ["up1.1.conv.0.weight"]

    def forward(self, x):
        a = self.down1(x)
        b = self.down2(a)
        return self.up1(torch.cat([a, self.up2(torch.cat([b, self.bottom(b)], 1))], 1))


# nnU-Net v2, PlainConvUNet: strided convolutions, InstanceNorm, LeakyReLU, a segmentation layer for every decoder stage


def stacked(i, o, stride=1):
    def unit(i, stride):
        return nn.Sequential(nn.Conv2d(i, o, 3, stride, 1), nn.InstanceNorm2d(o, eps=1e-5, affine=True), nn.LeakyReLU(0.01))

    return nn.Sequential(unit(i, stride), unit(o, 1))


class NnUNet(nn.Module):
    def __init__(self, features=(4, 6, 8)):
        super().__init__()
        a, b, c = features
        self.stages = nn.ModuleList([stacked(2, a), stacked(a, b, 2), stacked(b, c, 2)])
        self.transpconvs = nn.ModuleList([nn.ConvTranspose2d(c, b, 2, 2), nn.ConvTranspose2d(b, a, 2, 2)])
        self.decoder = nn.ModuleList([stacked(2 * b, b), stacked(2 * a, a)])
        self.seg_layers = nn.ModuleList([nn.Conv2d(b, CLASSES, 1), nn.Conv2d(a, CLASSES, 1)])

    head = ["seg_layers.1.weight"]

    def forward(self, x):
        skips = []
        for stage in self.stages:
            x = stage(x)
            skips.append(x)
        outputs = []
        for s, skip in enumerate(skips[-2::-1]):
            x = self.decoder[s](torch.cat((self.transpconvs[s](x), skip), 1))
            outputs.append(self.seg_layers[s](x))
        return tuple(outputs[::-1])


# DeepLabv3 (torchvision): atrous pooling with an image-level branch, bilinear resizes to a size read from shapes


class AtrousPooling(nn.Module):
    def __init__(self, i, o, rates=(2, 3)):
        super().__init__()
        self.convs = nn.ModuleList([conv_bn_relu(i, o, 1)] + [conv_bn_relu(i, o, padding=r, dilation=r) for r in rates])
        self.pooling = nn.Sequential(nn.AdaptiveAvgPool2d(1), conv_bn_relu(i, o, 1))
        self.project = nn.Sequential(conv_bn_relu(o * (len(rates) + 2), o, 1), nn.Dropout(0.1))

    def forward(self, x):
        pooled = F.interpolate(self.pooling(x), size=x.shape[-2:], mode="bilinear", align_corners=False)
        return self.project(torch.cat([conv(x) for conv in self.convs] + [pooled], 1))


class BasicBlock(nn.Module):
    def __init__(self, i, o, stride=1, dilation=1):
        super().__init__()
        self.body = nn.Sequential(conv_bn_relu(i, o, stride=stride), nn.Conv2d(o, o, 3, 1, dilation, dilation, bias=False), nn.BatchNorm2d(o))
        self.downsample = nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))

    def forward(self, x):
        return F.relu(self.body(x) + self.downsample(x))


class DeepLab(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(conv_bn_relu(2, 4, stride=2), nn.MaxPool2d(3, 1, 1))
        self.backbone = nn.Sequential(BasicBlock(4, 6, 2), BasicBlock(6, 8, 1, 2))
        self.classifier = nn.Sequential(AtrousPooling(8, 6), conv_bn_relu(6, 6), nn.Conv2d(6, CLASSES, 1))

    head = ["classifier.2.weight"]

    def forward(self, x):
        y = self.classifier(self.backbone(self.stem(x)))
        return F.interpolate(y, size=x.shape[-2:], mode="bilinear", align_corners=False)


# MobileNetV3 with its LR-ASPP head (torchvision): depthwise convolutions, relu6, hardswish, squeeze-excite


class InvertedResidual(nn.Module):
    def __init__(self, i, expanded, o, kernel=3, stride=1, act=nn.ReLU6, squeeze=False):
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(i, expanded, 1, bias=False), nn.BatchNorm2d(expanded, eps=1e-3), act())
        depthwise = nn.Conv2d(expanded, expanded, kernel, stride, kernel // 2, groups=expanded, bias=False)
        self.depthwise = nn.Sequential(depthwise, nn.BatchNorm2d(expanded, eps=1e-3), act())
        self.squeeze = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(expanded, 4, 1), nn.ReLU(), nn.Conv2d(4, expanded, 1), nn.Hardsigmoid()) if squeeze else None
        self.project = nn.Sequential(nn.Conv2d(expanded, o, 1, bias=False), nn.BatchNorm2d(o, eps=1e-3))
        self.residual = stride == 1 and i == o

    def forward(self, x):
        y = self.depthwise(self.expand(x))
        y = self.project(y if self.squeeze is None else y * self.squeeze(y))
        return x + y if self.residual else y


class MobileNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.low = nn.Sequential(nn.Conv2d(2, 6, 3, 2, 1), nn.Hardswish(), InvertedResidual(6, 10, 6))
        self.high = nn.Sequential(InvertedResidual(6, 12, 8, 5, 2, nn.Hardswish, True), InvertedResidual(8, 12, 8, 5, 1, nn.Hardswish, True))
        self.cbr, self.scale = conv_bn_relu(8, 8, 1), nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 8, 1, bias=False), nn.Sigmoid())
        self.low_classifier, self.high_classifier = nn.Conv2d(6, CLASSES, 1), nn.Conv2d(8, CLASSES, 1)

    head = ["high_classifier.weight"]

    def forward(self, x):
        low = self.low(x)
        high = self.high(low)
        y = F.interpolate(self.cbr(high) * self.scale(high), size=low.shape[-2:], mode="bilinear", align_corners=False)
        # The library adds low + high; the order here makes `high` the last convolution.
        y = self.low_classifier(low) + self.high_classifier(y)
        return F.interpolate(y, size=x.shape[-2:], mode="bilinear", align_corners=False)


# Blocks of everything else: activations, pools, paddings and resizes seldom met, and a convolution used twice


class PlainUNet(nn.Module):
    """BatchNorm after every convolution but one, which is shared by two places."""

    def __init__(self, mode="nearest"):
        super().__init__()
        self.mode = mode
        self.e1, self.e2, self.bottom = conv_bn_relu(2, 4), conv_bn_relu(4, 8), conv_bn_relu(8, 8)
        self.shared, self.d1, self.head_conv = nn.Conv2d(8, 8, 3, padding=1), conv_bn_relu(12, 6), nn.Conv2d(6, CLASSES, 1)

    head = ["head_conv.weight"]

    def forward(self, x):
        align = None if self.mode == "nearest" else True
        a = self.e1(x)
        b = F.relu(self.shared(self.e2(F.max_pool2d(a, 2))))
        c = F.relu(self.shared(self.bottom(F.max_pool2d(b, 2)))) if self.mode != "nearest" else F.relu(self.shared(self.bottom(b)))
        up = F.interpolate(c, scale_factor=4 if self.mode != "nearest" else 2, mode=self.mode, align_corners=align)
        return self.head_conv(self.d1(torch.cat([up, a], 1)))


class Sigmoid(nn.Module):
    """One channel, whose sigmoid is the second of two classes."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(conv_bn_relu(2, 4), nn.AvgPool2d(3, 2, 1), nn.Conv2d(4, 8, 3, padding=1, groups=2), nn.SiLU())
        self.up, self.out = nn.ConvTranspose2d(8, 6, 4, 2, 1, groups=2), nn.Conv2d(6, 1, 1)

    head = ["out.weight"]

    def forward(self, x):
        return self.out(torch.tanh(self.up(self.body(x))))


class Assorted(nn.Module):
    def __init__(self):
        super().__init__()
        acts = [nn.ELU(0.7), nn.SELU(), nn.CELU(1.3), nn.Softplus(), nn.Mish(), nn.GELU(), nn.GELU("tanh"), nn.Tanh()]
        self.mix = nn.Sequential(*[layer for act in acts for layer in (nn.Conv2d(4, 4, 1), act)])
        self.stem, self.fold = nn.Conv2d(2, 4, 3), nn.Conv2d(16, 4, 3, padding=1, padding_mode="reflect")
        self.coarse, self.out = nn.Conv2d(4, 4, 3, padding=1, padding_mode="replicate"), nn.Conv2d(6, CLASSES * 4, 1)

    head = ["out.weight"]

    def forward(self, x):
        y = self.stem(F.pad(x, (0, 2, 2, 0)))
        y = self.fold(F.pixel_unshuffle(y, 2))
        y = self.mix(y)
        z = self.coarse(F.max_pool2d(y, 2, ceil_mode=True))
        z = F.interpolate(z, scale_factor=2, mode="bicubic", align_corners=False)
        low, high = torch.split(y, [1, 3], 1)
        gate = torch.where(low > 0.1, torch.exp(-low.abs()), low * low + 1)
        shade = torch.clamp(high, -0.5, 0.75) / torch.sqrt(1 + (high - high.mean((2, 3), keepdim=True)).pow(2))
        y = torch.cat([z[:, :2], gate, torch.maximum(shade, -shade * 0.3)], 1)
        return F.pixel_shuffle(self.out(y), 2)


class StandardisedConv(nn.Conv2d):
    """Qiao et al. 2019, as in Big Transfer."""

    def forward(self, x):
        variance, mean = torch.var_mean(self.weight, dim=[1, 2, 3], keepdim=True, unbiased=False)
        return self._conv_forward(x, (self.weight - mean) / torch.sqrt(variance + 1e-5), self.bias)


class GroupNormUNet(nn.Module):
    def __init__(self):
        super().__init__()

        def block(i, o):
            return nn.Sequential(StandardisedConv(i, o, 3, padding=1, bias=False), nn.GroupNorm(2, o), nn.ReLU())

        self.e1, self.e2, self.d1 = block(2, 4), block(4, 8), block(12, 6)
        # Weight normalisation: g v / |v|, both trained.
        self.out = nn.utils.weight_norm(nn.Conv2d(6, CLASSES, 1))

    head = ["out.weight_g", "out.weight_v"]

    def forward(self, x):
        a = F.normalize(self.e1(x))  # of zeros too, where no channel passes the ReLU
        b = self.e2(F.max_pool2d(a, 2))
        return self.out(self.d1(torch.cat([F.interpolate(b, scale_factor=2.0, mode="bilinear", align_corners=False), a], 1)))
