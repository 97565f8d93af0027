"""8-bit messages made 7-bit: Python's email package, which has never heard of Sluice, finds in them what was there."""
import email
import email.policy
import random
import re
import subprocess
import sys
import unittest

PROGRAM = sys.argv[1]
CONVERTED, NOTHING, HEADER, NOT = 0, 3, 4, 5
TEXT = 'Grüße aus Köln, = 100 % \t \r\nnext line \r\n.\r\n'.encode()
PARSE = email.policy.compat32.clone(linesep='\r\n')


def convert(message, piece=4096):
    done = subprocess.run([PROGRAM, str(piece)], input=message, stdout=subprocess.PIPE)
    return done.returncode, done.stdout


def parsed(octets):
    """Python takes an encoded message for a message: here it is a leaf."""
    return email.message_from_bytes(re.sub(b'(?i)message/global', b'application/x-global', octets), policy=PARSE)


def leaves(octets):
    """Type, parameters and decoded content of each part."""
    found = []
    for part in parsed(octets).walk():
        if part.is_multipart():
            found.append((part.get_content_type(), part.get_boundary(), part.preamble, part.epilogue))
        else:
            found.append((part.get_content_type(), part.get_filename(), part.get_payload(decode=True)))
    return found


def other_fields(octets):
    """All header fields of all parts but those that a conversion is about."""
    skip = {'content-transfer-encoding', 'mime-version'}
    return [[(n, v) for n, v in part.items() if n.lower() not in skip]
            for part in parsed(octets).walk()]


def entity(fields, body):
    return ''.join(f + '\r\n' for f in fields).encode() + b'\r\n' + body


def multipart(boundary, *parts, subtype='mixed', fields=(), preamble=b'', epilogue=b''):
    body = preamble + b''.join(b'--' + boundary + b'\r\n' + p + b'\r\n' for p in parts) + b'--' + boundary + b'--\r\n' + epilogue
    return entity([*fields, f'Content-Type: multipart/{subtype};\r\n boundary="{boundary.decode()}"'], body)


TOP = ['From: a@example.org', 'Subject: x', 'MIME-Version: 1.0']
EIGHT = ['Content-Type: text/plain; charset=utf-8', 'Content-Transfer-Encoding: 8bit']
BINARY = ['Content-Type: application/octet-stream; name=x', 'Content-Transfer-Encoding: binary']
ASCII = entity(['Content-Type: text/plain'], b'plain = text \r\n')
BYTES = bytes(b for b in range(256) if b not in (0, 10, 13))

