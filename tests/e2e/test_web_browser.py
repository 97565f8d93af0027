#!/usr/bin/python3
# limit: 240
# ci: Chromium is large, and this is about a minute
"""sluicectl web in Debian's Chromium, without a window: searching, holding, releasing and deleting by hand and by keyboard, names that
would be markup, light, dark and narrow, a gateway that goes and comes. Screenshots: build/logs/web-*.png. Nothing is said on the
browser's console, and nothing is asked of anybody else."""
import os
import re

from browser import Browser, find_browser
from gateway import Gateway
from harness import SOURCE, check, check_equal, main, wait_until
from mail import Client
from pki import Pki
from sinks import Scripted
from webpage import HOSTILE_SENDER, HOSTILE_TO, PORT, fill, send, serve

MESSAGES = 130
URL, OTHER_URL = f'http://127.0.0.1:{PORT}/', f'http://127.0.0.1:{PORT + 1}/'
gw = far = page = None
asked = []


def setup(lab):
    global gw, far, page
    find_browser()
    pki, far = Pki(lab.path('pki')), Scripted(lab, mode='rcpt')
    fresh = pki.make('fresh', names=['mx.gateway.example'])
    old = pki.make('old', names=['old.gateway.example'], more={'expiration_days': 5})
    for c in (fresh, old):
        os.chmod(c.key, 0o640)
    gw = Gateway(lab, queue={'backoff_min': '1h', 'backoff_max': '2h'}, gateway={'lanes': 2}, relay={'networks': ['10.9.0.77/32']},
                 certificate_main={'chain': fresh.path, 'key': fresh.key}, certificate_old={'chain': old.path, 'key': old.key}).start()
    fill(gw, MESSAGES)
    send([HOSTILE_TO], sender=HOSTILE_SENDER)
    for i in range(7):
        send([f'ok-{i}@example.org'])
    with Client() as c:
        c.command(f'MAIL FROM:<{HOSTILE_SENDER}>')
        c.command('RCPT TO:<"<b>who</b>"@elsewhere.example>')
        c.command('RCPT TO:<someone@elsewhere.example>')
    wait_until(lambda: gw.counter('courier/deferred') >= MESSAGES + 1 and gw.counter('courier/delivered') >= 7, 60, 'all tried')
    serve(lab, gw)
    page = Browser(lab)


def picture(name):
    os.makedirs(os.path.join(SOURCE, 'build/logs'), exist_ok=True)
    page.picture(os.path.join(SOURCE, f'build/logs/web-{name}.png'))


def rows():
    return page.texts('#messages tbody tr')


def shown(condition, what, seconds=30):
    return wait_until(condition, seconds, what)


def quiet(what):
    """Nothing on the console, and nobody else was asked."""
    check_equal(page.console(), [], f'console, {what}')
    asked.extend(page.requested())
    check(asked, 'the browser tells what it asks for')
    check_equal({u for u in asked if re.match('(http|ws)s?:', u) and not u.startswith((URL, OTHER_URL))}, set(), f'asked elsewhere, {what}')


def test_first_look(lab):
    page.open(URL)
    shown(lambda: len(rows()) == 50, 'fifty messages')
    shown(lambda: page.text('#pill') == 'takes mail', 'its state')
    shown(lambda: len(page.find('#refusal-rows tr')) >= 2, 'refusals')
    check_equal((page.text('#hostname'), page.run('return document.title')), ('mx.gateway.example', 'mx.gateway.example \u2013 Sluice'), 'names')
    check_equal(page.text('#tile-queue_messages .value'), f'{MESSAGES + 1}', 'the queue\'s tile')
    check(f'{MESSAGES + 1} messages' in page.text('#queue-sum'), page.text('#queue-sum'))
    check(f'1 to 50 of {MESSAGES + 1}' in page.text('#page-where'), page.text('#page-where'))
    check_equal(len(page.find('#lane-rows tr')), 2, 'lanes')
    check(re.search(r'may\s+\S+\s+\S+\s+\S+\s+138', page.text('#tls-table')), f'TLS: {page.text("#tls-table")}')
    check('100 % in clear' in page.text('#tls-sum'), page.text('#tls-sum'))
    certificates = page.text('#certificate-rows')
    check('mx.gateway.example' in certificates and 'renew it now' in certificates, certificates)
    check('4.2.1 mailbox asleep' in rows()[0], rows()[0])
    quiet('first look')


