"""A stand-in for sbatch and scontrol, and a walk through the scripts that it was handed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

SBATCH = """#!/bin/bash
for script; do :; done
number=$(ls "$SUBMITTED" | wc -l)
cp "$script" "$SUBMITTED/$number.slurm"
echo "Submitted batch job $number"
"""


def tools(folder: Path) -> dict[str, str]:
    """Return an environment in which sbatch keeps the scripts in `folder`/submitted."""
    submitted, bin_folder = folder / "submitted", folder / "tools"
    submitted.mkdir()
    bin_folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("scontrol", "#!/bin/bash\necho node1\n")):
        (bin_folder / name).write_text(text)
        (bin_folder / name).chmod(0o755)
    path = f"{bin_folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {"PATH": path, "SUBMITTED": str(submitted)}


def run_jobs(env: dict[str, str]) -> list[str]:
    """Run every index of every job, in the order of submission, and return their scripts.

    Each job is followed by one that adds up its statistics, which is left out. What stands behind
    srun's arguments is run without srun.
    """
    scripts = [path.read_text() for path in sorted(Path(env["SUBMITTED"]).iterdir())][::2]
    for script in scripts:
        command = script.splitlines()[-1].split()
        assert command[:5] == ["srun", "--cpus-per-task=1", "-l", "-n", "1"]
        last = re.findall(r"^#SBATCH --array=0-(\d+)", script, re.MULTILINE)[0]
        for index in range(int(last) + 1):
            node = {"SLURM_ARRAY_TASK_ID": str(index), "SLURM_NODELIST": "node1"}
            whole = {**os.environ, **env, **node}
            subprocess.run(command[5:], env=whole, check=True, capture_output=True)
    return scripts
