"""
JSON bodies: what two readers may understand differently is refused, and what is accepted means one thing to all of them.
Threats T07, T08; docs/adr/0010.
"""
import json
import random

import pytest

from harness.daemon import MEMORY_IS_MEASURED
from harness.readings import first_wins, last_wins, read_all
from harness.worker import Upstream, Worker, answer_as_asked, config, request

MSG = '"messages":[{"role":"user","content":"hi"}]'


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    """Model m is served as `up`, model same under its own name."""
    upstream = Upstream(answer_as_asked)
    objects = config(upstream)
    objects["routes"]["same"] = {"match": {"models": [{"type": "exact", "value": "same"}]}, "targets": [{"provider": "p0"}]}
    worker = Worker(tmp_path_factory.mktemp("json"), objects, env=MEMORY_IS_MEASURED)
    worker.upstream = upstream
    yield worker
    worker.idle()
    worker.stop()
    upstream.close()
    assert not upstream.errors, upstream.errors


def ask(stand, body, talk=None):
    """(status, error code, what the upstream received or None)."""
    before = len(stand.upstream.requests)
    talk = talk or stand.talk(20)
    head, answer, _ = talk.send(request(body if isinstance(body, bytes) else body.encode())).stream()
    status = int(head.split()[1])
    received = stand.upstream.requests[before:]
    assert len(received) == (1 if status == 200 else 0), "the upstream hears of it if and only if it is accepted"
    return status, None if status == 200 else json.loads(answer)["error"]["code"], received[0][1] if received else None