def test_names_are_text(lab):
    """What would be markup is what is read, in the queue, in the question before a change and among the refusals."""
    page.type('#search [name=sender]', HOSTILE_SENDER)
    page.click('#search [type=submit]')
    shown(lambda: len(rows()) == 1 and HOSTILE_SENDER in rows()[0], 'the message')
    check(HOSTILE_TO in rows()[0], rows()[0])
    check(HOSTILE_SENDER in page.text('#refusal-rows') and '"<b>who</b>"@elsewhere.example' in page.text('#refusal-rows'), 'refusals')
    page.click('#messages [data-verb=delete]')
    check(HOSTILE_SENDER in page.text('#ask-list'), page.text('#ask-list'))
    picture('asked')
    page.click('#ask-no')
    check_equal(page.run('return [window.hit ?? null, document.querySelectorAll("main script, main img, main b").length]'), [None, 0], 'no markup of theirs')
    check_equal(len(rows()), 1, 'left alone')
    quiet('hostile names')


def search(**fields):
    page.click('#search [type=reset]')
    for name, value in fields.items():
        page.run('document.querySelector(`#search [name=${arguments[0]}]`).value = arguments[1]', name, value)
    page.click('#search [type=submit]')


def test_hold_release_delete(lab):
    """By hand: it asks first, and tells what was done; the gateway's list says the same."""
    search(recipient='temp-5@example.org')
    shown(lambda: len(rows()) == 1 and 'temp-5@' in rows()[0], 'one message')
    page.click('#messages [data-verb=hold]')
    check_equal(page.text('#ask-title'), 'Hold this message?', 'the question')
    page.click('#ask-yes')
    shown(lambda: '1 message held.' in (page.text('#told') or ''), 'it is told')
    shown(lambda: 'held' in rows()[0], 'it is seen')
    check('temp-5@example.org' in gw.ctl('queue', 'list', '--state', 'held'), 'it is held')
    page.click('#messages [data-verb=release]')
    page.click('#ask-yes')
    shown(lambda: '1 message released.' in (page.text('#told') or ''), 'released')
    check('temp-5@' not in gw.ctl('queue', 'list', '--state', 'held'), 'it is')
    page.click('#messages [data-verb=delete]')
    check('Nobody is told' in page.text('#ask-text'), page.text('#ask-text'))
    page.click('#ask-yes')
    shown(lambda: '1 message deleted.' in (page.text('#told') or ''), 'deleted')
    shown(lambda: rows() == ['No message meets that.'], 'none is left')
    check('temp-5@' not in gw.ctl('queue', 'list'), 'it is gone')
    quiet('changes')


