#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A second decoder, written from docs/bitstream.md alone, in plain Python and with no regard for speed.

Usage: reader.py DECODE STREAM, or reader.py DECODE --make MODEL OPTIONS. Decodes STREAM, or one that the program DECODE (decode.c)
fits to a few small frames, has DECODE do the same, and compares every sample: at most 1 of 255 apart. A difference means that
the page and the library do not describe the same format. Names and order follow the page. AV1 is not described there: DECODE
reads keyframes, too.
"""
import hashlib
import math
import pathlib
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True  # beside the source
from reader_weights import Reader, read_coding, read_sequence, read_tensors, require, units  # noqa: E402


ACTIVATIONS = [
    lambda x: x,
    lambda x: x / 2 * (1 + math.erf(x / math.sqrt(2))),
    lambda x: x / (1 + math.exp(-x)),
    math.sin,
    lambda x: 1 / (1 + math.exp(-x)),
    math.tanh,
    lambda x: (math.tanh(x) + 1) / 2,
    lambda x: max(x, 0),
]


def block(x, layer, stride, kernel, act):
    """x: channels of rows."""
    w, b, n = layer
    h, width, pad = len(x[0]), len(x[0][0]), (kernel - 1) // 2
    out = [[[0.0] * (width * stride) for _ in range(h * stride)] for _ in range(len(b) // stride**2)]
    taps = [(c, i - pad, j - pad) for c in range(len(x)) for i in range(kernel) for j in range(kernel)]
    for o, bias in enumerate(b):
        c, i, j = o // stride**2, o // stride % stride, o % stride
        for y in range(h):
            for z in range(width):
                v = bias + sum(w[o * n + k] * x[ci][y + dy][z + dx] for k, (ci, dy, dx) in enumerate(taps)
                               if 0 <= y + dy < h and 0 <= z + dx < width)
                out[c][y * stride + i][z * stride + j] = act(v)
    return out


def maps(flat, h, w):
    rows = [flat[i:i + w] for i in range(0, len(flat), w)]
    return [rows[i:i + h] for i in range(0, len(rows), h)]


def picture(x, s):
    return bytes(math.floor(255 * min(max(x[c][y][z], 0), 1) + .5) for y in range(s['height'])
                 for z in range(s['width']) for c in range(3))


def bilinear(m, y, x):
    """Held to the map's first and last row and column."""
    y, x = min(max(y, 0), len(m) - 1), min(max(x, 0), len(m[0]) - 1)
    i, j = math.floor(y), math.floor(x)
    below, right = min(i + 1, len(m) - 1), min(j + 1, len(m[0]) - 1)
    f, g = y - i, x - j
    return (1 - f) * ((1 - g) * m[i][j] + g * m[i][right]) + f * ((1 - g) * m[below][j] + g * m[below][right])


def add_half(tensors, base):
    for (flat, shape), (before, _) in zip(tensors, base):
        for i in range(len(flat)):
            flat[i] += .5 * before[i]


