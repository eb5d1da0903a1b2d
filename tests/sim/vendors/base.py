"""What all vendors of the OpenAI shape have in common: routing, generation, streaming, faults.

A vendor differs by its tables (models, parameters, paths) and by a few methods: how it refuses, how a choice and a
delta look, where the usage stands.
"""
import asyncio
import base64
import hashlib
import json
import struct
import uuid
from dataclasses import dataclass, field, replace

from .. import tokens
from ..behaviour import Fault, from_model
from ..http1 import Answer

CREATED = 1770933883
ANSWER = "量子计算用叠加与纠缠处理信息 🌊. A qubit holds both 0 and 1 until it is measured; \"tides\" come & go.\n"
THOUGHT = "先想一想：用户要什么？ Let me think about it step by step. "
PROXY_PAGE = b"<html><head><title>%d</title></head><body><center><h1>nginx</h1></center></body></html>\r\n"


class Refused(Exception):
    """The vendor says no: status, headers and the exact body."""

    def __init__(self, status, body, headers=()):
        super().__init__(status)
        self.status, self.headers = status, list(headers)
        self.body = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()


@dataclass
class Model:
    thinks: bool = False
    stream_only: bool = False
    max_tokens: int = 65536
    strict_reasoning: bool = False   # OpenAI's reasoning models refuse max_tokens


@dataclass
class Generation:
    """One answer, decided before its first byte is sent."""
    model: str
    prompt: int
    thought: list = field(default_factory=list)
    content: list = field(default_factory=list)
    tool: tuple | None = None        # (name, arguments)
    finish: str = "stop"
    choices: int = 1
    id: str = ""
    slow: bool = False               # the pace follows the simulator's, so that a test can end a long stream early

    @property
    def reasoning(self):
        return len(self.thought)

    @property
    def completion(self):
        called = tokens.count(self.tool[1]) if self.tool else 0
        return (len(self.thought) + len(self.content) + called) * self.choices


class Cut(Exception):
    """A fault ends the answer here."""

    def __init__(self, kind):
        super().__init__(kind)
        self.kind = kind


