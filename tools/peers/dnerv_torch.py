# SPDX-License-Identifier: LGPL-2.1-or-later
"""D-NeRV in PyTorch, written from the paper (He et al., CVPR 2023, section 3) and the shapes of its networks.

The source of the golden vectors of tests/golden/make_golden_dnerv.py. Names and order of the parameters are those of
libnerv's model "dnerv"; so are the parts that the paper's network has not: "pyramid" adds a stage's flow, enlarged, to the
next one's, "skip" adds the warped keyframes to what the refinement gives, and a temporal grid may take the place of the stem.
With "grids" (class Moved) flows are a temporal grid as well, and the network sees the keyframes only where that moves them.
"""
import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

PAPER = ("flow", "saf", "mix", "keys", "norm")
ALL = PAPER + ("pyramid", "skip")
MOVED = ("flow", "keys", "skip", "grids", "mask", "gains", "own")
# Keyframes are normalised by mean and deviation; one pair serves all videos.
MEAN, DEVIATION = 0.5, 0.25


@dataclass
class Clip:
    """Consecutive frames of a video between two keyframes, all counted from the first video's first frame."""
    frames: list
    start: int
    end: int
    video: range
    rows: range  # of the temporal grid
    middle: range = range(0)  # likewise, of the second one
    flow: range = range(0)  # of the flow, between start and end
    number: int = 0  # of the video


def count_rows(frames, row_frames):
    return max(int(frames / row_frames + 0.5), 1) if row_frames else 0


