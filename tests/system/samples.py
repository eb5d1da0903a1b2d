"""The smallest objects of each kind, for tests of what all kinds have in common."""

KEY = "sk-canary-sample-71c05e9d4b"


def provider(name="p1", **more):
    return {"name": name, "type": "deepseek", "api_keys": [{"name": "main", "value": KEY}], **more}


def route(name="r1", to="p0", model="m1", **more):
    return {"name": name, "match": {"models": [{"type": "exact", "value": model}]}, "targets": [{"provider": to}], **more}


def consumer(name="c1", **more):
    return {"name": name, **more}


def group(name="g1", **more):
    return {"name": name, **more}


KINDS = {"providers": provider, "routes": route, "consumers": consumer, "groups": group}
