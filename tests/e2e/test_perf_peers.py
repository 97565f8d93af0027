# ci: fetches another mail server and gnuplot, and takes three minutes
# limit: 400
"""perf/run's cases beside a peer, each just once and with few messages: their JSON is whole, no figure is nought; what cannot be
fetched is named; the plots, of every case; and what a case that fails leaves of the others."""
import importlib.machinery
import importlib.util
import json
import os
import re
import sys

from harness import SOURCE, check, check_equal, main, run

PERF = os.path.join(SOURCE, 'perf')
WHO = {'sluice', 'sluice-memif', 'postfix'}
# Nought is as good as any other here: of a lane's layers those that a short load may leave out, or be done with in no time.
MAY_BE_NOUGHT = re.compile(r'failed$|left$|lost$|doubled$|damaged$|refused_|goodput_|unanswered_share$|steered_|sleeps_|user_share$|_bytes_per_connection$|cycles_(rx|tls|rings|timers|tx)_|lane_user_|cycles_idle')
# What a case must have told of each server.
MUST = {'accept-new': 'messages', 'accept-pipelined': 'messages', 'accept-starttls': 'messages', 'accept-bulk': 'messages', 'accept-bulk-tls': 'messages',
        'connect': 'connections', 'reject': 'rejects'}
rows = {}


def perf(*args, ok=(0,), **env):
    return run(os.path.join(PERF, 'run'), *args, ok=ok, timeout=180, env=dict(os.environ, **env))


def well_formed(lab, case):
    path = lab.path(f'{case}.json')
    said = perf('--quick', '--peers', 'postfix', '--json', path, case)
    with open(path) as f:
        rows[case] = [json.loads(line) for line in f]
    check(rows[case], 'no row')
    for row in rows[case]:
        check_equal(sorted(set(row) - {'durable'}), ['case', 'metric', 'unit', 'value', 'who'], 'keys')
        check_equal(row['case'], case, 'case')
        check(isinstance(row['value'], (int, float)) and row['value'] >= 0, f'{row}')
        check(row['value'] > 0 or MAY_BE_NOUGHT.search(row['metric']), f'nought: {row}')
        check(not row['metric'].endswith('failed') or row['value'] == 0, f'{row}: {said[-1500:]}')
    return {(row['who'], row['metric']): row['value'] for row in rows[case]}


def beside_postfix(lab, case):
    got = well_formed(lab, case)
    for who in WHO:
        if who.startswith('sluice'):
            for layer in ('busy', 'conn', 'net_tcp'):
                check((who, f'lane_cycles_{layer}_per_{MUST[case][:-1]}') in got, f'{who} has no cycles of {layer}')
        for metric in (MUST[case] + '_per_s', MUST[case] + '_per_cpu_s', 'p50_us', 'p99_us', 'p999_us'):
            check((who, metric) in got, f'{who} has no {metric}')
    check(('ratio', 'per_cpu_s_to_postfix') in got and ('ratio', 'memif_per_cpu_s_to_postfix') in got, 'no ratio')
    check(all(row['durable'] is True for row in rows[case] if 'durable' in row), 'all of these sync')
    return got


def test_accept_new(lab):
    got = beside_postfix(lab, 'accept-new')
    for who in ('sluice', 'sluice-memif'):
        half = {metric.removeprefix('half_load_'): value for (w, metric), value in got.items() if w == who and metric.startswith('half_load_')}
        check(half['commit_p50_us'] <= half['commit_p99_us'] and half['store_p50_us'] <= half['store_p99_us'], f'{who} at half load: {half}')
        check(abs(half['per_s'] - got[who, 'messages_per_s'] / 2) <= 1, f'{who}: half of {got[who, "messages_per_s"]}: {half}')
    for link in ('', 'memif_'):
        for what in ('p99_to_disk', 'store_p99_to_disk'):
            check(got['ratio', f'half_load_{link}{what}'] > 0, f'half_load_{link}{what}')


def test_accept_pipelined(lab):
    beside_postfix(lab, 'accept-pipelined')


