"""One SVG for each case, by gnuplot: messages a CPU second and a second by who, and percentiles of latency; of a case that is of
another kind each figure as a bar, those of a unit side by side."""
import math
import os
import re
import shutil
import subprocess

import packages

COLORS = ('#3366aa', '#88aadd')


def gnuplot():
    """The machine's, or Debian's package unpacked beside the peers: (program, its environment)."""
    found = shutil.which('gnuplot')
    if found:
        return found, dict(os.environ)
    packages.fetch('gnuplot')  # nothing, when it is here
    root = packages.root('gnuplot')
    return os.path.join(root, 'usr/bin/gnuplot-nox'), dict(os.environ, LD_LIBRARY_PATH=os.path.join(root, 'usr/lib/x86_64-linux-gnu'))


def compared(rows):
    """The cases that are the same load for each who, in rounds."""
    return {row['case'] for row in rows if re.fullmatch(r'(ram_)?(messages|connections|rejects)_per_cpu_s_min', row['metric'])}


def series(rows, ending):
    """Of these, by case and prefix (ram_ or none): who and the value of the metric that ends so."""
    found, cases = {}, compared(rows)
    for row in rows:
        if row['case'] not in cases:
            continue
        name = re.fullmatch(rf'(ram_)?(messages|connections|rejects)_{ending}', row['metric'])
        if name and row['value'] > 0:
            found.setdefault((row['case'], name.group(1) or ''), {})[row['who']] = row['value']
    return found


def latencies(rows, case, prefix):
    found = {}
    for row in rows:
        name = re.fullmatch(rf'{prefix}(p50|p99|p999)_us', row['metric'])
        if name and row['case'] == case and row['value'] > 0:
            found.setdefault(row['who'], {})[name.group(1)] = row['value']
    return found


def durability(rows):
    """By case and who, where it matters."""
    return {(row['case'], row['who']): row['durable'] for row in rows if 'durable' in row}


def block(name, lines):
    return [f'${name} << EOD', *lines, 'EOD']


def script(case, prefix, cpu, per_s, late, durable, path):
    """Bars of three kinds from data that is part of the script."""
    order = sorted(cpu, key=lambda who: -cpu[who])
    label = {who: who + ('' if durable.get((case, who), True) else '\\n(no sync)') for who in order}
    out = [f'set terminal svg size 900,900 font "sans,13" background "white"', f'set output "{path}"',
           'set style data histograms', 'set style fill solid 0.9 border -1', 'set boxwidth 0.85', 'set logscale y', 'set grid ytics',
           'set key outside top right horizontal', 'set xtics scale 0', 'set bmargin 3',
           f'set multiplot layout 2,1 title "{case}{" (spool in memory)" if prefix else ""}"']
    out += block('rate', [f'"{label[who]}" {cpu[who]} {per_s.get(who, cpu[who])}' for who in order])
    out += ['set ylabel "a second (log)"', 'set yrange [1:*]',
            f'plot $rate using 2:xtic(1) title "for each CPU second" lc rgb "{COLORS[0]}", $rate using 3 title "in all" lc rgb "{COLORS[1]}"']
    lines = [f'"{label[who]}" ' + ' '.join(str(late[who].get(p, 'NaN')) for p in ('p50', 'p99', 'p999')) for who in order if who in late]
    out += block('late', lines) + ['set ylabel "us (log)"',
                                   'plot $late using 2:xtic(1) title "p50", $late using 3 title "p99", $late using 4 title "p999"']
    return '\n'.join(out + ['unset multiplot', ''])


def bars(case, values, unit, path):
    """A case without rates: one kind of bars."""
    lines = [f'"{who}" {value}' for who, value in sorted(values.items(), key=lambda item: item[1])]
    return '\n'.join([f'set terminal svg size 900,450 font "sans,13" background "white"', f'set output "{path}"', f'set title "{case}"',
                      'set style data histograms', 'set style fill solid 0.9 border -1', 'set boxwidth 0.85', 'set logscale y', 'set grid ytics',
                      'set xtics scale 0', f'set ylabel "{unit} (log)"', *block('data', lines),
                      f'plot $data using 2:xtic(1) notitle lc rgb "{COLORS[0]}"', ''])


BAR_PX, PANEL_PX = 18, 70
WIDE = 50  # a unit's least and greatest value so far apart have a logarithmic axis


