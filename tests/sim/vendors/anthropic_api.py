"""api.anthropic.com as of 2026: the Messages API. Key in x-api-key or as a bearer, a version in every request, members and
turns checked, thinking that must come back signed, prompt caches that live for five minutes or an hour, streams of named
events, errors with an id."""
import hashlib
import json
import uuid
from dataclasses import dataclass

from .. import tokens
from ..http1 import Answer
from . import anthropic_rules as rules
from .base import ANSWER, THOUGHT, Generation, Model, Refused, Vendor

KINDS = {400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error",
         409: "conflict_error", 413: "request_too_large", 429: "rate_limit_error", 500: "api_error", 504: "timeout_error",
         529: "overloaded_error"}
MESSAGES = {402: "Your organization has no payment method on file.", 403: "Your API key does not have permission to use the specified resource.",
            429: "This request would exceed the rate limit for your organization of 20,000 input tokens per minute. For details, refer to: "
                 "https://docs.claude.com/en/api/rate-limits.",
            500: "Internal server error", 504: "Request timed out", 529: "Overloaded"}
TOOL_INPUT = '{"city": "北京", "days": 3}'


@dataclass
class Claude(Model):
    """`cache_from`: shorter prefixes are not cached, and nothing says so."""
    max_tokens: int = 64000
    context: int = 200000
    cache_from: int = 1024


@dataclass
class Message(Generation):
    """Prompt tokens by class; `prompt` is all of them."""
    read: int = 0
    write_5m: int = 0
    write_1h: int = 0
    signature: str = ""
    omitted: bool = False        # thoughts are thought and paid for, but not shown

    @property
    def fresh(self):
        return self.prompt - self.read - self.write_5m - self.write_1h


def sign(thought):
    """Whoever sends a thought back must send it unchanged; this is how it is known."""
    return "Ev" + hashlib.sha256(("signed:" + thought).encode()).hexdigest() * 2 + "=="


