"""What perf/run --json has written, as tables for README.md: one for each case, on each disk."""
import re

from plots import compared, durability, latencies, series

MORE = re.compile('share_of|half_load|cycles|gbit')
HEAD = ('who', 'syncs', 'a second', 'a CPU second', '`sluice` by it', '`sluice-memif` by it', 'p50, p99, p999 ms')
HELD = ('held_connections', 'held_pss_bytes_per_connection', 'held_kernel_bytes_per_connection', 'held_pss_before', 'held_processes')


def short(value):
    return f'{value:,.0f}' if value >= 100 else f'{value:.3g}'


def lookup(rows, case):
    return {(row['who'], row['metric']): row['value'] for row in rows if row['case'] == case}


def one(rows, case, prefix, per_cpu_s):
    found, per_s, late, durable = lookup(rows, case), series(rows, 'per_s')[case, prefix], latencies(rows, case, prefix), durability(rows)
    units = next(u for u in ('messages', 'connections', 'rejects') if any(m.startswith(f'{prefix}{u}_per') for _, m in found))
    yield f'`{case}`{", spool and queues in memory" if prefix else ""}:'
    yield ''
    yield '| ' + ' | '.join(HEAD) + ' |'
    yield '|' + '---|' * len(HEAD)
    for who in per_cpu_s:
        low, high = (found[who, f'{prefix}{units}_per_cpu_s_{end}'] for end in ('min', 'max'))
        ratios = [found.get(('ratio', f'{prefix}{kind}per_cpu_s_to_{who}')) for kind in ('', 'memif_')]
        yield '| ' + ' | '.join([who, {True: 'yes', False: 'no', None: ''}[durable.get((case, who))], short(per_s[who]),
                                 f'{short(per_cpu_s[who])} ({short(low)}-{short(high)})', *('' if r is None else short(r) for r in ratios),
                                 ', '.join(short(late[who][p] / 1000) for p in ('p50', 'p99', 'p999'))]) + ' |'
    yield ''
    others = {}
    for (who, metric), value in found.items():
        if metric.startswith('ram_') == bool(prefix) and (who == 'limit' or MORE.search(metric)):
            others.setdefault(who, []).append(f'`{metric.removeprefix(prefix)}` {short(value)}')
    if others:
        yield '; '.join(f'{who}: {", ".join(said)}' for who, said in others.items()) + '.'
        yield ''


def plain(rows, case):
    """A case that is of no kind that has a table of its own: who by who; limits and ratios below."""
    found = {(row['who'], row['metric']): row for row in rows if row['case'] == case}
    beside = ('ratio', 'limit')
    whos = list(dict.fromkeys(who for who, _ in found if who not in beside))
    yield from (f'`{case}`:', '', '| metric | ' + ' | '.join(whos) + ' | unit |', '|---|' + '---|' * (len(whos) + 1))
    for metric, unit in {metric: row['unit'] for (who, metric), row in found.items() if who not in beside}.items():
        values = [short(found[who, metric]['value']) if (who, metric) in found else '' for who in whos]
        yield f'| `{metric}` | ' + ' | '.join(values) + f' | {unit} |'
    yield ''
    said = [f'{who} `{metric}` {short(row["value"])} {row["unit"]}' for (who, metric), row in found.items() if who in beside]
    if said:
        yield '; '.join(said) + '.'
        yield ''


def markdown(rows):
    for (case, prefix), per_cpu_s in series(rows, 'per_cpu_s').items():
        yield from one(rows, case, prefix, per_cpu_s)
    held = {key: value for key, value in lookup(rows, 'idle').items() if key[1] in HELD}
    if held:
        yield from ('`idle`, connections that are held:', '', '| who | connections | PSS of each | kernel memory of each | PSS before | processes |', '|---|---|---|---|---|---|')
        for who in dict.fromkeys(who for who, _ in held):
            yield '| ' + ' | '.join([who, *(short(held[who, m]) if (who, m) in held else '' for m in HELD)]) + ' |'
        yield ''
    cases = compared(rows)
    rest = [row for row in rows if row['case'] not in cases and not (row['case'] == 'idle' and row['metric'] in HELD)]
    for case in dict.fromkeys(row['case'] for row in rest):
        yield from plain(rest, case)
