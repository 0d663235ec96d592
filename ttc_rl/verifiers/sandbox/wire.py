"""The two sides of the pipe: a job as the driver reads it, frames as the driver writes them."""

from __future__ import annotations

import functools
import marshal
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast, get_args

from ttc_rl.schema import Status, whole_text
from ttc_rl.verifiers.sandbox.inside import codec
from ttc_rl.verifiers.sandbox.records import CLOCK_FACTOR, IDLE_FACTOR, Job, Limits, Result

INTERPRETER_MB = 256
MODULES = ("standard", "codec", "streams", "confine", "program", "tester", "trials", "driver")
START = """
import marshal, os, sys
package = type(sys)("inside")
package.__path__ = []
sys.modules["inside"] = package
for name, code in marshal.loads(os.read(0, int.from_bytes(os.read(0, 8), "big"))):
    module = sys.modules["inside." + name] = type(sys)("inside." + name)
    module.__package__ = "inside"
    setattr(package, name, module)
    exec(code, module.__dict__)
package.driver.main()
"""
"""The driver arrives compiled: no files to show it, no bytecode cache to depend on."""
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "PYTHONUTF8": "1",
    # The same program prints the same today and tomorrow. Under 1 every reference solution passes
    # whose order of output hangs on a set; under 0 one of LeetCode's (word-ladder-ii) does not.
    "PYTHONHASHSEED": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


def python() -> str:
    """Return the interpreter itself, not a virtual environment's link to it."""
    return str(Path(sys.executable).resolve())


def command() -> list[str]:
    """Return the command that starts the driver, without `site`: that alone halves the start of a
    process."""
    return [python(), "-S", "-s", "-P", "-B", "-c", START]


@functools.cache
def _compiled() -> bytes:
    here = Path(__file__).parent / "inside"
    sources = [(name, (here / f"{name}.py").read_text("utf-8")) for name in MODULES]
    codes = [
        (name, compile(text, f"{name}.py", "exec", dont_inherit=True)) for name, text in sources
    ]
    return marshal.dumps(codes)


def packages() -> list[str]:
    """Return where a program finds numpy and its like."""
    paths = sysconfig.get_paths()
    return list(dict.fromkeys([paths["purelib"], paths["platlib"]]))


def readable() -> list[str]:
    """Return all that a program may read: the interpreter, its packages, system libraries. No
    home."""
    paths = sysconfig.get_paths()
    base = Path(sys.base_prefix)
    libraries = ["/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/share/zoneinfo"]
    libraries += ["/etc/ld.so.cache", "/etc/localtime", str(base / "lib"), str(base / "lib64")]
    folders = [*libraries, python(), paths["stdlib"], paths["platstdlib"], *packages()]
    return [path for path in dict.fromkeys(folders) if Path(path).exists()]


def orders(job: Job, settings: Mapping[str, Any]) -> bytes:
    """Return all of the driver's standard input: itself, then what `pack_job` says."""
    return _block(_compiled()) + pack_job(job, settings)


def pack_job(job: Job, settings: Mapping[str, Any]) -> bytes:
    """Return the job, then the secrets of script trials: each is read by the process that may know
    it."""
    trials = [
        {
            "kind": trial.kind,
            "text": trial.text,
            "arguments": None if trial.arguments is None else list(trial.arguments),
            "seconds": float(trial.seconds or job.limits.seconds),
        }
        for trial in job.trials
    ]
    settings_now = {
        "paths": packages(),
        "limits": asdict(job.limits),
        "interpreter_mb": INTERPRETER_MB,
        "idle_factor": IDLE_FACTOR,
        "clock_factor": CLOCK_FACTOR,
        "count_threads": False,
        "input_file": None,
        "seccomp": "required",
        "bounded": False,
    }
    public = {
        "program": job.program,
        "preamble": job.preamble,
        "setup": job.setup,
        "trials": trials,
        "settings": {**settings_now, **settings},
    }
    secrets = [codec.pack(trial.secret) for trial in job.trials if trial.kind == "script"]
    return b"".join(map(_block, [codec.pack(public), *secrets]))


def _block(data: bytes) -> bytes:
    return len(data).to_bytes(8, "big") + data


def split_frames(buffer: bytearray, limits: Limits) -> list[dict[str, Any]]:
    """Take the whole frames off the front. Raises Unreadable for what no driver writes."""
    frames = []
    longest = (limits.output_mb + 1) << 20
    while len(buffer) >= 8:
        if (size := int.from_bytes(buffer[:8], "big")) > longest:
            raise codec.Unreadable(f"a frame of more than {longest} bytes")
        if len(buffer) - 8 < size:
            break
        frame = codec.unpack(bytes(buffer[8 : 8 + size]))
        if not isinstance(frame, dict):
            raise codec.Unreadable(f"a frame that is a {type(frame).__name__}")
        frames.append(frame)
        del buffer[: 8 + size]
    return frames


def result_of(frame: Mapping[str, Any], kind: str) -> Result:
    """Return the result of a frame. Raises Unreadable for a frame that no driver writes."""
    names = ("status", "message", "index", "cpu", "output")
    status, message, index, cpu, output = (frame.get(name) for name in names)
    if (
        status not in get_args(Status)
        or not isinstance(message, str)
        or not isinstance(index, int)
        or not isinstance(cpu, float)
        or not isinstance(output, bytes)
    ):
        raise codec.Unreadable("a frame that is no result")
    message = whole_text(message)
    status = cast(Status, status)
    result = Result(index, status, message=message, cpu=cpu)
    if status != "ok":
        return result
    if kind == "stdin":
        return Result(index, status, output, message=message, cpu=cpu)
    if kind == "script":
        passed = None if "undecided" in frame else frame.get("passed") is True
        undecided = whole_text(str(frame.get("undecided", message)))
        return Result(index, status, passed=passed, message=undecided, cpu=cpu)
    return _value(result, output)


def _value(result: Result, output: bytes) -> Result:
    """Return the result with the value that the program's own process wrote: whatever it holds, it
    is only its answer."""
    if len(output) < 8:
        return Result(result.index, "crash", message="the program ended before it answered")
    try:
        answer = codec.unpack(output[8 : 8 + int.from_bytes(output[:8], "big")])
    except codec.Unreadable as error:
        return Result(result.index, "ok", raised=f"a value that cannot be read ({error})")
    if isinstance(answer, list) and len(answer) == 2 and answer[0] is True:
        return Result(result.index, "ok", value=answer[1], cpu=result.cpu)
    words = [part[:300] for part in answer if isinstance(part, str)] if type(answer) is list else []
    raised = whole_text(": ".join(words[:2])) or "something that no program of ours wrote"
    return Result(result.index, "ok", raised=raised, cpu=result.cpu)
