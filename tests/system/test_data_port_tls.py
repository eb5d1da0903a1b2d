"""TLS on the data port: certificates by name and replaced while it runs, and consumers known by theirs."""
import datetime
import json
import random
import signal
import socket
import ssl
import subprocess
import time

import httpx
import pytest

from harness.admin import faults
from harness.certificates import Authority
from harness.waiting import wait_until

BODY = {"model": "m", "messages": [{"role": "user", "content": "over TLS"}]}


@pytest.fixture
def house(gateway, vllm_sim, tmp_path):
    gateway.provider("p0", vllm_sim, type="vllm", served=False)
    gateway.route("r", "m", ("p0", "qwq-32b"), served=False)
    gateway.authority = Authority(tmp_path)
    gateway.cert = gateway.authority.server("127.0.0.1", "localhost")
    gateway.secrets.add(gateway.cert.key.splitlines()[1])

    def tls(certificates=None, **more):
        certificates = certificates or [{"name": "main", "certificate_pem": gateway.cert.cert, "private_key": gateway.cert.key}]
        answer = gateway.admin.patch("settings", {"tls": {"mode": "optional", "certificates": certificates, **more}})
        gateway.wait_served()
        return answer.json()
    gateway.tls = tls

    def ask(key=None, scheme="https", cert=None, verify=None):
        context = ssl.create_default_context(cafile=verify or gateway.authority.file)
        if cert:
            context.load_cert_chain(*cert.files)
        with httpx.Client(verify=context, trust_env=False, timeout=20) as client:
            return client.post("%s://127.0.0.1:%d/v1/chat/completions" % (scheme, gateway.data_port), json=BODY,
                               headers={"Authorization": "Bearer " + key} if key else {})
    gateway.ask = ask
    yield gateway
    gateway.admin.put("settings", {})


def test_both_on_one_port_or_only_one(house):
    key = house.key()
    house.tls()
    assert house.ask(key).status_code == 200 and house.ask(key, "http").status_code == 200
    house.tls(mode="required")
    assert house.ask(key).status_code == 200
    with pytest.raises(httpx.HTTPError):
        house.ask(key, "http")
    house.admin.patch("settings", {"tls": {"mode": "off"}})
    house.wait_served()
    assert house.ask(key, "http").status_code == 200
    with pytest.raises(httpx.HTTPError):
        house.ask(key)


def test_a_certificate_is_replaced_while_connections_live(house, tmp_path):
    key = house.key()
    house.tls()
    context = ssl.create_default_context(cafile=house.authority.file)
    with httpx.Client(verify=context, trust_env=False) as old:
        url = "https://127.0.0.1:%d/v1/models" % house.data_port
        assert old.get(url, headers={"x-api-key": key}).status_code == 200
        fresh = Authority(tmp_path, "Another CA")
        pair = fresh.server("127.0.0.1")
        house.tls([{"name": "main", "certificate_pem": pair.cert, "private_key": pair.key}])
        assert old.get(url, headers={"x-api-key": key}).status_code == 200     # the connection lives on
        assert house.ask(key, verify=fresh.file).status_code == 200
        with pytest.raises(httpx.HTTPError):
            house.ask(key)


def test_no_room_is_said_in_the_clients_own_words(house):
    """At the limit of connections: 503 to who speaks plain HTTP, TLS's alert to who speaks TLS, nothing to who may not speak plainly."""
    house.tls()
    door = ("127.0.0.1", house.data_port)
    try:
        house.admin.patch("settings", {"data_plane": {"max_connections": 1}})
        house.wait_served()
        held = socket.create_connection(door)
        for mode in ("optional", "required"):
            house.tls(mode=mode)
            with socket.create_connection(door, timeout=10) as raw, pytest.raises(ssl.SSLError) as told:
                ssl.create_default_context(cafile=house.authority.file).wrap_socket(raw, server_hostname="127.0.0.1")
            assert "INTERNAL_ERROR" in told.value.reason, told.value
            with socket.create_connection(door, timeout=10) as raw:
                raw.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                heard = b"".join(iter(lambda: raw.recv(4096), b""))
            assert heard.startswith(b"HTTP/1.1 503 ") and b"retry-after: 1" in heard if mode == "optional" else heard == b""
            with socket.create_connection(door, timeout=10) as raw:
                assert raw.recv(1) == b"", "who says nothing is closed within a second or so"
        held.close()
    finally:
        house.admin.put("settings", {})
        house.wait_served()


def shown(house, server_name, **versions):
    context = ssl.create_default_context(cafile=house.authority.file)
    context.check_hostname = False
    for name, value in versions.items():
        setattr(context, name, value)
    with socket.create_connection(("127.0.0.1", house.data_port), timeout=10) as raw, context.wrap_socket(raw, server_hostname=server_name) as s:
        return {value for kind, value in s.getpeercert()["subjectAltName"]}, s.version(), s.selected_alpn_protocol()


