"""LiveCodeBench's tests: JSON, or base64 of zlib of a pickle of JSON text.

A pickle can name any function to be called, so one from elsewhere is a program. Here nothing can
be named: what is made of more than plain values is refused.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import pickle
import zlib
from collections.abc import Mapping
from typing import Any, NoReturn, cast

from ttc_rl.sources.rows import BadRow

MAX_BYTES = 2**30
"""Of the unpacked tests of one task."""


def unpack_tests(text: str | None) -> list[Mapping[str, Any]]:
    """The tests in a column, an empty list where it is empty. Raises BadRow."""
    if not text or not text.strip():
        return []
    found: Any = json.loads(text) if text.lstrip().startswith("[") else json.loads(_packed(text))
    if not isinstance(found, list) or not all(
        isinstance(test, Mapping) for test in cast(list[Any], found)
    ):
        raise BadRow("packed tests: should be a list of objects")
    return cast(list[Mapping[str, Any]], found)


def _packed(text: str) -> str:
    try:
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(base64.b64decode(text, validate=True), MAX_BYTES)
        if unpacker.unconsumed_tail:
            raise BadRow(f"packed tests: more than {MAX_BYTES} bytes")
        value = _PlainUnpickler(io.BytesIO(raw)).load()
    except (binascii.Error, zlib.error) as error:
        raise BadRow(f"packed tests: {error}") from None
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, AttributeError) as error:
        raise BadRow(f"packed tests: not a pickle of text: {error}") from None
    if not isinstance(value, str):
        raise BadRow(f"packed tests: a pickle of {type(value).__name__}, not of text")
    return value


class _PlainUnpickler(pickle.Unpickler):
    """Text, numbers, lists and the like need no name looked up; everything else does."""

    def find_class(self, module_name: str, global_name: str, /) -> NoReturn:
        raise pickle.UnpicklingError(f"names {module_name}.{global_name}; only text is read")
