"""The ASGI middleware, driven by hand and by Starlette."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import pytest

from tollgate import KeyedLimiter, LeaseLimiter, Limiter, ManualClock, Policy
from tollgate.asgi import App, RateLimitMiddleware, client_key

Message = MutableMapping[str, Any]


def scope_of(
    path: str = "/",
    *,
    method: str = "GET",
    client: str | None = "192.0.2.1",
    kind: str = "http",
    headers: list[tuple[bytes, bytes]] | None = None,
    **more: Any,
) -> dict[str, Any]:
    scope = {
        "type": kind,
        "path": path,
        "headers": headers or [],
        "client": None if client is None else (client, 5000),
        **more,
    }
    if kind == "http":
        scope["method"] = method
    return scope


class Answer:
    """What came of a request."""

    def __init__(self, sent: list[Message]) -> None:
        self.sent = sent
        start = next((m for m in sent if m["type"].endswith((".start", ".accept"))), {})
        self.status = start.get("status")
        self.fields = {name.decode(): value.decode() for name, value in start.get("headers", ())}
        self.body = b"".join(m.get("body", b"") for m in sent)


def ask(app: App, scope: dict[str, Any], receives: list[Message] | None = None) -> Answer:
    sent: list[Message] = []
    waiting = list(receives or [{"type": "http.request"}])

    async def receive() -> Message:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    async def run() -> None:
        await asyncio.wait_for(app(scope, receive, send), 10)

    asyncio.run(run())
    return Answer(sent)


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"server", b"mine")]}
    )
    await send({"type": "http.response.body", "body": b"hello"})


def test_a_limiter_by_address(clock: ManualClock) -> None:
    limiter = KeyedLimiter("60/min burst 2", clock=clock)
    app = RateLimitMiddleware(hello, limiter=limiter, reset="delta")
    first = ask(app, scope_of())
    assert (first.status, first.body) == (200, b"hello")
    assert first.fields == {
        "server": "mine",
        "x-ratelimit-limit": "2",
        "x-ratelimit-remaining": "1",
        "x-ratelimit-reset": "1",
    }
    assert ask(app, scope_of(client="::ffff:192.0.2.1")).status == 200
    denied = ask(app, scope_of())
    assert (denied.status, denied.body) == (429, b"Too Many Requests\n")
    assert denied.fields["retry-after"] == "1" and denied.fields["cache-control"] == "no-store"
    assert denied.fields["content-type"] == "text/plain; charset=utf-8"
    assert denied.fields["content-length"] == "18" and "server" not in denied.fields
    assert ask(app, scope_of(method="HEAD")).body == b""
    assert ask(app, scope_of(client=None)).status == 200
    clock.advance(1)
    assert ask(app, scope_of()).status == 200


def test_whose_address_it_is() -> None:
    def key(client: str, hops: int = 0, *forwarded: str) -> bytes | str:
        headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
        return client_key(scope_of(client=client, headers=headers), hops)

    assert key("2001:db8:1:2::1") == key("2001:db8:1:2:ffff::9") != key("2001:db8:1:3::1")
    assert key("::ffff:10.0.0.1") == key("10.0.0.1") != key("10.0.0.2")
    # From the right, and only as far as our own proxies wrote it.
    assert key("10.0.0.1", 0, "1.1.1.1") == key("10.0.0.1")
    assert key("10.0.0.1", 1, "6.6.6.6, 1.1.1.1") == key("1.1.1.1")
    assert key("10.0.0.1", 1, "6.6.6.6", "1.1.1.1") == key("1.1.1.1")
    assert key("10.0.0.1", 2, "6.6.6.6, 1.1.1.1, 10.0.0.2") == key("1.1.1.1")
    assert key("10.0.0.1", 1, "[2001:db8::1]:443") == key("2001:db8::1")
    assert key("10.0.0.1", 1, "1.1.1.1:8080") == key("1.1.1.1")
    for garbled in ("", "unknown", "6.6.6.6, ", "6.6.6.6 7.7.7.7"):
        assert key("10.0.0.1", 1, garbled) == key("10.0.0.1")
    assert key("10.0.0.1", 3, "1.1.1.1") == key("10.0.0.1")
    assert key("/run/socket") == "/run/socket"


POLICY = """
[attribute.ip]
kind = "ip"
forwarded = "x-forwarded-for"
trusted_hops = 1
[attribute.user]

