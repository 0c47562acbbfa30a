# SPDX-License-Identifier: LGPL-2.1-or-later
"""The authors' networks as libnerv's models: what a checkpoint's names and shapes say, and each tensor in its place.

Names of tensors are those of the authors' programs; nothing of these is needed here. What a model cannot say is refused, or said in `notes` where a picture may differ.

NeRV    (Chen et al. 2021)   model nerv-mlp, or nerv-grid with a row for each frame in place of the stem
HNeRV   (Chen et al. 2023)   model nerv-grid: a frame's embedding is a row of its only grid
D-NeRV  (He et al. 2023)     model dnerv-net with the paper's parts
"""
import math
import re
from dataclasses import dataclass, field

import numpy as np

from .network import Tensor

# By how much inputs may be wrong before the rows that the authors' arithmetic leads to are stored in their place.
INPUT_TOLERANCE = 4e-3
COLOURS = {"uvg": ((.4519, .4505, .4519), (.2434, .2547, .2958)), "ucf101": ((.3986, .3829, .3546), (.2805, .2747, .2787)),
           "plain": ((.5,) * 3, (.25,) * 3)}
MOST_BLOCKS = 8
REFINE = 8  # hidden channels of dnerv's refinement, and
LEAST_FLOW = 4  # at least of its flows
# Between these a binary16 has all of its digits.
HALF_NORMAL, HALF_LARGE = 2. ** -14, 6e4
GELU = np.vectorize(lambda x: x / 2 * (1 + math.erf(x / math.sqrt(2))), otypes=[np.float64])
ACTIVATIONS = {"gelu": GELU, "silu": lambda x: x / (1 + np.exp(-x)), "relu": lambda x: np.maximum(x, 0), "sin": np.sin}


class ImportFailure(Exception):
    """The network cannot be imported, and why."""


@dataclass
class Network:
    """What Pack needs of one."""
    family: str
    model: str
    options: dict
    width: int
    height: int
    n_frames: int
    tensors: dict
    videos: list = field(default_factory=list)
    notes: list = field(default_factory=list)


@dataclass
class Choices:
    """What checkpoints don't say."""
    frames: list = None  # of each video
    size: tuple = None  # width, height
    activation: str = None
    out_activation: str = "tanh01"
    pe_base: float = 1.25
    stem: str = "auto"  # layers, rows
    colours: tuple = None  # mean and deviation of R, G, B


# --- what is in a checkpoint ---

def _source(name, entry):
    """A Tensor of any number of dimensions from an array, or from codes with minimum and scale."""
    if isinstance(entry, np.ndarray):
        return Tensor(entry.shape, values=entry.astype(np.float32))
    if not isinstance(entry, dict) or set(entry) != {"quant", "min", "scale"}:
        raise ImportFailure(f"{name} is neither a tensor nor codes with minimum and scale")
    codes, minimum, scale = entry["quant"], entry["min"], entry["scale"]
    if codes.dtype != np.uint8 or minimum.dtype != scale.dtype or minimum.shape != scale.shape:
        raise ImportFailure(f"{name}: codes are of {codes.dtype}, minimum and scale of {minimum.dtype} and {scale.dtype}")
    if minimum.ndim != codes.ndim:
        if minimum.size != 1:
            raise ImportFailure(f"{name}: a minimum of {minimum.shape} for codes of {codes.shape}")
        minimum, scale = (x.reshape((1,) * codes.ndim) for x in (minimum, scale))
    return Tensor(codes.shape, codes=codes, minimum=minimum.astype(np.float32), scale=scale.astype(np.float32), bits=8,
                  half=minimum.dtype == np.float16)


def floats(t):
    """What a Tensor stands for."""
    return t.values if t.codes is None else t.minimum + t.scale * t.codes.astype(np.float32)


def _state(checkpoint):
    """Tensors by the authors' names, and the embeddings or None."""
    if not isinstance(checkpoint, dict):
        raise ImportFailure("the checkpoint is no dictionary")
    state, embed = checkpoint, None
    for key in ("state_dict", "model"):
        if isinstance(checkpoint.get(key), dict):
            state = checkpoint[key]
            break
    if "embed" in checkpoint:
        embed = _source("embed", checkpoint["embed"])
    named = {}
    for name, entry in state.items():
        if isinstance(name, str) and isinstance(entry, (np.ndarray, dict)):
            named[re.sub(r"^module\.", "", name.replace("blocks.0.", ""))] = _source(name, entry)
    for name in [n for n in named if n.endswith("_orig")]:  # pruned
        mask = named.pop(name[:-5] + "_mask", None)
        t = named.pop(name)
        named[name[:-5]] = Tensor(t.shape, values=floats(t) * (floats(mask) if mask else 1))
    return named, embed


