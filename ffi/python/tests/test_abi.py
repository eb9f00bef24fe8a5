"""The C ABI as Python's own ctypes sees it: no header, no compiler, only the library.

cargo builds the library, with debug assertions; TOLLGATE_LIBRARY may name another.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
from collections.abc import Iterator

import pytest
from conftest import REPOSITORY

# For the library is built.
pytestmark = pytest.mark.timeout(900)

NOW = FOREVER = 2**64 - 1


class Quota(ctypes.Structure):
    _fields_ = [
        ("units", ctypes.c_uint64),
        ("period_ns", ctypes.c_uint64),
        ("burst", ctypes.c_uint64),
    ]


class Charge(ctypes.Structure):
    _fields_ = [("words", ctypes.c_uint64 * 3)]


class Decision(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("outcome", ctypes.c_int32),
        ("flags", ctypes.c_uint32),
        ("limit", ctypes.c_uint64),
        ("remaining", ctypes.c_uint64),
        ("retry_after_ns", ctypes.c_uint64),
        ("reset_after_ns", ctypes.c_uint64),
        ("next_after_ns", ctypes.c_uint64),
        ("full_after_ns", ctypes.c_uint64),
        ("wait_ns", ctypes.c_uint64),
        ("charge", Charge),
    ]


@pytest.fixture(scope="module")
def library() -> ctypes.CDLL:
    path = os.environ.get("TOLLGATE_LIBRARY")
    if path is None:
        target = os.path.join(REPOSITORY, "ffi", "python", "target", "abi")
        subprocess.run(
            ["cargo", "build", "--locked", "--quiet", "-p", "tollgate-ffi", "--target-dir", target],
            cwd=REPOSITORY,
            check=True,
            timeout=900,
        )
        path = os.path.join(target, "debug", "libtollgate.so")
    loaded = ctypes.CDLL(path)
    loaded.tollgate_limiter_now.restype = ctypes.c_uint64
    return loaded


@pytest.fixture
def limiter(library: ctypes.CDLL) -> Iterator[ctypes.c_void_p]:
    made = ctypes.c_void_p()
    text = b"3/h"
    code = library.tollgate_limiter_new(
        text, ctypes.c_size_t(len(text)), None, ctypes.byref(made)
    )
    assert code == 0 and made.value
    yield made
    library.tollgate_limiter_free(made)


def last_error(library: ctypes.CDLL) -> str:
    buffer = ctypes.create_string_buffer(1024)
    assert library.tollgate_last_error(buffer, ctypes.c_size_t(len(buffer)), None) == 0
    return buffer.value.decode()


def test_the_versions_are_one(library: ctypes.CDLL) -> None:
    header = (REPOSITORY / "include" / "tollgate.h").read_text()
    numbers = [
        re.search(rf"TOLLGATE_VERSION_{part} (\d+)", header) for part in ("MAJOR", "MINOR", "PATCH")
    ]
    import tollgate

    assert tollgate.__version__ == ".".join(number[1] for number in numbers if number)


def test_checks_over_the_abi(library: ctypes.CDLL, limiter: ctypes.c_void_p) -> None:
    decision = Decision(size=ctypes.sizeof(Decision))

    def check(key: bytes, cost: int = 1) -> int:
        code = library.tollgate_limiter_check_at(
            limiter,
            key,
            ctypes.c_size_t(len(key)),
            ctypes.c_uint64(cost),
            ctypes.c_uint64(NOW),
            ctypes.byref(decision),
        )
        assert code == decision.outcome
        return int(code)

    assert [check(b"alice") for _ in range(4)] == [0, 0, 0, 1]
    assert (decision.limit, decision.remaining) == (3, 0)
    assert 1100 * 10**9 < decision.retry_after_ns <= 1200 * 10**9
    assert check(b"bob", 4) == 2 and decision.retry_after_ns == FOREVER
    assert check(b"bob", 0) == 0 and decision.remaining == 3
    decision.size = 1
    code = library.tollgate_limiter_check(
        limiter, b"bob", ctypes.c_size_t(3), ctypes.byref(decision)
    )
    assert code == -2
    present = Quota()
    assert library.tollgate_limiter_quota(limiter, ctypes.byref(present)) == 0
    assert (present.units, present.period_ns, present.burst) == (3, 3600 * 10**9, 3)
    assert library.tollgate_limiter_now(limiter) > 0


def test_errors_over_the_abi(library: ctypes.CDLL) -> None:
    made = ctypes.c_void_p(1)
    code = library.tollgate_limiter_new(b"0/h", ctypes.c_size_t(3), None, ctypes.byref(made))
    assert code == -10 and made.value is None
    assert "0 units" in last_error(library)
    assert library.tollgate_limiter_new(None, ctypes.c_size_t(3), None, None) == -1
    library.tollgate_limiter_free(None)
