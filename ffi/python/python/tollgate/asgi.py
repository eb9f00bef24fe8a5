"""Rate limiting for ASGI: Starlette, FastAPI, Quart, Django, Litestar, or none of them.

    app.add_middleware(RateLimitMiddleware, policy=tollgate.Policy.from_file("limits.toml"))

It is no ``BaseHTTPMiddleware``: bodies stream through it, and background tasks run on.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Container, Mapping, MutableMapping
from typing import Any

from tollgate._http import (
    Dialect,
    Fields,
    Gate,
    Reset,
    Verdict,
    added,
    address_key,
    checked,
    exemption,
    joined,
    quoted,
)
from tollgate._tollgate import KeyedLimiter, LeaseLimiter, Limiter, Policy

__all__ = ["RateLimitMiddleware", "client_key", "header"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def header(scope: Scope, name: str) -> bytes | None:
    """The value of a header field, or None; of several lines, all, joined by commas."""
    wanted = name.lower().encode("latin-1")
    values = [value for key, value in scope.get("headers", ()) if key.lower() == wanted]
    return joined(values) if values else None


def client_key(scope: Scope, trusted_hops: int = 0) -> bytes | str:
    """The client's address as a key: an IPv4 address, or the /64 of an IPv6 one."""
    peer = scope.get("client")
    forwarded = (header(scope, "x-forwarded-for") or b"") if trusted_hops else b""
    return address_key(peer[0] if peer else None, forwarded.decode("latin-1"), trusted_hops)


async def _told(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def _raw(fields: Fields) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fields]


class RateLimitMiddleware:
    """Asks about each request, and tells the client how it stands.

    Give a ``policy``, or a ``limiter`` and its ``key``: a function of the scope, by default
    the client's address (``trusted_hops`` proxies of ours before it). Functions may be
    coroutine functions.

    ``cost``
        a function of the scope: units for a limiter, ``{dimension: units}`` for a policy.
    ``attributes``, ``headers``
        what a policy is told beside ``ip``, ``x-forwarded-for`` and ``forwarded``: a function
        of the scope that returns a mapping; attributes by the names of header fields.
    ``exempt``
        paths, or a function of the scope: requests that are not asked about.
    ``refund_when``
        a function of the response's status: whether the request is not to be paid for.
    ``on_denied``
        an ASGI application that answers denied requests in place of ours; the header fields
        are added to what it sends.
    ``dialect``, ``reset``, ``name``, ``status``, ``body``, ``content_type``
        how a limiter's answers are told; a policy has that in its file.

    The decision is ``scope["tollgate.decision"]``: an application may settle what it cost. Leases are
    held until the last of the body is sent or the client is gone.
    """

    def __init__(
        self,
        app: App,
        *,
        policy: Policy | None = None,
        limiter: Limiter | KeyedLimiter | LeaseLimiter | None = None,
        key: Callable[[Scope], Any] | None = None,
        cost: Callable[[Scope], Any] | None = None,
        attributes: Callable[[Scope], Any] | None = None,
        headers: Mapping[str, str] | None = None,
        trusted_hops: int = 0,
        exempt: Container[str] | Callable[[Scope], bool | Awaitable[bool]] | None = None,
        refund_when: Callable[[int], bool | Awaitable[bool]] | None = None,
        on_denied: App | None = None,
        dialect: Dialect = "x-ratelimit",
        reset: Reset = "epoch",
        name: str = "default",
        status: int = 429,
        body: str | None = None,
        content_type: str = "text/plain; charset=utf-8",
    ) -> None:
        self.app = app
        self._gate = Gate(
            policy,
            limiter,
            dialect=dialect,
            reset=reset,
            name=name,
            status=status,
            body=body,
            content_type=content_type,
        )
        checked(self._gate, key, attributes, headers, trusted_hops)
        self._key, self._cost = key, cost
        self._attributes, self._headers = attributes, dict(headers or {})
        self._trusted_hops = trusted_hops
        self._exempt = exemption(exempt)
        self._refund_when, self._on_denied = refund_when, on_denied

    async def _ask(self, scope: Scope) -> Verdict:
        gate = self._gate
        cost = None if self._cost is None else await _told(self._cost(scope))
        if gate.policy is None:
            key = None
            if gate.has_keys:
                if self._key is None:
                    key = client_key(scope, self._trusted_hops)
                else:
                    key = await _told(self._key(scope))
            return gate.ask_limiter(key, cost)
        peer = scope.get("client")
        attributes: dict[str, Any] = {
            "ip": peer[0] if peer else None,
            "x-forwarded-for": header(scope, "x-forwarded-for"),
            "forwarded": header(scope, "forwarded"),
        }
        for attribute, field in self._headers.items():
            attributes[attribute] = header(scope, field)
        if self._attributes is not None:
            attributes.update(await _told(self._attributes(scope)))
        host = header(scope, "host")
        return gate.ask_policy(
            scope.get("method", "GET"),
            quoted(scope["path"]),
            None if host is None else host.decode("latin-1"),
            attributes,
            cost,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or await _told(
            self._exempt(scope, scope["path"])
        ):
            await self.app(scope, receive, send)
            return
        verdict = await self._ask(scope)
        scope = {**scope, "tollgate.decision": verdict.decision}
        if not verdict.allowed:
            try:
                await self._deny(verdict, scope, receive, send)
            finally:
                verdict.over()
            return

        fields = _raw(verdict.headers)
        refund_when = self._refund_when
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            kind = message["type"]
            if kind in ("http.response.start", "websocket.accept"):
                started = True
                if refund_when is not None and await _told(
                    refund_when(message.get("status", 101))
                ):
                    verdict.refund()
                message = {**message, "headers": added(message.get("headers") or (), fields)}
            await send(message)
            if kind == "websocket.close" or (
                kind == "http.response.body" and not message.get("more_body", False)
            ):
                verdict.over()

        async def receiving() -> Message:
            message = await receive()
            if message["type"] in ("http.disconnect", "websocket.disconnect"):
                verdict.over()
            return message

        try:
            await self.app(scope, receiving, sending)
        except Exception:
            # Not where a client hung up: what was begun for it was worth its units.
            if not started and refund_when is not None and await _told(refund_when(500)):
                verdict.refund()
            raise
        finally:
            verdict.over()

    async def _deny(self, verdict: Verdict, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._deny_websocket(verdict, scope, receive, send)
            return
        if self._on_denied is None:
            status, fields, body = verdict.response(scope["method"] != "HEAD")
            start = {"type": "http.response.start", "status": status, "headers": _raw(fields)}
            await send(start)
            await send({"type": "http.response.body", "body": body})
            return
        # The body is its own, and so is what it is of.
        own = [(name, value) for name, value in _raw(verdict.headers) if name != b"content-type"]

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": added(message.get("headers") or (), own)}
            await send(message)

        await self._on_denied(scope, receive, sending)

    async def _deny_websocket(
        self, verdict: Verdict, scope: Scope, receive: Receive, send: Send
    ) -> None:
        message = await receive()
        if message["type"] != "websocket.connect":
            return
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            # The handshake fails by 403; that is all that can be said.
            await send({"type": "websocket.close", "code": 1013})
            return
        status, fields, body = verdict.response(True)
        kind = "websocket.http.response"
        await send({"type": f"{kind}.start", "status": status, "headers": _raw(fields)})
        await send({"type": f"{kind}.body", "body": body})
