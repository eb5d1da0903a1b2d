"""api.openai.com as of 2026: unknown parameters are refused, usage in a stream only when asked for, obfuscation
padding, rate-limit headers on everything."""
from .. import tokens
from . import params
from .base import CREATED, Model, Refused, Vendor


class OpenAI(Vendor):
    name = "openai"
    prefixes = ("/v1",)
    models = {"gpt-4.1-nano": Model(), "gpt-4o-mini": Model(),
              "o4-mini": Model(thinks=True, strict_reasoning=True), "text-embedding-3-small": Model()}
    refuses_unknown = True
    message_members = {"role", "content", "name", "refusal", "audio", "tool_calls", "function_call", "tool_call_id"}
    parameters = {
        **params.COMMON,
        "max_completion_tokens": params.integer(1, params.INT32),
        "functions": params.an_array, "function_call": params.string_or_object,
        "reasoning_effort": params.one_of("none", "minimal", "low", "medium", "high", "xhigh", "max"),
        "verbosity": params.one_of("low", "medium", "high"),
        "modalities": params.an_array, "audio": params.an_object, "prediction": params.an_object,
        "web_search_options": params.an_object,
        "service_tier": params.one_of("auto", "default", "flex", "scale", "priority", "fast"),
        "store": params.boolean, "metadata": params.an_object, "safety_identifier": params.string,
        "prompt_cache_key": params.string, "prompt_cache_retention": params.one_of("in_memory", "24h"),
        "prompt_cache_options": params.an_object, "moderation": params.an_object,
        "stream_options": params.stream_options("include_usage", "include_obfuscation"),
    }
    headers = (
        ("openai-organization", "org-simulated"), ("openai-processing-ms", "42"), ("openai-version", "2020-10-01"),
        ("x-request-id", "req_0123456789abcdef0123456789abcdef"),
        ("x-ratelimit-limit-requests", "60"), ("x-ratelimit-limit-tokens", "150000"),
        ("x-ratelimit-remaining-requests", "59"), ("x-ratelimit-remaining-tokens", "149984"),
        ("x-ratelimit-reset-requests", "1s"), ("x-ratelimit-reset-tokens", "6m0s"),
        ("Set-Cookie", "__cf_bm=simulated; path=/; HttpOnly; Secure"), ("server", "cloudflare"),
    )

    def refuse(self, status, message, param=None, code=None, kind="invalid_request_error", headers=()):
        raise Refused(status, {"error": {"message": message, "type": kind, "param": param, "code": code}}, headers)

    def refuse_missing_key(self):
        self.refuse(401, "You didn't provide an API key. You need to provide your API key in an Authorization header "
                         "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank "
                         "username) if you're accessing the API from your browser and are prompted for a username and "
                         "password. You can obtain an API key from https://platform.openai.com/account/api-keys.")

    def refuse_wrong_key(self, key):
        shown = key[:5] + "*" * 8 + key[-4:] if len(key) > 12 else "*" * len(key)
        self.refuse(401, "Incorrect API key provided: %s. You can find your API key at "
                         "https://platform.openai.com/account/api-keys." % shown, code="invalid_api_key")

    def refuse_content_type(self, given):
        self.refuse(400, "Unsupported content type: '%s'. This API method only accepts 'application/json' requests, "
                         "but you specified the header 'Content-Type: %s'. Please try again with a supported content "
                         "type." % (given, given), code="unsupported_content_type")

    def refuse_json(self, why):
        self.refuse(400, "We could not parse the JSON body of your request. (HINT: This likely means you aren't using "
                         "your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was "
                         "not valid JSON.)")

    def refuse_model(self, name):
        self.refuse(404, "The model `%s` does not exist or you do not have access to it." % name,
                    code="model_not_found")

    def refuse_parameter(self, wrong):
        name = wrong.param
        message, code = {
            "unknown": ("Unknown parameter: '%s'." % name, "unknown_parameter"),
            "missing": ("Missing required parameter: '%s'." % name, "missing_required_parameter"),
            "type": ("Invalid type for '%s': expected %s, but got %s instead."
                     % (name, wrong.expected, "a " + params.type_name(wrong.got)), "invalid_type"),
            "low": ("Invalid '%s': value below minimum. Expected a value >= %s, but got %s instead."
                    % (name, wrong.expected, wrong.got), "decimal_below_min_value"),
            "high": ("Invalid '%s': value above maximum. Expected a value <= %s, but got %s instead."
                     % (name, wrong.expected, wrong.got), "decimal_above_max_value"),
            "value": ("Invalid value: '%s'. Supported values are: %s." % (wrong.got, wrong.expected), "invalid_value"),
        }[wrong.kind]
        self.refuse(400, message, name, code)

    def check_chat(self, body, model):
        if body.get("stream_options") is not None and not body.get("stream"):
            self.refuse(400, "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
                        "stream_options")
        if body.get("top_logprobs") is not None and not body.get("logprobs"):
            self.refuse(400, "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.",
                        "top_logprobs")
        if model.strict_reasoning and body.get("max_tokens") is not None:
            self.refuse(400, "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                             "'max_completion_tokens' instead.", "max_tokens", "unsupported_parameter")

    def fault_body(self, status):
        message, kind, code = {
            429: ("Rate limit reached for gpt-4.1-nano in organization org-simulated on tokens per min (TPM): Limit "
                  "30000, Used 29990, Requested 54. Please try again in 1s. Visit "
                  "https://platform.openai.com/account/rate-limits to learn more.", "tokens", "rate_limit_exceeded"),
            500: ("The server had an error while processing your request. Sorry about that!", "server_error", None),
            503: ("The engine is currently overloaded, please try again later", "service_unavailable_error",
                  "server_is_overloaded"),
        }.get(status, ("Simulated failure with status %d." % status, "server_error", None))
        headers = [("retry-after", "1"), ("retry-after-ms", "1000")] if status == 429 else []
        return Refused(status, {"error": {"message": message, "type": kind, "param": None, "code": code}}, headers)

    def usage(self, gen):
        zero = {"audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}
        return {**super().usage(gen), "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": gen.reasoning, **zero}}

    def message(self, gen):
        message = super().message(gen)
        message.pop("reasoning_content", None)       # OpenAI keeps the thought to itself
        return {**message, "refusal": None, "annotations": []}

    def completion(self, gen):
        return {**super().completion(gen), "service_tier": "default", "system_fingerprint": "fp_de604bd877"}

    def first_delta(self, gen):
        return {"role": "assistant", "content": None if gen.tool else "", "refusal": None}

    def deltas(self, gen):
        for delta, spent in super().deltas(gen):
            if "reasoning_content" not in delta:
                yield delta, spent

    def chunk(self, gen, **members):
        return {**super().chunk(gen, **members), "service_tier": "default", "system_fingerprint": "fp_de604bd877"}

    def decorate(self, chunk, wants_usage):
        if wants_usage:
            chunk["usage"] = None
        size = len(chunk["choices"][0]["delta"].get("content") or "")
        return {**chunk, "obfuscation": "obfuscation"[size % 11:]}

    async def completions(self, sim, request, answer, body):
        self.known_model(body.get("model"))
        prompt = body.get("prompt") or "<|endoftext|>"
        count = tokens.count(prompt if isinstance(prompt, str) else "".join(map(str, prompt)))
        text = tokens.pieces("Once upon a tide, ", body.get("max_tokens") or 16)
        sim.issued["prompt_tokens"] += count
        sim.issued["completion_tokens"] += len(text)
        usage = {"prompt_tokens": count, "completion_tokens": len(text), "total_tokens": count + len(text)}
        choice = {"text": "".join(text), "index": 0, "logprobs": None, "finish_reason": "length"}
        return await self.send_json(answer, 200, {
            "id": "cmpl-" + "0" * 24, "object": "text_completion", "created": CREATED, "model": body["model"],
            "choices": [choice], "usage": usage})