def test_several_and_all(lab):
    """Pages, those that are selected, all that match; one that has gone meanwhile is told of."""
    page.click('#search [type=reset]')
    shown(lambda: len(rows()) == 50, 'the first page')
    first = rows()[0].split()[0]
    page.click('#page-next')
    shown(lambda: '51 to 100 of' in page.text('#page-where') and rows()[0].split()[0] != first, 'the second')
    page.click('#page-back')
    shown(lambda: rows()[0].split()[0] == first, 'the first again')
    boxes = page.run('return [...document.querySelectorAll("#messages [data-id]")].slice(0, 3).map((b) => b.dataset.id)')
    for i in boxes:
        page.click(f'#messages [data-id="{i}"]')
    check_equal(page.text('#selected'), 'Selected: 3', 'selected')
    gw.ctl('queue', 'delete', boxes[1])
    page.click('.bar [data-verb=hold]')
    check_equal(page.text('#ask-title'), 'Hold these 3 messages?', 'the question')
    page.click('#ask-yes')
    shown(lambda: page.text('#told') == '2 messages held. 1 not in the queue any more.', f'told: {page.text("#told")}')
    page.click('#select-page')
    page.click('#select-matching')
    check_equal(page.text('#selected'), f'Selected: all {MESSAGES - 1} in the queue', 'all')
    picture('selected')
    page.click('.bar [data-verb=release]')
    check_equal(page.text('#ask-title'), f'Release all {MESSAGES - 1} messages in the queue?', 'the question')
    page.keys('\ue00c')  # Escape
    shown(lambda: not page.run('return document.getElementById("ask").open'), 'left')
    check_equal(len(gw.ctl('queue', 'list', '--state', 'held').split('to=<')) - 1, 2, 'nothing was done')
    search(state='held')
    shown(lambda: len(rows()) == 2, 'those that are held')
    page.click('#select-page')
    page.click('.bar [data-verb=release]')
    page.click('#ask-yes')
    shown(lambda: '2 messages released.' in (page.text('#told') or ''), 'released')
    shown(lambda: rows() == ['No message meets that.'], 'none is held')
    check('#queue?state=held' in page.run('return location.href'), 'a search has an address')
    page.click('#search [type=reset]')
    shown(lambda: len(rows()) == 50, 'all')
    page.click('#select-page')
    page.click('#select-matching')
    page.run('document.querySelector("#search [name=code]").value = "9"')
    page.click('#search [type=submit]')
    check_equal(page.run('return document.querySelectorAll("#messages [data-id]").length'), 0, 'nothing of before stays under other conditions')
    shown(lambda: 'is no message id' in rows()[0], 'a condition that is none is told of')
    check_equal((page.text('#selected'), page.text('#page-where')), ('Nothing selected', ''), 'and nothing can be chosen')
    check_equal(page.run('return [...document.querySelectorAll(".bar [data-verb], #page-next")].filter((b) => !b.disabled).length + Number(!document.getElementById("select-matching").hidden)'),
                0, 'nor done')
    page.click('#search [type=reset]')
    shown(lambda: len(rows()) == 50, 'all again')
    quiet('several')


def test_keyboard(lab):
    """All of it without a mouse: the way to the queue, searching, a row's button, the question, whose first answer changes nothing."""
    page.open(URL + '#queue?recipient=temp-7%40example.org')
    shown(lambda: len(rows()) == 1, 'a search by its address')
    page.run('document.querySelector("#search [name=sender]").focus()')
    reached = []
    for _ in range(25):
        page.keys('\ue004')  # Tab
        reached.append(page.run('const e = document.activeElement; return [e.dataset.verb || e.name || e.id || "", getComputedStyle(e).outlineStyle]'))
        if reached[-1][0] == 'delete' and page.run('return document.activeElement.closest("tr") !== null'):
            break
    check(reached[-1][0] == 'delete' and all(o != 'none' for n, o in reached if n), f'by Tab, each seen: {reached}')
    page.keys('\ue007')  # Enter
    shown(lambda: page.run('return document.activeElement.id') == 'ask-no', 'the answer that leaves it')
    page.keys('\ue007')
    shown(lambda: not page.run('return document.getElementById("ask").open'), 'closed')
    check('temp-7@' in gw.ctl('queue', 'list'), 'it is there')
    unnamed = page.run('''return [...document.querySelectorAll("input, select, button, a")].filter((e) => !(e.labels && e.labels.length) && !e.getAttribute("aria-label")
        && !e.textContent.trim()).map((e) => e.outerHTML)''')
    check_equal(unnamed, [], 'controls without a name')
    check_equal(page.run('return [...document.querySelectorAll("table")].filter((t) => !t.tHead || t.querySelectorAll("thead th[scope=col]").length !== t.tHead.rows[0].cells.length).length'),
                0, 'tables without headers')
    quiet('keyboard')


LUMINANCE = '''
const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const back = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\\)|transparent/.test(c)) return c; } return 'rgb(255, 255, 255)'; };
return [...document.querySelectorAll('h1, h2, small, p, th, td, a, button, label, .tag, .sub, .label, .unit, .most')]
    .filter((e) => e.offsetParent && e.textContent.trim() && !e.disabled && !e.closest('.stale'))
    .map((e) => { const [a, b] = [light(getComputedStyle(e).color), light(back(e))]; return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.className + ' ' + e.textContent.slice(0, 30)]; })
    .filter(([ratio]) => ratio < 4.5).slice(0, 5);
'''


