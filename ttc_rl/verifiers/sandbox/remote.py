"""A sandbox elsewhere that speaks SandboxFusion's API: one POST to {endpoint}/run_code a program.

What is sent is our driver with the job on its standard input, so each trial has its own process
and time limit there as well. The remote machine keeps the program in; between the program and
the driver stand, as far as its kernel allows, the same seccomp rules as here.

Not covered: stopping at the first failure (all results come at once).
"""

from __future__ import annotations

import base64
import json
import os
from http.client import HTTPException
from pathlib import Path
from typing import Any

from ttc_rl.schema import whole_text
from ttc_rl.system.bounded_post import post
from ttc_rl.verifiers.sandbox import wire
from ttc_rl.verifiers.sandbox.process import Hearing
from ttc_rl.verifiers.sandbox.records import CLOCK_FACTOR, Job, Outcome, Stop

NAME = "http"
VARIABLE = "TTC_RL_SANDBOX_URL"
FIX = f"start SandboxFusion and set {VARIABLE} to its address, such as http://localhost:8080"
MAX_BYTES = 256 << 20
"""Of a reply: the output of all trials, in base64."""
_MAIN = """
import base64, os, sys, tempfile, types
package = types.ModuleType("inside"); package.__path__ = []; sys.modules["inside"] = package
for name, source in SOURCES:
    module = types.ModuleType("inside." + name); module.__package__ = "inside"
    sys.modules["inside." + name] = module; setattr(package, name, module)
    exec(compile(source, name + ".py", "exec"), module.__dict__)
package.driver.main_encoded()
"""


def run(job: Job, stop: Stop) -> Outcome:
    endpoint = os.environ.get(VARIABLE)
    if not endpoint:
        return Outcome((), NAME, "infra_error", f"{VARIABLE} is not set")
    seconds = CLOCK_FACTOR * sum(t.seconds or job.limits.seconds for t in job.trials) + 10
    try:
        reply = _post(f"{endpoint.rstrip('/')}/run_code", _request(job, seconds), seconds + 20)
    except (OSError, HTTPException, ValueError, RecursionError) as error:  # no JSON: the last two
        reason = str(error) or type(error).__name__
        return Outcome((), NAME, "infra_error", f"{endpoint}: {reason[:400]}")
    return _read(job, stop, reply)


def _request(job: Job, seconds: float) -> dict[str, Any]:
    settings = {"scratch": None, "seccomp": "wanted", "paths": []}
    folder = Path(__file__).parent / "inside"
    sources = [(name, (folder / f"{name}.py").read_text("utf-8")) for name in wire.MODULES]
    orders = base64.b64encode(wire.pack_job(job, settings)).decode()
    return {
        "code": f"SOURCES = {sources!r}\n{_MAIN}",
        "language": "python",
        "run_timeout": seconds,
        "stdin": orders,
    }


def _post(url: str, body: dict[str, Any], seconds: float) -> Any:
    headers = {"Content-Type": "application/json"}
    status, reply, _ = post(url, json.dumps(body).encode(), headers, seconds, MAX_BYTES)
    if status != 200:
        raise ValueError(f"HTTP {status}: {reply[:200]!r}")
    if not isinstance(answer := json.loads(reply), dict):
        raise ValueError("a reply that is no object")
    return answer


def _read(job: Job, stop: Stop, reply: dict[str, Any]) -> Outcome:
    """Read the driver's frames, which are the standard output in base64."""
    run_result = reply.get("run_result")
    run_result = run_result if isinstance(run_result, dict) else {}
    hearing = Hearing(job, stop)
    try:
        buffer = bytearray(base64.b64decode(str(run_result.get("stdout") or "").encode()))
    except ValueError:
        buffer = bytearray()
    hearing.read(buffer)
    words = run_result.get("stderr") or reply.get("message")
    if not words and not hearing.ready:
        words = f"the driver did not start; status {reply.get('status')}"
    return hearing.outcome(NAME, whole_text(str(words or "")))
