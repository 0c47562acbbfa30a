# SPDX-License-Identifier: LGPL-2.1-or-later
"""nerv-bench: what it writes is complete and agrees with itself, and its regression check finds what is worse.

    bench.py NERV-BENCH

The runs are tiny: nothing here says how fast anything is.
"""
import copy
import json
import os
import statistics
import subprocess
import sys
import tempfile

BENCH = sys.argv[1]
HERE = os.path.dirname(os.path.abspath(__file__))
TINY = ["--device=cpu", "--threads=2", "--size=64x36", "--model-options=stem=16,base-channels=4,widths=<6,5>,strides=<2,2>"]
failures = 0


def check(ok, what):
    global failures
    if not ok:
        failures += 1
        print("FAILED:", what)


def near(a, b, tolerance=1e-4):
    return abs(a - b) <= tolerance * abs(b)


def run(*arguments, status=0, says=""):
    r = subprocess.run([BENCH, *arguments], capture_output=True, text=True, check=False)
    out = r.stdout + r.stderr
    check(r.returncode == status, f"status {r.returncode} instead of {status} for {arguments}: {out[-400:]}")
    check(says in out, f"nothing says '{says}' for {arguments}: {out[-400:]}")
    return r.stdout


def check_ops(device, key, part):
    ops = device[key]
    check(len(ops) > 3, f"{key}: only {len(ops)} ops")
    shares = [o["share_of_time"] for o in ops]
    check(0.2 < sum(shares) <= 1.001, f"{key}: the ops take {sum(shares)} of a run")
    check(near(device[key + "_seconds"], sum(o["count"] * o["seconds"] for o in ops), 1e-3), f"{key}: the sum is not their sum")
    costs = [o["count"] * o["seconds"] for o in ops]
    check(costs == sorted(costs, reverse=True), f"{key}: not the most expensive first")
    macs = sum(o["count"] * o["gmacs_per_s"] * o["seconds"] for o in ops if o["gmacs_per_s"] is not None)
    check(near(macs, part["gmacs_per_s"] * part["seconds"], 1e-3), f"{key}: {macs} GMAC, {part} says something else")
    for o in ops:
        a, m = o["share_of_peak"] or 0, o["share_of_bandwidth"]
        check(o["bound"] == ("arithmetic" if a > m else "memory"), f"{key}: {o} is bound by the wrong roof")
        check(near(o["share_of_roof"], max(a, m), 1e-3), f"{key}: {o} has another share of its roof")


def check_net(device):
    for name in ("train", "decode"):
        part = device[name]
        check(len(part["rounds_s"]) == 5, f"{name}: {len(part['rounds_s'])} rounds")
        check(near(part["seconds"], statistics.median(part["rounds_s"])), f"{name}: not the median")
        check(near(part["ratio"], 1 / part["seconds"], 1e-3), f"{name}: the ratio to a peer of one second is {part['ratio']}")
    names = {o["op"] for o in device["ops"]}
    check({"adam", "conv2d_dw", "ssim_dx", "from_pixels"} <= names, f"a training step of {names}")
    # Two layers of the stem, two blocks and the head, each with weights and biases.
    check(sum(o["count"] for o in device["ops"] if o["op"] == "adam") == 10, "not ten tensors of parameters are updated")
    names = {o["op"] for o in device["decode_ops"]}
    check("to_pixels" in names and "adam" not in names, f"a decoded frame of {names}")


def check_convs(device):
    rows = [(c["shape"], c["way"]) for c in device["conv2d"]]
    check(rows == [("1x8x18x32 to 8, 3x3", w) for w in ("forward", "dx", "dw")], f"convolutions: {rows}")
    macs = 8 * 8 * 18 * 32 * 9 * 1e-9
    for c, mean in zip(device["conv2d"], device["conv2d_mean"]):
        check(near(c["gmacs_per_s"], macs / c["seconds"], 1e-3), f"{c}: not the direct form's arithmetic")
        check(near(mean["gmacs_per_s"], c["gmacs_per_s"], 1e-3), f"{mean}: the mean of one is another")
        check(near(c["ratio"], 1 / c["seconds"], 0.5), f"{c}: another ratio to a peer of one second")


def check_scaling(device):
    rows = {}
    for r in device["scaling"]:
        rows.setdefault(r["what"], []).append(r)
    check({k: [r["value"] for r in v] for k, v in rows.items()} ==
          {"frame size": ["32x18", "64x36", "128x72"], "channels": ["x0.5", "x1", "x2"], "batch": ["1", "2", "4"],
           "threads": ["1", "2"]}, f"scaling: {rows.keys()}")
    check([r["train"]["times_macs"] for r in rows["threads"]] == [1, 1], "threads change the arithmetic")
    times = [r["train"]["times_macs"] for r in rows["batch"]]
    check(times == [1, 2, 4], f"batches are {times} times the arithmetic")
    check(rows["channels"][2]["parameters"] > 2 * rows["channels"][1]["parameters"], "twice the channels add few weights")
    check("decode" in rows["threads"][0] and "decode" not in rows["batch"][0], "decoding in the wrong rows")
    check(rows["frame size"][2]["train"]["bytes"] > 2 * rows["frame size"][1]["train"]["bytes"], "size takes no memory")


