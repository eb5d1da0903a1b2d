"""A tokenizer that a test can predict: the same text gives the same count here and in an assertion.

Pieces join back to the exact text, so a stream of pieces is a stream of "tokens" as real vendors send them:
one piece per CJK character, up to four Latin letters, up to three digits, one of anything else; white space
leads the piece that follows it.
"""
import re

_PIECE = re.compile(r"\s*(?:[A-Za-z]{1,4}|[0-9]{1,3}|[^\sA-Za-z0-9])|\s+")

REPLY_PRIMING = 3
PER_MESSAGE = 4


def split(text):
    return _PIECE.findall(text)


def count(text):
    return len(split(text))


def _text_of(content):
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return ""


def of_messages(messages):
    """Prompt tokens of a chat, the overhead per message included, tool calls counted by their arguments."""
    total = REPLY_PRIMING
    for message in messages:
        total += PER_MESSAGE + count(_text_of(message.get("content")))
        for call in message.get("tool_calls") or []:
            total += count(call["function"]["name"]) + count(call["function"]["arguments"])
    return total


def pieces(sample, wanted):
    """Exactly `wanted` pieces of text, going round and round in the sample."""
    source = split(sample)
    return [source[i % len(source)] for i in range(wanted)]
