"""Rate limiting in-process: may this request pass, and if not, when?

    limiter = tollgate.KeyedLimiter("100/min")
    if not limiter.allow("alice"):
        ...

``tollgate.asgi`` and ``tollgate.wsgi`` have the middleware for servers.
"""

from typing import Any

from tollgate._limited import limited
from tollgate._tollgate import (
    Charge,
    Counts,
    Decision,
    Denied,
    DeniedKey,
    Gauges,
    KeyedLimiter,
    Lease,
    LeaseLimiter,
    LimitDecision,
    Limiter,
    LimiterError,
    ManualClock,
    Policy,
    PolicyDecision,
    PolicyError,
    Problem,
    Quota,
    QuotaError,
    Region,
    RegionError,
    Spend,
    TollgateError,
    __version__,
)

__all__ = [
    "Charge",
    "Counts",
    "Decision",
    "Denied",
    "DeniedKey",
    "Gauges",
    "KeyedLimiter",
    "Lease",
    "LeaseLimiter",
    "LimitDecision",
    "Limiter",
    "LimiterError",
    "ManualClock",
    "Policy",
    "PolicyDecision",
    "PolicyError",
    "Problem",
    "Quota",
    "QuotaError",
    "Region",
    "RegionError",
    "Spend",
    "TollgateError",
    "__version__",
    "limited",
]


def _without_its_decision(denied: Denied) -> tuple[Any, ...]:
    """What of a denial comes through to another process: its text."""
    return type(denied), denied.args, {**vars(denied), "decision": None}


# Else a worker's denial would arrive at its caller as a TypeError of pickle.
Denied.__reduce__ = _without_its_decision  # type: ignore[assignment, method-assign]
