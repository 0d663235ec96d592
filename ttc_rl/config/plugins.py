"""What a recipe names by `my_package.my_module:name`: found, imported, and checked.

Modules are looked for in the working folder, in the recipe's own folder, then among what is
installed. Two recipes may each have a module of the same name beside them.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from ttc_rl.schema import UserError

MODULES = "TTC_RL_MODULES"
"""Variable with more folders to look in: the recipe's, where a child reads a copy of it."""
NEVER_THEIRS = {*sys.stdlib_module_names, "ttc_rl", "ttc_eval"}
"""Packages that no file of the user's stands in for."""


def load_function(
    key: str, path: str, takes_what: str, folders: Iterable[Path] = ()
) -> Callable[..., Any]:
    """Return the function that `path` names; `takes_what` are its arguments, `task, verdict`.

    Raises UserError in one line about `key`.
    """
    function = load_object(key, path, folders)
    if not callable(function) or not takes(function, takes_what.count(",") + 1):
        raise UserError(f"{key}: {path} is no function of ({takes_what})")
    return function


def load_object(key: str, path: str, folders: Iterable[Path] = ()) -> Any:
    """Return what `path` names. Raises UserError in one line about `key`."""
    module_name, colon, name = path.partition(":")
    if not (colon and module_name and name):
        raise UserError(f"{key}: write my_package.my_module:function, not {path!r}")
    try:
        module = _module(module_name, folders)
    except ModuleNotFoundError as error:
        if not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise UserError(f"{key}: there is no module {error.name}") from None
    found = getattr(module, name, None)
    if found is None:
        close = difflib.get_close_matches(name, dir(module), n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UserError(f"{key}: {module_name} has no {name}{hint}")
    return found


def file_of_module(path: str, folders: Iterable[Path] = ()) -> Path | None:
    """Return the file of the module that `path` names, where a folder of the user's has it.

    Nothing is imported.
    """
    found = _found(path.partition(":")[0], folders)
    return found[1] if found else None


def takes(function: Callable[..., Any], arguments: int) -> bool:
    """Whether a function can be called with so many arguments."""
    try:
        inspect.signature(function).bind(*[None] * arguments)
    except TypeError:
        return False
    return True


def _found(module_name: str, folders: Iterable[Path]) -> tuple[Path, Path] | None:
    """Return the first folder that has the module, and its file there."""
    more = filter(None, os.environ.get(MODULES, "").split(os.pathsep))
    for folder in (Path.cwd(), *folders, *map(Path, more)):
        base = folder.absolute().joinpath(*module_name.split("."))
        for file in (base.with_suffix(".py"), base / "__init__.py"):
            if file.is_file():
                return folder.absolute(), file
    return None


def _module(name: str, folders: Iterable[Path]) -> ModuleType:
    found = _found(name, folders)
    package = name.partition(".")[0]
    if found is None or package in NEVER_THEIRS:
        return importlib.import_module(name)
    folder, file = found
    loaded = sys.modules.get(name)
    if loaded is not None and _same_file(loaded, file):
        return loaded
    _forget(package)
    importlib.invalidate_caches()
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))
        if str(folder) not in sys.path:
            sys.path.append(str(folder))  # for what the module imports later


def _same_file(module: ModuleType, file: Path) -> bool:
    return module.__file__ is not None and Path(module.__file__).resolve() == file.resolve()


def _forget(package: str) -> None:
    """Leave a package of the same name that is loaded to those who have it already."""
    for name in [name for name in sys.modules if f"{name}.".startswith(f"{package}.")]:
        del sys.modules[name]
