"""A user's own verifiers: `verifiers: {my-kind: "my_package.my_module:function"}` in a recipe.

A plug-in is a function `(task, completion) -> Verdict`. It is imported while the recipe is checked
and holds for the rest of the process. Its exceptions are its own: they stop the run and are shown
as they are. Not covered: sources looked at without a recipe do not know the kinds of a plug-in.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from ttc_rl.schema import UserError

KINDS = ("math", "exact", "choice", "code", "judge")
"""Kinds of task that need no plug-in."""
PLUGINS: dict[str, Callable[..., Any]] = {}
"""Kind -> the function a recipe named for it."""


def register(verifiers: Mapping[str, str]) -> Mapping[str, str]:
    """Import each function; raises ValueError with what is wrong in one line."""
    for kind, path in verifiers.items():
        if kind in KINDS:
            raise ValueError(f"{kind} is built in; give the plug-in's tasks a kind of their own")
        PLUGINS[kind] = _verifier(kind, path)
    return verifiers


def _verifier(kind: str, path: str) -> Callable[..., Any]:
    try:
        return load_function(kind, path, 2)
    except UserError as error:
        raise ValueError(str(error)) from None


def load_function(key: str, path: str, arguments: int) -> Callable[..., Any]:
    """The function that `path` names. Raises UserError in one line about `key`."""
    module_name, colon, name = path.partition(":")
    if not (colon and module_name and name):
        raise UserError(f"{key}: write my_package.my_module:function, not {path!r}")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # a file beside the recipe, as with `python -m`
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise UserError(f"{key}: there is no module {error.name}") from None
    function = getattr(module, name, None)
    if function is None:
        close = difflib.get_close_matches(name, dir(module), n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UserError(f"{key}: {module_name} has no {name}{hint}")
    if not callable(function) or not _takes(function, arguments):
        shown = "(task, completion)" if arguments == 2 else "(task)"
        raise UserError(f"{key}: {path} is no function of {shown}")
    return function


def _takes(function: Callable[..., Any], arguments: int) -> bool:
    try:
        inspect.signature(function).bind(*[None] * arguments)
    except TypeError:
        return False
    return True
