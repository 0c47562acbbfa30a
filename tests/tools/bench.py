# SPDX-License-Identifier: LGPL-2.1-or-later
"""nerv-bench: what it writes is complete and agrees with itself, and its regression check finds what is worse and nothing else.

    bench.py NERV-BENCH

The runs are tiny: nothing here says how fast anything is.
"""
import copy
import json
import os
import statistics
import sys
import tempfile

from expect import check, finish, runner

BENCH = sys.argv[1]
HERE = os.path.dirname(os.path.abspath(__file__))
TINY = ["--device=cpu", "--threads=2", "--size=64x36", "--model-options=stem=16,base-channels=4,widths=<6,5>,strides=<2,2>"]
run = runner(BENCH, with_errors=False)


def near(a, b, tolerance=1e-4):
    return abs(a - b) <= tolerance * abs(b)


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
    ahead = device["decode_ahead"]
    check(len(ahead["rounds_s"]) == 5 and near(ahead["frames_per_s"], 1 / ahead["seconds"], 1e-3), f"played: {ahead}")
    check(near(ahead["gmacs_per_s"] * ahead["seconds"], device["decode"]["gmacs_per_s"] * device["decode"]["seconds"], 1e-3),
          "a frame that is played is another network's")
    check(device["decode_ahead_lanes"] == 2, f"{device['decode_ahead_lanes']} lanes on two threads")
    for name in ("train", "decode", "decode_ahead"):
        check(0 < device[name]["share_of_peak"] < 4, f"{name}: a share of {device[name]['share_of_peak']} of the peak")
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
    for what in ("train", "decode", "decode_ahead"):
        m = device["memory"][what]
        check(0 < m["planned_bytes"] < m["resident_bytes"] < 4e9, f"memory {what}: {m}")
    # Two lanes, each with an arena and frames of its own.
    one, ahead = (device["memory"][what]["planned_bytes"] for what in ("decode", "decode_ahead"))
    check(ahead > 1.5 * one, f"{ahead} bytes to play frames in two lanes, {one} to decode one")


def clips(work):
    """A network of clips: the peer gets the same one, a decoded frame is its part of a clip, and what needs coded keyframes is left out."""
    path = os.path.join(work, "clips.json")
    run("--device=cpu", "--threads=2", "--size=64x36", "--model=dnerv-net", "--model-options=clip-frames=4,keyframe-interval=8,base-channels=4,"
        "content=5,widths=<8,6>,strides=<4,2>,row-frames=3,without=<mix,skip>", "--ops", "--seconds=0.02", "--peers",
        "--python=" + sys.executable, "--peer-script=" + os.path.join(HERE, "fake-peer.py"), "--json=" + path)
    with open(path, encoding="utf-8") as f:
        result = json.load(f)
    device = result["devices"][0]
    arguments = json.loads(result["peer"])["arguments"]
    for flag, value in (("--model", "dnerv"), ("--videos", "16"), ("--clip", "4"), ("--interval", "8"), ("--stem", "0"), ("--row-frames", "3"),
                        ("--base-channels", "4"), ("--content", "5"), ("--widths", "8,6"), ("--strides", "4,2")):
        check(arguments[arguments.index(flag) + 1] == value, f"{flag} is not {value}: the peer was started with {arguments}")
    parts = arguments[arguments.index("--parts") + 1].split(",")
    check("flow" in parts and "keys" in parts and "mix" not in parts and "skip" not in parts, f"the peer's parts are {parts}")
    check("decode_ahead" not in device, "frames were played without keyframes")
    check(near(device["decode"]["ratio"], 1 / device["decode"]["seconds"], 1e-3), "another ratio to a peer of one second")
    for key, ops in (("ops", {"warp", "warp_dflow", "modulate", "adam", "from_pixels"}), ("decode_ops", {"warp", "modulate", "to_pixels", "from_pixels"})):
        names = {o["op"] for o in device[key]}
        check(ops <= names and "temporal_mix" not in names, f"{key}: {names}")
    # the four frames of a clip together are what one evaluation takes, with room for a busy machine
    check(device["decode_ops_seconds"] < 40 * device["decode"]["seconds"] and device["decode_ops_seconds"] > 0.5 * device["decode"]["seconds"],
          f"{device['decode_ops_seconds']} s a clip, {device['decode']['seconds']} a frame")
    run("--device=cpu", "--size=64x36", "--model=dnerv", "--model-options=keyframe-interval=15,flow-frames=5,middle-channels=1,middle-frames=9,widths=<8,6>,"
        "strides=<4,2>", "--seconds=0.02", "--peers", "--python=" + sys.executable,
        "--peer-script=" + os.path.join(HERE, "fake-peer.py"), "--json=" + path)
    with open(path, encoding="utf-8") as f:
        arguments = json.loads(json.load(f)["peer"])["arguments"]
    for flag, value in (("--parts", "flow,keys,skip,grids,mask"), ("--flow-frames", "5"), ("--middle-frames", "9"), ("--middle-channels", "1"), ("--clip", "1")):
        check(arguments[arguments.index(flag) + 1] == value, f"{flag} is not {value}: the peer was started with {arguments}")
    run("--device=cpu", "--size=64x36", "--model=dnerv-net", "--model-options=widths=<8,6>,strides=<4,2>", "--seconds=0.02", "--peers",
        "--python=" + sys.executable, "--peer-script=" + wrong_peer(work), status=1, says="the PyTorch peer's network has 12 parameters")


