"""Starting a driver, listening to it, and leaving nothing behind."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence

from ttc_rl.verifiers.sandbox import wire
from ttc_rl.verifiers.sandbox.inside import codec
from ttc_rl.verifiers.sandbox.records import CLOCK_FACTOR, Job, Outcome, Result, Stop

START_SECONDS = 30.0
"""For the driver to come up on a machine that is busy with other things."""


def listen(
    name: str,
    command: Sequence[str],
    stdin: bytes,
    job: Job,
    stop: Stop,
    *,
    environment: Mapping[str, str] = wire.ENVIRONMENT,
) -> Outcome:
    """Run a driver to its end, to `stop`, or to the end of its time; then kill all of it."""
    with tempfile.TemporaryFile() as words, tempfile.TemporaryFile() as orders:
        orders.write(stdin)
        orders.seek(0)
        process = subprocess.Popen(
            command,
            stdin=orders,
            stdout=subprocess.PIPE,
            stderr=words,
            env=dict(environment),
            cwd="/",
            start_new_session=True,
        )
        hearing = Hearing(job, stop)
        try:
            hearing.listen(process)
        finally:
            _end(process)
        words.seek(0)
        return hearing.outcome(name, words.read(4000).decode("utf-8", "replace").strip())


class Hearing:
    """What a driver has said so far."""

    def __init__(self, job: Job, stop: Stop) -> None:
        self.job, self.stop = job, stop
        self.ready = self.running = self.over = False
        self.unreadable = ""
        """What was wrong with the driver's words; nothing after them is believed."""
        self.results: list[Result] = []

    def listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        pipe = process.stdout.fileno()
        deadline = time.monotonic() + START_SECONDS
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        buffer = bytearray()
        while not self.over and (left := deadline - time.monotonic()) > 0:
            if not poll.poll(left * 1000):
                return
            data = os.read(pipe, 1 << 20)
            if not data:
                return
            buffer += data
            was_ready = self.ready
            self.read(buffer)
            if self.ready and not was_ready:
                seconds = [t.seconds or self.job.limits.seconds for t in self.job.trials]
                deadline = time.monotonic() + CLOCK_FACTOR * sum(seconds) + 5

    def read(self, buffer: bytearray) -> None:
        """Take the whole frames off the front and act on them."""
        try:
            frames = wire.split_frames(buffer, self.job.limits)
        except codec.Unreadable as error:
            self.unreadable, self.over = str(error), True
            return
        for frame in frames:
            self.hear(frame)

    def hear(self, frame: dict[str, object]) -> None:
        if "ready" in frame:
            self.ready = True
        elif "started" in frame:
            self.running = True
        elif "done" in frame:
            self.over = True
        elif not self.over:
            try:
                result = wire.result_of(frame, self.job.trials[len(self.results)].kind)
            except (codec.Unreadable, IndexError) as error:
                self.unreadable, self.over = str(error), True
                return
            self.results.append(result)
            self.running = False
            self.over = result.status != "ok" or self.stop(result)

    def outcome(self, name: str, words: str) -> Outcome:
        """Return the outcome: a driver that died while a program ran, or in silence, is that
        program's crash.

        One that left words on its standard error, which no program can write to, while no program
        ran, failed by itself.
        """
        results = tuple(self.results)
        if not self.ready:
            return Outcome((), name, "infra_error", words or "the sandbox did not start")
        if self.unreadable:
            return Outcome(results, name, "infra_error", f"the driver said {self.unreadable}")
        if not self.over and words and not self.running:
            return Outcome(results, name, "infra_error", words[-1000:])
        if not self.over:
            last = words.rpartition("\n")[2][-300:]
            message = f"the sandbox was torn down: {last}".removesuffix(": ")
            results += (Result(len(results), "crash", message=message),)
        return Outcome(results, name)


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
