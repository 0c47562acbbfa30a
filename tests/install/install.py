# SPDX-License-Identifier: LGPL-2.1-or-later
"""meson install: the plugin, libnerv, tools and manual pages work where they were put, without the build folder, and programs are built against the library by pkg-config.

    install.py BUILD SOURCE MESON...
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

from expect import check, finish

BUILD, SOURCE = sys.argv[1:3]
MESON = sys.argv[3:]
with open(os.path.join(SOURCE, "README.md"), encoding="utf-8") as readme:
    README = readme.read()
TOOLS = ("nerv-access", "nerv-compare", "nerv-encode", "nerv-export", "nerv-import", "nerv-loader", "nerv-meta", "nerv-rd", "nerv-seek", "nerv-segment")


def run(*command, env=None, status=0, cwd=None):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env, cwd=cwd, check=False)
    check(done.returncode == status, f"{command}: {done.returncode}: {(done.stdout + done.stderr)[-600:]}")
    return done.stdout


def one(root, pattern):
    found = [path for path in glob.glob(root + "/**/" + pattern, recursive=True) if not os.path.islink(path)]
    check(len(found) == 1, f"{pattern}: {found}")
    return found[0] if found else root


def elsewhere(root, directory):
    """An environment that has never heard of the build folder."""
    env = {k: v for k, v in os.environ.items() if k not in ("LD_LIBRARY_PATH", "LD_PRELOAD", "NERV_BUILD", "NERV_LIBRARY")}
    plugin = one(root, "libgstnerv.so")
    env.update(GST_PLUGIN_PATH=os.path.dirname(plugin), GST_REGISTRY=os.path.join(directory, "registry.bin"), NERV_DEVICE="cpu", LC_ALL="C.UTF-8")
    return env, plugin


def plugin_works(root, directory):
    env, plugin = elsewhere(root, directory)
    text = run("gst-inspect-1.0", "nerv", env=env)
    check(plugin in text, f"another plugin: {text}")
    for element in ("nervenc", "nervdec", "nervparse", "nervmp4mux", "nervmkvmux"):
        check(f" {element}: " in text, f"no {element} in {text}")
    stream = os.path.join(directory, "a.nerv")
    run("gst-launch-1.0", "-q", "videotestsrc", "num-buffers=5", "!", "video/x-raw,width=64,height=48", "!", "nervenc", "epochs=1", "!", "filesink",
        "location=" + stream, env=env)
    return env, stream


def tools_work(root, env, stream):
    for name in TOOLS:
        tool = one(root, "bin/" + name)
        text = run(tool, "--help", env=env)
        page = one(root, f"man1/{name}.1")
        with open(page, encoding="utf-8") as f:
            manual = f.read().replace("\\-", "-")
        options = [word for word in text.replace(",", " ").replace("=", " ").split() if word.startswith("--")]
        check(len(options) > 2 and all(option in manual for option in options), f"{name}: options are not all in its manual page")
        check("EXIT STATUS" in manual, f"{name}: no exit status in its manual page")
        warnings = subprocess.run(["groff", "-man", "-ww", "-z", "-K", "utf8", page], capture_output=True, text=True, timeout=60, check=False).stderr
        check(not warnings, f"{page}: {warnings}")
    if subprocess.run(["/usr/bin/python3", "-c", "import numpy"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
        check("0: frames 0 to 4, whole" in run(one(root, "bin/nerv-export"), stream, env=env), "nerv-export")
    check("5 of 5 frames" in run(one(root, "bin/nerv-access"), "--count=5", stream, env=env), "nerv-access")


def documents_are_there(root, env):
    """A page for each element, with each of its own properties; without GStreamer's Python bindings none are made."""
    elements = re.findall(r"^  (nerv\w+): ", run("gst-inspect-1.0", "nerv", env=env), re.M)
    check(len(elements) == 8, f"elements: {elements}")
    one(root, "doc/nerv/README.md")
    if subprocess.run(["/usr/bin/python3", "-c", "import gi; gi.require_version('Gst', '1.0')"], capture_output=True, check=False).returncode != 0:
        return
    for element in elements:
        with open(one(root, f"doc/nerv/plugin/{element}.md"), encoding="utf-8") as f:
            page = f.read()
        shown = run("gst-inspect-1.0", "--no-colors", element, env=env)
        own = [name for name in re.findall(r"^  ([a-z][a-z0-9-]+) +: ", shown.split("Element Properties:")[1], re.M) if f"`{name}`" in README]
        check("gst-launch-1.0" in page and "## Pads" in page, f"{element}: no example or no pads")
        check(all(f"### {name}\n" in page for name in own), f"{element}: not all of {own}")
        check(len(own) > 3 or element not in ("nervenc", "nervdec"), f"{element}: {own}")


