"""The WSGI middleware, driven by hand, checked by wsgiref's validator, and under Flask."""

from __future__ import annotations

import contextlib
import functools
import io
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.validate import validator

import pytest
from test_asgi import POLICY, held

from tollgate import KeyedLimiter, LeaseLimiter, Limiter, ManualClock, Policy
from tollgate.wsgi import RateLimitMiddleware

Start = Callable[..., Any]


def environ_of(path: str = "/", *, method: str = "GET", **more: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        **more,
    }


def ask(app: Any, environ: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        started.append((status, headers))
        return lambda data: None

    body = app(environ, start)
    try:
        data = b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()
    status, headers = started[-1]
    return int(status.split()[0]), {name.lower(): value for name, value in headers}, data


def hello(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    start("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]


def test_a_limiter_by_address(clock: ManualClock) -> None:
    limiter = KeyedLimiter("60/min burst 2", clock=clock)
    app = validator(RateLimitMiddleware(validator(hello), limiter=limiter, reset="delta"))
    status, fields, body = ask(app, environ_of())
    assert (status, body, fields["x-ratelimit-remaining"]) == (200, b"hello", "1")
    assert ask(app, environ_of(REMOTE_ADDR="::ffff:192.0.2.1"))[0] == 200
    status, fields, body = ask(app, environ_of())
    assert (status, body) == (429, b"Too Many Requests\n")
    assert fields["retry-after"] == "1" and fields["content-length"] == "18"
    assert ask(app, environ_of(method="HEAD"))[2] == b""
    trusting = RateLimitMiddleware(hello, limiter=limiter, trusted_hops=1)
    forwarded = {"HTTP_X_FORWARDED_FOR": "6.6.6.6, 192.0.2.1"}
    assert ask(trusting, environ_of(REMOTE_ADDR="10.0.0.1", **forwarded))[0] == 429


def test_a_policy_speaks_its_dialect(clock: ManualClock) -> None:
    app = RateLimitMiddleware(hello, policy=Policy.from_text(POLICY, clock=clock))
    latin = "/login/ä b".encode().decode("latin-1")
    status, fields, _ = ask(app, environ_of(latin, method="POST"))
    assert status == 200 and fields["ratelimit-policy"] == '"login";q=1;w=60'
    for script, path in (("/login", "/x"), ("", "/login//x"), ("", "/login/%2e"), ("", "/login/\xff")):
        environ = environ_of(path, method="POST", SCRIPT_NAME=script, RAW_URI="http://else/")
        status, fields, body = ask(app, environ)
        assert (status, body) == (503, b'{"error": "slow down"}'), (script, path)
    assert fields["content-type"] == "application/json"
    assert ask(app, environ_of("/admin/x"))[0] == 403


def test_a_lease_ends_when_the_body_is_closed() -> None:
    policy = Policy.from_text(POLICY)
    seen, closed = [], []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            seen.append(held(policy))
            yield b"1"
            raise RuntimeError("in the middle")

        def close(self) -> None:
            closed.append(held(policy))

    def streams(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        start("200 OK", [])
        return Body()

    def fails(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        seen.append(held(policy))
        raise RuntimeError("before it began")

    for app in (streams, fails):
        user = lambda environ: {"user": "ann"}  # noqa: E731
        limited = RateLimitMiddleware(app, policy=policy, attributes=user)
        with pytest.raises(RuntimeError):
            ask(limited, environ_of("/download"))
        assert not held(policy), app.__name__
    assert (seen, closed) == ([True, True], [True])


def test_costs_refunds_exemptions_and_denials_of_ones_own(clock: ManualClock) -> None:
    policy = Policy.from_text(POLICY, clock=clock)

    def settles(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        environ["tollgate.decision"].settle("tokens", 10)
        return hello(environ, start)

    chat = RateLimitMiddleware(
        settles, policy=policy, cost=lambda environ: {"tokens": 60}, headers={"user": "X-User"}
    )
    ann = {"HTTP_X_USER": "ann"}
    assert [ask(chat, environ_of("/chat", **ann))[0] for _ in range(6)] == [200] * 5 + [503]

    def broken(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/raise":
            raise RuntimeError
        start("502 Bad Gateway", [])
        return []

    def sorry(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        assert environ["tollgate.decision"].denied
        start("420 Enhance Your Calm", [("Content-Type", "text/html")])
        return [b"<p>"]

    one = Limiter("2/h", clock=clock)
    app = RateLimitMiddleware(
        broken,
        limiter=one,
        refund_when=lambda status: status >= 500,
        exempt=lambda environ: environ["PATH_INFO"] == "/health",
        on_denied=sorry,
    )
    for _ in range(5):
        assert ask(app, environ_of())[0] == 502
        with pytest.raises(RuntimeError):
            ask(app, environ_of("/raise"))
    assert one.check(2)
    status, fields, body = ask(app, environ_of())
    assert (status, fields["content-type"], body) == (420, "text/html", b"<p>")
    assert fields["retry-after"] == "1800"
    assert "x-ratelimit-limit" not in ask(app, environ_of("/health"))[1]


def test_flask() -> None:
    import flask

    app = flask.Flask("test")

    @app.get("/")
    def index() -> str:
        return str(flask.request.environ["tollgate.decision"].remaining)

    limiter = LeaseLimiter(3, 60)
    app.wsgi_app = RateLimitMiddleware(  # type: ignore[method-assign]
        app.wsgi_app, limiter=limiter, key=lambda environ: "k"
    )
    client = app.test_client()
    for _ in range(3):
        with client.get("/") as response:
            assert response.data == b"2"
            assert limiter.peek("k").remaining == 2
    assert limiter.peek("k").remaining == 3


def test_coroutine_functions_are_refused(clock: ManualClock) -> None:
    async def coroutine(given: Any) -> Any:
        raise AssertionError("nobody awaits it")

    class Called:
        async def __call__(self, given: Any) -> Any:
            return await coroutine(given)

    keyed = KeyedLimiter("1/h", clock=clock)
    for function in (coroutine, Called(), functools.partial(coroutine)):
        for option in ("key", "cost", "exempt", "refund_when", "on_denied"):
            options: dict[str, Any] = {option: function}
            with pytest.raises(TypeError, match=f"`{option}` is a coroutine function"):
                RateLimitMiddleware(hello, limiter=keyed, **options)
        with pytest.raises(TypeError, match="`attributes` is a coroutine function"):
            told: Any = function
            RateLimitMiddleware(hello, policy=Policy.from_text(POLICY), attributes=told)

    # One that only returns an awaitable is found out when it is called, and nobody passes.
    for option in ("exempt", "refund_when"):
        hidden: dict[str, Any] = {option: lambda given: coroutine(given)}
        app = RateLimitMiddleware(hello, limiter=KeyedLimiter("9/h"), **hidden)
        with pytest.raises(TypeError, match=f"nobody awaits what `{option}` returns"):
            ask(app, environ_of())


def test_who_pays_is_the_status_that_is_sent(clock: ManualClock) -> None:
    def at_first_step(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        raise RuntimeError
        yield b""  # which makes it a generator

    def after_its_status(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        start("200 OK", [])
        yield b""
        raise RuntimeError

    def replaced(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        start("200 OK", [])
        try:
            raise RuntimeError
        except RuntimeError:
            start("500 Oh", [], sys.exc_info())
        return [b"sorry"]

    def healed(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        start("500 Oh", [])
        start("200 OK", [], (RuntimeError, RuntimeError(), None))
        return [b"here"]

    def in_the_middle(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        start("200 OK", [])
        yield b"1"
        raise RuntimeError

    def written(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        start("200 OK", [])(b"1")
        raise RuntimeError

    def stopped(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        raise KeyboardInterrupt

    def empty(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        start("503 Not now", [])
        return []

    pays = {
        at_first_step: False,
        after_its_status: False,
        replaced: False,
        healed: True,
        in_the_middle: True,
        written: True,
        stopped: True,
        empty: False,
    }
    for app, paid in pays.items():
        limiter, leases = Limiter("2/h", clock=clock), LeaseLimiter(1, 60, clock=clock)
        limited = RateLimitMiddleware(app, limiter=limiter, refund_when=lambda status: status >= 500)
        held = RateLimitMiddleware(limited, limiter=leases, key=lambda environ: "k")
        with contextlib.suppress(RuntimeError, KeyboardInterrupt):
            ask(held, environ_of())
        assert limiter.peek().remaining == 2 - paid, app.__name__
        assert leases.peek("k").remaining == 1, app.__name__

    # Whose body the server does not ask for.
    limiter = Limiter("2/h", clock=clock)
    app_ = RateLimitMiddleware(empty, limiter=limiter, refund_when=lambda status: status == 503)
    body = app_(environ_of(method="HEAD"), lambda *given: lambda data: None)
    assert limiter.peek().remaining == 1
    body.close()  # type: ignore[attr-defined]
    assert limiter.peek().remaining == 2


def test_a_server_sees_how_many_chunks_there_are() -> None:
    from wsgiref.handlers import SimpleHandler

    def plain(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        start("200 OK", [("Content-Type", "text/plain")])
        return [b"hello"]

    def streams(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        start("200 OK", [("Content-Type", "text/plain")])
        yield b"hello"

    for app, told in ((plain, True), (streams, False)):
        limited = RateLimitMiddleware(app, limiter=Limiter("9/h"))
        out = io.BytesIO()
        SimpleHandler(io.BytesIO(), out, sys.stderr, environ_of()).run(limited)
        assert (b"Content-Length: 5\r\n" in out.getvalue()) == told, out.getvalue()
        assert out.getvalue().endswith(b"hello")


def test_what_is_said_already_is_not_said_twice(clock: ManualClock) -> None:
    inner = RateLimitMiddleware(hello, limiter=KeyedLimiter("1/h", clock=clock))
    outer = RateLimitMiddleware(inner, limiter=KeyedLimiter("9/h", clock=clock))
    for expected in ("200", "429"):
        starts: list[Any] = []

        def start(*given: Any, starts: list[Any] = starts) -> Any:
            starts.append(given)

        outer(environ_of(), start)
        ((status, fields),) = starts
        names = [name.lower() for name, _ in fields]
        assert status.startswith(expected) and len(names) == len(set(names)), names
        assert ("X-RateLimit-Remaining", "0") in fields


def test_exempt_paths_are_written_as_people_write_them() -> None:
    app = RateLimitMiddleware(hello, limiter=Limiter("1/h"), exempt={"/ä", "/\xff"})
    as_servers_tell = "/ä".encode().decode("latin-1")
    for path in (as_servers_tell, as_servers_tell, "/\xff", "/\xff"):
        assert "x-ratelimit-limit" not in ask(app, environ_of(path))[1]
    assert "x-ratelimit-limit" in ask(app, environ_of("/a"))[1]
