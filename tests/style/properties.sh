#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The README's tables of properties name exactly the properties that the elements have of their own, as
# gst-inspect-1.0 sees them. A table stands under a heading of the element's name; its rows begin with | `name` |.
command -v gst-inspect-1.0 >/dev/null || exit 77
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
export GST_PLUGIN_PATH="$NERV_BUILD/gst" GST_REGISTRY="$work/registry" LC_ALL=C

# Names of ELEMENT's properties without those of its base class BASE.
inspected() {
    gst-inspect-1.0 --no-colors "$1" | sed -n 's/^  \([a-z][a-z0-9-]*\) *: .*/\1/p' | sort -u |
        grep -vxE "$2"
}
written() {
    awk -v heading="$1" '/^#/ { here = ($0 ~ "^#+ `?" heading "`?$") } here' "$NERV_SOURCE/README.md" |
        sed -n 's/^| *`\([a-z0-9-]*\)` *|.*/\1/p' | sort -u
}

status=0
base='name|parent|qos|min-force-key-unit-interval|max-errors|automatic-request-sync-points|automatic-request-sync-point-flags|discard-corrupted-frames|disable-passthrough'
for element in nervenc nervdec nervparse; do
    inspected "$element" "$base" >"$work/inspected"
    written "$element" >"$work/written"
    if [ "$element" != nervparse ] && [ ! -s "$work/inspected" ]; then
        echo "$element: gst-inspect-1.0 shows no property"
        status=1
    fi
    if ! diff -u --label "$element in README.md" --label "$element in gst-inspect-1.0" "$work/written" "$work/inspected"; then
        status=1
    fi
done
[ $status -eq 0 ] && echo 'README.md and gst-inspect-1.0 agree'
exit $status
