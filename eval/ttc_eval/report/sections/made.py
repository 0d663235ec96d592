"""How a run was made: its recipe and its versions."""

from __future__ import annotations

import json

from markupsafe import Markup

from ttc_eval.report import page
from ttc_eval.report.material import Material
from ttc_rl.run_dir import read_json


def made(material: Material) -> Markup:
    """Show the recipe and the versions."""
    run = material.run
    recipe = page.details("recipe.yaml", page.preformatted(run.recipe.read_text()))
    if not run.versions.exists():
        return recipe
    versions = json.dumps(read_json(run.versions), indent=2, ensure_ascii=False)
    return recipe + page.details("versions.json", page.preformatted(versions))
