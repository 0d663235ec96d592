"""A launch as a script for SLURM: our own template, or one of the user's site.

A template is a shell script with places, `@TRAIN@`; `slurm.sh` says what stands where. What a
launch puts in a place is quoted for the shell, and `@SBATCH@` for sbatch.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path

from ttc_rl.config import Recipe, dump_recipe
from ttc_rl.config.places import did_you_mean
from ttc_rl.config.plugins import MODULES
from ttc_rl.launch import Launch, accelerate, check, config_file, serve, serves, stage
from ttc_rl.run_dir import RunDir, write_text
from ttc_rl.schema import UserError

CPUS_PER_GPU = 8
"""CPUs that a node is asked for with each GPU; `--slurm cpus-per-task=N` names all of a node."""
REQUEUES = 20
"""Restarts after which a job no longer puts itself back in the queue."""
PLACE = re.compile(r"@([A-Z_]+)@")
PLAIN = re.compile(r"[\w./:,=@%+^~\[\]*-]+", re.ASCII)
"""Options that sbatch reads as they stand."""
SPECIAL, ESCAPED = re.compile(r'[\\"#]'), r"\\\g<0>"
"""What sbatch heeds between quotes, or once did."""
VARIABLES = frozenset(
    [
        "$SLURM_PROCID",
        "$MASTER",
        "$PORT",
        "$RECIPE",
        "$RUN_DIR",
        "$serve_port",
        "$SKYPILOT_NODE_RANK",
        "$head",
        "$config",
    ]
)
"""Words that a script fills in; any other word is quoted."""


@dataclass(frozen=True)
class Batch:
    """What a SLURM job is given beside its launch."""

    options: Mapping[str, str] = field(default_factory=dict)
    """Of #SBATCH, in place of ours where they have the same name."""
    template: Path | None = None
    requeues: int = REQUEUES
    runs: Mapping[str, Recipe] = field(default_factory=dict)
    """Name and recipe of each run of an array: one index, and one run folder, for each."""


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


def slurm_script(launch: Launch, recipe: Recipe, batch: Batch) -> str:
    """Return the batch script; with `train.vllm.mode: server` it asks for one more node."""
    if batch.runs:
        served = _check_runs(launch, batch.runs)
        one = replace(launch, recipe=Path("$RECIPE"), overrides=[], run_dir=Path("$RUN_DIR"))
    else:
        served, one = recipe, launch
    server = serves(served)
    machine_words = machine(launch, "$SLURM_PROCID", "$MASTER", "$PORT")
    training = quoted(accelerate(one, sys.executable, config_file(launch.config), machine_words))
    path = batch.template or Path(str(resources.files("ttc_rl.launch").joinpath("slurm.sh")))
    places = {
        "SBATCH": _directives(launch, batch, launch.nodes + server),
        "SETUP": _setup(launch, batch.runs),
        "LOGS": shlex.quote(str(logs(launch))),
        "REQUEUES": str(batch.requeues),
        "TRAINERS": str(launch.nodes),
        "SELECT": module(sys.executable, stage(one, "select")),
        "SERVER": _server(served) if server else "",
        "TRAIN": shlex.quote(f"exec {training}"),
        "EVAL": module(sys.executable, stage(one, "eval")),
    }
    return filled(path, places)


def _check_runs(launch: Launch, runs: Mapping[str, Recipe]) -> Recipe:
    """Return one of an array's recipes, for what all share. Raises UserError where one of them
    cannot be launched, or needs another server than the first."""
    for name, recipe in runs.items():
        try:
            check(launch, recipe)
        except UserError as error:
            raise UserError(f"run {name}: {error}") from None
    first, *others = runs.values()
    wanted = serve(first) if serves(first) else None
    if any((serve(other) if serves(other) else None) != wanted for other in others):
        raise UserError(
            "--array: the runs need different vLLM servers (model, train.vllm); launch each alone"
        )
    return first


def _directives(launch: Launch, batch: Batch, nodes: int) -> str:
    """Return the lines of #SBATCH: ours, and the site's over them."""
    on_gpus = launch.config != "cpu"
    ours = {
        "job-name": f"ttc-rl-{launch.run_dir.name}",
        "nodes": str(nodes),
        "ntasks-per-node": "1",
        "cpus-per-task": str(launch.gpus * CPUS_PER_GPU if on_gpus else launch.gpus),
        **({"gres": f"gpu:{launch.gpus}"} if on_gpus else {}),
        **({"array": f"0-{len(batch.runs) - 1}"} if batch.runs else {}),
        "requeue": "",
        "open-mode": "append",
        "signal": "B:USR1@300",
        "output": _log_pattern(launch, "%A_%a" if batch.runs else "%j"),
    }
    if "array" in batch.options and not batch.runs:
        raise UserError("--slurm array: is for a recipe with `sweep:`, launched with --array")
    return "\n".join(directive(key, value) for key, value in (ours | {**batch.options}).items())


