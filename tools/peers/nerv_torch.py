# SPDX-License-Identifier: LGPL-2.1-or-later
"""NeRV in PyTorch, written from the paper (Chen et al., NeurIPS 2021, sections 3.1, 3.2 and 4.1).

The peer that libnerv is measured against (bench_torch.py) and the source of the golden vectors
(tests/golden/make_golden.py). Names and order of the parameters are those of libnerv's model "nerv".
"""
import math

import torch
from torch import nn
from torch.nn import functional as F

ACTIVATIONS = {"gelu": F.gelu, "silu": F.silu, "sin": torch.sin, "relu": F.relu}
OUTPUTS = {"tanh01": lambda x: (torch.tanh(x) + 1) / 2, "sigmoid": torch.sigmoid}


def positional_encoding(t, base=1.25, levels=40):
    """Equation 1: sin(b^k pi t), cos(b^k pi t) for k < levels, interleaved, in double precision."""
    phase = t.double()[:, None] * math.pi * base ** torch.arange(levels, dtype=torch.float64)
    return torch.stack([phase.sin(), phase.cos()], dim=2).flatten(1)


class NeRV(nn.Module):
    """t -> frame. Any frame size: the base grid is rounded up and the output cropped at the bottom and right."""

    def __init__(self, width, height, stem, base_channels, widths, strides, kernels=None, activation="gelu",
                 out_activation="tanh01", pe_base=1.25, pe_levels=40):
        super().__init__()
        kernels = kernels or [3] * len(strides)
        scale = math.prod(strides)
        self.size = (height, width)
        self.grid = (base_channels, -(-height // scale), -(-width // scale))
        self.pe = (pe_base, pe_levels)
        self.strides = strides
        self.act = ACTIVATIONS[activation]
        self.out = OUTPUTS[out_activation]
        self.stem = nn.ModuleList([nn.Linear(2 * pe_levels, stem), nn.Linear(stem, math.prod(self.grid))])
        channels = base_channels
        self.blocks = []
        for i, (w, s, k) in enumerate(zip(widths, strides, kernels)):
            conv = nn.Conv2d(channels, w * s * s, k, padding=(k - 1) // 2)
            self.add_module(f"block{i}", conv)
            self.blocks.append((conv, s))
            channels = w
        self.head = nn.Conv2d(channels, 3, 1)

    def encode(self, t):
        return positional_encoding(t, *self.pe).to(self.head.weight.dtype)

    def forward(self, encoding):
        x = self.act(self.stem[0](encoding))
        x = self.act(self.stem[1](x)).view(-1, *self.grid)
        for conv, s in self.blocks:
            x = self.act(F.pixel_shuffle(conv(x), s))
        x = self.out(self.head(x))
        return x[:, :, :self.size[0], :self.size[1]]


def gaussian(n=11, sigma=1.5, dtype=torch.float32):
    x = torch.arange(n, dtype=torch.float64) - (n - 1) / 2
    g = torch.exp(-x * x / (2 * sigma * sigma))
    return (g / g.sum()).to(dtype)


def ssim(a, b, k1=0.01, k2=0.03):
    """Mean SSIM of images in [0,1] (Wang et al. 2004): 11x11 Gaussian windows that lie wholly inside."""
    channels = a.shape[1]
    g = gaussian(dtype=a.dtype)

    def blur(x):
        x = F.conv2d(x, g.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
        return F.conv2d(x, g.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)

    mu_a, mu_b = blur(a), blur(b)
    var_a = blur(a * a) - mu_a * mu_a
    var_b = blur(b * b) - mu_b * mu_b
    cov = blur(a * b) - mu_a * mu_b
    c1, c2 = k1 * k1, k2 * k2
    s = (2 * mu_a * mu_b + c1) * (2 * cov + c2) / ((mu_a * mu_a + mu_b * mu_b + c1) * (var_a + var_b + c2))
    return s.mean()


def nerv_loss(out, target, alpha=0.7):
    """Equation 2: alpha L1 + (1 - alpha)(1 - SSIM)."""
    return alpha * (out - target).abs().mean() + (1 - alpha) * (1 - ssim(out, target))


def learning_rate(peak, warmup, step, n_steps):
    """Linear warm-up over the first `warmup` of all steps, then half a cosine to 0; step counts from 0."""
    at = (step + 1) / n_steps
    if at < warmup:
        return peak * at / warmup
    if warmup >= 1:
        return peak
    return peak * 0.5 * (1 + math.cos(math.pi * max(step / n_steps - warmup, 0) / (1 - warmup)))
