"""Whether the Hugging Face hub can be reached: asked once, before it is first needed."""

from __future__ import annotations

import functools
import logging
import os
import sys

logger = logging.getLogger(__name__)

OFFLINE = "HF_HUB_OFFLINE"
PATIENCE = 3.0
"""Seconds that it has to answer. The hub's own library asks for each file several times."""


@functools.cache
def hub_is_reachable() -> bool:
    """Return whether the hub answers the hub's own client, through the proxy and with the
    certificates that it will use later. Where it does not, that is said once, and the libraries are
    told to use their caches alone, at once."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=PATIENCE)
    except Exception as error:  # noqa: BLE001  each version of the client has errors of its own
        why = str(error).partition("\n")[0] or type(error).__name__
        where = constants.ENDPOINT
        logger.info(f"{where} cannot be reached ({why}): its cache alone is used ({OFFLINE}=1)")
        _go_offline()
        return False
    return True


def _go_offline() -> None:
    """Tell this process, its children, and the libraries that read the variable already."""
    os.environ[OFFLINE] = "1"
    for name in ("huggingface_hub.constants", "datasets.config"):
        if name in sys.modules:
            setattr(sys.modules[name], OFFLINE, True)
