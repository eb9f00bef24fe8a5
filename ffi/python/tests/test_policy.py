"""Policies: what they are told, what they answer, how they change."""

from __future__ import annotations

import pathlib
import pickle
from types import MappingProxyType
from typing import Any

import pytest
from conftest import REPOSITORY

import tollgate
from tollgate import ManualClock, Policy, PolicyDecision, PolicyError

TEXT = """
name = "test"

[attribute.ip]
kind = "ip"
forwarded = "x-forwarded-for"
trusted_hops = 1

[attribute.user]
[attribute.plan]
values = ["free", "pro"]

[[limit]]
name = "login"
routes = ["POST /login"]
key = ["ip"]
quota = "2/min"

[[limit]]
name = "tokens"
routes = ["POST /chat"]
key = ["user"]
quota = { by = "plan", free = "100/d", pro = "1000/d" }
cost = "tokens"
overrides = { by = "user", big = "500/d" }
largest = "2000/d"

[[limit]]
name = "at once"
routes = ["POST /chat"]
key = ["user"]
algorithm = "leases"
quota = 1
ttl = "1 min"

[[exempt]]
name = "health"
routes = ["/health"]

[[penalty]]
name = "guessing"
counts = ["login"]
key = ["ip"]
denials = 3
within = "1 h"
blocks = ["1 h"]

[response]
body = '{"error": "wait {retry_after}"}'
content_type = "application/json"
"""


@pytest.fixture
def policy(clock: ManualClock) -> Policy:
    return Policy.from_text(TEXT, clock=clock)


def test_it_knows_itself(policy: Policy) -> None:
    assert policy.limits == ["login", "tokens", "at once"]
    assert {"ip", "user", "plan"} <= set(policy.attributes) and policy.dimensions == ["tokens"]
    assert policy.algorithm("at once") == "leases" and not policy.is_shadow("login")
    assert policy.name == "test"
    for ask in (policy.algorithm, policy.is_shadow, lambda name: policy.reset(name)):
        with pytest.raises(KeyError):
            ask("nothing")
    assert "applies: login" in policy.explain("POST", "/login", ip="192.0.2.1")


def test_a_denial_says_everything(policy: Policy) -> None:

    def ask() -> PolicyDecision:
        return policy.check("POST", "/login?x=1", ip="192.0.2.1")

    first = ask()
    assert first and first.allowed and first.status is None and first.body is None
    assert dict(first.headers)["X-RateLimit-Remaining"] == "1"
    assert ask()
    denied = ask()
    assert not denied and denied.outcome == "later" and denied.cause == "limits"
    assert (denied.status, denied.retry_after, denied.retry_after_secs) == (429, 60.0, 60)
    assert denied.body == '{"error": "wait 60"}'
    fields = dict(denied.headers)
    assert fields["Retry-After"] == "60" and fields["Content-Type"] == "application/json"
    binding = denied.binding
    assert binding is not None and binding.name == "login" and binding.violated
    assert denied["login"].remaining == 0 == denied["login"].decision.remaining
    assert denied.limit("tokens") is None and [limit.name for limit in denied.limits] == ["login"]
    with pytest.raises(KeyError):
        denied["tokens"]
    with pytest.raises(tollgate.Denied, match="login") as raised:
        denied.raise_if_denied()
    assert raised.value.decision is denied


