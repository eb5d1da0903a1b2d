"""Clients that never stop asking, and note what went wrong."""
import json
import threading

from .rawhttp import Talk
from .worker import request


class Callers:
    """Threads that ask, each on a new connection every time or on one that it keeps, until told to stop. What went wrong is kept."""

    def __init__(self, port, n, keep=False):
        self.port, self.keep, self.each, self.wrong, self.stop_asked = port, keep, [0] * n, [], threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(n)]
        for thread in self.threads:
            thread.start()

    @property
    def done(self):
        return sum(self.each)

    def _ask(self, talk, i):
        status, headers, body = talk.send(request()).answer()
        if status != 200 or json.loads(body)["choices"][0]["message"]["content"] != "hello":
            self.wrong.append((status, body[:200]))
        self.each[i] += 1
        return headers.get("connection") == "close"

    def _run(self, i):
        talk = None
        while not self.stop_asked.is_set():
            try:
                talk = talk or Talk(self.port, 20)
                over = self._ask(talk, i)
            except OSError as error:
                # An idle connection may be closed at any time (RFC 9112 9.3.1): a client asks again on a new one, once.
                if self.keep and talk is not None and not isinstance(error, TimeoutError) and not talk.rest:
                    talk = None
                    continue
                self.wrong.append(repr(error))
                over = True
            if over or not self.keep:
                if talk:
                    talk.close()
                talk = None

    def stop(self):
        self.stop_asked.set()
        for thread in self.threads:
            thread.join(30)
        return self