def wrong_peer(work):
    path = os.path.join(work, "wrong-peer.py")
    with open(path, "w", encoding="utf-8") as f:
        f.write("print('{\"parameters\": 12}', flush=True)\ninput()\n")
    return path


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
    # A result is as good as itself, on whatever machine and day; made worse in one place, it is found out.
    for before, status, says in (
        (lambda d: None, 0, " 0 worse, 0 missing; 0 are new"),
        (lambda d: d["train"].update(seconds=d["train"]["seconds"] / 9), 0, " 0 worse"),
        (lambda d: d["train"].update(share_of_peak=d["train"]["share_of_peak"] * 1.3), 3, " 0.769  WORSE   cpu train: share of peak"),
        (lambda d: d["decode_ahead"].update(share_of_peak=d["decode_ahead"]["share_of_peak"] * 2), 3, "cpu decode ahead: share of peak"),
        (lambda d: d["ops"][0].update(share_of_roof=d["ops"][0]["share_of_roof"] * 1.3), 3,
         f"WORSE   cpu train, {device['ops'][0]['op']} {device['ops'][0]['operands']}: share of its roof"),
    ):
        doctored = copy.deepcopy(result)
        before(doctored["devices"][0])
        old = os.path.join(work, "doctored.json")
        with open(old, "w", encoding="utf-8") as f:
            json.dump(doctored, f)
        run("--result=" + path, "--against=" + old, status=status, says=says)


def op(name, share_of_time, share_of_roof):
    return {"op": name, "operands": "1x2", "seconds": 0.001, "share_of_time": share_of_time, "share_of_roof": share_of_roof}


MADE_UP = {
    "machine": {"cpu": "Abacus", "cores": 2}, "network": "nerv 1x1", "threads": 2, "peer": "abax 1",
    "devices": [{"device": "cpu", "train": {"seconds": 0.010, "steps_per_s": 100, "share_of_peak": 0.5, "ratio": 7},
                 "decode_ahead": {"seconds": 0.001, "share_of_peak": 0.4},
                 "ops": [op("conv2d", 0.6, 0.8), op("l1", 0.15, 1.2), op("mse", 0.01, 0.3)], "decode_ops": [op("conv2d", 0.9, 0.7)],
                 "training_bytes": 1000,
                 "conv2d": [{"shape": "a", "way": "dx", "share_of_peak": 0.5}, {"shape": "b", "way": "dx", "share_of_peak": 0.6}],
                 "scaling": [{"what": "threads", "value": "2", "train": {"seconds": 1, "times_seconds": 0.5}}],
                 "memory": {"train": {"resident_bytes": 5000}}}],
    "codecs": [{"codec": "nerv", "frames": 64, "frames_per_s": 100, "seek_frame_times": 2,
                "seek_frame_times_without_parse": 1.4, "seeks_to_the_wrong_picture": 0, "startup_seconds": 0.05, "file_bytes": 9000},
               {"codec": "h264", "frames_per_s": 1000, "seek_frame_times": 9}],
}
N = 16  # figures with a ratio; mse takes too little of a step


