"""A self-hosted vLLM server with a reasoning parser: no key unless started with --api-key, errors whose code is a
number, pydantic's words, continuous usage on demand."""
from . import params
from .base import CREATED, Model, Refused, Vendor


class VLLM(Vendor):
    name = "vllm"
    prefixes = ("/v1",)
    models = {"qwq-32b": Model(thinks=True, max_tokens=32768), "Qwen/QwQ-32B": Model(thinks=True, max_tokens=32768)}
    refuses_unknown = False
    needs_key = False
    message_members = set()
    parameters = {**params.COMMON, "max_completion_tokens": params.integer(1, params.INT32),
                  "stream_options": params.stream_options("include_usage", "continuous_usage_stats"),
                  "top_k": params.integer(-1, params.INT32), "min_p": params.number(0, 1)}
    headers = (("server", "uvicorn"), ("date", "Mon, 23 Nov 2026 08:00:00 GMT"))

    def refuse(self, status, message, param=None, code=None, kind=None):
        kinds = {400: "BadRequestError", 404: "NotFoundError", 500: "InternalServerError"}
        raise Refused(status, {"error": {"message": message, "type": kind or kinds.get(status, "BadRequestError"),
                                         "param": param, "code": status}})

    def refuse_missing_key(self):
        raise Refused(401, {"error": "Unauthorized"})

    def refuse_wrong_key(self, key):
        raise Refused(401, {"error": "Unauthorized"})

    def refuse_content_type(self, given):
        raise Refused(415, {"detail": "Unsupported Media Type: Only 'application/json' is allowed"})

    def refuse_json(self, why):
        self.refuse(400, "[{'type': 'json_invalid', 'loc': ('body', 0), 'msg': 'JSON decode error', 'input': {}, "
                         "'ctx': {'error': '%s'}}]" % why)

    def refuse_model(self, name):
        self.refuse(404, "The model `%s` does not exist." % name, "model")

    def no_such_path(self, request):
        raise Refused(404, {"detail": "Not Found"})

    def refuse_parameter(self, wrong):
        words = {"missing": "Field required", "unknown": "Extra inputs are not permitted",
                 "type": "Input should be %s" % wrong.expected,
                 "low": "Input should be greater than or equal to %s" % wrong.expected,
                 "high": "Input should be less than or equal to %s" % wrong.expected,
                 "value": "Input should be %s" % wrong.expected}[wrong.kind]
        self.refuse(400, "[{'type': '%s', 'loc': ('body', '%s'), 'msg': '%s', 'input': %r}]"
                    % (wrong.kind, wrong.param, words, wrong.got), wrong.param)

    def check_chat(self, body, model):
        if body.get("stream_options") is not None and not body.get("stream"):
            self.refuse(400, "Stream options can only be defined when `stream=True`.", "stream_options")

    def fault_body(self, status):
        return Refused(status, {"error": {"message": "Simulated failure", "type": "InternalServerError",
                                          "param": None, "code": status}})

    def model_list(self, sim):
        found = super().model_list(sim)
        for item in found["data"]:
            item.update(owned_by="vllm", root=item["id"], parent=None, max_model_len=32768, permission=[])
        return found

    def usage(self, gen):
        return {**super().usage(gen), "prompt_tokens_details": None}

    def message(self, gen):
        return {"reasoning_content": None, **super().message(gen), "tool_calls": [self.tool_call(gen)] if gen.tool else []}

    def completion(self, gen):
        whole = super().completion(gen)
        for choice in whole["choices"]:
            choice["stop_reason"] = None
        return {**whole, "created": CREATED, "prompt_logprobs": None}

    def tool_id(self):
        return "chatcmpl-tool-" + super().tool_id()[5:]

    def events(self, gen, body):
        """With continuous_usage_stats every chunk carries the usage so far."""
        steady = bool((body.get("stream_options") or {}).get("continuous_usage_stats"))
        issued = 0
        for spent, event in super().events(gen, body):
            issued += spent
            if steady and event["choices"]:
                event["usage"] = {"prompt_tokens": gen.prompt, "completion_tokens": issued,
                                  "total_tokens": gen.prompt + issued}
            yield spent, event
