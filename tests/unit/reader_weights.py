# SPDX-License-Identifier: LGPL-2.1-or-later
"""What reader.py takes a stream apart with: units, the sequence, and a network's weights in the four codings. Written from
docs/bitstream.md alone, names and order follow it.
"""
import itertools
import math
import struct
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
        yield kind, Reader(payload), crc


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
    least = (total + 255) // 256
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


def plane_shape(role, n, c, h, w):
    """Slabs, planes, height and width as coding 1 walks a tensor."""
    return (n, 1, 1, c) if role != 'grid' and h == w == 1 else (n, c, h, w)


class Contexts:
    def __init__(self):
        self.zero, self.sign = ([[[probability() for _ in range(2)] for _ in range(3)] for _ in range(24)]
                                for _ in range(2))
        self.more = [[probability() for _ in range(13)] for _ in range(24)]
        self.mantissa = [[[probability() for _ in range(3)] for _ in range(14)] for _ in range(24)]
        self.first, self.steps, self.weights = Model(), [Model() for _ in range(5)], Model()
        self.zero_row, self.mean = [probability(), probability()], 17152

    def relearn(self):
        for level in range(24):
            for p in (sum(self.zero[level] + self.sign[level] + self.mantissa[level], []) + self.more[level]):
                p[1] = min(p[1], 20)


def read_steps(d, m, rows):
    shift, codes, first, zero = d.bits(3), [], 0, 0
    require(shift <= 4, 'shift')
    unit = 2**shift
    for _ in range(rows):
        zero = d.bit(m.zero_row[zero])
        if zero:
            codes.append(0)
            continue
        x = (m.mean + 8) // 16
        if first:
            x += unit // 2
            code = x - (x - first) % unit + unit * d.symbol(m.steps[shift], 11)
            m.mean = (7 * m.mean + 16 * code + 4) // 8
        else:
            first = code = x + d.symbol(m.first, 11)
            m.mean = 16 * code
        require(1 <= code <= 2047, 'step code')
        codes.append(code)
    return codes


def read_residual(d, m, level, phase, predicted, mirrored):
    if not d.bit(m.zero[level][phase][predicted]):
        return 0
    negative = d.bit(m.sign[level][phase][predicted]) != mirrored
    c = 1
    while c < 13 and d.bit(m.more[level][c]):
        c += 1
    a, rest, context = 1, c - 1, 0
    for _ in range(2):
        if rest > 0:
            b = d.bit(m.mantissa[level][c][context])
            a, rest, context = 2 * a + b, rest - 1, 1 + b
    if rest > 0:
        a = a * 2**rest + d.bits(rest)
    return -a if negative else a


