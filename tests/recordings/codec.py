"""Facts as JSON and back, so that pictures and tests can start from recorded ones."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import Enum
from types import ModuleType
from typing import Any


def to_json(value: Any) -> Any:
    """Turn a fact into JSON data; dataclasses and enums carry the name of their class."""
    if is_dataclass(value) and not isinstance(value, type):
        items = {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
        return {"is": type(value).__name__, **items}
    if isinstance(value, Enum):
        return {"is": type(value).__name__, "value": value.value}
    if isinstance(value, bytes):
        return {"is": "bytes", "hex": value.hex()}
    if isinstance(value, frozenset):
        return {"is": "frozenset", "items": [to_json(item) for item in sorted(value)]}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {"is": "dict", "items": {key: to_json(item) for key, item in value.items()}}
    return value


def from_json(data: Any, facts: ModuleType) -> Any:
    """Build the fact that `to_json` was given, with the classes of the module `facts`."""
    if isinstance(data, list):
        return tuple(from_json(item, facts) for item in data)
    if not isinstance(data, dict):
        return data
    name = data["is"]
    if name == "bytes":
        return bytes.fromhex(data["hex"])
    if name == "frozenset":
        return frozenset(from_json(item, facts) for item in data["items"])
    if name == "dict":
        return {key: from_json(item, facts) for key, item in data["items"].items()}
    kind = getattr(facts, name)
    if issubclass(kind, Enum):
        return kind(data["value"])
    return kind(**{key: from_json(item, facts) for key, item in data.items() if key != "is"})
