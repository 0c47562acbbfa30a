# SPDX-License-Identifier: LGPL-2.1-or-later
"""NeRV, HNeRV's decoder and D-NeRV in PyTorch, written from the papers, with their parameters under the names that the authors' checkpoints have.

What networks that are imported are compared with. Sizes are arguments, so that tests have small ones.
"""
import math

import torch
from torch import nn
from torch.nn import functional as F

from dnerv_torch import warp


def tanh01(x):
    return (torch.tanh(x) + 1) / 2


def encode_single(times, base, levels):
    """sin(b^k pi t), cos(b^k pi t), interleaved, with phases as the authors have them: in single precision."""
    values = []
    for k in range(levels):
        phase = times * base ** k * math.pi
        values += [torch.sin(phase), torch.cos(phase)]
    return torch.stack(values, 1)


class Holder(nn.Module):
    """Modules under a name of their own."""

    def __init__(self, **modules):
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)


class HNeRV(nn.Module):
    """Embeddings [N,I,h,w] -> frames. widths: of the first convolution, which enlarges by strides[0] as well, and of the blocks. cells: of encodings [N,I,1,1], rows
    and columns that the first convolution makes of them in place of that."""

    def __init__(self, channels, widths, strides, kernels, cells=None):
        super().__init__()
        self.strides, self.cells = strides, cells
        self.decoder = nn.ModuleList([Holder(conv=Holder(downconv=nn.Conv2d(channels, widths[0] * (math.prod(cells) if cells else strides[0] ** 2), 1)))])
        for before, width, s, k in zip(widths, widths[1:], strides[1:], kernels):
            self.decoder.append(Holder(conv=Holder(upconv=nn.Sequential(nn.Conv2d(before, width * s * s, k, padding=k // 2)))))
        self.head_layer = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, x):
        for i, (layer, s) in enumerate(zip(self.decoder, self.strides)):
            conv = layer.conv.upconv[0] if i else layer.conv.downconv
            x = F.gelu(conv(x).view(len(x), -1, *self.cells) if self.cells and i == 0 else F.pixel_shuffle(conv(x), s))
        return tanh01(self.head_layer(x))


class NeRV(nn.Module):
    """Encodings [N,2 l] -> frames."""

    def __init__(self, levels, stem, base, widths, strides, act=F.silu):
        super().__init__()
        self.base, self.strides, self.act = base, strides, act
        self.stem = nn.Sequential(nn.Linear(2 * levels, stem), nn.Identity(), nn.Linear(stem, math.prod(base)), nn.Identity())
        self.layers, channels = nn.ModuleList(), base[0]
        for width, s in zip(widths, strides):
            self.layers.append(Holder(conv=Holder(conv=nn.Conv2d(channels, width * s * s, 3, padding=1))))
            channels = width
        self.head_layers = nn.ModuleList([None] * (len(strides) - 1) + [nn.Conv2d(channels, 3, 1)])

    def forward(self, x):
        x = self.act(self.stem[2](self.act(self.stem[0](x)))).view(-1, *self.base)
        for layer, s in zip(self.layers, self.strides):
            x = self.act(F.pixel_shuffle(layer.conv.conv(x), s))
        return tanh01(self.head_layers[-1](x))


def conv3d(before, after, kernel=1, stride=1):
    """Over single frames."""
    pad = kernel // 2 if stride == 1 else 0
    return nn.Conv3d(before, after, (1, kernel, kernel), (1, stride, stride), (0, pad, pad))


def pair(before, after):
    hidden = before // 4
    return Holder(conv=nn.Sequential(conv3d(before, hidden), nn.GELU(), conv3d(hidden, after, 3)))


class DNeRV(nn.Module):
    """A clip of T frames between two keyframes. forward: times [T], distances [T], keyframes [2,3,H,W] in 0..1 -> [T,3,H,W]. beyond: the colour that the content
    encoder sees around a keyframe; None: the mean, as the authors have it."""

    def __init__(self, levels, stem, base, widths, strides, clip, mean, deviation, content=64, beyond=None):
        super().__init__()
        self.levels, self.base, self.strides, self.clip, self.beyond = levels, base, strides, clip, beyond
        self.mean, self.deviation = (torch.tensor(x).view(1, 3, 1, 1) for x in (mean, deviation))
        self.stem = Holder(mlp=nn.Sequential(nn.Conv1d(2 * levels, stem, 1), nn.GELU(), nn.Conv1d(stem, math.prod(base), 1), nn.GELU()))
        self.encoder = Holder(head=nn.Sequential(conv3d(3, content, 3), nn.GELU()),
                              body=nn.ModuleList([nn.Sequential(conv3d(content, content, s, s), nn.GELU()) for s in reversed(strides)]))
        self.decoder_list, self.flow_pred_list, channels = nn.ModuleList(), nn.ModuleList(), base[0] + content
        for width, s in zip(widths, strides):
            self.flow_pred_list.append(pair(channels, 4))
            self.decoder_list.append(Holder(to_style=Holder(conv=conv3d(content, 2 * channels)), conv=conv3d(channels, width * s * s, 3),
                                            tfc=nn.Conv2d(width * clip, width * clip, 1, groups=width)))
            channels = width
        self.flow_pred_list.append(pair(channels, 4))
        self.rgb_head_layer = pair(channels + 3, 3)

    @staticmethod
    def frames(module, x):
        """A module of three dimensions on frames [T,C,H,W]."""
        return module(x.transpose(0, 1)[None])[0].transpose(0, 1)

    def found(self, i, x, keys, distances):
        """The keyframes' content where the i-th flow finds it."""
        flow = self.frames(self.flow_pred_list[i].conv, x)
        start, end = (k[None].expand(len(x), -1, -1, -1) for k in keys)
        return warp(start, flow[:, :2]) * (1 - distances) + warp(end, flow[:, 2:]) * distances

    def forward(self, times, distances, keyframes):
        t, distances = self.clip, distances.view(-1, 1, 1, 1)
        keys = [(keyframes - self.mean) / self.deviation]
        around = 0. if self.beyond is None else (self.beyond - self.mean) / self.deviation
        features = self.frames(self.encoder.head, F.pad(keys[0] - around, (1, 1, 1, 1)) + around)[:, :, 1:-1, 1:-1]
        for layer in self.encoder.body:
            features = self.frames(layer, features)
            keys.insert(0, features)
        x = self.stem.mlp(encode_single(times, 1.25, self.levels).t()[None])[0]
        x = x.view(*self.base, t).permute(3, 0, 1, 2)
        content = F.interpolate(keys[0].transpose(0, 1)[None], scale_factor=(t / 2, 1, 1), mode="trilinear")[0].transpose(0, 1)
        x = self.frames(lambda v: F.instance_norm(v), torch.cat([x, content], 1))
        for i, (layer, s) in enumerate(zip(self.decoder_list, self.strides)):
            scale, shift = self.frames(layer.to_style.conv, self.found(i, x, keys[i], distances)).chunk(2, 1)
            x = F.gelu(F.pixel_shuffle(self.frames(layer.conv, x * (scale + 1) + shift), s))
            rows = x.transpose(0, 1).reshape(1, -1, *x.shape[2:])
            x = x + layer.tfc(rows).view(-1, t, *x.shape[2:]).transpose(0, 1)
        x = torch.cat([x, self.found(len(self.strides), x, keys[-1], distances)], 1)
        return (self.frames(self.rgb_head_layer.conv, x) * self.deviation + self.mean).clamp(0, 1)


def clips(frames, length):
    """A video's: first frame, how many are its own, keyframes' numbers, times and distances of all that are evaluated."""
    for first in range(0, frames, length):
        end = min(first + length, frames - 1)
        own = [min(f, frames - 1) for f in range(first, first + length)]
        times = torch.tensor([f / max(frames - 1, 1) for f in own])
        yield first, min(length, frames - first), (first, end), times, torch.tensor([(f - first) / max(end - first, 1) for f in own])
