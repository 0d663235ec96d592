"""One trial: its processes, what they are allowed to keep open, and how they ended."""

from __future__ import annotations

import os
import select
import time

from . import codec, confine, program, tester
from .streams import complete, read_block, write_all

TYPE_CHECKING = False  # as typing's, which takes longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

ERRORS_KEPT = 4000
IDLE_SHARE = 0.01
"""Of a core; less than that is waiting, not work on a busy machine."""
NAPS = 5
"""A second. A program that naps so often, and works between, kept itself from its time."""
SIGKILL, SIGXCPU = 9, 24  # the signal module imports enum


class InChild(BaseException):
    """Takes a forked child out of the driver's stack to the bottom, where it begins its work."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.work = work


class Child:
    """A forked process and the ends of pipes that we read: name to file descriptor."""

    def __init__(self, pid: int, pipes: dict[str, int]) -> None:
        self.pid = pid
        self.watch = os.pidfd_open(pid)
        self.pipes = pipes
        self.output: dict[str, bytearray] = {name: bytearray() for name in pipes}
        self.ended: int | None = None
        self.cpu = 0.0
        self.waits = 0
        """How much more often it gave the processor away than lost it."""

    def cpu_so_far(self) -> float:
        """Return its processor time while it runs; what the kernel said of it once it ended."""
        if self.ended is None:
            try:
                return time.clock_gettime((~self.pid << 3) | 2)  # as clock_getcpuclockid(3) has it
            except OSError:
                pass
        return self.cpu

    def hears(self, name: str, fd: int) -> None:
        self.pipes[name], self.output[name] = fd, bytearray()

    def kill(self) -> None:
        if self.ended is None:
            os.kill(self.pid, SIGKILL)
            self.reap()

    def reap(self) -> None:
        _, self.ended, usage = os.wait4(self.pid, 0)
        self.cpu = usage.ru_utime + usage.ru_stime
        self.waits = usage.ru_nvcsw - usage.ru_nivcsw
        os.close(self.watch)


class Trial:
    """One run: spawns what it needs, listens until it ends or a limit is reached."""

    def __init__(
        self, job: dict[str, Any], trial: dict[str, Any], started: Callable[[], None]
    ) -> None:
        """Start the trial. `started` is called when all processes are there: what fails later, the
        program did."""
        self.job, self.trial, self.started = job, trial, started
        self.settings = job["settings"]
        self.seconds = trial["seconds"]
        self.room = self.settings["limits"]["output_mb"] << 20
        self.idle_seconds = self.settings["idle_factor"] * self.seconds
        self.clock_seconds = self.settings["clock_factor"] * self.seconds

    def run(self) -> dict[str, Any]:
        reads = self.trial["kind"] == "stdin"
        data = self.trial["text"].encode("utf-8", "surrogatepass") if reads else b""
        if (fd := self.settings["input_fd"]) is not None:
            os.ftruncate(fd, 0)
            os.lseek(fd, 0, os.SEEK_SET)
            write_all(fd, data)
        if reads:
            return self.finish(self.spawn_reader(data), "output")
        listen, replies = os.pipe()
        if self.trial["kind"] == "value":
            child = self.spawn(
                lambda: program.answer_once(self.job, self.trial, replies),
                ("error",),
                keep=(replies,),
            )
            os.close(replies)
            child.hears("reply", listen)
            return self.finish(child, "reply")
        return self.finish(*self.spawn_pair(listen, replies))

    def spawn_pair(self, listen: int, replies: int) -> tuple[Child, str, Child]:
        """Start the program first: its process is made before anybody has read the secret."""
        requests, ask = os.pipe()
        server = self.spawn(
            lambda: program.serve(self.job, requests, replies), ("error",), keep=(requests, replies)
        )
        reader, verdict = os.pipe()
        judge = self.spawn(
            lambda: tester.test(self.job, self.trial, read_block(), ask, listen, verdict),
            ("error",),
            keep=(0, ask, listen, verdict),
        )
        for fd in (requests, replies, ask, listen, verdict):
            os.close(fd)
        judge.hears("verdict", reader)
        return server, "verdict", judge

    def spawn_reader(self, data: bytes) -> Child:
        source = os.memfd_create("input")
        write_all(source, data)
        os.lseek(source, 0, os.SEEK_SET)
        child = self.spawn(lambda: program.run(self.job), ("output", "error"), stdin=source)
        os.close(source)
        return child

    def spawn(
        self,
        work: Callable[[], None],
        pipes: Sequence[str],
        keep: Sequence[int] = (),
        stdin: int | None = None,
    ) -> Child:
        """Fork; in the child leave nothing open but 0, 1, 2 and what it shall keep."""
        ends = {name: os.pipe() for name in pipes}
        pid = os.fork()
        if pid:
            for _, write in ends.values():
                os.close(write)
            return Child(pid, {name: read for name, (read, _) in ends.items()})
        null = os.open("/dev/null", os.O_RDWR)
        if 0 not in keep:
            os.dup2(null if stdin is None else stdin, 0)
        os.dup2(ends["output"][1] if "output" in ends else null, 1)
        os.dup2(ends["error"][1], 2)
        _close_all_but({0, 1, 2, *keep})
        confine.shut(self.settings, self.seconds)
        raise InChild(work)

    def finish(self, child: Child, wanted: str, judge: Child | None = None) -> dict[str, Any]:
        """Listen to the children until the one that writes what is wanted is done."""
        self.started()
        children = [child] if judge is None else [child, judge]
        writer = judge or child
        reason = self.listen(children, writer, wanted)
        alone = child.ended is not None
        for each in children:
            each.kill()
            for pipe in each.pipes.values():
                os.close(pipe)
        if reason == "clock" and judge is None and child.waits > NAPS * self.clock_seconds:
            reason = "timeout"
        output = bytes(writer.output[wanted])
        if judge is None or reason:
            result = _status(reason, child, self.seconds, complete(output))
        else:
            result = _tested(output, child if alone else None, judge, self.seconds)
        cpu = sum(each.cpu for each in children)
        return {"output": b"" if wanted == "verdict" else output, "cpu": cpu, **result}

    def listen(self, children: list[Child], writer: Child, wanted: str) -> str:
        """Listen; return why it ended: "" for by itself, else the limit."""
        poll = select.poll()
        sources = {fd: (each, name) for each in children for name, fd in each.pipes.items()}
        watched = {each.watch: each for each in children}
        for fd in [*sources, *watched]:
            poll.register(fd, select.POLLIN)
        started = look = time.monotonic()
        idle, cpu = 0.0, 0.0
        while writer.ended is None:
            if idle > self.idle_seconds:
                return "timeout"
            if time.monotonic() - started > self.clock_seconds:
                return "clock"
            events = [fd for fd, _ in poll.poll(100)]
            for fd in sorted(events, key=lambda fd: fd in watched):  # last words before the end
                if fd in watched:
                    poll.unregister(fd)
                    each = watched.pop(fd)
                    self.drain(each)
                    each.reap()
                elif not self.take(*sources[fd], fd):
                    poll.unregister(fd)
            if self.room < 0:
                return "output"
            if (now := time.monotonic()) > look + 0.1:
                before, cpu = cpu, sum(each.cpu_so_far() for each in children)
                idle += (now - look) * (cpu - before < IDLE_SHARE * (now - look))
                look = now
                if _too_much_written(self.settings):
                    return "files"
            if wanted == "reply" and complete(writer.output["reply"]):
                return ""
        return "output" if self.room < 0 else ""

    def take(self, child: Child, name: str, fd: int) -> bool:
        """Read what is there; return False at the end. Of errors only the last words are kept."""
        data = os.read(fd, 1 << 16)
        self.room -= len(data)
        output = child.output[name]
        output += data
        if name == "error":
            del output[:-ERRORS_KEPT]
        return bool(data)

    def drain(self, child: Child) -> None:
        """Read what a dead child left in its pipes, without waiting for others that hold them
        open."""
        for name, fd in child.pipes.items():
            os.set_blocking(fd, False)
            try:
                while self.room >= 0 and self.take(child, name, fd):
                    pass
            except BlockingIOError:
                pass


def _status(reason: str, child: Child, seconds: float, complete: bool) -> dict[str, Any]:
    """Return how the program ended: `ok` for exit code 0, or a whole reply before that."""
    words = bytes(child.output["error"]).decode("utf-8", "replace").strip()
    last = words.rpartition("\n")[2][:300]
    if reason in ("output", "files"):
        what = "too much output" if reason == "output" else "too much written to files"
        return {"status": "crash", "message": what}
    code = os.waitstatus_to_exitcode(child.ended or 0)
    if reason == "clock" and child.cpu < seconds:
        what = (
            f"a busy machine: {child.cpu:.1f} of {seconds:g} s of processor time in all that time"
        )
        return {"status": "infra_error", "message": what}
    if reason or child.cpu >= seconds or code == -SIGXCPU:
        return {"status": "timeout", "message": last}
    if code == 0 or complete:
        return {"status": "ok", "message": last}
    if "MemoryError" in last or code == -SIGKILL:
        return {"status": "oom", "message": last or "killed"}
    by = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    return {"status": "crash", "message": last or by}


def _tested(output: bytes, ended: Child | None, judge: Child, seconds: float) -> dict[str, Any]:
    """Return what the tester found; of a program that ended meanwhile, how."""
    code = os.waitstatus_to_exitcode(judge.ended or 0)
    if judge.cpu > seconds or not complete(output):
        slow = judge.cpu > seconds
        what = "the test took too long" if slow else f"the test ended with exit code {code}"
        return {"status": "timeout" if slow else "crash", "message": what}
    result = codec.unpack(output[8:])
    status = {"status": "ok", "message": ""}
    if ended is not None and not result["passed"]:
        status = _status("", ended, seconds, False)
        if status["status"] == "crash":  # its last words say more than those of the test
            result.pop("message", None)
    return {**status, **{name: value for name, value in result.items() if value != ""}}


def _too_much_written(settings: dict[str, Any]) -> bool:
    if settings["bounded"]:  # all of it is counted, whatever hides in it
        space = os.statvfs(settings["scratch"])
        return space.f_bfree == 0 or space.f_files - space.f_ffree > confine.MOST_FILES
    limit, total = settings["limits"]["file_mb"] << 20, 0
    for count, (folder, _, names) in enumerate(os.walk(settings["scratch"])):
        if count + len(names) > confine.MOST_FILES:
            return True
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:
                continue
            except OSError:  # a path too long to look at
                return True
    return total > 4 * limit


def _close_all_but(open_fds: set[int]) -> None:
    start = 0
    for fd in [*sorted(open_fds), 1 << 16]:
        if start < fd:  # an empty range closes everything, in CPython 3.11
            os.closerange(start, fd)
        start = fd + 1