def test_attributes_by_keywords_and_mappings(policy: Policy) -> None:
    ways: list[Any] = [
        lambda: policy.check("POST", "/login", ip="192.0.2.9"),
        lambda: policy.check("POST", b"/login", {"ip": b"192.0.2.9"}),
        lambda: policy.check("POST", "/login", MappingProxyType({"ip": "::ffff:192.0.2.9"})),
        lambda: policy.check("POST", "/log%69n", {"ip": "10.0.0.1"}, ip="192.0.2.9"),
        lambda: policy.check(
            "POST", "/login", {"ip": "10.0.0.1", "x-forwarded-for": "evil, 192.0.2.9"}
        ),
        lambda: policy.check("POST", "/login", ip="192.0.2.9", unknown="passed over", user=None),
    ]
    assert [way().allowed for way in ways] == [True, True, False, False, False, False]
    wrong: list[Any] = [
        lambda: policy.check("POST", "/login", ip=1.5),  # type: ignore[arg-type]
        lambda: policy.check("POST", "/login", ip=True),
        lambda: policy.check("POST", "/login", {1: "x"}),  # type: ignore[dict-item]
        lambda: policy.check("POST", "/login", ["ip"]),  # type: ignore[arg-type]
        lambda: policy.check("POST", 7),  # type: ignore[arg-type]
        lambda: policy.check(7, "/"),  # type: ignore[arg-type]
        lambda: policy.check("POST", "/chat", costs={"tokens": 1.5}),  # type: ignore[dict-item]
        lambda: policy.check("POST", "/chat", costs=5),  # type: ignore[arg-type]
    ]
    for act in wrong:
        with pytest.raises(TypeError):
            act()
    with pytest.raises(ValueError):
        policy.check("POST", "/chat", costs={"tokens": -1})
    with pytest.raises(UnicodeEncodeError):
        policy.check("POST", "/login", ip="\udcff")


def test_leases_estimates_refunds(policy: Policy, clock: ManualClock) -> None:

    def ask() -> PolicyDecision:
        return policy.check("POST", "/chat", user="ann", plan="free", costs={"tokens": 40})

    with ask() as decision:
        lease = decision["at once"].lease
        assert lease is not None and policy.renew("at once", lease)
        assert not ask()
        with pytest.raises(tollgate.Denied), ask():
            raise AssertionError("never reached")
        decision.settle("tokens", 70)
    assert not policy.release("at once", lease)
    assert ask().limit("tokens") is not None and not ask()
    assert policy.reset("tokens", "POST", "/chat", user="ann", plan="free")
    policy.reset("at once", "POST", "/chat", user="ann")
    refunded = ask()
    assert refunded["tokens"].remaining == 60
    refunded.refund()
    refunded.refund()
    again = ask()
    assert again["tokens"].remaining == 60
    clock.advance(61)
    assert ask()


def test_penalties_exemptions_overrides(policy: Policy) -> None:

    def ask() -> PolicyDecision:
        return policy.check("POST", "/login", ip="192.0.2.2")

    for _ in range(5):
        ask()
    blocked = ask()
    assert (blocked.cause, blocked.cause_name) == ("blocked", "guessing")
    assert policy.unblock("guessing", ip="192.0.2.2")
    assert not policy.unblock("guessing", ip="192.0.2.2")
    exempt = policy.check("GET", "/health")
    assert exempt and (exempt.cause, exempt.cause_name) == ("exempt", "health")
    missing = policy.check("POST", "/login")
    assert not missing and missing.cause == "missing"
    assert (missing.cause_name, missing.cause_attribute) == ("login", "ip")

    def big(who: str) -> PolicyDecision:
        return policy.check("POST", "/chat", user=who, plan="free", costs={"tokens": 300})

    assert big("big") and big("small").outcome == "never"
    policy.set_override("tokens", "small", "300/d")
    assert big("small")
    policy.set_override("tokens", b"other", None)
    with pytest.raises(tollgate.LimiterError):
        policy.set_override("tokens", "small", "9000/d")
    with pytest.raises(KeyError):
        policy.set_override("login", "small", "1/d")


def test_mistakes_come_all_at_once_with_their_places(tmp_path: pathlib.Path) -> None:
    with pytest.raises(tollgate.PolicyError) as raised:
        Policy.from_text("[[limit]]\nname = 'a'\nquota = '0/min'\nkeys = []\n", name="x.toml")
    assert "x.toml" in str(raised.value) and isinstance(raised.value, ValueError)
    places = {(problem.line, problem.column) for problem in raised.value.problems}
    assert len(places) >= 2 and all(problem.message for problem in raised.value.problems)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Policy.from_file(tmp_path / "nowhere.toml")
    with pytest.raises(TypeError):
        Policy.from_text(7)  # type: ignore[arg-type]
    with pytest.raises(tollgate.PolicyError):
        Policy.from_text(b"\xff")


