"""How a run was made: its recipe and its versions, as they stand."""

from __future__ import annotations

import json

from ttc_eval.report import page
from ttc_eval.report.material import Material
from ttc_rl.run_dir import read_json


def made(material: Material) -> str:
    """Show the recipe and the versions."""
    run = material.run
    recipe = page.details("recipe.yaml", f"<pre>{page.text(run.recipe.read_text())}</pre>")
    if not run.versions.exists():
        return recipe
    versions = json.dumps(read_json(run.versions), indent=2, ensure_ascii=False)
    return recipe + page.details("versions.json", f"<pre>{page.text(versions)}</pre>")