def compared(work):
    def against(change, *arguments, status=0, says="", text=None, before=None):
        """Compares MADE_UP, changed, with MADE_UP, updated by `before`."""
        result = copy.deepcopy(MADE_UP)
        change(result, result["devices"][0])
        new, old = os.path.join(work, "new.json"), os.path.join(work, "old.json")
        with open(new, "w", encoding="utf-8") as f:
            f.write(text if text is not None else json.dumps(result))
        with open(old, "w", encoding="utf-8") as f:
            json.dump(MADE_UP | (before or {}), f, indent=1)
        return run("--result=" + new, "--against=" + old, *arguments, status=status, says=says)

    def part(key, **values):
        return lambda result, device: device[key].update(**values)

    def item(key, i, **values):
        return lambda result, device: device[key][i].update(**values)

    def codec(i, **values):
        return lambda result, device: result["codecs"][i].update(**values)

    same = against(lambda result, device: None, says=f"geometric mean of {N}, 0 worse, 0 missing; 0 are new")
    check("mse" not in same and same.count(" same ") == N + 1, f"not {N + 1} lines: {same}")
    against(part("train", share_of_peak=0.43), says="        0.5        0.43   0.860  same    cpu train: share of peak")
    against(part("train", share_of_peak=0.42), status=3, says="        0.5        0.42   0.840  WORSE   cpu train: share of peak")
    against(part("train", share_of_peak=0.42), "--tolerance=0.2")
    against(part("train", share_of_peak=0.48), "--tolerance=0.02", status=3)
    against(part("train", share_of_peak=1.0), says=" 2.000  better  cpu train: share of peak")
    against(part("train", ratio=5), status=3, says="WORSE   cpu train: times PyTorch's speed")
    against(part("decode_ahead", share_of_peak=0.1), status=3, says="WORSE   cpu decode ahead: share of peak")
    # A machine that is slower in everything changes no share: seconds are not compared.
    against(part("train", seconds=10.0, steps_per_s=0.1), says=" 0 worse")
    # Ops by their roofs, named; those that take under 2 % of both runs are left out.
    against(item("ops", 0, share_of_roof=0.6), status=3, says="WORSE   cpu train, conv2d 1x2: share of its roof")
    against(item("ops", 1, share_of_roof=0.9), status=3, says="WORSE   cpu train, l1 1x2: share of its roof")
    against(item("decode_ops", 0, share_of_roof=0.5), status=3, says="WORSE   cpu decode, conv2d 1x2: share of its roof")
    against(item("ops", 2, share_of_roof=0.2, share_of_time=0.015), says=f"geometric mean of {N}, 0 worse")
    against(lambda r, d: d["ops"].pop(2), says=f"geometric mean of {N}, 0 worse, 0 missing; 0 are new")
    against(item("ops", 2, share_of_roof=0.03, share_of_time=0.1), status=3, says="WORSE   cpu train, mse 1x2: share of its roof")
    # Bytes and multiples of seconds: less is better.
    against(lambda r, d: d["memory"]["train"].update(resident_bytes=6000), status=3,
            says=" 0.833  WORSE   cpu train, by itself: resident bytes")
    against(lambda r, d: d.update(training_bytes=500), says=" 2.000  better  cpu train: planned bytes")
    against(item("scaling", 0, train={"times_seconds": 0.9}), status=3, says="WORSE   cpu train, threads 2: times the star's seconds")
    # Pipelines: nerv's rate beside the others', which were played in turns with it.
    against(codec(0, frames_per_s=80), status=3, says="WORSE   nerv: times the rate of h264")
    against(codec(0, seek_frame_times=3), status=3, says="WORSE   nerv seek: times a frame's seconds")
    against(codec(1, seek_frame_times=99), says=" 0 worse")
    against(codec(0, seek_frame_times_without_parse=1.7), status=3, says="WORSE   nerv seek without the network: times a frame's seconds")
    against(codec(0, file_bytes=11000), status=3, says="WORSE   nerv file: bytes")
    against(codec(0, seeks_to_the_wrong_picture=1), "--tolerance=0.9", status=3, says="WORSE   nerv seek: wrong pictures")
    # Start-up varies: it must be slower and long.
    against(codec(0, startup_seconds=0.099), says=" 0.505  same    nerv start-up: seconds")
    against(codec(0, startup_seconds=0.101), status=3, says=" 0.495  WORSE   nerv start-up: seconds")
    # Alone its rate is compared on the same machine.
    alone = {"codecs": MADE_UP["codecs"][:1]}
    slower = {"codecs": [dict(alone["codecs"][0], frames_per_s=80)]}
    against(lambda r, d: r.update(slower), status=3, says="WORSE   nerv: frames per second", before=alone)
    against(lambda r, d: r.update(slower), status=3, says="WORSE   nerv: frames per second")
    against(lambda r, d: (r.update(slower), r["machine"].update(cpu="Pascaline")), before=alone,
            says="frames per second are compared beside other codecs' alone")
    # Rows find each other by name: swapped they are the same, one that is new is counted, one that is gone is as bad as a worse one.
    against(lambda r, d: d["conv2d"].reverse(), says=f"geometric mean of {N}, 0 worse, 0 missing; 0 are")
    against(lambda r, d: d["conv2d"].append({"shape": "c", "way": "dx", "share_of_peak": 0.5}),
            says=f"geometric mean of {N}, 0 worse, 0 missing; 1 are new")
    against(lambda r, d: d["conv2d"].pop(0), status=3, says="MISSING cpu conv2d a dx: share of peak")
    against(item("conv2d", 1, share_of_peak=0.3), status=3, says="WORSE   cpu conv2d b dx: share of peak")
    # Another machine is said and is no obstacle; another peer's ratios are left out.
    against(lambda r, d: r["machine"].update(cpu="Pascaline"), says='another machine: "Pascaline" now, "Abacus" in the older result')
    against(lambda r, d: r["machine"].update(cores=4), says="another number of cores: 4 now")
    against(lambda r, d: (r.update(peer="abax 2"), d["train"].update(ratio=1)), says=f"geometric mean of {N - 1}, 0 worse, 0 missing; 0 are")
    against(lambda r, d: (r.update(peer=None), d["train"].pop("ratio")), says=f"geometric mean of {N - 1}, 0 worse, 0 missing; 0 are")
    against(codec(0, frames=63), status=4, says="not as many frames")
    against(lambda r, d: r.update(network="nerv 2x2"), status=4, says="not the same network")
    against(lambda r, d: r.update(size="2x2"), status=4, says="not the same size")
    against(lambda r, d: r.update(threads=1), status=4, says="not as many threads")
    against(lambda r, d: (r.pop("devices"), r.pop("codecs")), status=4, says="no figure in common")
    against(lambda r, d: r.update(devices=[7, {}], codecs=[[]]), status=4, says="no figure in common")
    against(lambda r, d: None, "--tolerance=1", status=2, says="between 0 and 1")
    against(lambda r, d: None, status=4, says="line 2", text='{"machine":\n oops}')
    against(lambda r, d: None, status=4, says="a string has no end", text='{"machine')
    against(lambda r, d: None, status=4, says="nested too deep", text="[" * 1000)
    against(lambda r, d: None, status=4, says="something follows", text="{} {}")
    against(lambda r, d: None, status=4, says="not the same network", text="7")


    def missing(change, name, **more):
        against(change, status=3, says=f"MISSING {name}", **more)

    # What is gone, or no number any more, is not better.
    for value in (0, -1, None, "x", [], True):
        missing(part("train", share_of_peak=value), "cpu train: share of peak")
        missing(item("ops", 0, share_of_roof=value), "cpu train, conv2d 1x2: share of its roof")
        missing(codec(0, frames_per_s=value), "nerv: times the rate of h264")
    missing(codec(1, frames_per_s=0), "nerv: times the rate of h264")
    missing(codec(0, seeks_to_the_wrong_picture=-1), "nerv seek: wrong pictures")
    missing(part("train", ratio=None), "cpu train: times PyTorch's speed")
    for key, name in (("train", "cpu train: share of peak"), ("decode_ahead", "cpu decode ahead: share of peak"),
                      ("ops", "cpu train, l1 1x2: share of its roof"), ("decode_ops", "cpu decode, conv2d 1x2: share of its roof"),
                      ("training_bytes", "cpu train: planned bytes"), ("conv2d", "cpu conv2d b dx: share of peak"),
                      ("scaling", "cpu train, threads 2: times the star's seconds"),
                      ("memory", "cpu train, by itself: resident bytes")):
        missing(lambda r, d, key=key: d.pop(key), name)
    missing(lambda r, d: r.pop("devices"), "cpu train: share of peak")
    missing(lambda r, d: r.pop("codecs"), "nerv file: bytes")
    for key, name in (("startup_seconds", "start-up: seconds"), ("seek_frame_times", "seek: times a frame's seconds"),
                      ("seek_frame_times_without_parse", "seek without the network: times a frame's seconds"),
                      ("seeks_to_the_wrong_picture", "seek: wrong pictures"), ("file_bytes", "file: bytes")):
        missing(lambda r, d, key=key: r["codecs"][0].pop(key), "nerv " + name)
    # The older result lacks what nobody measured then, and the newer one what it says that nobody asked for.
    against(lambda r, d: None, before={"codecs": []}, says="; 6 are new")
    asked = {"devices": ["cpu"], "net": True, "ops": False, "convs": None, "scaling": True, "memory": True}
    against(lambda r, d: (r.update(measured=asked), d.pop("ops"), d.pop("decode_ops"), d.pop("conv2d")),
            says=f"geometric mean of {N - 5}, 0 worse, 0 missing; 0 are new")
    missing(lambda r, d: (r.update(measured=asked), d.pop("scaling")), "cpu train, threads 2: times the star's seconds")
    missing(lambda r, d: (r.update(measured=asked | {"convs": "tiny"}), d.pop("conv2d")), "cpu conv2d a dx: share of peak")
    against(lambda r, d: (r.update(measured=asked | {"convs": "tiny"}), d.pop("conv2d")), before={"measured": {"convs": "nerv"}},
            says=" 0 worse, 0 missing")
    against(lambda r, d: r.update(devices=[], measured=asked | {"devices": ["vulkan"]}), says=" 0 worse, 0 missing")


