#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Runs a program on a screen of its own, whatever display there is, that stays when its last window is closed. 77: Xvfb is not installed or does not start.
command -v Xvfb >/dev/null || exit 77
number=$(mktemp) || exit 1
Xvfb -displayfd 3 -screen 0 640x480x24 -nolisten tcp -noreset 3>"$number" >/dev/null 2>&1 &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null; rm -f "$number"' EXIT
for _ in $(seq 100); do
    [ -s "$number" ] && break
    kill -0 $server 2>/dev/null || exit 77
    sleep .1
done
[ -s "$number" ] || exit 77
DISPLAY=:$(cat "$number") XAUTHORITY= "$@"
