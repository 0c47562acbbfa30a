#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What every file of the tree owes: a licence line, no unfinished work, no calls that a library must not make, a size
# that one can know. Prints each offence; exit status 1 if there is one.
cd "$NERV_SOURCE" || exit 1
offences=0
# offend TITLE: reads offending lines and counts them.
offend() {
    lines=$(cat)
    [ -z "$lines" ] && return
    printf '%s:\n%s\n' "$1" "$lines"
    offences=$((offences + 1))
}

code=$(find src gst shaders tests tools -type f \( -name '*.[ch]' -o -name '*.comp' -o -name '*.glsl' -o -name '*.sh' \
    -o -name '*.py' \))
# shellcheck disable=SC2086
{
    grep -L 'SPDX-License-Identifier: LGPL-2.1-or-later' $code tools/demo tools/test tools/setup tools/format |
        offend 'no SPDX line'
    # The words are split here so that this file does not find itself.
    grep -nE 'TO''DO|FIX''ME|XX''X|HA''CK|not impl''emented' $code | offend 'unfinished work'
    find src gst -name '*.c' -exec grep -nE '\b(printf|puts|abort|exit|g_error|assert|g_assert[a-z_]*|system)[[:space:]]*\(' {} + |
        offend 'a library must not print, abort, exit or assert'
    grep -nE '[[:space:]]+$' $code | offend 'trailing space'
    grep -nP '\t' $code | offend 'a tab'
    for file in $code; do
        lines=$(wc -l <"$file")
        [ "$lines" -le 700 ] || echo "$file: $lines lines"
    done | offend 'a file that is more than one noun'
}
[ "$offences" -eq 0 ] && echo "$(echo "$code" | wc -l) files are clean"
[ "$offences" -eq 0 ]