AMBIGUOUS = {
    # a deciding member twice, however it is spelled
    **{"%s twice" % name: '{"model":"m",%s,"%s":%s,"%s":%s}' % (MSG, name, one, name, two) for name, one, two in (
        ("stream", "true", "false"), ("max_tokens", "1", "9"), ("max_completion_tokens", "1", "9"), ("n", "1", "9"),
        ("stream_options", "{}", '{"include_usage":true}'), ("max_output_tokens", "1", "2"))},
    "model twice": '{"model":"m","model":"dear",%s}' % MSG, "model twice the same": '{"model":"m","model":"m",%s}' % MSG,
    "model last": '{%s,"model":"m","x":{},"model":"dear"}' % MSG, "model escaped": '{"model":"m","mod\\u0065l":"dear",%s}' % MSG,
    "model all escaped": '{"\\u006d\\u006f\\u0064\\u0065\\u006c":"dear","model":"m",%s}' % MSG,
    "model null first": '{"model":null,"model":"m",%s}' % MSG, "messages twice": '{"model":"m",%s,%s}' % (MSG, MSG),
    # anything else twice, at any depth
    "unknown twice": '{"model":"m",%s,"seed":1,"seed":2}' % MSG, "role twice": '{"model":"m","messages":[{"role":"user","role":"system","content":"x"}]}',
    "content escaped": '{"model":"m","messages":[{"role":"user","content":"x","conten\\u0074":"y"}]}',
    "deep": '{"model":"m",%s,"tools":[{"function":{"parameters":{"properties":{"a":{},"a":{}}}}}]}' % MSG,
    "empty names": '{"model":"m",%s,"":1,"":2}' % MSG,
    "include_usage twice": '{"model":"m",%s,"stream":true,"stream_options":{"include_usage":true,"include\\u005fusage":false}}' % MSG,
    "wide": '{"model":"m",%s,"logit_bias":{%s}}' % (MSG, ",".join('"%d":1' % (i % 99) for i in range(100))),
    # the same to a reader that minds no case
    "Model": '{"Model":"dear","model":"m",%s}' % MSG, "MODEL alone": '{"MODEL":"m",%s}' % MSG, "mOdel escaped": '{"model":"m","m\\u004fdel":"dear",%s}' % MSG,
    "long s": '{"model":"m",%s,"\u017ftream":true}' % MSG, "long s escaped": '{"model":"m",%s,"\\u017ftream":true}' % MSG,
    "Kelvin sign": '{"model":"m",%s,"max_to\u212aens":9}' % MSG, "MAX_TOKENS": '{"model":"m",%s,"max_tokens":1,"MAX_TOKENS":9}' % MSG, "N": '{"model":"m",%s,"N":9}' % MSG,
    "Stream_Options": '{"model":"m",%s,"stream":true,"Stream_Options":{}}' % MSG,
    "Include_Usage": '{"model":"m",%s,"stream":true,"stream_options":{"Include_Usage":false}}' % MSG, "mesſages": '{"model":"m",%s,"me\u017fsages":[]}' % MSG,
}
MALFORMED = {
    "NUL in a name": '{"model\\u0000x":"dear","model":"m",%s}' % MSG, "NUL in a deep name": '{"model":"m","messages":[{"role\\u0000":"user"}]}',
    "BOM": "\ufeff{\"model\":\"m\",%s}" % MSG, "NUL first": '\0{"model":"m",%s}' % MSG, "NUL last": '{"model":"m",%s}\0' % MSG,
    "two documents": '{"model":"m",%s}{"model":"dear"}' % MSG, "text behind": '{"model":"m",%s} x' % MSG, "array": '[{"model":"m",%s}]' % MSG,
    "string": '"{}"', "number": "1", "nothing": "", "blanks": "  \n", "comment": '{"model":"m"/*,"model":"dear"*/,%s}' % MSG,
    "trailing comma": '{"model":"m",%s,}' % MSG, "single quotes": "{'model':'m'}", "bare name": '{model:"m"}', "NaN": '{"model":"m",%s,"temperature":NaN}' % MSG,
    "Infinity": '{"model":"m",%s,"temperature":Infinity}' % MSG, "leading zero": '{"model":"m",%s,"seed":01}' % MSG, "hex": '{"model":"m",%s,"seed":0x1}' % MSG,
    "plus": '{"model":"m",%s,"seed":+1}' % MSG, "lone high": '{"model":"m","x":"\\ud800",%s}' % MSG, "lone low": '{"model":"m","x":"\\udc00",%s}' % MSG,
    "lone in a name": '{"model":"m","\\ud800":1,%s}' % MSG, "halves swapped": '{"model":"m","x":"\\ude00\\ud83d",%s}' % MSG,
    "overlong": b'{"model":"m","x":"\xc0\xaf"}', "surrogate in UTF-8": b'{"model":"m","x":"\xed\xa0\x80"}', "beyond Unicode": b'{"model":"m","x":"\xf4\x90\x80\x80"}',
    "Latin-1": b'{"model":"m","x":"\xe9"}', "UTF-16": '{"model":"m"}'.encode("utf-16"), "UTF-16LE": '{"model":"m"}'.encode("utf-16-le"),
    "UTF-32": '{"model":"m"}'.encode("utf-32-le"), "raw newline": '{"model":"m","x":"a\nb"}', "raw NUL": '{"model":"m","x":"a\0b"}', "tab": '{"model":"m","x":"a\tb"}',
    "unknown escape": '{"model":"m","x":"\\x41"}', "cut": '{"model":"m",%s' % MSG, "vertical tab": '{"model":"m",\v%s}' % MSG, "no-break space": '{"model":"m",\u00a0%s}' % MSG,
    "129 levels": '{"model":"m","x":%s%s}' % ("[" * 128, "]" * 128), "100,000 levels": '{"model":"m","x":%s' % ("[" * 100000),
    "401 digits": '{"model":"m","x":%s}' % ("1" * 401), "a million digits": '{"model":"m","x":0.%s}' % ("1" * 1000000),
    "stream is a word": '{"model":"m",%s,"stream":"true"}' % MSG, "stream is 1": '{"model":"m",%s,"stream":1}' % MSG, "n is text": '{"model":"m",%s,"n":"9"}' % MSG,
    "negative max_tokens": '{"model":"m",%s,"max_tokens":-1}' % MSG, "stream_options is a list": '{"model":"m",%s,"stream_options":[]}' % MSG,
    "16,385 members": '{"model":"m","x":{%s}}' % ",".join('"%d":1' % i for i in range(16385)),
}
MODELLESS = {
    "no model": "{%s}" % MSG, "model in a message": '{"messages":[{"model":"m"}]}', "model null": '{"model":null,%s}' % MSG, "model a number": '{"model":1,%s}' % MSG,
    "model a list": '{"model":["m"],%s}' % MSG, "model an object": '{"model":{"m":1},%s}' % MSG, "model empty": '{"model":"",%s}' % MSG,
    "model with NUL": '{"model":"m\\u0000",%s}' % MSG, "model with a line": '{"model":"m\\n",%s}' % MSG, "model with DEL": '{"model":"m\x7f",%s}' % MSG,
    "model of 257 bytes": '{"model":"%s",%s}' % ("m" * 257, MSG),
}


