"""What goes wrong in a worker costs one outcome: a hang, a crash, a blow-up, a broken pool."""

import operator
import os
import signal
import subprocess
import sys
import time

import pytest

from ttc_rl.schema import Task
from ttc_rl.verifiers import maths, workers
from ttc_rl.verifiers.workers import Outcome, Workers


@pytest.fixture(scope="module")
def pool():
    found = Workers(os.getpid, count=2)  # type: ignore[arg-type]
    yield found
    found.stop()


def test_outcomes_keep_the_order_of_their_calls(pool: Workers):
    calls = [(i, 2) for i in range(200)]
    outcomes = pool.run(operator.mul, calls, seconds=5)
    assert outcomes == [Outcome("ok", 2 * i) for i in range(200)]


def test_a_long_list_is_handed_over_bit_by_bit(pool: Workers, monkeypatch: pytest.MonkeyPatch):
    schedule = Workers._schedule

    def counted(*args: object):
        future = schedule(*args)  # type: ignore[arg-type]
        under_way[:] = [f for f in [*under_way, future] if not f.done()]
        return future

    under_way: list = []
    monkeypatch.setattr(workers, "QUEUE", 2)
    monkeypatch.setattr(Workers, "_schedule", counted)
    outcomes = pool.run(operator.mul, [(i, 3) for i in range(50)], seconds=5)
    assert outcomes == [Outcome("ok", 3 * i) for i in range(50)]
    assert len(under_way) <= 2 * pool.count


def test_a_hang_costs_one_outcome(pool: Workers):
    outcomes = pool.run(time.sleep, [(0,), (60,), (0,), (0,)], seconds=0.5)
    assert [outcome.status for outcome in outcomes] == ["ok", "timeout", "ok", "ok"]


def test_a_crash_costs_one_outcome(pool: Workers):
    pids = pool.run(os.getpgid, [(0,)] * 3, seconds=5)
    assert {pid.status for pid in pids} == {"ok"}
    assert pool.run(os._exit, [(3,)], seconds=5) == [Outcome("crash")]
    assert pool.run(operator.add, [(1, 2)], seconds=5) == [Outcome("ok", 3)]


@pytest.mark.skipif(sys.platform != "linux", reason="the memory limit is set on Linux only")
def test_a_blow_up_costs_one_outcome(pool: Workers):
    calls = [(workers.MEMORY_BYTES,), (10,)]
    assert [o.status for o in pool.run(bytearray, calls, seconds=5)] == ["oom", "ok"]


def test_a_worker_that_dies_idle_costs_nothing(pool: Workers):
    (found,) = pool.run(os.getpid, [()], seconds=5)
    os.kill(found.value, signal.SIGKILL)
    time.sleep(0.5)
    assert pool.run(operator.add, [(1, 2)] * 3, seconds=5) == [Outcome("ok", 3)] * 3


def test_workers_that_cannot_start_are_an_error():
    broken = Workers(os.abort, count=1)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="die at their start"):
        broken.run(operator.add, [(1, 2)], seconds=5)
    broken.stop()


SCRIPT = """
import os, sys, threading
from ttc_rl import Task, verify
print("main", flush=True)          # printed once: no worker imports this file again
print(verify(Task("math", "?", "x+1"), r"\\boxed{1+x}").correct, flush=True)
print(*[p.pid for p in __import__("multiprocessing").active_children()], flush=True)
print("sympy" in sys.modules, flush=True)
if "wait" in sys.argv:
    sys.stdin.read()
"""


def alive(pid: str) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pids: list[str]) -> bool:
    deadline = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not any(map(alive, pids))


def test_a_script_without_main_guard_leaves_no_process_behind(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-W", "error", script], capture_output=True, text=True, timeout=60
    )
    main, correct, pids, sympy = done.stdout.splitlines()
    assert (main, correct, sympy, done.stderr) == ("main", "True", "False", "")
    assert gone(pids.split())


def test_a_killed_run_leaves_no_process_behind(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, script, "wait"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(4)]
        process.kill()
    assert lines[1] == "True"
    assert gone(lines[2].split())


def test_a_forked_child_makes_its_own_pool():
    code = (
        "import os; from ttc_rl import Task, verify\n"
        "ask = lambda: verify(Task('math', '?', 'x+1'), r'\\boxed{1+x}').correct\n"
        "assert ask()\n"
        "pid = os.fork()\n"
        "if not pid: ok = ask(); from ttc_rl.verifiers.maths import WORKERS; WORKERS.stop(); "
        "os._exit(0 if ok else 1)\n"
        "assert os.waitpid(pid, 0)[1] == 0 and ask()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def killed_once(path: str) -> str:
    if not os.path.exists(path):
        open(path, "x", encoding="utf-8").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return "answered"


def test_a_worker_that_the_host_kills_is_asked_once_more(pool: Workers, tmp_path):
    calls = [(str(tmp_path / f"{n}"),) for n in range(3)]
    assert pool.run(killed_once, calls, seconds=5) == [Outcome("ok", "answered")] * 3


def test_a_worker_killed_twice_leaves_the_answer_undecided(
    pool: Workers, monkeypatch: pytest.MonkeyPatch
):
    assert pool.run(signal.raise_signal, [(9,)], seconds=5) == [Outcome("infra_error")]
    monkeypatch.setattr(maths.WORKERS, "run", lambda *a, **k: [Outcome("infra_error")])
    verdict = maths.verify(Task("math", "?", "x+1"), r"\boxed{y+1}")
    assert (verdict.correct, verdict.answer, verdict.status) == (None, "y+1", "oom")