def check_memory(device):
    for what in ("train", "decode"):
        m = device["memory"][what]
        check(0 < m["planned_bytes"] < m["resident_bytes"] < 4e9, f"memory {what}: {m}")


def measured(work):
    path = os.path.join(work, "all.json")
    run(*TINY, "--ops", "--convs=tiny", "--scaling", "--memory", "--seconds=0.02", "--peers", "--python=" + sys.executable,
        "--peer-script=" + os.path.join(HERE, "fake-peer.py"), "--json=" + path)
    with open(path, encoding="utf-8") as f:
        result = json.load(f)
    device = result["devices"][0]
    check(result["memory_gbytes_per_s"]["all_threads"] > 0.1, "no memory bandwidth")
    arguments = json.loads(result["peer"])["arguments"]
    for flag, value in (("--batch", "1"), ("--widths", "6,5"), ("--threads", "2"), ("--device", "cpu")):
        check(arguments[arguments.index(flag) + 1] == value, f"the peer was started with {arguments}")
    check_net(device)
    check_ops(device, "ops", device["train"])
    check_ops(device, "decode_ops", device["decode"])
    check_convs(device)
    check_scaling(device)
    check_memory(device)
    run("--result=" + path, "--against=" + path, says=" 0 worse")


MADE_UP = {
    "machine": {"cpu": "Abacus", "cores": 2}, "network": "nerv 1x1", "threads": 2,
    "devices": [{"device": "cpu", "train": {"seconds": 0.010, "steps_per_s": 100, "peer_seconds": 0.07},
                 "ops": [{"op": "adam", "seconds": 0.001}], "training_bytes": 1000,
                 "conv2d": [{"shape": "a", "way": "dx", "seconds": 0.1}, {"shape": "b", "way": "dx", "seconds": 0.2}],
                 "memory": {"train": {"resident_bytes": 5000}}}],
}


def compared(work):
    def against(change, *arguments, status=0, says="", text=None):
        """Compares MADE_UP, changed, with MADE_UP."""
        result = copy.deepcopy(MADE_UP)
        change(result, result["devices"][0])
        new, old = os.path.join(work, "new.json"), os.path.join(work, "old.json")
        with open(new, "w", encoding="utf-8") as f:
            f.write(text if text is not None else json.dumps(result))
        with open(old, "w", encoding="utf-8") as f:
            json.dump(MADE_UP, f, indent=1)
        return run("--result=" + new, "--against=" + old, *arguments, status=status, says=says)

    def step(seconds):
        return lambda result, device: device["train"].update(seconds=seconds)

    against(lambda result, device: None, says="geometric mean of 5, 0 worse")
    against(step(0.0114), says=" 1.140       devices [cpu] train seconds")
    against(step(0.0117), status=3, says=" 1.170 WORSE devices [cpu] train seconds")
    against(step(0.0117), "--tolerance=0.2")
    against(step(0.0103), "--tolerance=0.02", status=3)
    against(step(0.005), says=" 0.500 ")
    against(lambda r, d: d["memory"]["train"].update(resident_bytes=6000), status=3, says="WORSE devices [cpu] memory train")
    # Rows find each other by name: swapped they are the same, one that is new or gone is left out.
    against(lambda r, d: d["conv2d"].reverse(), says="geometric mean of 5, 0 worse")
    against(lambda r, d: d["conv2d"].pop(0), says="geometric mean of 4, 0 worse")
    against(lambda r, d: d["conv2d"][1].update(seconds=0.3), status=3, says="WORSE devices [cpu] conv2d [b dx] seconds")
    # Neither a single op nor the peer makes a result worse.
    against(lambda r, d: d["ops"][0].update(seconds=1.0), says=" 0 worse")
    against(lambda r, d: d["train"].update(peer_seconds=1.0), says=" 0 worse")
    against(lambda r, d: r["machine"].update(cpu="Pascaline"), status=4,
            says='not the same machine: "Pascaline" now, "Abacus" in the older result')
    against(lambda r, d: r["machine"].update(cores=4), status=4, says="not the same number of cores")
    against(lambda r, d: r.update(network="nerv 2x2"), status=4, says="not the same network")
    against(lambda r, d: r.update(threads=1), status=4, says="not as many threads")
    against(lambda r, d: r.pop("devices"), status=4, says="no measurement in common")
    against(lambda r, d: None, status=4, says="line 2", text='{"machine":\n oops}')
    against(lambda r, d: None, status=4, says="a string has no end", text='{"machine')
    against(lambda r, d: None, status=4, says="nested too deep", text="[" * 1000)
    against(lambda r, d: None, status=4, says="something follows", text="{} {}")
    against(lambda r, d: None, status=4, says="not the same machine", text="7")


with tempfile.TemporaryDirectory() as directory:
    compared(directory)
    measured(directory)
    run("--net=medium", status=1, says="there are small and wide")
    run("--size=large", status=1, says="is no size")
    run("--convs=square", status=1, says="there are nerv and tiny")
    run("--result=x", status=1, says="--result needs --against")
    run(*TINY, "--device=abacus", "--seconds=0.01", status=1, says="abacus")
    run(*TINY, "--peers", "--peer-script=" + os.path.join(directory, "none.py"), "--python=" + sys.executable, status=1,
        says="ended without an answer")
print("all as expected" if failures == 0 else f"{failures} failed")
sys.exit(failures != 0)
