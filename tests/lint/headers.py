"""Every header compiles alone, so that the order of includes never matters."""
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from common import ROOT, c_sources, report

MODULES = ("jansson", "libuv", "libssl", "sqlite3", "libmicrohttpd", "libwebsockets", "libjwt", "libpcre2-8", "zlib", "hiredis")
FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", '-DTIDEGATE_VERSION="0"', "-Wall", "-Wextra", "-Werror", "-Wno-unused-function",
         "-fsyntax-only", "-x", "c"]


def library_flags():
    flags = []
    for module in MODULES:
        found = subprocess.run(["pkg-config", "--cflags", module], capture_output=True, text=True)
        flags += found.stdout.split() if found.returncode == 0 else []
    return flags + ["-isystem", "/usr/share/include/llhttp"]


def compile_alone(root, path, libraries):
    name = path.relative_to(root).as_posix()
    include = ["-I%s" % (root / "proto")]
    if not name.startswith("proto/"):
        include.append("-I%s" % (root / name.split("/")[0]))
    compiler = os.environ.get("CC") or shutil.which("gcc") or "clang"
    done = subprocess.run([compiler, *FLAGS, *include, *libraries, "-"], input='#include "%s"\n' % path, text=True,
                          capture_output=True)
    if done.returncode == 0:
        return []
    first = next((line for line in done.stderr.split("\n") if "error" in line), done.stderr[:200])
    return ["%s does not compile alone: %s" % (name, first)]


def findings(root=ROOT):
    libraries = library_flags()
    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        results = pool.map(lambda path: compile_alone(root, path, libraries), c_sources(root, ".h"))
    return [line for result in results for line in result]


if __name__ == "__main__":
    sys.exit(report(findings()))