def panel(number, unit, values, top, total):
    """Bars from top to bottom, in the order of the rows; top and total, of the picture, in pixels."""
    ends = [f'{(total - y) / total:.9f}' for y in (top + PANEL_PX / 2, top + PANEL_PX / 2 + BAR_PX * len(values))]
    positive = [value for _, value in values if value > 0]
    log = len(positive) > 0 and max(positive) / min(positive) > WIDE
    least = 10 ** math.floor(math.log10(min(positive)) - 0.1) if log else 0
    most = max(positive, default=1)
    # Room for the number behind the longest bar.
    right = most * (most / least) ** 0.15 if log else most * 1.15
    lines = [f'{n} {max(value, least):.9g} "{label}" "{value:.6g}"' for n, (label, value) in enumerate(values)]
    return [*block(f'panel{number}', lines), f'set tmargin at screen {ends[0]}', f'set bmargin at screen {ends[1]}',
            f'{"" if log else "un"}set logscale x', f'set xrange [{least:.9g}:{right:.9g}]', f'set yrange [{len(values) - 0.4}:-0.6]',
            f'set title "{unit or "number"}{" (log)" if log else ""}"',
            f'plot $panel{number} using 2:1:({least:.9g}):2:($1-0.35):($1+0.35):ytic(3) with boxxyerror lc rgb "{COLORS[0]}", '
            f'$panel{number} using 2:1:4 with labels left offset 0.5,0']


def plain(case, rows, path):
    """Any case: a panel of bars for each unit."""
    units, several = {}, len({row['who'] for row in rows}) > 1
    for row in rows:
        label = f'{row["metric"]}, {row["who"]}' if several else row['metric']
        units.setdefault(row['unit'], []).append((label, row['value']))
    top = 40
    total = top + sum(BAR_PX * len(values) + PANEL_PX for values in units.values())
    out = [f'set terminal svg size 1000,{total} font "sans,12" noenhanced background "white"', f'set output "{path}"',
           'set style fill solid 0.9 border -1', 'set grid xtics', 'set ytics scale 0', 'unset key', 'set lmargin at screen 0.42', 'set rmargin at screen 0.97',
           f'set multiplot title "{case}"']
    for number, (unit, values) in enumerate(units.items()):
        out += panel(number, unit, values, top, total)
        top += BAR_PX * len(values) + PANEL_PX
    return '\n'.join(out + ['unset multiplot', ''])


def scripts(rows, folder):
    """(path, gnuplot's commands) for a picture of each case; two, where it has figures of two disks."""
    drawn = set()
    for case, path, text in special(rows, folder):
        drawn.add(case)
        yield path, text
    for case in dict.fromkeys(row['case'] for row in rows if row['case'] not in drawn):
        path = os.path.join(folder, f'{case}.svg')
        yield path, plain(case, [row for row in rows if row['case'] == case], path)


def special(rows, folder):
    """(case, path, gnuplot's commands) of the cases that have a picture of their kind, where the rows allow it."""
    per_s = series(rows, 'per_s')
    durable = durability(rows)
    for (case, prefix), cpu in sorted(series(rows, 'per_cpu_s').items()):
        path = os.path.join(folder, f'{prefix}{case}.svg')
        yield case, path, script(case, prefix, cpu, per_s.get((case, prefix), {}), latencies(rows, case, prefix), durable, path)
    held = {}
    for row in rows:
        if row['case'] == 'idle' and row['metric'] in ('held_pss_bytes_per_connection', 'held_kernel_bytes_per_connection'):
            held[row['who']] = held.get(row['who'], 0) + row['value']
    if held:
        path = os.path.join(folder, 'idle.svg')
        yield 'idle', path, bars('idle: a held connection, PSS and kernel', {who: max(1, n) for who, n in held.items()}, 'bytes', path)
    lanes = {row['metric'][6:7] + ' lanes': row['value'] for row in rows if row['case'] == 'scale' and re.fullmatch(r'lanes_\d_cycles_per_message', row['metric'])}
    if lanes:
        path = os.path.join(folder, 'scale.svg')
        yield 'scale', path, bars('scale', lanes, 'cycles a message', path)


def draw(rows, folder):
    """Draws what there is; the paths."""
    os.makedirs(folder, exist_ok=True)
    program, environment = gnuplot()
    paths = []
    for path, text in scripts(rows, folder):
        done = subprocess.run([program], input=text, capture_output=True, text=True, timeout=60, env=environment)
        if done.returncode != 0 or not os.path.exists(path):
            raise packages.Missing(f'gnuplot: {path}: {done.stderr.strip()[-300:]}')
        print(f'drawn: {path}', flush=True)
        paths.append(path)
    return paths