def test_certificates_by_name_and_versions(house):
    other = house.authority.server("ai.example.com", "*.models.example.com")
    house.tls([{"name": "main", "certificate_pem": house.cert.cert, "private_key": house.cert.key},
               {"name": "other", "certificate_pem": other.cert, "private_key": other.key}])
    assert "localhost" in shown(house, "localhost")[0] and "localhost" in shown(house, "unknown.example.com")[0]
    assert "ai.example.com" in shown(house, "ai.example.com")[0] and "ai.example.com" in shown(house, "x.models.example.com")[0]
    assert shown(house, "localhost", maximum_version=ssl.TLSVersion.TLSv1_2)[1] == "TLSv1.2"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        shown(house, "localhost", minimum_version=ssl.TLSVersion.TLSv1, maximum_version=ssl.TLSVersion.TLSv1_1)


def test_a_handshake_that_stalls_is_ended(house):
    house.tls()
    with socket.create_connection(("127.0.0.1", house.data_port), timeout=15) as raw:
        raw.sendall(b"\x16\x03\x01\x02\x00\x01")      # the beginning of a hello, and then nothing
        assert raw.recv(100) == b""


def hello(house, name=None, **versions):
    """The first bytes of a client's handshake."""
    context = ssl.create_default_context(cafile=house.authority.file)
    context.check_hostname = False
    for what, value in versions.items():
        setattr(context, what, value)
    out = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    return out.read()


def said_to(house, data):
    """What the port says to these bytes and an end."""
    with socket.create_connection(("127.0.0.1", house.data_port), timeout=20) as raw:
        try:
            raw.sendall(data)
            raw.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: raw.recv(65536), b""))
        except ConnectionError:
            return b""


def test_garbage_for_handshakes_F23(house):
    """Three thousand of them, random or mutilated, beside calls that are answered: none is let in, nothing is left of any."""
    house.tls(mode="required")
    key, rng = house.key(), random.Random(23)
    seeds = [hello(house, "localhost"), hello(house, "localhost", maximum_version=ssl.TLSVersion.TLSv1_2)]
    for i in range(3000):
        data = bytearray(rng.choice(seeds))
        if i % 3 == 0:                                   # a record of the right type, and nothing right in it
            data[5:] = rng.randbytes(rng.randrange(1, 600))
        elif i % 3 == 1:
            for _ in range(rng.randrange(1, 12)):
                data[rng.randrange(1, len(data))] = rng.randrange(256)
        else:
            data = data[:rng.randrange(1, len(data))] + rng.randbytes(rng.randrange(40))
        assert not said_to(house, bytes(data)).startswith(b"HTTP")
        if i % 300 == 0:
            assert house.ask(key).status_code == 200
    assert house.ask(key).status_code == 200


def test_odd_names_in_handshakes_F23(house):
    """They get the first certificate or an alert."""
    house.tls()
    whole = hello(house, "sni.example.com", maximum_version=ssl.TLSVersion.TLSv1_2)
    assert whole.count(b"sni.example.com") == 1
    for name in (b"\0" * 15, b"localhost\0aaaaa", b"\xff" * 15, b"." * 15, b" " * 15, b"[::1]----------", b"127.0.0.1......", b"*.example.com.x", b"LOCALHOSTLOCALH"):
        heard = said_to(house, whole.replace(b"sni.example.com", name))
        assert heard[:1] in (b"\x16", b"\x15") or heard == b"", (name, heard[:20])
    assert "localhost" in shown(house, "x" * 60 + "." + "y" * 60)[0] and "localhost" in shown(house, "127.0.0.1")[0]


def test_renegotiation_is_refused_F23(house):
    house.tls()
    run = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % house.data_port, "-tls1_2"], input=b"R\n", capture_output=True, timeout=60)
    assert b"RENEGOTIATING" in run.stdout + run.stderr and b"no renegotiation" in run.stderr, run.stderr[-2000:]
    assert house.ask(house.key()).status_code == 200


def test_half_a_handshake_is_heard_out(start_gateway, vllm_sim, tmp_path):
    """A worker that is told to go while a client shakes hands lets it finish, answers its request, and goes."""
    gateway = start_gateway(split=True)
    gateway.provider("p0", vllm_sim, type="vllm", served=False)
    gateway.route("r", "m", ("p0", "qwq-32b"), served=False)
    authority, key = Authority(tmp_path), gateway.key()
    pair = authority.server("127.0.0.1")
    gateway.admin.patch("settings", {"tls": {"mode": "required", "certificates": [{"name": "main", "certificate_pem": pair.cert, "private_key": pair.key}]}})
    gateway.wait_served()
    into, out, worker = ssl.MemoryBIO(), ssl.MemoryBIO(), gateway.daemon("worker-0")
    side = ssl.create_default_context(cafile=authority.file).wrap_bio(into, out, server_hostname="127.0.0.1")
    with socket.create_connection(("127.0.0.1", gateway.data_port), timeout=20) as raw:
        def until_done(step, send=True):
            while True:
                try:
                    done = step()
                    if send:
                        raw.sendall(out.read())
                    return done
                except ssl.SSLWantReadError:
                    raw.sendall(out.read())
                    piece = raw.recv(65536)
                    assert piece, "the worker hung up"
                    into.write(piece)
        with pytest.raises(ssl.SSLWantReadError):
            side.do_handshake()
        raw.sendall(out.read())
        into.write(raw.recv(65536))                      # its part of the handshake: so ours was read
        worker.send(signal.SIGTERM)
        wait_until(lambda: '"draining"' in worker.log(), 10, "the worker being told")
        time.sleep(0.6)                                  # longer than what is given to those who have said nothing
        assert worker.running
        until_done(side.do_handshake, send=False)        # our part goes with the request: who then says nothing is idle soon
        body = json.dumps(BODY).encode()
        until_done(lambda: side.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\ncontent-type: application/json\r\n"
                                      b"content-length: %d\r\n\r\n%s" % (key.encode(), len(body), body)))
        answer = until_done(lambda: side.read(65536))
        assert answer.startswith(b"HTTP/1.1 200 ") and b"connection: close" in answer
    assert worker.process.wait(20) == 0
    gateway.baseline = {}


