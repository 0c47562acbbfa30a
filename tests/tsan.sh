#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Runs a test under ThreadSanitizer with its output shown, and fails it with 66 if a report is about this project's code: a race of
# which one access is made there, or by what it called in another library (the innermost frame that is not the sanitizer's,
# tsan.c's or an allocator's), a lock taken in two orders, a thread left behind. Other libraries are not instrumented: how they hand memory from thread to
# thread by their own locks and atomics can't be seen, and what they allocate, free and copy for themselves looks like races, as does what they free
# when they drop an object's last reference. AddressSanitizer sees who uses what was freed.
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
"$@" >"$log" 2>&1
status=$?
cat "$log"
ours=$(awk '
function module(line) { sub(/.*\(/, "", line); sub(/\+0x.*/, "", line); sub(/.*\//, "", line); return line }
function is_ours(m) { return m ~ /^lib(nerv|gstnerv)\.so/ || m !~ /\.so/ }
function end_side() {
    if (kind == "race" && in_side && !allocates && side != "" && is_ours(side))
        counts = 1
    if (kind == "race" && in_side && frees && !is_ours(side))
        dropped = 1
    in_side = 0
}
/WARNING: ThreadSanitizer: / { kind = /data race/ ? "race" : "other"; on = 1; counts = dropped = in_side = 0; next }
on && /^  (Write|Read|Atomic|Previous)/ { end_side(); in_side = 1; allocates = frees = 0; side = ""; next }
on && /^SUMMARY/ { end_side(); n += counts && !dropped; all++; on = 0; next }
on && /^$/ { end_side(); next }
on && /^    #/ {
    m = module($0)
    if (kind == "other" && m ~ /^lib(nerv|gstnerv)\.so/)
        counts = 1
    if (!in_side || side != "")
        next
    if (m ~ /^libtsan/ && $2 ~ /^(malloc|calloc|realloc|posix_memalign|aligned_alloc)$/)
        allocates = 1
    if (m ~ /^libtsan/ && $2 == "free")
        frees = 1
    if (m ~ /^(libtsan|libnerv-tsan)/ || $2 ~ /^g_(malloc|free|realloc|try|memdup|strdup|clear)/)
        next
    side = m
}
END { printf "%d %d", n, all }' "$log")
printf '# %s (ours, all) reports of ThreadSanitizer\n' "$ours"
[ "${ours%% *}" -eq 0 ] || exit 66
exit "$status"
