"""How a guest is started, beyond what it says itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from kdash.backends.kvm.recording import LIMIT


@dataclass(frozen=True, slots=True)
class Start:
    """What is done to a guest each time it is loaded, beyond what it says itself."""

    registers: Mapping[str, int] = field(default_factory=dict)
    stdin: bytes = b""  # input of the serial port; of a boot sector what is typed
    record: bool | None = None  # whether steps are recorded; None: where memory is small
    record_limit: int = LIMIT  # bytes the recording may take


AS_LOADED: Final = Start()
