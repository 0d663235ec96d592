"""scikit-learn and scipy where an arm needs them; the core is installed without."""

from __future__ import annotations

from typing import Any

from ttc_rl.schema import UserError
from ttc_rl.system.install import install


def sklearn_cluster() -> Any:
    try:
        from sklearn import cluster
    except ImportError:
        raise UserError(_missing("scikit-learn")) from None
    return cluster


def nnls() -> Any:
    try:
        from scipy.optimize import nnls
    except ImportError:
        raise UserError(_missing("scipy")) from None
    return nnls


def _missing(package: str) -> str:
    return f"this selection method needs {package}: {install('embed')}"
