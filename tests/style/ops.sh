#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Every op has all that an op has: src/ops/foo.c comes with shaders/foo.comp unless it is a view, a case in
# tests/checkop, its place in the two lists, and a heading in docs/ops.md. Prints what is missing.
cd "$NERV_SOURCE" || exit 1
missing=0
miss() {
    echo "$*"
    missing=$((missing + 1))
}
n=0
for file in src/ops/*.c; do
    op=$(basename "$file" .c)
    # Files that define no op of that name hold what several ops share.
    grep -q "const NervOp nerv_op_$op\b" "$file" || continue
    n=$((n + 1))
    if ! grep -q 'is_view *= *true' "$file"; then
        [ -e "shaders/$op.comp" ] || miss "$op: no shaders/$op.comp"
    fi
    [ -e "tests/checkop/$op.c" ] || miss "$op: no case tests/checkop/$op.c"
    [ "$(grep -c "nerv_op_$op\b" src/ops/ops.c)" -ge 2 ] || miss "$op: not declared and listed in src/ops/ops.c"
    grep -qE "^#+ .*\b$op\b|^\| *\`$op\`" docs/ops.md || miss "$op: not in docs/ops.md"
done
if [ "$n" -lt 20 ]; then
    miss "only $n ops were found under src/ops"
fi
echo "$n ops, $missing things missing"
[ "$missing" -eq 0 ]
