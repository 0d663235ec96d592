"""Several workers on one queue, some of which die."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ttc_rl.corpus.benchmarks import Benchmark
from ttc_rl.sampling.drawing import Drawing, draw, gather, share
from ttc_rl.sampling.work_queue import Queue, units
from ttc_rl.schema import UserError


@pytest.mark.parametrize(
    ("tasks", "samples", "size"), [(4, 4, 8), (3, 100, 64), (5, 1, 2), (1, 1, 1)]
)
def test_units_cover_every_sample_once(tasks: int, samples: int, size: int):
    cut = units(tasks, samples, size)
    cells = [
        (task, sample)
        for unit in cut
        for task in range(unit.start, unit.stop)
        for sample in range(unit.first, unit.first + unit.count)
    ]
    assert sorted(cells) == [(t, s) for t in range(tasks) for s in range(samples)]
    assert max(unit.size for unit in cut) <= size
    assert len({unit.name for unit in cut}) == len(cut)


def queue(folder: Path, **changes: Any) -> Queue:
    return Queue(folder, units(10, 2, 2), {"name": "q"}, **{"patience": 0.2, **changes})


def test_a_unit_is_claimed_once_and_a_worker_leaves_others_their_share(tmp_path: Path):
    one, two = queue(tmp_path, workers=2), queue(tmp_path, workers=2)
    first, second = one.claim(100), two.claim(100)
    assert len(first) == 3  # half of the fair share of ten units, rounded up
    assert not {unit.name for unit in first} & {unit.name for unit in second}


def test_a_lease_without_a_sign_of_life_is_taken_over(tmp_path: Path):
    dead, alive, late = (queue(tmp_path) for _ in range(3))
    lost = dead.claim(2)
    held = alive.claim(2)
    with alive.keep_alive(held):
        time.sleep(0.5)
        again = late.claim(2)
    assert again == lost
    assert held != lost


def test_the_slower_of_two_is_thrown_away(tmp_path: Path):
    slow, fast = queue(tmp_path), queue(tmp_path)
    unit = slow.claim(2)[0]
    time.sleep(0.3)
    assert fast.claim(2) == [unit]
    assert fast.finish(unit, [{"by": "fast"}])
    assert not slow.finish(unit, [{"by": "slow"}])
    assert list(fast.rows()) == [{"by": "fast"}]
    assert unit not in slow.open_units()


def test_another_evaluation_does_not_join(tmp_path: Path):
    queue(tmp_path)
    with pytest.raises(UserError, match="was begun for another evaluation"):
        Queue(tmp_path, units(10, 3, 2), {"name": "q"})


def test_nothing_is_left_behind_but_rows_and_the_plan(tmp_path: Path):
    one = queue(tmp_path)
    mine = one.claim(4)
    with one.keep_alive(mine):
        for unit in mine:
            one.finish(unit, [{}])
    assert list((tmp_path / "leases").iterdir()) == []
    assert {path.suffix for path in (tmp_path / "done").iterdir()} == {".jsonl"}


def test_threads_that_share_end_with_what_one_would_have_drawn(
    sums: Benchmark, guesser: Any, tmp_path: Path
):
    alone = Drawing("sums", sums.tasks, 20, tmp_path / "alone.samples.jsonl", seed=3)
    draw(guesser, alone, batch=100)
    shared = Drawing("sums", sums.tasks, 20, tmp_path / "shared.samples.jsonl", seed=3)
    guesser.asked.clear()

    def work() -> None:
        share(lambda: guesser, shared, shared.queue(batch=2, workers=4), batch=6)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gather(shared, shared.queue(batch=2))
    assert shared.path.read_bytes() == alone.path.read_bytes()
    assert sum(len(tasks) * count for tasks, _, count in guesser.asked) == 80  # none drawn twice


def test_gathering_early_says_what_lacks(sums: Benchmark, tmp_path: Path):
    drawing = Drawing("sums", sums.tasks, 4, tmp_path / "s.samples.jsonl")
    with pytest.raises(UserError, match="16 of 16 completions are lacking"):
        gather(drawing, drawing.queue(batch=8))


WORKER = """
import sys, time
from pathlib import Path
from ttc_rl.sampling.work_queue import Queue, units
queue = Queue(Path(sys.argv[1]), units(40, 1, 1), {}, patience=1.0, workers=3)
while True:
    mine = queue.claim(3)
    if not mine and not queue.open_units():
        break
    with queue.keep_alive(mine):
        for unit in mine:
            time.sleep(0.05)
            queue.finish(unit, [{"unit": unit.name, "by": sys.argv[2]}])
    time.sleep(0.05)
"""


def test_processes_of_which_one_is_killed_do_every_unit_once(tmp_path: Path):
    start = [
        subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path), str(i)]) for i in range(3)
    ]
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "done").glob("*.jsonl"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    start[0].kill()
    start[0].wait()
    for process in start[1:]:
        assert process.wait(timeout=60) == 0
    rows = [json.loads(path.read_text()) for path in (tmp_path / "done").glob("*.jsonl")]
    assert sorted(row["unit"] for row in rows) == sorted(u.name for u in units(40, 1, 1))
    assert len({row["by"] for row in rows}) > 1
