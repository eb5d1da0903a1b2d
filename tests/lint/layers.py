"""Who may include whom: docs/architecture.md, "Layers", as a table.

  1  a folder includes only folders with a lower number, and proto; the two planes never include each other
  2  each library is used in one place
  3  pure folders call no clock, random source, environment, file, socket or logger
  4  plugins include plugin.h and libc, nothing else

An exception is one line in EXCEPTIONS with its reason.
"""
import re
import sys

from common import ROOT, c_sources, report, strip_c

# The level of every folder, and of files that stand directly in a plane's root.
LEVELS = {
    "proto/base": 0,
    "proto": 1,
    "controlplane/calendar": 11, "controlplane/store": 11, "controlplane/httpd": 11, "controlplane/ws": 11,
    "controlplane/auth": 12, "controlplane/validate": 12,
    "controlplane/compile": 13, "controlplane/series": 13, "controlplane/quota": 13, "controlplane/notify": 11, "controlplane/alerts": 13.5,
    "controlplane/api": 14, "controlplane/publish": 14, "controlplane/collect": 14, "controlplane/ui": 14,
    "controlplane/cli": 15,
    "controlplane": 15,
    "dataplane/net": 11, "dataplane/codec": 11, "dataplane/http": 11,
    "dataplane/llm": 12,
    "dataplane/upstream": 13, "dataplane/providers": 13, "dataplane/services": 13, "dataplane/observe": 13,
    "dataplane/exchange": 14,
    "dataplane/plugins": 15,
    "dataplane/apply": 16, "dataplane": 17,
}
# Files in a plane's root that belong lower than its main: the interfaces that lower folders speak.
FILE_LEVELS = {
    "dataplane/stream.h": 11.5, "dataplane/stream.c": 11.5,
    "dataplane/provider.h": 12.5,
    "dataplane/claim.h": 10.5,
    "dataplane/plugin.h": 13, "dataplane/plugin_host.h": 13, "dataplane/plugin_host.c": 13,
    "dataplane/settings.h": 10, "dataplane/settings.c": 10,
    "controlplane/settings.h": 10, "controlplane/settings.c": 10,
    "controlplane/args.h": 10, "controlplane/args.c": 10, "controlplane/datadir.h": 10, "controlplane/datadir.c": 10,
    "controlplane/workers.h": 10,
}
PURE = ("dataplane/codec", "dataplane/http", "dataplane/llm")

# Library headers and the only places where they may stand.
LIBRARIES = {
    r"uv\.h|resolv\.h": ("dataplane/net/",),
    r"openssl/ssl\.h|openssl/err\.h|openssl/x509.*\.h|openssl/bio\.h": ("dataplane/net/", "controlplane/ws/", "controlplane/auth/",
                                                                        "proto/jwk.c", "proto/tls_pair.c", "dataplane/services/jwt.c"),
    r"openssl/.*": ("dataplane/net/", "dataplane/providers/sign/", "dataplane/services/crypto.c", "dataplane/services/jwt.c", "controlplane/auth/",
                    "controlplane/ws/", "proto/"),
    r"llhttp\.h": ("dataplane/http/h1_parse.c",),
    r"sqlite3\.h": ("controlplane/store/",),
    r"microhttpd\.h": ("controlplane/httpd/",),
    r"libwebsockets\.h": ("controlplane/ws/", "dataplane/apply/"),
    r"jansson\.h": ("proto/json.h", "proto/json.c"),
    r"pcre2\.h": ("proto/match.c", "proto/mask.c", "controlplane/validate/"),
    r"[a-z0-9]*intrin\.h": ("dataplane/codec/",),
    r"zlib\.h": ("dataplane/codec/", "dataplane/http/", "dataplane/observe/spool_record.c", "controlplane/httpd/", "controlplane/ui/"),
    r"brotli/decode\.h": ("dataplane/codec/",),
    r"jwt\.h": ("dataplane/services/",),
    r"curl/curl\.h": ("controlplane/notify/",),
    r"hiredis.*": ("dataplane/services/",),
}
PURE_HEADERS = {"assert.h", "ctype.h", "errno.h", "inttypes.h", "limits.h", "math.h", "stdarg.h", "stdbool.h", "stddef.h",
                "stdint.h", "stdio.h", "stdlib.h", "string.h", "strings.h", "float.h", "zlib.h", "brotli/decode.h", "llhttp.h", "emmintrin.h"}
