"""JSON that every reader takes: no lone surrogates. Standard library only."""

from __future__ import annotations

import json

#: Bytes that are no UTF-8, as "surrogateescape" keeps them, to the same bytes as latin-1.
_AS_LATIN_1 = {0xDC00 + byte: byte for byte in range(0x80, 0x100)}


def json_text(value: object) -> str:
    """A value as JSON on one line; bytes that are no UTF-8 are shown as latin-1.

    Raises:
        TypeError: JSON has no such value.
    """
    text = json.dumps(value)
    return json.dumps(_shown(value)) if "\\udc" in text else text


def _shown(value: object) -> object:
    if isinstance(value, str):
        return value.translate(_AS_LATIN_1)
    if isinstance(value, dict):
        return {_shown(key): _shown(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(one) for one in value]
    return value
