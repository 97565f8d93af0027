"""Reports as they arrive at a next hop, taken apart by Python's email package; and mail with parameters."""
import base64
import email
import email.policy
import quopri

from harness import check, check_equal
from mail import Client, stuffed


class Report:
    """One DSN; every fact that holds for all of them is checked here."""

    def __init__(self, message):
        check_equal(message.sender, '', 'sender of the report')
        check_equal(len(message.recipients), 1, 'recipients of the report')
        self.octets = message.content
        check(all(len(line) <= 998 for line in self.octets.split(b'\r\n')), 'a line is over 998 octets')
        # Python takes an encoded message/global for a message; here it is a leaf.
        m = self.message = email.message_from_bytes(self.octets.replace(b'message/global', b'application/x-global'),
                                                    policy=email.policy.default)
        for part in m.walk():
            check_equal(part.defects, [], f'defects of {part.get_content_type()}')
        check_equal(m.get_content_type(), 'multipart/report', 'type')
        check_equal(m.get_param('report-type'), 'delivery-status', 'kind of report')
        if message.recipients[0].isascii():  # an 8-bit header section is beyond the parser's addresses
            check_equal(m['To'].addresses[0].addr_spec, message.recipients[0], 'To')
        check_equal(m['From'].addresses[0].addr_spec, 'MAILER-DAEMON@mx.gateway.example', 'From')
        check_equal(m['Auto-Submitted'], 'auto-replied', 'Auto-Submitted')
        self.parts = list(m.iter_parts())
        self.types = [p.get_content_type().replace('application/x-global', 'message/global') for p in self.parts]
        check_equal(self.types[0], 'text/plain', 'first part')
        check(self.types[1] in ('message/delivery-status', 'message/global-delivery-status'), self.types)
        self.text = ' '.join(self.parts[0].get_content().split())
        fields = self.raw(1).decode().replace('\r\n ', ' ').replace('\r\n\t', ' ')
        blocks = [dict(line.split(': ', 1) for line in block.split('\r\n') if line)
                  for block in fields.split('\r\n\r\n') if block.strip()]
        self.about, self.recipients = blocks[0], blocks[1:]
        check_equal(self.about['Reporting-MTA'], 'dns; mx.gateway.example', 'Reporting-MTA')
        check('Arrival-Date' in self.about, 'Arrival-Date')
        for r in self.recipients:
            check('Final-Recipient' in r and 'Action' in r and 'Status' in r, f'{r}')

    def raw(self, index):
        """The octets of a part, decoded, without its header section and the line end before the boundary."""
        boundary = b'\r\n--' + self.message.get_boundary().encode()
        part = self.octets.split(boundary)[1 + index].split(b'\r\n\r\n', 1)[1]
        decode = {'base64': base64.b64decode, 'quoted-printable': quopri.decodestring}.get(self.parts[index]['Content-Transfer-Encoding'])
        return decode(part) if decode else part

    def actions(self):
        return {r['Final-Recipient'].split(';')[1].strip(): r['Action'] for r in self.recipients}

    def one(self):
        check_equal(len(self.recipients), 1, 'recipients told of')
        return self.recipients[0]


def octets(text):
    """What Client sends as these characters' UTF-8."""
    return text.encode().decode('latin-1')


def send(sender, recipients, content, mail='', client=None):
    """recipients: addresses, or pairs of address and parameters."""
    with client or Client() as c:
        check_equal(c.command(octets(f'MAIL FROM:<{sender}> {mail}'.rstrip())).code, 250, 'MAIL')
        for r in recipients:
            address, parameters = r if isinstance(r, tuple) else (r, '')
            reply = c.command(octets(f'RCPT TO:<{address}> {parameters}'.rstrip()))
            check_equal(reply.code, 250, f'RCPT {address} {parameters}: {reply}')
        check_equal(c.command('DATA').code, 354, 'DATA')
        c.send(stuffed(content))
        check_equal(c.reply().code, 250, 'the gateway takes it')
