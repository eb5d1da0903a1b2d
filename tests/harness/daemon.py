"""One process with its log, started and stopped without leaving anything behind."""
import os
import re
import signal
import subprocess
from pathlib import Path

from .waiting import wait_until

# The environment of daemons whose memory is measured: a sanitizer's quarantine keeps what was freed, by default 256 MiB of it.
MEMORY_IS_MEASURED = {"ASAN_OPTIONS": "exitcode=99:detect_leaks=1:quarantine_size_mb=4:thread_local_quarantine_size_kb=64"}

BAD_LINES = re.compile(r'"level":\s*"alert"|^\S* ?ALERT|AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error: '
                       r"|Assertion .* failed|stack smashing|double free", re.M)


def bin_dir():
    """Where the programs under test are: TIDEGATE_BIN, set by run.sh; by hand a plain build will do."""
    given = os.environ.get("TIDEGATE_BIN")
    return Path(given) if given else Path(__file__).resolve().parents[2] / "build/bin"


def environment(home):
    """A bare environment: nothing of the person who runs the tests leaks into the daemons."""
    keep = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH", "LD_PRELOAD", "TMPDIR", "TIDEGATE_SHARE_DIR")
            if name in os.environ}
    return {**keep, "HOME": str(home), "TZ": "UTC",
            "ASAN_OPTIONS": "exitcode=99:detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=0",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1", "TSAN_OPTIONS": "exitcode=99:halt_on_error=1:second_deadlock_stack=1:suppressions=%s" % (Path(__file__).parent / "tsan.supp")}


class Daemon:
    def __init__(self, name, args, folder, env=None):
        self.name, self.args = name, [str(a) for a in args]
        self.log_path = Path(folder) / (name + ".log")
        self.env = {**environment(folder), **(env or {})}
        self.process = None

    def start(self):
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(self.args, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.env,
                                            start_new_session=True, cwd=self.log_path.parent)
        return self

    @property
    def pid(self):
        return self.process.pid

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def wait_for(self, condition, seconds=60.0, what=None):
        """Long, since a whole file of tests may stand on it; gives up at once, with the log, when the process ends."""
        def alive_and():
            if not self.running:
                raise RuntimeError("%s ended with status %s:\n%s" % (self.name, self.process.returncode, self.log()[-4000:]))
            return condition()
        try:
            return wait_until(alive_and, seconds, what or "readiness of " + self.name)
        except AssertionError as error:
            raise AssertionError("%s\n--- log of %s\n%s" % (error, self.name, self.log()[-4000:])) from None

    def send(self, number):
        if self.running:
            self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM, seconds=40.0):
        """Ends it and returns its exit status."""
        if self.process is None:
            return None
        self.send(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("%s did not end within %g s of signal %d\n%s"
                                 % (self.name, seconds, number, self.log()[-4000:])) from None

    def kill(self):
        """SIGKILL to the process and everything it started; nothing may outlive a test."""
        if self.process is None:
            return
        for pid in [*descendants(self.process.pid), self.process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(10)

    def complaints(self):
        """Lines that must never be in a log."""
        return [line for line in self.log().split("\n") if BAD_LINES.search(line)]


def children(pid):
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry.name))
    return found


def descendants(pid):
    """Deepest first."""
    found = []
    for child in children(pid):
        found += descendants(child) + [child]
    return found


def program_of(pid):
    """Its name by /proc/PID/cmdline: the daemons are not dumpable, so only root may follow /proc/PID/exe."""
    try:
        return os.path.basename(Path("/proc/%d/cmdline" % pid).read_bytes().split(b"\0")[0].decode())
    except OSError:
        return ""


def open_files(pid):
    """What a process holds open, as text: used to count, and to say what leaked. None when only root may look."""
    found = []
    try:
        entries = list(Path("/proc/%d/fd" % pid).iterdir())
    except PermissionError:
        return None
    for entry in entries:
        try:
            found.append(os.readlink(entry))
        except OSError:
            pass
    return found
