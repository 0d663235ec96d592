"""The attacks that `ttc-rl doctor --attacks` runs: contained in a sandbox, and only there."""

import subprocess
import sys
import tempfile

import pytest
from typer.testing import CliRunner

from ttc_rl.cli import app
from ttc_rl.launch import doctor
from ttc_rl.schema import UserError
from ttc_rl.verifiers.sandbox import BACKENDS, Job, Outcome, Result, Sandbox, probes
from ttc_rl.verifiers.sandbox.records import Stop


def test_each_sandbox_contains_what_it_says(sandbox: Sandbox):
    found = dict(probes.attack(BACKENDS[sandbox.kind].run))
    let_through = {probe.what for probe, contained in found.items() if not contained}
    assert let_through == {probe.what for probe in probes.PROBES if sandbox.kind in probe.known}


def unconfined(job: Job, stop: Stop) -> Outcome:
    """A plain process, as little of a sandbox as can be."""
    command = [sys.executable, "-c", job.program]
    try:
        done = subprocess.run(command, capture_output=True, timeout=5, cwd=tempfile.gettempdir())
    except subprocess.TimeoutExpired:
        return Outcome((Result(0, "ok"),), "none")
    return Outcome((Result(0, "ok", done.stdout, message=str(done.stderr)),), "none")


def test_without_a_sandbox_nothing_is_contained():
    """A probe that is always refused would prove nothing. Some are refused by containers too."""
    found = dict(probes.attack(unconfined))
    contained = {probe.what for probe, good in found.items() if good}
    assert contained <= {"makes a namespace", "reads another process's memory"}


def test_an_attack_that_succeeds_is_an_error(monkeypatch: pytest.MonkeyPatch):
    first, second = probes.PROBES[:2]
    monkeypatch.setattr(probes, "PROBES", (first, second))
    monkeypatch.setattr(probes, "attack", lambda run: [(first, True), (second, False)])
    _, rows, good = doctor.attacks()
    assert not good
    assert [set(row[1:]) for row in rows] == [{"yes"}, {"NO"}]
    result = CliRunner().invoke(app.app, ["doctor", "--attacks"])
    assert result.exit_code != 0
    assert isinstance(result.exception, (UserError, SystemExit))


def test_without_a_sandbox_there_is_nothing_to_attack(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor.sandbox, "probe", lambda: [])
    with pytest.raises(UserError, match="no sandbox works here"):
        doctor.attacks()
