#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Every op has all that an op has: a shader of its file's name unless it is a view, a case in tests/checkop, its place in
# the list of ops, and a row in docs/ops.md, which has no row for an op that does not exist. Prints what is missing.
cd "$NERV_SOURCE" || exit 1
missing=0
miss() {
    echo "$*"
    missing=$((missing + 1))
}

n=0
for file in src/ops/*.c; do
    stem=$(basename "$file" .c)
    # A file that defines no op holds what several share.
    grep -q '^const NervOp nerv_op_' "$file" || continue
    if ! grep -q 'is_view *= *true' "$file"; then
        [ -e "shaders/$stem.comp" ] || miss "$stem: no shaders/$stem.comp"
    fi
    [ -e "tests/checkop/$stem.c" ] || miss "$stem: no case tests/checkop/$stem.c"
    for op in $(sed -n 's/^const NervOp nerv_op_\([a-z0-9_]*\) = .*/\1/p' "$file"); do
        n=$((n + 1))
        grep -q "&nerv_op_$op," src/ops/ops.c || miss "$op: not in src/ops/ops.c"
        grep -q "^| \`$op\` |" docs/ops.md || miss "$op: no row in docs/ops.md"
    done
done
for op in $(sed -n 's/^| `\([a-z0-9_]*\)` |.*/\1/p' docs/ops.md); do
    grep -q "nerv_op_$op\b" src/ops/ops.c || miss "$op: a row in docs/ops.md, but no op"
done
[ "$n" -ge 20 ] || miss "only $n ops were found under src/ops"
echo "$n ops, $missing things missing"
[ "$missing" -eq 0 ]
