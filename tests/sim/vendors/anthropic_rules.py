"""What the Messages API asks of a request, in its words, and what it makes of a prompt."""
import json
import re
from dataclasses import dataclass

from .. import tokens

VERSIONS = ("2023-06-01", "2026-10-21")
MEMBERS = {"model", "max_tokens", "messages", "system", "stop_sequences", "stream", "temperature", "top_p", "top_k", "tools", "tool_choice",
           "thinking", "output_config", "metadata", "service_tier", "speed", "cache_control", "container", "inference_geo", "diagnostics"}
# Members that only a beta takes, each with what its name begins with in the header anthropic-beta.
BETAS = {"context_management": "context-management-", "mcp_servers": "mcp-client-", "fallbacks": "fallbacks-"}
COUNTED = {"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control"}
SAMPLING = ("temperature", "top_p", "top_k")
BLOCKS = {"user": {"text", "image", "document", "search_result", "tool_result", "container_upload"},
          "assistant": {"text", "thinking", "redacted_thinking", "tool_use", "server_tool_use"}, "system": {"text"}}
IMAGE, PER_MESSAGE = 1600, tokens.PER_MESSAGE


@dataclass
class Part:
    """A piece of the prompt in the order in which it is cached: tools, system, messages."""
    text: str
    tokens: int
    ttl: str | None = None


def check_headers(vendor, request, body):
    betas = [name.strip() for value in request.all("anthropic-beta") for name in value.split(",") if name.strip()]
    for name, prefix in BETAS.items():
        if name in body and not any(beta.startswith(prefix) for beta in betas):
            vendor.refuse(400, "%s: Extra inputs are not permitted" % name)
    if request.header("anthropic-version") == VERSIONS[1]:
        for name in SAMPLING:
            if name in body:
                vendor.refuse(400, "%s: not supported in anthropic-version %s" % (name, VERSIONS[1]))


def check_body(vendor, body, counting=False):
    known = (COUNTED if counting else MEMBERS) | set(BETAS)
    for name in ("model", "messages") if counting else ("model", "max_tokens", "messages"):
        if name not in body:
            vendor.refuse(400, "%s: Field required" % name)
    for name in body:
        if name not in known:
            vendor.refuse(400, "%s: Extra inputs are not permitted" % name)
    if not isinstance(body["model"], str):
        vendor.refuse(400, "model: Input should be a valid string")
    check_numbers(vendor, body)
    check_tools(vendor, body)
    check_thinking(vendor, body)
    check_messages(vendor, body["messages"])
    check_breakpoints(vendor, body)
    if (body.get("thinking") or {}).get("type") == "enabled":
        check_signed(vendor, body["messages"])


def whole(value):
    return isinstance(value, int) and not isinstance(value, bool)


def check_numbers(vendor, body):
    for name, low in (("max_tokens", 0), ("top_k", 0)):
        if name in body and not whole(body[name]):
            vendor.refuse(400, "%s: Input should be a valid integer" % name)
        if name in body and body[name] < low:
            vendor.refuse(400, "%s: Input should be greater than or equal to %d" % (name, low))
    for name in ("temperature", "top_p"):
        value = body.get(name, 0)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            vendor.refuse(400, "%s: Input should be a valid number" % name)
        if not 0 <= value <= 1:
            vendor.refuse(400, "%s: range: 0..1" % name)
    if not isinstance(body.get("stream", False), bool):
        vendor.refuse(400, "stream: Input should be a valid boolean")


def check_tools(vendor, body):
    for at, tool in enumerate(body.get("tools") or []):
        custom = tool.get("type", "custom") == "custom"
        for name in ("name", "input_schema") if custom else ("name",):
            if name not in tool:
                vendor.refuse(400, "tools.%d.custom.%s: Field required" % (at, name))
        if not re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", tool["name"]):
            vendor.refuse(400, "tools.%d.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'" % at)
    choice = body.get("tool_choice")
    if choice is None:
        return
    if not isinstance(choice, dict) or choice.get("type") not in ("auto", "any", "tool", "none"):
        vendor.refuse(400, "tool_choice: Input should be an object of type auto, any, tool or none")
    if not body.get("tools"):
        vendor.refuse(400, "tool_choice: may only be specified while providing tools")


