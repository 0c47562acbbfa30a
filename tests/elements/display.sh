#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Runs a program on a screen of its own, whatever display there is. 77: Xvfb is not installed.
command -v xvfb-run >/dev/null && command -v xauth >/dev/null || exit 77
exec xvfb-run -a -s '-screen 0 640x480x24' "$@"
