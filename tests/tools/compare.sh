#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# nerv-compare on videos whose distance is known: greys one step apart are 10 log10(255^2) = 48.13 dB apart.
compare=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0
fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}
grey() {
    echo "videotestsrc num-buffers=${3-5} pattern=solid-color foreground-color=0xff$1$1$1 ! video/x-raw,format=RGB,width=${2-32},height=24"
}
# expect STATUS LINE A B OPTION...: nerv-compare's exit status, and a line of its report or of its complaint.
expect() {
    status=$1 line=$2 a=$3 b=$4
    shift 4
    "$compare" "$@" "$a" "$b" >"$work/report" 2>&1
    got=$?
    [ "$got" -eq "$status" ] || fail "exit status $got, not $status: $a | $b"
    grep -q "$line" "$work/report" || fail "no line \"$line\" for: $a | $b: $(cat "$work/report")"
}

expect 0 '^psnr_db inf$' "$(grey 80)" "$(grey 80)"
expect 0 '^ssim 1.0000$' "$(grey 80)" "$(grey 80)"
expect 0 '^frames 5$' "$(grey 80)" "$(grey 80)"
expect 0 '^frames 3$' "$(grey 80)" "$(grey 80)" --frames=3
expect 0 '^psnr_db 48.13$' "$(grey 80)" "$(grey 81)"
expect 0 '^max_difference 1$' "$(grey 80)" "$(grey 81)"
expect 0 '^max_difference 255$' "$(grey 00)" "$(grey ff)"
expect 0 '^psnr_db 0.00$' "$(grey 00)" "$(grey ff)"
expect 1 'sizes differ' "$(grey 80)" "$(grey 80 48)"
expect 1 'ends first, after 4 frames' "$(grey 80)" "$(grey 80 32 4)"
expect 2 'no element' "$(grey 80)" 'nosuchelement'
expect 2 'nerv-compare: ' "$(grey 80)" "$0"

# Four columns of 32 pixels with three gaps of four, two rows of 24 with one.
expect 0 '^frames 5$' "$(grey 80)" "$(grey 81)" --frames=5 --sheet="$work/sheet.png" --sheet-columns=4
size=$(od -An -tu1 -j16 -N8 "$work/sheet.png" 2>/dev/null | tr -s ' ')
[ "$size" = ' 0 0 0 140 0 0 0 52' ] || fail "the sheet's size is$size"
expect 0 '^frames 5$' "$(grey 80)" "$(grey 81)" --frames=5 --sheet="$work/errors.png" --sheet-columns=4 --sheet-errors=50
size=$(od -An -tu1 -j16 -N8 "$work/errors.png" 2>/dev/null | tr -s ' ')
[ "$size" = ' 0 0 0 140 0 0 0 80' ] || fail "the sheet with errors has size$size"
# the last row of samples is of what one code makes, fifty times: 50 in the maps, 0 between them
gst-launch-1.0 -q filesrc location="$work/errors.png" ! pngdec ! videoconvert ! video/x-raw,format=RGB ! filesink location="$work/errors.rgb"
values=$(tail -c 420 "$work/errors.rgb" | od -An -v -tu1 | tr -s ' ' '\n' | grep . | sort -nu | xargs)
[ "$values" = '0 50' ] || fail "the maps of errors hold $values"

[ "$failures" -eq 0 ] && echo 'all as expected'
[ "$failures" -eq 0 ]