GOOD = {
    'one part': entity(TOP + EIGHT, TEXT),
    'encoding not declared': entity(TOP + EIGHT[:1], TEXT),
    'wrongly 7bit': entity(TOP + EIGHT[:1] + ['Content-Transfer-Encoding: 7bit'], TEXT),
    'field in other case, with a comment': entity(TOP + EIGHT[:1] + ['CONTENT-transfer-encoding: (really)\r\n 8BIT'], TEXT),
    'mostly beyond ASCII': entity(TOP + EIGHT, 'Ελληνικά γράμματα παντού\r\n'.encode() * 40),
    'no text': entity(TOP + BINARY, BYTES * 20 + b'\r\n'),
    'no line end at the end': entity(TOP + EIGHT, TEXT + b'\xff'),
    'a blank at the end': entity(TOP + EIGHT, b'\xff '),
    'a long line': entity(TOP + EIGHT, b'ab \xc3\xa4' * 3000 + b'\r\n'),
    'blanks alone': entity(TOP + EIGHT, b'\xe4' + b' ' * 700 + b'\r\n' + b'\t' * 80 + b'\r\n'),
    'two parts': multipart(b'b', ASCII, entity(EIGHT, TEXT), fields=TOP),
    'no line end before the boundary': multipart(b'b', entity(EIGHT, b'\xc3\xa4'), entity(BINARY, b'\xff'), fields=TOP),
    'line ends before the boundary': multipart(b'b', entity(EIGHT, b'\xc3\xa4\r\n\r\n'), entity(BINARY, b'\xff\r\n\r\n'), fields=TOP),
    'a whole line of base64': multipart(b'b', entity(BINARY, b'\xff' * 57), entity(BINARY, b'\xfe' * 55 + b'\r\n'), fields=TOP),
    'multipart labelled 8bit': multipart(b'b', entity(EIGHT, TEXT), fields=TOP + ['Content-Transfer-Encoding: 8bit']),
    'texts around': multipart(b'b', entity(EIGHT, TEXT), fields=TOP, preamble=b'This is MIME\r\n', epilogue=b'over\r\n'),
    'nested': multipart(b'outer', multipart(b'inner', entity(EIGHT, TEXT), ASCII, subtype='alternative'), entity(BINARY, BYTES), fields=TOP),
    'boundaries that begin alike': multipart(b'bb', multipart(b'bbb', entity(EIGHT, TEXT)), entity(EIGHT, TEXT), fields=TOP),
    'a line like a boundary': multipart(b'b', entity(EIGHT, b'--bx\r\n-- b\r\n--\r\n\xc3\xa4\r\n --b\r\n'), fields=TOP),
    'a message inside': entity(TOP + ['Content-Type: message/rfc822', 'Content-Transfer-Encoding: 8bit'], entity(TOP + EIGHT, TEXT)),
    'a message in a part': multipart(b'b', entity(['Content-Type: message/rfc822'], multipart(b'i', entity(EIGHT, TEXT), fields=TOP)), entity(EIGHT, TEXT), fields=TOP),
    'digest': multipart(b'b', entity([], entity(TOP + EIGHT, TEXT)), entity(['Content-Type: text/plain'], TEXT), subtype='digest', fields=TOP),
    'encoded parts beside': multipart(b'b', entity(EIGHT[:1] + ['Content-Transfer-Encoding: base64'], b'w6Q=\r\n'),
                                      entity(EIGHT[:1] + ['Content-Transfer-Encoding: quoted-printable'], b'=C3=A4 =\r\n'), entity(EIGHT, TEXT), fields=TOP),
    'signed part beside': multipart(b'b', multipart(b's', ASCII, ASCII, subtype='signed'), entity(EIGHT, TEXT), fields=TOP),
    'boundary without quotes': entity(TOP + ['Content-Type: multipart/mixed; x="a;boundary=no"; BOUNDARY=b_1'], b'--b_1\r\n' + entity(EIGHT, TEXT) + b'\r\n--b_1--\r\n'),
    # RFC 6532 section 3.7 and RFC 6533 section 4.1: encoded as a whole, UTF-8 header fields and all
    'a report of RFC 6533': multipart(b'b', entity(EIGHT, TEXT),
                                      entity(['Content-Type: message/global-delivery-status', 'Content-Transfer-Encoding: 8bit'],
                                             'Reporting-MTA: dns; x\r\n\r\nFinal-Recipient: utf-8; ä@x\r\n'.encode()),
                                      entity(['Content-Type: message/global', 'Content-Transfer-Encoding: 8bit'],
                                             'Subject: Grüße\r\n'.encode() + entity(EIGHT, TEXT)), subtype='report', fields=TOP),
    'UTF-8 header fields alone': multipart(b'b', entity(['Content-Type: MESSAGE/Global-Headers'], 'Subject: ελληνικά\r\n'.encode() * 9), fields=TOP),
    'a message of RFC 6532 as the message': entity(TOP + ['Content-Type: message/global'], 'Subject: ä\r\n\r\nä\r\n'.encode()),
    'empty parts': multipart(b'b', entity(EIGHT, b''), b'\r\n', entity(EIGHT, TEXT), fields=TOP),
    'no last boundary': entity(TOP + ['Content-Type: multipart/mixed; boundary=b'], b'--b\r\n' + entity(EIGHT, TEXT)),
    'no MIME at all': entity(['From: a@example.org'], TEXT),
}

BAD = {
    'signed': multipart(b's', entity(EIGHT, TEXT), ASCII, subtype='signed', fields=TOP),
    'message below a signature': multipart(b's', multipart(b'b', entity(['Content-Type: message/rfc822'], entity(EIGHT, TEXT))), ASCII, subtype='signed', fields=TOP),
    'behind a signed part, in it': multipart(b'b', multipart(b's', ASCII, entity(EIGHT, TEXT), subtype='signed'), fields=TOP),
    'base64 that is none': entity(TOP + EIGHT[:1] + ['Content-Transfer-Encoding: base64'], TEXT),
    'unknown encoding': entity(TOP + EIGHT[:1] + ['Content-Transfer-Encoding: x-uuencode'], TEXT),
    'partial': entity(TOP + ['Content-Type: message/partial; id=x; number=1'], TEXT),
    'preamble': multipart(b'b', ASCII, fields=TOP, preamble=b'\xc3\xa4\r\n'),
    'epilogue': multipart(b'b', ASCII, fields=TOP, epilogue=b'\xc3\xa4\r\n'),
    'no boundary': entity(TOP + ['Content-Type: multipart/mixed'], b'--b\r\n' + entity(EIGHT, TEXT)),
    'boundary too long': multipart(b'b' * 71, entity(EIGHT, TEXT), fields=TOP),
}