class _Source:
    """Tensors of a checkpoint, each to be taken once."""

    def __init__(self, named):
        self.left, self.named = set(named), named

    def __contains__(self, name):
        return name in self.named

    def take(self, name):
        if name not in self.named:
            raise ImportFailure(f"the checkpoint has no {name}")
        self.left.discard(name)
        return self.named[name]

    def layer(self, name):
        return self.take(name + ".weight"), self.take(name + ".bias")

    def drop(self, *beginnings):
        self.left = {n for n in self.left if not n.startswith(beginnings)}

    def done(self):
        if self.left:
            raise ImportFailure("tensors that the model has no place for: " + ", ".join(sorted(self.left)))


def reshaped(t, shape, role="weight"):
    """A Tensor in four dimensions. Minimum and scale must go along."""
    if t.codes is None:
        return Tensor(shape, role, t.values.reshape(shape))
    squeezed = tuple(n for n in t.shape if n > 1)
    if tuple(n for n in shape if n > 1) != squeezed:  # dimensions are cut anew
        return Tensor(shape, role, floats(t).reshape(shape))
    numbers = iter(n for n, whole in zip(t.minimum.shape, t.shape) if whole > 1)
    to = tuple(next(numbers) if n > 1 else 1 for n in shape)
    if np.prod(to) == np.prod(shape) > 1:  # nothing is shared
        return Tensor(shape, role, floats(t).reshape(shape))
    return Tensor(shape, role, codes=t.codes.reshape(shape), minimum=t.minimum.reshape(to), scale=t.scale.reshape(to), bits=t.bits, half=t.half)


def _bias(t):
    return reshaped(t, (1, int(np.prod(t.shape)), 1, 1), "bias")


def _of_layer(name, weight, bias):
    shape = tuple(weight.shape) + (1,) * (4 - len(weight.shape))
    return {name + ".weight": reshaped(weight, shape), name + ".bias": _bias(bias)}


# --- shapes ---

