"""Files of at most 1,000 lines, functions of at most 100, and at most two conditional compilations in a thousand lines."""
import ast
import re
import sys

from common import ROOT, c_sources, files, report, strip_c

MAX_FILE, MAX_FUNCTION, MAX_CONDITIONALS = 1000, 100, 2 / 1000
# path: why it may be longer.
FILE_WAIVERS = {
    "install.sh": "it is also piped from curl into bash, so it cannot have a second file",
}
COUNTED = (".c", ".h", ".py", ".ts", ".tsx", ".sh", ".sql", ".def", ".css", ".mjs", ".js")


def long_files(root):
    found = []
    for path in files(root, *COUNTED):
        name = path.relative_to(root).as_posix()
        lines = path.read_text(errors="replace").count("\n")
        if lines > MAX_FILE and name not in FILE_WAIVERS and ".gen." not in name:
            found.append("%s: %d lines, at most %d" % (name, lines, MAX_FILE))
    return found


_OPENING = re.compile(r"^(\w[^;=]*\)\s*\{|\{)\s*$")
_NAME = re.compile(r"(\w+)\s*\(")


def c_functions(text):
    """(name, first line, lines) of each function: its brace stands in column 0 or ends its header, its end in column 0."""
    lines = strip_c(text).split("\n")
    start = None
    for at, line in enumerate(lines):
        if start is None and _OPENING.match(line):
            start = at
        elif start is not None and line.startswith("}"):
            head = at_head = start
            while head > 0 and lines[head - 1].strip() and not lines[head - 1].rstrip().endswith((";", "}")):
                head -= 1
                at_head = head
            name = _NAME.search(" ".join(lines[at_head:start + 1]))
            if name and not line.startswith("};"):
                yield name.group(1), at_head + 1, at - at_head + 1
            start = None


def long_functions(root):
    found = []
    for path in files(root, ".c", ".h"):
        name = path.relative_to(root).as_posix()
        for function, line, size in c_functions(path.read_text(errors="replace")):
            if size > MAX_FUNCTION:
                found.append("%s:%d: %s() has %d lines, at most %d" % (name, line, function, size, MAX_FUNCTION))
    for path in files(root, ".py"):
        name = path.relative_to(root).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno - node.lineno >= MAX_FUNCTION:
                found.append("%s:%d: %s() has %d lines, at most %d"
                             % (name, node.lineno, node.name, node.end_lineno - node.lineno + 1, MAX_FUNCTION))
    return found


def conditionals(root):
    """Conditional compilation, include guards aside."""
    lines = conditional = 0
    for path in c_sources(root):
        code = strip_c(path.read_text(errors="replace"))
        lines += code.count("\n")
        guard = re.search(r"^\s*#\s*ifndef\s+(\w+)\s*\n\s*#\s*define\s+\1\b", code, re.M)
        conditional += len(re.findall(r"^\s*#\s*(?:if|ifdef|ifndef|elif)\b", code, re.M)) - bool(guard and path.suffix == ".h")
    allowed = lines * MAX_CONDITIONALS
    if conditional > allowed:
        return ["%d conditional compilations in %d lines, at most %d" % (conditional, lines, allowed)]
    return []


def findings(root=ROOT):
    return long_files(root) + long_functions(root) + conditionals(root)


if __name__ == "__main__":
    sys.exit(report(findings()))
