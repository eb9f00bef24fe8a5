"""Threads, forks, processes: the admitted total is the limit, whoever asks."""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

import tollgate
from tollgate import KeyedLimiter, LeaseLimiter, Limiter, Policy, Region

LIMIT = 5000
# Nothing of it comes back while a test runs.
QUOTA = f"1/h burst {LIMIT}"
TEXT = f"[[limit]]\nname = 'everyone'\nkey = []\nalgorithm = 'gcra'\nquota = '{QUOTA}'\n"


def in_threads(ask: Callable[[], bool], threads: int = 4) -> int:
    """How many of more than the limit were allowed."""
    start, totals = threading.Barrier(threads), [0] * threads

    def work(nth: int) -> None:
        start.wait()
        totals[nth] = sum(ask() for _ in range(LIMIT // 2))

    workers = [threading.Thread(target=work, args=(nth,), daemon=True) for nth in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert not worker.is_alive()
    return sum(totals)


def test_threads_together_have_the_limit() -> None:
    one = Limiter(QUOTA)
    keyed = KeyedLimiter(f"{LIMIT}/d", algorithm="sliding-log", capacity=2)
    policy = Policy.from_text(TEXT)
    assert in_threads(one.allow) == LIMIT
    assert in_threads(lambda: keyed.allow("k")) == LIMIT
    assert in_threads(lambda: policy.check().allowed) == LIMIT


def test_a_policy_is_replaced_under_traffic() -> None:
    policy, over = Policy.from_text(TEXT), threading.Event()

    def replace() -> None:
        for nth in range(10**9):
            if over.is_set():
                return
            policy.reload_text(TEXT if nth % 2 else TEXT.replace("'everyone'", "'everyone' "))

    thread = threading.Thread(target=replace, daemon=True)
    thread.start()
    try:
        assert in_threads(lambda: policy.check().allowed) == LIMIT
    finally:
        over.set()
        thread.join(60)


def in_forks(ask: Callable[[], bool], processes: int = 4) -> int:
    """As in_threads, in children of a fork; each writes how many it was allowed."""
    pipes = []
    for _ in range(processes):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                signal.alarm(60)
                os.write(writing, b"%d" % sum(ask() for _ in range(LIMIT // 2)))
            finally:
                os._exit(0)
        os.close(writing)
        pipes.append((child, reading))
    total = 0
    for child, reading in pipes:
        with os.fdopen(reading, "rb") as pipe:
            total += int(pipe.read())
        assert os.waitpid(child, 0)[1] == 0
    return total


def test_after_a_fork_a_limiter_is_of_each_process() -> None:
    limiter = KeyedLimiter(QUOTA)
    assert limiter.check("k", LIMIT - 10)
    assert in_forks(lambda: limiter.allow("k")) == 4 * 10
    assert limiter.peek("k").remaining == 10


def test_after_a_fork_a_region_is_of_all(region_path: str) -> None:
    region = Region(region_path)
    limiter = KeyedLimiter(QUOTA, region=region, name="calls")
    policy = Policy.from_text(TEXT, region=region)
    del region
    assert in_forks(lambda: limiter.allow("k")) == LIMIT
    assert in_forks(lambda: policy.check().allowed) == LIMIT
    assert not limiter.allow("k") and not policy.check()


def test_a_child_does_not_end_the_leases_of_its_parent(region_path: str) -> None:
    leases = LeaseLimiter(2, 60.0, region=Region(region_path), name="jobs")
    held = leases.acquire("k")

    def ask() -> bool:
        nonlocal held
        held = None  # type: ignore[assignment]
        return False

    assert in_forks(ask) == 0
    assert leases.peek("k").remaining == 1 and held.release()


def fill(path: str, quota: str, pipe: multiprocessing.connection.Connection) -> None:
    limiter = KeyedLimiter(quota, region=Region(path), name="calls")
    pipe.send(sum(limiter.allow("k") for _ in range(LIMIT // 2)))


def test_processes_that_are_spawned_share_by_the_path(region_path: str) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = zip(*(context.Pipe(False) for _ in range(4)))
    workers = [
        context.Process(target=fill, args=(region_path, QUOTA, pipe)) for pipe in theirs
    ]
    try:
        for worker in workers:
            worker.start()
        assert all(pipe.poll(50) for pipe in ours)
        assert sum(pipe.recv() for pipe in ours) == LIMIT
    finally:
        for worker in workers:
            worker.kill()
            worker.join()
    with pytest.raises(tollgate.RegionError, match="another configuration"):
        KeyedLimiter("7/d", region=Region(region_path), name="calls")
    with pytest.raises(tollgate.RegionError, match="capacity"):
        KeyedLimiter(QUOTA, capacity=9, region=Region(region_path), name="calls")


def test_a_process_that_is_killed_while_it_decides(region_path: str) -> None:
    text = (
        "import sys, tollgate\n"
        "limiter = tollgate.KeyedLimiter('1000/d', region=tollgate.Region(sys.argv[1]), name='k')\n"
        "print(flush=True)\n"
        "while True: limiter.allow('k', 0), limiter.allow('other')\n"
    )
    limiter = KeyedLimiter("1000/d", region=Region(region_path), name="k")
    for _ in range(3):
        worker = subprocess.Popen([sys.executable, "-c", text, region_path], stdout=subprocess.PIPE)
        try:
            assert worker.stdout is not None and worker.stdout.readline()
            time.sleep(0.05)
        finally:
            worker.kill()
            worker.communicate()
    assert sum(limiter.allow("k") for _ in range(2000)) == 1000


def test_regions(region_path: str, tmp_path: pathlib.Path) -> None:
    region = Region(region_path)
    limiter = KeyedLimiter("10/d", region=region, name="a")
    assert limiter.check("k", 7)
    LeaseLimiter(1, 60, region=region, name="b")
    assert region.names() == ["a", "b"] and region.bytes > 0
    assert str(region.path) == region_path and os.stat(region_path).st_mode & 0o777 == 0o600
    copy = Region.restore(tmp_path / "copy", region.snapshot())
    restored = KeyedLimiter("10/d", region=copy, name="a")
    assert restored.peek("k").remaining == 3
    with pytest.raises(TypeError, match="neither be pickled"):
        __import__("pickle").dumps(region)
    # Gives no region: what is there is left as it is.
    (tmp_path / "other").write_text("mine")
    with pytest.raises(tollgate.RegionError):
        Region(tmp_path / "other")
    assert (tmp_path / "other").read_text() == "mine"
    with pytest.raises(FileNotFoundError):
        Region(tmp_path / "no" / "such" / "folder")
    with pytest.raises(ValueError):
        Region.restore(tmp_path / "third", b"\x00" * 100)
    with pytest.raises(TypeError, match="name"):
        KeyedLimiter("10/d", region=region)
    with pytest.raises(tollgate.RegionError, match="name"):
        KeyedLimiter("10/d", region=region, name="")
    with pytest.raises(TypeError):
        KeyedLimiter("10/d", region=region, name="c", seed=1)
    with pytest.raises(TypeError):
        KeyedLimiter("10/d", region=region, name="c", clock=tollgate.ManualClock())
