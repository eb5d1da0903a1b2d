"""
What must come of each fault of harness/faults.py: four rows, plain alone, plain with another target, streamed alone, streamed with
another target. Each: the client's status, what it holds in its hands, attempts by the header, requests that the faulty provider and
the other one saw, how the ledger's row ended, and the Retry-After that the client is told (0: none).
"""
SERVED = (200, "answer", 2, 1, 1, "complete", 0)       # by the other target
STREAMED = (200, "stream", 2, 1, 1, "complete", 0)


def failed(status, reason="upstream_error", wait=0, hits=1):
    """The client gets an error of its own dialect; another target, if there is one, serves instead."""
    error = (status, "error", 1, hits, 0, reason, wait)
    return error, (*SERVED[:3], hits, *SERVED[4:]), error, (*STREAMED[:3], hits, *STREAMED[4:])


def returned(status):
    """The client gets it, whether or not there is another target."""
    return ((status, "error", 1, 1, 0, "upstream_error", 0),) * 4


def broken(reason="upstream_error", plain="cut document"):
    """Content has gone to the client: no other target is asked, and nothing looks finished."""
    document, stream = (200, plain, 1, 1, 0, reason, 0), (200, "stream, then error", 1, 1, 0, reason, 0)
    return document, document, stream, stream


WHOLE = ((200, "answer", 1, 1, 0, "complete", 0),) * 2 + ((200, "stream", 1, 1, 0, "complete", 0),) * 2
LATE = (*failed(502)[:2], *broken()[2:])               # a document is judged whole, a stream is not

EXPECTED = {
    "refused": failed(502, hits=0),
    "tls stranger": failed(502, hits=0),
    "tls to plain": failed(504, "timeout", hits=0),
    "reset on accept": failed(502, hits=0),
    "reset before head": failed(502),
    "closed before head": failed(502),
    "half a head": failed(502),
    "garbage": failed(502),
    "reset after head": failed(502),
    "reset midway": broken(),
    "truncated": broken(),
    "truncated politely": LATE,
    "truncated at once": LATE,
    "silent": failed(504, "timeout"),
    "stalled after head": failed(504, "timeout"),
    "stalled midway": broken("timeout"),
    "error in 200, first": failed(502),
    "error in 200, later": LATE,
    "429": failed(429, wait=1),
    "429 seconds": failed(429, wait=30),
    "429 zero": failed(429, wait=1),
    "429 negative": failed(429, wait=1),
    "429 fraction": failed(429, wait=2),
    "429 huge": failed(429, wait=300),
    "429 date": failed(429, wait=20),
    "429 past": failed(429, wait=1),
    "429 milliseconds": failed(429, wait=2),
    "429 words": failed(429, wait=13),
    "429 nonsense": failed(429, wait=1),
    "429 no money": failed(429, wait=1),
    "400": returned(400),
    "401": failed(401),
    "402": failed(402),
    "403": failed(403),
    "404": failed(404),
    "408": failed(408, "timeout"),
    "500": failed(500),
    "502 html": failed(502),
    "503": failed(503, wait=7),
    "504": failed(504, "timeout"),
    "529": failed(529),
    "200 html": failed(502),
    "204": failed(502),
    "302": failed(502),
    "101": failed(502),
    "shorter than said": (*broken()[:2], *failed(502)[2:]),
    "longer than said": WHOLE,
    "two lengths": failed(502),
    "length and chunked": failed(502),
    "negative length": failed(502),
    "bad chunk": broken(),
    "header bomb": failed(502),
    "interim storm": failed(502),
    "garbage for gzip": failed(502),
}
