"""The stubs are those of the classes, and what is typed is typed strictly."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent.parent


def run(*command: str, folder: pathlib.Path = HERE) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(250)
def test_the_package_and_its_tests_are_typed_strictly() -> None:
    run("mypy")


@pytest.mark.timeout(250)
def test_the_stubs_are_true(tmp_path: pathlib.Path) -> None:
    run("mypy.stubtest", "tollgate._tollgate", folder=tmp_path)