def test_accept_starttls(lab):
    beside_postfix(lab, 'accept-starttls')


def test_accept_bulk(lab):
    beside_postfix(lab, 'accept-bulk')


def test_accept_bulk_tls(lab):
    beside_postfix(lab, 'accept-bulk-tls')


def test_connect(lab):
    beside_postfix(lab, 'connect')


def test_reject(lab):
    beside_postfix(lab, 'reject')


def test_idle(lab):
    got = well_formed(lab, 'idle')
    check(got['postfix', 'held_pss_bytes_per_connection'] > got['sluice', 'held_pss_bytes_per_connection'], f'{got}')


def test_scale(lab):
    got = well_formed(lab, 'scale')
    for who in ('sluice', 'sluice-memif-1cpu'):
        check(('ratio', f'{who}_cycles_2_to_1') in got, f'{got}')
        check((who, 'lanes_2_cycles_conn_per_message') in got, f'{who} has no cycles of a layer')
    # a lane of the client has the queue of a lane of the gateway's
    check_equal(got['sluice-memif-1cpu', 'lanes_2_steered_per_message'], 0, 'frames on the wrong lane')
    check(got['postfix', 'cpus_1_messages_per_cpu_s'] > 0 and got['ratio', 'postfix_cpu_per_message_2_to_1'] > 0, f'{got}')


def test_relay(lab):
    got = well_formed(lab, 'relay')
    for who in WHO:
        for metric in ('messages_per_s', 'messages_per_cpu_s', 'p50_us', 'p99_us', 'p999_us'):
            check((who, metric) in got, f'{who} has no {metric}')
        check_equal([got[who, metric] for metric in ('lost', 'doubled', 'damaged')], [0, 0, 0], f'{who}: lost, doubled, damaged')
        check(got[who, 'acked'] > 0, f'{who} has accepted none')
        check(not who.startswith('sluice') or (who, 'lane_cycles_conn_per_message') in got, f'{who} has no cycles of a layer')
    check(('ratio', 'memif_per_cpu_s_to_postfix') in got and ('ratio', 'memif_share_of_disk') in got, 'no ratio')


def test_overload(lab):
    got = well_formed(lab, 'overload')
    for who in WHO:
        for metric in ('peak_messages_per_s', 'offered_share', 'goodput_share', 'refused_share'):
            check((who, metric) in got, f'{who} has no {metric}')
    for who in ('sluice', 'sluice-memif'):
        check(got[who, 'kept'] >= got[who, 'acknowledged'] > 0 and got[who, 'lost'] == 0, f'{who}: {got}')


def test_plots(lab):
    """One picture for each case, from the rows of this run."""
    path, folder = lab.path('all.json'), lab.path('plots')
    with open(path, 'w') as f:
        f.writelines(json.dumps(row) + '\n' for case in rows for row in rows[case])
    run(os.path.join(PERF, 'plot'), path, folder, timeout=120)
    check_equal(sorted(os.listdir(folder)), sorted(f'{case}.svg' for case in rows), 'pictures')
    for name in os.listdir(folder):
        with open(os.path.join(folder, name)) as f:
            text = f.read()
        check(text.rstrip().endswith('</svg>') and ('idle' in name or 'scale' in name or 'postfix' in text), f'{name} is no whole picture')
    said = run(os.path.join(PERF, 'plot'), '--table', path)
    for case in rows:
        check(f'`{case}`' in said, f'no table of {case}: {said[:300]}')
    said = run(os.path.join(PERF, 'plot'), lab.path('none.json'), ok=(1,))
    check('none.json' in said and 'Traceback' not in said, said)


def perf_run():
    """perf/run as a module."""
    loader = importlib.machinery.SourceFileLoader('perf_run', os.path.join(PERF, 'run'))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader('perf_run', loader))
    loader.exec_module(module)
    return module


