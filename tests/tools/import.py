# SPDX-License-Identifier: LGPL-2.1-or-later
"""nerv-import and nerv-export: small PyTorch networks with the names of the authors' checkpoints, of every kind that is imported, shown by nervdec within 1 of 255 of what
PyTorch gives; seeks and playbin; through exported files and back; what cannot be imported, and files that would run something, refused by name.

    import.py NERV-IMPORT NERV-EXPORT NERV-SEEK

Skipped (77) without PyTorch.
"""
import os
import pickle
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib

try:
    import numpy as np
    import torch
except ImportError as failure:
    print("skipped:", failure)
    sys.exit(77)

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(ROOT, "python"), os.path.join(ROOT, "tools", "peers")]
from authors_torch import DNeRV, HNeRV, NeRV, clips, encode_single  # noqa: E402
from expect import check, finish  # noqa: E402
from nerv.network import segments  # noqa: E402
from nerv.tensors import load  # noqa: E402
from nerv_torch import positional_encoding  # noqa: E402

IMPORT, EXPORT, SEEK = sys.argv[1:4]
W, H = 48, 32


def run(*command, status=0):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=300, check=False)
    check(done.returncode == status, f"{command}: {done.returncode}: {(done.stdout + done.stderr)[-800:]}")
    return done.stdout + done.stderr


def frames_of(*source, width=W, height=H):
    """Pictures that a pipeline's beginning gives, N x H x W x 3."""
    done = subprocess.run(["gst-launch-1.0", "-q", *source], stdout=subprocess.PIPE, timeout=300, check=False)
    check(done.returncode == 0, f"{source}: {done.returncode}")
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3)


def decoded(path, **size):
    return frames_of("filesrc", "location=" + path, "!", "nervparse", "!", "nervdec", "device=cpu", "!", "video/x-raw,format=RGB", "!", "fdsink", "fd=1", **size)


def compare(what, got, want):
    """want: a tensor N x 3 x H x W in 0..1."""
    codes = torch.floor(want.clamp(0, 1) * 255 + .5).permute(0, 2, 3, 1).numpy().astype(int)
    check(got.shape == codes.shape, f"{what}: {got.shape} pictures, not {codes.shape}")
    if got.shape == codes.shape:
        worst = np.abs(got.astype(int) - codes).max()
        check(worst <= 1, f"{what}: {worst} of 255 off PyTorch's")
        check(codes.std() > 8, f"{what}: pictures of one grey say nothing: {codes.std()}")


def loud(net, gain=2.5):
    """A network whose picture is not grey."""
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(gain if p.dim() > 1 else 2)
    return net


# --- HNeRV ---

def quantise(t, axis):
    """Codes between minimum and maximum over an axis, or over all of it, in the formats that the authors store."""
    least, most = (t.min(), t.max()) if axis is None else (t.min(axis, keepdim=True)[0], t.max(axis, keepdim=True)[0])
    scale = (most - least) / 255
    if axis is not None:
        least, scale = least.half(), scale.half()
    codes = ((t - least) / scale).round().clamp(0, 255).to(torch.uint8)
    return {"quant": codes, "min": least, "scale": scale}


def dequantise(q):
    return q["min"].float() + q["scale"].float() * q["quant"]


