"""python3 -m sim VENDOR [--port N] [--key SK] [--tls]: a vendor simulator in the foreground.

Prints its base URL, then one line for each request. http://HOST:PORT/__sim/ lists the control verbs:
  curl -d '{"kind":"status","status":503,"times":1}' http://127.0.0.1:9001/__sim/fail
"""
import argparse
import asyncio

from .server import Sim
from .vendors import VENDORS


async def run(options):
    sim = Sim(options.vendor, key=options.key, tls=options.tls, port=options.port, models=options.model or None)
    server = await sim.serve(options.host)
    sim.behave(tokens=options.tokens, interval=options.interval)
    print("%s simulator: base URL %s, key %s" % (options.vendor, sim.base_url, options.key or "(none)"), flush=True)
    seen = 0
    async with server:
        while True:
            await asyncio.sleep(0.2)
            for request in sim.requests[seen:]:
                print(request.status, request.method, request.target, len(request.body), "bytes", flush=True)
            seen = len(sim.requests)


def main():
    parser = argparse.ArgumentParser(prog="python3 -m sim", description=__doc__.splitlines()[0])
    parser.add_argument("vendor", choices=sorted(VENDORS))
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--key", default="sk-sim", help="the API key that is accepted; empty: none is asked for (vllm)")
    parser.add_argument("--model", action="append", help="serve this model instead of the vendor's usual ones")
    parser.add_argument("--tokens", type=int, default=20, help="length of an answer")
    parser.add_argument("--interval", type=float, default=0.0, help="seconds between two events of a stream")
    parser.add_argument("--tls", action="store_true", help="serve HTTPS with a self-signed certificate")
    try:
        asyncio.run(run(parser.parse_args()))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