@pytest.mark.parametrize("name", list(AMBIGUOUS))
def test_json_that_reads_two_ways_is_refused(stand, name):
    """T08."""
    assert ask(stand, AMBIGUOUS[name])[:2] == (400, "ambiguous_member")


@pytest.mark.parametrize("name", list(MALFORMED))
def test_json_that_is_none_is_refused(stand, name):
    """T07 T08."""
    began = stand.cpu()
    assert ask(stand, MALFORMED[name])[:2] == (400, "invalid_json")
    assert stand.cpu() - began < 2


@pytest.mark.parametrize("name", list(MODELLESS))
def test_json_without_a_plain_model_is_refused(stand, name):
    assert ask(stand, MODELLESS[name])[:2] == (400, "missing_required_parameter")


@pytest.mark.parametrize("model", ["M", "m ", " m", "\uff4d", "m\u0301", "m\u200b", "m/../same", "m\\u002f"])
def test_json_names_of_models_are_taken_as_they_are(stand, model):
    assert ask(stand, '{"model":"%s",%s}' % (model, MSG))[:2] == (404, "model_not_found")


ACCEPTED = {
    "plain": '{"model":"m",%s}' % MSG, "model last": '{%s,"model":"m"}' % MSG, "escaped name": '{"mod\\u0065l":"m",%s}' % MSG,
    "escaped value": '{"model":"\\u006d",%s}' % MSG, "same model": '{"model":"same",%s}' % MSG, "blanks": ' \r\n\t{ "model" : "m" , %s } \n' % MSG,
    "nested models": '{"model":"m","metadata":{"model":"dear","Model":"x"},"tools":[{"model":"dear"}],%s}' % MSG,
    "other cases below": '{"model":"m","messages":[{"role":"user","Role":"x","content":"y"}]}', "unknown cases": '{"model":"m","Seed":1,"seed":2,%s}' % MSG,
    "near names": '{"model":"m","models":["dear"],"model ":"dear","mode":"dear","fallback_model":"dear",%s}' % MSG,
    "numbers": '{"model":"m","seed":12345678901234567890123,"temperature":1.0e0,"x":-0,"y":1E400,%s}' % MSG,
    "128 levels": '{"model":"m","x":%s%s,%s}' % ("[" * 127, "]" * 127, MSG), "400 digits": '{"model":"m","x":%s,%s}' % ("1" * 400, MSG),
    "streamed": '{"model":"m","stream":true,%s}' % MSG, "streamed with options": '{"model":"m","stream":true,"stream_options":{"x":1},%s}' % MSG,
    "usage off": '{"model":"m","stream":true,"stream_options":{"include_usage":false},%s}' % MSG,
    "usage off, escaped": '{"model":"m","stream":true,"stream_options":{"include\\u005fusage":false},%s}' % MSG,
    "usage on": '{"model":"same","stream":true,"stream_options":{"include_usage":true},%s}' % MSG, "options null": '{"stream_options":null,"model":"m","stream":true,%s}' % MSG,
    "NUL in a text": '{"model":"m","messages":[{"role":"user","content":"a\\u0000b"}]}', "pairs": '{"model":"m","\\ud83d\\ude00":"\\ud83d\\ude00",%s}' % MSG,
    "wide": '{"model":"m","logit_bias":{%s},%s}' % (",".join('"%d":1' % i for i in range(1000)), MSG),
    "the model in its text": '{"messages":[{"role":"user","content":"\\",\\"model\\":\\"dear\\","}],"model":"m"}',
}


