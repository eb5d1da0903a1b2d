"""api.deepseek.com of the R1 era: deepseek-chat (V3) and deepseek-reasoner (R1). 422 in the words of Rust's serde,
empty lines and comments while queueing, usage in the finish chunk, no reasoning_content in the history."""
import json
import uuid

from . import params
from .base import Model, Refused, Vendor

HISTORY = ("The reasoning_content is an intermediate result for display purposes only and will not be included in the "
           "context for inference. Please remove the reasoning_content from your message to reduce network traffic.")


class DeepSeek(Vendor):
    name = "deepseek"
    prefixes = ("/v1", "")
    models = {"deepseek-chat": Model(max_tokens=8192), "deepseek-reasoner": Model(thinks=True, max_tokens=8192)}
    refuses_unknown = False
    message_members = set()
    parameters = {**params.COMMON, "max_tokens": params.integer(1, 8192), "stop": params.stop(16),
                  "response_format": params.an_object}
    headers = (("x-ds-trace-id", "5c0ffee0"), ("vary", "origin, access-control-request-method"))

    def refuse(self, status, message, param=None, code="invalid_request_error", kind="invalid_request_error"):
        raise Refused(status, {"error": {"message": message, "type": kind, "param": param, "code": code}})

    def refuse_missing_key(self):
        self.refuse(401, "Authentication Fails (auth header format should be Bearer sk-...)",
                    kind="authentication_error")

    def refuse_wrong_key(self, key):
        self.refuse(401, "Authentication Fails, Your api key: ****%s is invalid" % key[-4:],
                    kind="authentication_error")

    def refuse_content_type(self, given):
        self.refuse(415, "Expected request with `Content-Type: application/json`")

    def refuse_json(self, why):
        self.refuse(400, "Failed to parse the request body as JSON: %s" % why)

    def refuse_model(self, name):
        self.refuse(400, "Model Not Exist")

    def refuse_parameter(self, wrong):
        if wrong.kind in ("low", "high"):
            low, high = {"max_tokens": ("1", "8192"), "temperature": ("0", "2.0")}.get(wrong.param, ("0", "…"))
            self.refuse(400, "Invalid %s value, the valid range of %s is [%s, %s]"
                        % (wrong.param, wrong.param, low, high))
        words = {"missing": "missing field `%s`" % wrong.param,
                 "value": "%s: unknown variant `%s`, expected one of %s" % (wrong.param, wrong.got, wrong.expected),
                 "unknown": "%s: unknown field" % wrong.param,
                 "type": "%s: invalid type: %s, expected %s"
                         % (wrong.param, params.type_name(wrong.got), wrong.expected)}[wrong.kind]
        self.refuse(422, "Failed to deserialize the JSON body into the target type: %s at line 1 column 50" % words)

    def check_chat(self, body, model):
        if not model.thinks:
            return
        if any("reasoning_content" in message for message in body["messages"]):
            self.refuse(400, HISTORY)
        for name in ("logprobs", "top_logprobs"):
            if body.get(name) is not None:
                self.refuse(400, "deepseek-reasoner does not support the parameter `%s`" % name)
        if body.get("tools"):
            self.refuse(400, "deepseek-reasoner does not support Function Calling")
        roles = [m["role"] for m in body["messages"]]
        for at in range(1, len(roles)):
            if roles[at] == roles[at - 1] and roles[at] in ("user", "assistant"):
                self.refuse(400, "deepseek-reasoner does not support successive user or assistant messages "
                                 "(messages[%d] and messages[%d] in your input). You should interleave the "
                                 "user/assistant messages in the message sequence." % (at - 1, at))

    def fault_body(self, status):
        message, kind = {402: ("Insufficient Balance", "unknown_error"),
                         429: ("Rate limit reached for TPM", "rate_limit_error"),
                         500: ("Internal Server Error", "internal_error"),
                         503: ("Service is too busy. We advise users to temporarily switch to alternative LLM API "
                               "service providers.", "service_unavailable_error"),
                         }.get(status, ("Simulated failure with status %d" % status, "invalid_request_error"))
        return Refused(status, {"error": {"message": message, "type": kind, "param": None,
                                          "code": "invalid_request_error"}})

    def new_id(self):
        return str(uuid.uuid4())

    def tool_id(self):
        return "call_00_" + uuid.uuid4().hex[:20]

    def tool_call(self, gen):
        return {"index": 0, **super().tool_call(gen)}

    def usage(self, gen):
        hit = gen.prompt // 64 * 64
        usage = {**super().usage(gen), "prompt_tokens_details": {"cached_tokens": hit},
                 "prompt_cache_hit_tokens": hit, "prompt_cache_miss_tokens": gen.prompt - hit}
        if gen.thought:
            usage["completion_tokens_details"] = {"reasoning_tokens": gen.reasoning}
        return usage

    def completion(self, gen):
        return {**super().completion(gen), "system_fingerprint": "fp_eaab8d114b_prod0820_fp8_kvcache"}

    def first_delta(self, gen):
        if gen.thought:
            return {"role": "assistant", "content": None, "reasoning_content": ""}
        return {"role": "assistant", "content": ""}

    def thought_delta(self, piece):
        return {"content": None, "reasoning_content": piece}

    def content_delta(self, piece, gen):
        return {"content": piece, "reasoning_content": None} if gen.thought else {"content": piece}

    def last_delta(self, gen):
        return {"content": "", "reasoning_content": None} if gen.thought else {"content": ""}

    def chunk(self, gen, **members):
        return {**super().chunk(gen), "system_fingerprint": "fp_eaab8d114b_prod0820_fp8_kvcache", **members}

    def decorate(self, chunk, wants_usage):
        return {**chunk, "usage": None} if wants_usage else chunk

    def decorate_last(self, chunk, gen, wants_usage):
        return {**chunk, "usage": self.usage(gen)}   # also when nobody asked

    def usage_chunk(self, gen):
        return None

    def encode(self, event, end):
        return ("data: " + json.dumps(event, ensure_ascii=False, separators=(",", ":")) + end * 2).encode()
