"""JSON Web Tokens, key sets and signed requests, made by hand so that wrong ones can be made too."""
import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value, size=None):
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
CURVES = {"P-256": (ec.SECP256R1(), 32), "P-384": (ec.SECP384R1(), 48), "P-521": (ec.SECP521R1(), 66)}


class Key:
    """A private key with its public JWK."""

    def __init__(self, kind, kid="k1", bits=2048, **more):
        self.kind, self.kid, self.more = kind, kid, more
        if kind == "RSA":
            self.private = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        elif kind == "Ed25519":
            self.private = ed25519.Ed25519PrivateKey.generate()
        else:
            self.private = ec.generate_private_key(CURVES[kind][0])

    def jwk(self):
        public = self.private.public_key()
        named = {"kid": self.kid, "use": "sig", **self.more} if self.kid else dict(self.more)
        if self.kind == "RSA":
            n = public.public_numbers()
            return {"kty": "RSA", "n": number(n.n), "e": number(n.e), **named}
        if self.kind == "Ed25519":
            return {"kty": "OKP", "crv": "Ed25519", "x": b64(public.public_bytes_raw()), **named}
        n, size = public.public_numbers(), CURVES[self.kind][1]
        return {"kty": "EC", "crv": self.kind, "x": number(n.x, size), "y": number(n.y, size), **named}

    def sign(self, alg, text):
        if alg == "EdDSA":
            return self.private.sign(text)
        digest = HASHES[alg[2:]]
        if alg.startswith("RS"):
            return self.private.sign(text, padding.PKCS1v15(), digest)
        if alg.startswith("PS"):
            return self.private.sign(text, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
        r, s = utils.decode_dss_signature(self.private.sign(text, ec.ECDSA(digest)))
        size = CURVES[self.kind][1]
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")


class Shared:
    """A shared secret for HS algorithms."""

    def __init__(self, secret, kid=None):
        self.secret, self.kid = secret if isinstance(secret, bytes) else secret.encode(), kid

    def sign(self, alg, text):
        return hmac.new(self.secret, text, {"256": "sha256", "384": "sha384", "512": "sha512"}[alg[2:]]).digest()


def token(key, alg, claims, header=None, raw_payload=None):
    head = {"alg": alg, "typ": "JWT"}
    if key is not None and key.kid:
        head["kid"] = key.kid
    head.update(header or {})
    head = {name: value for name, value in head.items() if value is not None}
    payload = raw_payload if raw_payload is not None else json.dumps(claims).encode()
    text = (b64(json.dumps(head).encode()) + "." + b64(payload)).encode()
    return text.decode() + "." + (b64(key.sign(alg, text)) if key is not None else "")


def claims(iss, sub="user-1", aud="tidegate", lasts=300, **more):
    now = int(time.time())
    return {"iss": iss, "sub": sub, "aud": aud, "exp": now + lasts, "iat": now, **more}


class KeyServer:
    """An identity provider's address: serves `keys` and counts how often it was asked."""

    def __init__(self):
        self.keys, self.asked, self.broken, self.gate = [], 0, False, threading.Event()
        self.gate.set()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                owner.asked += 1
                owner.gate.wait(20)
                body = b"oops" if owner.broken else json.dumps({"keys": [k.jwk() for k in owner.keys]}).encode()
                self.send_response(500 if owner.broken else 200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d/jwks.json" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()


def signed_headers(key_id, secret, method, url, body=b"", content_type="application/json", date=None, nonce=None, digest=None):
    """The headers of a signed request, as docs/hmac.md tells it. `url` is an httpx.URL."""
    date = date or time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    nonce = nonce or secrets.token_urlsafe(18)
    digest = digest or hashlib.sha256(body).hexdigest()
    host = url.netloc.decode()
    text = "".join(part + "\n" for part in ("TIDEGATE-HMAC-SHA256", date, nonce, method, host, url.raw_path.decode(), content_type, digest))
    signature = hmac.new(secret.encode(), text.encode(), "sha256").hexdigest()
    return {"authorization": "TIDEGATE-HMAC-SHA256 KeyId=%s,Signature=%s" % (key_id, signature), "x-tidegate-date": date,
            "x-tidegate-nonce": nonce, "x-tidegate-content-sha256": digest, "content-type": content_type, "host": host}
