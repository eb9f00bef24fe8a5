"""What the documents show is what runs."""

from __future__ import annotations

import doctest
import pathlib
import re
import time

import pytest
from conftest import REPOSITORY

import tollgate

README = REPOSITORY / "ffi" / "python" / "README.md"
OF_ALL_HOSTS = REPOSITORY / "ffi" / "README.md"


def snippets(path: pathlib.Path, section: str = "") -> list[str]:
    """The Python in a document, or in one of its sections."""
    text = path.read_text()
    if section:
        text = re.split(r"^## ", text.partition(f"\n## {section}\n")[2], flags=re.M)[0]
    return re.findall(r"^```python\n(.*?)^```$", text, flags=re.M | re.S)


def run(text: str, region: str) -> dict[str, object]:
    assert "/dev/shm/my-service.limits" not in text or region
    names: dict[str, object] = {"__name__": "snippet"}
    text = text.replace("/dev/shm/my-service.limits", region)
    exec(compile(text, "snippet", "exec"), names)
    return names


def test_the_ten_lines_for_all_hosts(
    region_path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(REPOSITORY)
    (text,) = snippets(OF_ALL_HOSTS, "Python")
    assert len(text.strip().splitlines()) <= 16
    begun = time.monotonic()
    names = run(text, region_path)
    passed = int(time.monotonic() - begun)
    *served, denied = capsys.readouterr().out.splitlines()
    assert served == ["served"] * 5
    assert denied in [f"429, retry in {60 - gone} s" for gone in range(passed + 1)]
    assert callable(names["app"])


def test_each_snippet_of_the_readme(
    region_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    texts = snippets(README)
    assert len(texts) >= 4
    for nth, text in enumerate(texts):
        run(text, f"{region_path}-{nth}")


def test_the_reference_names_everything_that_there_is() -> None:
    text = README.read_text()
    for name in tollgate.__all__:
        assert f"`{name}" in text, name
    for kind in (tollgate.KeyedLimiter, tollgate.LeaseLimiter, tollgate.Policy, tollgate.Decision):
        for member in vars(kind):
            if not member.startswith("_"):
                assert f"`{member}" in text or f".{member}" in text, f"{kind.__name__}.{member}"


def test_docstrings() -> None:
    for name in tollgate.__all__:
        if name != "__version__":
            assert getattr(tollgate, name).__doc__, name
    assert doctest.testmod(tollgate).failed == 0