def library_works(root, env, stream, directory):
    pc = one(root, "libnerv.pc")
    prefix = os.path.dirname(os.path.dirname(one(root, "bin/nerv-access")))
    # it knows the prefix that it was configured for, which is not under the tree
    with open(pc, encoding="utf-8") as f, open(os.path.join(directory, "libnerv.pc"), "w", encoding="utf-8") as moved:
        moved.writelines("prefix=" + prefix + "\n" if line.startswith("prefix=") else line for line in f)
    env = dict(env, PKG_CONFIG_PATH=directory)
    flags = run("pkg-config", "--cflags", "--libs", "libnerv", env=env).split()
    library = os.path.dirname(one(root, "libnerv.so.*.*.*"))
    program, picture = os.path.join(directory, "frame"), os.path.join(directory, "a.ppm")
    run(os.environ.get("CC", "cc"), os.path.join(SOURCE, "docs/examples/frame.c"), "-o", program, *flags, "-Wl,-rpath," + library)
    run(program, stream, "3", picture, env=env)
    with open(picture, "rb") as f:
        data = f.read()
    check(data.startswith(b"P6\n64 48\n255\n") and len(data) == 13 + 64 * 48 * 3, f"{len(data)} bytes of a picture")
    run(program, stream, "5", picture, env=env, status=1)
    # every header by itself
    include = prefix + "/include/nerv/"
    for header in glob.glob(include + "**/*.h", recursive=True):
        alone = os.path.join(directory, "alone.c")
        with open(alone, "w", encoding="utf-8") as f:
            f.write(f'#include <{header[len(include):]}>\n')
        run(os.environ.get("CC", "cc"), "-fsyntax-only", "-Wall", "-Werror", alone, *[flag for flag in flags if flag.startswith("-I")])


def package_works(root, env, stream):
    """The Python package, with the library beside it; by an interpreter that has numpy, if there is one."""
    python = "/usr/bin/python3"
    package = one(root, "nerv/reader.py")
    if not os.path.exists(python) or subprocess.run([python, "-c", "import numpy"], capture_output=True, check=False).returncode != 0:
        return
    env = dict(env, PYTHONPATH=os.path.dirname(os.path.dirname(package)), NERV_LIBRARY=one(root, "libnerv.so.*.*.*"), PYTHONDONTWRITEBYTECODE="1")
    program = "import nerv, sys; r = nerv.Reader(sys.argv[1]); print(r.shape, r.clips([1, 0], 3).mean() > 10, nerv.__file__)"
    text = run(python, "-c", program, stream, env=env, cwd="/")
    check(text.startswith("(5, 48, 64, 3) True " + os.path.dirname(package)), f"another package: {text}")


with tempfile.TemporaryDirectory() as d:
    tree = os.path.join(d, "tree")
    run(*MESON, "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", tree)
    environment, clip = plugin_works(tree, d)
    tools_work(tree, environment, clip)
    documents_are_there(tree, environment)
    library_works(tree, environment, clip, d)
    package_works(tree, environment, clip)
finish()
