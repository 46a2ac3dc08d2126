"""The four streams whose figures by rngtest, ent and the NIST code are in expected.json."""

import hashlib
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
LENGTH = 250_004
EXPECTED: dict[str, dict[str, Any]] = json.loads((FOLDER / "expected.json").read_text())["samples"]
NAMES = tuple(EXPECTED)


def sample(name: str) -> bytes:
    """One of the streams."""
    if name == "zeros":
        data = bytes(LENGTH)
    elif name == "ascii_text":
        sentence = b"the quick brown fox jumps over the lazy dog. "
        data = (sentence * (LENGTH // len(sentence) + 1))[:LENGTH]
    else:
        data = (FOLDER / f"{name}.bin").read_bytes()
    assert hashlib.sha256(data).hexdigest() == EXPECTED[name]["sha256"]
    return data
