"""The confining backends that work on this machine, and a list of what a test left running."""

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from ttc_rl.verifiers.sandbox import Sandbox, probe, wire

WORKING = [status.name for status in probe() if status.works and status.name != "http"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "sandbox" in metafunc.fixturenames:
        metafunc.parametrize("sandbox", [Sandbox(name) for name in WORKING], ids=WORKING)


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Processes started by this test that are still there: all carry its mark in their command."""
    mark = uuid.uuid4().hex
    monkeypatch.setattr(wire, "START", f"{wire.START}\n# {mark}")

    def found() -> list[str]:
        alive = []
        for folder in filter(lambda path: path.name.isdecimal(), Path("/proc").iterdir()):
            try:
                command = (folder / "cmdline").read_bytes()
                name = (folder / "comm").read_text().strip()
            except (FileNotFoundError, ProcessLookupError):
                continue  # gone while we looked
            if mark.encode() in command:
                alive.append(f"{folder.name} {name}")
        return alive

    return found
