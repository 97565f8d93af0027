"""seeds_tls.py KIND FOLDER COUNT: ClientHellos of Python's OpenSSL, as fuzz_tls takes them: two bytes that choose, then
what the peer sends."""
import pathlib
import ssl
import sys


def hello(version, name, protocols):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    if protocols:
        context.set_alpn_protocols(protocols)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


folder = pathlib.Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
number = 0
for tls in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
    for host, names in ((None, None), ("mx.example.org", ["smtp"]), ("a.example.net", ["h2", "http/1.1"])):
        for head in (b"\0\0", b"\0\7", b"\2\0"):
            (folder / f"hello{number}").write_bytes(head + hello(tls, host, names))
            number += 1
