"""The rows of the signed world (world.py): every case of RFC 7672 and 7671 in which senders have gone wrong, by the
numbers of the decision table that they are tests of."""
from pki import EXPIRED
from world import Level, Row

R, L = Row, Level
EE = 'mx TLSA 3 1 1 leaf'
ON = '. MX 10 mx;'
LEAF = ON + 'mx A @leaf;'
NOT_HERE = 'posttls-finger looks at one host alone'


def certificates(pki):
    """By name; and chains by name, the leaf first."""
    c = {}

    def make(name, *names, **how):
        how['issuer'] = c.get(how.get('issuer'))
        how['key_from'] = c.get(how.get('key_from'))
        c[name] = pki.make(name, names, **how)
    make('leaf', 'somebody.example')  # fits by its digest alone
    make('old', 'somebody.example', more=EXPIRED)
    make('client', 'somebody.example', more={'tls_www_client': '', 'signing_key': ''})
    make('ca', ca=True)
    make('other', ca=True)
    make('ca-twin', ca=True, common='ca')  # another's authority of the same name
    make('mid', ca=True, issuer='ca')
    make('mid-old', ca=True, issuer='ca', more=EXPIRED)
    make('mid-no-ca', issuer='ca')
    make('mid-short', ca=True, issuer='ca', path_len=0)
    make('mid-deep', ca=True, issuer='mid-short')
    for name, issuer in (('ta', 'ca'), ('tam', 'mid'), ('tas', 'ca'), ('tafull', 'ca'), ('takey', 'ca'), ('gone', 'ca'),
                         ('midold', 'mid-old'), ('midnoca', 'mid-no-ca'), ('middeep', 'mid-deep'), ('mixed', 'mid'), ('padded', 'ca'),
                         ('twin', 'ca-twin'), ('both', 'ca'), ('aself', 'ca')):
        make(name, f'mx.{name}.lab', issuer=issuer)
    for name in ('lverify', 'lsecmx', 'lflow'):
        make(name, f'mx.{name}.lab', issuer='ca')
    make('lsecure', 'lsecure.lab', issuer='ca')
    make('lold', 'mx.lold.lab', issuer='ca', more=EXPIRED)
    make('lstrange', 'mx.lstrange.lab', issuer='other')
    make('tan', 'mx.elsewhere.lab', issuer='ca')
    make('taold', 'mx.taold.lab', issuer='ca', more=EXPIRED)
    make('tadomain', 'tadomain.lab', issuer='ca')
    make('tawild', '*.tawild.lab', issuer='ca')
    make('tadeep', '*.tadeep.lab', issuer='ca')
    make('tacn', issuer='ca', common='mx.tacn.lab')
    make('tasan', 'mx.elsewhere.lab', issuer='ca', common='mx.tasan.lab')
    chains = {name: [name, 'ca'] for name in ('ta', 'tas', 'tan', 'taold', 'tadomain', 'tawild', 'tadeep', 'tacn', 'tasan', 'both',
                                              'aself')}
    chains |= {'tam': ['tam', 'mid'], 'midold': ['midold', 'mid-old', 'ca'], 'midnoca': ['midnoca', 'mid-no-ca', 'ca'],
               'middeep': ['middeep', 'mid-deep', 'mid-short', 'ca'], 'mixed': ['mixed', 'ca', 'mid'],
               'padded': ['padded', 'other', 'ca'], 'twin': ['twin', 'ca-twin'], 'issued': ['ta', 'ca']}
    return c, {name: [c[part] for part in parts] for name, parts in chains.items()}


