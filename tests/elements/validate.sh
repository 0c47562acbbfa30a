#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# GstValidate's scenarios on a file of 20 s in each container. Issues that are no critical reports are printed only. 77: there is no gst-validate-1.0,
# which Debian 12 does not have; elements-scenarios does the same steps without it. Issues to be expected are
# the stock demuxers', with every codec: the end of the stream with another seqnum than its segment.
command -v gst-validate-1.0 >/dev/null || exit 77
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
tiny='options,stem=8,base-channels=2,widths=<4,3>,strides=<2,2>'
gst-launch-1.0 -q videotestsrc num-buffers=500 ! video/x-raw,format=RGB,width=64,height=48,framerate=25/1 ! \
    nervenc model=nerv-mlp epochs=1 segment-frames=50 model-options="$tiny" ! filesink location="$work/x.nerv" || exit 1
for mux in nervmp4mux nervmkvmux; do
    gst-launch-1.0 -q filesrc location="$work/x.nerv" ! nervparse ! $mux ! filesink location="$work/x.$mux" || exit 1
done
failed=0
for file in "$work"/x.*; do
    for scenario in seek_forward seek_backward seek_with_stop simple_seeks scrub_forward_seeking scrub_backward_seeking fast_forward \
        fast_backward reverse_playback trick_mode_seeks pause_resume change_state_intensive; do
        printf '%s, %s\n' "${file##*/}" "$scenario"
        timeout 60 gst-validate-1.0 --set-scenario="$scenario" playbin uri="file://$file" \
            video-sink="fakesink sync=true qos=true max-lateness=20000000" >"$work/log" 2>&1 && continue
        cat "$work/log"
        failed=$((failed + 1))
    done
done
[ "$failed" -eq 0 ]
