"""What a recipe that is refused says."""

from pathlib import Path

import pytest

from ttc_rl.config import load_recipe
from ttc_rl.schema import UserError


def refusal(path: Path, *overrides: str) -> str:
    """Return the one line that loading a recipe ends in."""
    with pytest.raises(UserError) as caught:
        load_recipe(path, overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)
