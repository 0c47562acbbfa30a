# SPDX-License-Identifier: LGPL-2.1-or-later
"""The plugin's documentation: a page of Markdown for each element, of what the element says of itself when it is made and of the comment at the top of its source.

    pages.py PLUGIN-DIRECTORY SOURCE-DIRECTORY OUTPUT-DIRECTORY

Exit status: 0; 1 if an element has no such comment.
"""
import glob
import os
import re
import sys
import tempfile

PLUGINS, SOURCES, OUTPUT = sys.argv[1:4]
with tempfile.NamedTemporaryFile(suffix=".bin", delete=False) as registry:
    os.environ.update(GST_PLUGIN_PATH=PLUGINS, GST_REGISTRY=registry.name, GST_REGISTRY_FORK="no", NERV_DEVICE="cpu", LC_ALL="C")
# the plugin alone: no other one is asked to load
os.environ.update(GST_PLUGIN_SYSTEM_PATH="")

import gi  # noqa: E402

gi.require_version("Gst", "1.0")
from gi.repository import GObject, Gst  # noqa: E402

BASES = ("GstObject", "GstElement", "GstBin", "GstVideoEncoder", "GstVideoDecoder", "GstBaseParse")


def comments():
    """What stands under SECTION:element-NAME, as Markdown, by name."""
    found = {}
    for path in glob.glob(os.path.join(SOURCES, "*.c")):
        with open(path, encoding="utf-8") as f:
            for name, text in re.findall(r"/\*\*\n \* SECTION:element-(\w+)\n(.*?)\n \*/", f.read(), re.S):
                lines = [line[3:] if line.startswith(" * ") else line[2:] for line in text.split("\n")]
                body = "\n".join(line for line in lines if not line.startswith("@title")).strip()
                body = re.sub(r"^\|\[\n(.*?)\n\]\|$", lambda m: "    " + m.group(1).replace("\n", "\n    ") + "\n", body, flags=re.S | re.M)
                found[name] = body.replace("\n## Example\n", "\n## Example\n\n")
    return found


def own(pspec):
    return pspec.owner_type.name not in BASES


def number(value):
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def values(enum):
    return [f"- `{v.value_nick}`: {v.value_name}" for v in enum.__enum_values__.values()] if hasattr(enum, "__enum_values__") else []


def property_lines(pspec):
    flags = [word for flag, word in ((GObject.ParamFlags.READABLE, "readable"), (GObject.ParamFlags.WRITABLE, "writable"),
                                     (GObject.ParamFlags.CONSTRUCT_ONLY, "set when it is made")) if pspec.flags & flag]
    for bit, word in ((Gst.PARAM_MUTABLE_PLAYING, "may change while it plays"), (Gst.PARAM_MUTABLE_READY, "to be set before it starts"),
                      (Gst.PARAM_CONTROLLABLE, "controllable")):
        if int(pspec.flags) & int(bit):
            flags.append(word)
    lines = [f"### {pspec.name}", "", pspec.blurb.rstrip(".") + ".", "", f"{pspec.value_type.name}; {', '.join(flags)}."]
    enum = getattr(pspec, "enum_class", None)
    if enum is not None:
        lines[-1] += f" Default: `{pspec.default_value.value_nick}`."
        lines += [""] + values(enum)
    elif hasattr(pspec, "minimum"):
        lines[-1] += f" From {number(pspec.minimum)} to {number(pspec.maximum)}, default {number(pspec.default_value)}."
    elif pspec.value_type == GObject.TYPE_BOOLEAN:
        lines[-1] += f" Default: `{str(pspec.default_value).lower()}`."
    elif pspec.value_type == GObject.TYPE_STRING:
        lines[-1] += f" Default: `{pspec.default_value}`." if pspec.default_value is not None else " No default."
    return lines + [""]


def ancestors(gtype):
    while gtype.name != "GObject":
        yield gtype.name
        gtype = gtype.parent
    yield "GObject"


def page(factory, comment):
    element = factory.create(None)
    out = [f"# {factory.get_name()}", "", comment, "", "## Element", "", f"- {factory.get_metadata('long-name')}",
           f"- Class: {factory.get_metadata('klass')}", f"- Rank: {factory.get_rank()}",
           f"- {' > '.join(reversed(list(ancestors(element.__gtype__))))}", "", "## Pads", ""]
    for template in factory.get_static_pad_templates():
        out += [f"### {template.name_template}", "", f"{template.direction.value_nick}, {template.presence.value_nick}", ""]
        out += ["    " + template.get_caps().get_structure(i).to_string() for i in range(template.get_caps().get_size())] + [""]
    properties = sorted((p for p in GObject.list_properties(element.__gtype__) if own(p)), key=lambda p: p.name)
    if properties:
        out += ["## Properties", ""]
        for pspec in properties:
            out += property_lines(pspec)
    with open(os.path.join(OUTPUT, factory.get_name() + ".md"), "w", encoding="utf-8") as f:
        f.write("\n".join(out).rstrip() + "\n")


Gst.init(None)
texts = comments()
plugin = Gst.Plugin.load_file(os.path.join(PLUGINS, "libgstnerv.so"))
status = 0
for feature in Gst.Registry.get().get_feature_list_by_plugin(plugin.get_name()):
    if isinstance(feature, Gst.ElementFactory):
        if feature.get_name() not in texts:
            print(f"{feature.get_name()} has no SECTION in {SOURCES}", file=sys.stderr)
            status = 1
            continue
        page(feature, texts[feature.get_name()])
os.unlink(os.environ["GST_REGISTRY"])
sys.exit(status)