class Conversions(unittest.TestCase):
    def same(self, before, after):
        self.assertTrue(after.isascii())
        self.assertIsNone(re.search(rb'\r(?!\n)|(?<!\r)\n', after))
        self.assertLessEqual(max(len(line) for line in after.split(b'\r\n')), 998)
        self.assertEqual(leaves(after), leaves(before))
        for part in parsed(after).walk():
            self.assertIn(part.get('content-transfer-encoding', '7bit').lower(), ('7bit', 'base64', 'quoted-printable'))

    def test_converted(self):
        for name, message in GOOD.items():
            with self.subTest(name):
                whole = convert(message)
                self.assertEqual(whole[0], CONVERTED, whole[1])
                self.same(message, whole[1])
                if name != 'no MIME at all':
                    self.assertEqual(other_fields(whole[1]), other_fields(message))
                for piece in (1, 2, 7, 255, 256, 257):
                    self.assertEqual(convert(message, piece), whole, piece)
                self.assertEqual(convert(whole[1])[0], NOTHING)

    def test_no_mime(self):
        _, after = convert(GOOD['no MIME at all'])
        message = email.message_from_bytes(after)
        self.assertEqual((message['mime-version'], message.get_content_charset()), ('1.0', 'unknown-8bit'))

    def test_untouched_parts(self):
        """The bytes of what needs no conversion stay as they are."""
        _, after = convert(GOOD['signed part beside'])
        signed = multipart(b's', ASCII, ASCII, subtype='signed')
        self.assertIn(signed, after)
        _, after = convert(GOOD['texts around'])
        self.assertIn(b'This is MIME\r\n--b\r\n', after)

    def test_refused(self):
        reasons = set()
        for name, message in BAD.items():
            with self.subTest(name):
                status, why = convert(message)
                self.assertEqual(status, NOT)
                self.assertEqual(convert(message, 3), (status, why))
                reasons.add(why)
        self.assertEqual(len(reasons), 4)

    def test_too_deep(self):
        """16 multiparts in each other are converted, 17 are not."""
        for depth in (16, 17):
            message = entity(EIGHT, TEXT)
            for i in range(depth):
                message = multipart(f'level-{i}'.encode(), message, fields=TOP if i == depth - 1 else ())
            status, after = convert(message)
            self.assertEqual(status, CONVERTED if depth == 16 else NOT)
            if depth == 16:
                self.same(message, after)

    def test_many_parts(self):
        for cnt, wanted in ((1023, CONVERTED), (1024, NOT)):
            message = multipart(b'b', *[entity(EIGHT, b'\xc3\xa4')] * cnt, fields=TOP)
            status, after = convert(message)
            self.assertEqual(status, wanted)
            if wanted == CONVERTED:
                self.same(message, after)

    def test_nothing_to_do(self):
        self.assertEqual(convert(entity(TOP + EIGHT, b'plain\r\n')), (NOTHING, b''))
        self.assertEqual(convert(b''), (NOTHING, b''))
        self.assertEqual(convert(entity(['Subject: \u00e4'], b'x'))[0], HEADER)
        self.assertEqual(convert(multipart(b'b', entity(['Content-Disposition: x; filename=\u00e4'], b'x'), fields=TOP))[0], HEADER)

    def test_random(self):
        seed = random.randrange(1 << 32)
        rng = random.Random(seed)

        def body():
            words = [b'word', b' ', b'\t', b'=', b'\r\n', b'.', b'\xc3\xa4', b'\xff', b'--', b'\r\n--', b'x' * 90]
            return b''.join(rng.choice(words) for _ in range(rng.randrange(60)))

        def part(depth):
            if depth < 4 and rng.randrange(3) == 0:
                return multipart(b'b%d' % rng.randrange(1 << 30), *[part(depth + 1) for _ in range(rng.randrange(1, 4))])
            return entity(rng.choice([EIGHT, BINARY, EIGHT[:1]]), body())
        for _ in range(60):
            message = b'From: a@b\r\nMIME-Version: 1.0\r\n' + part(0)
            status, after = convert(message, rng.choice([5, 300, 4096]))
            with self.subTest(seed=seed):
                self.assertIn(status, (CONVERTED, NOTHING))
                if status == CONVERTED:
                    self.same(message, after)


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
