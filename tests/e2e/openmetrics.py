"""A strict reader of what Prometheus reads: its own text form (0.0.4) and OpenMetrics 1.0. Stricter than either in what a form leaves
open: each metric has HELP and TYPE before its samples, which stand together; labels of a metric's samples are told apart."""
import re

NAME = r'[a-zA-Z_:][a-zA-Z0-9_:]*'
SAMPLE = re.compile(rf'({NAME})(\{{(.*)\}})? (\S+)$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
NUMBER = re.compile(r'(\+Inf|NaN|-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?)$')
UNITS = ('seconds', 'bytes', 'packets', 'records')


class Bad(AssertionError):
    pass


def need(fact, why):
    if not fact:
        raise Bad(why)


def labels_of(text):
    found, at = {}, 0
    while text and at < len(text):
        match = LABEL.match(text, at)
        need(match, f'labels {text!r}')
        need(match[1] not in found, f'label {match[1]} twice in {text!r}')
        found[match[1]] = match[2]
        need(match[3] or match.end() == len(text), f'labels {text!r}')
        at = match.end()
    return found


class Metric:
    def __init__(self, name):
        self.name, self.type, self.help, self.unit, self.samples = name, None, None, None, {}


def check_histogram(metric):
    series = {}
    for (name, labels), value in metric.samples.items():
        rest = tuple((k, v) for k, v in labels if k != 'le')
        series.setdefault(rest, []).append((name[len(metric.name):], dict(labels).get('le'), value))
    for labels, values in series.items():
        buckets = [(float(le), value) for suffix, le, value in values if suffix == '_bucket']
        need(buckets == sorted(buckets) and len({le for le, _ in buckets}) == len(buckets), f'{metric.name}{labels}: bounds in order')
        need([v for _, v in buckets] == sorted(v for _, v in buckets), f'{metric.name}{labels}: counts that fall')
        need(buckets and buckets[-1][0] == float('inf'), f'{metric.name}{labels}: no +Inf')
        count = [value for suffix, _, value in values if suffix == '_count']
        total = [value for suffix, _, value in values if suffix == '_sum']
        need(count == [buckets[-1][1]] and len(total) == 1, f'{metric.name}{labels}: count and sum')
        need((count[0] == 0) == (total[0] == 0), f'{metric.name}{labels}: count {count}, sum {total}')


def parse(text, openmetrics):
    """The metrics by name; raises Bad."""
    need(text.endswith('\n') and '\r' not in text, 'lines end with LF')
    lines = text[:-1].split('\n')
    if openmetrics:
        need(lines.pop() == '# EOF', 'no # EOF at the end')
    need('# EOF' not in lines or not openmetrics, '# EOF amid the text')
    found, current = {}, None
    for line in lines:
        need(line, 'an empty line')
        if line[0] == '#':
            what, name, rest = re.match(rf'# (HELP|TYPE|UNIT) ({NAME}) (.*)$', line).groups()
            if current is None or current.name != name:
                need(name not in found, f'{name} begins twice')
                current = found[name] = Metric(name)
            need(not current.samples, f'{line}: behind samples')
            field = what.lower()
            need(getattr(current, field) is None, f'{line}: twice')
            need(rest.strip() == rest and rest, f'{line}: empty')
            setattr(current, field, rest)
            continue
        match = SAMPLE.match(line)
        need(match and NUMBER.match(match[4]), f'{line!r} is no sample')
        need(current is not None and current.type and current.help, f'{line}: no TYPE and HELP before it')
        suffixes = {'counter': ('_total',) if openmetrics else ('',), 'gauge': ('',), 'histogram': ('_bucket', '_sum', '_count')}
        need(match[1] in [current.name + s for s in suffixes[current.type]], f'{line}: not of {current.name}, a {current.type}')
        labels = labels_of(match[3])
        need(('le' in labels) == match[1].endswith('_bucket'), f'{line}: le')
        key = (match[1], tuple(sorted(labels.items())))
        need(key not in current.samples, f'{line}: twice')
        value = float(match[4])
        need(value >= 0, f'{line}: negative')
        current.samples[key] = value
    for metric in found.values():
        need(metric.samples, f'{metric.name} has no samples')
        need(metric.type != 'counter' or openmetrics or metric.name.endswith('_total'), f'{metric.name}: a counter without _total')
        need(metric.type != 'gauge' or not metric.name.endswith('_total'), f'{metric.name}: a gauge with _total')
        need(metric.unit is None or (metric.unit in UNITS and metric.name.endswith('_' + metric.unit)), f'{metric.name}: unit {metric.unit}')
        keys = {tuple(k for k, _ in labels if k not in ('lane', 'thread', 'le')) for _, labels in metric.samples}
        need(len(keys) == 1, f'{metric.name}: labels {keys}')
        if metric.type == 'histogram':
            check_histogram(metric)
    return found
