"""Rate limiting in-process: may this request pass, and if not, when?

    limiter = tollgate.KeyedLimiter("100/min")
    if not limiter.allow("alice"):
        ...

``tollgate.asgi`` and ``tollgate.wsgi`` have the middleware for servers.
"""

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
