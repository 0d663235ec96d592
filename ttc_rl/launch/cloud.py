"""A launch for rented machines: a task for SkyPilot, or a job for Hugging Face Jobs.

Both run in the project's image or a checkout, keep the run folder in a bucket, and go on from it
when the machine is taken away.
"""

from __future__ import annotations

import inspect
import io
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from ttc_rl.config import Recipe, dump_recipe
from ttc_rl.launch import Launch, accelerate, serves, stage
from ttc_rl.launch.cluster import filled, logs, machine, module, quoted
from ttc_rl.run_dir import write_text
from ttc_rl.schema import UserError

RUNS = Path("/runs")
"""Where a machine of a cloud keeps run folders."""
IN_JOB = Path("/launch")
"""Where a job of Hugging Face sees the recipe and the script."""
FLAVORS = {1: "h200", 2: "h200x2", 4: "h200x4", 8: "h200x8"}
"""GPUs -> a machine of Hugging Face Jobs that has them."""


@dataclass(frozen=True)
class Cloud:
    """What is rented."""

    accelerators: str | None = None
    """SkyPilot's name of the GPUs, or a flavor of Hugging Face Jobs."""
    bucket: str = "ttc-rl-runs"
    """Where run folders are kept; of Hugging Face with a user's or an organisation's name."""
    image: str | None = None
    """A Docker image with ttc-rl; SkyPilot installs the checkout without one."""


def name_of(launch: Launch) -> str:
    """Return a name that both clouds take: letters, digits and dashes."""
    return "ttc-rl-" + re.sub(r"[^A-Za-z0-9]+", "-", launch.run_dir.name).strip("-").lower()


# --------------------------------------------------------------------------- SkyPilot


def sky_task(launch: Launch, recipe: Recipe, cloud: Cloud) -> str:
    """Return a task of SkyPilot, for a checkout. Its nodes see one run folder, in a mounted
    bucket."""
    if serves(recipe):
        raise UserError("train.vllm.mode: server is rendered for SLURM; use colocate on SkyPilot")
    launch = replace(launch, run_dir=RUNS / launch.run_dir.name)
    python, words = "python", machine(launch, "$SKYPILOT_NODE_RANK", "$head", "29500")
    config = Path("ttc_rl/launch/configs") / f"{launch.config}.yaml"  # `workdir` is the checkout
    first = module(python, stage(launch, "select"))
    training = quoted(accelerate(launch, python, config, words))
    last = module(python, stage(launch, "eval"))
    run = (
        "set -euo pipefail\n"
        'head=$(echo "$SKYPILOT_NODE_IPS" | head -n1)\n'
        f"selected={shlex.quote(str(launch.run_dir))}.selected\n"
        'if [ "$SKYPILOT_NODE_RANK" = 0 ]; then\n'
        f'  {first}\n  touch "$selected"\n'
        "fi\n"
        'until [ -e "$selected" ]; do sleep 5; done\n'
        f"{training}\n"
        f'if [ "$SKYPILOT_NODE_RANK" = 0 ]; then {last}; fi\n'
    )
    # MOUNT cannot append. MOUNT_CACHED can, and uploads files in the order in which they were
    # closed, so that who sees `.selected` sees the curriculum.
    kept = {"name": cloud.bucket, "store": "s3", "mode": "MOUNT_CACHED"}
    image = {"image_id": f"docker:{cloud.image}"} if cloud.image else {}
    install = "pip install --constraint constraints/cuda.txt --editable '.[train,vllm]'\n"
    task = {
        "name": name_of(launch),
        "num_nodes": launch.nodes,
        "workdir": ".",
        "resources": {
            "accelerators": f"{cloud.accelerators or 'H100'}:{launch.gpus}",
            "use_spot": True,
            **image,
        },
        "file_mounts": {str(RUNS): kept},
        "setup": "pip install --no-deps --editable .\n" if cloud.image else install,
        "run": run,
    }
    return _yaml(task)


def write_sky(launch: Launch, recipe: Recipe, cloud: Cloud) -> str:
    """Write the task beside the run folder; return what to do with it."""
    path = logs(launch) / "task.yaml"
    write_text(path, sky_task(launch, recipe, cloud))
    return f"{path}: next, `sky jobs launch {shlex.quote(str(path))}`"


