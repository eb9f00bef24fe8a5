"""What the middlewares have in common: asking, and putting the answer into words."""

from __future__ import annotations

import functools
import http
import inspect
import ipaddress
import re
import urllib.parse
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any, Literal, TypeVar

from tollgate._tollgate import (
    Decision,
    KeyedLimiter,
    Lease,
    LeaseLimiter,
    Limiter,
    Policy,
    PolicyDecision,
)

Fields = list[tuple[str, str]]
Dialect = Literal["x-ratelimit", "ratelimit", "retry-after", "none"]
Reset = Literal["epoch", "delta"]

# An address with its zone and port; what is longer is none, and not kept in mind.
_LONGEST = 100

_PLAIN = re.compile(r"[A-Za-z0-9/_.~-]*\Z")


def reason(status: int) -> str:
    """The words for a status."""
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Denied"


def quoted(path: str, encoding: str = "utf-8") -> str:
    """A path that was decoded, as a target that means the same: what is limited is then
    what the application routes by, whatever the client wrote."""
    if _PLAIN.match(path):
        return path
    return urllib.parse.quote(path.encode(encoding, "surrogateescape"), safe="/")


@functools.lru_cache(maxsize=1024)
def _key_of(text: str) -> bytes | None:
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return address.packed[:8] if mapped is None else mapped.packed
    return address.packed


def address_key(peer: str | None, forwarded: str, trusted_hops: int) -> bytes | str:
    """Whom an address stands for: of IPv6 the /64, for a subscriber has all of it, and an IPv4
    address that is written as IPv6 is that address. It may have a port, a zone, or brackets.

    With ``trusted_hops`` the last entries of X-Forwarded-For were written by proxies of ours,
    and the first of these names the client; what a client put before is not looked at. Where
    it is no address, the peer is taken."""
    found = None
    if trusted_hops:
        entries = forwarded.rsplit(",", trusted_hops)
        # What came before the last ones is one more.
        if len(entries) >= trusted_hops and len(entries[-trusted_hops]) <= _LONGEST:
            found = _key_of(entries[-trusted_hops])
    if found is None and peer is not None and len(peer) <= _LONGEST:
        found = _key_of(peer)
    return found if found is not None else peer or ""


class Verdict:
    """One request's answer, until the request is over."""

    __slots__ = ("_gate", "_key", "_over", "allowed", "decision", "headers", "subject")

    def __init__(
        self, gate: Gate, subject: PolicyDecision | Decision | Lease, key: Any = None
    ) -> None:
        self._gate, self._key, self._over = gate, key, False
        self.subject = subject
        self.allowed = bool(subject)
        self.decision: PolicyDecision | Decision
        self.decision = subject.decision if isinstance(subject, Lease) else subject
        self.headers = gate.fields(self.decision)

    def over(self) -> None:
        """The request is over: what it held is free."""
        if not self._over:
            self._over = True
            if not isinstance(self.subject, Decision):
                self.subject.release()

    def refund(self) -> None:
        """It is not to be paid for."""
        subject = self.subject
        if isinstance(subject, PolicyDecision):
            subject.refund()
        elif isinstance(subject, Decision):
            charge = subject.charge
            if charge is not None:
                self._gate.refund(self._key, charge)
        else:
            subject.release()

    def response(self, wants_body: bool) -> tuple[int, Fields, bytes]:
        """Status, fields and body of a denial."""
        status, text = self._gate.status, self._gate.body
        if isinstance(self.decision, PolicyDecision):
            status, text = self.decision.status or status, self.decision.body
        fields = list(self.headers)
        if text is None:
            text = f"{reason(status)}\n"
        if not any(name.lower() == "content-type" for name, _ in fields):
            fields.append(("Content-Type", self._gate.content_type))
        body = text.encode()
        fields.append(("Content-Length", str(len(body))))
        return status, fields, body if wants_body else b""