class GridNetwork:
    def add(self, base):
        still = [i for i, (kind, shape) in enumerate(self.kinds) if kind != 'grid' or shape[0] == 1]
        add_half([self.tensors[i] for i in still], [base.tensors[i] for i in still])

    def __init__(self, r, s):
        self.s = s
        self.act, self.out_act = ACTIVATIONS[r.u8()], ACTIVATIONS[r.u8()]
        head = r.u8()
        blocks = [(r.varint(), r.u8(), r.u8()) for _ in range(r.u8())]
        self.grids = [(r.u8(), r.varint(), r.varint()) for _ in range(r.u8())]
        self.flow_rows = r.varint()
        coding, bits = read_coding(r)
        scale = math.prod(stride for _, stride, _ in blocks)
        self.h0, self.w0 = -(-s['height'] // scale), -(-s['width'] // scale)
        self.levels = blocks + [(3, 1, head)]
        moved = sum(rows == 1 and level > 0 for level, rows, _ in self.grids)
        tensors, channels, size = [], 0, 1
        if self.flow_rows:
            tensors.append(('grid', (self.flow_rows, 2 * moved, self.h0, self.w0)))
        for i, (width, stride, kernel) in enumerate(self.levels):
            for level, rows, g in self.grids:
                if level == i:
                    tensors.append(('grid', (rows, g, self.h0 * size, self.w0 * size)))
                    channels += g
            tensors += [('weight', (width * stride**2, channels, kernel, kernel)), ('bias', (1, width * stride**2, 1, 1))]
            channels, size = width, size * stride
        flat = read_tensors(r.take(len(r.data) - r.pos), tensors, coding, bits)
        self.kinds = tensors
        self.tensors = list(zip(flat, (shape for _, shape in tensors)))

    def lookup(self, tensor, index):
        flat, (rows, channels, h, w) = tensor
        last = self.s['n_frames'] - 1
        p = struct.unpack('<f', struct.pack('<f', index * (rows - 1) / last))[0] if last else 0.0
        k = math.floor(p)
        f, n = p - k, channels * h * w
        return maps([(1 - f) * flat[k * n + i] + (f * flat[k * n + n + i] if f else 0) for i in range(n)], h, w)

    def move(self, still, flow, h, w):
        r = w // self.w0
        d = [[[bilinear(m, (y + .5) / r - .5, (x + .5) / r - .5) * r / 4 for x in range(w)] for y in range(h)] for m in flow]
        return [[[bilinear(m, y + d[1][y][x], x + d[0][y][x]) for x in range(w)] for y in range(h)] for m in still]

    def frame(self, index):
        tensors, x, moved = iter(self.tensors), [], 0
        flow = self.lookup(next(tensors), index) if self.flow_rows else None
        for i, (_, stride, kernel) in enumerate(self.levels):
            for level, rows, _ in self.grids:
                if level != i:
                    continue
                tensor = next(tensors)
                m = self.lookup(tensor, index)
                if flow and rows == 1 and level > 0:
                    m = self.move(m, flow[2 * moved:2 * moved + 2], tensor[1][2], tensor[1][3])
                    moved += 1
                x = x + m
            (w, shape), (b, _) = next(tensors), next(tensors)
            x = block(x, (w, b, shape[1] * kernel**2), stride, kernel, self.out_act if i == len(self.levels) - 1 else self.act)
        return picture(x, self.s)


    def add_layers(self, init):
        require([(kind, shape[:2] if kind == 'grid' else shape) for kind, shape in self.kinds if kind != 'grid'] ==
                [(kind, shape) for kind, shape in init.kinds if kind != 'grid'], "an init's layers")
        mine, its = ([flat for (kind, _), (flat, _) in zip(n.kinds, n.tensors) if kind != 'grid'] for n in (self, init))
        for flat, before in zip(mine, its):
            flat[:] = (a + b for a, b in zip(flat, before))


class Network:
    def add(self, base):
        add_half([(flat, None) for flat in self.flat], [(flat, None) for flat in base.flat])

    def __init__(self, r, s):
        self.s = s
        self.b, self.levels, self.stem, self.c0 = r.f32(), r.varint(), r.varint(), r.varint()
        self.act, self.out_act = ACTIVATIONS[r.u8()], ACTIVATIONS[r.u8()]
        self.blocks = [(r.varint(), r.u8(), r.u8()) for _ in range(r.u8())]
        coding, bits = read_coding(r)
        scale = math.prod(stride for _, stride, _ in self.blocks)
        self.h0, self.w0 = -(-s['height'] // scale), -(-s['width'] // scale)
        layers = [(self.stem, 2 * self.levels, 1), (self.c0 * self.h0 * self.w0, self.stem, 1)]
        channels = self.c0
        for width, stride, kernel in self.blocks:
            layers.append((width * stride * stride, channels, kernel))
            channels = width
        layers.append((3, channels, 1))
        tensors = [t for n, c, k in layers for t in (('weight', (n, c, k, k)), ('bias', (1, n, 1, 1)))]
        flat = read_tensors(r.take(len(r.data) - r.pos), tensors, coding, bits)
        self.flat = flat
        self.layers = [(flat[2 * i], flat[2 * i + 1], c * k * k) for i, (_, c, k) in enumerate(layers)]

    def linear(self, x, layer):
        w, b, n = layer
        return [self.act(b[o] + sum(w[o * n + i] * x[i] for i in range(n))) for o in range(len(b))]

    def frame(self, index):
        t, power, x = index / self.s['n_frames'], 1.0, []
        for _ in range(self.levels):
            phase = power * math.pi * t
            x += [math.sin(phase), math.cos(phase)]
            power *= self.b
        flat = self.linear(self.linear(x, self.layers[0]), self.layers[1])
        x = maps(flat, self.h0, self.w0)
        for layer, (_, stride, kernel) in zip(self.layers[2:], self.blocks):
            x = block(x, layer, stride, kernel, self.act)
        x = block(x, self.layers[-1], 1, 1, self.out_act)
        return picture(x, self.s)



class Pixelwise:
    def add(self, base):
        add_half([(flat, None) for flat in self.flat], [(flat, None) for flat in base.flat])

    def __init__(self, r, s):
        self.s = s
        self.siren, width, layers = r.u8() == 0, r.varint(), r.u8()
        self.omega, self.levels = (r.f32(), 0) if self.siren else (None, r.u8())
        coding, bits = read_coding(r)
        self.skip = layers // 2 if not self.siren and layers >= 4 else 0
        e = 3 * (1 if self.siren else 2 * self.levels)
        self.sizes = [(width, e if i == 0 else width + e * (i == self.skip)) for i in range(layers)] + [(3, width)]
        tensors = [t for n, c in self.sizes for t in (('weight', (n, c, 1, 1)), ('bias', (1, n, 1, 1)))]
        self.flat = read_tensors(r.take(len(r.data) - r.pos), tensors, coding, bits)

    def encode(self, v):
        if self.siren:
            return [v]
        return [f(2**k * math.pi * v) for k in range(self.levels) for f in (math.sin, math.cos)]

    def pixel(self, x, y, t):
        e = self.encode(x) + self.encode(y) + self.encode(t)
        v = e
        for i, (n, c) in enumerate(self.sizes):
            if i and i == self.skip:
                v = v + e
            w, b = self.flat[2 * i:2 * i + 2]
            v = [b[o] + sum(w[o * c + k] * v[k] for k in range(c)) for o in range(n)]
            if i + 1 == len(self.sizes):
                return [z / 2 + .5 for z in v] if self.siren else [ACTIVATIONS[4](z) for z in v]
            v = [math.sin(self.omega * z) if self.siren else max(z, 0) for z in v]

    def frame(self, index):
        w, h, n = self.s['width'], self.s['height'], self.s['n_frames']
        t = 2 * index / (n - 1) - 1 if n > 1 else 0
        rows = [[self.pixel((2 * z + 1) / w - 1, (2 * y + 1) / h - 1, t) for z in range(w)] for y in range(h)]
        return picture([[[p[c] for p in row] for row in rows] for c in range(3)], self.s)

GELU = ACTIVATIONS[1]
MATRICES = {1: (.2126, .0722), 4: (.30, .11), 5: (.299, .114), 6: (.299, .114), 7: (.212, .087), 9: (.2627, .0593)}


def f32(x):
    return struct.unpack('<f', struct.pack('<f', x))[0]


def keyframe_rgb(codes, s):
    """Three maps of R', G' and B' from the bytes of Y, Cb and Cr."""
    w, h = s['width'], s['height']
    cw, ch = (w + 1) // 2, (h + 1) // 2
    planes = maps(codes[:w * h], h, w) + maps(codes[w * h:], ch, cw)
    kept = s['format'] in (3, 4) and s['matrix'] in MATRICES
    kr, kb = MATRICES[s['matrix'] if kept else 6]
    full, across, down = (s['flags'] & 1, s['flags'] & 2, s['flags'] & 4) if kept else (1, 0, 0)

    def along(i, cosited, n):
        """Two places and their shares."""
        k = i // 2
        other = min(max(k + 1 if i % 2 else k - 1, 0), n - 1)
        if cosited:
            return ((k, .5), (other, .5)) if i % 2 else ((k, 1.),)
        return (k, .75), (other, .25)

    out = [[[0.] * w for _ in range(h)] for _ in range(3)]
    for y in range(h):
        for x in range(w):
            cb, cr = (sum(a * b * p[i][j] for i, a in along(y, down, ch) for j, b in along(x, across, cw)) for p in planes[1:])
            luma = planes[0][y][x]
            ey, eb, er = ((luma / 255, (cb - 128) / 255, (cr - 128) / 255) if full else
                          ((luma - 16) / 219, (cb - 128) / 224, (cr - 128) / 224))
            r, b = ey + 2 * (1 - kr) * er, ey + 2 * (1 - kb) * eb
            g = (ey - kr * r - kb * b) / (1 - kr - kb)
            for c, v in enumerate((r, g, b)):
                out[c][y][x] = min(max(v, 0), 1)
    return out


def blend(a, x, b, y):
    """a x + b y, maps by maps."""
    return [[[a * p + b * q for p, q in zip(*rows)] for rows in zip(*m)] for m in zip(x, y)]


def part(tensor, i, n):
    """The i-th of n equal ones of a weight tensor's rows, or of biases."""
    flat, (rows, channels, h, w) = tensor
    size = len(flat) // n
    return flat[i * size:(i + 1) * size], (rows // n, channels, h, w) if rows > 1 else (1, channels // n, h, w)


class ClipNetwork:
    PARTS = ('flow', 'saf', 'mix', 'keys', 'norm', 'pyramid', 'skip', 'grids', 'mask', 'gains', 'own')

    def __init__(self, r, s):
        self.s, self.coded, self.pictures, self.shown = s, {}, {}, None
        self.read_configuration(r)
        coding, bits = read_coding(r)
        self.kinds = self.list_on_grids() if self.has['grids'] else self.list_tensors()
        flat = read_tensors(r.take(len(r.data) - r.pos), self.kinds, coding, bits)
        self.tensors = list(zip(flat, (shape for _, shape in self.kinds)))

    def read_configuration(self, r):
        parts = r.varint()
        require(parts < 2048, 'parts')
        self.has = {name: parts >> i & 1 for i, name in enumerate(self.PARTS)}
        self.clip, self.interval, self.stem = r.u8(), r.varint(), r.varint()
        if self.stem:
            self.b, self.levels = r.f32(), r.varint()
        else:
            self.row_frames = r.varint()
        self.base = r.varint()
        if self.has['grids']:
            self.flow_frames, self.middle_frames, self.middle = r.varint(), r.varint(), r.varint()
        else:
            self.content = r.varint()
        self.blocks = [(r.varint(), r.u8()) for _ in range(r.u8())]
        self.videos = [r.varint() for _ in range(r.varint())]
        require(sum(self.videos) == self.s['n_frames'], 'videos')
        self.scale = math.prod(stride for _, stride in self.blocks)
        self.h0, self.w0 = -(-self.s['height'] // self.scale), -(-self.s['width'] // self.scale)

    def rows(self, frames, each=None):
        each = each or self.row_frames
        return max((frames + each // 2) // each, 1)

    def intervals(self, frames):
        """A video's: the first frame and the last one's keyframe, and what is behind its frames."""
        if not self.has['grids']:
            return [(start, min(start + self.interval, frames - 1), min(start + self.interval, frames))
                    for start in range(0, frames, self.interval)]
        last = max(frames - 1, 1)
        most = -(-last // self.clip)
        n = min(max((last + self.interval // 2) // self.interval, 1), most)
        starts = [self.clip * (i * most // n) for i in range(n)] + [frames - 1]
        return [(start, end, frames if i == n - 1 else end) for i, (start, end) in enumerate(zip(starts, starts[1:]))]

    def flow_rows(self, frames):
        """Of each of a video's intervals."""
        return [self.rows(end - start, self.flow_frames) + 1 if end > start else 1 for start, end, _ in self.intervals(frames)]

    def list_on_grids(self):
        self.fine = 1
        for _, stride in self.blocks:
            if self.scale // self.fine > 64:
                self.fine *= stride
        tensors = [('grid', (sum(map(self.rows, self.videos)), self.base, self.h0, self.w0))]
        if self.has['flow'] and self.has['keys']:
            tensors.append(('grid', (sum(sum(self.flow_rows(n)) for n in self.videos), 4, self.fine * self.h0, self.fine * self.w0)))
        channels = self.base
        for i, (width, stride) in enumerate(self.blocks):
            if i == 1 and self.middle:
                first = self.blocks[0][1]
                tensors.append(('grid', (sum(self.rows(n, self.middle_frames) for n in self.videos), self.middle,
                                         first * self.h0, first * self.w0)))
                channels += self.middle
            n = width * stride**2 * (len(self.videos) if i == 0 and self.has['own'] else 1)
            tensors += [('weight', (n, channels, 3 if i else 1, 3 if i else 1)), ('bias', (1, n, 1, 1))]
            if self.has['mix']:
                tensors += [('weight', (width, self.clip, self.clip, 1)), ('bias', (1, width, self.clip, 1))]
            if self.has['gains']:
                tensors.append(('grid', (len(self.videos), width, 1, 1)))
            channels = width
        n = 3 + self.has['mask']
        return tensors + [('weight', (n, channels + 3 * self.has['keys'], 3, 3)), ('bias', (1, n, 1, 1))]

    def list_tensors(self):
        tensors, has = [], self.has

        def layer(n, c, k):
            tensors.extend((('weight', (n, c, k, k)), ('bias', (1, n, 1, 1))))

        def flow(channels):
            layer(max(channels // 4, 4), channels, 1)
            layer(4, max(channels // 4, 4), 3)

        layer(self.content, 3, 3)
        for _, stride in reversed(self.blocks):
            layer(self.content, self.content, stride)
        if self.stem:
            layer(self.stem, 2 * self.levels, 1)
            layer(self.base * self.h0 * self.w0, self.stem, 1)
        else:
            tensors.append(('grid', (sum(map(self.rows, self.videos)), self.base, self.h0, self.w0)))
        channels = self.base + self.content
        for width, stride in self.blocks:
            if has['saf']:
                if has['flow']:
                    flow(channels)
                layer(2 * channels, self.content, 1)
            layer(width * stride**2, channels, 3)
            if has['mix']:
                tensors.extend((('weight', (width, self.clip, self.clip, 1)), ('bias', (1, width, self.clip, 1))))
            channels = width
        if has['keys'] and has['flow']:
            flow(channels)
        layer(8, channels + 3 * has['keys'], 1)
        layer(3, 8, 3)
        return tensors

    def add(self, base):
        still = [i for i, (kind, shape) in enumerate(self.kinds) if kind != 'grid' or shape[0] == 1]
        add_half([self.tensors[i] for i in still], [base.tensors[i] for i in still])

    def run_of(self, index):
        """First frame and how many it has, its interval's start and end, its video's first frame, frames and first row."""
        video = row = 0
        for frames in self.videos:
            if index < video + frames:
                break
            video, row = video + frames, row + (0 if self.stem else self.rows(frames))
        start, end, past = next(i for i in self.intervals(frames) if index - video < i[2])
        first = start + (index - video - start) // self.clip * self.clip
        return video + first, min(self.clip, past - first), video + start, video + end, video, frames, row

    def picture(self, frame):
        if frame not in self.pictures:
            size = [str(self.s['width']), str(self.s['height'])]
            codes = subprocess.run([sys.argv[1], '--picture'] + size, input=self.coded[frame], check=True,
                                   stdout=subprocess.PIPE).stdout
            w, h = self.scale * self.w0, self.scale * self.h0
            self.pictures[frame] = [
                [[4 * v - 2 for v in row] + [0.] * (w - len(row)) for row in m] + [[0.] * w] * (h - len(m))
                for m in keyframe_rgb(codes, self.s)]
        return self.pictures[frame]

    # --- evaluation: the tensors one after another ---

    def layer(self, xs, stride, kernel, act):
        (w, shape), (b, _) = next(self.left), next(self.left)
        return [block(x, (w, b, shape[1] * kernel**2), stride, kernel, act) for x in xs]

    def shrink(self, xs, stride):
        """A convolution whose kernel is its stride."""
        (w, _), (b, _) = next(self.left), next(self.left)
        square, n = stride**2, len(xs[0]) * stride**2
        return [[[[GELU(bias + sum(w[o * n + c * square + i * stride + j] * m[y * stride + i][z * stride + j]
                                   for c, m in enumerate(x) for i in range(stride) for j in range(stride)))
                   for z in range(len(x[0][0]) // stride)] for y in range(len(x[0]) // stride)]
                 for o, bias in enumerate(b)] for x in xs]

    def base_maps(self, t, row, rows):
        if self.stem:
            power, x = 1.0, []
            for _ in range(self.levels):
                phase = power * math.pi * t
                x += [f32(math.sin(phase)), f32(math.cos(phase))]
                power *= self.b
            for w, b in (self.stem_layers[:2], self.stem_layers[2:]):
                x = [GELU(v + sum(map(float.__mul__, w[o * len(x):o * len(x) + len(x)], x))) for o, v in enumerate(b)]
            return maps(x, self.h0, self.w0)
        return self.lookup(self.grid, row + t * (rows - 1))

    def lookup(self, tensor, p):
        flat, (_, channels, h, w) = tensor
        p = f32(p)
        k, n = math.floor(p), channels * h * w
        f = p - k
        return maps([(1 - f) * flat[k * n + i] + (f * flat[k * n + n + i] if f else 0) for i in range(n)], h, w)

    def find(self, xs, pair, scale):
        """Found content for each frame; scale: the last stride."""
        start, end = pair
        out, flows = [], None
        if self.has['flow']:
            flows = self.layer(self.layer(xs, 1, 1, GELU), 1, 3, lambda v: v)
            if self.has['pyramid'] and self.flows:
                flows = [[[[v + scale * bilinear(old, (y + .5) / scale - .5, (x + .5) / scale - .5) for x, v in enumerate(row)]
                           for y, row in enumerate(m)] for m, old in zip(flow, before)]
                         for flow, before in zip(flows, self.flows)]
            self.flows = flows
        for i, d in enumerate(self.distances):
            a, b = start, end
            if flows:
                a, b = ([[[bilinear(m, y + dy, x + dx) for x, (dx, dy) in enumerate(zip(*rows))]
                          for y, rows in enumerate(zip(across, down))] for m in side]
                        for side, across, down in ((a, flows[i][0], flows[i][1]), (b, flows[i][2], flows[i][3])))
            out.append(blend(f32(1 - d), a, f32(d), b))
        return out

    def normalise(self, xs):
        out = [[] for _ in xs]
        for c in range(len(xs[0])):
            values = [v for x in xs for row in x[c] for v in row]
            mean = sum(values) / len(values)
            root = math.sqrt(sum((v - mean)**2 for v in values) / len(values) + 1e-5)
            for x, y in zip(xs, out):
                y.append([[(v - mean) / root for v in row] for row in x[c]])
        return out

    def mix(self, xs):
        (w, _), (b, _) = next(self.left), next(self.left)
        t = self.clip
        return [[[[v + b[c * t + u] + sum(w[(c * t + u) * t + k] * xs[k][c][y][z] for k in range(t))
                   for z, v in enumerate(row)] for y, row in enumerate(m)] for c, m in enumerate(x)]
                for u, x in enumerate(xs)]

    def stage(self, xs, content, i, stride):
        if self.has['saf']:
            found = self.find(xs, content, self.blocks[i - 1][1] if i else 1)
            both = self.layer(found, 1, 1, lambda v: v)
            n = len(xs[0])
            xs = [[[[v * (1 + a) + c for v, a, c in zip(*rows)] for rows in zip(m, scale, shift)]
                   for m, scale, shift in zip(x, p[:n], p[n:])] for x, p in zip(xs, both)]
        xs = self.layer(xs, stride, 3, GELU)
        return self.mix(xs) if self.has['mix'] else xs

    def evaluate(self, first, n, start, end, video, frames, row):
        self.left, self.flows = iter(self.tensors), None
        here = [f for f in (start, end) if f in self.coded]
        require(here, 'no keyframe')
        pair = [self.picture(f if f in here else here[0]) for f in (start, end)]
        k = self.layer(pair, 1, 3, GELU)
        content = []
        for _, stride in reversed(self.blocks):
            k = self.shrink(k, stride)
            content.insert(0, k)
        if self.stem:
            self.stem_layers = [next(self.left)[0] for _ in range(4)]
        else:
            self.grid = next(self.left)
        shown = [min(first + i, first + n - 1) for i in range(self.clip)]
        self.distances = [(f - start) / max(end - start, 1) for f in shown]
        xs = []
        for f in shown:
            t = (f - video) / (frames - 1) if frames > 1 else 0.
            p = min(max((2 * (f - start) + 1) / self.interval - .5, 0), 1)
            xs.append(self.base_maps(t, row, 0 if self.stem else self.rows(frames)) +
                      blend(f32(1 - p), content[0][0], f32(p), content[0][1]))
        if self.has['norm']:
            xs = self.normalise(xs)
        for i, (_, stride) in enumerate(self.blocks):
            xs = self.stage(xs, content[i], i, stride)
        if self.has['keys']:
            found = self.find(xs, pair, self.blocks[-1][1])
            xs = [x + f for x, f in zip(xs, found)]
        xs = self.layer(self.layer(xs, 1, 1, GELU), 1, 3, lambda v: v)
        if self.has['skip']:
            xs = [blend(1, x, 1, f) for x, f in zip(xs, found)]
        return [self.shown_picture(x) for x in xs[:n]]

    def enlarge(self, flow):
        r = self.scale // self.fine
        return [[[bilinear(m, (y + .5) / r - .5, (x + .5) / r - .5) * r / 4 for x in range(r * len(m[0]))]
                 for y in range(r * len(m))] for m in flow]

    def evaluate_on_grids(self, first, n, start, end, video, frames, row):
        self.left = iter(self.tensors)
        here = [f for f in (start, end) if f in self.coded]
        if self.has['keys']:
            require(here, 'no keyframe')
            pair = [self.picture(f if f in here else here[0]) for f in (start, end)]
        else:
            require(not self.coded, 'keyframes of nothing')
        shown = [min(first + i, first + n - 1) for i in range(self.clip)]
        before = self.videos[:next(i for i in range(len(self.videos)) if sum(self.videos[:i]) == video)]
        place, rows = [i[0] for i in self.intervals(frames)].index(start - video), self.flow_rows(frames)
        far = [(f - start) / max(end - start, 1) for f in shown]
        times = [(f - video) / (frames - 1) if frames > 1 else 0. for f in shown]
        self.grid, flows = next(self.left), None
        if self.has['flow'] and self.has['keys']:
            tensor, at = next(self.left), sum(sum(self.flow_rows(n)) for n in before) + sum(rows[:place])
            flows = [self.enlarge(self.lookup(tensor, at + d * (rows[place] - 1))) for d in far]
        xs = [self.base_maps(t, row, self.rows(frames)) for t in times]
        if self.has['norm']:
            xs = self.normalise(xs)
        for i, (_, stride) in enumerate(self.blocks):
            if i == 1 and self.middle:
                tensor, at = next(self.left), sum(self.rows(n, self.middle_frames) for n in before)
                xs = [x + self.lookup(tensor, at + t * (self.rows(frames, self.middle_frames) - 1)) for x, t in zip(xs, times)]
            if i == 0 and self.has['own']:
                self.left = iter([part(t, len(before), len(self.videos)) for t in (next(self.left), next(self.left))] + list(self.left))
            xs = self.layer(xs, stride, 3 if i else 1, GELU)
            xs = self.mix(xs) if self.has['mix'] else xs
            if self.has['gains']:
                gains = [1 + g[0][0] for g in self.lookup(next(self.left), len(before))]
                xs = [[[[v * g for v in line] for line in m] for m, g in zip(x, gains)] for x in xs]
        if not self.has['keys']:
            return [self.shown_picture(x) for x in self.layer(xs, 1, 3, lambda v: v)[:n]]
        sides = []
        for i, d in enumerate(map(f32, far)):
            moved = pair
            if flows:
                moved = [[[[bilinear(m, y + part * dy, x + part * dx) for x, (dx, dy) in enumerate(zip(*lines))]
                           for y, lines in enumerate(zip(flows[i][2 * k], flows[i][2 * k + 1]))] for m in key]
                         for k, (key, part) in enumerate(zip(pair, (d, f32(1 - far[i]))))]
            sides.append((moved[0], moved[1], blend(f32(1 - far[i]), moved[0], d, moved[1])))
        out = []
        for y, (a, b, w) in zip(self.layer([x + s[2] for x, s in zip(xs, sides)], 1, 3, lambda v: v), sides):
            if self.has['mask']:
                apart = blend(1, a, -1, b)
                y = [[[v + m * u for v, m, u in zip(*lines)] for lines in zip(part, y[3], other)] for part, other in zip(y, apart)]
            out.append(self.shown_picture(blend(1, y, 1, w) if self.has['skip'] else y))
        return out[:n]

    def shown_picture(self, x):
        return picture([[[v / 4 + .5 for v in row] for row in m] for m in x], self.s)

    def frame(self, index):
        run = self.run_of(index)
        if not self.shown or self.shown[0] != run:
            self.shown = run, (self.evaluate_on_grids if self.has['grids'] else self.evaluate)(*run)
        return self.shown[1][index - run[0]]


def take_keyframe(r, sequence, network):
    if not isinstance(network, ClipNetwork) or r.u8() != sequence['segment_id'] % 256:
        return
    index = r.varint()
    require(r.varint() == 1, 'codec of a keyframe')
    r.take(r.varint())
    network.coded[index] = bytes(r.take(len(r.data) - r.pos))


NETWORKS = {1: Network, 2: GridNetwork, 3: ClipNetwork, 4: Pixelwise}


def read_init(digest):
    """The file of that hash among the built-in ones."""
    for path in (pathlib.Path(__file__).parents[2] / 'data').glob('*.init'):
        data = path.read_bytes()
        if data[-32:] == digest:
            break
    else:
        raise SystemExit('no init of that hash')
    require(hashlib.sha256(data[:-32]).digest() == digest, "an init's hash")
    r = Reader(data[:-32])
    require(r.take(5) == b'\x4e\xe5\x56\x49\x01', 'magic and version of an init')
    clip = dict(zip(('width', 'height', 'n_frames'), (r.varint() for _ in range(3))))
    r.take(8)
    r.varint()
    r.take(r.varint())
    network = Reader(r.take(r.varint()))
    return NETWORKS[network.u8()](network, clip)


def read_network(kind, r, sequence, network, crc):
    require(kind != 5 or int.from_bytes(r.take(4), 'little') == crc, 'base')
    init = read_init(r.take(32)) if kind == 6 else None
    model = r.u8()
    require(model in NETWORKS, 'model')
    base, network = network, NETWORKS[model](r, sequence)
    if kind == 5:
        network.add(base)
    if kind == 6:
        network.add_layers(init)
    return network


def decode(data):
    sequence, network, out = None, None, b''
    crc = 0
    for kind, r, unit_crc in units(data):
        if kind == 1:
            sequence = read_sequence(r)
        elif kind in (2, 5, 6) and unit_crc == crc:
            continue  # the same once more
        elif kind in (2, 5, 6):
            network, crc = read_network(kind, r, sequence, network, crc), unit_crc
        elif kind == 4:
            take_keyframe(r, sequence, network)
        elif kind == 3:
            require(r.u8() == sequence['segment_id'] % 256, 'segment of a frame')
            out += network.frame(r.varint())
    return out


def compare(path):
    with open(path, 'rb') as f:
        mine = decode(f.read())
    theirs = subprocess.run([sys.argv[1], path], check=True, stdout=subprocess.PIPE).stdout
    require(len(mine) == len(theirs) > 0, f'{len(mine)} samples here, {len(theirs)} there')
    worst = max(abs(a - b) for a, b in zip(mine, theirs))
    print(f'{len(mine)} samples, {len(set(mine))} different values, at most {worst} apart')
    if worst > 1 or len(set(mine)) < 10:
        raise SystemExit(1)


def main():
    if sys.argv[2] != '--make':
        compare(sys.argv[2])
        return
    with tempfile.NamedTemporaryFile(suffix='.nerv') as f:
        subprocess.run([sys.argv[1], '--make', sys.argv[3], sys.argv[4], f.name], check=True)
        compare(f.name)


main()
