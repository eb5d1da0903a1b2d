"""
Multipart forms: routed by their real `model` part wherever it stands, the file's bytes untouched, two readings refused.
Threat T08; behaviour rule 3.
"""
import email
import email.policy
import json
import random

import pytest

from harness.worker import Upstream, Worker, answer_plainly, config, request

PATH = "/v1/audio/transcriptions"
TYPE = "multipart/form-data; boundary=tide"


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    upstream = Upstream(answer_plainly)
    objects = config(upstream)
    objects["routes"]["same"] = {"match": {"models": [{"type": "exact", "value": "same"}]}, "targets": [{"provider": "p0"}]}
    worker = Worker(tmp_path_factory.mktemp("multipart"), objects)
    worker.upstream = upstream
    yield worker
    worker.idle()
    worker.stop()
    upstream.close()


def part(disposition, value, *headers):
    lines = ["Content-Disposition: " + disposition, *headers] if disposition else list(headers)
    return b"--tide\r\n" + "\r\n".join(lines).encode() + (b"\r\n\r\n" if lines else b"\r\n") + value + b"\r\n"


def field(name, value):
    return part('form-data; name="%s"' % name, value)


MODEL = field("model", b"m")
FILE = part('form-data; name="file"; filename="model"', b"RIFF\r\n--tid\x00--\r\n--tid\r\n\r--tid\n--tid\x00\xff --tide--" * 3, "Content-Type: audio/wav")
END = b"--tide--\r\n"


def ask(stand, body, kind=TYPE, talk=None):
    data = request(body=body, path=PATH).replace(b"content-type: application/json", b"content-type: " + kind.encode())
    before = len(stand.upstream.requests)
    status, _, answer = (talk or stand.talk(20)).send(data).answer()
    received = stand.upstream.requests[before:]
    assert len(received) == (1 if status == 200 else 0)
    return status, json.loads(answer).get("error", {}).get("code"), received[0] if received else None


def read(head, body):
    """[(name, value)] as Python's own parser of mail sees it."""
    kind = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-type:"))
    message = email.message_from_bytes(kind + b"\r\nMIME-Version: 1.0\r\n\r\n" + body, policy=email.policy.HTTP)
    return [(p.get_param("name", header="content-disposition"), p.get_payload(decode=True)) for p in message.iter_parts()]


@pytest.mark.parametrize("body", [MODEL + FILE + END, FILE + MODEL + END, field("language", b"zh") + FILE + MODEL + field("prompt", b"x") + END,
                                  b"preamble\r\n" + MODEL + FILE + END + b"epilogue\r\n--tide\r\n", MODEL + FILE + b"--tide--",
                                  part("form-data; name=model", b"m") + FILE + END, part('form-data; x="a;b"; name="model"', b"m") + FILE + END])
def test_multipart_is_routed_by_its_model_part(stand, body):
    status, _, received = ask(stand, body)
    assert status == 200
    head, sent = received
    assert b"content-length: %d" % len(sent) in head
    fields = read(head, sent)
    assert [value for name, value in fields if name.lower() == "model"] == [b"up"], "first, last, in any case: one"
    # Nothing but the value of that part has changed.
    assert sent.replace(b"\r\n\r\nup\r\n", b"\r\n\r\nm\r\n", 1) == body


def test_multipart_that_needs_no_change_has_none(stand):
    body = field("model", b"same") + FILE + END
    assert ask(stand, body)[2][1] == body


def test_multipart_file_of_20_megabytes_before_its_model(stand):
    noise = random.Random(1).randbytes(20 << 20)
    body = part('form-data; name="file"; filename="a.wav"', noise) + MODEL + END
    status, _, (head, sent) = ask(stand, body)
    assert status == 200 and sent == body.replace(b"\r\n\r\nm\r\n", b"\r\n\r\nup\r\n") and noise in sent


def test_multipart_cut_into_segments_anywhere(stand):
    body, talk = FILE + MODEL + END, stand.talk(20)
    data = request(body=body, path=PATH).replace(b"content-type: application/json", b"content-type: " + TYPE.encode())
    for cut in range(len(data) - len(body), len(data), 3):
        assert talk.segments(data, [cut]).answer()[0] == 200
    assert talk.segments(data, size=1).answer()[0] == 200


@pytest.mark.parametrize("body", [
    MODEL + field("model", b"dear") + END, MODEL + FILE + MODEL + END, MODEL + field("Model", b"dear") + END, field("MODEL", b"m") + END,
    MODEL + field(" model", b"dear") + END, MODEL + field("model ", b"dear") + END, MODEL + part('attachment; name="model"', b"dear") + END,
    part('form-data; name="model"; name="x"', b"m") + END, part('form-data; name="x"; name="model"', b"m") + END,
    MODEL + part("form-data; name*=utf-8''model", b"dear") + END, MODEL + part("form-data; name=x; name*0=mod; name*1=el", b"dear") + END,
    MODEL + part('form-data; name="x"', b"\n" + field("model", b"dear")[:-2]) + END, MODEL + part('form-data; name="x"', b"\r" + field("model", b"dear")[:-2]) + END,
    MODEL + b"--tide\r\n\r\n" + field("model", b"dear") + END, b"\n" + field("model", b"dear") + MODEL + END,
    MODEL + part('form-data; name="x"\r\nContent-Disposition: form-data; name="model"', b"dear") + END,
])
def test_multipart_that_reads_two_ways_is_refused(stand, body):
    assert ask(stand, body)[:2] == (400, "ambiguous_member")


@pytest.mark.parametrize("body, kind, code", [
    (FILE + END, TYPE, "missing_required_parameter"), (field("model", b"") + END, TYPE, "missing_required_parameter"),
    (field("model", b"m\n") + END, TYPE, "missing_required_parameter"), (field("model", b"m\0") + END, TYPE, "missing_required_parameter"),
    (field("model", b"\xff") + END, TYPE, "missing_required_parameter"), (field("model", b"m" * 257) + END, TYPE, "invalid_json"),
    (MODEL + FILE, TYPE, "invalid_json"), (b"", TYPE, "invalid_json"), (MODEL.replace(b"\r\n", b"\n") + END, TYPE, "invalid_json"),
    (b"--tidex\r\n" + MODEL + END, TYPE, "invalid_json"), (MODEL * 1 + field("x", b"") * 256 + END, TYPE, "invalid_json"),
    (part("form-data; name=x", b"", "X: " + "y" * 5000) + END, TYPE, "invalid_json"),
    (MODEL + END, "multipart/form-data", "unsupported_media_type"), (MODEL + END, "multipart/form-data; boundary=", "unsupported_media_type"),
    (MODEL + END, "multipart/form-data; boundary=" + "x" * 71, "unsupported_media_type"), (MODEL + END, "multipart/mixed; boundary=tide", "unsupported_media_type"),
    (b'{"model":"m"}', "application/json", "unsupported_media_type"),
])
def test_multipart_that_cannot_be_read_is_refused(stand, body, kind, code):
    status, got, _ = ask(stand, body, kind)
    assert status in (400, 415) and got == code