def _stride(name, out, width):
    stride = math.isqrt(out // width) if width else 0
    if not width or stride * stride * width != out or stride < 1:
        raise ImportFailure(f"{name} has {out} channels, and what follows takes {width}: no square of a stride lies between")
    return stride


def _kernel(name, shape):
    if len(shape) != 4 or shape[2] != shape[3] or shape[2] not in (1, 3, 5):
        raise ImportFailure(f"{name} is {' x '.join(map(str, shape))}: kernels are 1 x 1, 3 x 3 or 5 x 5")
    return shape[2]


def _base(cells, strides, size, name):
    """Rows and columns of the base grid, from the frame's size, or 9 x 16 as in the paper."""
    product = math.prod(strides)
    if size:
        h, w = -(-size[1] // product), -(-size[0] // product)
        if h * w != cells:
            raise ImportFailure(f"a frame of {size[0]} x {size[1]} has {w} x {h} cells of {product}, {name} makes {cells}")
        return h, w
    if cells != 144:
        raise ImportFailure(f"{name} makes {cells} cells, which does not say how many lie beside each other: give the frame's size")
    return 9, 16


def _blocks(source, names, head):
    """Convolutions with what each of them enlarges by: widths, strides, kernels, and their tensors as block0, block1, ..."""
    layers = [source.layer(n) for n in names]
    after = [w.shape[1] for w, _ in layers[1:]] + [source.named[head + ".weight"].shape[1]]
    tensors = {}
    for i, (w, b) in enumerate(layers):
        tensors.update(_of_layer(f"block{i}", w, b))
    if len(names) > MOST_BLOCKS:
        raise ImportFailure(f"the network has {len(names)} blocks, a stream's at most {MOST_BLOCKS}")
    return (after, [_stride(n, w.shape[0], a) for n, (w, _), a in zip(names, layers, after)],
            [_kernel(n, w.shape) for n, (w, _) in zip(names, layers)], tensors)


def _numbered(source, pattern):
    """Names that a pattern with one number has, by it, from 0 or 1 on without a gap."""
    found = sorted((int(m[1]), m[0][:-len(".weight")]) for m in (re.fullmatch(pattern + r"\.weight", n) for n in source.named) if m)
    first = found[0][0] if found else 0
    if not found or [i for i, _ in found] != list(range(first, first + len(found))):
        raise ImportFailure(f"the checkpoint's layers {pattern} are not numbered in succession")
    return [n for _, n in found]


def _grid_network(family, rows, blocks, head, size, choices, activation, notes=()):
    """nerv-grid with one grid that has a row for each frame."""
    widths, strides, kernels, tensors = blocks
    n, channels = rows.shape[:2]
    options = {"grids": f"{n}x{channels}", "flow-rows": 0, "widths": widths, "strides": strides, "kernels": kernels,
               "head-kernel": _kernel("the head", head["head.weight"].shape), "activation": activation, "out-activation": choices.out_activation}
    return Network(family, "nerv-grid", options, size[0], size[1], n, {"grid0": reshaped(rows, rows.shape, "grid"), **tensors, **head}, notes=list(notes))


# --- HNeRV ---

def _hnerv(source, embed, choices):
    activation = choices.activation or "gelu"
    source.drop("encoder.")
    if embed is None:
        raise ImportFailure("the frames' embeddings are not in this checkpoint: they are in quant_vid.pth, which the authors' evaluation writes")
    if len(embed.shape) != 4:
        raise ImportFailure(f"embeddings of {embed.shape}")
    if choices.frames and sum(choices.frames) != embed.shape[0]:
        raise ImportFailure(f"{sum(choices.frames)} frames, and {embed.shape[0]} embeddings")
    if "decoder.1.conv.upconv.0.weight" not in source:
        raise ImportFailure("blocks of transposed convolutions, or that enlarge bilinearly, are not of the model")
    first, upper = "decoder.0.conv.downconv", _numbered(source, r"decoder\.(\d+)\.conv\.upconv\.0")
    out, behind = source.named[first + ".weight"].shape[0], source.named[upper[0] + ".weight"].shape[1]
    pooled = embed.shape[2:] == (1, 1) and math.isqrt(out // behind) ** 2 * behind != out
    names = upper if pooled else [first] + upper
    blocks = _blocks(source, names, "head_layer")
    if pooled:  # a positional encoding, which one layer makes a grid of that is no square
        w, b = source.layer(first)
        h, wide = _base(out // behind, blocks[1], choices.size, first)
        x = floats(embed).reshape(embed.shape[0], -1).astype(np.float64) @ floats(w).reshape(out, -1).T.astype(np.float64) + floats(b)
        embed = Tensor((len(x), behind, h, wide), values=ACTIVATIONS[activation](x).reshape(-1, behind, h, wide).astype(np.float32))
    head = _of_layer("head", *source.layer("head_layer"))
    source.done()
    product = math.prod(blocks[1])
    size = (embed.shape[3] * product, embed.shape[2] * product)
    if choices.size and not (size[0] - product < choices.size[0] <= size[0] and size[1] - product < choices.size[1] <= size[1]):
        raise ImportFailure(f"the network makes frames of {size[0]} x {size[1]}")
    return _grid_network("HNeRV", embed, blocks, head, choices.size or size, choices, activation)


# --- NeRV ---

def encoding(times, base, levels):
    """sin(b^k pi t), cos(b^k pi t) interleaved, as libnerv has them: in binary64."""
    power, out = 1., []
    for _ in range(levels):
        out += [np.sin(power * math.pi * times), np.cos(power * math.pi * times)]
        power *= base
    return np.stack(out, 1)


def encoding_single(times, base, levels):
    """The same with the authors' phases, which are binary32."""
    t, out = np.asarray(times, np.float32), []
    for k in range(levels):
        phase = (t * np.float32(base ** k) * np.float32(math.pi)).astype(np.float64)
        out += [np.sin(phase), np.cos(phase)]
    return np.stack(out, 1)


def _takes_rows(choices, times, levels):
    """Whether what the stem gives is stored in its place, because its inputs are not libnerv's; how far they are apart."""
    apart = float(np.abs(encoding(times, choices.pe_base, levels) - encoding_single(times, choices.pe_base, levels)).max())
    return choices.stem == "rows" or (choices.stem == "auto" and apart > INPUT_TOLERANCE), apart


def _rows_note(choices, apart):
    if choices.stem == "rows":
        return []
    return [f"phases of binary32 put the encoding up to {apart:.2g} off: what the stem gives for each frame is stored in its place"]


def _stem_rows(source, names, times, choices, levels, activation):
    """What the stem gives at those times: [T, N], binary32."""
    x = encoding_single(times, choices.pe_base, levels)
    for name in names:
        w, b = source.layer(name)
        x = ACTIVATIONS[activation](x @ floats(w).reshape(w.shape[0], -1).T.astype(np.float64) + floats(b))
    return x.astype(np.float32)


def _frames(choices):
    if not choices.frames:
        raise ImportFailure("the checkpoint does not say how many frames there are: give their number")
    return sum(choices.frames)


def _nerv(source, choices):
    activation, n = choices.activation or "silu", _frames(choices)
    linear = [f"stem.{i}" for i in range(0, 64, 2) if f"stem.{i}.weight" in source]
    names = _numbered(source, r"layers\.(\d+)\.conv\.conv")
    heads = sorted(int(m[1]) for m in (re.fullmatch(r"head_layers\.(\d+)\.weight", k) for k in source.named) if m)
    if not heads or heads[-1] != len(names) - 1:
        raise ImportFailure(f"{len(names)} blocks, and heads behind {heads}: the last block's is missing")
    head = f"head_layers.{heads[-1]}"
    for i in heads[:-1]:
        source.drop(f"head_layers.{i}.")
    blocks = _blocks(source, names, head)
    if any(k != 3 for k in blocks[2]):
        raise ImportFailure("blocks of transposed convolutions are not of the model")
    levels = source.named[linear[0] + ".weight"].shape[1] // 2
    channels = source.named[names[0] + ".weight"].shape[1]
    h, w = _base(source.named[linear[-1] + ".weight"].shape[0] // channels, blocks[1], choices.size, linear[-1])
    product = math.prod(blocks[1])
    size = choices.size or (w * product, h * product)
    last = _of_layer("head", *source.layer(head))
    times = np.arange(n) / n
    rows, apart = _takes_rows(choices, times, levels)
    if rows or len(linear) != 2:
        values = _stem_rows(source, linear, times, choices, levels, activation).reshape(n, channels, h, w)
        source.done()
        return _grid_network("NeRV", Tensor(values.shape, values=values), blocks, last, size, choices, activation,
                             _rows_note(choices, apart) if rows else ["a stem of other than two layers: what it gives for each frame is stored"])
    stem = {**_of_layer("stem.0", *source.layer(linear[0])), **_of_layer("stem.1", *source.layer(linear[1]))}
    source.done()
    options = {"pe-base": choices.pe_base, "pe-levels": levels, "stem": stem["stem.0.weight"].shape[0], "base-channels": channels,
               "widths": blocks[0], "strides": blocks[1], "kernels": blocks[2], "activation": activation, "out-activation": choices.out_activation}
    return Network("NeRV", "nerv-mlp", options, size[0], size[1], n, {**stem, **blocks[3], **last})


# --- D-NeRV ---

def _floats4(t, *shape):
    return floats(t).reshape(shape).astype(np.float64)


def _plain(values, role="weight"):
    return Tensor(values.shape, role, values.astype(np.float32))


def _layer(name, w, b):
    return {name + ".weight": _plain(w), name + ".bias": _plain(np.asarray(b).reshape(1, -1, 1, 1), "bias")}


def _conv3d(source, name):
    """A convolution over single frames: [N,C,1,K,K]."""
    w, b = source.layer(name)
    if len(w.shape) != 5 or w.shape[2] != 1:
        raise ImportFailure(f"{name} is {w.shape}, not a convolution over single frames")
    return _floats4(w, w.shape[0], w.shape[1], *w.shape[3:]), floats(b).astype(np.float64)


def _hidden(first, second, n, name):
    """A pair of layers with as many hidden channels as the model has: more are zeros."""
    (w0, b0), (w1, b1) = first, second
    more = n - len(w0)
    if more < 0:
        raise ImportFailure(f"{name} has {len(w0)} hidden channels, the model's has {n}")
    return ((np.pad(w0, ((0, more),) + ((0, 0),) * 3), np.pad(b0, (0, more))), (np.pad(w1, ((0, 0), (0, more), (0, 0), (0, 0))), b1))


def _flow(source, i, channels):
    first, second = (_conv3d(source, f"flow_pred_list.{i}.conv.{k}") for k in (0, 2))
    first, second = _hidden(first, second, max(channels // 4, LEAST_FLOW), f"flow_pred_list.{i}")
    return {**_layer(f"flow{i}.0", *first), **_layer(f"flow{i}.1", *second)}


def _fold_input(w, b, mean, deviation):
    """A layer that sees (x - mean) / deviation, as one that sees 4 x - 2: the last three of its input channels are the picture's."""
    gain, offset = 1 / (4 * deviation), (.5 - mean) / deviation
    w, b = w.copy(), b + np.einsum("ncij,c->n", w[:, -3:], offset)
    w[:, -3:] *= gain[None, :, None, None]
    return w, b


def _fold_output(w, b, mean, deviation):
    """One whose result is times deviation plus mean, as one whose result is over 4 plus a half."""
    return w * (4 * deviation)[:, None, None, None], 4 * (b * deviation + mean - .5)


def _dnerv_notes(videos, clip, mean):
    notes = ["keyframes are coded as AV1 pictures: they are not the ones of the authors' codec, and the pictures differ by as much"]
    if np.abs(mean - .5).max() > 1e-6:
        notes.append("colours are normalised by other means than 1/2: at the picture's border the first layer of the content sees the difference")
    partial = [i for i, n in enumerate(videos) if n % clip]
    if partial:
        notes.append(f"videos {', '.join(map(str, partial))} do not end with a whole clip of {clip} frames: the last one's content lies elsewhere in time")
    return notes


def _dnerv(source, choices):
    _frames(choices)
    if not choices.colours:
        raise ImportFailure("the checkpoint does not say by what colours were normalised: uvg, ucf101, or means and deviations")
    mean, deviation = (np.asarray(x, np.float64) for x in choices.colours)
    names = _numbered(source, r"decoder_list\.(\d+)\.conv")
    n, tensors = len(names), {}
    convs = [_conv3d(source, name) for name in names]
    content = [_conv3d(source, "encoder.head.0")] + [_conv3d(source, f"encoder.body.{i}.0") for i in range(n)]
    strides = [w.shape[2] for w, _ in reversed(content[1:])]
    widths = [w.shape[0] // (s * s) for (w, _), s in zip(convs, strides)]
    inputs = [w.shape[1] for w, _ in convs] + [widths[-1]]
    for i, (before, after) in enumerate(zip(widths, inputs[1:])):
        if before != after or convs[i][0].shape[2:] != (3, 3):
            raise ImportFailure(f"{names[i]} gives {before} channels, and {after} follow; kernels must be 3 x 3")
    features = content[0][0].shape[0]
    base = inputs[0] - features
    tensors.update(_layer("content.0", *_fold_input(*content[0], mean, deviation)))
    for i, (w, b) in enumerate(content[1:]):
        tensors.update(_layer(f"content.{i + 1}", w, b))
    clip = source.named["decoder_list.0.tfc.weight"].shape[1]
    stem, options, notes = _dnerv_stem(source, choices, base, strides)
    tensors.update(stem)
    for i in range(n):
        tensors.update(_flow(source, i, inputs[i]))
        tensors.update(_layer(f"saf{i}", *_conv3d(source, f"decoder_list.{i}.to_style.conv")))
        tensors.update(_layer(f"block{i}", *convs[i]))
        w, b = source.layer(f"decoder_list.{i}.tfc")
        tensors[f"mix{i}.weight"] = _plain(_floats4(w, widths[i], clip, clip, 1))
        tensors[f"mix{i}.bias"] = _plain(_floats4(b, 1, widths[i], clip, 1), "bias")
    tensors.update(_flow(source, n, widths[-1]))
    first, second = _hidden(_conv3d(source, "rgb_head_layer.conv.0"), _conv3d(source, "rgb_head_layer.conv.2"), REFINE, "rgb_head_layer")
    tensors.update(_layer("refine.0", *_fold_input(*first, mean, deviation)))
    tensors.update(_layer("refine.1", *_fold_output(*second, mean, deviation)))
    source.done()
    options.update({"clip-frames": clip, "keyframe-interval": clip, "base-channels": base, "content": features, "widths": widths, "strides": strides,
                    "without": "pyramid,skip"})
    product, (h, w) = math.prod(strides), options.pop("base")
    size = choices.size or (w * product, h * product)
    return Network("D-NeRV", "dnerv-net", options, size[0], size[1], sum(choices.frames), tensors, list(choices.frames),
                   notes + _dnerv_notes(choices.frames, clip, mean))


def _dnerv_stem(source, choices, base, strides):
    """The stem's layers, or rows of what they give; options; notes. options["base"] are the base grid's rows and columns."""
    names, product = ["stem.mlp.0", "stem.mlp.2"], math.prod(strides)
    cells = source.named["stem.mlp.2.weight"].shape[0] // base
    size = choices.size or ((5 * product, 4 * product) if cells == 20 else None)
    h, w = _base(cells, strides, size, "stem.mlp.2")
    levels = source.named["stem.mlp.0.weight"].shape[1] // 2
    times = np.concatenate([np.arange(n) / max(n - 1, 1) for n in choices.frames])
    rows, apart = _takes_rows(choices, times, levels)
    if rows:
        values = _stem_rows(source, names, times, choices, levels, "gelu").reshape(-1, base, h, w)
        return {"grid": _plain(values, "grid")}, {"stem": 0, "row-frames": 1, "base": (h, w)}, _rows_note(choices, apart)
    stem = {}
    for i, name in enumerate(names):
        weight, bias = source.layer(name)
        stem.update(_layer(f"stem.{i}", _floats4(weight, weight.shape[0], weight.shape[1], 1, 1), floats(bias)))
    return stem, {"stem": stem["stem.0.weight"].shape[0], "pe-base": choices.pe_base, "pe-levels": levels, "base": (h, w)}, []


# --- all of them ---

def network_of(checkpoint, choices):
    """The network of what checkpoint.load() has read. Raises ImportFailure."""
    named, embed = _state(checkpoint)
    source = _Source(named)
    if any(re.search(r"\.norm\.(weight|running_mean)$", n) for n in named if not n.startswith("encoder.")):
        raise ImportFailure("the network normalises batches, which no model here does")
    if "decoder.0.conv.downconv.weight" in source:
        return _hnerv(source, embed, choices)
    if "layers.0.conv.conv.weight" in source and "stem.0.weight" in source:
        return _nerv(source, choices)
    if "decoder_list.0.conv.weight" in source and "encoder.head.0.weight" in source:
        return _dnerv(source, choices)
    raise ImportFailure("the checkpoint is none of NeRV, HNeRV and D-NeRV: it has " + ", ".join(sorted(named)[:8]) + ", ...")


def quantised(t, bits):
    """Codes for a tensor of floats: of weights each output channel, of grids each channel between its minimum and maximum. Biases stay as they are."""
    axis = {"weight": 0, "grid": 1}.get(t.role)
    if t.codes is not None or not bits or axis is None:
        return t
    rest = tuple(i for i in range(4) if i != axis)
    if t.shape[axis] == t.values.size:
        rest = (0, 1, 2, 3)
    values = t.values.astype(np.float64)
    least, most = values.min(rest, keepdims=True), values.max(rest, keepdims=True)
    steps = (most - least) / (2 ** bits - 1)
    normal = not (steps[steps > 0] < HALF_NORMAL).any() and max(np.abs(least).max(), np.abs(most).max()) < HALF_LARGE
    kind = np.float16 if normal else np.float32
    minimum = least.astype(kind)
    minimum = np.where(minimum > least, np.nextafter(minimum, kind(-np.inf)), minimum)
    wanted = (most - minimum) / (2 ** bits - 1)
    scale = wanted.astype(kind)
    scale = np.where(scale < wanted, np.nextafter(scale, kind(np.inf)), scale)
    codes = np.rint((values - minimum) / np.where(scale > 0, scale, 1)).clip(0, 2 ** bits - 1)
    return Tensor(t.shape, t.role, codes=codes.astype(np.uint8), minimum=minimum.astype(np.float32), scale=scale.astype(np.float32), bits=bits,
                  half=kind is np.float16)