class Vendor:
    prefixes = ("/v1",)
    models = {}
    headers = ()
    parameters = {}           # name -> check, see params.py
    max_stop = 4
    needs_key = True
    done = "[DONE]"           # what ends a stream after its last event, if anything
    content_at = 2            # events until there is content: where a held stream stops

    def __init__(self, key, models=None):
        self.key = key
        if models:
            self.models = models if isinstance(models, dict) else {name: self.default_model() for name in models}

    def default_model(self):
        return next(iter(self.models.values()))

    # -- to be said by each vendor -----------------------------------------------------------------------------

    def refuse(self, status, message, param=None, code=None, kind=None):
        raise NotImplementedError

    def fault_body(self, status):
        """The Refused that this vendor gives for a status of its own making."""
        raise NotImplementedError

    def check_chat(self, body, model):
        """The vendor's own rules beyond the parameter table."""

    def new_id(self):
        return "chatcmpl-" + uuid.uuid4().hex[:24]

    def reasoning_member(self):
        return "reasoning_content"

    def usage(self, gen):
        return {"prompt_tokens": gen.prompt, "completion_tokens": gen.completion,
                "total_tokens": gen.prompt + gen.completion}

    # -- routing -----------------------------------------------------------------------------------------------

    async def answer(self, sim, request, connection):
        """Answers one request. True when the connection may be used again."""
        answer = Answer(connection, request, sim.behaviour.segment)
        try:
            self.check_auth(request)
            path = self.inner_path(request)
            if request.method == "GET" and path == "/models":
                return await self.send_json(answer, 200, self.model_list(sim))
            handler = self.handlers().get(path)
            if handler is None or request.method != "POST":
                self.no_such_path(request)
            return await handler(sim, request, answer, self.parse(request))
        except Refused as no:
            return await self.send(answer, no.status, no.body, no.headers)

    def handlers(self):
        return {"/chat/completions": self.chat, "/completions": self.completions, "/embeddings": self.embeddings}

    def inner_path(self, request):
        for prefix in sorted(self.prefixes, key=len, reverse=True):
            if request.path.startswith(prefix + "/"):
                return request.path[len(prefix):]
        return self.no_such_path(request)

    def no_such_path(self, request):
        self.refuse(404, "Invalid URL (%s %s)" % (request.method, request.path))

    def check_auth(self, request):
        given = request.header("authorization")
        if not self.key and not self.needs_key:
            return
        if not given:
            self.refuse_missing_key()
        scheme, _, key = given.partition(" ")
        if scheme != "Bearer":
            self.refuse_missing_key()
        if key != self.key:
            self.refuse_wrong_key(key)

    def parse(self, request):
        kind = (request.header("content-type") or "").split(";")[0].strip().lower()
        if kind != "application/json":
            self.refuse_content_type(request.header("content-type"))
        try:
            body = json.loads(request.body)
        except ValueError as error:
            self.refuse_json(str(error))
        if not isinstance(body, dict):
            self.refuse_json("not an object")
        return body

    def model_list(self, sim):
        data = [{"id": name, "object": "model", "created": CREATED, "owned_by": self.name} for name in self.models]
        return {"object": "list", "data": [] if sim.behaviour.early_models else data}

    # -- answering ---------------------------------------------------------------------------------------------

    async def send(self, answer, status, body, headers=()):
        base = [*self.headers, *headers]
        if not any(n.lower() == "content-type" for n, _ in base):
            base.insert(0, ("Content-Type", "application/json"))
        await answer.whole(status, base, body)
        return True

    async def send_json(self, answer, status, value):
        return await self.send(answer, status, json.dumps(value, ensure_ascii=False).encode())

    def known_model(self, name):
        if name not in self.models:
            self.refuse_model(name)
        return self.models[name]

    def take_fault(self, sim, magic):
        if magic:
            return magic
        if not sim.faults:
            return None
        fault = sim.faults[0]
        if fault.times:
            fault.times -= 1
            if fault.times == 0:
                sim.faults.pop(0)
        return fault

    async def chat(self, sim, request, answer, body):
        magic, changes = from_model(body.get("model"))
        behaviour = replace(sim.behaviour, **(changes or {}))
        if changes is not None:
            body = {**body, "model": next(iter(self.models))}
            answer.segment = behaviour.segment
        self.check_parameters(body)
        model = self.known_model(body["model"])
        self.check_chat(body, model)
        if behaviour.no_stream_options and "stream_options" in body:
            self.refuse(400, "Unrecognized request argument supplied: stream_options", "stream_options")
        fault = self.take_fault(sim, magic)
        if fault and fault.after_events is None and not await self.fail_early(answer, fault):
            return fault.kind in ("status", "html")
        gen = self.generate(body, model, behaviour)
        gen.slow = changes is None
        sim.issued["prompt_tokens"] += gen.prompt
        send = self.send_stream if body.get("stream") else self.send_plain
        try:
            return await send(sim, answer, body, gen, behaviour, fault)
        except Cut as cut:
            return await self.cut(answer, cut.kind)

    async def fail_early(self, answer, fault):
        """A fault before the header. False when it has ended the answer."""
        if fault.kind == "status":
            no = self.fault_body(fault.status)
            said = {name.lower() for name, _ in fault.headers}
            await self.send(answer, fault.status, no.body if fault.body is None else fault.body,
                            [*(h for h in no.headers if h[0].lower() not in said), *fault.headers])
        elif fault.kind == "html":
            await self.send(answer, fault.status, fault.body or PROXY_PAGE % fault.status,
                            [("Content-Type", "text/html"), *fault.headers])
        elif fault.kind == "raw":
            await answer.raw(fault.body or b"")
        elif fault.kind in ("stall", "reset", "truncate"):
            await self.cut(answer, fault.kind)
        else:
            return True
        return False

    async def cut(self, answer, kind):
        if kind == "stall":
            await asyncio.Event().wait()     # until the peer leaves or the simulator ends
        if kind == "reset":
            answer.connection.reset()
        return False

    def generate(self, body, model, behaviour):
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or model.max_tokens
        prompt = tokens.of_messages(body["messages"])
        gen = Generation(body["model"], prompt, choices=body.get("n") or 1, id=self.new_id())
        if model.thinks:
            gen.thought = tokens.pieces(THOUGHT, min(behaviour.reasoning_tokens, limit))
        tools = body.get("tools")
        if tools and body.get("tool_choice") != "none" and body["messages"][-1]["role"] == "user":
            gen.tool, gen.finish = (tools[0]["function"]["name"], '{"city": "北京", "days": 3}'), "tool_calls"
            return gen
        room = limit - len(gen.thought)
        gen.content = tokens.pieces(ANSWER, max(0, min(behaviour.tokens, room)))
        if behaviour.tokens > room:
            gen.finish = "length"
        return gen

    # -- plain ---------------------------------------------------------------------------------------------------

    def message(self, gen):
        message = {"role": "assistant", "content": None if gen.tool else "".join(gen.content)}
        if gen.thought:
            message[self.reasoning_member()] = "".join(gen.thought)
        if gen.tool:
            message["tool_calls"] = [self.tool_call(gen)]
        return message

    def tool_call(self, gen):
        return {"id": self.tool_id(), "type": "function",
                "function": {"name": gen.tool[0], "arguments": gen.tool[1]}}

    def tool_id(self):
        return "call_" + uuid.uuid4().hex[:24]

    def completion(self, gen):
        choices = [{"index": i, "message": self.message(gen), "logprobs": None, "finish_reason": gen.finish}
                   for i in range(gen.choices)]
        return {"id": gen.id, "object": "chat.completion", "created": CREATED, "model": gen.model,
                "choices": choices, "usage": self.usage(gen)}

    async def send_plain(self, sim, answer, body, gen, behaviour, fault):
        data = json.dumps(self.completion(gen), ensure_ascii=False).encode()
        headers = [("Content-Type", "application/json"), *self.headers]
        if not behaviour.hold and not behaviour.keepalives and not fault:
            sim.issued["completion_tokens"] += gen.completion
            await answer.whole(200, headers, data)
            return True
        await answer.begin(200, headers)
        for _ in range(behaviour.keepalives):
            await answer.write(b"\n")
            await asyncio.sleep(behaviour.keepalive_interval)
        if behaviour.hold:
            await sim._released.wait()
        if fault:
            await answer.write(data[:len(data) // 2])
            raise Cut(fault.kind)
        sim.issued["completion_tokens"] += gen.completion
        await answer.write(data)
        await answer.end()
        return True

    # -- streams -------------------------------------------------------------------------------------------------

    def chunk(self, gen, **members):
        return {"id": gen.id, "object": "chat.completion.chunk", "created": CREATED, "model": gen.model, **members}

    def choice(self, delta, index=0, finish=None):
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}

    def first_delta(self, gen):
        return {"role": "assistant", "content": ""}

    def thought_delta(self, piece):
        return {self.reasoning_member(): piece}

    def content_delta(self, piece, gen):
        return {"content": piece}

    def last_delta(self, gen):
        return {}

    def tool_deltas(self, gen):
        name, arguments = gen.tool
        cut = tokens.split(arguments)
        yield {"tool_calls": [{"index": 0, "id": self.tool_id(), "type": "function",
                               "function": {"name": name, "arguments": ""}}]}
        for piece in cut:
            yield {"tool_calls": [self.tool_fragment(piece)]}

    def tool_fragment(self, piece):
        return {"index": 0, "function": {"arguments": piece}}

    def events(self, gen, body):
        """Every chunk of the stream in order, each with the number of tokens that it issues."""
        wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        for index in range(gen.choices):
            yield 0, self.decorate(self.chunk(gen, choices=[self.choice(self.first_delta(gen), index)]), wants_usage)
        for delta, spent in self.deltas(gen):
            for index in range(gen.choices):
                yield spent, self.decorate(self.chunk(gen, choices=[self.choice(delta, index)]), wants_usage)
        for index in range(gen.choices):
            last = self.chunk(gen, choices=[self.choice(self.last_delta(gen), index, gen.finish)])
            yield 0, self.decorate_last(last, gen, wants_usage)
        if wants_usage and self.usage_chunk(gen) is not None:
            yield 0, self.usage_chunk(gen)

    def deltas(self, gen):
        for piece in gen.thought:
            yield self.thought_delta(piece), 1
        if gen.tool:
            for at, delta in enumerate(self.tool_deltas(gen)):
                yield delta, 1 if at else 0
        for piece in gen.content:
            yield self.content_delta(piece, gen), 1

    def decorate(self, chunk, wants_usage):
        return chunk

    def decorate_last(self, chunk, gen, wants_usage):
        return self.decorate(chunk, wants_usage)

    def usage_chunk(self, gen):
        return self.chunk(gen, choices=[], usage=self.usage(gen))

    def keepalive(self, end):
        return (": keep-alive" + end * 2).encode()

    async def send_stream(self, sim, answer, body, gen, behaviour, fault):
        end = behaviour.line_end
        await answer.begin(200, [("Content-Type", "text/event-stream; charset=utf-8"),
                                 ("Cache-Control", "no-cache"), *self.headers])
        for _ in range(behaviour.keepalives):
            await answer.write(self.keepalive(end))
            await asyncio.sleep(behaviour.keepalive_interval)
        sent = 0
        for spent, event in self.events(gen, body):
            await self.maybe_cut(answer, fault, sent, end, self.finishes(event))
            await answer.write(self.encode(event, end))
            sim.issued["completion_tokens"] += spent
            sent += 1
            if sent == self.content_at and sim.behaviour.hold:
                await sim._released.wait()
            pause = min(behaviour.interval, sim.behaviour.interval) if gen.slow else behaviour.interval
            if pause:
                await asyncio.sleep(pause)
        await self.maybe_cut(answer, fault, sent, end, True)
        if self.done:
            await answer.write(("data: " + self.done + end * 2).encode())
        await answer.end()
        return True

    async def maybe_cut(self, answer, fault, sent, end, at_the_end):
        if fault is None:
            return
        if fault.kind == "no_done":
            if at_the_end:
                await answer.end()
                raise Cut("truncate")
            return
        if fault.after_events is None or sent < fault.after_events:
            return
        if fault.kind == "error_event":
            await answer.write(self.encode(self.error_event(), end))
            await answer.end()
            raise Cut("truncate")
        raise Cut(fault.kind)

    def error_event(self):
        return json.loads(self.fault_body(500).body)

    def finishes(self, event):
        return any(choice["finish_reason"] for choice in event["choices"])

    def encode(self, event, end):
        return ("data: " + json.dumps(event, ensure_ascii=False, separators=(",", ":")) + end * 2).encode()

    # -- the other endpoints ---------------------------------------------------------------------------------------

    async def completions(self, sim, request, answer, body):
        return self.no_such_path(request)

    async def embeddings(self, sim, request, answer, body):
        self.known_model(body.get("model"))
        inputs = body.get("input")
        inputs = inputs if isinstance(inputs, list) else [inputs]
        spent = sum(tokens.count(str(text)) for text in inputs)
        sim.issued["prompt_tokens"] += spent
        as_text = body.get("encoding_format") == "base64"
        data = [{"object": "embedding", "index": i, "embedding": vector(str(text), as_text)}
                for i, text in enumerate(inputs)]
        return await self.send_json(answer, 200, {"object": "list", "data": data, "model": body["model"],
                                                  "usage": {"prompt_tokens": spent, "total_tokens": spent}})

    def check_parameters(self, body):
        from .params import check
        check(self, body)


def vector(text, as_text, size=8):
    digest = hashlib.sha256(text.encode()).digest()
    values = [(b - 128) / 128 for b in digest[:size]]
    return base64.b64encode(struct.pack("<%df" % size, *values)).decode() if as_text else values


__all__ = ["ANSWER", "CREATED", "Fault", "Generation", "Model", "Refused", "THOUGHT", "Vendor"]
