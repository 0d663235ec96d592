"""Whether the Hugging Face hub can be reached: asked once, before it is first needed."""

from __future__ import annotations

import functools
import logging
import os
import sys
import urllib.error
import urllib.request

logger = logging.getLogger(__name__)

OFFLINE = "HF_HUB_OFFLINE"
HUB = "https://huggingface.co"
PATIENCE = 3.0
"""Seconds that it has to answer. The hub's own library asks each file six times."""


@functools.cache
def hub_is_reachable() -> bool:
    """Return whether the hub answers. Where it does not, that is said once, and the libraries are
    told to use their caches alone, at once."""
    if os.environ.get(OFFLINE, "").upper() in ("1", "ON", "YES", "TRUE"):
        return False
    endpoint = os.environ.get("HF_ENDPOINT", HUB)
    try:
        request = urllib.request.Request(endpoint, method="HEAD")
        urllib.request.urlopen(request, timeout=PATIENCE).close()
    except urllib.error.HTTPError:
        return True  # it answered
    except OSError as error:
        reason = getattr(error, "reason", error)
        logger.info(
            f"{endpoint} cannot be reached ({reason}): its cache alone is used ({OFFLINE}=1)"
        )
        _go_offline()
        return False
    return True


def _go_offline() -> None:
    """Tell this process, its children, and the libraries that read the variable already."""
    os.environ[OFFLINE] = "1"
    for name in ("huggingface_hub.constants", "datasets.config"):
        if name in sys.modules:
            setattr(sys.modules[name], OFFLINE, True)
