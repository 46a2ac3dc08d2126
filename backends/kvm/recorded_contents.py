"""What a recording holds beside registers and memory: the devices' state, and exits."""

from __future__ import annotations

import json
from typing import Any

from kdash.backends.kvm.exit_codec import ExitCodecError, unpack
from kdash.backends.kvm.facts import Exit
from kdash.backends.kvm.recording import Recording


def devices_of(recording: Recording) -> dict[str, Any]:
    """The state of devices and log at the moment shown; empty where a file has none."""
    area = recording.area("devices")
    if area is None:
        return {}
    try:
        state = json.loads(text_of(recording.shadow(area.number)))
    except ValueError:
        return {}
    return state if isinstance(state, dict) else {}


def text_of(buffer: Any) -> bytes:
    """The devices' state as it lies in its area, without what fills that up."""
    return bytes(buffer[:]).partition(b"\0")[0]


def exits_of(recording: Recording, moment: int) -> tuple[Exit, ...]:
    """The exits of the step that begins at a moment."""
    try:
        return tuple(unpack(recording.payload(moment), recording.owners))
    except ExitCodecError:
        return ()


def exits_before(recording: Recording, moment: int, count: int) -> tuple[Exit, ...]:
    """The last exits before a moment, at most `count`, oldest first."""
    found: list[Exit] = []
    for payload in recording.payloads_before(moment):
        try:
            found[:0] = unpack(payload, recording.owners)
        except ExitCodecError:
            break  # of a file that somebody made
        if len(found) >= count:
            break
    return tuple(found[-count:])


def earlier_exits(recording: Recording, moment: int, index: int, count: int) -> tuple[Exit, ...]:
    """Of the last `count` exits before a moment those with an ordinal below `index`."""
    return tuple(one for one in exits_before(recording, moment, count) if one.index < index)
