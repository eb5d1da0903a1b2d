"""
Attacks of docs/security.md that no other test has for its subject: addresses in a request, odd usage, answers that try to leave their event,
answers of other tenants, control bytes and SQL in what is stored, and how the programs are linked.
"""
import json
import subprocess

import pytest

from harness.daemon import bin_dir
from harness.worker import KEY, Upstream, Worker, answer_plainly, completion, config, request


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, identity", "x"])
def test_compressed_requests_are_refused(rig, coding):
    """T06: nothing of a request is ever inflated."""
    worker, upstream = rig()
    status, _, body = worker.talk().send(request(headers="content-encoding: %s\r\n" % coding)).answer()
    assert status == 415 and json.loads(body)["error"]["code"] == "unsupported_media_type" and upstream.requests == []


def test_an_address_in_a_request_leads_nowhere(rig):
    """T33: T09: members and headers by which other gateways have been led to strangers with the provider's key."""
    worker, upstream, stranger = rig(answer_plainly, answer_plainly)
    url = stranger.url
    members = {"api_base": url, "base_url": url, "user_config": {"api_base": url}, "custom_host": url, "endpoint": url, "provider": "p1", "proxy": url}
    headers = "".join("%s: %s\r\n" % (name, url) for name in (
        "x-portkey-custom-host", "x-base-url", "x-forwarded-host", "x-original-url", "x-rewrite-url", "x-tidegate-provider", "x-openai-base-url"))
    for target in ("/v1/chat/completions", "http://gw/v1/chat/completions", "/v1/chat/completions?base_url=" + url):
        assert worker.talk().send(request(path=target, headers=headers, **members)).answer()[0] == 200
    assert len(upstream.requests) == 3 and stranger.requests == [] and stranger.wires == []