def test_consumers_by_certificate(house):
    admin, ca = house.admin, house.authority
    alice, bob, carol = ca.client("alice", "Acme"), ca.client("bob", dns=["bob.example.com"]), ca.client("carol", uri=["spiffe://acme/carol"])
    for who, match, value in (("alice", "subject", "CN=alice,O=Acme"), ("bob", "san", "dns:bob.example.com"), ("carol", "san", "uri:spiffe://acme/carol")):
        admin.post("consumers", {"name": who})
        admin.post("consumers/%s/credentials" % who, {"type": "mtls", "match": match, "value": value})
    colons = ":".join(ca.client("x").fingerprint[i:i + 2] for i in range(0, 64, 2)).upper()
    assert ":" not in admin.post("consumers/alice/credentials", {"type": "mtls", "match": "fingerprint", "value": colons}).json()["value"]
    house.tls(client_auth="optional", client_ca_pem=ca.pem)
    assert [house.ask(cert=c).status_code for c in (alice, bob, carol)] == [200, 200, 200]
    rows = {r["consumer"] for r in house.admin.get("usage?group_by=consumer").json()["items"]}
    assert house.ask(cert=ca.client("stranger")).json()["error"]["code"] == "invalid_api_key"
    assert house.ask().json()["error"]["code"] == "missing_api_key"
    key = house.key()
    assert house.ask(key).status_code == 200 and house.ask(key, cert=alice).status_code == 200   # keys go on beside them
    assert house.ask("tgk_no-such-key-anywhere-here", cert=alice).status_code == 401                # and a wrong key is no certificate
    foreign = Authority(ca.folder, "Test CA").client("alice", "Acme")
    for cert in (foreign, ca.client("alice", "Acme", lasts=datetime.timedelta(days=-1))):
        with pytest.raises(httpx.HTTPError):
            house.ask(cert=cert)
    admin.patch("consumers/bob", {"enabled": False})
    house.wait_served()
    assert house.ask(cert=bob).status_code == 401
    assert rows is not None


def test_client_certificates_may_be_required(house):
    ca = house.authority
    alice = ca.client("alice")
    house.admin.post("consumers", {"name": "alice"})
    house.admin.post("consumers/alice/credentials", {"type": "mtls", "match": "subject", "value": "CN=alice"})
    house.tls(mode="required", client_auth="required", client_ca_pem=ca.pem)
    assert house.ask(cert=alice).status_code == 200
    with pytest.raises(httpx.HTTPError):
        house.ask()


def test_what_cannot_work_is_refused_by_name(house, tmp_path):
    admin, pair, other = house.admin, house.cert, house.authority.server("other.example.com")
    for change, path in (
        ({"mode": "required"}, "/tls/certificates"), ({"client_auth": "optional"}, "/tls/client_ca_pem"),
        ({"certificates": [{"name": "a", "certificate_pem": pair.cert, "private_key": other.key}]}, "/tls/certificates/0/private_key"),
        ({"certificates": [{"name": "a", "certificate_pem": "no pem", "private_key": pair.key}]}, "/tls/certificates/0/certificate_pem"),
        ({"certificates": [{"name": "a", "certificate_pem": pair.cert}]}, "/tls/certificates/0/private_key"),
        ({"client_ca_pem": "nonsense"}, "/tls/client_ca_pem"),
    ):
        assert faults(admin.patch("settings", {"tls": change}, expect=400))[0][0] == path, change
    stored = house.tls()
    assert set(stored["tls"]["certificates"][0]["private_key"]) == {"last4", "fingerprint", "created_at"}
    kept = {**stored["tls"], "certificates": [{"name": "main", "certificate_pem": pair.cert}]}
    assert admin.patch("settings", {"tls": kept}).json()["tls"] == stored["tls"]
    assert pair.key.splitlines()[1] not in admin.get("settings").text + admin.get("config").text + admin.get("audit").text