def _log_pattern(launch: Launch, job: str) -> str:
    """Return the path of the log with SLURM's own place for the job: `%%` stands for a percent
    sign. Raises UserError for a path that a line of #SBATCH cannot say."""
    folder = str(logs(launch))
    if "\\" in folder or not folder.isprintable():
        raise UserError(
            f"--run-dir {folder!r}: SLURM writes no log to a path with a backslash or a line "
            "break; name another folder"
        )
    return f"{folder.replace('%', '%%')}/{job}.log"


def directive(key: str, value: str) -> str:
    """Return a line of #SBATCH as sbatch takes it apart: quotes group, a backslash escapes, and #
    begins a comment."""
    word = f"{key}={value}" if value else key
    if not PLAIN.fullmatch(word):
        word = f'{key}="{SPECIAL.sub(ESCAPED, value)}"'
    return f"#SBATCH --{word}"


def _setup(launch: Launch, runs: Mapping[str, Recipe]) -> str:
    """Return the lines that enter the folder and the environment of this process, and in an array
    say which run this is."""
    lines = [
        f"cd {shlex.quote(str(Path.cwd()))}",
        f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"',
    ]
    if runs:
        root = launch.run_dir.absolute()
        folders = next(iter(runs.values())).places.folders
        modules = os.pathsep.join(str(folder.absolute()) for folder in folders)
        lines += [
            f"runs=({' '.join(shlex.quote(str(root / name)) for name in runs)})",
            'export RUN_DIR="${runs[$SLURM_ARRAY_TASK_ID]}"',
            'export RECIPE="$RUN_DIR.yaml"',
            f"export {MODULES}={shlex.quote(modules)}",
        ]
    return "\n".join(lines)


def _server(recipe: Recipe) -> str:
    path = Path(str(resources.files("ttc_rl.launch").joinpath("slurm_server.sh")))
    places = {
        "PYTHON": shlex.quote(sys.executable),
        "SERVE": quoted(serve(recipe, "$serve_port")),
    }
    return filled(path, places)


def submit(launch: Launch, recipe: Recipe, batch: Batch) -> str:
    """Write the script beside the run folder, in an array also the runs' recipes into it, and hand
    it to sbatch; returns what that said."""
    path = logs(launch) / "job.sbatch"
    write_text(path, slurm_script(launch, recipe, batch))
    if batch.runs:
        root = RunDir.open(launch.run_dir, recipe, resume=True).root
        for name, run in batch.runs.items():
            write_text(root / f"{name}.yaml", dump_recipe(run))
    try:
        done = subprocess.run(["sbatch", str(path)], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UserError(
            f"sbatch is not here; {path} is written for a machine that has it"
        ) from None
    if done.returncode:
        raise UserError(f"sbatch {path}: {done.stderr.strip()}")
    return done.stdout.strip()


# --------------------------------------------------------------------------- text


def machine(launch: Launch, rank: str, head: str, port: str) -> list[str]:
    """Return where accelerate's processes meet: on the first node, at a port of the job's own."""
    options = ["--main_process_port", port] if launch.processes > 1 else []
    if launch.nodes == 1:
        return options
    return [*options, "--machine_rank", rank, "--main_process_ip", head, "--rdzv_backend", "c10d"]


def filled(template: Path, values: Mapping[str, str]) -> str:
    """Return a template with its places filled.

    Raises UserError for a place that there is not, and for one that is missing though this launch
    has something to put there.
    """
    try:
        text = template.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--template {template}: cannot be read ({error})") from None
    seen = set[str]()
    for number, line in enumerate(text.splitlines(), 1):
        for name in PLACE.findall(line):
            if name not in values:
                raise UserError(
                    f"{template}:{number}: @{name}@: there is no such place"
                    f"{did_you_mean(name, list(values))}; there are {_places(values)}"
                )
            seen.add(name)
    if missing := [name for name, value in values.items() if value and name not in seen]:
        raise UserError(
            f"{template}:{len(text.splitlines())}: ends without {_places(missing)}, which this "
            "launch fills; our own slurm.sh shows where it belongs"
        )
    return re.sub(r"\n{3,}", "\n\n", PLACE.sub(lambda place: values[place[1]], text))


def _places(names: Iterable[str]) -> str:
    return ", ".join(f"@{name}@" for name in names)


def module(python: str, arguments: Sequence[str]) -> str:
    return quoted([python, "-m", "ttc_rl", *arguments])


def quoted(command: Sequence[str]) -> str:
    """Return words quoted for a shell; a word that is a variable of the script stays one."""
    return " ".join(f'"{word}"' if word in VARIABLES else shlex.quote(word) for word in command)
