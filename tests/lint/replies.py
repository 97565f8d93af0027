"""sluice-replies(7) is whole: what the code can say to a client, of a delivery, at the end of a session and as the name of a
line of the log has an entry there, and no entry is of something that the code does not say. An entry's "..." stands for what
is filled in at run time. Words that are chosen elsewhere (a variable in place of a text) are asked for by their code."""
import re

import lint

PAGE = lint.SOURCE / 'conf/man/sluice-replies.7'
findings = []

# ---- the code's texts ----

STRINGS = r'(?:[A-Z]+ +)?(?:"(?:[^"\\]|\\.)*"\s*)+'
CODED = re.compile(r'(?<![\w.])([245]\d\d)\s*,\s*(?:"(\d\.\d+\.\d+)"|(NULL))\s*,\s*(?:(' + STRINGS + r')|(\w+))')
VERDICT = re.compile(r'ROW\(\w+, ([245]\d\d), "(\d\.\d+\.\d+)", "\w+",\s*(' + STRINGS + r'|[A-Z]+)\)')
PLAIN = re.compile(r'"([245]\d\d) (\d\.\d+\.\d+) ([^"\\]+)(?:\\r\\n)?"')
CLASSED = re.compile(r'"([45]\.\d+\.\d+)"\s*,\s*(' + STRINGS + ')')
WRITE_421 = re.compile(r'write_421\(s, "(4\.\d+\.\d+)", (' + STRINGS + r')')
FIELDS = re.compile(r'\.code = (\w+),\s*\.enhanced = "(\d\.\d+\.\d+)",\s*\.text = (' + STRINGS + ')')
SERVER = ['smtp_internal.h', 'smtp_server.c', 'smtp_server_auth.c', 'smtp_server_body.c', 'smtp_server_chunk.c', 'smtp_server_command.c',
          'smtp_server_params.c', 'smtp_server_refusal.c', 'smtp_server_xclient.c', 'policy.c', 'client_limits.c', 'client_lists.c',
          'conn_auth.c', 'conn_greet.c', 'conn_in.c', 'conn_kick.c', 'conn_message.c', 'conn_rcpt.c', 'conn_xclient.c', 'conn_filter.c',
          'conn_final.c', 'conn_login.c', 'lane.c']
sources = {path: lint.text(path) for path in lint.files('*.c', '*.h') if not lint.name(path).startswith('lib/conf')}


def words(literal, text):
    """The text that pieces of C make, "..." for what is filled in."""
    pieces = []
    for macro, piece in re.findall(r'\b([A-Z]{3,})\b(?=[^"]*(?:"|$))|"((?:[^"\\]|\\.)*)"', literal):
        if macro:
            defined = re.search(rf'#define {macro}\s+"([^"]*)"', text)
            pieces.append(defined.group(1) if defined else '')
        else:
            pieces.append(piece)
    said = ''.join(pieces).replace('\\"', '"').replace('\\r\\n', '')
    return filled(said)


def filled(said):
    said = re.sub(r'%[-+0-9.*]*(?:ll|l|z)?[a-z]', '...', said)
    return re.sub(r'(?:\.\.\. ?)*\.\.\.', '...', said).strip()


replies, delivery = set(), set()   # (code and class, text; None: chosen elsewhere)
for path, text in sources.items():
    mine = replies if path.name in SERVER else delivery
    for m in CODED.finditer(text if path.name != 'policy.c' else ''):
        code = m.group(1) + (' ' + m.group(2) if m.group(2) else '')
        if int(m.group(1)) >= 400:
            said = words(m.group(4), text) if m.group(4) else None
            mine.add((code, said.removeprefix(m.group(2) or '').strip() if said else None))
    for m in VERDICT.finditer(text):
        if int(m.group(1)) >= 400:
            replies.add((f'{m.group(1)} {m.group(2)}', words(m.group(3), text)))
    for m in WRITE_421.finditer(text):
        replies.add((f'421 {m.group(1)}', words(m.group(2), text)))
    for m in FIELDS.finditer(text):
        replies.add((f'{m.group(1)} {m.group(2)}', words(m.group(3), text)))
    if path.name in SERVER:
        for m in PLAIN.finditer(text):
            replies.add((f'{m.group(1)} {m.group(2)}', m.group(3)))
    elif path.name.startswith(('courier_plan', 'smtp_client_auth', 'smtp_client_tls', 'courier_source')):
        for m in CLASSED.finditer(text):
            said = words(m.group(2), text)
            delivery.add((m.group(1), said.removeprefix(m.group(1)).strip()))
    if path.name == 'courier_source.c':
        for m in re.finditer(r'->enhanced = "([\d.]+)";\s*snprintf\(why->words, sizeof\(why->words\),\s*(' + STRINGS + ')', text):
            delivery.add((m.group(1), words(m.group(2), text)))
    if path.name == 'tcp_call.c':
        for m in re.finditer(r'case TCP_ERROR_\w+:\s*return "(\w+)"', text):
            delivery.add(('', m.group(1)))
    if path.name == 'lane_stream.c':
        for m in re.finditer(r'return (' + STRINGS + r');', text):
            delivery.add(('', words(m.group(1), text)))

