"""A launch as a script for SLURM, or as a task for SkyPilot."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

from ttc_rl.config import Recipe
from ttc_rl.launch import PORT, Launch, accelerate, config_file, serve, serves, stage
from ttc_rl.run_dir import write_text
from ttc_rl.schema import UserError

BUCKET = Path("/runs")
"""Where SkyPilot's nodes mount what they share."""
POLL = 5
"""Seconds between two questions whether vLLM's server is ready."""


def logs(launch: Launch) -> Path:
    """Return the folder of the logs, beside the run folder, which the first stage makes."""
    return launch.run_dir.absolute().with_name(f"{launch.run_dir.name}.launch")


def options(words: Sequence[str]) -> dict[str, str]:
    """Return `partition=gpu` ... as options of #SBATCH. A site needs what it needs, so any key
    passes."""
    pairs = [text.partition("=") for text in words]
    for key, _, value in pairs:
        if not key.replace("-", "").isalnum() or "\n" in value:
            raise UserError(f"--slurm {key!r}: write key=value, e.g. --slurm partition=gpu")
    return {key: value for key, _, value in pairs}


def slurm_script(launch: Launch, recipe: Recipe, extra: Mapping[str, str]) -> str:
    """Return the batch script; with `train.vllm.mode: server` it asks for one more node."""
    server = serves(recipe)
    machine = _machine(launch, "$SLURM_PROCID", "$MASTER", "$PORT")
    training = _quoted(accelerate(launch, sys.executable, config_file(launch.config), machine))
    directives = "".join(
        f"#SBATCH --{k}={v}\n" if v else f"#SBATCH --{k}\n" for k, v in extra.items()
    )
    ends = "kill $serving  # its GPUs are free now\nwait $serving || true"
    return _filled(
        "slurm.sh",
        NAME=launch.run_dir.name,
        NODES=str(launch.nodes + server),
        TRAINERS=str(launch.nodes),
        GPUS=str(launch.gpus),
        LOGS=str(logs(launch)),
        EXTRA=directives.rstrip("\n"),
        CWD=shlex.quote(str(Path.cwd())),
        BIN=shlex.quote(str(Path(sys.executable).parent)),
        SELECT=_module(sys.executable, stage(launch, "select")),
        TRAIN=shlex.quote(f"exec {training}"),
        EVAL=_module(sys.executable, stage(launch, "eval")),
        SERVER=_server(launch, recipe) if server else "",
        SERVER_END=ends if server else "",
    )


def _server(launch: Launch, recipe: Recipe) -> str:
    return _filled(
        "slurm_server.sh",
        PYTHON=shlex.quote(sys.executable),
        SERVE=shlex.join(serve(recipe)),
        PORT=str(PORT),
        LOGS=str(logs(launch)),
        POLL=str(POLL),
    )


def submit(launch: Launch, recipe: Recipe, extra: Mapping[str, str]) -> str:
    """Write the script beside the run folder and hand it to sbatch; returns what that said."""
    path = logs(launch) / "job.sbatch"
    write_text(path, slurm_script(launch, recipe, extra))
    try:
        done = subprocess.run(["sbatch", str(path)], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UserError(
            f"sbatch is not here; {path} is written for a machine that has it"
        ) from None
    if done.returncode:
        raise UserError(f"sbatch {path}: {done.stderr.strip()}")
    return done.stdout.strip()


# --------------------------------------------------------------------------- SkyPilot


def sky_task(launch: Launch, recipe: Recipe, accelerators: str) -> str:
    """Return a task of SkyPilot, for a checkout. Its nodes see one run folder, in a mounted
    bucket."""
    if serves(recipe):
        raise UserError("train.vllm.mode: server is rendered for SLURM; use colocate on SkyPilot")
    launch = replace(launch, run_dir=BUCKET / launch.run_dir.name)
    python, machine = "python", _machine(launch, "$SKYPILOT_NODE_RANK", "$head", "29500")
    config = Path("ttc_rl/launch/configs") / f"{launch.config}.yaml"  # `workdir` is the checkout
    first = _module(python, stage(launch, "select"))
    training = _quoted(accelerate(launch, python, config, machine))
    last = _module(python, stage(launch, "eval"))
    run = (
        "set -euo pipefail\n"
        'head=$(echo "$SKYPILOT_NODE_IPS" | head -n1)\n'
        f"selected={shlex.quote(str(launch.run_dir))}.selected\n"
        'if [ "$SKYPILOT_NODE_RANK" = 0 ]; then\n'
        f'  {first}\n  touch "$selected"\n'
        "fi\n"
        f'until [ -e "$selected" ]; do sleep {POLL}; done\n'
        f"{training}\n"
        f'if [ "$SKYPILOT_NODE_RANK" = 0 ]; then {last}; fi\n'
    )
    task = {
        "name": f"ttc-rl-{launch.run_dir.name}",
        "num_nodes": launch.nodes,
        "workdir": ".",
        "resources": {"accelerators": f"{accelerators}:{launch.gpus}", "use_spot": True},
        "file_mounts": {str(BUCKET): {"name": "ttc-rl-runs", "store": "s3", "mode": "MOUNT"}},
        "setup": "pip install --editable '.[train,vllm]'\n",
        "run": run,
    }
    return _yaml(task)


def _yaml(task: Mapping[str, object]) -> str:
    from ruamel.yaml import YAML
    from ruamel.yaml.scalarstring import LiteralScalarString

    yaml = YAML()
    yaml.width = 4096
    printable = {k: LiteralScalarString(v) if k in ("setup", "run") else v for k, v in task.items()}
    out = io.StringIO()
    yaml.dump(printable, out)  # pyright: ignore[reportUnknownMemberType]
    return out.getvalue()


# --------------------------------------------------------------------------- text


def _machine(launch: Launch, rank: str, head: str, port: str) -> list[str]:
    """Return where accelerate's processes meet: on the first node, at a port of the job's own."""
    options = ["--main_process_port", port] if launch.processes > 1 else []
    if launch.nodes == 1:
        return options
    return [*options, "--machine_rank", rank, "--main_process_ip", head, "--rdzv_backend", "c10d"]


def _filled(template: str, **values: str) -> str:
    text = resources.files("ttc_rl.launch").joinpath(template).read_text("utf-8")
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return re.sub(r"\n{3,}", "\n\n", text)


def _module(python: str, arguments: Sequence[str]) -> str:
    return shlex.join([python, "-m", "ttc_rl", *arguments])


def _quoted(command: Sequence[str]) -> str:
    """Return words quoted for a shell; a word that is a variable stays one."""
    return " ".join(f'"{word}"' if word.startswith("$") else shlex.quote(word) for word in command)