@pytest.mark.parametrize("usage", [
    {"prompt_tokens": -5, "completion_tokens": -5, "total_tokens": -10}, {"prompt_tokens": 1e99, "completion_tokens": 1e99}, {"prompt_tokens": "x"}, None, [], {},
    {"prompt_tokens": 2 ** 64, "completion_tokens": 2 ** 63}, {"prompt_tokens": None, "completion_tokens": {"a": 1}}, "usage",
    {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": -1, "completion_tokens_details": {"reasoning_tokens": 10 ** 18}}])
def test_odd_usage_is_no_credit(rig, usage):
    """T26: what a provider says it used is a number within bounds, or it is estimated."""
    def script(wire):
        while True:
            wire.request()
            wire.json(body={**completion("one two three four"), "usage": usage})
    worker, _ = rig(script)
    assert worker.talk().send(request()).answer()[0] == 200
    worker.idle()
    counts = [float(line.rpartition(" ")[2]) for line in worker.admin("/metrics").split("\n") if line.startswith("tidegate_tokens_total{")]
    assert all(0 <= n <= 2 ** 53 for n in counts) and sum(counts) > 0, counts


HOSTILE = "a\n\ndata: [DONE]\n\nevent: error\ndata: {\"error\":{}}\n\r\n\r\rdata: {\"choices\":[]}\r\n: x\u2028\u0000\x1b[2J</script>"


@pytest.mark.parametrize("stream", [False, True], ids=["asked plain", "asked for a stream"])
def test_an_answer_cannot_leave_its_event(rig, stream):
    """T34: text that looks like the framing stays text, also where a document is turned into a stream and a stream into a document."""
    def script(wire):
        while True:
            wire.request()
            wire.json(body=completion(HOSTILE))      # a document, also where a stream was asked for
    worker, _ = rig(script)
    head, body, ended = worker.talk().send(request(**({"stream": True} if stream else {}))).stream()
    assert ended
    if not stream:
        assert json.loads(body)["choices"][0]["message"]["content"] == HOSTILE
        return
    assert b"text/event-stream" in head
    blocks = [block for block in body.decode().split("\n\n") if block]
    assert all(block.startswith("data: ") and "\n" not in block and "\r" not in block for block in blocks), "one line an event"
    assert blocks[-1] == "data: [DONE]" and blocks.count("data: [DONE]") == 1
    said = "".join(c["delta"].get("content") or "" for block in blocks[:-1] for c in json.loads(block[6:])["choices"])
    assert said == HOSTILE


def test_nobody_gets_the_answer_of_another(rig):
    """T24, T02: the same bytes from two tenants are two requests; each gets the answer to its own."""
    count = [0]

    def script(wire):
        while True:
            wire.request()
            count[0] += 1
            wire.json(body=completion("answer %d" % count[0]))
    worker, upstream = rig(script)
    objects = config(upstream)
    objects["consumers"]["other"] = {"keys": [{"id": "k", "secret": "tgk_another-tenant", "enabled": True}]}
    worker.change(objects)
    said = []
    for key in (KEY, "tgk_another-tenant") * 5:
        _, headers, body = worker.talk().send(request(key=key)).answer()
        said.append(json.loads(body)["choices"][0]["message"]["content"])
    assert said == ["answer %d" % n for n in range(1, 11)] and len(upstream.requests) == 10


CONTROL = ["\r\nX-Injected: 1", "\nX: 1", "\r", "\0", "\x1b[2J", "\x7f"]


@pytest.mark.parametrize("text", CONTROL)
def test_control_bytes_are_never_stored_for_the_wire(gateway, text):
    """T10: what would be written into a request's head is refused when it is saved, with the member's path."""
    good = {"name": "p", "type": "openai", "base_url": "http://127.0.0.1:1/v1", "allow_private": True, "api_keys": [{"name": "k", "value": "sk-x"}]}
    for member, value in (("headers", {"x-team": "a" + text}), ("headers", {"x-" + text: "a"}), ("base_url", "http://127.0.0.1:1/v1" + text),
                          ("api_keys", [{"name": "k", "value": "sk-" + text}])):
        answer = gateway.admin.post("providers", {**good, member: value}, expect=(400, 422))
        if text != "\0":         # which no JSON reader of ours takes at all
            assert any(error["path"].startswith("/" + member) for error in answer.json()["errors"]), answer.text


SQL = ["'", "' OR '1'='1", "x'; DROP TABLE routes; --", "%", "_", "\\", "\"", "1 UNION ALL VALUES(1)", "');--"]


@pytest.mark.parametrize("text", SQL)
def test_sql_is_text(gateway, text):
    """T28: stored as it is, found as it is, and nothing else is found or lost."""
    before = {kind: len(gateway.admin.get(kind).json()["items"]) for kind in ("routes", "providers", "consumers", "tokens")}
    gateway.admin.post("consumers", {"name": "sql", "description": text, "labels": {"a": text[:60]}})
    assert gateway.admin.get("consumers/sql").json()["description"] == text
    for kind in before:
        for query in ("?q=", "?sort=", "?cursor=", "?limit=", "?name=", "?search="):
            assert gateway.admin.call("GET", kind + query + text.replace("%", "%25").replace("\\", "%5C").replace('"', "%22").replace(" ", "%20")).status_code in (200, 400)
    assert gateway.admin.call("GET", "consumers/" + text.replace("%", "%25").replace("\\", "%5C").replace('"', "%22").replace(" ", "%20")).status_code in (400, 404)
    gateway.admin.delete("consumers/sql")
    assert {kind: len(gateway.admin.get(kind).json()["items"]) for kind in before} == before


@pytest.mark.parametrize("program", ["tidegate", "tidegate-control", "tidegate-worker"])
def test_programs_are_linked_for_a_hostile_world(program):
    """T37: position-independent, everything resolved at start and read-only afterwards, no executable stack, guarded frames."""
    def readelf(option):
        return subprocess.run(["readelf", "-W", option, bin_dir() / program], check=True, capture_output=True, text=True).stdout
    assert "DYN (" in readelf("-h") and "BIND_NOW" in readelf("-d") + readelf("-d").replace("Flags: NOW", "BIND_NOW")
    segments = readelf("-l")
    assert "GNU_RELRO" in segments
    [stack] = [line for line in segments.split("\n") if "GNU_STACK" in line]
    assert "RWE" not in stack
    assert "__stack_chk_fail" in readelf("--dyn-syms")


NAMES = r"""
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static struct addrinfo *one(const char *ip, struct addrinfo *next)
{
	struct { struct addrinfo a; struct sockaddr_in s; } *p = calloc(1, sizeof *p);
	p->s.sin_family = AF_INET;
	inet_pton(AF_INET, ip, &p->s.sin_addr);
	p->a = (struct addrinfo){ .ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_addrlen = sizeof p->s, .ai_next = next };
	p->a.ai_addr = (struct sockaddr *)&p->s;
	return &p->a;
}
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	(void)service;
	(void)hints;
	if (!strncmp(node, "nobody", 6))
		return EAI_NONAME;
	if (!strncmp(node, "broken", 6))
		return EAI_AGAIN;
	if (!strncmp(node, "dead", 4)) {
		sleep(6);
		return EAI_AGAIN;
	}
	if (!strncmp(node, "metadata", 8))
		*out = one("169.254.169.254", NULL);
	else if (!strncmp(node, "mixed", 5))
		*out = one("127.0.0.9", one("169.254.1.1", one("127.0.0.1", NULL)));
	else
		*out = one("127.0.0.1", NULL);
	return 0;
}
void freeaddrinfo(struct addrinfo *a)
{
	while (a) {
		struct addrinfo *next = a->ai_next;
		free(a);
		a = next;
	}
}
"""


def test_names_that_lead_nowhere(tmp_path):
    """F10, T09: no such name, a name server that fails, one that never answers, names of forbidden addresses; others are served meanwhile."""
    source, library = tmp_path / "names.c", tmp_path / "names.so"
    source.write_text(NAMES)
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    upstream = Upstream(answer_plainly)
    names = ["nobody", "broken", "metadata", "mixed", "good", *("dead%d" % i for i in range(20))]
    objects = config(upstream)
    for name in names:
        objects["providers"][name] = {**objects["providers"]["p0"], "base_url": "http://%s.example:%d/v1" % (name, upstream.port), "timeouts": {"connect": "1s"},
                                      "allow_private": True}
        objects["routes"][name] = {"match": {"models": [{"type": "exact", "value": name}]}, "targets": [{"provider": name, "model": "up"}]}
    env = {"LD_PRELOAD": str(library), "ASAN_OPTIONS": "exitcode=99:detect_leaks=0:verify_asan_link_order=0"}
    worker = Worker(tmp_path, objects, env=env)
    dead = [worker.talk(30).send(request(model="dead%d" % i)) for i in range(20)]
    for name, expected in (("good", 200), ("mixed", 200), ("nobody", 502), ("broken", 502), ("metadata", 502)):
        status, _, body = worker.talk(30).send(request(model=name)).answer()
        assert status == expected, (name, body)
        assert name != "metadata" or b"blocked" in body
    for talk in dead:
        status, _, body = talk.answer()
        assert status == 504 and json.loads(body)["error"]["code"] == "upstream_timeout"
    worker.idle()
    worker.stop()
    upstream.close()
