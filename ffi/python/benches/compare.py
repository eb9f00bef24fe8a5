"""Nanoseconds per check, beside what Python's people use today: every subject in turn, round by
round, and medians. Absolute times are the machine's; the ratios are of the same round. Counted
is the time of the processor, also that of threads which a subject runs aside.

    ffi/python/bench [--quick] [--rounds N]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.metadata
import itertools
import math
import platform
import random
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import limits
import limits.storage
import limits.strategies
import throttled

import tollgate
import tollgate.asgi

# Nobody is denied, and nothing expires meanwhile.
PER_MINUTE = 100_000_000

# How long a subject may take in a round.
WHILE = 0.1

# Seconds per call, of one round.
Run = Callable[[], float]


def timed(ask: Callable[[str], Any], keys: list[str], most: int) -> Run:
    """The shortest loop that there is; every key was there before."""
    start = time.process_time()
    for key in keys:
        ask(key)
    # Slow subjects make fewer calls, as many as in a while.
    per_call = (time.process_time() - start) / len(keys)
    calls = max(min(most, int(WHILE / max(per_call, 1e-9))), 200)
    asked = random.Random(1).choices(keys, k=calls)

    def run() -> float:
        start = time.process_time()
        for key in asked:
            ask(key)
        return (time.process_time() - start) / calls

    return run


def timed_alone(ask: Callable[[], Any], most: int) -> Run:
    def run() -> float:
        start = time.process_time()
        for _ in itertools.repeat(None, calls):
            ask()
        return (time.process_time() - start) / calls

    calls = 1000
    calls = max(min(most, int(WHILE / max(run(), 1e-9))), 200)
    return run


def nothing(key: str) -> bool:
    return True


def nothing_alone() -> bool:
    return True


def rounds_of(subjects: dict[str, Run], rounds: int) -> dict[str, list[float]]:
    """Nanoseconds per call of each subject in each round; who begins changes."""
    times: dict[str, list[float]] = {name: [] for name in subjects}
    names = list(subjects)
    for name in names:
        subjects[name]()
    gc.collect()
    gc.disable()
    try:
        for nth in range(rounds):
            shift = nth % len(names)
            for name in names[shift:] + names[:shift]:
                times[name].append(subjects[name]() * 1e9)
    finally:
        gc.enable()
    return times


def show(title: str, times: dict[str, list[float]], unit: str = "ns") -> None:
    """A table; ratios are to the first subject, round by round."""
    scale = {"ns": 1.0, "us": 1e-3}[unit]
    first = next(iter(times.values()))
    print(f"\n{title}\n")
    print(f"| {'':44} | {'median ' + unit:>10} | {'least':>8} | {'times':>6} |")
    print(f"|{'-' * 46}|{'-' * 11}:|{'-' * 9}:|{'-' * 7}:|")
    for name, each in times.items():
        # What a limit adds may be nothing, as far as the clock can tell.
        ratios = [b / a for a, b in zip(first, each) if a] or [math.nan]
        ratio = statistics.median(ratios)
        median, least = statistics.median(each) * scale, min(each) * scale
        print(f"| {name:44} | {median:10,.1f} | {least:8,.1f} | {ratio:6.2f} |")


def limits_hit(strategy: Any) -> Callable[[str], Any]:
    item = limits.RateLimitItemPerMinute(PER_MINUTE)
    hit = strategy(limits.storage.MemoryStorage()).hit
    return lambda key: hit(item, key)


def throttled_limit(using: str, keys: int) -> Callable[[str], Any]:
    throttle = throttled.Throttled(
        using=using,
        quota=throttled.rate_limiter.per_min(PER_MINUTE, burst=PER_MINUTE),
        # Unless told, it forgets all keys but the 1024 that came last.
        store=throttled.MemoryStore(options={"MAX_SIZE": 2 * keys}),
    )
    return throttle.limit


def keyed(keys: int, calls: int, rounds: int) -> None:
    names = [f"user-{number}" for number in range(keys)]
    quota = f"{PER_MINUTE}/min"
    gcra = tollgate.KeyedLimiter(quota, capacity=keys)
    counter = tollgate.KeyedLimiter(quota, capacity=keys, algorithm="sliding-counter")
    policy = tollgate.Policy.from_text(
        f"[attribute.user]\n[[limit]]\nname = 'requests'\nkey = ['user']\n"
        f"algorithm = 'gcra'\nquota = '{quota}'\ncapacity = {keys}\n"
    )
    check = policy.check
    subjects: dict[str, Callable[[str], Any]] = {
        "tollgate KeyedLimiter.allow": gcra.allow,
        "tollgate KeyedLimiter.check (a Decision)": gcra.check,
        "tollgate KeyedLimiter.allow, sliding-counter": counter.allow,
        "tollgate Policy.check, one limit": lambda key: check("GET", "/", user=key),
        "limits FixedWindow.hit": limits_hit(limits.strategies.FixedWindowRateLimiter),
        "limits SlidingWindowCounter.hit": limits_hit(
            limits.strategies.SlidingWindowCounterRateLimiter
        ),
        "throttled-py gcra": throttled_limit("gcra", keys),
        "throttled-py token_bucket": throttled_limit("token_bucket", keys),
        "throttled-py fixed_window": throttled_limit("fixed_window", keys),
        "(a Python function that returns True)": nothing,
    }
    runs = {name: timed(ask, names, calls) for name, ask in subjects.items()}
    show(f"{keys:,} keys, all known, all allowed", rounds_of(runs, rounds))


def alone(calls: int, rounds: int) -> None:
    limiter = tollgate.Limiter(f"{PER_MINUTE}/min")
    fixed = limits_hit(limits.strategies.FixedWindowRateLimiter)
    gcra = throttled_limit("gcra", 1)
    subjects: dict[str, Callable[[], Any]] = {
        "tollgate Limiter.allow": limiter.allow,
        "tollgate Limiter.check (a Decision)": limiter.check,
        "limits FixedWindow.hit": lambda: fixed("one"),
        "throttled-py gcra": lambda: gcra("one"),
        "(a Python function that returns True)": nothing_alone,
    }
    runs = {name: timed_alone(ask, calls) for name, ask in subjects.items()}
    show("One bucket", rounds_of(runs, rounds))


def servers(requests: int, rounds: int) -> None:
    """A Starlette application alone, and with each middleware around it; without a network."""
    from slowapi import Limiter
    from slowapi.middleware import SlowAPIASGIMiddleware, SlowAPIMiddleware
    from slowapi.util import get_remote_address
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def index(request: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    def application() -> Starlette:
        return Starlette(routes=[Route("/", index)])

    def slow(middleware: Any) -> Starlette:
        app = application()
        app.state.limiter = Limiter(
            key_func=get_remote_address,
            default_limits=[f"{PER_MINUTE}/minute"],
            headers_enabled=True,
        )
        app.add_middleware(middleware)
        return app

    def ours(**options: Any) -> Starlette:
        app = application()
        app.add_middleware(tollgate.asgi.RateLimitMiddleware, **options)
        return app

    policy = tollgate.Policy.from_text(
        f"[attribute.ip]\nkind = 'ip'\n[[limit]]\nname = 'requests'\nkey = ['ip']\n"
        f"algorithm = 'gcra'\nquota = '{PER_MINUTE}/min'\n"
    )
    subjects: dict[str, Any] = {
        "Starlette alone": application(),
        "tollgate, a KeyedLimiter": ours(limiter=tollgate.KeyedLimiter(f"{PER_MINUTE}/min")),
        "tollgate, a Policy": ours(policy=policy),
        "slowapi, SlowAPIASGIMiddleware": slow(SlowAPIASGIMiddleware),
        "slowapi, SlowAPIMiddleware": slow(SlowAPIMiddleware),
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    async def run(app: Any, numbers: Iterable[int]) -> None:
        for number in numbers:
            scope = {
                "type": "http",
                "asgi": {"version": "3.0", "spec_version": "2.4"},
                "http_version": "1.1",
                "method": "GET",
                "scheme": "http",
                "path": "/",
                "raw_path": b"/",
                "query_string": b"",
                "root_path": "",
                "headers": [(b"host", b"localhost"), (b"user-agent", b"bench")],
                "client": (f"10.0.{number >> 8 & 255}.{number & 255}", 5000),
                "server": ("127.0.0.1", 80),
                "state": {},
            }
            await app(scope, receive, send)

    loop = asyncio.new_event_loop()

    def timed_requests(app: Any) -> Run:
        def each() -> float:
            sent.clear()
            start = time.process_time()
            loop.run_until_complete(run(app, range(requests)))
            took = (time.process_time() - start) / requests
            statuses = {message["status"] for message in sent if "status" in message}
            assert statuses == {200}, statuses
            return took

        return each

    runs = {name: timed_requests(app) for name, app in subjects.items()}
    try:
        times = rounds_of(runs, rounds)
    finally:
        loop.close()
    show("A request through Starlette, header fields included", times, "us")
    bare = times.pop("Starlette alone")
    added = {
        name: [each - without for each, without in zip(with_it, bare)]
        for name, with_it in times.items()
    }
    show("What the limit adds to it", added, "us")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="to see that it runs")
    parser.add_argument("--rounds", type=int, help="how many rounds (15, or 3 with --quick)")
    options = parser.parse_args()
    rounds = options.rounds or (3 if options.quick else 15)
    calls = 5_000 if options.quick else 200_000
    versions = [
        f"{name} {importlib.metadata.version(name)}"
        for name in ("tollgate", "limits", "throttled-py", "slowapi", "starlette")
    ]
    print(f"CPython {platform.python_version()}, {', '.join(versions)}; {rounds} rounds")
    alone(calls, rounds)
    keyed(1_000, calls, rounds)
    keyed(2_000 if options.quick else 100_000, calls, rounds)
    servers(calls // 100, rounds)


if __name__ == "__main__":
    main()
