"""A user's own kinds: `verifiers: {my-kind: "my_package.my_module:thing"}` in a recipe.

The thing is a function `(task, completion) -> Verdict`, a bool or a share from 0 to 1; or a `Kind`,
or any object with some of its fields. Its exceptions are its own: they stop the run and are shown
as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast

from ttc_rl.config.plugins import file_of_module, load_object, takes
from ttc_rl.schema import Task, UserError
from ttc_rl.verifiers.kind import SHOWN, Kind, Verifier

PLAIN = ("name", "template", "tested", "retention", "file")
"""Fields of a kind that are no functions; they are not asked of a plug-in."""


def plug_in(name: str, path: str, folders: Sequence[Path]) -> Kind:
    """Return the kind that `path` names. Raises UserError in one line."""
    plugin = load_object(name, path, folders)
    file = file_of_module(path, folders)
    if hasattr(plugin, "verify") or hasattr(plugin, "verify_many"):
        return replace(_of_fields(name, path, plugin), file=file)
    if not callable(plugin) or not takes(plugin, 2):
        raise UserError(f"{name}: {path} is no function of (task, completion), and no Kind")
    return Kind(name, cast("Verifier", plugin), file=file)


def _of_fields(name: str, path: str, plugin: Any) -> Kind:
    if getattr(plugin, "template", SHOWN) != SHOWN:
        raise UserError(
            f"{name}: {path} has a template; write it into the recipe instead: prompts.{name}"
        )
    names = [field.name for field in fields(Kind) if field.name not in PLAIN]
    members = {field: getattr(plugin, field, None) for field in names}
    members = {field: value for field, value in members.items() if value is not None}
    for field, value in members.items():
        if not callable(value):
            raise UserError(f"{name}: {path}: its {field} is no function")
    if "verify" not in members:
        members["verify"] = _one_of(members["verify_many"])
    return Kind(name, **members)


def _one_of(verify_many: Any) -> Any:
    def verify(task: Task, completion: str) -> Any:
        return verify_many([task], [completion])[0]

    return verify
