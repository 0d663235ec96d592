"""Arms of several experts: how many targets each is for, what it was trained on, what it weighs."""

from __future__ import annotations

from markupsafe import Markup

from ttc_eval.compare.summary import Json
from ttc_eval.report import page
from ttc_eval.report.material import Material
from ttc_rl.run_dir import ArmDir, read_experts, read_json


def experts(material: Material) -> Markup:
    """Show a table an arm; nothing where no arm has experts."""
    run, recipe = material.run, material.recipe
    return Markup().join(
        _table(arm, run.arm(arm, recipe))
        for arm in recipe.arm_names
        if recipe.arm(arm).experts is not None and run.arm(arm, recipe).experts.exists()
    )


def _table(arm: str, folder: ArmDir) -> Markup:
    mix: Json = read_json(folder.mix) if folder.mix.exists() else {}
    columns = [arm, "targets", "tasks trained on", "uncertainty left"]
    rows = [_row(expert, folder.expert(expert["name"])) for expert in read_experts(folder.experts)]
    if mix:
        columns += ["weight", f"alone, by {mix['by']}"]
        for row, weight, alone in zip(rows, mix["weights"].values(), mix["alone"], strict=True):
            row += [f"{weight:+.2f}", f"{100 * alone:.1f} %"]
    return page.text_table(columns, rows, []) + page.paragraph(_told(mix), "note")


def _row(expert: Json, folder: ArmDir) -> list[str]:
    row = [expert["name"], str(len(expert["targets"]))]
    if not folder.selection.exists():
        return [*row, "not selected yet", ""]
    selection = read_json(folder.selection)
    uncertainty = selection["uncertainty"]
    return [
        *row,
        str(selection["size"]),
        f"{uncertainty['after']:.2f} of {uncertainty['start']:.2f}",
    ]


def _told(mix: Json) -> str:
    if not mix:
        return "Each target is answered by its own expert, any other task by the nearest target's."
    base, mean, score = (f"{100 * mix[name]:.1f} %" for name in ("base", "mean", "score"))
    return (
        f"One model, the base and each expert's change times its weight, found by {mix['by']}: "
        f"{score}, where the base has {base} and the mean of all experts {mean}."
    )
