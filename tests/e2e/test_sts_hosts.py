#!/usr/bin/python3
# limit: 100
"""Hosts of MTA-STS policies that behave in every way that stsweb knows, before mail servers that prove nothing: where the policy is
had it holds mail back, where it is not the mail goes as without one, and in time; others' policies do not suffer."""
from gateway import Gateway
from harness import check, check_equal, main, wait_until
from mail import Client, plain
from stsweb import HOW
from world import RESOLVER, Row, World

AS_GOOD = {'good', 'charset', 'chunked', 'limit', 'lf', 'wild'}
# These take their time, or ours: with less of it for a policy.
SLOW = {'slow', 'slow-header', 'hang', 'silent', 'endless', 'endless-chunks', 'endless-header', 'long-header', 'continue', 'zipped'}
world = gw = None
ROWS = [Row('M7', f'{how}/plain', f'. MX 10 mx; mx A @self; . STS enforce mx {how}', '', '') for how in HOW]
RECIPIENTS = {row.domain: how for row, how in zip(ROWS, HOW)}
# What the log says of each that is not had.
WHY = {'redirect': 'redirect: HTTP status 301', 'found': 'redirect: HTTP status 302', 'missing': 'HTTP status 404', 'error': 'HTTP status 500',
       'created': 'HTTP status 201', 'html': 'text/html, not text/plain', 'untyped': 'not said, not text/plain', 'huge': 'too-large',
       'slow': 'timeout', 'slow-header': 'timeout', 'hang': 'timeout', 'silent': 'timeout', 'cut': 'broken', 'plain': 'tls',
       'garbage': 'tls', 'cr': 'none: ', 'empty': 'none: ', 'nul': 'none: ', 'binary': 'none: ', 'wrong-name': 'certificate',
       'expired': 'certificate', 'self-signed': 'certificate', 'stranger': 'certificate', 'common': 'certificate', 'absent': 'connect'}


def certificates(pki):
    return {'self': pki.make('self', [f'mx.{r.domain}' for r in ROWS])}, {}


def setup(lab):
    global world, gw
    world = World(lab, ROWS, certificates).start()
    world.use_resolver()
    gw = Gateway(lab, queue={'backoff_min': '1d', 'backoff_max': '2d'}, relay={'networks': ['10.9.0.0/24']},
                 dns={'servers': [RESOLVER], 'trust_anchor': world.names.anchor},
                 route_default={'host': None, 'via': 'mx', 'private_networks': ['198.51.100.0/23']},
                 delivery={'tls': 'dane', 'ca_file': world.web.ca.path, 'mta_sts_timeout': '40s'}).start()


def outcome(domain):
    lines = [line for line in gw.log().split('\n') if f'to=<to@{domain}>' in line and (' delivered ' in line or ' deferred ' in line)]
    return 'none yet' if not lines else 'held' if ' deferred ' in lines[-1] and '4.7.5' in lines[-1] else \
        'sent' if ' delivered ' in lines[-1] and 'tls=may/untrusted' in lines[-1] else lines[-1]


def look(hosts):
    """One message for each, at once."""
    domains = {domain: how for domain, how in RECIPIENTS.items() if how in hosts}
    with Client() as c:
        for n, domain in enumerate(domains):
            check_equal(c.deliver('', [f'to@{domain}'], plain(n)).code, 250, domain)
    wait_until(lambda: all(outcome(d) != 'none yet' for d in domains), 60, 'an outcome of each')
    wrong = [f'{how}: {outcome(domain)}' for domain, how in domains.items() if outcome(domain) != ('held' if how in AS_GOOD else 'sent')]
    print(*wrong, sep='\n', flush=True)
    check(not wrong, '; '.join(wrong)[:400])
    log = gw.log()
    for domain, how in domains.items():
        line = [t for t in log.split('\n') if f'mta-sts {domain}: no policy: ' in t]
        check_equal(len(line), how not in AS_GOOD, f'{how}: lines of the log')
        check(not line or WHY.get(how, '') in line[0], f'{how}: {line}')


def test_answers(lab):
    """Those that answer, wrong or right, or end."""
    look(set(HOW) - SLOW)
    check_equal(world.web.sites['mta-sts.good.plain.lab'].requests[0].name, 'mta-sts.good.plain.lab', 'SNI')


def test_without_end(lab):
    """Those that do not, or that send without end: the mail goes when the time for it is over, or before."""
    gw.change(delivery={'mta_sts_timeout': '4s'})
    gw.ctl('reload')
    look(SLOW)
    for site in world.web.sites.values():
        check(len(site.requests) <= 1 and all(r.path == '/.well-known/mta-sts.txt' for r in site.requests), f'{site.name}: {site.requests}')


def test_well_again(lab):
    """A policy that could not be had is had when its host is well, by the operator's word at once."""
    site = world.web.sites['mta-sts.hang.plain.lab']
    gw.change(delivery={'mta_sts_timeout': '40s'})
    gw.ctl('reload')
    site.how = 'good'
    check('mode=enforce' in gw.ctl('sts', 'refresh', 'hang.plain.lab'), 'had')
    check_equal(len([line for line in gw.ctl('sts', 'show').splitlines() if ' mode=enforce ' in line]), len(AS_GOOD) + 1, 'policies')
    check_equal(gw.stop(), 0, 'exit status')


if __name__ == '__main__':
    main(setup)