def read_tensor(d, m, role, shape):
    slabs, planes, height, width = plane_shape(role, *shape)
    m.relearn()
    codes = read_steps(d, m, {'weight': slabs, 'bias': 1, 'grid': planes}[role])
    q, e = {}, {}                               # by (slab, plane, y, x); absent: 0
    if any(codes):
        mode, errors, sets = d.bits(2), [2, 2, 1, 2, 1, 6, 2, 18], [[0] * 12] * 2
        if mode > 0:
            errors = [d.bits(6) for _ in range(8)]
        if mode > 1:
            sets = [[d.symbol(m.weights, 7) for _ in range(12)] for _ in range(mode - 1)]
        sets = [sets[0], sets[-1]]
        mean_q, mean_e, row_mean, tensor_mean, mean, n = {}, {}, {}, 1024, None, 0
        for s in range(slabs):
            for p in range(planes):
                row = p if role == 'grid' else s
                if codes[row] == 0:
                    continue
                if role == 'grid' or p == 0:    # a row begins
                    mean = row_mean.get(row, tensor_mean)
                    n = 6
                for y in range(height):
                    for x in range(width):
                        def at(t, ds, dp, dy, dx):
                            return t.get((s - ds, p - dp, y - dy, x - dx), 0)
                        near = [at(e, 0, 0, 0, 1), at(e, 0, 0, 1, 0), at(e, 0, 0, 1, 1) + at(e, 0, 0, 1, -1) >> 1,
                                at(e, 1, 0, 0, 0), at(e, 1, 0, 0, -1) + at(e, 1, 0, -1, 0) >> 1,
                                mean_e.get((p, y, x), 0), at(e, 0, 1, 0, 0), mean >> 6]
                        expected = 2 * sum(a * b for a, b in zip(errors, near))
                        v = max(expected, 64)
                        octave = v.bit_length() - 1
                        level = min(2 * (octave - 6) + (v >> octave - 1 & 1), 23)
                        near = [8 * at(q, *k) for k in (
                            (0, 0, 0, 1), (0, 0, 1, 0), (0, 0, 1, 1), (0, 0, 1, -1), (1, 0, 0, 0), (1, 0, 0, 1),
                            (1, 0, 0, -1), (1, 0, 1, 0), (1, 0, -1, 0), (2, 0, 0, 0))]
                        near += [mean_q.get((p, y, x), 0), 8 * at(q, 0, 1, 0, 0)]
                        mu = sum(a * b for a, b in zip(sets[expected >= 1024], near))
                        mu = min(max(mu, -4095 * 512), 4095 * 512)
                        r = mu + 256 >> 9
                        off = mu - 512 * r
                        mirrored = off < 0 or (off == 0 and r < 0)
                        index = r + read_residual(d, m, level, min(3 * abs(off) >> 8, 2), int(r != 0), mirrored)
                        require(abs(index) <= 4095, 'index')
                        error = 16 * min(abs(index - r), 2047)
                        q[s, p, y, x], e[s, p, y, x] = index, error
                        k = p, y, x
                        mean_q[k] = mean_q.get(k, 0) + (8 * index - mean_q.get(k, 0) + 2 >> 2)
                        mean_e[k] = mean_e.get(k, 0) + (error - mean_e.get(k, 0) + 2 >> 2)
                        mean += (64 * error - mean) * (65536 // (n + 2)) >> 16
                        n = min(n + 1, 254)
                if role == 'grid' or p == planes - 1:   # a row ends
                    tensor_mean = 3 * tensor_mean + mean + 2 >> 2
                    if role == 'grid':
                        row_mean[row] = mean
    return [q.get((s, p, y, x), 0) * math.ldexp(16 + code % 16, code // 16 - 81) if code else 0.0
            for s in range(slabs) for p in range(planes) for code in [codes[p if role == 'grid' else s]]
            for y in range(height) for x in range(width)]


def read_context_weights(data, tensors):
    """tensors: (role, shape)."""
    total = sum(math.prod(shape) for _, shape in tensors)
    least = (total + 255) // 256
    require(len(data) >= least, 'too few bytes for the weights')
    m, d = Contexts(), RangeDecoder(data)
    out = [read_tensor(d, m, role, shape) for role, shape in tensors]
    used = d.pos - 3
    require(len(data) == max(used, least) and not any(data[used:]), 'the end of the weights')
    return out


class Bits:
    def __init__(self, data):
        self.data, self.pos = data, 0

    def take(self, n):
        v = 0
        for _ in range(n):
            byte = self.data[self.pos // 8] if self.pos // 8 < len(self.data) else 0
            v = 2 * v + (byte >> 7 - self.pos % 8 & 1)
            self.pos += 1
        return v


def read_codes(r, n):
    """By (length, code): the symbol."""
    lengths, last = [], 8
    for _ in range(n):
        k = 0
        while k < 4 and r.take(1):
            k += 1
        if k == 3:
            lengths.append(0)
            continue
        if k == 4:
            last = r.take(4)
        elif k > 0:
            last += -k if r.take(1) else k
        require(1 <= last <= 15, 'the length of a code')
        lengths.append(last)
    require(sum(2**(15 - length) for length in lengths if length) == 2**15, 'an incomplete code')
    codes, code, before = {}, -1, 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths) if length):
        code = code + 1 << length - before
        codes[length, code], before = symbol, length
    return codes


def read_minmax_weights(data, tensors, bits):
    """tensors: (rows, row length, is bias)."""
    total = sum(rows * length for rows, length, _ in tensors)
    least = (total + 255) // 256
    require(len(data) >= least, 'too few bytes for the weights')
    r, out = Bits(data), []
    codes = read_codes(r, 2**bits + 1)

    def symbol():
        length, code = 0, 0
        while (length, code) not in codes:
            length, code = length + 1, 2 * code + r.take(1)
        return codes[length, code]

    for rows, length, _ in tensors:
        values = []
        for _ in range(rows):
            u = r.take(14)
            if u == 0:
                values += [0.0] * length
                continue
            unit, o = math.ldexp(128 + u % 128, u // 128 - 80), r.take(16) - 32768
            for _ in range(length):
                s = symbol()
                values.append(0.0 if s == 2**bits else (16 * s + o) * unit)
        out.append(values)
    used = (r.pos + 7) // 8
    require(len(data) == max(used, least) and not any(data[used:]) and r.take(-r.pos % 8) == 0, 'the end of the weights')
    return out


def f32(x):
    return struct.unpack('<f', struct.pack('<f', x))[0]


class Trees:
    """By kind of number and format, and by a code's bits: probabilities, from node 1 on."""

    def __init__(self):
        self.numbers = {(kind, half): [probability() for _ in range(64 if half else 512)]
                        for kind in ('minimum', 'scale', 'value') for half in (0, 1)}
        self.codes = {bits: [probability() for _ in range(256)] for bits in range(1, 9)}

    def relearn(self):
        for tree in [*self.numbers.values(), *self.codes.values()]:
            for p in tree:
                p[1] = min(p[1], 20)


def read_tree(d, p, m):
    node = 1
    for _ in range(m):
        node = 2 * node + d.bit(p[node])
    return node - 2**m


def read_number(d, m, kind, half):
    top = read_tree(d, m.numbers[kind, half], 6 if half else 9)
    sign, exponent = (top >> 5, top & 31) if half else (top >> 8, top & 255)
    require(exponent <= (30 if half else 238) and not (kind == 'scale' and sign), 'a number of a stored tensor')
    if half:
        return struct.unpack('<e', struct.pack('<H', top << 10 | d.bits(10)))[0]
    high = d.bits(11)
    return struct.unpack('<f', struct.pack('<I', top << 23 | high << 12 | d.bits(12)))[0]


def zero_code(minimum, scale, bits):
    (x, y) = (struct.unpack('<I', struct.pack('<f', v))[0] for v in (minimum, scale))
    (i, a), (j, b) = ((max(v >> 23 & 255, 1), v & 0x7fffff | (0x800000 if v >> 23 & 255 else 0)) for v in (x, y))
    if x >> 31 == 0 or b == 0 or i - j < -31:
        return 0
    if i - j > 31:
        return 2**bits - 1
    return min((a << max(i - j, 0)) // (b << max(j - i, 0)), 2**bits - 1)


def read_stored_tensor(d, m, shape):
    m.relearn()
    bits, half = d.bits(4), d.bits(1)
    require(bits <= 8, 'bits of a stored code')
    if bits == 0:
        return [read_number(d, m, 'value', half) for _ in range(math.prod(shape))]
    mask = d.bits(4)
    numbers = [n if mask >> i & 1 else 1 for i, n in enumerate(shape)]
    require(all(n > 1 for i, n in enumerate(shape) if mask >> i & 1), 'a mask with a dimension of 1')
    require(mask == 0 or math.prod(numbers) < math.prod(shape), 'a mask of all dimensions')
    minimum = [read_number(d, m, 'minimum', half) for _ in range(math.prod(numbers))]
    scale = [read_number(d, m, 'scale', half) for _ in range(math.prod(numbers))]
    origin = [zero_code(a, b, bits) - 2**(bits - 1) for a, b in zip(minimum, scale)] if d.bits(1) else [0] * len(minimum)
    values = []
    for place in itertools.product(*map(range, shape)):
        at = 0
        for n, size, i in zip(numbers, shape, place):
            at = at * n + (i if n == size else 0)
        code = (read_tree(d, m.codes[bits], bits) + origin[at]) % 2**bits
        values.append(f32(minimum[at] + f32(scale[at] * code)))
    return values


def read_stored_weights(data, tensors):
    """tensors: (role, shape)."""
    least = (sum(math.prod(shape) for _, shape in tensors) + 255) // 256
    require(len(data) >= least, 'too few bytes for the weights')
    m, d = Trees(), RangeDecoder(data)
    out = [read_stored_tensor(d, m, shape) for _, shape in tensors]
    used = d.pos - 3
    require(len(data) == max(used, least) and not any(data[used:]), 'the end of the weights')
    return out


def read_coding(r):
    coding = r.varint()
    require(coding <= 3, 'coding')
    bits = r.varint() if coding in (0, 2) else None
    r.take(r.varint())
    return coding, bits


def read_tensors(data, tensors, coding, bits):
    """Tensors are (role, shape); a flat list of values for each."""
    if coding == 1:
        return read_context_weights(data, tensors)
    if coding == 3:
        return read_stored_weights(data, tensors)
    rows = [(1, math.prod(shape), True) if role == 'bias' else (shape[0], math.prod(shape[1:]), False) for role, shape in tensors]
    return read_weights(data, rows, bits) if coding == 0 else read_minmax_weights(data, rows, bits)
