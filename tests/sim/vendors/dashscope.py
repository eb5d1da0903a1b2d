"""dashscope.aliyuncs.com in compatible mode: stream-only thinking models (QwQ), usage only with include_usage, empty
tool ids after the first fragment, members in an unusual order."""
import uuid

from . import params
from .base import CREATED, Model, Refused, Vendor

STREAM_ONLY = "This model only support stream mode, please enable the stream parameter to access the model. "
MISSING_KEY = ("You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer "
               "auth (i.e. Authorization: Bearer YOUR_KEY). ")


class DashScope(Vendor):
    name = "dashscope"
    prefixes = ("/compatible-mode/v1",)
    models = {"qwen-plus": Model(max_tokens=8192), "qwq-32b": Model(thinks=True, stream_only=True, max_tokens=8192),
              "qwq-plus": Model(thinks=True, stream_only=True, max_tokens=8192), "text-embedding-v3": Model()}
    refuses_unknown = False
    message_members = set()
    parameters = {**params.COMMON, "enable_thinking": params.boolean, "thinking_budget": params.integer(0, 38912),
                  "preserve_thinking": params.boolean, "enable_search": params.boolean,
                  "search_options": params.an_object, "top_k": params.integer(0, 100),
                  "repetition_penalty": params.number(0, 2)}
    headers = (("x-dashscope-call-gateway", "true"), ("req-cost-time", "1234"), ("server", "istio-envoy"))

    def refuse(self, status, message, param=None, code="invalid_parameter_error", kind="invalid_request_error"):
        request = str(uuid.uuid4())
        raise Refused(status, {"error": {"code": code, "param": param, "message": message, "type": kind},
                               "id": "chatcmpl-" + request, "request_id": request})

    def refuse_missing_key(self):
        self.refuse(401, MISSING_KEY, code="invalid_api_key")

    def refuse_wrong_key(self, key):
        self.refuse(401, "Incorrect API key provided. For details, see: "
                         "https://help.aliyun.com/zh/model-studio/error-code#apikey-error", code="invalid_api_key")

    def refuse_content_type(self, given):
        self.refuse(400, "Required body invalid, please check the request body format.")

    def refuse_json(self, why):
        self.refuse(400, "Required body invalid, please check the request body format.")

    def refuse_model(self, name):
        self.refuse(404, "The model `%s` does not exist or you do not have access to it." % name,
                    code="model_not_found")

    def no_such_path(self, request):
        raise Refused(404, b"", [("Content-Type", "text/plain")])

    def refuse_parameter(self, wrong):
        words = {"missing": "<400> InternalError.Algo.InvalidParameter: '%s' is required." % wrong.param,
                 "unknown": "<400> InternalError.Algo.InvalidParameter: Unknown parameter '%s'." % wrong.param,
                 "type": "<400> InternalError.Algo.InvalidParameter: '%s' must be %s." % (wrong.param, wrong.expected),
                 "low": "<400> InternalError.Algo.InvalidParameter: Range of %s should start at %s"
                        % (wrong.param, wrong.expected),
                 "high": "<400> InternalError.Algo.InvalidParameter: Range of %s should end at %s"
                         % (wrong.param, wrong.expected),
                 "value": "'%s' is not one of [%s] - '%s'" % (wrong.got, wrong.expected, wrong.param)}[wrong.kind]
        self.refuse(400, words)

    def check_chat(self, body, model):
        if model.stream_only and not body.get("stream"):
            self.refuse(400, STREAM_ONLY)
        if body.get("stream_options") is not None and not body.get("stream"):
            self.refuse(400, "<400> InternalError.Algo.InvalidParameter: The 'stream_options' parameter is only "
                             "allowed when 'stream' is enabled.")
        if body.get("enable_thinking") and not body.get("stream"):
            self.refuse(400, "parameter.enable_thinking must be set to false for non-streaming calls")

    def fault_body(self, status):
        code, kind, message = {
            400: ("Arrearage", "Arrearage", "Access denied, please make sure your account is in good standing."),
            403: ("access_denied", "access_denied", "Access denied."),
            429: ("limit_requests", "limit_requests", "You exceeded your current requests list."),
            500: ("internal_error", "internal_error", "An internal error has occured, please try again later or "
                                                      "contact service support."),
            503: ("ModelServingError", "internal_error", "Too many requests. Your requests are being throttled due to "
                                                         "system capacity limits. Please try again later."),
        }.get(status, ("internal_error", "internal_error", "Simulated failure with status %d" % status))
        request = str(uuid.uuid4())
        return Refused(status, {"error": {"code": code, "param": None, "message": message, "type": kind},
                                "id": "chatcmpl-" + request, "request_id": request})

    def new_id(self):
        return "chatcmpl-" + str(uuid.uuid4())

    def usage(self, gen):
        usage = {**super().usage(gen), "prompt_tokens_details": {"cached_tokens": 0}}
        if gen.thought:
            usage["completion_tokens_details"] = {"reasoning_tokens": gen.reasoning}
        return usage

    def completion(self, gen):
        choice = {"message": self.message(gen), "finish_reason": gen.finish, "index": 0, "logprobs": None}
        return {"choices": [choice], "object": "chat.completion", "usage": self.usage(gen), "created": CREATED,
                "system_fingerprint": None, "model": gen.model, "id": gen.id}

    def chunk(self, gen, choices=(), usage=None):
        return {"choices": list(choices), "object": "chat.completion.chunk", "usage": usage, "created": CREATED,
                "system_fingerprint": None, "model": gen.model, "id": gen.id}

    def choice(self, delta, index=0, finish=None):
        return {"delta": delta, "finish_reason": finish, "index": index, "logprobs": None}

    def first_delta(self, gen):
        if gen.thought:
            return {"content": None, "role": "assistant", "reasoning_content": ""}
        return {"content": "", "role": "assistant"}

    def thought_delta(self, piece):
        return {"content": None, "reasoning_content": piece}

    def content_delta(self, piece, gen):
        return {"content": piece, "reasoning_content": None} if gen.thought else {"content": piece}

    def last_delta(self, gen):
        return {"content": "", "reasoning_content": None} if gen.thought else {"content": ""}

    def tool_fragment(self, piece):
        return {"index": 0, "id": "", "type": "function", "function": {"arguments": piece}}
