# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Compiles one compute shader to a C file that holds its SPIR-V as uint32_t words. glslangValidator has no switch
# that turns warnings into errors, so its output is read here: any warning fails the build. Also rewrites the
# compiler's dependency file so that it names the C file, which is what the build system waits for.
#
#   compile.py GLSLANG IN.comp STEM OUT.c OUT.d INCLUDE_DIR [DEFINE...]
# STEM is IN's own, with _VARIANT behind it where DEFINEs make a variant. The C file also says, as a mask, which bindings
# are declared with NERV_VALUE_IN or NERV_VALUE_OUT (lib/common.glsl).
import re
import struct
import subprocess
import sys
import os


def value_bindings(files):
    mask = 0
    for name in files:
        with open(name) as f:
            for binding in re.findall(r'^NERV_VALUE_(?:IN|OUT)\((\d+),', f.read(), re.M):
                mask |= 1 << int(binding)
    return mask


def main():
    glslang, source, stem, out, depfile, include = sys.argv[1:7]
    spirv = out + '.spv'
    run = subprocess.run([glslang, '-V', '--target-env', 'vulkan1.2', '-I' + include, '--depfile', depfile] +
                         ['-D' + define for define in sys.argv[7:]] + ['-o', spirv, source],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if run.returncode != 0 or 'WARNING' in run.stdout:
        # Errors read "ERROR: file:line: ..." ; an editor wants "file:line: ...".
        sys.stderr.write(run.stdout.replace('ERROR: ', '').replace('WARNING: ', 'warning (counts as an error): '))
        sys.exit(1)

    with open(depfile) as f:
        deps = f.read().split(':', 1)[1].split()
    with open(depfile, 'w') as f:
        f.write(out + ': ' + ' '.join(deps) + '\n')

    with open(spirv, 'rb') as f:
        data = f.read()
    os.remove(spirv)
    words = struct.unpack('<%dI' % (len(data) // 4), data)
    lines = []
    for i in range(0, len(words), 8):
        lines.append('    ' + ', '.join('0x%08x' % w for w in words[i:i + 8]) + ',')
    with open(out, 'w') as f:
        f.write('/* Made from %s by shaders/compile.py. */\n' % os.path.basename(source))
        f.write('#include "vulkan/shader.h"\n\n')
        f.write('const uint32_t nerv_spirv_%s[%d] = {\n%s\n};\n' % (stem, len(words), '\n'.join(lines)))
        f.write('const uint32_t nerv_spirv_%s_words = %d;\n' % (stem, len(words)))
        f.write('const uint32_t nerv_spirv_%s_values = 0x%x;\n' % (stem, value_bindings(set(deps + [source]))))


main()
