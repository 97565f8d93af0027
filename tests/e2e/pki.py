"""Certificates as no honest authority makes them, by GnuTLS' certtool, and TLSA records of them."""
import hashlib
import os
import ssl

from harness import find_program, run

EXPIRED = {'activation_date': '"2020-01-01 00:00:00"', 'expiration_date': '"2021-01-01 00:00:00"'}


def der_item(data, at):
    """Where the content of a DER item begins and ends."""
    length, at = data[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7f
        length, at = int.from_bytes(data[at:at + size], 'big'), at + size
    return at, at + length


def key_of(certificate):
    """The SubjectPublicKeyInfo of a certificate, DER both: the seventh item of TBSCertificate with a version in it."""
    at = der_item(certificate, der_item(certificate, 0)[0])[0]
    for _ in range(6):
        at = der_item(certificate, at)[1]
    return certificate[at:der_item(certificate, at)[1]]


class Certificate:
    def __init__(self, name, path, key_path):
        self.name, self.path, self.key = name, path, key_path
        with open(path) as f:
            self.pem = f.read()
        self.der = ssl.PEM_cert_to_DER_cert(self.pem)

    def tlsa(self, usage=3, selector=1, matching=1):
        """The record's data as a zone file has it."""
        data = key_of(self.der) if selector == 1 else self.der
        if matching > 0:
            data = hashlib.new({1: 'sha256', 2: 'sha512'}[matching], data).digest()
        return f'{usage} {selector} {matching} {data.hex()}'


class Pki:
    """make('leaf', names=['a.example'], issuer=ca): a P-256 certificate, signed by itself without an issuer."""

    def __init__(self, directory):
        self.dir, self.certtool = directory, find_program('certtool', 'gnutls-bin')
        os.makedirs(directory, mode=0o755, exist_ok=True)
        self.serial = 100

    def make(self, name, names=(), issuer=None, ca=False, common=None, path_len=None, key_from=None, more=None):
        path, template = os.path.join(self.dir, name + '.pem'), os.path.join(self.dir, name + '.cfg')
        key = key_from.key if key_from else os.path.join(self.dir, name + '.key')
        if not key_from:
            run('openssl', 'genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', key)
            os.chmod(key, 0o644)  # Postfix reads it as root, others as whoever they are: it is worth nothing
        self.serial += 1
        rows = {'cn': f'"{common or name}"', 'serial': self.serial, 'expiration_days': 30} | (more or {})
        if 'expiration_date' in rows:
            del rows['expiration_days']
        if ca:
            rows |= {'ca': '', 'cert_signing_key': ''} | ({'path_len': path_len} if path_len is not None else {})
        elif 'tls_www_client' not in rows:
            rows |= {'tls_www_server': '', 'signing_key': ''}
        with open(template, 'w') as f:
            f.writelines(f'{k} = {v}\n' if v != '' else f'{k}\n' for k, v in rows.items())
            f.writelines(f'dns_name = "{n}"\n' for n in names)
        how = ['--generate-self-signed'] if issuer is None else \
            ['--generate-certificate', '--load-ca-certificate', issuer.path, '--load-ca-privkey', issuer.key]
        run(self.certtool, *how, '--load-privkey', key, '--template', template, '--outfile', path)
        return Certificate(name, path, key)

    def chain(self, name, *certificates):
        """A file with the certificates in that order; the first one's key fits."""
        path = os.path.join(self.dir, name + '.chain')
        with open(path, 'w') as f:
            f.writelines(c.pem for c in certificates)
        return path