class Anthropic(Vendor):
    name = "anthropic"
    prefixes = ("/v1",)
    models = {"claude-sonnet-5": Claude(), "claude-opus-5": Claude(cache_from=512), "claude-haiku-4-5": Claude(cache_from=4096)}
    done = None
    content_at = 4               # message_start, content_block_start, ping, the first delta

    def __init__(self, key, models=None):
        super().__init__(key, models)
        self.cached = set()      # prefixes, as hashes

    @property
    def headers(self):
        left = [("anthropic-ratelimit-%s-%s" % (what, which), value)
                for what, limit, rest in (("requests", "1000", "999"), ("tokens", "480000", "479000"), ("input-tokens", "400000", "399000"),
                                          ("output-tokens", "80000", "80000"))
                for which, value in (("limit", limit), ("remaining", rest), ("reset", "2026-11-23T08:00:00Z"))]
        return [("request-id", "req_" + uuid.uuid4().hex[:24]), ("anthropic-organization-id", "5c0ffee0-0000-4000-8000-000000000000"), *left,
                ("Set-Cookie", "_cfuvid=simulated; HttpOnly; Secure; Path=/"), ("server", "cloudflare"), ("cf-cache-status", "DYNAMIC")]

    # -- refusing ------------------------------------------------------------------------------------------------

    def refuse(self, status, message, param=None, code=None, kind=None, headers=()):
        raise Refused(status, self.error(status, message, kind), headers)

    def error(self, status, message, kind=None):
        return {"type": "error", "error": {"type": kind or KINDS.get(status, "api_error"), "message": message},
                "request_id": "req_" + uuid.uuid4().hex[:24]}

    def fault_body(self, status):
        again = {429: [("retry-after", "1"), ("x-should-retry", "true")], 529: [("x-should-retry", "true")]}
        return Refused(status, self.error(status, MESSAGES.get(status, "Simulated failure with status %d." % status)), again.get(status, ()))

    def error_event(self):
        return self.error(529, MESSAGES[529])

    def no_such_path(self, request):
        self.refuse(404, "Not found")

    def refuse_content_type(self, given):
        self.refuse(400, "%s: Unsupported content type. Expected `application/json`." % (given or "content-type"))

    def refuse_json(self, why):
        self.refuse(400, "The request body is not valid JSON: %s" % why)

    def refuse_model(self, name):
        self.refuse(404, "model: %s" % name)

    # -- routing -------------------------------------------------------------------------------------------------

    def handlers(self):
        return {"/messages": self.messages, "/messages/count_tokens": self.count_tokens}

    def check_auth(self, request):
        key, bearer = request.header("x-api-key"), request.header("authorization")
        if key is None and bearer is None:
            self.refuse(401, "x-api-key header is required")
        if key is not None and key != self.key:
            self.refuse(401, "invalid x-api-key")
        if key is None and bearer != "Bearer " + self.key:
            self.refuse(401, "Invalid bearer token")
        version = request.header("anthropic-version")
        if version is None:
            self.refuse(400, "anthropic-version: header is required")
        if version not in rules.VERSIONS:
            self.refuse(400, 'anthropic-version: "%s" is not a valid version for this API' % version)

    async def answer(self, sim, request, connection):
        if request.method == "GET" and request.path.startswith("/v1/models/"):
            reply = Answer(connection, request, sim.behaviour.segment)
            try:
                self.check_auth(request)
                self.known_model(request.path[len("/v1/models/"):])
                return await self.send_json(reply, 200, self.model_info(request.path[len("/v1/models/"):]))
            except Refused as no:
                return await self.send(reply, no.status, no.body, no.headers)
        return await super().answer(sim, request, connection)

    def model_info(self, name):
        return {"type": "model", "id": name, "display_name": name.replace("-", " ").title(), "created_at": "2026-06-30T00:00:00Z",
                "lifecycle": "active", "max_input_tokens": self.models[name].context, "max_tokens": self.models[name].max_tokens}

    def model_list(self, sim):
        data = [] if sim.behaviour.early_models else [self.model_info(name) for name in self.models]
        return {"data": data, "has_more": False, "first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}

    async def messages(self, sim, request, answer, body):
        if len(request.body) > 32 << 20:
            self.refuse(413, "Request exceeds the maximum size")
        rules.check_headers(self, request, body)
        return await super().chat(sim, request, answer, body)

    async def count_tokens(self, sim, request, answer, body):
        rules.check_headers(self, request, body)
        rules.check_body(self, body, counting=True)
        self.known_model(body["model"])
        return await self.send_json(answer, 200, {"input_tokens": sum(part.tokens for part in rules.prompt_of(body))})

    # -- answering -----------------------------------------------------------------------------------------------

    def check_parameters(self, body):
        rules.check_body(self, body)

    def check_chat(self, body, model):
        size = sum(part.tokens for part in rules.prompt_of(body))
        if size > model.context:
            self.refuse(400, "prompt is too long: %d tokens > %d maximum" % (size, model.context))
        if body["max_tokens"] > model.max_tokens:
            self.refuse(400, "max_tokens: %d > %d, which is the maximum allowed number of output tokens for %s"
                        % (body["max_tokens"], model.max_tokens, body["model"]))

    def generate(self, body, model, behaviour):
        gen = Message(body["model"], 0, id="msg_" + uuid.uuid4().hex[:24], finish="end_turn")
        self.read_prompt(gen, body, model)
        limit = body["max_tokens"]
        thinking = body.get("thinking") or {}
        if thinking.get("type") in ("enabled", "adaptive"):
            gen.thought = tokens.pieces(THOUGHT, min(behaviour.reasoning_tokens, limit))
            gen.omitted = thinking.get("display") == "omitted"
            gen.signature = sign("" if gen.omitted else "".join(gen.thought))
        tool = rules.tool_to_call(body)
        if tool and limit > 0:
            gen.tool, gen.finish = (tool, TOOL_INPUT), "tool_use"
            return gen
        room = limit - len(gen.thought)
        gen.content = tokens.pieces(ANSWER, max(0, min(behaviour.tokens, room)))
        if behaviour.tokens > room:
            gen.finish = "max_tokens"
        return gen

    def read_prompt(self, gen, body, model):
        """What of the prompt is read from the cache, written to it, or neither. A breakpoint caches all before it."""
        digest, so_far, marked = hashlib.sha256(body["model"].encode()), 0, []
        for part in rules.prompt_of(body):
            digest.update(part.text.encode())
            so_far += part.tokens
            if part.ttl:
                marked.append((digest.hexdigest(), so_far, part.ttl))
        gen.prompt = so_far
        marked = [m for m in marked if m[1] >= model.cache_from]
        known = [m for m in marked if m[0] in self.cached]
        gen.read = written = known[-1][1] if known else 0
        for prefix, size, ttl in marked:
            if size > written:
                setattr(gen, "write_" + ttl, getattr(gen, "write_" + ttl) + size - written)
                written = size
            self.cached.add(prefix)

    def usage(self, gen, early=False):
        usage = {"input_tokens": gen.fresh, "cache_creation_input_tokens": gen.write_5m + gen.write_1h, "cache_read_input_tokens": gen.read,
                 "cache_creation": {"ephemeral_5m_input_tokens": gen.write_5m, "ephemeral_1h_input_tokens": gen.write_1h},
                 "output_tokens": min(1, gen.completion) if early else gen.completion}
        if not early:
            usage["output_tokens_details"] = {"thinking_tokens": gen.reasoning}
        return {**usage, "service_tier": "standard", "inference_geo": "global"}

    def frame(self, gen, content, finish, usage):
        return {"model": gen.model, "id": gen.id, "type": "message", "role": "assistant", "content": content, "stop_reason": finish,
                "stop_sequence": None, "stop_details": None, "usage": usage}

    def blocks(self, gen):
        """(the block as a stream begins it, its deltas with the tokens of each, the block as a whole)."""
        if gen.thought:
            shown = "" if gen.omitted else "".join(gen.thought)
            deltas = [] if gen.omitted else [({"type": "thinking_delta", "thinking": piece}, 1) for piece in gen.thought]
            yield ({"type": "thinking", "thinking": "", "signature": ""},
                   [*deltas, ({"type": "signature_delta", "signature": gen.signature}, len(gen.thought) if gen.omitted else 0)],
                   {"type": "thinking", "thinking": shown, "signature": gen.signature})
        if gen.tool:
            begun = {"type": "tool_use", "id": "toolu_" + uuid.uuid4().hex[:24], "name": gen.tool[0], "input": {}}
            pieces = [({"type": "input_json_delta", "partial_json": piece}, 1) for piece in tokens.split(gen.tool[1])]
            yield begun, [({"type": "input_json_delta", "partial_json": ""}, 0), *pieces], {**begun, "input": json.loads(gen.tool[1])}
        if gen.content:
            yield ({"type": "text", "text": ""}, [({"type": "text_delta", "text": piece}, 1) for piece in gen.content],
                   {"type": "text", "text": "".join(gen.content)})

    def completion(self, gen):
        return self.frame(gen, [whole for _, _, whole in self.blocks(gen)], gen.finish, self.usage(gen))

    def events(self, gen, body):
        yield 0, {"type": "message_start", "message": self.frame(gen, [], None, self.usage(gen, early=True))}
        for index, (begun, deltas, _) in enumerate(self.blocks(gen)):
            yield 0, {"type": "content_block_start", "index": index, "content_block": begun}
            if index == 0:
                yield 0, {"type": "ping"}
            for delta, spent in deltas:
                yield spent, {"type": "content_block_delta", "index": index, "delta": delta}
            yield 0, {"type": "content_block_stop", "index": index}
        said = self.usage(gen)
        for name in ("cache_creation", "service_tier", "inference_geo"):      # these stand in message_start only
            del said[name]
        yield 0, {"type": "message_delta", "delta": {"stop_reason": gen.finish, "stop_sequence": None, "stop_details": None}, "usage": said}
        yield 0, {"type": "message_stop"}

    def finishes(self, event):
        return event["type"] == "message_delta"

    def keepalive(self, end):
        return self.encode({"type": "ping"}, end)

    def encode(self, event, end):
        """Blanks before the last brace, as the vendor puts them, so that the length tells nothing of the text."""
        text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
        padding = " " * (len(text) * 7 % 11) if event["type"] == "content_block_delta" else ""
        return ("event: %s%sdata: %s%s}%s" % (event["type"], end, text[:-1], padding, end * 2)).encode()
