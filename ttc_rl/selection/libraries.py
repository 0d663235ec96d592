"""scikit-learn and scipy where an arm needs them; the core is installed without."""

from __future__ import annotations

from typing import Any

from ttc_rl.schema import UserError


def sklearn_cluster() -> Any:
    try:
        from sklearn import cluster
    except ImportError:
        raise UserError(_MISSING.format("scikit-learn")) from None
    return cluster


def nnls() -> Any:
    try:
        from scipy.optimize import nnls
    except ImportError:
        raise UserError(_MISSING.format("scipy")) from None
    return nnls


_MISSING = "this selection method needs {}: pip install 'ttc-rl[embed]'"