def made_up(case):
    """Rows such as those of the cases of several kinds, by no rule that the plots know; and one of nought."""
    for metric, value, unit in (('memif_messages_per_cpu_s', 25600, '/s'), ('single_messages_per_s', 3, '/s'), ('p99_us', 8000.5, 'us'),
                                ('messages_per_cpu_s', 9000, '/s'), ('lost', 0, 'messages'), ('share', 0.25, '')):
        yield {'case': case, 'who': 'sluice', 'metric': metric, 'value': value, 'unit': unit}


def test_every_case_is_drawn(lab):
    """Each figure of each case of perf/run, whatever it is called, is in a picture and in a table."""
    cases, path, folder = list(perf_run().CASES), lab.path('made_up.json'), lab.path('made_up')
    check(len(cases) > 15 and 'relay' in cases, f'{cases}')
    for names in (cases, ['blast']):
        with open(path, 'w') as f:
            f.writelines(json.dumps(row) + '\n' for case in names for row in made_up(case))
        run(os.path.join(PERF, 'plot'), path, folder, timeout=120)
        check_equal(sorted(os.listdir(folder)), sorted(f'{case}.svg' for case in names), 'pictures')
        table = run(os.path.join(PERF, 'plot'), '--table', path)
        for case in names:
            check(f'`{case}`' in table, f'no table of {case}')
            with open(os.path.join(folder, f'{case}.svg')) as f:
                text = f.read()
            os.remove(f.name)
            for row in made_up(case):
                check(f'>{row["metric"]}<' in text and f'>{row["value"]:g}<' in text, f'{case}: {row} is not drawn')
            bars = text.count('<polygon')
            check(bars >= sum(row['value'] > 0 for row in made_up(case)), f'{case}: {bars} bars')


FAILING = """
import sys
sys.path.insert(0, sys.argv[1])
import test_perf_peers
perf_run = test_perf_peers.perf_run()
import harness
def failed(lab, table):
    table.add('first', 'before', 1, 'rows')
    raise harness.Failed('made to fail')
def wrong(lab, table):
    return {}['no such key']
def well(lab, table):
    table.add('third', 'behind', 2, 'rows')
perf_run.CASES = {'first': failed, 'second': wrong, 'third': well}
sys.argv[1:] = sys.argv[2:]
perf_run.main()
"""


def test_a_case_that_fails(lab):
    """It is named, what it has measured and all behind it stay, and the status tells."""
    path, folder = lab.path('failing.json'), lab.path('failing')
    said = run(sys.executable, '-c', FAILING, os.path.join(SOURCE, 'tests/e2e'), '--json', path, '--plot', folder, ok=(1,))
    check('perf/run: first: made to fail\n' in said and "KeyError: 'no such key'" in said, said)
    check('perf/run: failed: first second (' in said, said)
    with open(path) as f:
        check_equal([json.loads(line)['case'] for line in f], ['first', 'third'], 'rows')
    check_equal(sorted(os.listdir(folder)), ['first.svg', 'third.svg'], 'pictures')


def test_what_is_missing(lab):
    """A line for each peer that cannot be had, with its reason, and the rest goes on."""
    script = f'import sys; sys.path.insert(0, {PERF!r}); import packages; packages.ROOTS = {lab.path("none")!r}; print(packages.fetch_all())'
    said = run(sys.executable, '-c', script, env={'PATH': lab.path('nothing')})
    for name in ('postfix', 'exim', 'opensmtpd', 'haraka'):
        check(re.search(rf'^peer {name}: not installed: \S', said, re.M), said)
    check(said.endswith('[]\n'), said)
    check_equal(os.listdir(lab.path('none')), [], 'left behind')


def test_words(lab):
    for args, want in ((['--peers', 'qmail', 'connect'], 'no peer qmail'), (['nonesuch'], 'no case nonesuch'), (['--json'], '--json wants a value')):
        said = perf(*args, ok=(1,))
        check(want in said and 'Traceback' not in said, said)


if __name__ == '__main__':
    sys.path.insert(0, PERF)
    import packages
    packages.fetch_all(('postfix', 'gnuplot'))  # here, as the namespace of the cases has no way out
    main()