[[limit]]
name = "login"
routes = ["POST /login/{name}"]
key = ["ip"]
quota = "1/min"

[[limit]]
name = "downloads"
routes = ["/download"]
key = ["user"]
algorithm = "leases"
quota = 1
ttl = "1 min"

[[limit]]
name = "tokens"
routes = ["/chat"]
key = ["user"]
quota = "100/d"
cost = "tokens"

[[refuse]]
name = "inside"
routes = ["/admin/**"]

[response]
headers = "ratelimit"
status = 503
body = '{"error": "slow down"}'
content_type = "application/json"
"""


def test_a_policy_speaks_its_dialect(clock: ManualClock) -> None:
    app = RateLimitMiddleware(hello, policy=Policy.from_text(POLICY, clock=clock))
    first = ask(app, scope_of("/login/ä b", method="POST"))
    assert first.status == 200 and first.fields["ratelimit-policy"] == '"login";q=1;w=60'
    # The same path to the router, and so to the policy; what the client wrote is not asked.
    for path in ("/login/x", "/login//x", "/login/%2e", "/login/x?y", "/login/./x/"):
        denied = ask(app, scope_of(path, method="POST", raw_path=b"/else"))
        assert (denied.status, denied.body) == (503, b'{"error": "slow down"}'), path
    assert denied.fields["retry-after"] == "60"
    assert denied.fields["content-type"] == "application/json"
    refused = ask(app, scope_of("/admin/panel"))
    assert refused.status == 403 and "retry-after" not in refused.fields
    forwarded = [(b"X-Forwarded-For", b"6.6.6.6"), (b"x-forwarded-for", b"198.51.100.7")]
    assert ask(app, scope_of("/login/x", method="POST", headers=forwarded)).status == 200
    assert ask(app, scope_of("/login/x", method="POST", headers=forwarded[1:])).status == 503


def held(policy: Policy) -> bool:
    """Whether the one download of `ann` is taken."""
    decision = policy.check("GET", "/download", user="ann")
    decision.release()
    return not decision


def test_a_lease_ends_with_the_body_or_its_client() -> None:
    policy = Policy.from_text(POLICY)
    seen: list[bool] = []

    async def streams(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"1", "more_body": True})
        seen.append(held(policy))
        await send({"type": "http.response.body", "body": b"2"})
        # A background task is not the response.
        seen.append(held(policy))

    async def waits(scope: Any, receive: Any, send: Any) -> None:
        seen.append(held(policy))
        while (await receive())["type"] != "http.disconnect":
            pass
        seen.append(held(policy))

    async def fails(scope: Any, receive: Any, send: Any) -> None:
        seen.append(held(policy))
        raise RuntimeError("ours")

    async def stays(scope: Any, receive: Any, send: Any) -> None:
        seen.append(held(policy))
        await asyncio.sleep(60)

    for app in (streams, waits, fails, stays):
        limited = RateLimitMiddleware(app, policy=policy, attributes=lambda scope: {"user": "ann"})
        try:
            if app is stays:

                async def cut(limited: App = limited) -> None:
                    task = asyncio.ensure_future(
                        limited(scope_of("/download"), None, None)  # type: ignore[arg-type]
                    )
                    await asyncio.sleep(0.01)
                    task.cancel()
                    await task

                asyncio.run(cut())
            else:
                ask(limited, scope_of("/download"))
        except (RuntimeError, asyncio.CancelledError):
            pass
        assert not held(policy), app.__name__
    assert seen == [True, False, True, False, True, True]


def test_costs_attributes_refunds_and_exemptions(clock: ManualClock) -> None:
    policy = Policy.from_text(POLICY, clock=clock)

    async def cost(scope: Any) -> dict[str, int]:
        return {"tokens": 60}

    async def settles(scope: Any, receive: Any, send: Any) -> None:
        scope["tollgate.decision"].settle("tokens", 10)
        await hello(scope, receive, send)

    chat = RateLimitMiddleware(settles, policy=policy, cost=cost, headers={"user": "x-user"})
    ann = [(b"x-user", b"ann")]
    statuses = [ask(chat, scope_of("/chat", headers=ann)).status for _ in range(6)]
    assert statuses == [200] * 5 + [503]

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/raise":
            raise RuntimeError
        await send({"type": "http.response.start", "status": 502})
        await send({"type": "http.response.body"})

    limiter = KeyedLimiter("2/h", clock=clock)
    app = RateLimitMiddleware(
        broken,
        limiter=limiter,
        key=lambda scope: "everyone",
        refund_when=lambda status: status >= 500,
        exempt={"/health"},
    )
    for _ in range(5):
        assert ask(app, scope_of()).status == 502
        with pytest.raises(RuntimeError):
            ask(app, scope_of("/raise"))
    assert limiter.peek("everyone").remaining == 2
    assert "x-ratelimit-limit" not in ask(app, scope_of("/health")).fields


def test_a_denial_of_ones_own(clock: ManualClock) -> None:
    async def sorry(scope: Any, receive: Any, send: Any) -> None:
        assert scope["tollgate.decision"].denied
        await send(
            {
                "type": "http.response.start",
                "status": 420,
                "headers": [(b"content-type", b"text/html")],
            }
        )
        await send({"type": "http.response.body", "body": b"<p>calm down"})

    policy = Policy.from_text(POLICY, clock=clock)
    app = RateLimitMiddleware(hello, policy=policy, on_denied=sorry)
    ask(app, scope_of("/login/x", method="POST"))
    denied = ask(app, scope_of("/login/x", method="POST"))
    assert (denied.status, denied.body) == (420, b"<p>calm down")
    assert denied.fields["retry-after"] == "60" and denied.fields["content-type"] == "text/html"


def test_websockets(clock: ManualClock) -> None:
    async def chat(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})

    connect: list[Message] = [{"type": "websocket.connect"}]
    app = RateLimitMiddleware(chat, limiter=LeaseLimiter(1, 60, clock=clock))
    for _ in range(3):
        accepted = ask(app, scope_of("/ws", kind="websocket"), connect)
        assert accepted.fields["x-ratelimit-limit"] == "1"
    app = RateLimitMiddleware(chat, limiter=KeyedLimiter("1/h", clock=clock))
    assert ask(app, scope_of("/ws", kind="websocket"), connect).fields
    closed = ask(app, scope_of("/ws", kind="websocket"), connect).sent
    assert closed == [{"type": "websocket.close", "code": 1013}]
    extended = scope_of("/ws", kind="websocket", extensions={"websocket.http.response": {}})
    assert ask(app, extended, connect).status == 429


def test_what_is_not_http_is_not_asked_about() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    ask(RateLimitMiddleware(app, limiter=Limiter("1/h")), {"type": "lifespan"})
    assert seen == ["lifespan"]


def test_options_that_make_no_sense() -> None:
    keyed, one = KeyedLimiter("1/s"), Limiter("1/s")
    policy = Policy.from_text(POLICY)
    wrong: list[dict[str, Any]] = [
        {},
        {"policy": policy, "limiter": keyed},
        {"policy": policy, "key": lambda scope: "k"},
        {"policy": policy, "trusted_hops": 1},
        {"limiter": keyed, "attributes": lambda scope: {}},
        {"limiter": keyed, "headers": {}},
        {"limiter": one, "key": lambda scope: "k"},
        {"limiter": keyed, "exempt": "/health"},
    ]
    for options in wrong:
        with pytest.raises(TypeError):
            RateLimitMiddleware(hello, **options)
    wrong = [{"status": 200}, {"dialect": "soap"}, {"trusted_hops": -1}, {"reset": "x"}]
    for options in wrong:
        with pytest.raises(ValueError):
            RateLimitMiddleware(hello, limiter=keyed, **options)
    with pytest.raises(TypeError):
        ask(RateLimitMiddleware(hello, policy=policy, cost=lambda scope: 3), scope_of())


def test_starlette_with_streams_and_background_tasks() -> None:
    from starlette.applications import Starlette
    from starlette.background import BackgroundTask
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import StreamingResponse
    from starlette.routing import Route

    leases = LeaseLimiter(1, 60)
    done: list[bool] = []

    async def stream(request: Request) -> StreamingResponse:
        async def chunks() -> Any:
            for chunk in ("a", "b", "c"):
                yield chunk

        return StreamingResponse(chunks(), background=BackgroundTask(done.append, True))

    limited: Callable[..., Awaitable[None]] = Starlette(
        routes=[Route("/", stream)],
        middleware=[Middleware(RateLimitMiddleware, limiter=leases, key=lambda scope: "k")],
    )
    for nth in range(3):
        answer = ask(limited, scope_of(query_string=b"", extensions={}))
        assert (answer.status, answer.body) == (200, b"abc") and len(done) == nth + 1


def test_coroutine_functions_are_awaited(clock: ManualClock) -> None:
    asked: list[object] = []

    async def exempt(scope: Any) -> bool:
        await asyncio.sleep(0)
        asked.append(scope["path"])
        return bool(scope["path"] == "/health")

    async def refund_when(status: int) -> bool:
        await asyncio.sleep(0)
        asked.append(status)
        return status >= 500

    class Refunds:
        async def __call__(self, status: int) -> bool:
            return await refund_when(status)

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/raise":
            raise RuntimeError
        await send({"type": "http.response.start", "status": 502})
        await send({"type": "http.response.body"})

    limiter = Limiter("2/h", clock=clock)
    good = RateLimitMiddleware(hello, limiter=limiter, exempt=exempt, refund_when=refund_when)
    bad = RateLimitMiddleware(broken, limiter=limiter, exempt=exempt, refund_when=Refunds())
    assert [ask(good, scope_of("/health")).status for _ in range(4)] == [200] * 4
    assert ask(bad, scope_of()).status == 502
    with pytest.raises(RuntimeError):
        ask(bad, scope_of("/raise"))
    # What was not exempt was asked about, and what went well was paid for.
    assert [ask(good, scope_of()).status for _ in range(3)] == [200, 200, 429]
    assert asked == ["/health"] * 4 + ["/", 502, "/raise", 500, "/", 200, "/", 200, "/"]


def test_who_hangs_up_pays(clock: ManualClock) -> None:
    limiter, leases = Limiter("2/h", clock=clock), LeaseLimiter(1, 60)

    async def cancelled(app: App) -> None:
        running = asyncio.Event()

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            running.set()
            await asyncio.sleep(60)

        async def nothing(*given: Any) -> Any:
            raise AssertionError("neither received nor sent")

        app.app = slow  # type: ignore[attr-defined]
        task = asyncio.ensure_future(app(scope_of(), nothing, nothing))
        await asyncio.wait_for(running.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    failed = lambda status: status >= 500  # noqa: E731
    asyncio.run(cancelled(RateLimitMiddleware(hello, limiter=limiter, refund_when=failed)))
    assert limiter.peek().remaining == 1
    asyncio.run(
        cancelled(RateLimitMiddleware(hello, limiter=leases, key=lambda scope: "k"))
    )
    assert leases.peek("k").remaining == 1


def test_what_is_said_already_is_not_said_twice(clock: ManualClock) -> None:
    def names(sent: Answer) -> list[bytes]:
        return sorted(name.lower() for name, _ in sent.sent[0]["headers"])

    inner = RateLimitMiddleware(hello, limiter=KeyedLimiter("1/h", clock=clock))
    outer = RateLimitMiddleware(inner, limiter=KeyedLimiter("9/h", clock=clock))
    for status, remaining in ((200, "0"), (429, "0")):
        answer = ask(outer, scope_of())
        assert (answer.status, answer.fields["x-ratelimit-remaining"]) == (status, remaining)
        assert len(names(answer)) == len(set(names(answer))), names(answer)
    # The draft's are lists, of which each limit is an entry.
    inner = RateLimitMiddleware(hello, limiter=Limiter("1/h"), dialect="ratelimit", name="a")
    outer = RateLimitMiddleware(inner, limiter=Limiter("1/h"), dialect="ratelimit", name="b")
    assert names(ask(outer, scope_of())).count(b"ratelimit") == 2


def test_what_the_application_gave_back_is_not_given_back_again(clock: ManualClock) -> None:
    limiter = KeyedLimiter("10/h", clock=clock)
    assert limiter.allow("k", 5)

    async def gives(scope: Any, receive: Any, send: Any) -> None:
        charge = scope["tollgate.decision"].charge
        limiter.refund("k", charge)
        await send({"type": "http.response.start", "status": 500})
        await send({"type": "http.response.body"})

    app = RateLimitMiddleware(
        gives, limiter=limiter, key=lambda scope: "k", refund_when=lambda status: status == 500
    )
    assert ask(app, scope_of()).status == 500
    assert limiter.peek("k").remaining == 5
