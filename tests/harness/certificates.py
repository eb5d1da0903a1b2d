"""A certificate authority of a test's own, for servers and clients."""
import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


def name(cn, org=None):
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, cn)]
    return x509.Name(([x509.NameAttribute(NameOID.ORGANIZATION_NAME, org)] if org else []) + parts)


class Pair:
    """A certificate with its key, as PEM and as files."""

    def __init__(self, cert, key, folder):
        self.cert = cert.public_bytes(serialization.Encoding.PEM).decode()
        self.key = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
        self.fingerprint = cert.fingerprint(hashes.SHA256()).hex()
        stem = folder / ("%x" % cert.serial_number)
        self.files = str(stem) + ".crt", str(stem) + ".key"
        for path, text in zip(self.files, (self.cert, self.key)):
            with open(path, "w") as out:
                out.write(text)


class Authority:
    def __init__(self, folder, cn="Test CA"):
        self.folder, self.key = folder, ec.generate_private_key(ec.SECP256R1())
        self.name = name(cn)
        self.pair = self._sign(self.name, self.key, [], ca=True)
        self.pem, self.file = self.pair.cert, self.pair.files[0]

    def _sign(self, subject, key, sans, ca=False, lasts=DAY, usage=None):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(now - 2 * DAY).not_valid_after(now + lasts)
                   .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True))
        if sans:
            builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=False)
        if usage:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return Pair(builder.sign(self.key, hashes.SHA256()), key, self.folder)

    def server(self, *hosts, lasts=DAY):
        sans = [x509.IPAddress(ipaddress.ip_address(h)) if h[0].isdigit() else x509.DNSName(h) for h in hosts]
        return self._sign(name(hosts[0]), ec.generate_private_key(ec.SECP256R1()), sans, lasts=lasts, usage=ExtendedKeyUsageOID.SERVER_AUTH)

    def client(self, cn, org=None, dns=(), uri=(), lasts=DAY):
        sans = [x509.DNSName(d) for d in dns] + [x509.UniformResourceIdentifier(u) for u in uri]
        return self._sign(name(cn, org), ec.generate_private_key(ec.SECP256R1()), sans, lasts=lasts, usage=ExtendedKeyUsageOID.CLIENT_AUTH)
