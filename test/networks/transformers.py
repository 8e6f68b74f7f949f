"""Transformer segmenters for make_networks.py."""
import torch
import torch.nn as nn
import torch.nn.functional as F

from architectures import CLASSES

# SegFormer (Xie et al. 2021): overlapping patches, attention to a reduced map, depthwise convolution in the feed-forward, linear decoder


class EfficientAttention(nn.Module):
    def __init__(self, dim, heads, reduction):
        super().__init__()
        self.heads, self.reduction = heads, reduction
        self.q, self.kv, self.proj = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)
        if reduction > 1:
            self.sr, self.norm = nn.Conv2d(dim, dim, reduction, reduction), nn.LayerNorm(dim)

    def forward(self, x, h, w):
        b, n, c = x.shape
        q = self.q(x).reshape(b, n, self.heads, c // self.heads).permute(0, 2, 1, 3)
        if self.reduction > 1:
            x = self.norm(self.sr(x.permute(0, 2, 1).reshape(b, c, h, w)).reshape(b, c, -1).permute(0, 2, 1))
        k, v = self.kv(x).reshape(b, -1, 2, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        attention = ((q @ k.transpose(-2, -1)) * (c // self.heads) ** -0.5).softmax(-1)
        return self.proj((attention @ v).transpose(1, 2).reshape(b, n, c))


class MixBlock(nn.Module):
    def __init__(self, dim, heads, reduction):
        super().__init__()
        self.norm1, self.attn, self.norm2 = nn.LayerNorm(dim), EfficientAttention(dim, heads, reduction), nn.LayerNorm(dim)
        self.fc1, self.dwconv, self.fc2 = nn.Linear(dim, 2 * dim), nn.Conv2d(2 * dim, 2 * dim, 3, 1, 1, groups=2 * dim), nn.Linear(2 * dim, dim)

    def forward(self, x, h, w):
        x = x + self.attn(self.norm1(x), h, w)
        y = self.fc1(self.norm2(x))
        b, n, c = y.shape
        y = self.dwconv(y.transpose(1, 2).view(b, c, h, w)).flatten(2).transpose(1, 2)
        return x + self.fc2(F.gelu(y))


class SegFormer(nn.Module):
    def __init__(self, dims=(6, 8), heads=(1, 2), reductions=(4, 1)):
        super().__init__()
        self.embed = nn.ModuleList([nn.Conv2d(2, dims[0], 3, 2, 1), nn.Conv2d(dims[0], dims[1], 3, 2, 1)])
        self.start = nn.ModuleList([nn.LayerNorm(d) for d in dims])
        self.blocks = nn.ModuleList([MixBlock(d, h, r) for d, h, r in zip(dims, heads, reductions)])
        self.end = nn.ModuleList([nn.LayerNorm(d) for d in dims])
        self.linear = nn.ModuleList([nn.Linear(d, 6) for d in dims])
        self.fuse, self.pred = nn.Sequential(nn.Conv2d(12, 6, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU()), nn.Conv2d(6, CLASSES, 1)

    head = ["pred.weight"]

    def forward(self, x):
        size, maps = x.shape[2:], []
        for embed, start, block, end in zip(self.embed, self.start, self.blocks, self.end):
            x = embed(x)
            b, c, h, w = x.shape
            y = end(block(start(x.flatten(2).transpose(1, 2)), h, w))
            x = y.reshape(b, h, w, -1).permute(0, 3, 1, 2).contiguous()
            maps.append(x)
        up = []
        for linear, y in zip(self.linear, maps):
            z = linear(y.flatten(2).transpose(1, 2)).permute(0, 2, 1).reshape(y.shape[0], -1, y.shape[2], y.shape[3])
            up.append(F.interpolate(z, size=maps[0].shape[2:], mode="bilinear", align_corners=False))
        return F.interpolate(self.pred(self.fuse(torch.cat(up[::-1], 1))), size=size, mode="bilinear", align_corners=False)


# Swin U-Net (Liu et al. 2021, Cao et al. 2021): windows folded into the batch, shifted by rolling, a table of relative position biases


def windows_of(x, s):
    b, h, w, c = x.shape
    return x.view(b, h // s, s, w // s, s, c).permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, s * s, c)


def windows_back(windows, s, h, w):
    b = windows.shape[0] // (h * w // s // s)
    return windows.view(b, h // s, w // s, s, s, -1).permute(0, 1, 3, 2, 4, 5).contiguous().view(b, h, w, -1)


class WindowAttention(nn.Module):
    def __init__(self, dim, window, heads):
        super().__init__()
        self.heads, self.scale = heads, (dim // heads) ** -0.5
        self.relative_position_bias_table = nn.Parameter(torch.randn((2 * window - 1) ** 2, heads) * 0.3)
        at = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
        relative = at[:, :, None] - at[:, None, :] + window - 1
        self.register_buffer("relative_position_index", relative[0] * (2 * window - 1) + relative[1])
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.folded_bias = None

    def bias(self):
        if self.folded_bias is not None:
            return self.folded_bias
        n, _ = self.relative_position_index.shape
        bias = self.relative_position_bias_table[self.relative_position_index.view(-1)].view(n, n, -1)
        return bias.permute(2, 0, 1).contiguous().unsqueeze(0)

    def fold(self):
        """As an exporter folds constants: the biases themselves instead of the table they are gathered from."""
        self.folded_bias = nn.Parameter(self.bias().detach())
        del self.relative_position_bias_table

    def forward(self, x, mask):
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        attention = (q * self.scale) @ k.transpose(-2, -1)
        attention = attention + self.bias()
        if mask is not None:
            count = mask.shape[0]
            attention = attention.view(b // count, count, self.heads, n, n) + mask.to(attention.dtype).unsqueeze(1).unsqueeze(0)
            attention = attention.view(-1, self.heads, n, n)
        return self.proj((attention.softmax(-1) @ v).transpose(1, 2).reshape(b, n, c))


class SwinBlock(nn.Module):
    def __init__(self, dim, size, window, shift, heads=2):
        super().__init__()
        self.size, self.window, self.shift, self.mask = size, window, shift, None
        self.norm1, self.attn, self.norm2 = nn.LayerNorm(dim), WindowAttention(dim, window, heads), nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Dropout(0.1), nn.Linear(2 * dim, dim))
        if shift:
            region = torch.zeros(1, *size, 1)
            cuts = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
            for i, rows in enumerate(cuts):
                for j, columns in enumerate(cuts):
                    region[:, rows, columns] = 3 * i + j
            region = windows_of(region, window).squeeze(-1)
            # A plain tensor, not a buffer: the exporter writes it as a Constant.
            self.mask = (region[:, None, :] != region[:, :, None]).float() * -100

    def forward(self, x):
        h, w = self.size
        b, n, c = x.shape
        y = self.norm1(x).view(b, h, w, c)
        if self.shift:
            y = torch.roll(y, (-self.shift, -self.shift), (1, 2))
        y = windows_back(self.attn(windows_of(y, self.window), self.mask), self.window, h, w)
        if self.shift:
            y = torch.roll(y, (self.shift, self.shift), (1, 2))
        x = x + y.view(b, n, c)
        return x + self.mlp(self.norm2(x))


class Swin(nn.Module):
    def __init__(self, dim=6, size=(12, 16)):
        super().__init__()
        h, w = self.size = size
        self.patch = nn.Conv2d(2, dim, 2, 2)
        self.position = nn.Parameter(torch.randn(1, h * w, dim) * 0.1)
        self.block1, self.block2 = SwinBlock(dim, size, 4, 0), SwinBlock(dim, size, 4, 2)
        self.merge_norm, self.merge = nn.LayerNorm(4 * dim), nn.Linear(4 * dim, 8, bias=False)
        self.expand, self.join = nn.Linear(8, 16, bias=False), nn.Linear(4 + dim, dim)
        self.last_norm, self.last, self.output = nn.LayerNorm(dim), nn.Linear(dim, 4 * 5), nn.Linear(5, CLASSES)

    head = ["output.weight"]

    def expanded(self, x, h, w):
        b, _, c = x.shape
        return x.view(b, h, w, 2, 2, c // 4).permute(0, 1, 3, 2, 4, 5).reshape(b, 4 * h * w, c // 4)

    def forward(self, x):
        h, w = self.size
        x = self.patch(x).flatten(2).transpose(1, 2) + self.position
        skip = self.block2(self.block1(x))
        b, _, c = skip.shape
        y = skip.view(b, h, w, c)
        y = torch.cat([y[:, 0::2, 0::2], y[:, 1::2, 0::2], y[:, 0::2, 1::2], y[:, 1::2, 1::2]], -1).view(b, -1, 4 * c)
        y = F.gelu(self.merge(self.merge_norm(y)))
        y = self.join(torch.cat([self.expanded(self.expand(y), h // 2, w // 2), skip], -1))
        y = F.gelu(self.expanded(self.last(self.last_norm(y)), h, w))
        return self.output(y).view(b, 2 * h, 2 * w, CLASSES).permute(0, 3, 1, 2)