def _yaml(task: Mapping[str, object]) -> str:
    from ruamel.yaml import YAML
    from ruamel.yaml.scalarstring import LiteralScalarString

    yaml = YAML()
    yaml.width = 4096
    printable = {k: LiteralScalarString(v) if k in ("setup", "run") else v for k, v in task.items()}
    out = io.StringIO()
    yaml.dump(printable, out)  # pyright: ignore[reportUnknownMemberType]
    return out.getvalue()


# --------------------------------------------------------------------------- Hugging Face Jobs


def hf_command(launch: Launch, cloud: Cloud) -> str:
    """Return the command that starts the job. Raises UserError where no image is named, and where
    no machine has that many GPUs."""
    if cloud.image is None:
        raise UserError(
            "--on hf-jobs: name an image with --image; build ours with "
            "`docker build --tag USER/ttc-rl .` and push it"
        )
    if launch.nodes > 1:
        raise UserError("--on hf-jobs: a job has one node; see --on slurm and --on skypilot")
    if "/" not in cloud.bucket:
        raise UserError(f"--bucket {cloud.bucket}: write USER/{cloud.bucket}, as the Hub names it")
    _check_hf()
    flavor = cloud.accelerators or FLAVORS.get(launch.gpus)
    if flavor is None:
        raise UserError(
            f"--gpus {launch.gpus}: no machine is known with so many; name one with "
            "--accelerators (`hf jobs hardware` lists them)"
        )
    words = [
        *("hf", "jobs", "run", "--detach", "--name", name_of(launch), "--flavor", flavor),
        *("--timeout", "24h", "--attempts", "3", "--secrets", "HF_TOKEN"),
        *("--volume", f"{logs(launch)}:{IN_JOB}", cloud.image, "bash", str(IN_JOB / "job.sh")),
    ]
    return shlex.join(words)


def _check_hf() -> None:
    """Raise UserError where `hf jobs run` would take an option of ours for the image, as 1.33
    does."""
    from huggingface_hub import HfApi, __version__

    if "attempts" not in inspect.signature(HfApi.run_job).parameters:
        raise UserError(
            f"--on hf-jobs: huggingface_hub {__version__} starts a job in one attempt only; "
            "pip install 'huggingface_hub>=2.4'"
        )


def hf_script(launch: Launch, recipe: Recipe, cloud: Cloud) -> str:
    """Return what the job runs: the stages, in a folder that is copied to the bucket meanwhile."""
    if serves(recipe):
        raise UserError("train.vllm.mode: server is rendered for SLURM; use colocate on hf-jobs")
    if recipe.data is not None:
        raise UserError(
            f"data: {recipe.data} is a folder of this machine, and a job reads tasks from the Hub; "
            "leave it out, and unset TTC_RL_DATA"
        )
    one = replace(
        launch,
        recipe=IN_JOB / "recipe.yaml",
        overrides=[],
        run_dir=RUNS / name_of(launch),
    )
    config = Path("$config")
    port = ["--main_process_port", "0"] if launch.processes > 1 else []
    places = {
        "CONFIG": launch.config,
        "BUCKET": shlex.quote(f"hf://buckets/{cloud.bucket}"),
        "NAME": name_of(launch),
        "RUN": shlex.quote(str(one.run_dir)),
        "SELECT": module("python", stage(one, "select")),
        "TRAIN": quoted(accelerate(one, "python", config, port)),
        "EVAL": module("python", stage(one, "eval")),
    }
    return filled(Path(str(resources.files("ttc_rl.launch").joinpath("hf_job.sh"))), places)


def write_hf(launch: Launch, recipe: Recipe, cloud: Cloud) -> str:
    """Write recipe and script beside the run folder; return the command that starts the job."""
    command = hf_command(launch, cloud)
    write_text(logs(launch) / "job.sh", hf_script(launch, recipe, cloud))
    write_text(logs(launch) / "recipe.yaml", dump_recipe(recipe))
    return command
