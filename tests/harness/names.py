"""Names that a test makes up: a name server of our own on a loopback address, and workers that ask no other."""
import os
import random
import shutil
import socket
import struct
import subprocess
import threading

from .daemon import bin_dir


def may_mount():
    """Only root may bind port 53 and mount; containers often forbid the latter even to it."""
    return os.geteuid() == 0 and shutil.which("unshare") and subprocess.run(
        ["unshare", "-m", "mount", "--bind", "/etc/hostname", "/etc/hostname"], capture_output=True).returncode == 0


class NameServer:
    """
    Answers A and AAAA queries from `records`: a list of addresses, None for NXDOMAIN, "silent", an int (that code, 2 is SERVFAIL), a float (so many
    seconds late, 127.0.0.1) or "loop" (the name is an alias of itself).
    """

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        while True:
            self.address = "127.%d.%d.%d" % tuple(random.randrange(2, 250) for _ in range(3))
            try:
                self.socket.bind((self.address, 53))
                break
            except OSError:
                continue
        self.records, self.ttl, self.asked = {}, 1, []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                query, whom = self.socket.recvfrom(512)
            except OSError:
                return
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1:at + 1 + query[at]].decode())
                at += 1 + query[at]
            kind = struct.unpack("!H", query[at + 1:at + 3])[0]
            name = ".".join(labels)
            self.asked.append((name, kind))
            found = self.records.get(name)
            if found == "silent":
                continue
            if isinstance(found, float):
                threading.Timer(found, self._answer, (query, at, whom, kind, ["127.0.0.1"])).start()
            else:
                self._answer(query, at, whom, kind, found)

    def _answer(self, query, at, whom, kind, found):
        code, records = 3 if found is None else found if isinstance(found, int) else 0, []
        if found == "loop":
            records = [b"\xc0\x0c" + struct.pack("!HHIH", 5, 1, self.ttl, 2) + b"\xc0\x0c"]
        elif isinstance(found, list) and kind in (1, 28):
            family = socket.AF_INET if kind == 1 else socket.AF_INET6
            packed = [socket.inet_pton(family, a) for a in found if (":" in a) == (kind == 28)]
            records = [b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, self.ttl, len(a)) + a for a in packed]
        try:
            self.socket.sendto(query[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(records), 0, 0) + query[12:at + 5] + b"".join(records), whom)
        except OSError:
            pass                       # it was closed meanwhile

    def close(self):
        self.socket.close()


def worker_that_asks(names, folder):
    """
    A folder with the programs under test, for TIDEGATE_BIN: its tidegate-worker has an /etc/resolv.conf of its own, in a mount
    namespace, that names `names`. Made before the environment is changed.
    """
    resolv, nsswitch, programs = folder / "resolv.conf", folder / "nsswitch.conf", folder / "bin"
    resolv.write_text("nameserver %s\noptions timeout:1 attempts:1\n" % names.address)
    nsswitch.write_text("hosts: files dns\n")
    programs.mkdir()
    for other in ("tidegate", "tidegate-control"):
        (programs / other).symlink_to((bin_dir() / other).resolve())
    wrapper = programs / "tidegate-worker"
    wrapper.write_text('#!/bin/sh\nexec unshare -m --propagation private sh -c \'mount --bind %s /etc/resolv.conf && '
                       'mount --bind %s /etc/nsswitch.conf && exec "$@"\' x %s "$@"\n' % (resolv, nsswitch, (bin_dir() / "tidegate-worker").resolve()))
    wrapper.chmod(0o755)
    return programs
