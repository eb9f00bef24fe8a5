"""Rate limiting for WSGI: Flask, Django, Bottle, Pyramid, or none of them.

    app.wsgi_app = RateLimitMiddleware(app.wsgi_app, policy=policy)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tollgate._http import (
    Dialect,
    Gate,
    Reset,
    Verdict,
    added,
    address_key,
    checked,
    exemption,
    is_coroutine_function,
    quoted,
    reason,
)
from tollgate._tollgate import KeyedLimiter, LeaseLimiter, Limiter, Policy

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["RateLimitMiddleware", "client_key", "header"]


def header(environ: WSGIEnvironment, name: str) -> bytes | None:
    """The value of a header field, or None; of several lines, all, as the server joins them."""
    word = name.upper().replace("-", "_")
    key = word if word in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{word}"
    value = environ.get(key)
    return None if value is None else str(value).encode("latin-1", "replace")


def client_key(environ: WSGIEnvironment, trusted_hops: int = 0) -> bytes | str:
    """The client's address as a key: an IPv4 address, or the /64 of an IPv6 one."""
    forwarded = environ.get("HTTP_X_FORWARDED_FOR", "") if trusted_hops else ""
    return address_key(environ.get("REMOTE_ADDR"), forwarded, trusted_hops)


def _decoded(path: str) -> str:
    """The path as people write it: its bytes come in latin-1, and are UTF-8."""
    if path.isascii():
        return path
    try:
        return path.encode("latin-1").decode()
    except UnicodeError:
        return path


def _told(value: Any, what: str) -> bool:
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        # It would be true whatever it comes to.
        raise TypeError(f"nobody awaits what `{what}` returns: WSGI takes plain functions")
    return bool(value)


class _Request:
    """What becomes of one request: whether it is to be paid for, and when it is over."""

    __slots__ = ("_gone", "_refund_when", "_status", "verdict")

    def __init__(self, verdict: Verdict, refund_when: Callable[[int], bool] | None) -> None:
        self.verdict, self._refund_when = verdict, refund_when
        self._status: str | None = None
        # Whether the header is on its way: until then the status may be replaced.
        self._gone = False

    def starting(self, start_response: StartResponse) -> StartResponse:
        def start(
            status: str, headers: list[tuple[str, str]], exc_info: Any = None, /
        ) -> Callable[[bytes], object]:
            told = added(headers, self.verdict.headers)
            if exc_info is None:
                write = start_response(status, told)
            else:
                write = start_response(status, told, exc_info)
            self._status = status
            if self._refund_when is None:
                return write

            def writing(data: bytes) -> object:
                self.sent()
                return write(data)

            return writing

        return start

    def sent(self) -> None:
        """Something of the body is sent, or all of it: so the status is the last one."""
        if not self._gone and self._status is not None:
            self._ended(int(self._status[:3]))

    def failed(self) -> None:
        """The application raised: before anything was sent, the server answers 500."""
        self._ended(500)

    def _ended(self, status: int) -> None:
        if self._gone:
            return
        self._gone = True
        if self._refund_when is not None and _told(self._refund_when(status), "refund_when"):
            self.verdict.refund()


class _Body:
    """A response's body, which tells when it is over."""

    def __init__(self, body: Iterable[bytes], request: _Request) -> None:
        self._body, self._request = body, request
        self._chunks = iter(body)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            chunk = next(self._chunks)
        except StopIteration:
            self._request.sent()
            raise
        except Exception:
            self._request.failed()
            raise
        if chunk:
            self._request.sent()
        return chunk

    def close(self) -> None:
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            try:
                # Servers do not ask for the body of an answer to HEAD.
                self._request.sent()
            finally:
                self._request.verdict.over()


class _SizedBody(_Body):
    """One that knows how many chunks it has: of a single one, servers tell the length."""

    def __len__(self) -> int:
        return len(self._body)  # type: ignore[arg-type]


