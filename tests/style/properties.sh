#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The README's tables of properties have exactly the properties that the elements have of their own, and their defaults,
# as gst-inspect-1.0 sees them. A table stands under a heading of the element's name; its rows begin with | `name` |.
command -v gst-inspect-1.0 >/dev/null || exit 77
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
export GST_PLUGIN_PATH="$NERV_BUILD/gst" GST_REGISTRY="$work/registry" LC_ALL=C

base='name|parent|async-handling|message-forward|qos|min-force-key-unit-interval|max-errors|automatic-request-sync-points|automatic-request-sync-point-flags|discard-corrupted-frames|disable-passthrough'

# "name default" of ELEMENT's properties without those of its base classes; a property without a number or a string for
# its default has "-".
inspected() {
    gst-inspect-1.0 --no-colors "$1" | awk -v base="^($base)\$" '
        /^  [a-z][a-z0-9-]* *: / { if (name && name !~ base) print name, value
                                   name = $1; sub(/:.*/, "", name); value = "-" }
        / Default: / { value = $0; sub(/.* Default: */, "", value); gsub(/"/, "", value); sub(/^[0-9]+, /, "", value); sub(/ *$/, "", value) }
        END { if (name && name !~ base) print name, value }' | sort
}
# The same out of the README: the first word of the second column, "-" for none and read-only.
written() {
    awk -v heading="$1" '/^#/ { here = ($0 ~ "^#+ `?" heading "`?$") } here' "$NERV_SOURCE/README.md" |
        sed -n 's/^| *`\([a-z0-9-]*\)` *| *`*\([^ `|]*\).*/\1 \2/p' | sed 's/ \(none\|read-only\)$/ -/' | sort
}

status=0
for element in nervenc nervdec nervdenoise nervinpaint nervparse nervfilemux nervmp4mux nervmkvmux; do
    inspected "$element" >"$work/inspected"
    written "$element" >"$work/written"
    if [ "$element" != nervparse ] && [ "$element" != nervfilemux ] && [ ! -s "$work/inspected" ]; then
        echo "$element: gst-inspect-1.0 shows no property"
        status=1
    fi
    if ! diff -u --label "$element in README.md" --label "$element in gst-inspect-1.0" "$work/written" "$work/inspected"; then
        status=1
    fi
done
[ $status -eq 0 ] && echo 'README.md and gst-inspect-1.0 agree'
exit $status