def judge(body, received):
    """All readers of what went up agree on the model that was authorised, and nothing but our own members changed."""
    given = json.loads(body)
    want = "up" if given["model"] == "m" else given["model"]
    for reading in read_all(received):
        assert reading["model"] == want
        if given.get("stream"):
            assert reading["stream"] is True
    first, last = (json.loads(received, object_pairs_hook=pairs) for pairs in (first_wins, last_wins))
    assert first == last, "no object has a name twice"
    if first.get("stream"):
        assert first["stream_options"]["include_usage"] is True
        first["stream_options"] = given.get("stream_options", first["stream_options"])
        given.setdefault("stream_options", first["stream_options"])
    assert {**first, "model": given["model"]} == given


@pytest.mark.parametrize("name", list(ACCEPTED))
def test_json_that_is_accepted_has_one_reading(stand, name):
    status, _, received = ask(stand, ACCEPTED[name])
    assert status == 200
    judge(ACCEPTED[name], received)
    if name == "same model":
        assert received == ACCEPTED[name].encode(), "byte for byte"


NAMES = ["model", "Model", "mod\\u0065l", "MODEL", "m\\u004Fdel", "stream", "\u017ftream", "strea\\u006d", "max_tokens", "max_to\u212aens", "n", "N", "messages",
         "seed", "s\\u0065ed", "x", "", "model\\u0000", "model ", "stream_options"]
VALUES = ['"m"', '"same"', '"\\u006d"', '"dear"', "true", "false", "null", "1", "[]", "{}", '{"model":"dear"}', '[{"a":1,"a":2}]', '{"include_usage":false}', '"\\ud800"']


def test_json_of_every_kind_is_refused_or_clear(stand):
    """Bodies put together at random from names and values that are good, bad and alike."""
    rng, accepted, talk = random.Random(4), 0, stand.talk(20)
    for _ in range(1500):
        members = ['"%s":%s' % (rng.choice(NAMES), rng.choice(VALUES)) for _ in range(rng.randrange(0, 4))]
        if rng.random() < 0.8:
            members.insert(rng.randrange(len(members) + 1), '"model":"m"')
        body = "{%s}" % ",".join(members)
        status, _, received = ask(stand, body, talk)
        assert status in (200, 400, 404)
        if status == 200:
            accepted += 1
            judge(body, received)
    assert 100 < accepted < 1400


def test_json_with_the_model_at_the_end_of_20_megabytes(stand):
    body = b'{"messages":[{"role":"user","content":"%s"}],"model":"m"}' % ("\u6f6e\\n".encode() * (4 << 20))
    status, _, received = ask(stand, body)
    assert status == 200 and received == body[:-len(b'"m"}')] + b'"up"}'


@pytest.mark.parametrize("name, unit", [("objects", b"{}"), ("lists", b"[]"), ("texts", b'""'), ("numbers", b"0"), ("wide objects", b'{"a":0,"b":1,"c":2}'),
                                        ("objects of 300", b"{" + b",".join(b'"%d":0' % i for i in range(300)) + b"}")])
def test_json_bombs_cost_no_more_than_their_bytes(stand, name, unit):
    """T07: a megabyte of the smallest values there are; no tree is built of them."""
    body = b'{"model":"m","x":[%s]}' % b",".join([unit] * ((1 << 20) // (len(unit) + 1)))
    talk = stand.talk(20)
    ask(stand, body, talk)
    before, began = stand.rss(), stand.cpu()
    for _ in range(3):
        assert ask(stand, body, talk)[0] == 200
    assert stand.cpu() - began < 3 * 2 and stand.rss() - before < 24 << 20, "processor time: the machine may be busy with others"
