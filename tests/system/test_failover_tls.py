"""TLS towards providers: verified by default, with a CA of one's own, and not older than the provider's setting."""
import ssl
import subprocess

import pytest

from harness.worker import Upstream, Worker, answer_plainly, config, request


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    key, pem = folder / "key.pem", folder / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                    "/CN=api.vendor.test", "-addext", "subjectAltName=DNS:api.vendor.test", "-keyout", key, "-out", pem],
                   check=True, capture_output=True)
    return key, pem


def serve(certificate, newest=ssl.TLSVersion.MAXIMUM_SUPPORTED):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate[1], certificate[0])
    context.maximum_version = newest
    return Upstream(answer_plainly, context)


TRUSTED = lambda certificate: {"ca_pem": certificate[1].read_text(), "server_name": "api.vendor.test"}
CASES = {
    "own CA": (lambda c: TRUSTED(c), ssl.TLSVersion.TLSv1_3, 200),
    "own CA, TLS 1.2": (lambda c: TRUSTED(c), ssl.TLSVersion.TLSv1_2, 200),
    "TLS 1.3 wanted and there": (lambda c: {**TRUSTED(c), "min_version": "1.3"}, ssl.TLSVersion.TLSv1_3, 200),
    "TLS 1.3 wanted and not there": (lambda c: {**TRUSTED(c), "min_version": "1.3"}, ssl.TLSVersion.TLSv1_2, 502),
    "unknown CA": (lambda c: {"server_name": "api.vendor.test"}, ssl.TLSVersion.TLSv1_3, 502),
    "another name": (lambda c: {"ca_pem": c[1].read_text(), "server_name": "api.other.test"}, ssl.TLSVersion.TLSv1_3, 502),
    "not verified": (lambda c: {"verify": False}, ssl.TLSVersion.TLSv1_3, 200),
}


@pytest.mark.parametrize("case", CASES)
def test_who_is_talked_to(tmp_path, certificate, case):
    tls, newest, wanted = CASES[case]
    upstream = serve(certificate, newest)
    worker = Worker(tmp_path, config(upstream, provider={"tls": tls(certificate)}))
    number, _, body = worker.talk().send(request()).answer()
    assert number == wanted, body
    if wanted == 502:
        assert b"(tls)" in body and upstream.requests == [], "not a byte of the request leaves"
    worker.idle()
    worker.stop()
    upstream.close()