def intervals(frames, length, interval, evenly):
    """Those of a video: their frames, and the last one's keyframe. Evenly: as near to `interval` as whole clips allow, and the last frame belongs to
    the one that it ends."""
    last = frames - 1
    if not evenly:
        return [(range(start, min(start + interval, frames)), min(start + interval, last)) for start in range(0, frames, interval)]
    most = max(math.ceil(last / length), 1)
    n = min(max((last + interval // 2) // interval, 1), most)
    starts = [length * (i * most // n) for i in range(n)] + [last]
    return [(range(starts[i], frames if i == n - 1 else starts[i + 1]), starts[i + 1]) for i in range(n)]


def cut(videos, length, interval, row_frames=None, middle_frames=None, flow_frames=None):
    """The clips of videos that have so many frames each."""
    clips, first, row, middle, flow = [], 0, 0, 0, 0
    for number, n in enumerate(videos):
        video = range(first, first + n)
        rows = range(row, row + count_rows(n, row_frames))
        middles = range(middle, middle + count_rows(n, middle_frames))
        for inside, end in intervals(n, length, interval, flow_frames is not None):
            start, part, end = video[inside.start], video[inside.start:inside.stop], video[end]
            flows = range(flow, flow + (count_rows(end - start, flow_frames) + 1 if end > start else 1))
            for begin in part[::length]:
                clips.append(Clip(list(range(begin, min(begin + length, part.stop))), start, end, video, rows, middles, flows,
                                  number))
            flow = flows.stop
        first, row, middle = video.stop, rows.stop, middles.stop
    return clips


def encode(t, base, levels):
    """sin(b^k pi t), cos(b^k pi t), interleaved. Phases have more digits than a double: each power is the one before times b, rounded."""
    values, power = [], 1.0
    for _ in range(levels):
        phase = power * math.pi * t
        values += [math.sin(phase), math.cos(phase)]
        power *= base
    return values


def warp(pictures, flow):
    """Samples of pictures [T,C,H,W] at each pixel's place plus flow [T,2,H,W], x before y, in pixels."""
    h, w = flow.shape[2:]
    rows, columns = torch.meshgrid(torch.arange(h).to(flow), torch.arange(w).to(flow), indexing="ij")
    across = (columns + flow[:, 0]) * 2 / max(w - 1, 1) - 1
    down = (rows + flow[:, 1]) * 2 / max(h - 1, 1) - 1
    return F.grid_sample(pictures, torch.stack([across, down], dim=3), mode="bilinear", padding_mode="border",
                         align_corners=True)


def look_up(grid, rows, places):
    """Rows of a grid, linear between neighbours; places from 0 to 1 between the first and the last of `rows`."""
    own = grid[rows.start:rows.stop]
    at = [p * (len(own) - 1) for p in places]
    pairs = [(own[int(p)], own[min(int(p) + 1, len(own) - 1)], p - int(p)) for p in at]
    return torch.stack([a + (b - a) * f for a, b, f in pairs])


class Mix(nn.Module):
    """GTMLP: a linear layer over the clip's frames for each channel, beside what was there."""

    def __init__(self, channels, frames):
        super().__init__()
        bound = frames ** -0.5
        self.weight = nn.Parameter(torch.empty(channels, frames, frames, 1).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(1, channels, frames, 1).uniform_(-bound, bound))

    def forward(self, x):
        t, c, h, w = x.shape
        rows = x.transpose(0, 1).reshape(1, c * t, h * w)
        rows = rows + F.conv1d(rows, self.weight.reshape(c * t, t, 1), self.bias.flatten(), groups=c)
        return rows.view(c, t, h, w).transpose(0, 1)


class DNeRV(nn.Module):
    """A clip and its keyframes -> its frames. Any frame size: what the strides don't divide is padded with the mean and cropped."""

    def __init__(self, width, height, clip, interval, stem, base_channels, content, widths, strides, parts=PAPER, rows=0,
                 pe_base=1.25, pe_levels=240):
        super().__init__()
        scale = math.prod(strides)
        self.size = (height, width)
        self.base = (base_channels, -(-height // scale), -(-width // scale))
        self.padded = (self.base[1] * scale, self.base[2] * scale)
        self.frames, self.interval, self.strides, self.parts = clip, interval, strides, parts
        self.pe = (pe_base, pe_levels)
        self.content = nn.ModuleList([nn.Conv2d(3, content, 3, padding=1)])
        self.content.extend(nn.Conv2d(content, content, s, stride=s) for s in reversed(strides))
        if stem:
            self.stem = nn.ModuleList([nn.Linear(2 * pe_levels, stem), nn.Linear(stem, math.prod(self.base))])
        else:
            self.grid = nn.Parameter(torch.empty(rows, *self.base).uniform_(-0.05, 0.05))
        channels = base_channels + content
        for i, (w, s) in enumerate(zip(widths, strides)):
            if "saf" in parts:
                self.add_flow(i, channels)
                self.add_module(f"saf{i}", nn.Conv2d(content, 2 * channels, 1))
            self.add_module(f"block{i}", nn.Conv2d(channels, w * s * s, 3, padding=1))
            if "mix" in parts:
                self.add_module(f"mix{i}", Mix(w, clip))
            channels = w
        if "keys" in parts:
            self.add_flow(len(strides), channels)
        self.refine = nn.ModuleList([nn.Conv2d(channels + 3 * ("keys" in parts), 8, 1), nn.Conv2d(8, 3, 3, padding=1)])

    def add_flow(self, i, channels):
        if "flow" in self.parts:
            hidden = max(channels // 4, 4)
            self.add_module(f"flow{i}", nn.ModuleList([nn.Conv2d(channels, hidden, 1), nn.Conv2d(hidden, 4, 3, padding=1)]))

    def features(self, keys):
        """Of both keyframes at each stage's size, the base's first."""
        x, found = F.gelu(self.content[0](keys)), []
        for conv in self.content[1:]:
            x = F.gelu(conv(x))
            found.insert(0, x)
        return found

    def at(self, clip):
        """The clip's frames, the last one repeated where they are fewer than the network gives."""
        return [clip.frames[min(i, len(clip.frames) - 1)] for i in range(self.frames)]

    def times(self, clip):
        return [(f - clip.video.start) / max(len(clip.video) - 1, 1) for f in self.at(clip)]

    def own(self, clip, like):
        """What the network knows of the clip without its keyframes, [T,C,h,w]."""
        if hasattr(self, "grid"):
            return look_up(self.grid, clip.rows, self.times(clip))
        x = torch.tensor([encode(t, *self.pe) for t in self.times(clip)]).to(like)
        return F.gelu(self.stem[1](F.gelu(self.stem[0](x)))).view(-1, *self.base)

    def spread(self, clip, pair):
        """The pair of base features over the interval's frames, linear in time, where the clip's frames are."""
        line = pair.permute(1, 2, 3, 0).reshape(1, -1, 2)
        line = F.interpolate(line, size=self.interval, mode="linear", align_corners=False)
        line = line[..., [f - clip.start for f in self.at(clip)]]
        return line.reshape(*pair.shape[1:], -1).permute(3, 0, 1, 2)

    def find(self, i, clip, x, pair, flow):
        """The pair's content at the clip's frames by the stage's flow, weighted by distance; and that flow."""
        start, end = (p.expand(self.frames, *p.shape) for p in pair)
        if "flow" in self.parts:
            hidden, last = getattr(self, f"flow{i}")
            own = last(F.gelu(hidden(x)))
            if flow is not None and "pyramid" in self.parts:
                s = self.strides[i - 1]
                own = own + s * F.interpolate(flow, scale_factor=s, mode="bilinear", align_corners=False)
            flow = own
            start, end = warp(start, flow[:, :2]), warp(end, flow[:, 2:])
        d = torch.tensor([(f - clip.start) / max(1, clip.end - clip.start) for f in self.at(clip)]).to(x)
        d = d.view(-1, 1, 1, 1)
        return (1 - d) * start + d * end, flow

    def forward(self, clip, keys):
        """keys: [2,3,H,W] in 0..1, the clip's start and end."""
        keys = (keys - MEAN) / DEVIATION
        keys = F.pad(keys, (0, self.padded[1] - keys.shape[3], 0, self.padded[0] - keys.shape[2]))
        content, flow = self.features(keys), None
        x = torch.cat([self.own(clip, keys), self.spread(clip, content[0])], dim=1)
        if "norm" in self.parts:
            x = F.instance_norm(x.transpose(0, 1)[None])[0].transpose(0, 1)
        for i, s in enumerate(self.strides):
            if "saf" in self.parts:
                found, flow = self.find(i, clip, x, content[i], flow)
                scale, shift = getattr(self, f"saf{i}")(found).chunk(2, dim=1)
                x = x * (1 + scale) + shift
            x = F.gelu(F.pixel_shuffle(getattr(self, f"block{i}")(x), s))
            if "mix" in self.parts:
                x = getattr(self, f"mix{i}")(x)
        if "keys" in self.parts:
            found, flow = self.find(len(self.strides), clip, x, keys, flow)
            x = torch.cat([x, found], dim=1)
        x = self.refine[1](F.gelu(self.refine[0](x)))
        x = (x + found if "skip" in self.parts else x) * DEVIATION + MEAN
        return x[:, :, :self.size[0], :self.size[1]]


class Moved(nn.Module):
    """A clip and its keyframes -> its frames, with flows from a grid: blocks as NeRV's on temporal grids make what is added to the
    keyframes that the flows move, and how much each of the two counts."""

    UNITS = 4  # of a flow, in a base cell

    def __init__(self, width, height, clip, base_channels, widths, strides, parts=MOVED, rows=0, flow_rows=0, middle_rows=0,
                 middle_channels=0, videos=1):
        super().__init__()
        self.scale = math.prod(strides)
        self.size, self.frames, self.strides, self.parts, self.videos = (height, width), clip, strides, parts, videos
        base = (-(-height // self.scale), -(-width // self.scale))
        self.padded = (base[0] * self.scale, base[1] * self.scale)

        def grid(rows, channels, scale, bound):
            return nn.Parameter(torch.empty(rows, channels, base[0] * scale, base[1] * scale).uniform_(-bound, bound))

        self.grid = grid(rows, base_channels, 1, 0.05)
        if "flow" in parts:
            self.flow = grid(flow_rows, 4, 1, 1e-3)
        channels = base_channels
        for i, (w, s) in enumerate(zip(widths, strides)):
            if i == 1 and middle_channels:
                self.middle = grid(middle_rows, middle_channels, strides[0], 0.05)
                channels += middle_channels
            own = videos if i == 0 and "own" in parts else 1
            self.add_module(f"block{i}", nn.Conv2d(channels, w * s * s, 3, padding=1) if i else nn.Conv2d(channels, own * w * s * s, 1))
            if "gains" in parts:
                self.register_parameter(f"gain{i}", nn.Parameter(torch.empty(videos, w, 1, 1).uniform_(-1e-3, 1e-3)))
            channels = w
        self.head = nn.Conv2d(channels + 3, 4 if "mask" in parts else 3, 3, padding=1)

    def at(self, clip):
        return [clip.frames[min(i, len(clip.frames) - 1)] for i in range(self.frames)]

    def move(self, clip, keys, d):
        """Both keyframes where the flow says; it grows with the distance from each."""
        pair = [k.expand(self.frames, *k.shape) for k in keys]
        if "flow" not in self.parts:
            return pair
        flow = look_up(self.flow, clip.flow, d.flatten().tolist())
        flow = F.interpolate(flow, scale_factor=self.scale, mode="bilinear", align_corners=False) * (self.scale / self.UNITS)
        return [warp(pair[0], d * flow[:, :2]), warp(pair[1], (1 - d) * flow[:, 2:])]

    def forward(self, clip, keys):
        """keys: [2,3,H,W] in 0..1, the clip's start and end."""
        keys = (keys - MEAN) / DEVIATION
        keys = F.pad(keys, (0, self.padded[1] - keys.shape[3], 0, self.padded[0] - keys.shape[2]))
        times = [(f - clip.video.start) / max(len(clip.video) - 1, 1) for f in self.at(clip)]
        d = torch.tensor([(f - clip.start) / max(1, clip.end - clip.start) for f in self.at(clip)]).to(keys).view(-1, 1, 1, 1)
        x = look_up(self.grid, clip.rows, times)
        for i, s in enumerate(self.strides):
            if i == 1 and hasattr(self, "middle"):
                x = torch.cat([x, look_up(self.middle, clip.middle, times)], dim=1)
            x = getattr(self, f"block{i}")(x)
            if i == 0 and "own" in self.parts:  # the video's part of the maps
                x = x.unflatten(1, (self.videos, -1))[:, clip.number]
            x = F.gelu(F.pixel_shuffle(x, s))
            if "gains" in self.parts:
                x = x * (1 + getattr(self, f"gain{i}")[clip.number])
        start, end = self.move(clip, keys, d)
        found = (1 - d) * start + d * end
        x = self.head(torch.cat([x, found], dim=1))
        if "mask" in self.parts:
            x = x[:, :3] + x[:, 3:] * (start - end)
        x = (x + found if "skip" in self.parts else x) * DEVIATION + MEAN
        return x[:, :, :self.size[0], :self.size[1]]
