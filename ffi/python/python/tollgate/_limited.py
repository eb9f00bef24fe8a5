"""The decorator: a function that may be called so often."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from tollgate._http import is_coroutine_function
from tollgate._tollgate import KeyedLimiter, LeaseLimiter, Limiter

F = TypeVar("F", bound=Callable[..., Any])


def limited(
    limiter: Limiter | KeyedLimiter | LeaseLimiter,
    *,
    key: Callable[..., Any] | None = None,
    cost: Callable[..., int] | int = 1,
) -> Callable[[F], F]:
    """Limits a function, or a coroutine function: a call beyond the limit raises ``Denied``.

    ``key`` is called with the arguments and tells the key of a limiter that has keys; ``cost``
    is a number, or is called alike. With a ``LeaseLimiter`` a call holds a lease until it
    returns. (Of a generator, the calls are limited and not the steps.)
    """
    keyed = isinstance(limiter, (KeyedLimiter, LeaseLimiter))
    if keyed != (key is not None):
        raise TypeError(
            "a limiter with keys wants `key`, a function of the call's arguments"
            if keyed
            else "a Limiter has no keys: leave `key` out"
        )
    if isinstance(limiter, LeaseLimiter) and cost != 1:
        raise TypeError("a call holds one lease: leave `cost` out")

    def decorate(function: F) -> F:
        def enter(*args: Any, **kwargs: Any) -> Callable[[], object]:
            if isinstance(limiter, LeaseLimiter):
                assert key is not None
                return limiter.acquire(key(*args, **kwargs)).__enter__().release
            units = cost(*args, **kwargs) if callable(cost) else cost
            if isinstance(limiter, Limiter):
                limiter.check(units).raise_if_denied()
            else:
                assert key is not None
                limiter.check(key(*args, **kwargs), units).raise_if_denied()
            return _nothing

        if is_coroutine_function(function):

            @functools.wraps(function)
            async def call_async(*args: Any, **kwargs: Any) -> Any:
                leave = enter(*args, **kwargs)
                try:
                    return await function(*args, **kwargs)
                finally:
                    leave()

            return cast("F", call_async)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            leave = enter(*args, **kwargs)
            try:
                return function(*args, **kwargs)
            finally:
                leave()

        return cast("F", call)

    return decorate


def _nothing() -> None:
    pass
