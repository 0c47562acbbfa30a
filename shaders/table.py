# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Writes the table of all compiled shaders, sorted by stem, that nerv_shader_find() searches.
#
#   table.py OUT.c STEM...
# With --check DIR instead of OUT.c: fails if DIR holds a shader that the list leaves out.
import os
import sys


def check(directory, stems):
    files = set(f[:-len('.comp')] for f in os.listdir(directory) if f.endswith('.comp'))
    left_out = sorted(files - set(stems))
    for stem in left_out:
        sys.stderr.write('shaders/%s.comp is not listed in shaders/meson.build\n' % stem)
    sys.exit(1 if left_out else 0)


def main():
    if sys.argv[1] == '--check':
        check(sys.argv[2], sys.argv[3:])
    out = sys.argv[1]
    stems = sorted(sys.argv[2:])
    with open(out, 'w') as f:
        f.write('/* Made by shaders/table.py from the list in shaders/meson.build. */\n')
        f.write('#include "vulkan/shader.h"\n\n')
        for stem in stems:
            f.write('extern const uint32_t nerv_spirv_%s[];\nextern const uint32_t nerv_spirv_%s_words, nerv_spirv_%s_values;\n' %
                    (stem, stem, stem))
        f.write('\nconst NervShader nerv_shaders[] = {\n')
        for stem in stems:
            f.write('    { "%s", nerv_spirv_%s, &nerv_spirv_%s_words, &nerv_spirv_%s_values },\n' %
                    (stem, stem, stem, stem))
        f.write('    { NULL, NULL, NULL, NULL },\n};\n')
        f.write('const uint32_t nerv_n_shaders = %d;\n' % len(stems))


main()