def test_a_reload_keeps_what_was_charged(tmp_path: pathlib.Path, clock: ManualClock) -> None:
    path = tmp_path / "limits.toml"
    text = "[[limit]]\nname = 'everyone'\nkey = []\nquota = '{}/h'\n"
    path.write_text(text.format(5))
    policy = Policy.from_file(path, clock=clock)
    held = policy.check()
    assert held["everyone"].remaining == 4
    path.write_text(text.format(3))
    policy.reload()
    assert policy.check()["everyone"].remaining == 1
    path.write_text("nonsense")
    with pytest.raises(tollgate.PolicyError):
        policy.reload()
    assert policy.check()["everyone"].remaining == 0
    # A decision of the policy before still gives back.
    held.refund()
    assert policy.check()
    with pytest.raises(TypeError):
        Policy.from_text(text.format(1)).reload()
    policy.reload_text(text.format(4))
    assert policy.check().denied is False


def test_the_policies_of_the_repository_are_read() -> None:
    for path in sorted((REPOSITORY / "examples" / "policies").glob("*.toml")):
        assert Policy.from_file(path).limits


def test_what_is_no_limit_of_leases_has_none(policy: Policy) -> None:
    for no_leases in ("tokens", "nothing"):
        for what in (policy.release, policy.renew):
            with pytest.raises(KeyError, match=no_leases):
                what(no_leases, bytes(16))
    # Quotas that there is no room for are told apart from texts that are none.
    with pytest.raises(tollgate.LimiterError, match="largest"):
        policy.set_override("tokens", "small", "9000/d")
    with pytest.raises(tollgate.QuotaError):
        policy.set_override("tokens", "small", "often")


def test_a_dimension_that_nobody_counts_is_not_settled(policy: Policy) -> None:
    decision = policy.check("POST", "/chat", user="ann", plan="free", costs={"tokens": 5})
    with pytest.raises(KeyError, match="typo"):
        decision.settle("typo", 3)
    decision.settle("tokens", 3)


def test_how_full_each_limit_is(clock: ManualClock) -> None:
    policy = Policy.from_text(
        '''
[attribute.user]
[[limit]]
name = "each"
key = ["user"]
quota = "5/min"
capacity = 8
[[limit]]
name = "large"
algorithm = "size"
key = []
quota = "1 MB"
cost = "bytes"
unit = "bytes"
missing = "skip"
''',
        clock=clock,
    )
    said = [policy.check("GET", "/", user=f"u{nth}") for nth in range(200)]
    gauges = policy.gauges("each")
    assert gauges is not None and gauges.capacity == 8 and gauges.memory > 0
    assert 8 <= gauges.live_keys <= gauges.slots < 200
    accounted = [decision["each"].accounted for decision in said]
    assert accounted.count(False) == gauges.saturated > 0 and accounted[0]
    clock.advance(3600)
    later = policy.gauges("each")
    assert later is not None and later.live_keys == 0
    assert policy.gauges("large") is None
    with pytest.raises(KeyError):
        policy.gauges("nothing")


def test_exceptions_come_through_from_other_processes(policy: Policy) -> None:
    with pytest.raises(PolicyError) as wrong:
        Policy.from_text("[[limit]]\nquota = 5\n[[limit]]\n")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(wrong.value, protocol))
        assert type(again) is PolicyError and str(again) == str(wrong.value)
        assert repr(again.problems) == repr(wrong.value.problems) != "[]"
        assert [p.hint for p in again.problems] == [p.hint for p in wrong.value.problems]
        denials: list[Any] = [
            tollgate.Limiter("1/h").check(2),
            policy.check("POST", "/chat", user="ann", plan="free", costs={"tokens": 10**9}),
        ]
        for denial in denials:
            with pytest.raises(tollgate.Denied) as denied:
                denial.raise_if_denied()
            assert denied.value.decision is denial
            through = pickle.loads(pickle.dumps(denied.value, protocol))
            assert type(through) is tollgate.Denied and str(through) == str(denied.value)
            assert through.decision is None
