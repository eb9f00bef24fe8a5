"""Limiters, by the page: numbers of decisions, keys, errors, and an oracle."""

from __future__ import annotations

import copy
import datetime
import enum
import fractions
import math
import pickle
import random
from typing import Any, Literal

import pytest

import tollgate
from tollgate import KeyedLimiter, LeaseLimiter, Limiter, ManualClock, Quota


def test_a_quota_is_what_its_text_says() -> None:
    quota = Quota("12/15min burst 3")
    assert (quota.units, quota.period, quota.burst) == (12, 900.0, 3)
    assert quota.period_ns == 900_000_000_000
    assert quota == Quota(12, 900, burst=3) == Quota(12, datetime.timedelta(minutes=15), burst=3)
    assert hash(quota) == hash(Quota(12, 900.0, burst=3))
    assert quota != Quota("12/15min") and quota != "12/15min burst 3"
    assert (str(quota), repr(quota)) == ("12/15min burst 3", "Quota('12/15min burst 3')")
    assert Quota.n_per_second(5) == Quota("5/s")
    assert Quota.n_per_minute(5, burst=2) == Quota("5/min burst 2")
    assert Quota.n_per_hour(5) == Quota("5/h") and Quota.n_per_day(5) == Quota("5/d")
    assert Quota.one_every(0.25) == Quota("1/250ms")
    assert Quota("1000/s").rate_shortfall == 0.0
    assert pickle.loads(pickle.dumps(quota)) == quota == copy.deepcopy(quota)


@pytest.mark.parametrize("text", ["", "10", "10/", "/s", "0/s", "-1/s", "10/fortnight", "9" * 99])
def test_what_is_no_quota_is_a_clear_error(text: str) -> None:
    with pytest.raises(tollgate.QuotaError) as raised:
        Quota(text)
    assert str(raised.value) and isinstance(raised.value, ValueError)
    with pytest.raises(tollgate.QuotaError):
        Limiter(text)


def test_arguments_that_are_none() -> None:
    nan, inf = math.nan, math.inf
    wrong: list[tuple[Any, Any]] = [
        (ValueError, lambda: Quota(1, -1.0)),
        (ValueError, lambda: Quota(1, nan)),
        (ValueError, lambda: Quota(1, inf)),
        (ValueError, lambda: Quota(1, 10**400)),
        (ValueError, lambda: Quota(1, datetime.timedelta(seconds=-1))),
        (ValueError, lambda: Quota(-1, 1)),
        (ValueError, lambda: Quota(2**64, 1)),
        (ValueError, lambda: Quota(10**5000, 1)),
        (TypeError, lambda: Quota(1.5, 1)),  # type: ignore[arg-type]
        (TypeError, lambda: Quota(True, 1)),
        (TypeError, lambda: Quota(1, "1s")),  # type: ignore[arg-type]
        (TypeError, lambda: Quota("1/s", 1)),
        (TypeError, lambda: Quota(1)),
        (TypeError, lambda: Limiter(100)),  # type: ignore[arg-type]
        (ValueError, lambda: Limiter("1/s", algorithm="leaky")),  # type: ignore[arg-type]
        (ValueError, lambda: KeyedLimiter("1/s", when_full="panic")),  # type: ignore[arg-type]
        (ValueError, lambda: KeyedLimiter("1/s", capacity=0)),
        ((ValueError, MemoryError), lambda: KeyedLimiter("1/s", capacity=2**60)),
        (OverflowError, lambda: KeyedLimiter("1/s", capacity=-1)),
        (ValueError, lambda: Limiter("10/s burst 5", algorithm="sliding-log")),
        (ValueError, lambda: Limiter("1/s", algorithm="sliding-log", longest_wait=1)),
        (TypeError, lambda: KeyedLimiter("1/s", name="x")),
        (ValueError, lambda: LeaseLimiter(0, 1)),
        (ValueError, lambda: LeaseLimiter(1, 0)),
        (ValueError, lambda: LeaseLimiter(1, 1).release(b"short")),
        (ValueError, lambda: Limiter("1/s").check(-1)),
        (ValueError, lambda: Limiter("1/s").check(2**64)),
        (TypeError, lambda: Limiter("1/s").check(1.0)),  # type: ignore[arg-type]
        (TypeError, lambda: Limiter("1/s").check("1")),  # type: ignore[arg-type]
        (ValueError, lambda: Limiter("1/s", algorithm="sliding-log").reserve(1, 1)),
        (ValueError, lambda: Limiter("1/s").set_quota("1/d")),
        (ValueError, lambda: Limiter("1/s").peek().headers("soap")),  # type: ignore[arg-type]
    ]
    for kind, act in wrong:
        with pytest.raises(kind) as raised:
            act()
        assert str(raised.value)