def check_thinking(vendor, body):
    thinking = body.get("thinking")
    if thinking is None:
        return
    if not isinstance(thinking, dict) or thinking.get("type") not in ("enabled", "adaptive", "disabled", "between_tools"):
        vendor.refuse(400, "thinking: Input tag does not match any of the expected tags: 'enabled', 'disabled', 'adaptive', 'between_tools'")
    if thinking["type"] != "enabled":
        return
    budget = thinking.get("budget_tokens")
    if not whole(budget):
        vendor.refuse(400, "thinking.enabled.budget_tokens: Field required")
    if budget < 1024:
        vendor.refuse(400, "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
    if "max_tokens" in body and body["max_tokens"] <= budget:
        vendor.refuse(400, "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at "
                           "https://docs.claude.com/en/docs/build-with-claude/extended-thinking#max-tokens-and-context-window-size")
    if body.get("temperature", 1) != 1:
        vendor.refuse(400, "`temperature` may only be set to 1 when thinking is enabled.")
    if "top_k" in body:
        vendor.refuse(400, "`top_k` must be unset when thinking is enabled.")
    if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
        vendor.refuse(400, "Thinking may not be enabled when tool_choice forces tool use.")


def blocks_of(message):
    content = message.get("content")
    return [{"type": "text", "text": content}] if isinstance(content, str) else content or []


def check_messages(vendor, messages):
    if not isinstance(messages, list) or not messages:
        vendor.refuse(400, "messages: at least one message is required")
    pending = []
    for at, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in BLOCKS:
            vendor.refuse(400, "messages.%d.role: Input should be 'user', 'assistant' or 'system'" % at)
        if set(message) - {"role", "content"}:
            vendor.refuse(400, "messages.%d.%s: Extra inputs are not permitted" % (at, sorted(set(message) - {"role", "content"})[0]))
        if at == 0 and role == "assistant":
            vendor.refuse(400, "messages: first message must use the \"user\" role")
        if not message.get("content") and not (role == "assistant" and at == len(messages) - 1):
            vendor.refuse(400, "messages.%d: all messages must have non-empty content except for the optional final assistant message" % at)
        pending = check_blocks(vendor, at, role, blocks_of(message), pending)
    last = blocks_of(messages[-1])
    if messages[-1]["role"] == "assistant" and last and last[-1].get("text", "x") != last[-1].get("text", "x").rstrip():
        vendor.refuse(400, "messages: final assistant content cannot end with trailing whitespace")


def check_blocks(vendor, at, role, blocks, pending):
    """`pending`: the ids of tools called in the turn before; what this turn calls is given back."""
    answered, called = [], []
    for i, block in enumerate(blocks):
        place, kind = "messages.%d.content.%d" % (at, i), block.get("type")
        if kind not in BLOCKS[role] and not str(kind).endswith("_tool_result"):
            vendor.refuse(400, "%s: Input tag '%s' found using 'type' does not match any of the expected tags" % (place, kind))
        if kind == "text" and not block.get("text"):
            vendor.refuse(400, "messages: text content blocks must be non-empty")
        if kind == "tool_use":
            if not isinstance(block.get("input"), dict):
                vendor.refuse(400, "%s.tool_use.input: Input should be a valid dictionary" % place)
            called.append(block["id"])
        if kind == "tool_result":
            if block.get("tool_use_id") not in pending:
                vendor.refuse(400, "%s: unexpected `tool_use_id` found in `tool_result` blocks: %s. Each `tool_result` block must have a "
                                   "corresponding `tool_use` block in the previous message." % (place, block.get("tool_use_id")))
            answered.append(block["tool_use_id"])
    missing = [name for name in pending if name not in answered]
    if missing and role == "user":
        vendor.refuse(400, "messages.%d: `tool_use` ids were found without `tool_result` blocks immediately after: %s. Each `tool_use` block "
                           "must have a corresponding `tool_result` block in the next message." % (at - 1, ", ".join(missing)))
    return called


def check_signed(vendor, messages):
    """The thoughts of a turn that called tools come back first, and as they were."""
    from .anthropic_api import sign
    for at, message in enumerate(messages):
        blocks = blocks_of(message)
        if message["role"] == "assistant" and any(b["type"] == "tool_use" for b in blocks) and \
                blocks[0]["type"] not in ("thinking", "redacted_thinking"):
            vendor.refuse(400, "messages.%d.content.0.type: Expected `thinking` or `redacted_thinking`, but found `%s`. When `thinking` is "
                               "enabled, a final `assistant` message must start with a thinking block." % (at, blocks[0]["type"]))
        for i, block in enumerate(blocks):
            if block["type"] == "thinking" and block.get("signature") != sign(block.get("thinking", "")):
                vendor.refuse(400, "messages.%d.content.%d: Invalid `signature` in `thinking` block" % (at, i))


def check_breakpoints(vendor, body):
    marked = [part.ttl for part in prompt_of(body) if part.ttl]
    if len(marked) > 4:
        vendor.refuse(400, "A maximum of 4 blocks with cache_control may be provided. Found %d." % len(marked))
    if "5m" in marked and "1h" in marked[marked.index("5m"):]:
        vendor.refuse(400, "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block")


# -- the prompt ----------------------------------------------------------------------------------------------------

def size_of(block):
    kind = block.get("type")
    if kind in ("image", "document"):
        return IMAGE
    if kind == "tool_use":
        return tokens.count(block["name"]) + tokens.count(json.dumps(block["input"], ensure_ascii=False))
    if kind == "tool_result":
        inner = block.get("content") or ""
        return tokens.count(inner) if isinstance(inner, str) else sum(size_of(part) for part in inner)
    return tokens.count(block.get("thinking") or block.get("text") or "")


def part_of(block, extra=0):
    control = block.get("cache_control")
    text = json.dumps({name: value for name, value in block.items() if name != "cache_control"}, ensure_ascii=False)
    return Part(text, size_of(block) + extra, (control.get("ttl") or "5m") if control else None)


def prompt_of(body):
    found = []
    for tool in body.get("tools") or []:
        found.append(part_of({**tool, "type": "text", "text": json.dumps(tool, ensure_ascii=False)}))
    system = body.get("system") or []
    for block in [{"type": "text", "text": system}] if isinstance(system, str) else system:
        found.append(part_of(block))
    for message in body["messages"]:
        for at, block in enumerate(blocks_of(message)):
            found.append(part_of(block, 0 if at else PER_MESSAGE))
    if found:
        found[0].tokens += tokens.REPLY_PRIMING
        control = body.get("cache_control")
        if control and not found[-1].ttl:
            found[-1].ttl = control.get("ttl") or "5m"
    return found


def tool_to_call(body):
    """The tool that the answer calls: the named one or the first, when the last turn is a question and not a tool's result."""
    tools, choice = body.get("tools") or [], body.get("tool_choice") or {"type": "auto"}
    if not tools or choice["type"] == "none" or any(b["type"] == "tool_result" for b in blocks_of(body["messages"][-1])):
        return None
    return choice["name"] if choice["type"] == "tool" else tools[0]["name"]