ROWS = [
    # Finding the host
    R('D01', 'mxbogus/bogus', LEAF + EE, 'defer 4.4.3', 'defer 4.4.3'),
    R('D01', 'mxlame', '. LAME', 'defer 4.4.3', 'defer 4.4.3'),
    R('D02', 'nobody', '', 'bounce 5.1.2', 'bounce 5.1.2'),
    R('D02', 'nobody/plain', '', 'bounce 5.1.2', 'bounce 5.1.2'),
    R('D03', 'implicit', '. A @leaf; . TLSA 3 1 1 leaf', 'verified', 'verified'),
    R('D04', 'nullmx', '. MX 0 .', 'bounce 5.1.10', 'bounce 5.1.10'),
    R('D05', 'hosterr', '. MX 10 mx; mx LAME', 'defer 4.4.3', 'defer 4.4.3'),
    R('D05', 'hosterr2', '. MX 10 mx; mx LAME; . MX 20 two; two A @leaf; two TLSA 3 1 1 leaf', 'verified', 'verified', at='two'),
    R('D06', 'aaaabogus', LEAF + EE + '; mx AAAA 2001:db8::1; !mx AAAA', 'verified', 'verified'),
    R('D06', 'abogus', ON + 'mx AAAA @leaf; mx A 198.51.100.99; !mx A;' + EE, 'verified', 'verified'),
    R('D06', 'abogusbad', ON + 'mx AAAA @leaf; mx A 198.51.100.99; !mx A; mx TLSA 3 1 1 other', 'defer 4.7.5', 'defer 4.7.5'),
    R('D06', 'sixlame/plain', ON + 'mx AAAA @leaf; mx TLSA 3 1 1 other', 'untrusted', 'defer 4.7.5'),
    R('D05', 'bothbogus', ON + 'mx AAAA 2001:db8:64::1; mx A 198.51.100.99; !mx A; !mx AAAA;' + EE, 'defer 4.4.3', 'defer 4.4.3'),
    # Over IPv6
    R('D24', 'six', ON + 'mx AAAA @leaf;' + EE, 'verified', 'verified'),
    R('D24', 'dual', ON + 'mx A @leaf; mx AAAA @leaf;' + EE, 'verified', 'verified', at=('mx', 'mx/6')),
    R('D03', 'siximplicit', '. AAAA @leaf; . TLSA 3 1 1 leaf', 'verified', 'verified'),
    R('D08', 'sixplain', '. MX 10 mx/plain; mx/plain AAAA @leaf; _25._tcp.mx/plain LAME', 'untrusted', 'defer 4.7.5'),
    R('D09', 'sixcn', '. MX 10 mx; mx CNAME real; real AAAA @leaf; real TLSA 3 1 1 leaf', 'verified', 'verified'),
    R('D21', 'sixnone', ON + 'mx AAAA @leaf', 'untrusted', 'defer 4.7.5'),
    R('D28', 'sixstrip', ON + 'mx AAAA @-;' + EE, 'defer 4.7.4', 'defer 4.7.4'),
    R('D29', 'sixbad', ON + 'mx AAAA @leaf; mx TLSA 3 1 1 other', 'defer 4.7.5', 'defer 4.7.5'),
    R('D29', 'sixfour', ON + 'mx AAAA @leaf; mx TLSA 3 1 1 other; . MX 20 two; two A @leaf; two TLSA 3 1 1 leaf', 'verified', 'verified',
      at='two', finger=('defer', 'defer'), why=NOT_HERE),
    R('D07', 'noaddr', '. MX 10 mx', 'bounce 5.4.4', 'bounce 5.4.4'),
    R('D07', 'noaddr2', '. MX 10 mx; . MX 20 two; two A @leaf; two TLSA 3 1 1 leaf', 'verified', 'verified', at='two'),
    R('D08', 'mxplain', '. MX 10 mx/plain; mx/plain A @leaf; _25._tcp.mx/plain LAME', 'untrusted', 'defer 4.7.5'),
    R('D09', 'cn', '. MX 10 mx; mx CNAME real; real A @leaf; real TLSA 3 1 1 leaf', 'verified', 'verified'),
    R('D09', 'cno', '. MX 10 mx; mx CNAME real; real A @leaf; mx TLSA 3 1 1 leaf', 'verified', 'verified'),
    R('D10', 'cnp', '. MX 10 mx; mx CNAME real/plain; real/plain A @leaf; mx TLSA 3 1 1 leaf', 'verified', 'verified'),
    R('D10', 'cnpbad', '. MX 10 mx; mx CNAME real/plain; real/plain A @leaf; mx TLSA 3 1 1 other', 'defer 4.7.5', 'defer 4.7.5'),
    R('D11', 'cni', '. MX 10 mx/plain; mx/plain CNAME real; real A @leaf; real TLSA 3 1 1 other; mx/plain TLSA 3 1 1 other',
      'untrusted', 'defer 4.7.5'),
    R('D12', 'cnmid', '. MX 10 mx; mx CNAME mid; mid CNAME real; mid TLSA 3 1 1 other; real A @leaf', 'untrusted', 'defer 4.7.5'),
    R('D13', 'cnbogus', '. MX 10 mx; mx CNAME real; real A @leaf; real TLSA 3 1 1 leaf; !real TLSA; mx TLSA 3 1 1 leaf',
      'defer 4.7.5', 'defer 4.7.5'),
    R('D14', 'own/plain', '. MX 10 mx/; mx/ A @leaf; mx/ TLSA 3 1 1 leaf', 'trusted', 'defer 4.7.5',
      finger=('trusted', 'trusted'), why='smtp(8) refuses an unsigned MX set at dane-only, posttls-finger does not'),
    R('D14', 'ownbad/plain', '. MX 10 mx/; mx/ A @leaf; mx/ TLSA 3 1 1 other', 'defer 4.7.5', 'defer 4.7.5'),
    R('D15', 'literal', 'mx A @leaf', 'untrusted', 'defer 4.7.5', to='literal'),
    R('D16', 'relayed', 'mx A @leaf; mx TLSA 3 1 1 leaf', 'verified', 'verified', to='route'),
    R('D17', 'tc', LEAF + '_25._tcp.mx CNAME _dane; _dane TYPE52 3 1 1 leaf', 'verified', 'verified'),
    R('D18', 'tcp', LEAF + '_25._tcp.mx CNAME _dane/plain; _dane/plain TYPE52 3 1 1 other', 'untrusted', 'defer 4.7.5'),
    R('D19', 'order', LEAF + '. MX 20 two; two A @leaf; two TLSA 3 1 1 leaf', 'untrusted', 'verified',
      finger=('untrusted', 'defer'), why=NOT_HERE),
    # The records
    R('D20', 'bt', LEAF + EE + '; !mx TLSA', 'defer 4.7.5', 'defer 4.7.5'),
    R('D20', 'lame', LEAF + '_25._tcp.mx LAME', 'defer 4.7.5', 'defer 4.7.5'),
    R('D20', 'lame2', LEAF + '_25._tcp.mx LAME; . MX 20 two; two A @leaf; two TLSA 3 1 1 leaf', 'verified', 'verified', at='two'),
    R('D21', 'none', '. MX 10 mx; mx A @-,sink', 'clear', 'defer 4.7.5'),
    R('D21', 'nonetls', LEAF, 'untrusted', 'defer 4.7.5'),
    R('D22', 'absent/optout', LEAF, 'untrusted', 'defer 4.7.5'),
    R('D23', 'own2/plain', LEAF + 'mx TLSA 3 1 1 other', 'untrusted', 'defer 4.7.5'),
    R('D24', 'ee', ON + 'mx A @leaf,postfix;' + EE, 'verified', 'verified'),
    R('D24', 'eelib', ON + 'mx A @leaf,aiosmtpd;' + EE, 'verified', 'verified'),
    R('D25', 'unus', LEAF + 'mx TLSA 1 1 1 leaf; mx TLSA 0 1 1 leaf; mx TLSA 3 1 1 =00ff; mx TLSA 3 2 1 leaf; mx TLSA 9 1 1 leaf;'
      'mx TLSA 3 1 7 =00ff', 'untrusted', 'defer 4.7.5',
      finger=('untrusted', 'untrusted'), why='smtp(8) defers at dane-only, posttls-finger looks on'),
    R('D26', 'unusn', ON + 'mx A @-; mx TLSA 1 1 1 leaf', 'defer 4.7.4', 'defer 4.7.5'),
    R('D27', 'mixd', LEAF + 'mx TLSA 1 1 1 other; mx TLSA 3 1 1 leaf', 'verified', 'verified'),
    R('D27', 'mixbad', LEAF + 'mx TLSA 1 1 1 leaf; mx TLSA 3 1 1 other', 'defer 4.7.5', 'defer 4.7.5'),
    R('D28', 'strip', ON + 'mx A @-;' + EE, 'defer 4.7.4', 'defer 4.7.4'),
    R('D28', 'strip2', ON + 'mx A @-;' + EE + '; . MX 20 two; two A @leaf; two TLSA 3 1 1 leaf', 'verified', 'verified', at='two',
      finger=('defer', 'defer'), why=NOT_HERE),
    R('D28', 'refuses', ON + 'mx A @leaf,refused;' + EE, 'defer 4.7.4', 'defer 4.7.4'),
    R('D28', 'breaks', ON + 'mx A @leaf,broken;' + EE, 'defer 4.7.5', 'defer 4.7.5'),
    R('L6', 'injected', ON + 'mx A @leaf,injected;' + EE, 'defer 4.7.5', 'defer 4.7.5', finger=('verified', 'verified'),
      why='Postfix throws away what comes behind 220, the gateway ends the connection'),
    R('D29', 'bad', LEAF + 'mx TLSA 3 1 1 other', 'defer 4.7.5', 'defer 4.7.5'),
    R('D29', 'two', LEAF + 'mx TLSA 3 1 1 other; . MX 20 two; two A @leaf,postfix; two TLSA 3 1 1 leaf', 'verified', 'verified',
      at='two', finger=('defer', 'defer'), why=NOT_HERE),
    R('D30', 'many', LEAF + ''.join(f'mx TLSA 3 1 1 ={n:064x};' for n in range(120)) + EE, 'verified', 'verified',
      finger=None, why='Postfix keeps 100 records, whichever come first'),
    R('D30', 'multitude', LEAF + ''.join(f'mx TLSA 3 1 1 ={n:064x};' for n in range(900)) + EE, 'verified', 'verified',
      finger=None, why='likewise'),
    R('agility', 'agil', LEAF + 'mx TLSA 3 1 1 leaf; mx TLSA 3 1 2 other', 'defer 4.7.5', 'defer 4.7.5'),
    R('agility', 'agilok', LEAF + 'mx TLSA 3 1 1 other; mx TLSA 3 1 2 leaf', 'verified', 'verified'),
    R('agility', 'agilfull', LEAF + 'mx TLSA 3 1 0 leaf; mx TLSA 3 1 2 other', 'verified', 'verified'),
    R('agility', 'agilsel', LEAF + 'mx TLSA 3 0 1 leaf; mx TLSA 3 1 2 other', 'verified', 'verified'),
    # Matching the server itself
    *(row for selector in (0, 1) for matching in (0, 1, 2) for row in (
        R(f'D{40 + 3 * selector + matching}', f'ee{selector}{matching}', LEAF + f'mx TLSA 3 {selector} {matching} leaf', 'verified', 'verified'),
        R(f'D{40 + 3 * selector + matching}', f'bad{selector}{matching}', LEAF + f'mx TLSA 3 {selector} {matching} other', 'defer 4.7.5', 'defer 4.7.5'))),
    R('D46', 'eeold', ON + 'mx A @old; mx TLSA 3 1 1 old', 'verified', 'verified'),
    R('D46', 'eeclient', ON + 'mx A @client; mx TLSA 3 0 1 client', 'verified', 'verified'),
    R('D47', 'eeissuer', ON + 'mx A @issued; mx TLSA 3 1 1 ca; mx TLSA 3 0 1 ca', 'defer 4.7.5', 'defer 4.7.5'),
    # By an authority
    R('D48', 'ta', ON + 'mx A @ta,postfix; mx TLSA 2 0 1 ca', 'verified', 'verified'),
    R('D48', 'tas', ON + 'mx A @tas; mx TLSA 2 1 2 ca', 'verified', 'verified'),
    R('D48', 'tam', ON + 'mx A @tam; mx TLSA 2 1 1 mid', 'verified', 'verified'),
    R('D49', 'tan', ON + 'mx A @tan; mx TLSA 2 0 1 ca', 'defer 4.7.5', 'defer 4.7.5'),
    R('D50', 'tadomain', ON + 'mx A @tadomain; mx TLSA 2 0 1 ca', 'verified', 'verified'),
    R('D50', 'tawild', ON + 'mx A @tawild; mx TLSA 2 0 1 ca', 'verified', 'verified'),
    R('D50', 'tadeep', '. MX 10 mx.deep; mx.deep A @tadeep; mx.deep TLSA 2 0 1 ca', 'defer 4.7.5', 'defer 4.7.5'),
    R('D51', 'tacn', ON + 'mx A @tacn; mx TLSA 2 0 1 ca', 'verified', 'verified'),
    R('D51', 'tasan', ON + 'mx A @tasan; mx TLSA 2 0 1 ca', 'defer 4.7.5', 'defer 4.7.5'),
    R('D52', 'gone', ON + 'mx A @gone; mx TLSA 2 0 1 ca', 'defer 4.7.5', 'defer 4.7.5'),
    R('D53', 'tafull', ON + 'mx A @tafull; mx TLSA 2 0 0 ca', 'verified', 'verified'),
    R('D53', 'takey', ON + 'mx A @takey; mx TLSA 2 1 0 ca', 'verified', 'verified'),
    R('D54', 'aself', ON + 'mx A @aself; mx TLSA 2 0 1 aself; mx TLSA 2 1 1 aself', 'defer 4.7.5', 'defer 4.7.5'),
    R('D55', 'taold', ON + 'mx A @taold; mx TLSA 2 0 1 ca', 'defer 4.7.5', 'defer 4.7.5'),
    R('D55', 'midold', ON + 'mx A @midold; mx TLSA 2 0 1 ca', 'defer 4.7.5', 'defer 4.7.5'),
    R('D55', 'midnoca', ON + 'mx A @midnoca; mx TLSA 2 0 1 ca', 'defer 4.7.5', 'defer 4.7.5'),
    R('D55', 'middeep', ON + 'mx A @middeep; mx TLSA 2 0 1 ca', 'defer 4.7.5', 'defer 4.7.5'),
    R('D55', 'mixed', ON + 'mx A @mixed; mx TLSA 2 0 1 ca', 'verified', 'verified'),
    R('D55', 'padded', ON + 'mx A @padded; mx TLSA 2 0 1 ca', 'verified', 'verified'),
    R('D55', 'twin', ON + 'mx A @twin; mx TLSA 2 0 1 ca', 'defer 4.7.5', 'defer 4.7.5'),
    R('D56', 'both', ON + 'mx A @both; mx TLSA 3 1 1 other; mx TLSA 2 0 1 ca', 'verified', 'verified'),
    R('D56', 'bothee', LEAF + 'mx TLSA 3 1 1 leaf; mx TLSA 2 0 1 other', 'verified', 'verified'),
    R('D57', 'rollover', LEAF + 'mx TLSA 3 1 1 other; mx TLSA 3 1 1 leaf', 'verified', 'verified'),
    R('D59', 'rekey', LEAF + EE, 'verified', 'verified'),
    # The other levels: their TLSA records, right or wrong or broken, are nobody's business
    L('none', 'lnone', LEAF + EE, 'clear'),
    L('none', 'lnonebad', LEAF + 'mx TLSA 3 1 1 other', 'clear'),
    L('may', 'lmay', LEAF + 'mx TLSA 3 1 1 other', 'untrusted'),
    L('may', 'lmaylame', LEAF + '_25._tcp.mx LAME', 'untrusted'),
    L('may', 'lmayclear', ON + 'mx A @-; mx TLSA 3 1 1 leaf', 'clear'),
    L('may', 'lmaysix', ON + 'mx AAAA @old', 'untrusted'),
    L('encrypt', 'lencrypt', LEAF + 'mx TLSA 3 1 1 other', 'untrusted'),
    L('encrypt', 'lenclame', LEAF + '_25._tcp.mx LAME', 'untrusted'),
    L('encrypt', 'lencold', ON + 'mx A @old', 'untrusted'),
    L('encrypt', 'lencclear', ON + 'mx A @-', 'defer 4.7.4'),
    L('encrypt', 'lencbroken', ON + 'mx A @leaf,broken', 'defer 4.7.5'),
    L('encrypt', 'lencnext', ON + 'mx A @-; . MX 20 two; two A @leaf', 'untrusted', at='two', finger='defer', why=NOT_HERE),
    L('fingerprint', 'lprint', LEAF + 'mx TLSA 3 1 1 other', 'verified', fingerprints=['other', 'leaf']),
    L('fingerprint', 'lprintold', ON + 'mx A @old', 'verified', fingerprints=['old']),
    L('fingerprint', 'lprintbad', LEAF + EE, 'defer 4.7.5', fingerprints=['other']),
    L('fingerprint', 'lprintclear', ON + 'mx A @-', 'defer 4.7.4', fingerprints=['leaf']),
    L('verify', 'lverify', ON + 'mx A @lverify; mx TLSA 3 1 1 other', 'verified'),
    L('verify', 'lvernames', ON + 'mx A @lverify', 'verified', names=['mx.lverify.lab']),
    L('verify', 'lverbad', LEAF + EE, 'defer 4.7.5'),
    L('verify', 'lvername', ON + 'mx A @lverify', 'defer 4.7.5'),
    L('verify', 'lold', ON + 'mx A @lold', 'defer 4.7.5'),
    L('verify', 'lstrange', ON + 'mx A @lstrange', 'defer 4.7.5'),
    L('verify', 'lverclear', ON + 'mx A @-', 'defer 4.7.4'),
    L('secure', 'lsecure', ON + 'mx A @lsecure', 'verified'),
    L('secure', 'lsecbad', ON + 'mx A @lsecure', 'defer 4.7.5'),
    L('secure', 'lsecmx', ON + 'mx A @lsecmx', 'defer 4.7.5', finger='verified',
      why='Postfix takes a name below the domain as well, unless it is told names'),
    L('secure', 'lsecnames', ON + 'mx A @lsecmx', 'verified', names=['mx.lsecmx.lab']),
]
