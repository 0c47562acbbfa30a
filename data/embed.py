# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Writes files as one C source, for src/codec/builtin.c.
#
#   embed.py OUT.c FILE...
import os
import sys


def main():
    with open(sys.argv[1], 'w') as f:
        f.write('/* Made by data/embed.py from the files in data/. */\n#include "codec/builtin.h"\n\n')
        entries = []
        for i, path in enumerate(sys.argv[2:]):
            data = open(path, 'rb').read()
            f.write('static const uint8_t file%d[] = {\n' % i)
            for at in range(0, len(data), 20):
                f.write('    ' + ', '.join('%d' % b for b in data[at:at + 20]) + ',\n')
            f.write('};\n\n')
            name = os.path.splitext(os.path.basename(path))[0]
            entries.append('    { "%s", file%d, sizeof(file%d) },\n' % (name, i, i))
        f.write('const NervBuiltinFile nerv_builtin_files[] = {\n%s};\n' % ''.join(entries))
        f.write('const uint32_t nerv_n_builtin_files = %d;\n' % len(entries))


main()
