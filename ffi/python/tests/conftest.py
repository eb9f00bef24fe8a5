"""What several tests have in common."""

from __future__ import annotations

import os
import pathlib
import tempfile
from collections.abc import Iterator

import pytest

import tollgate

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture
def clock() -> tollgate.ManualClock:
    return tollgate.ManualClock(unix=1_767_225_600)


@pytest.fixture
def region_path() -> Iterator[str]:
    """A place for a region, in memory where there is one."""
    folder = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(prefix="tollgate-test-", dir=folder) as place:
        yield os.path.join(place, "limits")