def committed():
    """What nerv-bench and nerv-pipeline-bench left in docs/results is comparable with itself, whatever it lacks that is written today."""
    results = os.path.join(HERE, "..", "..", "docs", "results")
    for name in sorted(os.listdir(results)):
        path = os.path.join(results, name)
        if not name.endswith(".json"):
            continue
        with open(path, encoding="utf-8") as f:
            if not {"codecs", "devices"} & json.load(f).keys():
                continue  # another tool's
        run("--result=" + path, "--against=" + path, says=" 0 worse, 0 missing; 0 are new")


with tempfile.TemporaryDirectory() as directory:
    compared(directory)
    committed()
    clips(directory)
    measured(directory)
    run("--net=medium", status=2, says="there are small and wide")
    run("--size=large", status=2, says="is no size")
    run("--convs=square", status=2, says="there are nerv and tiny")
    run("--result=x", status=2, says="--result needs --against")
    # What cannot be meant is refused before anything is measured: no table begins.
    for argument in ("--batch=17", "--batch=0", "--rounds=-3", "--rounds=4", "--rounds=100", "--seconds=-1", "--seconds=nan", "--seconds=0",
                     "--seconds=inf", "--threads=-1", "--threads=100000", "--roof=1", "--roof=-1,-1", "--roof=0,0", "--roof=1,2,3",
                     "--roof=1,nan", "--device=", "--device=cpu,,cpu", "--size=64x36x2", "--size=5x5", "--size=-64x36",
                     "--json=" + os.path.join(directory, "none", "x.json"), "--json=" + directory, "--json="):
        out = run(*TINY, argument, status=2, says=argument.split("=")[0] if "size" not in argument else "is no size")
        check(out == "", f"{argument}: something was measured: {out[:200]}")
    check(run(*TINY, "stray", status=2, says='what is "stray"?') == "", "a stray argument is measured with")
    check(run(*TINY, "--against=" + os.path.join(directory, "none.json"), status=1, says="none.json") == "", "measured against nothing")
    damaged = os.path.join(directory, "damaged.json")
    with open(damaged, "w", encoding="utf-8") as f:
        f.write("{")
    check(run(*TINY, "--against=" + damaged, status=4, says="damaged.json: line 1") == "", "measured against noise")
    left = sorted(os.listdir(directory))
    check(not [name for name in left if ".json." in name], f"something is left behind: {left}")
    run(*TINY, "--device=abacus", "--seconds=0.01", status=1, says="abacus")
    run(*TINY, "--peers", "--peer-script=" + os.path.join(directory, "none.py"), "--python=" + sys.executable, status=1,
        says="ended without an answer")
finish()
