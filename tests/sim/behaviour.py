"""How a simulator misbehaves or takes its time: set by a test, by the control endpoint or by a magic model name."""
import re
from dataclasses import dataclass, fields


@dataclass
class Behaviour:
    """How much is answered and how fast. Everything is at rest by default."""
    tokens: int = 20             # tokens of the visible answer, when the request sets no lower limit
    reasoning_tokens: int = 12   # tokens of thought, for models that think
    interval: float = 0.0        # seconds between two events
    keepalives: int = 0          # comments (stream) or empty lines (plain) before the answer
    keepalive_interval: float = 0.0
    segment: int = 0             # cut everything on the wire into pieces of this many bytes
    line_end: str = "\n"         # how an event stream ends its lines
    hold: bool = False           # stop after the first content event until release() is called
    early_models: bool = False   # list no model in GET /models
    no_stream_options: bool = False   # an old server: 400 for stream_options


@dataclass
class Fault:
    """Something that goes wrong, `times` times (0: always)."""
    kind: str                    # see KINDS
    status: int = 500
    after_events: int | None = None    # None: before the header
    times: int = 0
    headers: tuple = ()
    body: bytes | None = None    # instead of the vendor's own body

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError("unknown fault %r; known: %s" % (self.kind, ", ".join(sorted(KINDS))))
        if isinstance(self.body, str):
            self.body = self.body.encode()
        self.headers = tuple(tuple(pair) for pair in self.headers)


KINDS = {
    "status": "answer `status` with the vendor's own error body",
    "stall": "stop and say nothing more, before the header or after `after_events`",
    "reset": "RST, before the header or after `after_events`",
    "truncate": "FIN, before the header or after `after_events`; no terminator is sent",
    "no_done": "a well-framed stream that lacks its last events (finish reason, [DONE])",
    "error_event": "an error object as an event inside the stream, after `after_events`",
    "raw": "write `body` as it is and close",
    "html": "answer `status` with a proxy's HTML page",
}

_MAGIC = re.compile(r"^sim-(status|stall|reset|truncate|no_done|error_event|html|drip|segment|tokens)(?:-([0-9]+))?$")


def from_model(name):
    """`sim-status-503` and the like, as (fault, changes of behaviour). (None, None) for any other name."""
    found = _MAGIC.match(name or "")
    if not found:
        return None, None
    word, number = found.group(1), int(found.group(2) or 0)
    if word == "drip":
        return None, {"interval": (number or 20) / 1000}
    if word == "segment":
        return None, {"segment": number or 1}
    if word == "tokens":
        return None, {"tokens": number}
    if word in ("status", "html"):
        return Fault(word, status=number or 500), {}
    return Fault(word, after_events=number or None), {}


def known_members(cls):
    return {f.name for f in fields(cls)}
