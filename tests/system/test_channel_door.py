"""Who may open the channel, and what ends a connection."""
import hashlib
import os
import socket
import ssl

import pytest

from channel import BINARY, TEXT, FakeWorker, connect_tls, upgrade
from lone_control import LoneControl


@pytest.fixture(scope="module")
def control():
    from harness.fixtures import end
    gateway = LoneControl(env={"TIDEGATE_CHANNEL_HELLO_TIMEOUT": "3s", "TIDEGATE_CHANNEL_NAMES": "gw.example.org,10.9.8.7"})
    try:
        yield gateway.begin()
    finally:
        end(gateway)


def status(control, token="", **how):
    token = control.join_token.rpartition(".")[0] if token == "" else token
    tls = connect_tls(control.control_port)
    try:
        return upgrade(tls, token, **how)[0]
    finally:
        tls.close()


def fake(control, **how):
    return FakeWorker(control.control_port, control.join_token, **how)


def test_a_join_token_opens_it(control):
    assert status(control) == 101
    assert status(control, control.join_token) == 101, "the third part may be sent or not"


@pytest.mark.parametrize("token", [None, "nonsense", "tgj_.", "tgj_j-1.AAAA", "x" * 250])
def test_other_credentials_do_not(control, token):
    """T20."""
    assert status(control, token) == 401


def test_a_changed_secret_does_not(control):
    identity, secret, _ = control.join_token.split(".")
    assert status(control, identity + "." + secret[:-1] + ("A" if secret[-1] != "A" else "B")) == 401


def test_a_revoked_token_shuts_the_door_and_ends_its_connections(control):
    made = control.admin.post("join-tokens", {"name": "short-lived"}).json()
    worker = FakeWorker(control.control_port, made["secret"]).join()
    control.admin.delete("join-tokens/" + made["id"])
    assert "revoked" in worker.ended(20)[1]
    assert status(control, made["secret"]) == 401


@pytest.mark.parametrize("headers, expected", [
    ({"Origin": "https://evil.example"}, 403),
    ({"Sec-WebSocket-Protocol": None}, 400),
    ({"Sec-WebSocket-Protocol": "chat"}, 400),
    ({"Sec-WebSocket-Protocol": "refused"}, 400),
    ({"Sec-WebSocket-Protocol": "listener"}, 400),
    ({"Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAAP__"}, 0),
])
def test_upgrades_of_other_kinds_are_refused(control, headers, expected):
    assert status(control, **headers) == expected


def test_other_paths_and_plain_requests_are_refused(control):
    assert status(control, path="/") == 404
    assert status(control, Upgrade=None) in (404, 426)


def test_http2_is_not_offered(control):
    with connect_tls(control.control_port, alpn=["h2", "http/1.1"]) as tls:
        assert tls.selected_alpn_protocol() == "http/1.1"


def test_compression_is_not_offered(control):
    tls = connect_tls(control.control_port)
    wanted = {"Sec-WebSocket-Extensions": "permessage-deflate"}
    answer = upgrade(tls, control.join_token, **wanted)
    assert answer[0] == 101
    tls.close()


def test_there_is_no_channel_without_tls(control):
    with socket.create_connection(("127.0.0.1", control.control_port), 10) as plain:
        plain.sendall(b"GET /channel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        try:
            assert b"101" not in plain.recv(100)
        except ConnectionError:
            pass


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "gw.example.org", "10.9.8.7"])
def test_the_certificate_carries_the_names(control, name):
    context = ssl.create_default_context(cafile=control.data_dir / "pki/ca.pem")
    with socket.create_connection(("127.0.0.1", control.control_port), 10) as raw:
        with context.wrap_socket(raw, server_hostname=name) as tls:
            assert tls.version() in ("TLSv1.2", "TLSv1.3")


def test_the_join_token_carries_the_fingerprint(control):
    der = ssl.PEM_cert_to_DER_cert((control.data_dir / "pki/ca.pem").read_text())
    assert control.join_token.split(".")[2] == hashlib.sha256(der).hexdigest()


def test_old_tls_is_refused(control):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", control.control_port), 10) as raw:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(raw)


# -- once it is open -----------------------------------------------------------------------------------------------


def test_hello_must_come_first(control):
    worker = fake(control)
    worker.heartbeat()
    assert "hello" in worker.ended()[1]


def test_hello_must_come_soon(control):
    assert "hello" in fake(control).ended(20)[1]


def test_a_second_hello_ends_it(control):
    worker = fake(control).join()
    worker.hello()
    assert "twice" in worker.ended()[1]


def test_another_protocol_is_told_so(control):
    worker = fake(control).hello(protocol=2)
    assert "protocol 2" in worker.hear("bye")["reason"]
    worker.ended()


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"1", b'{"type":1}', b'{"type":"hello"}', b'{"type":"hello","type":"ack"}',
                                  b'{"type":"ack","revision":"x"}', b"[" * 5000])
def test_messages_that_cannot_be_read_end_it(control, text):
    worker = fake(control)
    worker.frame(TEXT, text)
    worker.ended(20)


def test_unknown_messages_and_members_are_ignored(control):
    worker = fake(control).join(favourite_colour="blue")
    worker.say("greeting", text="hi")
    worker.heartbeat(mood="fine")
    assert control.wait_node(worker, state="connected")
    worker.close()


def test_text_that_is_not_utf8_ends_it(control):
    worker = fake(control)
    worker.frame(TEXT, b'{"type":"\xff\xfe"}')
    assert worker.ended()[0] == 1007


@pytest.mark.parametrize("message", [b"", b"\0", b"\n", b'{"type":"usage","boot_id":"b","records":[]}\n', b'{"type":"rows"}\n',
                                     b'{"type":"snapshot"}\n', b'{"type":"rows","boot_id":"b"}\n\x05\0\0\0'])
def test_binary_that_is_no_rows_ends_it(control, message):
    worker = fake(control).join()
    worker.frame(2, message)
    assert "cannot be read" in worker.ended()[1]


def test_rows_before_hello_end_it(control):
    worker = fake(control)
    worker.frame(2, b'{"type":"rows","boot_id":"b"}\n')
    assert "hello" in worker.ended()[1]


def flood(send):
    try:
        for number in range(200):
            send(number)
    except OSError:
        pass


def test_a_message_above_the_limit_ends_it(control):
    worker = fake(control).join()
    flood(lambda n: worker.frame(0 if n else TEXT, b"x" * 65536, fin=False))
    assert worker.ended()[0] in (0, 1009)


@pytest.mark.parametrize("announced", [2 ** 34, 2 ** 62])
def test_an_announced_length_reserves_nothing(control, announced):
    """Looked at in address space: memory that is reserved and not touched shows only there."""
    before = peak_address_space(control)
    worker = fake(control).join()
    worker.tls.sendall(bytes([0x80 | BINARY, 0xFF]) + announced.to_bytes(8, "big") + os.urandom(4))
    flood(lambda _: worker.tls.sendall(b"x" * 65536))
    assert worker.ended()[0] in (0, 1009)
    assert peak_address_space(control) - before < 1 << 30
    assert status(control) == 101, "the others are served on"


def peak_address_space(control):
    with open("/proc/%d/status" % control.daemon("control").pid) as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmPeak")) << 10