def test_looks(lab):
    """Light and dark with enough contrast (WCAG AA), and 400 px wide without anything beside the page."""
    page.open(URL)
    shown(lambda: len(rows()) == 50, 'messages')
    shown(lambda: len(page.find('#tile-queue_messages path')) == 2 and 'L' in (page.run('return document.querySelector("#tile-queue_messages .spark-line").getAttribute("d")') or ''), 'a graph')
    backs = []
    for dark in (False, True):
        page.dark(dark)
        backs.append(page.run('return getComputedStyle(document.body).backgroundColor'))
        check_equal(page.run(LUMINANCE), [], f'contrast, {"dark" if dark else "light"}')
        page.size(1280, 1000)
        picture('dark' if dark else 'light')
        page.size(400, 800)
        check(page.run('return document.documentElement.scrollWidth') <= 400, 'no wider than the screen')
        wide = page.run('return [...document.querySelectorAll("main *")].filter((e) => e.getBoundingClientRect().right > 401 && !e.closest(".wide, thead")).map((e) => e.outerHTML.slice(0, 80))')
        check_equal(wide, [], 'beside the page')
        picture('narrow-dark' if dark else 'narrow')
    check(backs[0] != backs[1], f'dark is another colour: {backs}')
    page.dark(False)
    page.size(1280, 1000)
    quiet('looks')


def test_gateway_comes_and_goes(lab):
    gw.stop()
    shown(lambda: f'The gateway does not answer: {gw.socket}' in (page.text('#trouble') or ''), 'it says so')
    check_equal(page.text('#pill'), 'the gateway is down', 'its state')
    shown(lambda: 'while the gateway does not answer' in (page.text('#why-off') or ''), 'why nothing can be changed')
    picture('down')
    gw.start()
    shown(lambda: page.text('#pill') == 'takes mail' and not page.run('return document.getElementById("trouble").checkVisibility()'), 'by itself')
    shown(lambda: len(rows()) == 50 and not page.run('return document.querySelector("#messages .acts button").disabled'), 'the queue again')
    quiet('a gateway that goes and comes')


def test_read_only(lab):
    """Buttons are off, and it says why."""
    serve(lab, gw, '--read-only', listen=f'127.0.0.1:{PORT + 1}')
    page.open(OTHER_URL)
    shown(lambda: len(rows()) == 50 and '--read-only' in (page.text('#why-off') or ''), 'why')
    check_equal(page.run('return [...document.querySelectorAll("[data-verb]")].filter((b) => !b.disabled).length'), 0, 'all are off')
    check_equal(page.console(), [], 'console')


def test_huge_queue(lab):
    """Five thousand messages: the page is as quick and as small."""
    far.mode = 'rcpt'
    page.open(URL)
    with Client(timeout=60) as c:
        for first in range(0, 5000, 100):
            c.send(b''.join(f'MAIL FROM:<bulk@client.example>\r\nRCPT TO:<temp-b{i}@example.org>\r\nBDAT 14 LAST\r\nSubject: x\r\n\r\n'.encode() for i in range(first, first + 100)))
            for _ in range(300):
                check(c.reply().code == 250, 'a message')
    total = MESSAGES - 1 + 5000
    search(sender='bulk@client.example')
    shown(lambda: '1 to 50 of 5,000' in page.text('#page-where'), 'counted', 60)
    check_equal(page.run('return [document.querySelectorAll("#messages tbody tr").length, document.querySelectorAll("*").length < 3000]'), [50, True], 'the page stays small')
    page.click('#select-page')
    page.click('#select-matching')
    page.click('.bar [data-verb=delete]')
    check_equal(page.text('#ask-title'), 'Delete all 5,000 messages that match?', 'the question')
    page.click('#ask-yes')
    told = shown(lambda: re.fullmatch(r'([\d,]+) messages deleted\.(?: (\d+) being delivered at this moment, left alone\.)?', page.text('#told') or ''), 'deleted', 60)
    left = int(told[2] or 0)
    check_equal(int(told[1].replace(',', '')) + left, 5000, 'all are told of')
    page.click('#search [type=reset]')
    shown(lambda: f' of {total - 5000 + left},' in page.text('#page-where'), 'what is left')
    quiet('a huge queue')


if __name__ == '__main__':
    main(setup)
