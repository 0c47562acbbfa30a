#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What every file of the tree owes: a licence line, no unfinished work, no calls that a library must not make, a size
# that one can know. Prints each offence; exit status 1 if there is one.
cd "$NERV_SOURCE" || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
# offend TITLE: shows offending lines, if there are any, and remembers that there were.
offend() {
    cat >"$work/lines"
    [ -s "$work/lines" ] || return 0
    printf '%s:\n' "$1"
    cat "$work/lines"
    touch "$work/offended"
}

code=$(find src gst shaders tests tools python docs/examples -type f \( -name '*.[ch]' -o -name '*.comp' -o -name '*.glsl' -o -name '*.sh' \
    -o -name '*.py' \))
libraries=$(find src gst -name '*.c')
# The words are split so that this file does not find itself.
words='\b(TO''DO|FIX''ME|XX''X|HA''CK)\b|not impl''emented'

# shellcheck disable=SC2086
{
    grep -L 'SPDX-License-Identifier: LGPL-2.1-or-later' $code tools/demo tools/test tools/setup tools/format tools/fuzz tools/nerv-encode \
        tools/nerv-import tools/nerv-export tools/nerv-loader tools/nerv-actions tools/gst-indent | offend 'no SPDX line'
    grep -nE "$words" $code | offend 'unfinished work'
    grep -nE '\b(printf|puts|abort|exit|g_error|assert|g_assert[a-z_]*|system)[[:space:]]*\(' $libraries |
        offend 'a library must not print, abort, exit or assert'
    grep -nE '[[:space:]]+$' $code | offend 'trailing space'
    grep -nP '\t' $code | offend 'a tab'
    for file in $code; do
        lines=$(wc -l <"$file")
        [ "$lines" -le 700 ] || echo "$file: $lines lines"
    done | offend 'a file that is more than one noun'
}
[ -e "$work/offended" ] && exit 1
echo "$(echo "$code" | wc -l) files are clean"
