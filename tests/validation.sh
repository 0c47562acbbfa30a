#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Runs a test with its output shown and fails it if the Vulkan validation layer said anything. The layer itself is
# loaded by src/vulkan/device.c where NERV_VULKAN_VALIDATION is set, and by the loader for the devices of others (VK_INSTANCE_LAYERS); its messages
# have what is below.
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
"$@" >"$log" 2>&1
status=$?
cat "$log"
messages=$(grep -cE 'Vulkan validation:|Validation (Error|Warning)|VUID-|SYNC-HAZARD' "$log")
if [ "$messages" -gt 0 ] && [ "$status" -ne 77 ]; then
    echo "$messages validation messages"
    exit 1
fi
exit "$status"