LIBC = re.compile(r"^(assert|ctype|dirent|errno|execinfo|fcntl|fenv|float|getopt|glob|grp|ifaddrs|inttypes|limits|link|locale|math|"
                  r"netdb|poll|pthread|pwd|sched|semaphore|setjmp|signal|spawn|stdalign|stdarg|stdatomic|stdbool|stddef|"
                  r"stdint|stdio|stdlib|stdnoreturn|string|strings|syslog|termios|time|unistd|malloc|"
                  r"(sys|netinet|arpa|net|linux)/[a-z_0-9]+)\.h$")
IMPURE = re.compile(r"\b(time|clock_gettime|gettimeofday|clock|getenv|secure_getenv|setenv|open|openat|fopen|socket|connect|"
                    r"printf|fprintf|puts|fputs|perror|getrandom|random|rand|RAND_bytes|gw_log\w*|gw_time_now\w*|gw_now\w*|"
                    r"gw_random\w*|gw_file_\w+|pthread_\w+|sleep|usleep|nanosleep)\s*\(")

# (including file, included header): why.
EXCEPTIONS = {
    ("controlplane/api/internal.h", "ui/ui.h"): "one server, one door: what is not under /api goes to the console's files",
}

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+(<[^>]+>|"[^"]+")', re.M)


def room_of(path):
    """The folder whose level counts: the longest entry of the table that holds the file."""
    folder = path.rpartition("/")[0]
    while folder and folder not in LEVELS:
        folder = folder.rpartition("/")[0]
    return folder


def level_of(path):
    return FILE_LEVELS.get(path, LEVELS.get(room_of(path)))


def resolve(root, source, name):
    """The project file that an #include "name" means, relative to the root; None when there is none."""
    plane = source.split("/")[0]
    for base in (source.rpartition("/")[0], plane, "proto"):
        parts = []
        for part in (base + "/" + name).split("/"):
            parts = parts[:-1] if part == ".." else parts + [part]
        path = "/".join(parts)
        if (root / path).is_file():
            return path
    return None


def check_library(source, header):
    for pattern, places in LIBRARIES.items():
        if re.fullmatch(pattern, header):
            return None if source.startswith(places) else "<%s> belongs into %s" % (header, " or ".join(places))
    if not LIBC.match(header):
        return "<%s> is not in the table of libraries" % header
    return None


def check_own(source, target):
    if target is None:
        return None
    planes = {source.split("/")[0], target.split("/")[0]}
    if planes == {"controlplane", "dataplane"}:
        return "the two planes never include each other"
    if source.startswith("proto") and not target.startswith("proto"):
        return "proto includes nothing above it"
    if source.startswith("dataplane/plugins/") and target != "dataplane/plugin.h" and room_of(target) != "dataplane/plugins":
        return "a plugin includes plugin.h and libc, nothing else"
    if target.startswith("proto") and not source.startswith("proto"):
        return None
    if room_of(source) == room_of(target) and not {source, target} & FILE_LEVELS.keys():
        return None
    mine, theirs = level_of(source), level_of(target)
    if mine is None or theirs is None:
        return "%s is in no row of the table" % (source if mine is None else target)
    same_module = source.rpartition(".")[0] == target.rpartition(".")[0]
    if theirs > mine or (theirs == mine and not same_module and room_of(source) != room_of(target)):
        return "%s (level %g) must not include %s (level %g)" % (room_of(source), mine, target, theirs)
    return None


def check_file(root, path):
    source = path.relative_to(root).as_posix()
    text = path.read_text(errors="replace")
    found = []
    for match in _INCLUDE.finditer(text):
        name = match.group(1)[1:-1]
        line = text.count("\n", 0, match.start()) + 1
        if (source, name) in EXCEPTIONS:
            continue
        if match.group(1)[0] == "<":
            wrong = check_library(source, name)
            if not wrong and source.startswith(PURE) and name not in PURE_HEADERS:
                wrong = "<%s> in a pure folder" % name
        else:
            wrong = check_own(source, resolve(root, source, name))
        if wrong:
            found.append("%s:%d: %s" % (source, line, wrong))
    if source.startswith(PURE):
        code = strip_c(text)
        for match in IMPURE.finditer(code):
            found.append("%s:%d: %s() in a pure folder" % (source, code.count("\n", 0, match.start()) + 1, match.group(1)))
    return found


def findings(root=ROOT):
    return [line for path in c_sources(root) for line in check_file(root, path)]


if __name__ == "__main__":
    sys.exit(report(findings()))
