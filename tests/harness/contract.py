"""proto/openapi.yaml as a judge: every answer of the admin API that a test sees is held against it."""
import functools
import re
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema
import yaml

OPENAPI = Path(__file__).resolve().parents[2] / "proto/openapi.yaml"
INTERNALS = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE FROM|sqlite|jansson|libmicrohttpd|errno)\b|\w+\.[ch]:\d+|\b0x[0-9a-f]{8}", re.I)
METHODS = ("get", "put", "post", "patch", "delete", "head", "options")


@functools.cache
def document():
    return yaml.load(OPENAPI.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


@functools.cache
def paths():
    """(regular expression of the whole path, template, item), the literal ones first: /routes/explain before /routes/{name}."""
    rows = []
    for template, item in document()["paths"].items():
        base = "" if item.get("servers") else "/api/v1"
        regex = re.sub(r"\\\{[^}]+\\\}", "[^/]+", re.escape(base + template))
        rows.append((template.count("{"), re.compile(regex + "$"), template, item))
    return [row[1:] for row in sorted(rows, key=lambda row: row[0])]


def operations():
    """Every (method, template, operation) of the document."""
    return [(method, template, item[method]) for _, template, item in paths() for method in METHODS if method in item]


def find(method, url):
    path = urlsplit(str(url)).path
    for regex, template, item in paths():
        if regex.match(path) and method.lower() in item:
            return template, item[method.lower()]
    return None, None


def resolve(node):
    while "$ref" in node:
        target = document()
        for step in node["$ref"].lstrip("#/").split("/"):
            target = target[step.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


@functools.cache
def _validator(pointer):
    return jsonschema.Draft202012Validator({**document(), "$ref": pointer}, format_checker=jsonschema.FormatChecker())


def _pointer(*steps):
    return "#/" + "/".join(step.replace("~", "~0").replace("/", "~1") for step in steps)


def objections(response):
    """What is wrong with an answer, as sentences. An empty list is approval."""
    request = response.request
    place = "%s %s → %d" % (request.method, request.url.path, response.status_code)
    if not response.headers.get("x-request-id"):
        return ["%s: no X-Request-Id" % place]
    if request.url.path.startswith("/api/") and response.headers.get("cache-control") != "no-store":
        return ["%s: Cache-Control is %r, not no-store" % (place, response.headers.get("cache-control"))]
    if response.status_code >= 400 and INTERNALS.search(response.text):
        return ["%s: an internal detail shows: %s" % (place, response.text[:300])]
    template, operation = find(request.method, request.url)
    if operation is None:
        return [] if response.status_code in (404, 405) else ["%s: openapi.yaml has no such operation" % place]
    if response.status_code == 405:
        return ["%s: openapi.yaml has it, the server does not" % place]
    return _body_objections(place, template, request.method.lower(), operation, response)


def _body_objections(place, template, method, operation, response):
    status = str(response.status_code)
    if status not in operation["responses"]:
        return ["%s: openapi.yaml knows only %s; body %s" % (place, ", ".join(operation["responses"]), response.text[:300])]
    answer = operation["responses"][status]
    pointer = answer.get("$ref") or _pointer("paths", template, method, "responses", status)
    content = resolve(answer).get("content", {})
    if not content:
        return ["%s: a body where none belongs: %s" % (place, response.text[:200])] if response.content else []
    kind = response.headers.get("content-type", "").split(";")[0].strip()
    if kind not in content:
        return ["%s: Content-Type %s, expected %s; body %s" % (place, kind, " or ".join(content), response.text[:200])]
    if not kind.endswith(("/json", "+json")):                  # a table: text, whatever stands in it
        return []
    schema = pointer + "/content/" + kind.replace("/", "~1") + "/schema"
    if kind == "text/csv":
        return []
    errors = sorted(_validator(schema).iter_errors(response.json()), key=str)
    return ["%s: %s at %s" % (place, error.message[:300], error.json_path) for error in errors[:5]]