class Gate:
    """A policy, or a limiter, as middlewares ask it."""

    def __init__(
        self,
        policy: Policy | None,
        limiter: Limiter | KeyedLimiter | LeaseLimiter | None,
        *,
        dialect: Dialect,
        reset: Reset,
        name: str,
        status: int,
        body: str | None,
        content_type: str,
    ) -> None:
        if (policy is None) == (limiter is None):
            raise TypeError("give a policy or a limiter, one of them")
        if not 400 <= status <= 599:
            raise ValueError(f"the status of a denial is from 400 to 599, not {status}")
        self.policy, self.limiter = policy, limiter
        self._dialect, self._reset, self._name = dialect, reset, name
        self.status, self.body, self.content_type = status, body, content_type
        # What is wrong with them is wrong from the beginning.
        Limiter("1/s").peek().headers(dialect, name=name, reset=reset)

    @property
    def has_keys(self) -> bool:
        return isinstance(self.limiter, (KeyedLimiter, LeaseLimiter))

    def fields(self, decision: PolicyDecision | Decision) -> Fields:
        if isinstance(decision, PolicyDecision):
            return decision.headers
        quota = None
        if self._dialect == "ratelimit" and isinstance(self.limiter, (Limiter, KeyedLimiter)):
            quota = self.limiter.quota
        return decision.headers(self._dialect, name=self._name, reset=self._reset, quota=quota)

    def ask_policy(
        self,
        method: str,
        path: str,
        host: str | None,
        attributes: Mapping[str, Any],
        costs: Any,
    ) -> Verdict:
        assert self.policy is not None
        if costs is not None and not isinstance(costs, Mapping):
            raise TypeError("with a policy, `cost` tells a mapping from dimensions to units")
        return Verdict(
            self, self.policy.check(method, path, attributes, host=host, costs=costs)
        )

    def ask_limiter(self, key: Any, cost: Any) -> Verdict:
        limiter = self.limiter
        units = 1 if cost is None else cost
        if isinstance(limiter, Limiter):
            return Verdict(self, limiter.check(units))
        if isinstance(limiter, KeyedLimiter):
            return Verdict(self, limiter.check(key, units), key)
        assert limiter is not None
        return Verdict(self, limiter.acquire(key))

    def refund(self, key: Any, charge: Any) -> None:
        if isinstance(self.limiter, Limiter):
            self.limiter.refund(charge)
        elif isinstance(self.limiter, KeyedLimiter):
            self.limiter.refund(key, charge)


def is_coroutine_function(function: object) -> bool:
    """Whether a call makes a coroutine, also of an object that is called like one."""
    return inspect.iscoroutinefunction(function) or (
        not inspect.isroutine(function)
        and not inspect.isclass(function)
        and inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004
    )


def exemption(exempt: Container[str] | Callable[[Any], Any] | None) -> Callable[[Any, str], Any]:
    """Whether a request, of such a path, is not to be asked about: as the function said it,
    which may be an awaitable."""
    if exempt is None:
        return lambda request, path: False
    if callable(exempt):
        asked = exempt
        return lambda request, path: asked(request)
    if isinstance(exempt, str):
        raise TypeError("`exempt` is a collection of paths: write {...} around it")
    paths = exempt
    return lambda request, path: path in paths


def checked(gate: Gate, key: Any, attributes: Any, headers: Any, trusted_hops: int) -> None:
    """Options that would have no effect are mistakes."""
    if gate.policy is not None and (key is not None or trusted_hops):
        raise TypeError(
            "`key` and `trusted_hops` are for a limiter: a policy has them in its file"
        )
    if gate.limiter is not None and (attributes is not None or headers is not None):
        raise TypeError("`attributes` and `headers` are for a policy: a limiter has a `key`")
    if gate.limiter is not None and not gate.has_keys and (key is not None or trusted_hops):
        raise TypeError("a Limiter has no keys: leave `key` and `trusted_hops` out")
    if trusted_hops < 0:
        raise ValueError("`trusted_hops` is 0 or more")


# Lists, of which each middleware has an entry.
_LISTS = (b"ratelimit", b"ratelimit-policy", "ratelimit", "ratelimit-policy")

Word = TypeVar("Word", str, bytes)


def added(
    present: Iterable[tuple[Word, Word]], fields: Iterable[tuple[Word, Word]]
) -> list[tuple[Word, Word]]:
    """A response's fields and ours. What was said already, by a middleware within or by the
    application, is not said twice."""
    told = list(present)
    names = {name.lower() for name, _ in told}
    told += [
        (name, value)
        for name, value in fields
        if name.lower() in _LISTS or name.lower() not in names
    ]
    return told


def joined(values: Iterable[bytes]) -> bytes:
    """Several lines of one field, in their order."""
    return b", ".join(values)