def test_a_decision_says_everything(clock: ManualClock) -> None:
    limiter = KeyedLimiter("60/min burst 3", clock=clock)
    first = limiter.check("alice")
    assert first and first.allowed and not first.denied and first.outcome == "allowed"
    assert (first.limit, first.remaining) == (3, 2)
    assert first.retry_after is None and first.retry_after_ns is None
    assert first.reset_after == 1.0 and first.reset_after_ns == 1_000_000_000
    assert first.accounted and first.wait == 0.0
    assert limiter.check("alice", 2)
    denied = limiter.check("alice", 2)
    assert not denied and denied.denied and denied.outcome == "later" and denied.charge is None
    assert (denied.retry_after, denied.retry_after_ns) == (2.0, 2_000_000_000)
    assert denied.retry_after_secs == 2
    never = limiter.check("alice", 4)
    assert never.outcome == "never" and never.retry_after is None
    clock.set_ns(1_999_999_999)
    assert not limiter.allow("alice", 2)
    clock.set_ns(2_000_000_000)
    assert limiter.allow("alice", 2)
    with pytest.raises(tollgate.Denied) as raised:
        limiter.check("alice").raise_if_denied()
    assert isinstance(raised.value.decision, tollgate.Decision)
    assert raised.value.decision.retry_after == 1.0
    assert "retry in 1s" in str(raised.value)


