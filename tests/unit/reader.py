#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A second decoder, written from docs/bitstream.md alone, in plain Python and with no regard for speed.

Usage: reader.py DECODE STREAM. Decodes STREAM, has the program DECODE (decode.c) do the same, and compares every sample:
at most 1 of 255 apart. A difference means that the page and the library do not describe the same format. Names and order
follow the page.
"""
import math
import struct
import subprocess
import sys
import zlib


def require(condition, what):
    if not condition:
        raise SystemExit('not a valid stream: ' + what)


def crc8(data):
    c = 0xFF
    for byte in data:
        c ^= byte
        for _ in range(8):
            c = (c << 1) ^ (0x107 if c & 0x80 else 0)
    return c


class Reader:
    def __init__(self, data):
        self.data, self.pos = data, 0

    def take(self, n):
        require(self.pos + n <= len(self.data), 'a field is cut off')
        self.pos += n
        return self.data[self.pos - n:self.pos]

    def u8(self):
        return self.take(1)[0]

    def f32(self):
        return struct.unpack('<f', self.take(4))[0]

    def varint(self):
        value = shift = 0
        while True:
            b = self.u8()
            value |= (b & 0x7F) << shift
            shift += 7
            if b < 0x80:
                require(b > 0 or shift == 7, 'a varint is not the shortest')
                return value

    def svarint(self):
        v = self.varint()
        return -(v + 1) // 2 if v & 1 else v // 2


def units(data):
    r = Reader(data)
    while r.pos < len(data):
        require(r.take(4) == b'\x4e\xe5\x56\x9c', 'no sync word')
        start = r.pos
        kind, b0 = r.u8(), r.u8()
        require(r.u8() == crc8(data[start:start + 2]), 'first check')
        n = b0 >> 6
        size = b0 & 63 | int.from_bytes(r.take(n), 'little') << 6
        if n:
            require(r.u8() == crc8(data[start:start + 3 + n]), 'second check')
        payload = r.take(size)
        crc = zlib.crc32(data[start:r.pos])
        require(int.from_bytes(r.take(4), 'little') == crc, 'CRC-32')
        yield kind, Reader(payload)


def read_sequence(r):
    names = 'version profile segment_id first_frame n_frames width height fps_n fps_d par_n par_d'.split()
    s = {name: r.varint() for name in names}
    require(s['version'] == 1 and s['profile'] == 0, 'version or profile')
    s['matrix'], s['primaries'], s['transfer'], s['flags'] = r.u8(), r.u8(), r.u8(), r.u8()
    s['format'], s['pts_ns'] = r.varint(), r.svarint()
    r.take(r.varint())
    require(r.pos == len(r.data), 'bytes after the sequence')
    return s


def probability():
    return [32768, 0]


class Model:
    def __init__(self):
        self.klass = [probability() for _ in range(16)]
        self.mantissa = [[probability() for _ in range(3)] for _ in range(13)]

    def relearn(self):
        for p in self.klass + [p for m in self.mantissa for p in m]:
            p[1] = min(p[1], 20)


class RangeDecoder:
    def __init__(self, data):
        self.data, self.pos = data, 4
        self.range = 2**32 - 1
        self.code = int.from_bytes((data + bytes(4))[:4], 'big')

    def refill(self):
        while self.range < 2**24:
            byte = self.data[self.pos] if self.pos < len(self.data) else 0
            self.code = (256 * self.code + byte) % 2**32
            self.range *= 256
            self.pos += 1

    def bit(self, p):
        bound = self.range * p[0] >> 16
        rate = 65536 // (p[1] + 2)
        bit = int(self.code >= bound)
        if bit:
            self.range -= bound
            self.code -= bound
            p[0] -= p[0] * rate >> 16
        else:
            self.range = bound
            p[0] += (65536 - p[0]) * rate >> 16
        p[1] = min(p[1] + 1, 254)
        self.refill()
        return bit

    def bits(self, k):
        self.range >>= k
        v = min(self.code // self.range, 2**k - 1)
        self.code -= v * self.range
        self.refill()
        return v

    def symbol(self, model, m):
        d, node = m.bit_length(), 1
        for _ in range(d):
            node = 2 * node + self.bit(model.klass[node])
        c = min(node - 2**d, m)
        if c == 0:
            return 0
        a, rest, context = 1, c - 1, 0
        for _ in range(2):
            if rest > 0:
                b = self.bit(model.mantissa[c][context])
                a, rest, context = 2 * a + b, rest - 1, 1 + b
        t = self.bits(rest + 1)
        a = a * 2**rest + t % 2**rest
        return -a if t >= 2**rest else a


def read_weights(data, tensors, bits):
    """tensors: (rows, row length, is bias). Returns one list of floats per tensor."""
    total = sum(rows * length for rows, length, _ in tensors)
    least = (total + 63) // 64
    require(len(data) >= least, 'too few bytes for the weights')
    weights, biases, steps, zero_row, mean = Model(), Model(), Model(), probability(), 17152
    d, out = RangeDecoder(data), []
    for rows, length, is_bias in tensors:
        weights.relearn()
        first, values = True, []
        for _ in range(rows):
            if d.bit(zero_row):
                values += [0.0] * length
                continue
            code = (mean + 8) // 16 + d.symbol(steps, 11)
            require(1 <= code <= 2047, 'step code')
            mean = 16 * code if first else (7 * mean + 16 * code + 4) // 8
            first = False
            step = math.ldexp(16 + code % 16, code // 16 - 81)
            for _ in range(length):
                values.append(step * (d.symbol(biases, 9) if is_bias else d.symbol(weights, bits - 1)))
        out.append(values)
    used = d.pos - 3
    require(len(data) == max(used, least) and not any(data[used:]), 'the end of the weights')
    return out


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


class Network:
    def __init__(self, r, s):
        self.s = s
        require(r.u8() == 1, 'model')
        self.b, self.levels, self.stem, self.c0 = r.f32(), r.varint(), r.varint(), r.varint()
        self.act, self.out_act = ACTIVATIONS[r.u8()], ACTIVATIONS[r.u8()]
        self.blocks = [(r.varint(), r.u8(), r.u8()) for _ in range(r.u8())]
        require(r.varint() == 0, 'coding')
        bits = r.varint()
        r.take(r.varint())
        scale = math.prod(stride for _, stride, _ in self.blocks)
        self.h0, self.w0 = -(-s['height'] // scale), -(-s['width'] // scale)
        layers = [(self.stem, 2 * self.levels), (self.c0 * self.h0 * self.w0, self.stem)]
        channels = self.c0
        for width, stride, kernel in self.blocks:
            layers.append((width * stride * stride, channels * kernel * kernel))
            channels = width
        layers.append((3, channels))
        tensors = [t for rows, length in layers for t in ((rows, length, False), (1, rows, True))]
        flat = read_weights(r.take(len(r.data) - r.pos), tensors, bits)
        self.layers = [(flat[2 * i], flat[2 * i + 1], layers[i][1]) for i in range(len(layers))]

    def linear(self, x, layer):
        w, b, n = layer
        return [self.act(b[o] + sum(w[o * n + i] * x[i] for i in range(n))) for o in range(len(b))]

    def block(self, x, layer, stride, kernel, act):
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

    def frame(self, index):
        t, power, x = index / self.s['n_frames'], 1.0, []
        for _ in range(self.levels):
            phase = power * math.pi * t
            x += [math.sin(phase), math.cos(phase)]
            power *= self.b
        flat = self.linear(self.linear(x, self.layers[0]), self.layers[1])
        rows = [flat[i:i + self.w0] for i in range(0, len(flat), self.w0)]
        x = [rows[i:i + self.h0] for i in range(0, len(rows), self.h0)]
        for layer, (_, stride, kernel) in zip(self.layers[2:], self.blocks):
            x = self.block(x, layer, stride, kernel, self.act)
        x = self.block(x, self.layers[-1], 1, 1, self.out_act)
        return bytes(math.floor(255 * min(max(x[c][y][z], 0), 1) + .5) for y in range(self.s['height'])
                     for z in range(self.s['width']) for c in range(3))


def decode(data):
    sequence, network, out = None, None, b''
    for kind, r in units(data):
        if kind == 1:
            sequence = read_sequence(r)
        elif kind == 2:
            network = Network(r, sequence)
        elif kind == 3:
            require(r.u8() == sequence['segment_id'] % 256, 'segment of a frame')
            out += network.frame(r.varint())
    return out


def main():
    with open(sys.argv[2], 'rb') as f:
        mine = decode(f.read())
    theirs = subprocess.run([sys.argv[1], sys.argv[2]], check=True, stdout=subprocess.PIPE).stdout
    require(len(mine) == len(theirs) > 0, f'{len(mine)} samples here, {len(theirs)} there')
    worst = max(abs(a - b) for a, b in zip(mine, theirs))
    print(f'{len(mine)} samples, {len(set(mine))} different values, at most {worst} apart')
    if worst > 1 or len(set(mine)) < 10:
        raise SystemExit(1)


main()
