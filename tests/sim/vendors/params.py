"""The request parameters of a chat completion, as tables. A check says what is wrong with a value, or None; the
vendor puts it into its own words."""
from dataclasses import dataclass


@dataclass
class Wrong:
    """kind: type, low, high, value, unknown, missing."""
    kind: str
    param: str
    expected: str = ""
    got: object = None


def type_name(value):
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return {str: "string", int: "integer", float: "decimal", list: "array", dict: "object"}[type(value)]


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def number(low, high):
    def check(name, value):
        if not is_number(value):
            return Wrong("type", name, "a decimal", value)
        if value < low:
            return Wrong("low", name, str(low), value)
        return Wrong("high", name, str(high), value) if value > high else None
    return check


def integer(low, high):
    def check(name, value):
        if not isinstance(value, int) or isinstance(value, bool):
            return Wrong("type", name, "an integer", value)
        if value < low:
            return Wrong("low", name, str(low), value)
        return Wrong("high", name, str(high), value) if value > high else None
    return check


def boolean(name, value):
    return None if isinstance(value, bool) else Wrong("type", name, "a boolean", value)


def string(name, value):
    return None if isinstance(value, str) else Wrong("type", name, "a string", value)


def one_of(*values):
    def check(name, value):
        if not isinstance(value, str):
            return Wrong("type", name, "a string", value)
        return None if value in values else Wrong("value", name, ", ".join("'%s'" % v for v in values), value)
    return check


def an_object(name, value):
    return None if isinstance(value, dict) else Wrong("type", name, "an object", value)


def an_array(name, value):
    return None if isinstance(value, list) else Wrong("type", name, "an array", value)


def string_or_object(name, value):
    return None if isinstance(value, (str, dict)) else Wrong("type", name, "a string or an object", value)


def stop(limit):
    def check(name, value):
        if isinstance(value, str):
            return None
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            return Wrong("type", name, "a string or an array of strings", value)
        return Wrong("high", name, "%d" % limit, len(value)) if len(value) > limit else None
    return check


def stream_options(*known):
    def check(name, value):
        if not isinstance(value, dict):
            return Wrong("type", name, "an object", value)
        for member, inner in value.items():
            if member not in known:
                return Wrong("unknown", "%s.%s" % (name, member))
            wrong = boolean("%s.%s" % (name, member), inner)
            if wrong:
                return wrong
        return None
    return check


INT32 = 2 ** 31 - 1
COMMON = {
    "model": string, "stream": boolean, "max_tokens": integer(1, INT32),
    "temperature": number(0, 2), "top_p": number(0, 1), "n": integer(1, 128), "stop": stop(4),
    "presence_penalty": number(-2, 2), "frequency_penalty": number(-2, 2), "logprobs": boolean,
    "top_logprobs": integer(0, 20), "seed": integer(-2 ** 63, 2 ** 63), "response_format": an_object,
    "tools": an_array, "tool_choice": string_or_object, "parallel_tool_calls": boolean, "user": string,
    "logit_bias": an_object, "stream_options": stream_options("include_usage"),
}


def check(vendor, body):
    """Raises the vendor's refusal for the first thing that is wrong with a chat request."""
    for name in ("model", "messages"):
        if name not in body:
            vendor.refuse_parameter(Wrong("missing", name))
    for name, value in body.items():
        if name == "messages":
            continue
        rule = vendor.parameters.get(name)
        if rule is None:
            if vendor.refuses_unknown:
                vendor.refuse_parameter(Wrong("unknown", name))
            continue
        if value is None and name != "model":
            continue
        wrong = rule(name, value)
        if wrong:
            vendor.refuse_parameter(wrong)
    wrong = check_messages(body["messages"], vendor.message_members, vendor.refuses_unknown)
    if wrong:
        vendor.refuse_parameter(wrong)


ROLES = ("system", "developer", "user", "assistant", "tool", "function")


def check_messages(messages, members, refuses_unknown):
    if not isinstance(messages, list):
        return Wrong("type", "messages", "an array of objects", messages)
    if not messages:
        return Wrong("low", "messages", "1", 0)
    for at, message in enumerate(messages):
        place = "messages[%d]" % at
        if not isinstance(message, dict):
            return Wrong("type", place, "an object", message)
        if message.get("role") not in ROLES:
            return Wrong("value", place + ".role", ", ".join("'%s'" % r for r in ROLES), message.get("role"))
        content = message.get("content")
        if content is None and not (message["role"] == "assistant" and message.get("tool_calls")):
            return Wrong("missing", place + ".content")
        if content is not None and not isinstance(content, (str, list)):
            return Wrong("type", place + ".content", "a string or an array", content)
        if message["role"] == "tool" and not message.get("tool_call_id"):
            return Wrong("missing", place + ".tool_call_id")
        if refuses_unknown:
            for name in message:
                if name not in members:
                    return Wrong("unknown", "%s.%s" % (place, name))
    return None