def test_waiting_retry_after_as_a_float_is_long_enough() -> None:
    random_numbers = random.Random(7)
    for _ in range(2000):
        clock = ManualClock()
        period = random_numbers.randrange(1, 10**17)
        limiter = Limiter(Quota(1, datetime.timedelta(microseconds=period // 1000 + 1)), clock=clock)
        assert limiter.allow()
        denied = limiter.check()
        assert denied.retry_after is not None and denied.retry_after_ns is not None
        assert fractions.Fraction(denied.retry_after) * 10**9 >= denied.retry_after_ns
        clock.advance(denied.retry_after)
        assert limiter.allow()


class Level(enum.IntEnum):
    ONE = 1


def test_keys_are_the_same_or_they_are_not() -> None:
    limiter = KeyedLimiter("1/d", seed=1)
    same: list[list[Any]] = [
        ["alice", b"alice", bytearray(b"alice"), memoryview(b"alice")],
        [1, Level.ONE],
        ["1", b"1"],
        [-1],
        [2**64 - 1],
        [2**64],
        [10**5000],
        [-(10**5000)],
        [""],
        ["ä", "ä".encode()],
        [("a", "b")],
        [("ab",)],
        # What parts without their lengths would make of the two before.
        [("asb",)],
        [("a", "bsc")],
        [("asb", "c")],
        [("a", b"b")],
        [("a", ("b",))],
        [("a", None, "b")],
        [("a", 1)],
        [("a", "1")],
        [(b"a\x00b",)],
        [((), "a")],
        [("a", ())],
        [()],
    ]
    for group in same:
        assert [limiter.allow(key) for key in group] == [True] + [False] * (len(group) - 1), group


@pytest.mark.parametrize("key", [None, 1.5, True, object(), ["a"], {"a"}, ("a", 1.5), ("a", True)])
def test_what_is_no_key_is_a_clear_error(key: Any) -> None:
    limiter = KeyedLimiter("1/d", count=True)
    asks: list[Any] = [limiter.allow, limiter.check, limiter.peek, limiter.reset, limiter.spend]
    for ask in [*asks, lambda key: limiter.check_many(["fine", key])]:
        with pytest.raises(TypeError, match="key is a str"):
            ask(key)
    counts = limiter.counts()
    # A batch with a key that is none charges nobody.
    assert counts is not None and (counts.allowed, counts.denied) == (0, 0)
    with pytest.raises(UnicodeEncodeError):
        limiter.allow("\ud800")


def test_an_obvious_oracle_agrees() -> None:
    """GCRA in integers: TAT in ticks, as the design says it."""
    random_numbers = random.Random(2026)
    for _ in range(40):
        units, period = random_numbers.randrange(1, 50), random_numbers.randrange(1, 10**10)
        burst = random_numbers.randrange(1, 60)
        interval = -(-period * 16 // units)
        clock = ManualClock()
        micros = period // 1000 + 1
        interval = -(-micros * 1000 * 16 // units)
        quota = Quota(units, datetime.timedelta(microseconds=micros), burst=burst)
        limiter = KeyedLimiter(quota, clock=clock)
        tat: dict[str, int] = {}
        now = 0
        for _ in range(300):
            now += random_numbers.choice([0, 1, 1000, interval // 16, micros * 300])
            clock.set_ns(now)
            key, cost = random_numbers.choice("abc"), random_numbers.randrange(0, burst + 2)
            ticks = now * 16
            base = max(tat.get(key, 0), ticks)
            new = base + cost * interval
            decision = limiter.check(key, cost)
            allowed = cost == 0 or new - ticks <= burst * interval
            assert decision.allowed == allowed
            if allowed and cost:
                tat[key] = new
            left = (ticks + burst * interval - max(tat.get(key, 0), ticks)) // interval
            assert decision.remaining == min(max(left, 0), burst)
            if not allowed:
                wait = -(-(new - ticks - burst * interval) // 16)
                assert decision.retry_after_ns == (None if cost > burst else wait)


def test_a_log_never_admits_more_in_any_window() -> None:
    random_numbers = random.Random(3)
    clock = ManualClock()
    limiter = KeyedLimiter("5/s", algorithm="sliding-log", clock=clock)
    admitted: list[int] = []
    now = 0
    for _ in range(3000):
        now += random_numbers.choice([0, 10**7, 10**8, 3 * 10**8])
        clock.set_ns(now)
        expected = sum(1 for then in admitted if then > now - 10**9) < 5
        assert limiter.allow("k") == expected
        if expected:
            admitted.append(now)


def test_estimates_are_settled_or_given_back(clock: ManualClock) -> None:
    limiter = KeyedLimiter("1000/min", clock=clock)
    with limiter.spend("alice", 400) as spend:
        assert spend and spend.units == 400
        assert spend.settle(150).remaining == 850
    assert limiter.peek("alice").remaining == 850
    with pytest.raises(RuntimeError), limiter.spend("alice", 100):
        raise RuntimeError("the work failed")
    assert limiter.peek("alice").remaining == 850
    with pytest.raises(RuntimeError), limiter.spend("alice", 100) as spend:
        spend.settle(30)
        raise RuntimeError("after it was paid for")
    assert limiter.peek("alice").remaining == 820
    with pytest.raises(tollgate.Denied), limiter.spend("alice", 900):
        raise AssertionError("never reached")
    charge = limiter.check("alice", 20).charge
    assert charge is not None and charge.units == 20
    assert limiter.settle("alice", charge, 1300).remaining == 0
    assert charge.units == 1300 and not limiter.allow("alice")
    assert limiter.refund("alice", charge).remaining == 820
    # Once: there is nothing left of it.
    assert limiter.refund("alice", charge).remaining == 820 and charge.units == 0
    one = Limiter("10/min", clock=clock)
    with pytest.raises(KeyError), one.spend(4):
        raise KeyError
    assert one.peek().remaining == 10


def test_reserving_resetting_replacing(clock: ManualClock) -> None:
    limiter = KeyedLimiter("10/s burst 1", clock=clock, room_for=["1/d"], longest_wait=1.0)
    waits = [limiter.reserve("a", 1, 1.0).wait for _ in range(3)]
    assert waits == [0.0, 0.1, 0.2]
    assert limiter.reserve("a", 1, datetime.timedelta(milliseconds=1)).denied
    assert limiter.reset("a").remaining == 1
    limiter.set_quota("1/d")
    assert limiter.quota == Quota("1/d")
    assert limiter.check("b", quota="10/s").limit == 10
    assert limiter.check("c").limit == 1
    with pytest.raises(tollgate.LimiterError):
        limiter.set_quota("1/2d")
    with pytest.raises(tollgate.LimiterError):
        limiter.check("c", quota="1/2d")
    assert limiter.now_ns() == clock.now_ns() == 0
    assert limiter.check("d", now=5).allowed


def test_batches_gauges_counts(clock: ManualClock) -> None:
    limiter = KeyedLimiter("1/min", clock=clock, count=True, remember_denied=5, capacity=100)
    assert [d.allowed for d in limiter.check_many(["a", 1, "a", ("b", 2)])] == [
        True,
        True,
        False,
        True,
    ]
    counts = limiter.counts()
    assert counts is not None and (counts.allowed, counts.denied, counts.unaccounted) == (3, 1, 0)
    (denied,) = limiter.denied_most()
    assert (denied.name, denied.number, denied.denials) == (b"a", None, 1)
    gauges = limiter.gauges()
    assert (gauges.live_keys, gauges.capacity) == (3, 100)
    assert gauges.memory == limiter.memory and limiter.saturated == 0
    assert KeyedLimiter("1/min").counts() is None


def test_leases_end(clock: ManualClock) -> None:
    uploads = LeaseLimiter(2, 30.0, clock=clock)
    first, second = uploads.acquire("alice"), uploads.acquire("alice")
    third = uploads.acquire("alice")
    assert first and second and not third and third.id is None
    assert third.decision.retry_after is not None and third.decision.retry_after <= 30.001
    with pytest.raises(tollgate.Denied), third:
        raise AssertionError("never reached")
    assert not third.release() and not third.renew()
    assert first.release() and not first.release()
    with uploads.acquire("alice") as held:
        assert uploads.peek("alice").remaining == 0
        assert held.renew()
    assert uploads.peek("alice").remaining == 1
    identity = second.id
    assert identity is not None and len(identity) == 16
    assert uploads.renew(identity) and uploads.release(identity) and not uploads.release(identity)
    forgotten = uploads.acquire("alice")
    assert forgotten
    del forgotten
    assert uploads.peek("alice").remaining == 1
    clock.advance(31)
    assert uploads.peek("alice").remaining == 2
    assert uploads.acquire("bob") and uploads.release_all("bob") == 1


def test_a_full_table_answers_as_it_was_told() -> None:
    answers: tuple[Literal["allow", "deny"], ...] = ("allow", "deny")
    for answer in answers:
        limiter = KeyedLimiter("1/d", capacity=1, when_full=answer)
        decisions = [limiter.check(key) for key in range(200)]
        lost = [decision for decision in decisions if not decision.accounted]
        assert lost and limiter.saturated == len(lost)
        assert all(decision.allowed == (answer == "allow") for decision in lost)


def test_nothing_of_this_process_is_pickled_or_copied() -> None:
    clock = ManualClock()
    policy = tollgate.Policy.from_text("[[limit]]\nname='a'\nkey=[]\nquota='1/s'\n")
    things = [Limiter("1/s"), KeyedLimiter("1/s"), LeaseLimiter(1, 1), policy, clock]
    for thing in things:
        for act in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="can neither be pickled nor copied"):
                act(thing)
    for thing in (Limiter("1/s").check(), LeaseLimiter(1, 1).acquire("a")):
        with pytest.raises(TypeError):
            pickle.dumps(thing)


def test_header_fields_of_a_limiter(clock: ManualClock) -> None:
    limiter = Limiter("60/min burst 2", clock=clock)
    told = dict(limiter.check().headers(reset="delta"))
    assert told == {
        "X-RateLimit-Limit": "2",
        "X-RateLimit-Remaining": "1",
        "X-RateLimit-Reset": "1",
    }
    limiter.check()
    told = dict(limiter.check().headers("ratelimit", name="burst", quota=limiter.quota))
    assert told["RateLimit-Policy"] == '"burst";q=2;w=2'
    assert told["RateLimit"] == '"burst";r=0;t=1' and told["Retry-After"] == "1"
    assert limiter.check().headers("none") == [("Cache-Control", "no-store")]


def test_the_decorator_limits_functions_and_coroutines(clock: ManualClock) -> None:
    import asyncio

    mails = KeyedLimiter("3/h", clock=clock)

    @tollgate.limited(mails, key=lambda to, text: to, cost=lambda to, text: len(text))
    def mail(to: str, text: str) -> str:
        return f"{to}: {text}"

    assert mail("alice", "ab") == "alice: ab" and mail("bob", "abc")
    with pytest.raises(tollgate.Denied) as raised:
        mail("alice", "ab")
    assert raised.value.decision.retry_after == 1200.0
    jobs = LeaseLimiter(1, 60, clock=clock)

    @tollgate.limited(jobs, key=lambda name: name)
    async def job(name: str) -> str:
        with pytest.raises(tollgate.Denied):
            await job(name)
        return name

    for _ in range(3):
        assert asyncio.run(job("a")) == "a"

    one = Limiter("1/h", clock=clock)

    @tollgate.limited(one)
    def once() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        once()
    with pytest.raises(tollgate.Denied):
        once()
    with pytest.raises(TypeError):
        tollgate.limited(mails)


def test_the_decorator_awaits_what_is_called_like_a_coroutine_function() -> None:
    import asyncio

    jobs = LeaseLimiter(1, 60)

    class Job:
        async def __call__(self, name: str) -> int:
            await asyncio.sleep(0)
            return jobs.peek(name).remaining

    # The lease is held until it is done, not until there is a coroutine.
    assert asyncio.run(tollgate.limited(jobs, key=lambda name: name)(Job())("a")) == 0
    assert jobs.peek("a").remaining == 1


def test_a_decision_has_one_charge(clock: ManualClock) -> None:
    def limiter() -> KeyedLimiter:
        limiter = KeyedLimiter("10/h", clock=clock)
        assert limiter.allow("a", 5)
        return limiter

    keyed = limiter()
    decision = keyed.check("a", 2)
    assert decision.charge is decision.charge and decision.charge is not None
    for _ in range(2):
        assert keyed.refund("a", decision.charge).remaining == 5
    # What is settled by one is settled for the other.
    decision = keyed.check("a", 2)
    assert decision.charge is not None and keyed.settle("a", decision.charge, 1).remaining == 4
    assert decision.charge.units == 1

    keyed = limiter()
    with pytest.raises(KeyError), keyed.spend("a", 2) as spend:
        assert spend.decision is spend.decision and spend.decision.charge is not None
        assert keyed.refund("a", spend.decision.charge).remaining == 5
        raise KeyError
    assert keyed.peek("a").remaining == 5 and spend.units == 0

    with pytest.raises(tollgate.Denied) as raised, keyed.spend("a", 9) as spend:
        pass
    assert raised.value.decision.denied and not raised.value.decision

    one = Limiter("10/h", clock=clock)
    assert one.allow(5)
    charge = one.check(2).charge
    assert charge is not None
    assert one.refund(charge).remaining == one.refund(charge).remaining == 5


def test_no_two_keys_are_the_same_bytes() -> None:
    large = 2**80
    length = large.bit_length() // 8 + 1
    inner = b"i" + length.to_bytes(8, "little") + large.to_bytes(length, "little", signed=True)
    keys: list[Any] = [large, (large,), (), (1,), 1, -1, (-1,), "", b"\xff", b"\xffn" + bytes(8)]
    # Whatever a tuple or a large int is put together as, these bytes are not it.
    for begin in (b"\xff", b"\xff\xfetg"):
        keys += [begin + kind + inner for kind in (b"", b"t", b"i", b"b")]
        keys += [begin + inner[9:], begin + b"i" + inner[9:], begin + b"t", begin + b"b"]
    keys += [b"\xff\xfetg", b"\xff\xfetgb\xff\xfetg"]
    limiter = KeyedLimiter("1/h", capacity=1000)
    assert [limiter.allow(key) for key in keys] == [True] * len(keys)
    assert [limiter.allow(key) for key in keys] == [False] * len(keys)
    assert not limiter.allow(bytearray(b"\xff\xfetg"))
