"""LiveCodeBench's tests: JSON, or base64 of zlib of a pickle of JSON text.

A pickle can name any function to be called, so one from elsewhere is a program. Here it is taken
apart without being run, and what is made of more than one text is refused. What a row may ask for
is bounded: a packed text by its length, and what is built of it by all that stands outside strings.
"""

from __future__ import annotations

import base64
import io
import json
import pickletools
import re
import zlib
from collections.abc import Mapping
from typing import Any, cast

from ttc_rl.corpus.rows import BadRow

MAX_BYTES = 2**29
"""Of the unpacked tests of one task."""
MAX_STRUCTURE = 2**24
"""Characters outside strings: lists of nothing ask for 20 times their length in memory."""
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_TEXTS = {"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
_AROUND = {"PROTO", "FRAME", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "STOP"}
_NAMES = {"GLOBAL", "STACK_GLOBAL", "INST"}


def unpack_tests(text: str | None) -> list[Mapping[str, Any]]:
    """Return the tests in a column, an empty list where it is empty. Raises BadRow."""
    if not text or not text.strip():
        return []
    tests = _read(text if text.lstrip().startswith("[") else _packed(text))
    if not isinstance(tests, list) or not all(
        isinstance(test, Mapping) for test in cast(list[Any], tests)
    ):
        raise BadRow("packed tests: should be a list of objects")
    return cast(list[Mapping[str, Any]], tests)


def _read(text: str) -> Any:
    if len(text) - sum(len(m[0]) for m in _STRING.finditer(text)) > MAX_STRUCTURE:
        raise BadRow(f"packed tests: more than {MAX_STRUCTURE} characters outside strings")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRow(f"packed tests: not JSON: {error}") from None


def _packed(text: str) -> str:
    try:
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(base64.b64decode(text, validate=True), MAX_BYTES)
    except (ValueError, zlib.error) as error:  # of base64 too: binascii.Error is a ValueError
        raise BadRow(f"packed tests: {error}") from None
    if unpacker.unconsumed_tail:
        raise BadRow(f"packed tests: more than {MAX_BYTES} bytes")
    return _text_of_pickle(raw)


def _text_of_pickle(raw: bytes) -> str:
    texts: list[str] = []
    try:
        for code, argument, _ in pickletools.genops(io.BytesIO(raw)):
            if code.name in _NAMES:
                named = str(argument).replace(" ", ".") if argument else ".".join(texts[-2:])
                raise BadRow(f"packed tests: a pickle that names {named[:200]}; only text is read")
            if code.name in _TEXTS:
                texts.append(str(argument))
            elif code.name not in _AROUND:
                raise BadRow(f"packed tests: a pickle with {code.name}, not of text")
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        raise BadRow(f"packed tests: not a pickle of text: {str(error)[:200]}") from None
    if len(texts) != 1:
        raise BadRow(f"packed tests: a pickle of {len(texts)} texts, not of one text")
    return texts[0]
