"""What Python's email package, which has never heard of Sluice, makes of its reports."""
import email
import email.policy
import subprocess
import sys
import unittest

PROGRAM = sys.argv[1]
REMOTE = ("550-5.1.1 The mailbox is not known here, and has never been; see the page "
          "550 5.1.1 https://example.org/unknown for what to do about it")


def report(case):
    octets = subprocess.run([PROGRAM, case], stdout=subprocess.PIPE, check=True).stdout
    message = email.message_from_bytes(octets, policy=email.policy.default)
    return octets, message


def fields(block):
    """Names and values of a block of fields, unfolded as RFC 5322 has it."""
    return [(name, value) for name, value in block.items()]


def text_of(part):
    return part.get_content().replace('\r\n', '\n')


class Reports(unittest.TestCase):
    def parts(self, case, cnt=3):
        octets, message = report(case)
        for part in message.walk():
            self.assertEqual(part.defects, [], part.get_content_type())
        self.assertEqual(message.get_content_type(), 'multipart/report')
        self.assertEqual(message.get_param('report-type'), 'delivery-status')
        self.assertEqual(message['From'].addresses[0].addr_spec, 'MAILER-DAEMON@gw.example.net')
        self.assertEqual(message['To'].addresses[0].addr_spec, 'alice@example.com')
        self.assertEqual(message['Message-ID'], '<id.1@gw.example.net>')
        self.assertEqual(message['Auto-Submitted'], 'auto-replied')
        self.assertEqual(message['MIME-Version'], '1.0')
        self.assertEqual(message['Date'].datetime.timestamp(), 1700000000)
        for name in set(message.keys()):
            self.assertEqual(len(message.get_all(name)), 1, name)
        parts = list(message.iter_parts())
        self.assertEqual(len(parts), cnt)
        self.assertEqual(parts[0].get_content_type(), 'text/plain')
        return octets, message, parts

    def status(self, part):
        """The blocks of fields: the message's, and one for each recipient."""
        self.assertEqual(part.get_content_type(), 'message/delivery-status')
        return [dict(fields(block)) for block in part.get_payload() if block.keys()]

    def test_failed(self):
        octets, message, parts = self.parts('failed')
        octets.decode('ascii')
        self.assertEqual(message['Subject'], 'Your message could not be delivered')
        blocks = self.status(parts[1])
        self.assertEqual(blocks, [
            {'Reporting-MTA': 'dns; gw.example.net', 'Original-Envelope-Id': 'QQ+314159',
             'Arrival-Date': 'Tue, 14 Nov 2023 17:13:20 +0000'},
            {'Original-Recipient': 'rfc822; Bob+lunch@example.org',
             'Final-Recipient': 'rfc822; bob@example.org', 'Action': 'failed', 'Status': '5.1.1',
             'Remote-MTA': 'dns; mx.example.org', 'Diagnostic-Code': f'smtp; {REMOTE}',
             'Last-Attempt-Date': 'Tue, 14 Nov 2023 21:13:20 +0000'}])
        text = text_of(parts[0])
        self.assertIn('<bob@example.org>\n    You sent it to: Bob+lunch@example.org\n', text)
        self.assertIn('The mail server mx.example.org said:\n', text)
        self.assertIn(REMOTE, ' '.join(text.split()))
        self.assertLessEqual(max(map(len, text.splitlines())), 78)
        self.assertEqual(parts[2].get_content_type(), 'message/rfc822')
        original = parts[2].get_content()
        self.assertEqual(original['Subject'], 'lunch')
        self.assertEqual([text_of(p).strip() for p in original.iter_parts()],
                         ['first', '<p>second</p>'])

    def test_several(self):
        _, message, parts = self.parts('several')
        self.assertEqual(message['Subject'], 'Your message could not be delivered')
        blocks = self.status(parts[1])[1:]
        self.assertEqual([(b['Final-Recipient'], b['Action'], b['Status']) for b in blocks], [
            ('rfc822; dave@example.net', 'relayed', '2.1.9'),
            ('rfc822; carol@example.org', 'delayed', '4.4.1'),
            ('rfc822; "b  o\\"b"@example.org', 'failed', '4.4.7'),
            ('rfc822; erin@example.com', 'delivered', '2.0.0'),
            ('rfc822; frank@example.com', 'failed', '5.0.0')])
        self.assertEqual(blocks[1]['Will-Retry-Until'], 'Sun, 19 Nov 2023 22:13:20 +0000')
        self.assertEqual(blocks[1]['Diagnostic-Code'],
                         'X-Sluice; No mail server of example.org could be reached.')
        self.assertEqual([b for b in blocks if 'Original-Recipient' in b or 'Remote-MTA' in b],
                         blocks[:1])
        # One paragraph for each kind, failures first.
        text = text_of(parts[0])
        order = [text.index(word) for word in
                 ('could not be delivered', '<"b  o', '<frank@', 'not been delivered', '<carol@',
                  'was delivered', '<erin@', 'was handed to', '<dave@')]
        self.assertEqual(order, sorted(order))
        self.assertIn('It will be tried until: Sun, 19 Nov 2023 22:13:20 +0000', text)
        self.assertEqual(parts[2].get_content_type(), 'text/rfc822-headers')
        headers = email.message_from_string(parts[2].get_content(), policy=email.policy.default)
        self.assertEqual(headers['Subject'], 'lunch')
        self.assertEqual(headers.get_payload(), '')

    def test_without(self):
        _, _, parts = self.parts('without', cnt=2)
        self.assertNotIn('attached', text_of(parts[0]))

    def test_hostile(self):
        octets, _, parts = self.parts('hostile')
        octets.decode('ascii')
        self.assertNotIn(b'\0', octets)
        self.assertNotIn(b'\x1b', octets)
        blocks = self.status(parts[1])
        self.assertEqual(len(blocks), 2)
        self.assertEqual(blocks[1], {
            'Original-Recipient': 'rfc822; a??Action:delivered',
            'Final-Recipient': 'rfc822; bob@example.org??Status: 2.0.0',
            'Action': 'failed', 'Status': '5.0.0',
            'Remote-MTA': 'dns; evil Final-Recipient: rfc822;nobody@example.org',
            'Diagnostic-Code': 'smtp; 550 ?[2Jno --=_00000000000000000000000000000000-- '
                               'Action: delivered????'})
        body = parts[2].get_content().get_content()
        self.assertEqual(body, 'a\r\n --=_00000000000000000000000000000000\r\nContent-Type: text/html\r\n\r\n'
                               '<script>\r\n --=_00000000000000000000000000000000--\r\nend\r\n')

    def test_large(self):
        _, _, parts = self.parts('large')
        self.assertEqual(parts[2].get_content_type(), 'text/rfc822-headers')
        self.assertIn('The header of your message is attached', text_of(parts[0]))

    def test_eightbit(self):
        _, message, parts = self.parts('eightbit')
        self.assertEqual(message['Content-Transfer-Encoding'], '8bit')
        self.assertEqual(parts[2]['Content-Transfer-Encoding'], '8bit')
        self.assertEqual(parts[2].get_content().get_content(), 'caf\u00e9\r\n')

    def test_international(self):
        octets, message, parts = self.parts('international')
        octets.decode('utf-8')
        self.assertEqual(message['Content-Transfer-Encoding'], '8bit')
        self.assertIn('<jörg+x@bücher.example>\n    The mail server mx.bücher.example said:\n', text_of(parts[0]))
        self.assertIn('unbekannt', text_of(parts[0]))
        self.assertEqual(parts[1].get_content_type(), 'message/global-delivery-status')
        text = octets.decode('utf-8')
        self.assertIn('\r\nOriginal-Recipient: utf-8; jörg\\x{2B}x@bücher.example\r\n'
                      'Final-Recipient: utf-8; jörg\\x{2B}x@bücher.example\r\n', text)
        self.assertIn('\r\nRemote-MTA: dns; mx.bücher.example\r\n', text)
        self.assertEqual(parts[2].get_content_type(), 'message/global')
        self.assertIn('\r\nSubject: Grüße\r\n\r\nHallo\r\n', text)

    def test_downgraded(self):
        octets, _, parts = self.parts('downgraded')
        octets.decode('ascii')
        block = self.status(parts[1])[1]
        escaped = r'utf-8; j\x{F6}rg\x{2B}x@b\x{FC}cher.example'
        self.assertEqual(block['Original-Recipient'], escaped)
        self.assertEqual(block['Final-Recipient'], escaped)
        self.assertIn('<j\\x{F6}rg+x@b\\x{FC}cher.example>\n    The mail server mx.b?cher.example said:\n',
                      text_of(parts[0]))


unittest.main(argv=sys.argv[:1])