class RateLimitMiddleware:
    """Asks about each request, and tells the client how it stands.

    Give a ``policy``, or a ``limiter`` and its ``key``: a function of the environ, by default
    the client's address (``trusted_hops`` proxies of ours before it).

    ``cost``
        a function of the environ: units for a limiter, ``{dimension: units}`` for a policy.
    ``attributes``, ``headers``
        what a policy is told beside ``ip``, ``x-forwarded-for`` and ``forwarded``: a function
        of the environ that returns a mapping; attributes by the names of header fields.
    ``exempt``
        paths, or a function of the environ: requests that are not asked about.
    ``refund_when``
        a function of the response's status: whether the request is not to be paid for.
    ``on_denied``
        a WSGI application that answers denied requests in place of ours; the header fields
        are added to what it sends.
    ``dialect``, ``reset``, ``name``, ``status``, ``body``, ``content_type``
        how a limiter's answers are told; a policy has that in its file.

    The decision is ``environ["tollgate.decision"]``: an application may settle what it cost. Leases are
    held until the server closes the body, which it does also when the client is gone.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        policy: Policy | None = None,
        limiter: Limiter | KeyedLimiter | LeaseLimiter | None = None,
        key: Callable[[WSGIEnvironment], Any] | None = None,
        cost: Callable[[WSGIEnvironment], Any] | None = None,
        attributes: Callable[[WSGIEnvironment], Mapping[str, Any]] | None = None,
        headers: Mapping[str, str] | None = None,
        trusted_hops: int = 0,
        exempt: Container[str] | Callable[[WSGIEnvironment], bool] | None = None,
        refund_when: Callable[[int], bool] | None = None,
        on_denied: WSGIApplication | None = None,
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
        functions = {
            "key": key,
            "cost": cost,
            "attributes": attributes,
            "exempt": exempt,
            "refund_when": refund_when,
            "on_denied": on_denied,
        }
        for what, function in functions.items():
            if is_coroutine_function(function):
                raise TypeError(f"`{what}` is a coroutine function: WSGI takes plain ones")
        self._key, self._cost = key, cost
        self._attributes, self._headers = attributes, dict(headers or {})
        self._trusted_hops = trusted_hops
        self._exempt = exemption(exempt)
        self._refund_when, self._on_denied = refund_when, on_denied

    def _ask(self, environ: WSGIEnvironment, path: str) -> Verdict:
        gate = self._gate
        cost = None if self._cost is None else self._cost(environ)
        if gate.policy is None:
            key = None
            if gate.has_keys:
                if self._key is None:
                    key = client_key(environ, self._trusted_hops)
                else:
                    key = self._key(environ)
            return gate.ask_limiter(key, cost)
        attributes: dict[str, Any] = {
            "ip": environ.get("REMOTE_ADDR"),
            "x-forwarded-for": header(environ, "x-forwarded-for"),
            "forwarded": header(environ, "forwarded"),
        }
        for attribute, field in self._headers.items():
            attributes[attribute] = header(environ, field)
        if self._attributes is not None:
            attributes.update(self._attributes(environ))
        host = environ.get("HTTP_HOST")
        # What the application routes by is decoded already, and its bytes are in latin-1.
        path = quoted(path, "latin-1")
        return gate.ask_policy(environ["REQUEST_METHOD"], path, host, attributes, cost)

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        if _told(self._exempt(environ, _decoded(path)), "exempt"):
            return self.app(environ, start_response)
        verdict = self._ask(environ, path)
        environ["tollgate.decision"] = verdict.decision
        if not verdict.allowed:
            return self._deny(verdict, environ, start_response)

        request = _Request(verdict, self._refund_when)
        try:
            body = self.app(environ, request.starting(start_response))
            kind = _SizedBody if hasattr(body, "__len__") else _Body
            return kind(body, request)
        except BaseException as error:
            try:
                if isinstance(error, Exception):
                    request.failed()
            finally:
                verdict.over()
            raise

    def _deny(
        self, verdict: Verdict, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        if self._on_denied is None:
            status, fields, body = verdict.response(environ["REQUEST_METHOD"] != "HEAD")
            start_response(f"{status} {reason(status)}", fields)
            return [body]
        # The body is its own, and so is what it is of.
        own = [field for field in verdict.headers if field[0].lower() != "content-type"]

        def starting(
            status: str, headers: list[tuple[str, str]], exc_info: Any = None, /
        ) -> Callable[[bytes], object]:
            if exc_info is None:
                return start_response(status, added(headers, own))
            return start_response(status, added(headers, own), exc_info)

        return self._on_denied(environ, starting)
