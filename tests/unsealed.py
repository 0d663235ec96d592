"""Makes a file of a run as an earlier version left it, which did not vouch for any file."""

import json
from pathlib import Path

from ttc_rl.run_dir import SEAL


def unseal(path: Path) -> None:
    held = json.loads(path.read_text(encoding="utf-8"))
    del held[SEAL]
    path.write_text(json.dumps(held), encoding="utf-8")