def hnerv(path, channels, widths, strides, kernels, base, cells=None):
    torch.manual_seed(1)
    net = loud(HNeRV(channels, widths, strides, kernels, cells))
    embed = quantise(torch.randn(7, channels, *base), 0)
    model = {k: quantise(v, None if v.dim() == 1 and i % 4 == 1 else (0 if v.dim() == 1 else i // 2 % 2)) for i, (k, v) in enumerate(net.state_dict().items())}
    torch.save({"embed": embed, "model": model}, path)
    net.load_state_dict({k: dequantise(v) for k, v in model.items()})
    with torch.no_grad():
        return net, dequantise(embed), net(dequantise(embed))


def hnerv_works(d):
    pth, nerv = os.path.join(d, "h.pth"), os.path.join(d, "h.nerv")
    for what, widths, strides, kernels, base in (("HNeRV", [10, 8, 6, 5], [1, 4, 2, 2], [1, 3, 5], (2, 3)), ("HNeRV of one cell", [10, 8, 5], [4, 2, 2], [3, 5], (2, 3))):
        net, _, want = hnerv(pth, 6, widths, strides, kernels, base)
        text = run(IMPORT, pth, "-o", nerv, "--fps=30000/1001")
        check("HNeRV, 7 frames of 48x32" in text, text)
        got = decoded(nerv)
        compare(what, got, want)
        with open(nerv, "rb") as f:
            segment, = segments(f.read())
        check(segment.fps == (30000, 1001), f"{segment.fps}")
        for name, t in net.state_dict().items():  # not a bit is lost
            ours = name.replace("head_layer", "head").replace("decoder.", "block").replace(".conv.downconv", "").replace(".conv.upconv.0", "")
            check(np.array_equal(segment.tensors[ours].values.ravel(), t.numpy().ravel()), f"{what}: {name} is another")
    # an encoding, which one layer makes cells of
    _, _, want = hnerv(os.path.join(d, "e.pth"), 14, [10, 8, 6, 5], [1, 4, 2, 2], [1, 3, 5], (1, 1), (2, 3))
    check("6 cells" in run(IMPORT, os.path.join(d, "e.pth"), "-o", os.path.join(d, "e.nerv"), status=1), "no size")
    run(IMPORT, os.path.join(d, "e.pth"), "-o", os.path.join(d, "e.nerv"), f"--size={W}x{H}", "--bits=0")
    compare("NeRV by HNeRV's program", decoded(os.path.join(d, "e.nerv")), want)
    return pth, nerv, got


def plays(nerv, pictures):
    shown = frames_of("playbin", "uri=file://" + nerv, "video-sink=videoconvert ! video/x-raw,format=RGB ! fdsink fd=1 sync=false")
    check(np.array_equal(shown, pictures), f"playbin shows {shown.shape} others")
    run(SEEK, "--count=20", nerv)


def goes_round(d, nerv, pictures):
    """Through an exported file: the same stream; and what nervenc has fitted: the same pictures."""
    again, fitted = os.path.join(d, "again.nerv"), os.path.join(d, "fitted.nerv")
    run("gst-launch-1.0", "-q", "videotestsrc", "num-buffers=6", "!", f"video/x-raw,width={W},height={H},format=RGB", "!", "nervenc", "epochs=3", "device=cpu", "!",
        "filesink", "location=" + fitted)
    check("0: frames 0 to 6, whole" in run(EXPORT, nerv), "nerv-export lists")
    for ending in ("npz", "safetensors"):
        out = os.path.join(d, "out." + ending)
        text = run(EXPORT, nerv, "-o", out)
        check("segment 0 of 1, 9 tensors" in text, text)
        run(IMPORT, out, "-o", again)
        with open(nerv, "rb") as a, open(again, "rb") as b:
            check(a.read() == b.read(), f"{ending}: another stream")
        arrays, meta = load(out)
        check(meta["model"] == "nerv-grid" and meta["frames"] == "7" and "block0.weight.codes" in arrays, f"{meta}")
        run(EXPORT, fitted, "-o", out)
        run(IMPORT, out, "-o", again)
        check(np.array_equal(decoded(fitted), decoded(again)), f"{ending}: other pictures")
    check("none of them number 3" in run(EXPORT, nerv, "-o", out, "--segment=3", status=1), "a segment that is not there")
    with open(out, "r+b") as f:
        f.truncate(2000)
    check("nerv-import: " in run(IMPORT, out, "-o", again, status=1), "a file that is cut off")
    check(len(pictures) == 7, "pictures")


# --- NeRV ---

def nerv_network(levels):
    torch.manual_seed(2)
    return loud(NeRV(levels, 24, (6, 2, 3), [8, 7, 6], [4, 2, 2]), 2)


def stored(nerv, net, names):
    """The network with the weights that a stream has, by pairs of names."""
    with open(nerv, "rb") as f:
        segment, = segments(f.read())
    state = net.state_dict()
    for ours, its in names.items():
        for kind in (".weight", ".bias"):
            state[its + kind] = torch.from_numpy(segment.tensors[ours + kind].values).reshape(state[its + kind].shape)
    net.load_state_dict(state)
    return segment


NERV_NAMES = {"stem.0": "stem.0", "stem.1": "stem.2", "block0": "layers.0.conv.conv", "block1": "layers.1.conv.conv", "block2": "layers.2.conv.conv",
              "head": "head_layers.2"}


def nerv_works(d):
    pth, nerv = os.path.join(d, "n.pth"), os.path.join(d, "n.nerv")
    net, times = nerv_network(20), torch.arange(9) / 9
    state = {"module." + k: v for k, v in net.state_dict().items()}
    mask = (torch.rand(state["module.layers.1.conv.conv.weight"].shape) > .3).float()  # as after pruning
    state["module.layers.1.conv.conv.weight_orig"] = state.pop("module.layers.1.conv.conv.weight")
    state["module.layers.1.conv.conv.weight_mask"] = mask
    torch.save({"epoch": 3, "state_dict": state, "train_best_psnr": torch.tensor(3.)}, pth)
    with torch.no_grad():
        net.layers[1].conv.conv.weight.mul_(mask)
        want = net(encode_single(times, 1.25, 20))
    check("how many frames" in run(IMPORT, pth, "-o", nerv, status=1), "no frames")
    check("6 cells" in run(IMPORT, pth, "-o", nerv, "--frames=9", status=1), "no size")
    run(IMPORT, pth, "-o", nerv, "--frames=9", f"--size={W}x{H}", "--bits=0")
    compare("NeRV", decoded(nerv), want)
    segment = stored(nerv, nerv_network(20), NERV_NAMES)
    check(segment.model == "nerv-mlp" and np.array_equal(segment.tensors["block1.weight"].values, net.layers[1].conv.conv.weight.detach().numpy()), "floats are kept")
    run(IMPORT, pth, "-o", nerv, "--frames=9", "--size=45x30", "--bits=6")  # cropped
    stored(nerv, net, NERV_NAMES)
    with torch.no_grad():
        compare("NeRV of 6 bits, cropped", frames_of("filesrc", "location=" + nerv, "!", "nervparse", "!", "nervdec", "device=cpu", "!", "videoconvert", "!",
                                                     "video/x-raw,format=RGB", "!", "videobox", "right=-3", "bottom=-2", "!", "fdsink")[:, :30, :45],
                net(positional_encoding(torch.arange(9).double() / 9, 1.25, 20).float())[:, :, :30, :45])
    # phases that single precision puts elsewhere
    net = nerv_network(80)
    torch.save({"state_dict": net.state_dict()}, pth)
    text = run(IMPORT, pth, "-o", nerv, "--frames=9", f"--size={W}x{H}", "--bits=0")
    check("phases of binary32" in text, text)
    with torch.no_grad():
        compare("NeRV of 80 levels", decoded(nerv), net(encode_single(times, 1.25, 80)))
    run(IMPORT, pth, "-o", nerv, "--frames=9", f"--size={W}x{H}", "--bits=0", "--stem=layers")
    with torch.no_grad():
        compare("NeRV of 80 levels, layers", decoded(nerv), net(positional_encoding(torch.arange(9).double() / 9, 1.25, 80).float()))


# --- D-NeRV ---

def write_png(path, rgb):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + row.tobytes() for row in rgb)
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", rgb.shape[1], rgb.shape[0], 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) +
                chunk(b"IEND", b""))


def picture(i):
    y, x = np.mgrid[:H, :W]
    return np.stack([128 + 90 * np.sin((x + 3 * i) / (9 + c) + (y - 2 * i) / 7 * (c + 1)) for c in range(3)], 2).astype(np.uint8)


def dnerv_pictures(net, path, videos):
    """PyTorch's, from the keyframes that are in the stream."""
    arrays, _ = load(path)
    keys = {int(k.split(".")[1]): torch.from_numpy(np.array(v)) for k, v in arrays.items() if k.startswith("picture.")}
    out, at = [], 0
    with torch.no_grad():
        for n in videos:
            for _, own, ends, times, distances in clips(n, net.clip):
                out.append(net(times, distances, torch.stack([keys[at + e] for e in ends]))[:own])
            at += n
    return torch.cat(out)


def dnerv_works(d):
    pth, nerv, out, videos = os.path.join(d, "d.pth"), os.path.join(d, "d.nerv"), os.path.join(d, "d.npz"), [8, 12]
    for i, n in enumerate(videos):
        os.makedirs(os.path.join(d, "keys", f"video{i}"))
        for f in list(range(0, n, 4)) + [n - 1]:
            write_png(os.path.join(d, "keys", f"video{i}", f"frame{f + 1:06d}.png"), picture(20 * i + f))
    for colours, beyond in (("plain", None), (".45,.5,.4/.24,.26,.3", .5)):
        mean, deviation = ((.5,) * 3, (.25,) * 3) if colours == "plain" else ((.45, .5, .4), (.24, .26, .3))
        torch.manual_seed(5)
        net = DNeRV(240, 16, (5, 2, 3), [12, 9, 6], [4, 2, 2], 4, mean, deviation, content=8, beyond=beyond)
        with torch.no_grad():
            for name, p in net.named_parameters():
                p.mul_(2. if "flow_pred_list" in name and "conv.2" in name else 1.6)
        torch.save({"epoch": 1, "state_dict": net.state_dict(), "optimizer": {"state": {}, "param_groups": []}}, pth)
        args = [IMPORT, pth, "-o", nerv, "--frames=8,12", "--bits=0", "--keyframes=" + os.path.join(d, "keys"), "--quant=10", f"--size={W}x{H}"]
        check("by what colours" in run(*args, status=1), "no colours")
        text = run(*args, "--colours=" + colours)
        check("AV1" in text and ("border" in text) == (colours != "plain") and "whole clip" not in text, text)
        run(EXPORT, nerv, "-o", out, "--pictures")
        compare(f"D-NeRV, {colours}", decoded(nerv), dnerv_pictures(net, out, videos))
    check("needs its 7 keyframes" in run(*[a for a in args if not a.startswith("--keyframes")], "--colours=uvg", status=1), "no keyframes")
    again = os.path.join(d, "again.nerv")
    run(IMPORT, out, "-o", again)
    check(np.array_equal(decoded(nerv), decoded(again)), "D-NeRV, exported: other pictures")
    for f in range(0, 11):
        write_png(os.path.join(d, "keys", "video1", f"frame{f + 1:06d}.png"), picture(20 + f))
    check("videos 1 do not end with a whole clip" in run(*[a.replace("8,12", "8,11") for a in args], "--colours=uvg"), "a clip that is cut off")


# --- what is refused ---

class Runs:
    """A pickle that runs a command when it is read."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def write_zip(path, data, members=(), compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as z:
        z.writestr("archive/data.pkl", data)
        for name, content in members:
            z.writestr("archive/data/" + name, content)


def tensor_pickle(size, stride, offset=0, count=4):
    """One tensor of a storage of floats, as PyTorch would write it, with any numbers in it."""
    class Tensor:
        def __reduce__(self):
            return rebuild, (Storage(), offset, size, stride, False, {})

    class Storage:
        pass

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            return ("storage", Kind, "0", "cpu", count) if isinstance(obj, Storage) else None

    import io
    rebuild, Kind, f = torch._utils._rebuild_tensor_v2, torch.FloatStorage, io.BytesIO()
    Pickler(f, 2).dump({"decoder.0.conv.downconv.weight": Tensor()})
    return f.getvalue()


def hostile_files(d):
    pth, out, mark = os.path.join(d, "bad.pth"), os.path.join(d, "bad.nerv"), os.path.join(d, "mark")

    def refused(said, *more):
        text = run(IMPORT, pth, "-o", out, *more, status=1)
        check(text.startswith("nerv-import: ") and said in text and "Traceback" not in text, f"{said}: {text}")

    for evil in ({"model": Runs("touch " + mark)}, Runs("touch " + mark)):
        write_zip(pth, pickle.dumps(evil, 2))
        refused("posix.system")
        torch.save(evil, pth)
        refused("posix.system")
    check(not os.path.exists(mark), "a checkpoint ran a command")
    write_zip(pth, b"cbuiltins\neval\n(S'open(\"" + mark.encode() + b"\", \"w\")'\ntR.")
    refused("builtins.eval")
    write_zip(pth, b"ctorch._utils\n_rebuild_tensor_v2\n}S'_call'\ncbuiltins\nprint\nsb.")
    refused("refused")
    write_zip(pth, b"ctorch._utils\n_rebuild_tensor_v2\nN}S'__class__'\nK\x01s\x86b.")
    refused("nerv-import")
    check(not os.path.exists(mark), "a checkpoint opened a file")
    four = ("0", struct.pack("<4f", 1, 2, 3, 4))
    for size, stride, offset in (((5,), (1,), 0), ((2, 2), (1 << 39, 1), 0), ((4,), (1,), 1), ((1 << 38,), (0,), 0), ((2,), (-1,), 1), ((2,), (1,), -1)):
        write_zip(pth, tensor_pickle(size, stride, offset), [four])
        refused("tensor")
    write_zip(pth, tensor_pickle((4,), (1,), count=5), [four])
    refused("cut off")
    write_zip(pth, tensor_pickle((4,), (1,)), [])
    refused("data/0")
    write_zip(pth, tensor_pickle((4,), (1,)), [("0", bytes(1 << 20))], zipfile.ZIP_DEFLATED)
    refused("compressed")
    write_zip(pth, b"\x80\x02]q\x00(")
    refused("damaged")
    for data in (b"", b"PK", b"\x80\x02}q\x00.", os.urandom(1000)):
        with open(pth, "wb") as f:
            f.write(data)
        refused("zip")
    check(not os.path.exists(out), "a stream of a damaged checkpoint")


def refuses_networks(d):
    pth, out = os.path.join(d, "r.pth"), os.path.join(d, "r.nerv")

    def refused(state, said, *more):
        torch.save(state, pth)
        text = run(IMPORT, pth, "-o", out, *more, status=1)
        check(said in text and "Traceback" not in text, f"{said}: {text}")

    net, embed, _ = hnerv(pth, 6, [10, 8, 6, 5], [1, 4, 2, 2], [1, 3, 5], (2, 3))
    state = net.state_dict()
    refused({"state_dict": state}, "quant_vid.pth")
    refused({"embed": embed, "model": state}, "7 embeddings", "--frames=8")
    refused({"embed": embed, "model": dict(state, more=torch.zeros(3))}, "no place for: more")
    refused({"embed": embed, "model": {**state, "decoder.1.norm.weight": torch.zeros(8)}}, "normalises")
    refused({"embed": embed, "model": {k: v for k, v in state.items() if k != "head_layer.bias"}}, "no head_layer.bias")
    refused({"embed": embed, "model": {k.replace("upconv.0", "upconv"): v for k, v in state.items()}}, "transposed")
    wide = dict(state)
    wide["decoder.3.conv.upconv.0.weight"] = torch.zeros(20, 6, 7, 7)
    refused({"embed": embed, "model": wide}, "kernels are 1 x 1, 3 x 3 or 5 x 5")
    refused({"embed": embed, "model": state}, "makes frames of 48 x 32", "--size=64x64")
    refused({"embed": embed * float("nan"), "model": state}, "grid0", "--bits=0")
    refused({"net.weight": torch.zeros(3, 3)}, "none of NeRV, HNeRV and D-NeRV")
    refused([torch.zeros(3)], "no dictionary")


with tempfile.TemporaryDirectory() as directory:
    torch.set_num_threads(1)
    _, stream, shown = hnerv_works(directory)
    plays(stream, shown)
    goes_round(directory, stream, shown)
    nerv_works(directory)
    dnerv_works(directory)
    hostile_files(directory)
    refuses_networks(directory)
finish()
