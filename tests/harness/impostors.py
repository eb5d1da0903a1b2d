"""Servers over TLS, good and bad in every way that matters, as contexts for harness.worker.Upstream. For clients: certificates.py."""
import datetime
import ipaddress
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID


def _key(kind):
    if kind == "weak":
        return rsa.generate_private_key(public_exponent=65537, key_size=1024)
    return ec.generate_private_key(ec.SECP256R1())


def _alternative(text):
    kind, _, value = text.partition(":")
    return x509.IPAddress(ipaddress.ip_address(value)) if kind == "IP" else x509.DNSName(value)


class Authority:
    """authority.server("good") is an ssl.SSLContext of a server whose certificate this authority signed."""

    def __init__(self, folder, name="tests"):
        self.folder, self.key = folder, _key("good")
        self.certificate = self._sign(name, self.key, None, ca=True)
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def _sign(self, name, key, issuer, *, ca=False, names=(), starts=-1, ends=30):
        now = datetime.datetime.now(datetime.timezone.utc)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
                   .issuer_name(issuer.certificate.subject if issuer else subject).serial_number(x509.random_serial_number())
                   .not_valid_before(now + datetime.timedelta(days=starts)).not_valid_after(now + datetime.timedelta(days=ends))
                   .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True))
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_alternative(n) for n in names]), critical=False)
        return builder.sign(issuer.key if issuer else key, hashes.SHA256())

    def issue(self, name, *, names=("DNS:up.example", "IP:127.0.0.1"), starts=-1, ends=30, kind="good", itself=False):
        """(certificate file, key file) of a server; `itself`: it vouches for itself."""
        key = _key(kind)
        certificate = self._sign(name, key, None if itself else self, names=names, starts=starts, ends=ends)
        crt, pem = self.folder / (name + ".pem"), self.folder / (name + ".key")
        crt.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pem.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return crt, pem

    def server(self, name="good", *, newest=None, **how):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if how.get("kind") == "weak":
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.load_cert_chain(*self.issue(name, **how))
        if newest:
            context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, newest
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
        return context
