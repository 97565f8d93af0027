#!/usr/bin/env python3
"""embed.py OUT FILE...: the files as rows of web_files (web_files.h), for the program to serve."""
import os
import sys

TYPES = {'html': 'text/html', 'css': 'text/css', 'js': 'text/javascript', 'svg': 'image/svg+xml'}
rows = []
with open(sys.argv[1], 'w') as out:
    out.write('#include "web_files.h"\n')
    for number, path in enumerate(sys.argv[2:]):
        with open(path, 'rb') as f:
            data = f.read()
        name = os.path.basename(path)
        where = '/' if name == 'index.html' else '/' + name
        out.write(f'\nstatic const unsigned char file_{number}[] = {{\n')
        for at in range(0, len(data), 24):
            out.write('    ' + ','.join(map(str, data[at:at + 24])) + ',\n')
        out.write('};\n')
        rows.append(f'    {{"{where}", "{TYPES[name.rsplit(".", 1)[1]]}; charset=utf-8", file_{number}, sizeof(file_{number})}},\n')
    out.write('\nconst struct web_file web_files[] = {\n' + ''.join(rows) + '    {0, 0, 0, 0},\n};\n')