for path, text in sources.items():
    if path.name.startswith('smtp_client') and path.suffix == '.c':
        for m in re.finditer(r'(?:bad_reply|bad)\(c, (?:\w+ \? NULL : )?(' + STRINGS + r')\)', text):
            delivery.add(('', words(m.group(1), text)))
        for m in re.finditer(r'return (' + STRINGS + r');', text):
            if 'server' in m.group(1):
                delivery.add(('', words(m.group(1), text)))
        for m in re.finditer(r'set_reply\(c, 0, "", (' + STRINGS + r')\)', text):
            delivery.add(('', words(m.group(1), text)))
    if path.name.startswith('conn_out') or path.name == 'conn_tls_out.c':
        for m in re.finditer(r'(?:conn_out_give_back|conn_out_fail|lost)\(c,\s*([^;]*)\);', text):
            for said in re.findall(r'"[^"]*"', re.sub(r'TLS handshake failed', '', m.group(1))):
                delivery.add(('', words(said, text)))
    if path.name == 'conn_tls_judge.c':
        for m in re.finditer(r'snprintf\(why, cap, (' + STRINGS + r')', text):
            delivery.add(('', words(m.group(1), text)))
    if path.name == 'conn_tls_out.c':
        for m in re.finditer(r'\[TLS_REASON_\w+\] = "([^"]*)"', text):
            delivery.add(('', m.group(1)))
    if path.name == 'dane_decide.c':
        for m in re.finditer(r'\[DANE_WHY_\w+\] =\s*"([^"]*)"', text):
            delivery.add(('', m.group(1)))

ends = set()
for path, text in sources.items():
    if path.name.startswith(('smtp_server', 'conn', 'lane', 'client_')) and path.suffix == '.c':
        for m in re.finditer(r'(?:smtp_server_close|conn_finish|conn_drop|conn_refuse)\(\w+,\s*(' + STRINGS + r')\)', text):
            ends.add(words(m.group(1), text))
events = set(re.findall(r'^ +X\(\w+, STATS_LOG_\w+, "(\w+)"', lint.text(lint.SOURCE / 'lib/stats/stats_log.h'), re.M))

# ---- the page's ----

section, entries = '', {}
for line in lint.lines(PAGE):
    if line.startswith('.Sh '):
        section = line[4:].strip('"')
    found = re.match(r'\.It Li "((?:[^"]|"")*)"$', line)
    if found:
        entries.setdefault(section, []).append(found.group(1).replace('""', '"').replace('\\&', ''))

# ---- both ways ----

if len(replies) < 80 or len(delivery) < 60 or len(ends) < 25 or len(events) < 35:
    findings.append(f'too little was found in the code: {len(replies)} replies, {len(delivery)} reasons, {len(ends)} ends, {len(events)} events')


def said_somewhere(piece, strings, parts=3):
    """Whether one text has it, or up to three that are put together at blanks."""
    if any(piece in s for s in strings):
        return True
    cuts = [i for i, c in enumerate(piece) if c == ' '] if parts > 1 else []
    return any(any(piece[:i] in s for s in strings) and said_somewhere(piece[i + 1:], strings, parts - 1) for i in cuts if i > 2)


def whole(title, wanted):
    have = entries.get(title, [])
    for coded, said in sorted(wanted, key=str):
        if said is None or said.strip('. ') == '':
            if not any(e == coded or e.startswith(coded + ' ') for e in have):
                findings.append(f'{title} has no {coded} ..., which the code says')
        elif not any(e == f'{coded} {said}'.strip() for e in have):
            findings.append(f'{title} has no {coded} {said}'.replace('  ', ' '))
    strings = {filled(words(m.group(0), text)) for text in sources.values() for m in re.finditer(STRINGS, text)}
    codes = {coded for coded, _ in wanted}
    exact = {f'{coded} {said}'.strip() for coded, said in wanted}
    for entry in have:
        if entry in exact:
            continue
        coded = next((c for c in sorted(codes, key=len, reverse=True) if c and entry.startswith(c + ' ')), '')
        if re.match(r'\d', entry) and coded == '':
            findings.append(f'{title} has {entry}, a code which is not in the code')
        for piece in entry[len(coded):].split('...'):
            piece = piece.strip()
            if len(piece) > 2 and not said_somewhere(piece, strings):
                findings.append(f'{title} has {entry}: "{piece}" is not said by the code')
    if len(have) != len(set(have)):
        findings.append(f'{title} has an entry twice: {sorted({e for e in have if have.count(e) > 1})}')


whole('WHAT CLIENTS HEAR', replies)
whole('WHY MAIL WAITS OR FAILS', delivery)
whole('WHY A SESSION ENDED', {('', end) for end in ends})
whole('LINES OF THE LOG', {('', event) for event in events})
lint.done(findings)
